/* The firmware as a process: UART 1 is stdin and stdout; UART 0 the file descriptor that CONSOLE names, if any. */
#define _POSIX_C_SOURCE 200809L
#include "board.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* Where to read and write; -1 for nowhere. With CONSOLE=0 stdin and stdout are UART 0's. */
static int file_of(int uart, int standard) {
  const char *text = getenv("CONSOLE");
  const int file = text ? atoi(text) : -1;
  if (uart == CONSOLE) {
    return file == STDIN_FILENO ? standard : file;
  }
  return file == STDIN_FILENO ? -1 : standard;
}

void board_put(int uart, uint8_t byte) {
  const int file = file_of(uart, STDOUT_FILENO);
  while (file >= 0 && write(file, &byte, 1) != 1) {
    if (errno != EINTR && errno != EAGAIN) {
      board_exit(0); /* nobody listens any more */
    }
  }
}

/* Asked for the link, waits until there is a byte on either line: a process should not keep a core busy. */
int board_get(int uart) {
  struct pollfd files[2] = {{.fd = file_of(CONSOLE, STDIN_FILENO), .events = POLLIN},
                            {.fd = file_of(LINK, STDIN_FILENO), .events = POLLIN}};
  uint8_t byte;
  poll(files, 2, uart == LINK ? -1 : 0);
  if (!files[uart].revents) {
    return -1;
  }
  if (read(files[uart].fd, &byte, 1) != 1) {
    board_exit(0);
  }
  return byte;
}

uint32_t board_ticks(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint32_t)now.tv_sec * 1000000000u + (uint32_t)now.tv_nsec;
}

_Noreturn void board_exit(int status) { exit(status); }
