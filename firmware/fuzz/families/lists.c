/* What only moves elements, and not by strides: row by row, by a list of where each block of a row comes from. */
#include "family.h"

/* `count` blocks of an output's row, each of so many bytes, whose places in bytes are still to be said. */
static struct gather_params row_of(const test_case *c, int32_t count, int32_t bytes, int32_t **starts) {
  *starts = refengine_scratch(c, (size_t)count * sizeof **starts);
  const struct gather_params p = {count, bytes, *starts};
  return p;
}

/* Where `i`, counted from the first of `size` elements, is found in them and their image, as TFLM does it: behind an
 * image that is too long the first element goes on. */
static int32_t mirrored(int32_t i, int32_t size, int32_t offset) {
  const int32_t behind = 2 * size - 1 - offset - i;
  return i < 0 ? offset - 1 - i : i < size ? i : behind > 0 ? behind : 0;
}

/* Paddings are int32 or int64. */
static int32_t padding_before(const test_case *c, int32_t dimension) {
  const tensor *paddings = &c->inputs[1];
  return strcmp(paddings->dtype, "int64") == 0 ? (int32_t)((const int64_t *)paddings->data)[2 * dimension]
                                               : ((const int32_t *)paddings->data)[2 * dimension];
}

static void mirror_pad_case(const test_case *c) {
  const tensor *in = &c->inputs[0], *out = &c->outputs[0];
  const int32_t last = in->rank - 1, count = out->dims[last], offset = refengine_int(c, "offset");
  const int32_t size = element_size(in), rows = count ? refengine_elements(out) / count : 0;
  int32_t *starts;
  const struct gather_params p = row_of(c, count, size, &starts);
  for (int32_t x = 0; x < count; ++x) {
    starts[x] = mirrored(x - padding_before(c, last), in->dims[last], offset) * size;
  }
  for (int32_t row = 0; row < rows; ++row) {
    int32_t from = 0, stride = in->dims[last] * size, rest = row;
    for (int32_t d = last - 1; d >= 0; --d) {
      from += mirrored(rest % out->dims[d] - padding_before(c, d), in->dims[d], offset) * stride;
      stride *= in->dims[d], rest /= out->dims[d];
    }
    gather_blocks(&p, (const uint8_t *)in->data + from, (uint8_t *)out->data + row * count * size);
  }
}

static void resize_nearest_neighbor_case(const test_case *c) {
  const int32_t *in = c->inputs[0].dims, *out = c->outputs[0].dims;
  const int32_t *rows = refengine_ints(c, "rows", NULL), *columns = refengine_ints(c, "columns", NULL);
  const int32_t pixel = in[3] * element_size(&c->inputs[0]);
  int32_t *starts;
  const struct gather_params p = row_of(c, out[2], pixel, &starts);
  for (int32_t x = 0; x < out[2]; ++x) {
    starts[x] = columns[x] * pixel;
  }
  uint8_t *to = c->outputs[0].data;
  for (int32_t image = 0; image < out[0]; ++image) {
    for (int32_t y = 0; y < out[1]; ++y, to += out[2] * pixel) {
      gather_blocks(&p, (const uint8_t *)c->inputs[0].data + (image * in[1] + rows[y]) * in[2] * pixel, to);
    }
  }
}

/* Rows of indices are int32; each is the slice that the sum of its steps says. */
static void gather_nd_case(const test_case *c) {
  const tensor *in = &c->inputs[0], *indices = &c->inputs[1];
  const int32_t *index = indices->data, bytes = (int32_t)in->bytes / refengine_int(c, "slices");
  int32_t depth, *starts;
  const int32_t *steps = refengine_ints(c, "slices_per_step", &depth);
  const struct gather_params p = row_of(c, refengine_elements(indices) / depth, bytes, &starts);
  for (int32_t i = 0; i < p.count; ++i) {
    starts[i] = 0;
    for (int32_t k = 0; k < depth; ++k) {
      starts[i] += *index++ * steps[k] * bytes;
    }
  }
  gather_blocks(&p, in->data, c->outputs[0].data);
}

/* ---- images cut into blocks: the pixel at (by, bx) of each goes to image (by, bx), and back ---------------------- */

/* Sizes of a tensor of images, of one column where it has three dimensions. */
struct images {
  int32_t count, rows, columns, pixel; /* in bytes */
};

static struct images images_of(const tensor *t) {
  const struct images i = {t->dims[0], t->dims[1], t->rank == 4 ? t->dims[2] : 1, last_dimension(t) * element_size(t)};
  return i;
}

/* Where a block's pixel lies along one dimension of the image that is not cut, or −1 beyond its end. */
static int32_t uncut(int32_t at, int32_t block, int32_t within, int32_t before, int32_t size) {
  const int32_t i = at * block + within - before;
  return i >= 0 && i < size ? i : -1;
}

static void space_to_batch_nd_case(const test_case *c) {
  const struct images in = images_of(&c->inputs[0]), out = images_of(&c->outputs[0]);
  const int32_t *block = refengine_ints(c, "block_shape", NULL), *before = refengine_ints(c, "before", NULL);
  int32_t *starts = refengine_scratch(c, (size_t)out.columns * sizeof *starts);
  const struct gather_padded_params p = {out.columns, out.pixel, refengine_int(c, "pad_value") & 0xFF, starts};
  uint8_t *to = c->outputs[0].data;
  for (int32_t image = 0; image < out.count; ++image) {
    const int32_t within = image / in.count, by = within / block[1], bx = within % block[1];
    for (int32_t row = 0; row < out.rows; ++row, to += out.columns * out.pixel) {
      const int32_t y = uncut(row, block[0], by, before[0], in.rows);
      for (int32_t column = 0; column < out.columns; ++column) {
        const int32_t x = uncut(column, block[1], bx, before[1], in.columns);
        starts[column] = x < 0 || y < 0 ? -1 : ((image % in.count * in.rows + y) * in.columns + x) * in.pixel;
      }
      gather_padded(&p, c->inputs[0].data, to);
    }
  }
}

/* The other way round: before are the crops, and each pixel of the output is in some image. */
static void batch_to_space_nd_case(const test_case *c) {
  const struct images in = images_of(&c->inputs[0]), out = images_of(&c->outputs[0]);
  const int32_t *block = refengine_ints(c, "block_shape", NULL), *before = refengine_ints(c, "before", NULL);
  int32_t *starts;
  const struct gather_params p = row_of(c, out.columns, out.pixel, &starts);
  uint8_t *to = c->outputs[0].data;
  for (int32_t image = 0; image < out.count; ++image) {
    for (int32_t row = 0; row < out.rows; ++row, to += out.columns * out.pixel) {
      const int32_t y = row + before[0];
      for (int32_t column = 0; column < out.columns; ++column) {
        const int32_t x = column + before[1], from = (y % block[0] * block[1] + x % block[1]) * out.count + image;
        starts[column] = ((from * in.rows + y / block[0]) * in.columns + x / block[1]) * in.pixel;
      }
      gather_blocks(&p, c->inputs[0].data, to);
    }
  }
}

/* ---- rows of a table --------------------------------------------------------------------------------------------- */

static void embedding_lookup_case(const test_case *c) {
  const tensor *ids = &c->inputs[0], *table = &c->inputs[1];
  const int32_t count = refengine_elements(ids), rows = table->dims[0];
  if (strcmp(table->dtype, c->outputs[0].dtype) != 0) { /* codes become floats */
    const struct embedding_params p = {count, rows, refengine_elements(table) / rows, table->scale[0]};
    embedding_lookup_int8_float32(&p, ids->data, table->data, c->outputs[0].data);
  } else {
    const struct gather_elements_params p = {1, 1, rows, (int32_t)table->bytes / rows, count};
    embedding_lookup(&p, ids->data, table->data, c->outputs[0].data);
  }
}

const struct entry LISTS[] = {
    {"MIRROR_PAD", "int8", mirror_pad_case},
    {"MIRROR_PAD", "float32", mirror_pad_case},
    {"RESIZE_NEAREST_NEIGHBOR", "int8", resize_nearest_neighbor_case},
    {"RESIZE_NEAREST_NEIGHBOR", "int16", resize_nearest_neighbor_case},
    {"RESIZE_NEAREST_NEIGHBOR", "float32", resize_nearest_neighbor_case},
    {"GATHER_ND", "int8", gather_nd_case},
    {"GATHER_ND", "float32", gather_nd_case},
    {"SPACE_TO_BATCH_ND", "int8", space_to_batch_nd_case},
    {"SPACE_TO_BATCH_ND", "float32", space_to_batch_nd_case},
    {"BATCH_TO_SPACE_ND", "int8", batch_to_space_nd_case},
    {"BATCH_TO_SPACE_ND", "float32", batch_to_space_nd_case},
    {"EMBEDDING_LOOKUP", "int8", embedding_lookup_case},
    {"EMBEDDING_LOOKUP", "float32", embedding_lookup_case},
    {0},
};
