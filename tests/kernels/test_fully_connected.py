"""FULLY_CONNECTED's own facts: which zero points count, which types it takes, and what each dialect gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refengine import Numerics, UnsupportedError, make_plan, run
from refengine.model import Model, Tensor
from tests.models import const, fed, one_op, q

OPTIONS = {"fused_activation_function": "NONE", "keep_num_dims": False, "quantized_bias_type": "float32"}


def layer(
    weights: Any = ((2, -3),),
    *,
    input: Tensor | None = None,
    filter: Tensor | None = None,
    bias: Tensor | None = None,
    output: Tensor | None = None,
    **options: Any,
) -> Model:
    """Two inputs, one output, every scale 1 unless said otherwise."""
    return one_op(
        "FULLY_CONNECTED",
        OPTIONS | options,
        [input or fed((1, 2), "int8", q(1.0)), filter or const(weights, "int8", q(1.0)), bias],
        output or fed((1, 1), "int8", q(1.0)),
    )


def int8(*codes: int) -> np.ndarray[Any, Any]:
    return np.array([codes], np.int8)


def test_sum_of_products_and_bias() -> None:
    assert run(layer(bias=const([7], "int32", q(1.0))), int8(5, 4))[0].tolist() == [[2 * 5 - 3 * 4 + 7]]


def test_every_per_tensor_zero_point_counts() -> None:
    model = layer(
        input=fed((1, 2), "int8", q(1.0, 10)),
        filter=const([[2, -3]], "int8", q(1.0, -1)),
        output=fed((1, 1), "int8", q(1.0, 20)),
    )
    assert run(model, int8(5, 4))[0].item() == (5 - 10) * (2 + 1) + (4 - 10) * (-3 + 1) + 20


def test_per_channel_weights_are_taken_as_symmetric() -> None:
    model = layer(filter=const([[2, -3], [1, 1]], "int8", q((1.0, 0.5), -1)), output=fed((1, 2), "int8", q(1.0)))
    assert run(model, int8(5, 3))[0].tolist() == [[2 * 5 - 3 * 3, 4]]


@pytest.mark.parametrize(("rounding", "code"), [("double", -119), ("single", -119), ("xnnpack", -120)])
def test_a_tie_in_three_dialects(rounding: Any, code: int) -> None:
    """13 · 0.5 − 126: only ties-to-even goes down, as in tensorflow#102943."""
    model = layer(
        [[1, 1]],
        input=fed((1, 2), "int8", q(0.5)),
        bias=const([13], "int32", q(0.5)),
        output=fed((1, 1), "int8", q(1.0, -126)),
    )
    plan = make_plan(model, numerics=Numerics(rounding=rounding))
    assert run(plan, int8(0, 0))[0].item() == code


def test_accumulators_wrap_at_32_bits() -> None:
    model = layer([[1, 0]], bias=const([2**31 - 1], "int32", q(1.0)), output=fed((1, 1), "int8", q(2.0)))
    assert run(model, int8(1, 0))[0].item() == -128


@pytest.mark.parametrize(("bias_type", "code"), [("int32", 9929), ("int64", 9928)])
def test_the_bias_type_of_int16_layers_chooses_the_multiplier(bias_type: str, code: int) -> None:
    """A 64-bit accumulator meets the multiplier cut to 16 bits, a 32-bit one all 31."""
    model = layer(
        [[1, 0]],
        input=fed((1, 2), "int16", q(0.303)),
        filter=const([[1, 0]], "int8", q(1.0)),
        bias=const([0], bias_type, q(0.303)),
        output=fed((1, 1), "int16", q(1.0)),
    )
    assert run(model, np.array([[32767, 0]], np.int16))[0].item() == code


def test_scale_math_changes_the_multiplier() -> None:
    scales = dict(input=fed((1, 2), "int8", q(0.1)), output=fed((1, 1), "int8", q(0.3)))
    model = layer(filter=const([[2, -3]], "int8", q(0.7)), **scales)
    double, single = (
        make_plan(model, numerics=Numerics(scale_math=m)).steps[0].params.requantize.multiplier.multiplier
        for m in ("double", "float32")
    )
    si, sw, so = (float(np.float32(s)) for s in (0.1, 0.7, 0.3))
    assert double.item() == round(np.frexp(si * sw / so)[0] * 2**31)
    assert single.item() == round(np.frexp(float(np.float32(si * sw)) / so)[0] * 2**31) != double.item()


def test_float_sums_run_in_order_and_the_bias_comes_last() -> None:
    model = one_op(
        "FULLY_CONNECTED",
        OPTIONS,
        [fed((1, 3), "float32"), const([[1, 1, 1]], "float32"), const([2.0**-24], "float32")],
        fed((1, 1), "float32"),
    )
    x = np.array([[1, 2.0**-24, 2.0**-24]], np.float32)
    assert run(model, x)[0].item() == 1.0  # from the bias on, or pairwise, it would be more


@pytest.mark.parametrize("activation", ["TANH", "SIGN_BIT"])
def test_a_fused_tanh_or_sign_bit_is_left_out_as_in_tflm(activation: str) -> None:
    x = np.array([[7, -3]], np.int8)
    plain, fused = (run(layer(fused_activation_function=a), x)[0] for a in ("NONE", activation))
    assert np.array_equal(plain, fused)


def test_contraction_keeps_the_product() -> None:
    model = one_op(
        "FULLY_CONNECTED",
        OPTIONS,
        [fed((1, 2), "float32"), const([[-1, 1 + 2.0**-12]], "float32"), None],
        fed((1, 1), "float32"),
    )
    x = np.array([[1 + 2.0**-11, 1 + 2.0**-12]], np.float32)
    assert run(model, x)[0].item() == 0.0
    assert run(model, x, numerics=Numerics(contraction="fma"))[0].item() == 2.0**-24


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(input=fed((1, 2), "float32"), output=fed((1, 1), "float32")), "no hybrid kernels"),
        (
            dict(filter=fed((1, 2), "int4", q(1.0))),
            "are int4 and computed at run time; TFLM runs that, but refengine needs int4 weights constant",
        ),
        (dict(filter=fed((1, 2), "float32")), "int8 activations with float32 weights"),
        (dict(bias=const([0], "int32", q(1.03))), r"not input scale · weights scale \(1.03, not 1\), as TFLM needs"),
        (
            dict(
                input=fed((1, 2), "int8", q(0.1)),
                filter=const([[2, -3]], "int8", q(0.3)),
                bias=const([0], "int32", q(0.03)),
                output=fed((1, 1), "int8", q(4.6e-41)),
            ),
            "the scale 4.60004e-41 of output '.*' is so small that TFLM takes the last .* keep this layer in float",
        ),
        (dict(bias=const([0, 0], "int32", q(1.0))), "2 values for 1 output channels"),
        (dict(bias=const([0], "int64", q(1.0))), "int8 layers of this kind take int32"),
        (dict(output=fed((1, 2), "int8", q(1.0))), "do not fit together"),
        (dict(output=fed((1, 1), "int16", q(1.0))), "they must agree"),
        (dict(output=fed((1, 1), "int8")), "no positive scale"),
        (dict(filter=const([[2, -3], [1, 1]], "int4", q((1.0, 0.5))), output=fed((1, 2), "int8", q(1.0))), "one scale"),
        (dict(fused_activation_function="6"), "fused activation 6 is none that TFLM knows"),
    ],
)
def test_refusals_say_why(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UnsupportedError, match=message) as refusal:
        make_plan(layer(**change))
    assert "subgraph 0, operator 0 (FULLY_CONNECTED)" in str(refusal.value)
