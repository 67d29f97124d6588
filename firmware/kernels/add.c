/* ADD: output = activation(input1 + input2), the inputs broadcast against each other.
 *
 * TFLM: kernels/add.cc. refengine: kernels/add.py. Quantised inputs are first brought to one common scale.
 */
#include "dot.h"
#include "layers.h"
#include "mve.h"
#include "walk.h"

static int32_t scaled(int32_t code, int32_t offset, int32_t left_shift, struct multiplier m) {
  return multiply_by_quantized_multiplier(shift_left_wrap(code + offset, left_shift), m);
}

/* multiply_by_quantized_multiplier to the right, of twice the number, an offset added on the way. */
struct right {
  int32_t multiplier, exponent;
  int32_t less, more; /* a tie goes away from zero: one less if negative; one half, and the offset */
};

static struct right right_of(struct multiplier m, int32_t offset) {
  const int32_t exponent = -m.shift;
  const struct right right = {m.multiplier, exponent, -(exponent > 0),
                              offset * (1 << exponent) + (exponent > 0 ? 1 << (exponent - 1) : 0)};
  return right;
}

INLINE int32_t shifted_right(struct right r, int32_t twice) {
  const int32_t high = rounded_high_half(twice, r.multiplier);
  return (high + (high >> 31 & r.less) + r.more) >> r.exponent;
}

/* Whether that holds for all of them: nothing shifts left, and 20 bits are enough of what TFLM's ADD shifts first. */
static int32_t is_right(const struct add_int8_params *p) {
#if REFENGINE_SINGLE_ROUNDING || REFENGINE_XNNPACK_ROUNDING
  (void)p;
  return 0;
#else
  return p->left_shift <= 20 && p->input1_multiplier.shift <= 0 && p->input2_multiplier.shift <= 0 &&
         p->input1_multiplier.shift >= -30 && p->input2_multiplier.shift >= -30 && p->output_multiplier.shift <= 0 &&
         p->output_multiplier.shift >= -22;
#endif
}

#ifdef REFENGINE_MVE_LAYERS
static inline int32x4_t scaled_input(const int8_t *in, int32_t offset, int32_t left_shift, struct multiplier m,
                                     mve_pred16_t some) {
  const int32x4_t code = vaddq_n_s32(vldrbq_z_s32(in, some), offset);
  return scaled_alike(vshlq_r_s32(code, left_shift), m);
}

/* `count` sums of inputs that lie beside each other. */
static void add_mve(const struct add_int8_params *p, const int8_t *in1, const int8_t *in2, int32_t count,
                    int8_t *output) {
  const int32x4_t low = vdupq_n_s32(p->output_activation_min), high = vdupq_n_s32(p->output_activation_max);
  for (; count > 0; count -= 4, in1 += 4, in2 += 4, output += 4) {
    const mve_pred16_t some = vctp32q((uint32_t)count);
    const int32x4_t total = vaddq_s32(scaled_input(in1, p->input1_offset, p->left_shift, p->input1_multiplier, some),
                                      scaled_input(in2, p->input2_offset, p->left_shift, p->input2_multiplier, some));
    const int32x4_t code = vaddq_n_s32(scaled_alike(total, p->output_multiplier), p->output_offset);
    vstrbq_p_s32(output, vminq_s32(vmaxq_s32(code, low), high), some);
  }
}
#endif

/* `count` sums; steps of 0 broadcast. */
static void add_right(const struct add_int8_params *p, const int8_t *in1, int32_t step1, const int8_t *in2,
                      int32_t step2, int32_t count, int8_t *output) {
  const struct right right1 = right_of(p->input1_multiplier, 0), right2 = right_of(p->input2_multiplier, 0);
  const struct right right = right_of(p->output_multiplier, p->output_offset);
  const int32_t offset1 = p->input1_offset, offset2 = p->input2_offset, twice = 2 << p->left_shift;
  const int32_t low = p->output_activation_min, high = p->output_activation_max;
  for (int8_t *const end = output + count; output != end; in1 += step1, in2 += step2) {
    const int32_t total =
        shifted_right(right1, (*in1 + offset1) * twice) + shifted_right(right2, (*in2 + offset2) * twice);
    *output++ = (int8_t)clamp(shifted_right(right, 2 * total), low, high);
  }
}

void add_int8(const struct add_int8_params *p, const int8_t *input1, const int8_t *input2, int8_t *output) {
  const struct broadcast *b = &p->broadcast;
  const int32_t step1 = b->input1_strides[MAX_RANK - 1], step2 = b->input2_strides[MAX_RANK - 1];
  const int32_t count = b->shape[MAX_RANK - 1], right = is_right(p);
  for (struct walk walk = walk_over(b->shape); !walk.done; next_row(&walk, b->shape), output += count) {
    const int8_t *in1 = input1 + place(&walk, b->input1_strides), *in2 = input2 + place(&walk, b->input2_strides);
#ifdef REFENGINE_MVE_LAYERS
    if (step1 == 1 && step2 == 1) {
      add_mve(p, in1, in2, count, output);
      continue;
    }
#endif
    if (right) {
      add_right(p, in1, step1, in2, step2, count, output);
      continue;
    }
    for (int32_t i = 0; i < count; ++i) {
      const int32_t total = scaled(in1[i * step1], p->input1_offset, p->left_shift, p->input1_multiplier) +
                            scaled(in2[i * step2], p->input2_offset, p->left_shift, p->input2_multiplier);
      const int32_t code = add_wrap(multiply_by_quantized_multiplier(total, p->output_multiplier), p->output_offset);
      output[i] = (int8_t)clamp(code, p->output_activation_min, p->output_activation_max);
    }
  }
}

void add_float32(const struct add_float32_params *p, const float *input1, const float *input2, float *output) {
  const struct broadcast *b = &p->broadcast;
  for (struct walk walk = walk_over(b->shape); !walk.done; next_row(&walk, b->shape)) {
    const float *in1 = input1 + place(&walk, b->input1_strides), *in2 = input2 + place(&walk, b->input2_strides);
    for (int32_t i = 0; i < b->shape[MAX_RANK - 1]; ++i) {
      *output++ = clamp_float(*in1 + *in2, p->output_activation_min, p->output_activation_max);
      in1 += b->input1_strides[MAX_RANK - 1];
      in2 += b->input2_strides[MAX_RANK - 1];
    }
  }
}
