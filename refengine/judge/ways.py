"""The ways in which people prepare an input wrongly: other real values, other codes, or other places in memory.

Each is a `Way` of a kind in `WAYS`, whose names are stable. `Real` comes first, then `Codes`, then `Recoded`; `Placed`
says where the elements lie at last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import log

import numpy as np

from ..model import Array
from ..numerics.float32 import round_half_away
from ..numerics.quantize import code_range
from ..tensors.inputs import CONVENTIONS
from ..tensors.stats import is_quantized
from .sample import Index, Mask, Sample, Span, Values, background, right, stored

WAYS = {
    "previous sample": "the input holds another sample, such as the one before",
    "half filled": "only a part of the input is written; the rest is zeros, background, or the sample before",
    "resized otherwise": "the picture is scaled to the input's size by another rule",
    "cropped otherwise": "another part of the picture is scaled to the input's size",
    "grey otherwise": "colours become grey by other weights",
    "transposed": "rows and columns are exchanged",
    "mirrored": "left and right are exchanged",
    "upside down": "top and bottom are exchanged",
    "rotated": "a turn by 90, 180 or 270 degrees",
    "reversed": "the elements of a vector lie in reverse order",
    "shifted": "everything lies one or two elements, rows or columns too far",
    "planar": "the channels lie one behind the other instead of side by side",
    "interleaved": "data that was interleaved already is taken for planar, and interleaved again",
    "channels reversed": "the channels lie in reverse order: BGR for RGB",
    "neighbours swapped": "two neighbours, or the four of a word, lie in reverse order",
    "bytes swapped": "the bytes of each number lie in reverse order",
    "not normalised": "0 … 255 instead of the network's range",
    "0 to 1": "0 … 1 instead of the network's range",
    "-1 to 1": "-1 … 1 instead of the network's range",
    "divided by 256": "256 instead of 255 brings pixels into the network's range",
    "mean and deviation": "the mean is subtracted, and perhaps the deviation divided by",
    "per-sample range": "the sample's own smallest (or black) and largest value become the network's range",
    "per-sample maximum": "the sample is divided by its own largest value",
    "inverted": "black and white are exchanged",
    "sign changed": "real values have the other sign",
    "scaled": "real values are too large or too small by a factor",
    "halved": "real values, or codes, are half of what they should be",
    "black and white": "real values are the range's ends only",
    "codes as values": "real values are the codes of a quantised input",
    "scale forgotten": "real values are rounded without being divided by the scale",
    "scale multiplied": "real values are multiplied by the scale instead of divided",
    "zero point forgotten": "the zero point is not added",
    "zero point subtracted": "the zero point is subtracted instead of added",
    "not quantised": "real values are cast to codes, without scale and zero point",
    "truncated": "real values are cut off instead of rounded",
    "rounded otherwise": "ties, or negative values, are rounded to another side",
    "wrapped": "codes wrap around where they should saturate",
    "off by 128": "codes of the other signedness: uint8 for int8, uint16 for int16",
    "off by one": "every code is one too large or too small",
    "float arithmetic": "floats are right but for their last bits, as p * (1 / 255) is for p / 255",
    "narrow floats": "floats have lost digits: float16, bfloat16",
    "inputs exchanged": "the model's inputs are given in another order",
}
"""The kinds of departure by their names, and what each means."""


@dataclass(frozen=True, eq=False)
class Way:
    """A departure of kind `id`, one of `WAYS`; `says` goes on after "the input"."""

    id: str
    says: str


@dataclass(frozen=True, eq=False)
class Real(Way):
    """Other real values: those of the whole input, flat."""

    real: Span = field(repr=False)


@dataclass(frozen=True, eq=False)
class Codes(Way):
    """Other codes of real values."""

    make: Values = field(repr=False)


@dataclass(frozen=True, eq=False)
class Recoded(Way):
    """Codes changed afterwards."""

    change: Values = field(repr=False)


@dataclass(frozen=True, eq=False)
class Placed(Way):
    """Elements elsewhere: for each place the index of what lies there, or −1 for the code that `fill` has there.

    A `fill` of None is anybody's: nothing is said of those places.
    """

    index: Index = field(repr=False)
    fill: Array | None = field(default=None, repr=False)


# ---- codes ----------------------------------------------------------------------------------------------------------


def codes(sample: Sample) -> Iterator[Way]:
    """Departures on the way from real values to codes."""
    if sample.is_float:
        yield from _whole(sample)
        return
    scale, zero_point = sample.affine
    if not is_quantized(sample.tensor):
        return

    def coded(id: str, says: str, code: Callable[[Array], Array]) -> Codes:
        return Codes(id, says, stored(sample, code))

    yield coded("scale forgotten", "was not divided by the scale", lambda x: round_half_away(x) + zero_point)
    yield coded("scale multiplied", "was multiplied by the scale instead of divided",
                 lambda x: round_half_away(x * scale) + zero_point)  # fmt: skip
    if zero_point:
        yield coded("zero point forgotten", "was quantised without the zero point",
                     lambda x: round_half_away(x / scale))  # fmt: skip
        yield coded("zero point subtracted", "was quantised with the zero point subtracted instead of added",
                     lambda x: round_half_away(x / scale) - zero_point)  # fmt: skip
        if abs(zero_point) != sample.period / 2:  # else it is `off by 128`
            yield Codes("zero point forgotten", "was quantised without the zero point, and wraps around",
                        lambda real: real.map(lambda x: round_half_away(x / scale)))  # fmt: skip
    yield coded("not quantised", "was not quantised: real values were cast to codes", np.trunc)
    yield coded("not quantised", "was not quantised: real values were rounded to codes", round_half_away)
    yield coded("truncated", "was truncated instead of rounded, the zero point added before",
                 lambda x: np.trunc(x / scale + zero_point))  # fmt: skip
    yield coded("truncated", "was truncated instead of rounded: every code rounded down",
                 lambda x: np.floor(x / scale) + zero_point)  # fmt: skip
    yield coded("truncated", "was truncated instead of rounded, towards the zero point",
                 lambda x: np.trunc(x / scale) + zero_point)  # fmt: skip
    yield coded("rounded otherwise", "was rounded by adding a half and truncating, which is wrong below 0",
                 lambda x: np.trunc(x / scale + zero_point + 0.5))  # fmt: skip
    if sample.known:
        yield coded("rounded otherwise", "was rounded with ties to even", lambda x: np.rint(x / scale) + zero_point)
    yield Codes("wrapped", "wraps around where codes should saturate",
                lambda real: real.map(lambda x: round_half_away(x / scale) + zero_point))  # fmt: skip


def _whole(sample: Sample) -> Iterator[Way]:
    """Floats that have other digits."""
    yield Codes("float arithmetic", "is right but for the last bits of its floats", right(sample, sample.real))
    yield Codes("truncated", "was truncated to whole numbers", lambda real: real.map(np.trunc))
    yield Codes("rounded otherwise", "was rounded to whole numbers", lambda real: real.map(np.rint))
    yield Codes("narrow floats", "was narrowed to float16", lambda real: real.map(_float16))
    yield Codes("narrow floats", "was narrowed to bfloat16", lambda real: real.map(_bfloat16))


def _float16(x: Array) -> Array:
    with np.errstate(over="ignore"):
        return x.astype(np.float16).astype(np.float64)


def _bfloat16(x: Array) -> Array:
    """The upper half of a float32, rounded to even."""
    bits = x.astype(np.float32).view(np.uint32).astype(np.uint64)
    upper = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16 << 16
    return upper.astype(np.uint32).view(np.float32).astype(np.float64)


def recoded(sample: Sample) -> Iterator[Recoded]:
    """Sound codes changed afterwards."""
    if sample.codes.dtype.itemsize > 1:
        yield Recoded("bytes swapped", "has the bytes of each number in the other order", partial(_swapped, sample))
    if sample.codes.dtype.kind not in "iu":
        return
    half, (low, high) = sample.period / 2, code_range(str(sample.codes.dtype))
    other = {"i": "uint", "u": "int"}[sample.codes.dtype.kind] + str(8 * sample.codes.dtype.itemsize)
    usual = ", as pixels are" if half == 128 else ""
    yield Recoded(
        "off by 128",
        f"holds codes of {other}{usual}: every code is {half:g} off",
        lambda codes: Span(codes.low + half, codes.high + half),
    )
    zero_point = sample.affine[1]
    if zero_point:
        yield _recode("halved", "holds codes divided by 2, zero point and all", lambda x: np.trunc(x / 2))
        yield _recode("halved", "holds codes shifted right by one bit, zero point and all", lambda x: np.floor(x / 2))
        yield _recode("halved", "holds half of each code above the zero point, which is not added again",
                     lambda x: np.floor((x - zero_point) / 2))  # fmt: skip
    yield _recode("halved", "holds half of each code above the zero point",
                 lambda x: np.floor((x - zero_point) / 2) + zero_point)  # fmt: skip
    yield _recode("off by one", "holds codes that are one too large", lambda x: np.minimum(x + 1, high))
    yield _recode("off by one", "holds codes that are one too small", lambda x: np.maximum(x - 1, low))


def _recode(id: str, says: str, change: Callable[[Array], Array]) -> Recoded:
    return Recoded(id, says, lambda codes: codes.map(change))


def _swapped(sample: Sample, codes: Span) -> Span:
    """Codes or floats with the bytes of each in reverse order, of those in the middle."""
    middle = codes.low if sample.is_float else np.floor((codes.low + codes.high) / 2)
    with np.errstate(invalid="ignore"):  # signalling NaN
        values = sample.typed(middle).byteswap().astype(np.float64)
    return Span(values, values)


# ---- real values -----------------------------------------------------------------------------------------------

DATA_SETS = {
    "MNIST": ((0.1307,), (0.3081,)),
    "Fashion-MNIST": ((0.2860,), (0.3530,)),
    "CIFAR-10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "CIFAR-10's older figures": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "ImageNet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
"""The mean and the deviation of each channel, of pixels from 0 to 1, that people subtract and divide by."""


def reals(sample: Sample) -> Iterator[Real]:
    """Departures in what real values are."""
    if not sample.is_float and not is_quantized(sample.tensor):
        return
    real, black, white = sample.real, sample.black, sample.white
    width = white - black

    def affine(id: str, says: str, low: float, high: float) -> Real:
        """What spans `low` to `high` instead of black to white."""
        return Real(id, says, real.map(lambda x: low + (x - black) / width * (high - low)))

    own = f"instead of {black:.4g} … {white:.4g}"
    if _is(sample, *CONVENTIONS):
        if sample.is_float and not _is(sample, (0, 255)):
            yield affine("not normalised", f"was not normalised: 0 … 255 {own}", 0, 255)
        if not _is(sample, (0, 1)):
            yield affine("0 to 1", f"was normalised to 0 … 1 {own}", 0, 1)
        if not _is(sample, (-1, 1)):
            yield affine("-1 to 1", f"was normalised to -1 … 1 {own}", -1, 1)
            yield affine("-1 to 1", f"was normalised to -1 … 0.992 (p/128 - 1) {own}", -1, 127 / 128)
        if not _is(sample, (0, 255)):
            yield affine("divided by 256", "was divided by 256 instead of 255", black, black + width * 255 / 256)
        yield affine("-1 to 1", f"was normalised to -0.5 … 0.5 {own}", -0.5, 0.5)
        yield from _standardised(sample)
        yield _of_pixels(sample, "halved", "holds pixels shifted right by one bit: 0 … 127", lambda p: np.floor(p / 2))
        yield _of_pixels(sample, "black and white", f"is black and white: {white:g} above the middle, else {black:g}",
                         lambda p: np.where(p > 127, 255.0, 0.0))  # fmt: skip
        if not _is(sample, (0, 255)):
            whole = real.map(lambda x: np.rint((x - black) / width * 255))
            yield Real(
                "not normalised", f"was not normalised: {'whole numbers from ' * sample.is_float}0 … 255 {own}", whole
            )
            yield Real("codes as values", f"holds int8 codes as real values {own}", whole.map(lambda p: p - 128))
    yield affine("inverted", f"is inverted: {white:.4g} and {black:.4g} are exchanged", white, black)
    if black:
        yield Real("sign changed", "has the other sign", real.map(np.negative))
    for factor, says in _factors(sample).items():
        yield Real("halved" if factor == 0.5 else "scaled", says, real.map(partial(np.multiply, factor)))
    yield from _stretched(sample)


def _is(sample: Sample, *ranges: tuple[float, float]) -> bool:
    """Whether black and white are as one of the ranges has them, but for what calibration may do."""
    ends = sample.black, sample.white
    return any(np.allclose(ends, usual, rtol=0, atol=0.02 * (usual[1] - usual[0])) for usual in ranges)


def _of_pixels(sample: Sample, id: str, says: str, change: Callable[[Array], Array]) -> Real:
    """A way from pixels, 0 … 255, to pixels."""
    black, width = sample.black, sample.white - sample.black
    return Real(id, says, sample.real.map(lambda x: black + change(np.rint((x - black) / width * 255)) / 255 * width))


def _factors(sample: Sample) -> dict[float, str]:
    """What real values are multiplied with, by people."""
    found = {0.5: "holds half of each real value", 2.0: "holds twice each real value"}
    if not sample.picture and _is(sample, *CONVENTIONS[:2]):  # audio
        found |= {2.0**15: "holds samples of 16 bits that are not divided by 32768"}
        found |= {2.0**-15: "is divided by 32768, though it is real values already"}
    if not _is(sample, *CONVENTIONS) or sample.is_float:
        found |= {10 / log(10): "holds decibels instead of natural logarithms"}
        found |= {log(10): "holds natural logarithms instead of log10"}
        found |= {1 / log(10): "holds log10 instead of natural logarithms"}
    if _is(sample, (0, 255)):
        found |= {1 / 255: "was divided by 255"}
    return found


def _standardised(sample: Sample) -> Iterator[Real]:
    """The mean subtracted, and divided by the deviation: a data set's, or the sample's own."""
    channels, black, width = sample.shape[2], sample.black, sample.white - sample.black
    unit = sample.real.map(lambda x: (x - black) / width)
    for name, figures in DATA_SETS.items():
        if len(figures[0]) in (1, channels):
            mean, deviation = (np.resize(each, sample.size) for each in figures)
            less = Span(unit.low - mean, unit.high - mean)
            both = Span(less.low / deviation, less.high / deviation)
            yield Real("mean and deviation", f"has {name}'s mean subtracted, and is divided by its deviation", both)
            yield Real("mean and deviation", f"has {name}'s mean subtracted", less)
    if channels == 3:
        caffe = np.tile((123.68, 116.779, 103.939), sample.size // 3)
        less = Span(unit.low * 255 - caffe, unit.high * 255 - caffe)
        yield Real("mean and deviation", "has ImageNet's mean subtracted from pixels up to 255", less)
    yield from _standardised_by_itself(sample)


def _standardised_by_itself(sample: Sample) -> Iterator[Real]:
    """The sample's own mean subtracted, and divided by its deviation, as far as its codes tell the two."""
    low, high = sample.real
    off = float((high - low).max(initial=0)) / 2
    less = [x - mean for x in (low, high) for mean in (low.mean(), high.mean())]
    yield Real("mean and deviation", "has its own mean subtracted", Span.of(*less))
    spread = float(((low + high) / 2).std())  # what moves no element by more than `off` moves it no more
    if spread > off:
        both = [each / deviation for each in less for deviation in (spread - off, spread + off)]
        yield Real(
            "mean and deviation", "has its own mean subtracted, and is divided by its own deviation", Span.of(*both)
        )


def _stretched(sample: Sample) -> Iterator[Real]:
    """The sample's own extremes as the network's range."""
    real, black, width = sample.real, sample.black, sample.white - sample.black
    if not sample.size:
        return
    ends = [(low, high) for low in (real.low.min(), real.high.min()) for high in (real.low.max(), real.high.max())]
    (least, most), (low, high) = ends[0], ends[-1]
    if most <= low or (sample.known and least <= black <= low and most <= black + width <= high):
        return  # of codes that span the network's range, real values may fall short of it by half a step
    by_range = [black + (x - low) / (high - low) * width for low, high in ends for x in real]
    by_most = [black + (x - black) / (high - black) * width for _, high in ends for x in real if high > black]
    if least <= black <= low:  # then codes may not tell whether the smallest one was subtracted
        says = "is stretched from black, or from its own smallest value, to its own largest"
        yield from (Real("per-sample range", says, Span.of(*made)) for made in (by_range, by_most) if made)
    else:
        yield Real("per-sample range", "is stretched from its own smallest and largest value", Span.of(*by_range))
        if by_most:
            yield Real("per-sample maximum", "is divided by its own largest value", Span.of(*by_most))


# ---- places ----------------------------------------------------------------------------------------------------


def places(sample: Sample) -> Iterator[Placed]:
    """Departures in where elements lie in memory, of all kinds but shifts and parts, in the order they are made in."""
    rows, columns, channels = sample.shape
    index = np.arange(sample.size).reshape(sample.shape)
    if channels > 1:
        yield _placed("channels reversed", _reversed(channels), index[..., ::-1])
    if rows == 1 and channels == 1:
        yield _placed("reversed", "lies in reverse order", index[:, ::-1])
    else:
        yield from _turned(index)
    if channels > 1 and rows * columns > 1:
        yield _placed("planar", "is planar: the channels lie one behind the other", index.transpose(2, 0, 1))
        yield _placed("planar", "has the channels of each row one behind the other", index.transpose(0, 2, 1))
        apart = index.reshape(channels, rows, columns).transpose(1, 2, 0)
        yield _placed("interleaved", "was interleaved twice, taken for planar", apart)
    for word in (2, 4):
        if sample.size % word == 0 and sample.size > word and sample.codes.dtype.itemsize == 1:
            swapped = index.reshape(-1, word)[:, ::-1]
            yield _placed("neighbours swapped", f"has the {word} bytes of each word in the other order", swapped)


def _reversed(channels: int) -> str:
    return {3: "is BGR instead of RGB", 4: "has its four channels in reverse order"}.get(
        channels, "has its channels in reverse order"
    )


def _placed(id: str, says: str, index: Index) -> Placed:
    return Placed(id, says, index.ravel())


def _turned(index: Index) -> Iterator[Placed]:
    """What one does to a picture; where it is not square, as the bytes then lie in memory."""
    rows, columns, _ = index.shape
    if min(rows, columns) > 1:
        yield _placed("transposed", "is transposed: rows and columns are exchanged", index.transpose(1, 0, 2))
        yield _placed("rotated", "is rotated by 180°", index[::-1, ::-1])
        yield _placed("rotated", "is rotated by 90° to the left", np.rot90(index))
        yield _placed("rotated", "is rotated by 90° to the right", np.rot90(index, -1))
        yield _placed("transposed", "is transposed along the other diagonal", np.rot90(index, 2).transpose(1, 0, 2))
        if rows != columns:
            apart = index.reshape(columns, rows, -1).transpose(1, 0, 2)
            yield _placed("transposed", "was stored column by column, and transposed once more", apart)
    if columns > 1:
        yield _placed("mirrored", "is mirrored: left and right are exchanged", index[:, ::-1])
    if rows > 1:
        yield _placed("upside down", "is upside down: top and bottom are exchanged", index[::-1])


def shifts(sample: Sample, most: int = 2) -> Iterator[Placed]:
    """Everything by up to `most` rows, columns or elements too far; what comes in is one of several things."""
    rows, columns, _ = sample.shape
    index = np.arange(sample.size)
    grid = index.reshape(sample.shape)
    for by in (by for n in range(1, most + 1) for by in (n, -n)):
        for axis, length in ((0, rows), (1, columns)):
            if length > max(2, abs(by)) and sample.size > length:
                yield from _shifted(sample, np.roll(grid, by, axis), _edge(grid, by, axis), _lies(by, axis))
        if sample.size > 2 * abs(by):
            yield from _shifted(sample, np.roll(index, by), _edge(index, by, 0), _lies(by, None))


def _lies(by: int, axis: int | None) -> str:
    count = {1: "one", 2: "two"}.get(abs(by), str(abs(by)))
    what = "element" if axis is None else ("row", "column")[axis]
    side = (("late", "early"), ("far down", "far up"), ("far right", "far left"))[0 if axis is None else axis + 1]
    return f"lies {count} {what}{'s' if abs(by) > 1 else ''} too {side[by < 0]}"


def _edge(index: Index, by: int, axis: int) -> Mask:
    """Where something comes in."""
    place = np.arange(index.shape[axis])
    line = place < by if by > 0 else place >= len(place) + by
    return np.broadcast_to(np.expand_dims(line, tuple(range(1, index.ndim - axis))), index.shape)


def _shifted(sample: Sample, moved: Index, edge: Mask, says: str) -> Iterator[Placed]:
    """The ways to fill the edge: with what went out, background, zeros, or anything."""
    outside = np.where(edge, -1, moved).ravel()
    yield Placed("shifted", f"{says}, and around", moved.ravel())
    for name, fill in fills(sample).items():
        yield Placed("shifted", f"{says}, {name} after it", outside, fill)
    yield Placed("shifted", says, outside)


def fills(sample: Sample) -> dict[str, Array]:
    """What a buffer holds where nobody wrote."""
    black = background(sample)
    found = {"background": np.full(sample.size, black)}
    return found if black == 0 else found | {"zeros": np.zeros(sample.size)}


def fillings(sample: Sample, previous: Sequence[Sample]) -> list[tuple[str, Array]]:
    """The same, and the samples before."""
    before = [("the previous sample", each.codes.ravel().astype(np.float64)) for each in previous]
    return [*fills(sample).items(), *before]


def parts(sample: Sample, start: int, fill: str, values: Array) -> Iterator[Placed]:
    """Only a part of the input is written: up to element `start`, or from there on."""
    index = np.arange(sample.size)
    yield Placed("half filled", f"is filled up to element {start} only: {fill} from there on",
                 np.where(index < start, index, -1), values)  # fmt: skip
    yield Placed("half filled", f"is filled from element {start} on only: {fill} before",
                 np.where(index < start, -1, index), values)  # fmt: skip


def moved(sample: Sample, shape: tuple[int, int], by: Sequence[int]) -> Iterator[Placed]:
    """Everything by any number of rows and columns of `shape`, with the ways to fill the edges."""
    index = np.arange(sample.size).reshape(*shape, -1)
    edge = np.zeros(index.shape, np.bool_)
    for axis, each in enumerate(by):
        edge |= _edge(index, each, axis) if each else False
    axes = (None, None) if shape[0] == 1 else (0, 1)
    says = " and ".join(_lies(each, axis).removeprefix("lies ") for each, axis in zip(by, axes, strict=True) if each)
    yield from _shifted(sample, np.roll(index, tuple(by), (0, 1)), edge, f"lies {says}")
