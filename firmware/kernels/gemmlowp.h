/* gemmlowp's functions on fixed-point numbers: a number in Qm.n is a code worth code / 2^n. */
#ifndef REFENGINE_GEMMLOWP_H
#define REFENGINE_GEMMLOWP_H

#include "fixedpoint.h"

static inline int32_t saturating_double(int32_t x) { return x > INT32_MAX / 2 ? INT32_MAX : x * 2; }

/* 1 / (1 + a) in Q0.31 for 0 ≤ a < 1 in Q0.31: three Newton steps x ← x + x · (1 − d · x) towards 1/d, d = (1 + a) / 2,
 * in Q2.29. */
static inline int32_t one_over_one_plus_x_for_x_in_0_1(int32_t a) {
  const int32_t half_denominator = (int32_t)(((int64_t)a + INT32_MAX + 1) >> 1);
  int32_t x = 1515870810 + saturating_rounding_doubling_high_mul(half_denominator, -1010580540); /* 48/17 − 32/17 · d */
  for (int32_t step = 0; step < 3; ++step) {
    const int32_t rest = (1 << 29) - saturating_rounding_doubling_high_mul(half_denominator, x);
    x += shift_left_wrap(saturating_rounding_doubling_high_mul(x, rest), 2);
  }
  return saturating_double(x);
}

/* Of x > 0. */
static inline int32_t leading_zeros(uint32_t x) {
#ifdef __GNUC__
  return __builtin_clz(x);
#else
  int32_t zeros = 0;
  for (; !(x >> 31); x <<= 1) {
    ++zeros;
  }
  return zeros;
#endif
}

#endif
