/* SignalFftAutoScale: samples shifted left as far as the largest leaves room, and by how many bits.
 *
 * TFLM: signal/micro/kernels/fft_auto_scale_kernel.cc, signal/src/{fft_auto_scale,max_abs,msb_32}.cc. refengine:
 * kernels/fft_auto_scale_kernel.py. The largest absolute value is kept in 16 bits, where that of -32768 is below
 * everything, so that the next sample takes its place; silence is not shifted.
 */
#include "gemmlowp.h"
#include "kernels.h"

static int32_t largest_of(const int16_t *input, int32_t size) {
  int32_t largest = 0;
  for (int32_t i = 0; i < size; ++i) {
    const int32_t x = input[i];
    if (x > largest) {
      largest = x;
    } else if (-x > largest) {
      largest = x == INT16_MIN ? x : -x;
    }
  }
  return largest;
}

void fft_auto_scale(const struct size_params *p, const int16_t *input, int32_t *scale_bits, int16_t *output) {
  const int32_t largest = largest_of(input, p->size);
  *scale_bits = largest > 0 ? leading_zeros((uint32_t)largest) - 17 : 0;
  for (int32_t i = 0; i < p->size; ++i) {
    output[i] = (int16_t)(input[i] * (1 << *scale_bits));
  }
}
