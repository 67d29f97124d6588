/* Functions of one element behind the door. */
#include <math.h>

#include "lookup.h"

static struct relu_int8_params relu_of(const test_case *c) {
  const struct relu_int8_params p = {
      .size = refengine_elements(&c->outputs[0]),
      .input_offset = c->inputs[0].zero_point[0],
      .output_offset = c->outputs[0].zero_point[0],
      .multiplier = multiplier_called(c, "output_multiplier", "output_shift"),
      .quantized_activation_min = refengine_int(c, "quantized_activation_min"),
      .quantized_activation_max = refengine_int(c, "quantized_activation_max"),
  };
  return p;
}

static struct relu6_int8_params relu6_of(const test_case *c) {
  const struct relu6_int8_params p = {
      .size = refengine_elements(&c->outputs[0]),
      .zero = refengine_int(c, "zero"),
      .six = refengine_int(c, "six"),
  };
  return p;
}

static struct leaky_relu_int16_params leaky_relu_int16_of(const test_case *c) {
  const struct leaky_relu_int16_params p = {
      .size = refengine_elements(&c->outputs[0]),
      .input_zero_point = -refengine_int(c, "input_offset"),
      .output_zero_point = refengine_int(c, "output_offset"),
      .multiplier_identity = multiplier_called(c, "output_multiplier_identity", "output_shift_identity"),
      .multiplier_alpha = multiplier_called(c, "output_multiplier_alpha", "output_shift_alpha"),
      .sign = refengine_float(c, "alpha") < 0.0f ? -1 : 1,
  };
  return p;
}

static void leaky_relu_float32_case(const test_case *c) {
  const struct leaky_relu_params p = {refengine_elements(&c->outputs[0]), refengine_float(c, "alpha")};
  leaky_relu_float32(&p, c->inputs[0].data, c->outputs[0].data);
}

/* TFLM's table, 65536 · sigmoid(k / 24), raised a little so that lines between its entries err alike to both sides. */
const uint16_t *sigmoid_table(void) {
  static uint16_t table[256];
  for (int32_t k = 0; k < 255; ++k) {
    const double sigmoid = 1.0 / (1.0 + exp(-k / 24.0)), curvature = sigmoid * (1.0 - sigmoid) * (1.0 - 2.0 * sigmoid);
    table[k] = (uint16_t)rint(65536.0 * (sigmoid - curvature / (24.0 * 24.0) / 16.0));
  }
  table[255] = UINT16_MAX;
  return table;
}

static struct sigmoid_int16_params sigmoid_int16_of(const test_case *c) {
  const struct sigmoid_int16_params p = {
      .size = refengine_elements(&c->outputs[0]),
      .input_multiplier = refengine_int(c, "input_multiplier"),
      .input_left_shift = refengine_int(c, "input_left_shift"),
      .table = sigmoid_table(),
  };
  return p;
}

static struct rsqrt_int16_params rsqrt_int16_of(const test_case *c) {
  const struct rsqrt_int16_params p = {refengine_elements(&c->outputs[0]), multiplier_called(c, "multiplier", "shift")};
  return p;
}

static struct abs_int16_params abs_int16_of(const test_case *c) {
  const struct abs_int16_params p = {
      .size = refengine_elements(&c->outputs[0]),
      .rescales = refengine_int(c, "needs_rescale"),
      .abs_of_lowest = c->inputs[0].scales ? INT16_MAX : INT16_MIN,
      .multiplier = multiplier_called(c, "multiplier", "shift"),
  };
  return p;
}

SINGLE(relu_int8, relu_int8_params, relu_of)
SINGLE(relu_int16, relu_int8_params, relu_of)
SINGLE(relu6_int8, relu6_int8_params, relu6_of)
SINGLE(relu6_int16, relu6_int8_params, relu6_of)
SINGLE(leaky_relu_int16, leaky_relu_int16_params, leaky_relu_int16_of)
SINGLE(logistic_int16, sigmoid_int16_params, sigmoid_int16_of)
SINGLE(tanh_int16, sigmoid_int16_params, sigmoid_int16_of)
SINGLE(rsqrt_int16, rsqrt_int16_params, rsqrt_int16_of)
SINGLE(abs_int16, abs_int16_params, abs_int16_of)
SINGLE(relu_float32, size_params, size_of)
SINGLE(relu6_float32, size_params, size_of)
SINGLE(logistic_float32, size_params, size_of)
SINGLE(tanh_float32, size_params, size_of)
SINGLE(hard_swish_float32, size_params, size_of)
SINGLE(abs_float32, size_params, size_of)
SINGLE(neg_float32, size_params, size_of)
SINGLE(sqrt_float32, size_params, size_of)
SINGLE(rsqrt_float32, size_params, size_of)
SINGLE(square_float32, size_params, size_of)
SINGLE(exp_float32, size_params, size_of)
SINGLE(log_float32, size_params, size_of)
SINGLE(sin_float32, size_params, size_of)
SINGLE(cos_float32, size_params, size_of)
SINGLE(elu_float32, size_params, size_of)
SINGLE(ceil_float32, size_params, size_of)
SINGLE(floor_float32, size_params, size_of)
SINGLE(round_float32, size_params, size_of)
SINGLE(logical_not, size_params, size_of)

const struct entry ACTIVATIONS[] = {
    {"RELU", "int8", relu_int8_case},
    {"RELU", "int16", relu_int16_case},
    {"RELU", "float32", relu_float32_case},
    {"RELU6", "int8", relu6_int8_case},
    {"RELU6", "int16", relu6_int16_case},
    {"RELU6", "float32", relu6_float32_case},
    {"LOGICAL_NOT", "bool", logical_not_case},
    {"LOGISTIC", "int8", lookup_8_case},
    {"LOGISTIC", "int16", logistic_int16_case},
    {"LOGISTIC", "float32", logistic_float32_case},
    {"TANH", "int8", lookup_8_case},
    {"TANH", "int16", tanh_int16_case},
    {"TANH", "float32", tanh_float32_case},
    {"HARD_SWISH", "int8", lookup_8_case},
    {"HARD_SWISH", "float32", hard_swish_float32_case},
    {"LEAKY_RELU", "int8", lookup_8_case},
    {"LEAKY_RELU", "int16", leaky_relu_int16_case},
    {"LEAKY_RELU", "float32", leaky_relu_float32_case},
    {"ABS", "int8", lookup_8_case},
    {"ABS", "int16", abs_int16_case},
    {"ABS", "float32", abs_float32_case},
    {"NEG", "float32", neg_float32_case},
    {"SQRT", "float32", sqrt_float32_case},
    {"RSQRT", "int8", lookup_8_case},
    {"RSQRT", "int16", rsqrt_int16_case},
    {"RSQRT", "float32", rsqrt_float32_case},
    {"SQUARE", "float32", square_float32_case},
    {"EXP", "float32", exp_float32_case},
    {"LOG", "float32", log_float32_case},
    {"SIN", "float32", sin_float32_case},
    {"COS", "float32", cos_float32_case},
    {"ELU", "int8", lookup_8_case},
    {"ELU", "float32", elu_float32_case},
    {"CEIL", "float32", ceil_float32_case},
    {"FLOOR", "float32", floor_float32_case},
    {"ROUND", "float32", round_float32_case},
    {0},
};
