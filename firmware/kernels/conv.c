/* CONV_2D: out[y, x, oc] = activation(Σ_{fy, fx, ic} (in[iy, ix, ic] + input_offset) · filter[oc, fy, fx, ic] + bias[oc]).
 *
 * TFLM: kernels/conv.cc. refengine: kernels/conv.py. Taps outside the image count as the input's zero point.
 */
#include "dot.h"
#include "layers.h"

/* One output position: where its window begins in the image (maybe outside), and at which input. */
struct position {
  int32_t iy, ix;
  int64_t input; /* index of input[batch, iy, ix, 0] */
  int32_t is_inside;
};

static struct position position_of(const struct window *w, int32_t batch, int32_t y, int32_t x) {
  struct position at;
  at.iy = y * w->stride_height - FAULT_PAD(w->padding_height);
  at.ix = x * w->stride_width - FAULT_PAD(w->padding_width);
  at.input = (((int64_t)batch * w->input_height + at.iy) * w->input_width + at.ix) * w->input_depth;
  at.is_inside = at.iy >= 0 && at.ix >= 0 &&
                 at.iy + (w->filter_height - 1) * w->dilation_height_factor < w->input_height &&
                 at.ix + (w->filter_width - 1) * w->dilation_width_factor < w->input_width;
  return at;
}

/* Two positions, both inside, times two channels' filters: acc[0 … 3] are (first, second position) × (w0, w1).
 * Where the taps of a filter row lie side by side in the image, they are one run. */
static void inside_2x2(const struct conv_int8_params *p, const int8_t *x0, const int8_t *x1, const int8_t *w0,
                       const int8_t *w1, int32_t acc[4]) {
  const struct window *w = &p->window;
  const int32_t row = w->dilation_height_factor * w->input_width * w->input_depth;
  const int32_t contiguous = w->dilation_width_factor == 1 && p->filter_depth == w->input_depth;
  const int32_t runs = contiguous ? 1 : w->filter_width;
  const int32_t run = contiguous ? w->filter_width * p->filter_depth : p->filter_depth;
  const int32_t step = w->dilation_width_factor * w->input_depth;
  for (int32_t fy = 0; fy < w->filter_height; ++fy) {
    for (int32_t r = 0; r < runs; ++r) {
      const int32_t offset = fy * row + r * step;
      dot_2x2(x0 + offset, x1 + offset, w0, w1, run, acc);
      w0 += run;
      w1 += run;
    }
  }
}

/* One position times one channel's filter, with a look at every tap. */
static int32_t at_border(const struct conv_int8_params *p, struct position at, const int8_t *input, int32_t ic,
                         const int8_t *filter, int32_t acc) {
  const struct window *w = &p->window;
  for (int32_t fy = 0; fy < w->filter_height; ++fy) {
    const int32_t dy = fy * w->dilation_height_factor;
    for (int32_t fx = 0; fx < w->filter_width; ++fx) {
      const int32_t dx = fx * w->dilation_width_factor;
      if (at.iy + dy >= 0 && at.iy + dy < w->input_height && at.ix + dx >= 0 && at.ix + dx < w->input_width) {
        acc = dot(input + at.input + (dy * w->input_width + dx) * w->input_depth + ic, filter, p->filter_depth, acc);
      } else {
        acc -= FAULT_ZERO_POINT(p->input_offset) * sum(filter, p->filter_depth);
      }
      filter += p->filter_depth;
    }
  }
  return acc;
}

/* Output positions two by two, channels two by two; a lone last one is its own partner. */
void conv_int8(const struct conv_int8_params *p, const int8_t *input, const int8_t *filter, const int32_t *bias,
               int8_t *output) {
  const struct window *w = &p->window;
  const int32_t taps = w->filter_height * w->filter_width * p->filter_depth;
  const int32_t group_channels = w->output_depth / (w->input_depth / p->filter_depth);
  const int32_t positions = w->output_height * w->output_width;
  for (int32_t batch = 0; batch < w->batches; ++batch) {
    int32_t y = 0, x = 0;
    for (int32_t n = 0; n < positions; n += 2) {
      const struct position first = position_of(w, batch, y, x);
      struct position second = first;
      int8_t *out[2] = {output + n * w->output_depth, output + n * w->output_depth};
      if (++x == w->output_width) {
        x = 0;
        ++y;
      }
      if (n + 1 < positions) {
        second = position_of(w, batch, y, x);
        out[1] += w->output_depth;
        if (++x == w->output_width) {
          x = 0;
          ++y;
        }
      }
      for (int32_t c = 0; c < w->output_depth;) {
        const int32_t group = c / group_channels, ic = group * p->filter_depth;
        const int32_t d = c + 1 < (group + 1) * group_channels ? c + 1 : c;
        const int8_t *w0 = filter + c * taps, *w1 = filter + d * taps;
        const int32_t b0 = fault_bias(bias[c], p->input_offset, w0, taps, 1);
        const int32_t b1 = fault_bias(bias[d], p->input_offset, w1, taps, 1);
        int32_t acc[4] = {0, 0, 0, 0};
        if (first.is_inside && second.is_inside) {
          inside_2x2(p, input + first.input + ic, input + second.input + ic, w0, w1, acc);
        } else {
          acc[0] = at_border(p, first, input, ic, w0, 0);
          acc[1] = at_border(p, first, input, ic, w1, 0);
          acc[2] = at_border(p, second, input, ic, w0, 0);
          acc[3] = at_border(p, second, input, ic, w1, 0);
        }
        const int32_t oc = FAULT_CHANNEL(c, w->output_depth), od = FAULT_CHANNEL(d, w->output_depth);
        out[0][oc] = requantized(&p->requantize, c, add_wrap(acc[0], b0));
        out[0][od] = requantized(&p->requantize, d, add_wrap(acc[1], b1));
        out[1][oc] = requantized(&p->requantize, c, add_wrap(acc[2], b0));
        out[1][od] = requantized(&p->requantize, d, add_wrap(acc[3], b1));
        c = d + 1;
      }
    }
    output += positions * w->output_depth;
  }
}

/* Each sum in TFLM's order from 0.0, the bias last; four channels side by side hide the waiting of one sum. */
void conv_float32(const struct conv_float32_params *p, const float *input, const float *filter, const float *bias,
                  float *output) {
  const struct window *w = &p->window;
  const int32_t depth = p->filter_depth;
  const int32_t taps = w->filter_height * w->filter_width * depth;
  const int32_t group_channels = w->output_depth / (w->input_depth / depth);
  for (int32_t batch = 0; batch < w->batches; ++batch) {
    for (int32_t y = 0; y < w->output_height; ++y) {
      for (int32_t x = 0; x < w->output_width; ++x) {
        const struct position at = position_of(w, batch, y, x);
        for (int32_t c = 0; c < w->output_depth;) {
          const int32_t group = c / group_channels, left = (group + 1) * group_channels - c;
          const int32_t side_by_side = left < 4 ? left : 4, stride = left < 4 ? 0 : taps;
          float total[4] = {0.0f, 0.0f, 0.0f, 0.0f};
          const int32_t count = left < 4 ? 1 : side_by_side;
          for (int32_t fy = 0; fy < w->filter_height; ++fy) {
            for (int32_t fx = 0; fx < w->filter_width; ++fx) {
              const int32_t dy = fy * w->dilation_height_factor, dx = fx * w->dilation_width_factor;
              if (at.iy + dy < 0 || at.iy + dy >= w->input_height || at.ix + dx < 0 || at.ix + dx >= w->input_width) {
                continue;
              }
              const float *in = input + at.input + (dy * w->input_width + dx) * w->input_depth + group * depth;
              const float *tap = filter + c * taps + (fy * w->filter_width + fx) * depth;
              for (int32_t ic = 0; ic < depth; ++ic) {
                total[0] = multiply_add(in[ic], tap[ic], total[0]);
                total[1] = multiply_add(in[ic], tap[ic + stride], total[1]);
                total[2] = multiply_add(in[ic], tap[ic + 2 * stride], total[2]);
                total[3] = multiply_add(in[ic], tap[ic + 3 * stride], total[3]);
              }
            }
          }
          for (int32_t k = 0; k < count; ++k, ++c) {
            output[FAULT_CHANNEL(c, w->output_depth)] = activated(total[k] + FAULT_FLOAT_BIAS(bias[c]),
                                                                  p->float_activation_min, p->float_activation_max);
          }
        }
        output += w->output_depth;
      }
    }
  }
}
