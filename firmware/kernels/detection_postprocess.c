/* TFLite_Detection_PostProcess: boxes from their encodings, and of those that overlap the best only.
 *
 * TFLM: kernels/detection_postprocess.cc. refengine: kernels/detection_postprocess.py. Boxes are decoded in double, with
 * the target's `exp`, and narrowed. Nothing is sorted: the best box that is left is looked for each time. Where TFLM's
 * Invoke fails, for an empty box, this one overlaps nothing.
 */
#include <math.h>
#include <string.h>

#include "kernels.h"

#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#endif

/* Top, left, bottom, right. */
typedef float box[4];

/* The scratch memory: the boxes, and of each the score by which it is chosen, NaN once it is out. */
struct candidates {
  box *boxes;
  float *scores;
};

/* The outputs. */
struct detections {
  box *boxes;
  float *classes, *scores;
};

static void decode(const struct detection_params *p, const float *encoding, const float *anchor, float *corners) {
  for (int32_t axis = 0; axis < 2; ++axis) {
    const double place = encoding[axis] / (double)p->scales[axis];
    const double size = encoding[axis + 2] / (double)p->scales[axis + 2];
    const float centre = (float)(place * anchor[axis + 2] + anchor[axis]);
    const float half = (float)(0.5 * exp(size) * anchor[axis + 2]);
    corners[axis] = centre - half;
    corners[axis + 2] = centre + half;
  }
}

static float area_of(const float *b) { return (b[2] - b[0]) * (b[3] - b[1]); }

/* How far both reach along an axis. */
static float shared_side(const float *a, const float *b, int32_t axis) {
  const float start = a[axis] < b[axis] ? b[axis] : a[axis];
  const float end = b[axis + 2] < a[axis + 2] ? b[axis + 2] : a[axis + 2];
  const float side = end - start;
  return side < 0.0f ? 0.0f : side;
}

/* The intersection over the union. */
static float overlap(const float *a, const float *b) {
  const float area_a = area_of(a), area_b = area_of(b);
  if (area_a <= 0.0f || area_b <= 0.0f) {
    return 0.0f;
  }
  const float shared = shared_side(a, b, 0) * shared_side(a, b, 1);
  return shared / (area_a + area_b - shared);
}

/* The best box that is left, the first one of several, and −1 if there is none; it and those that overlap it are out. */
static int32_t next_best(const struct detection_params *p, const struct candidates *c) {
  int32_t best = -1;
  for (int32_t i = 0; i < p->boxes; ++i) {
    if (c->scores[i] >= p->nms_score_threshold && (best < 0 || c->scores[i] > c->scores[best])) {
      best = i;
    }
  }
  for (int32_t i = 0; best >= 0 && i < p->boxes; ++i) {
    if (i == best || overlap(c->boxes[best], c->boxes[i]) > p->nms_iou_threshold) {
      c->scores[i] = NAN;
    }
  }
  return best;
}

/* The best class behind `last` in falling order, equal ones in their own; the first one of all for −1. */
static int32_t next_class(const struct detection_params *p, const float *scores, int32_t last) {
  int32_t best = -1;
  for (int32_t c = 0; c < p->num_classes; ++c) {
    const int behind = last < 0 || scores[c] < scores[last] || (scores[c] == scores[last] && c > last);
    if (behind && (best < 0 || scores[c] > scores[best])) {
      best = c;
    }
  }
  return best < 0 ? 0 : best; /* only NaN has none */
}

static void put(const struct detections *d, int32_t at, const float *corners, float class, float score) {
  memcpy(d->boxes[at], corners, sizeof(box));
  d->classes[at] = class;
  d->scores[at] = score;
}

/* Each box with its best classes, chosen by the best one's score; how many detections that are. */
static int32_t fast(const struct detection_params *p, const struct candidates *c, const float *scores,
                    const struct detections *d) {
  const int32_t n = p->classes_per_box;
  int32_t count = 0;
  for (int32_t i = 0; i < p->boxes; ++i) {
    const float *rated = scores + i * p->scores_depth;
    c->scores[i] = rated[next_class(p, rated, -1)];
  }
  for (int32_t kept = 0, i; kept < p->max_detections && (i = next_best(p, c)) >= 0; ++kept) {
    const float *rated = scores + i * p->scores_depth;
    for (int32_t rank = 0, k = -1; rank < n; ++rank, ++count) {
      k = next_class(p, rated, k);
      put(d, n * count + rank, c->boxes[i], (float)k, rated[k]); /* n times too far, as in TFLM */
    }
  }
  return count;
}

/* Put a detection behind those that are no worse, if there is room; how many there are then. */
static int32_t insert(const struct detections *d, int32_t count, int32_t most, const float *corners, float class,
                      float score) {
  int32_t at = count;
  for (; at > 0 && d->scores[at - 1] < score; --at) {
    if (at < most) {
      put(d, at, d->boxes[at - 1], d->classes[at - 1], d->scores[at - 1]);
    }
  }
  if (at < most) {
    put(d, at, corners, class, score);
  }
  return count < most ? count + 1 : most;
}

/* Class by class, the detections in falling order of their scores, zeros behind them. */
static int32_t regular(const struct detection_params *p, const struct candidates *c, const float *scores,
                       const struct detections *d) {
  const int32_t most = p->max_detections;
  int32_t count = 0;
  for (int32_t at = 0; at < most; ++at) {
    put(d, at, (const box){0}, 0.0f, 0.0f);
  }
  for (int32_t k = 0; k < p->num_classes; ++k) {
    for (int32_t i = 0; i < p->boxes; ++i) {
      c->scores[i] = scores[i * p->scores_depth + k];
    }
    for (int32_t kept = 0, i; kept < p->detections_per_class && (i = next_best(p, c)) >= 0; ++kept) {
      count = insert(d, count, most, c->boxes[i], (float)k, scores[i * p->scores_depth + k]);
    }
  }
  return count;
}

void detection_postprocess(const struct detection_params *p, const float *encodings, const float *scores,
                           const float *anchors, void *scratch, float *classes, float *values, float *count,
                           float *boxes) {
  const struct candidates c = {scratch, (float *)scratch + 4 * p->boxes};
  const struct detections d = {(box *)boxes, classes, values};
  for (int32_t i = 0; i < p->boxes; ++i) {
    decode(p, encodings + i * p->encodings_depth, anchors + 4 * i, c.boxes[i]);
  }
  scores += p->scores_depth - p->num_classes; /* a background comes first */
  *count = (float)(p->use_regular_nms ? regular : fast)(p, &c, scores, &d);
}
