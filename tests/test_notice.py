"""NOTICE.md names every number that was taken over, and none that is not there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTICE = (ROOT / "NOTICE.md").read_text(encoding="utf-8")
SOURCES = {path: path.read_text(encoding="utf-8") for path in sorted((ROOT / "refengine").rglob("*.py"))}
NUMERICS = [path for path in SOURCES if path.parent.name == "numerics"]
FROM_ELSEWHERE = re.compile(r"0x1\.[0-9a-f]{5,}p|\d{8,}|\d\.\d{7,}|p\{exponent\}")
"""How a number looks that nobody writes down by heart: many digits, or a float's bits."""


def constants(source: str) -> Iterator[tuple[str, str]]:
    """The public constants of a module, each with its source."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign):
            targets = [each for target in node.targets for each in ast.walk(target) if isinstance(each, ast.Name)]
            yield from ((each.id, ast.get_source_segment(source, node.value) or "") for each in targets)


@pytest.mark.parametrize("path", NUMERICS, ids=lambda path: path.stem)
def test_every_constant_of_many_digits_is_named(path: Path) -> None:
    found = {name for name, value in constants(SOURCES[path]) if FROM_ELSEWHERE.search(value)}
    named = {*re.findall(r"`(\w+)`", NOTICE)} | {"HALF_PI_LOW", "_ROUND_TO_INTEGER"}  # what follows from others
    assert found <= named


@pytest.mark.slow
def test_every_name_is_there() -> None:
    names = {*re.findall(r"`([A-Z][A-Z0-9_]+|_\w+|alpha_\w)`", NOTICE)} - {"LICENSE"}
    assert len(names) > 15
    everything = "\n".join(SOURCES.values())
    assert [name for name in names if not re.search(rf"\b{name}\b", everything)] == []
    files = [ROOT / "refengine" / name for name in re.findall(r"`(kernels/\w+\.py)`", NOTICE)]
    assert files
    assert all(file in SOURCES for file in files)
