/* Functions of one element: ABS, NEG, SQRT, RSQRT, SQUARE, EXP, LOG, SIN, COS, ELU, CEIL, FLOOR, ROUND of floats,
 * LOGICAL_NOT, and ABS, RSQRT and LEAKY_RELU of int16.
 *
 * TFLM: kernels/elementwise.cc, neg.cc, exp.cc, elu.cc, ceil.cc, floor.cc, round.cc, leaky_relu.cc. refengine: the
 * files of these names. What math.h computes is the target's own, so that the last bit of a logarithm, an exponential or
 * a sine may differ from one C library to the next; roots may not.
 */
#include "inverse_sqrt.h"
#include "kernels.h"

#define OF_EACH_X(name, type, value)                                                       \
  void name(const struct size_params *p, const type *input, type *output) {                \
    for (int32_t i = 0; i < p->size; ++i) {                                                \
      const type x = input[i];                                                             \
      output[i] = value;                                                                   \
    }                                                                                      \
  }

OF_EACH_X(abs_float32, float, fabsf(x))
OF_EACH_X(neg_float32, float, -x)
OF_EACH_X(sqrt_float32, float, sqrtf(x))
OF_EACH_X(rsqrt_float32, float, 1.0f / sqrtf(x))
OF_EACH_X(square_float32, float, x *x)
OF_EACH_X(exp_float32, float, expf(x))
OF_EACH_X(log_float32, float, logf(x))
OF_EACH_X(sin_float32, float, sinf(x))
OF_EACH_X(cos_float32, float, cosf(x))
OF_EACH_X(elu_float32, float, x < 0.0f ? expm1f(x) : x)
OF_EACH_X(ceil_float32, float, ceilf(x))
OF_EACH_X(floor_float32, float, floorf(x))
OF_EACH_X(round_float32, float, x < 0.0f && x >= -0.5f ? 0.0f : rintf(x)) /* ties to even; TFLM loses that −0 */
OF_EACH_X(logical_not, uint8_t, !x)

static int16_t code_of(int32_t scaled, int32_t zero_point) {
  return (int16_t)clamp(add_wrap(scaled, zero_point), INT16_MIN, INT16_MAX);
}

void abs_int16(const struct abs_int16_params *p, const int16_t *input, int16_t *output) {
  for (int32_t i = 0; i < p->size; ++i) {
    const int32_t size = input[i] < 0 ? -input[i] : input[i];
    output[i] = p->rescales ? code_of(multiply_by_quantized_multiplier(size, p->multiplier), 0)
                            : (int16_t)(size > INT16_MAX ? p->abs_of_lowest : size);
  }
}

void rsqrt_int16(const struct rsqrt_int16_params *p, const int16_t *input, int16_t *output) {
  for (int32_t i = 0; i < p->size; ++i) {
    if (input[i] <= 0) { /* TFLM's Invoke fails below 0 */
      output[i] = INT16_MAX;
    } else {
      struct multiplier kept = inverse_sqrt(input[i]), rest = p->multiplier;
      kept.shift += 20;
      rest.shift -= 20;
      output[i] = code_of(multiply_by_quantized_multiplier(multiply_by_quantized_multiplier(1, kept), rest), 0);
    }
  }
}

void leaky_relu_int16(const struct leaky_relu_int16_params *p, const int16_t *input, int16_t *output) {
  for (int32_t i = 0; i < p->size; ++i) {
    const int32_t x = input[i] - p->input_zero_point;
    const int32_t scaled = x >= 0 ? multiply_by_quantized_multiplier(x, p->multiplier_identity)
                                  : p->sign * multiply_by_quantized_multiplier(x, p->multiplier_alpha);
    output[i] = code_of(scaled, p->output_zero_point);
  }
}
