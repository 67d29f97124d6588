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

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "words of several codes are read at once: these kernels are for little-endian cores"
#endif

/* Inner loops must not become calls, whether the compiler looks for speed or for size (-Os). */
#ifdef __GNUC__
#define INLINE static inline __attribute__((always_inline))
#else
#define INLINE static inline
#endif

#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP && defined(__GNUC__)
#define REFENGINE_DSP 1

/* Four int8 as two pairs of int16: bytes 0 and 2, 1 and 3. */
INLINE int32_t even_bytes(int32_t four) {
  int32_t pair;
  __asm__("sxtb16 %0, %1" : "=r"(pair) : "r"(four));
  return pair;
}

INLINE int32_t odd_bytes(int32_t four) {
  int32_t pair;
  __asm__("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(four));
  return pair;
}

/* The lower halves of two pairs as a pair, and the upper ones. */
INLINE int32_t lower_halves(int32_t a, int32_t b) {
  int32_t pair;
  __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(pair) : "r"(a), "r"(b));
  return pair;
}

INLINE int32_t upper_halves(int32_t a, int32_t b) {
  int32_t pair;
  __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(pair) : "r"(b), "r"(a));
  return pair;
}

/* acc + the products of two pairs of int16. Like all sums of these, it wraps. */
INLINE int32_t multiply_pairs(int32_t x, int32_t w, int32_t acc) {
  int32_t sum;
  __asm__("smlad %0, %1, %2, %3" : "=r"(sum) : "r"(x), "r"(w), "r"(acc));
  return sum;
}

/* acc + the product of the lower halves, or of the upper ones. */
INLINE int32_t multiply_lower(int32_t x, int32_t w, int32_t acc) {
  int32_t sum;
  __asm__("smlabb %0, %1, %2, %3" : "=r"(sum) : "r"(x), "r"(w), "r"(acc));
  return sum;
}

INLINE int32_t multiply_upper(int32_t x, int32_t w, int32_t acc) {
  int32_t sum;
  __asm__("smlatt %0, %1, %2, %3" : "=r"(sum) : "r"(x), "r"(w), "r"(acc));
  return sum;
}

/* acc + the product of x's lower half and w's upper one. */
INLINE int32_t multiply_across(int32_t x, int32_t w, int32_t acc) {
  int32_t sum;
  __asm__("smlabt %0, %1, %2, %3" : "=r"(sum) : "r"(x), "r"(w), "r"(acc));
  return sum;
}

/* The upper 32 of the 64 bits of a · b, rounded. */
INLINE int32_t rounded_high_half(int32_t a, int32_t b) {
  int32_t high;
  __asm__("smmulr %0, %1, %2" : "=r"(high) : "r"(a), "r"(b));
  return high;
}

/* x shifted right by one, in the range of int8. */
INLINE int32_t half_saturated_8(int32_t x) {
  int32_t code;
  __asm__("ssat %0, #8, %1, asr #1" : "=r"(code) : "r"(x));
  return code;
}

/* Load a and b, two pairs of int16 at a multiple of four, and step behind them. */
INLINE const int16_t *two_pairs(const int16_t *from, int32_t *a, int32_t *b) {
  __asm__("ldrd %0, %1, [%2], #8" : "=&r"(*a), "=&r"(*b), "+r"(from) : : "memory");
  return from;
}

#else /* the same instructions in C, for all other cores, and to test what is made of them on any machine */

INLINE int32_t as_pair(int32_t low, int32_t high) {
  return (int32_t)((uint32_t)high << 16 | ((uint32_t)low & 0xffff));
}

INLINE int32_t even_bytes(int32_t four) { return as_pair((int8_t)(four & 0xff), (int8_t)(four >> 16 & 0xff)); }

INLINE int32_t odd_bytes(int32_t four) { return as_pair((int8_t)(four >> 8 & 0xff), four >> 24); }

INLINE int32_t lower_halves(int32_t a, int32_t b) { return as_pair(a, b); }

INLINE int32_t upper_halves(int32_t a, int32_t b) { return as_pair(a >> 16, b >> 16); }

INLINE int32_t multiply_lower(int32_t x, int32_t w, int32_t acc) {
  return (int32_t)((uint32_t)acc + (uint32_t)((int16_t)(x & 0xffff) * (int16_t)(w & 0xffff)));
}

INLINE int32_t multiply_upper(int32_t x, int32_t w, int32_t acc) {
  return (int32_t)((uint32_t)acc + (uint32_t)((x >> 16) * (w >> 16)));
}

INLINE int32_t multiply_across(int32_t x, int32_t w, int32_t acc) {
  return (int32_t)((uint32_t)acc + (uint32_t)((int16_t)(x & 0xffff) * (w >> 16)));
}

INLINE int32_t multiply_pairs(int32_t x, int32_t w, int32_t acc) {
  return multiply_upper(x, w, multiply_lower(x, w, acc));
}

INLINE int32_t rounded_high_half(int32_t a, int32_t b) {
  return (int32_t)(((int64_t)a * b + (INT64_C(1) << 31)) >> 32);
}

INLINE int32_t half_saturated_8(int32_t x) {
  x >>= 1;
  return x < INT8_MIN ? INT8_MIN : x > INT8_MAX ? INT8_MAX : x;
}

INLINE const int16_t *two_pairs(const int16_t *from, int32_t *a, int32_t *b) {
  memcpy(a, from, sizeof *a);
  memcpy(b, from + 2, sizeof *b);
  return from + 4;
}

#endif

INLINE int32_t four_bytes(const int8_t *bytes) {
  int32_t four;
  memcpy(&four, bytes, sizeof four); /* one load where words may lie at any address */
  return four;
}

INLINE int32_t pair_at(const int16_t *from) {
  int32_t pair;
  memcpy(&pair, from, sizeof pair);
  return pair;
}

INLINE void put_pair(int16_t *to, int32_t pair) { memcpy(to, &pair, sizeof pair); }

INLINE void put_two_pairs(int16_t *to, int32_t a, int32_t b) {
  put_pair(to, a);
  put_pair(to + 2, b);
}

#ifdef REFENGINE_DSP

#define DOT_STEP 4 /* how many bytes these take at once */

INLINE int32_t dot_step(const int8_t *x, const int8_t *w, int32_t acc) {
  const int32_t a = four_bytes(x), b = four_bytes(w);
  return multiply_pairs(odd_bytes(a), odd_bytes(b), multiply_pairs(even_bytes(a), even_bytes(b), acc));
}

INLINE void dot_step_2x2(const int8_t *x0, const int8_t *x1, const int8_t *w0, const int8_t *w1,
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

INLINE void dot_step_1x4(const int8_t *x, const int8_t *w0, const int8_t *w1, const int8_t *w2,
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
INLINE void four_products(const int8_t *x, const int8_t *w, int32_t acc[4]) {
  const int32_t a = four_bytes(x), a02 = even_bytes(a), a13 = odd_bytes(a);
  const int32_t b = four_bytes(w), b02 = even_bytes(b), b13 = odd_bytes(b);
  acc[0] = multiply_lower(a02, b02, acc[0]);
  acc[1] = multiply_lower(a13, b13, acc[1]);
  acc[2] = multiply_upper(a02, b02, acc[2]);
  acc[3] = multiply_upper(a13, b13, acc[3]);
}

#else

INLINE void four_products(const int8_t *x, const int8_t *w, int32_t acc[4]) {
  acc[0] += x[0] * w[0];
  acc[1] += x[1] * w[1];
  acc[2] += x[2] * w[2];
  acc[3] += x[3] * w[3];
}

#define DOT_STEP 1

INLINE int32_t dot_step(const int8_t *x, const int8_t *w, int32_t acc) { return acc + *x * *w; }

INLINE void dot_step_2x2(const int8_t *x0, const int8_t *x1, const int8_t *w0, const int8_t *w1,
                                int32_t acc[4]) {
  acc[0] += *x0 * *w0;
  acc[1] += *x0 * *w1;
  acc[2] += *x1 * *w0;
  acc[3] += *x1 * *w1;
}

INLINE void dot_step_1x4(const int8_t *x, const int8_t *w0, const int8_t *w1, const int8_t *w2,
                                const int8_t *w3, int32_t acc[4]) {
  acc[0] += *x * *w0;
  acc[1] += *x * *w1;
  acc[2] += *x * *w2;
  acc[3] += *x * *w3;
}

#endif

INLINE int32_t dot(const int8_t *x, const int8_t *w, int32_t n, int32_t acc) {
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
INLINE void dot_2x2(const int8_t *x0, const int8_t *x1, const int8_t *w0, const int8_t *w1, int32_t n,
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
INLINE void dot_1x4(const int8_t *x, const int8_t *w, int32_t n, int32_t acc[4]) {
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
INLINE void four_scaled(int32_t x, const int8_t *w, int32_t acc[4]) {
  acc[0] += x * w[0];
  acc[1] += x * w[1];
  acc[2] += x * w[2];
  acc[3] += x * w[3];
}

INLINE int32_t sum(const int8_t *w, int32_t n) {
  int32_t total = 0;
  for (int32_t k = 0; k < n; ++k) {
    total += w[k];
  }
  return total;
}

#endif
