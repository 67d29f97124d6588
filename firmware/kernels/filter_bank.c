/* SignalFilterBank: energies of frequencies weighted into channels that overlap each with the next.
 *
 * TFLM: signal/micro/kernels/filter_bank.cc, signal/src/filter_bank.cc. refengine: kernels/filter_bank.py. A channel is
 * its own frequencies times the weights and those of the channel before times the unweights; everything wraps in 64
 * bits.
 */
#include "kernels.h"

static uint64_t weighted(const uint32_t *input, const int16_t *weights, int32_t width) {
  uint64_t total = 0;
  for (int32_t i = 0; i < width; ++i) {
    total += input[i] * (uint64_t)(int64_t)weights[i];
  }
  return total;
}

void filter_bank(const struct filter_bank_params *p, const uint32_t *input, const int16_t *weights,
                 const int16_t *unweights, const int16_t *frequency_starts, const int16_t *weight_starts,
                 const int16_t *widths, uint64_t *output) {
  for (int32_t c = 0; c < p->num_channels; ++c) {
    output[c] = weighted(input + frequency_starts[c], unweights + weight_starts[c], widths[c]) +
                weighted(input + frequency_starts[c + 1], weights + weight_starts[c + 1], widths[c + 1]);
  }
}
