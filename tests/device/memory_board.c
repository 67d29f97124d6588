/* A board without lines: what the host sends is handed over in memory, and so is the answer. Power may fail in between. */
#include <setjmp.h>
#include <string.h>

#include "app.h"
#include "board.h"
#include "engine.h"

static const uint8_t *incoming;
static uint32_t incoming_count;
static uint8_t *outgoing;
static uint32_t capacity, sent, fuse; /* the fuse blows when so many bytes were sent */
static jmp_buf power;

void board_put(int uart, uint8_t byte) {
  if (uart != LINK) {
    return;
  }
  if (sent == fuse || sent == capacity) {
    longjmp(power, 1);
  }
  outgoing[sent++] = byte;
}

int board_get(int uart) {
  if (uart != LINK || incoming_count == 0) {
    return -1;
  }
  --incoming_count;
  return *incoming++;
}

uint32_t board_ticks(void) {
  static uint32_t ticks;
  return ticks += 7;
}

_Noreturn void board_exit(int status) {
  (void)status;
  longjmp(power, 1);
}

/* Hand over `count` bytes and run until they are used up; the number of bytes sent to `answer`. After `power_fails_at` of
 * them the board resets: what is left of the input is lost, and the memory is full of noise. */
uint32_t memory_board(const uint8_t *bytes, uint32_t count, uint8_t *answer, uint32_t room, uint32_t power_fails_at) {
  incoming = bytes;
  incoming_count = count;
  outgoing = answer;
  capacity = room;
  sent = 0;
  fuse = power_fails_at;
  if (setjmp(power) == 0) {
    while (incoming_count) {
      app_poll();
    }
  } else {
    memset(engine_bytes(&engine()->inputs[0]), 0x5a, engine()->inputs[0].bytes);
    fuse = UINT32_MAX;
    app_start();
  }
  return sent;
}

/* What is sent before anybody listens is lost. */
void memory_board_start(void) {
  static uint8_t lost[1 << 10];
  outgoing = lost;
  capacity = sizeof lost;
  sent = 0;
  fuse = UINT32_MAX;
  if (setjmp(power) == 0) {
    app_start();
  }
}
