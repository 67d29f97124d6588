/* QUANTIZE from codes of 16 or 32 bits, and from floats to int16; DEQUANTIZE, MEAN and SUM of int16.
 *
 * TFLM: kernels/quantize.cc, dequantize.cc, reduce.cc. refengine: kernels/quantize.py, dequantize.py, reduce.py.
 */
#include "walk.h"

static int32_t requantized(const struct quantize_int8_params *p, int32_t code, int32_t low, int32_t high) {
  const int32_t centred = (int32_t)((uint32_t)code - (uint32_t)p->input_zero_point);
  const int32_t scaled = multiply_by_quantized_multiplier(centred, p->requantize_output_multiplier);
  return clamp(add_wrap(scaled, p->output_zero_point), low, high);
}

void quantize_int16_int8(const struct quantize_int8_params *p, const int16_t *input, int8_t *output) {
  for (int32_t i = 0; i < p->size; ++i) {
    output[i] = (int8_t)requantized(p, input[i], INT8_MIN, INT8_MAX);
  }
}

void quantize_int16_int16(const struct quantize_int8_params *p, const int16_t *input, int16_t *output) {
  for (int32_t i = 0; i < p->size; ++i) {
    output[i] = (int16_t)requantized(p, input[i], INT16_MIN, INT16_MAX);
  }
}

void quantize_int16_int32(const struct quantize_int8_params *p, const int16_t *input, int32_t *output) {
  for (int32_t i = 0; i < p->size; ++i) {
    output[i] = requantized(p, input[i], INT32_MIN, INT32_MAX);
  }
}

void quantize_int32_int8(const struct quantize_int8_params *p, const int32_t *input, int8_t *output) {
  for (int32_t i = 0; i < p->size; ++i) {
    output[i] = (int8_t)requantized(p, input[i], INT8_MIN, INT8_MAX);
  }
}

void quantize_int32_int16(const struct quantize_int8_params *p, const int32_t *input, int16_t *output) {
  for (int32_t i = 0; i < p->size; ++i) {
    output[i] = (int16_t)requantized(p, input[i], INT16_MIN, INT16_MAX);
  }
}

void dequantize_int16(const struct dequantize_int8_params *p, const int16_t *input, float *output) {
  for (int32_t i = 0; i < p->size; ++i) {
    output[i] = (float)(input[i] - p->zero_point) * p->scale;
  }
}

void sum_int16(const struct sum_int8_params *p, const int16_t *input, int16_t *output) {
  const struct axes *a = &p->axes;
  for (struct walk kept = walk_over(a->kept_shape); !kept.done; next_row(&kept, a->kept_shape)) {
    const int32_t row = place(&kept, a->kept_strides);
    for (int32_t i = 0; i < a->kept_shape[MAX_RANK - 1]; ++i) {
      int32_t acc = 0;
      for (struct walk walk = walk_over(a->reduced_shape); !walk.done; next_row(&walk, a->reduced_shape)) {
        const int16_t *in = input + row + i * a->kept_strides[MAX_RANK - 1] + place(&walk, a->reduced_strides);
        for (int32_t k = 0; k < a->reduced_shape[MAX_RANK - 1]; ++k) {
          acc = add_wrap(acc, *in);
          in += a->reduced_strides[MAX_RANK - 1];
        }
      }
      const int32_t scaled = multiply_by_quantized_multiplier(add_wrap(acc, p->bias), p->multiplier);
      *output++ = (int16_t)clamp(add_wrap(scaled, p->output_offset), INT16_MIN, INT16_MAX);
    }
  }
}
