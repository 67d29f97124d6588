/* Σ x[k]·w[k] of int8: where the time of an integer network goes.
 *
 * Nothing but the speed depends on which of the two versions is compiled: integer sums have no order. Cores with the
 * DSP extension (Cortex-M4, M7, M33 …) take four products in two instructions, others one at a time. Two inputs are
 * multiplied by two channels' weights at once, so that each byte is loaded once for two products.
 */
#ifndef REFENGINE_DOT_H
#define REFENGINE_DOT_H

#include <stdint.h>
#include <string.h>

#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP && defined(__GNUC__)
#define REFENGINE_DSP 1

/* Four int8 as two pairs of int16: bytes 0 and 2, 1 and 3. The order does not matter, being the same in x and w. */
static inline int32_t even_bytes(int32_t four) {
  int32_t pair;
  __asm__("sxtb16 %0, %1" : "=r"(pair) : "r"(four));
  return pair;
}

static inline int32_t odd_bytes(int32_t four) {
  int32_t pair;
  __asm__("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(four));
  return pair;
}

/* acc + the products of two pairs of int16. */
static inline int32_t multiply_pairs(int32_t x, int32_t w, int32_t acc) {
  int32_t sum;
  __asm__("smlad %0, %1, %2, %3" : "=r"(sum) : "r"(x), "r"(w), "r"(acc));
  return sum;
}

/* acc + the product of the lower halves, or of the upper ones. */
static inline int32_t multiply_lower(int32_t x, int32_t w, int32_t acc) {
  int32_t sum;
  __asm__("smlabb %0, %1, %2, %3" : "=r"(sum) : "r"(x), "r"(w), "r"(acc));
  return sum;
}

static inline int32_t multiply_upper(int32_t x, int32_t w, int32_t acc) {
  int32_t sum;
  __asm__("smlatt %0, %1, %2, %3" : "=r"(sum) : "r"(x), "r"(w), "r"(acc));
  return sum;
}

#elif defined(REFENGINE_DSP) /* the same five instructions in C, to test what is made of them on any machine */

static inline int32_t even_bytes(int32_t four) {
  const int32_t low = (int8_t)(four & 0xff), high = (int8_t)(four >> 16 & 0xff);
  return (int32_t)((uint32_t)high << 16 | ((uint32_t)low & 0xffff));
}

static inline int32_t odd_bytes(int32_t four) { return even_bytes((int32_t)((uint32_t)four >> 8)); }

static inline int32_t multiply_lower(int32_t x, int32_t w, int32_t acc) {
  return acc + (int16_t)(x & 0xffff) * (int16_t)(w & 0xffff);
}

static inline int32_t multiply_upper(int32_t x, int32_t w, int32_t acc) { return acc + (x >> 16) * (w >> 16); }

static inline int32_t multiply_pairs(int32_t x, int32_t w, int32_t acc) {
  return multiply_upper(x, w, multiply_lower(x, w, acc));
}

#endif

#ifdef REFENGINE_DSP

static inline int32_t four_bytes(const int8_t *bytes) {
  int32_t four;
  memcpy(&four, bytes, sizeof four); /* one load: these cores read words at any address */
  return four;
}

#define DOT_STEP 4 /* how many bytes these take at once */

static inline int32_t dot_step(const int8_t *x, const int8_t *w, int32_t acc) {
  const int32_t a = four_bytes(x), b = four_bytes(w);
  return multiply_pairs(odd_bytes(a), odd_bytes(b), multiply_pairs(even_bytes(a), even_bytes(b), acc));
}

static inline void dot_step_2x2(const int8_t *x0, const int8_t *x1, const int8_t *w0, const int8_t *w1,
                                int32_t acc[4]) {
  const int32_t a = four_bytes(x0), a02 = even_bytes(a), a13 = odd_bytes(a);
  const int32_t b = four_bytes(x1), b02 = even_bytes(b), b13 = odd_bytes(b);
  const int32_t c = four_bytes(w0), c02 = even_bytes(c), c13 = odd_bytes(c);
  acc[0] = multiply_pairs(a13, c13, multiply_pairs(a02, c02, acc[0]));
  acc[2] = multiply_pairs(b13, c13, multiply_pairs(b02, c02, acc[2]));
  const int32_t d = four_bytes(w1), d02 = even_bytes(d), d13 = odd_bytes(d);
  acc[1] = multiply_pairs(a13, d13, multiply_pairs(a02, d02, acc[1]));
  acc[3] = multiply_pairs(b13, d13, multiply_pairs(b02, d02, acc[3]));
}

static inline void dot_step_1x4(const int8_t *x, const int8_t *w0, const int8_t *w1, const int8_t *w2,
                                const int8_t *w3, int32_t acc[4]) {
  const int32_t a = four_bytes(x), a02 = even_bytes(a), a13 = odd_bytes(a);
  const int32_t b = four_bytes(w0);
  acc[0] = multiply_pairs(a13, odd_bytes(b), multiply_pairs(a02, even_bytes(b), acc[0]));
  const int32_t c = four_bytes(w1);
  acc[1] = multiply_pairs(a13, odd_bytes(c), multiply_pairs(a02, even_bytes(c), acc[1]));
  const int32_t d = four_bytes(w2);
  acc[2] = multiply_pairs(a13, odd_bytes(d), multiply_pairs(a02, even_bytes(d), acc[2]));
  const int32_t e = four_bytes(w3);
  acc[3] = multiply_pairs(a13, odd_bytes(e), multiply_pairs(a02, even_bytes(e), acc[3]));
}

/* acc[k] += x[k] · w[k]. */
static inline void four_products(const int8_t *x, const int8_t *w, int32_t acc[4]) {
  const int32_t a = four_bytes(x), a02 = even_bytes(a), a13 = odd_bytes(a);
  const int32_t b = four_bytes(w), b02 = even_bytes(b), b13 = odd_bytes(b);
  acc[0] = multiply_lower(a02, b02, acc[0]);
  acc[1] = multiply_lower(a13, b13, acc[1]);
  acc[2] = multiply_upper(a02, b02, acc[2]);
  acc[3] = multiply_upper(a13, b13, acc[3]);
}

#else

static inline void four_products(const int8_t *x, const int8_t *w, int32_t acc[4]) {
  acc[0] += x[0] * w[0];
  acc[1] += x[1] * w[1];
  acc[2] += x[2] * w[2];
  acc[3] += x[3] * w[3];
}

#define DOT_STEP 1

static inline int32_t dot_step(const int8_t *x, const int8_t *w, int32_t acc) { return acc + *x * *w; }

static inline void dot_step_2x2(const int8_t *x0, const int8_t *x1, const int8_t *w0, const int8_t *w1,
                                int32_t acc[4]) {
  acc[0] += *x0 * *w0;
  acc[1] += *x0 * *w1;
  acc[2] += *x1 * *w0;
  acc[3] += *x1 * *w1;
}

static inline void dot_step_1x4(const int8_t *x, const int8_t *w0, const int8_t *w1, const int8_t *w2,
                                const int8_t *w3, int32_t acc[4]) {
  acc[0] += *x * *w0;
  acc[1] += *x * *w1;
  acc[2] += *x * *w2;
  acc[3] += *x * *w3;
}

#endif

static inline int32_t dot(const int8_t *x, const int8_t *w, int32_t n, int32_t acc) {
  for (; n >= DOT_STEP; n -= DOT_STEP) {
    acc = dot_step(x, w, acc);
    x += DOT_STEP, w += DOT_STEP;
  }
  for (; n > 0; --n) {
    acc += *x++ * *w++;
  }
  return acc;
}

/* acc[0 … 3] += x0·w0, x0·w1, x1·w0, x1·w1, n bytes each. */
static inline void dot_2x2(const int8_t *x0, const int8_t *x1, const int8_t *w0, const int8_t *w1, int32_t n,
                           int32_t acc[4]) {
  int32_t sums[4] = {acc[0], acc[1], acc[2], acc[3]};
  for (; n >= DOT_STEP; n -= DOT_STEP) {
    dot_step_2x2(x0, x1, w0, w1, sums);
    x0 += DOT_STEP, x1 += DOT_STEP, w0 += DOT_STEP, w1 += DOT_STEP;
  }
  for (; n > 0; --n) {
    const int32_t a = *x0++, b = *x1++, c = *w0++, d = *w1++;
    sums[0] += a * c;
    sums[1] += a * d;
    sums[2] += b * c;
    sums[3] += b * d;
  }
  memcpy(acc, sums, sizeof sums);
}

/* acc[c] += x · row c of w, whose four rows of n bytes lie one after another. */
static inline void dot_1x4(const int8_t *x, const int8_t *w, int32_t n, int32_t acc[4]) {
  const int8_t *w0 = w, *w1 = w + n, *w2 = w + 2 * n, *w3 = w + 3 * n;
  int32_t sums[4] = {acc[0], acc[1], acc[2], acc[3]};
  for (; n >= DOT_STEP; n -= DOT_STEP) {
    dot_step_1x4(x, w0, w1, w2, w3, sums);
    x += DOT_STEP, w0 += DOT_STEP, w1 += DOT_STEP, w2 += DOT_STEP, w3 += DOT_STEP;
  }
  for (; n > 0; --n) {
    const int32_t a = *x++;
    sums[0] += a * *w0++;
    sums[1] += a * *w1++;
    sums[2] += a * *w2++;
    sums[3] += a * *w3++;
  }
  memcpy(acc, sums, sizeof sums);
}

/* acc[k] += x · w[k]. */
static inline void four_scaled(int32_t x, const int8_t *w, int32_t acc[4]) {
  acc[0] += x * w[0];
  acc[1] += x * w[1];
  acc[2] += x * w[2];
  acc[3] += x * w[3];
}

static inline int32_t sum(const int8_t *w, int32_t n) {
  int32_t total = 0;
  for (int32_t k = 0; k < n; ++k) {
    total += w[k];
  }
  return total;
}

#endif
