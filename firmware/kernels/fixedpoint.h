/* TFLM's fixed-point arithmetic: gemmlowp's fixedpoint.h and MultiplyByQuantizedMultiplier, each in a few instructions.
 *
 * Sums and left shifts wrap, as registers do; C calls that undefined for signed integers, hence the casts. Right shifts
 * of negative numbers keep the sign: implementation-defined in C11, and so on every compiler for microcontrollers.
 */
#ifndef REFENGINE_FIXEDPOINT_H
#define REFENGINE_FIXEDPOINT_H

#include <math.h>
#include <stdint.h>

#include "faults.h"
#include "numerics.h"

/* The real factor multiplier · 2^(shift − 31). */
struct multiplier {
  int32_t multiplier;
  int32_t shift;
#if REFENGINE_XNNPACK_ROUNDING
  float scale;
#endif
};

static inline int32_t add_wrap(int32_t a, int32_t b) { return (int32_t)((uint32_t)a + (uint32_t)b); }

static inline int32_t multiply_wrap(int32_t a, int32_t b) { return (int32_t)((uint32_t)a * (uint32_t)b); }

static inline int32_t shift_left_wrap(int32_t a, int32_t bits) { return (int32_t)((uint32_t)a << bits); }

static inline int32_t clamp(int32_t x, int32_t low, int32_t high) {
  x = x < low ? low : x;
  return x > high ? high : x;
}

/* The high 32 bits of 2·a·b, rounded; never both −2³¹ here. */
static inline int32_t saturating_rounding_doubling_high_mul(int32_t a, int32_t b) {
  return (int32_t)(((int64_t)a * b + (1 << 30)) >> 31);
}

/* x / 2^exponent to the nearest integer, ties away from zero; exponent 0 … 31. */
static inline int32_t rounding_divide_by_pot(int32_t x, int32_t exponent) {
#ifdef REFENGINE_FAULT_ROUND_DOWN
  return x >> exponent;
#else
  const int32_t mask = (int32_t)((UINT32_C(1) << exponent) - 1);
  const int32_t threshold = (mask >> 1) + (x < 0);
  return (x >> exponent) + ((x & mask) > threshold);
#endif
}

/* x · m in fixed point, in every dialect: for operators that XNNPACK has not. */
static inline int32_t multiply_in_fixed_point(int32_t x, struct multiplier m) {
#if REFENGINE_SINGLE_ROUNDING || defined(REFENGINE_FAULT_SINGLE_ROUNDING)
  return (int32_t)(((int64_t)x * m.multiplier + (INT64_C(1) << (30 - m.shift))) >> (31 - m.shift));
#else
  const int32_t left = m.shift & ~(m.shift >> 31), right = -m.shift & (m.shift >> 31); /* max(±shift, 0) */
  return rounding_divide_by_pot(saturating_rounding_doubling_high_mul(shift_left_wrap(x, left), m.multiplier), right);
#endif
}

static inline int32_t multiply_by_quantized_multiplier(int32_t x, struct multiplier m) {
#if REFENGINE_XNNPACK_ROUNDING
  return (int32_t)rintf(fminf(fmaxf((float)x * m.scale, -0x1p30f), 0x1p30f)); /* ties to even; no code is that large */
#else
  return multiply_in_fixed_point(x, m);
#endif
}

#endif
