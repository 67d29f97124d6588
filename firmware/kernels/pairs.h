/* output[i] = function(p, input1[i], input2[i]) for each element, the inputs broadcast against each other. */
#ifndef REFENGINE_PAIRS_H
#define REFENGINE_PAIRS_H

#include "walk.h"

#define FOR_EACH_PAIR(function, p, input1, input2, output)                                                    \
  do {                                                                                                        \
    const struct broadcast *b = &(p)->broadcast;                                                              \
    const int32_t stride1 = b->input1_strides[MAX_RANK - 1], stride2 = b->input2_strides[MAX_RANK - 1];       \
    for (struct walk walk = walk_over(b->shape); !walk.done; next_row(&walk, b->shape)) {                     \
      int32_t at1 = place(&walk, b->input1_strides), at2 = place(&walk, b->input2_strides);                   \
      for (int32_t i = 0; i < b->shape[MAX_RANK - 1]; ++i) {                                                  \
        *(output)++ = function(p, (input1)[at1], (input2)[at2]);                                              \
        at1 += stride1, at2 += stride2;                                                                       \
      }                                                                                                       \
    }                                                                                                         \
  } while (0)

#endif
