/* SQUARED_DIFFERENCE: output = (input1 − input2)², the inputs broadcast against each other.
 *
 * TFLM: kernels/squared_difference.cc. refengine: kernels/squared_difference.py.
 */
#include "pairs.h"

static int32_t scaled(int32_t centred, int32_t left_shift, struct multiplier m) {
  return multiply_by_quantized_multiplier(shift_left_wrap(centred, left_shift), m);
}

static int32_t square(const struct squared_difference_params *p, int32_t code1, int32_t code2) {
  const int32_t difference = scaled(code1 - p->input1_zero_point, p->left_shift, p->input1_multiplier) -
                             scaled(code2 - p->input2_zero_point, p->left_shift, p->input2_multiplier);
  return add_wrap(multiply_by_quantized_multiplier(difference * difference, p->output_multiplier), p->output_zero_point);
}

static int8_t square_int8(const struct squared_difference_params *p, int8_t a, int8_t b) {
  return (int8_t)clamp(square(p, a, b), INT8_MIN, INT8_MAX);
}

static int16_t square_int16(const struct squared_difference_params *p, int16_t a, int16_t b) {
  return (int16_t)clamp(square(p, a, b), INT16_MIN, INT16_MAX);
}

void squared_difference_int8(const struct squared_difference_params *p, const int8_t *input1, const int8_t *input2,
                             int8_t *output) {
  FOR_EACH_PAIR(square_int8, p, input1, input2, output);
}

void squared_difference_int16(const struct squared_difference_params *p, const int16_t *input1, const int16_t *input2,
                              int16_t *output) {
  FOR_EACH_PAIR(square_int16, p, input1, input2, output);
}

#define SQUARE_FLOAT32(p, a, b) (((a) - (b)) * ((a) - (b)))

static int32_t square_int32(int32_t a, int32_t b) {
  const int32_t difference = (int32_t)((uint32_t)a - (uint32_t)b);
  return multiply_wrap(difference, difference);
}

#define SQUARE_INT32(p, a, b) square_int32(a, b)

void squared_difference_float32(const struct pair_params *p, const float *input1, const float *input2, float *output) {
  FOR_EACH_PAIR(SQUARE_FLOAT32, p, input1, input2, output);
}

void squared_difference_int32(const struct pair_params *p, const int32_t *input1, const int32_t *input2,
                              int32_t *output) {
  FOR_EACH_PAIR(SQUARE_INT32, p, input1, input2, output);
}
