/* SignalFilterBankSpectralSubtraction: channels less a running estimate of their noise.
 *
 * TFLM: signal/micro/kernels/filter_bank_spectral_subtraction.cc, signal/src/filter_bank_spectral_subtraction.cc.
 * refengine: kernels/filter_bank_spectral_subtraction.py. Channels with odd numbers have a smoothing of their own.
 * Everything wraps in 32 bits, sums of products in 64.
 */
#include "kernels.h"

static uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

static uint32_t most(uint32_t a, uint32_t b) { return a > b ? a : b; }

void filter_bank_spectral_subtraction(const struct spectral_subtraction_params *p, const uint32_t *input,
                                      uint32_t *noise_estimate, uint32_t *noise_after, uint32_t *output) {
  for (int32_t c = 0; c < p->num_channels; ++c) {
    const uint32_t smoothing = (uint32_t)(c % 2 ? p->alternate_smoothing : p->smoothing);
    const uint32_t rest = (uint32_t)(c % 2 ? p->alternate_one_minus_smoothing : p->one_minus_smoothing);
    const uint32_t scaled_up = input[c] << p->smoothing_bits;
    const uint64_t total = (uint64_t)scaled_up * smoothing + (uint64_t)noise_estimate[c] * rest;
    const uint32_t noise = (uint32_t)(total >> p->spectral_subtraction_bits), estimate = least(noise, scaled_up);
    const uint64_t remaining = (uint64_t)input[c] * (uint32_t)p->min_signal_remaining;
    output[c] = most((scaled_up - estimate) >> p->smoothing_bits, (uint32_t)(remaining >> p->spectral_subtraction_bits));
    noise_after[c] = noise_estimate[c] = p->clamping ? estimate : noise;
  }
}
