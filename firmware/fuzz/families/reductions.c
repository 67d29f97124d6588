/* Sums and extremes over axes behind the door. */
#include "family.h"

static int32_t is_reduced(const test_case *c, int32_t dimension) {
  int32_t count;
  const int32_t *axis = refengine_ints(c, "axis", &count);
  for (int32_t i = 0; i < count; ++i) {
    if (axis[i] == dimension) {
      return 1;
    }
  }
  return 0;
}

/* Dimensions from last to first, each to the end of its kind; what is left in front are ones. */
static struct axes axes_of(const test_case *c) {
  const tensor *in = &c->inputs[0];
  struct axes a;
  for (int32_t d = 0; d < MAX_RANK; ++d) {
    a.kept_shape[d] = a.reduced_shape[d] = 1;
    a.kept_strides[d] = a.reduced_strides[d] = 0;
  }
  int32_t kept = MAX_RANK, reduced = MAX_RANK, stride = 1;
  for (int32_t d = in->rank - 1; d >= 0; --d) {
    if (is_reduced(c, d)) {
      a.reduced_shape[--reduced] = in->dims[d];
      a.reduced_strides[reduced] = stride;
    } else {
      a.kept_shape[--kept] = in->dims[d];
      a.kept_strides[kept] = stride;
    }
    stride *= in->dims[d];
  }
  return a;
}

static int32_t elements_summed(const test_case *c) {
  return refengine_elements(&c->inputs[0]) / refengine_elements(&c->outputs[0]);
}

static struct sum_int8_params quantized_sum(const test_case *c) {
  const struct sum_int8_params p = {
      .axes = axes_of(c),
      .bias = multiply_wrap(elements_summed(c), -c->inputs[0].zero_point[0]),
      .multiplier = multiplier_called(c, "output_multiplier", "output_shift"),
      .output_offset = refengine_int(c, "output_offset"),
  };
  return p;
}

static struct sum_float32_params float_sum(const test_case *c) {
  const int is_mean = strcmp(c->op, "MEAN") == 0;
  const struct sum_float32_params p = {
      .axes = axes_of(c),
      .divisor = is_mean ? (float)elements_summed(c) : 1.0f,
  };
  return p;
}

static struct axes_params only_axes(const test_case *c) {
  const struct axes_params p = {axes_of(c)};
  return p;
}

SINGLE(sum_int8, sum_int8_params, quantized_sum)
SINGLE(sum_int16, sum_int8_params, quantized_sum)
SINGLE(sum_float32, sum_float32_params, float_sum)
SINGLE(reduce_max_int8, axes_params, only_axes)
SINGLE(reduce_max_float32, axes_params, only_axes)
SINGLE(reduce_min_int8, axes_params, only_axes)
SINGLE(reduce_min_float32, axes_params, only_axes)
SINGLE(reduce_all, axes_params, only_axes)

const struct entry REDUCTIONS[] = {
    {"MEAN", "int8", sum_int8_case},
    {"MEAN", "int16", sum_int16_case},
    {"MEAN", "float32", sum_float32_case},
    {"SUM", "int8", sum_int8_case},
    {"SUM", "int16", sum_int16_case},
    {"SUM", "float32", sum_float32_case},
    {"REDUCE_MAX", "int8", reduce_max_int8_case},
    {"REDUCE_MAX", "float32", reduce_max_float32_case},
    {"REDUCE_MIN", "int8", reduce_min_int8_case},
    {"REDUCE_MIN", "float32", reduce_min_float32_case},
    {"REDUCE_ALL", "bool", reduce_all_case},
    {0},
};
