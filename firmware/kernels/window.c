/* SignalWindow: each sample times its weight, shifted right and saturated; the weights repeat.
 *
 * TFLM: signal/micro/kernels/window.cc, signal/src/window.cc. refengine: kernels/window.py.
 */
#include "kernels.h"

void signal_window(const struct signal_window_params *p, const int16_t *input, const int16_t *weights,
                   int16_t *output) {
  for (int32_t i = 0; i < p->size; ++i) {
    output[i] = (int16_t)clamp(input[i] * weights[i % p->window_size] >> p->shift, INT16_MIN, INT16_MAX);
  }
}
