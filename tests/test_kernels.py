"""The laws that every kernel obeys, tried on models that its own `example` invents.

A failing case is saved as a `.tflite` and an `.npz`, and the message says where.
"""

from __future__ import annotations

import ast
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conformance import COPIES, differing, judge, save
from dice import RUNS, Dice, invented
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Litert, OracleCrash, OracleRefusal, Tflm

from refengine import KERNELS, Model, Plan, make_plan, run, strategies
from refengine import kernels as package
from refengine.kernel import Kernel
from refengine.model import Array
from refengine.tflite_io import dump
from refengine.tflm_ops import TFLM_OPS

KEYS = sorted(KERNELS)
FILES = sorted(path for path in Path(package.__file__).parent.glob("[!_]*.py"))
every_kernel = pytest.mark.parametrize(("op", "dtype"), KEYS, ids=[f"{op}-{dtype}" for op, dtype in KEYS])
every_file = pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])

SAME_IN_LITERT = {
    *(
        (op, dtype)
        for op in ("CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D")
        for dtype in ("int8", "int16", "float32")
    ),
    *((op, dtype) for op in ("ADD", "MUL", "SUB", "SOFTMAX") for dtype in ("int8", "int16")),
    ("FULLY_CONNECTED", "float32"),
    ("MEAN", "int8"),
    ("RELU", "int8"),
    ("RESHAPE", "int8"),
    ("CONCATENATION", "int8"),
}
"""Where TFLite's reference kernels compute what TFLM's do. Elsewhere they differ by design: fully connected layers,
for one, are requantised in float64 there."""

Case = tuple[Model, tuple[Array, ...]]


def cases(op: str, dtype: str) -> st.SearchStrategy[Case]:
    """Models of one operator, as its kernel's `example` invents them, with inputs."""
    models = strategies.nodes(op, dtype).map(strategies.model_of)
    return models.flatmap(lambda model: st.tuples(st.just(model), strategies.inputs_of(model)))


def arrays_of(plan: Plan, inputs: tuple[Array, ...]) -> list[Array | None]:
    """What the only step of a plan reads, for inputs with a batch axis in front."""
    values = {**plan.constants, **dict(zip(plan.graph.inputs, inputs, strict=True))}
    return [None if t is None else values[t.index] for t in plan.steps[0].inputs]


def same(a: Array, b: Array) -> bool:
    """Equal in dtype, shape and every bit (but a NaN's)."""
    return (a.dtype, a.shape) == (b.dtype, b.shape) and not differing(a, b).any()


def single(inputs: tuple[Array, ...]) -> tuple[Array, ...]:
    return tuple(x[np.newaxis] for x in inputs)


# ---- TFLM is the judge ---------------------------------------------------------------------------------------


@every_kernel
def test_evaluate_equals_tflm(op: str, dtype: str, tflm: Tflm, tmp_path: Path) -> None:
    """The same bytes, dtype and shape as the real TFLM gives; and both refuse none of what `example` invents."""

    @settings(max_examples=200)
    @given(cases(op, dtype), st.integers(0, 2**32 - 1))
    def law(case: Case, seed: int) -> None:
        dice = Dice(seed)
        runs = [case[1], *(invented(case[0], dice) for _ in range(RUNS))]
        verdict = judge(tflm, dump(case[0]), runs, same_nan=op in COPIES)
        if verdict.kind != "equal":
            again = save(verdict, tmp_path, f"{op}-{dtype}")
            pytest.fail(f"{verdict.kind}: {verdict.message}; to see it again: {again}", pytrace=False)

    law()


@pytest.mark.parametrize(("op", "dtype"), sorted(SAME_IN_LITERT & KERNELS.keys()), ids=lambda part: part)
def test_litert_is_a_second_witness(op: str, dtype: str, litert: Litert) -> None:
    """TFLite's reference kernels agree wherever they take the model. (They refuse much that TFLM takes, such as
    convolutions without bias, and int16 with zero points.)"""
    heard = 0

    @settings(max_examples=60)
    @given(cases(op, dtype))
    def law(case: Case) -> None:
        nonlocal heard
        model = dump(case[0])
        try:
            theirs = litert.run(model, case[1])
        except (OracleRefusal, OracleCrash):
            return
        heard += 1
        assert all(map(same, run(model, *case[1]), theirs))

    law()
    assert heard, "LiteRT refused every case"


# ---- the four functions agree with each other ----------------------------------------------------------------


@every_kernel
def test_explain_ends_in_the_element(op: str, dtype: str) -> None:
    """The last line of an explanation is the element that `evaluate` computes, bit for bit."""

    @settings(max_examples=100)
    @given(cases(op, dtype), st.data())
    def law(case: Case, data: st.DataObject) -> None:
        plan = make_plan(case[0])
        (step,), (inputs, shape) = plan.steps, (single(case[1]), plan.outputs[0].shape)
        output = step.kernel.evaluate(step.params, *arrays_of(plan, inputs))[0]
        if output.size:
            index = tuple(data.draw(st.integers(0, d - 1)) for d in shape)
            arrays = [None if x is None else x[0] for x in arrays_of(plan, inputs)]
            lines = list(step.kernel.explain(step.params, index, *arrays))
            assert all(line.name and line.text for line in lines)
            assert same(np.asarray(lines[-1].value, output.dtype), output[index])

    law()


@every_kernel
def test_a_batch_is_its_inferences(op: str, dtype: str) -> None:
    """Each result of a batch is what its inputs give alone."""

    @settings(max_examples=50)
    @given(cases(op, dtype), st.data())
    def law(case: Case, data: st.DataObject) -> None:
        plan = make_plan(case[0])
        inputs = data.draw(strategies.inputs_of(case[0], batch=3))
        (step,) = plan.steps
        together = step.kernel.evaluate(step.params, *arrays_of(plan, inputs))
        together = np.broadcast_to(together, (3 if inputs else 1, *together.shape[1:]))
        for b, output in enumerate(together):
            alone = step.kernel.evaluate(step.params, *arrays_of(plan, tuple(x[b : b + 1] for x in inputs)))
            assert same(output, alone[0])

    law()


@every_kernel
def test_evaluate_is_a_function(op: str, dtype: str) -> None:
    """It gives the declared shape and dtype, the same every time, leaves its inputs alone and warns of nothing."""

    @settings(max_examples=50)
    @given(cases(op, dtype))
    def law(case: Case) -> None:
        plan = make_plan(case[0])
        (step,), arrays = plan.steps, arrays_of(plan, single(case[1]))
        before = [None if x is None else x.tobytes() for x in arrays]
        for x in arrays:
            if x is not None:
                x.flags.writeable = False
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            first, second = (step.kernel.evaluate(step.params, *arrays) for _ in range(2))
        assert [None if x is None else x.tobytes() for x in arrays] == before
        assert (first.dtype.name, first.shape[1:]) == (plan.outputs[0].dtype, plan.outputs[0].shape)
        assert first.tobytes() == second.tobytes()

    law()


@every_kernel
def test_example_invents_its_own_kind(op: str, dtype: str) -> None:
    """Nodes carry the operator's name and the key's dtype, and their models survive being written and read."""

    @settings(max_examples=25)
    @given(strategies.nodes(op, dtype))
    def law(node: object) -> None:
        model = strategies.model_of(node)  # type: ignore[arg-type]
        (planned,) = make_plan(dump(model)).steps
        assert planned.op.name == op
        assert planned.inputs[0] is not None
        assert planned.inputs[0].dtype == dtype

    law()


# ---- every kernel file looks like its siblings ---------------------------------------------------------------


@every_file
def test_a_kernel_file_mirrors_tflm_and_has_tests(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
    assert f"kernels/{path.stem}.cc" in docstring, "the docstring's `TFLM: kernels/….cc` names the file's twin"
    assert (Path(__file__).parent / "kernels" / f"test_{path.stem}.py").exists()


@every_file
def test_a_kernel_file_has_the_four_functions(path: Path) -> None:
    module = sys.modules[f"{package.__name__}.{path.stem}"]
    assert module.KERNELS
    for (op, _), kernel in module.KERNELS.items():
        assert op in TFLM_OPS
        assert isinstance(kernel, Kernel)
        functions: list[Callable[..., object]] = [kernel.prepare, kernel.evaluate, kernel.explain, kernel.example]
        assert all(map(callable, functions))


def test_no_kernel_is_registered_twice() -> None:
    keys = [key for path in FILES for key in sys.modules[f"{package.__name__}.{path.stem}"].KERNELS]
    assert len(keys) == len(set(keys)) == len(KERNELS)
