/* Deliberate faults, to prove that `refengine diff` finds them: `make FAULT=pad`, or `device record --fault pad`.
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
 *   NO_RESET            what lives on is not forgotten, once the model has run
 *   STALE=k             step k of the step table is never run: its output is what the arena held before
 *
 * int8 layers only, but for PAD, CLAMP, MISSING_BIAS, TRANSPOSED_WEIGHTS, SWAPPED_CHANNELS, POOL_SHORT and STALE, which
 * float layers have too, and NO_RESET, which all models have that remember. XNNPACK's rounding and FMA are no faults but
 * dialects: export with them.
 *
 * The exported files know nothing of this. The Makefile has this header before each of the kernels: they come by other
 * names, and faults.c, which has theirs, calls them with wrong arguments; what these cannot break is redefined below.
 * STALE is a line that the Makefile takes out of model.c, NO_RESET a condition that it puts into model_reset.
 */
#ifndef REFENGINE_FAULTS_H
#define REFENGINE_FAULTS_H

#define conv_int8 sound_conv_int8
#define conv_int8_packed sound_conv_int8_packed
#define conv_float32 sound_conv_float32
#define depthwise_conv_int8 sound_depthwise_conv_int8
#define depthwise_conv_int8_packed sound_depthwise_conv_int8_packed
#define depthwise_conv_float32 sound_depthwise_conv_float32
#define fully_connected_int8 sound_fully_connected_int8
#define fully_connected_int8_packed sound_fully_connected_int8_packed
#define fully_connected_float32 sound_fully_connected_float32
#define max_pool_int8 sound_max_pool_int8
#define max_pool_float32 sound_max_pool_float32
#define average_pool_int8 sound_average_pool_int8
#define average_pool_float32 sound_average_pool_float32
#define softmax_int8 sound_softmax_int8
#define softmax_int8_int16 sound_softmax_int8_int16

#ifdef REFENGINE_FAULT_SINGLE_ROUNDING
#define REFENGINE_SINGLE_ROUNDING 1
#endif

#include "fixedpoint.h"

#ifdef REFENGINE_FAULT_ROUND_DOWN
static inline int32_t rounded_down(int32_t x, struct multiplier m) {
  const int32_t left = m.shift > 0 ? m.shift : 0, right = m.shift > 0 ? 0 : -m.shift;
  return saturating_rounding_doubling_high_mul(shift_left_wrap(x, left), m.multiplier) >> right;
}
#define multiply_by_quantized_multiplier rounded_down
#define rounding_divide_by_pot(x, exponent) ((x) >> (exponent))
#endif

#include "layers.h"

#ifdef REFENGINE_FAULT_NARROW_ACCUMULATOR
#define requantized(r, m, acc) requantized(r, m, (int16_t)(acc))
#endif

#endif
