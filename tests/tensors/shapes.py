"""Digits as people draw and photograph them, made by a script: strokes on paper, under lamps, in shadows, with dirt."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

Grey = npt.NDArray[np.uint8]
Stroke = list[tuple[float, float]]

SHAPES: dict[str, list[Stroke]] = {
    "0": [[(0.5, 0), (0.18, 0.12), (0.05, 0.5), (0.2, 0.9), (0.5, 1), (0.8, 0.88), (0.95, 0.5), (0.8, 0.1), (0.5, 0)]],
    "0 narrow": [[(0.5, 0), (0.3, 0.2), (0.25, 0.6), (0.4, 0.95), (0.6, 0.97), (0.75, 0.6), (0.7, 0.15), (0.5, 0)]],
    "1": [[(0.5, 0), (0.48, 0.5), (0.5, 1)]],
    "1 with a flag": [[(0.3, 0.25), (0.55, 0)], [(0.55, 0), (0.54, 0.5), (0.55, 1)]],
    "2": [[(0.12, 0.25), (0.3, 0.03), (0.65, 0.02), (0.85, 0.25), (0.7, 0.5), (0.1, 0.98)], [(0.1, 0.98), (0.9, 0.97)]],
    "3": [[(0.12, 0.1), (0.45, 0), (0.8, 0.15), (0.75, 0.4), (0.42, 0.48)],
          [(0.42, 0.48), (0.85, 0.6), (0.85, 0.85), (0.5, 1), (0.1, 0.88)]],
    "4": [[(0.6, 0), (0.08, 0.65)], [(0.08, 0.65), (0.92, 0.63)], [(0.65, 0.3), (0.63, 1)]],
    "4 closed": [[(0.68, 0), (0.1, 0.66)], [(0.1, 0.66), (0.95, 0.66)], [(0.68, 0), (0.68, 1)]],
    "5": [[(0.85, 0.02), (0.25, 0.03)], [(0.25, 0.03), (0.2, 0.42)],
          [(0.2, 0.42), (0.55, 0.36), (0.85, 0.55), (0.8, 0.85), (0.45, 1), (0.12, 0.9)]],
    "6": [[(0.72, 0.02), (0.35, 0.25), (0.15, 0.6), (0.25, 0.93), (0.55, 1), (0.82, 0.82), (0.75, 0.58), (0.45, 0.52),
           (0.18, 0.68)]],
    "7": [[(0.1, 0.05), (0.9, 0.02)], [(0.9, 0.02), (0.55, 0.5), (0.4, 1)]],
    "7 crossed": [[(0.1, 0.06), (0.9, 0.02)], [(0.9, 0.02), (0.45, 1)], [(0.28, 0.52), (0.85, 0.46)]],
    "8": [[(0.5, 0.48), (0.2, 0.3), (0.25, 0.06), (0.5, 0), (0.75, 0.06), (0.8, 0.28), (0.5, 0.48), (0.15, 0.7),
           (0.2, 0.93), (0.5, 1), (0.8, 0.93), (0.85, 0.7), (0.5, 0.48)]],
    "9": [[(0.8, 0.28), (0.6, 0.48), (0.3, 0.45), (0.18, 0.22), (0.4, 0.02), (0.7, 0.05), (0.8, 0.28)],
          [(0.8, 0.28), (0.75, 0.65), (0.68, 1)]],
    "9 bent": [[(0.82, 0.2), (0.5, 0.5), (0.22, 0.4), (0.2, 0.12), (0.5, 0), (0.82, 0.2)],
               [(0.82, 0.2), (0.82, 0.65), (0.6, 0.95), (0.25, 0.95)]],
}  # fmt: skip
"""Strokes through points (x, y) of the unit square, y down; the name begins with the digit."""

KINDS = ("pencil", "marker", "chalk", "60", "80", "100", "photo", "shadow", "specks")
"""How they come: on plain paper, light on dark, under a gradient of so many greys, softly lit, half shaded, dirty."""


def shape(name: str, kind: str, seed: int) -> Grey:
    """A picture (H×W, 0 is black) of the digit, each seed another hand and another place."""
    random = np.random.default_rng([seed, *map(ord, name + kind)])
    side = int(random.integers(300, 640))
    ink = _drawn(SHAPES[name], side, {"marker": 0.045, "pencil": 0.008}.get(kind, 0.02), random)
    paper = _paper(kind, side, random)
    if kind in ("chalk", "specks"):
        ink = np.maximum(ink, _specks(side, random)) if kind == "specks" else ink
        return (255 * (ink > 0.5)).astype(np.uint8)
    grey = paper * (1 - ink * random.uniform(0.65, 0.8)) + random.normal(0, 3 if kind != "pencil" else 0, ink.shape)
    return np.clip(grey, 0, 255).astype(np.uint8)


def pictures(seeds: range) -> Iterator[tuple[str, str, int, Grey]]:
    """(name, kind, seed, picture) of all."""
    for name in SHAPES:
        for kind in KINDS:
            for seed in seeds:
                yield name, kind, seed, shape(name, kind, seed)


def _drawn(strokes: list[Stroke], side: int, width: float, random: np.random.Generator) -> npt.NDArray[np.float64]:
    """How much ink is where, 0 … 1: the strokes with an unsteady hand, leaning, somewhere on the paper."""
    height = random.uniform(0.4, 0.6) * side
    wide, lean = height * random.uniform(0.6, 0.75), random.uniform(-0.12, 0.12)
    corner = np.array([random.uniform(0.15, 0.85) * (side - wide), random.uniform(0.15, 0.85) * (side - height)])
    canvas = Image.new("L", (side, side))
    pen, draw = max(1.0, width * side), ImageDraw.Draw(canvas)
    for stroke in strokes:
        points = np.array(stroke) + random.normal(0, 0.012, (len(stroke), 2))
        points[:, 0] += lean * (0.5 - points[:, 1])
        for x, y in _curve(points) * (wide, height) + corner:
            draw.ellipse((x - pen / 2, y - pen / 2, x + pen / 2, y + pen / 2), fill=255)
    return np.asarray(canvas.filter(ImageFilter.GaussianBlur(0.8)), np.float64) / 255


def _curve(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Catmull and Rom's curve through the points, 200 steps a piece."""
    ends = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    t = np.linspace(0, 1, 200)[:, np.newaxis]
    pieces = []
    for a, b, c, d in zip(ends, ends[1:], ends[2:], ends[3:], strict=False):
        pieces.append(b + t * ((c - a) + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a))) / 2)
    return np.concatenate(pieces)


def _paper(kind: str, side: int, random: np.random.Generator) -> npt.NDArray[np.float64]:
    """The grey of the paper by place."""
    y, x = np.mgrid[0:side, 0:side] / side
    turn = random.uniform(0, 2 * np.pi)
    across = (x - 0.5) * np.cos(turn) + (y - 0.5) * np.sin(turn)
    if kind.isdecimal():
        return np.asarray(210 - float(kind) * across)
    if kind == "photo":
        lamp = random.uniform(0.1, 0.9, 2)
        far = (x - lamp[0]) ** 2 + (y - lamp[1]) ** 2
        return np.asarray(90 + 150 * np.exp(-far / random.uniform(0.3, 0.8)))
    if kind == "shadow":
        inside = across - random.uniform(-0.2, 0.2)
        return np.asarray(225 - 130 / (1 + np.exp(-inside / random.uniform(0.004, 0.02))))
    return np.full((side, side), 250.0)


def _specks(side: int, random: np.random.Generator) -> npt.NDArray[np.float64]:
    """Dust, a few pixels wide."""
    dust = Image.new("L", (side, side))
    for x, y in random.uniform(0, side, (int(random.integers(1, 8)), 2)):
        r = random.uniform(1, 0.006 * side)
        ImageDraw.Draw(dust).ellipse((x - r, y - r, x + r, y + r), fill=255)
    return np.asarray(dust, np.float64) / 255
