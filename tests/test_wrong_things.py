"""The public functions: what people hand them is taken, or refused in a sentence, and never a traceback of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import refengine
from refengine import InputError, ModelError, RefengineError, strategies
from refengine.fuzzer import callable_of
from refengine.tflite_io import dump

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


@pytest.mark.slow
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
    "a misspelt rounding": (lambda: refengine.Numerics(rounding="singel"), "(did you mean 'single'?)"),  # type: ignore[arg-type]
    "an underscore": (lambda: refengine.Numerics(kernels="cmsis_nn"), "(did you mean 'cmsis-nn'?)"),  # type: ignore[arg-type]
    "no library": (lambda: refengine.Numerics(libm="foo"), "libm is 'foo'; choose one of glibc"),  # type: ignore[arg-type]
    "a misspelt dialect": (lambda: asked("run", MODEL, X, numerics="tfml"), "(did you mean 'tflm'?)"),
    "a number as kernels": (lambda: asked("make_plan", MODEL, kernels=5), "kernels are a mapping such as"),
    "numbered kernels": (lambda: asked("inspect", MODEL, kernels={1: 2}), "by operator and type, such as"),
    "a function as kernel": (lambda: asked("make_plan", MODEL, kernels={("X", "int8"): len}), "is a builtin_function"),
    "kernels to draw from": (lambda: strategies.models(kernels=[1]), "kernels are a mapping"),  # type: ignore[arg-type]
    "kernels of scripts": (lambda: refengine.Interpreter(MODEL, kernels=5), "are a mapping"),  # type: ignore[arg-type]
    "no memory": (lambda: asked("make_plan", MODEL, memory=None), "memory is None; give bytes"),
    "NaN bytes": (lambda: asked("inspect", MODEL, memory=float("nan")), "memory is nan; give bytes"),
    "a word of memory": (lambda: asked("run", MODEL, X, memory="much"), "'much' is no positive number"),
    "memory of a plan": (lambda: asked("run", PLAN, X, memory="2G"), "the plan was made with memory=1073741824"),
    "a word of threads": (lambda: asked("run", PLAN, X, threads="a"), "threads is 'a'"),
    "known by nobody": (lambda: asked("execute", PLAN, X, known=5), "known is an int"),
    "a wide known": (lambda: asked("execute", PLAN, X, known={25: Y.astype(np.int16)}), "got an array of int16"),
    "a flat known": (lambda: asked("execute", PLAN, X, known={25: Y[0]}), "got an array of int8 (10,)"),
    "a number as state": (lambda: asked("execute", PLAN, X, state=5), "the state is an int"),
    "one row of scores": (lambda: asked("predictions", PLAN, Y[0]), "N rows of 10 scores, (N, 10); got (10,)"),
    "three scores": (lambda: asked("predictions", PLAN, Y[:, :3]), "got (1, 3)"),
    "a misspelt answer": (lambda: asked("evaluate", PLAN, PICTURES, [1, 1], answer="lsat"), "one of last, max"),
    "a number reads": (lambda: asked("evaluate", PLAN, PICTURES, [1, 1], read=5), "read is an int"),
    "a number as range": (lambda: asked("evaluate", PLAN, PICTURES, [1, 1], real_range=5), "range of pixels is 5"),
    "half a range": (lambda: asked("evaluate", PLAN, PICTURES, [1, 1], real_range=(0,)), "range of pixels is (0,)"),
    "a number works": (lambda: asked("evaluate", PLAN, PICTURES, [1, 1], executor=5), "the executor is an int"),
    "empty cases": (lambda: asked("health", MODEL, []), "there are no cases, and nothing was measured"),
    "empty cases in floats": (lambda: asked("health", FLOATS, []), "there are no cases, and nothing was measured"),
    "commands by number": (lambda: asked("debug", PLAN, X, commands=5), "commands are lines as one types them"),
    "a list of numbers": (lambda: asked("debug", PLAN, X, commands=[5]), "not an int"),
    "an operator for a list": (lambda: asked("fuzz", len, "RELU"), "operators are a list of names, such as ['RELU']"),
    "a type for a list": (lambda: asked("fuzz", len, dtypes="int8"), "types are a list of names, such as ['int8']"),
    "a number of operators": (lambda: asked("fuzz", len, 5), "operators are a list of names, not 5"),
    "nothing to try": (lambda: asked("fuzz", len, cases=0), "cases is 0; give a number from 1 on"),
    "an unknown trait": (lambda: asked("fuzz", len, exclude=["zz"]), "no case has the trait 'zz'"),
    "a trait of no operator": (lambda: asked("fuzz", len, exclude=["CONV2D: padding"]), "(did you mean 'CONV_2D'?)"),
    "no inputs to reduce": (lambda: asked("reduce", MODEL, lambda model, x: "x", 5), "the inputs are an int"),
    "a file for a folder": (lambda: asked("export", PLAN, f"{__file__}/x"), "cannot be written: Not a directory"),
    "no folder's name": (lambda: asked("export", PLAN, "a\0b"), "cannot be written: embedded null"),
    "no prefix": (lambda: asked("export", PLAN, "nowhere", prefix=None), "the prefix is None"),
    "a numbered model": (lambda: refengine.export(PLAN, "nowhere", name=5), "the name is an int"),  # type: ignore[arg-type]
    "an unknown node": (lambda: strategies.nodes("RELUU", "int8"), "there is no such operator (did you mean 'RELU'?)"),
    "a node of no such type": (lambda: strategies.nodes("RELU", "int64"), "it has RELU of int8"),
    "nowhere to save": (lambda: strategies.Case(dump(PLAN.model), (X,)).save("nowhere/f.tflite"), "cannot be written"),
    "no module's function": (lambda: callable_of("math"), "'math' names no callable"),
    "samples by name": (lambda: asked("quantize", FLOATS, [{"x": REAL}]), "the inputs are a dict"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "why"), [("/dev/zero", "it is a device"), ("a\0b", "embedded null byte"), ("/", "Is a directory")]
)
def test_what_is_no_file_is_no_model(name: str, why: str) -> None:
    with pytest.raises(ModelError, match=why):
        refengine.load(name)


def test_memory_is_taken_as_the_command_takes_it() -> None:
    assert (
        refengine.make_plan("dense_int8", memory="512m").memory
        == refengine.Session("dense_int8", memory="524288K").plan.memory
    )
    assert refengine.run(PLAN, X, memory="1G")[0].tolist() == Y.tolist()


@pytest.mark.parametrize(("ask", "sentence"), REFUSED.values(), ids=REFUSED.keys())
def test_it_is_refused_in_a_sentence(ask: Callable[[], object], sentence: str) -> None:
    with pytest.raises(RefengineError) as caught:
        ask()
    assert isinstance(caught.value, InputError) and sentence in str(caught.value)
