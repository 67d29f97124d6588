/* refengine's kernels behind the door of `refengine fuzz`, and the example to copy for yours: one short function for
 * each operator and type, which puts a case's numbers where the kernel wants them, and a table of those functions.
 *
 * These kernels want three things that a case does not bring: a multiplier and its shift in one struct, the input's
 * zero point folded into the bias, and the strides of broadcast inputs and reduced axes. All else is copied.
 */
#include <math.h>

#include "kernels.h"
#include "refengine_fuzz.h"

typedef struct refengine_case test_case;
typedef struct refengine_tensor tensor;

enum { MOST_CHANNELS = 4096 }; /* of a layer; what has more is not supported here */

/* ---- what the layers share --------------------------------------------------------------------------------------- */

static struct window window_of(const test_case *c, int32_t filter_height, int32_t filter_width) {
  const int32_t *in = c->inputs[0].dims, *out = c->outputs[0].dims;
  const struct window window = {
      .batches = in[0],
      .input_height = in[1],
      .input_width = in[2],
      .input_depth = in[3],
      .output_height = out[1],
      .output_width = out[2],
      .output_depth = out[3],
      .filter_height = filter_height,
      .filter_width = filter_width,
      .stride_height = refengine_int(c, "stride_h"),
      .stride_width = refengine_int(c, "stride_w"),
      .dilation_height_factor = 1,
      .dilation_width_factor = 1,
      .padding_height = refengine_int(c, "padding_height"),
      .padding_width = refengine_int(c, "padding_width"),
  };
  return window;
}

/* The window of a convolution, whose filter is OHWI or 1HWO. */
static struct window filter_window(const test_case *c) {
  struct window window = window_of(c, c->inputs[1].dims[1], c->inputs[1].dims[2]);
  window.dilation_height_factor = refengine_int(c, "dilation_h_factor");
  window.dilation_width_factor = refengine_int(c, "dilation_w_factor");
  return window;
}

static struct window pool_window(const test_case *c) {
  return window_of(c, refengine_int(c, "filter_height"), refengine_int(c, "filter_width"));
}

static struct multiplier multiplier_called(const test_case *c, const char *multiplier, const char *shift) {
  const struct multiplier m = {refengine_int(c, multiplier), refengine_int(c, shift)};
  return m;
}

static struct requantize requantize_of(const test_case *c) {
  static struct multiplier channels[MOST_CHANNELS];
  int32_t count;
  const int32_t *multipliers = refengine_ints(c, "output_multiplier", &count);
  const int32_t *shifts = refengine_ints(c, "output_shift", NULL);
  for (int32_t channel = 0; channel < count; ++channel) {
    channels[channel].multiplier = multipliers[channel];
    channels[channel].shift = shifts[channel];
  }
  const struct requantize requantize = {
      .output_multiplier = channels,
      .per_channel = count > 1,
      .output_offset = refengine_int(c, "output_offset"),
      .output_activation_min = refengine_int(c, "quantized_activation_min"),
      .output_activation_max = refengine_int(c, "quantized_activation_max"),
  };
  return requantize;
}

/* bias[o] + input_offset · Σ (filter[o] + filter_offset). A channel's `count` weights are `step` apart, and begin
 * `next` after the channel before. */
static const int32_t *folded_bias(const test_case *c, int32_t channels, int32_t count, int32_t step, int32_t next,
                                  int32_t filter_offset) {
  static int32_t folded[MOST_CHANNELS];
  const int8_t *filter = c->inputs[1].data;
  const int32_t *bias = c->n_inputs > 2 ? c->inputs[2].data : NULL;
  const int32_t input_offset = refengine_int(c, "input_offset");
  for (int32_t o = 0; o < channels; ++o) {
    int32_t sum = count * filter_offset;
    for (int32_t k = 0; k < count; ++k) {
      sum += filter[o * next + k * step];
    }
    folded[o] = add_wrap(bias ? bias[o] : 0, multiply_wrap(input_offset, sum));
  }
  return folded;
}

/* Input `place`, zeros where it is left out. */
static const float *float_bias(const test_case *c, int32_t place) {
  static const float zeros[MOST_CHANNELS];
  return c->n_inputs > place && c->inputs[place].data ? c->inputs[place].data : zeros;
}

/* ---- layers ------------------------------------------------------------------------------------------------------ */

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

static void depthwise_conv_2d_float32(const test_case *c) {
  const struct depthwise_conv_float32_params p = {
      .window = filter_window(c),
      .depth_multiplier = refengine_int(c, "depth_multiplier"),
      .float_activation_min = refengine_float(c, "float_activation_min"),
      .float_activation_max = refengine_float(c, "float_activation_max"),
  };
  depthwise_conv_float32(&p, c->inputs[0].data, c->inputs[1].data, float_bias(c, 2), c->outputs[0].data);
}

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

/* ---- layers of int16 --------------------------------------------------------------------------------------------- */

/* The type of the sum: that of the bias, input `place`, or without bias what the options say (2 is int32). */
static int32_t accumulator_bits(const test_case *c, int32_t place) {
  const int has_bias = c->n_inputs > place && c->inputs[place].data;
  const int said = refengine_find(c, "quantized_bias_type") && refengine_int(c, "quantized_bias_type") == 2;
  return (has_bias ? strcmp(c->inputs[place].dtype, "int32") == 0 : said) ? 32 : 64;
}

static const int64_t *wide_bias(const test_case *c, int32_t place, int32_t channels) {
  static int64_t wide[MOST_CHANNELS];
  const void *bias = c->n_inputs > place ? c->inputs[place].data : NULL;
  for (int32_t o = 0; o < channels; ++o) {
    if (!bias) {
      wide[o] = 0;
    } else if (strcmp(c->inputs[place].dtype, "int16") == 0) { /* of TRANSPOSE_CONV */
      wide[o] = ((const int16_t *)bias)[o];
    } else if (strcmp(c->inputs[place].dtype, "int32") == 0) {
      wide[o] = ((const int32_t *)bias)[o];
    } else {
      wide[o] = ((const int64_t *)bias)[o];
    }
  }
  return wide;
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

/* The zero point of the input, if it has one, is in the bias. */
static void fully_connected_int16_case(const test_case *c) {
  static int64_t folded[MOST_CHANNELS];
  const int32_t channels = c->inputs[1].dims[0], depth = c->inputs[1].dims[1];
  const int8_t *filter = c->inputs[1].data;
  const int64_t *bias = wide_bias(c, 2, channels);
  const struct fully_connected_int16_params p = {
      .batches = refengine_elements(&c->outputs[0]) / channels,
      .accum_depth = depth,
      .output_depth = channels,
      .filter_offset = refengine_int(c, "weights_offset"),
      .accumulator_bits = accumulator_bits(c, 2),
      .requantize = requantize_of(c),
  };
  for (int32_t o = 0; o < channels; ++o) {
    int64_t sum = (int64_t)depth * p.filter_offset;
    for (int32_t k = 0; k < depth; ++k) {
      sum += *filter++;
    }
    folded[o] = bias[o] + refengine_int(c, "input_offset") * sum;
  }
  fully_connected_int16(&p, c->inputs[0].data, c->inputs[1].data, folded, c->outputs[0].data);
}

/* ---- transposed convolutions: the output's shape, the filter, the input, the bias -------------------------------- */

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

/* ---- pools ------------------------------------------------------------------------------------------------------- */

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

static void max_pool_2d_int8(const test_case *c) {
  const struct pool_int8_params p = pool_int8(c);
  max_pool_int8(&p, c->inputs[0].data, c->outputs[0].data);
}

static void max_pool_2d_float32(const test_case *c) {
  const struct pool_float32_params p = pool_float32(c);
  max_pool_float32(&p, c->inputs[0].data, c->outputs[0].data);
}

static void average_pool_2d_int8(const test_case *c) {
  const struct pool_int8_params p = pool_int8(c);
  average_pool_int8(&p, c->inputs[0].data, c->outputs[0].data);
}

static void average_pool_2d_float32(const test_case *c) {
  const struct pool_float32_params p = pool_float32(c);
  average_pool_float32(&p, c->inputs[0].data, c->outputs[0].data);
}

static void max_pool_2d_int16(const test_case *c) {
  const struct pool_int8_params p = pool_int8(c);
  max_pool_int16(&p, c->inputs[0].data, c->outputs[0].data);
}

static void average_pool_2d_int16(const test_case *c) {
  const struct pool_int8_params p = pool_int8(c);
  average_pool_int16(&p, c->inputs[0].data, c->outputs[0].data);
}

static void l2_pool_2d_float32(const test_case *c) {
  const struct pool_float32_params p = pool_float32(c);
  l2_pool_float32(&p, c->inputs[0].data, c->outputs[0].data);
}

/* ---- softmax ----------------------------------------------------------------------------------------------------- */

static int32_t last_dimension(const tensor *t) { return t->dims[t->rank - 1]; }

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

static void softmax_from_float32(const test_case *c) {
  const tensor *in = &c->inputs[0];
  struct softmax_float32_params p = {.depth = last_dimension(in), .beta = refengine_float(c, "beta")};
  p.rows = refengine_elements(in) / p.depth;
  softmax_float32(&p, in->data, c->outputs[0].data);
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

/* ---- add --------------------------------------------------------------------------------------------------------- */

/* The strides of `t` over an output of rank MAX_RANK, 0 where it broadcasts. */
static void broadcast_strides(const tensor *t, int32_t strides[MAX_RANK]) {
  int32_t stride = 1;
  for (int32_t d = MAX_RANK - 1, i = t->rank - 1; d >= 0; --d, --i) {
    const int32_t size = i >= 0 ? t->dims[i] : 1;
    strides[d] = size == 1 ? 0 : stride;
    stride *= size;
  }
}

/* `dims` with ones in front. */
static void shape_of(const tensor *t, int32_t shape[MAX_RANK]) {
  for (int32_t d = 0; d < MAX_RANK; ++d) {
    const int32_t i = d - (MAX_RANK - t->rank);
    shape[d] = i < 0 ? 1 : t->dims[i];
  }
}

static struct broadcast broadcast_of(const test_case *c) {
  struct broadcast b;
  shape_of(&c->outputs[0], b.shape);
  broadcast_strides(&c->inputs[0], b.input1_strides);
  broadcast_strides(&c->inputs[1], b.input2_strides);
  return b;
}

static struct add_int8_params scaled_pair(const test_case *c) {
  const struct add_int8_params p = {
      .broadcast = broadcast_of(c),
      .left_shift = refengine_int(c, "left_shift"),
      .input1_offset = refengine_int(c, "input1_offset"),
      .input2_offset = refengine_int(c, "input2_offset"),
      .output_offset = refengine_int(c, "output_offset"),
      .input1_multiplier = multiplier_called(c, "input1_multiplier", "input1_shift"),
      .input2_multiplier = multiplier_called(c, "input2_multiplier", "input2_shift"),
      .output_multiplier = multiplier_called(c, "output_multiplier", "output_shift"),
      .output_activation_min = refengine_int(c, "quantized_activation_min"),
      .output_activation_max = refengine_int(c, "quantized_activation_max"),
  };
  return p;
}

static struct mul_params product(const test_case *c) {
  const struct mul_params p = {
      .broadcast = broadcast_of(c),
      .input1_zero_point = -refengine_int(c, "input1_offset"),
      .input2_zero_point = -refengine_int(c, "input2_offset"),
      .output_zero_point = refengine_int(c, "output_offset"),
      .output_multiplier = multiplier_called(c, "output_multiplier", "output_shift"),
      .output_activation_min = refengine_int(c, "quantized_activation_min"),
      .output_activation_max = refengine_int(c, "quantized_activation_max"),
  };
  return p;
}

static struct pair_float32_params pair_float32(const test_case *c) {
  const struct pair_float32_params p = {
      .broadcast = broadcast_of(c),
      .output_activation_min = refengine_float(c, "float_activation_min"),
      .output_activation_max = refengine_float(c, "float_activation_max"),
  };
  return p;
}

static struct pair_int32_params pair_int32(const test_case *c) {
  const struct pair_int32_params p = {
      .broadcast = broadcast_of(c),
      .output_activation_min = refengine_int(c, "quantized_activation_min"),
      .output_activation_max = refengine_int(c, "quantized_activation_max"),
  };
  return p;
}

static struct comparison_int8_params comparison(const test_case *c) {
  const struct comparison_int8_params p = {
      .broadcast = broadcast_of(c),
      .input1_zero_point = -refengine_int(c, "input1_offset"),
      .input2_zero_point = -refengine_int(c, "input2_offset"),
      .input1_multiplier = multiplier_called(c, "input1_multiplier", "input1_shift"),
      .input2_multiplier = multiplier_called(c, "input2_multiplier", "input2_shift"),
  };
  return p;
}

static struct div_int8_params quotient(const test_case *c) {
  const struct div_int8_params p = {
      .broadcast = broadcast_of(c),
      .input1_zero_point = -refengine_int(c, "input1_offset"),
      .input2_zero_point = -refengine_int(c, "input2_offset"),
      .output_zero_point = refengine_int(c, "output_offset"),
      .output_multiplier = multiplier_called(c, "output_multiplier", "output_shift"),
      .output_activation_min = refengine_int(c, "quantized_activation_min"),
      .output_activation_max = refengine_int(c, "quantized_activation_max"),
      .shifts_modulo_64 = REFENGINE_SATURATE == 0, /* of the dialects whose processor is an x86 */
  };
  return p;
}

static struct prelu_params prelu(const test_case *c) {
  const struct prelu_params p = {
      .broadcast = broadcast_of(c),
      .input_zero_point = -refengine_int(c, "input_offset"),
      .alpha_zero_point = -refengine_int(c, "alpha_offset"),
      .output_zero_point = refengine_int(c, "output_offset"),
      .output_multiplier_1 = multiplier_called(c, "output_multiplier_1", "output_shift_1"),
      .output_multiplier_2 = multiplier_called(c, "output_multiplier_2", "output_shift_2"),
  };
  return p;
}

static struct squared_difference_params squared_difference(const test_case *c) {
  const struct squared_difference_params p = {
      .broadcast = broadcast_of(c),
      .left_shift = refengine_int(c, "left_shift"),
      .input1_zero_point = -refengine_int(c, "input1_offset"),
      .input2_zero_point = -refengine_int(c, "input2_offset"),
      .output_zero_point = refengine_int(c, "output_offset"),
      .input1_multiplier = multiplier_called(c, "input1_multiplier", "input1_shift"),
      .input2_multiplier = multiplier_called(c, "input2_multiplier", "input2_shift"),
      .output_multiplier = multiplier_called(c, "output_multiplier", "output_shift"),
  };
  return p;
}

static struct pair_params plain_pair(const test_case *c) {
  const struct pair_params p = {broadcast_of(c)};
  return p;
}

/* Two inputs, and params that are made as `made` says. */
#define PAIR(kernel, type, made)                                                  \
  static void kernel##_case(const test_case *c) {                                 \
    const struct type p = made(c);                                                \
    kernel(&p, c->inputs[0].data, c->inputs[1].data, c->outputs[0].data);         \
  }

PAIR(add_int8, add_int8_params, scaled_pair)
PAIR(add_int16, add_int8_params, scaled_pair)
PAIR(sub_int8, add_int8_params, scaled_pair)
PAIR(sub_int16, add_int8_params, scaled_pair)
PAIR(mul_int8, mul_params, product)
PAIR(mul_int16, mul_params, product)
PAIR(sub_float32, pair_float32_params, pair_float32)
PAIR(mul_float32, pair_float32_params, pair_float32)
PAIR(add_int32, pair_int32_params, pair_int32)
PAIR(sub_int32, pair_int32_params, pair_int32)
PAIR(mul_int32, pair_int32_params, pair_int32)
PAIR(maximum_int8, pair_params, plain_pair)
PAIR(maximum_int16, pair_params, plain_pair)
PAIR(maximum_int32, pair_params, plain_pair)
PAIR(maximum_float32, pair_params, plain_pair)
PAIR(minimum_int8, pair_params, plain_pair)
PAIR(minimum_int16, pair_params, plain_pair)
PAIR(minimum_int32, pair_params, plain_pair)
PAIR(minimum_float32, pair_params, plain_pair)
PAIR(equal_float32, pair_params, plain_pair)
PAIR(equal_int32, pair_params, plain_pair)
PAIR(equal_int64, pair_params, plain_pair)
PAIR(not_equal_float32, pair_params, plain_pair)
PAIR(not_equal_int32, pair_params, plain_pair)
PAIR(not_equal_int64, pair_params, plain_pair)
PAIR(greater_float32, pair_params, plain_pair)
PAIR(greater_int32, pair_params, plain_pair)
PAIR(greater_int64, pair_params, plain_pair)
PAIR(greater_equal_float32, pair_params, plain_pair)
PAIR(greater_equal_int32, pair_params, plain_pair)
PAIR(greater_equal_int64, pair_params, plain_pair)
PAIR(less_float32, pair_params, plain_pair)
PAIR(less_int32, pair_params, plain_pair)
PAIR(less_int64, pair_params, plain_pair)
PAIR(less_equal_float32, pair_params, plain_pair)
PAIR(less_equal_int32, pair_params, plain_pair)
PAIR(less_equal_int64, pair_params, plain_pair)
PAIR(equal_int8, comparison_int8_params, comparison)
PAIR(not_equal_int8, comparison_int8_params, comparison)
PAIR(greater_int8, comparison_int8_params, comparison)
PAIR(greater_equal_int8, comparison_int8_params, comparison)
PAIR(less_int8, comparison_int8_params, comparison)
PAIR(less_equal_int8, comparison_int8_params, comparison)
PAIR(equal_bool, pair_params, plain_pair)
PAIR(not_equal_bool, pair_params, plain_pair)
PAIR(maximum_int64, pair_params, plain_pair)
PAIR(minimum_int64, pair_params, plain_pair)
PAIR(div_int8, div_int8_params, quotient)
PAIR(div_int32, pair_int32_params, pair_int32)
PAIR(div_float32, pair_float32_params, pair_float32)
PAIR(prelu_int8, prelu_params, prelu)
PAIR(prelu_int16, prelu_params, prelu)
PAIR(squared_difference_int8, squared_difference_params, squared_difference)
PAIR(squared_difference_int16, squared_difference_params, squared_difference)
PAIR(logical_and, pair_params, plain_pair)
PAIR(logical_or, pair_params, plain_pair)
PAIR(prelu_float32, pair_params, plain_pair)
PAIR(squared_difference_float32, pair_params, plain_pair)
PAIR(squared_difference_int32, pair_params, plain_pair)
PAIR(floor_div_float32, pair_params, plain_pair)
PAIR(floor_mod_float32, pair_params, plain_pair)

static void add_float32_case(const test_case *c) {
  const struct add_float32_params p = {
      .broadcast = broadcast_of(c),
      .output_activation_min = refengine_float(c, "float_activation_min"),
      .output_activation_max = refengine_float(c, "float_activation_max"),
  };
  add_float32(&p, c->inputs[0].data, c->inputs[1].data, c->outputs[0].data);
}

/* ---- activations ------------------------------------------------------------------------------------------------- */

static struct relu_int8_params relu_of(const test_case *c) {
  const struct relu_int8_params p = {
      .size = refengine_elements(&c->outputs[0]),
      .input_offset = c->inputs[0].zero_point[0],
      .output_offset = c->outputs[0].zero_point[0],
      .multiplier = multiplier_called(c, "output_multiplier", "output_shift"),
      .quantized_activation_min = refengine_int(c, "quantized_activation_min"),
      .quantized_activation_max = refengine_int(c, "quantized_activation_max"),
  };
  return p;
}

static struct relu6_int8_params relu6_of(const test_case *c) {
  const struct relu6_int8_params p = {
      .size = refengine_elements(&c->outputs[0]),
      .zero = refengine_int(c, "zero"),
      .six = refengine_int(c, "six"),
  };
  return p;
}

static struct leaky_relu_int16_params leaky_relu_int16_of(const test_case *c) {
  const struct leaky_relu_int16_params p = {
      .size = refengine_elements(&c->outputs[0]),
      .input_zero_point = -refengine_int(c, "input_offset"),
      .output_zero_point = refengine_int(c, "output_offset"),
      .multiplier_identity = multiplier_called(c, "output_multiplier_identity", "output_shift_identity"),
      .multiplier_alpha = multiplier_called(c, "output_multiplier_alpha", "output_shift_alpha"),
      .sign = refengine_float(c, "alpha") < 0.0f ? -1 : 1,
  };
  return p;
}

/* TFLM's table, 65536 · sigmoid(k / 24), raised a little so that lines between its entries err alike to both sides. */
static const uint16_t *sigmoid_table(void) {
  static uint16_t table[256];
  for (int32_t k = 0; k < 255; ++k) {
    const double sigmoid = 1.0 / (1.0 + exp(-k / 24.0)), curvature = sigmoid * (1.0 - sigmoid) * (1.0 - 2.0 * sigmoid);
    table[k] = (uint16_t)rint(65536.0 * (sigmoid - curvature / (24.0 * 24.0) / 16.0));
  }
  table[255] = UINT16_MAX;
  return table;
}

static struct sigmoid_int16_params sigmoid_int16_of(const test_case *c) {
  const struct sigmoid_int16_params p = {
      .size = refengine_elements(&c->outputs[0]),
      .input_multiplier = refengine_int(c, "input_multiplier"),
      .input_left_shift = refengine_int(c, "input_left_shift"),
      .table = sigmoid_table(),
  };
  return p;
}

static struct rsqrt_int16_params rsqrt_int16_of(const test_case *c) {
  const struct rsqrt_int16_params p = {refengine_elements(&c->outputs[0]), multiplier_called(c, "multiplier", "shift")};
  return p;
}

/* One input, and params that are made as `made` says. */
#define SINGLE(kernel, type, made)                              \
  static void kernel##_case(const test_case *c) {               \
    const struct type p = made(c);                              \
    kernel(&p, c->inputs[0].data, c->outputs[0].data);          \
  }

SINGLE(relu_int8, relu_int8_params, relu_of)
SINGLE(relu_int16, relu_int8_params, relu_of)
SINGLE(relu6_int8, relu6_int8_params, relu6_of)
SINGLE(relu6_int16, relu6_int8_params, relu6_of)
SINGLE(leaky_relu_int16, leaky_relu_int16_params, leaky_relu_int16_of)
SINGLE(logistic_int16, sigmoid_int16_params, sigmoid_int16_of)
SINGLE(tanh_int16, sigmoid_int16_params, sigmoid_int16_of)
SINGLE(rsqrt_int16, rsqrt_int16_params, rsqrt_int16_of)

static struct abs_int16_params abs_int16_of(const test_case *c) {
  const struct abs_int16_params p = {
      .size = refengine_elements(&c->outputs[0]),
      .rescales = refengine_int(c, "needs_rescale"),
      .abs_of_lowest = c->inputs[0].scales ? INT16_MAX : INT16_MIN,
      .multiplier = multiplier_called(c, "multiplier", "shift"),
  };
  return p;
}

SINGLE(abs_int16, abs_int16_params, abs_int16_of)

/* What takes each code of 8 bits to a value of its own, of so many bits. */
#define LOOKUP(bits)                                                                           \
  static void lookup_##bits##_case(const test_case *c) {                                       \
    static uint##bits##_t values[256];                                                         \
    const int32_t *table = refengine_ints(c, "table", NULL);                                   \
    for (int32_t code = 0; code < 256; ++code) {                                               \
      values[code] = (uint##bits##_t)table[code];                                              \
    }                                                                                          \
    const struct lookup_##bits##_params p = {refengine_elements(&c->outputs[0]), values};      \
    lookup_##bits(&p, c->inputs[0].data, c->outputs[0].data);                                  \
  }

LOOKUP(8)
LOOKUP(16)
LOOKUP(32)

static enum cast_type cast_type_of(const tensor *t) {
  static const char *const names[] = {"float32", "int8", "int16", "int32", "uint32", "bool"}; /* as in the enum */
  int32_t type = 0;
  while (strcmp(names[type], t->dtype) != 0) {
    ++type;
  }
  return (enum cast_type)type;
}

static void cast_case(const test_case *c) {
  const struct cast_params p = {
      refengine_elements(&c->outputs[0]), (int32_t)cast_type_of(&c->inputs[0]), (int32_t)cast_type_of(&c->outputs[0])};
  cast(&p, c->inputs[0].data, c->outputs[0].data);
}

/* ---- functions of one element ------------------------------------------------------------------------------------ */

#define OF_EACH(kernel)                                                                     \
  static void kernel##_case(const test_case *c) {                                           \
    const struct size_params p = {refengine_elements(&c->outputs[0])};                      \
    kernel(&p, c->inputs[0].data, c->outputs[0].data);                                      \
  }

OF_EACH(relu_float32)
OF_EACH(relu6_float32)
OF_EACH(logistic_float32)
OF_EACH(tanh_float32)
OF_EACH(hard_swish_float32)
OF_EACH(abs_float32)
OF_EACH(neg_float32)
OF_EACH(sqrt_float32)
OF_EACH(rsqrt_float32)
OF_EACH(square_float32)
OF_EACH(exp_float32)
OF_EACH(log_float32)
OF_EACH(sin_float32)
OF_EACH(cos_float32)
OF_EACH(elu_float32)
OF_EACH(ceil_float32)
OF_EACH(floor_float32)
OF_EACH(round_float32)
OF_EACH(logical_not)

static void leaky_relu_float32_case(const test_case *c) {
  const struct leaky_relu_params p = {refengine_elements(&c->outputs[0]), refengine_float(c, "alpha")};
  leaky_relu_float32(&p, c->inputs[0].data, c->outputs[0].data);
}

/* ---- along an axis, and rows ------------------------------------------------------------------------------------- */

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

/* ---- mean, sum --------------------------------------------------------------------------------------------------- */

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

static void sum_int8_case(const test_case *c) {
  const struct sum_int8_params p = {
      .axes = axes_of(c),
      .bias = multiply_wrap(elements_summed(c), -c->inputs[0].zero_point[0]),
      .multiplier = multiplier_called(c, "output_multiplier", "output_shift"),
      .output_offset = refengine_int(c, "output_offset"),
  };
  sum_int8(&p, c->inputs[0].data, c->outputs[0].data);
}

static void sum_float32_case(const test_case *c) {
  const int is_mean = strcmp(c->op, "MEAN") == 0;
  const struct sum_float32_params p = {
      .axes = axes_of(c),
      .divisor = is_mean ? (float)elements_summed(c) : 1.0f,
  };
  sum_float32(&p, c->inputs[0].data, c->outputs[0].data);
}

static void sum_int16_case(const test_case *c) {
  const struct sum_int8_params p = {
      .axes = axes_of(c),
      .bias = multiply_wrap(elements_summed(c), -c->inputs[0].zero_point[0]),
      .multiplier = multiplier_called(c, "output_multiplier", "output_shift"),
      .output_offset = refengine_int(c, "output_offset"),
  };
  sum_int16(&p, c->inputs[0].data, c->outputs[0].data);
}

#define EXTREME(kernel)                                                                     \
  static void kernel##_case(const test_case *c) {                                           \
    const struct axes_params p = {axes_of(c)};                                              \
    kernel(&p, c->inputs[0].data, c->outputs[0].data);                                      \
  }

EXTREME(reduce_max_int8)
EXTREME(reduce_max_float32)
EXTREME(reduce_min_int8)
EXTREME(reduce_min_float32)
EXTREME(reduce_all)

/* ---- quantize, dequantize ---------------------------------------------------------------------------------------- */

static struct quantize_int8_params requantized(const test_case *c) {
  const struct quantize_int8_params p = {
      .size = refengine_elements(&c->outputs[0]),
      .input_zero_point = c->inputs[0].zero_point[0],
      .output_zero_point = c->outputs[0].zero_point[0],
      .requantize_output_multiplier = multiplier_called(c, "output_multiplier", "output_shift"),
  };
  return p;
}

/* Into codes of another type by a table. */
static void quantize_int8_case(const test_case *c) {
  const struct quantize_int8_params p = requantized(c);
  const char *to = c->outputs[0].dtype;
  if (strcmp(to, "int8") == 0) {
    quantize_int8(&p, c->inputs[0].data, c->outputs[0].data);
  } else {
    (strcmp(to, "int16") == 0 ? lookup_16_case : strcmp(to, "int32") == 0 ? lookup_32_case : lookup_8_case)(c);
  }
}

static void quantize_int16_case(const test_case *c) {
  const struct quantize_int8_params p = requantized(c);
  const tensor *out = &c->outputs[0];
  if (strcmp(out->dtype, "int8") == 0) {
    quantize_int16_int8(&p, c->inputs[0].data, out->data);
  } else if (strcmp(out->dtype, "int16") == 0) {
    quantize_int16_int16(&p, c->inputs[0].data, out->data);
  } else {
    quantize_int16_int32(&p, c->inputs[0].data, out->data);
  }
}

static void quantize_int32_case(const test_case *c) {
  const struct quantize_int8_params p = requantized(c);
  const tensor *out = &c->outputs[0];
  if (strcmp(out->dtype, "int8") == 0) {
    quantize_int32_int8(&p, c->inputs[0].data, out->data);
  } else {
    quantize_int32_int16(&p, c->inputs[0].data, out->data);
  }
}

static void quantize_float32_case(const test_case *c) {
  const struct quantize_float32_params p = {
      .size = refengine_elements(&c->outputs[0]),
      .scale = c->outputs[0].scale[0],
      .zero_point = c->outputs[0].zero_point[0],
  };
  if (strcmp(c->outputs[0].dtype, "int16") == 0) {
    quantize_float32_int16(&p, c->inputs[0].data, c->outputs[0].data);
  } else {
    quantize_float32(&p, c->inputs[0].data, c->outputs[0].data);
  }
}

static void dequantize_int16_case(const test_case *c) {
  const struct dequantize_int8_params p = {
      .size = refengine_elements(&c->outputs[0]),
      .scale = c->inputs[0].scale[0],
      .zero_point = c->inputs[0].zero_point[0],
  };
  dequantize_int16(&p, c->inputs[0].data, c->outputs[0].data);
}

static void dequantize_int8_case(const test_case *c) {
  const struct dequantize_int8_params p = {
      .size = refengine_elements(&c->outputs[0]),
      .scale = c->inputs[0].scale[0],
      .zero_point = c->inputs[0].zero_point[0],
  };
  dequantize_int8(&p, c->inputs[0].data, c->outputs[0].data);
}

static void dequantize_uint8_case(const test_case *c) {
  static uint32_t values[256];
  const struct refengine_number *table = refengine_number_of(c, "table");
  for (int32_t code = 0; code < 256; ++code) {
    const float value = (float)table->reals[code];
    memcpy(&values[code], &value, sizeof value);
  }
  const struct lookup_32_params p = {refengine_elements(&c->outputs[0]), values};
  lookup_32(&p, c->inputs[0].data, c->outputs[0].data);
}

/* ---- resize_bilinear --------------------------------------------------------------------------------------------- */

static struct resize_bilinear_params resized_int8(const test_case *c) {
  const int32_t *in = c->inputs[0].dims, *out = c->outputs[0].dims;
  struct resize_bilinear_params p = {
      .batches = in[0],
      .input_height = in[1],
      .input_width = in[2],
      .depth = in[3],
      .output_height = out[1],
      .output_width = out[2],
      .ties_away = !REFENGINE_SINGLE_ROUNDING && !REFENGINE_XNNPACK_ROUNDING,
      .row_lower = refengine_ints(c, "row_lower", NULL),
      .row_upper = refengine_ints(c, "row_upper", NULL),
      .row_offset = refengine_ints(c, "row_offset", NULL),
      .column_lower = refengine_ints(c, "column_lower", NULL),
      .column_upper = refengine_ints(c, "column_upper", NULL),
      .column_offset = refengine_ints(c, "column_offset", NULL),
  };
  while (1 << p.bits < refengine_int(c, "one")) {
    ++p.bits;
  }
  return p;
}

/* Reals as floats. */
static const float *floats_called(const test_case *c, const char *name) {
  const struct refengine_number *n = refengine_number_of(c, name);
  float *floats = refengine_scratch(c, (size_t)n->count * sizeof *floats);
  for (int32_t i = 0; i < n->count; ++i) {
    floats[i] = (float)n->reals[i];
  }
  return floats;
}

static struct resize_bilinear_float32_params resized_float32(const test_case *c) {
  const int32_t *in = c->inputs[0].dims, *out = c->outputs[0].dims;
  const struct resize_bilinear_float32_params p = {
      .batches = in[0],
      .input_height = in[1],
      .input_width = in[2],
      .depth = in[3],
      .output_height = out[1],
      .output_width = out[2],
      .row_lower = refengine_ints(c, "row_lower", NULL),
      .row_upper = refengine_ints(c, "row_upper", NULL),
      .row_offset = floats_called(c, "row_offset"),
      .column_lower = refengine_ints(c, "column_lower", NULL),
      .column_upper = refengine_ints(c, "column_upper", NULL),
      .column_offset = floats_called(c, "column_offset"),
  };
  return p;
}

SINGLE(resize_bilinear_int8, resize_bilinear_params, resized_int8)
SINGLE(resize_bilinear_float32, resize_bilinear_float32_params, resized_float32)

/* ---- detection_postprocess --------------------------------------------------------------------------------------- */

static void detection_postprocess_case(const test_case *c) {
  const tensor *in = c->inputs, *out = c->outputs;
  const float scales[] = {refengine_float(c, "y_scale"), refengine_float(c, "x_scale"), refengine_float(c, "h_scale"),
                          refengine_float(c, "w_scale")};
  const struct detection_params p = {
      .boxes = in[0].dims[1],
      .encodings_depth = in[0].dims[2],
      .scores_depth = in[1].dims[2],
      .num_classes = refengine_int(c, "num_classes"),
      .max_detections = refengine_int(c, "max_detections"),
      .classes_per_box = refengine_int(c, "max_classes_per_detection"),
      .detections_per_class = refengine_int(c, "detections_per_class"),
      .use_regular_nms = refengine_int(c, "use_regular_nms"),
      .nms_score_threshold = refengine_float(c, "nms_score_threshold"),
      .nms_iou_threshold = refengine_float(c, "nms_iou_threshold"),
      .scales = scales,
  };
  void *scratch = refengine_scratch(c, 5 * sizeof(float) * (size_t)p.boxes);
  detection_postprocess(&p, in[0].data, in[1].data, in[2].data, scratch, out[1].data, out[2].data, out[3].data,
                        out[0].data);
}

/* ---- batch_matmul, add_n, broadcast_args ------------------------------------------------------------------------- */

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

static const void *const *data_of(const test_case *c) {
  const void **data = refengine_scratch(c, (size_t)c->n_inputs * sizeof *data);
  for (int32_t i = 0; i < c->n_inputs; ++i) {
    data[i] = c->inputs[i].data;
  }
  return data;
}

static void add_n_int8_case(const test_case *c) {
  const struct add_n_int8_params p = {
      .size = refengine_elements(&c->outputs[0]),
      .count = c->n_inputs,
      .input_zero_point = -refengine_int(c, "input_offset"),
      .output_zero_point = refengine_int(c, "output_offset"),
      .input_multiplier = multiplier_called(c, "input_multiplier", "input_shift"),
      .output_multiplier = multiplier_called(c, "output_multiplier", "output_shift"),
  };
  add_n_int8(&p, data_of(c), c->outputs[0].data);
}

static void add_n_float32_case(const test_case *c) {
  const struct add_n_float32_params p = {refengine_elements(&c->outputs[0]), c->n_inputs};
  add_n_float32(&p, data_of(c), c->outputs[0].data);
}

static struct broadcast_args_params ranks_of(const test_case *c) {
  const struct broadcast_args_params p = {c->inputs[0].dims[0], c->inputs[1].dims[0], c->outputs[0].dims[0]};
  return p;
}

PAIR(broadcast_args_int32, broadcast_args_params, ranks_of)
PAIR(broadcast_args_int64, broadcast_args_params, ranks_of)

/* ---- what only moves elements, and what remembers ---------------------------------------------------------------- */

#include "moves.h"
#include "lists.h"
#include "streams.h"
#include "signals.h"

/* ---- pad, reshape ------------------------------------------------------------------------------------------------ */

static void pad_case(const test_case *c) {
  const tensor *in = &c->inputs[0];
  const int32_t front = MAX_RANK - in->rank, *left_padding = refengine_ints(c, "left_padding", NULL);
  const int32_t pad_value = refengine_int(c, "pad_value"); /* its low bytes are those of narrower codes */
  struct pad_params p = {.element_size = element_size(&c->outputs[0])};
  shape_of(in, p.input_shape);
  shape_of(&c->outputs[0], p.output_shape);
  for (int32_t d = 0; d < MAX_RANK; ++d) {
    p.left_padding[d] = d < front ? 0 : left_padding[d - front];
  }
  pad(&p, in->data, c->n_inputs > 2 ? c->inputs[2].data : (const void *)&pad_value, c->outputs[0].data);
}

static void reshape_case(const test_case *c) {
  const struct reshape_params p = {(int32_t)c->outputs[0].bytes};
  reshape(&p, c->inputs[0].data, c->outputs[0].data);
}

/* ---- the door ---------------------------------------------------------------------------------------------------- */

static const struct {
  const char *op, *dtype;
  void (*run)(const test_case *c);
} KERNELS[] = {
    {"CONV_2D", "int8", conv_2d_int8},
    {"CONV_2D", "float32", conv_2d_float32},
    {"DEPTHWISE_CONV_2D", "int8", depthwise_conv_2d_int8},
    {"DEPTHWISE_CONV_2D", "float32", depthwise_conv_2d_float32},
    {"FULLY_CONNECTED", "int8", fully_connected_int8_case},
    {"FULLY_CONNECTED", "float32", fully_connected_float32_case},
    {"MAX_POOL_2D", "int8", max_pool_2d_int8},
    {"MAX_POOL_2D", "float32", max_pool_2d_float32},
    {"AVERAGE_POOL_2D", "int8", average_pool_2d_int8},
    {"AVERAGE_POOL_2D", "float32", average_pool_2d_float32},
    {"SOFTMAX", "int8", softmax_from_int8},
    {"SOFTMAX", "float32", softmax_from_float32},
    {"ADD", "int8", add_int8_case},
    {"ADD", "float32", add_float32_case},
    {"RELU", "int8", relu_int8_case},
    {"RELU", "float32", relu_float32_case},
    {"RELU6", "int8", relu6_int8_case},
    {"RELU6", "float32", relu6_float32_case},
    {"MEAN", "int8", sum_int8_case},
    {"MEAN", "float32", sum_float32_case},
    {"SUM", "int8", sum_int8_case},
    {"SUM", "float32", sum_float32_case},
    {"QUANTIZE", "int8", quantize_int8_case},
    {"QUANTIZE", "float32", quantize_float32_case},
    {"DEQUANTIZE", "int8", dequantize_int8_case},
    {"PAD", "int8", pad_case},
    {"PAD", "float32", pad_case},
    {"PADV2", "int8", pad_case},
    {"PADV2", "float32", pad_case},
    {"RESHAPE", "int8", reshape_case},
    {"RESHAPE", "float32", reshape_case},
    {"SQUEEZE", "int8", reshape_case},
    {"SQUEEZE", "float32", reshape_case},
    {"EXPAND_DIMS", "int8", reshape_case},
    {"EXPAND_DIMS", "float32", reshape_case},
    {"CONV_2D", "int16", conv_2d_int16},
    {"DEPTHWISE_CONV_2D", "int16", depthwise_conv_2d_int16},
    {"MAX_POOL_2D", "int16", max_pool_2d_int16},
    {"AVERAGE_POOL_2D", "int16", average_pool_2d_int16},
    {"L2_POOL_2D", "float32", l2_pool_2d_float32},
    {"ADD", "int16", add_int16_case},
    {"ADD", "int32", add_int32_case},
    {"SUB", "int8", sub_int8_case},
    {"SUB", "int16", sub_int16_case},
    {"SUB", "int32", sub_int32_case},
    {"SUB", "float32", sub_float32_case},
    {"MUL", "int8", mul_int8_case},
    {"MUL", "int16", mul_int16_case},
    {"MUL", "int32", mul_int32_case},
    {"MUL", "float32", mul_float32_case},
    {"MAXIMUM", "int8", maximum_int8_case},
    {"MAXIMUM", "int16", maximum_int16_case},
    {"MAXIMUM", "int32", maximum_int32_case},
    {"MAXIMUM", "float32", maximum_float32_case},
    {"MINIMUM", "int8", minimum_int8_case},
    {"MINIMUM", "int16", minimum_int16_case},
    {"MINIMUM", "int32", minimum_int32_case},
    {"MINIMUM", "float32", minimum_float32_case},
    {"EQUAL", "float32", equal_float32_case},
    {"EQUAL", "int32", equal_int32_case},
    {"NOT_EQUAL", "float32", not_equal_float32_case},
    {"GREATER", "float32", greater_float32_case},
    {"GREATER_EQUAL", "float32", greater_equal_float32_case},
    {"LESS", "float32", less_float32_case},
    {"LESS_EQUAL", "float32", less_equal_float32_case},
    {"LOGICAL_AND", "bool", logical_and_case},
    {"LOGICAL_OR", "bool", logical_or_case},
    {"LOGICAL_NOT", "bool", logical_not_case},
    {"PRELU", "float32", prelu_float32_case},
    {"SQUARED_DIFFERENCE", "float32", squared_difference_float32_case},
    {"SQUARED_DIFFERENCE", "int32", squared_difference_int32_case},
    {"FLOOR_DIV", "float32", floor_div_float32_case},
    {"FLOOR_MOD", "float32", floor_mod_float32_case},
    {"LOGISTIC", "float32", logistic_float32_case},
    {"TANH", "float32", tanh_float32_case},
    {"HARD_SWISH", "float32", hard_swish_float32_case},
    {"LEAKY_RELU", "float32", leaky_relu_float32_case},
    {"ABS", "float32", abs_float32_case},
    {"NEG", "float32", neg_float32_case},
    {"SQRT", "float32", sqrt_float32_case},
    {"RSQRT", "float32", rsqrt_float32_case},
    {"SQUARE", "float32", square_float32_case},
    {"EXP", "float32", exp_float32_case},
    {"LOG", "float32", log_float32_case},
    {"SIN", "float32", sin_float32_case},
    {"COS", "float32", cos_float32_case},
    {"ELU", "float32", elu_float32_case},
    {"CEIL", "float32", ceil_float32_case},
    {"FLOOR", "float32", floor_float32_case},
    {"ROUND", "float32", round_float32_case},
    {"LOG_SOFTMAX", "float32", log_softmax_float32_case},
    {"L2_NORMALIZATION", "int8", l2norm_int8_case},
    {"L2_NORMALIZATION", "float32", l2norm_float32_case},
    {"ARG_MAX", "int8", arg_min_max_case},
    {"ARG_MAX", "float32", arg_min_max_case},
    {"ARG_MIN", "int8", arg_min_max_case},
    {"ARG_MIN", "float32", arg_min_max_case},
    {"REDUCE_MAX", "int8", reduce_max_int8_case},
    {"REDUCE_MAX", "float32", reduce_max_float32_case},
    {"REDUCE_MIN", "int8", reduce_min_int8_case},
    {"REDUCE_MIN", "float32", reduce_min_float32_case},
    {"MEAN", "int16", sum_int16_case},
    {"SUM", "int16", sum_int16_case},
    {"DEQUANTIZE", "int16", dequantize_int16_case},
    {"FULLY_CONNECTED", "int16", fully_connected_int16_case},
    {"SOFTMAX", "int16", softmax_from_int16},
    {"TRANSPOSE_CONV", "int8", transpose_conv_int8_case},
    {"BATCH_MATMUL", "int8", batch_matmul_int8_case},
    {"TRANSPOSE_CONV", "int16", transpose_conv_int16_case},
    {"BATCH_MATMUL", "int16", batch_matmul_int16_case},
    {"TRANSPOSE_CONV", "float32", transpose_conv_float32_case},
    {"BATCH_MATMUL", "float32", batch_matmul_float32_case},
    {"EQUAL", "int8", equal_int8_case},
    {"EQUAL", "int64", equal_int64_case},
    {"NOT_EQUAL", "int8", not_equal_int8_case},
    {"NOT_EQUAL", "int32", not_equal_int32_case},
    {"NOT_EQUAL", "int64", not_equal_int64_case},
    {"GREATER", "int8", greater_int8_case},
    {"GREATER", "int32", greater_int32_case},
    {"GREATER", "int64", greater_int64_case},
    {"GREATER_EQUAL", "int8", greater_equal_int8_case},
    {"GREATER_EQUAL", "int32", greater_equal_int32_case},
    {"GREATER_EQUAL", "int64", greater_equal_int64_case},
    {"LESS", "int8", less_int8_case},
    {"LESS", "int32", less_int32_case},
    {"LESS", "int64", less_int64_case},
    {"LESS_EQUAL", "int8", less_equal_int8_case},
    {"LESS_EQUAL", "int32", less_equal_int32_case},
    {"LESS_EQUAL", "int64", less_equal_int64_case},
    {"EQUAL", "bool", equal_bool_case},
    {"NOT_EQUAL", "bool", not_equal_bool_case},
    {"MAXIMUM", "int64", maximum_int64_case},
    {"MINIMUM", "int64", minimum_int64_case},
    {"DIV", "int8", div_int8_case},
    {"DIV", "int32", div_int32_case},
    {"DIV", "float32", div_float32_case},
    {"PRELU", "int8", prelu_int8_case},
    {"SQUARED_DIFFERENCE", "int8", squared_difference_int8_case},
    {"PRELU", "int16", prelu_int16_case},
    {"SQUARED_DIFFERENCE", "int16", squared_difference_int16_case},
    {"RELU", "int16", relu_int16_case},
    {"RELU6", "int16", relu6_int16_case},
    {"LEAKY_RELU", "int16", leaky_relu_int16_case},
    {"LOGISTIC", "int16", logistic_int16_case},
    {"TANH", "int16", tanh_int16_case},
    {"RSQRT", "int16", rsqrt_int16_case},
    {"ABS", "int8", lookup_8_case},
    {"ELU", "int8", lookup_8_case},
    {"HARD_SWISH", "int8", lookup_8_case},
    {"LEAKY_RELU", "int8", lookup_8_case},
    {"LOGISTIC", "int8", lookup_8_case},
    {"RSQRT", "int8", lookup_8_case},
    {"TANH", "int8", lookup_8_case},
    {"CAST", "float32", cast_case},
    {"CAST", "int8", cast_case},
    {"CAST", "int16", cast_case},
    {"CAST", "int32", cast_case},
    {"CAST", "uint32", cast_case},
    {"CAST", "bool", cast_case},
    {"CUMSUM", "int8", cumsum_int8_case},
    {"ADD_N", "int8", add_n_int8_case},
    {"CUMSUM", "float32", cumsum_float32_case},
    {"ADD_N", "float32", add_n_float32_case},
    {"REDUCE_ALL", "bool", reduce_all_case},
    {"BROADCAST_ARGS", "int32", broadcast_args_int32_case},
    {"BROADCAST_ARGS", "int64", broadcast_args_int64_case},
    {"QUANTIZE", "int16", quantize_int16_case},
    {"QUANTIZE", "int32", quantize_int32_case},
    {"PAD", "int16", pad_case},
    {"PAD", "int32", pad_case},
    {"PADV2", "int16", pad_case},
    {"PADV2", "int32", pad_case},
    {"EXPAND_DIMS", "int16", reshape_case},
    {"RESHAPE", "bool", reshape_case},
    {"SQUEEZE", "bool", reshape_case},
    {"RESHAPE", "int16", reshape_case},
    {"SQUEEZE", "int16", reshape_case},
    {"RESHAPE", "int32", reshape_case},
    {"SQUEEZE", "int32", reshape_case},
    {"RESHAPE", "int64", reshape_case},
    {"SQUEEZE", "int64", reshape_case},
    {"RESHAPE", "uint32", reshape_case},
    {"SQUEEZE", "uint32", reshape_case},
    {"RESHAPE", "uint64", reshape_case},
    {"SQUEEZE", "uint64", reshape_case},
    {"RESHAPE", "uint8", reshape_case},
    {"SQUEEZE", "uint8", reshape_case},
    {"TRANSPOSE", "int8", transpose_case},
    {"SELECT_V2", "int8", select_case},
    {"TRANSPOSE", "int16", transpose_case},
    {"SELECT_V2", "int16", select_case},
    {"TRANSPOSE", "float32", transpose_case},
    {"SELECT_V2", "float32", select_case},
    {"BROADCAST_TO", "bool", broadcast_to_case},
    {"BROADCAST_TO", "float32", broadcast_to_case},
    {"BROADCAST_TO", "int16", broadcast_to_case},
    {"BROADCAST_TO", "int32", broadcast_to_case},
    {"BROADCAST_TO", "int64", broadcast_to_case},
    {"BROADCAST_TO", "int8", broadcast_to_case},
    {"BROADCAST_TO", "uint32", broadcast_to_case},
    {"BROADCAST_TO", "uint64", broadcast_to_case},
    {"BROADCAST_TO", "uint8", broadcast_to_case},
    {"REVERSE_V2", "bool", reverse_case},
    {"REVERSE_V2", "float32", reverse_case},
    {"REVERSE_V2", "int16", reverse_case},
    {"REVERSE_V2", "int32", reverse_case},
    {"REVERSE_V2", "int64", reverse_case},
    {"REVERSE_V2", "int8", reverse_case},
    {"REVERSE_V2", "uint8", reverse_case},
    {"SLICE", "bool", slice_case},
    {"SLICE", "float32", slice_case},
    {"SLICE", "int16", slice_case},
    {"SLICE", "int32", slice_case},
    {"SLICE", "int8", slice_case},
    {"DEPTH_TO_SPACE", "int8", blocks_case},
    {"DEPTH_TO_SPACE", "float32", blocks_case},
    {"SPACE_TO_DEPTH", "int8", blocks_case},
    {"SPACE_TO_DEPTH", "float32", blocks_case},
    {"CONCATENATION", "bool", join_case},
    {"CONCATENATION", "float32", join_case},
    {"CONCATENATION", "int16", join_case},
    {"CONCATENATION", "int32", join_case},
    {"CONCATENATION", "int64", join_case},
    {"CONCATENATION", "int8", join_case},
    {"PACK", "float32", join_case},
    {"PACK", "int16", join_case},
    {"PACK", "int32", join_case},
    {"PACK", "int64", join_case},
    {"PACK", "int8", join_case},
    {"SPLIT", "float32", split_case},
    {"SPLIT", "int16", split_case},
    {"SPLIT", "int32", split_case},
    {"SPLIT", "int8", split_case},
    {"SPLIT_V", "float32", split_case},
    {"SPLIT_V", "int16", split_case},
    {"SPLIT_V", "int32", split_case},
    {"SPLIT_V", "int8", split_case},
    {"UNPACK", "float32", split_case},
    {"UNPACK", "int16", split_case},
    {"UNPACK", "int32", split_case},
    {"UNPACK", "int8", split_case},
    {"GATHER", "int8", gather_case},
    {"GATHER", "float32", gather_case},
    {"DYNAMIC_UPDATE_SLICE", "float32", dynamic_update_slice_case},
    {"DYNAMIC_UPDATE_SLICE", "int16", dynamic_update_slice_case},
    {"DYNAMIC_UPDATE_SLICE", "int32", dynamic_update_slice_case},
    {"DYNAMIC_UPDATE_SLICE", "int8", dynamic_update_slice_case},
    {"STRIDED_SLICE", "bool", strided_slice_case},
    {"STRIDED_SLICE", "float32", strided_slice_case},
    {"STRIDED_SLICE", "int16", strided_slice_case},
    {"STRIDED_SLICE", "int32", strided_slice_case},
    {"STRIDED_SLICE", "int8", strided_slice_case},
    {"FILL", "float32", fill_case},
    {"FILL", "int32", fill_case},
    {"FILL", "int8", fill_case},
    {"MIRROR_PAD", "float32", mirror_pad_case},
    {"MIRROR_PAD", "int8", mirror_pad_case},
    {"RESIZE_NEAREST_NEIGHBOR", "float32", resize_nearest_neighbor_case},
    {"RESIZE_NEAREST_NEIGHBOR", "int16", resize_nearest_neighbor_case},
    {"RESIZE_NEAREST_NEIGHBOR", "int8", resize_nearest_neighbor_case},
    {"GATHER_ND", "float32", gather_nd_case},
    {"GATHER_ND", "int8", gather_nd_case},
    {"SPACE_TO_BATCH_ND", "float32", space_to_batch_nd_case},
    {"SPACE_TO_BATCH_ND", "int8", space_to_batch_nd_case},
    {"BATCH_TO_SPACE_ND", "float32", batch_to_space_nd_case},
    {"BATCH_TO_SPACE_ND", "int8", batch_to_space_nd_case},
    {"EMBEDDING_LOOKUP", "float32", embedding_lookup_case},
    {"EMBEDDING_LOOKUP", "int8", embedding_lookup_case},
    {"SVDF", "int8", svdf_int8_case},
    {"SVDF", "float32", svdf_float32_case},
    {"UNIDIRECTIONAL_SEQUENCE_LSTM", "int8", lstm_case},
    {"UNIDIRECTIONAL_SEQUENCE_LSTM", "int16", lstm_case},
    {"UNIDIRECTIONAL_SEQUENCE_LSTM", "float32", lstm_float32_case},
    {"CIRCULAR_BUFFER", "int8", circular_buffer_case},
    {"ABS", "int16", abs_int16_case},
    {"LOG_SOFTMAX", "int8", log_softmax_int8_case},
    {"QUANTIZE", "uint8", lookup_8_case},
    {"DEQUANTIZE", "uint8", dequantize_uint8_case},
    {"RESIZE_BILINEAR", "int8", resize_bilinear_int8_case},
    {"RESIZE_BILINEAR", "float32", resize_bilinear_float32_case},
    {"TFLite_Detection_PostProcess", "float32", detection_postprocess_case},
    {"SignalDelay", "int16", delay_case},
    {"SignalFramer", "int16", framer_case},
    {"SignalStacker", "int16", stacker_case},
    {"SignalOverlapAdd", "int16", overlap_add_case},
    {"SignalOverlapAdd", "float32", overlap_add_case},
    {"SignalFilterBankSpectralSubtraction", "uint32", filter_bank_spectral_subtraction_case},
    {"SignalRfft", "int16", rfft_int16_case},
    {"SignalIrfft", "int16", irfft_int16_case},
    {"SignalRfft", "int32", rfft_int32_case},
    {"SignalIrfft", "int32", irfft_int32_case},
    {"SignalRfft", "float32", rfft_float32_case},
    {"SignalIrfft", "float32", irfft_float32_case},
    {"SignalFftAutoScale", "int16", fft_auto_scale_case},
    {"SignalWindow", "int16", signal_window_case},
    {"SignalEnergy", "int16", energy_case},
    {"SignalFilterBank", "uint32", filter_bank_case},
    {"SignalFilterBankSquareRoot", "uint64", filter_bank_square_root_case},
    {"SignalFilterBankLog", "uint32", filter_bank_log_case},
    {"SignalPCAN", "uint32", pcan_case},
};

/* Of what the table names, two things are left out: layers with too many channels, and LSTMs whose weights are more than
 * the scratch memory holds, where they are to lie behind each other. */
static int is_supported(const test_case *c) {
  const tensor *out = &c->outputs[0];
  if (strcmp(c->op, "UNIDIRECTIONAL_SEQUENCE_LSTM") == 0) {
    return 4 * (c->inputs[WEIGHTS_INPUT].bytes + c->inputs[WEIGHTS_HIDDEN].bytes + c->inputs[BIAS].bytes) < 60000;
  }
  return out->rank == 0 || last_dimension(out) <= MOST_CHANNELS;
}

int refengine_kernel(const struct refengine_case *c) {
  for (size_t i = 0; i < sizeof KERNELS / sizeof KERNELS[0]; ++i) {
    if (refengine_is(c, KERNELS[i].op, KERNELS[i].dtype) && is_supported(c)) {
      KERNELS[i].run(c);
      return REFENGINE_COMPUTED;
    }
  }
  return REFENGINE_UNSUPPORTED;
}
