"""How things show themselves in a debugger, a notebook and a failing test: short, and in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import refengine
from refengine.bundled import bundled_models
from refengine.model import Model
from tests.models import fed, one_op

PLAN = refengine.make_plan("stm32f746_int8")
IMAGE = np.zeros((1, 28, 28, 1), np.int8)
RECORD = list(refengine.execute(PLAN, IMAGE))[-1]
THINGS: dict[str, tuple[Any, str]] = {
    "Plan": (PLAN, "of 12 operators, tflm (rounding=double"),
    "Model": (PLAN.model, "12 operators, 26 tensors>"),
    "Record": (RECORD, "operator 11 (SOFTMAX): int8 (1, 10)"),
    "Explanation": (refengine.explain(PLAN, RECORD, (0, 3)), "operator 11 (SOFTMAX), output"),
    "Survey": (refengine.inspect(PLAN.model), "2,794,240 multiply-accumulates"),
    "Session": (refengine.Session(PLAN), "of main"),
    "Interpreter": (refengine.Interpreter(str(bundled_models()["stm32f746_int8"])), "12 operators, 26 tensors"),
}


@pytest.mark.parametrize("name", THINGS)
def test_it_shows_itself_in_one_short_line(name: str) -> None:
    thing, told = THINGS[name]
    shown = repr(thing)
    assert shown.startswith(f"<{name} ") and shown.endswith(">")
    assert told in shown and len(shown) < 300 and shown.isprintable()


@pytest.mark.parametrize("name", ["Plan", "Record", "Explanation", "Survey"])
def test_a_notebook_gets_a_table(name: str) -> None:
    table = THINGS[name][0]._repr_html_()
    assert table.startswith("<table><caption>") and table.endswith("</table>") and "SOFTMAX" in table
    assert len(table) < 20_000


def test_a_small_model_shows_itself_in_full() -> None:
    model: Model = one_op("RELU", {}, [fed((1, 4), "float32")], fed((1, 4), "float32"))
    assert repr(model) == str(model) and "operator   0  RELU" in repr(model)


def test_names_of_files_are_never_markup() -> None:
    x = fed((1, 4), "float32", name="<script>")
    plan = refengine.make_plan(one_op("RELU", {}, [x], fed((1, 4), "float32")))
    assert "<script>" not in plan._repr_html_()
    (record,) = refengine.execute(plan, np.zeros((1, 4), np.float32))
    assert "<script>" not in record._repr_html_()
