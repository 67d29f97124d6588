/* PRELU: output = input where it is not negative, else alpha · input; the inputs broadcast against each other.
 *
 * TFLM: kernels/prelu.cc. refengine: kernels/prelu.py.
 */
#include "pairs.h"

static int32_t rectified(const struct prelu_params *p, int32_t input, int32_t alpha, int32_t low, int32_t high) {
  const int32_t x = input - p->input_zero_point;
  const int32_t scaled =
      x >= 0 ? multiply_by_quantized_multiplier(x, p->output_multiplier_1)
             : multiply_by_quantized_multiplier(x * (alpha - p->alpha_zero_point), p->output_multiplier_2);
  return clamp(add_wrap(scaled, p->output_zero_point), low, high);
}

#define RECTIFIED_INT8(p, a, b) (int8_t)rectified(p, a, b, INT8_MIN, INT8_MAX)
#define RECTIFIED_INT16(p, a, b) (int16_t)rectified(p, a, b, INT16_MIN, INT16_MAX)
#define RECTIFIED_FLOAT32(p, a, b) ((a) >= 0.0f ? (a) : (a) * (b))

void prelu_int8(const struct prelu_params *p, const int8_t *input, const int8_t *alpha, int8_t *output) {
  FOR_EACH_PAIR(RECTIFIED_INT8, p, input, alpha, output);
}

void prelu_int16(const struct prelu_params *p, const int16_t *input, const int8_t *alpha, int16_t *output) {
  FOR_EACH_PAIR(RECTIFIED_INT16, p, input, alpha, output);
}

void prelu_float32(const struct pair_params *p, const float *input, const float *alpha, float *output) {
  FOR_EACH_PAIR(RECTIFIED_FLOAT32, p, input, alpha, output);
}
