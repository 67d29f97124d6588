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
    .steps = model_steps,
    .inputs = model_inputs,
    .outputs = model_outputs,
};

const struct engine *engine(void) { return &exported; }

uint8_t *engine_bytes(const struct tensor *tensor) { return model_arena + tensor->offset; }

void engine_run(void (*after)(int32_t place)) {
  model_reset();
  model_step_hook = after;
  model_invoke_in_place();
  model_step_hook = NULL;
}

void engine_run_golden(void (*after)(int32_t place)) {
  model_step_hook = after;
  model_invoke_golden();
  model_step_hook = NULL;
}
