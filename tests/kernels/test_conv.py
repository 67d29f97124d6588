"""CONV_2D's own facts: where the window lies, what padding adds, groups, and which zero points count."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refengine import Numerics, UnsupportedError, execute, make_plan, run
from refengine.kernel import At
from refengine.kernels import _window
from refengine.model import Model, Tensor
from refengine.strategies import inputs_of, model_of, nodes
from refengine.tensors.difference import unlike
from tests.models import const, fed, one_op, q

OPTIONS = {
    "padding": "VALID",
    "stride_h": 1,
    "stride_w": 1,
    "dilation_h_factor": 1,
    "dilation_w_factor": 1,
    "fused_activation_function": "NONE",
    "quantized_bias_type": "float32",
}


def conv(input: Tensor, filter: Tensor, output: Tensor, bias: Tensor | None = None, **options: Any) -> Model:
    return one_op("CONV_2D", OPTIONS | options, [input, filter, bias], output)


def image(rows: Any, dtype: str = "int8") -> np.ndarray[Any, Any]:
    return np.array(rows, dtype)[None, :, :, None]


def test_same_padding_puts_the_odd_pixel_at_the_bottom_right_and_adds_nothing() -> None:
    """A 2×2 window of ones over ones: full sums but for the last row and column; padding is the zero point."""
    model = conv(
        fed((1, 3, 3, 1), "int8", q(1.0, -7)),
        const(np.ones((1, 2, 2, 1)), "int8", q(1.0)),
        fed((1, 3, 3, 1), "int8", q(1.0)),
        padding="SAME",
    )
    result = run(model, np.full((1, 3, 3, 1), -6, np.int8))[0]
    assert result[0, :, :, 0].tolist() == [[4, 4, 2], [4, 4, 2], [2, 2, 1]]


def test_strides_and_dilations_step_over_pixels() -> None:
    model = conv(
        fed((1, 5, 4, 1), "int8", q(1.0)),
        const([[[[1], [0]], [[0], [1]]]], "int8", q(1.0)),
        fed((1, 2, 3, 1), "int8", q(1.0)),
        stride_h=2,
        dilation_h_factor=2,
    )
    x = np.arange(20).reshape(5, 4)
    assert run(model, image(x))[0][0, :, :, 0].tolist() == [
        [x[y, c] + x[y + 2, c + 1] for c in range(3)] for y in (0, 2)
    ]


def test_groups_see_only_their_channels() -> None:
    model = conv(
        fed((1, 1, 1, 4), "int8", q(1.0)),
        const([[[[1, 2]]], [[[3, 4]]]], "int8", q(1.0)),
        fed((1, 1, 1, 2), "int8", q(1.0)),
    )
    assert run(model, np.array([[[[1, 1, 5, 6]]]], np.int8))[0].ravel().tolist() == [3, 3 * 5 + 4 * 6]


def test_the_zero_point_of_weights_is_ignored() -> None:
    model = conv(
        fed((1, 1, 1, 1), "int8", q(1.0)), const([[[[3]]]], "int8", q(1.0, 5)), fed((1, 1, 1, 1), "int8", q(1.0))
    )
    assert run(model, image([[7]]))[0].item() == 21


def test_int16_layers_use_no_zero_points() -> None:
    model = conv(
        fed((1, 1, 1, 1), "int16", q(1.0, 9)), const([[[[3]]]], "int8", q(1.0)), fed((1, 1, 1, 1), "int16", q(1.0, 11))
    )
    assert run(model, image([[7]], "int16"))[0].item() == 21


def test_each_channel_has_its_scale() -> None:
    model = conv(
        fed((1, 1, 1, 1), "int8", q(1.0)),
        const([[[[1]]], [[[1]]]], "int8", q((1.0, 0.25))),
        fed((1, 1, 1, 2), "int8", q(1.0)),
    )
    assert run(model, image([[8]]))[0].ravel().tolist() == [8, 2]


def test_int4_weights_are_codes_like_others() -> None:
    model = conv(
        fed((1, 1, 1, 3), "int8", q(1.0)), const([[[[-8, 7, 1]]]], "int4", q(1.0)), fed((1, 1, 1, 1), "int8", q(1.0))
    )
    assert run(model, np.array([[[[1, 2, 3]]]], np.int8))[0].item() == -8 + 14 + 3


def test_float_infinities_become_flt_max_and_nan_stays() -> None:
    model = conv(fed((1, 1, 2, 1), "float32"), const([[[[1]]]], "float32"), fed((1, 1, 2, 1), "float32"))
    result = run(model, image([[np.inf, np.nan]], "float32"))[0].ravel()
    assert result[0] == np.finfo(np.float32).max and np.isnan(result[1])


def test_contraction_reaches_every_tap() -> None:
    model = conv(
        fed((1, 1, 2, 1), "float32"), const([[[[-1.0], [1 + 2.0**-12]]]], "float32"), fed((1, 1, 1, 1), "float32")
    )
    x = image([[1 + 2.0**-11, 1 + 2.0**-12]], "float32")
    assert run(model, x)[0].item() == 0.0
    assert run(model, x, numerics=Numerics(contraction="fma"))[0].item() == 2.0**-24


@settings(max_examples=60)
@given(data=st.data())
def test_tiles_of_any_size_give_the_same(data: st.DataObject) -> None:
    """A row at a time, some rows, whole images: of both convolutions, in any type."""
    name = data.draw(st.sampled_from(("CONV_2D", "DEPTHWISE_CONV_2D")))
    model = model_of(data.draw(nodes(name, data.draw(st.sampled_from(("int8", "int16", "float32"))))))
    (step,) = make_plan(model).steps
    arrays = data.draw(inputs_of(model))
    fed_in = iter(arrays)
    operands = [None if t is None else t.data if t.data is not None else next(fed_in) for t in step.inputs]
    batch = [None if x is None else x[None] for x in operands]
    with pytest.MonkeyPatch.context() as patched:
        for name in ("PATCH_BYTES", "FLOAT_PATCH_BYTES"):
            patched.setattr(_window, name, data.draw(st.sampled_from((1, 200, 1000))))
        (small,) = step.evaluate(*batch)
    (large,) = step.evaluate(*batch)
    assert not unlike(small, large).any()


def test_an_image_larger_than_a_tile_is_done_in_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three tiles of rows give what one sweep over the image does, and what each sum by hand gives."""
    rng = np.random.default_rng(1)
    weights = rng.integers(-127, 128, (2, 5, 5, 8))
    model = conv(
        fed((1, 90, 60, 8), "int8", q(0.1)), const(weights, "int8", q(0.01)), fed((1, 86, 56, 2), "int8", q(1.0))
    )
    plan = make_plan(model)
    x = rng.integers(-128, 128, (1, 90, 60, 8)).astype(np.int8)
    monkeypatch.setattr(_window, "PATCH_BYTES", 1 << 20)
    (record,) = execute(plan, x)
    monkeypatch.setattr(_window, "PATCH_BYTES", 1 << 24)
    assert run(plan, x)[0].tobytes() == record.outputs[0].tobytes()
    for y, column, channel in ((0, 0, 0), (30, 17, 1), (85, 55, 0)):
        *_, line = plan.steps[0].kernel.explain(plan.steps[0].params, At(0, (0, y, column, channel)), x, weights)
        assert line.value == record.outputs[0][0, y, column, channel]


def test_the_window_covers_the_whole_span_or_less_than_the_image() -> None:
    window = _window.window_of(OPTIONS | {"stride_h": 3, "stride_w": 3}, (1, 8, 8, 1), (2, 2), (1, 3, 3, 1))
    assert window.padded(np.zeros((1, 8, 8, 1))).shape == (1, 8, 8, 1) and not window.is_padded
    assert window.patches(np.arange(64).reshape(1, 8, 8, 1))[0, 2, 2, :, :, 0].tolist() == [[54, 55], [62, 63]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(stride_h=0), "must be positive"),
        (dict(input=fed((1, 3, 3, 0), "int8", q(1.0))), "0 input channels are no multiple"),
        (dict(dilation_h_factor=2**15), "must .* fit TFLM's 16 bits"),
        (dict(padding="SAME"), "gives height and width"),
        (dict(filter=const(np.ones((1, 2, 2, 3)), "int8", q(1.0))), "no multiple of the 3"),
        (
            dict(
                filter=const(np.ones((2, 2, 2, 1)), "int8", q((1.0, 1.0), dimension=3)),
                output=fed((1, 2, 2, 2), "int8", q(1.0)),
            ),
            "quantised along dimension 3",
        ),
        (dict(filter=const(np.ones((1, 2, 2, 1)), "float32")), "float32 weights"),
        (dict(input=fed((3, 3, 1), "int8", q(1.0))), "four dimensions"),
    ],
)
def test_refusals_say_why(change: dict[str, Any], message: str) -> None:
    tensors = {
        "input": fed((1, 3, 3, 1), "int8", q(1.0)),
        "filter": const(np.ones((1, 2, 2, 1)), "int8", q(1.0)),
        "output": fed((1, 2, 2, 1), "int8", q(1.0)),
    }
    with pytest.raises(UnsupportedError, match=message):
        make_plan(conv(**{**tensors, **change}))


@pytest.mark.parametrize("contraction", ["none", "fma"])
def test_infinite_weights_count_only_inside_the_image(contraction: Any) -> None:
    """A 2×2 filter on one pixel, padded right and below: TFLM skips all taps but the first."""
    model = conv(
        fed((1, 1, 1, 1), "float32"),
        const([[[[2.0], [np.inf]], [[np.nan], [-np.inf]]]], "float32"),
        fed((1, 1, 1, 1), "float32"),
        padding="SAME",
    )
    x = np.full((1, 1, 1, 1), 3, np.float32)
    assert run(model, x, numerics=Numerics(contraction=contraction))[0].item() == 6


def test_a_padding_beyond_tflms_16_bits_is_refused() -> None:
    """A 1×65535 filter pads 32767 columns on each side, which fits; with two taps more it would not."""
    options = {"padding": "SAME", "stride_h": 1, "stride_w": 1, "dilation_h_factor": 1, "dilation_w_factor": 1}
    image = (1, 1, 65537, 1)
    assert _window.window_of(options, image, (1, 65535), image).is_padded
    with pytest.raises(UnsupportedError, match="TFLM's 16 bits"):
        _window.window_of(options, image, (1, 65537), image)


@pytest.mark.parametrize("channels", [1, 2])
def test_columns_hold_what_each_position_sees(channels: int) -> None:
    """Of one channel they are gathered tap by tap."""
    options = OPTIONS | {"padding": "SAME", "stride_h": 2, "stride_w": 1}
    window = _window.window_of(options, (2, 7, 6, channels), (3, 4), (2, 4, 6, 5))
    padded = window.padded(np.arange(2 * 7 * 6 * channels, dtype=np.float32).reshape(2, 7, 6, channels))
    columns = window.columns(padded, slice(1, 3))
    assert columns.shape == (2 * 2 * 6, 12 * channels)
    for position, seen in enumerate(window.patches(padded)[:, 1:3].reshape(-1, 12 * channels)):
        assert columns[position].tolist() == seen.tolist()
