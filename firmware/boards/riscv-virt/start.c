/* From reset to main, on any RISC-V core in machine mode: stack and global pointer, floats on if there are some, .data
 * copied, .bss cleared, constructors run. No interrupt is ever enabled. */
#include <stdint.h>
#include <string.h>

#include "board.h"

extern uint8_t link_data_load[], link_data[], link_data_end[], link_bss[], link_bss_end[];
extern void (*const link_init[])(void), (*const link_init_end[])(void); /* C++ constructors */

int main(void);
void board_start(void);
_Noreturn void board_reset(void);
_Noreturn void start_in_c(void);

/* An illegal instruction, an address of nothing: say so where a person looks, and end. */
__attribute__((aligned(4))) static _Noreturn void fault(void) {
  for (const char *c = "\r\ntrap\r\n"; *c; ++c) {
    board_put(CONSOLE, (uint8_t)*c);
  }
  board_exit(70);
}

__attribute__((naked, section(".vectors"), used)) void board_reset(void) {
  __asm__ volatile(
      ".option push\n .option norelax\n la gp, __global_pointer$\n .option pop\n"
      "la sp, link_stack_top\n"
      "j start_in_c");
}

_Noreturn void start_in_c(void) {
  __asm__ volatile(".option arch, +zicsr\n csrw mtvec, %0" : : "r"(fault));
#ifdef __riscv_flen
  __asm__ volatile(".option arch, +zicsr\n csrs mstatus, %0\n fscsr zero" : : "r"(1 << 13)); /* FS: initial */
#endif
  memcpy(link_data, link_data_load, (size_t)(link_data_end - link_data));
  memset(link_bss, 0, (size_t)(link_bss_end - link_bss));
  for (void (*const *init)(void) = link_init; init != link_init_end; ++init) {
    (*init)();
  }
  board_start();
  board_exit(main());
}
