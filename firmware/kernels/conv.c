/* CONV_2D: out[y, x, oc] = activation(Σ_{fy, fx, ic} (in[iy, ix, ic] + input_offset) · filter[oc, fy, fx, ic] + bias[oc]).
 *
 * TFLM: kernels/conv.cc. refengine: kernels/conv.py. Taps outside the image count as the input's zero point.
 */
#include "dot.h"
#include "layers.h"
#include "mve.h"
#include "packed.h"

#define PATCH 1024 /* taps; twice as many bytes of stack */
#define SHORT 16   /* bytes in a run that are not worth a loop of their own */

/* One output position: where its window begins in the image (maybe outside), and at which input. */
struct position {
  int32_t iy, ix;
  int32_t input; /* index of input[batch, iy, ix, 0] */
  int32_t is_inside;
};

static struct position position_of(const struct window *w, int32_t batch, int32_t place) {
  const int32_t y = place / w->output_width, x = place % w->output_width;
  struct position at;
  at.iy = y * w->stride_height - w->padding_height;
  at.ix = x * w->stride_width - w->padding_width;
  at.input = ((batch * w->input_height + at.iy) * w->input_width + at.ix) * w->input_depth;
  at.is_inside = at.iy >= 0 && at.ix >= 0 &&
                 at.iy + (w->filter_height - 1) * w->dilation_height_factor < w->input_height &&
                 at.ix + (w->filter_width - 1) * w->dilation_width_factor < w->input_width;
  return at;
}

/* Where the tap (fy, fx) of a position is in the input, or −1 if it is outside the image. */
static int32_t tap_of(const struct window *w, const struct position *at, int32_t fy, int32_t fx) {
  const int32_t dy = fy * w->dilation_height_factor, dx = fx * w->dilation_width_factor;
  const int32_t is_inside =
      at->iy + dy >= 0 && at->iy + dy < w->input_height && at->ix + dx >= 0 && at->ix + dx < w->input_width;
  return is_inside ? at->input + (dy * w->input_width + dx) * w->input_depth : -1;
}

/* How the taps of a filter lie in the input: runs of bytes side by side, `runs` in each of `rows`. */
struct runs {
  int32_t rows, runs, run;
  int32_t row_step, run_step;
};

static struct runs runs_of(const struct conv_int8_params *p) {
  const struct window *w = &p->window;
  const int32_t row_step = w->dilation_height_factor * w->input_width * w->input_depth;
  const int32_t run_step = w->dilation_width_factor * w->input_depth;
  const int32_t is_joined = w->dilation_width_factor == 1 && p->filter_depth == w->input_depth;
  const struct runs joined = {w->filter_height, 1, w->filter_width * p->filter_depth, row_step, run_step};
  const struct runs apart = {w->filter_height, w->filter_width, p->filter_depth, row_step, run_step};
  return is_joined ? joined : apart;
}

/* Copies of a few bytes, for which a call would take longer. */
static inline int8_t *copy(int8_t *to, const int8_t *from, int32_t count) {
  for (; count >= 4; count -= 4, to += 4, from += 4) {
    memcpy(to, from, 4);
  }
  for (; count > 0; --count) {
    *to++ = *from++;
  }
  return to;
}

/* The inputs of one window side by side, the zero point where it is outside. */
static void gather(const struct conv_int8_params *p, const struct position *at, const int8_t *input, int8_t *patch) {
  const struct window *w = &p->window;
  const struct runs r = runs_of(p);
  for (int32_t fy = 0; fy < w->filter_height; ++fy) {
    if (at->is_inside && r.runs == 1) {
      patch = copy(patch, input + at->input + fy * r.row_step, r.run);
      continue;
    }
    for (int32_t fx = 0; fx < w->filter_width; ++fx, patch += p->filter_depth) {
      const int32_t tap = tap_of(w, at, fy, fx);
      if (tap < 0) {
        memset(patch, -p->input_offset, (size_t)p->filter_depth);
      } else {
        copy(patch, input + tap, p->filter_depth);
      }
    }
  }
}

/* Two windows times two channels' filters: acc[0 … 3] are (x0, x1) × (w0, w1). */
static inline void sums_2x2(const struct runs *r, const int8_t *x0, const int8_t *x1, const int8_t *w0,
                            const int8_t *w1, int32_t acc[4]) {
  for (int32_t row = 0; row < r->rows; ++row) {
    for (int32_t run = 0; run < r->runs; ++run) {
      const int32_t offset = row * r->row_step + run * r->run_step;
      dot_2x2(x0 + offset, x1 + offset, w0, w1, r->run, acc);
      w0 += r->run;
      w1 += r->run;
    }
  }
}

/* One window at the border times one channel's filter, for windows too large to gather. */
static int32_t sum_at_border(const struct conv_int8_params *p, const struct position *at, const int8_t *input,
                             const int8_t *filter) {
  int32_t acc = 0;
  for (int32_t fy = 0; fy < p->window.filter_height; ++fy) {
    for (int32_t fx = 0; fx < p->window.filter_width; ++fx) {
      const int32_t tap = tap_of(&p->window, at, fy, fx);
      if (tap < 0) {
        acc -= p->input_offset * sum(filter, p->filter_depth);
      } else {
        acc = dot(input + tap, filter, p->filter_depth, acc);
      }
      filter += p->filter_depth;
    }
  }
  return acc;
}

/* All channels of one group at two positions, two at a time; a lone last one is its own partner. `input`
 * begins at the group's channels. */
static void group_at(const struct conv_int8_params *p, const struct position *at, const int8_t *input,
                     const int8_t *filter, const int32_t *bias, int32_t group, int32_t channels,
                     int8_t *const outputs[2]) {
  const int32_t taps = p->window.filter_height * p->window.filter_width * p->filter_depth;
  const struct runs gathered = {1, 1, taps, 0, 0};
  const struct requantize requantize = p->requantize;
  struct runs runs = runs_of(p);
  int8_t patch[2][PATCH];
  int32_t is_inside = at[0].is_inside && at[1].is_inside;
  const int8_t *x0 = is_inside ? input + at[0].input : patch[0], *x1 = is_inside ? input + at[1].input : patch[1];
  if (taps <= PATCH && (!is_inside || (runs.run < SHORT && runs.run < taps))) {
    gather(p, &at[0], input, patch[0]);
    gather(p, &at[1], input, patch[1]);
    x0 = patch[0], x1 = patch[1], runs = gathered, is_inside = 1;
  }
  for (int32_t k = 0; k < channels; k += 2) {
    const int32_t c = group * channels + k, d = k + 1 < channels ? c + 1 : c;
    const int8_t *w0 = filter + c * taps, *w1 = filter + d * taps;
    int32_t acc[4] = {0, 0, 0, 0};
    if (is_inside) {
      sums_2x2(&runs, x0, x1, w0, w1, acc);
    } else {
      acc[0] = sum_at_border(p, &at[0], input, w0);
      acc[1] = sum_at_border(p, &at[0], input, w1);
      acc[2] = sum_at_border(p, &at[1], input, w0);
      acc[3] = sum_at_border(p, &at[1], input, w1);
    }
    const struct multiplier m0 = multiplier_of(&requantize, c), m1 = multiplier_of(&requantize, d);
    for (int32_t i = 0; i < 2; ++i) {
      outputs[i][c] = requantized(&requantize, m0, add_wrap(acc[2 * i], bias[c]));
      outputs[i][d] = requantized(&requantize, m1, add_wrap(acc[2 * i + 1], bias[d]));
    }
  }
}

#ifdef REFENGINE_MVE_LAYERS
/* Output positions four by four, the windows read where they lie or else from copies, and a lone last one. */
static void conv_int8_mve(const struct conv_int8_params *p, const int8_t *input, const int8_t *filter,
                          const int32_t *bias, int8_t *output) {
  const struct window *w = &p->window;
  const struct runs r = runs_of(p);
  const int32_t taps = r.rows * r.runs * r.run, depth = w->output_depth;
  const int32_t positions = w->output_height * w->output_width;
  int8_t patches[4][REFENGINE_PATCH];
  for (int32_t batch = 0; batch < w->batches; ++batch) {
    for (int32_t n = 0; n < positions; n += 4, output += 4 * depth) {
      const int32_t windows = positions - n < 4 ? positions - n : 4;
      const int8_t *x[4];
      for (int32_t k = 0; k < windows; ++k) {
        const struct position at = position_of(w, batch, n + k);
        x[k] = at.is_inside && r.rows * r.runs == 1 ? input + at.input : patches[k];
        if (x[k] == patches[k]) {
          gather(p, &at, input, patches[k]);
        }
      }
      for (int32_t k = windows; k < 4; ++k) {
        x[k] = x[0];
      }
      if (windows == 1) {
        one_window_mve(&p->requantize, x[0], taps, filter, bias, depth, output);
      } else {
        four_windows_mve(&p->requantize, x, windows, taps, filter, bias, depth, output);
      }
    }
    output -= (4 - positions % 4) % 4 * depth;
  }
}
#endif

/* Output positions two by two, a lone last one is its own partner. */
void conv_int8(const struct conv_int8_params *p, const int8_t *input, const int8_t *filter, const int32_t *bias,
               int8_t *output) {
  const struct window *w = &p->window;
  const int32_t groups = w->input_depth / p->filter_depth;
  const int32_t positions = w->output_height * w->output_width;
#ifdef REFENGINE_MVE_LAYERS
  if (groups == 1 && w->filter_height * w->filter_width * p->filter_depth <= REFENGINE_PATCH) {
    conv_int8_mve(p, input, filter, bias, output);
    return;
  }
#endif
  for (int32_t batch = 0; batch < w->batches; ++batch) {
    for (int32_t n = 0; n < positions; n += 2) {
      const int32_t m = n + 1 < positions ? n + 1 : n;
      const struct position at[2] = {position_of(w, batch, n), position_of(w, batch, m)};
      int8_t *const outputs[2] = {output + n * w->output_depth, output + m * w->output_depth};
      for (int32_t group = 0; group < groups; ++group) {
        group_at(p, at, input + group * p->filter_depth, filter, bias, group, w->output_depth / groups, outputs);
      }
    }
    output += positions * w->output_depth;
  }
}

/* ---- packed ---- */

#if REFENGINE_MVE

void conv_int8_packed(const struct conv_int8_params *p, const int8_t *input, const packed_filter *filter,
                      const int32_t *bias, int8_t *output) {
  conv_int8(p, input, filter, bias, output);
}

#else

/* Widen the window of position `place`; at the border, or where its runs are no multiples of four, from a copy. */
static void widen_window(const struct conv_int8_params *p, int32_t batch, int32_t place, const int8_t *input,
                         int16_t *to, int32_t step) {
  const struct position at = position_of(&p->window, batch, place);
  const struct runs r = runs_of(p);
  int8_t patch[REFENGINE_PATCH];
  if (at.is_inside && (r.run % 4 == 0 || r.rows * r.runs == 1)) {
    for (int32_t row = 0; row < r.rows; ++row) {
      for (int32_t run = 0; run < r.runs; ++run) {
        to = widen(input + at.input + row * r.row_step + run * r.run_step, r.run, to, step);
      }
    }
  } else {
    gather(p, &at, input, patch);
    widen(patch, r.rows * r.runs * r.run, to, step);
  }
}

/* Output positions two by two, then the last of an odd number. */
void conv_int8_packed(const struct conv_int8_params *p, const int8_t *input, const packed_filter *filter,
                      const int32_t *bias, int8_t *output) {
  const struct window *w = &p->window;
  const int32_t taps = w->filter_height * w->filter_width * p->filter_depth, even = taps + taps % 2;
  const int32_t positions = w->output_height * w->output_width, depth = w->output_depth;
  struct patch patch;
  for (int32_t batch = 0; batch < w->batches; ++batch) {
    int32_t n = 0;
    for (; n + 1 < positions; n += 2, output += 2 * depth) {
      widen_window(p, batch, n, input, patch.taps, 4);
      widen_window(p, batch, n + 1, input, patch.taps + 2, 4);
      two_windows(&p->requantize, &patch, even, filter, bias, depth, output);
    }
    if (n < positions) {
      widen_window(p, batch, n, input, patch.taps, 2);
      one_window(&p->requantize, &patch, even, filter, bias, depth, output);
      output += depth;
    }
  }
  clamp_codes(&p->requantize, output - w->batches * positions * depth, w->batches * positions * depth);
}

#endif

/* total[0 … 3] += one window times the filters of four channels, `stride` apart, each in TFLM's order. */
static void float_sums(const struct conv_float32_params *p, const struct position *at, const float *input,
                       const float *filter, int32_t stride, float total[4]) {
  for (int32_t fy = 0; fy < p->window.filter_height; ++fy) {
    for (int32_t fx = 0; fx < p->window.filter_width; ++fx) {
      const int32_t tap = tap_of(&p->window, at, fy, fx);
      if (tap >= 0) {
        const float *in = input + tap;
        for (int32_t ic = 0; ic < p->filter_depth; ++ic) {
          total[0] = multiply_add(in[ic], filter[ic], total[0]);
          total[1] = multiply_add(in[ic], filter[ic + stride], total[1]);
          total[2] = multiply_add(in[ic], filter[ic + 2 * stride], total[2]);
          total[3] = multiply_add(in[ic], filter[ic + 3 * stride], total[3]);
        }
      }
      filter += p->filter_depth;
    }
  }
}

/* Each sum from 0.0, the bias last. Four channels side by side hide the waiting of one sum; where fewer are left in the
 * group, they are taken one by one. */
void conv_float32(const struct conv_float32_params *p, const float *input, const float *filter, const float *bias,
                  float *output) {
  const struct window *w = &p->window;
  const int32_t taps = w->filter_height * w->filter_width * p->filter_depth;
  const int32_t group_channels = w->output_depth / (w->input_depth / p->filter_depth);
  for (int32_t batch = 0; batch < w->batches; ++batch) {
    for (int32_t n = 0; n < w->output_height * w->output_width; ++n) {
      const struct position at = position_of(w, batch, n);
      for (int32_t c = 0; c < w->output_depth;) {
        const int32_t group = c / group_channels, left = (group + 1) * group_channels - c;
        const int32_t count = left < 4 ? 1 : 4, stride = left < 4 ? 0 : taps;
        float total[4] = {0.0f, 0.0f, 0.0f, 0.0f};
        float_sums(p, &at, input + group * p->filter_depth, filter + c * taps, stride, total);
        for (int32_t k = 0; k < count; ++k, ++c) {
          output[c] = clamp_float(total[k] + bias[c], p->float_activation_min, p->float_activation_max);
        }
      }
      output += w->output_depth;
    }
  }
}
