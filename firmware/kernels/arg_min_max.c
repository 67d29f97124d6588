/* ARG_MAX, ARG_MIN: where the first of the largest or smallest elements along an axis is; a NaN is never beyond another.
 *
 * TFLM: kernels/arg_min_max.cc. refengine: kernels/arg_min_max.py.
 */
#include "kernels.h"

#define FIND(type)                                                                                     \
  for (int32_t outer = 0; outer < p->outer; ++outer) {                                                 \
    for (int32_t inner = 0; inner < p->inner; ++inner) {                                               \
      const type *row = input + outer * p->count * p->inner + inner;                                   \
      type best = row[0];                                                                              \
      int32_t place = 0;                                                                               \
      for (int32_t i = 1; i < p->count; ++i) {                                                         \
        const type x = row[i * p->inner];                                                              \
        if (p->largest ? x > best : x < best) {                                                        \
          best = x;                                                                                    \
          place = i;                                                                                   \
        }                                                                                              \
      }                                                                                                \
      *output++ = place;                                                                               \
    }                                                                                                  \
  }

void arg_min_max_int8(const struct arg_min_max_params *p, const int8_t *input, int32_t *output) { FIND(int8_t) }

void arg_min_max_float32(const struct arg_min_max_params *p, const float *input, int32_t *output) { FIND(float) }
