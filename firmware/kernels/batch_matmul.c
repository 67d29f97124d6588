/* BATCH_MATMUL: output = lhs · rhs for each pair of matrices, whose batch dimensions broadcast.
 *
 * TFLM: kernels/batch_matmul.cc. refengine: kernels/batch_matmul.py. Whether a matrix is transposed is in its strides.
 */
#include "wide.h"
#include "walk.h"

void batch_matmul_int8(const struct batch_matmul_params *p, const int8_t *lhs, const int8_t *rhs, int8_t *output) {
  const struct broadcast *b = &p->matrices;
  for (struct walk walk = walk_over(b->shape); !walk.done; next_row(&walk, b->shape)) {
    const int8_t *left = lhs + place(&walk, b->input1_strides), *right = rhs + place(&walk, b->input2_strides);
    for (int32_t row = 0; row < p->rows; ++row) {
      for (int32_t column = 0; column < p->columns; ++column) {
        const int8_t *l = left + row * p->lhs_row_stride, *r = right + column * p->rhs_column_stride;
        int32_t acc = 0;
        for (int32_t k = 0; k < p->accum_depth; ++k) {
          acc = add_wrap(acc, (*l + p->lhs_offset) * (*r + p->rhs_offset));
          l += p->lhs_depth_stride, r += p->rhs_depth_stride;
        }
        *output++ = (int8_t)requantized_wide(&p->requantize, 32, 0, acc);
      }
    }
  }
}

void batch_matmul_int16(const struct batch_matmul_params *p, const int16_t *lhs, const int16_t *rhs, int16_t *output) {
  const struct broadcast *b = &p->matrices;
  for (struct walk walk = walk_over(b->shape); !walk.done; next_row(&walk, b->shape)) {
    const int16_t *left = lhs + place(&walk, b->input1_strides), *right = rhs + place(&walk, b->input2_strides);
    for (int32_t row = 0; row < p->rows; ++row) {
      for (int32_t column = 0; column < p->columns; ++column) {
        const int16_t *l = left + row * p->lhs_row_stride, *r = right + column * p->rhs_column_stride;
        int64_t acc = 0;
        for (int32_t k = 0; k < p->accum_depth; ++k) {
          acc += *l * *r;
          l += p->lhs_depth_stride, r += p->rhs_depth_stride;
        }
        *output++ = requantized_wide(&p->requantize, 64, 0, acc);
      }
    }
  }
}
