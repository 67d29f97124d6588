/* DEPTHWISE_CONV_2D: out[y, x, oc] = activation(Σ_{fy, fx} (in[iy, ix, oc / m] + input_offset) · filter[fy, fx, oc] + bias).
 *
 * TFLM: kernels/depthwise_conv.cc. refengine: kernels/depthwise_conv.py. m is the depth multiplier. Taps outside the
 * image count as the input's zero point.
 */
#include "layers.h"

/* A filter position: from `first` on, `end` not included, its taps lie inside the image. */
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

/* acc[0 … 3] += the products of up to four neighbouring channels over the taps inside; of each tap outside, its filter
 * times the zero point. `at` is where the window begins in the input, maybe before it. */
static void four_channels(const struct depthwise_conv_int8_params *p, const int8_t *input, int32_t at,
                          const int8_t *filter, struct taps rows, struct taps columns, int32_t row_step, int32_t column_step,
                          const int32_t from[4], int32_t count, int32_t acc[4]) {
  const struct window *w = &p->window;
  const int32_t depth = w->output_depth, zero_point = -FAULT_ZERO_POINT(p->input_offset);
  for (int32_t fy = 0; fy < w->filter_height; ++fy) {
    const int32_t is_row_inside = fy >= rows.first && fy < rows.end;
    for (int32_t fx = 0; fx < w->filter_width; ++fx) {
      if (is_row_inside && fx >= columns.first && fx < columns.end) {
        const int8_t *x = input + at + fy * row_step + fx * column_step;
        if (count == 4) {
          acc[0] += x[from[0]] * filter[0];
          acc[1] += x[from[1]] * filter[1];
          acc[2] += x[from[2]] * filter[2];
          acc[3] += x[from[3]] * filter[3];
        } else {
          for (int32_t k = 0; k < count; ++k) {
            acc[k] += x[from[k]] * filter[k];
          }
        }
      } else {
        for (int32_t k = 0; k < count; ++k) {
          acc[k] += zero_point * filter[k];
        }
      }
      filter += depth;
    }
  }
}

void depthwise_conv_int8(const struct depthwise_conv_int8_params *p, const int8_t *input, const int8_t *filter,
                         const int32_t *bias, int8_t *output) {
  const struct window *w = &p->window;
  const int32_t depth = w->output_depth, taps = w->filter_height * w->filter_width;
  const int32_t column_step = w->dilation_width_factor * w->input_depth;
  const int32_t row_step = w->dilation_height_factor * w->input_width * w->input_depth;
  for (int32_t batch = 0; batch < w->batches; ++batch) {
    for (int32_t y = 0; y < w->output_height; ++y) {
      const int32_t iy = y * w->stride_height - FAULT_PAD(w->padding_height);
      const struct taps rows = taps_inside(iy, w->dilation_height_factor, w->filter_height, w->input_height);
      for (int32_t x = 0; x < w->output_width; ++x) {
        const int32_t ix = x * w->stride_width - FAULT_PAD(w->padding_width);
        const struct taps columns = taps_inside(ix, w->dilation_width_factor, w->filter_width, w->input_width);
        const int32_t at = (iy * w->input_width + ix) * w->input_depth;
        for (int32_t c = 0; c < depth; c += 4) {
          const int32_t count = depth - c < 4 ? depth - c : 4, m = p->depth_multiplier;
          const int32_t from[4] = {c / m, (c + 1) / m, (c + 2) / m, (c + 3) / m};
          int32_t acc[4] = {0, 0, 0, 0};
          four_channels(p, input, at, filter + c, rows, columns, row_step, column_step, from, count, acc);
          for (int32_t k = 0; k < count; ++k) {
            const int32_t folded = fault_bias(bias[c + k], p->input_offset, filter + c + k, taps, depth);
            output[c + k] = requantized(&p->requantize, multiplier_of(&p->requantize, c + k), add_wrap(acc[k], folded));
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
