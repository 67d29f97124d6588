/* DEPTHWISE_CONV_2D: out[y, x, oc] = activation(Σ_{fy, fx} (in[iy, ix, oc / m] + input_offset) · filter[fy, fx, oc] + bias).
 *
 * TFLM: kernels/depthwise_conv.cc. refengine: kernels/depthwise_conv.py. m is the depth multiplier. Taps outside the
 * image count as the input's zero point.
 */
#include <string.h>

#include "dot.h"
#include "layers.h"

/* The taps along one dimension that lie inside the image: from `first` on, `end` not included. */
struct taps {
  int32_t first, end;
};

static struct taps taps_inside(int32_t start, int32_t dilation, int32_t filter, int32_t size) {
  struct taps inside = {0, filter};
  while (inside.first < filter && start + inside.first * dilation < 0) {
    ++inside.first;
  }
  while (inside.end > inside.first && start + (inside.end - 1) * dilation >= size) {
    --inside.end;
  }
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
  const int32_t m = p->depth_multiplier, zero_point = -FAULT_ZERO_POINT(p->input_offset);
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
        acc -= FAULT_ZERO_POINT(p->input_offset) * weight;
      } else {
        const int32_t dy = fy * w->dilation_height_factor, dx = fx * w->dilation_width_factor;
        acc += input[place->at + (dy * w->input_width + dx) * w->input_depth + c / p->depth_multiplier] * weight;
      }
    }
  }
  return acc;
}

void depthwise_conv_int8(const struct depthwise_conv_int8_params *p, const int8_t *input, const int8_t *filter,
                         const int32_t *bias, int8_t *output) {
  const struct window *w = &p->window;
  const int32_t depth = w->output_depth, taps = w->filter_height * w->filter_width;
  const struct requantize requantize = p->requantize;
  for (int32_t batch = 0; batch < w->batches; ++batch) {
    for (int32_t y = 0; y < w->output_height; ++y) {
      const int32_t iy = y * w->stride_height - FAULT_PAD(w->padding_height);
      struct place place = {0, taps_inside(iy, w->dilation_height_factor, w->filter_height, w->input_height), {0, 0}};
      for (int32_t x = 0; x < w->output_width; ++x) {
        const int32_t ix = x * w->stride_width - FAULT_PAD(w->padding_width);
        place.columns = taps_inside(ix, w->dilation_width_factor, w->filter_width, w->input_width);
        place.at = (iy * w->input_width + ix) * w->input_depth;
        for (int32_t c = 0; c < depth;) {
          int32_t acc[4], count = 1;
          if ((p->depth_multiplier == 1 || p->depth_multiplier % 4 == 0) && c + 4 <= depth) {
            four_channels(p, input, filter, &place, c, acc);
            count = 4;
          } else {
            acc[0] = one_channel(p, input, filter, &place, c);
          }
          for (int32_t k = 0; k < count; ++k, ++c) {
            const int32_t folded = fault_bias(bias[c], p->input_offset, filter + c, taps, depth);
            output[c] = requantized(&requantize, multiplier_of(&requantize, c), add_wrap(acc[k], folded));
          }
        }
        output += depth;
      }
    }
    input += w->input_height * w->input_width * w->input_depth;
  }
}

/* Each sum in TFLM's order from 0.0, the bias last. */
void depthwise_conv_float32(const struct depthwise_conv_float32_params *p, const float *input, const float *filter,
                            const float *bias, float *output) {
  const struct window *w = &p->window;
  for (int32_t batch = 0; batch < w->batches; ++batch) {
    for (int32_t y = 0; y < w->output_height; ++y) {
      const int32_t iy = y * w->stride_height - FAULT_PAD(w->padding_height);
      const struct taps rows = taps_inside(iy, w->dilation_height_factor, w->filter_height, w->input_height);
      for (int32_t x = 0; x < w->output_width; ++x) {
        const int32_t ix = x * w->stride_width - FAULT_PAD(w->padding_width);
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
          *output++ = activated(total + FAULT_FLOAT_BIAS(bias[c]), p->float_activation_min, p->float_activation_max);
        }
      }
    }
    input += w->input_height * w->input_width * w->input_depth;
  }
}
