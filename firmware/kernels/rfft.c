/* SignalRfft and SignalIrfft: the discrete Fourier transform of each row's real samples, and back.
 *
 * TFLM: signal/micro/kernels/{rfft,irfft}.cc and kissfft. refengine: kernels/rfft.py, irfft.py. What is here of one type
 * is in fft.h.
 */
#include "kernels.h"

#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#endif

#define FFT_BITS 16
#define FFT_NUMBER int16_t
#define FFT(name) name##_int16
#include "fft.h"
#undef FFT_BITS
#undef FFT_NUMBER
#undef FFT

#define FFT_BITS 32
#define FFT_NUMBER int32_t
#define FFT(name) name##_int32
#include "fft.h"
#undef FFT_BITS
#undef FFT_NUMBER
#undef FFT

#define FFT_BITS 0
#define FFT_NUMBER float
#define FFT(name) name##_float32
#include "fft.h"
