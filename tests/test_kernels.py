"""The laws that every kernel obeys, tried on models that its own `example` invents.

A failing case is saved as a `.tflite` and an `.npz`, and the message says where.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from conformance import COPIES, judge, save
from dice import RUNS, Dice, drawn, invented
from hypothesis import strategies as st
from oracle import OracleCrash, Tflm

from refengine import KERNELS, InferenceError, Model, Plan, Record, execute, inspect, make_plan, strategies
from refengine import kernels as package
from refengine.execute import infer
from refengine.explanation import explain
from refengine.kernel import Kernel, Node
from refengine.kernels._tflm import CUSTOM_OPS, INSTEAD, TFLM_OPS, TYPES_WITHOUT_KERNEL
from refengine.model import Array, Graph, Quantization, Tensor
from refengine.tensors.difference import unlike
from refengine.tflite_io import dump, load
from tests.laws import holds

KEYS = sorted(KERNELS)
FILES = sorted(path for path in Path(package.__file__).parent.glob("[!_]*.py"))
every_kernel = pytest.mark.parametrize(("op", "dtype"), KEYS, ids=[f"{op}-{dtype}" for op, dtype in KEYS])
every_file = pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])

EARLY = 15
"""The status of an inference that an operator ends on purpose."""

Case = tuple[Model, tuple[Array, ...]]


def cases(op: str, dtype: str) -> st.SearchStrategy[Case]:
    """Models of one operator, as its kernel's `example` invents them, with inputs."""
    models = strategies.nodes(op, dtype).map(strategies.model_of)
    return models.flatmap(lambda model: st.tuples(st.just(model), strategies.inputs_of(model)))


def same(a: Array, b: Array) -> bool:
    """Equal in dtype, shape and every bit (but a NaN's)."""
    masks = np.ma.getmaskarray(a), np.ma.getmaskarray(b)
    return (a.dtype, a.shape) == (b.dtype, b.shape) and np.array_equal(*masks) and not unlike(a, b).any()


def stream(plan: Plan, batch: int, inputs: Sequence[Array]) -> tuple[Array, ...]:
    """The outputs of two inferences in a row, of each stream of a batch; what ends early has some undefined."""
    outputs: list[Array] = []
    state = None
    for _ in range(2):
        try:
            some, state = infer(plan, batch, inputs, state)
        except InferenceError as error:
            if error.status != EARLY:
                raise
            some, state = error.outputs, error.state
        outputs += some
    return tuple(outputs)


def recorded(plan: Plan, times: int, *inputs: Array) -> list[Record]:
    """The records of the only step over several inferences in a row, those left out that end early."""
    records: list[Record] = []
    state = None
    while len(records) < times:
        try:
            records.append(list(execute(plan, *inputs, state=state))[-1])
            state = records[-1].state
        except InferenceError as error:
            if error.status != EARLY:
                raise
            state = error.state
    return records


# ---- TFLM is the judge ---------------------------------------------------------------------------------------


@pytest.mark.slow
@every_kernel
def test_evaluate_equals_tflm(op: str, dtype: str, tflm: Tflm, tmp_path: Path) -> None:
    """The same bytes, dtype and shape as the real TFLM gives; and both refuse none of what `example` invents."""

    def law(case: Case, seed: int) -> None:
        dice = Dice(seed)
        runs = [case[1], *(invented(case[0], dice) for _ in range(RUNS))]
        verdict = judge(tflm, dump(case[0]), runs, same_nan=op in COPIES)
        if verdict.kind != "equal":
            again = save(verdict, tmp_path, f"{op}-{dtype}")
            pytest.fail(f"{verdict.kind}: {verdict.message}; to see it again: {again}", pytrace=False)

    holds(law, 200, cases(op, dtype), st.integers(0, 2**32 - 1))


# ---- the four functions agree with each other ----------------------------------------------------------------


@pytest.mark.slow
@every_kernel
def test_explain_ends_in_the_element(op: str, dtype: str) -> None:
    """The last line of an explanation is the element that `evaluate` computes, bit for bit."""

    def law(case: Case, data: st.DataObject) -> None:
        plan = make_plan(case[0])
        record = data.draw(st.sampled_from(recorded(plan, data.draw(st.integers(1, 3)), *case[1])))
        written = [*record.outputs, *record.updates]
        which = data.draw(st.integers(0, max(0, len(written) - 1)))
        if written and written[which].size:
            output = written[which]
            index = tuple(data.draw(st.integers(0, d - 1)) for d in output.shape)
            explanation = explain(plan, record, index, which)
            assert all(line.name and line.text for line in explanation.lines)
            assert same(np.asarray(explanation.lines[-1].value, output.dtype), output[index])

    holds(law, 60, cases(op, dtype), st.data())


@every_kernel
def test_a_batch_is_its_inferences(op: str, dtype: str) -> None:
    """Each result of a batch is what its inputs give alone, in the declared shape and type, the same every time.

    Inputs are only read, and nothing warns but of infinities and NaN, which are results; the node is of the kind that
    was asked for.
    """

    def law(node: Node, data: st.DataObject) -> None:
        model = strategies.model_of(node)
        inputs = data.draw(strategies.inputs_of(model, batch=3))
        plan = make_plan(model)
        step = plan.steps[-1]
        place = step.facts.data
        found = "" if place is None else step.inputs[place].dtype  # type: ignore[union-attr]
        assert (step.name, found) == (op, dtype)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            together = stream(plan, 3, inputs)
        for b in range(3):
            alone = stream(plan, 1, [x[b : b + 1] for x in inputs])
            for whole, part, declared in zip(together, alone, plan.outputs * 2, strict=True):
                assert same(whole[b : b + 1], part)
                assert part.dtype.name == {"resource": "int32"}.get(declared.dtype, declared.dtype)

    holds(law, 60, strategies.nodes(op, dtype), st.data())


# ---- the types that have no kernel ---------------------------------------------------------------------------

TYPES = (
    "float32", "int8", "int16", "int32", "int64", "uint8", "bool", "uint32", "uint64",
    "complex64", "complex128", "float16", "float64", "int4", "uint16",
)  # fmt: skip


@pytest.mark.parametrize("op", sorted({op for op, dtype in KERNELS if dtype}))
def test_tflm_refuses_the_types_that_have_no_kernel_or_it_is_told_that_it_does_not(op: str, tflm: Tflm) -> None:
    """Every type in the place of one that has a kernel, with the quantisation there and with a plain one."""
    have = {dtype for name, dtype in KERNELS if name == op}
    others = [dtype for dtype in TYPES if dtype not in have]
    taken = set()
    for dtype in sorted(have):
        for model, _ in drawn(op, dtype, 2, 1):
            for other, plain in product(others, (False, True)):
                with suppress(OracleCrash):
                    if tflm.accepts(dump(_retyped(load(model), dtype, other, plain))):
                        taken.add(other)
    assert taken == {*TYPES_WITHOUT_KERNEL.get(op, ())}


@every_kernel
def test_a_refusal_of_what_tflm_runs_says_that_the_limit_is_refengines(op: str, dtype: str, tflm: Tflm) -> None:
    """Every constant in turn as an input."""
    for model, _ in drawn(op, dtype, 3, 3):
        graph = load(model).graphs[0]
        for index in {i for op in graph.ops for i in op.inputs if i >= 0 and graph.tensors[i].data is not None}:
            fed = _fed(load(model), index)
            if any(layer.verdict == "no" for layer in inspect(fed).layers):
                assert not tflm.accepts(dump(fed)), inspect(fed).refusals


def _fed(model: Model, index: int) -> Model:
    """The model with one of its constants as an input."""
    main, *others = model.graphs
    tensors = tuple(replace(t, data=None) if t.index == index else t for t in main.tensors)
    return replace(model, graphs=(replace(main, tensors=tensors, inputs=(*main.inputs, index)), *others))


def _retyped(model: Model, old: str, new: str, plain: bool) -> Model:
    """The model with the type `new` wherever it has `old`, and a scale of 1 there if `plain`."""

    def changed(t: Tensor) -> Tensor:
        with np.errstate(all="ignore"):
            data = None if t.data is None else t.data.astype("int8" if new == "int4" else new)
        return replace(t, dtype=new, data=data, quantization=Quantization((1.0,), (0,)) if plain else t.quantization)

    def retyped(graph: Graph) -> Graph:
        return replace(graph, tensors=tuple(changed(t) if t.dtype == old else t for t in graph.tensors))

    return replace(model, graphs=tuple(map(retyped, model.graphs)))


# ---- every kernel file looks like its siblings ---------------------------------------------------------------


@every_file
def test_a_kernel_file_mirrors_tflm_and_has_tests(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
    assert f"kernels/{path.stem}.cc" in docstring, "the docstring's `TFLM: kernels/….cc` names the file's twin"
    tests = ast.parse((Path(__file__).parent / "kernels" / f"test_{path.stem}.py").read_text())
    assert [f for f in ast.walk(tests) if isinstance(f, ast.FunctionDef) and f.name.startswith("test_")]


@every_file
def test_a_kernel_file_has_the_four_functions(path: Path) -> None:
    module = sys.modules[f"{package.__name__}.{path.stem}"]
    assert module.KERNELS
    for (op, _), kernel in module.KERNELS.items():
        assert op in TFLM_OPS or op in CUSTOM_OPS
        assert isinstance(kernel, Kernel)
        functions: list[Callable[..., object]] = [kernel.prepare, kernel.explain, kernel.example]
        assert all(map(callable, functions))
        assert callable(kernel.evaluate) or kernel.facts.control
        assert kernel.facts == next(k.facts for (name, _), k in module.KERNELS.items() if name == op)


def test_no_kernel_is_registered_twice() -> None:
    keys = [key for path in FILES for key in sys.modules[f"{package.__name__}.{path.stem}"].KERNELS]
    assert len(keys) == len(set(keys)) == len(KERNELS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_registers_the_operators_that_it_is_looked_up_for(path: Path) -> None:
    registered = tuple(dict.fromkeys(op for op, _ in sys.modules[f"{package.__name__}.{path.stem}"].KERNELS))
    assert registered == package.OTHERS.get(path.stem, (path.stem.upper(),))


def test_no_file_of_a_kernel_is_read_before_somebody_asks() -> None:
    code = "import sys, refengine; print([m for m in sys.modules if m.startswith('refengine.kernels.conv')])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_what_is_recommended_in_the_place_of_an_operator_is_one_that_tflm_has() -> None:
    for op, advice in INSTEAD.items():
        named = re.findall(r"\b[A-Z][A-Z0-9_]{2,}\b", advice)
        assert op not in TFLM_OPS and named and {*named} <= TFLM_OPS.keys()
