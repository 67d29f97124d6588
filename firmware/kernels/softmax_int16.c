/* SOFTMAX of int16, by two tables between whose entries it interpolates: e^x and 1 / (1 + x), in Q0.15.
 *
 * TFLM: kernels/softmax.cc, internal/reference/softmax.h. refengine: kernels/softmax.py.
 */
#include "kernels.h"

/* The table's value at `x`, 7 bits of which lie between two entries. */
static int32_t interpolated(const int16_t *lut, int32_t x) {
  x = clamp(x, INT16_MIN, INT16_MAX);
  const int32_t index = 256 + (x >> 7);
  return lut[index] + (((lut[index + 1] - lut[index]) * (x & 127) + 64) >> 7);
}

static int32_t exponential(const struct softmax_int16_params *p, int32_t difference) {
  return interpolated(p->exp_lut, add_wrap(multiply_in_fixed_point(difference, p->input_multiplier), 32767));
}

void softmax_int16(const struct softmax_int16_params *p, const int16_t *input, int16_t *output) {
  for (int32_t row = 0; row < p->rows; ++row) {
    int32_t largest = INT16_MIN;
    for (int32_t c = 0; c < p->depth; ++c) {
      largest = input[c] > largest ? input[c] : largest;
    }
    int32_t sum_of_exps = 0;
    for (int32_t c = 0; c < p->depth; ++c) {
      output[c] = (int16_t)exponential(p, input[c] - largest);
      sum_of_exps += output[c];
    }
    const uint32_t sum = (uint32_t)sum_of_exps;
    int32_t headroom = 0; /* leading zeros of the sum, less one */
    while (!(sum << headroom & UINT32_C(0x40000000))) {
      ++headroom;
    }
    const int32_t shifted_sum = (int32_t)(((sum << headroom) + (1 << 13)) >> 14);
    const int32_t reciprocal = interpolated(p->one_over_one_plus_x_lut, shifted_sum - (1 << 16) - (1 << 15));
    const int32_t right_shift = 30 - headroom;
    for (int32_t c = 0; c < p->depth; ++c) {
      const int32_t quotient = (output[c] * reciprocal + (1 << (right_shift - 1))) >> right_shift;
      output[c] = (int16_t)clamp(quotient, 0, INT16_MAX);
    }
    input += p->depth;
    output += p->depth;
  }
}
