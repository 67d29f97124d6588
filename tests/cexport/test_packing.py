"""refengine/cexport/packing.py: packed weights give the sums of the plain ones, simplified multipliers the codes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine.cexport.packing import PATCH, Packed, packed_3x3, packed_pairs
from refengine.model import Array
from refengine.numerics.fixedpoint import Multiplier, multiply_by_quantized_multiplier, quantize_multiplier

ALIKE = quantize_multiplier(np.full(4, 0.01))
"""Multipliers of four channels that nothing speaks against."""


def code_of(packed: Packed, acc: Array, output_offset: int) -> Array:
    """What `code_of` in `packed.h` computes, its clamp included, in the integers that it has."""
    factor, less = packed.multiplier.multiplier, ~packed.multiplier.shift
    total = acc + packed.bias
    high = (2 * total * factor + 2**31) >> 32
    assert np.abs(2 * total).max() < 2**31
    rounded = high + (high >> 31) + ((2 * output_offset + 1) << less)
    assert np.abs(rounded).max() < 2**31
    code: Array = np.clip(rounded >> less >> 1, -128, 127)
    return code


def codes(acc: Array, bias: Array, multiplier: Multiplier, output_offset: int) -> Array:
    """What TFLM computes."""
    return np.clip(multiply_by_quantized_multiplier(acc + bias, multiplier) + output_offset, -128, 127)


@pytest.mark.slow
@given(
    st.lists(st.lists(st.integers(-128, 127), min_size=3, max_size=3), min_size=4, max_size=4),
    st.lists(st.integers(-(2**30), 2**30) | st.integers(-5000, 5000), min_size=4, max_size=4),
    st.lists(st.floats(2**-40, 0.6), min_size=4, max_size=4),
    st.integers(-128, 127),
)
def test_simplified_multipliers_give_the_same_codes(
    weights: list[list[int]], biases: list[int], factors: list[float], output_offset: int
) -> None:
    """For the largest accumulators that the weights reach, those in between, and those around ties."""
    rows, bias, multiplier = np.array(weights), np.array(biases), quantize_multiplier(np.array(factors))
    packed = packed_pairs(rows, bias, multiplier, output_offset)
    if packed is None:
        return
    reach = 128 * np.abs(rows).sum(axis=1)
    acc = np.linspace(-reach, reach, 501).astype(np.int64)
    np.testing.assert_array_equal(code_of(packed, acc, output_offset), codes(acc, bias, multiplier, output_offset))


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
def test_pairs_hold_both_channels(channels: int, taps: int, seed: int) -> None:
    rows = np.random.default_rng(seed).integers(-127, 128, (channels, taps))
    packed = packed_pairs(rows, np.zeros(channels, int), quantize_multiplier(np.full(channels, 0.01)), 0)
    assert packed is not None and packed.filter.shape == (-(-channels // 4) * 2, taps + taps % 2)
    first = packed.filter.astype(np.int8).astype(int)
    both = np.stack([first, (packed.filter.astype(int) - first) >> 8], axis=1).reshape(-1, packed.filter.shape[1])
    np.testing.assert_array_equal(both[:channels, :taps], rows)
    assert not both[channels:].any() and not both[:, taps:].any()


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (np.array([[-1, 0], [-128, 0], [0, 0], [0, 0]]), "w0 + 256 · w1 leaves int16"),
        (np.full((4, PATCH), 60), "Σ x·w1 leaves 24 bits"),
        (np.zeros((4, PATCH + 1), int), "more taps than a patch has room for"),
    ],
    ids=lambda value: value.replace(" ", "_") if isinstance(value, str) else "",
)
def test_what_would_not_be_exact_is_not_packed(rows: Array, why: str) -> None:
    assert packed_pairs(rows, np.zeros(4, int), ALIKE, 0) is None, why


@pytest.mark.parametrize(
    ("multiplier", "bias"),
    [
        (quantize_multiplier(np.full(4, 1.5)), 0),
        (quantize_multiplier(np.full(4, 0.01), "single"), 0),
        (ALIKE, 2**30),
        (ALIKE, -(2**31)),
    ],
    ids=["shifts left", "another rounding", "leaves 30 bits", "the lowest bias"],
)
def test_layers_without_proof_stay_as_they_are(multiplier: Multiplier, bias: int) -> None:
    ones = np.ones((4, 2), int)
    assert packed_pairs(ones, np.zeros(4, int), ALIKE, 0) is not None
    assert packed_pairs(ones, np.full(4, bias, np.int32), multiplier, 0) is None


def test_a_dead_channel_spares_the_others() -> None:
    """No weights, a bias at its limit, and a multiplier that shifts by 30 bits: a number with the same code."""
    rows, bias = np.array([[0, 0], [1, 2], [3, 4], [5, 6]]), np.array([2**30, 1, 2, 3])
    multiplier = quantize_multiplier(np.array([2.0**-29, 0.1, 0.1, 0.1]))
    packed = packed_pairs(rows, bias, multiplier, 5)
    assert packed is not None and packed.bias[0] == 8 and packed.multiplier.shift[0] == -1
    zero = np.zeros(4, np.int64)
    np.testing.assert_array_equal(code_of(packed, zero, 5), codes(zero, bias, multiplier, 5))


def test_equal_multipliers_are_one() -> None:
    packed = packed_pairs(np.ones((4, 2), int), np.zeros(4, int), ALIKE, 0)
    assert packed is not None and packed.multiplier.multiplier.size == 1


def test_filters_of_3x3_lie_by_four_channels() -> None:
    filter = np.arange(8 * 9).reshape(8, 3, 3) - 36
    packed = packed_3x3(filter, np.zeros(8, int), quantize_multiplier(np.full(8, 0.01)), 0)
    assert packed is not None and packed.filter.shape == (2, 36)
    w = filter[1]
    expected = [w[0, 0], w[0, 1], w[1, 0], w[1, 1], w[0, 2], w[2, 0], w[1, 2], w[2, 1]]
    assert packed.filter[0, 8:16].tolist() == expected
    assert packed.filter[1, 32:].tolist() == filter[4:, 2, 2].tolist()
