/* LOGISTIC and TANH of int16, by TFLM's table of the sigmoid, between whose entries they interpolate.
 *
 * TFLM: kernels/logistic.cc, tanh.cc. refengine: kernels/_sigmoid.py, logistic.py, tanh.py.
 */
#include "kernels.h"

/* The code in 12288ths: · input_multiplier / 2^input_left_shift, ties up. */
static int32_t scaled(const struct sigmoid_int16_params *p, int32_t code) {
  const int32_t half = (int32_t)(UINT32_C(1) << p->input_left_shift >> 1);
  return add_wrap(multiply_wrap(code, p->input_multiplier), half) >> p->input_left_shift;
}

/* The sigmoid of |x| · 2^(16 + bits), and `limit` beyond the table. */
static int32_t interpolated(const struct sigmoid_int16_params *p, int32_t x, int32_t bits, int32_t limit) {
  const uint32_t distance = x < 0 ? 0u - (uint32_t)x : (uint32_t)x, cell = distance >> bits;
  if (cell >= 255) {
    return limit;
  }
  const int32_t left = p->table[cell], right = p->table[cell + 1];
  return (left << bits) + (int32_t)(distance & ((1u << bits) - 1)) * (right - left);
}

void logistic_int16(const struct sigmoid_int16_params *p, const int16_t *input, int16_t *output) {
  for (int32_t i = 0; i < p->size; ++i) {
    const int32_t x = scaled(p, input[i]), sigmoid = interpolated(p, x, 9, 0x7fff << 10);
    output[i] = (int16_t)((x >= 0 ? sigmoid + 512 : (1 << 25) - sigmoid + 511) >> 10);
  }
}

void tanh_int16(const struct sigmoid_int16_params *p, const int16_t *input, int16_t *output) {
  for (int32_t i = 0; i < p->size; ++i) {
    const int32_t x = scaled(p, input[i]), excess = interpolated(p, x, 8, 0xffff << 8) - (1 << 23);
    output[i] = (int16_t)((x >= 0 ? excess + 128 : 127 - excess) >> 8);
  }
}
