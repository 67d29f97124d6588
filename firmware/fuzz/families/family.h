/* What the families of kernels behind the door share. Each has a file here, at whose end a table names its functions. */
#ifndef REFENGINE_FUZZ_FAMILY_H
#define REFENGINE_FUZZ_FAMILY_H

#include "kernels.h"
#include "refengine_fuzz.h"

typedef struct refengine_case test_case;
typedef struct refengine_tensor tensor;

/* One operator at one type, and what takes its cases to a kernel; without an operator, the end of a table. */
struct entry {
  const char *op, *dtype;
  void (*run)(const test_case *c);
};

extern const struct entry CONVOLUTIONS[], MATRICES[], POOLS[], PAIRS[], ACTIVATIONS[], ROWS[], REDUCTIONS[], TYPES[],
    MOVES[], LISTS[], IMAGES[], STREAMS[], SIGNALS[];

enum { MOST_CHANNELS = 4096 }; /* of a layer; what has more is not supported here */

/* ---- sizes, and where things lie --------------------------------------------------------------------------------- */

static inline int32_t last_dimension(const tensor *t) { return t->dims[t->rank - 1]; }

/* How many rows of the last dimension there are. */
static inline int32_t rows_of(const tensor *t) {
  const int32_t size = last_dimension(t);
  return size ? refengine_elements(t) / size : 0;
}

static inline int32_t element_size(const tensor *t) {
  const int32_t count = refengine_elements(t);
  return count ? (int32_t)t->bytes / count : 1;
}

/* `dims` with ones in front. */
static inline void shape_of(const tensor *t, int32_t shape[MAX_RANK]) {
  for (int32_t d = 0; d < MAX_RANK; ++d) {
    const int32_t i = d - (MAX_RANK - t->rank);
    shape[d] = i < 0 ? 1 : t->dims[i];
  }
}

/* The strides of a tensor of its own, in elements, for its dimensions at the end of MAX_RANK. */
static inline void strides_of(const tensor *t, int32_t strides[MAX_RANK]) {
  int32_t stride = 1;
  for (int32_t d = MAX_RANK - 1, i = t->rank - 1; d >= 0; --d, --i) {
    strides[d] = i >= 0 ? stride : 0;
    stride *= i >= 0 ? t->dims[i] : 1;
  }
}

/* The strides of `t` over an output of rank MAX_RANK, 0 where it broadcasts. */
static inline void broadcast_strides(const tensor *t, int32_t strides[MAX_RANK]) {
  int32_t stride = 1;
  for (int32_t d = MAX_RANK - 1, i = t->rank - 1; d >= 0; --d, --i) {
    const int32_t size = i >= 0 ? t->dims[i] : 1;
    strides[d] = size == 1 ? 0 : stride;
    stride *= size;
  }
}

static inline struct broadcast broadcast_of(const test_case *c) {
  struct broadcast b;
  shape_of(&c->outputs[0], b.shape);
  broadcast_strides(&c->inputs[0], b.input1_strides);
  broadcast_strides(&c->inputs[1], b.input2_strides);
  return b;
}

/* ---- numbers as the kernels want them ---------------------------------------------------------------------------- */

static inline struct size_params size_of(const test_case *c) {
  const struct size_params p = {refengine_elements(&c->outputs[0])};
  return p;
}

#if REFENGINE_XNNPACK_ROUNDING
/* The same factors as floats; XNNPACK has not every operator, and of the others there are none. */
static inline void take_scales(const test_case *c, const char *multiplier, int32_t count, struct multiplier *factors) {
  char name[64];
  snprintf(name, sizeof name, "%s_scale", multiplier);
  const struct refengine_number *scales = refengine_find(c, name);
  for (int32_t i = 0; scales && i < count; ++i) {
    factors[i].scale = (float)scales->reals[i];
  }
}
#endif

/* `count` multipliers and shifts. */
static inline void take_factors(const test_case *c, const char *multiplier, const char *shift, int32_t count,
                                struct multiplier *factors) {
  const int32_t *multipliers = refengine_ints(c, multiplier, NULL), *shifts = refengine_ints(c, shift, NULL);
  for (int32_t i = 0; i < count; ++i) {
    factors[i].multiplier = multipliers[i];
    factors[i].shift = shifts[i];
  }
#if REFENGINE_XNNPACK_ROUNDING
  take_scales(c, multiplier, count, factors);
#endif
}

static inline struct multiplier multiplier_called(const test_case *c, const char *multiplier, const char *shift) {
  struct multiplier m = {0};
  take_factors(c, multiplier, shift, 1, &m);
  return m;
}

/* Reals as floats. */
static inline const float *floats_called(const test_case *c, const char *name) {
  const struct refengine_number *n = refengine_number_of(c, name);
  float *floats = refengine_scratch(c, (size_t)n->count * sizeof *floats);
  for (int32_t i = 0; i < n->count; ++i) {
    floats[i] = (float)n->reals[i];
  }
  return floats;
}

/* TFLM's table for LOGISTIC and TANH of int16, and the gates of LSTM. */
const uint16_t *sigmoid_table(void);

/* Whether an LSTM's weights fit into the scratch memory, where they are to lie one behind the other. */
int weights_fit(const test_case *c);

/* ---- functions that are all alike -------------------------------------------------------------------------------- */

/* One input, and params that are made as `made` says. */
#define SINGLE(kernel, type, made)                              \
  static void kernel##_case(const test_case *c) {               \
    const struct type p = made(c);                              \
    kernel(&p, c->inputs[0].data, c->outputs[0].data);          \
  }

/* Two inputs, and params that are made as `made` says. */
#define PAIR(kernel, type, made)                                                  \
  static void kernel##_case(const test_case *c) {                                 \
    const struct type p = made(c);                                                \
    kernel(&p, c->inputs[0].data, c->inputs[1].data, c->outputs[0].data);         \
  }

#endif
