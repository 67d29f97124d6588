/* Deliberate faults, to prove that `refengine diff` finds them: compile with -DREFENGINE_FAULT_<NAME>, one at a time.
 *
 *   SINGLE_ROUNDING     requantisation rounds once
 *   ROUND_DOWN          requantisation drops the last bits instead of rounding them
 *   PAD                 conv, depthwise_conv: the window lies one row and one column too far up and left
 *   CLAMP               conv, depthwise_conv, fully_connected: no clamp, codes wrap around to 8 bits
 *   ZERO_POINT          conv, depthwise_conv, fully_connected: the input's zero point is taken for 0
 *   OUTPUT_OFFSET       the same layers: the output's zero point is taken for 0
 *   MISSING_BIAS        the same layers: no bias
 *   ENDIANNESS          the same layers: the bias is read with its bytes reversed
 *   NARROW_ACCUMULATOR  the same layers: the sum of products (with the bias) is kept in 16 bits
 *   TRANSPOSED_WEIGHTS  fully_connected: the weights are read as (depth, outputs)
 *   SWAPPED_CHANNELS    conv: output channels 0 and 1 are swapped, 2 and 3, …
 *   POOL_SHORT          max and average pools: the window's last column is left out
 *   SOFTMAX_BETA        softmax: every difference from the maximum is halved (rounded down)
 *   STALE=k             step k of the step table is never run: its output is what the arena held before
 *
 * Integer layers only, but for PAD, CLAMP, MISSING_BIAS, TRANSPOSED_WEIGHTS, SWAPPED_CHANNELS, POOL_SHORT and STALE,
 * which float layers have too. XNNPACK's rounding and FMA are no faults but dialects: export with them.
 * A sound build has none of these macros, and every hook below is then its argument.
 */
#ifndef REFENGINE_FAULTS_H
#define REFENGINE_FAULTS_H

#include <stdint.h>

/* Packed layers do it all at once; to be broken one by one, they are unpacked and left to the other kernels. */
#if defined(REFENGINE_FAULT_SINGLE_ROUNDING) || defined(REFENGINE_FAULT_ROUND_DOWN) || defined(REFENGINE_FAULT_PAD) || \
    defined(REFENGINE_FAULT_CLAMP) || defined(REFENGINE_FAULT_ZERO_POINT) || defined(REFENGINE_FAULT_OUTPUT_OFFSET) || \
    defined(REFENGINE_FAULT_MISSING_BIAS) || defined(REFENGINE_FAULT_ENDIANNESS) || \
    defined(REFENGINE_FAULT_NARROW_ACCUMULATOR) || defined(REFENGINE_FAULT_TRANSPOSED_WEIGHTS) || \
    defined(REFENGINE_FAULT_SWAPPED_CHANNELS)
#define REFENGINE_UNPACKED
#endif

#ifdef REFENGINE_FAULT_PAD
#define FAULT_PAD(pad) ((pad) + 1)
#else
#define FAULT_PAD(pad) (pad)
#endif

#ifdef REFENGINE_FAULT_CLAMP
#define FAULT_CLAMP(bound, open) ((void)(bound), (open))
#else
#define FAULT_CLAMP(bound, open) (bound)
#endif

#ifdef REFENGINE_FAULT_ZERO_POINT
#define FAULT_ZERO_POINT(offset) ((void)(offset), 0)
#else
#define FAULT_ZERO_POINT(offset) (offset)
#endif

#ifdef REFENGINE_FAULT_OUTPUT_OFFSET
#define FAULT_OUTPUT_OFFSET(offset) ((void)(offset), 0)
#else
#define FAULT_OUTPUT_OFFSET(offset) (offset)
#endif

#ifdef REFENGINE_FAULT_NARROW_ACCUMULATOR
#define FAULT_ACCUMULATOR(acc) ((int16_t)(acc))
#else
#define FAULT_ACCUMULATOR(acc) (acc)
#endif

#ifdef REFENGINE_FAULT_SWAPPED_CHANNELS
#define FAULT_CHANNEL(channel, channels) (((channel) ^ 1) < (channels) ? (channel) ^ 1 : (channel))
#else
#define FAULT_CHANNEL(channel, channels) ((void)(channels), (channel))
#endif

#ifdef REFENGINE_FAULT_POOL_SHORT
#define FAULT_POOL(filter_width) ((filter_width) > 1 ? (filter_width)-1 : 1)
#else
#define FAULT_POOL(filter_width) (filter_width)
#endif

#ifdef REFENGINE_FAULT_SOFTMAX_BETA
#define FAULT_SOFTMAX(difference) ((difference) / 2)
#else
#define FAULT_SOFTMAX(difference) (difference)
#endif

#ifdef REFENGINE_FAULT_MISSING_BIAS
#define FAULT_FLOAT_BIAS(bias) ((void)(bias), 0.0f)
#else
#define FAULT_FLOAT_BIAS(bias) (bias)
#endif

#ifdef REFENGINE_FAULT_STALE
#define FAULT_RUNS(step) ((step) != REFENGINE_FAULT_STALE)
#else
#define FAULT_RUNS(step) 1
#endif

/* The folded bias of an integer layer. Faults take it apart: `weights`, `count` and `stride` are those of the channel,
 * `offset` what was folded in for each weight. */
static inline int32_t fault_bias(int32_t folded, int32_t offset, const int8_t *weights, int32_t count, int32_t stride) {
#if defined(REFENGINE_FAULT_ZERO_POINT) || defined(REFENGINE_FAULT_MISSING_BIAS) || defined(REFENGINE_FAULT_ENDIANNESS)
  int32_t sum = 0;
  for (int32_t k = 0; k < count; ++k) {
    sum += weights[k * stride];
  }
  uint32_t offsets = (uint32_t)offset * (uint32_t)sum;
  uint32_t bias = (uint32_t)folded - offsets;
#if defined(REFENGINE_FAULT_ZERO_POINT)
  return (int32_t)bias;
#elif defined(REFENGINE_FAULT_MISSING_BIAS)
  bias = 0;
  return (int32_t)(bias + offsets);
#else
  bias = bias >> 24 | (bias >> 8 & 0xff00) | (bias & 0xff00) << 8 | bias << 24;
  return (int32_t)(bias + offsets);
#endif
#else
  (void)offset, (void)weights, (void)count, (void)stride;
  return folded;
#endif
}

#endif
