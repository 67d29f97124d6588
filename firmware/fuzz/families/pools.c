/* Pools behind the door. */
#include "layer.h"

static struct window pool_window(const test_case *c) {
  return window_of(c, refengine_int(c, "filter_height"), refengine_int(c, "filter_width"));
}

static struct pool_int8_params pool_int8(const test_case *c) {
  const struct pool_int8_params p = {
      .window = pool_window(c),
      .activation_min = refengine_int(c, "quantized_activation_min"),
      .activation_max = refengine_int(c, "quantized_activation_max"),
  };
  return p;
}

static struct pool_float32_params pool_float32(const test_case *c) {
  const struct pool_float32_params p = {
      .window = pool_window(c),
      .float_activation_min = refengine_float(c, "float_activation_min"),
      .float_activation_max = refengine_float(c, "float_activation_max"),
  };
  return p;
}

SINGLE(max_pool_int8, pool_int8_params, pool_int8)
SINGLE(max_pool_int16, pool_int8_params, pool_int8)
SINGLE(max_pool_float32, pool_float32_params, pool_float32)
SINGLE(average_pool_int8, pool_int8_params, pool_int8)
SINGLE(average_pool_int16, pool_int8_params, pool_int8)
SINGLE(average_pool_float32, pool_float32_params, pool_float32)
SINGLE(l2_pool_float32, pool_float32_params, pool_float32)

const struct entry POOLS[] = {
    {"MAX_POOL_2D", "int8", max_pool_int8_case},
    {"MAX_POOL_2D", "int16", max_pool_int16_case},
    {"MAX_POOL_2D", "float32", max_pool_float32_case},
    {"AVERAGE_POOL_2D", "int8", average_pool_int8_case},
    {"AVERAGE_POOL_2D", "int16", average_pool_int16_case},
    {"AVERAGE_POOL_2D", "float32", average_pool_float32_case},
    {"L2_POOL_2D", "float32", l2_pool_float32_case},
    {0},
};
