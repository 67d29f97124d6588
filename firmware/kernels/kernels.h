/* refengine's operators in C11: what TFLM's reference kernels compute, bit for bit.
 *
 * One call is one step: kernel(params, inputs …, output). Params are constants of the step, worked out when the model
 * was exported; their fields have the names they have in TFLM and in refengine/kernels/<the same file>.py. Tensors are
 * NHWC and contiguous. No kernel allocates or fails, and what lives on from one inference to the next is an argument.
 * <op>.c implements what the heading <op> declares.
 */
#ifndef REFENGINE_KERNELS_H
#define REFENGINE_KERNELS_H

#include <stdint.h>

#include "fixedpoint.h"

/* Cores with Helium have kernels of their own, and take the filters of packed layers as they lie in the .tflite. */
#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1) && defined(__GNUC__)
#define REFENGINE_MVE 1
typedef int8_t packed_filter;
#else
#define REFENGINE_MVE 0
typedef int16_t packed_filter;
#endif

/* Where a convolution's or pool's window lies. `padding` is what lies above and to the left of the image. */
struct window {
  int32_t batches, input_height, input_width, input_depth;
  int32_t output_height, output_width, output_depth;
  int32_t filter_height, filter_width;
  int32_t stride_height, stride_width;
  int32_t dilation_height_factor, dilation_width_factor;
  int32_t padding_height, padding_width;
};

/* From the accumulators of an integer layer to its codes. `output_multiplier` has one entry for each channel if
 * `per_channel` is 1, one for all if it is 0. */
struct requantize {
  const struct multiplier *output_multiplier;
  int32_t per_channel;
  int32_t output_offset;
  int32_t output_activation_min, output_activation_max;
};

/* ---- conv ---- */

/* `filter` is OHWI with `filter_depth` input channels; more in the input are in groups. `bias[oc]` is the bias plus
 * input_offset · Σ filter[oc], so that the sums of input · filter need no offset. */
struct conv_int8_params {
  struct window window;
  int32_t filter_depth;
  int32_t input_offset;
  struct requantize requantize;
};
void conv_int8(const struct conv_int8_params *p, const int8_t *input, const int8_t *filter, const int32_t *bias,
               int8_t *output);

/* The same for a filter packed as packed.h says, by pairs of channels, all inputs in one group. */
void conv_int8_packed(const struct conv_int8_params *p, const int8_t *input, const packed_filter *filter,
                      const int32_t *bias, int8_t *output);

struct conv_float32_params {
  struct window window;
  int32_t filter_depth;
  float float_activation_min, float_activation_max;
};
void conv_float32(const struct conv_float32_params *p, const float *input, const float *filter, const float *bias,
                  float *output);

/* ---- depthwise_conv ---- */

/* `filter` is HWC, channel c belongs to input channel c / depth_multiplier; `bias` as for conv. */
struct depthwise_conv_int8_params {
  struct window window;
  int32_t depth_multiplier;
  int32_t input_offset;
  struct requantize requantize;
};
void depthwise_conv_int8(const struct depthwise_conv_int8_params *p, const int8_t *input, const int8_t *filter,
                         const int32_t *bias, int8_t *output);

/* Filters of 3 × 3, each channel by itself, their number a multiple of four. The window moves along the longer side of
 * the output, `along`, and then across; steps are elements. `filter` lies as depthwise_conv.c says. */
struct direction {
  int32_t input_size, output_size, stride, padding;
  int32_t input_step, output_step;
};
struct depthwise_conv_int8_packed_params {
  int32_t batches, depth;
  int32_t input_offset;
  struct direction along, across;
  struct requantize requantize;
};
void depthwise_conv_int8_packed(const struct depthwise_conv_int8_packed_params *p, const int8_t *input,
                                const int8_t *filter, const int32_t *bias, int8_t *output);

struct depthwise_conv_float32_params {
  struct window window;
  int32_t depth_multiplier;
  float float_activation_min, float_activation_max;
};
void depthwise_conv_float32(const struct depthwise_conv_float32_params *p, const float *input, const float *filter,
                            const float *bias, float *output);

/* ---- fully_connected ---- */

/* `filter` is (output_depth, accum_depth). `bias[o]` is the bias plus input_offset · Σ (filter[o] + filter_offset). */
struct fully_connected_int8_params {
  int32_t batches, accum_depth, output_depth;
  int32_t input_offset, filter_offset;
  struct requantize requantize;
};
void fully_connected_int8(const struct fully_connected_int8_params *p, const int8_t *input, const int8_t *filter,
                          const int32_t *bias, int8_t *output);

/* The same for a filter packed as packed.h says, filter_offset 0. */
void fully_connected_int8_packed(const struct fully_connected_int8_params *p, const int8_t *input,
                                 const packed_filter *filter, const int32_t *bias, int8_t *output);

struct fully_connected_float32_params {
  int32_t batches, accum_depth, output_depth;
  float float_activation_min, float_activation_max;
};
void fully_connected_float32(const struct fully_connected_float32_params *p, const float *input, const float *filter,
                             const float *bias, float *output);

/* ---- fold_bias ---- */

/* A channel's weights are `tap_step` apart, and begin `channel_step` after those of the channel before. */
struct fold_bias_params {
  int32_t channels, taps;
  int32_t channel_step, tap_step;
  int32_t input_offset, filter_offset;
};
void fold_bias(const struct fold_bias_params *p, const int8_t *filter, const int32_t *bias, int32_t *folded);

/* ---- pooling ---- */

struct pool_int8_params {
  struct window window;
  int32_t activation_min, activation_max;
};
void max_pool_int8(const struct pool_int8_params *p, const int8_t *input, int8_t *output);
void average_pool_int8(const struct pool_int8_params *p, const int8_t *input, int8_t *output);

struct pool_float32_params {
  struct window window;
  float float_activation_min, float_activation_max;
};
void max_pool_float32(const struct pool_float32_params *p, const float *input, float *output);
void average_pool_float32(const struct pool_float32_params *p, const float *input, float *output);

/* ---- softmax ---- */

/* exps[d] is e^(−d · beta · scale) in Q0.31 for the first `exps_length` differences d from the maximum, and 0 beyond. */
struct softmax_int8_params {
  int32_t rows, depth;
  int32_t exps_length;
  const int32_t *exps;
};
void softmax_int8(const struct softmax_int8_params *p, const int8_t *input, int8_t *output);
void softmax_int8_int16(const struct softmax_int8_params *p, const int8_t *input, int16_t *output);

struct softmax_float32_params {
  int32_t rows, depth;
  float beta;
};
void softmax_float32(const struct softmax_float32_params *p, const float *input, float *output);

/* ---- add ---- */

#define MAX_RANK 6

/* Strides in elements over the output's shape (of rank MAX_RANK, ones in front), 0 where an input broadcasts. */
struct broadcast {
  int32_t shape[MAX_RANK], input1_strides[MAX_RANK], input2_strides[MAX_RANK];
};

struct add_int8_params {
  struct broadcast broadcast;
  int32_t left_shift;
  int32_t input1_offset, input2_offset, output_offset;
  struct multiplier input1_multiplier, input2_multiplier, output_multiplier;
  int32_t output_activation_min, output_activation_max;
};
void add_int8(const struct add_int8_params *p, const int8_t *input1, const int8_t *input2, int8_t *output);

struct add_float32_params {
  struct broadcast broadcast;
  float output_activation_min, output_activation_max;
};
void add_float32(const struct add_float32_params *p, const float *input1, const float *input2, float *output);

/* ---- activations ---- */

struct relu_int8_params {
  int32_t size;
  int32_t input_offset, output_offset;
  struct multiplier multiplier;
  int32_t quantized_activation_min, quantized_activation_max;
};
void relu_int8(const struct relu_int8_params *p, const int8_t *input, int8_t *output);

struct relu6_int8_params {
  int32_t size;
  int32_t zero, six;
};
void relu6_int8(const struct relu6_int8_params *p, const int8_t *input, int8_t *output);

struct size_params {
  int32_t size;
};
void relu_float32(const struct size_params *p, const float *input, float *output);
void relu6_float32(const struct size_params *p, const float *input, float *output);

/* ---- reduce ---- */

/* The dimensions kept and those summed over, in order with ones in front, and their strides in the input. */
struct axes {
  int32_t kept_shape[MAX_RANK], kept_strides[MAX_RANK];
  int32_t reduced_shape[MAX_RANK], reduced_strides[MAX_RANK];
};

/* MEAN and SUM: `bias` is minus the input's zero point for each element summed; a mean's multiplier divides. */
struct sum_int8_params {
  struct axes axes;
  int32_t bias;
  struct multiplier multiplier;
  int32_t output_offset;
};
void sum_int8(const struct sum_int8_params *p, const int8_t *input, int8_t *output);

/* `divisor` is 1 for SUM. */
struct sum_float32_params {
  struct axes axes;
  float divisor;
};
void sum_float32(const struct sum_float32_params *p, const float *input, float *output);

/* ---- quantize ---- */

struct quantize_int8_params {
  int32_t size;
  int32_t input_zero_point, output_zero_point;
  struct multiplier requantize_output_multiplier;
};
void quantize_int8(const struct quantize_int8_params *p, const int8_t *input, int8_t *output);

struct quantize_float32_params {
  int32_t size;
  float scale;
  int32_t zero_point;
};
void quantize_float32(const struct quantize_float32_params *p, const float *input, int8_t *output);
void quantize_float32_int16(const struct quantize_float32_params *p, const float *input, int16_t *output);

/* ---- dequantize ---- */

struct dequantize_int8_params {
  int32_t size;
  float scale;
  int32_t zero_point;
};
void dequantize_int8(const struct dequantize_int8_params *p, const int8_t *input, float *output);

/* ---- pad ---- */

/* Shapes have ones in front; `pad_value` is one element, of `element_size` bytes. */
struct pad_params {
  int32_t element_size;
  int32_t input_shape[MAX_RANK], left_padding[MAX_RANK], output_shape[MAX_RANK];
};
void pad(const struct pad_params *p, const void *input, const void *pad_value, void *output);

/* ---- reshape ---- */

struct reshape_params {
  int32_t bytes;
};
void reshape(const struct reshape_params *p, const void *input, void *output);

/* ---- the int16 layers: conv_int16, depthwise_conv_int16, fully_connected_int16, pooling_int16, softmax_int16 ---- */

/* `accumulator_bits` is 64, or 32 where the sum wraps; the fields else, and filter and bias, are as those of int8. */
struct conv_int16_params {
  struct window window;
  int32_t filter_depth;
  int32_t accumulator_bits;
  struct requantize requantize;
};
void conv_int16(const struct conv_int16_params *p, const int16_t *input, const int8_t *filter, const int64_t *bias,
                int16_t *output);

struct depthwise_conv_int16_params {
  struct window window;
  int32_t depth_multiplier;
  int32_t accumulator_bits;
  struct requantize requantize;
};
void depthwise_conv_int16(const struct depthwise_conv_int16_params *p, const int16_t *input, const int8_t *filter,
                          const int64_t *bias, int16_t *output);

/* `input_offset` is 0 where it is in the bias: of constant weights. */
struct fully_connected_int16_params {
  int32_t batches, accum_depth, output_depth;
  int32_t input_offset, filter_offset;
  int32_t accumulator_bits;
  struct requantize requantize;
};
void fully_connected_int16(const struct fully_connected_int16_params *p, const int16_t *input, const int8_t *filter,
                           const int64_t *bias, int16_t *output);

void max_pool_int16(const struct pool_int8_params *p, const int16_t *input, int16_t *output);
void average_pool_int16(const struct pool_int8_params *p, const int16_t *input, int16_t *output);

/* The tables have 513 entries: e^x over [−10, 0] and 1 / (1 + x) over [0, 1]. */
struct softmax_int16_params {
  int32_t rows, depth;
  struct multiplier input_multiplier;
  const int16_t *exp_lut;
  const int16_t *one_over_one_plus_x_lut;
};
void softmax_int16(const struct softmax_int16_params *p, const int16_t *input, int16_t *output);

/* ---- sub, mul, maximum_minimum ---- */

struct pair_float32_params {
  struct broadcast broadcast;
  float output_activation_min, output_activation_max;
};

struct pair_int32_params {
  struct broadcast broadcast;
  int32_t output_activation_min, output_activation_max;
};

void sub_int8(const struct add_int8_params *p, const int8_t *input1, const int8_t *input2, int8_t *output);
void sub_int16(const struct add_int8_params *p, const int16_t *input1, const int16_t *input2, int16_t *output);
void sub_float32(const struct pair_float32_params *p, const float *input1, const float *input2, float *output);
void sub_int32(const struct pair_int32_params *p, const int32_t *input1, const int32_t *input2, int32_t *output);
void add_int16(const struct add_int8_params *p, const int16_t *input1, const int16_t *input2, int16_t *output);
void add_int32(const struct pair_int32_params *p, const int32_t *input1, const int32_t *input2, int32_t *output);

struct mul_params {
  struct broadcast broadcast;
  int32_t input1_zero_point, input2_zero_point, output_zero_point;
  struct multiplier output_multiplier;
  int32_t output_activation_min, output_activation_max;
};
void mul_int8(const struct mul_params *p, const int8_t *input1, const int8_t *input2, int8_t *output);
void mul_int16(const struct mul_params *p, const int16_t *input1, const int16_t *input2, int16_t *output);
void mul_float32(const struct pair_float32_params *p, const float *input1, const float *input2, float *output);
void mul_int32(const struct pair_int32_params *p, const int32_t *input1, const int32_t *input2, int32_t *output);

/* ---- requantize ---- */

void quantize_int16_int8(const struct quantize_int8_params *p, const int16_t *input, int8_t *output);
void quantize_int16_int16(const struct quantize_int8_params *p, const int16_t *input, int16_t *output);
void quantize_int16_int32(const struct quantize_int8_params *p, const int16_t *input, int32_t *output);
void quantize_int32_int8(const struct quantize_int8_params *p, const int32_t *input, int8_t *output);
void quantize_int32_int16(const struct quantize_int8_params *p, const int32_t *input, int16_t *output);
void dequantize_int16(const struct dequantize_int8_params *p, const int16_t *input, float *output);
void sum_int16(const struct sum_int8_params *p, const int16_t *input, int16_t *output);

/* ---- lookup ---- */

struct lookup_8_params {
  int32_t size;
  const uint8_t *table;
};
void lookup_8(const struct lookup_8_params *p, const void *input, uint8_t *output);

struct lookup_16_params {
  int32_t size;
  const uint16_t *table;
};
void lookup_16(const struct lookup_16_params *p, const void *input, uint16_t *output);

struct lookup_32_params {
  int32_t size;
  const uint32_t *table;
};
void lookup_32(const struct lookup_32_params *p, const void *input, uint32_t *output);

/* ---- copies ---- */

/* Elements of `shape` go from the input's places to the output's; starts and strides count elements. */
struct copy_params {
  int32_t element_size;
  int32_t shape[MAX_RANK];
  int32_t input_start, output_start;
  int32_t input_strides[MAX_RANK], output_strides[MAX_RANK];
};
void copy_elements(const struct copy_params *p, const void *input, void *output);

/* `count` blocks of as many `bytes`, one behind the other in the output; `starts` are theirs in the input, in bytes. */
struct gather_params {
  int32_t count, bytes;
  const int32_t *starts;
};
void gather_blocks(const struct gather_params *p, const void *input, void *output);

/* ---- maximum_minimum, squared_difference ---- */

struct pair_params {
  struct broadcast broadcast;
};
void maximum_int8(const struct pair_params *p, const int8_t *input1, const int8_t *input2, int8_t *output);
void maximum_int16(const struct pair_params *p, const int16_t *input1, const int16_t *input2, int16_t *output);
void maximum_int32(const struct pair_params *p, const int32_t *input1, const int32_t *input2, int32_t *output);
void maximum_int64(const struct pair_params *p, const int64_t *input1, const int64_t *input2, int64_t *output);
void maximum_float32(const struct pair_params *p, const float *input1, const float *input2, float *output);
void minimum_int8(const struct pair_params *p, const int8_t *input1, const int8_t *input2, int8_t *output);
void minimum_int16(const struct pair_params *p, const int16_t *input1, const int16_t *input2, int16_t *output);
void minimum_int32(const struct pair_params *p, const int32_t *input1, const int32_t *input2, int32_t *output);
void minimum_int64(const struct pair_params *p, const int64_t *input1, const int64_t *input2, int64_t *output);
void minimum_float32(const struct pair_params *p, const float *input1, const float *input2, float *output);

struct squared_difference_params {
  struct broadcast broadcast;
  int32_t left_shift;
  int32_t input1_zero_point, input2_zero_point, output_zero_point;
  struct multiplier input1_multiplier, input2_multiplier, output_multiplier;
};
void squared_difference_int8(const struct squared_difference_params *p, const int8_t *input1, const int8_t *input2,
                             int8_t *output);
void squared_difference_int16(const struct squared_difference_params *p, const int16_t *input1, const int16_t *input2,
                              int16_t *output);
void squared_difference_float32(const struct pair_params *p, const float *input1, const float *input2, float *output);
void squared_difference_int32(const struct pair_params *p, const int32_t *input1, const int32_t *input2,
                              int32_t *output);

/* ---- transpose_conv ---- */

/* `filter` is OHWI; the window's dilation is 1. The accumulator is as for conv_int16. */
struct transpose_conv_params {
  struct window window;
  int32_t input_offset;
  int32_t accumulator_bits;
  struct requantize requantize;
};
void transpose_conv_int8(const struct transpose_conv_params *p, const int8_t *input, const int8_t *filter,
                         const int64_t *bias, int8_t *output);
void transpose_conv_int16(const struct transpose_conv_params *p, const int16_t *input, const int8_t *filter,
                          const int64_t *bias, int16_t *output);

/* ---- resize_bilinear ---- */

/* For each row and column of the output the two of the input that it lies between, and how far in 2^-bits. */
struct resize_bilinear_params {
  int32_t batches, input_height, input_width, depth;
  int32_t output_height, output_width;
  int32_t bits, ties_away;
  const int32_t *row_lower;
  const int32_t *row_upper;
  const int32_t *row_offset;
  const int32_t *column_lower;
  const int32_t *column_upper;
  const int32_t *column_offset;
};
void resize_bilinear_int8(const struct resize_bilinear_params *p, const int8_t *input, int8_t *output);

/* ---- batch_matmul ---- */

/* `matrices` walks over the batches, whose strides count elements. */
struct batch_matmul_params {
  struct broadcast matrices;
  int32_t rows, columns, accum_depth;
  int32_t lhs_row_stride, lhs_depth_stride, rhs_column_stride, rhs_depth_stride;
  int32_t lhs_offset, rhs_offset;
  struct requantize requantize;
};
void batch_matmul_int8(const struct batch_matmul_params *p, const int8_t *lhs, const int8_t *rhs, int8_t *output);
void batch_matmul_int16(const struct batch_matmul_params *p, const int16_t *lhs, const int16_t *rhs, int16_t *output);

/* ---- unary, sigmoid_int16 ---- */

void logistic_float32(const struct size_params *p, const float *input, float *output);
void tanh_float32(const struct size_params *p, const float *input, float *output);
void hard_swish_float32(const struct size_params *p, const float *input, float *output);

struct leaky_relu_params {
  int32_t size;
  float alpha;
};
void leaky_relu_float32(const struct leaky_relu_params *p, const float *input, float *output);
void relu_int16(const struct relu_int8_params *p, const int16_t *input, int16_t *output);
void relu6_int16(const struct relu6_int8_params *p, const int16_t *input, int16_t *output);

/* `table` has 65536 · sigmoid(k / 24) for k = 0 … 255. */
struct sigmoid_int16_params {
  int32_t size;
  int32_t input_multiplier, input_left_shift;
  const uint16_t *table;
};
void logistic_int16(const struct sigmoid_int16_params *p, const int16_t *input, int16_t *output);
void tanh_int16(const struct sigmoid_int16_params *p, const int16_t *input, int16_t *output);

/* ---- arg_min_max ---- */

/* The input is (outer, count, inner), the output (outer, inner). */
struct arg_min_max_params {
  int32_t outer, count, inner;
  int32_t largest;
};
void arg_min_max_int8(const struct arg_min_max_params *p, const int8_t *input, int32_t *output);
void arg_min_max_float32(const struct arg_min_max_params *p, const float *input, int32_t *output);

/* ---- elementwise ---- */

void abs_float32(const struct size_params *p, const float *input, float *output);
void neg_float32(const struct size_params *p, const float *input, float *output);
void sqrt_float32(const struct size_params *p, const float *input, float *output);
void rsqrt_float32(const struct size_params *p, const float *input, float *output);
void square_float32(const struct size_params *p, const float *input, float *output);
void exp_float32(const struct size_params *p, const float *input, float *output);
void log_float32(const struct size_params *p, const float *input, float *output);
void sin_float32(const struct size_params *p, const float *input, float *output);
void cos_float32(const struct size_params *p, const float *input, float *output);
void elu_float32(const struct size_params *p, const float *input, float *output);
void ceil_float32(const struct size_params *p, const float *input, float *output);
void floor_float32(const struct size_params *p, const float *input, float *output);
void round_float32(const struct size_params *p, const float *input, float *output);
void logical_not(const struct size_params *p, const uint8_t *input, uint8_t *output);

/* Without a scale nothing `rescales`, and the lowest code, which has no absolute value, becomes `abs_of_lowest`. */
struct abs_int16_params {
  int32_t size;
  int32_t rescales, abs_of_lowest;
  struct multiplier multiplier;
};
void abs_int16(const struct abs_int16_params *p, const int16_t *input, int16_t *output);

struct rsqrt_int16_params {
  int32_t size;
  struct multiplier multiplier;
};
void rsqrt_int16(const struct rsqrt_int16_params *p, const int16_t *input, int16_t *output);

/* `sign` is −1 for a negative alpha, whose magnitude the multiplier has. */
struct leaky_relu_int16_params {
  int32_t size;
  int32_t input_zero_point, output_zero_point;
  struct multiplier multiplier_identity, multiplier_alpha;
  int32_t sign;
};
void leaky_relu_int16(const struct leaky_relu_int16_params *p, const int16_t *input, int16_t *output);

/* ---- comparisons ---- */

void equal_float32(const struct pair_params *p, const float *input1, const float *input2, uint8_t *output);
void not_equal_float32(const struct pair_params *p, const float *input1, const float *input2, uint8_t *output);
void greater_float32(const struct pair_params *p, const float *input1, const float *input2, uint8_t *output);
void greater_equal_float32(const struct pair_params *p, const float *input1, const float *input2, uint8_t *output);
void less_float32(const struct pair_params *p, const float *input1, const float *input2, uint8_t *output);
void less_equal_float32(const struct pair_params *p, const float *input1, const float *input2, uint8_t *output);
void equal_int32(const struct pair_params *p, const int32_t *input1, const int32_t *input2, uint8_t *output);
void not_equal_int32(const struct pair_params *p, const int32_t *input1, const int32_t *input2, uint8_t *output);
void greater_int32(const struct pair_params *p, const int32_t *input1, const int32_t *input2, uint8_t *output);
void greater_equal_int32(const struct pair_params *p, const int32_t *input1, const int32_t *input2, uint8_t *output);
void less_int32(const struct pair_params *p, const int32_t *input1, const int32_t *input2, uint8_t *output);
void less_equal_int32(const struct pair_params *p, const int32_t *input1, const int32_t *input2, uint8_t *output);
void equal_int64(const struct pair_params *p, const int64_t *input1, const int64_t *input2, uint8_t *output);
void not_equal_int64(const struct pair_params *p, const int64_t *input1, const int64_t *input2, uint8_t *output);
void greater_int64(const struct pair_params *p, const int64_t *input1, const int64_t *input2, uint8_t *output);
void greater_equal_int64(const struct pair_params *p, const int64_t *input1, const int64_t *input2, uint8_t *output);
void less_int64(const struct pair_params *p, const int64_t *input1, const int64_t *input2, uint8_t *output);
void less_equal_int64(const struct pair_params *p, const int64_t *input1, const int64_t *input2, uint8_t *output);
void equal_bool(const struct pair_params *p, const uint8_t *input1, const uint8_t *input2, uint8_t *output);
void not_equal_bool(const struct pair_params *p, const uint8_t *input1, const uint8_t *input2, uint8_t *output);
void logical_and(const struct pair_params *p, const uint8_t *input1, const uint8_t *input2, uint8_t *output);
void logical_or(const struct pair_params *p, const uint8_t *input1, const uint8_t *input2, uint8_t *output);

struct comparison_int8_params {
  struct broadcast broadcast;
  int32_t input1_zero_point, input2_zero_point;
  struct multiplier input1_multiplier, input2_multiplier;
};
void equal_int8(const struct comparison_int8_params *p, const int8_t *input1, const int8_t *input2, uint8_t *output);
void not_equal_int8(const struct comparison_int8_params *p, const int8_t *input1, const int8_t *input2,
                    uint8_t *output);
void greater_int8(const struct comparison_int8_params *p, const int8_t *input1, const int8_t *input2, uint8_t *output);
void greater_equal_int8(const struct comparison_int8_params *p, const int8_t *input1, const int8_t *input2,
                        uint8_t *output);
void less_int8(const struct comparison_int8_params *p, const int8_t *input1, const int8_t *input2, uint8_t *output);
void less_equal_int8(const struct comparison_int8_params *p, const int8_t *input1, const int8_t *input2,
                     uint8_t *output);

/* ---- div ---- */

/* `shifts_modulo_64`: shifts that C does not define come out as on x86, not as on Arm. */
struct div_int8_params {
  struct broadcast broadcast;
  int32_t input1_zero_point, input2_zero_point, output_zero_point;
  struct multiplier output_multiplier;
  int32_t output_activation_min, output_activation_max;
  int32_t shifts_modulo_64;
};
void div_int8(const struct div_int8_params *p, const int8_t *input1, const int8_t *input2, int8_t *output);
void div_float32(const struct pair_float32_params *p, const float *input1, const float *input2, float *output);
void div_int32(const struct pair_int32_params *p, const int32_t *input1, const int32_t *input2, int32_t *output);
void floor_div_float32(const struct pair_params *p, const float *input1, const float *input2, float *output);
void floor_mod_float32(const struct pair_params *p, const float *input1, const float *input2, float *output);

/* ---- prelu ---- */

struct prelu_params {
  struct broadcast broadcast;
  int32_t input_zero_point, alpha_zero_point, output_zero_point;
  struct multiplier output_multiplier_1, output_multiplier_2;
};
void prelu_int8(const struct prelu_params *p, const int8_t *input, const int8_t *alpha, int8_t *output);
void prelu_int16(const struct prelu_params *p, const int16_t *input, const int8_t *alpha, int16_t *output);
void prelu_float32(const struct pair_params *p, const float *input, const float *alpha, float *output);

/* ---- select ---- */

/* Strides as in `broadcast`; an element has `element_size` bytes. */
struct select_params {
  int32_t element_size;
  int32_t shape[MAX_RANK], condition_strides[MAX_RANK], x_strides[MAX_RANK], y_strides[MAX_RANK];
};
void select_elements(const struct select_params *p, const uint8_t *condition, const void *x, const void *y,
                     void *output);

/* ---- reduce_extremes ---- */

struct axes_params {
  struct axes axes;
};
void reduce_max_int8(const struct axes_params *p, const int8_t *input, int8_t *output);
void reduce_max_float32(const struct axes_params *p, const float *input, float *output);
void reduce_min_int8(const struct axes_params *p, const int8_t *input, int8_t *output);
void reduce_min_float32(const struct axes_params *p, const float *input, float *output);
void reduce_all(const struct axes_params *p, const uint8_t *input, uint8_t *output);

/* ---- cast ---- */

enum cast_type { CAST_FLOAT32, CAST_INT8, CAST_INT16, CAST_INT32, CAST_UINT32, CAST_BOOL };

/* `from` and `to` are of enum cast_type. */
struct cast_params {
  int32_t size;
  int32_t from, to;
};
void cast(const struct cast_params *p, const void *input, void *output);

/* ---- widen_bias ---- */

void widen_bias_int32(const struct size_params *p, const int32_t *bias, int64_t *wide);
void widen_bias_int16(const struct size_params *p, const int16_t *bias, int64_t *wide);

/* ---- cumsum ---- */

/* The input is (outer, count, inner), summed along count. */
struct cumsum_size {
  int32_t outer, count, inner;
  int32_t exclusive, reverse;
};

struct cumsum_int8_params {
  struct cumsum_size size;
  int32_t input_offset, output_offset;
  struct multiplier output_multiplier;
};
void cumsum_int8(const struct cumsum_int8_params *p, const int8_t *input, int8_t *output);

struct cumsum_float32_params {
  struct cumsum_size size;
};
void cumsum_float32(const struct cumsum_float32_params *p, const float *input, float *output);

/* ---- svdf ---- */

/* The state is (batches, filters, memory); `rank` filters make a unit. */
struct svdf_params {
  int32_t batches, input_size, filters, memory, rank;
  int32_t input_offset, state_zero_point, output_zero_point;
  struct multiplier feature_multiplier, output_multiplier;
};
void svdf_int8(const struct svdf_params *p, const int8_t *input, const int8_t *weights_feature,
               const int8_t *weights_time, const int32_t *bias, int8_t *state, int8_t *output);
void svdf_int8_int16(const struct svdf_params *p, const int8_t *input, const int8_t *weights_feature,
                     const int16_t *weights_time, const int32_t *bias, int16_t *state, int8_t *output);

enum svdf_activation { SVDF_NONE, SVDF_RELU, SVDF_RELU_N1_TO_1, SVDF_RELU6, SVDF_TANH };

/* `activation` is of enum svdf_activation. */
struct svdf_float32_params {
  int32_t batches, input_size, filters, memory, rank;
  int32_t activation;
};
void svdf_float32(const struct svdf_float32_params *p, const float *input, const float *weights_feature,
                  const float *weights_time, const float *bias, float *state, float *output);

/* ---- unidirectional_sequence_lstm ---- */

/* The input is (steps, batches, depth) if `time_major`, else (batches, steps, depth), and so is the output. */
struct lstm_size {
  int32_t time_major, batches, steps, units;
};

/* One entry for each gate: input, forget, cell, output. */
struct lstm_layer {
  int32_t depth;
  int32_t input_offset;
  const int32_t *weights_offset;
  const struct multiplier *multipliers;
};

/* `cell_clip` is −1 for no clip. */
struct lstm_params {
  struct lstm_size size;
  struct lstm_layer input_layer, hidden_layer;
  struct sigmoid_int16_params gate_activation, cell_tanh;
  int32_t linear_cell_gate;
  struct multiplier forget_cell_mul, input_mul, output_mul;
  int32_t hidden_zero_point;
  int32_t cell_clip;
};
void lstm_int8(const struct lstm_params *p, const int8_t *input, const int8_t *weights_input,
               const int8_t *weights_hidden, const int32_t *bias, int8_t *hidden, int16_t *cell, int8_t *output);
void lstm_int16(const struct lstm_params *p, const int16_t *input, const int8_t *weights_input,
                const int8_t *weights_hidden, const int64_t *bias, int16_t *hidden, int16_t *cell, int16_t *output);

/* `cell_clip` is 0 for no clip; `nan_clips` if a NaN becomes the clip. */
struct lstm_float32_params {
  struct lstm_size size;
  int32_t depth;
  int32_t linear_cell_gate, nan_clips;
  float cell_clip;
};
void lstm_float32(const struct lstm_float32_params *p, const float *input, const float *weights_input,
                  const float *weights_hidden, const float *bias, float *hidden, float *cell, float *output);

/* ---- l2norm ---- */

struct l2norm_int8_params {
  int32_t rows, depth;
  int32_t input_zero_point;
};
void l2norm_int8(const struct l2norm_int8_params *p, const int8_t *input, int8_t *output);

struct l2norm_float32_params {
  int32_t rows, depth;
};
void l2norm_float32(const struct l2norm_float32_params *p, const float *input, float *output);

/* ---- log_softmax ---- */

/* For each difference 0 … 255 from the maximum: minus it in Q5.26 (`scaled`), its exponential in Q12.19 (`terms`). */
struct log_softmax_int8_params {
  int32_t rows, depth;
  int32_t diff_min;
  struct multiplier reverse_scaling;
  const int32_t *scaled;
  const int32_t *terms;
};
void log_softmax_int8(const struct log_softmax_int8_params *p, const int8_t *input, int8_t *output);

struct log_softmax_float32_params {
  int32_t rows, depth;
};
void log_softmax_float32(const struct log_softmax_float32_params *p, const float *input, float *output);

/* ---- batch_matmul, transpose_conv, resize_bilinear, pooling of floats ---- */

struct batch_matmul_float32_params {
  struct broadcast matrices;
  int32_t rows, columns, accum_depth;
  int32_t lhs_row_stride, lhs_depth_stride, rhs_column_stride, rhs_depth_stride;
};
void batch_matmul_float32(const struct batch_matmul_float32_params *p, const float *lhs, const float *rhs,
                          float *output);

void transpose_conv_float32(const struct conv_float32_params *p, const float *input, const float *filter,
                            const float *bias, float *output);

struct resize_bilinear_float32_params {
  int32_t batches, input_height, input_width, depth;
  int32_t output_height, output_width;
  const int32_t *row_lower;
  const int32_t *row_upper;
  const float *row_offset;
  const int32_t *column_lower;
  const int32_t *column_upper;
  const float *column_offset;
};
void resize_bilinear_float32(const struct resize_bilinear_float32_params *p, const float *input, float *output);

void l2_pool_float32(const struct pool_float32_params *p, const float *input, float *output);

/* ---- gather ---- */

/* The input is (batches, outer, count, bytes), the positions (batches, positions), and each is one along count. */
struct gather_elements_params {
  int32_t batches, outer, count, bytes;
  int32_t positions;
};
void gather_elements(const struct gather_elements_params *p, const void *input, const int32_t *positions, void *output);
void embedding_lookup(const struct gather_elements_params *p, const int32_t *ids, const void *table, void *output);

/* The table is (rows, depth). */
struct embedding_params {
  int32_t ids, rows, depth;
  float scale;
};
void embedding_lookup_int8_float32(const struct embedding_params *p, const int32_t *ids, const int8_t *table,
                                   float *output);

/* As `gather_params`; a block that starts at −1 is padding. */
struct gather_padded_params {
  int32_t count, bytes;
  int32_t pad_byte;
  const int32_t *starts;
};
void gather_padded(const struct gather_padded_params *p, const void *input, void *output);

/* `bytes` are those of the operand, the strides its own; `largest` is where the update still fits. */
struct update_params {
  int32_t element_size, bytes, rank;
  int32_t update_shape[MAX_RANK], strides[MAX_RANK], largest[MAX_RANK];
};
void dynamic_update_slice_int32(const struct update_params *p, const void *operand, const void *part,
                                const int32_t *indices, void *output);
void dynamic_update_slice_int64(const struct update_params *p, const void *operand, const void *part,
                                const int64_t *indices, void *output);

/* ---- circular_buffer ---- */

/* The output has `slots` of as many `bytes`, and keeps them. Returns whether the inference ends here, which it does but
 * for every `cycles_max`-th time; `left` counts them. */
struct circular_buffer_params {
  int32_t slots, bytes;
  int32_t cycles_max;
};
int circular_buffer(const struct circular_buffer_params *p, const int8_t *input, int64_t *left, int8_t *output);

/* ---- detection_postprocess ---- */

/* `scales` are those of y, x, height and width. `scratch` has five floats for each box. What no detection is written to
 * is left as it is. */
struct detection_params {
  int32_t boxes, encodings_depth, scores_depth, num_classes;
  int32_t max_detections, classes_per_box, detections_per_class;
  int32_t use_regular_nms;
  float nms_score_threshold, nms_iou_threshold;
  const float *scales;
};
void detection_postprocess(const struct detection_params *p, const float *encodings, const float *scores,
                           const float *anchors, void *scratch, float *classes, float *values, float *count,
                           float *boxes);

/* ---- add_n, broadcast_args ---- */

struct add_n_int8_params {
  int32_t size, count;
  int32_t input_zero_point, output_zero_point;
  struct multiplier input_multiplier, output_multiplier;
};
void add_n_int8(const struct add_n_int8_params *p, const void *const *inputs, int8_t *output);

struct add_n_float32_params {
  int32_t size, count;
};
void add_n_float32(const struct add_n_float32_params *p, const void *const *inputs, float *output);

/* Lengths of the shapes, and of the longer one. */
struct broadcast_args_params {
  int32_t rank1, rank2, rank;
};
void broadcast_args_int32(const struct broadcast_args_params *p, const int32_t *shape1, const int32_t *shape2,
                          int32_t *output);
void broadcast_args_int64(const struct broadcast_args_params *p, const int64_t *shape1, const int64_t *shape2,
                          int64_t *output);

/* ---- the audio front end: delay, framer, stacker, overlap_add, window ---- */

/* `waiting` are the samples that are still to come out of each row. */
struct delay_params {
  int32_t rows, row_size;
  int32_t delay_length;
};
void delay(const struct delay_params *p, const int16_t *input, int16_t *waiting, int16_t *output);

/* The queues are (rows, capacity), of which the last `available` samples count. */
struct framer_params {
  int32_t rows, n_frames;
  int32_t frame_size, frame_step, capacity;
};
void framer(const struct framer_params *p, const int16_t *input, int16_t *queue, int64_t *available, uint8_t *valid,
            int16_t *output);

/* The queue has `buffer_size` numbers, of which the last `available` count. */
struct stacker_params {
  int32_t num_channels;
  int32_t stacker_left_context, stacker_step;
  int32_t buffer_size;
};
void stacker(const struct stacker_params *p, const int16_t *input, int16_t *queue, int64_t *available, uint8_t *begun,
             uint8_t *valid, int16_t *output);

/* `sums` are those so far of what has not come out, (rows, frame_size). */
struct overlap_add_params {
  int32_t rows, n_frames;
  int32_t frame_size, frame_step;
};
void overlap_add_int16(const struct overlap_add_params *p, const int16_t *input, int16_t *sums, int16_t *output);
void overlap_add_float32(const struct overlap_add_params *p, const float *input, float *sums, float *output);

struct signal_window_params {
  int32_t size, window_size;
  int32_t shift;
};
void signal_window(const struct signal_window_params *p, const int16_t *input, const int16_t *weights,
                   int16_t *output);

/* ---- the audio front end: fft_auto_scale, rfft, energy ---- */

void fft_auto_scale(const struct size_params *p, const int16_t *input, int32_t *scale_bits, int16_t *output);

/* `input_size` of a row's samples, which may be fewer than `fft_length`. `factors` are radix and length of each of the
 * `stages`; the twiddles are complex numbers of the samples' type. */
struct fft_params {
  int32_t rows, input_size, fft_length;
  int32_t inverse;
  int32_t stages;
  const int32_t *factors;
  const void *twiddles;
  const void *super_twiddles;
};
void rfft_int16(const struct fft_params *p, const int16_t *input, int16_t *output);
void rfft_int32(const struct fft_params *p, const int32_t *input, int32_t *output);
void rfft_float32(const struct fft_params *p, const float *input, float *output);
void irfft_int16(const struct fft_params *p, const int16_t *input, int16_t *output);
void irfft_int32(const struct fft_params *p, const int32_t *input, int32_t *output);
void irfft_float32(const struct fft_params *p, const float *input, float *output);

struct energy_params {
  int32_t start_index, end_index;
};
void energy(const struct energy_params *p, const int16_t *input, uint32_t *output);

/* ---- the audio front end: filter_bank and what follows it, pcan ---- */

struct filter_bank_params {
  int32_t num_channels;
};
void filter_bank(const struct filter_bank_params *p, const uint32_t *input, const int16_t *weights,
                 const int16_t *unweights, const int16_t *frequency_starts, const int16_t *weight_starts,
                 const int16_t *widths, uint64_t *output);

void filter_bank_square_root(const struct size_params *p, const uint64_t *input, const int32_t *scale_bits,
                             uint32_t *output);

/* The estimate comes out beside the channels, too. */
struct spectral_subtraction_params {
  int32_t num_channels;
  int32_t smoothing, one_minus_smoothing, alternate_smoothing, alternate_one_minus_smoothing;
  int32_t smoothing_bits, spectral_subtraction_bits;
  int32_t min_signal_remaining;
  int32_t clamping;
};
void filter_bank_spectral_subtraction(const struct spectral_subtraction_params *p, const uint32_t *input,
                                      uint32_t *noise_estimate, uint32_t *noise_after, uint32_t *output);

struct pcan_params {
  int32_t size;
  int32_t snr_shift;
};
void pcan(const struct pcan_params *p, const uint32_t *input, const uint32_t *noise_estimate, const int16_t *gain_lut,
          uint32_t *output);

/* `segments` has 130 entries: how far the logarithm to base 2 is above the straight line, with 16 fractional bits. */
struct filter_bank_log_params {
  int32_t size;
  int32_t input_correction_bits, output_scale;
  const int32_t *segments;
};
void filter_bank_log(const struct filter_bank_log_params *p, const uint32_t *input, int16_t *output);

#endif
