/* What runs the model, as the application sees it: an exported model (engine.c), or TFLM (../tflm/engine.cc). */
#ifndef ENGINE_H
#define ENGINE_H

#ifdef __cplusplus
extern "C" {
#endif

#include "step.h"

struct engine {
  const char *name, *sha256, *numerics;
  uint32_t arena_bytes;
  uint32_t step_count, input_count, output_count, state_count;
  const struct step *steps;
  const struct tensor *inputs, *outputs, *states;
};

/* The model, ready to run; always the same. A step's `crc32` is 0 where it is not known for the golden input. */
const struct engine *engine(void);

/* Where an input is to be put before a run, a step's output when `after` is called for it, an output after a run; what
 * lives on before and after it. */
uint8_t *engine_bytes(const struct tensor *tensor);

/* Whether what lives on is what the inferences of that name left. Those of name 0 are none: it is forgotten then. */
int engine_follows(uint32_t history);

/* Run on what lies in the inputs; `then` names what lives on after it. `after` is called with each step's place when it is
 * complete. What the inputs held is lost then. */
void engine_run(uint32_t then, void (*after)(int32_t place));

/* The same on the golden input. */
void engine_run_golden(void (*after)(int32_t place));

#ifdef __cplusplus
}
#endif

#endif
