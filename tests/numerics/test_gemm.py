"""The integer matrix product is exact on both sides of every bound that float32 has."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine.model import Array
from refengine.numerics import gemm as gemm_module
from refengine.numerics.gemm import exact_gemm


def extremes(depth: int) -> tuple[Array, Array]:
    """The largest products that int8 allows, and a last one that makes the sum odd, which float32 cannot hold late."""
    x, weights = np.full((2, depth), -255), np.full((3, depth), -128)
    x[1, ::2] = 255
    weights[:, -1] = -127
    weights[2] = 127
    return x, weights


@pytest.mark.parametrize(("depth", "blocks"), [(1, 1), (514, 1), (515, 2), (1028, 2), (1029, 3)])
def test_extreme_codes_are_exact_around_the_float32_bound(depth: int, blocks: int) -> None:
    x, weights = extremes(depth)
    gemm = exact_gemm(weights, 255)
    assert gemm.dtype == np.float32
    assert len(gemm.blocks) == blocks
    assert np.array_equal(gemm(x.astype(gemm.dtype)), x @ weights.T)
    assert gemm.bound.tolist() == (np.abs(weights).sum(axis=1) * 255).tolist()


def test_weights_become_floats_with_the_first_product() -> None:
    """Until then a plan takes no more than the file's own bytes."""
    x, weights = extremes(515)
    gemm = exact_gemm(weights, 255)
    assert "blocks" not in vars(gemm) and gemm.weights is weights
    gemm(x.astype(gemm.dtype))
    assert "blocks" in vars(gemm)


@pytest.mark.parametrize("at_once", [1, 600, 1 << 20])
def test_bounds_and_cuts_are_the_same_of_few_weights_at_a_time(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    _, weights = extremes(600)
    whole = exact_gemm(weights, 255)
    monkeypatch.setattr(gemm_module, "AT_ONCE", at_once)
    parts = exact_gemm(weights, 255)
    assert len(parts.parts) == 2 and parts.parts == whole.parts and np.array_equal(parts.bound, whole.bound)


def test_one_float32_product_would_be_wrong_there() -> None:
    """So the test above can fail."""
    x, weights = extremes(515)
    assert not np.array_equal(x.astype(np.float32) @ weights.T.astype(np.float32), x @ weights.T)


@pytest.mark.parametrize(("depth", "magnitude"), [(5000, 255), (3, 32768), (600, 32768), (1, 2**24 + 1)])
def test_long_sums_and_int16_codes_take_float64(depth: int, magnitude: int) -> None:
    x, weights = np.full((2, depth), -magnitude), np.full((1, depth), 127)
    x[1, ::3] = magnitude - 1
    gemm = exact_gemm(weights, magnitude)
    assert gemm.dtype == np.float64 or gemm.bound.max() <= 2**26
    assert np.array_equal(gemm(x.astype(gemm.dtype)), x @ weights.T)


@given(
    st.integers(0, 700),
    st.integers(1, 5),
    st.integers(1, 5),
    st.sampled_from((1, 128, 255, 511, 32768)),
    st.integers(0, 2**32 - 1),
)
def test_any_product_is_exact(depth: int, rows: int, outputs: int, magnitude: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.choice([-magnitude, magnitude, 0, 1], (rows, depth), p=[0.4, 0.4, 0.1, 0.1])
    weights = rng.integers(-128, 128, (outputs, depth)) * rng.integers(0, 2, (outputs, 1))
    gemm = exact_gemm(weights, magnitude)
    sums = x @ weights.T
    assert np.array_equal(gemm(x.astype(gemm.dtype)), sums)
    assert (np.abs(sums) <= gemm.bound).all()


@given(st.integers(1, 2000), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_no_block_can_exceed_the_significand(depth: int, outputs: int, seed: int) -> None:
    weights = np.random.default_rng(seed).integers(-128, 128, (outputs, depth))
    gemm = exact_gemm(weights, 255)
    limit = 2**24 if gemm.dtype == np.float32 else 2**53
    assert all(np.abs(block).sum(axis=0).max() * 255.0 <= limit for _, block in gemm.blocks)
    assert [i for part, _ in gemm.blocks for i in range(depth)[part]] == list(range(depth))
