"""Operators that move, clamp, average, add and multiply codes, or look them up; over all codes where those are few."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refengine.model import Array, Quantization, Tensor
from refengine.numerics.quantize import code_range
from refengine.strategies import arrays, quantizations, scales, zero_points
from tests.models import const, fed, q
from tests.properties.one import apply, every_code

DTYPES = ("int8", "int16")
FLOAT_MAX = np.finfo(np.float32).max
EVERY = {dtype: every_code(dtype) for dtype in DTYPES}
INT8 = EVERY["int8"]
PAIRS = np.repeat(INT8, 256), np.tile(INT8, 256)
"""All pairs of int8 codes."""

few = settings(max_examples=30)


def quantize(x: Array, dtype: str, quantization: Quantization) -> Array:
    return apply("QUANTIZE", [fed(x.shape, "float32")], fed(x.shape, dtype, quantization), x)


def dequantize(codes: Array, quantization: Quantization) -> Array:
    return apply("DEQUANTIZE", [fed(codes.shape, codes.dtype.name, quantization)], fed(codes.shape, "float32"), codes)


def rescaled(codes: Array, input: Quantization, output: Quantization) -> Array:
    dtype = codes.dtype.name
    return apply("QUANTIZE", [fed(codes.shape, dtype, input)], fed(codes.shape, dtype, output), codes)


def unary(op: str, x: Array, input: Quantization | None, output: Quantization | None = None, **options: Any) -> Array:
    dtype = x.dtype.name
    return apply(op, [fed(x.shape, dtype, input)], fed(x.shape, dtype, output or input), x, **options)


def pool(op: str, x: Array, quantization: Quantization | None, window: int, padding: str = "SAME") -> Array:
    """Square windows over (1, y, x, c), stride 2."""
    n, *sides, c = x.shape
    shape = (n, *(-(-side // 2) if padding == "SAME" else (side - window) // 2 + 1 for side in sides), c)
    dtype = x.dtype.name
    options = {"padding": padding, "stride_w": 2, "stride_h": 2, "filter_width": window, "filter_height": window}
    return apply(op, [fed(x.shape, dtype, quantization)], fed(shape, dtype, quantization), x, **options)


def global_average(x: Array, quantization: Quantization | None) -> Array:
    _, height, width, channels = x.shape
    dtype = x.dtype.name
    return apply(
        "AVERAGE_POOL_2D",
        [fed(x.shape, dtype, quantization)],
        fed((1, 1, 1, channels), dtype, quantization),
        x,
        padding="VALID",
        stride_w=1,
        stride_h=1,
        filter_width=width,
        filter_height=height,
    )


def mean(
    x: Array, input: Quantization | None, output: Quantization | None = None, axis: tuple[int, ...] = (1, 2)
) -> Array:
    dtype, shape = x.dtype.name, tuple(1 if d in axis else n for d, n in enumerate(x.shape))
    operands: list[Tensor | None] = [fed(x.shape, dtype, input), const(axis, "int32")]
    return apply("MEAN", operands, fed(shape, dtype, output or input), x, keep_dims=True)


# ── 11. Maximum, RELU and copies ──────────────────────────────────────────────────────────────────

REALS = arrays((1, 5, 4, 3), "float32", -8, 8)


@few
@given(REALS, st.data(), st.sampled_from(DTYPES), st.sampled_from(("SAME", "VALID")))
def test_max_pool_commutes_with_quantisation(x: Array, data: st.DataObject, dtype: str, padding: str) -> None:
    quantization = data.draw(quantizations(dtype))
    codes = quantize(x, dtype, quantization)
    pooled = pool("MAX_POOL_2D", codes, quantization, 2, padding)
    assert np.array_equal(quantize(pool("MAX_POOL_2D", x, None, 2, padding), dtype, quantization), pooled)
    real = dequantize(codes, quantization)
    assert np.array_equal(pool("MAX_POOL_2D", real, None, 2, padding), dequantize(pooled, quantization))


@few
@given(st.data(), st.sampled_from(DTYPES))
def test_relu_commutes_with_quantisation(data: st.DataObject, dtype: str) -> None:
    quantization = data.draw(quantizations(dtype))
    codes = EVERY[dtype]
    real, rectified = dequantize(codes, quantization), unary("RELU", codes, quantization)
    assert np.array_equal(dequantize(rectified, quantization), unary("RELU", real, None))
    x = real * np.float32(1.37)
    assert np.array_equal(
        quantize(unary("RELU", x, None), dtype, quantization),
        unary("RELU", quantize(x, dtype, quantization), quantization),
    )


@few
@given(st.data(), st.sampled_from((*DTYPES, "float32")))
def test_padding_first_is_padding_within(data: st.DataObject, dtype: str) -> None:
    """CONV_2D over PAD is CONV_2D with SAME: int8 with any zero point, int16 with 0."""
    floats = dtype == "float32"
    quantization = None if floats else data.draw(quantizations(dtype, low=2.0**-8, high=1.0))
    x = data.draw(arrays((1, 4, 5, 2), dtype))
    weights = data.draw(arrays((3, 3, 3, 2), dtype if floats else "int8"))
    filter = const(weights, weights.dtype.name, None if floats else q(2.0**-6))
    output = fed((1, 4, 5, 3), dtype, quantization)
    both = [
        apply(
            "CONV_2D", [fed(y.shape, dtype, quantization), filter, None], output, y, padding=p, stride_h=1, stride_w=1
        )
        for y, p in ((x, "SAME"), (pad(x, quantization), "VALID"))
    ]
    assert both[0].tobytes() == both[1].tobytes()


def test_pad_fills_int16_with_code_0() -> None:
    """`kernels/pad.cc`; int8 is filled with the zero point."""
    for dtype, filling in (("int8", 3), ("int16", 0)):
        assert pad(np.full((1, 1, 1, 1), 9, dtype), q(1.0, 3)).ravel().tolist() == [filling] * 4 + [9] + [filling] * 4


def pad(x: Array, quantization: Quantization | None) -> Array:
    """One pixel on all sides."""
    n, height, width, c = x.shape
    dtype = x.dtype.name
    operands: list[Tensor | None] = [
        fed(x.shape, dtype, quantization),
        const([[0, 0], [1, 1], [1, 1], [0, 0]], "int32"),
    ]
    return apply("PAD", operands, fed((n, height + 2, width + 2, c), dtype, quantization), x)


@few
@given(st.data(), st.sampled_from(DTYPES))
def test_copies_commute_with_dequantising(data: st.DataObject, dtype: str) -> None:
    quantization = data.draw(quantizations(dtype))
    codes = data.draw(arrays((2, 3, 4), dtype))

    def moved(x: Array, quantization: Quantization | None) -> list[Array]:
        kind = x.dtype.name
        tensor = fed(x.shape, kind, quantization)

        def to(*shape: int) -> Tensor:
            return fed(shape, kind, quantization)

        twice: list[Tensor | None] = [tensor, tensor]
        return [
            apply("TRANSPOSE", [tensor, const([2, 0, 1], "int32")], to(4, 2, 3), x),
            apply("RESHAPE", [tensor, const([6, 4], "int32")], to(6, 4), x, new_shape=(6, 4)),
            apply("CONCATENATION", twice, to(2, 6, 4), x, axis=1),
            apply("PACK", twice, to(2, 2, 3, 4), x, axis=0, values_count=2),
            apply("EXPAND_DIMS", [tensor, const(1, "int32")], to(2, 1, 3, 4), x),
        ]

    real = moved(dequantize(codes, quantization), None)
    for copy, expected in zip(moved(codes, quantization), real, strict=True):
        assert np.array_equal(dequantize(copy, quantization), expected)


# ── 12. Activations as clamps ─────────────────────────────────────────────────────────────────────


@few
@given(st.data(), st.sampled_from(DTYPES), st.sampled_from(("RELU", "RELU6")))
def test_fused_activations_are_the_operators(data: st.DataObject, dtype: str, activation: str) -> None:
    """Of an ADD; all operators fuse by the same clamp."""
    first, second = data.draw(quantizations(dtype)), data.draw(quantizations(dtype))
    output = q(max(first.scale[0], second.scale[0]), data.draw(zero_points(dtype)) if dtype == "int8" else 0)
    a, b = data.draw(arrays((64,), dtype)), data.draw(arrays((64,), dtype))
    operands: list[Tensor | None] = [fed(a.shape, dtype, first), fed(b.shape, dtype, second)]
    fused, apart = (
        apply("ADD", operands, fed(a.shape, dtype, output), a, b, fused_activation_function=name)
        for name in (activation, "NONE")
    )
    assert np.array_equal(unary(activation, apart, output), fused)


@few
@given(st.data(), st.sampled_from((*DTYPES, "float32")))
def test_relu_twice_is_relu(data: st.DataObject, dtype: str) -> None:
    quantization = None if dtype == "float32" else data.draw(quantizations(dtype))
    x = data.draw(arrays((40,), "float32")) if dtype == "float32" else EVERY[dtype]
    once = unary("RELU", x, quantization)
    assert unary("RELU", once, quantization).tobytes() == once.tobytes()
    six = unary("RELU6", x, quantization)
    assert unary("RELU6", six, quantization).tobytes() == six.tobytes()


@few
@given(st.data(), st.sampled_from(DTYPES))
def test_relu6_may_exceed_six(data: st.DataObject, dtype: str) -> None:
    """By half a step at most; TFLM's `activations.cc`. Its output's scale does not count."""
    quantization = data.draw(quantizations(dtype))
    (scale,), codes = quantization.scale, EVERY[dtype]
    clamped = unary("RELU6", codes, quantization, q(3.0))
    assert np.array_equal(clamped, unary("RELU6", codes, quantization))
    real = (clamped.astype(np.float64) - quantization.zero_point[0]) * scale
    assert real.min() >= 0 and real.max() <= 6 + 0.5001 * scale


def test_leaky_relu_twice() -> None:
    """Negative codes are rescaled twice: within a step of once by α²; TFLM's `leaky_relu.h`."""
    for alpha in (0.5, 0.25, 0.3, 0.01):
        twice = unary("LEAKY_RELU", unary("LEAKY_RELU", INT8, q(1.0), alpha=alpha), q(1.0), alpha=alpha)
        once = unary("LEAKY_RELU", INT8, q(1.0), alpha=alpha * alpha)
        assert np.abs(twice.astype(int) - once).max() <= 1
        assert np.array_equal(twice[128:], INT8[128:])
    assert unary("LEAKY_RELU", np.array([-2], np.int8), q(1.0), alpha=0.25).item() == -1
    half = unary("LEAKY_RELU", np.array([-2], np.int8), q(1.0), alpha=0.5)
    assert unary("LEAKY_RELU", half, q(1.0), alpha=0.5).item() == 0


# ── 13. Averages ──────────────────────────────────────────────────────────────────────────────────


def images(dtype: str) -> st.SearchStrategy[Array]:
    return st.tuples(st.integers(1, 5), st.integers(1, 5)).flatmap(lambda sides: arrays((1, *sides, 3), dtype))


@few
@given(st.data(), st.sampled_from(DTYPES))
def test_average_pool_errs_by_half_a_step(data: st.DataObject, dtype: str) -> None:
    quantization, x = data.draw(quantizations(dtype)), data.draw(images(dtype))
    error = global_average(x, quantization) - x.mean(axis=(1, 2), keepdims=True, dtype=np.float64)
    assert np.abs(error).max() <= 0.5 + 1e-9


@few
@given(st.data(), st.sampled_from(DTYPES))
def test_average_pool_commutes_with_quantisation_within_a_step(data: st.DataObject, dtype: str) -> None:
    quantization = data.draw(quantizations(dtype, low=2.0**-6, high=1.0))
    low, high = code_range(dtype)
    (scale,), (zero_point,) = quantization.scale, quantization.zero_point
    bounds = max(-100.0, (low - zero_point) * scale), min(100.0, (high - zero_point) * scale)
    x = np.clip(data.draw(arrays((1, 3, 4, 2), "float32")), *bounds).astype(np.float32)
    first = global_average(quantize(x, dtype, quantization), quantization)
    last = quantize(global_average(x, None), dtype, quantization)
    assert np.abs(first.astype(int) - last).max() <= 1


@few
@given(st.data(), st.sampled_from((*DTYPES, "float32")))
def test_mean_is_the_average_pool_within_a_step(data: st.DataObject, dtype: str) -> None:
    """`reduce.h` and `integer_ops/pooling.h`; in float32 both sum in the same order, but only pooling clamps."""
    quantization, x = None, data.draw(images(dtype))
    if dtype != "float32":
        quantization = data.draw(quantizations(dtype))
        difference = mean(x, quantization).astype(int) - global_average(x, quantization)
        assert np.abs(difference).max() <= 1
        return
    assert np.clip(mean(x, None), -FLOAT_MAX, FLOAT_MAX).tobytes() == global_average(x, None).tobytes()


def test_the_mean_of_four_pixels_is_the_average_pool_but_for_a_quarter() -> None:
    """Of the positive sums: every sum of 4k + 1 is rounded up, as ¼ is to 1."""
    x = np.stack(np.meshgrid(*[np.arange(8, dtype=np.int8)] * 4), axis=-1).reshape(1, 1, -1, 4).swapaxes(2, 3)
    sums = x.sum(axis=2, dtype=int).ravel()
    x = x.reshape(1, 2, 2, -1)
    differ = (mean(x, q(1.0)) != global_average(x, q(1.0))).ravel()
    assert np.array_equal(differ, sums % 4 == 1) and differ.mean() == 0.25


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_mean_of_equal_values(dtype: str) -> None:
    """MEAN's multiplier is truncated, by less than anything shows; no zero point and count gives another code."""
    codes = EVERY[dtype]
    for n in (*range(1, 33), 49, 100, 1000) if dtype == "int8" else (1, 2, 3, 7, 49):
        for zero_point in (-128, 0, 5, 127) if dtype == "int8" else (0,):
            x = np.broadcast_to(codes[:, None], (codes.size, n))
            assert np.array_equal(mean(x, q(0.37, zero_point), axis=(1,)).ravel(), codes)
    ones = np.ones((1, 3), np.int8)
    assert mean(ones, q(2.5), q(1.0), axis=(1,)).item() == 2
    assert rescaled(np.array([1], np.int8), q(2.5), q(1.0)).item() == 3


# ── 14. Sums and products ─────────────────────────────────────────────────────────────────────────

ROOM = {"int8": 2.0**18, "int16": 2.0**13}
"""How much smaller than the larger input's the output's scale may be for TFLM not to abort."""


def binary(op: str, a: Array, b: Array, first: Any, second: Any, output: Any) -> Array:
    dtype = a.dtype.name
    return apply(op, [fed(a.shape, dtype, first), fed(b.shape, dtype, second)], fed(a.shape, dtype, output), a, b)


def pairs_of(data: st.DataObject, dtype: str) -> tuple[Array, Array]:
    """All pairs of int8 codes, or many of int16."""
    return PAIRS if dtype == "int8" else tuple(data.draw(st.tuples(*[arrays((500,), dtype)] * 2)))


@few
@given(st.data(), st.sampled_from((*DTYPES, "float32")))
def test_addition_commutes(data: st.DataObject, dtype: str) -> None:
    a, b = pairs_of(data, dtype)
    first = second = output = None
    if dtype != "float32":
        first, second, output = (data.draw(quantizations(dtype, low=0.1, high=2.0)) for _ in range(3))
    assert np.array_equal(binary("ADD", a, b, first, second, output), binary("ADD", b, a, second, first, output))


@few
@given(st.data(), st.sampled_from(DTYPES), scales(1.0, 2.0), st.floats(0.0, 1.0))
def test_zero_is_neutral(data: st.DataObject, dtype: str, scale: float, part: float) -> None:
    """Zeros of any scale up to the abort, and any zero point."""
    zero = data.draw(zero_points(dtype)) if dtype == "int8" else 0
    codes, quantization = EVERY[dtype], q(scale, zero)
    other = q(scale * (ROOM[dtype] * 0.99) ** part, zero)
    zeros = np.full_like(codes, zero)
    assert np.array_equal(binary("ADD", codes, zeros, quantization, other, quantization), codes)
    assert np.array_equal(binary("SUB", codes, zeros, quantization, other, quantization), codes)


@few
@given(scales(2.0**-20, 2.0**20), st.sampled_from(DTYPES))
def test_twice_a_code(scale: float, dtype: str) -> None:
    """a + a on twice the scale is a; a − a is the zero point."""
    codes, quantization = EVERY[dtype], q(scale)
    assert np.array_equal(binary("ADD", codes, codes, quantization, quantization, q(2 * scale)), codes)
    assert not binary("SUB", codes, codes, quantization, quantization, quantization).any()


@few
@given(st.data(), st.sampled_from(DTYPES))
def test_the_error_of_a_sum(data: st.DataObject, dtype: str) -> None:
    s1, s2 = data.draw(scales(2.0**-8, 2.0**8)), data.draw(scales(2.0**-8, 2.0**8))
    so = float(np.float32(max(s1, s2) * data.draw(scales(2 / ROOM[dtype], 2.0**4))))
    a, b = pairs_of(data, dtype)
    codes = binary("ADD", a, b, q(s1), q(s2), q(so)).astype(np.int64)
    exact = (a.astype(np.float64) * s1 + b.astype(np.float64) * s2) / so
    low, high = code_range(dtype)
    inside = (codes > low) & (codes < high)
    bound = 0.5 + 2.5 * max(s1, s2) / (ROOM[dtype] * 2 * so) + 2.0**-29 * high  # the multipliers' own errors
    assert np.abs(codes - exact)[inside].max(initial=0) <= bound


@few
@given(st.data(), st.sampled_from((*DTYPES, "float32")))
def test_multiplication_commutes_and_one_is_neutral(data: st.DataObject, dtype: str) -> None:
    a, b = pairs_of(data, dtype)
    first = second = output = None
    if dtype != "float32":
        first, second, output = (data.draw(quantizations(dtype, low=0.1, high=2.0)) for _ in range(3))
        codes, most = EVERY[dtype], code_range(dtype)[1]
        for one, scale in ((1, 1.0), (most, 1 / most)):
            assert np.array_equal(binary("MUL", codes, np.full_like(codes, one), first, q(scale), first), codes)
    product = binary("MUL", a, b, first, second, output)
    assert np.array_equal(product, binary("MUL", b, a, second, first, output))
    if dtype == "float32":
        assert np.array_equal(binary("MUL", -a, b, None, None, None), -product)


# ── 15. Sigmoid, tanh and hard swish ──────────────────────────────────────────────────────────────

FIXED = {
    ("TANH", "int8"): q(1 / 128),
    ("TANH", "int16"): q(2.0**-15),
    ("LOGISTIC", "int8"): q(1 / 256, -128),
    ("LOGISTIC", "int16"): q(2.0**-15),
}
SIGMOIDS = pytest.mark.parametrize(("op", "dtype"), list(FIXED))
ARGUMENTS = {"int8": scales(2.0**-9, 1.0), "int16": scales(2.0**-16, 2.0**-6)}


def curve(op: str, dtype: str, scale: float, zero_point: int = 0) -> Array:
    """The function at all codes, in steps from 0."""
    output = FIXED[op, dtype]
    return unary(op, EVERY[dtype], q(scale, zero_point), output).astype(int) - output.zero_point[0]


@SIGMOIDS
@few
@given(data=st.data())
def test_tanh_and_logistic_rise(data: st.DataObject, op: str, dtype: str) -> None:
    zero_point = data.draw(zero_points(dtype)) if dtype == "int8" else 0
    assert (np.diff(curve(op, dtype, data.draw(ARGUMENTS[dtype]), zero_point)) >= 0).all()


def test_float_logistic_falls_at_minus_nine() -> None:
    """`logistic.cc`: e^x below −9, 1 / (1 + e^−x) from there; everywhere else it rises over every third float."""
    first, last = np.array([-0.5, -30], np.float32).view(np.uint32)
    x = np.arange(int(first), int(last), 37, dtype=np.uint32).view(np.float32)[::-1]
    x = np.concatenate([x, np.array([-9.000001, -9], np.float32), -x[::-1]])
    x.sort()
    falls = np.flatnonzero(np.diff(unary("LOGISTIC", x, None)) < 0)
    assert [tuple(x[i : i + 2]) for i in falls] == [(np.float32(-9.000001), np.float32(-9))]
    below, at = unary("LOGISTIC", x[falls[0] : falls[0] + 2], None)
    assert f"{below / at:.5f}" == "1.00012"
    assert int(below.view(np.int32)) - int(at.view(np.int32)) == 1038


@SIGMOIDS
@few
@given(data=st.data())
def test_symmetry_of_tanh_and_logistic(data: st.DataObject, op: str, dtype: str) -> None:
    """f(x) + f(−x), less 1 for σ, in steps; a code saturated to the largest is one short."""
    values = curve(op, dtype, data.draw(ARGUMENTS[dtype]))[1:]
    one = 0 if op == "TANH" else 2**15 if dtype == "int16" else 256
    defect = values + values[::-1] - one
    assert defect.min() >= -1 and defect.max() <= (0 if dtype == "int8" else 3 if op == "TANH" else 1)
    if dtype == "int8":
        assert np.array_equal(defect < 0, np.minimum(values, values[::-1]) == (-128 if op == "TANH" else 0))
    x = np.linspace(0, 30, 100_000, dtype=np.float32)
    if op == "TANH":
        assert np.array_equal(unary(op, -x, None), -unary(op, x, None))
    else:
        assert np.abs(unary(op, x, None).astype(np.float64) + unary(op, -x, None) - 1).max() <= 2.0**-23


@SIGMOIDS
@few
@given(data=st.data())
def test_accuracy_of_tanh_and_logistic(data: st.DataObject, op: str, dtype: str) -> None:
    scale = data.draw(ARGUMENTS[dtype])
    x = EVERY[dtype].astype(np.float64) * scale
    steps = 1 / FIXED[op, dtype].scale[0]
    values, exact = curve(op, dtype, scale), steps * (np.tanh(x) if op == "TANH" else 1 / (1 + np.exp(-x)))
    nearly = dtype == "int16" and min(abs(np.log2(scale) - e) for e in (-12, -11)) < 1e-3
    bound = {("TANH", "int16"): 12 if nearly else 3.3, ("LOGISTIC", "int16"): 6.1 if nearly else 1.6}.get(
        (op, dtype), 0.51
    )
    assert np.abs(values - exact)[values < steps - 1].max() <= bound


def test_a_scale_that_is_nearly_a_power_of_two() -> None:
    """Within 10⁻³ octaves of 2⁻¹² (for TANH also of 2⁻¹¹) a scale is taken for it; TFLM's `CheckedLog2`."""
    for op, exponent in (("TANH", -12), ("TANH", -11), ("LOGISTIC", -12)):
        power, nearly, not_so = (curve(op, "int16", 2.0 ** (exponent + octaves)) for octaves in (0, 0.00099, 0.00101))
        assert np.array_equal(power, nearly) and not np.array_equal(power, not_so)


@few
@given(scales(2.0**-9, 1.0), scales(2.0**-5, 2.0**7), zero_points("int8"), zero_points("int8"))
def test_hard_swish(scale: float, ratio: float, zero_point: int, output_zero_point: int) -> None:
    """Within one of the nearest code; with one quantisation, x itself from 3 on, and 0 to −3."""
    x = (INT8.astype(np.float64) - zero_point) * float(np.float32(scale))
    output = q(scale * ratio, output_zero_point)
    swish = x * np.clip(x + 3, 0, 6) / 6
    exact = np.clip(np.rint(swish / output.scale[0]) + output_zero_point, -128, 127)
    assert np.abs(unary("HARD_SWISH", INT8, q(scale, zero_point), output) - exact).max() <= 1
    same = unary("HARD_SWISH", INT8, q(scale, zero_point))
    assert np.array_equal(same[x >= 3], INT8[x >= 3])
    assert (same[x <= -3] == zero_point).all()
