/* The self-test as a program: the golden input, every step's CRC-32, and the exit status is the verdict. What subgraphs
 * do is part of the step that runs them, and a line of its own only if it is wrong. */
#include <stddef.h>

#include "board.h"
#include "engine.h"
#include "print.h"

static int wrong;
static uint32_t since, total;

static void check(int32_t place) {
  const uint32_t ticks = board_ticks() - since;
  const struct step *step = &engine()->steps[place];
  const int same = !step->crc32 || model_crc32(engine_bytes(&step->output), step->output.bytes) == step->crc32;
  if (same && (uint32_t)place >= engine()->step_count) {
    return;
  }
  total += ticks;
  wrong += !same;
  print_number((uint32_t)step->index, 4);
  print_text("  ");
  print_padded(step->operator_name, 20);
  print_number(ticks, 12);
  print_text(!step->crc32 ? " ticks  not judged\n" : same ? " ticks  right\n" : " ticks  WRONG\n");
  since = board_ticks();
}

int main(void) {
  since = board_ticks();
  engine_run_golden(check);
  print_text("total");
  print_number(total, 33);
  const int stopped = total == 0; /* a clock that stands still is no clock */
  print_text(wrong || stopped ? " ticks  FAILED\n" : " ticks  passed\n");
  print_text(stopped ? "the clock stands still: look at board_ticks()\n" : "");
  board_exit(wrong || stopped);
}
