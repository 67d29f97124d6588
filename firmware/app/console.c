/* UART 0, for a person: CMD=1 the layers, CMD=2 the built-in digit, CMD=3 the commands, help for anything else. */
#include <stddef.h>
#include <string.h>

#include "app.h"
#include "board.h"
#include "engine.h"
#include "print.h"
#include "screen.h"

static char line[32];
static uint32_t length;

/* ---- CMD=1 ---- */

static const char *const type_names[] = {"float32", "int8", "int16", "int32", "int64",
                                         "uint8",   "bool", "uint32", "uint64"};

static void print_tensor(const struct tensor *tensor) {
  print_padded(type_names[tensor->dtype], 8);
  for (int32_t i = 0; i < tensor->rank; ++i) {
    print_text(i ? "x" : "");
    print_number((uint32_t)tensor->shape[i], 0);
  }
  print_text("  ");
  print_number(tensor->bytes, 0);
  print_text(" bytes\n");
}

static void print_layers(void) {
  const struct engine *model = engine();
  print_text("model ");
  print_text(model->name);
  print_text(" on ");
  print_text(BOARD_NAME);
  print_text("\n");
  for (uint32_t i = 0; i < model->input_count; ++i) {
    print_text("      input               ");
    print_tensor(&model->inputs[i]);
  }
  for (uint32_t i = 0; i < model->step_count; ++i) {
    print_number((uint32_t)model->steps[i].index, 4);
    print_text("  ");
    print_padded(model->steps[i].operator_name, 20);
    print_tensor(&model->steps[i].output);
  }
  print_text("arena ");
  print_number(model->arena_bytes, 0);
  print_text(" bytes, numerics ");
  print_text(model->numerics);
  print_text("\n");
}

/* ---- CMD=2 ---- */

static uint32_t since, total, wrong;

static uint32_t microseconds(uint32_t ticks) { return (uint32_t)((uint64_t)ticks * 1000000u / BOARD_TICKS_PER_SECOND); }

static void print_step(int32_t place) {
  if ((uint32_t)place >= engine()->step_count) {
    return; /* a subgraph's: part of the step that runs it */
  }
  const uint32_t ticks = board_ticks() - since;
  const struct step *step = &engine()->steps[place];
  const int same = !step->crc32 || model_crc32(engine_bytes(&step->output), step->output.bytes) == step->crc32;
  total += microseconds(ticks);
  wrong += !same;
  print_number((uint32_t)step->index, 4);
  print_text("  ");
  print_padded(step->operator_name, 20);
  print_thousandths(microseconds(ticks), 12);
  print_text(same ? " ms\n" : " ms  not what refengine computes\n");
  if (place == 0) {
    screen_input(); /* which the first step has read, and the next ones may overwrite */
  }
  since = board_ticks();
}

/* A code, or a float in thousandths; and the real value in thousandths. */
static int64_t value_of(const struct tensor *tensor, uint32_t i, int32_t *code) {
  const uint8_t *at = engine_bytes(tensor);
  float real;
  *code = 0;
  switch (tensor->dtype) {
    case DTYPE_FLOAT32:
      memcpy(&real, at + 4 * i, 4);
      return (int64_t)(real * 1000.0f);
    case DTYPE_INT8:
      *code = (int8_t)at[i];
      break;
    case DTYPE_INT16:
      *code = (int16_t)(uint16_t)(at[2 * i] | at[2 * i + 1] << 8);
      break;
    default:
      *code = at[i];
  }
  return (int64_t)(tensor->scale * (float)(*code - tensor->zero_point) * 1000.0f);
}

static void print_output(const struct tensor *tensor) {
  const uint32_t size = tensor->dtype == DTYPE_FLOAT32 ? 4 : tensor->dtype == DTYPE_INT16 ? 2 : 1;
  uint32_t best = 0;
  int64_t highest = INT64_MIN;
  int32_t code;
  for (uint32_t i = 0; i < tensor->bytes / size; ++i) {
    const int64_t value = value_of(tensor, i, &code);
    if (value > highest) {
      highest = value;
      best = i;
    }
    print_number(i, 4);
    print_text("  ");
    if (tensor->dtype != DTYPE_FLOAT32) {
      print_signed(code, 6);
    }
    print_thousandths(value, 10);
    print_text("\n");
  }
  print_text("answer ");
  print_number(best, 0);
  print_text("\n");
}

static void run_digit(void) {
  const int judged = engine()->steps[0].crc32 != 0;
  total = wrong = 0;
  since = board_ticks();
  engine_run_golden(print_step);
  print_text("total                     ");
  print_thousandths(total, 12);
  print_text(!judged ? " ms\n" : wrong ? " ms, WRONG\n" : " ms, every step as refengine computes it\n");
  screen_answer();
  for (uint32_t i = 0; i < engine()->output_count; ++i) {
    print_output(&engine()->outputs[i]);
  }
}

/* ---- the line ---- */

static void print_commands(void) {
  print_text("CMD=1  the model's layers\nCMD=2  run the built-in digit: time of each layer, outputs\nCMD=3  this list\n");
}

static void obey(void) {
  if (strcmp(line, "CMD=1") == 0) {
    print_layers();
  } else if (strcmp(line, "CMD=2") == 0) {
    run_digit();
  } else if (strcmp(line, "CMD=3") == 0) {
    print_commands();
  } else {
    print_text("unknown command; type one of these and Enter:\n");
    print_commands();
  }
  print_text("> ");
}

void console_start(void) {
  length = 0;
  print_text("\nrefengine: ");
  print_text(engine()->name);
  print_text(" on " BOARD_NAME "; CMD=3 lists the commands\n> ");
}

void console_receive(uint8_t byte) {
  if (byte == '\r' || byte == '\n') {
    if (length) {
      line[length] = '\0';
      length = 0;
      print_text("\n");
      obey();
    }
  } else if (byte == '\b' || byte == 0x7f) {
    length -= length > 0;
  } else {
    board_put(CONSOLE, byte); /* terminals leave the echo to us */
    line[length] = (char)byte;
    length += length < sizeof line - 1;
  }
}
