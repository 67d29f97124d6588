/* SUB: output = activation(input1 − input2), and ADD of int16 and int32; the inputs broadcast against each other.
 *
 * TFLM: kernels/sub.cc, add.cc. refengine: kernels/sub.py, add.py. Codes are first brought to one common scale.
 */
#include "layers.h"
#include "pairs.h"

static int32_t scaled(int32_t code, int32_t offset, int32_t left_shift, struct multiplier m) {
  return multiply_by_quantized_multiplier(shift_left_wrap(code + offset, left_shift), m);
}

static int32_t total(const struct add_int8_params *p, int32_t code1, int32_t code2, int32_t sign) {
  const int32_t both = scaled(code1, p->input1_offset, p->left_shift, p->input1_multiplier) +
                       sign * scaled(code2, p->input2_offset, p->left_shift, p->input2_multiplier);
  const int32_t code = add_wrap(multiply_by_quantized_multiplier(both, p->output_multiplier), p->output_offset);
  return clamp(code, p->output_activation_min, p->output_activation_max);
}

static int8_t difference_int8(const struct add_int8_params *p, int8_t a, int8_t b) {
  return (int8_t)total(p, a, b, -1);
}

static int16_t difference_int16(const struct add_int8_params *p, int16_t a, int16_t b) {
  return (int16_t)total(p, a, b, -1);
}

static int16_t sum_of_int16(const struct add_int8_params *p, int16_t a, int16_t b) {
  return (int16_t)total(p, a, b, 1);
}

static float difference_float32(const struct pair_float32_params *p, float a, float b) {
  return clamp_float(a - b, p->output_activation_min, p->output_activation_max);
}

static int32_t difference_int32(const struct pair_int32_params *p, int32_t a, int32_t b) {
  return clamp((int32_t)((uint32_t)a - (uint32_t)b), p->output_activation_min, p->output_activation_max);
}

static int32_t sum_of_int32(const struct pair_int32_params *p, int32_t a, int32_t b) {
  return clamp(add_wrap(a, b), p->output_activation_min, p->output_activation_max);
}

void sub_int8(const struct add_int8_params *p, const int8_t *input1, const int8_t *input2, int8_t *output) {
  FOR_EACH_PAIR(difference_int8, p, input1, input2, output);
}

void sub_int16(const struct add_int8_params *p, const int16_t *input1, const int16_t *input2, int16_t *output) {
  FOR_EACH_PAIR(difference_int16, p, input1, input2, output);
}

void sub_float32(const struct pair_float32_params *p, const float *input1, const float *input2, float *output) {
  FOR_EACH_PAIR(difference_float32, p, input1, input2, output);
}

void sub_int32(const struct pair_int32_params *p, const int32_t *input1, const int32_t *input2, int32_t *output) {
  FOR_EACH_PAIR(difference_int32, p, input1, input2, output);
}

void add_int16(const struct add_int8_params *p, const int16_t *input1, const int16_t *input2, int16_t *output) {
  FOR_EACH_PAIR(sum_of_int16, p, input1, input2, output);
}

void add_int32(const struct pair_int32_params *p, const int32_t *input1, const int32_t *input2, int32_t *output) {
  FOR_EACH_PAIR(sum_of_int32, p, input1, input2, output);
}
