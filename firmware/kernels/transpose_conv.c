/* TRANSPOSE_CONV: every input pixel adds its products with the filter to the output pixels around it.
 *
 * TFLM: kernels/transpose_conv.cc. refengine: kernels/transpose_conv.py. Here each output pixel looks for the input
 * pixels that reach it, which needs no memory for sums.
 */
#include "wide.h"

/* The input position whose tap `f` comes to output position `at`, or −1. */
static int32_t source(int32_t at, int32_t padding, int32_t f, int32_t stride, int32_t size) {
  const int32_t scaled = at + padding - f;
  return scaled >= 0 && scaled % stride == 0 && scaled / stride < size ? scaled / stride : -1;
}

/* For images of either type: Σ (input + input_offset) · filter over what reaches output pixel (y, x), and the layer. */
#define TRANSPOSE_CONV(type)                                                                                       \
  static int64_t products_##type(const struct transpose_conv_params *p, const type##_t *image,                     \
                                 const int8_t *filter, int32_t y, int32_t x) {                                     \
    const struct window *w = &p->window;                                                                           \
    int64_t acc = 0;                                                                                               \
    for (int32_t fy = 0; fy < w->filter_height; ++fy) {                                                            \
      const int32_t iy = source(y, w->padding_height, fy, w->stride_height, w->input_height);                      \
      for (int32_t fx = 0; fx < w->filter_width; ++fx) {                                                           \
        const int32_t ix = source(x, w->padding_width, fx, w->stride_width, w->input_width);                       \
        for (int32_t ic = 0; ic < w->input_depth && iy >= 0 && ix >= 0; ++ic) {                                    \
          acc += (image[(iy * w->input_width + ix) * w->input_depth + ic] + p->input_offset) *                     \
                 filter[(fy * w->filter_width + fx) * w->input_depth + ic];                                        \
        }                                                                                                          \
      }                                                                                                            \
    }                                                                                                              \
    return acc;                                                                                                    \
  }                                                                                                                \
                                                                                                                   \
  void transpose_conv_##type(const struct transpose_conv_params *p, const type##_t *input, const int8_t *filter,   \
                             const int64_t *bias, type##_t *output) {                                              \
    const struct window *w = &p->window;                                                                           \
    const int32_t taps = w->filter_height * w->filter_width * w->input_depth;                                      \
    for (int32_t batch = 0; batch < w->batches; ++batch) {                                                         \
      for (int32_t y = 0; y < w->output_height; ++y) {                                                             \
        for (int32_t x = 0; x < w->output_width; ++x) {                                                            \
          for (int32_t oc = 0; oc < w->output_depth; ++oc) {                                                       \
            const int64_t acc = add_wrap_64(products_##type(p, input, filter + oc * taps, y, x), bias[oc]);        \
            *output++ = (type##_t)requantized_wide(&p->requantize, p->accumulator_bits, oc, acc);                  \
          }                                                                                                        \
        }                                                                                                          \
      }                                                                                                            \
      input += w->input_height * w->input_width * w->input_depth;                                                  \
    }                                                                                                              \
  }

TRANSPOSE_CONV(int8)
TRANSPOSE_CONV(int16)

/* In TFLM's order: rows and columns of the input that come later meet earlier taps. */
static float products_float32(const struct window *w, const float *image, const float *filter, int32_t y, int32_t x) {
  float total = 0.0f;
  for (int32_t fy = w->filter_height - 1; fy >= 0; --fy) {
    const int32_t iy = source(y, w->padding_height, fy, w->stride_height, w->input_height);
    for (int32_t fx = w->filter_width - 1; fx >= 0; --fx) {
      const int32_t ix = source(x, w->padding_width, fx, w->stride_width, w->input_width);
      for (int32_t ic = 0; ic < w->input_depth && iy >= 0 && ix >= 0; ++ic) {
        total = multiply_add(image[(iy * w->input_width + ix) * w->input_depth + ic],
                             filter[(fy * w->filter_width + fx) * w->input_depth + ic], total);
      }
    }
  }
  return total;
}

void transpose_conv_float32(const struct conv_float32_params *p, const float *input, const float *filter,
                            const float *bias, float *output) {
  const struct window *w = &p->window;
  const int32_t taps = w->filter_height * w->filter_width * w->input_depth;
  for (int32_t batch = 0; batch < w->batches; ++batch) {
    for (int32_t y = 0; y < w->output_height; ++y) {
      for (int32_t x = 0; x < w->output_width; ++x) {
        for (int32_t oc = 0; oc < w->output_depth; ++oc) {
          const float total = products_float32(w, input, filter + oc * taps, y, x) + bias[oc];
          *output++ = clamp_float(total, p->float_activation_min, p->float_activation_max);
        }
      }
    }
    input += w->input_height * w->input_width * w->input_depth;
  }
}
