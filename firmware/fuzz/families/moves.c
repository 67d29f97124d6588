/* What only moves elements behind the door: copies by strides, which `copy_elements` follows, and what pads or chooses. */
#include "family.h"

/* A copy that fills the output in its order; where from is still to be said. */
static struct copy_params into_output(const test_case *c) {
  const tensor *out = &c->outputs[0];
  struct copy_params p = {.element_size = element_size(out)};
  shape_of(out, p.shape);
  strides_of(out, p.output_strides);
  return p;
}

static void transpose_case(const test_case *c) {
  const tensor *in = &c->inputs[0];
  const int32_t *perm = refengine_ints(c, "perm", NULL), front = MAX_RANK - in->rank;
  struct copy_params p = into_output(c);
  int32_t strides[MAX_RANK];
  strides_of(in, strides);
  for (int32_t d = 0; d < in->rank; ++d) {
    p.input_strides[front + d] = strides[front + perm[d]];
  }
  copy_elements(&p, in->data, c->outputs[0].data);
}

static void broadcast_to_case(const test_case *c) {
  struct copy_params p = into_output(c);
  broadcast_strides(&c->inputs[0], p.input_strides);
  copy_elements(&p, c->inputs[0].data, c->outputs[0].data);
}

static void fill_case(const test_case *c) {
  const struct copy_params p = into_output(c);
  copy_elements(&p, c->inputs[1].data, c->outputs[0].data);
}

/* The axes are int32. */
static void reverse_case(const test_case *c) {
  const tensor *in = &c->inputs[0];
  const int32_t *axes = c->inputs[1].data, front = MAX_RANK - in->rank;
  struct copy_params p = into_output(c);
  strides_of(in, p.input_strides);
  for (int32_t i = 0; i < refengine_elements(&c->inputs[1]); ++i) {
    const int32_t axis = axes[i] < 0 ? axes[i] + in->rank : axes[i];
    int32_t *stride = &p.input_strides[front + axis];
    p.input_start += *stride * (in->dims[axis] - 1);
    *stride = -*stride;
  }
  copy_elements(&p, in->data, c->outputs[0].data);
}

/* Begins are int32 or int64. */
static void slice_case(const test_case *c) {
  const tensor *in = &c->inputs[0], *begin = &c->inputs[1];
  const int32_t front = MAX_RANK - in->rank, is_wide = strcmp(begin->dtype, "int64") == 0;
  struct copy_params p = into_output(c);
  strides_of(in, p.input_strides);
  for (int32_t d = 0; d < in->rank; ++d) {
    const int32_t from = is_wide ? (int32_t)((const int64_t *)begin->data)[d] : ((const int32_t *)begin->data)[d];
    p.input_start += from * p.input_strides[front + d];
  }
  copy_elements(&p, in->data, c->outputs[0].data);
}

/* Begins and strides are those of the case; how many elements lie between begin and end follows. */
static void strided_slice_case(const test_case *c) {
  const tensor *in = &c->inputs[0];
  const int32_t *starts = refengine_ints(c, "start_indices", NULL), *stops = refengine_ints(c, "stop_indices", NULL);
  const int32_t *steps = refengine_ints(c, "strides", NULL), front = MAX_RANK - in->rank;
  struct copy_params p = {.element_size = element_size(in)};
  int32_t stride = 1;
  strides_of(in, p.input_strides);
  for (int32_t d = MAX_RANK - 1; d >= 0; --d) {
    p.shape[d] = 1;
    if (d >= front) {
      const int32_t step = steps[d - front], length = stops[d - front] - starts[d - front];
      p.shape[d] = (length + step - (step > 0 ? 1 : -1)) / step;
      p.input_start += starts[d - front] * p.input_strides[d];
      p.input_strides[d] *= step;
    }
    p.output_strides[d] = stride;
    stride *= p.shape[d];
  }
  copy_elements(&p, in->data, c->outputs[0].data);
}

/* Blocks of rows become channels, or the other way round: (batch, y, x, by, bx, channel) on the side of the channels. */
static void blocks_case(const test_case *c) {
  const int to_depth = strcmp(c->op, "SPACE_TO_DEPTH") == 0;
  const tensor *deep = to_depth ? &c->outputs[0] : &c->inputs[0], *wide = to_depth ? &c->inputs[0] : &c->outputs[0];
  const int32_t block = refengine_int(c, "block_size"), depth = wide->dims[3], row = wide->dims[2] * depth;
  const int32_t shape[MAX_RANK] = {deep->dims[0], deep->dims[1], deep->dims[2], block, block, depth};
  const int32_t in_wide[MAX_RANK] = {wide->dims[1] * row, block * row, block * depth, row, depth, 1};
  struct copy_params p = {.element_size = element_size(deep)};
  int32_t stride = 1;
  for (int32_t d = MAX_RANK - 1; d >= 0; --d) {
    p.shape[d] = shape[d];
    p.input_strides[d] = to_depth ? in_wide[d] : stride;
    p.output_strides[d] = to_depth ? stride : in_wide[d];
    stride *= shape[d];
  }
  copy_elements(&p, c->inputs[0].data, c->outputs[0].data);
}

/* `part` is one of those that lie side by side in `whole` along an axis: rows of elements, as many as there are before
 * the axis, of which this one's begin at `*at`; which goes on by a row. */
static void move_part(const tensor *whole, const tensor *part, int32_t axis, int32_t *at, int is_joined) {
  int32_t rows = 1;
  for (int32_t d = 0; d < axis; ++d) {
    rows *= whole->dims[d];
  }
  if (refengine_elements(part) == 0) {
    return;
  }
  const int32_t ours = refengine_elements(part) / rows, all = refengine_elements(whole) / rows;
  const struct copy_params p = {
      .element_size = element_size(part),
      .shape = {1, 1, 1, 1, rows, ours},
      .input_start = is_joined ? 0 : *at,
      .output_start = is_joined ? *at : 0,
      .input_strides = {0, 0, 0, 0, is_joined ? ours : all, 1},
      .output_strides = {0, 0, 0, 0, is_joined ? all : ours, 1},
  };
  copy_elements(&p, is_joined ? part->data : whole->data, is_joined ? whole->data : part->data);
  *at += ours;
}

static void join_case(const test_case *c) {
  int32_t at = 0;
  for (int32_t i = 0; i < c->n_inputs; ++i) {
    move_part(&c->outputs[0], &c->inputs[i], refengine_int(c, "axis"), &at, 1);
  }
}

/* SPLIT has its data second, the others first. */
static void split_case(const test_case *c) {
  const tensor *in = &c->inputs[strcmp(c->op, "SPLIT") == 0];
  const int32_t axis = refengine_int(c, "axis");
  int32_t at = 0;
  for (int32_t i = 0; i < c->n_outputs; ++i) {
    move_part(in, &c->outputs[i], axis < 0 ? axis + in->rank : axis, &at, 0);
  }
}

/* Positions are int32. */
static void gather_case(const test_case *c) {
  const tensor *in = &c->inputs[0], *positions = &c->inputs[1];
  const int32_t said = refengine_int(c, "axis"), axis = said < 0 ? said + in->rank : said;
  const int32_t dims = refengine_int(c, "batch_dims"), batch_dims = dims < 0 ? dims + positions->rank : dims;
  struct gather_elements_params p = {.batches = 1, .outer = 1, .count = in->dims[axis], .bytes = element_size(in)};
  for (int32_t d = 0; d < in->rank; ++d) {
    *(d < batch_dims ? &p.batches : d < axis ? &p.outer : &p.bytes) *= d == axis ? 1 : in->dims[d];
  }
  p.positions = refengine_elements(positions) / p.batches;
  gather_elements(&p, in->data, positions->data, c->outputs[0].data);
}

static void select_case(const test_case *c) {
  struct select_params p = {.element_size = element_size(&c->outputs[0])};
  shape_of(&c->outputs[0], p.shape);
  broadcast_strides(&c->inputs[0], p.condition_strides);
  broadcast_strides(&c->inputs[1], p.x_strides);
  broadcast_strides(&c->inputs[2], p.y_strides);
  select_elements(&p, c->inputs[0].data, c->inputs[1].data, c->inputs[2].data, c->outputs[0].data);
}

static void dynamic_update_slice_case(const test_case *c) {
  const tensor *operand = &c->inputs[0], *part = &c->inputs[1], *starts = &c->inputs[2];
  const int32_t front = MAX_RANK - operand->rank;
  struct update_params p = {
      .element_size = element_size(operand),
      .bytes = (int32_t)operand->bytes,
      .rank = operand->rank,
  };
  shape_of(part, p.update_shape);
  strides_of(operand, p.strides);
  for (int32_t d = 0; d < operand->rank; ++d) {
    p.largest[front + d] = operand->dims[d] - part->dims[d];
  }
  if (strcmp(starts->dtype, "int64") == 0) {
    dynamic_update_slice_int64(&p, operand->data, part->data, starts->data, c->outputs[0].data);
  } else {
    dynamic_update_slice_int32(&p, operand->data, part->data, starts->data, c->outputs[0].data);
  }
}

/* ---- pad, reshape ------------------------------------------------------------------------------------------------ */

static void pad_case(const test_case *c) {
  const tensor *in = &c->inputs[0];
  const int32_t front = MAX_RANK - in->rank, *left_padding = refengine_ints(c, "left_padding", NULL);
  const int32_t pad_value = refengine_int(c, "pad_value"); /* its low bytes are those of narrower codes */
  struct pad_params p = {.element_size = element_size(&c->outputs[0])};
  shape_of(in, p.input_shape);
  shape_of(&c->outputs[0], p.output_shape);
  for (int32_t d = 0; d < MAX_RANK; ++d) {
    p.left_padding[d] = d < front ? 0 : left_padding[d - front];
  }
  pad(&p, in->data, c->n_inputs > 2 ? c->inputs[2].data : (const void *)&pad_value, c->outputs[0].data);
}

static void reshape_case(const test_case *c) {
  const struct reshape_params p = {(int32_t)c->outputs[0].bytes};
  reshape(&p, c->inputs[0].data, c->outputs[0].data);
}

const struct entry MOVES[] = {
    {"PAD", "int8", pad_case},
    {"PAD", "int16", pad_case},
    {"PAD", "int32", pad_case},
    {"PAD", "float32", pad_case},
    {"PADV2", "int8", pad_case},
    {"PADV2", "int16", pad_case},
    {"PADV2", "int32", pad_case},
    {"PADV2", "float32", pad_case},
    {"RESHAPE", "bool", reshape_case},
    {"RESHAPE", "int8", reshape_case},
    {"RESHAPE", "int16", reshape_case},
    {"RESHAPE", "int32", reshape_case},
    {"RESHAPE", "int64", reshape_case},
    {"RESHAPE", "uint8", reshape_case},
    {"RESHAPE", "uint32", reshape_case},
    {"RESHAPE", "uint64", reshape_case},
    {"RESHAPE", "float32", reshape_case},
    {"SQUEEZE", "bool", reshape_case},
    {"SQUEEZE", "int8", reshape_case},
    {"SQUEEZE", "int16", reshape_case},
    {"SQUEEZE", "int32", reshape_case},
    {"SQUEEZE", "int64", reshape_case},
    {"SQUEEZE", "uint8", reshape_case},
    {"SQUEEZE", "uint32", reshape_case},
    {"SQUEEZE", "uint64", reshape_case},
    {"SQUEEZE", "float32", reshape_case},
    {"EXPAND_DIMS", "int8", reshape_case},
    {"EXPAND_DIMS", "int16", reshape_case},
    {"EXPAND_DIMS", "float32", reshape_case},
    {"TRANSPOSE", "int8", transpose_case},
    {"TRANSPOSE", "int16", transpose_case},
    {"TRANSPOSE", "float32", transpose_case},
    {"SELECT_V2", "int8", select_case},
    {"SELECT_V2", "int16", select_case},
    {"SELECT_V2", "float32", select_case},
    {"BROADCAST_TO", "bool", broadcast_to_case},
    {"BROADCAST_TO", "int8", broadcast_to_case},
    {"BROADCAST_TO", "int16", broadcast_to_case},
    {"BROADCAST_TO", "int32", broadcast_to_case},
    {"BROADCAST_TO", "int64", broadcast_to_case},
    {"BROADCAST_TO", "uint8", broadcast_to_case},
    {"BROADCAST_TO", "uint32", broadcast_to_case},
    {"BROADCAST_TO", "uint64", broadcast_to_case},
    {"BROADCAST_TO", "float32", broadcast_to_case},
    {"REVERSE_V2", "bool", reverse_case},
    {"REVERSE_V2", "int8", reverse_case},
    {"REVERSE_V2", "int16", reverse_case},
    {"REVERSE_V2", "int32", reverse_case},
    {"REVERSE_V2", "int64", reverse_case},
    {"REVERSE_V2", "uint8", reverse_case},
    {"REVERSE_V2", "float32", reverse_case},
    {"SLICE", "bool", slice_case},
    {"SLICE", "int8", slice_case},
    {"SLICE", "int16", slice_case},
    {"SLICE", "int32", slice_case},
    {"SLICE", "float32", slice_case},
    {"DEPTH_TO_SPACE", "int8", blocks_case},
    {"DEPTH_TO_SPACE", "float32", blocks_case},
    {"SPACE_TO_DEPTH", "int8", blocks_case},
    {"SPACE_TO_DEPTH", "float32", blocks_case},
    {"CONCATENATION", "bool", join_case},
    {"CONCATENATION", "int8", join_case},
    {"CONCATENATION", "int16", join_case},
    {"CONCATENATION", "int32", join_case},
    {"CONCATENATION", "int64", join_case},
    {"CONCATENATION", "float32", join_case},
    {"PACK", "int8", join_case},
    {"PACK", "int16", join_case},
    {"PACK", "int32", join_case},
    {"PACK", "int64", join_case},
    {"PACK", "float32", join_case},
    {"SPLIT", "int8", split_case},
    {"SPLIT", "int16", split_case},
    {"SPLIT", "int32", split_case},
    {"SPLIT", "float32", split_case},
    {"SPLIT_V", "int8", split_case},
    {"SPLIT_V", "int16", split_case},
    {"SPLIT_V", "int32", split_case},
    {"SPLIT_V", "float32", split_case},
    {"UNPACK", "int8", split_case},
    {"UNPACK", "int16", split_case},
    {"UNPACK", "int32", split_case},
    {"UNPACK", "float32", split_case},
    {"GATHER", "int8", gather_case},
    {"GATHER", "float32", gather_case},
    {"DYNAMIC_UPDATE_SLICE", "int8", dynamic_update_slice_case},
    {"DYNAMIC_UPDATE_SLICE", "int16", dynamic_update_slice_case},
    {"DYNAMIC_UPDATE_SLICE", "int32", dynamic_update_slice_case},
    {"DYNAMIC_UPDATE_SLICE", "float32", dynamic_update_slice_case},
    {"STRIDED_SLICE", "bool", strided_slice_case},
    {"STRIDED_SLICE", "int8", strided_slice_case},
    {"STRIDED_SLICE", "int16", strided_slice_case},
    {"STRIDED_SLICE", "int32", strided_slice_case},
    {"STRIDED_SLICE", "float32", strided_slice_case},
    {"FILL", "int8", fill_case},
    {"FILL", "int32", fill_case},
    {"FILL", "float32", fill_case},
    {0},
};
