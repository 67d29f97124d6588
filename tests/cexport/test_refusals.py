"""What the C export refuses is on the manual's page, each refusal of the sources by a phrase there."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import refengine

HERE = Path(refengine.__file__).parent
PAGE = " ".join((HERE / "manual" / "devices.md").read_text(encoding="utf-8").split())

PHRASES = {
    "says what moves where and is computed at run time": "told by tensors computed at run time where to take elements",
    "blocks and paddings are computed at run time": "constant begins, sizes, axes, paddings and blocks only",
    "without regular strides, for which there is no C kernel": "fill an output in part and without regular strides",
    "writes to a variable tensor that it reads": "write to a variable tensor while they read it",
    "is known at run time only": "resource variables whose handle is known at run time only",
    "may end the inference": "CIRCULAR_BUFFER inside a subgraph",
    "an export takes at most 6": "tensors of more than 6 dimensions",
    "which has no C type here": "inputs, outputs and results of other types than float32, bool",
    "the C kernels compute what TFLM's do": "dialects of other kernels than TFLM's",
    "there is no C kernel": "All that refengine runs",
    "runs other subgraphs": "`diff --arena` takes no model that runs subgraphs",
}
"""A part of each message, and what the page says of it; `require_whole` has its sentence elsewhere."""


def refusals() -> Iterator[str]:
    """The literal part of the message of each UnsupportedError that the export may raise."""
    for path in sorted((HERE / "cexport").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("require", "UnsupportedError"):
                yield literal(node.args[-1])


def literal(message: ast.expr) -> str:
    return "".join(str(part.value) for part in ast.walk(message) if isinstance(part, ast.Constant))


def test_each_refusal_has_its_phrase() -> None:
    found = [*refusals()]
    assert len(found) >= len(PHRASES)
    assert [message for message in found if not any(part in message for part in PHRASES)] == []
    assert [part for part in PHRASES if not any(part in message for message in found)] == []


@pytest.mark.parametrize("part", PHRASES)
def test_the_page_says_it(part: str) -> None:
    assert PHRASES[part] in PAGE
