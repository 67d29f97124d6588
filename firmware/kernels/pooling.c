/* MAX_POOL_2D, AVERAGE_POOL_2D: output[y, x, c] = activation(max or mean of input[iy, ix, c] in the window).
 *
 * TFLM: kernels/pooling.cc. refengine: kernels/pooling.py. Taps outside the image do not count.
 */
#include <float.h>
#include <string.h>

#include "kernels.h"
#include "layers.h"
#include "mve.h"

/* The part of a window inside the image: `height` rows of `width` positions from input index `start` on. */
struct part {
  int32_t start, height, width;
};

static struct part part_of(const struct window *w, int32_t batch, int32_t y, int32_t x) {
  const int32_t iy = y * w->stride_height - w->padding_height, ix = x * w->stride_width - w->padding_width;
  const int32_t top = iy > 0 ? iy : 0, left = ix > 0 ? ix : 0;
  const int32_t bottom = iy + w->filter_height, right = ix + w->filter_width;
  struct part part;
  part.height = (bottom < w->input_height ? bottom : w->input_height) - top;
  part.width = (right < w->input_width ? right : w->input_width) - left;
  part.start = ((batch * w->input_height + top) * w->input_width + left) * w->input_depth;
  return part;
}

/* The largest of each channel over the part of a window from `in` on. */
#ifdef REFENGINE_MVE_LAYERS
static void largest_of(const struct pool_int8_params *p, const struct part *part, const int8_t *in, int8_t *output) {
  const int32_t depth = p->window.input_depth;
  for (int32_t c = 0; c < depth; c += 16) {
    const mve_pred16_t some = vctp8q((uint32_t)(depth - c));
    const int8_t *row = in + c;
    int8x16_t largest = vdupq_n_s8((int8_t)p->activation_min);
    for (int32_t fy = 0; fy < part->height; ++fy, row += p->window.input_width * depth) {
      const int8_t *at = row;
      for (int32_t fx = 0; fx < part->width; ++fx, at += depth) {
        largest = vmaxq_s8(largest, vldrbq_z_s8(at, some));
      }
    }
    vstrbq_p_s8(output + c, vminq_s8(largest, vdupq_n_s8((int8_t)p->activation_max)), some);
  }
}
#else
/* largest[c] = max(largest[c], in[c]), four at a time. */
static void larger_of(int8_t *largest, const int8_t *in, int32_t count) {
  for (; count >= 4; count -= 4) {
    const int32_t a = largest[0], b = largest[1], c = largest[2], d = largest[3];
    const int32_t e = in[0], f = in[1], g = in[2], h = in[3];
    largest[0] = (int8_t)(e > a ? e : a);
    largest[1] = (int8_t)(f > b ? f : b);
    largest[2] = (int8_t)(g > c ? g : c);
    largest[3] = (int8_t)(h > d ? h : d);
    largest += 4, in += 4;
  }
  for (; count > 0; --count, ++largest, ++in) {
    *largest = *in > *largest ? *in : *largest;
  }
}

/* The largest so far are kept in the output, while the window's positions pass by. */
static void largest_of(const struct pool_int8_params *p, const struct part *part, const int8_t *in, int8_t *output) {
  const int32_t depth = p->window.input_depth, high = p->activation_max;
  memset(output, p->activation_min, (size_t)depth);
  for (int32_t fy = 0; fy < part->height; ++fy) {
    const int8_t *at = in + fy * p->window.input_width * depth;
    for (int32_t fx = 0; fx < part->width; ++fx, at += depth) {
      larger_of(output, at, depth);
    }
  }
  for (int32_t c = 0; c < depth && high < INT8_MAX; ++c) {
    output[c] = (int8_t)(output[c] > high ? high : output[c]);
  }
}
#endif

void max_pool_int8(const struct pool_int8_params *p, const int8_t *input, int8_t *output) {
  const struct window *w = &p->window;
  for (int32_t batch = 0; batch < w->batches; ++batch) {
    for (int32_t y = 0; y < w->output_height; ++y) {
      for (int32_t x = 0; x < w->output_width; ++x) {
        const struct part part = part_of(w, batch, y, x);
        largest_of(p, &part, input + part.start, output);
        output += w->input_depth;
      }
    }
  }
}

/* The sums of four channels, `next` apart, over the part of a window from `in` on. */
static inline void four_sums(const struct window *w, const struct part *part, const int8_t *in, int32_t next,
                             int32_t acc[4]) {
  int32_t a = 0, b = 0, c = 0, d = 0;
  for (int32_t fy = 0; fy < part->height; ++fy, in += w->input_width * w->input_depth) {
    const int8_t *at = in;
    for (int32_t fx = 0; fx < part->width; ++fx, at += w->input_depth) {
      a += at[0], b += at[next], c += at[2 * next], d += at[3 * next];
    }
  }
  acc[0] = a, acc[1] = b, acc[2] = c, acc[3] = d;
}

/* The mean of the codes, rounded half away from zero; the channels left of the last four are taken one by one. */
static void means_of(const struct pool_int8_params *p, const struct part *part, const int8_t *in, int8_t *output) {
  const int32_t depth = p->window.input_depth, count = part->height * part->width, half = count / 2;
  for (int32_t c = 0; c < depth;) {
    const int32_t channels = depth - c < 4 ? 1 : 4;
    int32_t acc[4];
    four_sums(&p->window, part, in + c, channels == 4, acc);
    for (int32_t k = 0; k < channels; ++k, ++c) {
      const int32_t mean = (acc[k] > 0 ? acc[k] + half : acc[k] - half) / count;
      *output++ = (int8_t)clamp(mean, p->activation_min, p->activation_max);
    }
  }
}

#ifdef REFENGINE_MVE_LAYERS
enum { MOST = 255 }; /* positions: an int16 has room for the sum of so many codes */

/* acc / count, rounded half away from zero; `reciprocal` is 2^32 / count rounded up, which is near enough: the product
 * of a sum and a count is less than 2^32. */
static inline int32x4_t mean_4(int32x4_t acc, int32_t half, uint32_t reciprocal) {
  const uint32x4_t size = vaddq_n_u32(vreinterpretq_u32_s32(vabsq_s32(acc)), (uint32_t)half);
  const int32x4_t mean = vreinterpretq_s32_u32(vmulhq_u32(size, vdupq_n_u32(reciprocal)));
  return vnegq_m_s32(mean, mean, vcmpltq_n_s32(acc, 0));
}

/* The same of 2 to MOST positions, eight channels at a time: the even ones, and the odd ones. */
static void means_mve(const struct pool_int8_params *p, const struct part *part, const int8_t *in, int8_t *output) {
  const int32_t depth = p->window.input_depth, count = part->height * part->width;
  const uint32_t reciprocal = UINT32_MAX / (uint32_t)count + 1;
  const int16x8_t low = vdupq_n_s16((int16_t)p->activation_min), high = vdupq_n_s16((int16_t)p->activation_max);
  for (int32_t c = 0; c < depth; c += 8) {
    const mve_pred16_t some = vctp16q((uint32_t)(depth - c));
    const int8_t *row = in + c;
    int16x8_t sums = vdupq_n_s16(0);
    for (int32_t fy = 0; fy < part->height; ++fy, row += p->window.input_width * depth) {
      const int8_t *at = row;
      for (int32_t fx = 0; fx < part->width; ++fx, at += depth) {
        sums = vaddq_s16(sums, vldrbq_z_s16(at, some));
      }
    }
    int16x8_t means = vmovnbq_s32(sums, mean_4(vmovlbq_s16(sums), count / 2, reciprocal));
    means = vmovntq_s32(means, mean_4(vmovltq_s16(sums), count / 2, reciprocal));
    vstrbq_p_s16(output + c, vminq_s16(vmaxq_s16(means, low), high), some);
  }
}
#endif

void average_pool_int8(const struct pool_int8_params *p, const int8_t *input, int8_t *output) {
  const struct window *w = &p->window;
  for (int32_t batch = 0; batch < w->batches; ++batch) {
    for (int32_t y = 0; y < w->output_height; ++y) {
      for (int32_t x = 0; x < w->output_width; ++x) {
        const struct part part = part_of(w, batch, y, x);
#ifdef REFENGINE_MVE_LAYERS
        const int32_t count = part.height * part.width;
        (1 < count && count <= MOST ? means_mve : means_of)(p, &part, input + part.start, output);
#else
        means_of(p, &part, input + part.start, output);
#endif
        output += w->input_depth;
      }
    }
  }
}

void max_pool_float32(const struct pool_float32_params *p, const float *input, float *output) {
  const struct window *w = &p->window;
  const int32_t depth = w->input_depth;
  for (int32_t batch = 0; batch < w->batches; ++batch) {
    for (int32_t y = 0; y < w->output_height; ++y) {
      for (int32_t x = 0; x < w->output_width; ++x) {
        const struct part part = part_of(w, batch, y, x);
        for (int32_t c = 0; c < depth; ++c) {
          float largest = -FLT_MAX; /* which a NaN never beats */
          for (int32_t fy = 0; fy < part.height; ++fy) {
            for (int32_t fx = 0; fx < part.width; ++fx) {
              const float value = input[part.start + (fy * w->input_width + fx) * depth + c];
              largest = largest < value ? value : largest;
            }
          }
          *output++ = clamp_float(largest, p->float_activation_min, p->float_activation_max);
        }
      }
    }
  }
}

/* Each sum in TFLM's order from 0.0. */
void average_pool_float32(const struct pool_float32_params *p, const float *input, float *output) {
  const struct window *w = &p->window;
  const int32_t depth = w->input_depth;
  for (int32_t batch = 0; batch < w->batches; ++batch) {
    for (int32_t y = 0; y < w->output_height; ++y) {
      for (int32_t x = 0; x < w->output_width; ++x) {
        const struct part part = part_of(w, batch, y, x);
        for (int32_t c = 0; c < depth; ++c) {
          float total = 0.0f;
          for (int32_t fy = 0; fy < part.height; ++fy) {
            for (int32_t fx = 0; fx < part.width; ++fx) {
              total += input[part.start + (fy * w->input_width + fx) * depth + c];
            }
          }
          const float mean = total / (float)(part.height * part.width);
          *output++ = clamp_float(mean, p->float_activation_min, p->float_activation_max);
        }
      }
    }
  }
}

/* The root of the mean of the squares. */
void l2_pool_float32(const struct pool_float32_params *p, const float *input, float *output) {
  const struct window *w = &p->window;
  const int32_t depth = w->input_depth;
  for (int32_t batch = 0; batch < w->batches; ++batch) {
    for (int32_t y = 0; y < w->output_height; ++y) {
      for (int32_t x = 0; x < w->output_width; ++x) {
        const struct part part = part_of(w, batch, y, x);
        for (int32_t c = 0; c < depth; ++c) {
          float total = 0.0f;
          for (int32_t fy = 0; fy < part.height; ++fy) {
            for (int32_t fx = 0; fx < part.width; ++fx) {
              const float value = input[part.start + (fy * w->input_width + fx) * depth + c];
              total = multiply_add(value, value, total);
            }
          }
          const float root = sqrtf(total / (float)(part.height * part.width));
          *output++ = clamp_float(root, p->float_activation_min, p->float_activation_max);
        }
      }
    }
  }
}
