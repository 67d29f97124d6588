/* RELU: output = max(0, input), requantised; RELU6: output = min(max(0, input), 6), a clamp of the codes.
 *
 * TFLM: kernels/activations.cc. refengine: kernels/activations.py. In floats −0.0 and NaN pass.
 */
#include "kernels.h"

void relu_int8(const struct relu_int8_params *p, const int8_t *input, int8_t *output) {
  for (int32_t i = 0; i < p->size; ++i) {
    const int32_t scaled = multiply_by_quantized_multiplier(input[i] - p->input_offset, p->multiplier);
    output[i] = (int8_t)clamp(add_wrap(scaled, p->output_offset), p->quantized_activation_min,
                              p->quantized_activation_max);
  }
}

void relu6_int8(const struct relu6_int8_params *p, const int8_t *input, int8_t *output) {
  for (int32_t i = 0; i < p->size; ++i) {
    output[i] = (int8_t)clamp(input[i], p->zero, p->six);
  }
}

void relu_float32(const struct size_params *p, const float *input, float *output) {
  for (int32_t i = 0; i < p->size; ++i) {
    output[i] = input[i] < 0.0f ? 0.0f : input[i];
  }
}

void relu6_float32(const struct size_params *p, const float *input, float *output) {
  for (int32_t i = 0; i < p->size; ++i) {
    output[i] = input[i] > 6.0f ? 6.0f : input[i] < 0.0f ? 0.0f : input[i];
  }
}
