/* Which arithmetic the kernels compute: refengine's `Numerics`, settled when they are compiled.
 *
 * These are the defaults, TFLM's own; an export carries its model's choice in a file of this name.
 */
#ifndef REFENGINE_NUMERICS_H
#define REFENGINE_NUMERICS_H

#ifndef REFENGINE_SINGLE_ROUNDING /* 1: as TFLM built with TFLITE_SINGLE_ROUNDING */
#define REFENGINE_SINGLE_ROUNDING 0
#endif

#ifndef REFENGINE_XNNPACK_ROUNDING /* 1: float32 product, ties to even, as XNNPACK; struct multiplier gets a `scale` */
#define REFENGINE_XNNPACK_ROUNDING 0
#endif

#ifndef REFENGINE_FMA /* 1: float32 layers multiply and add with one rounding, as GCC's gnu modes do on an FPU */
#define REFENGINE_FMA 0
#endif

/* Floats beyond int32. 0: all become INT32_MIN, as on x86; 1: they saturate and NaN is 0, as on Arm; 2: NaN is INT32_MAX, as
 * on RISC-V. */
#ifndef REFENGINE_SATURATE
#define REFENGINE_SATURATE 0
#endif

#endif
