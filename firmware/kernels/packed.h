/* The inner loops of layers whose weights were packed when the model was exported, two channels in one int16.
 *
 * packed[k] = w0[k] + 256 · w1[k]. Its low byte is w0[k], and Σ x·packed − Σ x·w0 = 256 · Σ x·w1: one extraction serves
 * two channels' products, and two bytes of flash hold two weights as before. In 32 bits that leaves 24 for Σ x·w1; the
 * export packs only weights that cannot leave them, and only layers for which `code_of` below is proven.
 *
 * The inputs of a window, widened to int16, lie in a patch, by pairs of taps: with two windows at a time (two outputs
 * beside each other), each pair of the first is followed by the second's. Nothing but the speed depends on whether the
 * core has the DSP extension.
 */
#ifndef REFENGINE_PACKED_H
#define REFENGINE_PACKED_H

#include "dot.h"
#include "layers.h"

#ifndef REFENGINE_PATCH /* the most taps of a window to copy; an export has its own number in numerics.h */
#define REFENGINE_PATCH 1152
#endif

/* Two windows of REFENGINE_PATCH taps. */
struct patch {
  _Alignas(8) int16_t taps[2 * REFENGINE_PATCH];
};

/* One channel's way from accumulators to codes. */
struct scaling {
  int32_t multiplier, less; /* 2^(−less − 1) is what is left after the product's upper half */
  int32_t rounding;         /* one half, and the output's offset */
};

INLINE struct scaling scaling_of(const struct requantize *r, const struct multiplier *m) {
  const int32_t less = ~m->shift;
  const struct scaling scaling = {m->multiplier, less, (int32_t)((uint32_t)(2 * r->output_offset + 1) << less)};
  return scaling;
}

/* `requantized` of layers.h where |acc| < 2³⁰ and shift < 0 are proven, and that nothing overflows, but for the clamp,
 * which is int8's here. A tie goes away from zero, one less where the accumulator is negative. */
INLINE int8_t code_of(struct scaling s, int32_t acc) {
  const int32_t high = rounded_high_half(2 * acc, s.multiplier);
  return (int8_t)half_saturated_8(((high + (high >> 31)) + s.rounding) >> s.less);
}

/* The activation's clamp of a whole output, where it is narrower than int8: most quantisers' is not. */
static inline void clamp_codes(const struct requantize *r, int8_t *codes, int32_t count) {
  const int32_t low = r->output_activation_min, high = r->output_activation_max;
  for (int32_t i = 0; i < count && high - low < UINT8_MAX; ++i) {
    codes[i] = (int8_t)clamp(codes[i], low, high);
  }
}

/* Σ x·w1, from Σ x·packed and Σ x·w0. */
INLINE int32_t second(int32_t both, int32_t first) { return (int32_t)((uint32_t)both - (uint32_t)first) >> 8; }

/* Sums of products of two windows with a pair's first channel, and with both. */
struct sums {
  int32_t x0w0, x0w, x1w0, x1w;
};

#ifdef REFENGINE_DSP

INLINE void add_pairs(int32_t x0, int32_t x1, int32_t w, struct sums *s) {
  const int32_t w0 = even_bytes(w);
  s->x0w = multiply_pairs(x0, w, s->x0w);
  s->x1w = multiply_pairs(x1, w, s->x1w);
  s->x0w0 = multiply_pairs(x0, w0, s->x0w0);
  s->x1w0 = multiply_pairs(x1, w0, s->x1w0);
}

INLINE void two_taps(const int16_t *x, const int16_t *w, struct sums *s) {
  int32_t a, b;
  two_pairs(x, &a, &b);
  add_pairs(a, b, pair_at(w), s);
}

INLINE void four_taps(const int16_t **x, const int16_t **w, struct sums *s) {
  int32_t a, b, v, u;
  *w = two_pairs(*w, &v, &u);
  *x = two_pairs(*x, &a, &b);
  add_pairs(a, b, v, s);
  *x = two_pairs(*x, &a, &b);
  add_pairs(a, b, u, s);
}

#else

INLINE void one_tap(int32_t x0, int32_t x1, int32_t w, struct sums *s) {
  const int32_t w0 = (int8_t)(w & 0xff);
  s->x0w = add_wrap(s->x0w, x0 * w);
  s->x1w = add_wrap(s->x1w, x1 * w);
  s->x0w0 += x0 * w0;
  s->x1w0 += x1 * w0;
}

INLINE void two_taps(const int16_t *x, const int16_t *w, struct sums *s) {
  one_tap(x[0], x[2], w[0], s);
  one_tap(x[1], x[3], w[1], s);
}

INLINE void four_taps(const int16_t **x, const int16_t **w, struct sums *s) {
  two_taps(*x, *w, s);
  two_taps(*x + 4, *w + 2, s);
  *x += 8, *w += 4;
}

#endif

/* Two windows times two channels, over an even number of taps. Returns the next pair's filter. */
INLINE const int16_t *packed_2x2(const int16_t *x, const int16_t *w, int32_t taps, struct sums *sums) {
  struct sums s = {0, 0, 0, 0};
  for (const int16_t *const end = w + (taps & ~7); w != end;) {
    four_taps(&x, &w, &s);
    four_taps(&x, &w, &s);
  }
  for (taps &= 7; taps > 0; taps -= 2, x += 4, w += 2) {
    two_taps(x, w, &s);
  }
  *sums = s;
  return w;
}

/* One window times four channels, x0 with the first pair, x1 with the second. Returns the next four's filter. */
INLINE const int16_t *packed_1x4(const int16_t *x, const int16_t *w, int32_t taps, struct sums *sums) {
  struct sums s = {0, 0, 0, 0};
  const int16_t *z = w + taps;
#ifdef REFENGINE_DSP
  for (const int16_t *const end = w + (taps & ~3); w != end;) {
    int32_t a, b, v, u;
    x = two_pairs(x, &a, &b);
    w = two_pairs(w, &v, &u);
    s.x0w = multiply_pairs(b, u, multiply_pairs(a, v, s.x0w));
    s.x0w0 = multiply_pairs(b, even_bytes(u), multiply_pairs(a, even_bytes(v), s.x0w0));
    z = two_pairs(z, &v, &u);
    s.x1w = multiply_pairs(b, u, multiply_pairs(a, v, s.x1w));
    s.x1w0 = multiply_pairs(b, even_bytes(u), multiply_pairs(a, even_bytes(v), s.x1w0));
  }
  taps %= 4;
#endif
  for (const int16_t *const end = w + taps; w != end; ++x, ++w, ++z) {
    s.x0w = add_wrap(s.x0w, *x * *w);
    s.x1w = add_wrap(s.x1w, *x * *z);
    s.x0w0 += *x * (int8_t)(*w & 0xff);
    s.x1w0 += *x * (int8_t)(*z & 0xff);
  }
  *sums = s;
  return z;
}

/* All channels of two windows beside each other. */
static inline void two_windows(const struct requantize *requantize, const struct patch *patch, int32_t taps,
                               const int16_t *filter, const int32_t *bias, int32_t channels, int8_t *output) {
  const struct requantize r = *requantize;
  const struct multiplier *m = r.output_multiplier;
  for (int8_t *const end = output + channels; output < end; output += 2, bias += 2) {
    struct sums s;
    filter = packed_2x2(patch->taps, filter, taps, &s);
    struct scaling scaling = scaling_of(&r, m);
    output[0] = code_of(scaling, s.x0w0 + bias[0]);
    output[channels] = code_of(scaling, s.x1w0 + bias[0]);
    m += r.per_channel;
    if (output + 1 < end) {
      scaling = scaling_of(&r, m);
      output[1] = code_of(scaling, second(s.x0w, s.x0w0) + bias[1]);
      output[channels + 1] = code_of(scaling, second(s.x1w, s.x1w0) + bias[1]);
      m += r.per_channel;
    }
  }
}

/* All channels of one window. There are weights for a multiple of four channels, the last perhaps zero. */
static inline void one_window(const struct requantize *requantize, const struct patch *patch, int32_t taps,
                              const int16_t *filter, const int32_t *bias, int32_t channels, int8_t *output) {
  const struct requantize r = *requantize;
  for (int32_t c = 0; c < channels; c += 4) {
    struct sums s;
    filter = packed_1x4(patch->taps, filter, taps, &s);
    const int32_t acc[4] = {s.x0w0, second(s.x0w, s.x0w0), s.x1w0, second(s.x1w, s.x1w0)};
    for (int32_t k = 0; k < 4 && c + k < channels; ++k) {
      const struct scaling scaling = scaling_of(&r, r.output_multiplier + (c + k) * r.per_channel);
      output[c + k] = code_of(scaling, acc[k] + bias[c + k]);
    }
  }
}

/* Widen `count` inputs, in pairs `step` int16 apart. */
INLINE int16_t *widen(const int8_t *x, int32_t count, int16_t *to, int32_t step) {
  for (; count >= 4; count -= 4, x += 4, to += 2 * step) {
    const int32_t four = four_bytes(x), even = even_bytes(four), odd = odd_bytes(four);
    put_pair(to, lower_halves(even, odd));
    put_pair(to + step, upper_halves(even, odd));
  }
  for (; count > 0; count -= 2, x += 2, to += step) {
    to[0] = x[0];
    to[1] = count > 1 ? x[1] : 0;
  }
  return to;
}

#endif
