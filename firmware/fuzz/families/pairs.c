/* What takes two inputs element by element, the smaller one broadcast; and ADD_N, of several. */
#include "family.h"

static struct add_int8_params scaled_pair(const test_case *c) {
  const struct add_int8_params p = {
      .broadcast = broadcast_of(c),
      .left_shift = refengine_int(c, "left_shift"),
      .input1_offset = refengine_int(c, "input1_offset"),
      .input2_offset = refengine_int(c, "input2_offset"),
      .output_offset = refengine_int(c, "output_offset"),
      .input1_multiplier = multiplier_called(c, "input1_multiplier", "input1_shift"),
      .input2_multiplier = multiplier_called(c, "input2_multiplier", "input2_shift"),
      .output_multiplier = multiplier_called(c, "output_multiplier", "output_shift"),
      .output_activation_min = refengine_int(c, "quantized_activation_min"),
      .output_activation_max = refengine_int(c, "quantized_activation_max"),
  };
  return p;
}

static struct mul_params product(const test_case *c) {
  const struct mul_params p = {
      .broadcast = broadcast_of(c),
      .input1_zero_point = -refengine_int(c, "input1_offset"),
      .input2_zero_point = -refengine_int(c, "input2_offset"),
      .output_zero_point = refengine_int(c, "output_offset"),
      .output_multiplier = multiplier_called(c, "output_multiplier", "output_shift"),
      .output_activation_min = refengine_int(c, "quantized_activation_min"),
      .output_activation_max = refengine_int(c, "quantized_activation_max"),
  };
  return p;
}

static struct div_int8_params quotient(const test_case *c) {
  const struct div_int8_params p = {
      .broadcast = broadcast_of(c),
      .input1_zero_point = -refengine_int(c, "input1_offset"),
      .input2_zero_point = -refengine_int(c, "input2_offset"),
      .output_zero_point = refengine_int(c, "output_offset"),
      .output_multiplier = multiplier_called(c, "output_multiplier", "output_shift"),
      .output_activation_min = refengine_int(c, "quantized_activation_min"),
      .output_activation_max = refengine_int(c, "quantized_activation_max"),
      .shifts_modulo_64 = REFENGINE_SATURATE == 0, /* of the dialects whose processor is an x86 */
  };
  return p;
}

static struct squared_difference_params squared_difference(const test_case *c) {
  const struct squared_difference_params p = {
      .broadcast = broadcast_of(c),
      .left_shift = refengine_int(c, "left_shift"),
      .input1_zero_point = -refengine_int(c, "input1_offset"),
      .input2_zero_point = -refengine_int(c, "input2_offset"),
      .output_zero_point = refengine_int(c, "output_offset"),
      .input1_multiplier = multiplier_called(c, "input1_multiplier", "input1_shift"),
      .input2_multiplier = multiplier_called(c, "input2_multiplier", "input2_shift"),
      .output_multiplier = multiplier_called(c, "output_multiplier", "output_shift"),
  };
  return p;
}

static struct prelu_params prelu(const test_case *c) {
  const struct prelu_params p = {
      .broadcast = broadcast_of(c),
      .input_zero_point = -refengine_int(c, "input_offset"),
      .alpha_zero_point = -refengine_int(c, "alpha_offset"),
      .output_zero_point = refengine_int(c, "output_offset"),
      .output_multiplier_1 = multiplier_called(c, "output_multiplier_1", "output_shift_1"),
      .output_multiplier_2 = multiplier_called(c, "output_multiplier_2", "output_shift_2"),
  };
  return p;
}

static struct comparison_int8_params comparison(const test_case *c) {
  const struct comparison_int8_params p = {
      .broadcast = broadcast_of(c),
      .input1_zero_point = -refengine_int(c, "input1_offset"),
      .input2_zero_point = -refengine_int(c, "input2_offset"),
      .input1_multiplier = multiplier_called(c, "input1_multiplier", "input1_shift"),
      .input2_multiplier = multiplier_called(c, "input2_multiplier", "input2_shift"),
  };
  return p;
}

static struct add_float32_params clamped_sum(const test_case *c) {
  const struct add_float32_params p = {
      .broadcast = broadcast_of(c),
      .output_activation_min = refengine_float(c, "float_activation_min"),
      .output_activation_max = refengine_float(c, "float_activation_max"),
  };
  return p;
}

static struct pair_float32_params pair_float32(const test_case *c) {
  const struct pair_float32_params p = {
      .broadcast = broadcast_of(c),
      .output_activation_min = refengine_float(c, "float_activation_min"),
      .output_activation_max = refengine_float(c, "float_activation_max"),
  };
  return p;
}

static struct pair_int32_params pair_int32(const test_case *c) {
  const struct pair_int32_params p = {
      .broadcast = broadcast_of(c),
      .output_activation_min = refengine_int(c, "quantized_activation_min"),
      .output_activation_max = refengine_int(c, "quantized_activation_max"),
  };
  return p;
}

static struct pair_params plain_pair(const test_case *c) {
  const struct pair_params p = {broadcast_of(c)};
  return p;
}

PAIR(add_int8, add_int8_params, scaled_pair)
PAIR(add_int16, add_int8_params, scaled_pair)
PAIR(add_int32, pair_int32_params, pair_int32)
PAIR(add_float32, add_float32_params, clamped_sum)
PAIR(sub_int8, add_int8_params, scaled_pair)
PAIR(sub_int16, add_int8_params, scaled_pair)
PAIR(sub_int32, pair_int32_params, pair_int32)
PAIR(sub_float32, pair_float32_params, pair_float32)
PAIR(mul_int8, mul_params, product)
PAIR(mul_int16, mul_params, product)
PAIR(mul_int32, pair_int32_params, pair_int32)
PAIR(mul_float32, pair_float32_params, pair_float32)
PAIR(div_int8, div_int8_params, quotient)
PAIR(div_int32, pair_int32_params, pair_int32)
PAIR(div_float32, pair_float32_params, pair_float32)
PAIR(floor_div_float32, pair_params, plain_pair)
PAIR(floor_mod_float32, pair_params, plain_pair)
PAIR(prelu_int8, prelu_params, prelu)
PAIR(prelu_int16, prelu_params, prelu)
PAIR(prelu_float32, pair_params, plain_pair)
PAIR(squared_difference_int8, squared_difference_params, squared_difference)
PAIR(squared_difference_int16, squared_difference_params, squared_difference)
PAIR(squared_difference_int32, pair_params, plain_pair)
PAIR(squared_difference_float32, pair_params, plain_pair)
PAIR(maximum_int8, pair_params, plain_pair)
PAIR(maximum_int16, pair_params, plain_pair)
PAIR(maximum_int32, pair_params, plain_pair)
PAIR(maximum_int64, pair_params, plain_pair)
PAIR(maximum_float32, pair_params, plain_pair)
PAIR(minimum_int8, pair_params, plain_pair)
PAIR(minimum_int16, pair_params, plain_pair)
PAIR(minimum_int32, pair_params, plain_pair)
PAIR(minimum_int64, pair_params, plain_pair)
PAIR(minimum_float32, pair_params, plain_pair)
PAIR(equal_bool, pair_params, plain_pair)
PAIR(equal_int8, comparison_int8_params, comparison)
PAIR(equal_int32, pair_params, plain_pair)
PAIR(equal_int64, pair_params, plain_pair)
PAIR(equal_float32, pair_params, plain_pair)
PAIR(not_equal_bool, pair_params, plain_pair)
PAIR(not_equal_int8, comparison_int8_params, comparison)
PAIR(not_equal_int32, pair_params, plain_pair)
PAIR(not_equal_int64, pair_params, plain_pair)
PAIR(not_equal_float32, pair_params, plain_pair)
PAIR(greater_int8, comparison_int8_params, comparison)
PAIR(greater_int32, pair_params, plain_pair)
PAIR(greater_int64, pair_params, plain_pair)
PAIR(greater_float32, pair_params, plain_pair)
PAIR(greater_equal_int8, comparison_int8_params, comparison)
PAIR(greater_equal_int32, pair_params, plain_pair)
PAIR(greater_equal_int64, pair_params, plain_pair)
PAIR(greater_equal_float32, pair_params, plain_pair)
PAIR(less_int8, comparison_int8_params, comparison)
PAIR(less_int32, pair_params, plain_pair)
PAIR(less_int64, pair_params, plain_pair)
PAIR(less_float32, pair_params, plain_pair)
PAIR(less_equal_int8, comparison_int8_params, comparison)
PAIR(less_equal_int32, pair_params, plain_pair)
PAIR(less_equal_int64, pair_params, plain_pair)
PAIR(less_equal_float32, pair_params, plain_pair)
PAIR(logical_and, pair_params, plain_pair)
PAIR(logical_or, pair_params, plain_pair)

/* ---- several inputs, and shapes ---------------------------------------------------------------------------------- */

static const void *const *data_of(const test_case *c) {
  const void **data = refengine_scratch(c, (size_t)c->n_inputs * sizeof *data);
  for (int32_t i = 0; i < c->n_inputs; ++i) {
    data[i] = c->inputs[i].data;
  }
  return data;
}

static void add_n_int8_case(const test_case *c) {
  const struct add_n_int8_params p = {
      .size = refengine_elements(&c->outputs[0]),
      .count = c->n_inputs,
      .input_zero_point = -refengine_int(c, "input_offset"),
      .output_zero_point = refengine_int(c, "output_offset"),
      .input_multiplier = multiplier_called(c, "input_multiplier", "input_shift"),
      .output_multiplier = multiplier_called(c, "output_multiplier", "output_shift"),
  };
  add_n_int8(&p, data_of(c), c->outputs[0].data);
}

static void add_n_float32_case(const test_case *c) {
  const struct add_n_float32_params p = {refengine_elements(&c->outputs[0]), c->n_inputs};
  add_n_float32(&p, data_of(c), c->outputs[0].data);
}

static struct broadcast_args_params ranks_of(const test_case *c) {
  const struct broadcast_args_params p = {c->inputs[0].dims[0], c->inputs[1].dims[0], c->outputs[0].dims[0]};
  return p;
}

PAIR(broadcast_args_int32, broadcast_args_params, ranks_of)
PAIR(broadcast_args_int64, broadcast_args_params, ranks_of)

const struct entry PAIRS[] = {
    {"ADD", "int8", add_int8_case},
    {"ADD", "int16", add_int16_case},
    {"ADD", "int32", add_int32_case},
    {"ADD", "float32", add_float32_case},
    {"SUB", "int8", sub_int8_case},
    {"SUB", "int16", sub_int16_case},
    {"SUB", "int32", sub_int32_case},
    {"SUB", "float32", sub_float32_case},
    {"MUL", "int8", mul_int8_case},
    {"MUL", "int16", mul_int16_case},
    {"MUL", "int32", mul_int32_case},
    {"MUL", "float32", mul_float32_case},
    {"MAXIMUM", "int8", maximum_int8_case},
    {"MAXIMUM", "int16", maximum_int16_case},
    {"MAXIMUM", "int32", maximum_int32_case},
    {"MAXIMUM", "int64", maximum_int64_case},
    {"MAXIMUM", "float32", maximum_float32_case},
    {"MINIMUM", "int8", minimum_int8_case},
    {"MINIMUM", "int16", minimum_int16_case},
    {"MINIMUM", "int32", minimum_int32_case},
    {"MINIMUM", "int64", minimum_int64_case},
    {"MINIMUM", "float32", minimum_float32_case},
    {"EQUAL", "bool", equal_bool_case},
    {"EQUAL", "int8", equal_int8_case},
    {"EQUAL", "int32", equal_int32_case},
    {"EQUAL", "int64", equal_int64_case},
    {"EQUAL", "float32", equal_float32_case},
    {"NOT_EQUAL", "bool", not_equal_bool_case},
    {"NOT_EQUAL", "int8", not_equal_int8_case},
    {"NOT_EQUAL", "int32", not_equal_int32_case},
    {"NOT_EQUAL", "int64", not_equal_int64_case},
    {"NOT_EQUAL", "float32", not_equal_float32_case},
    {"GREATER", "int8", greater_int8_case},
    {"GREATER", "int32", greater_int32_case},
    {"GREATER", "int64", greater_int64_case},
    {"GREATER", "float32", greater_float32_case},
    {"GREATER_EQUAL", "int8", greater_equal_int8_case},
    {"GREATER_EQUAL", "int32", greater_equal_int32_case},
    {"GREATER_EQUAL", "int64", greater_equal_int64_case},
    {"GREATER_EQUAL", "float32", greater_equal_float32_case},
    {"LESS", "int8", less_int8_case},
    {"LESS", "int32", less_int32_case},
    {"LESS", "int64", less_int64_case},
    {"LESS", "float32", less_float32_case},
    {"LESS_EQUAL", "int8", less_equal_int8_case},
    {"LESS_EQUAL", "int32", less_equal_int32_case},
    {"LESS_EQUAL", "int64", less_equal_int64_case},
    {"LESS_EQUAL", "float32", less_equal_float32_case},
    {"LOGICAL_AND", "bool", logical_and_case},
    {"LOGICAL_OR", "bool", logical_or_case},
    {"PRELU", "int8", prelu_int8_case},
    {"PRELU", "int16", prelu_int16_case},
    {"PRELU", "float32", prelu_float32_case},
    {"SQUARED_DIFFERENCE", "int8", squared_difference_int8_case},
    {"SQUARED_DIFFERENCE", "int16", squared_difference_int16_case},
    {"SQUARED_DIFFERENCE", "int32", squared_difference_int32_case},
    {"SQUARED_DIFFERENCE", "float32", squared_difference_float32_case},
    {"FLOOR_DIV", "float32", floor_div_float32_case},
    {"FLOOR_MOD", "float32", floor_mod_float32_case},
    {"DIV", "int8", div_int8_case},
    {"DIV", "int32", div_int32_case},
    {"DIV", "float32", div_float32_case},
    {"ADD_N", "int8", add_n_int8_case},
    {"ADD_N", "float32", add_n_float32_case},
    {"BROADCAST_ARGS", "int32", broadcast_args_int32_case},
    {"BROADCAST_ARGS", "int64", broadcast_args_int64_case},
    {0},
};
