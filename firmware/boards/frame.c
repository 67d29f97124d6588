/* The display of a board that has none, such as an emulated one: a frame in memory, for whoever reads it there. */
#include "board.h"

enum { WIDTH = 480, HEIGHT = 272 }; /* as the STM32F746 Discovery's and the i.MX RT's panel */

_Alignas(64) uint16_t board_frame[HEIGHT * WIDTH];

void board_draw(int x, int y, int w, int h, const uint16_t *pixels) {
  for (int i = 0; i < w * h; ++i) {
    const int column = x + i % w, row = y + i / w;
    if (column >= 0 && column < WIDTH && row >= 0 && row < HEIGHT) {
      board_frame[row * WIDTH + column] = pixels[i];
    }
  }
}
