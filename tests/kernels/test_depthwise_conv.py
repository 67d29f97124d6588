"""DEPTHWISE_CONV_2D's own facts: which input channel an output channel sees, and its int64 bias."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from oracle import OracleCrash, Tflm

from refengine import Numerics, UnsupportedError, make_plan, run
from refengine.kernels import depthwise_conv
from refengine.model import Model, Tensor
from refengine.strategies import inputs_of, model_of, nodes
from refengine.tensors.difference import unlike
from refengine.tflite_io import dump
from tests.models import const, fed, one_op, q

OPTIONS = {
    "padding": "VALID",
    "stride_h": 1,
    "stride_w": 1,
    "dilation_h_factor": 1,
    "dilation_w_factor": 1,
    "fused_activation_function": "NONE",
    "depth_multiplier": 1,
}


def depthwise(input: Tensor, filter: Tensor, output: Tensor, bias: Tensor | None = None, **options: Any) -> Model:
    inputs = [input, filter] if bias is None else [input, filter, bias]
    return one_op("DEPTHWISE_CONV_2D", OPTIONS | options, inputs, output)


def test_output_channels_of_one_input_channel_lie_side_by_side() -> None:
    model = depthwise(
        fed((1, 1, 1, 2), "int8", q(1.0, 1)),
        const([[[[1, 2, 3, 4]]]], "int8", q(1.0)),
        fed((1, 1, 1, 4), "int8", q(1.0)),
        depth_multiplier=2,
    )
    assert run(model, np.array([[[[6, 11]]]], np.int8))[0].ravel().tolist() == [5, 10, 30, 40]


def test_scales_lie_along_the_last_dimension() -> None:
    model = depthwise(
        fed((1, 1, 1, 2), "int8", q(1.0)),
        const([[[[1, 1]]]], "int8", q((1.0, 0.5), dimension=3)),
        fed((1, 1, 1, 2), "int8", q(1.0)),
    )
    assert run(model, np.array([[[[8, 8]]]], np.int8))[0].ravel().tolist() == [8, 4]


def test_sums_too_long_for_float32_stay_exact() -> None:
    """Where |sum| may pass 2²⁴ the accumulator is float64; here it is 2²⁴ + 1 before the bias brings it back."""
    taps = 521
    weights = np.full((1, 1, taps, 1), 127)
    x = np.full((1, 1, taps, 1), 127, np.int8)
    x[0, 0, -1] = -127
    total = int((weights.astype(int) * (x.astype(int) + 128)).sum())
    assert total > 2**24 and total % 2
    model = depthwise(
        fed((1, 1, taps, 1), "int8", q(1.0, -128)),
        const(weights, "int8", q(1.0)),
        fed((1, 1, 1, 1), "int8", q(1.0)),
        const([3 - total], "int32", q(1.0)),
    )
    assert run(model, x)[0].item() == 3


def test_contraction_reaches_every_tap() -> None:
    model = depthwise(
        fed((1, 1, 2, 1), "float32"), const([[[[-1.0], [1 + 2.0**-12]]]], "float32"), fed((1, 1, 1, 1), "float32")
    )
    x = np.array([[[[1 + 2.0**-11], [1 + 2.0**-12]]]], np.float32)
    assert run(model, x)[0].item() == 0.0
    assert run(model, x, numerics=Numerics(contraction="fma"))[0].item() == 2.0**-24


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(depth_multiplier=2), "do not fit together"),
        (dict(bias=const([0], "int32"), dtype="int16"), "int64 bias"),
        (dict(filter=const(np.ones((1, 2, 2, 1)), "float32")), "float32 weights"),
    ],
)
def test_refusals_say_why(change: dict[str, Any], message: str) -> None:
    dtype = change.pop("dtype", "int8")
    tensors = {
        "input": fed((1, 3, 3, 1), dtype, q(1.0)),
        "filter": const(np.ones((1, 2, 2, 1)), "int8", q(1.0)),
        "output": fed((1, 2, 2, 1), dtype, q(1.0)),
    }
    with pytest.raises(UnsupportedError, match=message):
        make_plan(depthwise(**{**tensors, **change}))


@pytest.mark.parametrize(("dtype", "weights"), [("float32", "float32"), ("int8", "int8"), ("int16", "int8")])
def test_a_bias_that_is_listed_as_left_out_is_refused_where_tflm_crashes(dtype: str, weights: str, tflm: Tflm) -> None:
    quantization = None if dtype == "float32" else q(1.0)
    x, y = (fed(shape, dtype, quantization) for shape in ((1, 2, 2, 2), (1, 1, 1, 2)))
    filter = const(np.ones((1, 2, 2, 2)), weights, quantization)
    model = one_op("DEPTHWISE_CONV_2D", OPTIONS, [x, filter, None], y)
    with pytest.raises(UnsupportedError, match="the bias is listed as left out, on which TFLM crashes"):
        make_plan(model)
    with pytest.raises(OracleCrash):
        tflm.accepts(dump(model))


@settings(max_examples=60)
@given(data=st.data())
def test_every_way_to_the_sums_gives_the_same(data: st.DataObject) -> None:
    """Position by position is what it means; over lines of pixels, and as a matrix product, it is quick."""
    dtype = data.draw(st.sampled_from(("int8", "int16")))
    model = model_of(data.draw(nodes("DEPTHWISE_CONV_2D", dtype)))
    (step,) = make_plan(model).steps
    assume(isinstance(step.params, depthwise_conv.Params))  # nothing is computed at run time
    p, (x, *_) = step.params, data.draw(inputs_of(model))
    padded = p.window.centred(x, p.input_offset, p.weights.dtype)
    assert np.array_equal(padded, p.window.padded(np.add(x, p.input_offset, dtype=p.weights.dtype)))
    first = data.draw(st.integers(0, p.window.output[0] - 1))
    rows = slice(first, data.draw(st.integers(first + 1, p.window.output[0] + 2)))
    patches = p.window.patches(padded)[:, rows]
    meant = np.einsum("nyxabc,abcm->nyxcm", patches, p.weights).reshape(*patches.shape[:3], -1)
    assert np.array_equal(depthwise_conv.by_lines(p, padded, rows), meant)  # integers, of which −0.0 is one
    assert x.shape[3] > 1 or np.array_equal(depthwise_conv.by_product(p, padded, rows), meant)


@settings(max_examples=60)
@given(data=st.data())
def test_float_sums_over_lines_are_those_of_each_position(data: st.DataObject) -> None:
    model = model_of(data.draw(nodes("DEPTHWISE_CONV_2D", "float32")))
    preset = data.draw(st.sampled_from(("tflm", "cortex-m7")))
    (step,) = make_plan(model, numerics=preset).steps
    assume(isinstance(step.params, depthwise_conv.FloatParams))
    p, (x, *_) = replace(step.params, inside=None), data.draw(inputs_of(model))
    padded, rows = p.window.padded(x), slice(0, p.window.output[0])
    with np.errstate(all="ignore"):
        meant, quick = (f(p, padded, rows) for f in (depthwise_conv.floats_by_patches, depthwise_conv.floats_by_lines))
    assert not unlike(meant, quick).any()
