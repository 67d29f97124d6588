/* SignalOverlapAdd: frames added where they overlap; `frame_step` samples a frame come out.
 *
 * TFLM: signal/micro/kernels/overlap_add.cc, signal/src/overlap_add.cc. refengine: kernels/overlap_add.py. int16
 * saturates at each addition.
 */
#include <string.h>

#include "kernels.h"

static int16_t saturated(int16_t a, int16_t b) { return (int16_t)clamp(a + b, INT16_MIN, INT16_MAX); }

static float added(float a, float b) { return a + b; }

#define OVERLAP_ADD(name, type, sum)                                                                            \
  void name(const struct overlap_add_params *p, const type *input, type *sums, type *output) {                  \
    const int32_t size = p->frame_size, step = p->frame_step;                                                   \
    for (int32_t row = 0; row < p->rows; ++row, sums += size) {                                                 \
      for (int32_t frame = 0; frame < p->n_frames; ++frame, input += size, output += step) {                    \
        for (int32_t i = 0; i < size; ++i) {                                                                    \
          sums[i] = sum(sums[i], input[i]);                                                                     \
        }                                                                                                       \
        memcpy(output, sums, (size_t)step * sizeof *sums);                                                      \
        memmove(sums, sums + step, (size_t)(size - step) * sizeof *sums);                                       \
        memset(sums + size - step, 0, (size_t)step * sizeof *sums);                                             \
      }                                                                                                         \
    }                                                                                                           \
  }

OVERLAP_ADD(overlap_add_int16, int16_t, saturated)
OVERLAP_ADD(overlap_add_float32, float, added)
