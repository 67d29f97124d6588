/* CUMSUM: the sums of what lies before along an axis, with or without the element itself, from either end.
 *
 * TFLM: kernels/cumsum.cc. refengine: kernels/cumsum.py. Sums of codes begin at minus the zero point, as TFLM's do.
 */
#include "kernels.h"

/* Where the first element of a row lies, and how far it is to the next. */
static int32_t start_of(const struct cumsum_size *s, int32_t row) {
  const int32_t first = row / s->inner * s->count * s->inner + row % s->inner;
  return s->reverse ? first + (s->count - 1) * s->inner : first;
}

static int32_t step_of(const struct cumsum_size *s) { return s->reverse ? -s->inner : s->inner; }

void cumsum_int8(const struct cumsum_int8_params *p, const int8_t *input, int8_t *output) {
  for (int32_t row = 0; row < p->size.outer * p->size.inner; ++row) {
    int32_t at = start_of(&p->size, row), sum = p->input_offset;
    for (int32_t i = 0; i < p->size.count; ++i, at += step_of(&p->size)) {
      const int32_t after = sum + input[at] + p->input_offset;
      const int32_t chosen = shift_left_wrap(p->size.exclusive ? sum : after, 19);
      const int32_t scaled = multiply_in_fixed_point(chosen, p->output_multiplier);
      output[at] = (int8_t)clamp(scaled + p->output_offset, INT8_MIN, INT8_MAX);
      sum = after;
    }
  }
}

void cumsum_float32(const struct cumsum_float32_params *p, const float *input, float *output) {
  for (int32_t row = 0; row < p->size.outer * p->size.inner; ++row) {
    int32_t at = start_of(&p->size, row);
    float sum = 0.0f;
    for (int32_t i = 0; i < p->size.count; ++i, at += step_of(&p->size)) {
      const float after = sum + input[at];
      output[at] = p->size.exclusive ? sum : after;
      sum = after;
    }
  }
}
