/* FULLY_CONNECTED: output[b, o] = activation(Σ_d (input[b, d] + input_offset) · (filter[o, d] + filter_offset) + bias[o]).
 *
 * TFLM: kernels/fully_connected.cc. refengine: kernels/fully_connected.py.
 */
#include "dot.h"
#include "layers.h"
#include "mve.h"
#include "packed.h"

/* The sums of products of up to four outputs from o on, as many as are left. */
static void four_sums(const struct fully_connected_int8_params *p, const int8_t *input, const int8_t *filter, int32_t o,
                      int32_t left, int32_t acc[4]) {
  const int8_t *rows = filter + o * p->accum_depth;
  if (left >= 4) {
    dot_1x4(input, rows, p->accum_depth, acc);
  } else {
    for (int32_t c = 0; c < left; ++c) {
      acc[c] = dot(input, rows + c * p->accum_depth, p->accum_depth, acc[c]);
    }
  }
}

void fully_connected_int8(const struct fully_connected_int8_params *p, const int8_t *input, const int8_t *filter,
                          const int32_t *bias, int8_t *output) {
  const int32_t depth = p->accum_depth;
#ifdef REFENGINE_MVE_LAYERS
  for (int32_t b = 0; b < p->batches && !p->filter_offset; ++b) {
    one_window_mve(&p->requantize, input + b * depth, depth, filter, bias, p->output_depth,
                   output + b * p->output_depth);
  }
  if (!p->filter_offset) {
    return;
  }
#endif
  for (int32_t b = 0; b < p->batches; ++b) {
    const int32_t offset = p->filter_offset ? p->filter_offset * sum(input, depth) : 0;
    for (int32_t o = 0; o < p->output_depth; o += 4) {
      const int32_t left = p->output_depth - o;
      int32_t acc[4] = {offset, offset, offset, offset};
      four_sums(p, input, filter, o, left, acc);
      for (int32_t c = 0; c < 4 && c < left; ++c) {
        output[o + c] =
            requantized(&p->requantize, multiplier_of(&p->requantize, o + c), add_wrap(acc[c], bias[o + c]));
      }
    }
    input += depth;
    output += p->output_depth;
  }
}

#if REFENGINE_MVE

void fully_connected_int8_packed(const struct fully_connected_int8_params *p, const int8_t *input,
                                 const packed_filter *filter, const int32_t *bias, int8_t *output) {
  fully_connected_int8(p, input, filter, bias, output);
}

#else

/* Batches two by two, then the last of an odd number. */
void fully_connected_int8_packed(const struct fully_connected_int8_params *p, const int8_t *input,
                                 const packed_filter *filter, const int32_t *bias, int8_t *output) {
  int8_t *const codes = output;
  const int32_t taps = p->accum_depth, even = taps + taps % 2, depth = p->output_depth;
  struct patch patch;
  int32_t b = 0;
  for (; b + 1 < p->batches; b += 2, input += 2 * taps, output += 2 * depth) {
    widen(input, taps, patch.taps, 4);
    widen(input + taps, taps, patch.taps + 2, 4);
    two_windows(&p->requantize, &patch, even, filter, bias, depth, output);
  }
  if (b < p->batches) {
    widen(input, taps, patch.taps, 2);
    one_window(&p->requantize, &patch, even, filter, bias, depth, output);
  }
  clamp_codes(&p->requantize, codes, p->batches * depth);
}

#endif

/* Each sum in order from 0.0, the bias last; four outputs side by side hide the waiting of one sum. */
void fully_connected_float32(const struct fully_connected_float32_params *p, const float *input, const float *filter,
                             const float *bias, float *output) {
  const int32_t depth = p->accum_depth;
  for (int32_t b = 0; b < p->batches; ++b) {
    for (int32_t o = 0; o < p->output_depth;) {
      const int32_t count = p->output_depth - o < 4 ? 1 : 4, next = count == 4 ? depth : 0;
      const float *weights = filter + o * depth;
      float total[4] = {0.0f, 0.0f, 0.0f, 0.0f};
      for (int32_t d = 0; d < depth; ++d) {
        const float x = input[d];
        total[0] = multiply_add(x, weights[0], total[0]);
        total[1] = multiply_add(x, weights[next], total[1]);
        total[2] = multiply_add(x, weights[2 * next], total[2]);
        total[3] = multiply_add(x, weights[3 * next], total[3]);
        ++weights;
      }
      for (int32_t k = 0; k < count; ++k, ++o) {
        output[o] = clamp_float(total[k] + bias[o], p->float_activation_min, p->float_activation_max);
      }
    }
    input += depth;
    output += p->output_depth;
  }
}
