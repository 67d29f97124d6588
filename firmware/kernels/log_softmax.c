/* LOG_SOFTMAX: output[c] = x[c] − max x − log Σ_k exp(x[k] − max x), row by row; codes in steps of 1/16 below 127.
 *
 * TFLM: kernels/log_softmax.cc, and the logarithm in kernels/internal/common.h. refengine: kernels/log_softmax.py.
 */
#include <float.h>

#include "gemmlowp.h"
#include "kernels.h"

static int32_t times(int32_t a, int32_t b) { return saturating_rounding_doubling_high_mul(a, b); }

static int32_t at_most_one(int64_t x) { return x > INT32_MAX ? INT32_MAX : (int32_t)x; }

static int32_t larger(int32_t a, int32_t b) { return a > b ? a : b; }

static int32_t smaller(int32_t a, int32_t b) { return a < b ? a : b; }

/* log(x) in Q5.26 for x ≥ 1 in Q12.19: x is 2^power · r, and log r a Padé approximant around √√½. */
static int32_t log_of(int32_t x) {
  const int32_t sqrt_half = 1518500250, center = 1805811301; /* √½ and √√½ in Q0.31 */
  const int32_t root_20th = 127690143, root_quarter = 638450708; /* √√2 / 20 and √√2 / 4 */
  const int32_t leading = leading_zeros((uint32_t)x), halved = times(x, sqrt_half);
  const int32_t headroom = leading_zeros((uint32_t)halved) - 1;
  const int32_t by_half = at_most_one((int64_t)times((int32_t)((uint32_t)x << (leading - 1)), sqrt_half) * 2);
  const int32_t r = smaller(by_half, at_most_one((int64_t)x << headroom));
  const int32_t power =
      larger((12 - leading) * (1 << 25) + (1 << 23), (12 - headroom) * (1 << 25) - (1 << 23));
  const int32_t mean = (int32_t)(((int64_t)r + center + 1) >> 1), twice_difference = (r - center) * 2;
  const int32_t square = times(twice_difference, twice_difference);
  const int32_t numerator = times(twice_difference, r) + times(times(twice_difference, square), 117049297); /* √√2 · 11/240 */
  const int32_t factor = 1057819769 + twice_difference + times(square, root_20th);
  const int32_t denominator_minus_one = times(mean, factor) + times(twice_difference, root_quarter);
  const int32_t log_r = times(rounding_divide_by_pot(numerator, 6),
                              one_over_one_plus_x_for_x_in_0_1(denominator_minus_one));
  return (times(power, 1488522236) + log_r) * 2;
}

void log_softmax_int8(const struct log_softmax_int8_params *p, const int8_t *input, int8_t *output) {
  for (int32_t row = 0; row < p->rows; ++row, input += p->depth) {
    int32_t largest = INT8_MIN, sum_of_exps = 0;
    for (int32_t c = 0; c < p->depth; ++c) {
      largest = larger(largest, input[c]);
    }
    for (int32_t c = 0; c < p->depth; ++c) {
      sum_of_exps += p->terms[largest - input[c]];
    }
    const int32_t log_sum = log_of(sum_of_exps);
    const int32_t lowest = multiply_in_fixed_point((int32_t)(log_sum - INT64_C(0x80000000)), p->reverse_scaling);
    const int32_t bound = larger(p->diff_min - 1, lowest);
    for (int32_t c = 0; c < p->depth; ++c) {
      const int32_t difference = input[c] - largest;
      const int32_t scaled = rounding_divide_by_pot(p->scaled[-difference] - log_sum, 22);
      *output++ = (int8_t)(difference > bound ? clamp(scaled + 127, INT8_MIN, INT8_MAX) : INT8_MIN);
    }
  }
}

/* `expf` and `logf` are the target's own. */
void log_softmax_float32(const struct log_softmax_float32_params *p, const float *input, float *output) {
  for (int32_t row = 0; row < p->rows; ++row, input += p->depth) {
    float largest = -FLT_MAX, total = 0.0f;
    for (int32_t c = 0; c < p->depth; ++c) {
      largest = largest < input[c] ? input[c] : largest;
    }
    for (int32_t c = 0; c < p->depth; ++c) {
      total += expf(input[c] - largest);
    }
    const float log_sum = logf(total);
    for (int32_t c = 0; c < p->depth; ++c) {
      const float difference = input[c] - largest;
      *output++ = difference - log_sum;
    }
  }
}
