/* What the application needs of a board: four functions, a fifth where it has a display, and two lines about itself. PORTING.md says how to add one.
 *
 * UART 0 is for a person, UART 1 for the host. Nothing here needs interrupts.
 */
#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { CONSOLE = 0, LINK = 1 };

/* Send one byte; waits until there is room. */
void board_put(int uart, uint8_t byte);

/* The next byte received, or -1 if there is none now. */
int board_get(int uart);

/* A clock that counts up and wraps, BOARD_TICKS_PER_SECOND a second. */
uint32_t board_ticks(void);

/* The end: of an emulator or process with this status; a real board may stop or reset. */
#ifdef __cplusplus
[[noreturn]]
#else
_Noreturn
#endif
void board_exit(int status);

/* Of a board with a display only, see SCREEN in the Makefile: w × h pixels at column x and row y from the upper left corner,
 * row by row, RGB565; what lies outside is left out. */
void board_draw(int x, int y, int w, int h, const uint16_t *pixels);

/* From board.mk: BOARD_NAME (a string) and BOARD_TICKS_PER_SECOND. */

#ifdef __cplusplus
}
#endif

#endif
