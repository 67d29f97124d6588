/* MUL: output = activation(input1 · input2), the inputs broadcast against each other.
 *
 * TFLM: kernels/mul.cc. refengine: kernels/mul.py. int32 products wrap.
 */
#include "layers.h"
#include "pairs.h"

static int32_t product(const struct mul_params *p, int32_t code1, int32_t code2) {
  const int32_t centred = (code1 - p->input1_zero_point) * (code2 - p->input2_zero_point);
  const int32_t scaled = multiply_by_quantized_multiplier(centred, p->output_multiplier);
  return clamp(add_wrap(scaled, p->output_zero_point), p->output_activation_min, p->output_activation_max);
}

static int8_t product_int8(const struct mul_params *p, int8_t a, int8_t b) { return (int8_t)product(p, a, b); }

static int16_t product_int16(const struct mul_params *p, int16_t a, int16_t b) { return (int16_t)product(p, a, b); }

static float product_float32(const struct pair_float32_params *p, float a, float b) {
  return clamp_float(a * b, p->output_activation_min, p->output_activation_max);
}

static int32_t product_int32(const struct pair_int32_params *p, int32_t a, int32_t b) {
  return clamp(multiply_wrap(a, b), p->output_activation_min, p->output_activation_max);
}

void mul_int8(const struct mul_params *p, const int8_t *input1, const int8_t *input2, int8_t *output) {
  FOR_EACH_PAIR(product_int8, p, input1, input2, output);
}

void mul_int16(const struct mul_params *p, const int16_t *input1, const int16_t *input2, int16_t *output) {
  FOR_EACH_PAIR(product_int16, p, input1, input2, output);
}

void mul_float32(const struct pair_float32_params *p, const float *input1, const float *input2, float *output) {
  FOR_EACH_PAIR(product_float32, p, input1, input2, output);
}

void mul_int32(const struct pair_int32_params *p, const int32_t *input1, const int32_t *input2, int32_t *output) {
  FOR_EACH_PAIR(product_int32, p, input1, input2, output);
}
