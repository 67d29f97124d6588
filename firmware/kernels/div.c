/* DIV, FLOOR_DIV, FLOOR_MOD, PRELU: the inputs broadcast against each other.
 *
 * TFLM: kernels/div.cc, floor_div.cc, floor_mod.cc, prelu.cc. refengine: the files of these names. Where TFLM's Invoke
 * fails, for a divisor of 0, there is some quotient here.
 */
#include "gemmlowp.h"
#include "layers.h"
#include "pairs.h"

/* x / 2^bits, rounded. C defines no shift beyond 31 bits: what x86 makes of it, and what Arm does. */
static int32_t shifted_right(int32_t x, int32_t bits, int32_t shifts_modulo_64) {
  bits = shifts_modulo_64 ? bits & 63 : bits;
  if (bits >= 0 && bits <= 31) {
    return rounding_divide_by_pot(x, bits);
  }
  return shifts_modulo_64 ? (x >> (bits & 31)) + (x >= 0) : x >= 0 ? 1 : -1;
}

static int8_t quotient_int8(const struct div_int8_params *p, int8_t a, int8_t b) {
  int32_t x = a - p->input1_zero_point, divisor = b - p->input2_zero_point;
  if (divisor < 0) {
    x = -x, divisor = -divisor;
  }
  divisor = divisor > 1 ? divisor : 1;
  const int32_t leading = leading_zeros((uint32_t)divisor), magnitude = x < 0 ? ~x : x;
  const int32_t inverse =
      one_over_one_plus_x_for_x_in_0_1((int32_t)(((uint32_t)divisor << leading) - (UINT32_C(1) << 31)));
  const int32_t headroom = magnitude ? leading_zeros((uint32_t)magnitude) - 1 : 31;
  const int32_t quotient = saturating_rounding_doubling_high_mul(shift_left_wrap(x, headroom), inverse);
  const int32_t high = saturating_rounding_doubling_high_mul(quotient, p->output_multiplier.multiplier);
  const int32_t scaled =
      shifted_right(high, 31 - leading + headroom - p->output_multiplier.shift, p->shifts_modulo_64);
  return (int8_t)clamp(add_wrap(scaled, p->output_zero_point), p->output_activation_min, p->output_activation_max);
}

static float quotient_float32(const struct pair_float32_params *p, float a, float b) {
  return clamp_float(a / b, p->output_activation_min, p->output_activation_max);
}

static int32_t quotient_int32(const struct pair_int32_params *p, int32_t a, int32_t b) {
  const int32_t quotient = b == 0 ? 0 : b == -1 ? multiply_wrap(a, -1) : a / b;
  return clamp(quotient, p->output_activation_min, p->output_activation_max);
}

#define FLOOR_OF_QUOTIENT(p, a, b) ((float)floor((double)(a) / (double)(b)))

static float remainder_float32(float a, float b) {
  const float remainder = fmodf(a, b);
  return remainder != 0.0f && (b < 0.0f) != (remainder < 0.0f) ? remainder + b : remainder;
}

#define REMAINDER(p, a, b) remainder_float32(a, b)

void div_int8(const struct div_int8_params *p, const int8_t *input1, const int8_t *input2, int8_t *output) {
  FOR_EACH_PAIR(quotient_int8, p, input1, input2, output);
}

void div_float32(const struct pair_float32_params *p, const float *input1, const float *input2, float *output) {
  FOR_EACH_PAIR(quotient_float32, p, input1, input2, output);
}

void div_int32(const struct pair_int32_params *p, const int32_t *input1, const int32_t *input2, int32_t *output) {
  FOR_EACH_PAIR(quotient_int32, p, input1, input2, output);
}

void floor_div_float32(const struct pair_params *p, const float *input1, const float *input2, float *output) {
  FOR_EACH_PAIR(FLOOR_OF_QUOTIENT, p, input1, input2, output);
}

void floor_mod_float32(const struct pair_params *p, const float *input1, const float *input2, float *output) {
  FOR_EACH_PAIR(REMAINDER, p, input1, input2, output);
}
