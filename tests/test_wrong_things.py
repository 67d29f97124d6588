"""The public functions: what people hand them is taken, or refused in a sentence, and never a traceback of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import refengine
from refengine import InputError, RefengineError

MODEL = "stm32f746_int8"
FLOATS = "stm32f746_float32"
PLAN = refengine.make_plan(MODEL)
X = np.zeros((1, 28, 28, 1), np.int8)
REAL = np.zeros((1, 28, 28, 1), np.float32)
RECORDS = [*refengine.execute(PLAN, X)]
(Y,) = RECORDS[-1].outputs
OUTPUT = PLAN.outputs[0]
PICTURES = np.zeros((2, 28, 28), np.uint8)


def asked(name: str, *arguments: object, **options: object) -> Any:
    """What a public function answers, its generators run to their ends."""
    answer = getattr(refengine, name)(*arguments, **options)
    return [*answer] if isinstance(answer, Iterator) else answer


# ---- what is taken -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key", [OUTPUT.name, f"t{OUTPUT.index}", str(OUTPUT.index), OUTPUT.index, np.int64(OUTPUT.index)]
)
@pytest.mark.parametrize(
    "values", [Y, Y.tolist(), refengine.dequantize_output(PLAN, Y)], ids=["array", "list", "reals"]
)
def test_a_mapping_of_arrays_is_a_dump(key: Any, values: Any) -> None:
    report = refengine.diff(MODEL, {key: values}, X)
    assert not report.differs and len(report.dump.tensors) == 1
    assert refengine.diff(MODEL, {key: values}, X, previous={"t0": X}).summary == report.summary


def test_the_mapping_that_differs_is_judged_and_may_bring_its_input() -> None:
    wrong = Y.copy()
    wrong[0, 3] ^= 1
    report = refengine.diff(MODEL, {"t25": wrong, PLAN.inputs[0].index: X})
    assert [finding.status for finding in report.culprits] == ["culprit"]
    assert report.dump.name == "the mapping"


def test_a_record_is_explained_by_whatever_names_the_model_and_under_other_numerics() -> None:
    assert refengine.explain(MODEL, RECORDS[10], (0, 7)).lines == refengine.explain(PLAN, RECORDS[10], [0, 7]).lines
    theirs = [*refengine.execute(MODEL, X, numerics="single")][10]
    for record in (RECORDS[10], theirs):  # of a path, the dialect is the one that is asked for, not the record's
        assert str(refengine.explain(MODEL, record, (0, 7)).numerics).startswith("tflm")
        assert str(refengine.explain(MODEL, record, (0, 7), numerics="single").numerics).startswith("single")


def test_lists_of_labels_and_pictures_will_do() -> None:
    *_, accuracy = refengine.evaluate(MODEL, PICTURES, [1, 1], numerics="single")
    assert accuracy.count == 2
    seven = np.add.outer(np.zeros(40), np.eye(40)[20] * 255)
    assert refengine.prepare_digit(seven.tolist()).tolist() == refengine.prepare_digit(seven).tolist()


# ---- what is refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["run", "execute", "check_input", "debug", "evaluate"])
@pytest.mark.parametrize("model", [None, 5, [MODEL], {}])
def test_what_is_no_model_is_told(name: str, model: object) -> None:
    with pytest.raises(InputError, match="the bytes of a file, a bundled network's name or a Model, not "):
        asked(name, model, X, X)


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "inspect of nothing": (lambda: asked("inspect", None), "a model is a path"),
    "a plan for a plan": (lambda: asked("make_plan", PLAN), "of a Plan, give its .model"),
    "a number as dialect": (lambda: asked("run", MODEL, X, numerics=5), "not an int"),
    "a plan in another dialect": (lambda: asked("run", PLAN, X, numerics="litert"), "the plan computes tflm"),
    "a name of what is known": (lambda: asked("execute", PLAN, X, known={"y": Y}), "known holds 'y'"),
    "an array as dump": (lambda: asked("diff", MODEL, Y, X), "such as {'t25': y}, not of the type ndarray"),
    "records as dump": (lambda: asked("diff", MODEL, RECORDS, X), "not of the type list"),
    "no dump": (lambda: asked("diff", MODEL, None, X), "not of the type NoneType"),
    "an empty dump": (lambda: asked("diff", MODEL, {}, X), "the mapping is empty: give some of the model's tensors"),
    "a wrong name": (lambda: asked("diff", MODEL, {"zz": Y}, X), "(by name, by index, or as t and index), but zz"),
    "a wrong shape": (lambda: asked("diff", MODEL, {"t25": Y[:, :3]}, X), "the dump has int8 (1, 3)"),
    "text in a dump": (lambda: asked("diff", MODEL, {"t25": "abc"}, X), "holds a str for 't25'"),
    "nothing in a dump": (lambda: asked("diff", MODEL, {25: None}, X), "holds None for 25"),
    "ragged rows": (lambda: asked("diff", MODEL, {25: [[1, 2], [3]]}, X), "which is no array of numbers"),
    "a strange key": (lambda: asked("diff", MODEL, {(2, 5): Y}, X), "call tensors by their names"),
    "a strange dump before": (lambda: asked("diff", MODEL, {25: Y}, X, previous=[Y]), "a dump is a path"),
    "many records": (lambda: asked("explain", MODEL, RECORDS, (0, 3)), "one of those that execute gives"),
    "an input to explain": (lambda: asked("explain", MODEL, X, (0, 3)), "not an array of int8 (1, 28, 28, 1)"),
    "another's record": (lambda: asked("explain", "dense_int8", RECORDS[10], (0, 7)), "no operator of this model"),
    "one index of two": (lambda: asked("explain", PLAN, RECORDS[10], 7), "an index for each dimension, such as (0, 0)"),
    "real indices": (lambda: asked("explain", PLAN, RECORDS[10], (0.0, 7.0)), "an index for each dimension"),
    "an output's name": (lambda: asked("explain", PLAN, RECORDS[10], (0, 7), "y"), "there is no output y"),
    "no cases": (lambda: asked("health", MODEL, None), "the cases are None"),
    "a word as cases": (lambda: asked("health", MODEL, "digits"), "the inputs are a str"),
    "cases by name": (lambda: asked("health", MODEL, [{"x": X}]), "the inputs are a dict"),
    "lists in cases": (lambda: asked("health", MODEL, [(X.tolist(),)]), "the inputs hold a list"),
    "pictures as lists": (lambda: asked("evaluate", MODEL, PICTURES.tolist(), [1, 1]), "the pictures are a list"),
    "labels one-hot": (lambda: asked("evaluate", MODEL, PICTURES, np.eye(2)), "the labels are float64 (2, 2)"),
    "real labels": (lambda: asked("evaluate", MODEL, PICTURES, [1.0, 1.0]), "the labels are float64 (2,)"),
    "a negative label": (lambda: asked("evaluate", MODEL, PICTURES, [-1, 1]), "the labels are -1 to 1"),
    "all outputs": (lambda: asked("predictions", MODEL, (Y,)), "got a tuple; give one of the arrays that run gives"),
    "a list of codes": (lambda: asked("dequantize_output", MODEL, Y.tolist()), "got a list; give one"),
    "uneven rows": (lambda: asked("quantize_input", MODEL, [[1], [1, 2]]), "the rows of what is given differ"),
    "an input's name": (lambda: asked("quantize_input", MODEL, X, "x"), "the model has no input 'x'"),
    "fed by name": (lambda: asked("check_input", MODEL, {"x": X}, X), "got a dict"),
    "a path for a sample": (lambda: asked("check_input", MODEL, X, "a.png"), "got a str"),
    "a list to export": (lambda: asked("export", MODEL, "nowhere", X.tolist()), "is int8, got list"),
    "no folder": (lambda: asked("export", MODEL, 5), "the folder to export to is a path"),
    "no layout": (lambda: asked("export", MODEL, "nowhere", layout="zz"), "choose one of plain, cmake"),
    "no kernels": (lambda: asked("fuzz", None), "kernels are a callable"),
    "the name of a library": (lambda: asked("fuzz", "kernels.so"), "not a str"),
    "nothing that fails": (lambda: asked("reduce", MODEL, "my_runtime {model}"), "not by a str"),
    "no digit": (lambda: asked("prepare_digit", "a.png"), "got an array of <U5"),
    "samples by name": (lambda: asked("quantize", FLOATS, [{"x": REAL}]), "the inputs are a dict"),
}  # fmt: skip


@pytest.mark.parametrize(("ask", "sentence"), REFUSED.values(), ids=REFUSED.keys())
def test_it_is_refused_in_a_sentence(ask: Callable[[], object], sentence: str) -> None:
    with pytest.raises(RefengineError) as caught:
        ask()
    assert isinstance(caught.value, InputError) and sentence in str(caught.value)
