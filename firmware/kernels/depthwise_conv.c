/* DEPTHWISE_CONV_2D: out[y, x, oc] = activation(Σ_{fy, fx} (in[iy, ix, oc / m] + input_offset) · filter[fy, fx, oc] + bias).
 *
 * TFLM: kernels/depthwise_conv.cc. refengine: kernels/depthwise_conv.py. m is the depth multiplier. Taps outside the
 * image count as the input's zero point.
 */
#include <string.h>

#include "dot.h"
#include "layers.h"
#include "mve.h"
#include "packed.h"

/* The taps along one dimension that lie inside the image: from `first` on, `end` not included. */
struct taps {
  int32_t first, end;
};

static struct taps taps_inside(int32_t start, int32_t dilation, int32_t filter, int32_t size) {
  const int32_t before = start < 0 ? (dilation - 1 - start) / dilation : 0;
  const int32_t within = start < size ? (size - 1 - start) / dilation + 1 : 0;
  const struct taps inside = {clamp(before, 0, filter), clamp(within, clamp(before, 0, filter), filter)};
  return inside;
}

/* One window: where it begins in the input (maybe before it), and which of its taps lie inside the image. */
struct place {
  int32_t at;
  struct taps rows, columns;
};

/* The sums of products of four channels from c on, which have an input channel each, or share one; taps outside are the
 * zero point. */
static void four_channels(const struct depthwise_conv_int8_params *p, const int8_t *input, const int8_t *filter,
                          const struct place *place, int32_t c, int32_t acc[4]) {
  const struct window *w = &p->window;
  const int32_t row_step = w->dilation_height_factor * w->input_width * w->input_depth;
  const int32_t column_step = w->dilation_width_factor * w->input_depth, depth = w->output_depth;
  const int32_t m = p->depth_multiplier, zero_point = -p->input_offset;
  int32_t sums[4] = {0, 0, 0, 0};
  filter += c;
  for (int32_t fy = 0; fy < w->filter_height; ++fy) {
    const int32_t is_row_inside = fy >= place->rows.first && fy < place->rows.end;
    const int32_t first = is_row_inside ? place->columns.first : w->filter_width;
    const int32_t end = is_row_inside ? place->columns.end : w->filter_width;
    int32_t tap = place->at + fy * row_step + first * column_step + c / m, fx = 0;
    for (; fx < first; ++fx, filter += depth) {
      four_scaled(zero_point, filter, sums);
    }
    for (; fx < end; ++fx, filter += depth, tap += column_step) {
      if (m == 1) {
        four_products(input + tap, filter, sums);
      } else {
        four_scaled(input[tap], filter, sums);
      }
    }
    for (; fx < w->filter_width; ++fx, filter += depth) {
      four_scaled(zero_point, filter, sums);
    }
  }
  memcpy(acc, sums, sizeof sums);
}

/* The same of channel c alone, whichever its input channel. */
static int32_t one_channel(const struct depthwise_conv_int8_params *p, const int8_t *input, const int8_t *filter,
                           const struct place *place, int32_t c) {
  const struct window *w = &p->window;
  int32_t acc = 0;
  for (int32_t fy = 0; fy < w->filter_height; ++fy) {
    for (int32_t fx = 0; fx < w->filter_width; ++fx) {
      const int32_t weight = filter[(fy * w->filter_width + fx) * w->output_depth + c];
      if (fy < place->rows.first || fy >= place->rows.end || fx < place->columns.first || fx >= place->columns.end) {
        acc -= p->input_offset * weight;
      } else {
        const int32_t dy = fy * w->dilation_height_factor, dx = fx * w->dilation_width_factor;
        acc += input[place->at + (dy * w->input_width + dx) * w->input_depth + c / p->depth_multiplier] * weight;
      }
    }
  }
  return acc;
}

#ifdef REFENGINE_MVE_LAYERS
#define TAPS 32 /* of a window that Helium takes */

/* Where a window's taps are: first `inside` of them in the image, then those outside, whose input is the zero point.
 * Most windows have the same, so that they are looked for where `place` tells other rows or columns only. */
struct taps_mve {
  struct taps rows, columns;
  int32_t inputs[TAPS], filters[TAPS]; /* from the window's first input and the filter's first weight */
  int32_t inside, all;
};

static int32_t is_same(struct taps a, struct taps b) { return a.first == b.first && a.end == b.end; }

static void find_taps(const struct window *w, const struct place *place, struct taps_mve *to) {
  int32_t inside = 0, outside = w->filter_height * w->filter_width;
  if (to->all == outside && is_same(to->rows, place->rows) && is_same(to->columns, place->columns)) {
    return;
  }
  to->all = outside, to->rows = place->rows, to->columns = place->columns;
  for (int32_t fy = 0; fy < w->filter_height; ++fy) {
    const int32_t is_row_inside = fy >= place->rows.first && fy < place->rows.end;
    for (int32_t fx = 0; fx < w->filter_width; ++fx) {
      const int32_t filter = (fy * w->filter_width + fx) * w->output_depth;
      if (is_row_inside && fx >= place->columns.first && fx < place->columns.end) {
        const int32_t dy = fy * w->dilation_height_factor, dx = fx * w->dilation_width_factor;
        to->inputs[inside] = (dy * w->input_width + dx) * w->input_depth;
        to->filters[inside++] = filter;
      } else {
        to->filters[--outside] = filter;
      }
    }
  }
  to->inside = inside;
}

INLINE void add_products(int16x8_t x, int16x8_t w, int32x4x2_t *sums) {
  sums->val[0] = vaddq_s32(sums->val[0], vmullbq_int_s16(x, w));
  sums->val[1] = vaddq_s32(sums->val[1], vmulltq_int_s16(x, w));
}

/* Sixteen channels, or with `both` 0 the first eight of them: of each eight the even ones' sums and the odd ones'. */
INLINE void sums_16(const struct taps_mve *taps, const int8_t *input, const int8_t *filter, int8_t zero_point,
                           int32_t both, int32x4x2_t *first, int32x4x2_t *second) {
  const int32_t *x = taps->inputs, *w = taps->filters, *const all = w + taps->all;
  first->val[0] = first->val[1] = second->val[0] = second->val[1] = vdupq_n_s32(0);
  for (const int32_t *const inside = w + taps->inside; w != inside;) {
    const int8_t *in = input + *x++, *weights = filter + *w++;
    add_products(vldrbq_s16(in), vldrbq_s16(weights), first);
    if (both) {
      add_products(vldrbq_s16(in + 8), vldrbq_s16(weights + 8), second);
    }
  }
  for (const int16x8_t outside = vdupq_n_s16(zero_point); w != all;) {
    const int8_t *weights = filter + *w++;
    add_products(outside, vldrbq_s16(weights), first);
    if (both) {
      add_products(outside, vldrbq_s16(weights + 8), second);
    }
  }
}

/* The codes of eight channels from c on, each with its multiplier, none of which shifts to the left. */
static inline void put_codes_8(const struct requantize *r, int32x4x2_t sums, const int32_t *bias, int32_t c,
                               int8_t *output) {
  const int32x4x2_t biases = vld2q_s32(bias + c);
  const int32x4x4_t m = vld4q_s32(&r->output_multiplier[c].multiplier); /* and shifts, even channels' and odd ones' */
  const int32x4_t evens = vaddq_s32(sums.val[0], biases.val[0]), odds = vaddq_s32(sums.val[1], biases.val[1]);
  const int32x4_t even = scaled_right_4(evens, m.val[0], m.val[1]), odd = scaled_right_4(odds, m.val[2], m.val[3]);
  const int16x8_t scaled = vqmovntq_s32(vqmovnbq_s32(vdupq_n_s16(0), even), odd);
  const int16x8_t code = vqaddq_n_s16(scaled, (int16_t)r->output_offset);
  const int16x8_t low = vdupq_n_s16((int16_t)r->output_activation_min);
  const int16x8_t high = vdupq_n_s16((int16_t)r->output_activation_max);
  vstrbq_s16(output + c, vminq_s16(vmaxq_s16(code, low), high));
}

/* Up to four channels. */
static inline int32x4_t sums_4(const struct taps_mve *taps, const int8_t *input, const int8_t *filter,
                               int8_t zero_point, mve_pred16_t some) {
  int32x4_t sums = vdupq_n_s32(0);
  int32_t k = 0;
  for (; k < taps->inside; ++k) {
    const int32x4_t x = vldrbq_z_s32(input + taps->inputs[k], some);
    sums = vaddq_s32(sums, vmulq_s32(x, vldrbq_z_s32(filter + taps->filters[k], some)));
  }
  for (; k < taps->all; ++k) {
    sums = vmlaq_n_s32(sums, vldrbq_z_s32(filter + taps->filters[k], some), zero_point);
  }
  return sums;
}

/* All channels of one window. */
static void window_mve(const struct depthwise_conv_int8_params *p, const struct taps_mve *taps, const int8_t *input,
                       const int8_t *filter, const int32_t *bias, int32_t by_eights, int8_t *output) {
  const struct requantize r = p->requantize;
  const int32_t depth = p->window.output_depth;
  const int8_t zero_point = (int8_t)-p->input_offset;
  int32_t c = 0;
  int32x4x2_t first, second;
  for (; c + 16 <= depth && by_eights; c += 16) {
    sums_16(taps, input + c, filter + c, zero_point, 1, &first, &second);
    put_codes_8(&r, first, bias, c, output);
    put_codes_8(&r, second, bias, c + 8, output);
  }
  for (; c + 8 <= depth && by_eights; c += 8) {
    sums_16(taps, input + c, filter + c, zero_point, 0, &first, &second);
    put_codes_8(&r, first, bias, c, output);
  }
  for (; c < depth; c += 4) {
    const mve_pred16_t some = vctp32q((uint32_t)(depth - c));
    const int32x4_t acc = vaddq_s32(sums_4(taps, input + c, filter + c, zero_point, some),
                                    vldrwq_z_s32(bias + c, some));
    const int32x4x2_t m = multipliers_4(&r, c, some);
    vstrbq_p_s32(output + c, codes_4(&r, scaled_4(acc, m.val[0], m.val[1])), some);
  }
}
#endif

void depthwise_conv_int8(const struct depthwise_conv_int8_params *p, const int8_t *input, const int8_t *filter,
                         const int32_t *bias, int8_t *output) {
  const struct window *w = &p->window;
  const int32_t depth = w->output_depth;
  const struct requantize requantize = p->requantize;
#ifdef REFENGINE_MVE_LAYERS
  const int32_t taps = w->filter_height * w->filter_width;
  struct taps_mve found = {.all = 0};
  const int32_t by_eights = requantize.per_channel && shifts_right(&requantize, depth);
#endif
  for (int32_t batch = 0; batch < w->batches; ++batch) {
    for (int32_t y = 0; y < w->output_height; ++y) {
      const int32_t iy = y * w->stride_height - w->padding_height;
      struct place place = {0, taps_inside(iy, w->dilation_height_factor, w->filter_height, w->input_height), {0, 0}};
      for (int32_t x = 0; x < w->output_width; ++x) {
        const int32_t ix = x * w->stride_width - w->padding_width;
        place.columns = taps_inside(ix, w->dilation_width_factor, w->filter_width, w->input_width);
        place.at = (iy * w->input_width + ix) * w->input_depth;
#ifdef REFENGINE_MVE_LAYERS
        if (p->depth_multiplier == 1 && taps <= TAPS) {
          find_taps(w, &place, &found);
          window_mve(p, &found, input + place.at, filter, bias, by_eights, output);
          output += depth;
          continue;
        }
#endif
        for (int32_t c = 0; c < depth;) {
          int32_t acc[4], count = 1;
          if ((p->depth_multiplier == 1 || p->depth_multiplier % 4 == 0) && c + 4 <= depth) {
            four_channels(p, input, filter, &place, c, acc);
            count = 4;
          } else {
            acc[0] = one_channel(p, input, filter, &place, c);
          }
          for (int32_t k = 0; k < count; ++k, ++c) {
            output[c] = requantized(&requantize, multiplier_of(&requantize, c), add_wrap(acc[k], bias[c]));
          }
        }
        output += depth;
      }
    }
    input += w->input_height * w->input_width * w->input_depth;
  }
}

/* ---- packed ----
 *
 * Three lines of the input that lie across the window's way, four channels of them, become a band of columns: of each
 * channel a pair of taps of the first two lines, and the tap of the third. A window is three columns beside each other,
 * and while it slides along the band, its channel's weights stay in registers.
 *
 * The weights of four channels are 36 bytes, w[line][column]: for each channel w00 w01 w10 w11 w02 w20 w12 w21, then
 * the four w22.
 */

#if REFENGINE_MVE

/* By the kernel above. */
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
  depthwise_conv_int8(&params, input, filter, bias, output);
}

#else

#define BAND 40 /* columns; 32 times as many bytes of stack */

/* By channel; two int16 and a third, widened, one after another. */
struct band {
  _Alignas(8) int16_t taps[4][4 * BAND];
};

/* The taps of three lines at one column, and where the next ones are. */
struct lines {
  const int8_t *taps[3];
  int32_t steps[3];
};

/* `count` columns from the lines, from `column` of the band on. */
static inline int32_t put_columns(struct lines lines, int32_t count, struct band *band, int32_t column) {
  const int8_t *a = lines.taps[0], *b = lines.taps[1], *c = lines.taps[2];
  int16_t *to = band->taps[0] + 4 * column;
  for (; count > 0; --count, to += 4) {
    const int32_t first = four_bytes(a), second = four_bytes(b), third = four_bytes(c);
    const int32_t a02 = even_bytes(first), a13 = odd_bytes(first), b02 = even_bytes(second), b13 = odd_bytes(second);
    const int32_t c02 = even_bytes(third), c13 = odd_bytes(third);
    put_two_pairs(to, lower_halves(a02, b02), c02);
    put_two_pairs(to + 4 * BAND, lower_halves(a13, b13), c13);
    put_two_pairs(to + 8 * BAND, upper_halves(a02, b02), c02 >> 16);
    put_two_pairs(to + 12 * BAND, upper_halves(a13, b13), c13 >> 16);
    a += lines.steps[0], b += lines.steps[1], c += lines.steps[2], ++column;
  }
  return column;
}

/* Columns `first` and the `count` − 1 behind it of the band whose lines begin at line `across`. */
static void make_band(const struct depthwise_conv_int8_packed_params *p, const int8_t *input, int32_t across,
                      int32_t first, int32_t count, struct band *band) {
  const int8_t zero_point = (int8_t)-p->input_offset, zeros[4] = {zero_point, zero_point, zero_point, zero_point};
  const struct lines outside = {{zeros, zeros, zeros}, {0, 0, 0}};
  const int32_t step = p->along.input_step, last = first + count, size = p->along.input_size;
  const int32_t from = clamp(0, first, last), to = clamp(size, from, last);
  struct lines lines = outside;
  for (int32_t k = 0; k < 3; ++k) {
    if (across + k >= 0 && across + k < p->across.input_size) {
      lines.taps[k] = input + (across + k) * p->across.input_step + from * step;
      lines.steps[k] = step;
    }
  }
  int32_t column = put_columns(outside, from - first, band, 0);
  column = put_columns(lines, to - from, band, column);
  put_columns(outside, last - to, band, column);
}

/* One channel along its part of the band. */
static void slide(const struct direction *along, const int16_t *x, const int8_t *filter, int8_t filter22,
                  struct scaling scaling, int32_t bias, int32_t count, int8_t *output) {
  const int32_t front = four_bytes(filter), back = four_bytes(filter + 4);
  const int32_t w0 = even_bytes(front), w1 = odd_bytes(front), w2 = even_bytes(back), third01 = odd_bytes(back);
  const int32_t third2 = filter22, output_step = along->output_step, x_back = 12 - 4 * along->stride;
  for (; count > 0; --count, output += output_step) {
    int32_t pair, third;
    x = two_pairs(x, &pair, &third);
    int32_t acc = multiply_lower(third, third01, multiply_pairs(pair, w0, bias));
    x = two_pairs(x, &pair, &third);
    acc = multiply_across(third, third01, multiply_pairs(pair, w1, acc));
    x = two_pairs(x, &pair, &third);
    acc = multiply_lower(third, third2, multiply_pairs(pair, w2, acc));
    *output = code_of(scaling, acc);
    x -= x_back;
  }
}

void depthwise_conv_int8_packed(const struct depthwise_conv_int8_packed_params *p, const int8_t *input,
                                const int8_t *filter, const int32_t *bias, int8_t *output) {
  const struct direction *along = &p->along, *across = &p->across;
  const struct requantize *r = &p->requantize;
  const int32_t most = (BAND - 3) / along->stride + 1; /* windows in a band */
  const int32_t codes = along->output_size * across->output_size * p->depth;
  struct band band;
  for (int32_t batch = 0; batch < p->batches; ++batch) {
    for (int32_t c = 0; c < p->depth; c += 4) {
      for (int32_t y = 0; y < across->output_size; ++y) {
        for (int32_t x = 0; x < along->output_size; x += most) {
          const int32_t count = along->output_size - x < most ? along->output_size - x : most;
          int8_t *to = output + y * across->output_step + x * along->output_step + c;
          make_band(p, input + c, y * across->stride - across->padding, x * along->stride - along->padding,
                    (count - 1) * along->stride + 3, &band);
          for (int32_t k = 0; k < 4; ++k) {
            const struct scaling scaling = scaling_of(r, r->output_multiplier + (c + k) * r->per_channel);
            const int8_t *weights = filter + 9 * c;
            slide(along, band.taps[k], weights + 8 * k, weights[32 + k], scaling, bias[c + k], count, to + k);
          }
        }
      }
    }
    input += along->input_size * across->input_size * p->depth;
    output += codes;
  }
  clamp_codes(r, output - p->batches * codes, p->batches * codes);
}

#endif

/* Each sum in TFLM's order from 0.0, the bias last. */
void depthwise_conv_float32(const struct depthwise_conv_float32_params *p, const float *input, const float *filter,
                            const float *bias, float *output) {
  const struct window *w = &p->window;
  for (int32_t batch = 0; batch < w->batches; ++batch) {
    for (int32_t y = 0; y < w->output_height; ++y) {
      const int32_t iy = y * w->stride_height - w->padding_height;
      const struct taps rows = taps_inside(iy, w->dilation_height_factor, w->filter_height, w->input_height);
      for (int32_t x = 0; x < w->output_width; ++x) {
        const int32_t ix = x * w->stride_width - w->padding_width;
        const struct taps columns = taps_inside(ix, w->dilation_width_factor, w->filter_width, w->input_width);
        for (int32_t c = 0; c < w->output_depth; ++c) {
          float total = 0.0f;
          for (int32_t fy = rows.first; fy < rows.end; ++fy) {
            for (int32_t fx = columns.first; fx < columns.end; ++fx) {
              const int32_t row = iy + fy * w->dilation_height_factor, column = ix + fx * w->dilation_width_factor;
              total = multiply_add(input[(row * w->input_width + column) * w->input_depth + c / p->depth_multiplier],
                                   filter[(fy * w->filter_width + fx) * w->output_depth + c], total);
            }
          }
          *output++ = clamp_float(total + bias[c], p->float_activation_min, p->float_activation_max);
        }
      }
    }
    input += w->input_height * w->input_width * w->input_depth;
  }
}
