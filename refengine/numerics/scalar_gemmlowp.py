"""gemmlowp's fixed-point functions on Python integers, as gemmlowp phrases them, for people and for proofs.

`gemmlowp` has the same names on arrays, phrased differently; the tests hold the two together.
Sources: gemmlowp `fixedpoint/fixedpoint.h`; the logarithm TFLM `kernels/internal/common.h`.
"""

from __future__ import annotations

from .scalar import (
    INT32_MAX,
    INT32_MIN,
    clamp,
    rounding_divide_by_pot,
    saturating_rounding_doubling_high_mul,
    truncated_division,
)

EXP_BARREL = ((-2, 1672461947), (-1, 1302514674), (0, 790015084), (1, 290630308), (2, 39332535), (3, 720401), (4, 242))
"""(exponent, e^(−2^exponent) in Q0.31), from −¼ to −16."""


def saturating_shift_left(x: int, exponent: int) -> int:
    """x · 2^exponent, kept within int32."""
    return clamp(x * 2**exponent, INT32_MIN, INT32_MAX)


def exp_on_negative_values(a: int, integer_bits: int) -> int:
    """e^a in Q0.31 for a ≤ 0 in Q`integer_bits`.(31 − `integer_bits`)."""
    fractional_bits = 31 - integer_bits
    if a == 0:
        return INT32_MAX
    if integer_bits > 5 and a < -32 * 2**fractional_bits:
        return 0
    one_quarter = 2**fractional_bits // 4
    a_mod_quarter_minus_one_quarter = a % one_quarter - one_quarter
    result = exp_on_interval(saturating_shift_left(a_mod_quarter_minus_one_quarter, integer_bits))
    remainder = a_mod_quarter_minus_one_quarter - a
    for exponent, factor in EXP_BARREL:
        if exponent < integer_bits and remainder & 1 << (fractional_bits + exponent):
            result = saturating_rounding_doubling_high_mul(result, factor)
    return result


def exp_on_interval(a: int) -> int:
    """e^a in Q0.31 for a in Q0.31, −¼ ≤ a < 0; with x = a + ⅛: e^(−⅛) · (1 + x + x²/2 + x³/6 + x⁴/24)."""
    mul = saturating_rounding_doubling_high_mul
    constant_term, constant_1_over_3 = 1895147668, 715827883
    x = a + 2**28
    x2 = mul(x, x)
    x3 = mul(x2, x)
    x4 = mul(x2, x2)
    x4_over_4 = rounding_divide_by_pot(x4, 2)
    x4_over_12_plus_x3_over_3 = mul(x4_over_4 + x3, constant_1_over_3)
    x4_over_24_plus_x3_over_6_plus_x2_over_2 = rounding_divide_by_pot(x4_over_12_plus_x3_over_3 + x2, 1)
    return constant_term + mul(constant_term, x + x4_over_24_plus_x3_over_6_plus_x2_over_2)


def one_over_one_plus_x_for_x_in_0_1(a: int) -> int:
    """1 / (1 + a) in Q0.31 for 0 ≤ a < 1 in Q0.31."""
    return saturating_shift_left(newton_raphson_division(a), 1)


def one_minus_x_over_one_plus_x_for_x_in_0_1(a: int) -> int:
    """(1 − a) / (1 + a) in Q0.31 for 0 ≤ a < 1 in Q0.31."""
    return saturating_shift_left(newton_raphson_division(a) - 2**29, 2)


def newton_raphson_division(a: int) -> int:
    """2 / (1 + a) in Q2.29 for 0 ≤ a < 1 in Q0.31; starts from 48/17 − 32/17 · d, d = (1 + a) / 2."""
    mul = saturating_rounding_doubling_high_mul
    constant_48_over_17, constant_neg_32_over_17 = 1515870810, -1010580540
    half_denominator = truncated_division(a + INT32_MAX + 1, 2)
    x = constant_48_over_17 + mul(half_denominator, constant_neg_32_over_17)
    for _ in range(3):
        half_denominator_times_x = mul(half_denominator, x)
        x += saturating_shift_left(mul(x, 2**29 - half_denominator_times_x), 2)
    return x


def log_x_for_x_greater_than_or_equal_to_1(x: int) -> int:
    """log(x) in Q5.26 for x ≥ 1 in Q12.19: `z_pow_2_adj` · log 2 + `num` / `denom`, with one bit to spare, in Q6.25."""
    mul, sqrt_half, sqrt_sqrt_half = saturating_rounding_doubling_high_mul, 1518500250, 1805811301
    alpha_n, alpha_d, alpha_i, alpha_f, log_2 = 117049297, 127690142, 1057819769, 638450708, 1488522236
    z_a_headroom_plus_1 = 32 - x.bit_length()
    r_a = saturating_shift_left(mul(saturating_shift_left(x, z_a_headroom_plus_1 - 1), sqrt_half), 1)
    z_a_pow_2_adj = (12 - z_a_headroom_plus_1) * 2**25 + 2**23
    z_b_headroom = 31 - mul(x, sqrt_half).bit_length()
    r_b = saturating_shift_left(x, z_b_headroom)
    z_b_pow_2_adj = (12 - z_b_headroom) * 2**25 - 2**23
    r, z_pow_2_adj = min(r_a, r_b), max(z_a_pow_2_adj, z_b_pow_2_adj)
    p = truncated_division(r + sqrt_sqrt_half + 1, 2)
    q = 2 * (r - sqrt_sqrt_half)
    common_sq = mul(q, q)
    num = mul(q, r) + mul(mul(q, common_sq), alpha_n)
    denom_minus_one = mul(p, alpha_i + q + mul(alpha_d, common_sq)) + mul(alpha_f, q)
    num_scaled = rounding_divide_by_pot(num, 6)
    recip_denom = one_over_one_plus_x_for_x_in_0_1(denom_minus_one)
    return saturating_shift_left(mul(z_pow_2_adj, log_2) + mul(num_scaled, recip_denom), 1)
