/* Operators that run other subgraphs: a subgraph is a function of model.c, and what goes in and comes out is copied,
 * byte by byte, as in TFLM. */
#ifndef REFENGINE_CONTROL_H
#define REFENGINE_CONTROL_H

#include <string.h>

#include "kernels.h"

struct handed {
  const void *from;
  void *to;
  uint32_t bytes;
};

struct subgraph {
  void (*run)(void);
  int32_t inputs_count;
  const struct handed *inputs;
  int32_t outputs_count;
  const struct handed *outputs;
};

/* ---- if ---- */

struct if_params {
  struct subgraph then_branch, else_branch;
};
void run_if(const struct if_params *p, const uint8_t *condition);

/* ---- while ---- */

/* What is carried from round to round lies in the operator's outputs, at first as its inputs are. `going` is the
 * condition's output. */
struct while_params {
  int32_t carried_count;
  const struct handed *carried;
  struct subgraph cond, body;
  const uint8_t *going;
};
void run_while(const struct while_params *p);

/* ---- call_once ---- */

struct once_params {
  void (*run)(void);
};
void run_once(const struct once_params *p, uint8_t *ran);

static inline void hand_over(const struct handed *each, int32_t count) {
  for (; count > 0; --count, ++each) {
    memcpy(each->to, each->from, each->bytes);
  }
}

static inline void run_subgraph(const struct subgraph *s) {
  hand_over(s->inputs, s->inputs_count);
  s->run();
  hand_over(s->outputs, s->outputs_count);
}

#endif
