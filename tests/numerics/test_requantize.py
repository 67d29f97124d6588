"""The line that stands for the integer arithmetic: equal to it for every accumulator, or not used."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine.model import Array
from refengine.numerics import requantize as requantize_module
from refengine.numerics import scalar
from refengine.numerics.fixedpoint import quantize_multiplier
from refengine.numerics.line import Line
from refengine.numerics.requantize import (
    BLOCK,
    OFTEN,
    Requantizer,
    _clear_of_edges,
    _equal_everywhere,
    requantizer,
    roundings,
)

BOUND = 3000


def make(
    real: Array,
    *,
    bias: Array | int = 0,
    offset: int = -5,
    low: int = -128,
    high: int = 127,
    bound: int = BOUND,
    rounding: str = "double",
    dtype: str = "int8",
    bits: int = 32,
) -> Requantizer:
    """A requantizer of as many channels as `real` has multipliers."""
    channels = np.size(real)
    return requantizer(
        np.broadcast_to(bias, channels),
        quantize_multiplier(real, rounding),
        offset,
        low,
        high,
        dtype,
        np.full(channels, bound),
        bits,
    )


def every(requantize: Requantizer, bound: int = BOUND) -> Array:
    """Every accumulator within the bound, for each channel."""
    return np.broadcast_to(np.arange(-bound, bound + 1)[:, None], (2 * bound + 1, requantize.bias.size))


def integer(requantize: Requantizer, acc: Array) -> Array:
    """What the integer arithmetic makes of `acc`."""
    return requantize.exact(acc.astype(np.int64)).astype(requantize.dtype)


SCALES = st.sampled_from((0.5, 0.25, 2.0**-7, 3 * 2.0**-8, 1 - 2.0**-31, 1.0, 1.5, 2.0)) | st.floats(2.0**-9, 2.0)


@given(
    st.lists(SCALES, min_size=1, max_size=4),
    st.integers(-BOUND, BOUND),
    st.integers(-128, 127),
    st.sampled_from(((-128, 127), (None, 127), (-100, -90), (5, 5))),
    st.sampled_from(("double", "single")),
)
def test_every_accumulator_gives_the_integer_arithmetics_code(
    scales: list[float], bias: int, offset: int, clamp: tuple[int | None, int], rounding: str
) -> None:
    low, high = offset if clamp[0] is None else clamp[0], clamp[1]  # None: RELU
    requantize = make(np.array(scales), bias=bias, offset=offset, low=low, high=high, rounding=rounding)
    acc = every(requantize)
    assert np.array_equal(requantize(acc.astype(np.float32)), integer(requantize, acc))


@given(st.tuples(*[st.floats(2.0**-20, 2.0**-6)] * 3), st.integers(-128, 127), st.integers(0, 2**32 - 1))
def test_random_accumulators_in_large_bounds(scales: tuple[float, ...], offset: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    bound = 2**24
    requantize = make(np.array(scales), bias=rng.integers(-(2**16), 2**16, 3), offset=offset, bound=bound)
    acc = rng.integers(-bound, bound, (2000, 3), endpoint=True) >> rng.integers(0, 20, (2000, 3))
    assert np.array_equal(requantize(acc.astype(np.float64)), integer(requantize, acc))


@pytest.mark.parametrize("rounding", ["double", "single"])
@pytest.mark.parametrize("low", [-128, -5])
def test_usual_layers_do_get_their_line(rounding: str, low: int) -> None:
    """With or without ReLU: else every test here would pass, and the engine be slow."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        requantize = make(
            rng.uniform(2.0**-12, 2.0**-4, 16),
            bias=rng.integers(-5000, 5000, 16),
            low=low,
            bound=10**6,
            rounding=rounding,
        )
        assert requantize.line is not None
        assert (requantize.line.edge is not None) == (rounding == "double" and low == -128)


@given(
    st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1),
    st.floats(2.0**-10, 2.0),
    st.sampled_from(("int8", "int16")),
    st.sampled_from(("double", "single", "xnnpack")),
)
def test_the_integer_arithmetic_is_the_scalar_one(values: list[int], scale: float, dtype: str, rounding: str) -> None:
    """Bias and output offset with wrap, scaling, clamp, from any int32 accumulator."""
    low, high = (-100, 90) if dtype == "int8" else (-30000, 20000)
    requantize = make(np.array([scale]), bias=777, low=low, high=high, bound=2**31, dtype=dtype, rounding=rounding)
    factor = (*scalar.quantize_multiplier(scale), scale, rounding)
    scaled = [scalar.multiply_by_quantized_multiplier(scalar.wrap(x + 777), *factor) for x in values]
    expected = [scalar.clamp(scalar.wrap(x - 5), low, high) for x in scaled]
    assert requantize.line is None
    assert requantize(np.array(values)[:, None])[:, 0].tolist() == expected


@given(st.lists(st.integers(-(2**40), 2**40), min_size=1), st.floats(2.0**-20, 2.0**-8))
def test_64_bit_accumulators(values: list[int], scale: float) -> None:
    requantize = make(
        np.array([scale]), bias=2**33, low=-32768, high=32767, offset=0, bound=2**40, dtype="int16", bits=64
    )
    multiplier, shift = scalar.quantize_multiplier(scale)
    expected = [
        scalar.clamp(scalar.multiply_by_quantized_multiplier_64(x + 2**33, multiplier, shift), -32768, 32767)
        for x in values
    ]
    assert requantize(np.array(values, np.float64)[:, None])[:, 0].tolist() == expected


WIDE_SCALES = st.sampled_from((2.0**-15, 0.5, 1 - 2.0**-15, 0.75, 1.0)) | st.floats(2.0**-24, 0.9)


@given(
    st.lists(WIDE_SCALES, min_size=1, max_size=3),
    st.sampled_from((32, 64)),
    st.sampled_from((8, 16, 22, 30, 36)),
    st.sampled_from(((-32768, 32767), (0, 32767), (-300, 90), (7, 7))),
    st.sampled_from(("double", "single")),
    st.integers(0, 2**32 - 1),
)
def test_16_bit_codes_with_and_without_their_line(
    scales: list[float], bits: int, width: int, clamp: tuple[int, int], rounding: str, seed: int
) -> None:
    """Of random accumulators, of ties, and at the ends; where there is a line, the integers are its definition."""
    rng, bound, bias = np.random.default_rng(seed), 2**width, int(seed % 2**width) - 2 ** (width - 1)
    low, high = clamp
    real = np.array(scales)
    requantize = make(
        real, bias=bias, offset=0, low=low, high=high, bound=bound, rounding=rounding, dtype="int16", bits=bits
    )
    acc = rng.integers(-bound, bound, (4000, real.size), endpoint=True) >> rng.integers(0, width, (4000, 1))
    ties = np.rint((np.arange(-500, 500)[:, None] + 0.5) / real).astype(np.int64) - bias
    acc = np.clip(
        np.concatenate([acc, ties - 1, ties, ties + 1, [[-bound] * real.size, [bound] * real.size]]), -bound, bound
    )
    for given_ in (acc, acc.astype(np.float64)):
        assert np.array_equal(requantize(given_), integer(requantize, acc))


@pytest.mark.parametrize(("bits", "bound"), [(32, 2**19), (64, 2**30)])
@pytest.mark.parametrize("low", [-32768, 0])
def test_usual_layers_of_16_bit_codes_do_get_their_line(bits: int, bound: int, low: int) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        real, bias = np.append(rng.uniform(2.0**-2, 2.0, 15), 0.3), rng.integers(-(2**15), 2**15, 16)
        requantize = make(
            real if bits == 32 else real / 2**14,
            bias=bias,
            low=low,
            high=32767,
            offset=0,
            bound=bound,
            dtype="int16",
            bits=bits,
        )
        assert requantize.line is not None
        assert (requantize.line.edge is not None) == (bits == 32 and low < 0)


@pytest.mark.parametrize("shape", [(2, 3), (1, 2, 5, 3), (BLOCK, 3), (0, 3)])
def test_shapes_pass_through_whole_or_in_blocks(shape: tuple[int, ...]) -> None:
    requantize = make(np.array([0.1, 0.01, 0.001]), rounding="xnnpack")
    acc = np.random.default_rng(0).integers(-BOUND, BOUND, shape)
    assert np.array_equal(requantize(acc), integer(requantize, acc))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize("times", [1, OFTEN // 640 + 2])
def test_accumulators_are_worked_in_only_if_they_may_be(dtype: str, times: int) -> None:
    """Ones that may come out the same, by either line."""
    requantize = make(np.array([0.1, 0.01, 0.001, 0.3]), low=0)
    acc = np.random.default_rng(0).integers(-BOUND, BOUND, (640, 4))
    wanted = integer(requantize, acc)
    for _ in range(times):
        kept, spent = acc.astype(dtype), acc.astype(dtype)
        assert np.array_equal(requantize(kept), wanted) and np.array_equal(kept, acc)
        assert np.array_equal(requantize(spent, overwrite=True), wanted)
    assert np.array_equal(spent, acc) == (dtype == "int64" or (dtype == "float32" and times == 1))


@pytest.mark.parametrize(
    "change",
    [
        {"rounding": "xnnpack"},
        {"dtype": "int16", "bound": 2**28, "real": np.array([2.0**-12 * 1.1] * 2)},
        {"dtype": "int16", "bits": 64, "bound": 2**50},
        {"dtype": "int16", "bits": 64, "bound": 2**30, "real": np.array([4.0])},
        {"bits": 64},
        {"real": np.array([0.1, 0.0])},
        {"real": np.array([4.0]), "bound": 2**29},
        {"bias": 2**31 - BOUND},
        {"dtype": "int16", "bits": 64, "bias": -(2**63)},
    ],
)
def test_no_line_where_there_is_no_staircase(change: dict[str, object]) -> None:
    """Ties to even, too many bits for float64, another width, a factor of 0, registers that may wrap."""
    assert make(**{"real": np.array([0.1]), **change}).line is None  # type: ignore[arg-type]


def test_wrapped_registers_stay_exact() -> None:
    requantize = make(np.array([4.0]), bound=2**30)
    acc = np.array([[2**28 - 1], [2**28], [-(2**28)], [-(2**28) - 1]])  # shifted left by 3 before the multiplication
    assert requantize(acc)[:, 0].tolist() == [127, -128, -128, 127]


def test_ties_with_power_of_two_scales() -> None:
    """63/128 rounds to 32/64 first, which is a tie; −63/128 rounds to −31/64."""
    requantize = make(np.array([2.0**-7]), offset=0)
    assert requantize.line is not None
    assert requantize(np.array([[62], [63], [64], [-63], [-64]]))[:, 0].tolist() == [0, 1, 1, 0, -1]


@given(
    st.floats(2.0**-9, 0.5),
    st.integers(-128, 127),
    st.booleans(),
    st.booleans(),
    st.floats(-1.5, 1.5) | st.floats(-0.01, 0.01),
)
def test_the_proof_fails_for_a_wrong_line(scale: float, offset: int, relu: bool, tilt: bool, error: float) -> None:
    """A line moved by `error` codes (or tilted by a thousandth of it) is accepted only if no code changes."""
    requantize = make(np.array([scale]), bias=12, offset=offset, low=offset if relu else -128)
    if requantize.line is None:
        return
    slope, height, _, unit = requantize.line
    change = (
        {"scale": slope * (1 + error / 1000)} if tilt else {"offset": height + error / (1.0 if unit is None else unit)}
    )
    wrong = replace(requantize, line=requantize.line._replace(**change))
    acc = every(requantize)
    same = np.array_equal(wrong.proven(acc), integer(requantize, acc))
    assert _equal_everywhere(requantize, wrong, np.array([BOUND])) == same


def test_a_step_beside_where_it_is_computed_is_not_taken_for_the_first() -> None:
    """0.1 · 3 + 128.7 is 129, but (129 − 128.7) / 0.1 is more than 3; an integer step at 2 would go unseen."""
    requantize = make(np.array([0.2]), offset=0, low=0, high=1)
    late = replace(requantize, line=Line(np.array([0.1]), np.array([128.7])))
    acc = np.arange(1, 6)[:, None]
    assert integer(requantize, acc)[:, 0].tolist() == [0, 1, 1, 1, 1]
    assert late.proven(acc)[:, 0].tolist() == [0, 0, 1, 1, 1]
    assert not _equal_everywhere(requantize, late, np.array([BOUND]))


def test_a_line_without_its_drop_is_refused() -> None:
    """Negative codes step elsewhere: with 1.5 bits shifted out, the naive line is wrong for half of them."""
    requantize = make(np.array([0.3]), offset=0)
    assert requantize.line is not None
    slope, height, edge, unit = requantize.line
    assert edge is not None and unit is not None
    naive = replace(requantize, line=Line(slope * unit, height * unit))
    assert not _equal_everywhere(requantize, naive, np.array([BOUND]))


def test_channels_may_differ_in_everything() -> None:
    factors = quantize_multiplier([0.01, 0.4, 0.0007])
    requantize = requantizer(np.array([5, -3000, 20000]), factors, 3, -128, 127, "int8", np.array([20000, 500, 70000]))
    assert requantize.line is not None
    acc = np.random.default_rng(0).integers([-20000, -500, -70000], [20001, 501, 70001], (5000, 3))
    assert np.array_equal(requantize(acc), integer(requantize, acc))


def test_one_multiplier_serves_all_channels() -> None:
    factor = quantize_multiplier([0.01])
    assert factor.multiplier.shape == factor.shift.shape == factor.scale.shape == (1,)
    requantize = requantizer(np.array([5, -3000]), factor, 3, -128, 127, "int8", np.array([BOUND, BOUND]))
    assert requantize.line is not None
    assert np.array_equal(requantize(every(requantize)), integer(requantize, every(requantize)))


def test_a_line_that_is_not_proven_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof has never said no; what would happen if it did is certain all the same."""
    assert make(np.array([0.3])).line is not None
    for proof in PROOFS:
        monkeypatch.setattr(requantize_module, proof, lambda *_: np.array(False))
    requantize = make(np.array([0.3]))
    assert requantize.line is None
    assert np.array_equal(requantize(every(requantize)), integer(requantize, every(requantize)))


PROOFS = ("_is_exact", "_clear_of_edges", "_equal_everywhere")


def numbers(line: Line) -> list[list[float] | None]:
    """A line's numbers, to be compared."""
    return [None if x is None else x.tolist() for x in line]


def by(*proofs: str) -> AbstractContextManager[Any]:
    """In which no other proofs succeed."""
    others: dict[str, Any] = {proof: lambda *_: np.array(False) for proof in PROOFS if proof not in proofs}
    multiple: AbstractContextManager[Any] = patch.multiple(requantize_module, **others)
    return multiple


@given(
    st.lists(SCALES | st.floats(2.0**-20, 2.0**-9), min_size=1, max_size=4),
    st.integers(-BOUND, BOUND) | st.sampled_from((2**20, -(2**24), 2**29)),
    st.integers(-128, 127),
    st.sampled_from(((-128, 127), (None, 127), (-100, -90))),
    st.sampled_from(("double", "single")),
)
def test_a_line_is_proven_by_its_bounds_or_at_its_steps(
    scales: list[float], bias: int, offset: int, clamp: tuple[int | None, int], rounding: str
) -> None:
    """Both forced: of the bounds alone, every step must be the integers', and where they say no, the steps decide."""
    low, high = offset if clamp[0] is None else clamp[0], clamp[1]
    made = partial(make, np.array(scales), bias=bias, offset=offset, low=low, high=high, rounding=rounding)
    bound = np.full(len(scales), BOUND)
    with by("_is_exact"):
        bounded = made()
    with by("_equal_everywhere"):
        stepped = made()
    if bounded.line is not None:
        assert stepped.line is not None and numbers(bounded.line) == numbers(stepped.line)
        assert _equal_everywhere(bounded, bounded, bound)
        assert np.array_equal(bounded(every(bounded)), integer(bounded, every(bounded)))


def test_usual_layers_are_proven_by_their_bounds_and_small_factors_at_their_steps() -> None:
    """Each channel as it can be."""
    usual, small = np.array([0.3, 2.0**-9 * 1.1]), np.array([0.3, 2.0**-16 * 1.1])
    with by("_is_exact"):
        assert make(usual, bound=10**6).line is not None
        assert make(small, bound=10**6).line is None
    with by("_is_exact", "_clear_of_edges"):
        assert make(small, bound=10**6).line is not None


@given(st.lists(SCALES, min_size=1, max_size=4), st.integers(-BOUND, BOUND), st.integers(-128, 127), st.booleans())
def test_what_is_clear_of_all_edges_is_equal_everywhere(
    scales: list[float], bias: int, offset: int, relu: bool
) -> None:
    """Both proofs of the same line, forced: the quick one knows less, and nothing else."""
    requantize = make(np.array(scales), bias=bias, offset=offset, low=offset if relu else -128)
    bound = np.full(len(scales), BOUND)
    if requantize.line is not None and _clear_of_edges(requantize, bound):
        assert _equal_everywhere(requantize, requantize, bound)


def test_usual_layers_are_clear_of_edges_and_ties_are_not() -> None:
    rng = np.random.default_rng(0)
    for low in (-128, -5):
        usual = make(rng.uniform(2.0**-12, 2.0**-4, 16), bias=rng.integers(-5000, 5000, 16), low=low, bound=10**6)
        assert _clear_of_edges(usual, np.full(16, 10**6))
    assert not _clear_of_edges(make(np.array([0.5])), np.array([BOUND]))


def test_channels_without_weights_have_a_line_whatever_their_bias() -> None:
    """As pruned networks have them: biases of 2³⁰ and multipliers of 0, which would wrap if anything moved."""
    for low in (3, -128):
        factors = quantize_multiplier([0.01, 1e-9, 0.0, 0.02])
        bias, bound = np.array([5, -(2**30), 2**30, 7]), np.array([20000, 0, 0, 500])
        requantize = requantizer(bias, factors, 3, low, 127, "int8", bound)
        assert requantize.line is not None
        acc = np.random.default_rng(0).integers(-bound, bound + 1, (5000, 4))
        assert np.array_equal(requantize(acc), integer(requantize, acc))


@given(
    st.lists(SCALES, min_size=1, max_size=4),
    st.integers(-BOUND, BOUND),
    st.integers(-128, 127),
    st.booleans(),
    st.sampled_from(("double", "single")),
)
def test_a_float32_line_gives_every_code(
    scales: list[float], bias: int, offset: int, relu: bool, rounding: str
) -> None:
    requantize = make(np.array(scales), bias=bias, offset=offset, low=offset if relu else -128, rounding=rounding)
    acc = every(requantize)
    assert requantize.line is not None
    for _ in range(OFTEN // len(acc) + 2):  # by the long line first, then by this one, if there is one
        assert np.array_equal(requantize(acc.astype(np.float32)), integer(requantize, acc))
    short = vars(requantize)["_short"]
    if short is not None:  # with a factor of 1.1 there may be none
        assert short.line.scale.dtype == np.float32
        assert np.array_equal(codes_of(short.line, requantize, acc), integer(requantize, acc))


def codes_of(line: Line, requantize: Requantizer, acc: Array) -> Array:
    """What a line of float32 makes of `acc`, written down anew."""
    real = acc.astype(np.float32) * line.scale + line.offset
    if line.edge is not None:
        real = np.where(real < line.edge, real - np.float32(1), real)
    if line.unit is not None:
        real = real * line.unit
    assert real.dtype == np.float32
    half = 1 << 7
    return np.floor(np.clip(real, requantize.activation_min + half, requantize.activation_max + half)) - half


def test_a_float32_line_is_used_once_a_layer_is_called_often() -> None:
    requantize = make(np.array([0.01, 0.02]), offset=-128)
    acc = every(requantize).astype(np.float32)
    for _ in range(-(-OFTEN // len(acc))):
        requantize(acc)
        assert "_short" not in vars(requantize)
    requantize(acc.astype(np.float64))
    assert "_short" not in vars(requantize)
    requantize(acc)
    assert vars(requantize)["_short"] is not None


def test_codes_of_16_bits_have_no_float32_line() -> None:
    requantize = make(np.array([0.01]), dtype="int16", low=-32768, high=32767)
    assert requantize.line is not None
    acc = np.zeros((OFTEN, 1), np.float32)
    for _ in range(2):
        requantize(acc)
    assert vars(requantize)["_short"] is None


@given(
    st.lists(SCALES, min_size=1, max_size=4),
    st.sampled_from((0, 77, -3000)),
    st.sampled_from(("int8", "int16")),
    st.sampled_from((3, -5)),
)
def test_two_roundings_in_floating_point_are_those_of_integers(
    scales: list[float], bias: int, dtype: str, offset: int
) -> None:
    """Ties of both roundings among them, which powers of two make."""
    requantize = make(np.array(scales), bias=bias, dtype=dtype, low=-128, high=127, offset=offset)
    acc = every(requantize)
    found = roundings(requantize, np.full(len(scales), BOUND))
    assert found is not None
    total = np.rint(np.rint((acc + bias) * found.high + found.nudge) * found.low)
    assert np.array_equal(np.clip(total + offset, -128, 127), integer(requantize, acc))


def test_two_roundings_of_numbers_beyond_float64_are_compared_at_the_steps() -> None:
    """Products of 16-bit codes have 30 bits, and a factor mostly 31."""
    rng, bound = np.random.default_rng(0), np.array([2**30])
    odd, even = (make(np.array([real]), bound=2**30) for real in (1.01 * 2.0**-23, 2.0**-23))
    found = roundings(odd, bound)
    assert found is not None and found.nudge == 0 and found.low.dtype == np.float64
    acc = rng.integers(-(2**30), 2**30, (10_000, 1))
    total = np.rint(np.rint(acc * found.high) * found.low) - 5
    assert np.array_equal(np.clip(total, -128, 127), integer(odd, acc))
    tied = roundings(even, bound)
    assert tied is not None and tied.nudge > 0
    assert roundings(make(np.array([0.01]), rounding="single"), bound) is None
    assert roundings(odd, 4 * bound) is None
