/* SignalPCAN: per-channel amplitude normalisation, a gain by the noise and then a root-like compression.
 *
 * TFLM: signal/micro/kernels/pcan.cc, signal/src/pcan_argc_fixed.cc. refengine: kernels/pcan.py. The gain is a quadratic
 * in each octave of the noise. It is a number of 16 bits seen as an unsigned one of 32: a negative gain is huge.
 */
#include "gemmlowp.h"
#include "kernels.h"

static int16_t gain_of(uint32_t noise, const int16_t *lut) {
  if (noise <= 2) {
    return lut[noise];
  }
  const int32_t octave = 32 - leading_zeros(noise);
  const int16_t *const c = lut + 4 * octave - 6;
  const int32_t fraction = (int32_t)(((uint64_t)noise << 11 >> octave) & 0x3FF);
  const int32_t slope = (c[2] * fraction >> 5) + c[1] * 32;
  const int32_t bend = add_wrap(multiply_wrap(slope, fraction), 1 << 14) >> 15;
  return (int16_t)(bend + c[0]);
}

static uint32_t shrunk(uint32_t snr) { return snr < 8192 ? snr * snr >> 20 : (snr >> 6) - 64; }

void pcan(const struct pcan_params *p, const uint32_t *input, const uint32_t *noise_estimate, const int16_t *gain_lut,
          uint32_t *output) {
  for (int32_t i = 0; i < p->size; ++i) {
    const uint32_t gain = (uint32_t)(int32_t)gain_of(noise_estimate[i], gain_lut);
    output[i] = shrunk((uint32_t)((uint64_t)input[i] * gain >> p->snr_shift));
  }
}
