/* Convolutions behind the door: CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV. */
#include "layer.h"

/* The window of a convolution, whose filter is OHWI or 1HWO. */
static struct window filter_window(const test_case *c) {
  struct window window = window_of(c, c->inputs[1].dims[1], c->inputs[1].dims[2]);
  window.dilation_height_factor = refengine_int(c, "dilation_h_factor");
  window.dilation_width_factor = refengine_int(c, "dilation_w_factor");
  return window;
}

static void conv_2d_int8(const test_case *c) {
  const int32_t *filter = c->inputs[1].dims, count = filter[1] * filter[2] * filter[3];
  const struct conv_int8_params p = {
      .window = filter_window(c),
      .filter_depth = filter[3],
      .input_offset = refengine_int(c, "input_offset"),
      .requantize = requantize_of(c),
  };
  const int32_t *bias = folded_bias(c, filter[0], count, 1, count, 0);
  conv_int8(&p, c->inputs[0].data, c->inputs[1].data, bias, c->outputs[0].data);
}

static void conv_2d_int16(const test_case *c) {
  const struct conv_int16_params p = {
      .window = filter_window(c),
      .filter_depth = c->inputs[1].dims[3],
      .accumulator_bits = accumulator_bits(c, 2),
      .requantize = requantize_of(c),
  };
  conv_int16(&p, c->inputs[0].data, c->inputs[1].data, wide_bias(c, 2, c->inputs[1].dims[0]), c->outputs[0].data);
}

static void conv_2d_float32(const test_case *c) {
  const struct conv_float32_params p = {
      .window = filter_window(c),
      .filter_depth = c->inputs[1].dims[3],
      .float_activation_min = refengine_float(c, "float_activation_min"),
      .float_activation_max = refengine_float(c, "float_activation_max"),
  };
  conv_float32(&p, c->inputs[0].data, c->inputs[1].data, float_bias(c, 2), c->outputs[0].data);
}

static void depthwise_conv_2d_int8(const test_case *c) {
  const int32_t *filter = c->inputs[1].dims, channels = filter[3];
  const struct depthwise_conv_int8_params p = {
      .window = filter_window(c),
      .depth_multiplier = refengine_int(c, "depth_multiplier"),
      .input_offset = refengine_int(c, "input_offset"),
      .requantize = requantize_of(c),
  };
  const int32_t *bias = folded_bias(c, channels, filter[1] * filter[2], channels, 1, 0);
  depthwise_conv_int8(&p, c->inputs[0].data, c->inputs[1].data, bias, c->outputs[0].data);
}

static void depthwise_conv_2d_int16(const test_case *c) {
  const struct depthwise_conv_int16_params p = {
      .window = filter_window(c),
      .depth_multiplier = refengine_int(c, "depth_multiplier"),
      .accumulator_bits = accumulator_bits(c, 2),
      .requantize = requantize_of(c),
  };
  depthwise_conv_int16(&p, c->inputs[0].data, c->inputs[1].data, wide_bias(c, 2, c->inputs[1].dims[3]),
                       c->outputs[0].data);
}

static void depthwise_conv_2d_float32(const test_case *c) {
  const struct depthwise_conv_float32_params p = {
      .window = filter_window(c),
      .depth_multiplier = refengine_int(c, "depth_multiplier"),
      .float_activation_min = refengine_float(c, "float_activation_min"),
      .float_activation_max = refengine_float(c, "float_activation_max"),
  };
  depthwise_conv_float32(&p, c->inputs[0].data, c->inputs[1].data, float_bias(c, 2), c->outputs[0].data);
}

/* ---- transposed ones: the output's shape, the filter, the input, the bias ---------------------------------------- */

static struct window scatter_window(const test_case *c) {
  const int32_t *in = c->inputs[2].dims, *filter = c->inputs[1].dims;
  struct window window = window_of(c, filter[1], filter[2]);
  window.batches = in[0], window.input_height = in[1], window.input_width = in[2], window.input_depth = in[3];
  return window;
}

static struct transpose_conv_params transposed(const test_case *c, int32_t bits) {
  const struct transpose_conv_params p = {
      .window = scatter_window(c),
      .input_offset = refengine_int(c, "input_offset"),
      .accumulator_bits = bits,
      .requantize = requantize_of(c),
  };
  return p;
}

static void transpose_conv_int8_case(const test_case *c) {
  const struct transpose_conv_params p = transposed(c, 32);
  const int64_t *bias = wide_bias(c, 3, c->inputs[1].dims[0]);
  transpose_conv_int8(&p, c->inputs[2].data, c->inputs[1].data, bias, c->outputs[0].data);
}

static void transpose_conv_int16_case(const test_case *c) {
  const struct transpose_conv_params p = transposed(c, accumulator_bits(c, 3));
  const int64_t *bias = wide_bias(c, 3, c->inputs[1].dims[0]);
  transpose_conv_int16(&p, c->inputs[2].data, c->inputs[1].data, bias, c->outputs[0].data);
}

static void transpose_conv_float32_case(const test_case *c) {
  const struct conv_float32_params p = {
      .window = scatter_window(c),
      .filter_depth = c->inputs[1].dims[3],
      .float_activation_min = refengine_float(c, "float_activation_min"),
      .float_activation_max = refengine_float(c, "float_activation_max"),
  };
  transpose_conv_float32(&p, c->inputs[2].data, c->inputs[1].data, float_bias(c, 3), c->outputs[0].data);
}

const struct entry CONVOLUTIONS[] = {
    {"CONV_2D", "int8", conv_2d_int8},
    {"CONV_2D", "int16", conv_2d_int16},
    {"CONV_2D", "float32", conv_2d_float32},
    {"DEPTHWISE_CONV_2D", "int8", depthwise_conv_2d_int8},
    {"DEPTHWISE_CONV_2D", "int16", depthwise_conv_2d_int16},
    {"DEPTHWISE_CONV_2D", "float32", depthwise_conv_2d_float32},
    {"TRANSPOSE_CONV", "int8", transpose_conv_int8_case},
    {"TRANSPOSE_CONV", "int16", transpose_conv_int16_case},
    {"TRANSPOSE_CONV", "float32", transpose_conv_float32_case},
    {0},
};
