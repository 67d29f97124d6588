/* DEPTHWISE_CONV_2D of int16: each output channel sees input channel c / depth_multiplier only. Zero points are 0.
 *
 * TFLM: kernels/depthwise_conv.cc. refengine: kernels/depthwise_conv.py.
 */
#include "wide.h"

/* The sum of products of channel `oc` over the part of the window that lies inside the image. */
static int64_t products(const struct window *w, const int16_t *channel, const int8_t *weights, int32_t y, int32_t x) {
  int64_t acc = 0;
  for (int32_t fy = 0; fy < w->filter_height; ++fy) {
    const int32_t iy = y * w->stride_height - w->padding_height + fy * w->dilation_height_factor;
    for (int32_t fx = 0; fx < w->filter_width && iy >= 0 && iy < w->input_height; ++fx) {
      const int32_t ix = x * w->stride_width - w->padding_width + fx * w->dilation_width_factor;
      if (ix >= 0 && ix < w->input_width) {
        acc += channel[(iy * w->input_width + ix) * w->input_depth] *
               weights[(fy * w->filter_width + fx) * w->output_depth];
      }
    }
  }
  return acc;
}

void depthwise_conv_int16(const struct depthwise_conv_int16_params *p, const int16_t *input, const int8_t *filter,
                          const int64_t *bias, int16_t *output) {
  const struct window *w = &p->window;
  for (int32_t batch = 0; batch < w->batches; ++batch) {
    for (int32_t y = 0; y < w->output_height; ++y) {
      for (int32_t x = 0; x < w->output_width; ++x) {
        for (int32_t oc = 0; oc < w->output_depth; ++oc) {
          const int64_t acc = add_wrap_64(products(w, input + oc / p->depth_multiplier, filter + oc, y, x), bias[oc]);
          *output++ = requantized_wide(&p->requantize, p->accumulator_bits, oc, acc);
        }
      }
    }
    input += w->input_height * w->input_width * w->input_depth;
  }
}
