"""The stages that several kernels end with, told for people in Python integers; nothing here is used by `evaluate`."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from typing import Any

import numpy as np

from ..kernel import Line
from ..numerics import scalar, scalar_float
from ..numerics.fixedpoint import Multiplier

FLOAT_SCALED = {*scalar.XNNPACK_LOWEST, "real"}
"""The dialects that multiply by a float, not by an integer and a power of two."""


def factor_at(factor: Multiplier, channel: int) -> tuple[int, int, float]:
    """(multiplier, shift, scale) of one channel, for factors of one entry or one a channel."""
    at = channel if factor.multiplier.size > 1 else 0
    return int(factor.multiplier.flat[at]), int(factor.shift.flat[at]), float(factor.scale.flat[at])


def rescale(x: int, factor: Multiplier, channel: int = 0) -> Generator[Line, None, int]:
    """`x` times the channel's factor in the factor's dialect, a line a stage; returns the result, the last value."""
    multiplier, shift, scale = factor_at(factor, channel)
    if factor.rounding in FLOAT_SCALED:
        return (yield from _rescale_by_float(x, scale, factor.rounding))
    real = multiplier * 2.0 ** (shift - 31)
    yield Line("multiplier", f"effective scale {real:.9g} = {multiplier} · 2^({shift} − 31)", multiplier)
    yield Line("shift", f"2^{shift}: {'left, before' if shift > 0 else 'right, after'} the multiplication", shift)
    how = "rounded once, ties up"
    if factor.rounding in ("double", "ruy"):
        shifted = scalar.wrap(x << max(shift, 0))
        high = scalar.saturating_rounding_doubling_high_mul(shifted, multiplier)
        yield Line(
            "high multiply", f"round({shifted} · {multiplier} / 2^31) = round({shifted * multiplier / 2**31:.6f})", high
        )
        how = "as it is: nothing is shifted to the right"
        if shift < 0:
            how = f"second rounding, ties {'up' if factor.rounding == 'ruy' else 'away from zero'}"
            rest = high - (high >> -shift << -shift)
            yield Line(
                "rounding remainder",
                f"{high} mod 2^{-shift}: {rest} of {1 << -shift}, half is {1 << (-shift - 1)}",
                rest,
            )
    result = scalar.multiply_by_quantized_multiplier(x, multiplier, shift, scale, factor.rounding)
    yield Line("scaled", f"{x} · {real:.9g} = {x * real:.6f} → {result} ({how})", result)
    return result


def _rescale_by_float(x: int, scale: float, rounding: str) -> Generator[Line, None, int]:
    """The same in dialects that never make a multiplier of integers, but keep the factor as a float."""
    if rounding == "real":
        yield Line("scale", "the effective scale as a float64: no integer multiplier is made", scale)
        product, how = x * scale, "ties away from zero"
        yield Line("product", f"{x} · {scale:.17g} in float64 (TFLite)", product)
    else:
        single = np.float32(scale)
        yield Line("scale", "the effective scale as a float32: no integer multiplier is made", single)
        product, how = np.float32(x) * single, "ties to even"
        yield Line("product", f"{x} · {single:.9g} in float32 (XNNPACK)", product)
    result = scalar.multiply_by_quantized_multiplier(x, 0, 0, scale, rounding)
    yield Line("scaled", f"{float(product):.6f} → {result} ({how})", result)
    return result


def rescale_64(x: int, factor: Multiplier, channel: int = 0) -> Generator[Line, None, int]:
    """A 64-bit accumulator times the channel's factor reduced to 16 bits; returns the result, the last value."""
    multiplier, shift, _ = factor_at(factor, channel)
    if factor.rounding == "real":
        return (yield from rescale(x, factor, channel))
    real = multiplier * 2.0 ** (shift - 31)
    yield Line("multiplier", f"effective scale {real:.9g} = {multiplier} · 2^({shift} − 31)", multiplier)
    yield Line("shift", f"2^{shift}, folded into the one right shift of {15 - shift}", shift)
    result = scalar.multiply_by_quantized_multiplier_64(x, multiplier, shift, rounding=factor.rounding)
    how = "16-bit multiplier, rounded once, ties up"
    if factor.rounding == "narrow":
        how += ", cut to 32 bits before that"
    yield Line("scaled", f"{x} · {real:.9g} = {x * real:.6f} → {result} ({how})", result)
    return result


def value_of(lines: Iterator[Line]) -> Generator[Line, None, Any]:
    """Tell the lines, and return the last one's value."""
    line = Line("", "", 0)
    for line in lines:
        yield line
    return line.value


def finish(x: int, offset: int, low: int, high: int) -> Iterator[Line]:
    """Add the output offset (zero point) and clamp to the activation's codes."""
    total = scalar.wrap(x + offset)
    wrapped = "" if total == x + offset else ", wrapped to 32 bits"
    yield Line("output offset", f"{x} + output zero point {offset}{wrapped}", total)
    code = scalar.clamp(total, low, high)
    text = f"within [{low}, {high}]" if code == total else f"{total} is outside [{low}, {high}]: clamped"
    yield Line("clamp", text, code)


def finish_float(total: np.float32, low: np.float32, high: np.float32) -> Iterator[Line]:
    """Clamp a float32 as C++'s min(max(total, low), high) does: NaN and −0 pass, infinities become ±FLT_MAX."""
    value = low if total < low else total
    value = high if high < value else value
    yield Line("clamp", f"within [{low:g}, {high:g}]" if value is total else f"clamped to [{low:g}, {high:g}]", value)


def float_layer(
    taps: Iterable[tuple[str, np.float32, np.float32]],
    bias: np.float32,
    contraction: str,
    low: np.float32,
    high: np.float32,
) -> Iterator[Line]:
    """Sum the products of (name, value, weight) taps in order from 0.0, add the bias, clamp; all in float32."""
    total = np.float32(0)
    with np.errstate(all="ignore"):
        for name, x, w in taps:
            total = scalar_float.fma(x, w, total) if contraction == "fma" else total + x * w
            yield Line("tap", f"{name} = {x:.9g} · weight {w:.9g} = {x * w:.9g}, running sum {total:.9g}", total)
        yield Line(
            "accumulator", f"the sum, rounded to float32 {'once' if contraction == 'fma' else 'twice'} a tap", total
        )
        yield Line("bias", f"{total:.9g} + bias {bias:.9g}", total + bias)
        yield from finish_float(total + bias, low, high)
