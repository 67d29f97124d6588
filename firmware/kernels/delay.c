/* SignalDelay: each row's samples as they were some samples before; zeros at first.
 *
 * TFLM: signal/micro/kernels/delay.cc. refengine: kernels/delay.py.
 */
#include "kernels.h"

void delay(const struct delay_params *p, const int16_t *input, int16_t *waiting, int16_t *output) {
  const int32_t size = p->row_size, length = p->delay_length;
  for (int32_t row = 0; row < p->rows; ++row, input += size, waiting += length, output += size) {
    for (int32_t i = 0; i < size; ++i) {
      output[i] = i < length ? waiting[i] : input[i - length];
    }
    for (int32_t i = 0; i < length; ++i) {
      waiting[i] = i + size < length ? waiting[i + size] : input[i + size - length];
    }
  }
}
