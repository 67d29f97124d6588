/* L2_NORMALIZATION: each element of a row by the root of the sum of the row's squares; codes in steps of 1/128.
 *
 * TFLM: kernels/l2norm.cc. refengine: kernels/l2norm.py.
 */
#include "inverse_sqrt.h"
#include "layers.h"

void l2norm_int8(const struct l2norm_int8_params *p, const int8_t *input, int8_t *output) {
  for (int32_t row = 0; row < p->rows; ++row, input += p->depth) {
    int32_t squares = 0;
    for (int32_t c = 0; c < p->depth; ++c) {
      const int32_t x = input[c] - p->input_zero_point;
      squares += x * x;
    }
    struct multiplier factor = inverse_sqrt(squares);
    factor.shift += 7;
    for (int32_t c = 0; c < p->depth; ++c) {
      const int32_t scaled = multiply_in_fixed_point(input[c] - p->input_zero_point, factor);
      *output++ = (int8_t)clamp(scaled, INT8_MIN, INT8_MAX);
    }
  }
}

void l2norm_float32(const struct l2norm_float32_params *p, const float *input, float *output) {
  for (int32_t row = 0; row < p->rows; ++row, input += p->depth) {
    float squares = 0.0f;
    for (int32_t c = 0; c < p->depth; ++c) {
      squares = multiply_add(input[c], input[c], squares);
    }
    const float norm = sqrtf(squares), divisor = norm < 1e-6f ? 1e-6f : norm;
    for (int32_t c = 0; c < p->depth; ++c) {
      *output++ = input[c] / divisor;
    }
  }
}
