/* MAXIMUM, MINIMUM: the larger or smaller of two elements, the inputs broadcast against each other.
 *
 * TFLM: kernels/maximum_minimum.cc. refengine: kernels/maximum_minimum.py. The first input is taken only if it is greater
 * (less), so that of NaN and equal zeros it is the second.
 */
#include "pairs.h"

#define LARGER(p, a, b) ((a) > (b) ? (a) : (b))
#define SMALLER(p, a, b) ((a) < (b) ? (a) : (b))

void maximum_int8(const struct pair_params *p, const int8_t *input1, const int8_t *input2, int8_t *output) {
  FOR_EACH_PAIR(LARGER, p, input1, input2, output);
}

void maximum_int16(const struct pair_params *p, const int16_t *input1, const int16_t *input2, int16_t *output) {
  FOR_EACH_PAIR(LARGER, p, input1, input2, output);
}

void maximum_int32(const struct pair_params *p, const int32_t *input1, const int32_t *input2, int32_t *output) {
  FOR_EACH_PAIR(LARGER, p, input1, input2, output);
}

void maximum_int64(const struct pair_params *p, const int64_t *input1, const int64_t *input2, int64_t *output) {
  FOR_EACH_PAIR(LARGER, p, input1, input2, output);
}

void maximum_float32(const struct pair_params *p, const float *input1, const float *input2, float *output) {
  FOR_EACH_PAIR(LARGER, p, input1, input2, output);
}

void minimum_int8(const struct pair_params *p, const int8_t *input1, const int8_t *input2, int8_t *output) {
  FOR_EACH_PAIR(SMALLER, p, input1, input2, output);
}

void minimum_int16(const struct pair_params *p, const int16_t *input1, const int16_t *input2, int16_t *output) {
  FOR_EACH_PAIR(SMALLER, p, input1, input2, output);
}

void minimum_int32(const struct pair_params *p, const int32_t *input1, const int32_t *input2, int32_t *output) {
  FOR_EACH_PAIR(SMALLER, p, input1, input2, output);
}

void minimum_int64(const struct pair_params *p, const int64_t *input1, const int64_t *input2, int64_t *output) {
  FOR_EACH_PAIR(SMALLER, p, input1, input2, output);
}

void minimum_float32(const struct pair_params *p, const float *input1, const float *input2, float *output) {
  FOR_EACH_PAIR(SMALLER, p, input1, input2, output);
}
