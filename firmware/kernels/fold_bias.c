/* What the input's zero point adds to a layer's sums, joined with the bias: of layers whose weights or bias are computed in
 * the inference. Of constants it is done when the model is exported.
 */
#include "kernels.h"

void fold_bias(const struct fold_bias_params *p, const int8_t *filter, const int32_t *bias, int32_t *folded) {
  for (int32_t c = 0; c < p->channels; ++c) {
    int32_t sum = p->taps * p->filter_offset;
    for (int32_t k = 0; k < p->taps; ++k) {
      sum += filter[c * p->channel_step + k * p->tap_step];
    }
    folded[c] = add_wrap(bias[c], multiply_wrap(p->input_offset, sum));
  }
}
