"""The loop: what a record holds, what inputs it takes, and that a batch is nothing but its inferences."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from threadpoolctl import ThreadpoolController

from refengine import InferenceError, InputError, Interpreter, Model, Plan, execute, make_plan, run
from refengine.bundled import bundled_models
from refengine.execute import infer, tile_size
from refengine.kernels import KERNELS
from refengine.model import Graph, Op, Tensor
from refengine.numerics import requantize
from refengine.numerics.line import Line, Staircase, in_float32
from refengine.strategies import inputs_of, model_of, nodes
from refengine.tflite_io import dump
from tests.kernels.test_assign_variable import remembering
from tests.kernels.test_detection_postprocess import detection
from tests.models import const, fed, one_op, present, q

FC = {"fused_activation_function": "RELU", "keep_num_dims": False, "quantized_bias_type": "float32"}


def two_layers(width: int = 3) -> Model:
    """(1, 4) → (1, width) → (1, 2), int8."""
    rng = np.random.default_rng(0)
    w1 = const(rng.integers(-9, 9, (width, 4)), "int8", q(0.1), "w1")
    w2 = const(rng.integers(-9, 9, (2, width)), "int8", q(0.1), "w2")
    tensors = [
        Tensor(0, "x", (1, 4), "int8", q(0.5)),
        w1,
        Tensor(2, "hidden", (1, width), "int8", q(0.5)),
        w2,
        Tensor(4, "y", (1, 2), "int8", q(0.5)),
    ]
    placed = tuple(Tensor(i, t.name, t.shape, t.dtype, t.quantization, t.data) for i, t in enumerate(tensors))
    ops = (Op(0, "FULLY_CONNECTED", (0, 1, -1), (2,), FC), Op(1, "FULLY_CONNECTED", (2, 3, -1), (4,), FC))
    return Model((Graph(0, "main", placed, (0,), (4,), ops),))


def codes(count: int, seed: int = 1) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(-128, 128, (count, 4)).astype(np.int8)


def test_a_record_a_step_with_read_only_arrays_in_declared_shapes() -> None:
    plan, x = make_plan(two_layers()), codes(1)
    records = list(execute(plan, x))
    assert [r.step.index for r in records] == [0, 1]
    assert [r.outputs[0].shape for r in records] == [(1, 3), (1, 2)]
    assert np.array_equal(present(records[0].inputs[0]), x) and records[0].inputs[2] is None
    assert records[1].inputs[0] is not None and np.array_equal(records[1].inputs[0], records[0].outputs[0])
    for record in records:
        for array in (*record.inputs, *record.outputs):
            assert array is None or not array.flags.writeable


def test_the_callers_input_is_neither_changed_nor_frozen() -> None:
    x = codes(1)
    before = x.copy()
    list(execute(make_plan(two_layers()), x))
    assert x.flags.writeable and np.array_equal(x, before)


def test_a_batch_is_its_inferences(monkeypatch: pytest.MonkeyPatch) -> None:
    plan, x = make_plan(two_layers()), codes(50)
    alone = np.concatenate([run(plan, x[i : i + 1])[0] for i in range(50)])
    assert np.array_equal(run(plan, x)[0], alone)
    monkeypatch.setattr(sys.modules["refengine.execute"], "TILE_BYTES", 7 * 28)
    assert 1 < tile_size(plan) < 10  # several tiles, the last one shorter
    assert np.array_equal(run(plan, x)[0], alone)
    assert [r.outputs[0].shape for r in execute(plan, x)] == [(50, 3), (50, 2)]


@pytest.mark.parametrize("name", sorted(name for name in bundled_models() if name.endswith("int8")))
def test_lines_of_float32_give_what_the_integer_arithmetic_does(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both forced: lines of float32 from the first pixel on, and none of any type."""

    lines: list[Line | None] = []

    def spy(stairs: Staircase) -> Line | None:
        lines.append(in_float32(stairs))
        return lines[-1]

    def codes_of_all_layers() -> list[list[bytes]]:
        plan = make_plan(bundled_models()[name])
        x = np.random.default_rng(0).integers(-128, 128, (3, *plan.inputs[0].shape[1:])).astype(np.int8)
        return [[output.tobytes() for output in record.outputs] for record in execute(plan, x)]

    monkeypatch.setattr(requantize, "OFTEN", 0)
    monkeypatch.setattr(requantize, "in_float32", spy)
    by_lines = codes_of_all_layers()
    assert any(lines)
    monkeypatch.setattr(requantize, "LINES", ())
    assert codes_of_all_layers() == by_lines


def test_threads_have_as_many_inferences_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles of 8 at most: not 8, 8, 8 and 2 of 26, with which one of two threads would wait."""
    plan, x, module = make_plan(two_layers()), codes(26), sys.modules["refengine.execute"]
    seen: list[int] = []

    def spy(plan: Plan, batch: int, inputs: Sequence[Any]) -> Any:
        seen.append(batch)
        return infer(plan, batch, inputs)

    monkeypatch.setattr(module, "TILE_BYTES", 8 * plan.widest)
    monkeypatch.setattr(module, "SHARED", 0)
    monkeypatch.setattr(module, "infer", spy)
    results = {threads: run(plan, x, threads=threads)[0].tobytes() for threads in (1, 2, 3)}
    assert len({*results.values()}) == 1
    assert [sorted(seen[a:b], reverse=True) for a, b in ((0, 4), (4, 8), (8, 14))] == [
        [7, 7, 7, 5],
        [7, 7, 7, 5],
        [5, 5, 5, 5, 5, 1],
    ]


def test_a_long_batch_takes_memory_for_its_results_only() -> None:
    plan, x = make_plan(two_layers(width=512)), codes(40_000)
    run(plan, x[:1000])
    tracemalloc.start()
    (result,) = run(plan, x)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert result.shape == (40_000, 2)
    assert peak < 30e6, "the hidden layer of the whole batch would be 20 MB of codes and 80 MB of sums"


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ((), r"has 1 input \(x\); got 0"),
        ((codes(1), codes(1)), "got 2"),
        ((codes(1).astype(np.float32),), "input 'x' is int8, got float32"),
        ((codes(1).astype(">i2"),), "got >i2|got int16"),
        ((codes(1).tolist(),), "got list, which is no array"),
        ((codes(1)[0, 0],), "got int8, which is no array"),
        ((codes(1)[0],), r"shape \(1, 4\) or \(N, 4\), got \(4,\)"),
        ((codes(1)[:, :3],), r"got \(1, 3\)"),
        ((codes(1)[:0],), r"got \(0, 4\)"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(inputs: tuple[Any, ...], message: str) -> None:
    plan = make_plan(two_layers())
    with pytest.raises(InputError, match=message):
        run(plan, *inputs)
    with pytest.raises(InputError, match=message):
        next(execute(plan, *inputs))


@pytest.mark.parametrize("counts", [(1, 3), (3, 1), (2, 3)])
def test_batches_of_other_lengths_are_refused(counts: tuple[int, int]) -> None:
    """One inference beside three is no batch, either: nobody said that it is to be repeated."""
    x, y = (fed((1, 2), "int32", name=name) for name in "xy")
    plan = make_plan(one_op("MAXIMUM", {}, [x, y], fed((1, 2), "int32", name="most")))
    arrays = [np.zeros((count, 2), np.int32) for count in counts]
    with pytest.raises(InputError, match="different batch lengths"):
        run(plan, *arrays)


# ---- a batch is nothing but its inferences -------------------------------------------------------------------


def ending_in(shape: tuple[int, ...]) -> Model:
    """(1, 4) int8 → RELU → `shape`."""
    x, y = Tensor(0, "x", (1, 4), "int8", q(0.5)), Tensor(1, "y", (1, 4), "int8", q(0.5))
    z = Tensor(2, "z", shape, "int8", q(0.5))
    ops = (Op(0, "RELU", (0,), (1,)), Op(1, "RESHAPE", (1,), (2,), {"new_shape": None}))
    return Model((Graph(0, "main", (x, y, z), (0,), (2,), ops),))


def with_constants() -> Model:
    """What a graph hands out besides: a constant (3,), one (1, 3), its own input, and a shape."""
    constants = (np.array([7, 8, 9], np.int8), np.array([[1, 2, 3]], np.int8))
    tensors = (
        Tensor(0, "x", (1, 4), "int8", q(0.5)),
        Tensor(1, "y", (1, 4), "int8", q(0.5)),
        Tensor(2, "c", (3,), "int8", data=constants[0]),
        Tensor(3, "d", (1, 3), "int8", data=constants[1]),
        Tensor(4, "s", (2,), "int32"),
    )
    ops = (Op(0, "RELU", (0,), (1,)), Op(1, "SHAPE", (1,), (4,), {"out_type": "int32"}))
    return Model((Graph(0, "main", tensors, (0,), (1, 2, 3, 0, 4), ops),))


MODELS = {
    "a leading 1": two_layers(),
    "classes": ending_in((4,)),
    "a scalar each": one_op("MEAN", {"keep_dims": False}, [fed((1, 4), "int8", q(1.0)), const([0, 1], "int32")],
                            fed((), "int8", q(1.0))),
    "another leading dimension": ending_in((2, 2)),
    "constants": with_constants(),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("threads", [1, 2, 3, 4])
def test_row_k_of_every_output_is_the_single_run_of_row_k(
    name: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the split into tiles, one of a single row among them."""
    monkeypatch.setattr(sys.modules["refengine.execute"], "TILE_BYTES", 4 * 4 * 8)
    for limit in ("HEAVY", "SHARED"):
        monkeypatch.setattr(sys.modules["refengine.execute"], limit, 0)
    plan, x = make_plan(MODELS[name]), codes(40)
    tile = tile_size(plan)
    alone = [run(plan, x[k : k + 1]) for k in range(len(x))]
    assert all(y.shape == t.shape for y, t in zip(alone[0], plan.outputs, strict=True))
    for n in range(2, 2 * tile + 3):
        outputs = run(plan, x[:n], threads=threads)
        for i, (y, tensor) in enumerate(zip(outputs, plan.outputs, strict=True)):
            assert y.shape == (n, *(tensor.shape[1:] if tensor.shape[:1] == (1,) else tensor.shape))
            for k in range(n):
                mine, own = y[k : k + 1].reshape(tensor.shape), alone[k][i]
                assert (mine.dtype, mine.tobytes()) == (own.dtype, own.tobytes())
        for record in execute(plan, x[:n]):
            assert all(len(y) == n for y in record.outputs)


def test_one_inference_has_the_declared_shapes_everywhere() -> None:
    for model in MODELS.values():
        plan, interpreter = make_plan(model), Interpreter(model_content=dump(model))
        shapes = [t.shape for t in plan.outputs]
        assert [y.shape for y in run(plan, codes(1))] == shapes
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], codes(1))
        interpreter.invoke()
        assert [interpreter.get_tensor(d["index"]).shape for d in interpreter.get_output_details()] == shapes
        for record in execute(plan, codes(1)):
            assert [y.shape for y in record.outputs] == [t.shape for t in record.step.outputs]


def test_a_scalar_for_each_of_a_batch() -> None:
    """What was one result of N values, or a ValueError."""
    assert run(MODELS["a scalar each"], codes(5))[0].shape == (5,)
    assert run(MODELS["classes"], codes(2))[0].shape == (2, 4)


@pytest.mark.slow
def test_blas_gets_its_threads_back_whoever_leaves_last() -> None:
    """Several threads run at once; the process's own limit is what it was before."""
    controller = ThreadpoolController().select(user_api="blas")
    with controller.limit(limits=2):
        before = [library["num_threads"] for library in controller.info()]
        plan, x = make_plan(two_layers(width=512)), codes(4000)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda k: run(plan, x[: 2000 + k]), range(16)))
        assert [library["num_threads"] for library in controller.info()] == before


def test_results_do_not_share_memory_with_the_input() -> None:
    """RESHAPE moves nothing, but who reuses the input's buffer must not change what was recorded."""
    model = one_op("RESHAPE", {"new_shape": (2, 2)}, [fed((1, 4), "int8", q(1.0))], fed((2, 2), "int8", q(1.0)))
    x = codes(1)
    (record,), (result,) = execute(make_plan(model), x), run(model, x)
    x[:] = 0
    assert record.outputs[0].any() and result.any()


def test_what_is_known_keeps_nothing_from_being_remembered() -> None:
    """A resumed inference leaves what a whole one leaves: steps without outputs run, too."""
    plan, x = make_plan(remembering("int8")), np.array([3, 4], np.int8)
    before = plan.initial.with_resource(("", "v"), np.array([[1, 2]], np.int8))
    *_, whole = execute(plan, x, state=before)
    *_, resumed = execute(plan, x, state=before, known={2: np.array([1, 2], np.int8)})
    assert resumed.state.resources["", "v"].tolist() == whole.state.resources["", "v"].tolist() == [[3, 4]]


def test_of_two_outputs_the_one_that_is_not_known_is_computed() -> None:
    x, halves = fed((2, 2), "int32"), [fed((1, 2), "int32", name=name) for name in ("upper", "lower")]
    plan = make_plan(one_op("SPLIT", {"num_splits": 2}, [const(0, "int32"), x], *halves))
    upper, lower = (t.index for t in plan.outputs)
    (record,) = execute(plan, np.array([[1, 2], [3, 4]], np.int32), known={upper: np.array([[9, 9]], np.int32)})
    assert [y.tolist() for y in record.outputs] == [[[9, 9]], [[3, 4]]]
    (record,) = execute(plan, np.array([[1, 2], [3, 4]], np.int32), known={lower: np.array([[9, 9]], np.int32)})
    assert [y.tolist() for y in record.outputs] == [[[1, 2]], [[9, 9]]]


@pytest.mark.parametrize("name", bundled_models())
@pytest.mark.parametrize("batch", [None, 3])
def test_a_straight_run_gives_what_the_walk_gives(name: str, batch: int | None) -> None:
    """Forced both ways: nobody watches the one, and what is the same each time it does not compute."""
    plan = make_plan(bundled_models()[name])
    tensor = plan.inputs[0]
    x = np.random.default_rng(0).integers(-128, 128, (batch or 1, *tensor.shape[1:])).astype(tensor.dtype)
    assert plan.straight is not None
    for known in ({}, {-1: x}):  # what is known of some tensor keeps a run from being straight
        outputs, _ = infer(plan, batch, (x,), known=known)
        assert [(y.shape, y.dtype, y.tobytes(), y.flags.writeable) for y in outputs] == [
            (y.shape, y.dtype, y.tobytes(), y.flags.writeable) for y in infer(plan, batch, (x,))[0]
        ]


def test_what_depends_on_shapes_is_computed_once() -> None:
    plan = make_plan(bundled_models()["dense_int8"])
    assert plan.straight is not None
    written = {index for step in plan.straight[0] for index in step.writes}
    left_out = {step.name for step in plan.steps if step.outputs[0].index not in written}
    assert left_out == {"SHAPE", "STRIDED_SLICE", "PACK"}


def test_nothing_is_straight_that_remembers_or_runs_subgraphs() -> None:
    assert make_plan(remembering("float32", read=("float32", (2,)))).straight is None


def test_constants_of_which_one_is_unwritten_in_part_leave_undefined_what_depends_on_it() -> None:
    """Two of three detections: their number is known beforehand, but of the third score there is no root."""
    (graph,) = detection().graphs
    scores, y = graph.inputs[0], len(graph.tensors)
    constant = replace(graph.tensors[scores], data=np.array([[[0.5, 0.25], [0.25, 0.75], [0.125, 0]]], np.float32))
    tensors = [constant if t.index == scores else t for t in graph.tensors]
    root = Op(1, "SQRT", (graph.outputs[2],), (y,), {})
    tensors.append(Tensor(y, "y", (1, 3), "float32"))
    whole = replace(graph, tensors=tuple(tensors), inputs=(), outputs=(y,), ops=(*graph.ops, root))
    ((roots,), _) = infer(make_plan(Model((whole,))), None, ())
    assert roots.tolist() == [[np.sqrt(np.float32(0.75)), np.sqrt(np.float32(0.125)), None]]


@settings(max_examples=25)
@given(data=st.data())
def test_every_operators_straight_run_is_its_walk(data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(KERNELS)))
    model = model_of(data.draw(nodes(*key)))
    plan, inputs = make_plan(model), data.draw(inputs_of(model))
    assume(plan.straight is not None)
    outcome: list[object] = []
    for known in ({}, {-1: np.zeros(1)}):
        try:
            outputs = infer(plan, None, inputs, known=known)[0]
            outcome.append([(np.ma.getmaskarray(y).tolist(), np.ma.filled(y, 0).tobytes()) for y in outputs])
        except InferenceError as error:
            outcome.append(str(error))
    assert outcome[0] == outcome[1]


def test_a_tensor_without_dimensions_is_an_array_that_one_may_feed() -> None:
    x, y = fed((), "float32"), fed((), "float32", name="y")
    plan = make_plan(one_op("RELU", {}, [x], y))
    (record,) = execute(plan, np.array(-1, np.float32))
    assert all(isinstance(each, np.ndarray) for each in (*record.inputs, *record.outputs))
    assert isinstance(run(plan, record.outputs[0])[0], np.ndarray)
