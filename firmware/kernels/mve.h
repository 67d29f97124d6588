/* Helium: the inner loops of the integer layers for cores with MVE (Cortex-M55, M85), four channels or windows at once.
 *
 * Weights are not packed for these: filters lie as in the .tflite. Only TFLM's own rounding, which MVE rounds like.
 */
#ifndef REFENGINE_MVE_H
#define REFENGINE_MVE_H

#include "dot.h"
#include "layers.h"

#if REFENGINE_MVE && !REFENGINE_SINGLE_ROUNDING && !REFENGINE_XNNPACK_ROUNDING
#define REFENGINE_MVE_LAYERS 1
#include <arm_mve.h>

/* acc[k] += rows[k] · w, `count` bytes each: sixteen products an instruction, the last ones fewer. */
INLINE void dot_4(const int8_t *const rows[4], const int8_t *w, int32_t count, int32_t acc[4]) {
  const int8_t *a = rows[0], *b = rows[1], *c = rows[2], *d = rows[3];
  int32_t aw = acc[0], bw = acc[1], cw = acc[2], dw = acc[3];
  __asm__("  wlstp.8 lr, %[count], 2f\n"
          "1: vldrb.8 q0, [%[w]], #16\n"
          "  vldrb.8 q1, [%[a]], #16\n"
          "  vmladava.s8 %[aw], q0, q1\n"
          "  vldrb.8 q2, [%[b]], #16\n"
          "  vmladava.s8 %[bw], q0, q2\n"
          "  vldrb.8 q3, [%[c]], #16\n"
          "  vmladava.s8 %[cw], q0, q3\n"
          "  vldrb.8 q1, [%[d]], #16\n"
          "  vmladava.s8 %[dw], q0, q1\n"
          "  letp lr, 1b\n"
          "2:\n"
          : [w] "+r"(w), [a] "+r"(a), [b] "+r"(b), [c] "+r"(c), [d] "+r"(d), [aw] "+Te"(aw), [bw] "+Te"(bw),
            [cw] "+Te"(cw), [dw] "+Te"(dw)
          : [count] "r"(count)
          : "q0", "q1", "q2", "q3", "lr", "memory");
  acc[0] = aw, acc[1] = bw, acc[2] = cw, acc[3] = dw;
}

/* multiply_by_quantized_multiplier of four; a tie goes away from zero, one less where the number is negative and is
 * shifted to the right. */
INLINE int32x4_t scaled_4(int32x4_t acc, int32x4_t multiplier, int32x4_t shift) {
  const int32x4_t zero = vdupq_n_s32(0), right = vminq_s32(shift, zero);
  const int32x4_t high = vqrdmulhq_s32(vshlq_s32(acc, vmaxq_s32(shift, zero)), multiplier);
  return vrshlq_s32(vaddq_s32(high, vshrq_n_s32(vandq_s32(high, right), 31)), right);
}

/* Whether no channel's multiplier shifts to the left, as those of packed layers do not. */
static inline int32_t shifts_right(const struct requantize *r, int32_t channels) {
  int32_t largest = r->output_multiplier[0].shift;
  for (int32_t c = 1; c < channels && r->per_channel; ++c) {
    largest = r->output_multiplier[c].shift > largest ? r->output_multiplier[c].shift : largest;
  }
  return largest < 0;
}

/* The same of four that are. */
INLINE int32x4_t scaled_right_4(int32x4_t acc, int32x4_t multiplier, int32x4_t shift) {
  const int32x4_t high = vqrdmulhq_s32(acc, multiplier);
  return vrshlq_s32(vaddq_s32(high, vshrq_n_s32(high, 31)), shift);
}

/* The same with one multiplier for all. */
INLINE int32x4_t scaled_alike(int32x4_t acc, struct multiplier m) {
  if (m.shift >= 0) {
    return vqrdmulhq_n_s32(vshlq_r_s32(acc, m.shift), m.multiplier);
  }
  const int32x4_t high = vqrdmulhq_n_s32(acc, m.multiplier);
  return vrshlq_n_s32(vaddq_s32(high, vshrq_n_s32(high, 31)), m.shift);
}

INLINE int32x4_t codes_4(const struct requantize *r, int32x4_t scaled) {
  const int32x4_t code = vaddq_n_s32(scaled, r->output_offset);
  const int32x4_t low = vdupq_n_s32(r->output_activation_min), high = vdupq_n_s32(r->output_activation_max);
  return vminq_s32(vmaxq_s32(code, low), high);
}

/* The multipliers of the channels from c on, as many as `some` says, and their shifts. */
INLINE int32x4x2_t multipliers_4(const struct requantize *r, int32_t channel, mve_pred16_t some) {
  const uint32x4_t places = vmulq_n_u32(vidupq_n_u32(0, 2), (uint32_t)(4 * r->per_channel));
  const int32_t *first = &r->output_multiplier[channel * r->per_channel].multiplier;
  int32x4x2_t both;
  both.val[0] = vldrwq_gather_offset_z_s32(first, places, some);
  both.val[1] = vldrwq_gather_offset_z_s32(first + 1, places, some);
  return both;
}

/* All channels of one window, four at a time. */
static inline void one_window_mve(const struct requantize *r, const int8_t *x, int32_t taps, const int8_t *filter,
                                  const int32_t *bias, int32_t channels, int8_t *output) {
  for (int32_t c = 0; c < channels; c += 4) {
    const mve_pred16_t some = vctp32q((uint32_t)(channels - c));
    const int32_t last = channels - c - 1;
    const int8_t *const rows[4] = {filter, filter + (last < 1 ? last : 1) * taps, filter + (last < 2 ? last : 2) * taps,
                                   filter + (last < 3 ? last : 3) * taps};
    int32_t sums[4] = {0, 0, 0, 0};
    dot_4(rows, x, taps, sums);
    const int32x4_t acc = vaddq_s32(vldrwq_s32(sums), vldrwq_z_s32(bias + c, some));
    const int32x4x2_t m = multipliers_4(r, c, some);
    vstrbq_p_s32(output + c, codes_4(r, scaled_4(acc, m.val[0], m.val[1])), some);
    filter += 4 * taps;
  }
}

/* All channels of up to four windows, whose outputs lie beside each other. */
static inline void four_windows_mve(const struct requantize *requantize, const int8_t *const x[4], int32_t windows,
                                    int32_t taps, const int8_t *filter, const int32_t *bias, int32_t channels,
                                    int8_t *output) {
  const struct requantize r = *requantize;
  const mve_pred16_t some = vctp32q((uint32_t)windows);
  const uint32x4_t places = vmulq_n_u32(vidupq_n_u32(0, 1), (uint32_t)channels);
  const struct multiplier *m = r.output_multiplier;
  for (int32_t c = 0; c < channels; ++c, m += r.per_channel) {
    int32_t acc[4] = {bias[c], bias[c], bias[c], bias[c]};
    dot_4(x, filter, taps, acc);
    const int32x4_t sums = {acc[0], acc[1], acc[2], acc[3]};
    vstrbq_scatter_offset_p_s32(output + c, places, codes_4(&r, scaled_alike(sums, *m)), some);
    filter += taps;
  }
}

#endif

#endif
