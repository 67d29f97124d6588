/* FULLY_CONNECTED of int16: output[o] = requantised(bias[o] + Σ (input + input_offset) · (filter[o] + filter_offset)).
 *
 * TFLM: kernels/fully_connected.cc. refengine: kernels/fully_connected.py. Of constant weights the input's zero point is in
 * the bias, and input_offset 0.
 */
#include "wide.h"

/* What the input's zero point adds to a sum of products. */
static int64_t offset_products(const struct fully_connected_int16_params *p, const int8_t *weights) {
  int64_t sum = 0;
  for (int32_t k = 0; p->input_offset && k < p->accum_depth; ++k) {
    sum += weights[k] + p->filter_offset;
  }
  return p->input_offset * sum;
}

void fully_connected_int16(const struct fully_connected_int16_params *p, const int16_t *input, const int8_t *filter,
                           const int64_t *bias, int16_t *output) {
  for (int32_t batch = 0; batch < p->batches; ++batch) {
    const int8_t *weights = filter;
    for (int32_t o = 0; o < p->output_depth; ++o) {
      int64_t acc = offset_products(p, weights);
      for (int32_t k = 0; k < p->accum_depth; ++k) {
        acc += input[k] * (weights[k] + p->filter_offset);
      }
      *output++ = requantized_wide(&p->requantize, p->accumulator_bits, o, add_wrap_64(acc, bias[o]));
      weights += p->accum_depth;
    }
    input += p->accum_depth;
  }
}
