/* What an exported model tells about itself: tables of its tensors and steps, and a hook after every step.
 *
 * The types are the same for every model, and the functions but for their prefix; model.h has what differs.
 */
#ifndef REFENGINE_STEP_H
#define REFENGINE_STEP_H

#include <stdint.h>

enum dtype {
  DTYPE_FLOAT32,
  DTYPE_INT8,
  DTYPE_INT16,
  DTYPE_INT32,
  DTYPE_INT64,
  DTYPE_UINT8,
  DTYPE_BOOL,
  DTYPE_UINT32,
  DTYPE_UINT64
};

/* A tensor in the arena. `index` is its number in the .tflite; integer codes stand for scale · (code − zero_point). */
struct tensor {
  const char *name;
  int32_t index;
  uint32_t offset, bytes;
  enum dtype dtype;
  int32_t rank, shape[6];
  float scale;
  int32_t zero_point;
};

/* One operator: `index` is its number in the .tflite (steps that depend on constants only are left out), `crc32` that of
 * its output's bytes for the golden input, 0 if these are others from one time to the next, not all written, or NaN. */
struct step {
  int32_t index;
  const char *operator_name;
  struct tensor output;
  uint32_t crc32;
};

#endif

#ifndef MODEL_STEP_H
#define MODEL_STEP_H

#ifdef __cplusplus
extern "C" {
#endif

/* Called after every step with its place in the step table, if not NULL: read the time, or take the output from the
 * arena, where the next steps may overwrite it. Steps of a subgraph, whose places are behind the model's own, are told
 * each time that they run, before the step that runs the subgraph. */
extern void (*model_step_hook)(int32_t step);

/* The CRC-32 of zlib, Ethernet and PNG. */
uint32_t model_crc32(const void *bytes, uint32_t count);

/* Run the golden input, and forget it; 0 if the CRC-32 of every step's output is right, else 1 + the place of the first
 * wrong step. */
int model_selftest(void);

/* For the model itself: a NULL, or the place itself, copies nothing. */
void model_copy(void *to, const void *from, uint32_t bytes);

#ifdef __cplusplus
}
#endif

#endif
