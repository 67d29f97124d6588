"""refengine/manual/properties.md: its examples print what it says, here and on the real TFLM, and its tests exist."""

from __future__ import annotations

import ast
import doctest
import re
from pathlib import Path
from typing import Any

import pytest
from oracle import Tflm

import refengine
from refengine import Numerics
from refengine.model import Array

HERE = Path(__file__).parent
DOCUMENT = Path(refengine.__file__).parent / "manual" / "properties.md"


def examples() -> doctest.TestResults:
    return doctest.testfile(str(DOCUMENT), module_relative=False, encoding="utf-8")


def test_examples_print_what_the_document_says() -> None:
    failed, attempted = examples()
    assert attempted > 60 and not failed


def test_examples_hold_on_the_real_tflm(tflm: Tflm, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same document with TFLM in place of our engine; what is about other dialects stays with us."""
    ours, asked = refengine.run, []

    def run(model: bytes, *inputs: Array, numerics: Numerics | None = None) -> tuple[Array, ...]:
        if numerics is not None:
            return ours(model, *inputs, numerics=numerics)
        asked.append(model)
        return tflm.run(model, inputs)

    monkeypatch.setattr(refengine, "run", run)
    assert not examples().failed
    assert len(asked) > 50


def test_every_test_that_the_document_names_exists_and_the_other_way_round() -> None:
    named = set(re.findall(r"`(test_\w+)`", DOCUMENT.read_text(encoding="utf-8")))
    parsed: list[Any] = [
        node for path in HERE.glob("test_*.py") for node in ast.walk(ast.parse(path.read_text("utf-8")))
    ]
    defined = {node.name for node in parsed if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}
    mine = {name for name in globals() if name.startswith("test_")}
    assert named == defined - mine


def test_the_table_leads_to_its_sections() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]*)\)", text)) == anchors
