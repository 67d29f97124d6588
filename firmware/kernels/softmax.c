/* SOFTMAX: output[c] = exp(beta · (x[c] − max x)) / Σ_k exp(beta · (x[k] − max x)), row by row.
 *
 * TFLM: kernels/softmax.cc, and the reciprocal in gemmlowp's fixedpoint.h. refengine: kernels/softmax.py.
 */
#include <float.h>

#include "gemmlowp.h"
#include "kernels.h"

#define ACCUMULATION_INTEGER_BITS 12 /* sums of exponentials are Q12.19 */

static int32_t largest_of(const int8_t *row, int32_t depth) {
  int32_t largest = INT8_MIN;
  for (int32_t c = 0; c < depth; ++c) {
    largest = row[c] > largest ? row[c] : largest;
  }
  return largest;
}

/* What divides a row's exponentials: multiply by `reciprocal`, then shift right by `exponent`. */
struct divisor {
  int32_t reciprocal, exponent;
};

static struct divisor divisor_of(const struct softmax_int8_params *p, const int8_t *row, int32_t largest,
                                 int32_t output_bits) {
  int32_t sum_of_exps = 0;
  for (int32_t c = 0; c < p->depth; ++c) {
    const int32_t difference = FAULT_SOFTMAX(largest - row[c]);
    if (difference < p->exps_length) {
      sum_of_exps += rounding_divide_by_pot(p->exps[difference], ACCUMULATION_INTEGER_BITS);
    }
  }
  const int32_t headroom_plus_one = leading_zeros((uint32_t)sum_of_exps);
  struct divisor d;
  d.reciprocal =
      one_over_one_plus_x_for_x_in_0_1((int32_t)(((uint32_t)sum_of_exps << headroom_plus_one) - (UINT32_C(1) << 31)));
  d.exponent = ACCUMULATION_INTEGER_BITS - headroom_plus_one + 31 - output_bits;
  return d;
}

static int32_t probability(const struct softmax_int8_params *p, struct divisor d, int32_t difference) {
  if (difference >= p->exps_length) {
    return 0;
  }
  const int32_t product = saturating_rounding_doubling_high_mul(d.reciprocal, p->exps[difference]);
  return d.exponent > 31 ? 0 : rounding_divide_by_pot(product, d.exponent); /* beyond, where TFLM halts, nothing is left */
}

void softmax_int8(const struct softmax_int8_params *p, const int8_t *input, int8_t *output) {
  for (int32_t row = 0; row < p->rows; ++row) {
    const int32_t largest = largest_of(input, p->depth);
    const struct divisor d = divisor_of(p, input, largest, 8);
    for (int32_t c = 0; c < p->depth; ++c) {
      const int32_t code = INT8_MIN + probability(p, d, FAULT_SOFTMAX(largest - input[c]));
      *output++ = (int8_t)(code > INT8_MAX ? INT8_MAX : code);
    }
    input += p->depth;
  }
}

void softmax_int8_int16(const struct softmax_int8_params *p, const int8_t *input, int16_t *output) {
  for (int32_t row = 0; row < p->rows; ++row) {
    const int32_t largest = largest_of(input, p->depth);
    const struct divisor d = divisor_of(p, input, largest, 16);
    for (int32_t c = 0; c < p->depth; ++c) {
      const int32_t code = INT16_MIN + probability(p, d, FAULT_SOFTMAX(largest - input[c]));
      *output++ = (int16_t)(code > INT16_MAX ? INT16_MAX : code);
    }
    input += p->depth;
  }
}

/* `expf` is the target's own, so that the last bit may differ from one C library to the next. */
void softmax_float32(const struct softmax_float32_params *p, const float *input, float *output) {
  for (int32_t row = 0; row < p->rows; ++row) {
    float largest = -FLT_MAX;
    for (int32_t c = 0; c < p->depth; ++c) {
      largest = largest < input[c] ? input[c] : largest;
    }
    float total = 0.0f;
    for (int32_t c = 0; c < p->depth; ++c) {
      output[c] = expf((input[c] - largest) * p->beta);
      total += output[c];
    }
    for (int32_t c = 0; c < p->depth; ++c) {
      output[c] /= total;
    }
    input += p->depth;
    output += p->depth;
  }
}
