/* A walk over the rows of a tensor of rank MAX_RANK: all dimensions but the last, in order. */
#ifndef REFENGINE_WALK_H
#define REFENGINE_WALK_H

#include "kernels.h"

struct walk {
  int32_t index[MAX_RANK - 1];
  int32_t done;
};

static inline struct walk walk_over(const int32_t shape[MAX_RANK]) {
  struct walk walk = {{0}, 0};
  for (int32_t d = 0; d < MAX_RANK; ++d) {
    walk.done |= shape[d] == 0;
  }
  return walk;
}

static inline void next_row(struct walk *walk, const int32_t shape[MAX_RANK]) {
  int32_t d = MAX_RANK - 2;
  while (d >= 0 && ++walk->index[d] == shape[d]) {
    walk->index[d--] = 0;
  }
  walk->done = d < 0;
}

/* Where the row begins in a tensor with these strides. */
static inline int32_t place(const struct walk *walk, const int32_t strides[MAX_RANK]) {
  int32_t offset = 0;
  for (int32_t d = 0; d < MAX_RANK - 1; ++d) {
    offset += walk->index[d] * strides[d];
  }
  return offset;
}

#endif
