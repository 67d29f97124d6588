/* 1 / √x in fixed point, as TFLM's GetInvSqrtQuantizedMultiplierExp in kernels/internal/common.h. */
#ifndef REFENGINE_INVERSE_SQRT_H
#define REFENGINE_INVERSE_SQRT_H

#include "gemmlowp.h"

static inline int32_t saturating_shift_left(int32_t x, int32_t bits) {
  const int64_t shifted = (int64_t)x * (INT64_C(1) << bits);
  return shifted > INT32_MAX ? INT32_MAX : shifted < INT32_MIN ? INT32_MIN : (int32_t)shifted;
}

/* The real factor 1 / √x, for 0 ≤ x < 2³¹; that of 0 is that of 1. */
static inline struct multiplier inverse_sqrt(int32_t x) {
  struct multiplier result = {0};
  result.multiplier = INT32_MAX;
  if (x <= 1) {
    return result;
  }
  const int32_t is_large = x >= 1 << 29;
  const int32_t reduced = is_large ? x >> 2 : x;
  const int32_t pairs = (leading_zeros((uint32_t)reduced) - 1) / 2 - 1;
  const int32_t half = rounding_divide_by_pot(shift_left_wrap(reduced, 2 * pairs) >> 1, 1);
  int32_t root = 1 << 28; /* Q3.28 */
  for (int32_t step = 0; step < 5; ++step) { /* Newton: y ← y · (3 − x · y²) / 2 */
    const int32_t square = saturating_rounding_doubling_high_mul(root, root);
    const int32_t cube = saturating_shift_left(saturating_rounding_doubling_high_mul(square, root), 6);
    const int32_t rest = saturating_rounding_doubling_high_mul(root, 3 << 27) -
                         saturating_rounding_doubling_high_mul(half, cube);
    root = saturating_shift_left(rest, 3);
  }
  const int32_t right = (is_large ? 12 : 11) - pairs;
  result.multiplier = saturating_rounding_doubling_high_mul(root, 1518500250); /* √½ */
  if (right < 0) {
    result.multiplier = shift_left_wrap(result.multiplier, -right);
  } else {
    result.shift = -right;
  }
  return result;
}

#endif
