#include "flat.h"

#include <string.h>

enum { ROOT = 0, IDENTIFIER = 4, START = 8 };

/* ---- writing ---- */

static void store(uint8_t *at, uint32_t value, uint32_t bytes) {
  for (uint32_t i = 0; i < bytes; ++i) {
    at[i] = (uint8_t)(value >> 8 * i);
  }
}

/* Append zeros, aligned to four bytes at the end; their position. */
static uint32_t append(struct flat_writer *w, uint32_t count) {
  const uint32_t position = w->size, rounded = (count + 3) & ~3u;
  if (w->overflow || count > w->capacity || rounded > w->capacity - position) {
    w->overflow = 1;
    return START; /* somewhere harmless */
  }
  memset(w->bytes + position, 0, rounded);
  w->size += rounded;
  return position;
}

struct flat_writer flat_begin(uint8_t *bytes, uint32_t capacity, const char *identifier) {
  struct flat_writer w = {bytes, capacity, START, 0};
  store(bytes + ROOT, 0, 4);
  memcpy(bytes + IDENTIFIER, identifier, 4);
  return w;
}

/* The vtable, right before its table: its size, the table's, and where each field is. */
uint32_t flat_table(struct flat_writer *w, uint32_t count) {
  const uint32_t vtable_bytes = 4 + 2 * count, padding = (4 - vtable_bytes % 4) % 4;
  const uint32_t start = append(w, padding + vtable_bytes + 4 + 4 * count);
  if (w->overflow) {
    return START;
  }
  const uint32_t vtable = start + padding, table = vtable + vtable_bytes;
  store(w->bytes + vtable, vtable_bytes, 2);
  store(w->bytes + vtable + 2, 4 + 4 * count, 2);
  for (uint32_t i = 0; i < count; ++i) {
    store(w->bytes + vtable + 4 + 2 * i, 4 + 4 * i, 2);
  }
  store(w->bytes + table, vtable_bytes, 4);
  if (flat_load(w->bytes + ROOT) == 0) {
    store(w->bytes + ROOT, table, 4);
  }
  return table;
}

void flat_set(struct flat_writer *w, uint32_t table, uint32_t field, uint32_t value) {
  if (!w->overflow) {
    store(w->bytes + table + 4 + 4 * field, value, 4);
  }
}

void flat_set_float(struct flat_writer *w, uint32_t table, uint32_t field, float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  flat_set(w, table, field, bits);
}

static void refer_to(struct flat_writer *w, uint32_t table, uint32_t field, uint32_t position) {
  flat_set(w, table, field, position - (table + 4 + 4 * field));
}

uint32_t flat_put_table(struct flat_writer *w, uint32_t table, uint32_t field, uint32_t count) {
  const uint32_t child = flat_table(w, count);
  refer_to(w, table, field, child);
  return child;
}

void flat_put_vector(struct flat_writer *w, uint32_t table, uint32_t field, const void *data, uint32_t count,
                     uint32_t element_size) {
  const uint32_t bytes = count * element_size, vector = append(w, 4 + bytes);
  if (!w->overflow) {
    store(w->bytes + vector, count, 4);
    memcpy(w->bytes + vector + 4, data, bytes);
    refer_to(w, table, field, vector);
  }
}

void flat_put_string(struct flat_writer *w, uint32_t table, uint32_t field, const char *text) {
  const uint32_t length = (uint32_t)strlen(text), string = append(w, 4 + length + 1); /* a zero ends it */
  if (!w->overflow) {
    store(w->bytes + string, length, 4);
    memcpy(w->bytes + string + 4, text, length);
    refer_to(w, table, field, string);
  }
}

/* ---- reading ---- */

static int inside(const struct flat_reader *r, uint32_t position, uint32_t bytes) {
  return position <= r->size && bytes <= r->size - position;
}

uint32_t flat_load(const uint8_t *bytes) {
  return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static uint32_t follow(const struct flat_reader *r, uint32_t position) {
  if (!position || !inside(r, position, 4)) {
    return 0;
  }
  const uint32_t offset = flat_load(r->bytes + position);
  return offset && offset <= r->size - position ? position + offset : 0;
}

uint32_t flat_root(const struct flat_reader *r, const char *identifier) {
  if (r->size < START || memcmp(r->bytes + IDENTIFIER, identifier, 4) != 0) {
    return 0;
  }
  const uint32_t offset = flat_load(r->bytes);
  return offset < r->size ? offset : 0;
}

/* Where a field of so many bytes lies; 0 if the table has none. */
static uint32_t field_at(const struct flat_reader *r, uint32_t table, uint32_t field, uint32_t bytes) {
  if (!table || !inside(r, table, 4)) {
    return 0;
  }
  const uint32_t vtable = table - flat_load(r->bytes + table), entry = 4 + 2 * field; /* wraps if damaged */
  if (!inside(r, vtable, 4)) {
    return 0;
  }
  const uint32_t vtable_bytes = flat_load(r->bytes + vtable) & 0xffff;
  if (entry + 2 > vtable_bytes || !inside(r, vtable, vtable_bytes)) {
    return 0;
  }
  const uint32_t offset = (uint32_t)r->bytes[vtable + entry] | (uint32_t)r->bytes[vtable + entry + 1] << 8;
  return offset && inside(r, table, offset) && inside(r, table + offset, bytes) ? table + offset : 0;
}

uint32_t flat_u32(const struct flat_reader *r, uint32_t table, uint32_t field) {
  const uint32_t at = field_at(r, table, field, 4);
  return at ? flat_load(r->bytes + at) : 0;
}

uint8_t flat_u8(const struct flat_reader *r, uint32_t table, uint32_t field) {
  const uint32_t at = field_at(r, table, field, 1);
  return at ? r->bytes[at] : 0;
}

uint32_t flat_child(const struct flat_reader *r, uint32_t table, uint32_t field) {
  return follow(r, field_at(r, table, field, 4));
}

const uint8_t *flat_vector(const struct flat_reader *r, uint32_t table, uint32_t field, uint32_t element_size,
                           uint32_t *count) {
  const uint32_t vector = flat_child(r, table, field);
  *count = 0;
  if (!vector || !inside(r, vector, 4)) {
    return r->bytes;
  }
  const uint32_t elements = flat_load(r->bytes + vector);
  if (elements > (r->size - vector - 4) / element_size) {
    return r->bytes;
  }
  *count = elements;
  return r->bytes + vector + 4;
}
