/* ADD: output = activation(input1 + input2), the inputs broadcast against each other.
 *
 * TFLM: kernels/add.cc. refengine: kernels/add.py. Quantised inputs are first brought to one common scale.
 */
#include "layers.h"
#include "walk.h"

static int32_t scaled(int32_t code, int32_t offset, int32_t left_shift, struct multiplier m) {
  return multiply_by_quantized_multiplier(shift_left_wrap(code + offset, left_shift), m);
}

void add_int8(const struct add_int8_params *p, const int8_t *input1, const int8_t *input2, int8_t *output) {
  const struct broadcast *b = &p->broadcast;
  for (struct walk walk = walk_over(b->shape); !walk.done; next_row(&walk, b->shape)) {
    const int8_t *in1 = input1 + place(&walk, b->input1_strides), *in2 = input2 + place(&walk, b->input2_strides);
    for (int32_t i = 0; i < b->shape[MAX_RANK - 1]; ++i) {
      const int32_t total = scaled(*in1, p->input1_offset, p->left_shift, p->input1_multiplier) +
                            scaled(*in2, p->input2_offset, p->left_shift, p->input2_multiplier);
      const int32_t code = add_wrap(multiply_by_quantized_multiplier(total, p->output_multiplier), p->output_offset);
      *output++ = (int8_t)clamp(code, p->output_activation_min, p->output_activation_max);
      in1 += b->input1_strides[MAX_RANK - 1];
      in2 += b->input2_strides[MAX_RANK - 1];
    }
  }
}

void add_float32(const struct add_float32_params *p, const float *input1, const float *input2, float *output) {
  const struct broadcast *b = &p->broadcast;
  for (struct walk walk = walk_over(b->shape); !walk.done; next_row(&walk, b->shape)) {
    const float *in1 = input1 + place(&walk, b->input1_strides), *in2 = input2 + place(&walk, b->input2_strides);
    for (int32_t i = 0; i < b->shape[MAX_RANK - 1]; ++i) {
      *output++ = clamp_float(*in1 + *in2, p->output_activation_min, p->output_activation_max);
      in1 += b->input1_strides[MAX_RANK - 1];
      in2 += b->input2_strides[MAX_RANK - 1];
    }
  }
}
