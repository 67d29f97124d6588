/* IF: one of two subgraphs runs, by a condition.
 *
 * TFLM: kernels/if.cc. refengine: kernels/if.py.
 */
#include "control.h"

void run_if(const struct if_params *p, const uint8_t *condition) {
  run_subgraph(*condition ? &p->then_branch : &p->else_branch);
}
