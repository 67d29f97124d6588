"""Softmax: its tables, the row that stops TFLM, what is no maximum, and what it refuses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from refengine import PRESETS, Numerics, Plan, Quantization, Tensor, UnsupportedError, execute, make_plan, run
from refengine.explanation import explain
from refengine.kernel import At, Node
from refengine.kernels import softmax
from refengine.model import Array
from refengine.numerics import scalar, scalar_gemmlowp
from refengine.strategies import model_of

OUTPUTS = {
    ("int8", "int8"): Quantization((1 / 256,), (-128,)),
    ("int8", "int16"): Quantization((1 / 65536,), (-32768,)),
    ("int16", "int16"): Quantization((1 / 32768,), (0,)),
    ("float32", "float32"): None,
}


def node(length: int, dtype: str, output_type: str | None = None, scale: float = 0.1, beta: float = 1.0) -> Node:
    output_type = output_type or dtype
    input = Tensor(0, "x", (length,), dtype, None if dtype == "float32" else Quantization((scale,), (0,)))
    output = Tensor(1, "y", (length,), output_type, OUTPUTS[dtype, output_type])
    return Node("SOFTMAX", {"beta": beta}, (input,), (output,))


def of(row: Sequence[float], dtype: str, output_type: str | None = None, **options: Any) -> Array:
    x = np.array(row, dtype)
    return run(model_of(node(len(row), dtype, output_type, **options)), x)[0]


def params(node: Node, numerics: Numerics | None = None) -> Any:
    plan: Plan = make_plan(model_of(node), numerics=numerics)
    return plan.steps[0].params


def fnv1a(table: Array) -> int:
    """The FNV-1a hash of the codes, 16 bits a step."""
    return reduce(lambda hash, code: (hash ^ code & 0xFFFF) * 0x01000193 & 0xFFFFFFFF, table.tolist(), 0x811C9DC5)


def test_the_int16_tables_are_tflms() -> None:
    """The hashes of what TFLM's `LUTPopulate` fills in, the same on x86-64 and on every Cortex-M."""
    p = params(node(4, "int16"))
    assert len(p.exp_lut) == len(p.one_over_one_plus_x_lut) == 513
    assert fnv1a(p.exp_lut) == 0x0FCC1D75
    assert fnv1a(p.one_over_one_plus_x_lut) == 0xFC8E4B6E


@given(st.floats(2.0**-25, 2.0**6, width=32), st.sampled_from(["double", "single"]))
def test_the_int8_table_holds_every_difference(scale: float, rounding: Any) -> None:
    """The table is what TFLM's loop would compute for each difference of two codes."""
    p = params(node(4, "int8", scale=scale), Numerics(rounding=rounding))
    multiplier, shift = scalar.quantize_multiplier(min(scale * 2**26, 2.0 ** (30 if rounding == "single" else 31) - 1))
    assert p.diff_min == -math.floor(31 * 2**26 / 2**shift)
    for diff in (0, 1, 2, 3, 10, 31, 127, 128, 254, 255):
        scaled = scalar.multiply_by_quantized_multiplier(-diff, multiplier, shift, rounding=rounding)
        exp = 0 if -diff < p.diff_min else scalar_gemmlowp.exp_on_negative_values(scaled, 5)
        assert p.exps[diff] == exp
        assert p.terms[diff] == scalar.rounding_divide_by_pot(exp, 12)


@pytest.mark.parametrize(("dtype", "output_type", "equal", "low", "high"), [
    ("int8", "int8", -64, -128, 127), ("int8", "int16", -16384, -32768, 32767), ("int16", "int16", 8192, 2, 32764),
    ("float32", "float32", 0.25, 0.0, 1.0),
])  # fmt: skip
def test_equal_and_certain_rows(dtype: str, output_type: str, equal: float, low: float, high: float) -> None:
    """Four equal logits are ¼ each; one far above the others is 1, or all but the table's e^−10."""
    assert of([7] * 4, dtype, output_type, scale=1.0).tolist() == [equal] * 4
    assert of([127, -128, -128], dtype, output_type, scale=1.0).tolist() == [high, low, low]


def test_real_softmax_is_near() -> None:
    logits = np.array([-20, 3, 17, 18, 40])
    real = np.exp(logits * 0.05) / np.exp(logits * 0.05).sum()
    for (dtype, output_type), quantization in OUTPUTS.items():
        if quantization is None:
            assert np.allclose(of((logits * 0.05).tolist(), "float32"), real, atol=1e-6)
        else:
            (step,), (zero_point,) = quantization.scale, quantization.zero_point
            codes = of(logits.tolist(), dtype, output_type, scale=0.05)
            assert np.abs((codes.astype(float) - zero_point) * step - real).max() < 2 * step


def test_a_row_that_sums_to_512_halts_tflm() -> None:
    """511 equal logits have 1/511 each, which rounds to 1/256; with 512, TFLM aborts: see the module's docstring."""
    assert set(of([5] * 511, "int8").tolist()) == {-127}
    assert set(of([5] * 512, "int8").tolist()) == {-128}
    assert set(of([5] * 600 + [127], "int8", scale=1.0).tolist()) == {-128, 127}
    lines = list(softmax.explain(params(node(512, "int8")), At(0, (3,)), np.full(512, 5, np.int8)))
    assert any("TFLM halts" in line.text for line in lines)
    assert not any(
        "halts" in line.text for line in softmax.explain(params(node(8, "int8")), At(0, (3,)), np.zeros(8, np.int8))
    )
    assert set(of([5] * 8191, "int8", "int16").tolist()) == {-32768 + 8}


def test_a_nan_is_no_maximum_and_an_empty_sum_is_nan() -> None:
    nan, inf = float("nan"), float("inf")
    assert np.isnan(of([1, nan, 2], "float32")).all()
    assert np.isnan(of([-inf, -inf], "float32")).all()
    assert of([-inf, 0], "float32").tolist() == [0, 1]
    assert np.isnan(of([inf, 0], "float32")).all()


def test_float_sums_run_in_order() -> None:
    """A thousand exponentials e^−17 to 1: each is under half the last bit of 1, so in order they change nothing."""
    row = [0.0] + [-17.0] * 1000
    assert of(row, "float32")[0] == 1.0
    assert of(row[::-1], "float32")[-1] < 1.0


def test_rounding_and_libm_are_honoured() -> None:
    assert params(node(4, "int8"), Numerics(rounding="single")).input_multiplier.rounding == "single"
    assert params(node(4, "int16"), Numerics(rounding="xnnpack")).input_multiplier.rounding == "double"
    assert params(node(4, "float32"), Numerics(libm="newlib")).libm == "newlib"


def refusal(node: Node) -> str:
    with pytest.raises(UnsupportedError) as caught:
        make_plan(model_of(node))
    return str(caught.value)


def with_output(node: Node, **changes: Any) -> Node:
    return node._replace(outputs=(replace(node.outputs[0], **changes),))


@pytest.mark.parametrize(("dtype", "output_type", "scale", "zero_point"), [
    ("int8", "int8", 1 / 255, -128), ("int8", "int8", 1 / 256, -127), ("int8", "int16", 1 / 65400, -32768),
    ("int8", "int16", 1 / 65536, 0), ("int16", "int16", 1 / 32700, 0), ("int16", "int16", 1 / 32768, 1),
])  # fmt: skip
def test_output_quantisations_are_fixed(dtype: str, output_type: str, scale: float, zero_point: int) -> None:
    wrong = with_output(node(4, dtype, output_type), quantization=Quantization((scale,), (zero_point,)))
    assert "TFLM takes scale 1/" in refusal(wrong)


def test_refusals() -> None:
    int8 = node(4, "int8")
    assert "not above 2^-26" in refusal(node(4, "int8", scale=2.0**-26))
    assert "always sum to 512 or more" in refusal(node(1000, "int8", scale=1e-4))
    make_plan(model_of(node(1000, "int8", "int16", scale=1e-4)))
    assert "may overflow" in refusal(node(8192, "int8"))
    assert "may overflow" in refusal(node(65537, "int16"))
    make_plan(model_of(node(65536, "int16")))
    assert "must have the same shape" in refusal(with_output(int8, shape=(2, 2)))
    assert "last one not empty" in refusal(node(0, "float32"))
    assert "is float32; from int8 it can be int8 or int16" in refusal(with_output(int8, dtype="float32"))
    assert "no positive scale" in refusal(with_output(int8, quantization=None))
    assert "expected 1 input" in refusal(int8._replace(inputs=int8.inputs * 2))
    assert "beyond TFLM's range" in refusal(node(4, "int16", scale=2.0**31))
    int16 = node(4, "int16")
    shifted = replace(int16.inputs[0], quantization=Quantization((0.1,), (1,)))  # type: ignore[type-var]
    assert "has zero point 1" in refusal(int16._replace(inputs=(shifted,)))


@given(st.lists(st.integers(1 << 19, 8191 << 19), min_size=1, max_size=12))
def test_reciprocals_are_the_same_one_by_one_and_all_at_once(sums: list[int]) -> None:
    rows = np.array(sums, np.int64)[:, None]
    for mine, theirs in zip(softmax.one_by_one(rows), softmax.all_at_once(rows), strict=True):
        assert mine.shape == theirs.shape and np.array_equal(mine, theirs)


def test_an_explanation_of_litert_ends_in_the_element() -> None:
    plan, x = make_plan(model_of(node(4, "int8")), numerics=PRESETS["litert"]), np.array([1, 2, 3, 4], np.int8)
    (record,) = execute(plan, x)
    for i in range(4):
        assert explain(plan, record, (i,)).lines[-1].value == record.outputs[0][i]


def test_16_bit_scales_are_a_float32_product_in_tflite() -> None:
    """0.1 · 0.3 in float32 is 0.03000000119…, whose multiplier is another one."""
    single, double = (params(node(4, "int16", beta=0.3), Numerics(scale_math=math)) for math in ("tflite", "double"))
    product = float(np.float32(0.1) * np.float32(0.3))
    for p, real in ((single, product), (double, 0.1 * 0.3)):
        significand, shift = np.frexp(real * 65535 / 10)
        assert (p.input_multiplier.multiplier, p.input_multiplier.shift) == (round(significand * 2**31), shift)
    assert single.input_multiplier != double.input_multiplier


@given(
    arrays(np.int8, st.tuples(st.integers(1, 4), st.integers(1, 40))),
    st.floats(2.0**-8, 2.0),
    st.sampled_from(("int8", "int16")),
)
def test_codes_are_the_same_one_by_one_and_as_arrays(codes: Array, scale: float, output: str) -> None:
    p = params(node(codes.shape[1], "int8", output, scale=scale))
    one, all_ = softmax.code_by_code(p, codes), softmax.array_by_array(p, codes)
    assert one.dtype == all_.dtype and np.array_equal(one, all_)
    assert np.array_equal(softmax.array_by_array(p, codes.T.copy(), 0).T, one)


@given(arrays(np.int16, st.tuples(st.integers(1, 4), st.integers(1, 40))), st.floats(2.0**-14, 2.0**-4))
def test_16_bit_codes_are_the_same_one_by_one_and_as_arrays(codes: Array, scale: float) -> None:
    p = params(node(codes.shape[1], "int16", scale=scale))
    one, all_ = softmax.code_by_code_int16(p, codes), softmax.array_by_array_int16(p, codes)
    assert one.dtype == all_.dtype and np.array_equal(one, all_)
    assert np.array_equal(softmax.array_by_array_int16(p, codes.T.copy(), 0).T, one)


@pytest.mark.parametrize("dtype", ["int8", "int16", "float32"])
def test_many_rows_are_computed_as_columns(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks that end in the middle, and rows that do not fill one, among them."""
    rng, p = np.random.default_rng(0), params(node(5, dtype))
    evaluate: Any = {"int8": softmax.evaluate, "int16": softmax.evaluate_int16}.get(dtype, softmax.evaluate_float)
    x = rng.normal(0, 3, (3, 70, 5)) if dtype == "float32" else rng.integers(-99, 99, (3, 70, 5))
    x = x.astype(dtype)
    monkeypatch.setattr(softmax, "BLOCK", 5 * 80)
    columns = evaluate(p, x)
    monkeypatch.setattr(softmax, "MANY_ROWS", 1000)
    assert columns.dtype == dtype and np.array_equal(columns, evaluate(p, x))
