/* refengine's kernels behind the door of `refengine fuzz`, and the example to copy for yours: one short function for
 * each operator and type, which puts a case's numbers where the kernel wants them, and a table of those functions.
 *
 * These kernels want three things that a case does not bring: a multiplier and its shift in one struct, the input's
 * zero point folded into the bias, and the strides of broadcast inputs and reduced axes. All else is copied.
 */
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

/* Zeros where the bias is left out. */
static const float *float_bias(const test_case *c) {
  static const float zeros[MOST_CHANNELS];
  return c->n_inputs > 2 && c->inputs[2].data ? c->inputs[2].data : zeros;
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
  conv_float32(&p, c->inputs[0].data, c->inputs[1].data, float_bias(c), c->outputs[0].data);
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
  depthwise_conv_float32(&p, c->inputs[0].data, c->inputs[1].data, float_bias(c), c->outputs[0].data);
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
  fully_connected_float32(&p, c->inputs[0].data, c->inputs[1].data, float_bias(c), c->outputs[0].data);
}

/* ---- layers of int16 --------------------------------------------------------------------------------------------- */

/* The type of the sum: that of the bias, or without bias what the options say (2 is int32). */
static int32_t accumulator_bits(const test_case *c) {
  const int has_bias = c->n_inputs > 2 && c->inputs[2].data;
  const int said = refengine_find(c, "quantized_bias_type") && refengine_int(c, "quantized_bias_type") == 2;
  return (has_bias ? strcmp(c->inputs[2].dtype, "int32") == 0 : said) ? 32 : 64;
}

static const int64_t *wide_bias(const test_case *c, int32_t channels) {
  static int64_t wide[MOST_CHANNELS];
  const void *bias = c->n_inputs > 2 ? c->inputs[2].data : NULL;
  const int is_narrow = bias && strcmp(c->inputs[2].dtype, "int32") == 0;
  for (int32_t o = 0; o < channels; ++o) {
    wide[o] = !bias ? 0 : is_narrow ? ((const int32_t *)bias)[o] : ((const int64_t *)bias)[o];
  }
  return wide;
}

static void conv_2d_int16(const test_case *c) {
  const struct conv_int16_params p = {
      .window = filter_window(c),
      .filter_depth = c->inputs[1].dims[3],
      .accumulator_bits = accumulator_bits(c),
      .requantize = requantize_of(c),
  };
  conv_int16(&p, c->inputs[0].data, c->inputs[1].data, wide_bias(c, c->inputs[1].dims[0]), c->outputs[0].data);
}

static void depthwise_conv_2d_int16(const test_case *c) {
  const struct depthwise_conv_int16_params p = {
      .window = filter_window(c),
      .depth_multiplier = refengine_int(c, "depth_multiplier"),
      .accumulator_bits = accumulator_bits(c),
      .requantize = requantize_of(c),
  };
  depthwise_conv_int16(&p, c->inputs[0].data, c->inputs[1].data, wide_bias(c, c->inputs[1].dims[3]),
                       c->outputs[0].data);
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
PAIR(not_equal_float32, pair_params, plain_pair)
PAIR(greater_float32, pair_params, plain_pair)
PAIR(greater_equal_float32, pair_params, plain_pair)
PAIR(less_float32, pair_params, plain_pair)
PAIR(less_equal_float32, pair_params, plain_pair)
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

static void relu_int8_case(const test_case *c) {
  const struct relu_int8_params p = {
      .size = refengine_elements(&c->outputs[0]),
      .input_offset = c->inputs[0].zero_point[0],
      .output_offset = c->outputs[0].zero_point[0],
      .multiplier = multiplier_called(c, "output_multiplier", "output_shift"),
      .quantized_activation_min = refengine_int(c, "quantized_activation_min"),
      .quantized_activation_max = refengine_int(c, "quantized_activation_max"),
  };
  relu_int8(&p, c->inputs[0].data, c->outputs[0].data);
}

static void relu6_int8_case(const test_case *c) {
  const struct relu6_int8_params p = {
      .size = refengine_elements(&c->outputs[0]),
      .zero = refengine_int(c, "zero"),
      .six = refengine_int(c, "six"),
  };
  relu6_int8(&p, c->inputs[0].data, c->outputs[0].data);
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
  struct arg_min_max_params p = {.outer = 1, .inner = 1, .largest = strcmp(c->op, "ARG_MAX") == 0};
  const int32_t axis = refengine_int(c, "axis");
  for (int32_t d = 0; d < in->rank; ++d) {
    *(d < axis ? &p.outer : d > axis ? &p.inner : &p.count) = (d < axis ? p.outer : d > axis ? p.inner : 1) * in->dims[d];
  }
  if (strcmp(in->dtype, "int8") == 0) {
    arg_min_max_int8(&p, in->data, c->outputs[0].data);
  } else {
    arg_min_max_float32(&p, in->data, c->outputs[0].data);
  }
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

/* ---- quantize, dequantize ---------------------------------------------------------------------------------------- */

static void quantize_int8_case(const test_case *c) {
  const struct quantize_int8_params p = {
      .size = refengine_elements(&c->outputs[0]),
      .input_zero_point = c->inputs[0].zero_point[0],
      .output_zero_point = c->outputs[0].zero_point[0],
      .requantize_output_multiplier = multiplier_called(c, "output_multiplier", "output_shift"),
  };
  quantize_int8(&p, c->inputs[0].data, c->outputs[0].data);
}

static void quantize_float32_case(const test_case *c) {
  const struct quantize_float32_params p = {
      .size = refengine_elements(&c->outputs[0]),
      .scale = c->outputs[0].scale[0],
      .zero_point = c->outputs[0].zero_point[0],
  };
  quantize_float32(&p, c->inputs[0].data, c->outputs[0].data);
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

/* ---- pad, reshape ------------------------------------------------------------------------------------------------ */

static void pad_case(const test_case *c) {
  const tensor *in = &c->inputs[0];
  const int32_t front = MAX_RANK - in->rank, *left_padding = refengine_ints(c, "left_padding", NULL);
  const int32_t zero_point = in->scales ? c->outputs[0].zero_point[0] : 0; /* its low byte is int8's; of floats, 0.0 */
  struct pad_params p = {.element_size = strcmp(in->dtype, "int8") == 0 ? 1 : 4};
  shape_of(in, p.input_shape);
  shape_of(&c->outputs[0], p.output_shape);
  for (int32_t d = 0; d < MAX_RANK; ++d) {
    p.left_padding[d] = d < front ? 0 : left_padding[d - front];
  }
  pad(&p, in->data, c->n_inputs > 2 ? c->inputs[2].data : (const void *)&zero_point, c->outputs[0].data);
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
};

/* Of what the table names, two things are left out: QUANTIZE to other types, and layers with too many channels. */
static int is_supported(const test_case *c) {
  const tensor *out = &c->outputs[0];
  if (strcmp(c->op, "QUANTIZE") == 0) {
    return strcmp(out->dtype, "int8") == 0;
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
