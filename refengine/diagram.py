"""A graph as SVG: boxes from top to bottom, each below all that it reads, and lines between them.

One drawing code for the pages of `diff` and for the studio. What skips a row goes beside the boxes, so that no line
runs behind one. The colours are the page's own: every box has its status as a class.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from .text import markup

WIDTH, HEIGHT, GAP_X, GAP_Y = 210, 44, 24, 30  # of a box, and between boxes
LANE = 10  # between two lines beside the boxes
MARGIN = 2

STYLE = """
rect { stroke: #555; rx: 6px } text { font-size: 13px } .edge { stroke: #888; fill: none; stroke-linejoin: round }
a:hover rect, a:focus rect { stroke-width: 3 }
.same { fill: #bfe3c0; background: #bfe3c0 } .victim { fill: #ffe3a3; background: #ffe3a3 }
.culprit { fill: #f4a6a0; background: #f4a6a0 } .absent { fill: #e4e4e4; background: #e4e4e4 }
.unjudged { fill: #cfd8f0; background: #cfd8f0 }
"""
"""Of a page that stays as it is."""


@dataclass(frozen=True)
class Box:
    """A link to ``#key`` with two `lines` of text, the keys of the boxes that it `reads`, and a `tip` to hover."""

    key: str
    lines: tuple[str, str]
    reads: tuple[str, ...] = ()
    status: str = ""
    tip: str = ""


@dataclass(frozen=True)
class _Place:
    """A box's upper left corner, and how many rows are above it."""

    x: int
    y: int
    row: int

    @property
    def top(self) -> str:
        return f"{self.x + WIDTH // 2} {self.y}"

    @property
    def bottom(self) -> str:
        return f"{self.x + WIDTH // 2} {self.y + HEIGHT}"


def drawn(boxes: Sequence[Box]) -> str:
    """The SVG element; boxes come behind all that they read. Keys that no box before has are no edges."""
    places = _places(boxes)
    edges = [(places[source], places[box.key]) for box in boxes for source in _sources(box, places)]
    right = max((place.x for place in places.values()), default=0) + WIDTH
    lanes = _lanes(edges)
    lines = [_edge(*edge, right + LANE * (1 + lanes[edge]) if edge in lanes else None) for edge in dict.fromkeys(edges)]
    width = right + MARGIN + LANE * (1 + max(lanes.values(), default=-1))
    height = max((place.y for place in places.values()), default=0) + HEIGHT + MARGIN
    body = "\n".join([*lines, *(_drawn(box, places[box.key]) for box in boxes)])
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">\n{body}\n</svg>'


def _places(boxes: Sequence[Box]) -> dict[str, _Place]:
    rows: dict[str, int] = {}
    for box in boxes:
        rows[box.key] = 1 + max((rows[key] for key in box.reads if key in rows), default=-1)
    places = {}
    for row, group in groupby(sorted(boxes, key=lambda box: rows[box.key]), key=lambda box: rows[box.key]):
        for column, box in enumerate(group):
            x, y = column * (WIDTH + GAP_X) + MARGIN, row * (HEIGHT + GAP_Y) + MARGIN
            places[box.key] = _Place(x, y, row)
    return places


def _sources(box: Box, places: dict[str, _Place]) -> Iterator[str]:
    """What it reads, of the rows above."""
    return (key for key in dict.fromkeys(box.reads) if key in places and places[key].row < places[box.key].row)


def _lanes(edges: Sequence[tuple[_Place, _Place]]) -> dict[tuple[_Place, _Place], int]:
    """For each line that skips a row, which of the lanes beside the boxes it takes: no two at once in one."""
    taken: list[int] = []  # the row down to which each lane is taken
    lanes: dict[tuple[_Place, _Place], int] = {}
    for edge in sorted(dict.fromkeys(edges), key=lambda edge: (edge[0].row, edge[1].row)):
        start, end = edge[0].row, edge[1].row
        if end - start > 1:
            free = next((lane for lane, until in enumerate(taken) if until <= start), len(taken))
            taken[free : free + 1] = [end]
            lanes[edge] = free
    return lanes


def _edge(source: _Place, target: _Place, lane: int | None) -> str:
    """A curve to the next row, or a line that goes down in the lane at that x."""
    if lane is None:
        middle = f"{source.x + WIDTH // 2} {source.y + HEIGHT + GAP_Y} {target.x + WIDTH // 2} {target.y - GAP_Y}"
        return f'<path class="edge" d="M{source.bottom} C{middle} {target.top}"/>'
    below, above = source.y + HEIGHT + GAP_Y // 3, target.y - GAP_Y // 3
    return f'<path class="edge" d="M{source.bottom} V{below} H{lane} V{above} H{target.x + WIDTH // 2} V{target.y}"/>'


def _drawn(box: Box, place: _Place) -> str:
    first, second = map(markup, box.lines)
    return (
        f'<a href="#{box.key}"><title>{markup(box.tip)}</title>'
        f'<rect class="{box.status}" x="{place.x}" y="{place.y}" width="{WIDTH}" height="{HEIGHT}"/>'
        f'<text x="{place.x + 8}" y="{place.y + 18}">{first}</text>'
        f'<text x="{place.x + 8}" y="{place.y + 36}">{second}</text></a>'
    )
