"""Drawn and photographed digits, made like MNIST's."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ..errors import InputError

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Strength = npt.NDArray[np.float64]
"""How much darker or lighter than its paper a pixel is: 0 is paper, 1 black on it, or white."""

WORK = 256  # pixels: larger pictures are shrunk to that before ink is looked for
REACH = 3  # paper shows within a third of the picture around every stroke
LEAST_CONTRAST = 32  # between paper and ink, of 255
COARSE = 32  # pixels a side, to find out which of paper and ink is the darker one
FAINT = 0.25  # of the strongest ink: what is no ink at all
SPECK = 0.08  # of the largest piece of ink: less is dirt
SCRIBBLE = 12  # times as long as it is tall: no digit's stroke is
CANVAS = 112  # drawings are thickened at this size: the drawing area of AN12603
STROKE = 10.0  # … until strokes are as wide as MNIST's are at that size
BOX, SIDE = 20, 28  # MNIST's digits fit into 20×20 pixels of 28×28


def prepare_digit(image: npt.NDArray[np.number]) -> Pixels:
    """A drawn or photographed digit as MNIST has them: grey (H×W, 0 is black) → uint8 28×28, ink is 255.

    After NXP's application note AN12603, whose users draw thin lines on a touch screen; what light and dirt do to
    paper is taken off first:

    1. paper is what a closing leaves of the picture (Serra: the maximum of what is near, then the minimum of that),
       whatever light falls on it; ink is what is darker than that by more than half of what the ink mostly is. The
       same in the negative, where ink is lighter than paper;
    2. specks, and what reaches in from the edge, are left out;
    3. crop to the ink, and scale that to a canvas of 112 pixels along its longer side;
    4. thicken by a plus, every pixel of ink inking its four neighbours, until strokes are as wide as MNIST's;
    5. scale to 20 pixels along the longer side, with grey edges, and
    6. put the ink's centre of mass in the middle of 28×28, as MNIST does.

    Raises `InputError` if the array is not a grey picture, hardly has contrast, or is no picture of one digit.
    """
    *_, (_, digit) = stages(image)
    return digit


def stages(image: npt.NDArray[np.number]) -> Iterator[tuple[str, Pixels]]:
    """The way of `prepare_digit`: what each of its steps is called, and the picture behind it (uint8, 255 is ink).

    The last one is the digit. Raises `InputError` as `prepare_digit` does.
    """
    image = np.asarray(image)
    if image.dtype.kind not in "biuf":
        raise InputError(f"a digit is a grey picture, height × width; got an array of {image.dtype}")
    if image.ndim != 2 or not image.size or not np.isfinite(image).all():
        raise InputError(f"a digit is a grey picture, height × width; got an array of shape {image.shape}")
    darkest, lightest = float(image.min()), float(image.max())
    if lightest - darkest < LEAST_CONTRAST:
        raise InputError(f"no digit to be seen: all greys are between {darkest:g} and {lightest:g}")
    yield "ink", _as_grey(found := _ink(_shrunk(image)))
    yield "without specks", _as_grey(found := _one_digit(found))
    ink = _cropped(found)
    if _edges(ink) / 2 > SCRIBBLE * max(ink.shape):
        raise InputError("no digit to be seen: its strokes would be many times as long as it is tall")
    ink = _scaled(ink, CANVAS) > 0
    yield "cropped and scaled", _as_grey(ink)
    while _stroke_width(ink) < STROKE:
        ink = _thickened(ink)
    yield "thickened", _as_grey(ink)
    digit = _scaled(ink, BOX)
    yield f"{BOX} pixels along its longer side", digit
    yield f"centre of mass in the middle of {SIDE}×{SIDE}", _centred(digit)


# ---- ink and paper ----------------------------------------------------------------------------------------


def _shrunk(image: npt.NDArray[np.number]) -> Strength:
    """The greys, 0 … 1, of at most `WORK` pixels a side; what is smaller stays as it is."""
    grey = np.clip(image.astype(np.float64) / 255, 0, 1)
    if max(grey.shape) <= WORK:
        return grey
    height, width = (max(1, round(side * WORK / max(grey.shape))) for side in grey.shape)
    return _resized(grey, height, width)


def _resized(grey: Strength, height: int, width: int) -> Strength:
    """Each pixel the average of those it covers, or the nearest one."""
    from PIL import Image

    return np.asarray(
        Image.fromarray(grey.astype(np.float32)).resize((width, height), Image.Resampling.BOX), np.float64
    )


def _ink(grey: Strength) -> Mask:
    """Where ink is, dark or light: that is where the greys are skewed to from what is usual around them."""
    skew = float(((grey - _usual(grey)) ** 3).sum())
    strength = _darker(grey if skew <= 0 else 1 - grey)
    level = float(np.quantile(strength[strength > FAINT * strength.max()], 0.9))
    return strength > level / 2


def _usual(grey: Strength) -> Strength:
    """The median of what is around each pixel, a third of a picture wide."""
    coarse = _resized(grey, *(min(side, COARSE) for side in grey.shape))
    wide = np.pad(coarse, COARSE // 6, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(wide, (2 * (COARSE // 6) + 1,) * 2)
    return _resized(np.median(windows, axis=(2, 3)), *grey.shape)


def _darker(grey: Strength) -> Strength:
    """How much darker than its paper each pixel is."""
    window = 2 * (max(grey.shape) // (2 * REACH)) + 1
    paper = 1 - _highest(1 - _highest(grey, window), window)
    return (paper - grey) / np.maximum(paper, LEAST_CONTRAST / 255)


def _highest(grey: Strength, window: int) -> Strength:
    """The maximum of the window around each pixel."""
    for axis in (0, 1):
        margins = [(window // 2, window // 2) if axis == each else (0, 0) for each in (0, 1)]
        padded = np.pad(grey, margins, mode="edge")
        grey = np.lib.stride_tricks.sliding_window_view(padded, window, axis).max(axis=-1)
    return grey


# ---- pieces of ink ----------------------------------------------------------------------------------------


def _one_digit(ink: Mask) -> Mask:
    """The ink without dirt. Raises `InputError` if it is in too many pieces, or in two that stand side by side."""
    labels = _labelled(ink)
    areas = np.bincount(labels[ink])
    inner = {*range(len(areas))} - {*np.concatenate([labels[[0, -1]].ravel(), labels[:, [0, -1]].ravel()])}
    at_edge = {piece for piece in range(len(areas)) if piece not in inner}
    if inner and max(areas[[*inner]]) > SPECK * areas.sum():
        areas[[*at_edge]] = 0
    kept = np.flatnonzero(areas > SPECK * areas.max())
    if areas[kept].sum() < areas.sum() / 2:
        raise InputError(f"no digit to be seen: what could be ink is in {np.count_nonzero(areas):,} pieces")
    _require_one(labels, kept)
    return np.isin(labels, kept) & ink


def _require_one(labels: npt.NDArray[np.int64], kept: npt.NDArray[np.int64]) -> None:
    """Complain about two pieces, or groups of pieces, with a gap from top to bottom between them, and equally tall."""
    places = [np.nonzero(labels == piece) for piece in kept]
    rows, columns = np.concatenate(places, axis=1)
    tall = np.ptp(rows) + 1
    taken = np.unique(columns)
    gaps = [right for left, right in pairwise(taken) if right - left > 1]
    for gap in gaps:
        heights = [np.ptp(rows[side]) + 1 for side in (columns < gap, columns >= gap)]
        if min(heights) > 0.6 * tall:
            raise InputError("this is more than one digit: two shapes stand side by side; crop the picture to one")


def _labelled(ink: Mask) -> npt.NDArray[np.int64]:
    """The number of its piece at each pixel of ink, from 0 on, and −1 elsewhere; corners connect."""
    parents: list[int] = []

    def root(label: int) -> int:
        while parents[label] != label:
            parents[label] = parents[parents[label]]
            label = parents[label]
        return label

    runs: list[tuple[int, int, int, int]] = []  # row, start, end, label
    above: list[tuple[int, int, int, int]] = []
    for row, line in enumerate(ink):
        here = [(row, start, end, len(parents) + n) for n, (start, end) in enumerate(_runs(line))]
        parents.extend(label for *_, label in here)
        for _, start, end, label in here:
            for _, first, last, other in above:
                if first <= end and start <= last:
                    parents[root(label)] = root(other)
        runs += here
        above = here
    names = {label: n for n, label in enumerate(sorted({root(label) for label in range(len(parents))}))}
    labels = np.full(ink.shape, -1)
    for row, start, end, label in runs:
        labels[row, start:end] = names[root(label)]
    return labels


def _runs(line: Mask) -> Iterator[tuple[int, int]]:
    """(start, end) of each run of ink."""
    edges = np.flatnonzero(np.diff(line.astype(np.int8), prepend=0, append=0)).tolist()
    return zip(edges[::2], edges[1::2], strict=True)


# ---- as MNIST has it --------------------------------------------------------------------------------------


def _cropped(ink: Mask) -> Mask:
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _scaled(ink: Mask, longer: int) -> Pixels:
    """Ink as grey (255 is all ink), its longer side of so many pixels: each the average of what it covers."""
    from PIL import Image

    height, width = (max(1, round(side * longer / max(ink.shape))) for side in ink.shape)
    return np.asarray(Image.fromarray(_as_grey(ink)).resize((width, height), Image.Resampling.BOX), np.uint8)


def _as_grey(ink: Mask) -> Pixels:
    grey: Pixels = np.where(ink, np.uint8(255), np.uint8(0))
    return grey


def _thickened(ink: Mask) -> Mask:
    """One pixel more on every side, by a plus."""
    wide = np.pad(ink, 2)
    return wide[1:-1, 1:-1] | wide[:-2, 1:-1] | wide[2:, 1:-1] | wide[1:-1, :-2] | wide[1:-1, 2:]


def _stroke_width(ink: Mask) -> float:
    """The mean width of strokes in pixels: a stroke has its area over its length, and two edges of that length."""
    return 2 * int(ink.sum()) / _edges(ink)


def _edges(ink: Mask) -> int:
    """Pixels of ink with one that is none beside them: two along a stroke."""
    wide = np.pad(ink, 1)
    inside = wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:]
    return int((ink & ~inside).sum())


def _centred(digit: Pixels) -> Pixels:
    """The digit on 28×28, its centre of mass in the middle as far as whole pixels and the border allow."""
    mass = digit / digit.sum()
    corner = [
        int(np.clip(round(SIDE / 2 - float(mass.sum(1 - axis) @ (np.arange(length) + 0.5))), 0, SIDE - length))
        for axis, length in enumerate(digit.shape)
    ]
    picture = np.zeros((SIDE, SIDE), np.uint8)
    picture[corner[0] : corner[0] + digit.shape[0], corner[1] : corner[1] + digit.shape[1]] = digit
    return picture
