/* SignalFilterBankSquareRoot: square roots to the nearest integer, shifted right.
 *
 * TFLM: signal/micro/kernels/filter_bank_square_root.cc, signal/src/square_root_{32,64}.cc. refengine:
 * kernels/filter_bank_square_root.py. Numbers below 2^32 have roots of 16 bits, which go no further than 65535.
 */
#include "kernels.h"

static uint32_t square_root(uint64_t x) {
  uint64_t root = 0, rest = x;
  for (uint64_t bit = UINT64_C(1) << 62; bit; bit >>= 2) {
    const int fits = rest >= root + bit;
    rest -= fits ? root + bit : 0;
    root = (root >> 1) + (fits ? bit : 0);
  }
  return (uint32_t)(root + (rest > root && root != (x >> 32 ? UINT32_MAX : UINT16_MAX)));
}

void filter_bank_square_root(const struct size_params *p, const uint64_t *input, const int32_t *scale_bits,
                             uint32_t *output) {
  for (int32_t i = 0; i < p->size; ++i) {
    output[i] = square_root(input[i]) >> (*scale_bits & 31);
  }
}
