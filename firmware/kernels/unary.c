/* Functions of one float32: LOGISTIC, TANH, HARD_SWISH, LEAKY_RELU; and RELU and RELU6 of int16.
 *
 * TFLM: kernels/logistic.cc, tanh.cc, hard_swish.cc, leaky_relu.cc, activations.cc. refengine: the files of these names.
 * `expf` and `tanhf` are the target's own, so that the last bit may differ from one C library to the next.
 */
#include "kernels.h"

void logistic_float32(const struct size_params *p, const float *input, float *output) {
  for (int32_t i = 0; i < p->size; ++i) {
    const float x = input[i];
    output[i] = x > 16.619047164916992f ? 1.0f : x < -9.0f ? expf(x) : 1.0f / (1.0f + expf(-x));
  }
}

void tanh_float32(const struct size_params *p, const float *input, float *output) {
  for (int32_t i = 0; i < p->size; ++i) {
    output[i] = tanhf(input[i]);
  }
}

void hard_swish_float32(const struct size_params *p, const float *input, float *output) {
  for (int32_t i = 0; i < p->size; ++i) {
    const float shifted = input[i] + 3.0f;
    output[i] = input[i] * (shifted > 0.0f ? shifted < 6.0f ? shifted : 6.0f : 0.0f) / 6.0f;
  }
}

void leaky_relu_float32(const struct leaky_relu_params *p, const float *input, float *output) {
  for (int32_t i = 0; i < p->size; ++i) {
    output[i] = input[i] > 0.0f ? input[i] : input[i] * p->alpha;
  }
}

void relu_int16(const struct relu_int8_params *p, const int16_t *input, int16_t *output) {
  for (int32_t i = 0; i < p->size; ++i) {
    const int32_t scaled = multiply_by_quantized_multiplier(input[i] - p->input_offset, p->multiplier);
    output[i] = (int16_t)clamp(add_wrap(scaled, p->output_offset), p->quantized_activation_min,
                               p->quantized_activation_max);
  }
}

void relu6_int16(const struct relu6_int8_params *p, const int16_t *input, int16_t *output) {
  for (int32_t i = 0; i < p->size; ++i) {
    output[i] = (int16_t)clamp(input[i], p->zero, p->six);
  }
}
