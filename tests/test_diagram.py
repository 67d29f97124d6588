"""refengine/diagram.py: every box below what it reads, and no line behind a box."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from hypothesis import given, settings
from hypothesis import strategies as st

from refengine.diagram import HEIGHT, WIDTH, Box, drawn

SVG = "{http://www.w3.org/2000/svg}"


def places(svg: str) -> dict[str, tuple[int, int]]:
    """The upper left corners of the boxes, by their keys."""
    links = ElementTree.fromstring(svg).iter(f"{SVG}a")
    return {link.attrib["href"][1:]: corner(link.find(f"{SVG}rect")) for link in links}


def corner(rect: ElementTree.Element | None) -> tuple[int, int]:
    assert rect is not None
    return int(rect.attrib["x"]), int(rect.attrib["y"])


def paths(svg: str) -> list[str]:
    return [path.attrib["d"] for path in ElementTree.fromstring(svg).iter(f"{SVG}path")]


@st.composite
def graphs(draw: st.DrawFn) -> list[Box]:
    count = draw(st.integers(0, 9))
    sources = [draw(st.lists(st.integers(0, max(0, i - 1)), max_size=3)) if i else [] for i in range(count)]
    return [Box(str(i), (f"box {i}", "<&>"), tuple(map(str, reads))) for i, reads in enumerate(sources)]


@settings(max_examples=50)
@given(graphs())
def test_boxes_stand_below_what_they_read_and_do_not_overlap(boxes: list[Box]) -> None:
    found = places(drawn(boxes))
    assert [*found] == [box.key for box in boxes]
    assert all(found[source][1] < found[box.key][1] for box in boxes for source in box.reads)
    assert len({*found.values()}) == len(boxes)


@settings(max_examples=50)
@given(graphs())
def test_every_edge_is_drawn_once_and_runs_behind_no_box(boxes: list[Box]) -> None:
    svg = drawn(boxes)
    found = places(svg)
    assert len(paths(svg)) == len({(source, box.key) for box in boxes for source in box.reads})
    width = int(ElementTree.fromstring(svg).attrib["width"])
    for path in paths(svg):
        lane = re.search(r"H(\d+) V(\d+) H", path)
        if lane:
            assert max((x + WIDTH for x, _ in found.values()), default=0) < int(lane[1]) < width
        rows = [int(y) for y in re.findall(r"V(\d+)", path)]
        assert not any(y < row < y + HEIGHT for row in rows for _, y in found.values())


def test_lines_that_pass_one_another_have_lanes_of_their_own() -> None:
    boxes = [
        Box("0", ("", "")),
        *(Box(str(i), ("", ""), (str(i - 1),)) for i in range(1, 6)),
        Box("6", ("", ""), ("5", "0", "2")),
    ]
    lanes = [int(found) for path in paths(drawn(boxes)) for found in re.findall(r"H(\d+) V\d+ H", path)]
    assert len(lanes) == 2 and len({*lanes}) == 2


def test_foreign_names_stay_text() -> None:
    svg = drawn([Box("a", ("<script>alert(1)</script>", "\x1b[2J"), tip='"><b>')])
    assert "<script" not in svg and "<b>" not in svg and "\x1b" not in svg
    ElementTree.fromstring(svg)
