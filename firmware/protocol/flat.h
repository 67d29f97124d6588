/* FlatBuffers for the few tables of device.fbs: no allocation, no generated code, nothing read out of bounds.
 *
 * Writing: tables, vectors and strings are appended one after another, and references patched in; every field takes four
 * bytes, which the format allows. Reading: the position of a thing in the buffer, or 0 where it is absent or damaged.
 */
#ifndef FLAT_H
#define FLAT_H

#include <stddef.h>
#include <stdint.h>

struct flat_writer {
  uint8_t *bytes;
  uint32_t capacity, size;
  int overflow; /* 1 once something did not fit: the buffer is good for nothing */
};

struct flat_reader {
  const uint8_t *bytes;
  uint32_t size;
};

/* An empty buffer whose root is the table to be appended next. `identifier`: four characters. */
struct flat_writer flat_begin(uint8_t *bytes, uint32_t capacity, const char *identifier);

/* A table of `count` fields, all 0; its position. */
uint32_t flat_table(struct flat_writer *w, uint32_t count);
void flat_set(struct flat_writer *w, uint32_t table, uint32_t field, uint32_t value);
void flat_set_float(struct flat_writer *w, uint32_t table, uint32_t field, float value);

/* Append a table, vector or string, and let the field refer to it. Data are little-endian. */
uint32_t flat_put_table(struct flat_writer *w, uint32_t table, uint32_t field, uint32_t count);
void flat_put_vector(struct flat_writer *w, uint32_t table, uint32_t field, const void *data, uint32_t count,
                     uint32_t element_size);
void flat_put_string(struct flat_writer *w, uint32_t table, uint32_t field, const char *text);

/* The root table, if the buffer bears this identifier. */
uint32_t flat_root(const struct flat_reader *r, const char *identifier);

/* Scalars; 0 if absent. */
uint32_t flat_u32(const struct flat_reader *r, uint32_t table, uint32_t field);
uint8_t flat_u8(const struct flat_reader *r, uint32_t table, uint32_t field);

/* The table or vector that the field refers to. */
uint32_t flat_child(const struct flat_reader *r, uint32_t table, uint32_t field);

/* The elements of a vector and their number; 0 elements where it is absent or damaged. */
const uint8_t *flat_vector(const struct flat_reader *r, uint32_t table, uint32_t field, uint32_t element_size,
                           uint32_t *count);

/* Four bytes, little-endian. */
uint32_t flat_load(const uint8_t *bytes);

#endif
