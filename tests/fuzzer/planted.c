/* Kernels in plain C that are right, unless the environment variable PLANTED names one of the bugs below.
 *
 * Each bug is of a kind that public reports tell of vendors' kernels; planted.py says which report and what becomes of
 * it. A bug stands where the right code would: `planted == NAME` at the one place that it changes.
 */
#include <math.h>

#include "refengine_fuzz.h"

#define BUGS(BUG)                                                                                                  \
  BUG(NONE)                                                                                                        \
  /* padding, stride, dilation, shapes */                                                                          \
  BUG(ODD_PIXEL_TOP_LEFT) BUG(BOTTOM_RIGHT_UNPADDED) BUG(PADDING_WITH_CODE_ZERO) BUG(DILATION_IGNORED)             \
  BUG(POINTWISE_IGNORES_STRIDE) BUG(STRIDES_SWAPPED) BUG(FIRST_BATCH_ONLY) BUG(GROUPS_IGNORED)                     \
  BUG(DEPTH_MULTIPLIER_ORDER) BUG(FIRST_ROW_ONLY)                                                                  \
  /* blocks of channels, and what is left over */                                                                  \
  BUG(DEPTH_BY_4) BUG(DEPTH_BY_8) BUG(CHANNELS_BY_2) BUG(CHANNELS_BY_4) BUG(LEFT_OVER_CHANNELS_INDEX)              \
  BUG(TWO_CHANNELS) BUG(WRITES_4_AT_A_TIME)                                                                        \
  /* offsets, bias, accumulator */                                                                                 \
  BUG(INPUT_OFFSET_8_BITS) BUG(INPUT_OFFSET_SIGN) BUG(WEIGHTS_OFFSET_IGNORED) BUG(BIAS_NOT_OPTIONAL)               \
  BUG(BIAS_REQUIRED) BUG(ACCUMULATOR_16_BITS) BUG(ACCUMULATOR_SATURATES) BUG(PER_TENSOR)                           \
  /* rescaling */                                                                                                  \
  BUG(SINGLE_ROUNDING) BUG(SINGLE_ROUNDING_32_BITS) BUG(FLOAT_RESCALING) BUG(ROUND_DOWN) BUG(HALF_UP)              \
  BUG(LOGICAL_SHIFT) BUG(RIGHT_SHIFTS_ONLY) BUG(SHIFT_SIGN) BUG(SHIFT_31)                                          \
  /* output */                                                                                                     \
  BUG(OUTPUT_OFFSET_UNUSED) BUG(OUTPUT_OFFSET_16_BITS) BUG(CLAMP_BEFORE_OFFSET) BUG(ACTIVATION_IGNORED)            \
  /* memory */                                                                                                     \
  BUG(ALIGNED_LOADS) BUG(SCRATCH_NOT_CLEARED) BUG(WRITES_INTO_INPUT) BUG(CRASHES)                                  \
  /* pools */                                                                                                      \
  BUG(MAX_STARTS_AT_ZERO) BUG(AVERAGE_COUNTS_PADDING) BUG(AVERAGE_TRUNCATES) BUG(AVERAGE_HALF_UP)                  \
  /* the other operators */                                                                                        \
  BUG(ADD_WITHOUT_LEFT_SHIFT) BUG(SECOND_INPUT_NOT_BROADCAST) BUG(SOFTMAX_SATURATES_LATE) BUG(BETA_IGNORED)         \
  BUG(HARD_SWISH_IN_FLOAT) BUG(MEAN_INPUT_OFFSET_IGNORED) BUG(MEAN_DIVIDES_FIRST) BUG(POSITIVE_NOT_RESCALED)              \
  BUG(QUANTIZE_TRUNCATES) BUG(PADS_WITH_ZERO) BUG(FUSED_MULTIPLY_ADD) BUG(SUMS_IN_FOUR)                             \
  BUG(WINDOWS_OVERWRITE) BUG(ADJOINT_IGNORED) BUG(SECOND_OF_EQUALS) BUG(TABLE_NOT_INTERPOLATED)                     \
  /* state */                                                                                                      \
  BUG(STATE_NOT_WRITTEN) BUG(STATE_OF_ITS_OWN) BUG(STATE_ZERO_POINT_IGNORED) BUG(RANK_IGNORED)                     \
  BUG(GATES_SWAPPED) BUG(CELL_CLIP_IGNORED) BUG(TIME_MAJOR_IGNORED) BUG(RECURRENT_OFFSET_IGNORED)                  \
  BUG(RESET_IGNORED)                                                                                               \
  /* sizes, packing, scratch memory */                                                                             \
  BUG(DEPTH_UP_TO_512) BUG(CHANNELS_UP_TO_256) BUG(IMAGE_MEAN_OVER_ROWS) BUG(GROUPS_NEED_BIAS)                     \
  BUG(NIBBLES_SWAPPED) BUG(SCRATCH_TOO_SMALL) BUG(SCRATCH_TAKEN_FOR_ZEROS)

enum bug {
#define NUMBER(name) name,
  BUGS(NUMBER)
};
static const char *const NAMES[] = {
#define NAME(name) #name,
    BUGS(NAME)};

static enum bug planted;

typedef struct refengine_case test_case;
typedef struct refengine_tensor tensor;

/* ---- arithmetic -------------------------------------------------------------------------------------------------- */

static int32_t wrap(int64_t x) { return (int32_t)(uint32_t)(uint64_t)x; }

static int64_t clamp(int64_t x, int64_t low, int64_t high) { return x < low ? low : x > high ? high : x; }

/* x / 2^bits, rounded to the nearest; halves away from zero. */
static int64_t divide_by_power(int64_t x, int bits) {
  const int64_t half = bits ? INT64_C(1) << (bits - 1) : 0;
  if (planted == ROUND_DOWN) return x >> bits;
  if (planted == HALF_UP) return (x + half) >> bits;
  if (planted == LOGICAL_SHIFT) return (int32_t)((uint32_t)(x + half) >> bits);
  return (x + half - (x < 0 && half)) >> bits;
}

/* x · multiplier · 2^(shift − 31), as TFLM rounds it: the product to 32 bits, then what is shifted out. */
static int32_t rescale(int32_t x, int32_t multiplier, int32_t shift) {
  if (planted == RIGHT_SHIFTS_ONLY && shift > 0) shift = 0;
  if (planted == SHIFT_SIGN) shift = -shift;
  if (planted == SHIFT_31 && (shift >= 31 || shift <= -31)) shift = 0;
  const int64_t product = (int64_t)x * multiplier;
  if (planted == SINGLE_ROUNDING && shift <= 30) return wrap((product + (INT64_C(1) << (30 - shift))) >> (31 - shift));
  if (planted == SINGLE_ROUNDING_32_BITS && shift <= 30) return (wrap(product >> (30 - shift)) + 1) >> 1;
  const int32_t shifted = shift > 0 ? wrap((int64_t)((uint64_t)(int64_t)x << shift)) : x;
  const int32_t high = (int32_t)(((int64_t)shifted * multiplier + (1 << 30)) >> 31);
  return (int32_t)divide_by_power(high, shift < 0 ? -shift : 0);
}

/* The code of a rescaled accumulator. */
static int8_t code_of(int32_t scaled, int32_t output_offset, int32_t low, int32_t high) {
  if (planted == OUTPUT_OFFSET_UNUSED) output_offset = 0;
  if (planted == ACTIVATION_IGNORED) low = INT8_MIN, high = INT8_MAX;
  if (planted == CLAMP_BEFORE_OFFSET) return (int8_t)(clamp(scaled, low, high) + output_offset);
  if (planted == OUTPUT_OFFSET_16_BITS) {
    return (int8_t)clamp((int16_t)(clamp(scaled, INT16_MIN, INT16_MAX) + output_offset), low, high);
  }
  return (int8_t)clamp(wrap((int64_t)scaled + output_offset), low, high);
}

/* ---- layers of int8 ---------------------------------------------------------------------------------------------- */

/* What the layers read of a case. */
struct layer {
  const tensor *tensors, *result;
  const int8_t *input, *filter;
  const uint8_t *packed; /* of int4 weights, else NULL */
  const int32_t *bias, *multiplier, *shift;
  int32_t multipliers, input_offset, weights_offset;
  int8_t *output;
  int32_t output_offset, low, high;
};

static struct layer layer_of(const test_case *c) {
  struct layer l = {.tensors = c->inputs, .result = c->outputs};
  l.input = c->inputs[0].data;
  l.filter = c->inputs[1].data;
  l.packed = c->inputs[1].packed;
  l.bias = c->n_inputs > 2 ? c->inputs[2].data : NULL;
  l.output = c->outputs[0].data;
  l.input_offset = refengine_int(c, "input_offset");
  l.output_offset = refengine_int(c, "output_offset");
  l.low = refengine_int(c, "quantized_activation_min");
  l.high = refengine_int(c, "quantized_activation_max");
  l.multiplier = refengine_ints(c, "output_multiplier", &l.multipliers);
  l.shift = refengine_ints(c, "output_shift", NULL);
  if (planted == PER_TENSOR) l.multipliers = 1;
  if (planted == INPUT_OFFSET_8_BITS) l.input_offset = (int8_t)l.input_offset;
  if (planted == INPUT_OFFSET_SIGN) l.input_offset = -l.input_offset;
  if (planted == BIAS_NOT_OPTIONAL && !l.bias) l.bias = l.multiplier; /* whatever lies there */
  if (planted == ALIGNED_LOADS) l.input = (const int8_t *)((uintptr_t)l.input & ~(uintptr_t)31);
  return l;
}

/* Weight `i`, of two in a byte the first in the low bits. */
static int32_t weight_at(const struct layer *l, int32_t i) {
  if (!l->packed) return l->filter[i];
  const int is_high = planted == NIBBLES_SWAPPED ? i % 2 == 0 : i % 2;
  const int32_t nibble = l->packed[i / 2] >> (is_high ? 4 : 0) & 15;
  return nibble < 8 ? nibble : nibble - 16;
}

/* acc · input scale · filter scale / output scale, halves to even. */
static int32_t rescale_in_float(const struct layer *l, int32_t acc, int32_t channel) {
  const float filter_scale = l->tensors[1].scale[l->tensors[1].scales > 1 ? channel : 0];
  const float scale = l->tensors[0].scale[0] * filter_scale / l->result->scale[0];
  return (int32_t)rintf(fminf(fmaxf((float)acc * scale, -0x1p30f), 0x1p30f));
}

/* A sum of products: most bugs of vector code are here. */
struct sum {
  int64_t total;
};

static int32_t scratch; /* what the last sum left in the accumulator */

static struct sum empty_sum(void) {
  struct sum s = {planted == SCRATCH_NOT_CLEARED ? scratch : 0};
  return s;
}

static void multiply_add(struct sum *s, int32_t x, int32_t weight) {
  s->total += (int64_t)x * weight;
  if (planted == ACCUMULATOR_16_BITS) s->total = (int16_t)s->total;
}

/* Bias, rescaling, offset, clamp, for output channel `o` of `channels`, at element `at` of the output. */
static void finish(const struct layer *l, struct sum s, int32_t o, int32_t channels, int32_t at) {
  if (planted == CHANNELS_BY_2 && o >= channels / 2 * 2) return;
  if (planted == CHANNELS_BY_4 && o >= channels / 4 * 4) return;
  scratch = wrap(s.total & 1023);
  int32_t from = o;
  if (planted == LEFT_OVER_CHANNELS_INDEX && o >= channels / 4 * 4) from = channels / 4 * 4;
  if (planted == TWO_CHANNELS && channels == 2) from = 0;
  if (planted == CHANNELS_UP_TO_256) from = (uint8_t)o;
  const int64_t total = s.total + (l->bias ? l->bias[from] : 0);
  const int32_t acc = planted == ACCUMULATOR_SATURATES ? (int32_t)clamp(total, INT32_MIN, INT32_MAX) : wrap(total);
  const int32_t channel = l->multipliers > 1 ? from : 0;
  const int32_t scaled = planted == FLOAT_RESCALING ? rescale_in_float(l, acc, channel)
                                                    : rescale(acc, l->multiplier[channel], l->shift[channel]);
  l->output[at] = code_of(scaled, l->output_offset, l->low, l->high);
  if (planted == WRITES_4_AT_A_TIME && o + 1 == channels) {
    for (int32_t i = 1; (o + i) % 4; ++i) l->output[at + i] = 0;
  }
}

static int32_t fully_connected(const test_case *c) {
  struct layer l = layer_of(c);
  const int32_t channels = c->inputs[1].dims[0], depth = c->inputs[1].dims[1];
  const int32_t blocks = planted == DEPTH_BY_4 ? 4 : planted == DEPTH_BY_8 ? 8 : 1;
  int32_t batches = refengine_elements(&c->outputs[0]) / channels;
  if (planted == BIAS_REQUIRED && !l.bias) return -1;
  if (planted == FIRST_BATCH_ONLY) batches = c->outputs[0].rank > 1 ? c->outputs[0].dims[0] : 1;
  l.weights_offset = planted == WEIGHTS_OFFSET_IGNORED ? 0 : refengine_int(c, "weights_offset");
  for (int32_t b = 0; b < batches; ++b) {
    const int8_t *row = l.input + b * depth;
    for (int32_t o = 0; o < channels; ++o) {
      struct sum s = empty_sum();
      for (int32_t d = 0; d < depth / blocks * blocks; ++d) {
        if (planted == DEPTH_UP_TO_512 && d >= 512) break;
        multiply_add(&s, row[d] + l.input_offset, weight_at(&l, o * depth + d) + l.weights_offset);
      }
      finish(&l, s, o, channels, (planted == FIRST_ROW_ONLY ? 0 : b * channels) + o);
    }
  }
  return REFENGINE_COMPUTED;
}

/* ---- windows ----------------------------------------------------------------------------------------------------- */

struct window {
  int32_t batches, in_height, in_width, in_depth, out_height, out_width, out_depth;
  int32_t filter_height, filter_width, stride_h, stride_w, dilation_h, dilation_w, pad_h, pad_w;
};

static int32_t odd_pixel(int32_t out, int32_t stride, int32_t filter, int32_t dilation, int32_t in, int32_t pad) {
  const int32_t need = (out - 1) * stride + (filter - 1) * dilation + 1 - in;
  return need > 0 ? need - pad : pad;
}

static struct window window_of(const test_case *c, int32_t filter_height, int32_t filter_width) {
  const int32_t *in = c->inputs[0].dims, *out = c->outputs[0].dims;
  const int is_convolution = refengine_find(c, "dilation_h_factor") != NULL;
  struct window w = {in[0], in[1], in[2], in[3], out[1], out[2], out[3], filter_height, filter_width, 1, 1, 1, 1, 0, 0};
  w.stride_h = refengine_int(c, "stride_h");
  w.stride_w = refengine_int(c, "stride_w");
  w.pad_h = refengine_int(c, "padding_height");
  w.pad_w = refengine_int(c, "padding_width");
  if (is_convolution && planted != DILATION_IGNORED) {
    w.dilation_h = refengine_int(c, "dilation_h_factor");
    w.dilation_w = refengine_int(c, "dilation_w_factor");
  }
  if (planted == ODD_PIXEL_TOP_LEFT) {
    w.pad_h = odd_pixel(w.out_height, w.stride_h, filter_height, w.dilation_h, w.in_height, w.pad_h);
    w.pad_w = odd_pixel(w.out_width, w.stride_w, filter_width, w.dilation_w, w.in_width, w.pad_w);
  }
  if (planted == POINTWISE_IGNORES_STRIDE && filter_height == 1 && filter_width == 1) w.stride_h = w.stride_w = 1;
  if (planted == STRIDES_SWAPPED) w.stride_w = w.stride_h;
  if (planted == FIRST_BATCH_ONLY) w.batches = 1;
  if (planted == CRASHES && w.stride_w > filter_width) abort();
  return w;
}

/* Where tap (fy, fx) of output (b, y, x) begins in the input, or −1 if it lies outside the image. */
static int32_t tap(const struct window *w, int32_t b, int32_t y, int32_t x, int32_t fy, int32_t fx) {
  const int32_t iy = y * w->stride_h - w->pad_h + fy * w->dilation_h;
  const int32_t ix = x * w->stride_w - w->pad_w + fx * w->dilation_w;
  const int32_t at = ((b * w->in_height + iy) * w->in_width + ix) * w->in_depth;
  const int32_t end = w->batches * w->in_height * w->in_width * w->in_depth;
  if (planted == BOTTOM_RIGHT_UNPADDED && (w->pad_h || w->pad_w)) return iy < 0 || ix < 0 || at >= end ? -1 : at;
  return iy < 0 || iy >= w->in_height || ix < 0 || ix >= w->in_width ? -1 : at;
}

static int32_t place(const struct window *w, int32_t b, int32_t y, int32_t x) {
  return ((b * w->out_height + y) * w->out_width + x) * w->out_depth;
}

#define FOR_EACH_OUTPUT(w)                              \
  for (int32_t b = 0; b < (w).batches; ++b)             \
    for (int32_t y = 0; y < (w).out_height; ++y)        \
      for (int32_t x = 0; x < (w).out_width; ++x)

#define FOR_EACH_TAP(w)                                  \
  for (int32_t fy = 0; fy < (w).filter_height; ++fy)     \
    for (int32_t fx = 0; fx < (w).filter_width; ++fx)

static int32_t conv_2d(const test_case *c) {
  const int32_t *filter = c->inputs[1].dims, depth = filter[3];
  const struct window w = window_of(c, filter[1], filter[2]);
  const struct layer l = layer_of(c);
  const int32_t in_group = w.out_depth / (w.in_depth / depth);
  const int32_t blocks = planted == DEPTH_BY_4 ? 4 : planted == DEPTH_BY_8 ? 8 : 1;
  if (planted == BIAS_REQUIRED && !l.bias) return -1;
  if (planted == GROUPS_NEED_BIAS && !l.bias && depth != w.in_depth) return -1;
  FOR_EACH_OUTPUT(w) {
    for (int32_t o = 0; o < w.out_depth; ++o) {
      const int32_t first = planted == GROUPS_IGNORED ? 0 : o / in_group * depth;
      struct sum s = empty_sum();
      FOR_EACH_TAP(w) {
        const int8_t *weights = l.filter + ((o * filter[1] + fy) * filter[2] + fx) * depth;
        const int32_t at = tap(&w, b, y, x, fy, fx);
        for (int32_t i = 0; i < depth / blocks * blocks; ++i) {
          if (at >= 0) multiply_add(&s, l.input[at + first + i] + l.input_offset, weights[i]);
          else if (planted == PADDING_WITH_CODE_ZERO) multiply_add(&s, l.input_offset, weights[i]);
        }
      }
      finish(&l, s, o, w.out_depth, place(&w, b, y, x) + o);
    }
  }
  if (planted == WRITES_INTO_INPUT) *(int8_t *)c->inputs[0].data ^= 1;
  return REFENGINE_COMPUTED;
}

static int32_t depthwise_conv_2d(const test_case *c) {
  const int32_t *filter = c->inputs[1].dims;
  const struct window w = window_of(c, filter[1], filter[2]);
  const struct layer l = layer_of(c);
  const int32_t multiplier = refengine_int(c, "depth_multiplier");
  FOR_EACH_OUTPUT(w) {
    for (int32_t o = 0; o < w.out_depth; ++o) {
      const int32_t i = planted == DEPTH_MULTIPLIER_ORDER ? o % w.in_depth : o / multiplier;
      struct sum s = empty_sum();
      FOR_EACH_TAP(w) {
        const int32_t at = tap(&w, b, y, x, fy, fx), weight = l.filter[(fy * filter[2] + fx) * w.out_depth + o];
        if (at >= 0) multiply_add(&s, l.input[at + i] + l.input_offset, weight);
        else if (planted == PADDING_WITH_CODE_ZERO) multiply_add(&s, l.input_offset, weight);
      }
      finish(&l, s, o, w.out_depth, place(&w, b, y, x) + o);
    }
  }
  return REFENGINE_COMPUTED;
}

/* ---- pools of int8 ----------------------------------------------------------------------------------------------- */

/* The nearest integer; halves away from zero. */
static int32_t divide(int32_t x, int32_t by) {
  if (planted == AVERAGE_TRUNCATES) return x / by;
  if (planted == AVERAGE_HALF_UP) return (int32_t)floor((double)x / by + 0.5);
  return x > 0 ? (x + by / 2) / by : (x - by / 2) / by;
}

static int32_t pool(const test_case *c) {
  const struct window w = window_of(c, refengine_int(c, "filter_height"), refengine_int(c, "filter_width"));
  const int8_t *input = c->inputs[0].data;
  int8_t *output = c->outputs[0].data;
  const int is_max = strcmp(c->op, "MAX_POOL_2D") == 0;
  const int32_t low = refengine_int(c, "quantized_activation_min"), high = refengine_int(c, "quantized_activation_max");
  FOR_EACH_OUTPUT(w) {
    for (int32_t i = 0; i < w.out_depth; ++i) {
      int32_t largest = planted == MAX_STARTS_AT_ZERO ? 0 : INT8_MIN, total = 0, count = 0;
      FOR_EACH_TAP(w) {
        const int32_t at = tap(&w, b, y, x, fy, fx);
        if (at >= 0) {
          const int8_t code = input[at + i];
          largest = code > largest ? code : largest;
          total += code;
        }
        count += at >= 0 || planted == AVERAGE_COUNTS_PADDING;
      }
      if (planted == CHANNELS_BY_4 && i >= w.out_depth / 4 * 4) continue;
      output[place(&w, b, y, x) + i] = code_of(is_max ? largest : divide(total, count), 0, low, high);
    }
  }
  return REFENGINE_COMPUTED;
}

/* ---- elementwise ------------------------------------------------------------------------------------------------- */

/* The element of `t` that belongs to element `i` of `out`, where sizes of 1 broadcast. */
static int32_t broadcast(const tensor *t, const tensor *out, int32_t i) {
  int32_t at = 0, stride = 1;
  for (int32_t d = out->rank - 1, own = t->rank - 1; own >= 0; --d, --own) {
    at += t->dims[own] == 1 ? 0 : i % out->dims[d] * stride;
    i /= out->dims[d];
    stride *= t->dims[own];
  }
  return at;
}

static int32_t second(const test_case *c, int32_t i) {
  const tensor *t = &c->inputs[1];
  if (planted == SECOND_INPUT_NOT_BROADCAST) return i % refengine_elements(t);
  return broadcast(t, &c->outputs[0], i);
}

static int32_t add(const test_case *c) {
  const tensor *out = &c->outputs[0];
  const int8_t *a = c->inputs[0].data, *b = c->inputs[1].data;
  int8_t *output = out->data;
  const int32_t bits = refengine_int(c, "left_shift");
  const int32_t missing = planted == ADD_WITHOUT_LEFT_SHIFT ? bits : 0; /* so many bits are rounded away too early */
  for (int32_t i = 0; i < refengine_elements(out); ++i) {
    const int32_t x = (a[broadcast(&c->inputs[0], out, i)] + refengine_int(c, "input1_offset")) * (1 << bits);
    const int32_t y = (b[second(c, i)] + refengine_int(c, "input2_offset")) * (1 << bits);
    const int32_t first = rescale(x, refengine_int(c, "input1_multiplier"), refengine_int(c, "input1_shift") - missing);
    const int32_t other = rescale(y, refengine_int(c, "input2_multiplier"), refengine_int(c, "input2_shift") - missing);
    const int32_t sum = wrap(((int64_t)first + other) * (1 << missing));
    output[i] = code_of(rescale(sum, refengine_int(c, "output_multiplier"), refengine_int(c, "output_shift")),
                        refengine_int(c, "output_offset"), refengine_int(c, "quantized_activation_min"),
                        refengine_int(c, "quantized_activation_max"));
  }
  return REFENGINE_COMPUTED;
}

static int32_t mul(const test_case *c) {
  const tensor *out = &c->outputs[0];
  const int8_t *a = c->inputs[0].data, *b = c->inputs[1].data;
  int8_t *output = out->data;
  const int32_t sign = planted == INPUT_OFFSET_SIGN ? 1 : -1;
  for (int32_t i = 0; i < refengine_elements(out); ++i) {
    const int32_t x = a[broadcast(&c->inputs[0], out, i)] + sign * c->inputs[0].zero_point[0];
    const int32_t y = b[second(c, i)] + sign * c->inputs[1].zero_point[0];
    output[i] = code_of(rescale(x * y, refengine_int(c, "output_multiplier"), refengine_int(c, "output_shift")),
                        out->zero_point[0], refengine_int(c, "quantized_activation_min"),
                        refengine_int(c, "quantized_activation_max"));
  }
  return REFENGINE_COMPUTED;
}

static int32_t leaky_relu(const test_case *c) {
  const int8_t *input = c->inputs[0].data;
  int8_t *output = c->outputs[0].data;
  const int32_t identity = refengine_int(c, "output_multiplier_identity");
  const int32_t alpha = refengine_int(c, "output_multiplier_alpha"), sign = refengine_float(c, "alpha") < 0 ? -1 : 1;
  for (int32_t i = 0; i < refengine_elements(&c->outputs[0]); ++i) {
    const int32_t x = input[i] + refengine_int(c, "input_offset");
    const int32_t positive = rescale(x, identity, refengine_int(c, "output_shift_identity"));
    const int32_t negative = sign * rescale(x, alpha, refengine_int(c, "output_shift_alpha"));
    const int32_t scaled = x < 0 ? negative : planted == POSITIVE_NOT_RESCALED ? x : positive;
    output[i] = code_of(scaled, refengine_int(c, "output_offset"), INT8_MIN, INT8_MAX);
  }
  return REFENGINE_COMPUTED;
}

/* a · b / 2^15, rounded. */
static int32_t high_mul_16(int32_t a, int32_t b) { return (a * b + (1 << 14)) >> 15; }

/* In 16 bits: the input on a scale 128 times finer, times (x + 3) / 6 within [0, 1]. */
static int32_t hard_swish(const test_case *c) {
  const tensor *in = &c->inputs[0], *out = &c->outputs[0];
  const int32_t exponent = refengine_int(c, "reluish_multiplier_exponent");
  for (int32_t i = 0; i < refengine_elements(out); ++i) {
    const int32_t x = ((int8_t *)in->data)[i] - in->zero_point[0], hires = x * 128;
    int64_t reluish = hires;
    if (exponent > 0) reluish = clamp(reluish * (1 << (exponent - 1)), INT16_MIN, INT16_MAX);
    reluish = high_mul_16((int32_t)reluish, refengine_int(c, "reluish_multiplier_fixedpoint_int16"));
    if (exponent > 0) reluish = clamp(reluish * 2, INT16_MIN, INT16_MAX);
    if (exponent < 0) reluish = divide_by_power(reluish, -exponent);
    const int32_t preshift = high_mul_16(hires, refengine_int(c, "output_multiplier_fixedpoint_int16"));
    const int64_t product = ((reluish + 32768) >> 1) * preshift / 32768;
    int64_t scaled = divide_by_power(product, -refengine_int(c, "output_multiplier_exponent"));
    if (planted == HARD_SWISH_IN_FLOAT) {
      const float real = (float)x * in->scale[0];
      scaled = (int64_t)roundf(real * fminf(6, fmaxf(0, real + 3)) / 6 / out->scale[0]);
    }
    ((int8_t *)out->data)[i] = code_of((int32_t)scaled, out->zero_point[0], INT8_MIN, INT8_MAX);
  }
  return REFENGINE_COMPUTED;
}

static int32_t quantize(const test_case *c) {
  const float *input = c->inputs[0].data;
  const tensor *out = &c->outputs[0];
  for (int32_t i = 0; i < refengine_elements(out); ++i) {
    const float ratio = input[i] / out->scale[0];
    const float rounded = planted == QUANTIZE_TRUNCATES ? truncf(ratio) : roundf(ratio);
    const int32_t whole = rounded >= -0x1p31f && rounded < 0x1p31f ? (int32_t)rounded : INT32_MIN;
    ((int8_t *)out->data)[i] = code_of(whole, out->zero_point[0], INT8_MIN, INT8_MAX);
  }
  return strcmp(out->dtype, "int8") == 0 ? REFENGINE_COMPUTED : REFENGINE_UNSUPPORTED;
}

/* ---- mean, softmax, pad ------------------------------------------------------------------------------------------ */

static int is_reduced(const test_case *c, int32_t dimension) {
  int32_t count, found = 0;
  const int32_t *axis = refengine_ints(c, "axis", &count);
  for (int32_t i = 0; i < count; ++i) found |= axis[i] == dimension;
  if (planted == IMAGE_MEAN_OVER_ROWS && c->inputs[0].rank == 4 && count == 2 && axis[0] == 1 && axis[1] == 2) {
    return dimension == 0 || dimension == 2; /* an image takes another way, which mixes up its dimensions */
  }
  return found;
}

/* The element of the output (with its reduced dimensions left out) to which element `i` of the input belongs. */
static int32_t kept_element(const test_case *c, int32_t i) {
  const tensor *in = &c->inputs[0];
  int32_t at = 0, stride = 1;
  for (int32_t d = in->rank - 1; d >= 0; --d) {
    if (!is_reduced(c, d)) {
      at += i % in->dims[d] * stride;
      stride *= in->dims[d];
    }
    i /= in->dims[d];
  }
  return at;
}

static int32_t mean(const test_case *c) {
  const tensor *in = &c->inputs[0], *out = &c->outputs[0];
  const int32_t count = refengine_elements(out), n = refengine_elements(in) / count;
  const int32_t zero_point = planted == MEAN_INPUT_OFFSET_IGNORED ? 0 : in->zero_point[0];
  const int32_t multiplier = refengine_int(c, "output_multiplier"), shift = refengine_int(c, "output_shift");
  const int32_t missing = planted == SCRATCH_TOO_SMALL;
  int32_t *sums = refengine_scratch(c, (size_t)(count - missing) * sizeof *sums);
  if (sums == NULL) return REFENGINE_UNSUPPORTED;
  if (planted != SCRATCH_TAKEN_FOR_ZEROS) memset(sums, 0, (size_t)count * sizeof *sums);
  for (int32_t i = 0; i < refengine_elements(in); ++i) sums[kept_element(c, i)] += ((int8_t *)in->data)[i];
  for (int32_t o = 0; o < count; ++o) {
    int32_t acc = wrap(sums[o] - (int64_t)n * zero_point);
    if (planted == MEAN_DIVIDES_FIRST) acc = acc / n * n;
    const int32_t scaled = rescale(acc, multiplier, shift);
    ((int8_t *)out->data)[o] = code_of(scaled, out->zero_point[0], INT8_MIN, INT8_MAX);
  }
  return REFENGINE_COMPUTED;
}

/* 1 / (1 + a) in Q0.31 for a in Q0.31: Newton's steps from 48/17 − 32/17 · d towards the reciprocal of d = (1 + a) / 2. */
static int32_t reciprocal_of(int32_t a) {
  const int32_t d = (int32_t)(((int64_t)a + INT32_MAX + 1) >> 1);
  int64_t x = 1515870810 + (((int64_t)d * -1010580540 + (1 << 30)) >> 31);
  for (int step = 0; step < 3; ++step) {
    const int64_t rest = (1 << 29) - ((d * x + (1 << 30)) >> 31);
    x += ((x * rest + (1 << 30)) >> 31) * 4;
  }
  return (int32_t)clamp(2 * x, INT32_MIN, INT32_MAX);
}

/* exps[d] is e^(−d · beta · scale) in Q0.31; sums of them are Q12.19. */
static void softmax_row(const int32_t *exps, const int8_t *input, int8_t *output, int32_t depth) {
  int32_t largest = INT8_MIN, sum = 0, zeros = 0;
  for (int32_t i = 0; i < depth; ++i) largest = input[i] > largest ? input[i] : largest;
  for (int32_t i = 0; i < depth; ++i) sum += (int32_t)divide_by_power(exps[largest - input[i]], 12);
  while (!((uint32_t)sum << zeros >> 31)) ++zeros;
  const int32_t reciprocal = reciprocal_of((int32_t)(((uint32_t)sum << zeros) - (UINT32_C(1) << 31)));
  for (int32_t i = 0; i < depth; ++i) {
    const int64_t product = ((int64_t)reciprocal * exps[largest - input[i]] + (1 << 30)) >> 31;
    const int64_t probability = divide_by_power(product, 12 - zeros + 31 - 8);
    if (planted == SOFTMAX_SATURATES_LATE) output[i] = (int8_t)(probability - 128);
    else output[i] = (int8_t)clamp(probability - 128, INT8_MIN, INT8_MAX);
  }
}

/* Between the two entries around x, clamped to 16 bits; entries lie 128 apart. */
static int32_t look_up(const int32_t *table, int64_t x) {
  const int32_t at = (int32_t)clamp(x, INT16_MIN, INT16_MAX), entry = 256 + (at >> 7);
  if (planted == TABLE_NOT_INTERPOLATED) return table[entry];
  return table[entry] + (((table[entry + 1] - table[entry]) * (at & 127) + 64) >> 7);
}

static int32_t softmax_16(const test_case *c) {
  const tensor *in = &c->inputs[0];
  const int32_t depth = in->dims[in->rank - 1], multiplier = refengine_int(c, "input_multiplier");
  const int32_t *exps = refengine_ints(c, "exp_lut", NULL);
  const int32_t *reciprocals = refengine_ints(c, "one_over_one_plus_x_lut", NULL);
  for (int32_t row = 0; row < refengine_elements(in); row += depth) {
    const int16_t *input = (int16_t *)in->data + row;
    int16_t *output = (int16_t *)c->outputs[0].data + row;
    int32_t largest = INT16_MIN, sum = 0, over = -1;
    for (int32_t i = 0; i < depth; ++i) largest = input[i] > largest ? input[i] : largest;
    for (int32_t i = 0; i < depth; ++i) {
      output[i] = (int16_t)look_up(exps, (int64_t)rescale(input[i] - largest, multiplier, refengine_int(c, "input_left_shift")) + 32767);
      sum += output[i];
    }
    while (sum >> (16 + over)) ++over;
    const int32_t normalised = (int32_t)((((int64_t)sum << (16 - over)) + (1 << 14)) >> 15);
    const int32_t reciprocal = look_up(reciprocals, normalised - 65536 - 32768);
    for (int32_t i = 0; i < depth; ++i) {
      const int64_t product = (int64_t)output[i] * reciprocal + (INT64_C(1) << (14 + over));
      output[i] = (int16_t)clamp(product >> (15 + over), 0, INT16_MAX);
    }
  }
  return REFENGINE_COMPUTED;
}

static int32_t softmax(const test_case *c) {
  const tensor *in = &c->inputs[0], *out = &c->outputs[0];
  const int32_t depth = in->dims[in->rank - 1], rows = refengine_elements(in) / depth;
  if (strcmp(out->dtype, "int8") != 0) return REFENGINE_UNSUPPORTED;
  for (int32_t row = 0; row < rows; ++row) {
    int8_t *output = (int8_t *)out->data + (planted == FIRST_ROW_ONLY ? 0 : row * depth);
    softmax_row(refengine_ints(c, "exps", NULL), (int8_t *)in->data + row * depth, output, depth);
  }
  return REFENGINE_COMPUTED;
}

static int32_t softmax_float(const test_case *c) {
  const tensor *in = &c->inputs[0];
  const int32_t depth = in->dims[in->rank - 1];
  const float beta = planted == BETA_IGNORED ? 1 : refengine_float(c, "beta");
  for (int32_t row = 0; row < refengine_elements(in); row += depth) {
    const float *input = (float *)in->data + row;
    float *output = (float *)c->outputs[0].data + row, largest = -3.402823466e38f, total = 0;
    for (int32_t i = 0; i < depth; ++i) largest = largest < input[i] ? input[i] : largest;
    for (int32_t i = 0; i < depth; ++i) total += output[i] = expf((input[i] - largest) * beta);
    for (int32_t i = 0; i < depth; ++i) output[i] /= total;
  }
  return REFENGINE_COMPUTED;
}

static int32_t pad(const test_case *c) {
  const tensor *in = &c->inputs[0], *out = &c->outputs[0];
  const int32_t *left = refengine_ints(c, "left_padding", NULL);
  memset(out->data, planted == PADS_WITH_ZERO ? 0 : out->zero_point[0], out->bytes);
  for (int32_t i = 0; i < refengine_elements(in); ++i) {
    int32_t at = 0, stride = 1, rest = i;
    for (int32_t d = in->rank - 1; d >= 0; --d) {
      at += (rest % in->dims[d] + left[d]) * stride;
      rest /= in->dims[d];
      stride *= out->dims[d];
    }
    ((int8_t *)out->data)[at] = ((int8_t *)in->data)[i];
  }
  return REFENGINE_COMPUTED;
}

/* The plain sum of products of floats. */
static float float_sum(const float *x, const float *w, int32_t depth) {
  if (planted == SUMS_IN_FOUR) {
    float lanes[4] = {0};
    for (int32_t d = 0; d < depth; ++d) lanes[d % 4] += x[d] * w[d];
    return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
  }
  float total = 0;
  for (int32_t d = 0; d < depth; ++d) {
    const float product = x[d] * w[d];
    total = planted == FUSED_MULTIPLY_ADD ? fmaf(x[d], w[d], total) : total + product;
  }
  return total;
}

/* ---- other sums of products -------------------------------------------------------------------------------------- */

/* A convolution backwards: every pixel is scattered over a window, and windows overlap. */
static int32_t transpose_conv(const test_case *c) {
  const tensor *in = &c->inputs[2], *out = &c->outputs[0];
  const int32_t *filter = c->inputs[1].dims, height = out->dims[1], width = out->dims[2], channels = out->dims[3];
  const int32_t stride_h = refengine_int(c, "stride_h"), stride_w = refengine_int(c, "stride_w");
  const int32_t pad_h = refengine_int(c, "padding_height"), pad_w = refengine_int(c, "padding_width");
  struct layer l = layer_of(c);
  l.input = in->data;
  l.bias = c->n_inputs > 3 ? c->inputs[3].data : NULL;
  struct sum *sums = calloc((size_t)refengine_elements(out), sizeof *sums);
  for (int32_t p = 0; p < in->dims[0] * in->dims[1] * in->dims[2]; ++p) {
    const int32_t ix = p % in->dims[2], iy = p / in->dims[2] % in->dims[1], b = p / in->dims[2] / in->dims[1];
    for (int32_t o = 0; o < channels; ++o) {
      for (int32_t fy = 0; fy < filter[1]; ++fy) {
        for (int32_t fx = 0; fx < filter[2]; ++fx) {
          const int32_t y = iy * stride_h - pad_h + fy, x = ix * stride_w - pad_w + fx;
          if (y < 0 || y >= height || x < 0 || x >= width) continue;
          struct sum *s = &sums[((b * height + y) * width + x) * channels + o];
          if (planted == WINDOWS_OVERWRITE) s->total = 0;
          for (int32_t i = 0; i < filter[3]; ++i) {
            multiply_add(s, l.input[p * filter[3] + i] + l.input_offset,
                         l.filter[((o * filter[1] + fy) * filter[2] + fx) * filter[3] + i]);
          }
        }
      }
    }
  }
  for (int32_t i = 0; i < refengine_elements(out); ++i) finish(&l, sums[i], i % channels, channels, i);
  free(sums);
  return REFENGINE_COMPUTED;
}

/* The element (…, row, column) of a matrix, or of its transpose; `matrix` counts the matrices of the output, whose
 * dimensions in front may be broadcast. */
static int32_t matrix_at(const tensor *t, const tensor *out, int32_t matrix, int32_t row, int32_t column, int is_adjoint) {
  const int32_t rows = t->dims[t->rank - 2], columns = t->dims[t->rank - 1];
  int32_t at = 0, stride = rows * columns;
  for (int32_t d = out->rank - 3, own = t->rank - 3; own >= 0; --d, --own) {
    at += t->dims[own] == 1 ? 0 : matrix % out->dims[d] * stride;
    matrix /= out->dims[d];
    stride *= t->dims[own];
  }
  return is_adjoint ? at + column * columns + row : at + row * columns + column;
}

static int32_t batch_matmul(const test_case *c) {
  const tensor *lhs = &c->inputs[0], *rhs = &c->inputs[1], *out = &c->outputs[0];
  const int adj_x = refengine_int(c, "adj_x"), adj_y = planted == ADJOINT_IGNORED ? 0 : refengine_int(c, "adj_y");
  const int32_t rows = out->dims[out->rank - 2], columns = out->dims[out->rank - 1];
  const int32_t depth = lhs->dims[lhs->rank - (adj_x ? 2 : 1)];
  for (int32_t i = 0; i < refengine_elements(out); ++i) {
    const int32_t column = i % columns, row = i / columns % rows, matrix = i / columns / rows;
    int64_t total = 0;
    for (int32_t k = 0; k < depth; ++k) {
      const int32_t x = ((int8_t *)lhs->data)[matrix_at(lhs, out, matrix, row, k, adj_x)];
      const int32_t y = ((int8_t *)rhs->data)[matrix_at(rhs, out, matrix, k, column, adj_y)];
      total += (int64_t)(x + refengine_int(c, "lhs_offset")) * (y + refengine_int(c, "rhs_offset"));
    }
    const int32_t scaled = rescale(wrap(total), refengine_int(c, "output_multiplier"), refengine_int(c, "output_shift"));
    ((int8_t *)out->data)[i] = code_of(scaled, refengine_int(c, "output_offset"), INT8_MIN, INT8_MAX);
  }
  return REFENGINE_COMPUTED;
}

static int32_t larger_or_smaller(const test_case *c) {
  const tensor *out = &c->outputs[0];
  const float *a = c->inputs[0].data, *b = c->inputs[1].data;
  const int is_max = strcmp(c->op, "MAXIMUM") == 0;
  for (int32_t i = 0; i < refengine_elements(out); ++i) {
    const float x = a[broadcast(&c->inputs[0], out, i)], y = b[second(c, i)];
    const int is_first = planted == SECOND_OF_EQUALS ? (is_max ? x >= y : x <= y) : is_max ? x > y : x < y;
    ((float *)out->data)[i] = is_first ? x : y;
  }
  return REFENGINE_COMPUTED;
}

/* ---- state ------------------------------------------------------------------------------------------------------- */

/* A state that a kernel takes for its own, whoever's turn it is, instead of the one that it is given. */
static unsigned char own_state[1 << 16];

static void *state_of(const tensor *t) {
  return planted == STATE_OF_ITS_OWN && t->bytes <= sizeof own_state ? (void *)own_state : t->data;
}

static int32_t code_at(const tensor *t, const void *data, int32_t i) {
  return strcmp(t->dtype, "int16") == 0 ? ((const int16_t *)data)[i] : ((const int8_t *)data)[i];
}

static void put_code(const tensor *t, void *data, int32_t i, int32_t code) {
  if (strcmp(t->dtype, "int16") == 0) ((int16_t *)data)[i] = (int16_t)code;
  else ((int8_t *)data)[i] = (int8_t)code;
}

static int32_t svdf(const test_case *c) {
  const tensor *in = &c->inputs[0], *feature = &c->inputs[1], *time = &c->inputs[2], *state = &c->inputs[4];
  const int32_t filters = feature->dims[0], depth = feature->dims[1], memory = time->dims[1], batches = in->dims[0];
  const int32_t rank = planted == RANK_IGNORED ? 1 : refengine_int(c, "rank"), units = filters / refengine_int(c, "rank");
  const int is_16 = strcmp(state->dtype, "int16") == 0;
  const int32_t low = is_16 ? INT16_MIN : INT8_MIN, high = is_16 ? INT16_MAX : INT8_MAX;
  const int32_t zero_point = planted == STATE_ZERO_POINT_IGNORED ? 0 : refengine_int(c, "activation_state_zero_point");
  void *kept = state_of(state), *now = refengine_scratch(c, state->bytes);
  if (now == NULL) return REFENGINE_UNSUPPORTED;
  for (int32_t f = 0; f < batches * filters; ++f) {
    const int8_t *x = (int8_t *)in->data + f / filters * depth, *w = (int8_t *)feature->data + f % filters * depth;
    int64_t acc = 0;
    for (int32_t i = 0; i < depth; ++i) acc += (x[i] + refengine_int(c, "input_offset")) * w[i];
    const int32_t scaled = rescale(wrap(acc), refengine_int(c, "effective_scale_1_a"), refengine_int(c, "effective_scale_1_b"));
    for (int32_t m = 0; m + 1 < memory; ++m) put_code(state, now, f * memory + m, code_at(state, kept, f * memory + m + 1));
    put_code(state, now, f * memory + memory - 1, (int32_t)clamp(scaled, low, high) + zero_point);
  }
  for (int32_t i = 0; i < batches * units; ++i) {
    int64_t total = ((int32_t *)c->inputs[3].data)[i % units];
    for (int32_t f = i % units * rank; f < (i % units + 1) * rank; ++f) {
      for (int32_t m = 0; m < memory; ++m) {
        const int32_t s = code_at(state, now, (i / units * filters + f) * memory + m) - zero_point;
        total += (int64_t)s * code_at(time, time->data, f * memory + m);
      }
    }
    const int32_t scaled = rescale(wrap(total), refengine_int(c, "effective_scale_2_a"), refengine_int(c, "effective_scale_2_b"));
    ((int8_t *)c->outputs[0].data)[i] = code_of(scaled, refengine_int(c, "output_offset"), INT8_MIN, INT8_MAX);
  }
  if (planted != STATE_NOT_WRITTEN) memcpy(kept, now, state->bytes);
  return REFENGINE_COMPUTED;
}

enum { INPUT_GATE, FORGET_GATE, CELL_GATE, OUTPUT_GATE, WEIGHTS = 1, RECURRENT = 5, BIASES = 12, HIDDEN = 18, CELL = 19 };

/* What an LSTM reads of a case. */
struct lstm {
  int32_t batches, steps, depth, units;
  int is_time_major, is_linear;
};

static struct lstm lstm_of(const test_case *c) {
  const int32_t *in = c->inputs[0].dims;
  const int is_time_major = planted == TIME_MAJOR_IGNORED ? 0 : refengine_int(c, "time_major");
  const struct lstm l = {in[is_time_major ? 1 : 0], in[is_time_major ? 0 : 1], in[2], c->outputs[0].dims[2], is_time_major,
                         refengine_int(c, "fused_activation_function") != 4};
  return l;
}

/* Where step `step` of row `row` begins in the input or output, of `width` elements each. */
static int32_t step_at(const struct lstm *l, int32_t row, int32_t step, int32_t width) {
  return (l->is_time_major ? step * l->batches + row : row * l->steps + step) * width;
}

static int gate_called(int gate) {
  if (planted == GATES_SWAPPED) return gate == FORGET_GATE ? CELL_GATE : gate == CELL_GATE ? FORGET_GATE : gate;
  return gate;
}

/* Between ±most; NaN stays. */
static float within(float x, float most) { return x < -most ? -most : x > most ? most : x; }

static float bounded(float x) { return within(x, 3.402823466e38f); }

static float sigmoid(float x) { /* as TFLM has it */
  if (x > 16.619047164916992188f) return 1;
  return x < -9 ? expf(x) : 1 / (1 + expf(-x));
}

static int32_t lstm_float(const test_case *c) {
  const struct lstm l = lstm_of(c);
  const float clip = planted == CELL_CLIP_IGNORED ? 0 : refengine_float(c, "cell_clip");
  float *hidden = state_of(&c->inputs[HIDDEN]), *cell = c->inputs[CELL].data, gates[4];
  const size_t size = (size_t)l.units * sizeof *hidden;
  float *h = refengine_scratch(c, size), *next = refengine_scratch(c, size);
  if (next == NULL) return REFENGINE_UNSUPPORTED;
  for (int32_t row = 0; row < l.batches; ++row) {
    memcpy(h, hidden + row * l.units, size);
    for (int32_t step = 0; step < l.steps; ++step) {
      const float *x = (float *)c->inputs[0].data + step_at(&l, row, step, l.depth);
      for (int32_t u = 0; u < l.units; ++u) {
        float *s = &cell[row * l.units + u];
        for (int g = 0; g < 4; ++g) {
          const int from = gate_called(g);
          const float *w = (float *)c->inputs[WEIGHTS + from].data + u * l.depth;
          const float *r = (float *)c->inputs[RECURRENT + from].data + u * l.units;
          const float over_input = float_sum(x, w, l.depth) + ((float *)c->inputs[BIASES + from].data)[u];
          gates[g] = bounded(over_input) + bounded(float_sum(h, r, l.units));
        }
        for (int g = 0; g < 4; ++g) {
          if (g != CELL_GATE) gates[g] = sigmoid(gates[g]);
          else if (!l.is_linear) gates[g] = tanhf(gates[g]);
        }
        *s = bounded(gates[FORGET_GATE] * *s) + bounded(gates[INPUT_GATE] * gates[CELL_GATE]);
        if (clip > 0) *s = within(*s, clip);
        next[u] = bounded(tanhf(*s) * gates[OUTPUT_GATE]);
      }
      memcpy(h, next, size);
      memcpy((float *)c->outputs[0].data + step_at(&l, row, step, l.units), h, size);
    }
    if (planted != STATE_NOT_WRITTEN) memcpy(hidden + row * l.units, h, size);
  }
  return REFENGINE_COMPUTED;
}

/* The sigmoid of k / 24 in 65536ths, a little above, since a chord lies below the curve. */
static int32_t sigmoid_entry(int32_t k) {
  const double s = 1 / (1 + exp(-k / 24.0)), curvature = s * (1 - s) * (1 - 2 * s);
  return k == 255 ? 65535 : (int32_t)rint(65536 * (s - curvature / 24 / 24 / 16));
}

/* The sigmoid of |x| for x in 12288ths, in 2^(16 + bits)ths. */
static int32_t sigmoid_of(int32_t x, int bits, int32_t limit) {
  const int32_t distance = x < 0 ? -x : x, k = distance >> bits, left = k < 255 ? sigmoid_entry(k) : 0;
  if (k >= 255) return limit;
  return (left << bits) + (distance & ((1 << bits) - 1)) * (sigmoid_entry(k + 1) - left);
}

static int32_t sigmoid_16(int32_t x) {
  const int32_t s = sigmoid_of(x * 3, 9, 0x7fff << 10);
  return (x >= 0 ? s + 512 : (1 << 25) - s + 511) >> 10;
}

/* tanh of codes in steps of 2^power. */
static int32_t tanh_16(int32_t code, int power) {
  const int left = 12 + power;
  const int32_t x = left < 0 ? (code * 3 + ((1 << -left) >> 1)) >> -left : wrap((int64_t)code * wrap((int64_t)3 << left));
  const int32_t excess = sigmoid_of(x, 8, 0xffff << 8) - (1 << 23);
  return (x >= 0 ? excess + 128 : -excess + 127) >> 8;
}

static int32_t cut(int64_t x) { return (int32_t)clamp(x, INT16_MIN, INT16_MAX); }

/* One of the two sums of a gate, in steps of 2^-12. */
static int32_t gate_sum(const test_case *c, const char *const names[4], const int8_t *x, int32_t depth, const tensor *weights,
                        int32_t unit, int gate, int32_t bias) {
  const int32_t offset = refengine_int(c, names[0]), weights_offset = refengine_ints(c, names[1], NULL)[gate];
  int64_t acc = bias;
  for (int32_t i = 0; i < depth; ++i) {
    const int32_t w = ((int8_t *)weights->data)[unit * depth + i] + weights_offset;
    acc += (x[i] + (planted == RECURRENT_OFFSET_IGNORED && names[0][0] == 'r' ? 0 : offset)) * w;
  }
  return cut(rescale(wrap(acc), refengine_ints(c, names[2], NULL)[gate], refengine_ints(c, names[3], NULL)[gate]));
}

static int32_t lstm_8(const test_case *c) {
  static const char *const over_input[] = {"input_offset", "input_weights_offset", "input_fc_multiplier", "input_fc_shift"};
  static const char *const over_hidden[] = {"recurrent_offset", "recurrent_weights_offset", "recurrent_fc_multiplier",
                                            "recurrent_fc_shift"};
  const struct lstm l = lstm_of(c);
  const int32_t clip = planted == CELL_CLIP_IGNORED ? -1 : refengine_int(c, "quantized_cell_clip");
  const int power = refengine_int(c, "cell_state_scale_power");
  int8_t *hidden = state_of(&c->inputs[HIDDEN]), *h = refengine_scratch(c, (size_t)l.units);
  int8_t *next = refengine_scratch(c, (size_t)l.units);
  int16_t *cell = c->inputs[CELL].data;
  if (next == NULL) return REFENGINE_UNSUPPORTED;
  for (int32_t row = 0; row < l.batches; ++row) {
    memcpy(h, hidden + row * l.units, (size_t)l.units);
    for (int32_t step = 0; step < l.steps; ++step) {
      const int8_t *x = (int8_t *)c->inputs[0].data + step_at(&l, row, step, l.depth);
      for (int32_t u = 0; u < l.units; ++u) {
        int32_t gates[4], s = cell[row * l.units + u];
        for (int g = 0; g < 4; ++g) {
          const int from = gate_called(g);
          const int32_t bias = ((int32_t *)c->inputs[BIASES + from].data)[u];
          const int32_t sum = gate_sum(c, over_input, x, l.depth, &c->inputs[WEIGHTS + from], u, from, bias);
          const int32_t rest = gate_sum(c, over_hidden, h, l.units, &c->inputs[RECURRENT + from], u, from, 0);
          gates[g] = cut(sum + rest);
          if (g != CELL_GATE) gates[g] = sigmoid_16(gates[g]);
          else if (!l.is_linear) gates[g] = tanh_16(gates[g], -12);
        }
        const int32_t kept = cut(rescale(gates[FORGET_GATE] * s, refengine_int(c, "forget_cell_mul_multiplier"),
                                         refengine_int(c, "forget_cell_mul_shift")));
        const int32_t new = cut(rescale(gates[INPUT_GATE] * gates[CELL_GATE], refengine_int(c, "input_mul_multiplier"),
                                        refengine_int(c, "input_mul_shift")));
        s = cut(kept + new);
        if (clip >= 0) s = (int32_t)clamp(s, -clip, clip);
        cell[row * l.units + u] = (int16_t)s;
        const int32_t out = rescale(tanh_16(s, power) * gates[OUTPUT_GATE], refengine_int(c, "output_mul_multiplier"),
                                    refengine_int(c, "output_mul_shift"));
        next[u] = code_of(out, refengine_int(c, "output_offset"), INT8_MIN, INT8_MAX);
      }
      memcpy(h, next, (size_t)l.units);
      memcpy((int8_t *)c->outputs[0].data + step_at(&l, row, step, l.units), h, (size_t)l.units);
    }
    if (planted != STATE_NOT_WRITTEN) memcpy(hidden + row * l.units, h, (size_t)l.units);
  }
  return REFENGINE_COMPUTED;
}

/* The last frames side by side; they are all that this kernel keeps. */
static int32_t circular_buffer(const test_case *c) {
  const size_t frame = c->inputs[0].bytes, size = c->outputs[0].bytes;
  unsigned char *frames = c->memory;
  if (size > c->memory_bytes) return -1;
  if (c->begins == REFENGINE_FRESH || (c->begins == REFENGINE_RESET && planted != RESET_IGNORED)) {
    memset(frames, refengine_int(c, "zero_point"), size);
  }
  memmove(frames, frames + frame, size - frame);
  memcpy(frames + size - frame, c->inputs[0].data, frame);
  memcpy(c->outputs[0].data, frames, size);
  return REFENGINE_COMPUTED;
}

/* ---- a layer of floats ------------------------------------------------------------------------------------------- */

static int32_t fully_connected_float(const test_case *c) {
  const float *input = c->inputs[0].data, *filter = c->inputs[1].data;
  const float *bias = c->n_inputs > 2 ? c->inputs[2].data : NULL;
  const float low = refengine_float(c, "float_activation_min"), high = refengine_float(c, "float_activation_max");
  const int32_t channels = c->inputs[1].dims[0], depth = c->inputs[1].dims[1];
  for (int32_t i = 0; i < refengine_elements(&c->outputs[0]); ++i) {
    float y = float_sum(input + i / channels * depth, filter + i % channels * depth, depth);
    y += bias ? bias[i % channels] : 0;
    y = y < low ? low : y;
    ((float *)c->outputs[0].data)[i] = high < y ? high : y;
  }
  return REFENGINE_COMPUTED;
}

/* ---- the door ---------------------------------------------------------------------------------------------------- */

static const struct {
  const char *op, *dtype;
  int32_t (*run)(const test_case *c);
} KERNELS[] = {
    {"CONV_2D", "int8", conv_2d},
    {"DEPTHWISE_CONV_2D", "int8", depthwise_conv_2d},
    {"FULLY_CONNECTED", "int8", fully_connected},
    {"FULLY_CONNECTED", "float32", fully_connected_float},
    {"MAX_POOL_2D", "int8", pool},
    {"AVERAGE_POOL_2D", "int8", pool},
    {"ADD", "int8", add},
    {"MUL", "int8", mul},
    {"LEAKY_RELU", "int8", leaky_relu},
    {"HARD_SWISH", "int8", hard_swish},
    {"QUANTIZE", "float32", quantize},
    {"MEAN", "int8", mean},
    {"SOFTMAX", "int8", softmax},
    {"SOFTMAX", "float32", softmax_float},
    {"SOFTMAX", "int16", softmax_16},
    {"PAD", "int8", pad},
    {"TRANSPOSE_CONV", "int8", transpose_conv},
    {"BATCH_MATMUL", "int8", batch_matmul},
    {"MAXIMUM", "float32", larger_or_smaller},
    {"MINIMUM", "float32", larger_or_smaller},
    {"SVDF", "int8", svdf},
    {"UNIDIRECTIONAL_SEQUENCE_LSTM", "int8", lstm_8},
    {"UNIDIRECTIONAL_SEQUENCE_LSTM", "float32", lstm_float},
    {"CIRCULAR_BUFFER", "int8", circular_buffer},
};

static enum bug bug_called(const char *name) {
  for (size_t i = 0; name && i < sizeof NAMES / sizeof NAMES[0]; ++i) {
    if (strcmp(NAMES[i], name) == 0) return (enum bug)i;
  }
  return NONE;
}

int refengine_kernel(const struct refengine_case *c) {
  planted = bug_called(getenv("PLANTED"));
  for (size_t i = 0; i < sizeof KERNELS / sizeof KERNELS[0]; ++i) {
    if (refengine_is(c, KERNELS[i].op, KERNELS[i].dtype)) return KERNELS[i].run(c);
  }
  return REFENGINE_UNSUPPORTED;
}
