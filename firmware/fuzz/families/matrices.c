/* Products of matrices behind the door: FULLY_CONNECTED, BATCH_MATMUL. */
#include "layer.h"

static void fully_connected_int8_case(const test_case *c) {
  const int32_t channels = c->inputs[1].dims[0], depth = c->inputs[1].dims[1];
  const struct fully_connected_int8_params p = {
      .batches = refengine_elements(&c->outputs[0]) / channels,
      .accum_depth = depth,
      .output_depth = channels,
      .input_offset = refengine_int(c, "input_offset"),
      .filter_offset = refengine_int(c, "weights_offset"),
      .requantize = requantize_of(c),
  };
  const int32_t *bias = folded_bias(c, channels, depth, 1, depth, p.filter_offset);
  fully_connected_int8(&p, c->inputs[0].data, c->inputs[1].data, bias, c->outputs[0].data);
}

/* The zero point of the input, if it has one, is in the bias of constant weights; the kernel adds it to computed ones. */
static void fully_connected_int16_case(const test_case *c) {
  static int64_t folded[MOST_CHANNELS];
  const int32_t channels = c->inputs[1].dims[0], depth = c->inputs[1].dims[1];
  const int8_t *filter = c->inputs[1].data;
  const int64_t *bias = wide_bias(c, 2, channels);
  const int32_t input_offset = refengine_int(c, "input_offset"), is_constant = c->inputs[1].constant;
  const struct fully_connected_int16_params p = {
      .batches = refengine_elements(&c->outputs[0]) / channels,
      .accum_depth = depth,
      .output_depth = channels,
      .input_offset = is_constant ? 0 : input_offset,
      .filter_offset = refengine_int(c, "weights_offset"),
      .accumulator_bits = accumulator_bits(c, 2),
      .requantize = requantize_of(c),
  };
  for (int32_t o = 0; o < channels; ++o) {
    int64_t sum = (int64_t)depth * p.filter_offset;
    for (int32_t k = 0; k < depth; ++k) {
      sum += *filter++;
    }
    folded[o] = (int64_t)((uint64_t)bias[o] + (uint64_t)(input_offset * sum)); /* which may wrap */
  }
  fully_connected_int16(&p, c->inputs[0].data, c->inputs[1].data, is_constant ? folded : bias, c->outputs[0].data);
}

static void fully_connected_float32_case(const test_case *c) {
  const int32_t channels = c->inputs[1].dims[0];
  const struct fully_connected_float32_params p = {
      .batches = refengine_elements(&c->outputs[0]) / channels,
      .accum_depth = c->inputs[1].dims[1],
      .output_depth = channels,
      .float_activation_min = refengine_float(c, "float_activation_min"),
      .float_activation_max = refengine_float(c, "float_activation_max"),
  };
  fully_connected_float32(&p, c->inputs[0].data, c->inputs[1].data, float_bias(c, 2), c->outputs[0].data);
}

/* ---- batch_matmul ------------------------------------------------------------------------------------------------ */

/* The strides of the batches, the last dimension a one; those of rows and columns as the options transpose them. */
static struct batch_matmul_params matrices_of(const test_case *c) {
  const tensor *lhs = &c->inputs[0], *rhs = &c->inputs[1], *out = &c->outputs[0];
  const int32_t left = last_dimension(lhs), right = last_dimension(rhs);
  const int32_t adj_x = refengine_int(c, "adj_x"), adj_y = refengine_int(c, "adj_y");
  struct batch_matmul_params p = {
      .rows = out->dims[out->rank - 2],
      .columns = last_dimension(out),
      .accum_depth = adj_x ? lhs->dims[lhs->rank - 2] : left,
      .lhs_row_stride = adj_x ? 1 : left,
      .lhs_depth_stride = adj_x ? left : 1,
      .rhs_column_stride = adj_y ? right : 1,
      .rhs_depth_stride = adj_y ? 1 : right,
  };
  const tensor *const all[] = {out, lhs, rhs};
  int32_t *const shapes[] = {p.matrices.shape, p.matrices.input1_strides, p.matrices.input2_strides};
  for (int32_t i = 0; i < 3; ++i) {
    int32_t stride = all[i]->dims[all[i]->rank - 2] * last_dimension(all[i]);
    shapes[i][MAX_RANK - 1] = i == 0;
    for (int32_t d = MAX_RANK - 2, from = all[i]->rank - 3; d >= 0; --d, --from) {
      const int32_t size = from >= 0 ? all[i]->dims[from] : 1;
      shapes[i][d] = i == 0 ? size : size == 1 ? 0 : stride;
      stride *= size;
    }
  }
  return p;
}

static struct batch_matmul_params quantized_matrices(const test_case *c) {
  struct batch_matmul_params p = matrices_of(c);
  p.lhs_offset = refengine_int(c, "lhs_offset");
  p.rhs_offset = refengine_int(c, "rhs_offset");
  p.requantize = requantize_of(c);
  return p;
}

static struct batch_matmul_float32_params float_matrices(const test_case *c) {
  const struct batch_matmul_params m = matrices_of(c);
  const struct batch_matmul_float32_params p = {m.matrices,         m.rows,
                                                m.columns,          m.accum_depth,
                                                m.lhs_row_stride,   m.lhs_depth_stride,
                                                m.rhs_column_stride, m.rhs_depth_stride};
  return p;
}

PAIR(batch_matmul_int8, batch_matmul_params, quantized_matrices)
PAIR(batch_matmul_int16, batch_matmul_params, quantized_matrices)
PAIR(batch_matmul_float32, batch_matmul_float32_params, float_matrices)

const struct entry MATRICES[] = {
    {"FULLY_CONNECTED", "int8", fully_connected_int8_case},
    {"FULLY_CONNECTED", "int16", fully_connected_int16_case},
    {"FULLY_CONNECTED", "float32", fully_connected_float32_case},
    {"BATCH_MATMUL", "int8", batch_matmul_int8_case},
    {"BATCH_MATMUL", "int16", batch_matmul_int16_case},
    {"BATCH_MATMUL", "float32", batch_matmul_float32_case},
    {0},
};
