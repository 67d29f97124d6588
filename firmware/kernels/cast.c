/* CAST: the input's numbers in another type. Integers keep their low bits; floats are cut off towards zero, NaN becomes
 * 0, and what does not fit the nearest end of the type.
 *
 * TFLM: kernels/cast.cc. refengine: kernels/cast.py.
 */
#include "kernels.h"

static int64_t whole(enum cast_type type, const void *input, int32_t i) {
  switch (type) {
    case CAST_INT8: return ((const int8_t *)input)[i];
    case CAST_INT16: return ((const int16_t *)input)[i];
    case CAST_INT32: return ((const int32_t *)input)[i];
    case CAST_UINT32: return ((const uint32_t *)input)[i];
    default: return ((const uint8_t *)input)[i];
  }
}

static int64_t truncated(enum cast_type type, float x) {
  static const int64_t ends[][2] = {
      [CAST_INT8] = {INT8_MIN, INT8_MAX},
      [CAST_INT16] = {INT16_MIN, INT16_MAX},
      [CAST_INT32] = {INT32_MIN, INT32_MAX},
      [CAST_UINT32] = {0, UINT32_MAX},
  };
  if (type == CAST_BOOL) {
    return x != 0.0f;
  }
  const int64_t low = ends[type][0], high = ends[type][1];
  return x != x ? 0 : x < (float)low ? low : x >= (float)high ? high : (int64_t)x;
}

static void store(enum cast_type type, void *output, int32_t i, int64_t x) {
  switch (type) {
    case CAST_INT8: ((int8_t *)output)[i] = (int8_t)x; break;
    case CAST_INT16: ((int16_t *)output)[i] = (int16_t)x; break;
    case CAST_INT32: ((int32_t *)output)[i] = (int32_t)x; break;
    case CAST_UINT32: ((uint32_t *)output)[i] = (uint32_t)x; break;
    default: ((uint8_t *)output)[i] = x != 0; break;
  }
}

void cast(const struct cast_params *p, const void *input, void *output) {
  const enum cast_type from = (enum cast_type)p->from, to = (enum cast_type)p->to;
  for (int32_t i = 0; i < p->size; ++i) {
    if (from == CAST_FLOAT32 && to == CAST_FLOAT32) {
      ((float *)output)[i] = ((const float *)input)[i];
    } else if (from == CAST_FLOAT32) {
      store(to, output, i, truncated(to, ((const float *)input)[i]));
    } else if (to == CAST_FLOAT32) {
      ((float *)output)[i] = (float)whole(from, input, i);
    } else {
      store(to, output, i, whole(from, input, i));
    }
  }
}
