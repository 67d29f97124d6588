"""A line of float32 begins every code where the float64 one does, or there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine.model import Array
from refengine.numerics.fixedpoint import quantize_multiplier
from refengine.numerics.line import Line, Staircase, in_float32
from refengine.numerics.requantize import Requantizer, requantizer, staircase


def made(scales: Array, bound: int, *, relu: bool = True, bias: Array | int = 0, offset: int = -128) -> Requantizer:
    """An int8 layer's, of as many channels as there are scales; without a ReLU, it drops at zero."""
    count = np.size(scales)
    low, factors = offset if relu else -128, quantize_multiplier(scales)
    return requantizer(np.broadcast_to(bias, count), factors, offset, low, 127, "int8", np.full(count, bound))


def differs(line: Line, layer: Requantizer, acc: Array) -> Array:
    """For which of the accumulators (…, channels) a line of float32 gives other codes than the integer arithmetic."""
    real = line(acc.astype(np.float32))
    assert real.dtype == np.float32
    codes = np.floor(np.clip(real, layer.activation_min + 128, layer.activation_max + 128)) - 128
    return np.asarray(codes != layer.exact(acc.astype(np.int64)))


def every(layer: Requantizer) -> Array:
    """Every accumulator within the bound, for each channel."""
    assert layer.bound is not None
    most = int(layer.bound.max())
    return np.broadcast_to(np.arange(-most, most + 1)[:, None], (2 * most + 1, layer.bound.size))


@given(
    st.lists(st.sampled_from((2.0**-7, 0.25, 1.0, 1.5)) | st.floats(2.0**-11, 1.0), min_size=1, max_size=4),
    st.integers(-5000, 5000),
    st.integers(-128, 127),
    st.booleans(),
)
def test_it_gives_every_code(scales: list[float], bias: int, offset: int, relu: bool) -> None:
    layer = made(np.array(scales), 8000, relu=relu, bias=bias, offset=offset)
    line = in_float32(staircase(layer))
    if line is not None:  # 1.1 · 5 + 0.5 is so near to 6 that float32 cannot tell
        assert not differs(line, layer, every(layer)).any()


@pytest.mark.parametrize("relu", [True, False])
def test_most_layers_have_one_that_rounding_alone_would_not_give(relu: bool) -> None:
    rng, found, rounded, own = np.random.default_rng(0), 0, 0, 0
    for _ in range(30):
        scales, bias = rng.uniform(2.0**-10, 2.0**-6, 8), rng.integers(-5000, 5000, 8)
        layer = made(scales, 300_000, relu=relu, bias=bias, offset=-128 if relu else 3)
        assert layer.line is not None
        line, acc = in_float32(staircase(layer)), every(layer)
        if line is not None:
            found += 1
            own += line.unit is None
            assert not differs(line, layer, acc).any()
        rounded += not differs(layer.line.map(lambda x: x.astype(np.float32)), layer, acc).any()
    assert found == 30 and rounded < 5
    assert (own > 10) == relu  # a line that drops has a unit, anyway


def test_codes_of_many_accumulators_need_another_unit() -> None:
    """Of 2,000 to 4,000 accumulators a code, in float32, which tells 255 from 255 + 2⁻¹⁶."""
    scales = np.random.default_rng(1).uniform(2.0**-12, 2.0**-11, 16)
    layer = made(scales, 2**20, bias=777)
    line = in_float32(staircase(layer))
    assert line is not None and line.unit is not None
    assert np.all(np.abs(line.unit - 1) < 2.0**-9)
    assert not differs(line, layer, every(layer)).any()
    assert differs(line._replace(unit=None), layer, every(layer)).any()


def test_channels_are_searched_in_parts_and_put_together() -> None:
    scales = np.random.default_rng(2).uniform(2.0**-9, 2.0**-7, 150)
    layer = made(scales, 50_000, bias=np.arange(150))
    line = in_float32(staircase(layer))
    assert line is not None and line.size == 150
    assert not differs(line, layer, every(layer)).any()


def test_where_float32_cannot_tell_there_is_none() -> None:
    """Accumulators beyond 2²⁴, and codes of more steps than can all be met."""
    assert in_float32(staircase(made(np.array([2.0**-20]), 2**24))) is not None
    assert in_float32(staircase(made(np.array([2.0**-20]), 2**24 + 1))) is None
    tiny = np.full(8, 2.0**-15 * 1.01)
    assert in_float32(staircase(made(tiny, 2**23, relu=False, offset=3))) is None


def test_a_staircase_that_is_not_the_lines_own_has_none() -> None:
    stairs = staircase(made(np.array([0.01, 0.02]), 3000))
    assert in_float32(stairs) is not None
    assert in_float32(replace(stairs, step=stairs.step + 1)) is None


def test_channels_that_do_not_move_have_a_line_too() -> None:
    """As pruned networks have them, whatever their scale and bias."""
    factors = quantize_multiplier([0.01, 1e-9, 0.0, 0.02])
    bias, bound = np.array([5, -(2**30), 2**30, 7]), np.array([20000, 0, 0, 500])
    for low in (3, -128):
        layer = requantizer(bias, factors, 3, low, 127, "int8", bound)
        line = in_float32(staircase(layer))
        assert line is not None
        acc = np.random.default_rng(0).integers(-bound, bound + 1, (5000, 4))
        assert not differs(line, layer, acc).any()


def test_a_line_goes_as_it_says() -> None:
    acc = np.array([[-3.0, 1.0], [0.0, 2.0]])
    plain = Line(np.array([2.0]), np.array([0.5, 1.5]))
    assert plain(acc).tolist() == [[-5.5, 3.5], [0.5, 5.5]]
    dropping = Line(np.array([2.0]), np.array([0.5, 1.5]), np.array([0.0, -np.inf]), np.array([1.0, 0.5]))
    assert dropping(acc).tolist() == [[-6.5, 1.75], [0.5, 2.75]]
    assert dropping.size == 2 and dropping.map(lambda x: 2 * x).offset.tolist() == [1.0, 3.0]
    spent = acc.copy()
    assert plain(spent, out=spent) is spent and np.array_equal(spent, plain(acc))


@given(st.floats(2.0**-10, 2.0**-3), st.integers(-3000, 3000), st.booleans(), st.integers(0, 2**20))
def test_lines_that_fit_are_not_called_unfit(scale: float, bias: int, relu: bool, seed: int) -> None:
    """`through` looks at float32's roundings as they are: where it says no, the line does not fit."""
    layer = made(np.full(64, scale), 5000, relu=relu, bias=bias, offset=-128 if relu else 3)
    stairs: Staircase = staircase(layer).of(np.arange(64))
    unit = np.ones(64) if stairs.line.unit is None else stairs.line.unit
    units = (unit * (1 + np.random.default_rng(seed).integers(0, 2000, 64) * 2.0**-23)).astype(np.float32)
    line, may_fit = stairs.through((stairs.line.scale * unit / units).astype(np.float32), units)
    assert not np.any(stairs.fits(line) & ~may_fit)
