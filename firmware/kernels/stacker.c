/* SignalStacker: each frame with those before and after it, every `stacker_step` frames. The first frame stands for those
 * before it. Until enough have come, the output is left as it is, and `valid` is false.
 *
 * TFLM: signal/micro/kernels/stacker.cc. refengine: kernels/stacker.py.
 */
#include "fifo.h"

void stacker(const struct stacker_params *p, const int16_t *input, int16_t *queue, int64_t *available, uint8_t *begun,
             uint8_t *valid, int16_t *output) {
  const int32_t channels = p->num_channels, size = p->buffer_size;
  for (int32_t times = *begun ? 1 : 1 + p->stacker_left_context; times > 0; --times) {
    push(queue, size, input, channels);
    *available += channels;
  }
  *begun = 1;
  *valid = *available >= size;
  if (*valid) {
    memcpy(output, queue, (size_t)size * sizeof *queue);
    *available -= p->stacker_step * channels;
  }
}
