#include "frame.h"

#include "flat.h"
#include "step.h"

static void store(uint8_t *at, uint32_t value) {
  for (int i = 0; i < 4; ++i) {
    at[i] = (uint8_t)(value >> 8 * i);
  }
}

static uint32_t completed(const struct frame *f) {
  if (f->damaged || f->escape || f->size <= FRAME_HEAD + FRAME_TAIL) {
    return 0;
  }
  const uint32_t covered = f->size - FRAME_TAIL, payload = covered - FRAME_HEAD;
  const int intact = flat_load(f->bytes) == payload && flat_load(f->bytes + covered) == model_crc32(f->bytes, covered);
  return intact ? payload : 0;
}

uint32_t frame_receive(struct frame *f, uint8_t byte) {
  if (byte == FRAME_END) {
    const uint32_t payload = completed(f);
    f->size = f->escape = f->damaged = 0;
    return payload;
  }
  if (byte == FRAME_ESCAPE && !f->escape) {
    f->escape = 1;
    return 0;
  }
  if (f->escape) {
    f->damaged |= byte != FRAME_ESCAPED_END && byte != FRAME_ESCAPED_ESCAPE;
    byte = byte == FRAME_ESCAPED_END ? FRAME_END : FRAME_ESCAPE;
    f->escape = 0;
  }
  if (f->size == f->capacity) {
    f->damaged = 1;
    return 0;
  }
  f->bytes[f->size++] = byte;
  return 0;
}

void frame_send(uint8_t *bytes, uint32_t payload, void (*put)(uint8_t byte)) {
  const uint32_t covered = FRAME_HEAD + payload;
  store(bytes, payload);
  store(bytes + covered, model_crc32(bytes, covered));
  put(FRAME_END);
  for (uint32_t i = 0; i < covered + FRAME_TAIL; ++i) {
    if (bytes[i] == FRAME_END || bytes[i] == FRAME_ESCAPE) {
      put(FRAME_ESCAPE);
      put(bytes[i] == FRAME_END ? FRAME_ESCAPED_END : FRAME_ESCAPED_ESCAPE);
    } else {
      put(bytes[i]);
    }
  }
  put(FRAME_END);
}
