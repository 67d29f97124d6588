/* SignalFilterBankLog: the natural logarithm, times a scale, in 16 bits.
 *
 * TFLM: signal/micro/kernels/filter_bank_log.cc, signal/src/{filter_bank_log,log}.cc. refengine:
 * kernels/filter_bank_log.py. The logarithm to base 2 has 16 fractional bits, by a table of 128 segments. Products wrap
 * in 32 bits before they are clamped; 0 and 1 give 0.
 */
#include "gemmlowp.h"
#include "kernels.h"

#define LN2 45426 /* with 16 fractional bits */

/* Of x > 1. */
static int64_t log2_of(uint32_t x, const int32_t *segments) {
  const int32_t integer = 31 - leading_zeros(x);
  const int32_t fraction = (int32_t)(((uint64_t)(x - (UINT32_C(1) << integer)) << 16) >> integer);
  const int32_t *const segment = segments + (fraction >> 9);
  const int32_t rising = segment[1] - segment[0];
  return ((int64_t)integer << 16) + fraction + segment[0] + (rising * (fraction & 511) >> 16);
}

void filter_bank_log(const struct filter_bank_log_params *p, const uint32_t *input, int16_t *output) {
  for (int32_t i = 0; i < p->size; ++i) {
    const uint32_t scaled = input[i] << p->input_correction_bits;
    output[i] = 0;
    if (scaled > 1) {
      const uint32_t natural = (uint32_t)((LN2 * log2_of(scaled, p->segments) + (1 << 15)) >> 16);
      const uint32_t product = ((uint32_t)p->output_scale * natural + (1 << 15)) >> 16;
      output[i] = (int16_t)(product > INT16_MAX ? INT16_MAX : product);
    }
  }
}
