"""refengine/judge/faults: what each hypothesis foretells, against plain Python and NumPy, one layer at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from refengine import make_plan
from refengine.judge.faults import FAULTS, FITS, Case
from refengine.judge.verdict import Hypothesis, Replay, Trial
from refengine.model import Array, Model
from refengine.state import State
from tests.judge.planted import case_of
from tests.models import const, fed, one_op, present, q

RNG = np.random.default_rng
ZERO_POINT = -3
OUTPUT_ZERO_POINT = 7
PLAIN = {"fused_activation_function": "NONE"}
FLAT = {"keep_num_dims": False, "weights_format": "DEFAULT", "asymmetric_quantize_inputs": False, **PLAIN}
DEPTHWISE = {
    "padding": "VALID", "stride_w": 1, "stride_h": 1, "dilation_w_factor": 1, "dilation_h_factor": 1,
    "depth_multiplier": 2, **PLAIN,
}  # fmt: skip


def dense(rows: int = 6, seed: int = 1, scale: float = 1.2, first: float = 1.0) -> Case:
    """FULLY_CONNECTED of 8 inputs and 5 channels, each with a scale of its own, the first's `first` times as large."""
    rng = RNG(seed)
    scales = rng.uniform(0.01, 0.02, 5).astype(np.float32) * np.array([first, 1, 1, 1, 1], np.float32)
    weights = const(rng.integers(-127, 128, (5, 8)), "int8", q(tuple(scales)))
    bias = const(rng.integers(-900, 900, 5), "int32")
    x = fed((rows, 8), "int8", q(0.5, ZERO_POINT))
    y = fed((rows, 5), "int8", q(scale, OUTPUT_ZERO_POINT), "y")
    plan = make_plan(one_op("FULLY_CONNECTED", FLAT, [x, weights, bias], y))
    return case_of(plan, 0, rng.integers(-128, 128, x.shape).astype(np.int8))


def real_layer(seed: int = 1) -> Case:
    rng = RNG(seed)
    weights, bias = const(rng.normal(size=(5, 20)), "float32"), const(rng.normal(size=5), "float32")
    x, y = fed((6, 20), "float32"), fed((6, 5), "float32", name="y")
    plan = make_plan(one_op("FULLY_CONNECTED", FLAT, [x, weights, bias], y))
    return case_of(plan, 0, rng.normal(size=x.shape).astype(np.float32))


def depthwise(dtype: str = "int8") -> Model:
    """DEPTHWISE_CONV_2D over 5×4×3 with two channels of the output for each of the input."""
    rng, coded = RNG(2), dtype == "int8"
    values = rng.integers(-127, 128, (1, 2, 2, 6)) if coded else rng.normal(size=(1, 2, 2, 6))
    weights = const(values, dtype, q(tuple(rng.uniform(0.01, 0.02, 6).astype(np.float32)), 0, 3) if coded else None)
    bias = const(rng.integers(-900, 900, 6) if coded else rng.normal(size=6), "int32" if coded else dtype)
    x = fed((1, 5, 4, 3), dtype, q(0.5, ZERO_POINT) if coded else None)
    y = fed((1, 4, 3, 6), dtype, q(1.5, OUTPUT_ZERO_POINT) if coded else None, "y")
    return one_op("DEPTHWISE_CONV_2D", DEPTHWISE, [x, weights, bias], y)


def foretold(cause: str, case: Case) -> Mapping[str, Array]:
    """What a cause foretells, by its clauses."""
    found: Any = FAULTS[cause](case) if cause in FAULTS else FITS[cause](case)
    return {how: wrong for how, wrong, *_ in found if wrong is not None}


def accumulators(case: Case) -> list[list[int]]:
    """Sums with the bias, in Python's integers."""
    x, w, b = (present.astype(object) for present in case.arrays if present is not None)
    return [[int(((row - ZERO_POINT) * w[c]).sum() + b[c]) for c in range(len(w))] for row in x]


def fixed(case: Case) -> list[tuple[int, int, Fraction]]:
    """("multiplier", shift, the real factor) of each channel."""
    sums = case.sums
    assert sums is not None and case.step.data is not None and case.weights is not None
    scales = [t.quantization.scale for t in (case.step.data, case.weights, case.tensor) if t.quantization]
    reals = [Fraction(float(w)) * Fraction(float(scales[0][0])) / Fraction(float(scales[2][0])) for w in scales[1]]
    return [(int(m), int(s), real) for m, s, real in zip(sums.multiplier, sums.shift, reals, strict=True)]


def coded(scaled: int) -> int:
    return max(-128, min(127, scaled + OUTPUT_ZERO_POINT))


def half_away(real: Fraction) -> int:
    return int(abs(real) + Fraction(1, 2)) * (1 if real >= 0 else -1)


def twice(acc: int, m: int, shift: int, up: bool = False) -> int:
    """TFLM's double rounding; `up`: the second time ties go up, not away from zero."""
    high = ((acc << max(shift, 0)) * m + (1 << 30)) >> 31
    right = max(-shift, 0)
    if up or not right:
        return (high + (1 << right >> 1)) >> right
    remainder, half = high & ((1 << right) - 1), (1 << (right - 1)) - (high >= 0)
    return (high >> right) + (remainder > half)


@pytest.mark.parametrize(
    ("cause", "how", "scaled"),
    [
        ("multiplier", "if the multiplier is cut to its upper 16 bits", lambda a, m, s, r: twice(a, m & ~0xFFFF, s)),
        (
            "multiplier",
            "if the multiplier is rounded to 16 bits",
            lambda a, m, s, r: twice(a, min((m + 2**15) // 2**16 * 2**16, 2**31 - 2**16), s),
        ),
        ("multiplier", "if the multiplier shifts one bit too far to the left", lambda a, m, s, r: twice(a, m, s + 1)),
        ("multiplier", "if the multiplier shifts one bit too far to the right", lambda a, m, s, r: twice(a, m, s - 1)),
        (
            "requantisation",
            "if requantisation rounds twice, and ties upwards (half up)",
            lambda a, m, s, r: twice(a, m, s, up=True),
        ),
        (
            "requantisation",
            "if requantisation is a float64 product, ties away from zero (TFLite's own)",
            lambda a, m, s, r: half_away(a * r),
        ),
        ("requantisation", "if requantisation is a float64 product, ties to even", lambda a, m, s, r: round(a * r)),
        ("requantisation", "if requantisation rounds down", lambda a, m, s, r: (a * m) >> (31 - s)),
    ],
)
def test_how_sums_become_codes(cause: str, how: str, scaled: Callable[[int, int, int, Fraction], int]) -> None:
    case = dense(rows=2000)
    expected = [
        [coded(scaled(acc, *factor)) for acc, factor in zip(row, fixed(case), strict=True)]
        for row in accumulators(case)
    ]
    sound = [
        [coded(twice(acc, m, s)) for acc, (m, s, _) in zip(row, fixed(case), strict=True)] for row in accumulators(case)
    ]
    assert case.sound.tolist() == sound
    assert foretold(cause, case)[how].tolist() == expected


def test_zero_points_that_are_read_otherwise() -> None:
    """128, which the wrong sign makes of −128, is no zero point of int8; kernels add it all the same."""
    rng = RNG(4)
    x = fed((2, 8), "int8", q(0.5, -128))
    weights, y = const(rng.integers(-127, 128, (3, 8)), "int8", q(0.01)), fed((2, 3), "int8", q(4.0, 0), "y")
    bias = const(np.zeros(3), "int32")
    codes = rng.integers(-128, 128, x.shape).astype(np.int8)
    case = case_of(make_plan(one_op("FULLY_CONNECTED", FLAT, [x, weights, bias], y)), 0, codes)
    wrong = foretold("zero point", case)
    assert weights.data is not None
    for how, point in (("is taken for 0", 0), ("has the wrong sign", 128)):
        real = (codes.astype(np.int64) - point) @ weights.data.astype(np.int64).T * (0.5 * 0.01 / 4.0)
        got = wrong[f"if the zero point of the input {how}"]
        assert np.abs(got - np.clip(np.rint(real), -128, 127)).max() <= 1 and not np.array_equal(got, case.sound)


def test_a_limit_is_told_of_the_side_that_is_cut_off() -> None:
    case = dense(rows=300)
    assert case.sound.max() > 90 and case.sound.min() < -50
    sides = {"upper": np.minimum(case.sound, 90), "lower": np.maximum(case.sound, -50)}
    for side, seen in sides.items():
        (told,) = foretold("limit", replace(case, seen=seen)).items()
        assert side in told[0] and np.array_equal(told[1], seen)


@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_columns_and_taps_are_what_a_channel_sums(dtype: str) -> None:
    """Of a depthwise layer two channels read one channel of the input."""
    rng, plan = RNG(5), make_plan(depthwise(dtype))
    x = rng.integers(-128, 128, (1, 5, 4, 3)) if dtype == "int8" else rng.normal(size=(1, 5, 4, 3))
    case = case_of(plan, 0, x.astype(dtype))
    assert case.weights is not None and case.weights.data is not None
    for channel in range(6):
        columns, taps = case.columns(channel), case.taps_of(case.weights.data, channel)
        assert columns is not None
        total = columns @ taps.astype(columns.dtype)
        if case.sums is not None:
            assert case.bias is not None and case.bias.data is not None
            assert (total + case.bias.data[channel]).tolist() == case.sums.acc[..., channel].ravel().tolist()
        else:
            assert case.bias is not None and case.bias.data is not None
            np.testing.assert_allclose(total + case.bias.data[channel], case.sound[..., channel].ravel(), rtol=1e-4)


@pytest.mark.parametrize("layer", [real_layer, lambda: depthwise_case("float32")])
@pytest.mark.parametrize("bit", [22, 27])
def test_one_bit_of_a_float_weight(layer: Callable[[], Case], bit: int) -> None:
    case = layer()
    assert case.weights is not None and case.weights.data is not None
    changed = case.weights.data.copy()
    changed.view(np.uint32).reshape(-1)[3] ^= 1 << bit
    seen = case.replay_with(weights=replace(case.weights, data=changed))
    ((how, wrong),) = foretold("weight bit", replace(case, seen=seen)).items()
    assert f"bit {bit} of weight" in how and seen is not None and wrong.tobytes() == seen.tobytes()


def depthwise_case(dtype: str) -> Case:
    x = RNG(6).normal(size=(1, 5, 4, 3)).astype(dtype)
    return case_of(make_plan(depthwise(dtype)), 0, x)


@pytest.mark.parametrize("channel", range(5))
def test_another_bias_is_told_of_its_channels_only(channel: int) -> None:
    """The others may have any bias that gives the same codes, their own among them."""
    for seed in range(8):
        case = dense(rows=40, seed=seed)
        assert case.bias is not None and case.bias.data is not None and case.sums is not None
        data = case.bias.data + np.where(np.arange(5) == channel, 700, 0).astype(np.int32)
        seen = case.replay_with(bias=replace(case.bias, data=data))
        (told,) = foretold("other bias", replace(case, seen=seen)).items()
        assert told[0].count("channel ") == 1 and f"channel {channel}: +" in told[0]
        assert seen is not None and np.array_equal(told[1], seen)


@pytest.mark.parametrize("channel", [0, 2])
def test_other_scales_are_told_though_a_channel_is_cut_off_altogether(channel: int) -> None:
    """Nothing is known of the factor of a channel whose codes are all the smallest."""
    case = dense(rows=40)
    assert case.bias is not None and case.bias.data is not None and case.sums is not None
    data = case.bias.data - np.where(np.arange(5) == channel, 10**6, 0).astype(np.int32)
    tensor = replace(case.bias, data=data)
    step = replace(case.step, node=case.step.node._replace(inputs=(*case.step.inputs[:2], tensor)))
    low = Case(step.prepared(case.numerics), case.numerics, (*case.arrays[:2], data), np.zeros(0))
    low = replace(low, sound=present(low.replay()))
    assert low.sums is not None and (low.sound[:, channel] == -128).all()
    seen = low.sums.scaled_by(low.sums.factor * np.where(np.arange(5) == channel, 1, [1.1, 1.2, 1.3, 0.9, 0.8]))
    told = foretold("other scale", replace(low, seen=seen))
    assert any(np.array_equal(wrong, seen) for wrong in told.values())


def test_other_scales_are_told_though_a_channel_is_0_throughout() -> None:
    """Any factor small enough does for it, none and negative ones among them."""
    case = dense(rows=40, first=1e-6)
    assert case.sums is not None and (case.sound[:, 0] == OUTPUT_ZERO_POINT).all()
    seen = case.sums.scaled_by(case.sums.factor * [1, 1.2, 1.3, 0.9, 0.8])
    told = foretold("other scale", replace(case, seen=seen))
    assert any("each channel's scale" in how and np.array_equal(wrong, seen) for how, wrong in told.items())


def test_sums_in_another_order() -> None:
    case = real_layer()
    x, w, b = (array for array in case.arrays if array is not None)
    found = foretold("summation order", case)
    for lanes, end in ((4, "in four lanes"), (8, "in eight lanes"), (1, "backwards")):
        for neighbours in (False, True) if lanes > 1 else (False,):
            expected = np.zeros_like(case.sound)
            for i, j in np.ndindex(*case.sound.shape):
                parts = [np.float32(0)] * lanes
                for k in range(20) if lanes > 1 else range(19, -1, -1):
                    parts[k % lanes] += x[i, k] * w[j, k]
                while len(parts) > 1:
                    half = len(parts) // 2
                    pairs = zip(parts[::2], parts[1::2], strict=True)
                    halves = zip(parts[:half], parts[half:], strict=True)
                    parts = [a + c for a, c in (pairs if neighbours else halves)]
                expected[i, j] = parts[0] + b[j]
            how = f"under another order of summation: {end}{', neighbours first' * neighbours}"
            assert found[how].tobytes() == expected.tobytes()


def test_what_lies_off_by_a_line_is_open_where_it_comes_in() -> None:
    case = depthwise_case("float32")
    seen = RNG(7).normal(size=case.sound.shape).astype(np.float32)
    found = foretold("shifted", replace(case, seen=seen))
    rows, columns = np.arange(4)[:, None, None], np.arange(3)[:, None]
    for how, axis, by, edge in (
        ("one row too late", 1, 1, rows == 0),
        ("one row too early", 1, -1, rows == 3),
        ("one column too late", 2, 1, columns == 0),
        ("one column too early", 2, -1, columns == 2),
    ):
        expected = np.where(edge, seen, np.roll(case.sound, by, axis))
        assert np.array_equal(found[f"if the output lies {how}"], expected)


def test_what_comes_just_as_near_as_foretold_is_explained() -> None:
    case = dense()
    values = {t.index: a for t, a in zip(case.step.inputs, case.arrays, strict=True) if t is not None and a is not None}
    replay = Replay((case.step,), values, case.tensor.index, State())
    seen = np.clip(case.sound.astype(np.int64) + 4, -128, 127).astype(np.int8)
    trial = Trial.of(replay, seen)
    end = np.clip(case.sound.astype(np.int64) + 2, -128, 127).astype(np.int8)
    for near, complete in ((2.0, True), (1.0, False)):
        trial.found.clear()
        trial.judge(end, Hypothesis("input", "if so", end, near=near), case.step)
        assert any(candidate.complete for candidate, _ in trial.found) is complete
