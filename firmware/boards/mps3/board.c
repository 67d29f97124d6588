/* Arm MPS3 with the AN547 image, QEMU's mps3-an547: CMSDK UARTs, and the system counter of the SSE-300 subsystem. The
 * core starts in Secure state, and sees everything at the Secure addresses. */
#include "board.h"

struct uart {
  volatile uint32_t data, state, control, interrupt, divider;
};

#define TX_FULL 1u
#define RX_FULL 2u
#define TX_AND_RX 3u
#define COUNTER_CONTROL (*(volatile uint32_t *)0x58100000)
#define COUNTER_LOW (*(volatile uint32_t *)0x58100008)

static struct uart *const uarts[2] = {(struct uart *)0x59303000, (struct uart *)0x59304000};

void board_start(void) {
  for (int i = 0; i < 2; ++i) {
    uarts[i]->divider = 16; /* the fastest; QEMU's lines have no speed */
    uarts[i]->control = TX_AND_RX;
  }
  COUNTER_CONTROL = 1;
}

void board_put(int uart, uint8_t byte) {
  while (uarts[uart]->state & TX_FULL) {
  }
  uarts[uart]->data = byte;
}

int board_get(int uart) { return uarts[uart]->state & RX_FULL ? (int)(uarts[uart]->data & 0xff) : -1; }

uint32_t board_ticks(void) { return COUNTER_LOW; }

/* Semihosting's SYS_EXIT_EXTENDED, which QEMU makes its own exit status. */
_Noreturn void board_exit(int status) {
  const uint32_t block[2] = {0x20026, (uint32_t)status};
  register uint32_t operation __asm__("r0") = 0x20;
  register const uint32_t *argument __asm__("r1") = block;
  __asm__ volatile("bkpt 0xab" : : "r"(operation), "r"(argument) : "memory");
  for (;;) {
  }
}
