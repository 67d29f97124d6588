#include "screen.h"

#include <stddef.h>
#include <string.h>

#include "board.h"
#include "engine.h"

enum { ROWS = 7, COLUMNS = 5, SCALE = 3, ADVANCE = (COLUMNS + 1) * SCALE };
enum { PICTURE_X = 16, PICTURE_Y = 16, LARGEST = 8, TEXT_X = 6, TEXT_Y = 248 };

/* ---- text: the letters of the one sentence, a byte a column, the lowest bit on top ---- */

struct glyph {
  char letter;
  uint8_t columns[COLUMNS];
};

static const struct glyph font[] = {
    {'0', {0x3e, 0x41, 0x41, 0x41, 0x3e}}, {'1', {0x44, 0x42, 0x7f, 0x40, 0x40}}, {'2', {0x62, 0x51, 0x49, 0x49, 0x46}},
    {'3', {0x41, 0x49, 0x49, 0x49, 0x36}}, {'4', {0x0f, 0x08, 0x08, 0x7f, 0x08}}, {'5', {0x4f, 0x49, 0x49, 0x49, 0x31}},
    {'6', {0x3e, 0x49, 0x49, 0x49, 0x30}}, {'7', {0x01, 0x01, 0x69, 0x19, 0x0f}}, {'8', {0x36, 0x49, 0x49, 0x49, 0x36}},
    {'9', {0x06, 0x49, 0x49, 0x49, 0x3e}}, {'I', {0x41, 0x41, 0x7f, 0x41, 0x41}}, {'b', {0x7f, 0x28, 0x44, 0x44, 0x38}},
    {'e', {0x38, 0x54, 0x54, 0x54, 0x58}}, {'h', {0x7f, 0x08, 0x04, 0x04, 0x78}}, {'i', {0x00, 0x00, 0x7d, 0x00, 0x00}},
    {'k', {0x7f, 0x10, 0x28, 0x28, 0x44}}, {'l', {0x00, 0x3f, 0x40, 0x40, 0x00}}, {'m', {0x7c, 0x04, 0x78, 0x04, 0x78}},
    {'n', {0x7c, 0x08, 0x04, 0x04, 0x78}}, {'o', {0x38, 0x44, 0x44, 0x44, 0x38}}, {'r', {0x7c, 0x08, 0x04, 0x04, 0x08}},
    {'s', {0x48, 0x54, 0x54, 0x54, 0x24}}, {'t', {0x04, 0x3f, 0x44, 0x44, 0x00}}, {'u', {0x3c, 0x40, 0x40, 0x20, 0x7c}},
};

/* One letter in white on black, and the blank column behind it; a blank for what the font lacks. */
static void draw_letter(int x, int y, char letter) {
  static uint16_t pixels[ROWS * SCALE * ADVANCE];
  static const uint8_t blank[COLUMNS];
  const uint8_t *columns = blank;
  for (size_t i = 0; i < sizeof font / sizeof *font; ++i) {
    columns = font[i].letter == letter ? font[i].columns : columns;
  }
  for (int row = 0; row < ROWS * SCALE; ++row) {
    for (int column = 0; column < ADVANCE; ++column) {
      const int bits = column / SCALE < COLUMNS ? columns[column / SCALE] : 0;
      pixels[row * ADVANCE + column] = bits >> row / SCALE & 1 ? 0xffff : 0;
    }
  }
  board_draw(x, y, ADVANCE, ROWS * SCALE, pixels);
}

static void draw_text(int x, int y, const char *text) {
  for (; *text; ++text, x += ADVANCE) {
    draw_letter(x, y, *text);
  }
}

/* ---- the picture ---- */

static float real(const struct tensor *tensor, uint32_t i) {
  const uint8_t *at = engine_bytes(tensor);
  float value;
  switch (tensor->dtype) {
    case DTYPE_FLOAT32:
      memcpy(&value, at + 4 * i, 4);
      return value;
    case DTYPE_INT8:
      return tensor->scale * (float)((int8_t)at[i] - tensor->zero_point);
    case DTYPE_INT16:
      return tensor->scale * (float)((int16_t)(uint16_t)(at[2 * i] | at[2 * i + 1] << 8) - tensor->zero_point);
    default:
      return tensor->scale * (float)(at[i] - tensor->zero_point);
  }
}

/* A grey, black is 0 and white 1, as RGB565. */
static uint16_t grey(float value) {
  const uint32_t level = value <= 0.0f ? 0 : value >= 1.0f ? 255 : (uint32_t)(value * 255.0f + 0.5f);
  return (uint16_t)(level >> 3 << 11 | level >> 2 << 5 | level >> 3);
}

void screen_input(void) {
  const struct tensor *tensor = engine()->inputs;
  const int is_grey = tensor->rank == 4 && tensor->shape[0] == 1 && tensor->shape[3] == 1;
  if (!is_grey || tensor->shape[1] > 28 || tensor->shape[2] > 28) {
    return;
  }
  static uint16_t block[LARGEST * LARGEST];
  for (uint32_t i = 0; i < (uint32_t)(tensor->shape[1] * tensor->shape[2]); ++i) {
    const int row = (int)i / tensor->shape[2], column = (int)i % tensor->shape[2];
    for (int k = 0; k < LARGEST * LARGEST; ++k) {
      block[k] = grey(real(tensor, i));
    }
    board_draw(PICTURE_X + LARGEST * column, PICTURE_Y + LARGEST * row, LARGEST, LARGEST, block);
  }
}

/* ---- the answer ---- */

void screen_answer(void) {
  const struct tensor *tensor = engine()->outputs;
  const uint32_t size = tensor->dtype == DTYPE_FLOAT32 ? 4 : tensor->dtype == DTYPE_INT16 ? 2 : 1;
  uint32_t best = 0;
  for (uint32_t i = 1; i < tensor->bytes / size; ++i) {
    best = real(tensor, i) > real(tensor, best) ? i : best;
  }
  char digits[12] = {0};
  int first = (int)sizeof digits - 1;
  do {
    digits[--first] = (char)('0' + best % 10);
    best /= 10;
  } while (best);
  draw_text(TEXT_X, TEXT_Y, "It looks like the number ");
  draw_text(TEXT_X + 25 * ADVANCE, TEXT_Y, digits + first);
}
