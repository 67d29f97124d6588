/* The exported model checks itself: every step's CRC-32 against the one that refengine computed. */
#include <stddef.h>
#include <string.h>

#include "model.h"

void (*model_step_hook)(int32_t step) = NULL;

static int first_wrong; /* 1 + the place of the first wrong step, 0 while there is none */

uint32_t model_crc32(const void *bytes, uint32_t count) {
  const uint8_t *byte = bytes;
  uint32_t crc = UINT32_MAX;
  for (uint32_t i = 0; i < count; ++i) {
    crc ^= byte[i];
    for (int bit = 0; bit < 8; ++bit) {
      crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0xEDB88320) : 0);
    }
  }
  return ~crc;
}

void model_copy(void *to, const void *from, uint32_t bytes) {
  if (to != NULL && from != NULL && to != from) {
    memcpy(to, from, bytes);
  }
}

static void check(int32_t place) {
  const struct step *step = &model_steps[place];
  if (!first_wrong && step->crc32 && model_crc32(model_arena + step->output.offset, step->output.bytes) != step->crc32) {
    first_wrong = 1 + place;
  }
}

int model_selftest(void) {
  void (*const hook)(int32_t) = model_step_hook;
  first_wrong = 0;
  model_step_hook = check;
  model_invoke_golden();
  model_step_hook = hook;
  model_reset();
  return first_wrong;
}
