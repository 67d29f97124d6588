/* MEAN, SUM: what the elements along some dimensions come to, the sums in the input's order.
 *
 * TFLM: kernels/reduce.cc. refengine: kernels/reduce.py.
 */
#include "walk.h"

void sum_int8(const struct sum_int8_params *p, const int8_t *input, int8_t *output) {
  const struct axes *a = &p->axes;
  for (struct walk kept = walk_over(a->kept_shape); !kept.done; next_row(&kept, a->kept_shape)) {
    const int32_t row = place(&kept, a->kept_strides);
    for (int32_t i = 0; i < a->kept_shape[MAX_RANK - 1]; ++i) {
      int32_t acc = 0;
      for (struct walk walk = walk_over(a->reduced_shape); !walk.done; next_row(&walk, a->reduced_shape)) {
        const int8_t *in = input + row + i * a->kept_strides[MAX_RANK - 1] + place(&walk, a->reduced_strides);
        for (int32_t k = 0; k < a->reduced_shape[MAX_RANK - 1]; ++k) {
          acc += *in;
          in += a->reduced_strides[MAX_RANK - 1];
        }
      }
      const int32_t scaled = multiply_by_quantized_multiplier(add_wrap(acc, p->bias), p->multiplier);
      *output++ = (int8_t)clamp(add_wrap(scaled, p->output_offset), INT8_MIN, INT8_MAX);
    }
  }
}

void sum_float32(const struct sum_float32_params *p, const float *input, float *output) {
  const struct axes *a = &p->axes;
  for (struct walk kept = walk_over(a->kept_shape); !kept.done; next_row(&kept, a->kept_shape)) {
    const int32_t row = place(&kept, a->kept_strides);
    for (int32_t i = 0; i < a->kept_shape[MAX_RANK - 1]; ++i) {
      float total = 0.0f;
      for (struct walk walk = walk_over(a->reduced_shape); !walk.done; next_row(&walk, a->reduced_shape)) {
        const float *in = input + row + i * a->kept_strides[MAX_RANK - 1] + place(&walk, a->reduced_strides);
        for (int32_t k = 0; k < a->reduced_shape[MAX_RANK - 1]; ++k) {
          total += *in;
          in += a->reduced_strides[MAX_RANK - 1];
        }
      }
      *output++ = total / p->divisor;
    }
  }
}
