/* Frames on a line that loses, doubles and damages bytes: length, payload and CRC-32, between END bytes (as SLIP does).
 *
 *   END  escaped(length: 4 bytes, little-endian · payload · CRC-32 of both: 4 bytes, little-endian)  END
 *
 * Inside, END (0xC0) is sent as 0xDB 0xDC and 0xDB as 0xDB 0xDD. So END is always a border: whatever happened before it,
 * the next frame is received whole.
 */
#ifndef FRAME_H
#define FRAME_H

#include <stdint.h>

enum { FRAME_END = 0xC0, FRAME_ESCAPE = 0xDB, FRAME_ESCAPED_END = 0xDC, FRAME_ESCAPED_ESCAPE = 0xDD };
enum { FRAME_HEAD = 4, FRAME_TAIL = 4 };

/* A receiver's state, all 0 at first but for the buffer, which begins at a multiple of four. */
struct frame {
  uint8_t *bytes;
  uint32_t capacity, size;
  uint8_t escape, damaged;
};

/* Take one byte from the line. When it completes an intact frame, the length of its payload, which begins at
 * bytes + FRAME_HEAD and is there until the next call; else 0. */
uint32_t frame_receive(struct frame *f, uint8_t byte);

/* Send the payload that lies at bytes + FRAME_HEAD, with FRAME_TAIL bytes to spare behind it. */
void frame_send(uint8_t *bytes, uint32_t payload, void (*put)(uint8_t byte));

#endif
