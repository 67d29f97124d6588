/* A bias of 32 bits for the kernels that add one of 64: of layers whose bias is computed in the inference. Constants are
 * widened when the model is exported.
 */
#include "kernels.h"

void widen_bias(const struct widen_bias_params *p, const int32_t *bias, int64_t *wide) {
  for (int32_t c = 0; c < p->channels; ++c) {
    wide[c] = bias[c];
  }
}
