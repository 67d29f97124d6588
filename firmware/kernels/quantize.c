/* QUANTIZE: output = clamp(round(input / scale) + zero_point) of floats; codes of one scale into codes of another.
 *
 * TFLM: kernels/quantize.cc. refengine: kernels/quantize.py.
 */
#include "kernels.h"

void quantize_int8(const struct quantize_int8_params *p, const int8_t *input, int8_t *output) {
  for (int32_t i = 0; i < p->size; ++i) {
    const int32_t scaled =
        multiply_by_quantized_multiplier(input[i] - p->input_zero_point, p->requantize_output_multiplier);
    output[i] = (int8_t)clamp(add_wrap(scaled, p->output_zero_point), INT8_MIN, INT8_MAX);
  }
}

/* C leaves it to the processor what an infinity, a NaN or a value beyond int32 becomes: here REFENGINE_SATURATE says. */
static int32_t to_int32(float x) {
  if (x >= -0x1p31f && x < 0x1p31f) {
    return (int32_t)x;
  }
#if REFENGINE_SATURATE
  return isnan(x) ? (REFENGINE_SATURATE == 1 ? 0 : INT32_MAX) : x > 0.0f ? INT32_MAX : INT32_MIN;
#else
  return INT32_MIN;
#endif
}

void quantize_float32(const struct quantize_float32_params *p, const float *input, int8_t *output) {
  for (int32_t i = 0; i < p->size; ++i) {
    output[i] = (int8_t)clamp(add_wrap(to_int32(roundf(input[i] / p->scale)), p->zero_point), INT8_MIN, INT8_MAX);
  }
}
