"""One file more is a new operator, and every room works with it: what the contract promises.

Two operators are added here, as a user would: a builtin that refengine does not have, on int8, with two outputs and a
variable, and a custom one on float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import refengine
from refengine import (
    KERNELS,
    Interpreter,
    Quantization,
    Session,
    Tensor,
    UnsupportedError,
    execute,
    make_plan,
    run,
    strategies,
)
from refengine.debugger import Console
from refengine.debugger import Session as Debugger
from refengine.execute import infer
from refengine.explanation import explain
from refengine.fuzzer.case import Case
from refengine.fuzzer.text import smallest
from refengine.judge import Dump
from refengine.kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Toolbox
from refengine.model import Array, Model
from refengine.strategies import inputs_of, model_of, models, nodes
from refengine.tflite_io import dump
from tests.models import present, q


@dataclass(frozen=True)
class Params:
    """Nothing is constant."""


def prepare(node: Node, numerics: Numerics) -> Params:
    return Params()


def evaluate(p: Params, x: Array, seen: Array) -> tuple[Array, Array, Array]:
    """The larger and the smaller of x and what was seen before; x is seen."""
    x, seen = np.broadcast_arrays(x, seen)
    return np.maximum(x, seen), np.minimum(x, seen), x.copy()


def example(draw: Draw, make: Toolbox) -> Node:
    x = draw(make.input(make.shape((1, 3), 3), "int8", make.quantization("int8")))
    seen = make.variable(x.shape, x.dtype, x.quantization)
    outputs = tuple(make.tensor(x.shape, x.dtype, x.quantization) for _ in range(2))
    return Node("UNIQUE", {}, (x, seen), outputs)


def explain_it(p: Params, at: At, x: Array, seen: Array) -> Iterator[Line]:
    a, b = int(x[at.index]), int(seen[at.index])
    yield Line("now", "the input", a)
    yield Line("written", "the larger, the smaller, or what is seen next", (max(a, b), min(a, b), a)[at.output])


@np.errstate(over="ignore")
def double(p: Params, x: Array) -> Array:
    return x + x


def explain_double(p: Params, at: At, x: Array) -> Iterator[Line]:
    yield Line("twice", "the input, doubled", float(x[at.index]) * 2)


def example_double(draw: Draw, make: Toolbox) -> Node:
    x = draw(make.input(make.shape((1, 3), 3), "float32"))
    return Node("Double", {}, (x,), (make.tensor(x.shape, x.dtype),), custom_options=b"\x01")


MINE = {
    ("UNIQUE", "int8"): Kernel(prepare, evaluate, explain_it, example, Facts(updates=(1,), elementwise=True)),
    ("Double", "float32"): Kernel(prepare, double, explain_double, example_double, Facts(elementwise=True)),
}
ALL = {**KERNELS, **MINE}
KEYS = pytest.mark.parametrize("key", MINE, ids=lambda key: key[0])


def stateful() -> Model:
    """(1, 3) int8, two outputs and a variable."""
    x, y, z = (tensor((1, 3), "int8", q(0.5)) for _ in range(3))
    return model_of(Node("UNIQUE", {}, (x, replace(x, is_variable=True)), (y, z)))


def tensor(shape: tuple[int, ...], dtype: str, quantization: Quantization | None = None) -> Tensor:
    return Tensor(0, "", shape, dtype, quantization)


X = np.array([[1, -2, 3]], np.int8)


def test_run_session_and_batch() -> None:
    plan = make_plan(stateful(), kernels=ALL)
    session = Session(plan)
    assert [y.tolist() for y in session.run(X)] == [[[1, 0, 3]], [[0, -2, 0]]]
    assert [y.tolist() for y in session.run(-X)] == [[[1, 2, 3]], [[-1, -2, -3]]]
    assert [y.shape for y in run(plan, np.concatenate([X, X]))] == [(2, 3), (2, 3)]


@KEYS
def test_a_batch_is_its_streams_and_explanations_end_in_the_element(key: tuple[str, str]) -> None:
    @settings(max_examples=20)
    @given(nodes(*key, MINE[key]), st.data())
    def law(node: Node, data: st.DataObject) -> None:
        model = model_of(node)
        plan, inputs = make_plan(model, kernels=ALL), data.draw(inputs_of(model, batch=2))
        together, _ = infer(plan, 2, inputs)
        for b in range(2):
            alone, _ = infer(plan, 1, [x[b : b + 1] for x in inputs])
            assert all(y[b : b + 1].tobytes() == z.tobytes() for y, z in zip(together, alone, strict=True))
        (record,) = execute(plan, *(x[0] for x in inputs))
        for which, written in enumerate((*record.outputs, *record.updates)):
            at = tuple(data.draw(st.integers(0, d - 1)) for d in written.shape)
            with np.errstate(over="ignore"):  # a Python float beyond float32
                assert np.asarray(explain(plan, record, at, which).value, written.dtype) == written[at]

    law()


def test_debugger() -> None:
    debugger = Debugger(make_plan(stateful(), kernels=ALL), X)
    debugger.goto(0)
    assert debugger.current.outputs[1].tolist() == [[0, -2, 0]]
    said = "\n".join(Console(debugger).run("print 3"))
    assert "[0, 0]   0 -2  0" in said


def test_inspect() -> None:
    survey = refengine.inspect(stateful(), kernels=ALL)
    assert not survey.refusals
    assert [t.shape for t in survey.layers[0].outputs] == [(1, 3), (1, 3)]


def test_health_refuses_what_has_no_kernel_for_floats_in_a_sentence() -> None:
    with pytest.raises(UnsupportedError, match=r"the float reading of the model: subgraph 0, operator 0 \(UNIQUE\)"):
        list(refengine.health(make_plan(stateful(), kernels=ALL), [(X,)]))


def test_health_refuses_what_it_cannot_read_in_floats_in_a_sentence() -> None:
    x, y = (tensor((1, 3), "float32") for _ in range(2))
    codes = tensor((1, 3), "int8", q(0.5))
    model = model_of(Node("Double", {}, (x,), (y,), custom_options=b""), Node("QUANTIZE", {}, (y,), (codes,)))
    (found,) = refengine.health(make_plan(model, kernels=ALL), [(np.array([[1, -2, 3]], np.float32),)])
    assert [layer.step.name for layer in found.layers if layer.step] == ["QUANTIZE"]


def test_diff_judges_every_output() -> None:
    plan = make_plan(stateful(), kernels=ALL)
    (record,) = execute(plan, X)
    names = [t.index for t in record.step.outputs]
    sound = dict(zip(names, record.outputs, strict=True))
    assert [f.status for f in refengine.diff(plan, Dump("sound", sound), X).findings] == ["same", "same"]
    wrong = {**sound, names[1]: sound[names[1]] + np.int8(1)}
    report = refengine.diff(plan, Dump("wrong", wrong), X)
    assert [f.status for f in report.findings] == ["same", "culprit"]
    assert report.culprits[0].told is not None and report.culprits[0].told.value == 0


def test_diff_judges_a_later_inference_by_the_state_before_it() -> None:
    plan = make_plan(stateful(), kernels=ALL)
    session = Session(plan)
    session.run(X)
    state = session.state
    dump = Dump("second", dict(zip((t.index for t in plan.outputs), session.run(-X), strict=True)))
    assert refengine.diff(plan, dump, -X).differs
    assert not refengine.diff(plan, dump, -X, state=state).differs
    first = Dump("first", {1: X})
    assert not refengine.diff(plan, dump, -X, previous=first).differs
    assert [f.status for f in refengine.diff(plan, Dump("", {**dump.tensors, 1: X}), -X, state=state).findings] == [
        "same",
        "same",
        "culprit",
    ]


def test_interpreter(tmp_path: Path) -> None:
    interpreter = Interpreter(model_content=dump(stateful()), kernels=ALL)
    interpreter.allocate_tensors()
    for sign, expected in ((1, [[1, 0, 3]]), (-1, [[1, 2, 3]])):
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], sign * X)
        interpreter.invoke()
        assert interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).tolist() == expected


def test_quantize_says_which_operator_it_has_no_rule_for() -> None:
    x, y, z = (tensor((1, 3), "float32") for _ in range(3))
    model = model_of(Node("Double", {}, (x,), (y,)), Node("RELU", {}, (y,), (z,)))
    data = [(np.linspace(-1, 1, 30, dtype=np.float32).reshape(10, 3),)]
    with pytest.raises(UnsupportedError, match="Double"):
        refengine.quantize(model, data, kernels=ALL)
    kept = make_plan(refengine.quantize(model, data, keep=[0], kernels=ALL), kernels=ALL)
    assert ("Double", "float32") in {(step.name, step.outputs[0].dtype) for step in kept.steps}


@KEYS
def test_export_has_no_c_kernel_and_says_so(key: tuple[str, str], tmp_path: Path) -> None:
    x, y = tensor((1, 3), "float32"), tensor((1, 3), "float32")
    model = stateful() if key[0] == "UNIQUE" else model_of(Node("Double", {}, (x,), (y,)))
    with pytest.raises(UnsupportedError, match=key[0]):
        refengine.export(make_plan(model, kernels=ALL), tmp_path)


@pytest.mark.slow
def test_fuzz_tries_kernels_against_it() -> None:
    def wrong(case: Case) -> Array | None:
        x = case.arrays[0]
        return x if case.expected.any() else case.expected

    def sound(case: Case) -> Array:
        return double(Params(), present(case.arrays[0]))

    (right,) = refengine.fuzz(sound, ["Double"], kernels=ALL, cases=50)
    assert (right.cases, right.failing) == (50, 0)
    (found,) = refengine.fuzz(wrong, ["Double"], kernels=ALL, cases=50)
    assert found.finding is not None and "Double" in "\n".join(smallest(found.finding))


def test_fuzz_tries_what_remembers_over_several_inferences() -> None:
    (right,) = refengine.fuzz(lambda case: case.results, ["UNIQUE"], kernels=ALL, cases=50)
    assert (right.cases, right.failing) == (50, 0)
    (found,) = refengine.fuzz(lambda case: Case(case.plan, case.inputs).results, ["UNIQUE"], kernels=ALL, cases=200)
    assert found.finding is not None and "UNIQUE" in "\n".join(smallest(found.finding))


@settings(max_examples=30)
@given(models(ops=["ADD", "UNIQUE"], dtypes=["int8"], kernels=ALL))
def test_graphs_grow_with_it(case: strategies.Case) -> None:
    plan = make_plan(case.model, kernels=ALL)
    assert len(run(plan, *case.inputs)) == len(plan.outputs)
