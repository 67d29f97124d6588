/* Text on UART 0, without printf and its memory. */
#ifndef PRINT_H
#define PRINT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Lines end in \n; the terminal gets \r\n. */
void print_text(const char *text);

/* Filled up with blanks to `width`. */
void print_padded(const char *text, uint32_t width);

/* Right-aligned in `width`. */
void print_number(uint32_t number, uint32_t width);
void print_signed(int32_t number, uint32_t width);

/* Thousandths as a number with three decimals, right-aligned. */
void print_thousandths(int64_t thousandths, uint32_t width);

#ifdef __cplusplus
}
#endif

#endif
