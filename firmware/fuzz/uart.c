/* The line of refengine_server.c over a board's UART 1. */
#include <stddef.h>

#include "board.h"

void refengine_serve(void);
int refengine_read(void *data, size_t bytes);
void refengine_write(const void *data, size_t bytes);

int refengine_read(void *data, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) {
    int byte;
    do {
      byte = board_get(LINK);
    } while (byte < 0);
    ((uint8_t *)data)[i] = (uint8_t)byte;
  }
  return 1;
}

void refengine_write(const void *data, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) {
    board_put(LINK, ((const uint8_t *)data)[i]);
  }
}

int main(void) {
  for (;;) {
    refengine_serve();
  }
}
