"""Affine quantisation, the fixed-point multiplier and double rounding for a second-year student.

Every number in the text is computed on the spot by the functions that the engine's explanations use.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..numerics import scalar

SCALE, ZERO_POINT, REAL = 0.0078125, -128, 0.7
ACC, M0, SHIFT, OFFSET = 585, 1527099593, -6, -126
FLOAT_M = np.float32(1527099520 * 2.0**-37)  # M as float32 products of the scales arrive at it


def primer() -> Iterator[str]:
    """The text, a paragraph at a time."""
    yield from (_affine(), _multiplier(), _rounding(), _twice_or_once())


def _affine() -> str:
    code = scalar.round_half_away(REAL / SCALE) + ZERO_POINT
    back = SCALE * (code - ZERO_POINT)
    return f"""\
1. Affine quantisation: a real number stands as a small integer, its code.
     real = scale · (code − zero point)          code = round(real / scale) + zero point
   With scale {SCALE} and zero point {ZERO_POINT}, {REAL} becomes round({REAL / SCALE:.4g}) − {-ZERO_POINT} = {code}.
   It reads back as {SCALE} · ({code} + {-ZERO_POINT}) = {back:.7g}: off by {abs(back - REAL):.2g}, at most half a scale.
"""


def _multiplier() -> str:
    return f"""\
2. The fixed-point multiplier: a layer sums products of codes in a 32-bit accumulator. Its unit is input scale · weight
   scale, the output's is another. The ratio M of the two is a real number, but a microcontroller would rather multiply
   integers, so TFLM keeps M as M0 · 2^(shift − 31) with a 31-bit integer M0:
     M0 = {M0}, shift = {SHIFT}:     M = {M0} / 2^31 / 2^{-SHIFT} = {M0 * 2.0 ** (SHIFT - 31):.10g}
"""


def _rounding() -> str:
    high = scalar.saturating_rounding_doubling_high_mul(ACC, M0)
    double, single, xnnpack = (_scaled(ACC, M0, rounding) for rounding in ("double", "single", "xnnpack"))
    return f"""\
3. Rounding: an accumulator of {ACC} becomes {ACC} · M = {ACC * M0 * 2.0 ** (SHIFT - 31):.9g}, all but a tie, rounded, plus
   the output's zero point {OFFSET}. TFLM rounds twice: the high multiply, {ACC} · M0 / 2^31 = {ACC * M0 / 2**31:.6f} → {high},
   and then the right shift, {high} / 2^{-SHIFT} = {high / 2**-SHIFT} → {double}, ties away from zero. XNNPACK never makes an M0; its M
   is the float32 {FLOAT_M:.9g}, the product in float32 is {np.float32(ACC) * FLOAT_M:.9g}, and ties go to the even neighbour.
     double rounding (TFLM)             {double:>2} − {-OFFSET} = {double + OFFSET}
     single rounding                    {single:>2} − {-OFFSET} = {single + OFFSET}     ({ACC} · M0 + 2^{30 - SHIFT}) >> {31 - SHIFT}
     float32, ties to even (XNNPACK)    {xnnpack:>2} − {-OFFSET} = {xnnpack + OFFSET}
   Here it does not matter whether one rounds once or twice; only ties-to-even gives another code. The answer "it is
   single rounding", which circulates for this very case (tensorflow#102943), is wrong.
"""


def _twice_or_once() -> str:
    acc, factor = _where_double_differs()
    first = scalar.saturating_rounding_doubling_high_mul(acc, factor)
    double, single = (_scaled(acc, factor, rounding) for rounding in ("double", "single"))
    return f"""\
4. Twice or once: with M0 = {factor} and shift {SHIFT}, an accumulator of {acc} stands for {acc * factor * 2.0 ** (SHIFT - 31):.6f}. Rounded first
   to {first}, then {first} / 2^{-SHIFT} = {first / 2**-SHIFT} → {double}; rounded once → {single}. Such cases are a few in a thousand, never by more than
   one code: too few to notice, and enough to break a comparison of bytes.
"""


def _scaled(acc: int, factor: int, rounding: str) -> int:
    return scalar.multiply_by_quantized_multiplier(acc, factor, SHIFT, float(FLOAT_M), rounding)


def _where_double_differs() -> tuple[int, int]:
    """The smallest accumulator for which rounding twice is not rounding once, at M0 = 0.6 · 2³¹."""
    factor, _ = scalar.quantize_multiplier(0.6)
    return next(
        acc for acc in range(1 << 16) if _scaled(acc, factor, "double") != _scaled(acc, factor, "single")
    ), factor
