"""The loop: what a record holds, what inputs it takes, and that a batch is nothing but its inferences."""

from __future__ import annotations

import sys
import tracemalloc
from typing import Any

import numpy as np
import pytest

from refengine import InputError, Model, execute, make_plan, run
from refengine.execute import tile_size
from refengine.model import Graph, Op, Tensor
from tests.models import const, fed, one_op, q

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
    assert np.array_equal(records[0].inputs[0], x) and records[0].inputs[2] is None
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


def test_a_long_batch_takes_memory_for_its_results_only() -> None:
    plan, x = make_plan(two_layers(width=512)), codes(20_000)
    run(plan, x[:1000])
    tracemalloc.start()
    (result,) = run(plan, x)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert result.shape == (20_000, 2)
    assert peak < 20e6, "the hidden layer of the whole batch would be 10 MB of codes and 40 MB of sums"


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ((), r"has 1 inputs \(x\); got 0"),
        ((codes(1), codes(1)), "got 2"),
        ((codes(1).astype(np.float32),), "input 'x' is int8, got float32"),
        ((codes(1).astype(">i2"),), "got >i2|got int16"),
        ((codes(1).tolist(),), "got list"),
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


def test_outputs_that_no_step_computes() -> None:
    """A graph may hand out its input, or a constant; in a batch it is there for each."""
    tensors = (Tensor(0, "x", (1, 2), "int8"), Tensor(1, "c", (1, 2), "int8", data=np.array([[1, 2]], np.int8)))
    model = Model((Graph(0, "main", tensors, (0,), (1, 0), ()),))
    x = np.arange(6, dtype=np.int8).reshape(3, 2)
    constant, same = run(model, x)
    assert np.array_equal(same, x) and constant.tolist() == [[1, 2]] * 3


def test_results_do_not_share_memory_with_the_input() -> None:
    """RESHAPE moves nothing, but who reuses the input's buffer must not change what was recorded."""
    model = one_op("RESHAPE", {"new_shape": (2, 2)}, [fed((1, 4), "int8", q(1.0))], fed((2, 2), "int8", q(1.0)))
    x = codes(1)
    (record,), (result,) = execute(make_plan(model), x), run(model, x)
    x[:] = 0
    assert record.outputs[0].any() and result.any()
