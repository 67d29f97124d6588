/* WHILE: a subgraph runs on its own outputs as long as another one says so.
 *
 * TFLM: kernels/while.cc. refengine: kernels/while.py.
 */
#include "control.h"

void run_while(const struct while_params *p) {
  hand_over(p->carried, p->carried_count);
  for (run_subgraph(&p->cond); *p->going; run_subgraph(&p->cond)) {
    run_subgraph(&p->body);
  }
}
