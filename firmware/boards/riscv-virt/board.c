/* QEMU's machine virt: one 16550 on the board, which is UART 0, and one on PCI, which is UART 1 (-device pci-serial). */
#include "board.h"

#define CONFIGURATION ((volatile uint32_t *)(0x30000000 + (1 << 15))) /* of PCI device 1 */
#define COMMAND 1
#define BAR0 4
#define PORTS 0x03000000u /* where PCI's I/O ports lie in memory */
#define PORT 0x1000u      /* that of UART 1, which we choose */

#define DIVISOR_LATCH 0x80u
#define EIGHT_BITS 3u
#define RECEIVED 1u
#define ROOM 0x20u

enum { DATA = 0, INTERRUPTS = 1, FIFO = 2, LINE = 3, STATE = 5 };

#define MTIME ((volatile uint32_t *)0x0200bff8) /* ten million a second, whatever runs */
#define FINISHER ((volatile uint32_t *)0x00100000)

static volatile uint8_t *const uarts[2] = {(volatile uint8_t *)0x10000000, (volatile uint8_t *)(PORTS + PORT)};

void board_start(void) {
  CONFIGURATION[BAR0] = PORT;
  CONFIGURATION[COMMAND] = 1; /* I/O ports on */
  for (int i = 0; i < 2; ++i) {
    uarts[i][LINE] = DIVISOR_LATCH | EIGHT_BITS;
    uarts[i][DATA] = 1; /* the fastest; QEMU's lines have no speed */
    uarts[i][INTERRUPTS] = 0;
    uarts[i][LINE] = EIGHT_BITS;
    uarts[i][FIFO] = 1;
  }
}

void board_put(int uart, uint8_t byte) {
  while (!(uarts[uart][STATE] & ROOM)) {
  }
  uarts[uart][DATA] = byte;
}

int board_get(int uart) { return uarts[uart][STATE] & RECEIVED ? uarts[uart][DATA] : -1; }

uint32_t board_ticks(void) { return *MTIME; }

/* The machine's finisher makes this QEMU's own exit status. */
_Noreturn void board_exit(int status) {
  *FINISHER = status ? (uint32_t)status << 16 | 0x3333 : 0x5555;
  for (;;) {
  }
}
