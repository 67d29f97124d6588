/* CONV_2D of int16: output[y, x, oc] = requantised(bias[oc] + Σ input · filter[oc]). Zero points are 0.
 *
 * TFLM: kernels/conv.cc. refengine: kernels/conv.py.
 */
#include "wide.h"

/* The sum of products over the part of the window that lies inside the image. */
static int64_t products(const struct conv_int16_params *p, const int16_t *image, const int8_t *filter, int32_t y,
                        int32_t x) {
  const struct window *w = &p->window;
  int64_t acc = 0;
  for (int32_t fy = 0; fy < w->filter_height; ++fy) {
    const int32_t iy = y * w->stride_height - w->padding_height + fy * w->dilation_height_factor;
    for (int32_t fx = 0; fx < w->filter_width && iy >= 0 && iy < w->input_height; ++fx) {
      const int32_t ix = x * w->stride_width - w->padding_width + fx * w->dilation_width_factor;
      if (ix < 0 || ix >= w->input_width) {
        continue;
      }
      const int16_t *in = image + (iy * w->input_width + ix) * w->input_depth;
      const int8_t *weights = filter + (fy * w->filter_width + fx) * p->filter_depth;
      for (int32_t ic = 0; ic < p->filter_depth; ++ic) {
        acc += in[ic] * weights[ic];
      }
    }
  }
  return acc;
}

void conv_int16(const struct conv_int16_params *p, const int16_t *input, const int8_t *filter, const int64_t *bias,
                int16_t *output) {
  const struct window *w = &p->window;
  const int32_t taps = w->filter_height * w->filter_width * p->filter_depth;
  const int32_t channels_per_group = w->output_depth / (w->input_depth / p->filter_depth);
  for (int32_t batch = 0; batch < w->batches; ++batch) {
    for (int32_t y = 0; y < w->output_height; ++y) {
      for (int32_t x = 0; x < w->output_width; ++x) {
        for (int32_t oc = 0; oc < w->output_depth; ++oc) {
          const int16_t *group = input + oc / channels_per_group * p->filter_depth;
          const int64_t acc = add_wrap_64(products(p, group, filter + oc * taps, y, x), bias[oc]);
          *output++ = requantized_wide(&p->requantize, p->accumulator_bits, oc, acc);
        }
      }
    }
    input += w->input_height * w->input_width * w->input_depth;
  }
}
