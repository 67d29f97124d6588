/* ADD_N: the sum of two inputs or more, of one shape.
 *
 * TFLM: kernels/add_n.cc. refengine: kernels/add_n.py. Sums of codes begin at minus the zero point instead of 0.
 */
#include "kernels.h"

static int32_t scaled(const struct add_n_int8_params *p, int32_t x) {
  return multiply_in_fixed_point((x - p->input_zero_point) * (1 << 20), p->input_multiplier);
}

void add_n_int8(const struct add_n_int8_params *p, const void *const *inputs, int8_t *output) {
  for (int32_t i = 0; i < p->size; ++i) {
    int32_t total = scaled(p, 0);
    for (int32_t k = 0; k < p->count; ++k) {
      total = add_wrap(total, scaled(p, ((const int8_t *)inputs[k])[i]));
    }
    const int32_t code = add_wrap(multiply_in_fixed_point(total, p->output_multiplier), p->output_zero_point);
    output[i] = (int8_t)clamp(code, INT8_MIN, INT8_MAX);
  }
}

void add_n_float32(const struct add_n_float32_params *p, const void *const *inputs, float *output) {
  for (int32_t i = 0; i < p->size; ++i) {
    float total = 0.0f;
    for (int32_t k = 0; k < p->count; ++k) {
      total += ((const float *)inputs[k])[i];
    }
    output[i] = total;
  }
}
