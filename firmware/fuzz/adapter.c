/* refengine's kernels behind the door of `refengine fuzz`, and an example to copy for yours: one short function for each
 * operator and type, which puts a case's numbers where the kernel wants them, and tables of those functions. They stand
 * in families/, of which you need family.h, and one file or several to begin with.
 *
 * These kernels want three things that a case does not bring: a multiplier and its shift in one struct, the input's
 * zero point folded into the bias, and strides or lists of places. All else is copied.
 */
#include "families/family.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(place, bytes) ((void)(place))
#define ASAN_UNPOISON_MEMORY_REGION(place, bytes) ((void)(place))
#endif

static const struct entry *const FAMILIES[] = {CONVOLUTIONS, MATRICES, POOLS, PAIRS,  ACTIVATIONS, ROWS,   REDUCTIONS,
                                               TYPES,        MOVES,    LISTS, IMAGES, STREAMS,     SIGNALS};

/* What claims the case, or NULL. */
static const struct entry *entry_of(const test_case *c) {
  for (size_t i = 0; i < sizeof FAMILIES / sizeof FAMILIES[0]; ++i) {
    for (const struct entry *entry = FAMILIES[i]; entry->op; ++entry) {
      if (refengine_is(c, entry->op, entry->dtype)) {
        return entry;
      }
    }
  }
  return NULL;
}

/* Of what the tables name, two things are left out: layers with too many channels, and LSTMs with too many weights. */
static int is_supported(const test_case *c) {
  const tensor *out = &c->outputs[0];
  if (strcmp(c->op, "UNIDIRECTIONAL_SEQUENCE_LSTM") == 0) {
    return weights_fit(c);
  }
  return out->rank == 0 || last_dimension(out) <= MOST_CHANNELS;
}

/* Under the address sanitizer nobody may so much as read what lies beside the data; the door itself sees what is written
 * there, and what a result depends on. */
static void fence(const void *data, size_t bytes, int is_closed) {
  const unsigned char *const start = data;
  if (data && is_closed) {
    ASAN_POISON_MEMORY_REGION(start - REFENGINE_GUARD, REFENGINE_GUARD);
    ASAN_POISON_MEMORY_REGION(start + bytes, REFENGINE_GUARD);
  } else if (data) {
    ASAN_UNPOISON_MEMORY_REGION(start - REFENGINE_GUARD, REFENGINE_GUARD + bytes + REFENGINE_GUARD);
  }
}

static void fence_all(const test_case *c, int is_closed) {
  for (int32_t i = 0; i < c->n_inputs; ++i) {
    fence(c->inputs[i].data, c->inputs[i].bytes, is_closed);
  }
  for (int32_t i = 0; i < c->n_outputs; ++i) {
    fence(c->outputs[i].data, c->outputs[i].bytes, is_closed);
  }
  fence(c->memory, c->memory_bytes, is_closed);
}

int refengine_kernel(const struct refengine_case *c) {
  const struct entry *entry = entry_of(c);
  if (!entry || !is_supported(c)) {
    return REFENGINE_UNSUPPORTED;
  }
  fence_all(c, 1);
  entry->run(c);
  fence_all(c, 0);
  return REFENGINE_COMPUTED;
}
