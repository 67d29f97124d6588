/* A bias of fewer bits for the kernels that add one of 64, where it is computed in the inference; constants are widened
 * when the model is exported.
 */
#include "kernels.h"

void widen_bias_int32(const struct size_params *p, const int32_t *bias, int64_t *wide) {
  for (int32_t i = 0; i < p->size; ++i) {
    wide[i] = bias[i];
  }
}

void widen_bias_int16(const struct size_params *p, const int16_t *bias, int64_t *wide) {
  for (int32_t i = 0; i < p->size; ++i) {
    wide[i] = bias[i];
  }
}
