#include "engine.h"

#include <stddef.h>

#include "model.h"

static const struct engine exported = {
    .name = MODEL_NAME,
    .sha256 = MODEL_SHA256,
    .numerics = MODEL_NUMERICS,
    .arena_bytes = MODEL_ARENA_BYTES,
    .step_count = MODEL_STEPS,
    .input_count = MODEL_INPUTS,
    .output_count = MODEL_OUTPUTS,
    .state_count = MODEL_STATES,
    .steps = model_steps,
    .inputs = model_inputs,
    .outputs = model_outputs,
#if MODEL_STATES
    .states = model_states,
#endif
};

const struct engine *engine(void) { return &exported; }

uint8_t *engine_bytes(const struct tensor *tensor) { return model_arena + tensor->offset; }

static uint32_t lives_on; /* the name of the inferences that left what lives on; 0 while nobody knows */

int engine_follows(uint32_t history) {
  if (history == 0) {
    model_reset();
    lives_on = 0;
  }
  return history == lives_on;
}

void engine_run(uint32_t then, void (*after)(int32_t place)) {
  lives_on = 0;
  model_step_hook = after;
  model_invoke_in_place();
  model_step_hook = NULL;
  lives_on = then;
}

void engine_run_golden(void (*after)(int32_t place)) {
  lives_on = 0;
  model_step_hook = after;
  model_invoke_golden();
  model_step_hook = NULL;
}
