/* CALL_ONCE: a subgraph runs the first time that the operator does, and never again, until the model is reset.
 *
 * TFLM: kernels/call_once.cc. refengine: kernels/call_once.py.
 */
#include "control.h"

void run_once(const struct once_params *p, uint8_t *ran) {
  if (!*ran) {
    *ran = 1;
    p->run();
  }
}
