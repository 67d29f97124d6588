/* GATHER, EMBEDDING_LOOKUP by positions that are computed; SPACE_TO_BATCH_ND; DYNAMIC_UPDATE_SLICE.
 *
 * TFLM: kernels/gather.cc, embedding_lookup.cc, space_to_batch_nd.cc, dynamic_update_slice.cc. refengine: the files of
 * these names. Where TFLM's Invoke fails, for a position outside, position 0 is taken.
 */
#include <string.h>

#include "walk.h"

static int32_t inside(int32_t position, int32_t count) { return position >= 0 && position < count ? position : 0; }

void gather_elements(const struct gather_elements_params *p, const void *input, const int32_t *positions,
                     void *output) {
  const uint8_t *in = input;
  uint8_t *out = output;
  for (int32_t batch = 0; batch < p->batches; ++batch, positions += p->positions) {
    for (int32_t outer = 0; outer < p->outer; ++outer, in += p->count * p->bytes) {
      for (int32_t i = 0; i < p->positions; ++i, out += p->bytes) {
        memcpy(out, in + inside(positions[i], p->count) * p->bytes, (size_t)p->bytes);
      }
    }
  }
}

void embedding_lookup(const struct gather_elements_params *p, const int32_t *ids, const void *table, void *output) {
  gather_elements(p, table, ids, output);
}

void embedding_lookup_int8_float32(const struct embedding_params *p, const int32_t *ids, const int8_t *table,
                                   float *output) {
  for (int32_t i = 0; i < p->ids; ++i) {
    const int8_t *row = table + inside(ids[i], p->rows) * p->depth;
    for (int32_t c = 0; c < p->depth; ++c) {
      *output++ = p->scale * (float)row[c];
    }
  }
}

void gather_padded(const struct gather_padded_params *p, const void *input, void *output) {
  uint8_t *out = output;
  for (int32_t i = 0; i < p->count; ++i, out += p->bytes) {
    if (p->starts[i] < 0) {
      memset(out, p->pad_byte, (size_t)p->bytes);
    } else {
      memcpy(out, (const uint8_t *)input + p->starts[i], (size_t)p->bytes);
    }
  }
}

static void update(const struct update_params *p, const int64_t *starts, const void *part, void *output) {
  const uint8_t *from = part;
  int32_t at = 0;
  for (int32_t d = 0; d < MAX_RANK; ++d) {
    const int64_t start = starts[d] < 0 ? 0 : starts[d] > p->largest[d] ? p->largest[d] : starts[d];
    at += (int32_t)start * p->strides[d];
  }
  const int32_t row = p->update_shape[MAX_RANK - 1] * p->element_size;
  for (struct walk walk = walk_over(p->update_shape); !walk.done; next_row(&walk, p->update_shape), from += row) {
    memcpy((uint8_t *)output + (at + place(&walk, p->strides)) * p->element_size, from, (size_t)row);
  }
}

#define UPDATE(name, type)                                                                                        \
  void name(const struct update_params *p, const void *operand, const void *part, const type *indices,            \
            void *output) {                                                                                       \
    int64_t starts[MAX_RANK] = {0};                                                                               \
    for (int32_t d = 0; d < p->rank; ++d) {                                                                       \
      starts[MAX_RANK - p->rank + d] = indices[d];                                                                \
    }                                                                                                             \
    memcpy(output, operand, (size_t)p->bytes);                                                                    \
    update(p, starts, part, output);                                                                              \
  }

UPDATE(dynamic_update_slice_int32, int32_t)
UPDATE(dynamic_update_slice_int64, int64_t)
