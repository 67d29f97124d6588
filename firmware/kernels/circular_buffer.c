/* CIRCULAR_BUFFER: the last frames side by side, the newest behind; the rest of the network runs every few frames.
 *
 * TFLM: kernels/circular_buffer.cc. refengine: kernels/circular_buffer.py.
 */
#include <string.h>

#include "kernels.h"

int circular_buffer(const struct circular_buffer_params *p, const int8_t *input, int64_t *left, int8_t *output) {
  const size_t size = (size_t)p->bytes, rest = size * (size_t)(p->slots - 1);
  memmove(output, output + size, rest);
  memcpy(output + rest, input, size);
  if (--*left != 0) {
    return 1;
  }
  *left = p->cycles_max;
  return 0;
}
