"""Faults of order: weights, channels, rows and bytes that lie elsewhere than they are read."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...model import Array
from ._case import Case, Fits, Variants, with_data, with_weights, zero_point_of

LAYOUTS = {
    "OHWI": ("OIHW", "HWIO", "HWOI", "IHWO", "OWHI"),
    "1HWO": ("1OHW", "OHW1", "HWO1", "HW1O", "1WHO"),
    "OI": ("IO",),
}
"""How others than TFLite order the weights' dimensions: O outputs, I inputs, H rows, W columns."""


def transposed_weights(case: Case) -> Variants:
    """The weights lie in memory in another order than the kernel reads them."""
    if case.weights is None or case.weights.data is None:
        return
    data, layout = case.weights.data, case.step.facts.layout
    ways = {}
    for other in LAYOUTS.get(layout, ()):
        axes = [layout.index(letter) for letter in other]
        ways[f"if the weights are stored as {other} but read as {layout}"] = data.transpose(axes).reshape(data.shape)
        read = data.reshape([data.shape[i] for i in axes]).transpose(np.argsort(axes))
        ways[f"if the weights are stored as {layout} but read as {other}"] = read
    if data.ndim == 4:
        ways["if the filter's rows and columns are upside down"] = data[:, ::-1, ::-1]
    if case.weights.dtype == "int4":
        nibbles = np.append(data.ravel(), np.zeros(data.size % 2, data.dtype)).reshape(-1, 2)[:, ::-1]
        ways["if the two int4 weights of a byte are swapped"] = nibbles.ravel()[: data.size].reshape(data.shape)
    yield from with_weights(case, ways)


def flattened(case: Case) -> Variants:
    """What was an image is flattened, or its dense layer's weights are ordered, as other frameworks do it."""
    x, image = case.arrays[0], case.image
    if x is None or len(image) != 3 or x.size != np.prod(image):
        return
    dense = case.weights is not None and case.weights.data is not None and case.weights.data.shape[-1:] == (x.size,)
    if not dense and not case.step.facts.copies:
        return
    orders = {
        "channels first (CHW, as in PyTorch)": (2, 0, 1),
        "with rows and columns exchanged (WHC)": (1, 0, 2),
        "columns first, then rows (CWH)": (2, 1, 0),
    }
    for how, axes in orders.items():
        moved = x.reshape(image).transpose(axes).reshape(x.shape)
        if moved.tobytes() == x.tobytes():
            continue
        if not dense:
            if case.sound.tobytes() == x.tobytes():
                yield f"if the image is flattened {how}", moved.reshape(case.sound.shape)
            continue
        yield f"if the image is flattened {how}, but the weights are not", case.replay(arrays={0: moved})
        back = x.reshape([image[a] for a in axes]).transpose(np.argsort(axes)).reshape(x.shape)
        yield f"if the weights are ordered for an image flattened {how}", case.replay(arrays={0: back})


def swapped_channels(case: Case) -> Variants:
    """Channels in another order: of the input (RGB, BGR), or of the output."""
    x, sound = case.arrays[0], case.sound
    if x is not None and x.ndim > 1 and x.shape[-1] > 1:
        yield "if the input's channels are in reverse order (RGB, BGR)", case.replay(arrays={0: x[..., ::-1]})
        yield "if neighbouring input channels are swapped", case.replay(arrays={0: x[..., _pairs(x.shape[-1])]})
        if x.ndim == 4:
            planar = x.reshape(x.shape[0], x.shape[3], *x.shape[1:3]).transpose(0, 2, 3, 1)
            yield "if the input is read as NCHW", case.replay(arrays={0: planar})
    if sound.ndim > 1 and sound.shape[-1] > 1:
        yield "if the output's channels are in reverse order", sound[..., ::-1]
        yield "if neighbouring output channels are swapped", sound[..., _pairs(sound.shape[-1])]
    if sound.ndim == 4:
        yield "if the output is written as NCHW", sound.transpose(0, 3, 1, 2).reshape(sound.shape)
        swapped = sound.transpose(0, 2, 1, 3).reshape(sound.shape)
        yield "if rows and columns of the output are exchanged (transposed)", swapped
    other = case.arrays[1] if len(case.arrays) == 2 else None
    if x is not None and other is not None and x.shape == other.shape and case.weights is None:
        yield "if its two inputs are swapped", case.replay(arrays={0: other, 1: x})


def permuted(case: Case) -> Fits:
    """The output's channels in whatever order the device has them, if they are all there."""
    if case.seen is None or case.seen.ndim != 4 or case.seen.size < 4 * case.seen.shape[-1]:
        return
    mine, theirs = (np.moveaxis(a, -1, 0) for a in (case.sound, case.seen))
    places = {channel.tobytes(): c for c, channel in enumerate(mine)}
    order = [places.get(channel.tobytes(), -1) for channel in theirs]
    if sorted(order) == list(range(len(order))):
        listed = " ".join(map(str, order[:8])) + (" …" if len(order) > 8 else "")
        bits = len(order) * np.log2(len(order))
        yield f"if the output's channels are in the order {listed}", case.sound[..., order], bits


def endianness(case: Case) -> Variants:
    """The bytes of a number are in the other order."""
    if case.bias is not None and case.bias.data is not None:
        yield (
            "if the bytes of each bias value are reversed",
            case.replay_with(bias=with_data(case.bias, case.bias.data.byteswap())),
        )
    if case.weights is not None and case.weights.data is not None and case.weights.data.itemsize > 1:
        yield from with_weights(case, {"if the bytes of each weight are reversed": case.weights.data.byteswap()})
    if case.sound.itemsize > 1:
        yield "if the bytes of each output value are reversed", case.sound.byteswap()
    x = case.arrays[0]
    if x is not None and x.itemsize > 1:
        yield "if the bytes of each input value are reversed", case.replay(arrays={0: x.byteswap()})


def signedness(case: Case) -> Variants:
    """Codes of int8 taken for uint8: 128 too many or too few."""
    x = case.arrays[0]
    if case.sound.dtype == np.int8:
        yield "if the output is uint8 (every code 128 too large)", case.sound ^ np.int8(-128)
    if x is not None and x.dtype == np.int8:
        yield "if the input is uint8 (every code 128 too large)", case.replay(arrays={0: x ^ np.int8(-128)})


def shifted_input(case: Case) -> Variants:
    """The input lies one element, row or column off; what lies beyond the edge is background."""
    x, tensor = case.arrays[0], case.step.inputs[0]
    if x is not None and tensor is not None:
        for how, moved, edge in _moves(x):
            filled = np.where(edge, np.asarray(zero_point_of(tensor), x.dtype), moved)
            yield f"if the input lies {how}", case.replay(arrays={0: filled})


def shifted(case: Case) -> Fits:
    """Everything lies one element, row or column off; what lies beyond the edge is anybody's."""
    for how, moved, edge in _moves(case.sound):
        if case.seen is not None:
            bits = 8.0 * case.seen.itemsize * int(edge.sum())
            yield f"if the output lies {how}", np.where(edge, case.seen, moved), bits


def _pairs(channels: int) -> list[int]:
    """0 and 1 swapped, 2 and 3, …; an odd last one stays."""
    return [c ^ 1 if c ^ 1 < channels else c for c in range(channels)]


def _moves(array: Array) -> Iterator[tuple[str, Array, Array]]:
    """(how, the array moved by one, where nothing was moved to)."""
    flat, places = array.ravel(), np.arange(array.size)
    for by, side in ((1, "late"), (-1, "early")):
        edge = places == (0 if by == 1 else array.size - 1)
        if array.size > 2:
            yield f"one element too {side}", np.roll(flat, by).reshape(array.shape), edge.reshape(array.shape)
        for axis, size in enumerate(array.shape[1:-1], 1):
            if size > 2:
                line = np.arange(size) == (0 if by == 1 else size - 1)
                name = "row" if axis == 1 else "column"
                mask = np.broadcast_to(np.expand_dims(line, tuple(range(1, array.ndim - axis))), array.shape)
                yield f"one {name} too {side}", np.roll(array, by, axis), mask
