/* A queue of samples as the audio front end keeps it: the newest at the end. What TFLM keeps in a ring is a row here. */
#ifndef REFENGINE_FIFO_H
#define REFENGINE_FIFO_H

#include <string.h>

#include "kernels.h"

/* `count` values behind what the queue of `capacity` holds; the oldest fall out. */
static inline void push(int16_t *queue, int32_t capacity, const int16_t *values, int32_t count) {
  memmove(queue, queue + count, (size_t)(capacity - count) * sizeof *queue);
  memcpy(queue + capacity - count, values, (size_t)count * sizeof *queue);
}

#endif
