"""How things show themselves in a debugger, a notebook and a failing test: short, and in words."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable
from functools import cache
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

import refengine
from refengine.bundled import bundled_models
from refengine.judge import dump_of
from refengine.model import Model
from tests.models import fed, one_op

PLAN = refengine.make_plan("stm32f746_int8")
IMAGE = np.zeros((1, 28, 28, 1), np.int8)
WRONG = refengine.run(PLAN, IMAGE)[0] ^ 1
RECORD = list(refengine.execute(PLAN, IMAGE))[-1]
THINGS: dict[str, tuple[Callable[[], Any], str]] = {
    "Plan": (lambda: PLAN, "of 12 operators, tflm (rounding=double"),
    "Model": (lambda: PLAN.model, "12 operators, 26 tensors>"),
    "Record": (lambda: RECORD, "operator 11 (SOFTMAX): int8 (1, 10)"),
    "Explanation": (lambda: refengine.explain(PLAN, RECORD, (0, 3)), "operator 11 (SOFTMAX), output"),
    "Survey": (lambda: refengine.inspect(PLAN.model), "2,794,240 multiply-accumulates"),
    "Session": (lambda: refengine.Session(PLAN), "of main"),
    "Report": (
        lambda: refengine.diff(PLAN, dump_of(PLAN, {"25": WRONG}, "mine.npz"), IMAGE),
        "mine.npz: 1 of 12 operators",
    ),
    "Health": (lambda: [*refengine.health(PLAN, [(IMAGE,)])][-1], "10 layers on 1 inference, the largest total error"),
    "Interpreter": (lambda: refengine.Interpreter(str(bundled_models()["stm32f746_int8"])), "12 operators, 26 tensors"),
}


@cache
def thing(name: str) -> Any:
    """Made when a test asks for it: all of them take seconds, and every process collects this file."""
    return THINGS[name][0]()


@pytest.mark.parametrize("name", THINGS)
def test_it_shows_itself_in_one_short_line(name: str) -> None:
    shown, told = repr(thing(name)), THINGS[name][1]
    assert shown.startswith(f"<{name} ") and shown.endswith(">")
    assert told in shown and len(shown) < 300 and shown.isprintable()


@pytest.mark.parametrize("name", ["Plan", "Record", "Explanation", "Survey", "Report", "Health"])
def test_a_notebook_gets_a_table(name: str) -> None:
    table = thing(name)._repr_html_()
    assert table.startswith("<table><caption>") and "SOFTMAX" in table
    assert table.endswith("</pre></details>" if name in ("Report", "Health") else "</table>")
    assert len(table) < 20_000


def test_all_kernels_together_are_a_line() -> None:
    assert repr(refengine.KERNELS) == f"<KERNELS of {len({op for op, _ in refengine.KERNELS})} operators>"


def test_a_small_model_shows_itself_in_full() -> None:
    model: Model = one_op("RELU", {}, [fed((1, 4), "float32")], fed((1, 4), "float32"))
    assert repr(model) == str(model) and "operator   0  RELU" in repr(model)


def test_names_of_files_are_never_markup() -> None:
    x = fed((1, 4), "float32", name="<script>")
    plan = refengine.make_plan(one_op("RELU", {}, [x], fed((1, 4), "float32")))
    assert "<script>" not in plan._repr_html_()
    (record,) = refengine.execute(plan, np.zeros((1, 4), np.float32))
    assert "<script>" not in record._repr_html_()


def test_feature_maps_are_small_pictures() -> None:
    first = next(refengine.execute(PLAN, np.arange(784, dtype=np.int16).astype(np.int8).reshape(IMAGE.shape)))
    table = first._repr_html_()
    pictures = [b64decode(data) for data in re.findall(r'src="data:image/png;base64,([^"]+)"', table)]
    sizes = [Image.open(BytesIO(data)).size for data in pictures]
    assert sizes == [(28, 28), (107, 107)], "the input, and 16 maps of 26×26 in a square, a line between them"
    assert len(table) < 30_000 and 'width="56"' in table


def test_what_is_no_picture_is_not_drawn() -> None:
    assert "<img" not in RECORD._repr_html_(), "a row of scores"
    large = one_op("RELU", {}, [fed((1, 200, 200, 3), "float32")], fed((1, 200, 200, 3), "float32"))
    (record,) = refengine.execute(large, np.zeros((1, 200, 200, 3), np.float32))
    assert "<img" not in record._repr_html_()


@pytest.mark.slow
def test_a_printed_report_says_it_all() -> None:
    report = thing("Report")
    lines = str(report).splitlines()
    assert lines[0] == report.summary and lines[1].startswith("note: ")
    assert any(line.startswith("11 SOFTMAX, int8 1×10: CULPRIT, 10 of 10 differ by up to 1 LSB") for line in lines)
