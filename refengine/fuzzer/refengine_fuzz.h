/* The C interface of `refengine fuzz`: how your kernel is handed a case. C99 or C++, this header only.
 *
 * Write one function, refengine_kernel, that hands each case on to your kernel; build it as a shared library together
 * with your kernels; and let it be tried:
 *
 *     refengine fuzz --header > refengine_fuzz.h
 *     cc -shared -fPIC -O2 adapter.c mykernels.c -o libmykernels.so
 *     refengine fuzz --library ./libmykernels.so --operator CONV_2D
 *
 * A complete adapter for one operator: refengine fuzz --example.
 *
 * Tensors. `data` of an input is what the model feeds or holds as a constant, in C order; yours to read only. `data`
 * of an output is yours to fill, all of it; it holds garbage when you get it, and what lies around it is not yours.
 * Every buffer is aligned to 16 bytes, as TFLM's are, and to no more. An optional input left out (a bias) has data
 * NULL, dtype "", rank 0. int4 comes unpacked, one code in -8 ... 7 in each int8_t, and has the dtype "int4"; `packed`
 * is the same with two codes to a byte, the first in the low bits, as files have it. bool is one byte, 0 or 1. float32
 * is compared by its bits, but any NaN is any other.
 *
 * Numbers. Everything a TFLM-style kernel is called with, under TFLM's names, so that an adapter computes nothing:
 *   - the operator's options by the schema's names: "stride_w", "dilation_h_factor", "depth_multiplier", "axis",
 *     "beta", ...; enumerations are the schema's codes, such as "padding" (0 SAME, 1 VALID) and
 *     "fused_activation_function" (0 NONE, 1 RELU, 2 RELU_N1_TO_1, 3 RELU6; TFLM takes 4 TANH and 5 SIGN_BIT for 0, but
 *     in LSTM and float SVDF) and "quantized_bias_type" (0 not said, 2 int32, 4 int64; the bias tensor's dtype is what
 *     counts); booleans are 0 and 1.
 *   - what Prepare computed. "d" is the number of output channels, i an integer, f a float:
 *
 *   CONV_2D DEPTHWISE_CONV_2D FULLY_CONNECTED TRANSPOSE_CONV, int8 int16: input_offset i, output_offset i,
 *       output_multiplier i[d], output_shift i[d], quantized_activation_min i, quantized_activation_max i
 *   CONV_2D DEPTHWISE_CONV_2D FULLY_CONNECTED TRANSPOSE_CONV, float32: float_activation_min f, float_activation_max f
 *   CONV_2D DEPTHWISE_CONV_2D TRANSPOSE_CONV MAX_POOL_2D AVERAGE_POOL_2D L2_POOL_2D: padding_height i,
 *       padding_width i (what SAME adds above and to the left; below and to the right it is as much or one more)
 *   FULLY_CONNECTED, int8 int16: weights_offset i
 *   MAX_POOL_2D AVERAGE_POOL_2D, int8 int16: quantized_activation_min i, quantized_activation_max i
 *   MAX_POOL_2D AVERAGE_POOL_2D L2_POOL_2D, float32: float_activation_min f, float_activation_max f
 *   BATCH_MATMUL, int8 int16: lhs_offset i, rhs_offset i, output_offset i, output_multiplier i, output_shift i,
 *       quantized_activation_min i, quantized_activation_max i
 *   SVDF, int8: input_offset i, activation_state_zero_point i, effective_scale_1_a i, effective_scale_1_b i,
 *       effective_scale_2_a i, effective_scale_2_b i, output_offset i (a is a multiplier, b its shift; 1 takes a feature
 *       to the state, 2 the sum over time to the output)
 *   UNIDIRECTIONAL_SEQUENCE_LSTM, int8 int16: input_offset i, input_weights_offset i[], input_fc_multiplier i[],
 *       input_fc_shift i[], recurrent_offset i, recurrent_weights_offset i[], recurrent_fc_multiplier i[],
 *       recurrent_fc_shift i[], forget_cell_mul_multiplier i, forget_cell_mul_shift i, input_mul_multiplier i,
 *       input_mul_shift i, output_mul_multiplier i, output_mul_shift i, output_offset i, quantized_cell_clip i,
 *       cell_state_scale_power i (those of the gates in the order of their tensors: input, forget, cell, output; a
 *       clip of -1 is none)
 *   MINIMUM MAXIMUM: nothing
 *   CIRCULAR_BUFFER, int8: cycles_max i, zero_point i
 *   ADD SUB, int8 int16: left_shift i, input1_offset i, input1_multiplier i, input1_shift i, input2_offset i,
 *       input2_multiplier i, input2_shift i
 *   MUL DIV, int8 int16: input1_offset i, input2_offset i
 *   ADD SUB MUL DIV, int8 int16: output_offset i, output_multiplier i, output_shift i
 *   ADD SUB MUL DIV, int8 int16 int32: quantized_activation_min i, quantized_activation_max i
 *   ADD SUB MUL DIV, float32: float_activation_min f, float_activation_max f
 *   EQUAL NOT_EQUAL GREATER GREATER_EQUAL LESS LESS_EQUAL, int8: input1_offset i, input1_multiplier i, input1_shift i,
 *       input2_offset i, input2_multiplier i, input2_shift i
 *   SQUARED_DIFFERENCE, int8 int16: left_shift i, input1_offset i, input1_multiplier i, input1_shift i, input2_offset i,
 *       input2_multiplier i, input2_shift i, output_offset i, output_multiplier i, output_shift i
 *   PRELU, int8 int16: input_offset i, alpha_offset i, output_offset i, output_multiplier_1 i, output_shift_1 i,
 *       output_multiplier_2 i, output_shift_2 i
 *   RELU, int8 int16: input_offset i, output_offset i, output_multiplier i, output_shift i,
 *       quantized_activation_min i, quantized_activation_max i
 *   RELU6, int8 int16: zero i, six i
 *   LEAKY_RELU, int8 int16: input_offset i, output_offset i, output_multiplier_alpha i, output_shift_alpha i,
 *       output_multiplier_identity i, output_shift_identity i
 *   HARD_SWISH, int8: input_offset i, output_offset i, reluish_multiplier_fixedpoint_int16 i,
 *       reluish_multiplier_exponent i, output_multiplier_fixedpoint_int16 i, output_multiplier_exponent i
 *   LOGISTIC TANH, int8: input_offset i, input_range_radius i
 *   LOGISTIC TANH SOFTMAX, int8 int16: input_multiplier i, input_left_shift i
 *   LEAKY_RELU HARD_SWISH LOGISTIC TANH ABS RSQRT QUANTIZE, int8: table i[] (what each code becomes, by its bits,
 *       0 ... 255, for kernels that look it up)
 *   QUANTIZE, uint8: table i[]
 *   DEQUANTIZE, uint8: table f[]
 *   ABS RSQRT, int8 int16: input_offset i, output_offset i, needs_rescale i, multiplier i, shift i
 *   SOFTMAX, int8: diff_min i, exps i[] (e^(-d * beta * scale) in Q0.31 for each difference d of codes, 0 ... 255)
 *   LOG_SOFTMAX, int8: input_multiplier i, input_left_shift i, diff_min i, reverse_scaling_divisor i,
 *       reverse_scaling_left_shift i, scaled i[], terms i[] (minus each difference 0 ... 255 of codes in Q5.26, and its
 *       exponential in Q12.19)
 *   SOFTMAX, int16: exp_lut i[], one_over_one_plus_x_lut i[] (513 entries each: e^x over [-10, 0] and 1 / (1 + x) over
 *       [0, 1], in Q0.15)
 *   L2_NORMALIZATION, int8: input_offset i
 *   CUMSUM, int8: input_offset i, output_offset i, output_multiplier i, output_shift i
 *   QUANTIZE, int8 int16 int32 uint8: input_offset i, output_offset i, output_multiplier i, output_shift i
 *   QUANTIZE, float32: output_scale f, output_offset i
 *   DEQUANTIZE: input_scale f, input_offset i
 *   MEAN SUM, int8 int16: output_offset i, output_multiplier i, output_shift i, quantized_activation_min i,
 *       quantized_activation_max i (MEAN's multiplier is divided by the number of elements already; what the sum still
 *       needs is that number times the input's zero point taken off)
 *   MEAN SUM REDUCE_MAX REDUCE_MIN REDUCE_ALL: axis i[]
 *   ARG_MAX ARG_MIN CONCATENATION CUMSUM PACK: axis i (counted from 0)
 *   SPLIT SPLIT_V: axis i, starts i[] (where each output begins along the axis)
 *   PAD PADV2: left_padding i[], right_padding i[], pad_value i (for each dimension; PADV2's fill is its third input)
 *   TRANSPOSE: perm i[]
 *   STRIDED_SLICE: start_indices i[], stop_indices i[], strides i[] (for each dimension of the input, masks heeded;
 *       counted from its begin, so that a stop may be -1)
 *   SPACE_TO_BATCH_ND BATCH_TO_SPACE_ND: block_shape i[], before i[], after i[], pad_value i (rows and columns of
 *       blocks and of paddings or crops; a tensor of three dimensions has one column. TFLM itself pads with what happens
 *       to lie in a byte of its arena, mostly 0)
 *   MIRROR_PAD: offset i (1 where the image leaves the border out)
 *   GATHER_ND: slices i, slices_per_step i[] (of how many slices the input is, and how many of them each index of a row
 *       counts)
 *   EMBEDDING_LOOKUP FILL: nothing
 *   RESIZE_NEAREST_NEIGHBOR: output_size i[], rows i[], columns i[] (where each of the output's comes from)
 *   RESIZE_BILINEAR, int8: row_lower i[], row_upper i[], row_offset i[], column_lower i[], column_upper i[],
 *       column_offset i[], one i (for each row and column of the output the two of the input that it lies between, and
 *       how far it is from the lower one; `one` is a whole row or column)
 *   RESIZE_BILINEAR, float32: row_lower i[], row_upper i[], row_offset f[], column_lower i[], column_upper i[],
 *       column_offset f[], one i
 *   TFLite_Detection_PostProcess: max_detections i, max_classes_per_detection i, detections_per_class i, num_classes i,
 *       use_regular_nms i, nms_score_threshold f, nms_iou_threshold f, y_scale f, x_scale f, h_scale f, w_scale f
 *   SignalDelay: delay_length i
 *   SignalFramer: frame_size i, frame_step i, prefill i, n_frames i
 *   SignalStacker: num_channels i, stacker_left_context i, stacker_step i, buffer_size i
 *   SignalOverlapAdd: frame_size i, frame_step i, n_frames i
 *   SignalWindow: shift i
 *   SignalFftAutoScale SignalFilterBankSquareRoot: nothing
 *   SignalRfft SignalIrfft, int16 int32: fft_length i, factors i[], twiddles i[], super_twiddles i[] (what kissfft's
 *       states hold: radix and length of each stage; complex numbers as real and imaginary part, in turn)
 *   SignalRfft SignalIrfft, float32: fft_length i, factors i[], twiddles f[], super_twiddles f[]
 *   SignalEnergy: start_index i, end_index i
 *   SignalFilterBank: num_channels i
 *   SignalFilterBankSpectralSubtraction: num_channels i, smoothing i, one_minus_smoothing i, alternate_smoothing i,
 *       alternate_one_minus_smoothing i, smoothing_bits i, spectral_subtraction_bits i, min_signal_remaining i,
 *       clamping i (of unsigned ones the bits)
 *   SignalPCAN: snr_shift i
 *   SignalFilterBankLog: input_correction_bits i, output_scale i
 *   What other operators come with, beside their options, is not settled yet: another version may change it.
 *
 * A multiplier and its shift are TFLM's: the factor is multiplier * 2^(shift - 31), and a positive shift is to the
 * left. An offset is what the kernel adds, so input_offset is minus the input's zero point; every tensor has its zero
 * points too. int16 convolutions add no output zero point, so their output_offset is 0. In a dialect that multiplies by
 * floats (--numerics xnnpack, litert) a multiplier that is called x comes with x_scale, the same factor, as many times.
 *
 * State. A variable (an input whose `variable` is 1, such as SVDF's input 4) holds what the inference before left
 * there, and is yours to update, as TFLM's kernels do; what you leave in it is compared too. An operator that keeps
 * something for itself (CIRCULAR_BUFFER, SignalDelay, SignalFramer, SignalStacker, ...) gets `memory` for that, which
 * comes back at the next inference of the same stream as you left it; `begins` says whether the stream is at its first
 * inference (`memory` holds garbage then), was reset as TFLM's Reset does, or goes on. Of streams you see several
 * inferences in a row; where TFLM ends an inference early (CIRCULAR_BUFFER), return REFENGINE_COMPUTED nevertheless.
 *
 * Scratch memory. refengine_scratch(c, bytes) hands out memory that lasts until you return, garbage in it, and watches
 * what lies around it; up to 8 pieces, NULL where it has no room. malloc will do too.
 *
 * Nothing else of a call may outlast it: cases come in any order, many in one process. A crash, a hang, a byte written
 * beside an output or into an input is a finding.
 */
#ifndef REFENGINE_FUZZ_H
#define REFENGINE_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* `scales` counts both scale and zero_point: 0 (not quantised), 1 (per tensor), or one for each place along
 * quantized_dimension. `constant`: the same data in every inference. `bytes` is the size of `data`. */
struct refengine_tensor {
    const char *dtype; /* "int8", "int16", "int32", "int64", "uint8", "float32", "bool", "int4", "" (left out) */
    int32_t rank;
    const int32_t *dims;
    void *data;
    size_t bytes;
    int32_t scales;
    const float *scale;
    const int32_t *zero_point;
    int32_t quantized_dimension;
    int constant;
    int variable;       /* yours to update */
    const void *packed; /* int4 only */
    size_t packed_bytes;
};

/* `count` values, in `ints` or in `reals`; the other one is NULL. */
struct refengine_number {
    const char *name;
    int32_t count;
    const int32_t *ints;
    const double *reals;
};

enum { REFENGINE_GUARD = 64, REFENGINE_PIECES = 8 };

/* What refengine_scratch has to hand out, and has handed out. */
struct refengine_scratch {
    unsigned char *memory;
    size_t bytes;
    int32_t count;
    size_t start[REFENGINE_PIECES], size[REFENGINE_PIECES];
};

enum { REFENGINE_GOES_ON = 0, REFENGINE_FRESH = 1, REFENGINE_RESET = 2 };

struct refengine_case {
    const char *op;    /* the schema's name, such as "CONV_2D"; of custom operators the custom code */
    const char *dtype; /* of the input that holds the data, mostly the first */
    int32_t n_inputs, n_outputs;
    const struct refengine_tensor *inputs, *outputs;
    int32_t n_numbers;
    const struct refengine_number *numbers;
    int begins;   /* REFENGINE_FRESH, REFENGINE_RESET or REFENGINE_GOES_ON; always FRESH where nothing is kept */
    void *memory; /* to keep something in; NULL where the operator keeps nothing for itself */
    size_t memory_bytes;
    struct refengine_scratch *scratch;
};

enum { REFENGINE_COMPUTED = 0, REFENGINE_UNSUPPORTED = 1 };

/* Yours to write. Returns REFENGINE_COMPUTED, or REFENGINE_UNSUPPORTED for what your kernel does not claim to do (the
 * case is skipped and counted); anything else is a failure. */
#if defined(_WIN32)
__declspec(dllexport)
#elif defined(__GNUC__)
__attribute__((visibility("default")))
#endif
int refengine_kernel(const struct refengine_case *c);

/* ---- looking things up ------------------------------------------------------------------------------------------ */

/* Whether the case is operator `op` at type `dtype`, which is that of the input that holds the data. */
static inline int refengine_is(const struct refengine_case *c, const char *op, const char *dtype) {
    return strcmp(c->op, op) == 0 && strcmp(c->dtype, dtype) == 0;
}

/* The number called `name`, or NULL if this operator has none. */
static inline const struct refengine_number *refengine_find(const struct refengine_case *c, const char *name) {
    int32_t i;
    for (i = 0; i < c->n_numbers; i++)
        if (strcmp(c->numbers[i].name, name) == 0) return &c->numbers[i];
    return NULL;
}

/* The same for adapters that count on it: a name that does not exist ends the process with a message. */
static inline const struct refengine_number *refengine_number_of(const struct refengine_case *c, const char *name) {
    const struct refengine_number *n = refengine_find(c, name);
    if (n == NULL) {
        fprintf(stderr, "the adapter asked for '%s', which %s has not\n", name, c->op);
        abort();
    }
    return n;
}

/* An integer; of several, the first. */
static inline int32_t refengine_int(const struct refengine_case *c, const char *name) {
    const struct refengine_number *n = refengine_number_of(c, name);
    return n->ints != NULL ? (n->count > 0 ? n->ints[0] : 0) : (int32_t)n->reals[0];
}

/* A real number, as the float that TFLM holds. */
static inline float refengine_float(const struct refengine_case *c, const char *name) {
    const struct refengine_number *n = refengine_number_of(c, name);
    return n->reals != NULL ? (float)n->reals[0] : (float)n->ints[0];
}

/* Integers, such as one for each channel; how many of them goes to *count, unless that is NULL. */
static inline const int32_t *refengine_ints(const struct refengine_case *c, const char *name, int32_t *count) {
    const struct refengine_number *n = refengine_number_of(c, name);
    if (count != NULL) *count = n->count;
    return n->ints;
}

/* The number of elements of a tensor. */
static inline int32_t refengine_elements(const struct refengine_tensor *t) {
    int32_t i, n = 1;
    for (i = 0; i < t->rank; i++) n *= t->dims[i];
    return n;
}

/* Scratch memory of so many bytes, aligned to 16; NULL if there is not so much. */
static inline void *refengine_scratch(const struct refengine_case *c, size_t bytes) {
    struct refengine_scratch *s = c->scratch;
    size_t start = 0;
    if (s->count > 0) start = (s->start[s->count - 1] + s->size[s->count - 1] + REFENGINE_GUARD + 15) / 16 * 16;
    if (s->count == REFENGINE_PIECES || start > s->bytes || bytes > s->bytes - start) return NULL;
    s->start[s->count] = start;
    s->size[s->count++] = bytes;
    return s->memory + start;
}

#ifdef __cplusplus
}
#endif
#endif
