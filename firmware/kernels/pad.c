/* PAD, PADV2: the input with constant elements before and after it along each dimension.
 *
 * TFLM: kernels/pad.cc. refengine: kernels/pad.py.
 */
#include <string.h>

#include "walk.h"

/* `count` elements of padding. */
static uint8_t *fill(const void *pad_value, int32_t element_size, uint8_t *output, int32_t count) {
  for (int32_t i = 0; i < count; ++i) {
    memcpy(output, pad_value, (size_t)element_size);
    output += element_size;
  }
  return output;
}

/* Row by row of the output: all padding, or padding, a row of the input, padding. */
void pad(const struct pad_params *p, const void *input, const void *pad_value, void *output) {
  const int32_t last = MAX_RANK - 1, width = p->input_shape[last], size = p->element_size;
  const uint8_t *in = input;
  uint8_t *out = output;
  for (struct walk walk = walk_over(p->output_shape); !walk.done; next_row(&walk, p->output_shape)) {
    int32_t is_inside = 1;
    for (int32_t d = 0; d < last; ++d) {
      const int32_t i = walk.index[d] - p->left_padding[d];
      is_inside &= i >= 0 && i < p->input_shape[d];
    }
    if (!is_inside) {
      out = fill(pad_value, size, out, p->output_shape[last]);
      continue;
    }
    out = fill(pad_value, size, out, p->left_padding[last]);
    memcpy(out, in, (size_t)(width * size));
    in += width * size;
    out = fill(pad_value, size, out + width * size, p->output_shape[last] - p->left_padding[last] - width);
  }
}
