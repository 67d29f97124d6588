"""TRANSPOSE_CONV's own facts: pixels scattered over windows, padding of the output's size, int16's oddities."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refengine import Numerics, UnsupportedError, make_plan, run
from refengine.model import Model, Tensor
from tests.models import const, fed, one_op, q


def transpose_conv(
    input: Tensor,
    filter: Tensor,
    output: Tensor,
    bias: Tensor | None = None,
    *,
    stride: tuple[int, int] = (1, 1),
    padding: str = "VALID",
    activation: str = "NONE",
    size: Tensor | None = None,
    **more: Any,
) -> Model:
    options = {
        "padding": padding,
        "stride_h": stride[0],
        "stride_w": stride[1],
        "fused_activation_function": activation,
    }
    return one_op(
        "TRANSPOSE_CONV",
        options | more,
        [const(output.shape, "int32") if size is None else size, filter, input, bias],
        output,
    )


def row(values: Any, dtype: str = "int8") -> np.ndarray[Any, Any]:
    return np.array(values, dtype).reshape(1, 1, -1, 1)


def taps(*values: float, dtype: str = "int8") -> Tensor:
    """A filter of one row, for one channel to one."""
    return const(row(values, dtype), dtype, None if dtype == "float32" else q(1))


@pytest.mark.parametrize(
    ("padding", "width", "expected"),
    [
        ("VALID", 5, [1, 2, 13, 20, 30]),  # 1·(1 2 3) from 0 on, 10·(1 2 3) from 2 on
        ("SAME", 4, [1, 2, 13, 20]),  # the odd pixel is cut off on the right
        ("SAME", 3, [2, 13, 20]),  # and here one on the left
        ("VALID", 7, [1, 2, 13, 20, 30, 0, 0]),  # where no pixel reaches, the sum is empty
    ],
)
@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_each_pixel_is_scattered_over_a_window(padding: str, width: int, expected: list[int], dtype: str) -> None:
    quantization = None if dtype == "float32" else q(1)
    model = transpose_conv(
        fed((1, 1, 2, 1), dtype, quantization),
        taps(1, 2, 3, dtype=dtype),
        fed((1, 1, width, 1), dtype, quantization),
        stride=(1, 2),
        padding=padding,
    )
    assert run(model, row([1, 10], dtype))[0].reshape(-1).tolist() == expected


def test_an_output_smaller_than_a_valid_window_is_padded_by_c_division() -> None:
    """Filter 7, stride 4, output 1: (1 + 4 − 7) / 4 is 0 in C, not −1, and pads ((0 − 1) · 4 + 7 − 1) / 2 = 1 tap."""
    model = transpose_conv(
        fed((1, 1, 1, 1), "int8", q(1)), taps(1, 2, 3, 4, 5, 6, 7), fed((1, 1, 1, 1), "int8", q(1)), stride=(1, 4)
    )
    assert run(model, row([1]))[0].item() == 2


def test_the_size_is_never_read() -> None:
    size = fed((4,), "int32", name="size")
    model = transpose_conv(fed((1, 1, 2, 1), "int8", q(1)), taps(3), fed((1, 1, 2, 1), "int8", q(1)), size=size)
    (y,) = run(model, np.array([9, -9, 0, 5], np.int32), row([1, 2]))
    assert y.reshape(-1).tolist() == [3, 6]


def test_int8_zero_points_bias_and_activation() -> None:
    """(7 − 2) · 3 + 4 = 19 and (0 − 2) · 3 + 4 = −2, by output zero point −5 and ReLU: 14, −5."""
    model = transpose_conv(
        fed((1, 1, 2, 1), "int8", q(1, 2)),
        taps(3),
        fed((1, 1, 2, 1), "int8", q(1, -5)),
        const([4], "int32"),
        activation="RELU",
    )
    assert run(model, row([7, 0]))[0].reshape(-1).tolist() == [14, -5]


@pytest.mark.parametrize("bias", ["int64", "int16"])
def test_int16_knows_no_zero_points_but_in_its_activation(bias: str) -> None:
    """Neither input nor output zero point is added; but ReLU clamps at the output's, 4."""
    model = transpose_conv(
        fed((1, 1, 2, 1), "int16", q(1, 2)),
        taps(3),
        fed((1, 1, 2, 1), "int16", q(1, 4)),
        const([-1], bias),
        activation="RELU",
    )
    assert run(model, row([7, 1], "int16"))[0].reshape(-1).tolist() == [20, 4]


def test_int16_accumulates_in_64_bits_whatever_the_option_says() -> None:
    """1024 products of 32767 · 127 are 4063.9 · 2²⁰, beyond 32 bits."""
    model = transpose_conv(
        fed((1, 1, 1, 2**10), "int16", q(1)),
        const(np.full((1, 1, 1, 2**10), 127), "int8", q(1)),
        fed((1, 1, 1, 1), "int16", q(2.0**20)),
        quantized_bias_type="int32",
    )
    assert run(model, np.full((1, 1, 1, 2**10), 32767, np.int16))[0].item() == 4064


def test_channels_have_scales_of_their_own() -> None:
    filter = const(np.array([2, 2]).reshape(2, 1, 1, 1), "int8", q((1, 0.5)))
    model = transpose_conv(fed((1, 1, 1, 1), "int8", q(1)), filter, fed((1, 1, 1, 2), "int8", q(1)))
    assert run(model, row([10]))[0].reshape(-1).tolist() == [20, 10]


def test_float_sums_run_over_the_input_in_order() -> None:
    """Column 1 gets 2⁻²⁴ · 1, then 2⁻²⁴ · 1, then 1 · 1: in that order, 1 + 2⁻²³. From the other end it would be 1."""
    tiny = 2.0**-24
    model = transpose_conv(
        fed((1, 1, 3, 1), "float32"), taps(1, 1, 1, dtype="float32"), fed((1, 1, 3, 1), "float32"), padding="SAME"
    )
    (y,) = run(model, row([tiny, tiny, 1], "float32"))
    assert y[0, 0, 1, 0] == 1 + 2.0**-23
    (y,) = run(model, row([1, tiny, tiny], "float32"))
    assert y[0, 0, 1, 0] == 1


def test_without_a_bias_nothing_is_added_not_even_0() -> None:
    """One rounding makes −0 of a product that vanishes; + 0.0 would make it +0."""
    small = np.float32(1e-30)
    output = fed((1, 1, 1, 1), "float32")
    plans = [
        make_plan(
            transpose_conv(fed((1, 1, 1, 1), "float32"), taps(-small, dtype="float32"), output, bias),
            numerics=Numerics(contraction="fma"),
        )
        for bias in (None, const([0], "float32"))
    ]
    assert [bool(np.signbit(run(plan, row([small], "float32"))[0].item())) for plan in plans] == [True, False]


def test_infinite_weights_meet_no_padding() -> None:
    model = transpose_conv(
        fed((1, 1, 1, 1), "float32"),
        taps(np.inf, 2, np.nan, dtype="float32"),
        fed((1, 1, 1, 1), "float32"),
        padding="SAME",
    )
    assert run(model, row([3], "float32"))[0].item() == 6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(filter=const(row([1]), "int4", q(1))), r"int8 activations with int4 weights 'input1' are not supported"),
        (dict(input=fed((1, 1, 2, 1), "float32"), output=fed((1, 1, 2, 1), "float32")), r"TFLM has no hybrid kernels"),
        (
            dict(
                input=fed((1, 1, 2, 1), "int16", q(1)),
                output=fed((1, 1, 2, 1), "int16", q(1)),
                bias=const([1], "int32"),
            ),
            r"bias 'input3' is int32, which TFLM's int16 layers of this kind read as int64, and beyond its end",
        ),
        (dict(bias=const([1, 2], "int32")), r"2 values for 1 output channels"),
        (dict(output=fed((1, 1, 2, 2), "int8", q(1))), r"do not fit together"),
        (dict(output=fed((2, 1, 2, 1), "int8", q(1))), r"do not fit together"),
        (dict(stride=(0, 1)), r"stride \(0, 1\) must be positive"),
        (dict(stride=(1, 2**15)), r"must be positive, and fit TFLM's 16 bits"),
        (dict(padding="FULL"), r"padding FULL is neither SAME nor VALID"),
        (dict(output=fed((1, 1, 2, 1), "int8", q(1e-12))), r"TFLM can shift by 31 bits at most"),
    ],
)
def test_refusals(change: dict[str, Any], message: str) -> None:
    tensors = {"input": fed((1, 1, 2, 1), "int8", q(1)), "filter": taps(1), "output": fed((1, 1, 2, 1), "int8", q(1))}
    with pytest.raises(UnsupportedError, match=message):
        make_plan(transpose_conv(**{**tensors, **change}))


def test_a_missing_input_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"expected output size, filter, input and an optional bias"):
        make_plan(
            one_op("TRANSPOSE_CONV", {}, [None, taps(1), fed((1, 1, 1, 1), "int8", q(1))], fed((1,), "int8", q(1)))
        )
