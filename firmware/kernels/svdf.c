/* SVDF: output[b, u] = Σ over the filters f of unit u, Σ_m time weights[f, m] · state[b, f, m], + bias[u].
 *
 * TFLM: kernels/svdf.cc. refengine: kernels/svdf.py. The state holds each filter's last features, the oldest first;
 * every inference pushes one out and one in. The state's zero point is added to a feature after the clamp, and may wrap.
 */
#include <string.h>

#include "layers.h"

#define SVDF(name, type)                                                                                             \
  static int32_t feature_of_##name(const struct svdf_params *p, const int8_t *x, const int8_t *w, int32_t low,       \
                                   int32_t high) {                                                                   \
    int32_t acc = 0;                                                                                                 \
    for (int32_t i = 0; i < p->input_size; ++i) {                                                                    \
      acc = add_wrap(acc, (x[i] + p->input_offset) * w[i]);                                                          \
    }                                                                                                                \
    return clamp(multiply_by_quantized_multiplier(acc, p->feature_multiplier), low, high);                           \
  }                                                                                                                  \
                                                                                                                     \
  void name(const struct svdf_params *p, const int8_t *input, const int8_t *weights_feature, const type *weights_time, \
            const int32_t *bias, type *state, int8_t *output) {                                                      \
    for (int32_t b = 0; b < p->batches; ++b, input += p->input_size) {                                               \
      const int8_t *feature = weights_feature;                                                                       \
      const type *time = weights_time;                                                                               \
      for (int32_t unit = 0; unit < p->filters / p->rank; ++unit) {                                                  \
        int32_t acc = bias[unit];                                                                                    \
        for (int32_t f = 0; f < p->rank; ++f, feature += p->input_size) {                                            \
          const int32_t code = feature_of_##name(p, input, feature, LOWEST_##type, HIGHEST_##type);                  \
          memmove(state, state + 1, (size_t)(p->memory - 1) * sizeof *state);                                        \
          state[p->memory - 1] = (type)(code + p->state_zero_point);                                                 \
          for (int32_t m = 0; m < p->memory; ++m) {                                                                  \
            acc = add_wrap(acc, (*state++ - p->state_zero_point) * *time++);                                         \
          }                                                                                                          \
        }                                                                                                            \
        const int32_t scaled = multiply_by_quantized_multiplier(acc, p->output_multiplier);                          \
        *output++ = (int8_t)clamp(add_wrap(scaled, p->output_zero_point), INT8_MIN, INT8_MAX);                       \
      }                                                                                                              \
    }                                                                                                                \
  }

#define LOWEST_int8_t INT8_MIN
#define HIGHEST_int8_t INT8_MAX
#define LOWEST_int16_t INT16_MIN
#define HIGHEST_int16_t INT16_MAX

SVDF(svdf_int8, int8_t)
SVDF(svdf_int8_int16, int16_t)

static float activation_of(enum svdf_activation activation, float x) {
  switch (activation) {
    case SVDF_RELU: return fmaxf(x, 0.0f);
    case SVDF_RELU_N1_TO_1: return fmaxf(fminf(x, 1.0f), -1.0f);
    case SVDF_RELU6: return fmaxf(fminf(x, 6.0f), 0.0f);
    case SVDF_TANH: return tanhf(x);
    default: return x;
  }
}

void svdf_float32(const struct svdf_float32_params *p, const float *input, const float *weights_feature,
                  const float *weights_time, const float *bias, float *state, float *output) {
  for (int32_t b = 0; b < p->batches; ++b, input += p->input_size) {
    const float *feature = weights_feature, *time = weights_time;
    for (int32_t unit = 0; unit < p->filters / p->rank; ++unit) {
      float total = bias[unit];
      for (int32_t f = 0; f < p->rank; ++f, feature += p->input_size) {
        float code = 0.0f, sum = 0.0f;
        for (int32_t i = 0; i < p->input_size; ++i) {
          code = multiply_add(input[i], feature[i], code);
        }
        memmove(state, state + 1, (size_t)(p->memory - 1) * sizeof *state);
        state[p->memory - 1] = code;
        for (int32_t m = 0; m < p->memory; ++m) {
          sum = multiply_add(*time++, *state++, sum);
        }
        total += sum;
      }
      *output++ = activation_of((enum svdf_activation)p->activation, total);
    }
  }
}
