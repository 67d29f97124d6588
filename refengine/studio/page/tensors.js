// Tensors of the present inference: their elements, what these stand for, and where they lie in a picture of tiles.

import { bytesOf } from "./server.js";
import { present } from "./state.js";

const TYPES = {
  int4: Int8Array,
  int8: Int8Array,
  uint8: Uint8Array,
  bool: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  float32: Float32Array,
  float64: Float64Array,
};

// The elements of a tensor in row-major order, null for types that are no numbers.
export async function valuesOf(tensor, more = {}) {
  if (!(tensor.dtype in TYPES)) return null;
  const buffer = await bytesOf("tensor", present({ tensor: tensor.index, ...more }));
  const values = new TYPES[tensor.dtype](buffer);
  return tensor.dtype.endsWith("64") && tensor.dtype !== "float64" ? Array.from(values, Number) : values;
}

const of = (list, i, otherwise) => (list.length > 1 ? list[i] : (list[0] ?? otherwise));

// What an element stands for: scale · (code − zero point), or itself.
export function real(tensor, values, place) {
  const { scale, zero_point: zeroPoint, along } = tensor;
  if (!scale.length || tensor.dtype.startsWith("float")) return values[place];
  const i = scale.length > 1 ? indexOf(tensor.shape, place)[along] : 0;
  return of(scale, i, 1) * (values[place] - of(zeroPoint, i, 0));
}

// The index of an element, such as [0, 3, 4, 7], by its place in row-major order; and back.
export function indexOf(shape, place) {
  const index = Array(shape.length).fill(0);
  for (let d = shape.length - 1; d >= 0; d--) {
    index[d] = place % shape[d];
    place = Math.floor(place / shape[d]);
  }
  return index;
}

export const placeOf = (shape, index) => index.reduce((place, i, d) => place * shape[d] + i, 0);

const WRAPPED = 32; // columns of a long row

// How a tensor is laid out: `tiles` pictures of rows × columns, and which element is where in them.
export function layout(shape, square = false) {
  const size = shape.reduce((product, length) => product * length, 1);
  const grid = (tiles, rows, columns, at, where) => ({ tiles, rows, columns, size, at, where });
  if (shape.length === 4) {
    const [n, h, w, c] = shape;
    return grid(
      n * c,
      h,
      w,
      (tile, y, x) => ((Math.floor(tile / c) * h + y) * w + x) * c + (tile % c),
      (place) => {
        const [b, y, x, channel] = indexOf(shape, place);
        return [b * c + channel, y, x];
      },
    );
  }
  if (shape.length === 3) {
    const [n, h, w] = shape;
    return grid(
      n,
      h,
      w,
      (tile, y, x) => (tile * h + y) * w + x,
      (place) => indexOf(shape, place),
    );
  }
  const length = shape.at(-1) ?? 1;
  const side = Math.round(Math.sqrt(length));
  const isRow = size === length;
  const columns = isRow && square && side * side === length ? side : Math.min(length, isRow ? WRAPPED : 256);
  const rows = Math.ceil(size / Math.max(1, columns));
  return grid(
    1,
    rows,
    columns,
    (tile, y, x) => (y * columns + x < size ? y * columns + x : -1),
    (place) => [0, Math.floor(place / columns), place % columns],
  );
}
