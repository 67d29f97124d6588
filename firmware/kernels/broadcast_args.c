/* BROADCAST_ARGS: the shape that two shapes broadcast to, as NumPy's do. On lengths that clash TFLM aborts.
 *
 * TFLM: kernels/broadcast_args.cc. refengine: kernels/broadcast_args.py.
 */
#include "kernels.h"

/* Counted from the last dimension, 1 where there is none; int64 goes through an int32. */
#define BROADCAST_ARGS(name, type)                                                                              \
  void name(const struct broadcast_args_params *p, const type *shape1, const type *shape2, type *output) {      \
    for (int32_t i = 0; i < p->rank; ++i) {                                                                     \
      const int32_t at1 = i - (p->rank - p->rank1), at2 = i - (p->rank - p->rank2);                             \
      const int32_t length1 = at1 < 0 ? 1 : (int32_t)shape1[at1], length2 = at2 < 0 ? 1 : (int32_t)shape2[at2]; \
      output[i] = length1 == 1 ? length2 : length1;                                                             \
    }                                                                                                           \
  }

BROADCAST_ARGS(broadcast_args_int32, int32_t)
BROADCAST_ARGS(broadcast_args_int64, int64_t)
