/* What lives on from one inference to the next, behind the door: SVDF, LSTM, CIRCULAR_BUFFER. */
#include "family.h"

/* ---- svdf -------------------------------------------------------------------------------------------------------- */

static void svdf_int8_case(const test_case *c) {
  const tensor *in = c->inputs;
  const struct svdf_params p = {
      .batches = in[0].dims[0],
      .input_size = in[0].dims[1],
      .filters = in[1].dims[0],
      .memory = in[2].dims[1],
      .rank = refengine_int(c, "rank"),
      .input_offset = refengine_int(c, "input_offset"),
      .state_zero_point = refengine_int(c, "activation_state_zero_point"),
      .output_zero_point = refengine_int(c, "output_offset"),
      .feature_multiplier = multiplier_called(c, "effective_scale_1_a", "effective_scale_1_b"),
      .output_multiplier = multiplier_called(c, "effective_scale_2_a", "effective_scale_2_b"),
  };
  if (strcmp(in[4].dtype, "int16") == 0) {
    svdf_int8_int16(&p, in[0].data, in[1].data, in[2].data, in[3].data, in[4].data, c->outputs[0].data);
  } else {
    svdf_int8(&p, in[0].data, in[1].data, in[2].data, in[3].data, in[4].data, c->outputs[0].data);
  }
}

static void svdf_float32_case(const test_case *c) {
  const tensor *in = c->inputs;
  const struct svdf_float32_params p = {
      .batches = in[0].dims[0],
      .input_size = in[0].dims[1],
      .filters = in[1].dims[0],
      .memory = in[2].dims[1],
      .rank = refengine_int(c, "rank"),
      .activation = refengine_int(c, "fused_activation_function"), /* the schema's codes are those of the enum */
  };
  svdf_float32(&p, in[0].data, in[1].data, in[2].data, in[3].data, in[4].data, c->outputs[0].data);
}

/* ---- unidirectional_sequence_lstm -------------------------------------------------------------------------------- */

enum { WEIGHTS_INPUT = 1, WEIGHTS_HIDDEN = 5, BIAS = 12, HIDDEN = 18, CELL = 19 };

static struct lstm_size lstm_size_of(const test_case *c) {
  const int32_t *dims = c->inputs[0].dims, time_major = refengine_int(c, "time_major");
  const struct lstm_size size = {time_major, dims[time_major], dims[1 - time_major], c->inputs[HIDDEN].dims[1]};
  return size;
}

int weights_fit(const test_case *c) {
  const tensor *in = c->inputs;
  return 4 * (in[WEIGHTS_INPUT].bytes + in[WEIGHTS_HIDDEN].bytes + in[BIAS].bytes) < 60000;
}

/* The tensors of the four gates, from input `first` on, one behind the other. */
static const void *stacked(const test_case *c, int32_t first) {
  const size_t bytes = c->inputs[first].bytes;
  uint8_t *all = refengine_scratch(c, 4 * bytes);
  for (int32_t gate = 0; gate < 4; ++gate) {
    memcpy(all + (size_t)gate * bytes, c->inputs[first + gate].data, bytes);
  }
  return all;
}

static struct lstm_layer lstm_layer_of(const test_case *c, int32_t depth, const char *offset,
                                       const char *weights_offset, const char *multiplier, const char *shift,
                                       struct multiplier multipliers[4]) {
  take_factors(c, multiplier, shift, 4, multipliers);
  const struct lstm_layer layer = {depth, refengine_int(c, offset), refengine_ints(c, weights_offset, NULL),
                                   multipliers};
  return layer;
}

static void lstm_case(const test_case *c) {
  struct multiplier of_input[4], of_hidden[4];
  const struct lstm_size size = lstm_size_of(c);
  const int32_t left = 12 + refengine_int(c, "cell_state_scale_power"); /* how far tanh shifts, as lstm_eval.cc does */
  const struct lstm_params p = {
      .size = size,
      .input_layer = lstm_layer_of(c, c->inputs[0].dims[2], "input_offset", "input_weights_offset",
                                   "input_fc_multiplier", "input_fc_shift", of_input),
      .hidden_layer = lstm_layer_of(c, size.units, "recurrent_offset", "recurrent_weights_offset",
                                    "recurrent_fc_multiplier", "recurrent_fc_shift", of_hidden),
      .gate_activation = {1, 3, 0, sigmoid_table()},
      .cell_tanh = {1, left < 0 ? 3 : (int32_t)(3u << left), left < 0 ? -left : 0, sigmoid_table()},
      .linear_cell_gate = refengine_int(c, "fused_activation_function") != 4,
      .forget_cell_mul = multiplier_called(c, "forget_cell_mul_multiplier", "forget_cell_mul_shift"),
      .input_mul = multiplier_called(c, "input_mul_multiplier", "input_mul_shift"),
      .output_mul = multiplier_called(c, "output_mul_multiplier", "output_mul_shift"),
      .hidden_zero_point = refengine_int(c, "output_offset"),
      .cell_clip = refengine_int(c, "quantized_cell_clip"),
  };
  const void *input = stacked(c, WEIGHTS_INPUT), *hidden = stacked(c, WEIGHTS_HIDDEN), *bias = stacked(c, BIAS);
  const tensor *in = c->inputs;
  if (strcmp(c->dtype, "int16") == 0) {
    lstm_int16(&p, in[0].data, input, hidden, bias, in[HIDDEN].data, in[CELL].data, c->outputs[0].data);
  } else {
    lstm_int8(&p, in[0].data, input, hidden, bias, in[HIDDEN].data, in[CELL].data, c->outputs[0].data);
  }
}

static void lstm_float32_case(const test_case *c) {
  const struct lstm_float32_params p = {
      .size = lstm_size_of(c),
      .depth = c->inputs[0].dims[2],
      .linear_cell_gate = refengine_int(c, "fused_activation_function") != 4,
      .cell_clip = refengine_float(c, "cell_clip"),
  };
  const void *input = stacked(c, WEIGHTS_INPUT), *hidden = stacked(c, WEIGHTS_HIDDEN), *bias = stacked(c, BIAS);
  const tensor *in = c->inputs;
  lstm_float32(&p, in[0].data, input, hidden, bias, in[HIDDEN].data, in[CELL].data, c->outputs[0].data);
}

/* ---- circular_buffer --------------------------------------------------------------------------------------------- */

/* What the case keeps is how many inferences are left, and behind that the frames, which the kernel keeps in its output.
 * TFLM's reset forgets both. */
static void circular_buffer_case(const test_case *c) {
  const tensor *out = &c->outputs[0];
  int64_t *left = c->memory;
  uint8_t *frames = (uint8_t *)c->memory + sizeof *left;
  const struct circular_buffer_params p = {out->dims[1], (int32_t)out->bytes / out->dims[1],
                                           refengine_int(c, "cycles_max")};
  if (c->begins != REFENGINE_GOES_ON) {
    *left = p.cycles_max;
    memset(frames, (uint8_t)refengine_int(c, "zero_point"), out->bytes);
  }
  memcpy(out->data, frames, out->bytes);
  circular_buffer(&p, c->inputs[0].data, left, out->data);
  memcpy(frames, out->data, out->bytes);
}

const struct entry STREAMS[] = {
    {"SVDF", "int8", svdf_int8_case},
    {"SVDF", "float32", svdf_float32_case},
    {"UNIDIRECTIONAL_SEQUENCE_LSTM", "int8", lstm_case},
    {"UNIDIRECTIONAL_SEQUENCE_LSTM", "int16", lstm_case},
    {"UNIDIRECTIONAL_SEQUENCE_LSTM", "float32", lstm_float32_case},
    {"CIRCULAR_BUFFER", "int8", circular_buffer_case},
    {0},
};
