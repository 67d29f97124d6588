/* What the layers share: windows, factors of each channel, and biases. */
#ifndef REFENGINE_FUZZ_LAYER_H
#define REFENGINE_FUZZ_LAYER_H

#include "family.h"

static inline struct window window_of(const test_case *c, int32_t filter_height, int32_t filter_width) {
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

static inline struct requantize requantize_of(const test_case *c) {
  static struct multiplier channels[MOST_CHANNELS];
  int32_t count;
  refengine_ints(c, "output_multiplier", &count);
  take_factors(c, "output_multiplier", "output_shift", count, channels);
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
static inline const int32_t *folded_bias(const test_case *c, int32_t channels, int32_t count, int32_t step,
                                         int32_t next, int32_t filter_offset) {
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
static inline const float *float_bias(const test_case *c, int32_t place) {
  static const float zeros[MOST_CHANNELS];
  return c->n_inputs > place && c->inputs[place].data ? c->inputs[place].data : zeros;
}

/* The type of the sum: that of the bias, input `place`, or without bias what the options say (2 is int32). */
static inline int32_t accumulator_bits(const test_case *c, int32_t place) {
  const int has_bias = c->n_inputs > place && c->inputs[place].data;
  const int said = refengine_find(c, "quantized_bias_type") && refengine_int(c, "quantized_bias_type") == 2;
  return (has_bias ? strcmp(c->inputs[place].dtype, "int32") == 0 : said) ? 32 : 64;
}

static inline const int64_t *wide_bias(const test_case *c, int32_t place, int32_t channels) {
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

#endif
