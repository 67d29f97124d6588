#include "print.h"

#include <string.h>

#include "board.h"

static void put_blanks(uint32_t count) {
  while (count--) {
    board_put(CONSOLE, ' ');
  }
}

void print_text(const char *text) {
  for (; *text; ++text) {
    if (*text == '\n') {
      board_put(CONSOLE, '\r');
    }
    board_put(CONSOLE, (uint8_t)*text);
  }
}

void print_padded(const char *text, uint32_t width) {
  const uint32_t length = (uint32_t)strlen(text);
  print_text(text);
  put_blanks(length < width ? width - length : 0);
}

static void print_right(const char *text, uint32_t width) {
  const uint32_t length = (uint32_t)strlen(text);
  put_blanks(length < width ? width - length : 0);
  print_text(text);
}

/* The decimal digits, `point` of them behind a point, written backwards from `end`; where they begin. */
static char *digits(char *end, uint64_t number, uint32_t point) {
  *--end = '\0';
  for (uint32_t i = 0; number || i <= point; ++i) {
    if (point && i == point) {
      *--end = '.';
    }
    *--end = (char)('0' + number % 10);
    number /= 10;
  }
  return end;
}

void print_number(uint32_t number, uint32_t width) {
  char text[24];
  print_right(digits(text + sizeof text, number, 0), width);
}

void print_signed(int32_t number, uint32_t width) {
  char text[24];
  char *first = digits(text + sizeof text, number < 0 ? 0 - (uint64_t)(int64_t)number : (uint64_t)number, 0);
  if (number < 0) {
    *--first = '-';
  }
  print_right(first, width);
}

void print_thousandths(int64_t thousandths, uint32_t width) {
  char text[32];
  const uint64_t size = thousandths < 0 ? 0 - (uint64_t)thousandths : (uint64_t)thousandths;
  char *first = digits(text + sizeof text, size, 3);
  if (thousandths < 0) {
    *--first = '-';
  }
  print_right(first, width);
}
