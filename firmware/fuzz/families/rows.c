/* What goes row by row, or along an axis, behind the door: softmaxes, norms, ARG_MAX, CUMSUM. */
#include "family.h"

static void softmax_from_int8(const test_case *c) {
  const tensor *in = &c->inputs[0], *out = &c->outputs[0];
  struct softmax_int8_params p = {.depth = last_dimension(in)};
  p.rows = refengine_elements(in) / p.depth;
  p.exps = refengine_ints(c, "exps", &p.exps_length);
  if (strcmp(out->dtype, "int16") == 0) {
    softmax_int8_int16(&p, in->data, out->data);
  } else {
    softmax_int8(&p, in->data, out->data);
  }
}

static void softmax_from_int16(const test_case *c) {
  static int16_t tables[2][513];
  const tensor *in = &c->inputs[0];
  const int32_t *exps = refengine_ints(c, "exp_lut", NULL);
  const int32_t *reciprocals = refengine_ints(c, "one_over_one_plus_x_lut", NULL);
  for (int32_t i = 0; i < 513; ++i) {
    tables[0][i] = (int16_t)exps[i], tables[1][i] = (int16_t)reciprocals[i];
  }
  struct softmax_int16_params p = {
      .depth = last_dimension(in),
      .input_multiplier = multiplier_called(c, "input_multiplier", "input_left_shift"),
      .exp_lut = tables[0],
      .one_over_one_plus_x_lut = tables[1],
  };
  p.rows = refengine_elements(in) / p.depth;
  softmax_int16(&p, in->data, c->outputs[0].data);
}

static void softmax_from_float32(const test_case *c) {
  const tensor *in = &c->inputs[0];
  struct softmax_float32_params p = {.depth = last_dimension(in), .beta = refengine_float(c, "beta")};
  p.rows = refengine_elements(in) / p.depth;
  softmax_float32(&p, in->data, c->outputs[0].data);
}

static void log_softmax_int8_case(const test_case *c) {
  const int32_t depth = last_dimension(&c->inputs[0]);
  const struct log_softmax_int8_params p = {
      .rows = refengine_elements(&c->inputs[0]) / depth,
      .depth = depth,
      .diff_min = refengine_int(c, "diff_min"),
      .reverse_scaling = multiplier_called(c, "reverse_scaling_divisor", "reverse_scaling_left_shift"),
      .scaled = refengine_ints(c, "scaled", NULL),
      .terms = refengine_ints(c, "terms", NULL),
  };
  log_softmax_int8(&p, c->inputs[0].data, c->outputs[0].data);
}

static void log_softmax_float32_case(const test_case *c) {
  const int32_t depth = last_dimension(&c->inputs[0]);
  const struct log_softmax_float32_params p = {refengine_elements(&c->inputs[0]) / depth, depth};
  log_softmax_float32(&p, c->inputs[0].data, c->outputs[0].data);
}

static void l2norm_int8_case(const test_case *c) {
  const int32_t depth = last_dimension(&c->inputs[0]);
  const struct l2norm_int8_params p = {refengine_elements(&c->inputs[0]) / depth, depth, c->inputs[0].zero_point[0]};
  l2norm_int8(&p, c->inputs[0].data, c->outputs[0].data);
}

static void l2norm_float32_case(const test_case *c) {
  const int32_t depth = last_dimension(&c->inputs[0]);
  const struct l2norm_float32_params p = {refengine_elements(&c->inputs[0]) / depth, depth};
  l2norm_float32(&p, c->inputs[0].data, c->outputs[0].data);
}

/* ---- along an axis ----------------------------------------------------------------------------------------------- */

static void arg_min_max_case(const test_case *c) {
  const tensor *in = &c->inputs[0];
  struct arg_min_max_params p = {.outer = 1, .count = 1, .inner = 1, .largest = strcmp(c->op, "ARG_MAX") == 0};
  const int32_t axis = refengine_int(c, "axis");
  for (int32_t d = 0; d < in->rank; ++d) {
    *(d < axis ? &p.outer : d > axis ? &p.inner : &p.count) *= in->dims[d];
  }
  if (strcmp(in->dtype, "int8") == 0) {
    arg_min_max_int8(&p, in->data, c->outputs[0].data);
  } else {
    arg_min_max_float32(&p, in->data, c->outputs[0].data);
  }
}

static struct cumsum_size cumsum_size_of(const test_case *c) {
  const tensor *in = &c->inputs[0];
  const int32_t axis = refengine_int(c, "axis");
  struct cumsum_size size = {1, 1, 1, refengine_int(c, "exclusive"), refengine_int(c, "reverse")};
  for (int32_t d = 0; d < in->rank; ++d) {
    *(d < axis ? &size.outer : d > axis ? &size.inner : &size.count) *= in->dims[d];
  }
  return size;
}

static void cumsum_int8_case(const test_case *c) {
  const struct cumsum_int8_params p = {cumsum_size_of(c), refengine_int(c, "input_offset"),
                                       refengine_int(c, "output_offset"),
                                       multiplier_called(c, "output_multiplier", "output_shift")};
  cumsum_int8(&p, c->inputs[0].data, c->outputs[0].data);
}

static void cumsum_float32_case(const test_case *c) {
  const struct cumsum_float32_params p = {cumsum_size_of(c)};
  cumsum_float32(&p, c->inputs[0].data, c->outputs[0].data);
}

const struct entry ROWS[] = {
    {"SOFTMAX", "int8", softmax_from_int8},
    {"SOFTMAX", "int16", softmax_from_int16},
    {"SOFTMAX", "float32", softmax_from_float32},
    {"LOG_SOFTMAX", "int8", log_softmax_int8_case},
    {"LOG_SOFTMAX", "float32", log_softmax_float32_case},
    {"L2_NORMALIZATION", "int8", l2norm_int8_case},
    {"L2_NORMALIZATION", "float32", l2norm_float32_case},
    {"ARG_MAX", "int8", arg_min_max_case},
    {"ARG_MAX", "float32", arg_min_max_case},
    {"ARG_MIN", "int8", arg_min_max_case},
    {"ARG_MIN", "float32", arg_min_max_case},
    {"CUMSUM", "int8", cumsum_int8_case},
    {"CUMSUM", "float32", cumsum_float32_case},
    {0},
};
