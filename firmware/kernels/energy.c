/* SignalEnergy: re² + im² of each complex number of a range; what is outside the range is left as it is.
 *
 * TFLM: signal/micro/kernels/energy.cc, signal/src/energy.cc. refengine: kernels/energy.py.
 */
#include "kernels.h"

void energy(const struct energy_params *p, const int16_t *input, uint32_t *output) {
  for (int32_t i = p->start_index; i < p->end_index; ++i) {
    const int32_t re = input[2 * i], im = input[2 * i + 1];
    output[i] = (uint32_t)(re * re) + (uint32_t)(im * im);
  }
}
