/* What makes one type of another behind the door: QUANTIZE, DEQUANTIZE, CAST. */
#include "lookup.h"

static struct quantize_int8_params requantized(const test_case *c) {
  const struct quantize_int8_params p = {
      .size = refengine_elements(&c->outputs[0]),
      .input_zero_point = c->inputs[0].zero_point[0],
      .output_zero_point = c->outputs[0].zero_point[0],
      .requantize_output_multiplier = multiplier_called(c, "output_multiplier", "output_shift"),
  };
  return p;
}

/* Into codes of another type by a table. */
static void quantize_int8_case(const test_case *c) {
  const struct quantize_int8_params p = requantized(c);
  const char *to = c->outputs[0].dtype;
  if (strcmp(to, "int8") == 0) {
    quantize_int8(&p, c->inputs[0].data, c->outputs[0].data);
  } else {
    (strcmp(to, "int16") == 0 ? lookup_16_case : strcmp(to, "int32") == 0 ? lookup_32_case : lookup_8_case)(c);
  }
}

static void quantize_int16_case(const test_case *c) {
  const struct quantize_int8_params p = requantized(c);
  const tensor *out = &c->outputs[0];
  if (strcmp(out->dtype, "int8") == 0) {
    quantize_int16_int8(&p, c->inputs[0].data, out->data);
  } else if (strcmp(out->dtype, "int16") == 0) {
    quantize_int16_int16(&p, c->inputs[0].data, out->data);
  } else {
    quantize_int16_int32(&p, c->inputs[0].data, out->data);
  }
}

static void quantize_int32_case(const test_case *c) {
  const struct quantize_int8_params p = requantized(c);
  const tensor *out = &c->outputs[0];
  if (strcmp(out->dtype, "int8") == 0) {
    quantize_int32_int8(&p, c->inputs[0].data, out->data);
  } else {
    quantize_int32_int16(&p, c->inputs[0].data, out->data);
  }
}

static void quantize_float32_case(const test_case *c) {
  const struct quantize_float32_params p = {
      .size = refengine_elements(&c->outputs[0]),
      .scale = c->outputs[0].scale[0],
      .zero_point = c->outputs[0].zero_point[0],
  };
  if (strcmp(c->outputs[0].dtype, "int16") == 0) {
    quantize_float32_int16(&p, c->inputs[0].data, c->outputs[0].data);
  } else {
    quantize_float32(&p, c->inputs[0].data, c->outputs[0].data);
  }
}

static struct dequantize_int8_params reals_of(const test_case *c) {
  const struct dequantize_int8_params p = {
      .size = refengine_elements(&c->outputs[0]),
      .scale = c->inputs[0].scale[0],
      .zero_point = c->inputs[0].zero_point[0],
  };
  return p;
}

SINGLE(dequantize_int8, dequantize_int8_params, reals_of)
SINGLE(dequantize_int16, dequantize_int8_params, reals_of)

static void dequantize_uint8_case(const test_case *c) {
  static uint32_t values[256];
  const struct refengine_number *table = refengine_number_of(c, "table");
  for (int32_t code = 0; code < 256; ++code) {
    const float value = (float)table->reals[code];
    memcpy(&values[code], &value, sizeof value);
  }
  const struct lookup_32_params p = {refengine_elements(&c->outputs[0]), values};
  lookup_32(&p, c->inputs[0].data, c->outputs[0].data);
}

static enum cast_type cast_type_of(const tensor *t) {
  static const char *const names[] = {"float32", "int8", "int16", "int32", "uint32", "bool"}; /* as in the enum */
  int32_t type = 0;
  while (strcmp(names[type], t->dtype) != 0) {
    ++type;
  }
  return (enum cast_type)type;
}

static void cast_case(const test_case *c) {
  const struct cast_params p = {
      refengine_elements(&c->outputs[0]), (int32_t)cast_type_of(&c->inputs[0]), (int32_t)cast_type_of(&c->outputs[0])};
  cast(&p, c->inputs[0].data, c->outputs[0].data);
}

const struct entry TYPES[] = {
    {"QUANTIZE", "int8", quantize_int8_case},
    {"QUANTIZE", "int16", quantize_int16_case},
    {"QUANTIZE", "int32", quantize_int32_case},
    {"QUANTIZE", "uint8", lookup_8_case},
    {"QUANTIZE", "float32", quantize_float32_case},
    {"DEQUANTIZE", "int8", dequantize_int8_case},
    {"DEQUANTIZE", "int16", dequantize_int16_case},
    {"DEQUANTIZE", "uint8", dequantize_uint8_case},
    {"CAST", "bool", cast_case},
    {"CAST", "int8", cast_case},
    {"CAST", "int16", cast_case},
    {"CAST", "int32", cast_case},
    {"CAST", "uint32", cast_case},
    {"CAST", "float32", cast_case},
    {0},
};
