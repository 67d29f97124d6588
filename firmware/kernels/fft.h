/* The transforms of one type, which rfft.c includes for each: FFT_BITS is 16 or 32 of fixed point, 0 of floats.
 *
 * A real signal of N samples is transformed as N / 2 complex numbers. Fixed point halves, thirds or fifths everything at
 * each stage so that nothing overflows, and rounds each product or sum of two products; sums wrap. Floats round each
 * operation. The twiddles are tables worked out when the model was exported.
 */

#if FFT_BITS
typedef int64_t FFT(wide);
#else
typedef FFT_NUMBER FFT(wide);
#endif

typedef struct {
  FFT_NUMBER re, im;
} FFT(complex);

#define NUMBER FFT_NUMBER
#define WIDE FFT(wide)
#define COMPLEX FFT(complex)

static inline COMPLEX FFT(complex_of)(WIDE re, WIDE im) {
  const COMPLEX z = {(NUMBER)re, (NUMBER)im};
  return z;
}

static inline COMPLEX FFT(plus)(COMPLEX a, COMPLEX b) {
  return FFT(complex_of)((WIDE)a.re + b.re, (WIDE)a.im + b.im);
}

static inline COMPLEX FFT(minus)(COMPLEX a, COMPLEX b) {
  return FFT(complex_of)((WIDE)a.re - b.re, (WIDE)a.im - b.im);
}

/* A product, or a sum of two, back to the type. */
static inline WIDE FFT(rounded)(WIDE x) {
#if FFT_BITS
  return (NUMBER)((x + (INT64_C(1) << (FFT_BITS - 2))) >> (FFT_BITS - 1));
#else
  return x;
#endif
}

static inline WIDE FFT(halved)(WIDE x) {
#if FFT_BITS
  return x >> 1;
#else
  return x * 0.5f;
#endif
}

static inline COMPLEX FFT(product)(COMPLEX a, COMPLEX b) {
  return FFT(complex_of)(FFT(rounded)((WIDE)a.re * b.re - (WIDE)a.im * b.im),
                         FFT(rounded)((WIDE)a.re * b.im + (WIDE)a.im * b.re));
}

static inline COMPLEX FFT(scaled)(COMPLEX a, NUMBER factor) {
  return FFT(complex_of)(FFT(rounded)((WIDE)a.re * factor), FFT(rounded)((WIDE)a.im * factor));
}

/* Fixed point only: by the radix, so that a sum of so many has room. */
static inline COMPLEX FFT(divided)(COMPLEX a, int32_t radix) {
#if FFT_BITS
  return FFT(scaled)(a, (NUMBER)(((INT64_C(1) << (FFT_BITS - 1)) - 1) / radix));
#else
  (void)radix;
  return a;
#endif
}

/* ---- butterflies: the turned parts `g` become their transform ---- */

static inline void FFT(two)(COMPLEX g[5]) {
  const COMPLEX a = g[0];
  g[0] = FFT(plus)(a, g[1]);
  g[1] = FFT(minus)(a, g[1]);
}

static inline void FFT(three)(COMPLEX g[5], COMPLEX third) {
  const COMPLEX c = FFT(plus)(g[1], g[2]), d = FFT(scaled)(FFT(minus)(g[1], g[2]), third.im);
  const COMPLEX x = FFT(complex_of)(g[0].re - FFT(halved)(c.re), g[0].im - FFT(halved)(c.im));
  g[0] = FFT(plus)(g[0], c);
  g[1] = FFT(complex_of)((WIDE)x.re - d.im, (WIDE)x.im + d.re);
  g[2] = FFT(complex_of)((WIDE)x.re + d.im, (WIDE)x.im - d.re);
}

static inline void FFT(four)(COMPLEX g[5], int32_t inverse) {
  const COMPLEX a = FFT(plus)(g[0], g[2]), b = FFT(minus)(g[0], g[2]);
  const COMPLEX c = FFT(plus)(g[1], g[3]), d = FFT(minus)(g[1], g[3]);
  g[0] = FFT(plus)(a, c);
  g[2] = FFT(minus)(a, c);
  g[inverse ? 3 : 1] = FFT(complex_of)((WIDE)b.re + d.im, (WIDE)b.im - d.re);
  g[inverse ? 1 : 3] = FFT(complex_of)((WIDE)b.re - d.im, (WIDE)b.im + d.re);
}

static inline void FFT(five)(COMPLEX g[5], COMPLEX fifth, COMPLEX two_fifths) {
  const COMPLEX outer = FFT(plus)(g[1], g[4]), outer_gap = FFT(minus)(g[1], g[4]);
  const COMPLEX inner = FFT(plus)(g[2], g[3]), inner_gap = FFT(minus)(g[2], g[3]);
  const COMPLEX first =
      FFT(plus)(FFT(plus)(g[0], FFT(scaled)(outer, fifth.re)), FFT(scaled)(inner, two_fifths.re));
  const COMPLEX second =
      FFT(plus)(FFT(plus)(g[0], FFT(scaled)(outer, two_fifths.re)), FFT(scaled)(inner, fifth.re));
  COMPLEX a = FFT(scaled)(outer_gap, fifth.im), b = FFT(scaled)(inner_gap, two_fifths.im);
  const COMPLEX q = FFT(complex_of)((WIDE)a.im + b.im, -(WIDE)a.re - b.re);
  a = FFT(scaled)(outer_gap, two_fifths.im);
  b = FFT(scaled)(inner_gap, fifth.im);
  const COMPLEX w = FFT(complex_of)((WIDE)b.im - a.im, (WIDE)a.re - b.re);
  g[0] = FFT(plus)(g[0], FFT(plus)(outer, inner));
  g[1] = FFT(minus)(first, q);
  g[4] = FFT(plus)(first, q);
  g[2] = FFT(plus)(second, w);
  g[3] = FFT(minus)(second, w);
}

/* ---- the complex transform, of numbers that lie in the order of `source_of` ---- */

/* Which number goes to this place before the first stage: the digits of the place, by the radices, reversed. */
static inline int32_t FFT(source_of)(const struct fft_params *p, int32_t place) {
  int32_t source = 0, stride = 1;
  for (int32_t stage = 0; stage < p->stages; ++stage) {
    const int32_t radix = p->factors[2 * stage], length = p->factors[2 * stage + 1];
    source += place / length * stride;
    place %= length;
    stride *= radix;
  }
  return source;
}

static void FFT(stage)(const struct fft_params *p, COMPLEX *z, int32_t radix, int32_t length) {
  const COMPLEX *const twiddles = p->twiddles;
  const int32_t stride = p->fft_length / 2 / (radix * length), part = stride * length;
  for (COMPLEX *const end = z + p->fft_length / 2; z != end; z += radix * length) {
    for (int32_t u = 0; u < length; ++u) {
      COMPLEX g[5];
      for (int32_t q = 0; q < radix; ++q) {
        g[q] = FFT(divided)(z[u + q * length], radix);
        g[q] = q ? FFT(product)(g[q], twiddles[q * u * stride]) : g[q];
      }
      switch (radix) {
        case 2:
          FFT(two)(g);
          break;
        case 3:
          FFT(three)(g, twiddles[part]);
          break;
        case 4:
          FFT(four)(g, p->inverse);
          break;
        default:
          FFT(five)(g, twiddles[part], twiddles[2 * part]);
      }
      for (int32_t q = 0; q < radix; ++q) {
        z[u + q * length] = g[q];
      }
    }
  }
}

static void FFT(transform)(const struct fft_params *p, COMPLEX *z) {
  for (int32_t stage = p->stages - 1; stage >= 0; --stage) {
    FFT(stage)(p, z, p->factors[2 * stage], p->factors[2 * stage + 1]);
  }
}

/* ---- real signals ---- */

/* The spectrum at k and at half − k, of what the complex transform has there. */
static void FFT(unfold)(COMPLEX *f, int32_t k, int32_t half, COMPLEX turn) {
  const COMPLEX there = FFT(complex_of)(f[half - k].re, -(WIDE)f[half - k].im);
  const COMPLEX a = FFT(divided)(f[k], 2), b = FFT(divided)(there, 2);
  const COMPLEX s = FFT(plus)(a, b), t = FFT(product)(FFT(minus)(a, b), turn);
#if FFT_BITS == 16 /* halved before it is cut to 16 bits; int32 is cut first */
  typedef WIDE kept;
#else
  typedef NUMBER kept;
#endif
  f[k] = FFT(complex_of)(FFT(halved)((kept)((WIDE)s.re + t.re)), FFT(halved)((kept)((WIDE)s.im + t.im)));
  f[half - k] = FFT(complex_of)(FFT(halved)((kept)((WIDE)s.re - t.re)), FFT(halved)((kept)((WIDE)t.im - s.im)));
}

void FFT(rfft)(const struct fft_params *p, const NUMBER *input, NUMBER *output) {
  const int32_t half = p->fft_length / 2, size = p->input_size;
  const COMPLEX *const super_twiddles = p->super_twiddles;
  for (int32_t row = 0; row < p->rows; ++row, input += size, output += p->fft_length + 2) {
    COMPLEX *const f = (COMPLEX *)(void *)output;
    for (int32_t place = 0; place < half; ++place) {
      const int32_t at = 2 * FFT(source_of)(p, place);
      f[place] = FFT(complex_of)(at < size ? input[at] : 0, at + 1 < size ? input[at + 1] : 0);
    }
    FFT(transform)(p, f);
    const COMPLEX dc = FFT(divided)(f[0], 2);
    f[0] = FFT(complex_of)((WIDE)dc.re + dc.im, 0);
    f[half] = FFT(complex_of)((WIDE)dc.re - dc.im, 0);
    for (int32_t k = 1; k <= half / 2; ++k) {
      FFT(unfold)(f, k, half, super_twiddles[k - 1]);
    }
  }
}

/* What the complex transform gets at `at`, of the spectrum. */
static COMPLEX FFT(folded)(const struct fft_params *p, const COMPLEX *f, int32_t at) {
  const int32_t half = p->fft_length / 2, mirrored = 2 * at >= half, k = mirrored ? half - at : at;
  if (at == 0) {
    return FFT(divided)(FFT(complex_of)((WIDE)f[0].re + f[half].re, (WIDE)f[0].re - f[half].re), 2);
  }
  const COMPLEX there = FFT(complex_of)(f[half - k].re, -(WIDE)f[half - k].im);
  const COMPLEX a = FFT(divided)(f[k], 2), b = FFT(divided)(there, 2), even = FFT(plus)(a, b);
  const COMPLEX odd = FFT(product)(FFT(minus)(a, b), ((const COMPLEX *)p->super_twiddles)[k - 1]);
  const COMPLEX gap = FFT(minus)(even, odd);
  return mirrored ? FFT(complex_of)(gap.re, -(WIDE)gap.im) : FFT(plus)(even, odd);
}

void FFT(irfft)(const struct fft_params *p, const NUMBER *input, NUMBER *output) {
  const int32_t half = p->fft_length / 2;
  for (int32_t row = 0; row < p->rows; ++row, input += p->fft_length + 2, output += p->fft_length) {
    COMPLEX *const z = (COMPLEX *)(void *)output;
    for (int32_t place = 0; place < half; ++place) {
      z[place] = FFT(folded)(p, (const COMPLEX *)(const void *)input, FFT(source_of)(p, place));
    }
    FFT(transform)(p, z);
#if !FFT_BITS
    for (int32_t i = 0; i < p->fft_length; ++i) {
      output[i] /= (float)p->fft_length; /* fixed point is so small already */
    }
#endif
  }
}

#undef NUMBER
#undef WIDE
#undef COMPLEX
