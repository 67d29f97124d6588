/* MAX_POOL_2D, AVERAGE_POOL_2D of int16. Taps outside the image do not count.
 *
 * TFLM: kernels/pooling.cc. refengine: kernels/pooling.py.
 */
#include "kernels.h"

/* What the window's taps inside the image come to, in one channel. */
struct taps {
  int32_t largest, sum, count;
};

static struct taps taps_of(const struct window *w, const int16_t *channel, int32_t y, int32_t x) {
  struct taps taps = {INT16_MIN, 0, 0};
  for (int32_t fy = 0; fy < w->filter_height; ++fy) {
    const int32_t iy = y * w->stride_height - w->padding_height + fy;
    for (int32_t fx = 0; fx < w->filter_width && iy >= 0 && iy < w->input_height; ++fx) {
      const int32_t ix = x * w->stride_width - w->padding_width + fx;
      if (ix >= 0 && ix < w->input_width) {
        const int32_t code = channel[(iy * w->input_width + ix) * w->input_depth];
        taps.largest = code > taps.largest ? code : taps.largest;
        taps.sum += code;
        ++taps.count;
      }
    }
  }
  return taps;
}

/* Rounded half away from zero. */
static int32_t mean_of(struct taps taps) {
  return (taps.sum > 0 ? taps.sum + taps.count / 2 : taps.sum - taps.count / 2) / taps.count;
}

static void pool(const struct pool_int8_params *p, const int16_t *input, int16_t *output, int is_mean) {
  const struct window *w = &p->window;
  for (int32_t batch = 0; batch < w->batches; ++batch) {
    for (int32_t y = 0; y < w->output_height; ++y) {
      for (int32_t x = 0; x < w->output_width; ++x) {
        for (int32_t c = 0; c < w->input_depth; ++c) {
          const struct taps taps = taps_of(w, input + c, y, x);
          const int32_t code = is_mean ? mean_of(taps) : taps.largest;
          *output++ = (int16_t)clamp(code, p->activation_min, p->activation_max);
        }
      }
    }
    input += w->input_height * w->input_width * w->input_depth;
  }
}

void max_pool_int16(const struct pool_int8_params *p, const int16_t *input, int16_t *output) {
  pool(p, input, output, 0);
}

void average_pool_int16(const struct pool_int8_params *p, const int16_t *input, int16_t *output) {
  pool(p, input, output, 1);
}
