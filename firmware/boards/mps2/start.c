/* From reset to main: vector table, FPU on, .data copied, .bss cleared, constructors run. Any Cortex-M board can start like this. */
#include <stdint.h>
#include <string.h>

#include "board.h"

extern uint8_t link_data_load[], link_data[], link_data_end[], link_bss[], link_bss_end[], link_stack_top[];
extern void (*const link_init[])(void), (*const link_init_end[])(void); /* C++ constructors */

int main(void);
void board_start(void);
_Noreturn void board_reset(void);

_Noreturn void board_reset(void) {
#ifdef __ARM_FP
  *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20; /* CPACR: coprocessors 10 and 11 */
  __asm__ volatile("dsb\n isb");
#endif
  memcpy(link_data, link_data_load, (size_t)(link_data_end - link_data));
  memset(link_bss, 0, (size_t)(link_bss_end - link_bss));
  for (void (*const *init)(void) = link_init; init != link_init_end; ++init) {
    (*init)();
  }
  board_start();
  board_exit(main());
}

/* A bus error, a division by zero, a call into nowhere: say so where a person looks, and end. */
static _Noreturn void fault(void) {
  for (const char *c = "\r\nhard fault\r\n"; *c; ++c) {
    board_put(CONSOLE, (uint8_t)*c);
  }
  board_exit(70);
}

/* Initial stack pointer, reset, then NMI and the faults. No interrupt is ever enabled. */
__attribute__((section(".vectors"), used)) static void (*const vectors[16])(void) = {
    (void (*)(void))link_stack_top, board_reset, fault, fault, fault, fault, fault,
};
