"""refengine/judge/{faults,verdict}.py: every planted fault is named, in its step; what is no known fault is not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from oracle import Litert

from refengine import PRESETS, Numerics, Plan, execute, make_plan, run
from refengine.bundled import bundled_models
from refengine.execute import infer
from refengine.judge import Dump, Report, diff, verdict
from refengine.judge.faults import DIALECTS, dialects
from refengine.kernel import Node
from refengine.model import Array, Graph, Model, Op, Tensor
from refengine.numerics import scalar
from refengine.state import State
from refengine.strategies import inputs_of, model_of, nodes
from tests.judge.planted import case_of, dump_of, fault, in_dialect, network, plantable
from tests.judge.streams import recurrent
from tests.models import const, fed, one_op, q, svdf
from tests.models import network as joined
from tests.quantizer.test_convert import stream as remembering_window

pytestmark = pytest.mark.slow


def named(report: Report, operator: int) -> list[str]:
    """What explains everything, if `operator` is the only culprit."""
    (culprit,) = report.culprits
    assert culprit.step.index == operator
    return [candidate.how for candidate in culprit.candidates if candidate.complete]


def assert_named(report: Report, operator: int, how: str) -> None:
    """The fault is named, or a dialect that happens to give the same output."""
    explained = named(report, operator)
    assert how in explained or any(clause.startswith("under ") for clause in explained), how


# ---- trained networks -------------------------------------------------------------------------------------

LAYER = {"clamp", "bias", "requantisation", "multiplier", "accumulator", "channel scales", "transposed weights"}
"""Classes of faults that change any integer layer with weights."""

PLANTED = {  # which operators of which networks, and the classes of faults that change them
    ("stm32f746_int8", 4): LAYER | {"padding", "taps", "zero point", "folded bias", "signedness", "swapped channels"},
    ("stm32f746_int8", 3): {"padding", "pool", "swapped channels", "shifted input", "signedness"},
    ("stm32f746_int8", 8): {"flattening"},
    ("stm32f746_int8", 10): LAYER | {"zero point", "folded bias", "endianness", "lost bit"},
    ("stm32f746_int16x8", 9): LAYER | {"endianness"},
    ("stm32f746_float32", 4): {"padding", "taps", "bias", "transposed weights", "half precision", "summation order"},
    ("esp32_int8", 5): {"zero point", "shifted input", "swapped channels"},
}


@pytest.mark.parametrize(("name", "operator"), PLANTED, ids=str)
def test_every_planted_fault_is_named(name: str, operator: int) -> None:
    plan, x = network(name)
    case = case_of(plan, operator, x)
    found = set()
    for cause, how, wrong in plantable(case):
        report = diff(plan, dump_of(plan, x, wrong={operator: wrong}), x)
        assert_named(report, operator, how)
        found.add(cause)
    assert found >= PLANTED[name, operator]


@pytest.mark.parametrize("name", ["stm32f746_int8", "dense_int16x8", "stm32f746_float32"])
def test_a_sound_dump_stays_silent(name: str) -> None:
    plan, x = network(name)
    report = diff(plan, dump_of(plan, x), x)
    assert not report.differs and not report.culprits
    assert {finding.status for finding in report.findings} == {"same"}
    assert report.summary.endswith("operators compared: no difference.")


@pytest.mark.parametrize(
    ("preset", "name", "digit"),
    [
        ("single", "stm32f746_int8", 0),
        ("xnnpack", "stm32f746_int8", 18),
        ("cortex-m3", "stm32f746_float32", 2),
        ("cortex-m4f", "stm32f746_float32", 0),
        ("cortex-m7", "stm32f746_float32", 0),
    ],
)
def test_dialects_of_whole_networks(preset: str, name: str, digit: int) -> None:
    plan, x = network(name, digit)
    report = diff(plan, in_dialect(plan, PRESETS[preset], x), x)
    assert report.culprits
    assert PRESETS[preset] in report.dialects
    assert report.certainty == "open" or "every difference vanishes under" in report.summary
    assert not diff(make_plan(plan.model, numerics=PRESETS[preset]), in_dialect(plan, PRESETS[preset], x), x).differs


def test_every_choice_of_numerics_has_a_name() -> None:
    words = [*dialects(PRESETS["tflm"]).values()]
    assert len(words) == len({*words}) and "" not in words
    assert {choice for choice, _ in DIALECTS} == {field.name for field in fields(Numerics)}


def test_litert_rounds_as_xnnpack_does() -> None:
    """A real dump: LiteRT with its default kernels, which are XNNPACK's here; digit 18 tells both roundings apart."""
    pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
    plan, x = network("stm32f746_int8", 18)
    with Litert("default") as litert:
        tensors = litert.tensors(bundled_models()["stm32f746_int8"].read_bytes(), [x])
    report = diff(plan, Dump("LiteRT", {i: array for (_, i), array in tensors.items()}), x)
    assert [*report.dialects.values()] == ["under XNNPACK's rounding", "under the dialect litert"]


def test_tflite_requantises_fully_connected_layers_in_float64(litert: Litert) -> None:
    plan, x = network("dense_int16x8")
    tensors = litert.tensors(bundled_models()["dense_int16x8"].read_bytes(), [x])
    report = diff(plan, Dump("LiteRT", {i: array for (_, i), array in tensors.items()}), x)
    assert [finding.step.index for finding in report.culprits] == [4, 5]
    assert all("vanish under TFLite's reference kernels" in finding.verdict for finding in report.culprits)
    assert "under the dialect litert-ref" in report.dialects.values()


# ---- invented operators -----------------------------------------------------------------------------------

INVENTED = [
    ("CONV_2D", "int8"),
    ("CONV_2D", "float32"),
    ("DEPTHWISE_CONV_2D", "int8"),
    ("FULLY_CONNECTED", "int8"),
    ("FULLY_CONNECTED", "int16"),
    ("AVERAGE_POOL_2D", "int8"),
    ("ADD", "int8"),
    ("MUL", "int8"),
    ("SUB", "int8"),
    ("SOFTMAX", "int8"),
    ("MEAN", "int8"),
    ("QUANTIZE", "float32"),
    ("LOGISTIC", "int8"),
    ("TANH", "int16"),
    ("HARD_SWISH", "int8"),
]


@pytest.mark.parametrize(("op", "dtype"), INVENTED)
@settings(max_examples=8)
@given(st.data())
def test_faults_of_invented_operators(op: str, dtype: str, data: st.DataObject) -> None:
    model = model_of(data.draw(nodes(op, dtype)))
    plan, inputs = make_plan(model), data.draw(inputs_of(model))
    faults = list(plantable(case_of(plan, 0, *inputs)))
    assert not diff(plan, dump_of(plan, *inputs), *inputs).differs
    assume(faults)
    _, how, wrong = data.draw(st.sampled_from(faults))
    report = diff(plan, dump_of(plan, *inputs, wrong={0: wrong}), *inputs)
    if report.differs:  # not where a NaN became another
        assert_named(report, 0, how)


@pytest.mark.parametrize("rounding", ["single", "xnnpack"])
@settings(max_examples=15)
@given(st.data())
def test_roundings_of_invented_layers(rounding: str, data: st.DataObject) -> None:
    model = model_of(data.draw(nodes("CONV_2D", "int8")))
    plan, inputs = make_plan(model), data.draw(inputs_of(model))
    report = diff(plan, in_dialect(plan, PRESETS[rounding], *inputs), *inputs)
    assert not report.differs or PRESETS[rounding] in report.dialects


@pytest.mark.parametrize("axis", [None, 0, 1, 2])
def test_what_lies_as_before_is_seen_behind_steps_that_only_move_it(axis: int | None) -> None:
    """Not where neighbours are exchanged, or pairs, or fours: of eight elements each has a place of three bits."""
    x = np.arange(8, dtype=np.int8).reshape(2, 2, 2)
    turned = one_op("REVERSE_V2", {}, [fed(x.shape, "int8"), const([axis or 0], "int32")], fed(x.shape, "int8"))
    flat = one_op("RESHAPE", {}, [fed(x.shape, "int8"), const([8], "int32")], fed((8,), "int8"))
    plan = make_plan(flat if axis is None else turned)
    (step,) = plan.steps
    assert step.data is not None
    values = {t.index: x if t.data is None else t.data for t in step.inputs if t is not None}
    held = verdict.Replay(plan.steps, values, step.outputs[0].index, plan.initial).shown(step.data.index, -x.ravel())
    assert held is None if axis is not None else held is not None and np.array_equal(held, -x)


# ---- faults by other hands than the table's ---------------------------------------------------------------

SCALES = (0.05, 0.02, 0.11)  # of input, weights and output
ZERO_POINT = 20  # of the input
CONV = {"padding": "SAME", "stride_h": 1, "stride_w": 1, "dilation_h_factor": 1, "dilation_w_factor": 1}


def small_layer(activation: str = "NONE", dilation: int = 1) -> tuple[Plan, Array, Array, Array]:
    """A 3×3 convolution, 6×6×2 → 6×6×3, with its weights, bias and an input."""
    dilated = {"dilation_h_factor": dilation, "dilation_w_factor": dilation}
    rng = np.random.default_rng(7)
    weights, bias = rng.integers(-127, 128, (3, 3, 3, 2)), rng.integers(-900, 900, 3)
    x = rng.integers(-128, 128, (1, 6, 6, 2)).astype(np.int8)
    model = one_op(
        "CONV_2D",
        CONV | dilated | {"fused_activation_function": activation},
        [
            fed((1, 6, 6, 2), "int8", q(SCALES[0], ZERO_POINT)),
            const(weights, "int8", q(SCALES[1])),
            const(bias, "int32", q(SCALES[0] * SCALES[1])),
        ],
        fed((1, 6, 6, 3), "int8", q(SCALES[2], -11)),
    )
    return make_plan(model), weights, bias, x


def naive(
    weights: Array,
    bias: Array,
    x: Array,
    *,
    pad: int = 1,
    dilation: int = 1,
    fill: int = ZERO_POINT,
    zero_point: int = ZERO_POINT,
    floor: bool = False,
    wrap: bool = False,
    low: int = -128,
    skip: tuple[int, int] | None = None,
    factor: Sequence[float] | Array = (1.0, 1.0, 1.0),
) -> Array:
    """The layer of `small_layer` in plain Python, with faults to choose from."""
    f32 = [float(np.float32(scale)) for scale in SCALES]
    output = np.zeros((1, 6, 6, 3), np.int8)
    for y, column, channel in np.ndindex(6, 6, 3):
        multiplier, shift = scalar.quantize_multiplier(f32[0] * f32[1] / f32[2] * float(factor[channel]))
        acc = 0
        for fy, fx, ic in np.ndindex(3, 3, 2):
            iy, ix = y - pad + fy * dilation, column - pad + fx * dilation
            inside = 0 <= iy < 6 and 0 <= ix < 6
            code = int(x[0, iy, ix, ic]) if inside else fill
            if (fy, fx) != skip:
                acc += (code - zero_point) * int(weights[channel, fy, fx, ic])
        acc += int(bias[channel])
        scaled = (acc * multiplier) >> (31 - shift) if floor else None
        code = (scalar.multiply_by_quantized_multiplier(acc, multiplier, shift) if scaled is None else scaled) - 11
        output[0, y, column, channel] = (code + 128) % 256 - 128 if wrap else max(low, min(127, code))
    return output


def test_the_naive_layer_is_sound() -> None:
    plan, weights, bias, x = small_layer()
    assert not diff(plan, dump_of(plan, x, wrong={0: naive(weights, bias, x)}), x).differs


@pytest.mark.parametrize(
    ("fault", "clause"),
    [
        (dict(pad=2), "if the window lies one row and one column too far up and left"),
        (dict(pad=0), "if the image is not padded above and left"),
        (dict(fill=0), "if the padding is code 0 instead of the zero point"),
        (dict(zero_point=0, fill=0), "if the zero point of the input is taken for 0"),
        (dict(floor=True), "if requantisation rounds down"),
        (dict(wrap=True), "if codes wrap around instead of saturating"),
    ],
    ids=str,
)
def test_faults_in_plain_python(fault: dict[str, Any], clause: str) -> None:
    plan, weights, bias, x = small_layer()
    assert clause in named(diff(plan, dump_of(plan, x, wrong={0: naive(weights, bias, x, **fault)}), x), 0)


def test_a_dilation_that_is_ignored_in_plain_python() -> None:
    """A dilation of 2 has two rows of padding above, where the same window without has one."""
    plan, weights, bias, x = small_layer(dilation=2)
    assert not diff(plan, dump_of(plan, x, wrong={0: naive(weights, bias, x, pad=2, dilation=2)}), x).differs
    for pad, clause in ((2, ""), (1, ", and the padding is that of a window without")):
        clauses = named(diff(plan, dump_of(plan, x, wrong={0: naive(weights, bias, x, pad=pad)}), x), 0)
        assert f"if the dilation is ignored{clause}" in clauses


@pytest.mark.parametrize(
    ("change", "clause"),
    [
        (lambda w, b: (w, 0 * b), "if the bias is left out"),
        (lambda w, b: (w, 2 * b), "if the bias is added twice"),
        (lambda w, b: (w, -b), "if the bias is subtracted"),
        (lambda w, b: (w, b.astype("<i4").byteswap()), "if the bytes of each bias value are reversed"),
        (lambda w, b: (w, np.roll(b, -1)), "if the bias is the next channel's"),
        (lambda w, b: (w, np.roll(b, 1)), "if the bias is the previous channel's"),
        (lambda w, b: (w, b[[0, 0, 0]]), "if the bias is the first channel's"),
        (
            lambda w, b: (w, np.roll(b - 20 * w.sum((1, 2, 3)), -1) + 20 * w.sum((1, 2, 3))),
            "if the bias with the zero point folded in is the next channel's",
        ),
        (lambda w, b: (w, b + 20 * w.sum((1, 2, 3))), "if the zero point of the input is not folded into the bias"),
        (
            lambda w, b: (w, b + np.array([300, 0, -77])),
            "if the layer has other biases than this file's (channel 0: +295, channel 2: -84)",
        ),
        (lambda w, b: (w[..., ::-1], b), "if the input's channels are in reverse order (RGB, BGR)"),
        (lambda w, b: (w[:, ::-1, ::-1], b), "if the filter's rows and columns are upside down"),
        (
            lambda w, b: (w.transpose(1, 2, 3, 0).reshape(w.shape), b),
            "if the weights are stored as HWIO but read as OHWI",
        ),
    ],
)
def test_wrong_weights_in_plain_python(change: Callable[[Array, Array], tuple[Array, Array]], clause: str) -> None:
    plan, weights, bias, x = small_layer()
    wrong = naive(*change(weights, bias), x)
    assert clause in named(diff(plan, dump_of(plan, x, wrong={0: wrong}), x), 0)


@pytest.mark.parametrize(
    ("factor", "clause"),
    [
        (1.3, "if all scales of the layer are off by one factor of about 1.29"),
        ((1.25, 1.0, 0.8), "if each channel's scale is off by a factor of its own"),
    ],
)
def test_wrong_scales_in_plain_python(factor: float | tuple[float, ...], clause: str) -> None:
    plan, weights, bias, x = small_layer()
    wrong = naive(weights, bias, x, factor=np.broadcast_to(factor, 3))
    assert any(each.startswith(clause) for each in named(diff(plan, dump_of(plan, x, wrong={0: wrong}), x), 0))


@pytest.mark.parametrize(
    ("factor", "more", "clause"),
    [
        (1.03, 0.0, "if all weights of the layer are scaled by a factor of about 1.03"),
        (1.0, 0.25, "if the layer has other biases than this file's: each is off by about 0.25"),
    ],
)
def test_wrong_floats_of_all_channels_alike(factor: float, more: float, clause: str) -> None:
    rng = np.random.default_rng(7)
    weights, bias = rng.normal(size=(3, 3, 3, 2)), rng.normal(size=3)
    x = rng.normal(size=(1, 6, 6, 2)).astype(np.float32)

    def layer(weights: Array, bias: Array) -> Plan:
        inputs = [fed((1, 6, 6, 2), "float32"), const(weights, "float32"), const(bias, "float32")]
        options = CONV | {"fused_activation_function": "NONE"}
        return make_plan(one_op("CONV_2D", options, inputs, fed((1, 6, 6, 3), "float32")))

    (wrong,) = (record.outputs[0] for record in execute(layer(factor * weights, bias + more), x))
    plan = layer(weights, bias)
    assert clause in named(diff(plan, dump_of(plan, x, wrong={0: wrong}), x), 0)


def mean_of(values: Array, count: int) -> Array:
    """The sums of windows over a count, ties away from zero, as TFLM's average pool."""
    total = values.sum((2, 4))
    mean: Array = np.sign(total) * ((np.abs(total) + count // 2) // count)
    return mean


@pytest.mark.parametrize(
    ("op", "wrong", "clause"),
    [
        ("MAX_POOL_2D", lambda v: v[:, :, 0, :, 0], "if the pool's window is 1×1 (it copies the first element of each"),
        ("MAX_POOL_2D", lambda v: v[:, :, :1].max((2, 4)), "if the last row of the window is skipped"),
        ("MAX_POOL_2D", lambda v: v[:, :, :, :, :1].max((2, 4)), "if the last column of the window is skipped"),
        ("MAX_POOL_2D", lambda v: np.maximum(v.max((2, 4)), 0), "if the maximum starts at 0 instead of the lowest"),
        ("AVERAGE_POOL_2D", lambda v: v[:, :, 0, :, 0], "if the pool's window is 1×1 (it copies the first element of"),
        ("AVERAGE_POOL_2D", lambda v: mean_of(v[:, :, :1], 4), "if the last row of the window is skipped"),
        ("AVERAGE_POOL_2D", lambda v: mean_of(v[:, :, :1], 2), "if the last row of the window is skipped, and not"),
        (
            "AVERAGE_POOL_2D",
            lambda v: mean_of(v[:, :, :, :, :1], 2),
            "if the last column of the window is skipped, and",
        ),
    ],
)
def test_wrong_pools_in_plain_python(op: str, wrong: Callable[[Array], Array], clause: str) -> None:
    options = {"padding": "VALID", "stride_h": 2, "stride_w": 2, "filter_height": 2, "filter_width": 2}
    tensors = fed((1, 6, 6, 3), "int8", q(0.1, -3)), fed((1, 3, 3, 3), "int8", q(0.1, -3))
    plan = make_plan(one_op(op, options | {"fused_activation_function": "NONE"}, [tensors[0]], tensors[1]))
    x = np.random.default_rng(1).integers(-128, 128, (1, 6, 6, 3)).astype(np.int8)
    windows = x.reshape(1, 3, 2, 3, 2, 3).astype(int)
    found = named(diff(plan, dump_of(plan, x, wrong={0: wrong(windows).astype(np.int8)}), x), 0)
    assert any(each.startswith(clause) for each in found)


def test_a_missing_clamp_in_plain_python() -> None:
    plan, weights, bias, x = small_layer("RELU")
    sound, wrong = naive(weights, bias, x, low=-11), naive(weights, bias, x)
    assert not diff(plan, dump_of(plan, x, wrong={0: sound}), x).differs
    assert "if the fused activation is not applied" in named(diff(plan, dump_of(plan, x, wrong={0: wrong}), x), 0)


@pytest.mark.parametrize(
    ("narrow", "clause"),
    [
        (lambda w: w.astype(np.float16).astype(np.float32), "if the weights were rounded to float16"),
        (lambda w: (w.view(np.uint32) >> 16 << 16).view(np.float32), "if the weights were cut to bfloat16"),
    ],
)
def test_narrow_weights_in_plain_numpy(narrow: Callable[[Array], Array], clause: str) -> None:
    rng = np.random.default_rng(9)
    weights, bias, x = (rng.normal(size=shape).astype(np.float32) for shape in ((24, 16), (24,), (4, 16)))
    options = {"fused_activation_function": "NONE", "keep_num_dims": False, "asymmetric_quantize_inputs": False}
    inputs = [fed((4, 16), "float32"), const(weights, "float32"), const(bias, "float32")]
    plan = make_plan(one_op("FULLY_CONNECTED", options, inputs, fed((4, 24), "float32")))
    wrong = np.zeros((4, 24), np.float32)
    for k in range(16):
        wrong += x[:, k : k + 1] * narrow(weights)[:, k]
    assert clause in named(diff(plan, dump_of(plan, x, wrong={0: wrong + bias}), x), 0)


INPUT, WEIGHTS, OUTPUT = (float(np.float32(scale)) for scale in SCALES)
MULTIPLIER, SHIFT = scalar.quantize_multiplier(INPUT * WEIGHTS / OUTPUT)
REAL = MULTIPLIER * 2.0 ** (SHIFT - 31)


def wrapped(x: int) -> int:
    """In 16 bits."""
    return (x + 2**15) % 2**16 - 2**15


def half_up(x: int) -> int:
    """Rounded twice, each time ties towards +∞."""
    high = (x * MULTIPLIER + 2**30) >> 31
    return (high + (1 << -SHIFT >> 1)) >> -SHIFT


@pytest.mark.parametrize(
    ("code", "clause"),
    [
        (lambda x, b: scaled(x, shift=SHIFT + 1), "if the multiplier shifts one bit too far to the left"),
        (lambda x, b: scaled(x, shift=SHIFT - 1), "if the multiplier shifts one bit too far to the right"),
        (lambda x, b: 0, "if the multiplier is 0, or next to nothing"),
        (lambda x, b: scaled(wrapped(x)), "if the accumulator wraps at 16 bits"),
        (lambda x, b: scaled(wrapped(x - b) + b), "if the accumulator wraps at 16 bits, before the bias"),
        (lambda x, b: int(x * REAL), "if requantisation truncates towards zero"),
        (lambda x, b: half_up(x), "if requantisation rounds twice, and ties upwards (half up)"),
        (lambda x, b: ((x * MULTIPLIER + 2**30) >> 31) >> -SHIFT, "if requantisation drops the bits it shifts out"),
    ],
)
def test_wrong_last_stages_in_plain_python(code: Callable[[int, int], int], clause: str) -> None:
    plan, weights, bias, _ = small_layer()
    x = np.random.default_rng(5).integers(-128, 128, (1, 6, 6, 2)).astype(np.int8)  # a tie below 0 among the sums
    image = np.pad(x.astype(int) - ZERO_POINT, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(image, (3, 3), (1, 2))
    acc = np.einsum("nyxiab,oabi->nyxo", windows, weights) + bias
    codes = [
        code(int(a), int(b)) - 11 for a, b in zip(acc.ravel(), np.broadcast_to(bias, acc.shape).ravel(), strict=True)
    ]
    wrong = np.clip(codes, -128, 127).astype(np.int8).reshape(acc.shape)
    assert clause in named(diff(plan, dump_of(plan, x, wrong={0: wrong}), x), 0)


def scaled(acc: int, shift: int = SHIFT) -> int:
    return scalar.multiply_by_quantized_multiplier(acc, MULTIPLIER, shift)


def single_bit(tap: int, bit: int) -> Callable[[Array, Array], tuple[Array, Array]]:
    """One bit of a weight of output channel 1 the other way."""

    def flipped(weights: Array, bias: Array) -> tuple[Array, Array]:
        changed = weights.astype(np.int8)
        changed[1].reshape(-1)[tap] ^= np.uint8(1 << bit).view(np.int8)
        return changed, bias

    return flipped


@pytest.mark.parametrize(("tap", "bit"), [(5, 6), (0, 5), (17, 7)])
def test_a_single_bit_of_a_weight_in_plain_python(tap: int, bit: int) -> None:
    plan, weights, bias, x = small_layer()
    report = diff(plan, dump_of(plan, x, wrong={0: naive(*single_bit(tap, bit)(weights, bias), x)}), x)
    told = f"if a single bit of one weight is flipped: bit {bit} of weight {tap} of output channel 1"
    assert any(how.startswith(told) for how in named(report, 0))


@pytest.mark.parametrize(
    ("change", "clause"),
    [
        (lambda y: y.transpose(0, 3, 1, 2).reshape(y.shape), "if the output is written as NCHW"),
        (lambda y: y.transpose(0, 2, 1, 3), "if rows and columns of the output are exchanged (transposed)"),
        (lambda y: y[..., ::-1], "if the output's channels are in reverse order"),
        (lambda y: y[..., [1, 2, 0]], "if the output's channels are in the order 1 2 0"),
    ],
)
def test_wrong_places_of_the_output_in_plain_python(change: Callable[[Array], Array], clause: str) -> None:
    plan, weights, bias, x = small_layer()
    wrong = np.ascontiguousarray(change(naive(weights, bias, x)))
    assert clause in named(diff(plan, dump_of(plan, x, wrong={0: wrong}), x), 0)


def test_an_input_read_in_another_order_in_plain_python() -> None:
    plan, weights, bias, x = small_layer()
    planar = x.reshape(1, 2, 6, 6).transpose(0, 2, 3, 1)
    report = diff(plan, dump_of(plan, x, wrong={0: naive(weights, bias, planar)}), x)
    assert "if the input is read as NCHW" in named(report, 0)


@pytest.mark.parametrize(("off", "clause"), [
    (4e-7, "within the rounding errors of another order of summation, or another libm"),
    (1e-5, "if its expf is an approximation, off by up to 1e-05"),
    (5e-4, "if its expf is an approximation, off by up to 0.0005"),
])  # fmt: skip
def test_a_softmax_by_another_exp_in_plain_numpy(off: float, clause: str) -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(12, 10)).astype(np.float32)
    plan = make_plan(one_op("SOFTMAX", {"beta": 1.0}, [fed((12, 10), "float32")], fed((12, 10), "float32")))
    (record,) = execute(plan, x)
    errors = rng.uniform(-off, off, x.shape)
    errors[3, 3] = off
    wrong = (record.outputs[0] * (1 + errors)).astype(np.float32)
    found = named(diff(plan, dump_of(plan, x, wrong={0: wrong}), x), 0)
    assert clause in found
    assert any("rounding errors" in how for how in found) is (off < 1e-6)
    wrong[5, 5] *= np.float32(1.01)  # more than any approximation is off
    assert not any("expf" in how for how in named(diff(plan, dump_of(plan, x, wrong={0: wrong}), x), 0))


def test_means_in_another_order_in_plain_numpy() -> None:
    pool = {"padding": "VALID", "stride_h": 4, "stride_w": 4, "filter_height": 4, "filter_width": 4}
    options = pool | {"fused_activation_function": "NONE"}
    plan = make_plan(one_op("AVERAGE_POOL_2D", options, [fed((1, 8, 8, 9), "float32")], fed((1, 2, 2, 9), "float32")))
    x = np.random.default_rng(5).normal(size=(1, 8, 8, 9)).astype(np.float32)
    total = np.zeros((1, 2, 2, 9), np.float32)
    for tap in reversed([x[:, y::4, z::4] for y in range(4) for z in range(4)]):
        total += tap
    clause = "within the rounding errors of another order of summation, or another libm"
    assert clause in named(diff(plan, dump_of(plan, x, wrong={0: total / np.float32(16)}), x), 0)
    small = np.float32(1 + 3e-5)
    assert clause not in named(diff(plan, dump_of(plan, x, wrong={0: total / np.float32(16) * small}), x), 0)


def test_hypotheses_are_tried_by_as_many_as_there_is_memory_for() -> None:
    steps = network("stm32f746_int8")[0].steps[:1]
    replay = verdict.Replay(steps, {}, 0, State())
    guesses = [verdict.Hypothesis("input", "", np.zeros((1, 28, 28, 1), np.int8))] * 2000
    batches = [len(some) for some in verdict._batches(replay, guesses)]
    assert sum(batches) == 2000 and max(batches) > 1
    assert max(batches) * 26 * 26 * 32 < verdict.BATCH_BYTES, "what the convolution makes of them"


# ---- outputs that nobody saw ------------------------------------------------------------------------------


def test_an_output_is_seen_through_a_copy_of_it() -> None:
    layer, weights, bias, x = small_layer()
    (step,) = layer.steps
    flat = fed((1, 108), "int8", q(SCALES[2], -11), "flat")
    copy = Node("RESHAPE", {"new_shape": (1, 108)}, (step.outputs[0], const([1, 108], "int32", name="shape")), (flat,))
    plan = make_plan(joined(Node(step.name, step.op.options, step.inputs, step.outputs), copy))
    wrong = naive(weights, bias + np.array([300, 0, -77]), x).reshape(1, 108)
    dump = Dump("device", {plan.inputs[0].index: x, plan.outputs[0].index: wrong})
    (culprit,) = diff(plan, dump, x).culprits
    assert any("other biases than this file's (channel 0: +295" in c.how for c in culprit.fitting)


def test_one_fault_in_all_operators_of_which_the_last_is_seen() -> None:
    rng = np.random.default_rng(9)
    layers = [rng.normal(size=(16, 16)).astype(np.float32) for _ in range(2)]
    x, hidden, y = (fed((4, 16), "float32", name=name) for name in ("x", "hidden", "y"))
    options = {"fused_activation_function": "NONE", "keep_num_dims": False, "asymmetric_quantize_inputs": False}
    nodes_ = [
        Node("FULLY_CONNECTED", options, (data, const(w, "float32", name="w"), None), (output,))
        for data, w, output in ((x, layers[0], hidden), (hidden, layers[1], y))
    ]
    plan, given_ = make_plan(joined(*nodes_)), rng.normal(size=(4, 16)).astype(np.float32)
    value = given_
    for weights in layers:
        value, data = np.zeros((4, 16), np.float32), value
        for k in range(16):
            value += data[:, k : k + 1] * (weights.view(np.uint32) >> 16 << 16).view(np.float32)[:, k]
    dump = Dump("device", {plan.inputs[0].index: given_, plan.outputs[0].index: value})
    (culprit,) = diff(plan, dump, given_).culprits
    assert "if the weights were cut to bfloat16, in every operator" in [c.how for c in culprit.fitting]


# ---- what no replay computes: memory ----------------------------------------------------------------------


def test_a_stale_buffer() -> None:
    plan, x = network("stm32f746_int8")
    sound = dump_of(plan, x).tensors
    stale = sound[15].ravel()[:1600].reshape(sound[17].shape)
    report = diff(plan, dump_of(plan, x, wrong={3: stale}), x)
    clause = "if the step never ran and its buffer still holds the output of operator 1 (MAX_POOL_2D)"
    assert clause in named(report, 3) and report.certainty != "open"


def test_a_stale_buffer_with_pieces_of_several_tensors() -> None:
    plan, x = network("stm32f746_int8")
    sound = dump_of(plan, x).tensors
    pieces = np.concatenate([sound[16].ravel()[64:864], sound[15].ravel()[1600:2400]]).reshape(sound[17].shape)
    report = diff(plan, dump_of(plan, x, wrong={3: pieces}), x)
    assert "if the step never ran and its buffer holds pieces of other tensors" in named(report, 3)


def test_a_buffer_from_the_previous_run() -> None:
    plan, x = network("stm32f746_int8")
    _, before = network("stm32f746_int8", 1)
    previous = dump_of(plan, before)
    dump = dump_of(plan, x, wrong={4: previous.tensors[18]})
    assert not any("in the previous run" in clause for clause in named(diff(plan, dump, x, previous=None), 4) or [])
    clause = "if the step never ran and its buffer still holds the output of operator 4 (CONV_2D) in the previous run"
    assert clause in named(diff(plan, dump, x, previous=previous), 4)


@pytest.mark.parametrize(("byte", "words"), [(0, "all zeros"), (0xCD, "the bytes 0xCDCDCDCD over and over")])
def test_a_buffer_that_nobody_wrote(byte: int, words: str) -> None:
    plan, x = network("stm32f746_int8")
    wrong = np.full((1, 3, 3, 64), byte, np.uint8).view(np.int8)
    assert f"if the output was never written: it is {words}" in named(
        diff(plan, dump_of(plan, x, wrong={4: wrong}), x), 4
    )


def test_a_buffer_whose_end_nobody_wrote() -> None:
    plan, x = network("stm32f746_int8")
    wrong = dump_of(plan, x).tensors[18].copy()
    wrong.reshape(-1)[400:] = np.uint8(0xA5).view(np.int8)
    clause, *_ = named(diff(plan, dump_of(plan, x, wrong={4: wrong}), x), 4)
    assert clause.startswith("if the output was never written from its element 400 on: the bytes 0xA5A5A5A5")


@pytest.mark.parametrize(
    ("part", "clause"),
    [
        (slice(32, 64), "if its bytes from 32 on are stale, or a cache line of garbage lies over them"),
        (slice(16, 48), "if a cache line of garbage lies over its bytes 16 to 47"),
    ],
)
def test_garbage_up_to_the_end_may_be_what_nobody_wrote(part: slice, clause: str) -> None:
    plan, x = network("stm32f746_int8", 3)
    wrong = dump_of(plan, x).tensors[plan.steps[9].outputs[0].index].copy()
    wrong[0, part] = np.random.default_rng(1).integers(-128, 128, 32)
    (culprit,) = diff(plan, dump_of(plan, x, wrong={9: wrong}), x).culprits
    assert culprit.fitting[0].how == clause


# ---- what nothing explains --------------------------------------------------------------------------------


def unexplained(report: Report, operator: int) -> tuple[int, ...]:
    """The first differing element of the only culprit, which nothing explains but what explains anything."""
    (culprit,) = report.culprits
    assert culprit.step.index == operator and culprit.own is not None and culprit.told is not None
    assert all(candidate.fits_anything for candidate in culprit.fitting) and culprit.certainty == "open"
    return culprit.own.first


def test_nothing_explains_a_forgotten_tap() -> None:
    plan, weights, bias, x = small_layer()
    wrong, sound = naive(weights, bias, x, skip=(1, 2)), naive(weights, bias, x)
    report = diff(plan, dump_of(plan, x, wrong={0: wrong}), x)
    first = tuple(int(i) for i in np.argwhere(wrong != sound)[0])
    assert unexplained(report, 0) == first
    (culprit,) = report.culprits
    assert culprit.told is not None and culprit.told.value == sound[first]
    assert culprit.verdict.startswith("open: nothing explains its ")
    where = f"first at {list(first)}, where the device has {wrong[first]} and a sound kernel {sound[first]}"
    assert culprit.verdict.endswith(where)


@settings(max_examples=10)
@given(st.integers(0, 575), st.integers(2, 90))
def test_one_damaged_element_is_no_reason_for_certainty(place: int, by: int) -> None:
    plan, x = network("stm32f746_int8")
    wrong = dump_of(plan, x).tensors[18].copy()
    wrong.reshape(-1)[place] += by if wrong.reshape(-1)[place] < 0 else -by
    report = diff(plan, dump_of(plan, x, wrong={4: wrong}), x)
    (culprit,) = report.culprits
    assert culprit.own is not None and culprit.own.first == np.unravel_index(place, wrong.shape)
    assert culprit.certainty != "certain"
    assert "if a single element was damaged, after it was computed" in named(report, 4)


def test_a_cause_that_leaves_some_differences_says_how_many() -> None:
    plan, weights, bias, x = small_layer()
    wrong = naive(weights, 0 * bias, x)
    sound = naive(weights, bias, x)
    places = np.argwhere(wrong != sound)
    wrong[tuple(places[0])] = sound[tuple(places[0])] - 1
    (culprit,) = diff(plan, dump_of(plan, x, wrong={0: wrong}), x).culprits
    assert culprit.certainty == "open" and culprit.told is not None
    assert culprit.verdict.startswith(f"open: nothing explains its {len(places)} differences")
    share = 100 * (len(places) - 1) / len(places)
    nearest = next(str(candidate) for candidate in culprit.candidates if not candidate.complete)
    assert nearest == f"{share:.3g} % of its {len(places)} differences vanish if the bias is left out"


def requantised(plan: Plan, operators: Sequence[int], by: int, factor: float) -> Plan:
    """The plan of the same file but for the zero points and scales of some outputs."""
    graph = plan.graph
    tensors = list(graph.tensors)
    for operator in operators:
        tensor = plan.steps[operator].outputs[0]
        assert tensor.quantization is not None
        (scale,), (point,) = tensor.quantization.scale, tensor.quantization.zero_point
        changed = replace(tensor.quantization, scale=(scale * factor,), zero_point=(point + by,))
        tensors[tensor.index] = replace(tensor, quantization=changed)
    return make_plan(replace(plan.model, graphs=(replace(graph, tensors=tuple(tensors)),)))


@pytest.mark.parametrize(
    ("operators", "by", "factor", "clause"),
    [
        ((9,), 3, 1.0, "if its zero point is -125, not this file's -128 (quantised anew?)"),
        ((0, 1), 1, 1.0, "if its zero point is -127, not this file's -128 (quantised anew?)"),
        ((0, 1), 8, 1.3, "if its scale and zero point are about 0.0054329 and -120, not this file's (quantised anew?)"),
        ((2, 3), 0, 0.7, "if all scales of the layer are off by one factor of about 1.42857"),
        ((2, 3), 0, 1.3, "if all scales of the layer are off by one factor of about 0.769234"),
    ],
)
def test_outputs_of_a_file_that_was_quantised_anew(
    operators: tuple[int, ...], by: int, factor: float, clause: str
) -> None:
    """Whoever reads such an output takes it for what it is, and its own is right: no buffer was reused."""
    plan, x = network("stm32f746_int8")
    report = diff(plan, dump_of(requantised(plan, operators, by, factor), x), x)
    culprit = report.culprits[0]
    assert culprit.step.index == operators[0] and culprit.certainty == "certain"
    assert culprit.fitting[0].how == clause


def test_a_fault_under_another_dialect() -> None:
    """Two culprits speak FMA, one of them with a fault of its own: it is found under FMA."""
    plan, x = network("stm32f746_float32")
    fma = replace(plan.numerics, contraction="fma")
    device = make_plan(plan.model, numerics=fma)
    wrong = fault(case_of(device, 9, x), "if the bias is left out")
    report = diff(plan, dump_of(device, x, wrong={9: wrong}), x)
    verdicts = {finding.step.index: finding.verdict for finding in report.culprits}
    assert "under FMA contraction" in verdicts[0]
    assert "if the bias is left out, under FMA contraction" in verdicts[9]


def test_another_order_of_summation_is_no_bug() -> None:
    plan, x = network("stm32f746_float32")
    case = case_of(plan, 9, x)
    data, weights, bias = (np.asarray(a, np.float32) for a in case.arrays)
    wrong = np.maximum(data @ weights.T + bias, 0).astype(np.float32)
    assert wrong.tobytes() != case.sound.tobytes()
    clauses = named(diff(plan, dump_of(plan, x, wrong={9: wrong}), x), 9)
    assert any("another order of summation" in clause for clause in clauses)
    wrong[0, 0] += np.float32(0.01)
    assert unexplained(diff(plan, dump_of(plan, x, wrong={9: wrong}), x), 9)


# ---- what remembers ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stream() -> tuple[Plan, list[Array], list[State]]:
    """A layer that remembers, what it hears one after the other, and the states before each and after the last."""
    rng = np.random.default_rng(0)
    x = fed((1, 6), "float32")
    plan = make_plan(model_of(svdf(x, 24, rng)))
    heard = [rng.normal(size=(1, 6)).astype(np.float32) for _ in range(4)]
    states = [plan.initial]
    for each in heard:
        states.append(infer(plan, None, (each,), states[-1])[1])
    return plan, heard, states


def left(plan: Plan, x: Array, state: State) -> Dump:
    """All that an inference writes, what it remembers included."""
    (record,) = execute(plan, x, state=state)
    written = zip(record.step.writes, (*record.outputs, *record.updates), strict=True)
    return Dump("device", {plan.inputs[0].index: x, **{t.index: array for t, array in written}})


@pytest.mark.parametrize("variables", [True, False], ids=["variables too", "outputs only"])
def test_a_state_that_was_reset_or_not_or_is_an_older_one(
    stream: tuple[Plan, list[Array], list[State]], variables: bool
) -> None:
    plan, heard, states = stream
    faults = {
        "if its state is that of the first inference: reset before every one": (states[3], states[0]),
        "if its state is that of 1 inference earlier": (states[3], states[2]),
        "if its state was not reset after this same input had been run once": (
            states[0],
            infer(plan, None, (heard[3],), states[0])[1],
        ),
    }
    for how, (meant, had) in faults.items():
        dump = left(plan, heard[3], had)
        tensors = {i: x for i, x in dump.tensors.items() if variables or not plan.graph.tensors[i].is_variable}
        sound = left(plan, heard[3], meant)
        assert not diff(plan, sound, heard[3], state=meant, older=states[:3]).differs
        report = diff(plan, Dump("device", tensors), heard[3], state=meant, older=states[1:3])
        assert (report.cause, report.certainty, report.causes[0]) == ("state", "certain", how)


def recorded(plan: Plan, x: Array, state: State) -> tuple[Dump, State]:
    """Every number that the main graph computes, and the state after it."""
    records = [record for record in execute(plan, x, state=state) if not record.path]
    tensors = {t.index: y for r in records for t, y in zip(r.step.outputs, r.outputs, strict=True)}
    return Dump("device", {i: y for i, y in tensors.items() if i not in plan.handles}), records[-1].state


def test_what_a_resource_variable_held_tells_which_state_it_was() -> None:
    """A window of four frames, set up to 0.5 by CALL_ONCE, whose fill is 0."""
    plan, heard = make_plan(remembering_window()), np.random.default_rng(4).normal(size=(4, 1, 1, 3)).astype(np.float32)
    dumps, states = list[Dump](), [plan.initial]
    for x in heard:
        dump, after = recorded(plan, x, states[-1])
        dumps, states = [*dumps, dump], [*states, after]
    others = {  # of a constant, little is learned
        "if its state is that of the first inference: reset before every one": (plan.initial, "likely"),
        "if its state is what a reset left, behind which nothing was set up again": (plan.reset(states[3]), "likely"),
        "if its state is that of 2 inferences earlier": (states[1], "certain"),
    }
    assert not diff(plan, dumps[3], heard[3], state=states[3], older=states[:3]).differs
    for how, (state, certainty) in others.items():
        report = diff(plan, recorded(plan, heard[3], state)[0], heard[3], state=states[3], older=states[1:3])
        (culprit,) = report.culprits
        assert culprit.step.name == "READ_VARIABLE"
        assert (report.cause, report.certainty, report.causes[0]) == ("state", certainty, how)
    assert not diff(plan, dumps[3], heard[3], previous=dumps[2]).differs, "what was assigned is what is read next"
    (open_one,) = diff(plan, dumps[3], heard[3], previous=dumps[1]).culprits
    assert open_one.step.name == "READ_VARIABLE" and "perhaps the inferences before left it" in open_one.verdict


def test_another_streams_state(stream: tuple[Plan, list[Array], list[State]]) -> None:
    plan, heard, states = stream
    other = left(plan, -heard[0], states[0])
    before = infer(plan, None, (-heard[0],), states[0])[1]
    report = diff(plan, left(plan, heard[3], before), heard[3], state=states[3], previous=other)
    assert (report.cause, report.certainty) == ("state", "certain")
    assert report.causes[0].endswith("another stream's, or wrong before")


@pytest.mark.parametrize("told", [2, 1, 0])
def test_what_the_dump_before_does_not_tell_of_the_state_is_said(told: int) -> None:
    rng = np.random.default_rng(0)
    below = svdf(fed((1, 6), "float32"), 24, rng)
    plan = make_plan(joined(below, svdf(below.outputs[0], 8, rng)))
    heard = rng.normal(size=(2, 1, 6)).astype(np.float32)
    _, state = infer(plan, None, (heard[0],), plan.initial)
    variables = [t for t in plan.graph.tensors if t.is_variable]
    before = {plan.inputs[0].index: heard[0]} | {t.index: state.variables[0, t.index][0] for t in variables[:told]}
    report = diff(plan, recorded(plan, heard[1], state)[0], heard[1], previous=before)
    first = {
        2: [],
        1: ["the mapping does not tell, and is taken to be as before the first inference: tensor 9 'state'"],
        0: ["the state before is taken for that of the first inference; the mapping tells nothing of it"],
    }[told]
    assert report.differs == (told < 2)
    assert [note for note in report.notes if "first inference" in note] == first


def test_the_first_state_is_not_told_twice_where_it_is_among_the_latest(
    stream: tuple[Plan, list[Array], list[State]],
) -> None:
    plan, heard, states = stream
    report = diff(plan, left(plan, heard[3], plan.initial), heard[3], state=states[3], older=states[:3])
    assert (report.certainty, report.causes) == (
        "certain",
        ["if its state is that of the first inference: reset before every one"],
    )


def test_a_state_that_nobody_tried_is_told_as_possible(stream: tuple[Plan, list[Array], list[State]]) -> None:
    plan, heard, states = stream
    _, wrong = infer(plan, None, (2 * heard[0],), states[2])
    culprit = diff(plan, left(plan, heard[3], wrong), heard[3], state=states[3], older=states[:3]).culprits[0]
    assert culprit.certainty == "open" and "perhaps the inferences before left it another state" in culprit.verdict


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_an_lstm_without_state_may_be_cmsis_nns_or_reset(dtype: str) -> None:
    """Both foretell the same output, so neither is certain; what TFLM itself computes is neither's."""
    plan, rng = make_plan(recurrent(dtype)), np.random.default_rng(2)
    heard = [(rng.integers(-128, 128, (1, 4, 6)) * (1 if dtype == "int8" else 200)).astype(dtype) for _ in range(3)]
    states = [plan.initial]
    for each in heard[:2]:
        states.append(infer(plan, None, (each,), states[-1])[1])
    (forgetful,) = run(make_plan(recurrent(dtype), numerics=PRESETS["cmsis-nn"]), heard[2])
    output = plan.steps[0].outputs[0].index
    report = diff(plan, Dump("device", {output: forgetful}), heard[2], state=states[2], older=states[1:2])
    assert (report.cause, report.certainty) == ("dialect", "likely")
    assert report.causes[0] == "under CMSIS-NN's kernels"
    assert "if its state is that of the first inference: reset before every one" in report.causes
    sound = left(plan, heard[2], states[2])
    assert not diff(plan, sound, heard[2], state=states[2], older=states[1:2]).differs


def test_faults_of_an_output_that_is_not_the_first() -> None:
    x = fed((1, 8), "int8", q(0.5))
    halves = [fed((1, 4), "int8", q(0.5), name=name) for name in ("a", "b")]
    plan = make_plan(one_op("SPLIT", {"num_splits": 2}, [const(1, "int32", name="axis"), x], *halves))
    given_ = np.array([[3, -4, 5, 60, -7, 8, -90, 11]], np.int8)
    (record,) = execute(plan, given_)
    first, second = record.outputs
    wrong = second ^ np.int8(-128)
    tensors = {plan.inputs[0].index: given_}
    tensors |= {t.index: v for t, v in zip(record.step.outputs, (first, wrong), strict=True)}
    report = diff(plan, Dump("device", tensors), given_)
    assert "if the output is uint8 (every code 128 too large)" in report.causes


# ---- who leaves fixed point -------------------------------------------------------------------------------


@pytest.mark.parametrize(("op", "scale", "zero_point"), [("LOGISTIC", 1 / 256, -128), ("TANH", 1 / 128, 0)])
def test_a_table_filled_in_floats(op: str, scale: float, zero_point: int) -> None:
    """By NumPy, all codes: what the float kernels are not asked."""
    x = fed((1, 256), "int8", q(0.07, -3))
    plan = make_plan(one_op(op, {}, [x], fed((1, 256), "int8", q(scale, zero_point))))
    codes = np.arange(-128, 128, dtype=np.int8).reshape(1, 256)
    real = (codes.astype(np.float64) + 3) * 0.07
    curve = np.tanh(real) if op == "TANH" else 1 / (1 + np.exp(-real))
    wrong = (np.floor(curve / scale) + zero_point).clip(-128, 127).astype(np.int8)
    report = diff(plan, dump_of(plan, codes, wrong={0: wrong}), codes)
    alike = ["cut off towards zero"] if op == "LOGISTIC" else []  # which knows no sign
    assert report.cause == "in reals" and report.certainty == ("likely" if alike else "certain")
    assert report.causes == [f"if it is computed in real numbers and {how}" for how in (*alike, "rounded down")]


def test_the_other_path_of_int16() -> None:
    rng = np.random.default_rng(1)
    x, weights = fed((1, 64), "int16", q(3e-4)), const(rng.integers(-127, 128, (256, 64)), "int8", q(0.01))
    bias = const(rng.integers(-9000, 9000, 256), "int64", q(3e-6))
    options = {"fused_activation_function": "NONE", "keep_num_dims": False, "asymmetric_quantize_inputs": False}
    plan = make_plan(one_op("FULLY_CONNECTED", options, [x, weights, bias], fed((1, 256), "int16", q(3e-5))))
    given_ = rng.integers(-32768, 32768, (1, 64)).astype(np.int16)
    acc = given_.astype(np.int64) @ present_data(weights).astype(np.int64).T + present_data(bias)
    real = float(np.float32(3e-4)) * float(np.float32(0.01)) / float(np.float32(3e-5))
    multiplier, shift = scalar.quantize_multiplier(real)
    scaled = [scalar.multiply_by_quantized_multiplier(int(a), multiplier, shift) for a in acc.ravel()]
    wrong = np.clip(scaled, -32768, 32767).astype(np.int16).reshape(1, 256)
    report = diff(plan, dump_of(plan, given_, wrong={0: wrong}), given_)
    assert report.differs, "nothing to tell apart"
    assert "if the sums are kept in 32 bits and scaled by the whole multiplier" in report.causes


def present_data(tensor: Tensor) -> Array:
    assert tensor.data is not None
    return tensor.data


# ---- steps that run subgraphs -----------------------------------------------------------------------------


def scaling(condition: bool) -> tuple[Plan, tuple[Array, Array]]:
    """A condition and x int8 (1, 512) → by IF, x / 2 or x / 4, whose halves round up or away from 0; and data."""
    x, y = (
        replace(fed((1, 512), "int8", q(scale), name), index=i) for i, scale, name in ((0, 0.125, "x"), (2, 0.125, "y"))
    )
    branches = []
    for index, code in ((1, 64), (2, 32)):
        factor = replace(const([[code]], "int8", q(1 / 128), "factor"), index=1)
        op = Op(0, "MUL", (0, 1), (2,), {"fused_activation_function": "NONE"})
        branches.append(Graph(index, f"times{code}", (x, factor, y), (0,), (2,), (op,)))
    tensors = (replace(fed((1,), "bool", None, "c"), index=0), replace(x, index=1), y)
    branch = Op(0, "IF", (0, 1), (2,), {"then_subgraph_index": 1, "else_subgraph_index": 2})
    plan = make_plan(Model((Graph(0, "main", tensors, (0, 1), (2,), (branch,)), *branches)))
    codes = np.random.default_rng(0).integers(-128, 128, (1, 512)).astype(np.int8)
    return plan, (np.array([condition]), codes)


@pytest.mark.parametrize("condition", [True, False])
def test_another_dialect_inside_a_branch_is_named(condition: bool) -> None:
    plan, inputs = scaling(condition)
    spoken = make_plan(plan.model, numerics=replace(plan.numerics, rounding="single"))
    (wrong,), (sound,) = infer(spoken, None, inputs)[0], infer(plan, None, inputs)[0]
    assert (wrong != sound).sum() > 4
    (culprit,) = diff(plan, {0: inputs[0], 1: inputs[1], 2: wrong}).culprits
    assert culprit.certainty == "certain" and culprit.fitting[0].numerics == spoken.numerics


def test_what_is_wrong_inside_a_branch_is_not_said_to_have_been_tried() -> None:
    plan, inputs = scaling(True)
    wrong = infer(plan, None, inputs)[0][0].copy()
    wrong[0, ::7] += np.where(wrong[0, ::7] < 0, 3, -3).astype(np.int8)
    (culprit,) = diff(plan, {0: inputs[0], 1: inputs[1], 2: wrong}).culprits
    assert culprit.verdict.startswith("open: the kernels of its subgraphs are not tried one by one, and nothing else ")
