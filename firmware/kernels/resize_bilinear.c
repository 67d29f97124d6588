/* RESIZE_BILINEAR: each output pixel is blended from the four input pixels around its place.
 *
 * TFLM: kernels/resize_bilinear.cc. refengine: kernels/resize_bilinear.py. The places are worked out at export.
 */
#include "kernels.h"

void resize_bilinear_int8(const struct resize_bilinear_params *p, const int8_t *input, int8_t *output) {
  const int32_t one = 1 << p->bits, row = p->input_width * p->depth;
  for (int32_t batch = 0; batch < p->batches; ++batch) {
    for (int32_t y = 0; y < p->output_height; ++y) {
      const int8_t *above = input + p->row_lower[y] * row, *below = input + p->row_upper[y] * row;
      const int32_t dy = p->row_offset[y];
      for (int32_t x = 0; x < p->output_width; ++x) {
        const int32_t left = p->column_lower[x] * p->depth, right = p->column_upper[x] * p->depth;
        const int32_t dx = p->column_offset[x];
        for (int32_t c = 0; c < p->depth; ++c) {
          const int32_t first = above[left + c] * (one - dy) + below[left + c] * dy;
          const int32_t second = above[right + c] * (one - dy) + below[right + c] * dy;
          const int32_t blended = first * (one - dx) + second * dx;
          const int32_t half = (1 << (2 * p->bits - 1)) - (blended < 0 && p->ties_away);
          *output++ = (int8_t)((blended + half) >> (2 * p->bits));
        }
      }
    }
    input += p->input_height * row;
  }
}
