"""Whole graphs: all run, on the real TFLM too; they take every form, and failing ones shrink to almost nothing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conformance import judge
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample
from oracle import Tflm

from refengine import KERNELS, Graph, InputError, Quantization, Tensor, load, make_plan, run, strategies
from refengine.commands import main
from refengine.kernel import Node
from refengine.model import Array
from refengine.strategies.graphs import QUANTIZED, Case, Growing, growing
from tests.models import evaluated

KEYS = sorted(growing(KERNELS))
SMALLEST = settings(max_examples=2000, suppress_health_check=list(HealthCheck))
FIRST = settings(SMALLEST, phases=[Phase.generate])


def graph_of(case: Case) -> Graph:
    return load(case.model).graphs[0]


def moving(graph: Graph) -> list[Tensor]:
    """The tensors that are fed or computed."""
    return [t for t in graph.tensors if t.data is None]


# ---- every case is one that TFLM runs ------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("finite", [True, False])
@pytest.mark.parametrize("dtypes", [None, ["int8"], ["float32"], ["int16"]], ids=str)
def test_tflm_runs_every_graph(dtypes: list[str] | None, finite: bool, tflm: Tflm) -> None:
    """The same bytes as the real TFLM computes, and nothing is refused by either."""

    @settings(max_examples=150)
    @given(strategies.models(dtypes=dtypes, finite=finite))
    def law(case: Case) -> None:
        verdict = judge(tflm, case.model, [case.inputs])
        assert verdict.kind == "equal", verdict.message

    law()


@pytest.mark.slow
@settings(max_examples=60)
@given(strategies.models())
def test_every_graph_runs(case: Case) -> None:
    plan = make_plan(case.model)
    outputs = run(plan, *case.inputs)
    assert [(x.dtype.name, x.shape) for x in outputs] == [(t.dtype, t.shape) for t in plan.outputs]


@settings(max_examples=60)
@given(strategies.models(["QUANTIZE", "CONV_2D", "ADD", "RESHAPE"], ["int8", "float32"], max_ops=3))
def test_only_what_was_asked_for_is_drawn(case: Case) -> None:
    graph = graph_of(case)
    assert {op.name for op in graph.ops} <= {"QUANTIZE", "CONV_2D", "ADD", "RESHAPE"}
    assert {t.dtype for t in moving(graph)} <= {"int8", "float32"}
    assert 1 <= len(graph.ops) <= 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(ops=["CONV"]), r"refengine has no 'CONV'; the operators are .*CONV_2D"),
        (dict(dtypes=["int7"]), "refengine has no 'int7'; the types are bool, float32"),
        (dict(ops="ADD"), r"operators are a list of names, such as \['ADD'\], not 'ADD'"),
        (
            dict(ops=["ADD"], dtypes=["bool"]),
            r"none of the operators \['ADD'\] has a kernel for any of the types \['bool'\]; they have some for float32",
        ),
        (dict(ops=["SHAPE"], dtypes=["int8"]), "SHAPE of int8 computes int32; add it to dtypes"),
        (dict(ops=["QUANTIZE"], dtypes=["float32"]), "QUANTIZE of float32 computes int16 or int8; add it to dtypes"),
        (dict(dtypes=[]), "has a kernel for any of the types"),
        (dict(max_ops=0), "max_ops is 0, but a model has one operator or more"),
    ],
)
def test_what_refengine_does_not_have_is_one_line(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        strategies.models(**arguments)
    assert "\n" not in str(error.value)


# ---- graphs take every form ----------------------------------------------------------------------------------


def reads(graph: Graph) -> Counter[int]:
    """How many operators read each computed or fed tensor."""
    return Counter(i for op in graph.ops for i in set(op.inputs) if i >= 0 and graph.tensors[i].data is None)


def joins_computed(graph: Graph) -> bool:
    made = {i for op in graph.ops for i in op.outputs}
    return any(len(made & set(op.inputs)) > 1 for op in graph.ops)


def has_residual(graph: Graph) -> bool:
    """A sum of what an operator read and something computed from it."""
    before: dict[int, set[int]] = {}
    for op in graph.ops:
        mine = set().union(*({i} | before.get(i, set()) for i in op.inputs))
        if op.name == "ADD" and op.inputs[1] in before.get(op.inputs[0], set()) | before.get(op.inputs[1], set()):
            return True
        before.update(dict.fromkeys(op.outputs, mine))
    return False


FORMS: dict[str, Callable[[Graph], Any]] = {
    "a chain of four": lambda g: len(g.ops) == 4 and all(a.outputs[0] in b.inputs for a, b in pairwise(g.ops)),
    "a branch": lambda g: max(reads(g).values()) > 1,
    "a join of branches": joins_computed,
    "a residual link": has_residual,
    "one tensor given twice": lambda g: any(op.name == "MUL" and len(set(op.inputs)) == 1 for op in g.ops),
    "several inputs": lambda g: len(g.inputs) > 2,
    "several outputs": lambda g: len(g.outputs) > 2,
    "an output that is read": lambda g: set(g.outputs) & {i for op in g.ops for i in op.inputs} - set(g.inputs),
    "an input that is an output": lambda g: set(g.inputs) & set(g.outputs),
    "float32 to int8": lambda g: any(
        op.name == "QUANTIZE" and g.tensors[op.inputs[0]].dtype == "float32" for op in g.ops[1:]
    ),
    "int8 to float32 and on": lambda g: any(op.name == "DEQUANTIZE" for op in g.ops[:-1]),
}


@pytest.mark.parametrize("form", FORMS)
def test_graphs_take_every_form(form: str) -> None:
    ops = ["CONV_2D", "ADD", "MUL", "CONCATENATION", "RELU", "QUANTIZE", "DEQUANTIZE"]
    find(strategies.models(ops), lambda case: bool(FORMS[form](graph_of(case))), settings=FIRST)


@pytest.mark.parametrize(("op", "dtype"), KEYS, ids=[f"{op}-{dtype}" for op, dtype in KEYS])
def test_every_kernel_grows_a_graph(op: str, dtype: str) -> None:
    """An `example` that asks for its input with `make.input` can start from a tensor that is there."""
    scale = Quantization((2.0**-7,), (0,)) if dtype in QUANTIZED or (op == "QUANTIZE" and dtype == "int32") else None
    given = [Tensor(0, "", (2,) * rank, dtype, scale) for rank in (1, 2, 3, 4, 0)]

    @st.composite
    def node(draw: Callable[[Any], Any]) -> Node:
        make = Growing()
        make.keep(given)
        return KERNELS[op, dtype].example(lambda what: what(draw) if callable(what) else draw(what), make)

    try:
        find(
            node(),
            lambda node: any(t is x for each in (*node.before, node) for t in each.inputs for x in given),
            settings=settings(FIRST, max_examples=100),
        )
    except NoSuchExample:
        pytest.fail(f"{op} never reads a given tensor; let its example draw its input from make.input")


# ---- failing cases shrink, print and save --------------------------------------------------------------------


def shrunk(op: str, is_wrong: Callable[[Any], bool], ops: list[str]) -> Graph:
    """The smallest graph that Hypothesis finds for a runtime whose int8 `op` gives wrong bits for some params."""
    kernel = KERNELS[op, "int8"]

    def evaluate(p: Any, *arrays: Array) -> Array:
        output = evaluated(kernel, p, *arrays)
        return output ^ 1 if is_wrong(p) else output

    theirs = {**KERNELS, (op, "int8"): replace(kernel, evaluate=evaluate)}

    def differs(case: Case) -> bool:
        right, wrong = run(case.model, *case.inputs), run(make_plan(case.model, kernels=theirs), *case.inputs)
        return not all(map(np.array_equal, right, wrong))

    return graph_of(find(strategies.models(ops, ["int8"], max_ops=4), differs, settings=SMALLEST))


@pytest.mark.slow
@pytest.mark.parametrize("op", ["CONV_2D", "ADD", "CONCATENATION"])
def test_a_wrong_kernel_shrinks_to_next_to_nothing(op: str) -> None:
    """To single elements, mostly; Hypothesis's path there depends on what modules it finds loaded."""
    graph = shrunk(op, lambda p: True, ["CONV_2D", "RELU", "ADD", op])
    assert [op.name for op in graph.ops] == [op]
    assert all(prod(t.shape) <= 2 for t in graph.tensors), graph


@pytest.mark.slow
def test_what_the_bug_needs_stays() -> None:
    graph = shrunk("CONV_2D", lambda p: p.window.stride[1] > 1 and p.filter_shape[0] > 5, ["CONV_2D", "ADD", "RELU"])
    (op,) = graph.ops
    input, filter, output = (graph.tensors[i] for i in (*op.inputs[:2], *op.outputs))
    assert prod(input.shape) <= 2 and prod(filter.shape[1:]) <= 2 and output.shape[3] == filter.shape[0], graph
    assert 5 < filter.shape[0] <= 9 and op.options["stride_w"] > 1, graph


@settings(max_examples=10)
@given(case=strategies.models(max_ops=3))
def test_a_case_prints_its_graph_and_inputs(case: Case) -> None:
    text = repr(case)
    assert all(op.name in text for op in graph_of(case).ops)
    with np.printoptions(threshold=64):
        assert all(repr(x) in text for x in case.inputs)


def test_a_saved_case_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = find(strategies.models(["ADD"], ["int8"]), lambda case: len(case.inputs) == 2, settings=FIRST)
    case.save(tmp_path / "found.tflite")
    assert main(["run", str(tmp_path / "found.tflite"), "--input", str(tmp_path / "found.npz"), "--json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    expected = run(case.model, *case.inputs)
    assert [np.ravel(output["values"]).tolist() for output in result["outputs"]] == [
        x.ravel().tolist() for x in expected
    ]
