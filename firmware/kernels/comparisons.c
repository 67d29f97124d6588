/* EQUAL, NOT_EQUAL, GREATER, GREATER_EQUAL, LESS, LESS_EQUAL; LOGICAL_AND, LOGICAL_OR: the inputs broadcast against
 * each other.
 *
 * TFLM: kernels/comparisons.cc, logical.cc. refengine: kernels/comparisons.py, logical.py. Codes of int8 are compared
 * in units of 1/256, as TFLM compares them.
 */
#include "pairs.h"

#define EQUAL(p, a, b) ((a) == (b))
#define NOT_EQUAL(p, a, b) ((a) != (b))
#define GREATER(p, a, b) ((a) > (b))
#define GREATER_EQUAL(p, a, b) ((a) >= (b))
#define LESS(p, a, b) ((a) < (b))
#define LESS_EQUAL(p, a, b) ((a) <= (b))
#define AND(p, a, b) ((a) && (b))
#define OR(p, a, b) ((a) || (b))

#define COMPARE(name, type, compared)                                                                     \
  void name(const struct pair_params *p, const type *input1, const type *input2, uint8_t *output) {       \
    FOR_EACH_PAIR(compared, p, input1, input2, output);                                                   \
  }

#define COMPARE_ALL(type, suffix)                            \
  COMPARE(equal_##suffix, type, EQUAL)                       \
  COMPARE(not_equal_##suffix, type, NOT_EQUAL)               \
  COMPARE(greater_##suffix, type, GREATER)                   \
  COMPARE(greater_equal_##suffix, type, GREATER_EQUAL)       \
  COMPARE(less_##suffix, type, LESS)                         \
  COMPARE(less_equal_##suffix, type, LESS_EQUAL)

COMPARE_ALL(float, float32)
COMPARE_ALL(int32_t, int32)
COMPARE_ALL(int64_t, int64)
COMPARE(equal_bool, uint8_t, EQUAL)
COMPARE(not_equal_bool, uint8_t, NOT_EQUAL)
COMPARE(logical_and, uint8_t, AND)
COMPARE(logical_or, uint8_t, OR)

static int32_t in_256ths(int32_t code, int32_t zero_point, struct multiplier m) {
  return multiply_by_quantized_multiplier(shift_left_wrap(code - zero_point, 8), m);
}

#define FIRST(p, a) in_256ths(a, (p)->input1_zero_point, (p)->input1_multiplier)
#define SECOND(p, b) in_256ths(b, (p)->input2_zero_point, (p)->input2_multiplier)
#define EQUAL_CODES(p, a, b) (FIRST(p, a) == SECOND(p, b))
#define NOT_EQUAL_CODES(p, a, b) (FIRST(p, a) != SECOND(p, b))
#define GREATER_CODES(p, a, b) (FIRST(p, a) > SECOND(p, b))
#define GREATER_EQUAL_CODES(p, a, b) (FIRST(p, a) >= SECOND(p, b))
#define LESS_CODES(p, a, b) (FIRST(p, a) < SECOND(p, b))
#define LESS_EQUAL_CODES(p, a, b) (FIRST(p, a) <= SECOND(p, b))

#define COMPARE_CODES(name, compared)                                                                               \
  void name(const struct comparison_int8_params *p, const int8_t *input1, const int8_t *input2, uint8_t *output) {  \
    FOR_EACH_PAIR(compared, p, input1, input2, output);                                                             \
  }

COMPARE_CODES(equal_int8, EQUAL_CODES)
COMPARE_CODES(not_equal_int8, NOT_EQUAL_CODES)
COMPARE_CODES(greater_int8, GREATER_CODES)
COMPARE_CODES(greater_equal_int8, GREATER_EQUAL_CODES)
COMPARE_CODES(less_int8, LESS_CODES)
COMPARE_CODES(less_equal_int8, LESS_EQUAL_CODES)
