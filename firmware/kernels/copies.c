/* The operators that only move elements: TRANSPOSE, SLICE, STRIDED_SLICE, CONCATENATION, SPLIT, GATHER and their like.
 *
 * TFLM: one file of each name in kernels/. refengine: the files in kernels/ whose facts say `copies`. Where each element
 * comes from is known when the model is exported; these two follow that.
 */
#include <string.h>

#include "walk.h"

static void copy_row(int32_t size, int32_t count, const uint8_t *in, int32_t in_stride, uint8_t *out,
                     int32_t out_stride) {
  for (int32_t i = 0; i < count; ++i) {
    if (size == 1) {
      *out = *in;
    } else {
      memcpy(out, in, (size_t)size);
    }
    in += in_stride * size;
    out += out_stride * size;
  }
}

void copy_elements(const struct copy_params *p, const void *input, void *output) {
  const int32_t size = p->element_size, count = p->shape[MAX_RANK - 1];
  const int32_t in_stride = p->input_strides[MAX_RANK - 1], out_stride = p->output_strides[MAX_RANK - 1];
  for (struct walk walk = walk_over(p->shape); !walk.done; next_row(&walk, p->shape)) {
    const uint8_t *in = (const uint8_t *)input + (p->input_start + place(&walk, p->input_strides)) * size;
    uint8_t *out = (uint8_t *)output + (p->output_start + place(&walk, p->output_strides)) * size;
    if (in_stride == 1 && out_stride == 1) {
      memcpy(out, in, (size_t)(count * size));
    } else {
      copy_row(size, count, in, in_stride, out, out_stride);
    }
  }
}

void gather_blocks(const struct gather_params *p, const void *input, void *output) {
  uint8_t *out = output;
  for (int32_t i = 0; i < p->count; ++i) {
    memcpy(out, (const uint8_t *)input + p->starts[i], (size_t)p->bytes);
    out += p->bytes;
  }
}
