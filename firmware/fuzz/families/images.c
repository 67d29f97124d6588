/* RESIZE_BILINEAR and TFLite_Detection_PostProcess behind the door. */
#include "family.h"

static struct resize_bilinear_params resized_int8(const test_case *c) {
  const int32_t *in = c->inputs[0].dims, *out = c->outputs[0].dims;
  struct resize_bilinear_params p = {
      .batches = in[0],
      .input_height = in[1],
      .input_width = in[2],
      .depth = in[3],
      .output_height = out[1],
      .output_width = out[2],
      .ties_away = !REFENGINE_SINGLE_ROUNDING && !REFENGINE_XNNPACK_ROUNDING,
      .row_lower = refengine_ints(c, "row_lower", NULL),
      .row_upper = refengine_ints(c, "row_upper", NULL),
      .row_offset = refengine_ints(c, "row_offset", NULL),
      .column_lower = refengine_ints(c, "column_lower", NULL),
      .column_upper = refengine_ints(c, "column_upper", NULL),
      .column_offset = refengine_ints(c, "column_offset", NULL),
  };
  while (1 << p.bits < refengine_int(c, "one")) {
    ++p.bits;
  }
  return p;
}

static struct resize_bilinear_float32_params resized_float32(const test_case *c) {
  const int32_t *in = c->inputs[0].dims, *out = c->outputs[0].dims;
  const struct resize_bilinear_float32_params p = {
      .batches = in[0],
      .input_height = in[1],
      .input_width = in[2],
      .depth = in[3],
      .output_height = out[1],
      .output_width = out[2],
      .row_lower = refengine_ints(c, "row_lower", NULL),
      .row_upper = refengine_ints(c, "row_upper", NULL),
      .row_offset = floats_called(c, "row_offset"),
      .column_lower = refengine_ints(c, "column_lower", NULL),
      .column_upper = refengine_ints(c, "column_upper", NULL),
      .column_offset = floats_called(c, "column_offset"),
  };
  return p;
}

SINGLE(resize_bilinear_int8, resize_bilinear_params, resized_int8)
SINGLE(resize_bilinear_float32, resize_bilinear_float32_params, resized_float32)

static void detection_postprocess_case(const test_case *c) {
  const tensor *in = c->inputs, *out = c->outputs;
  const float scales[] = {refengine_float(c, "y_scale"), refengine_float(c, "x_scale"), refengine_float(c, "h_scale"),
                          refengine_float(c, "w_scale")};
  const struct detection_params p = {
      .boxes = in[0].dims[1],
      .encodings_depth = in[0].dims[2],
      .scores_depth = in[1].dims[2],
      .num_classes = refengine_int(c, "num_classes"),
      .max_detections = refengine_int(c, "max_detections"),
      .classes_per_box = refengine_int(c, "max_classes_per_detection"),
      .detections_per_class = refengine_int(c, "detections_per_class"),
      .use_regular_nms = refengine_int(c, "use_regular_nms"),
      .nms_score_threshold = refengine_float(c, "nms_score_threshold"),
      .nms_iou_threshold = refengine_float(c, "nms_iou_threshold"),
      .scales = scales,
  };
  void *scratch = refengine_scratch(c, 5 * sizeof(float) * (size_t)p.boxes);
  detection_postprocess(&p, in[0].data, in[1].data, in[2].data, scratch, out[1].data, out[2].data, out[3].data,
                        out[0].data);
}

const struct entry IMAGES[] = {
    {"RESIZE_BILINEAR", "int8", resize_bilinear_int8_case},
    {"RESIZE_BILINEAR", "float32", resize_bilinear_float32_case},
    {"TFLite_Detection_PostProcess", "float32", detection_postprocess_case},
    {0},
};
