/* SELECT_V2: an element of x where the condition holds, else one of y; all three broadcast against each other.
 *
 * TFLM: kernels/select.cc. refengine: kernels/select.py.
 */
#include <string.h>

#include "walk.h"

void select_elements(const struct select_params *p, const uint8_t *condition, const void *x, const void *y,
                     void *output) {
  const int32_t last = MAX_RANK - 1;
  uint8_t *out = output;
  for (struct walk walk = walk_over(p->shape); !walk.done; next_row(&walk, p->shape)) {
    int32_t at = place(&walk, p->condition_strides);
    int32_t at_x = place(&walk, p->x_strides), at_y = place(&walk, p->y_strides);
    for (int32_t i = 0; i < p->shape[last]; ++i) {
      const uint8_t *from = condition[at] ? (const uint8_t *)x + at_x * p->element_size
                                          : (const uint8_t *)y + at_y * p->element_size;
      memcpy(out, from, (size_t)p->element_size);
      out += p->element_size;
      at += p->condition_strides[last], at_x += p->x_strides[last], at_y += p->y_strides[last];
    }
  }
}
