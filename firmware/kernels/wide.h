/* What the int16 layers share: accumulators of 64 bits, or of 32 that wrap, and their way to codes of 16 bits. */
#ifndef REFENGINE_WIDE_H
#define REFENGINE_WIDE_H

#include "layers.h"

/* As TFLM multiplies 64 bits: by the multiplier's upper 16, rounded once, in every dialect. */
static inline int32_t multiply_by_quantized_multiplier_64(int64_t x, struct multiplier m) {
  const int32_t reduced = m.multiplier < 0x7fff0000 ? (m.multiplier + (1 << 15)) >> 16 : 0x7fff;
  const uint64_t product = (uint64_t)x * (uint64_t)(int64_t)reduced + (UINT64_C(1) << (14 - m.shift));
  return (int32_t)((int64_t)product >> (15 - m.shift));
}

/* A bias that is computed in the inference may be any number. */
static inline int64_t add_wrap_64(int64_t a, int64_t b) { return (int64_t)((uint64_t)a + (uint64_t)b); }

static inline int16_t requantized_wide(const struct requantize *r, int32_t accumulator_bits, int32_t channel,
                                       int64_t acc) {
  const struct multiplier m = multiplier_of(r, channel);
  const int32_t scaled = accumulator_bits == 32 ? multiply_by_quantized_multiplier((int32_t)acc, m)
                                                : multiply_by_quantized_multiplier_64(acc, m);
  return (int16_t)clamp(add_wrap(scaled, r->output_offset), r->output_activation_min, r->output_activation_max);
}

#endif
