/* REDUCE_MAX, REDUCE_MIN, REDUCE_ALL: the largest or smallest of the elements along some dimensions.
 *
 * TFLM: kernels/reduce.cc. refengine: kernels/reduce.py. Of equal ones it is the first; NaN never is.
 */
#include <float.h>

#include "walk.h"

#define EXTREME(name, type, worst, beats)                                                                             \
  void name(const struct axes_params *p, const type *input, type *output) {                                           \
    const struct axes *a = &p->axes;                                                                                  \
    for (struct walk kept = walk_over(a->kept_shape); !kept.done; next_row(&kept, a->kept_shape)) {                   \
      const int32_t row = place(&kept, a->kept_strides);                                                              \
      for (int32_t i = 0; i < a->kept_shape[MAX_RANK - 1]; ++i) {                                                     \
        type best = worst;                                                                                            \
        for (struct walk walk = walk_over(a->reduced_shape); !walk.done; next_row(&walk, a->reduced_shape)) {         \
          const type *in = input + row + i * a->kept_strides[MAX_RANK - 1] + place(&walk, a->reduced_strides);        \
          for (int32_t k = 0; k < a->reduced_shape[MAX_RANK - 1]; ++k) {                                              \
            best = *in beats best ? *in : best;                                                                       \
            in += a->reduced_strides[MAX_RANK - 1];                                                                   \
          }                                                                                                           \
        }                                                                                                             \
        *output++ = best;                                                                                             \
      }                                                                                                               \
    }                                                                                                                 \
  }

EXTREME(reduce_max_int8, int8_t, INT8_MIN, >)
EXTREME(reduce_max_float32, float, -FLT_MAX, >)
EXTREME(reduce_min_int8, int8_t, INT8_MAX, <)
EXTREME(reduce_min_float32, float, FLT_MAX, <)
EXTREME(reduce_all, uint8_t, 1, <)
