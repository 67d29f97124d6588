/* Whatever takes each code of 8 bits to a value of its own: LOGISTIC, TANH, HARD_SWISH, LEAKY_RELU, QUANTIZE, …
 *
 * The 256 values are worked out when the model is exported; `table` has them by the code's bits, 0 … 255.
 */
#include "kernels.h"

void lookup_8(const struct lookup_8_params *p, const void *input, uint8_t *output) {
  const uint8_t *codes = input;
  for (int32_t i = 0; i < p->size; ++i) {
    output[i] = p->table[codes[i]];
  }
}

void lookup_16(const struct lookup_16_params *p, const void *input, uint16_t *output) {
  const uint8_t *codes = input;
  for (int32_t i = 0; i < p->size; ++i) {
    output[i] = p->table[codes[i]];
  }
}

void lookup_32(const struct lookup_32_params *p, const void *input, uint32_t *output) {
  const uint8_t *codes = input;
  for (int32_t i = 0; i < p->size; ++i) {
    output[i] = p->table[codes[i]];
  }
}
