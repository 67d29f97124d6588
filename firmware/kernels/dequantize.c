/* DEQUANTIZE: output = scale · (input − zero_point).
 *
 * TFLM: kernels/dequantize.cc. refengine: kernels/dequantize.py.
 */
#include "kernels.h"

void dequantize_int8(const struct dequantize_int8_params *p, const int8_t *input, float *output) {
  for (int32_t i = 0; i < p->size; ++i) {
    output[i] = (float)(input[i] - p->zero_point) * p->scale;
  }
}
