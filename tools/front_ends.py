"""Write the audio front ends that come with the package: `refengine/tasks/front_ends/*.tflite`.

    python tools/front_ends.py [DIR]

Each is a network of the signal library's operators, from 30 ms of samples at 16 kHz to 40 features: int8 codes and real
values. What differs is how their tables round:

- `micro_speech` has those of the `audio_preprocessor` models that TFLM's micro_speech example runs
  (`audio_preprocessor.py`, `signal/ops`): weights of the filter bank are cut off, in float32 as all about them.
- `micro_wake_word` has those of the C library `tensorflow/lite/experimental/microfrontend`, by which microWakeWord is
  trained and ESPHome runs it: everything in float32, rounded to the nearest.

The C library differs in one thing more, the shift before the transform: it looks for the largest sample but among those
of −32768, where SignalFftAutoScale takes the one after the last of them, and shifts silence by 15. So
`micro_wake_word` asks for the shift of the other samples and a 1, which changes no shift but that of silence (14, by
which −32768 vanishes as well), and multiplies.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from refengine.files import write
from refengine.kernel import Node
from refengine.kernels import _flexbuffer
from refengine.kernels._tflm import TFLM_OPS
from refengine.model import Array, Model, Quantization, Tensor
from refengine.strategies import model_of
from refengine.tasks.audio import FRONT_ENDS
from refengine.tflite_io import dump

RATE, WINDOW, CHANNELS, FFT = 16000, 480, 40, 512
LOWEST, HIGHEST = 125.0, 7500.0
"""Hz: the ends of the filter bank."""

BITS = 12
"""Fractional bits of the window's and the filter bank's weights."""

ALIGNMENT, BLOCK = 2, 4
"""A channel's frequencies begin at an even one, and are a multiple of four: those too many have the weight 0."""

SMOOTHING_BITS, SUBTRACTION_BITS = 10, 14
EVEN_SMOOTHING, ODD_SMOOTHING, REMAINING = 0.025, 0.06, 0.05
STRENGTH, OFFSET, GAIN_BITS, SNR_BITS = 0.95, 80.0, 21, 12
CORRECTION_BITS = 3
"""The transform's 9 bits less half of the filter bank's 12."""

NONE = {"fused_activation_function": "NONE"}

F32 = np.float32
Rounding = Callable[[Any], Any]


def nearest(x: Any) -> Any:
    return np.floor(x + F32(0.5))


def window(real: Any) -> npt.NDArray[np.int16]:
    """Hann's window between its zeros, of 12 bits, in float32 or double."""
    angle = real(math.pi) * real(2) / real(WINDOW)
    turned = np.array([math.cos(x) for x in angle * (np.arange(WINDOW).astype(real) + real(0.5))], real)
    return np.asarray(np.floor((real(0.5) - real(0.5) * turned) * real(2**BITS) + real(0.5))).astype(np.int16)


@cache
def log1pf() -> Callable[[float], float]:
    """Sun's, in glibc before 2.41 and in newlib."""
    function = ctypes.CDLL(ctypes.util.find_library("m")).log1pf
    function.restype, function.argtypes = ctypes.c_float, (ctypes.c_float,)
    return function


def mel(hertz: Any) -> Any:
    """In float32, by the C library's logarithm: rounded correctly, as glibc 2.41 does, two weights would be 1 off.

    So they are where FMA is used: by newlib on a Cortex-M3 they are these, on an M4F and M7 not (measured under QEMU).
    """
    return F32(1127) * F32(log1pf()(float(F32(hertz) / F32(700))))


def filter_bank(rounding: Rounding) -> tuple[list[int], list[int], list[int], list[int], list[int]]:
    """Weights, unweights, and each channel's first frequency, first weight and width; a channel more than there are."""
    low, span = mel(LOWEST), mel(HIGHEST) - mel(LOWEST)
    spacing = span / F32(CHANNELS + 1)
    centres = [F32(low + spacing * F32(i + 1)) for i in range(CHANNELS + 1)]
    hertz = F32(0.5) * F32(RATE) / F32(FFT // 2)
    frequency = int(F32(1.5) + F32(LOWEST) / hertz)
    weights: list[int] = []
    unweights: list[int] = []
    starts, places, widths = [], [], []
    for i, centre in enumerate(centres):
        first, before = frequency, low if i == 0 else centres[i - 1]
        while mel(F32(frequency) * hertz) <= centre:
            frequency += 1
        start = first // ALIGNMENT * ALIGNMENT
        width = -(-(frequency - start) // BLOCK) * BLOCK
        starts.append(start)
        places.append(len(weights))
        widths.append(width)
        shares = [F32((centre - mel(F32(f) * hertz)) / (centre - before)) for f in range(first, frequency)]
        for table, values in ((weights, shares), (unweights, [F32(1) - share for share in shares])):
            codes = [int(rounding(value * F32(2**BITS))) for value in values]
            table += [0] * (first - start) + codes + [0] * (width - len(codes) - (first - start))
    return weights, unweights, starts, places, widths


def gains() -> Iterator[int]:
    """The gain at a noise of 0 and 1, then of each octave a quadratic: its value, slope and bend, and a 0 between."""

    def gain(noise: int) -> int:
        x = F32(noise) / F32(2 ** (SMOOTHING_BITS - CORRECTION_BITS)) + F32(OFFSET)
        real = F32(2**GAIN_BITS) * F32(math.pow(x, -F32(STRENGTH)))
        return min(int(real + F32(0.5)), 2**15 - 1)

    yield from (gain(0), gain(1))
    for octave in range(2, 33):
        start = 1 << (octave - 1)
        end = 2 * start if octave < 32 else 2 * start - 1
        low, middle, high = gain(start), gain(start + start // 2), gain(end)
        slope = 4 * (middle - low) - (high - low)
        yield from (low, slope, high - low - slope)
        if octave < 32:
            yield 0


def front_end(hann: Array, bank: tuple[list[int], ...], c_library: bool) -> Model:
    """samples (1, 480) int16 → codes (40,) int8 and features (40,) float32."""
    nodes: list[Node] = []

    def fed(shape: tuple[int, ...], dtype: str, quantization: Quantization | None = None) -> Tensor:
        return Tensor(0, "", shape, dtype, quantization)

    def constant(values: Any, dtype: str) -> Tensor:
        data = np.array(values, dtype)
        return Tensor(0, "", data.shape, dtype, data=data)

    def op(name: str, inputs: list[Tensor], *outputs: Tensor, **options: Any) -> Tensor:
        custom = name not in TFLM_OPS
        packed = _flexbuffer.pack(**options) if custom else b""
        nodes.append(Node(name, {} if custom else options, tuple(inputs), outputs, custom_options=packed))
        return outputs[0]

    row, bins = (CHANNELS,), FFT // 2 + 1
    even, odd, least = (int(F32(x) * F32(2**SUBTRACTION_BITS)) for x in (EVEN_SMOOTHING, ODD_SMOOTHING, REMAINING))
    samples, shift, noise = fed((1, WINDOW), "int16"), fed((), "int32"), fed(row, "uint32")
    x = op("SignalWindow", [samples, constant(hann, "int16")], fed((1, WINDOW), "int16"), shift=BITS)
    x = op("RESHAPE", [x, constant([WINDOW], "int32")], fed((WINDOW,), "int16"))
    if c_library:
        wide = op("CAST", [x], fed((WINDOW,), "int32"))
        counts = op("NOT_EQUAL", [wide, constant(-(2**15), "int32")], fed((WINDOW,), "bool"))
        counted = op("MUL", [wide, op("CAST", [counts], fed((WINDOW,), "int32"))], fed((WINDOW,), "int32"), **NONE)
        counted = op("CAST", [counted], fed((WINDOW,), "int16"))
        counted = op("CONCATENATION", [counted, constant([1], "int16")], fed((WINDOW + 1,), "int16"), axis=0, **NONE)
        op("SignalFftAutoScale", [counted], fed((WINDOW + 1,), "int16"), shift)
        factor = op(
            "GATHER", [constant(2.0 ** np.arange(16), "float32"), shift], fed((), "float32"), axis=0, batch_dims=0
        )
        factor = op("CAST", [factor], fed((), "int32"))
        x = op("CAST", [op("MUL", [wide, factor], fed((WINDOW,), "int32"), **NONE)], fed((WINDOW,), "int16"))
    else:
        x = op("SignalFftAutoScale", [x], fed((WINDOW,), "int16"), shift)
    x = op("SignalRfft", [x], fed((2 * bins,), "int16"), T=7, fft_length=FFT)
    x = op("SignalEnergy", [x], fed((bins,), "uint32"), start_index=0, end_index=bins)
    x = op("SignalFilterBank", [x, *(constant(t, "int16") for t in bank)], fed(row, "uint64"), num_channels=CHANNELS)
    x = op("SignalFilterBankSquareRoot", [x, shift], fed(row, "uint32"))
    x = op(
        "SignalFilterBankSpectralSubtraction", [x], fed(row, "uint32"), noise,
        alternate_one_minus_smoothing=2**SUBTRACTION_BITS - odd, alternate_smoothing=odd, clamping=False,
        min_signal_remaining=least, num_channels=CHANNELS, one_minus_smoothing=2**SUBTRACTION_BITS - even,
        smoothing=even, smoothing_bits=SMOOTHING_BITS, spectral_subtraction_bits=SUBTRACTION_BITS,
    )  # fmt: skip
    snr_shift = GAIN_BITS - CORRECTION_BITS - SNR_BITS
    x = op("SignalPCAN", [x, noise, constant([*gains()], "int16")], fed(row, "uint32"), snr_shift=snr_shift)
    x = op("SignalFilterBankLog", [x], fed(row, "int16"), input_correction_bits=CORRECTION_BITS, output_scale=64)
    real = op("CAST", [x], fed(row, "float32"))
    real = op("MUL", [real, constant(1 / 25.6, "float32")], fed(row, "float32"), **NONE)
    x = op("CAST", [x], fed(row, "int32"))
    for name, number in (("MUL", 256), ("ADD", 333), ("DIV", 666), ("ADD", -128), ("MINIMUM", 127), ("MAXIMUM", -128)):
        x = op(
            name, [x, constant(number, "int32")], fed(row, "int32"), **({} if name in ("MINIMUM", "MAXIMUM") else NONE)
        )
    codes = op("CAST", [x], fed(row, "int8", Quantization((26 / 256,), (-128,))))
    model = model_of(*nodes, outputs=(codes, real))
    return replace(model, description="refengine's audio front end")


def models() -> dict[str, Model]:
    """Both, by their names."""
    return {
        "micro_speech": front_end(window(np.float64), filter_bank(np.floor), False),
        "micro_wake_word": front_end(window(F32), filter_bank(nearest), True),
    }


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FRONT_ENDS
    for name, model in models().items():
        write(folder / f"{name}.tflite", dump(model))


if __name__ == "__main__":
    main()
