/* What conv, depthwise_conv and fully_connected share: from accumulators to outputs, and the multiply-add of floats. */
#ifndef REFENGINE_LAYERS_H
#define REFENGINE_LAYERS_H

#include "kernels.h"

static inline struct multiplier multiplier_of(const struct requantize *r, int32_t channel) {
  return r->output_multiplier[channel * r->per_channel];
}

/* The code for the accumulator `acc`, its bias included. */
static inline int8_t requantized(const struct requantize *r, struct multiplier m, int32_t acc) {
  const int32_t scaled = multiply_by_quantized_multiplier(acc, m);
  const int32_t code = add_wrap(scaled, r->output_offset);
  return (int8_t)clamp(code, r->output_activation_min, r->output_activation_max);
}

/* total + x · w, by the dialect's one or two roundings. Without FMA the compiler must not fuse the two either: GCC does
 * not under -std=c11 (its gnu modes need -ffp-contract=off), clang heeds the pragma. */
static inline float multiply_add(float x, float w, float total) {
#if REFENGINE_FMA
  return fmaf(x, w, total);
#else
#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#endif
  const float product = x * w;
  return total + product;
#endif
}

/* min(max(x, low), high) in which NaN and −0.0 pass. */
static inline float clamp_float(float x, float low, float high) {
  x = x < low ? low : x;
  return high < x ? high : x;
}

#endif
