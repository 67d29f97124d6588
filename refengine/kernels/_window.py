"""The sliding window of convolutions and pools: where it lies, what it covers, and how to see it without copying.

TFLM: `kernels/padding.h`. With SAME padding the odd pixel goes to the bottom and the right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import consistent, require
from ..kernel import Draw, Ints, Options, Toolbox
from ..model import Array

MOST_PADDED = 1 << 20
"""How many positions a padded image may have that is more than four times as large as the image."""

PATCH_BYTES = 1 << 22
"""How many bytes of patches to gather at a time: so many that calls of NumPy cost little, and the caches have room."""

FLOAT_PATCH_BYTES = 1 << 20
"""The same of floats: `einsum` reads patches once for each output channel, so a core's own cache holds them."""

NARROW = 3
"""Up to so many channels, patches are gathered by tap, in longer lines than by position."""

WIDE = 256
"""From so many channels on, NumPy's loops over those of one pixel are quick enough."""


@dataclass(frozen=True)
class Window:
    """(height, width) pairs throughout; `pad` is what SAME adds above and to the left."""

    filter: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    pad: tuple[int, int]
    input: tuple[int, int]
    output: tuple[int, int]

    @cached_property
    def is_padded(self) -> bool:
        """Whether any output position looks outside the image."""
        return self.pad != (0, 0) or any(need > size for need, size in zip(self.span, self.input, strict=True))

    @property
    def starts(self) -> tuple[Ints, Ints]:
        """The input row and column of each output position's first tap, negative where it is padding."""
        y, x = (
            np.arange(out, dtype=np.int64) * stride - pad
            for out, stride, pad in zip(self.output, self.stride, self.pad, strict=True)
        )
        return y, x

    @property
    def is_pixel(self) -> bool:
        """Whether each output position sees just the pixel in its own place."""
        return self.filter == self.stride == (1, 1)

    @cached_property
    def span(self) -> tuple[int, int]:
        """How many padded rows and columns the output positions cover."""
        (h, w) = (
            (out - 1) * stride + (taps - 1) * dilation + 1
            for out, stride, taps, dilation in zip(self.output, self.stride, self.filter, self.dilation, strict=True)
        )
        return h, w

    def padded(self, images: Array, value: Any = 0) -> Array:
        """(n, *input, c) → (n, *span, c): the images within `value`, cut where no window reaches; maybe a view."""
        if not self.is_padded:
            return images[:, : self.span[0], : self.span[1]]
        framed = np.full((len(images), *self.span, images.shape[3]), value, images.dtype)
        inside = self._inside(framed)
        inside[...] = images[:, : inside.shape[1], : inside.shape[2]]
        return framed

    def centred(self, codes: Array, offset: int, dtype: npt.DTypeLike) -> Array:
        """`padded(codes + offset)` as `dtype`, in one pass."""
        if not self.is_padded:
            return np.add(self.padded(codes), offset, dtype=dtype)
        framed = np.zeros((len(codes), *self.span, codes.shape[3]), dtype)
        inside = self._inside(framed)
        np.add(codes[:, : inside.shape[1], : inside.shape[2]], offset, out=inside, dtype=dtype)
        return framed

    def _inside(self, framed: Array) -> Array:
        """Where the images lie in what is padded."""
        (top, left), (height, width) = self.pad, self.input
        return framed[:, top : top + height, left : left + width]

    def patches(self, padded: Array) -> Array:
        """A view (n, *output, *filter, c) of `padded(images)`: what each output position sees."""
        n, y, x, c = padded.strides
        (sy, sx), (dy, dx) = self.stride, self.dilation
        return _strided(
            padded, (len(padded), *self.output, *self.filter, padded.shape[3]), (n, y * sy, x * sx, y * dy, x * dx, c)
        )

    def columns(self, padded: Array, rows: slice) -> Array:
        """What each position of output `rows` sees of `padded(images)`: (n · rows · output columns, taps · c)."""
        if self.is_pixel:
            return padded[:, rows].reshape(-1, padded.shape[3])
        seen = self.patches(padded)[:, rows]
        taps = prod(self.filter) * padded.shape[3]
        if padded.shape[3] <= NARROW:
            seen = np.ascontiguousarray(seen.transpose(3, 4, 5, 0, 1, 2)).reshape(taps, -1).T
        columns: Array = seen.reshape(-1, taps)
        return columns

    def side_by_side(self, channels: int) -> int:
        """How many output positions `lines` puts into one: all of a row, or each alone where there is a stride, and so
        many channels that it is not worth a copy."""
        return self.output[1] if self.stride[1] == 1 or channels < WIDE else 1

    def lines(self, padded: Array, rows: slice) -> Array:
        """What each tap sees of `padded(images)` in output `rows`, in lines that are contiguous.

        A view (*filter, n, rows, output columns / s, s · c), s being `side_by_side`; if there is a stride, of a copy
        that holds every so-many-th column, tap after tap.
        """
        (sy, sx), (dy, dx), (fh, fw), (height, width) = self.stride, self.dilation, self.filter, self.output
        first, last = rows.start * sy, (min(rows.stop, height) - 1) * sy
        seen, beside = padded[:, first : last + (fh - 1) * dy + 1], self.side_by_side(padded.shape[3])
        if beside == 1 or sx == 1:
            seen = seen if seen[0, 0].flags.c_contiguous else np.ascontiguousarray(seen)
            n, y, x, c = seen.strides
            across, x = dx * x, sx * x
        else:
            n, y, x, c = (seen := seen.take(self._columns, axis=2)).strides
            across = width * x
        return _strided(
            seen,
            (fh, fw, len(padded), (last - first) // sy + 1, width // beside, beside * padded.shape[3]),
            (dy * y, across, n, sy * y, x, c),
        )

    @cached_property
    def _columns(self) -> Ints:
        """The padded column of each output column's tap, tap after tap."""
        taps, columns = (
            np.arange(count, dtype=np.int64) * step
            for count, step in ((self.filter[1], self.dilation[1]), (self.output[1], self.stride[1]))
        )
        return np.add.outer(taps, columns).reshape(-1)

    def in_tiles(
        self,
        images: Array,
        bytes_a_position: int,
        padded: Callable[[Array], Array],
        compute: Callable[[Array, slice, Array | None], Array],
    ) -> Array:
        """(n, *output, c): what `compute(padded(images), output rows, out)` makes, (n, rows, columns, c), tile by tile.

        It may make it in `out`, if it is given one, which spares a copy. A tile, of whole images or of rows of one,
        takes about `PATCH_BYTES`, or `FLOAT_PATCH_BYTES`.
        """
        height, width = self.output
        room = FLOAT_PATCH_BYTES if images.dtype.kind == "f" else PATCH_BYTES
        rows = max(1, room // max(1, width * bytes_a_position))
        step = max(1, rows // max(1, height))
        if step >= len(images) and rows >= height:
            return compute(padded(images), slice(0, height), None)
        output = None
        for image in range(0, len(images), step):
            framed = padded(images[image : image + step])
            for row in range(0, height, rows):
                out = None if output is None else output[image : image + step, row : row + rows]
                made = compute(framed, slice(row, row + rows), out)
                if output is None:
                    output = np.empty((len(images), height, width, made.shape[3]), made.dtype)
                if made is not out:
                    output[image : image + step, row : row + rows] = made
        assert output is not None
        return output

    def taps(self, y: int, x: int) -> Iterator[tuple[int, int, int, int]]:
        """(filter row, filter column, input row, input column) of the taps inside the image, in TFLM's order."""
        for fy in range(self.filter[0]):
            for fx in range(self.filter[1]):
                iy = y * self.stride[0] - self.pad[0] + fy * self.dilation[0]
                ix = x * self.stride[1] - self.pad[1] + fx * self.dilation[1]
                if 0 <= iy < self.input[0] and 0 <= ix < self.input[1]:
                    yield fy, fx, iy, ix


def _strided(array: Array, shape: tuple[int, ...], strides: tuple[int, ...]) -> Array:
    """`as_strided`, in a fifth of its time where the memory is contiguous."""
    if array.flags.c_contiguous:
        view: Array = np.ndarray(shape, array.dtype, array, 0, strides)
        return view
    return np.lib.stride_tricks.as_strided(array, shape, strides, writeable=False)


def window_of(options: Options, input: Sequence[int], filter: tuple[int, int], output: Sequence[int]) -> Window:
    """The window over NHWC shapes `input` → `output`; refuses an output that the padding does not lead to."""
    stride = (options["stride_h"], options["stride_w"])
    dilation = (options.get("dilation_h_factor", 1), options.get("dilation_w_factor", 1))
    require(
        min(*stride, *dilation, *filter) > 0 and max(*stride, *dilation) < 2**15,
        f"filter {filter}, stride {stride} and dilation {dilation} must be positive, and fit TFLM's 16 bits; "
        "convert again with such",
    )
    consistent(options["padding"] in ("SAME", "VALID"), f"padding {options['padding']} is neither SAME nor VALID")
    pads, sizes = [], []
    for size, taps, step, spread in zip(input[1:3], filter, stride, dilation, strict=True):
        extent = (taps - 1) * spread + 1
        out = -(-size // step) if options["padding"] == "SAME" else (size + step - extent) // step
        pads.append(max(0, (out - 1) * step + extent - size) // 2)
        sizes.append(out)
    consistent(
        tuple(output[1:3]) == tuple(sizes) and min(sizes) > 0,
        f"a {filter[0]}×{filter[1]} window over {tuple(input)} gives height and width {tuple(sizes)}, "
        f"but the output tensor has shape {tuple(output)}",
    )
    window = Window(filter, stride, dilation, (pads[0], pads[1]), (input[1], input[2]), (sizes[0], sizes[1]))
    require(
        not window.is_padded or (prod(window.span) <= MOST_PADDED + 4 * prod(window.input) and max(pads) < 2**15),
        f"a {filter[0]}×{filter[1]} window with dilation {dilation} pads the image {tuple(input)} to {window.span}; "
        "that is too large to store, or for TFLM's 16 bits: convert again with a window of the image's size",
    )
    return window


def image_input(make: Toolbox, dtype: str, asymmetric: bool = False) -> Any:
    """For an example: to draw an input of NHWC images."""
    return make.input(make.image(), dtype, make.quantization(dtype, asymmetric=asymmetric), lambda t: len(t.shape) == 4)


def draw_window(
    draw: Draw, make: Toolbox, image: Sequence[int], dilated: bool = True
) -> tuple[dict[str, Any], tuple[int, int], tuple[int, int]]:
    """For an example: (options, filter, output) over the NHWC shape `image`; SAME windows may be larger than it.

    Weighted are 1×1 filters, and no dilation.
    """
    padding, largest = draw(make.sampled_from(("VALID", "SAME"))), draw(make.sampled_from((4, 3, 1, 4)))
    spread = draw(make.sampled_from((1, 2, 1))) if dilated else 1
    stride, filter, dilation, output = [], [], [], []
    for size in image[1:3]:
        taps = draw(make.integers(1, largest if padding == "SAME" else min(size, largest)))
        step, apart = draw(make.integers(1, 3)), draw(make.integers(1, spread))
        if padding == "VALID" and (taps - 1) * apart >= size:
            apart = 1
        extent = (taps - 1) * apart + 1
        stride.append(step)
        filter.append(taps)
        dilation.append(apart)
        output.append(-(-size // step) if padding == "SAME" else (size + step - extent) // step)
    options = {"padding": padding, "stride_h": stride[0], "stride_w": stride[1]}
    if dilated:
        options |= {"dilation_h_factor": dilation[0], "dilation_w_factor": dilation[1]}
    return options, (filter[0], filter[1]), (output[0], output[1])
