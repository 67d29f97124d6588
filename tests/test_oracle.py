"""The oracle survives what the real TFLM does: it prints, refuses, aborts and hangs."""

from __future__ import annotations

import numpy as np
import pytest
from oracle import Litert, OracleCrash, OracleRefusal, Tflm

from refengine import Graph, Model, Op, Quantization, Tensor
from refengine.tflite_io import dump

WEIGHTS = np.array([[1, 2], [-3, 0.5]], np.float32)
X, Y = np.array([[4, 8]], np.float32), np.array([[20, -8]], np.float32)

NO_ACTIVATION = {"fused_activation_function": "NONE"}


def dense(weights: np.ndarray = WEIGHTS) -> bytes:
    """A fully connected layer of float32 activations."""
    tensors = (
        Tensor(0, "x", (1, 2), "float32"),
        Tensor(1, "w", (2, 2), weights.dtype.name, Quantization((1.0,), (0,)), weights),
        Tensor(2, "y", (1, 2), "float32"),
    )
    return dump(
        Model((Graph(0, "main", tensors, (0,), (2,), (Op(0, "FULLY_CONNECTED", (0, 1, -1), (2,), NO_ACTIVATION),)),))
    )


def unary(op: str, options: dict[str, object], x: Tensor, y: Tensor) -> bytes:
    return dump(Model((Graph(0, "main", (x, y), (0,), (1,), (Op(0, op, (0,), (1,), options),)),)))


def softmax(classes: int) -> bytes:
    """TFLM aborts on rows whose exponentials sum to 512 or more."""
    return unary("SOFTMAX", {"beta": 1.0}, Tensor(0, "x", (1, classes), "int8", Quantization((1.0,), (0,))),
                 Tensor(1, "y", (1, classes), "int8", Quantization((1 / 256,), (-128,))))  # fmt: skip


def test_tflm_computes(tflm: Tflm) -> None:
    (y,) = tflm.run(dense(), [X])
    assert (y.dtype, y.shape) == (np.float32, (1, 2))
    np.testing.assert_array_equal(y, Y)


@pytest.mark.parametrize("resolver", ["ref", "default"])
def test_litert_computes(resolver: str) -> None:
    pytest.importorskip("ai_edge_litert")
    with Litert(resolver) as litert:
        np.testing.assert_array_equal(litert.run(dense(), [X])[0], Y)
        assert litert.tensors(dense(), [X]).keys() == {(0, 0), (0, 2)}


def test_many_inputs_go_through_one_model(tflm: Tflm) -> None:
    answers = tflm.run_many(dense(), [[X], [-X], [2 * X]])
    np.testing.assert_array_equal([y for (y,) in answers], [Y, -Y, 2 * Y])


def test_tensors_are_those_computed_and_fed(tflm: Tflm) -> None:
    tensors = tflm.tensors(dense(), [X])
    assert tensors.keys() == {(0, 0), (0, 2)}
    np.testing.assert_array_equal(tensors[0, 0], X)
    np.testing.assert_array_equal(tensors[0, 2], Y)


def test_the_arena_grows_with_the_model(tflm: Tflm) -> None:
    x = Tensor(0, "x", (1, 700, 700, 1), "float32")
    pool = {"padding": "VALID", "stride_w": 1, "stride_h": 1, "filter_width": 1, "filter_height": 1, **NO_ACTIVATION}
    model = unary("MAX_POOL_2D", pool, x, Tensor(1, "y", x.shape, "float32"))
    ramp = np.arange(700 * 700, dtype=np.float32).reshape(x.shape)
    np.testing.assert_array_equal(tflm.run(model, [ramp])[0], ramp)


def test_a_refusal_carries_what_tflm_printed(tflm: Tflm) -> None:
    with pytest.raises(OracleRefusal, match="FLOAT32 with filter type: INT8 not supported"):
        tflm.run(dense(WEIGHTS.astype(np.int8)), [X])
    with pytest.raises(OracleRefusal, match="Dimension mismatch") as caught:
        tflm.run(dense(), [X.T.copy()])
    assert "not supported" not in str(caught.value), "that was printed for the model before"


def test_an_abort_costs_only_the_worker(tflm: Tflm) -> None:
    assert tflm.run(softmax(511), [np.zeros((1, 511), np.int8)])[0].shape == (1, 511)
    with pytest.raises(OracleCrash, match="SIGABRT"):
        tflm.run(softmax(512), [np.zeros((1, 512), np.int8)])
    np.testing.assert_array_equal(tflm.run(dense(), [X])[0], Y)


def test_silence_is_an_error() -> None:
    pytest.importorskip("tflite_micro")
    with Tflm(timeout=0) as hasty, pytest.raises(OracleCrash, match="no answer within 0 s"):
        hasty.run(dense(), [X])
