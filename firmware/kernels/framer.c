/* SignalFramer: overlapping frames of each row's samples, a new one every `frame_step` of them. Until a row has enough
 * samples, its frames are left as they are, and `valid` is false.
 *
 * TFLM: signal/micro/kernels/framer.cc. refengine: kernels/framer.py.
 */
#include "fifo.h"

void framer(const struct framer_params *p, const int16_t *input, int16_t *queue, int64_t *available, uint8_t *valid,
            int16_t *output) {
  const int32_t step = p->frame_step, size = p->frame_size, capacity = p->capacity;
  *valid = 1;
  for (int32_t frame = 0; frame < p->n_frames; ++frame) {
    *available += step;
    const int full = *available >= size;
    for (int32_t row = 0; row < p->rows; ++row) {
      int16_t *const own = queue + row * capacity;
      push(own, capacity, input + (row * p->n_frames + frame) * step, step);
      if (full) {
        memcpy(output + (row * p->n_frames + frame) * size, own + capacity - *available, (size_t)size * sizeof *own);
      }
    }
    *available -= full ? step : 0;
    *valid &= (uint8_t)full;
  }
}
