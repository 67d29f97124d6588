// A tensor as pictures on one canvas, a tile for each channel; elements are pointed at, chosen and lit.

import { el, short } from "./element.js";
import { indexOf, layout, real } from "./tensors.js";

const GAP = 2; // between tiles, in elements
const ABREAST = 8; // tiles beside one another, if there are so many
const FEW = 20; // elements of a row that are numbered
const LARGEST = 22; // screen pixels of an element
const LIT = "rgba(255, 190, 0, 0.95)";

// Blue below 0, orange above it; where nothing is below, greys.
function colour(value, most, isSigned) {
  const part = most ? Math.min(1, Math.abs(value) / most) : 0;
  if (!isSigned) return Array(3).fill(Math.round(255 * part));
  const dim = (full) => Math.round(28 + (full - 28) * part);
  return value < 0 ? [dim(70), dim(150), dim(255)] : [dim(255), dim(150), dim(40)];
}

export class Maps {
  // `pick(place)` is called for the element that somebody chooses; `signed`: in colours even where nothing is below 0.
  constructor(name, pick, signed = false) {
    Object.assign(this, { pick, signed, lit: [], chosen: null, over: null });
    this.canvas = el("canvas", { className: "maps", tabIndex: 0, role: "img", "aria-label": name });
    this.says = el("p", { className: "hint says", textContent: " " });
    this.places = el("div", { className: "places", "aria-hidden": "true" });
    this.element = el("div", {}, this.canvas, this.places, this.says);
    this.canvas.addEventListener("pointermove", (event) => this.point(this.under(event)));
    this.canvas.addEventListener("pointerleave", () => this.point(this.chosen));
    this.canvas.addEventListener("click", (event) => this.choose(this.under(event)));
    this.canvas.addEventListener("keydown", (event) => this.key(event));
  }

  // Show these values; `square`: a row may be a square that was flattened.
  show(tensor, values, square = false) {
    Object.assign(this, { tensor, values, grid: layout(tensor.shape, square), lit: [], chosen: null });
    this.paint();
  }

  // Light elements up, and mark the chosen one.
  light(places, chosen = null) {
    Object.assign(this, { lit: places, chosen });
    this.draw();
    this.point(chosen);
  }

  measure() {
    const { tiles, rows, columns } = this.grid;
    const width = this.element.clientWidth || 600;
    this.abreast = Math.max(1, Math.min(tiles, ABREAST, Math.floor(width / (columns + GAP)) || 1));
    this.across = this.abreast * (columns + GAP) - GAP;
    this.down = Math.ceil(tiles / this.abreast) * (rows + GAP) - GAP;
    const largest = tiles > 1 ? LARGEST / 2 : LARGEST;
    this.scale = Math.max(1, Math.min(largest, Math.floor(width / this.across), Math.floor(2000 / this.down) || 1));
  }

  // The elements as a picture of one pixel each, kept until there are others.
  paint() {
    this.measure();
    const { values, grid } = this;
    this.still = el("canvas", { width: Math.max(1, this.across), height: Math.max(1, this.down) });
    const context = this.still.getContext("2d");
    const image = context.createImageData(this.still.width, this.still.height);
    const reals = Array.from({ length: grid.size }, (_, place) => real(this.tensor, values, place));
    const finite = reals.filter(Number.isFinite);
    const isSigned = this.signed || finite.some((x) => x < 0);
    const most = finite.reduce((m, x) => Math.max(m, Math.abs(x)), 0);
    for (let place = 0; place < grid.size; place++) {
      const [x, y] = this.corner(place);
      const shade = Number.isFinite(reals[place]) ? colour(reals[place], most, isSigned) : [255, 0, 255];
      image.data.set([...shade, 255], 4 * (y * this.still.width + x));
    }
    context.putImageData(image, 0, 0);
    this.canvas.width = this.still.width * this.scale;
    this.canvas.height = this.still.height * this.scale;
    this.count();
    this.draw();
  }

  // The numbers of a single row, such as one of classes, below it.
  count() {
    const { tiles, rows, columns } = this.grid;
    const isFew = tiles === 1 && rows === 1 && columns > 1 && columns <= FEW;
    const cells = Array.from({ length: isFew ? columns : 0 }, (_, i) => el("span", { textContent: i }));
    for (const cell of cells) cell.style.width = `${this.scale}px`;
    this.places.replaceChildren(...cells);
  }

  draw() {
    const context = this.canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.drawImage(this.still, 0, 0, this.canvas.width, this.canvas.height);
    context.fillStyle = "rgba(255, 190, 0, 0.28)";
    context.strokeStyle = LIT;
    context.lineWidth = 1;
    const isPart = this.lit.length < this.grid.size / 2; // where all of it is lit, the shades matter more
    for (const place of this.lit) {
      const [x, y] = this.corner(place).map((edge) => edge * this.scale);
      if (isPart) context.fillRect(x, y, this.scale, this.scale);
      if (this.scale > 3) context.strokeRect(x + 0.5, y + 0.5, this.scale - 1, this.scale - 1);
    }
    if (this.chosen !== null) this.mark(context, this.chosen);
  }

  mark(context, place) {
    const [x, y] = this.corner(place).map((edge) => edge * this.scale);
    context.lineWidth = 2;
    context.strokeStyle = "#f22";
    const inset = this.scale > 6 ? 1 : -1; // inside of it, where there is room: the canvas ends at its border
    context.strokeRect(x + inset, y + inset, this.scale - 2 * inset, this.scale - 2 * inset);
  }

  // The upper left corner of an element, in elements.
  corner(place) {
    const [tile, y, x] = this.grid.where(place);
    const { rows, columns } = this.grid;
    return [(tile % this.abreast) * (columns + GAP) + x, Math.floor(tile / this.abreast) * (rows + GAP) + y];
  }

  under(event) {
    const box = this.canvas.getBoundingClientRect();
    const factor = this.canvas.width / box.width / this.scale;
    const [across, down] = [(event.clientX - box.left) * factor, (event.clientY - box.top) * factor].map(Math.floor);
    const { rows, columns, tiles } = this.grid;
    const tile = Math.floor(down / (rows + GAP)) * this.abreast + Math.floor(across / (columns + GAP));
    const [y, x] = [Math.min(down % (rows + GAP), rows - 1), Math.min(across % (columns + GAP), columns - 1)];
    const found = tile < tiles ? this.grid.at(tile, y, x) : -1;
    return found >= 0 && found < this.grid.size ? found : null;
  }

  point(place) {
    this.over = place;
    this.says.textContent = place === null ? " " : this.told(place);
  }

  told(place) {
    const code = this.values[place];
    const index = indexOf(this.tensor.shape, place).join(", ");
    const means = real(this.tensor, this.values, place);
    const isCode = this.tensor.scale.length && !this.tensor.dtype.startsWith("float");
    return isCode ? `[${index}]: code ${code}, real ${short(means)}` : `[${index}]: ${short(code)}`;
  }

  choose(place) {
    if (place !== null) this.pick(place);
  }

  // Arrows walk in a tile, PageUp and PageDown from tile to tile.
  key(event) {
    const steps = {
      ArrowLeft: [0, 0, -1],
      ArrowRight: [0, 0, 1],
      ArrowUp: [0, -1, 0],
      ArrowDown: [0, 1, 0],
      PageUp: [-1, 0, 0],
      PageDown: [1, 0, 0],
    };
    if (!(event.key in steps)) return;
    event.preventDefault();
    const here = this.chosen === null ? [0, 0, 0] : this.grid.where(this.chosen);
    const [tile, y, x] = here.map((at, i) => at + (this.chosen === null ? 0 : steps[event.key][i]));
    const { tiles, rows, columns } = this.grid;
    if (tile < 0 || tile >= tiles || y < 0 || y >= rows || x < 0 || x >= columns) return;
    this.choose(this.grid.at(tile, y, x) >= 0 ? this.grid.at(tile, y, x) : null);
  }
}
