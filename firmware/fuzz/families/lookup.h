/* Tables of 256 values, for what takes each code of 8 bits to a value of its own. */
#ifndef REFENGINE_FUZZ_LOOKUP_H
#define REFENGINE_FUZZ_LOOKUP_H

#include "family.h"

/* To values of so many bits. */
#define LOOKUP(bits)                                                                           \
  static inline void lookup_##bits##_case(const test_case *c) {                                \
    static uint##bits##_t values[256];                                                         \
    const int32_t *table = refengine_ints(c, "table", NULL);                                   \
    for (int32_t code = 0; code < 256; ++code) {                                               \
      values[code] = (uint##bits##_t)table[code];                                              \
    }                                                                                          \
    const struct lookup_##bits##_params p = {refengine_elements(&c->outputs[0]), values};      \
    lookup_##bits(&p, c->inputs[0].data, c->outputs[0].data);                                  \
  }

LOOKUP(8)
LOOKUP(16)
LOOKUP(32)

#endif
