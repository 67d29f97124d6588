/* The layers, pools and softmax as faults.h says: each calls the sound kernel with wrong arguments. */
#include <math.h>
#include <string.h>

#include "kernels.h"

#define CHANNELS 8192       /* the most of a layer */
#define WEIGHTS (1 << 20)   /* the most of a layer, in bytes */

/* A model has some of them. */
#define SOUND(name, params, data, bias) \
  void sound_##name(const struct params *, const data *, const data *, const bias *, data *) __attribute__((weak));
#define SOUND_OF_ONE(name, params, in, out) \
  void sound_##name(const struct params *, const in *, out *) __attribute__((weak));

SOUND(conv_int8, conv_int8_params, int8_t, int32_t)
SOUND(depthwise_conv_int8, depthwise_conv_int8_params, int8_t, int32_t)
SOUND(fully_connected_int8, fully_connected_int8_params, int8_t, int32_t)
SOUND(conv_float32, conv_float32_params, float, float)
SOUND(depthwise_conv_float32, depthwise_conv_float32_params, float, float)
SOUND(fully_connected_float32, fully_connected_float32_params, float, float)
SOUND_OF_ONE(max_pool_int8, pool_int8_params, int8_t, int8_t)
SOUND_OF_ONE(average_pool_int8, pool_int8_params, int8_t, int8_t)
SOUND_OF_ONE(max_pool_float32, pool_float32_params, float, float)
SOUND_OF_ONE(average_pool_float32, pool_float32_params, float, float)
SOUND_OF_ONE(softmax_int8, softmax_int8_params, int8_t, int8_t)
SOUND_OF_ONE(softmax_int8_int16, softmax_int8_params, int8_t, int16_t)

/* ---- arguments ---- */

static struct window padded(struct window window) {
#ifdef REFENGINE_FAULT_PAD
  ++window.padding_height, ++window.padding_width;
#endif
  return window;
}

static int32_t offset_of(int32_t input_offset) {
#ifdef REFENGINE_FAULT_ZERO_POINT
  return 0 * input_offset;
#else
  return input_offset;
#endif
}

static struct requantize requantize_of(struct requantize r) {
#ifdef REFENGINE_FAULT_OUTPUT_OFFSET
  r.output_offset = 0;
#endif
#ifdef REFENGINE_FAULT_CLAMP
  r.output_activation_min = INT32_MIN, r.output_activation_max = INT32_MAX;
#endif
  return r;
}

static void widen_clamp(float *low, float *high) {
#ifdef REFENGINE_FAULT_CLAMP
  *low = -INFINITY, *high = INFINITY;
#else
  (void)low, (void)high;
#endif
}

/* The bias of a channel, of which `offsets` were folded in, its input offset for each weight. */
static int32_t bias_of(int32_t folded, int32_t offsets) {
  uint32_t bias = (uint32_t)folded - (uint32_t)offsets;
#if defined(REFENGINE_FAULT_ZERO_POINT)
  offsets = 0;
#elif defined(REFENGINE_FAULT_MISSING_BIAS)
  bias = 0;
#elif defined(REFENGINE_FAULT_ENDIANNESS)
  bias = bias >> 24 | (bias >> 8 & 0xff00) | (bias & 0xff00) << 8 | bias << 24;
#endif
  return (int32_t)(bias + (uint32_t)offsets);
}

/* The biases of all channels, whose weights begin `next` apart, and are `count` each, `step` apart. */
static const int32_t *biases_of(const int32_t *folded, int32_t channels, int32_t offset, const int8_t *weights,
                                int32_t next, int32_t count, int32_t step) {
  static int32_t biases[CHANNELS];
  for (int32_t c = 0; c < channels; ++c) {
    int32_t sum = 0;
    for (int32_t k = 0; k < count; ++k) {
      sum += weights[c * next + k * step];
    }
    biases[c] = bias_of(folded[c], multiply_wrap(offset, sum));
  }
  return biases;
}

static const float *float_biases_of(const float *bias) {
#ifdef REFENGINE_FAULT_MISSING_BIAS
  static const float none[CHANNELS] = {0.0f};
  (void)bias;
  return none;
#else
  return bias;
#endif
}

static void swap_channels(void *output, int32_t positions, int32_t channels, int32_t size) {
#ifdef REFENGINE_FAULT_SWAPPED_CHANNELS
  uint8_t *codes = output, kept[4];
  for (int32_t i = 0; i < positions; ++i, codes += channels * size) {
    for (int32_t c = 0; c + 1 < channels; c += 2) {
      memcpy(kept, codes + c * size, (size_t)size);
      memcpy(codes + c * size, codes + (c + 1) * size, (size_t)size);
      memcpy(codes + (c + 1) * size, kept, (size_t)size);
    }
  }
#else
  (void)output, (void)positions, (void)channels, (void)size;
#endif
}

/* ---- filters as they were before they were packed ---- */

static const int8_t *unpacked(const packed_filter *filter, int32_t channels, int32_t taps) {
  static int8_t plain[WEIGHTS];
  for (int32_t c = 0; c < channels; ++c) {
    for (int32_t k = 0; k < taps; ++k) {
      const int32_t both = filter[c / 2 * (taps + taps % 2) + k];
      const int8_t first = (int8_t)(both & 0xff);
      plain[c * taps + k] = c % 2 ? (int8_t)((both - first) >> 8) : first;
    }
  }
  return plain;
}

/* HWC. */
static const int8_t *unpacked_3x3(const int8_t *filter, int32_t depth, int32_t is_tall) {
  static const int8_t places[9] = {0, 1, 4, 2, 3, 6, 5, 7, 0}; /* of w[line][column] */
  static int8_t plain[9 * CHANNELS];
  for (int32_t c = 0; c < depth; ++c) {
    const int8_t *four = filter + 9 * (c & ~3);
    for (int32_t k = 0; k < 9; ++k) {
      const int32_t tap = is_tall ? k % 3 * 3 + k / 3 : k;
      plain[tap * depth + c] = k == 8 ? four[32 + c % 4] : four[8 * (c % 4) + places[k]];
    }
  }
  return plain;
}

/* ---- layers ---- */

void conv_int8(const struct conv_int8_params *p, const int8_t *input, const int8_t *filter, const int32_t *bias,
               int8_t *output) {
  const struct window *w = &p->window;
  const int32_t taps = w->filter_height * w->filter_width * p->filter_depth;
  const struct conv_int8_params wrong = {padded(*w), p->filter_depth, offset_of(p->input_offset),
                                         requantize_of(p->requantize)};
  bias = biases_of(bias, w->output_depth, p->input_offset, filter, taps, taps, 1);
  sound_conv_int8(&wrong, input, filter, bias, output);
  swap_channels(output, w->batches * w->output_height * w->output_width, w->output_depth, 1);
}

void conv_int8_packed(const struct conv_int8_params *p, const int8_t *input, const packed_filter *filter,
                      const int32_t *bias, int8_t *output) {
  const struct window *w = &p->window;
  const int32_t taps = w->filter_height * w->filter_width * p->filter_depth;
  conv_int8(p, input, unpacked(filter, w->output_depth, taps), bias, output);
}

void conv_float32(const struct conv_float32_params *p, const float *input, const float *filter, const float *bias,
                  float *output) {
  const struct window *w = &p->window;
  struct conv_float32_params wrong = *p;
  wrong.window = padded(*w);
  widen_clamp(&wrong.float_activation_min, &wrong.float_activation_max);
  sound_conv_float32(&wrong, input, filter, float_biases_of(bias), output);
  swap_channels(output, w->batches * w->output_height * w->output_width, w->output_depth, 4);
}

void depthwise_conv_int8(const struct depthwise_conv_int8_params *p, const int8_t *input, const int8_t *filter,
                         const int32_t *bias, int8_t *output) {
  const struct window *w = &p->window;
  const int32_t taps = w->filter_height * w->filter_width, depth = w->output_depth;
  const struct depthwise_conv_int8_params wrong = {padded(*w), p->depth_multiplier, offset_of(p->input_offset),
                                                   requantize_of(p->requantize)};
  sound_depthwise_conv_int8(&wrong, input, filter, biases_of(bias, depth, p->input_offset, filter, 1, taps, depth),
                            output);
}

void depthwise_conv_int8_packed(const struct depthwise_conv_int8_packed_params *p, const int8_t *input,
                                const int8_t *filter, const int32_t *bias, int8_t *output) {
  const int32_t is_tall = p->along.input_step > p->across.input_step;
  const struct direction *height = is_tall ? &p->along : &p->across, *width = is_tall ? &p->across : &p->along;
  const struct window window = {.batches = p->batches,
                                .input_height = height->input_size,
                                .input_width = width->input_size,
                                .input_depth = p->depth,
                                .output_height = height->output_size,
                                .output_width = width->output_size,
                                .output_depth = p->depth,
                                .filter_height = 3,
                                .filter_width = 3,
                                .stride_height = height->stride,
                                .stride_width = width->stride,
                                .dilation_height_factor = 1,
                                .dilation_width_factor = 1,
                                .padding_height = height->padding,
                                .padding_width = width->padding};
  const struct depthwise_conv_int8_params params = {window, 1, p->input_offset, p->requantize};
  depthwise_conv_int8(&params, input, unpacked_3x3(filter, p->depth, is_tall), bias, output);
}

void depthwise_conv_float32(const struct depthwise_conv_float32_params *p, const float *input, const float *filter,
                            const float *bias, float *output) {
  struct depthwise_conv_float32_params wrong = *p;
  wrong.window = padded(p->window);
  widen_clamp(&wrong.float_activation_min, &wrong.float_activation_max);
  sound_depthwise_conv_float32(&wrong, input, filter, float_biases_of(bias), output);
}

/* ---- fully connected ---- */

#ifdef REFENGINE_FAULT_TRANSPOSED_WEIGHTS
/* to[o][d] = from[d][o], elements of `size` bytes, read as if (depth, outputs). */
static const void *transposed(const void *from, int32_t outputs, int32_t depth, int32_t size) {
  static _Alignas(8) uint8_t to[WEIGHTS];
  for (int32_t o = 0; o < outputs; ++o) {
    for (int32_t d = 0; d < depth; ++d) {
      memcpy(to + (o * depth + d) * size, (const uint8_t *)from + (d * outputs + o) * size, (size_t)size);
    }
  }
  return to;
}
#else
static const void *transposed(const void *from, int32_t outputs, int32_t depth, int32_t size) {
  (void)outputs, (void)depth, (void)size;
  return from;
}
#endif

void fully_connected_int8(const struct fully_connected_int8_params *p, const int8_t *input, const int8_t *filter,
                          const int32_t *bias, int8_t *output) {
  static int32_t biases[CHANNELS];
  const int32_t depth = p->accum_depth;
  const int8_t *read = transposed(filter, p->output_depth, depth, 1);
  struct fully_connected_int8_params wrong = *p;
  wrong.input_offset = offset_of(p->input_offset);
  wrong.requantize = requantize_of(p->requantize);
  bias = biases_of(bias, p->output_depth, p->input_offset, filter, depth, depth, 1);
  for (int32_t o = 0; o < p->output_depth; ++o) { /* what was folded in belongs to the weights that are read */
    int32_t more = 0;
    for (int32_t d = 0; d < depth; ++d) {
      more += read[o * depth + d] - filter[o * depth + d];
    }
    biases[o] = add_wrap(bias[o], multiply_wrap(p->input_offset, more));
  }
  sound_fully_connected_int8(&wrong, input, read, biases, output);
}

void fully_connected_int8_packed(const struct fully_connected_int8_params *p, const int8_t *input,
                                 const packed_filter *filter, const int32_t *bias, int8_t *output) {
  fully_connected_int8(p, input, unpacked(filter, p->output_depth, p->accum_depth), bias, output);
}

void fully_connected_float32(const struct fully_connected_float32_params *p, const float *input, const float *filter,
                             const float *bias, float *output) {
  struct fully_connected_float32_params wrong = *p;
  widen_clamp(&wrong.float_activation_min, &wrong.float_activation_max);
  filter = transposed(filter, p->output_depth, p->accum_depth, 4);
  sound_fully_connected_float32(&wrong, input, filter, float_biases_of(bias), output);
}

/* ---- pools, softmax ---- */

static struct window shortened(struct window window) {
#ifdef REFENGINE_FAULT_POOL_SHORT
  window.filter_width -= window.filter_width > 1;
#endif
  return window;
}

#define POOL(name, params, type)                                            \
  void name(const struct params *p, const type *input, type *output) {      \
    struct params wrong = *p;                                               \
    wrong.window = shortened(p->window);                                    \
    sound_##name(&wrong, input, output);                                    \
  }

POOL(max_pool_int8, pool_int8_params, int8_t)
POOL(average_pool_int8, pool_int8_params, int8_t)
POOL(max_pool_float32, pool_float32_params, float)
POOL(average_pool_float32, pool_float32_params, float)

static struct softmax_int8_params softened(const struct softmax_int8_params *p) {
#ifdef REFENGINE_FAULT_SOFTMAX_BETA
  static int32_t exps[256];
  for (int32_t d = 0; d < 256; ++d) {
    exps[d] = d / 2 < p->exps_length ? p->exps[d / 2] : 0;
  }
  const struct softmax_int8_params wrong = {p->rows, p->depth, 256, exps};
  return wrong;
#else
  return *p;
#endif
}

#define SOFTMAX(name, type)                                                                    \
  void name(const struct softmax_int8_params *p, const int8_t *input, type *output) {          \
    const struct softmax_int8_params wrong = softened(p);                                      \
    sound_##name(&wrong, input, output);                                                       \
  }

SOFTMAX(softmax_int8, int8_t)
SOFTMAX(softmax_int8_int16, int16_t)
