"""Reductions: the mean's truncated multiplier, wrapped sums, which floats win, axes, and what they refuse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine import PRESETS, Numerics, Quantization, Tensor, UnsupportedError, execute, make_plan, run
from refengine.explanation import explain
from refengine.kernel import Node
from refengine.kernels import reduce
from refengine.model import Array
from refengine.numerics import scalar
from refengine.numerics.fixedpoint import quantize_multiplier
from refengine.strategies import model_of

UNIT = Quantization((1.0,), (0,))


def node(
    op: str, x: Array, axes: Any, keep_dims: bool = False, input: Quantization = UNIT, output: Quantization = UNIT
) -> Node:
    """A reduction of `x` to the shape that NumPy gives."""
    quantised = x.dtype in (np.int8, np.int16)
    axis = np.array(axes, np.int32)
    shape = np.zeros(x.shape).sum(tuple({a % x.ndim for a in axis.reshape(-1)}), keepdims=keep_dims).shape
    return Node(
        op,
        {"keep_dims": keep_dims},
        (
            Tensor(0, "x", x.shape, x.dtype.name, input if quantised else None),
            Tensor(1, "axis", axis.shape, "int32", data=axis),
        ),
        (Tensor(2, "y", shape, x.dtype.name, output if quantised else None),),
    )


def of(op: str, x: Array, axes: Any, **options: Any) -> Array:
    return run(model_of(node(op, x, axes, **options)), x)[0]


def test_axes_may_be_negative_repeated_or_a_scalar() -> None:
    x = np.arange(24, dtype=np.int8).reshape(2, 3, 4)
    for axes in ([1], [-2], [1, -2, 1], 1):
        assert of("MEAN", x, axes).tolist() == [[4, 5, 6, 7], [16, 17, 18, 19]]
    assert of("SUM", x, [0, 2], keep_dims=True).shape == (1, 3, 1)
    assert of("REDUCE_MAX", x, [2, 0, 1]).tolist() == 23
    assert of("REDUCE_MIN", x, []).tolist() == x.tolist()


def test_a_mean_takes_both_quantisations_into_account() -> None:
    """(3 + 4 − 2 · 1) · 0.5 / 2 = 1.25, which is 5 in steps of ¼; −100 is code 0."""
    x = np.array([3, 4], np.int8)
    output = Quantization((0.25,), (-100,))
    assert of("MEAN", x, [0], input=Quantization((0.5,), (1,)), output=output).item() == -95


def test_the_multiplier_of_a_mean_is_divided_and_truncated() -> None:
    """2³¹ / 3 = 715827882.7 becomes …882; quantising ⅓ would round, and keep a bit more."""
    plan = make_plan(model_of(node("MEAN", np.zeros(3, np.int8), [0])))
    multiplier = plan.steps[0].params.requantize.multiplier
    assert multiplier.multiplier == 715827882
    assert multiplier.shift == 0
    assert scalar.quantize_multiplier(1 / 3) == (1431655765, -1)


@given(st.integers(1, 2**40), st.floats(2.0**-40, 2.0**20), st.sampled_from(["double", "single"]))
def test_dividing_the_multiplier(n: int, scale: float, rounding: str) -> None:
    factor = quantize_multiplier(scale, rounding)
    divided = reduce._divided(factor, n)
    assert -31 <= divided.shift.item() <= factor.shift.item()
    assert 0 <= divided.multiplier.item() < 2**31
    real = divided.multiplier.item() * 2.0 ** (divided.shift.item() - 31)
    lost = 2.0 ** (divided.shift.item() - 31)
    assert scale / n * (1 + 2.0**-30) + 2.0**-33 >= real > scale / n * (1 - 2.0**-30) - lost - 2.0**-31


def test_sums_wrap_like_int32() -> None:
    """70 000 codes of 32767 exceed 2³¹ and come out negative."""
    x = np.full(70_000, 32767, np.int16)
    small = Quantization((2.0**20,), (0,))
    assert of("SUM", x, [0], output=small).item() == scalar.round_half_away((70_000 * 32767 - 2**32) / 2**20)


@pytest.mark.parametrize(("value", "read"), [(3, 24), (100, -1), (-100, -1), (25, -56)])
def test_a_sum_of_bytes_is_explained_as_tflite_reads_it(value: int, read: int) -> None:
    """Eight codes as uint8, their sum clamped to 255, and read as int8."""
    x = np.full((1, 8), value, np.int8)
    plan = make_plan(model_of(node("SUM", x, [1])), numerics=PRESETS["litert-ref"])
    (record,) = execute(plan, x)
    assert record.outputs[0].tolist() == [read] == [explain(plan, record, (0,)).lines[-1].value]


def test_single_rounding_is_honoured() -> None:
    """−6 / 4 = −1.5: the second of two roundings goes away from zero, a single one up."""
    x = np.array([[-3, -3]], np.int8)
    model = model_of(node("SUM", x, [1], output=Quantization((4.0,), (0,))))
    assert run(model, x)[0].item() == -2
    assert run(model, x, numerics=Numerics(rounding="single"))[0].item() == -1


def test_float_sums_run_in_order() -> None:
    """1e8 + 1 is lost, and −1e8 then leaves 0."""
    x = np.array([[1e8, 1], [-1e8, 1]], np.float32)
    assert of("SUM", x, [0, 1]).item() == 1.0
    assert of("MEAN", x, [1, 0]).item() == 0.25
    assert not np.signbit(of("SUM", np.array([-0.0], np.float32), [0]))


def test_the_largest_float_is_never_nan_and_the_first_zero() -> None:
    nan, inf = np.nan, np.inf
    x = np.array([[nan, 1, nan], [-0.0, 0, -0.0], [0, -0.0, 0], [-inf] * 3, [inf] * 3, [nan] * 3], np.float32)
    far = np.finfo(np.float32).max
    largest, smallest = of("REDUCE_MAX", x, [1]), of("REDUCE_MIN", x, [1])
    assert largest.tolist() == [1, 0, 0, -far, inf, -far]
    assert smallest.tolist() == [1, 0, 0, -inf, far, far]
    for result in (largest, smallest):
        assert np.signbit(result[1:3]).tolist() == [True, False]


def test_all() -> None:
    x = np.array([[True, True], [True, False]])
    assert of("REDUCE_ALL", x, [1]).tolist() == [True, False]


def refusal(node: Node) -> str:
    with pytest.raises(UnsupportedError) as caught:
        make_plan(model_of(node))
    return str(caught.value)


def test_refusals() -> None:
    x = np.zeros((2, 3), np.int8)
    good = node("MEAN", x, [1])
    input, axis = good.inputs
    assert input is not None and axis is not None

    def with_axis(**changes: Any) -> Node:
        return good._replace(inputs=(input, replace(axis, **changes)))

    assert "as int32" in refusal(with_axis(data=np.array([1]), dtype="int64"))
    assert "computed at run time" in refusal(with_axis(data=None))
    assert "leaves the 2 dimensions" in refusal(with_axis(data=np.array([2], np.int32)))
    assert "leaves the 2 dimensions" in refusal(with_axis(data=np.array([-3], np.int32)))
    assert "gives (3,), but output" in refusal(with_axis(data=np.array([0], np.int32)))
    assert "expected input and axis" in refusal(good._replace(inputs=(input,)))
    assert "they must agree" in refusal(good._replace(outputs=(replace(good.outputs[0], dtype="int16"),)))
    assert "no positive scale" in refusal(good._replace(outputs=(replace(good.outputs[0], quantization=None),)))
    assert "gives (2, 1), but output" in refusal(good._replace(options={"keep_dims": True}))
    assert "can shift by 31 bits" in refusal(node("SUM", x, [1], output=Quantization((2.0**-32,), (0,))))
    assert "nothing to reduce" in refusal(node("MEAN", np.zeros((2, 0), np.int8), [1]))
    assert "must be quantised alike" in refusal(node("REDUCE_MAX", x, [1], output=Quantization((1.0,), (1,))))
    assert "must be quantised alike" in refusal(node("REDUCE_MIN", x, [1], output=Quantization((1.5,), (0,))))
    cube = np.zeros((1,) * 5, np.float32)
    assert "room for 4 axes, not 5" in refusal(node("MEAN", cube, [0, 1, 2, 3, 4]))
    make_plan(model_of(node("SUM", cube, [0, 1, 2, 3, 4])))
