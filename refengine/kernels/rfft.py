"""SignalRfft: the spectrum of each row, padded with zeros to the transform's length; complex numbers as re and im.

TFLM: `signal/micro/kernels/rfft.cc`, `signal/src/rfft_{int16,int32,float}.cc`; the arithmetic in `_kiss_fft`. An
oddity: int16 halves the last sums **before** they are cut to 16 bits, int32 after.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from ..errors import consistent, require
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Toolbox
from ..model import Array
from . import _fft_story, _kiss_fft
from ._kiss_fft import Complex, Params


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses rows longer than the transform, which TFLM's work area does not hold."""
    p, input, output = _kiss_fft.prepare(node, numerics, inverse=False)
    require(
        input.shape[-1] <= p.fft_length,
        f"input '{input.name}' {input.shape} has rows longer than the fft_length {p.fft_length}, which TFLM does not "
        "take: convert again with a longer transform",
    )
    consistent(
        output.shape[-1] == p.fft_length + 2,
        f"output '{output.name}' has shape {output.shape}; a transform of {p.fft_length} gives {p.fft_length // 2 + 1} "
        "complex numbers",
    )
    return p


def evaluate(p: Params, input: Array) -> Array:
    """(B, …, up to fft_length) → (B, …, fft_length + 2)."""
    padding = [(0, 0)] * (input.ndim - 1) + [(0, p.fft_length - input.shape[-1])]
    z = _kiss_fft.transformed(p, _kiss_fft.parts_of(p, np.pad(input, padding)))
    half = p.fft_length // 2
    f = Complex(*(np.zeros((*input.shape[:-1], half + 1), z.re.dtype) for _ in range(2)))
    dc = _kiss_fft.divided(p, z.at(..., 0), 2)
    f.re[..., 0], f.re[..., half] = _kiss_fft.wrapped(p, dc.re + dc.im), _kiss_fft.wrapped(p, dc.re - dc.im)
    k = np.arange(1, half // 2 + 1)
    a = _kiss_fft.divided(p, z.at(..., k), 2)
    conjugate = z.at(..., half - k).conjugate()
    b = _kiss_fft.divided(p, Complex(conjugate.re, _kiss_fft.wrapped(p, conjugate.im)), 2)
    sums = _kiss_fft.add(p, a, b)
    turned = _kiss_fft.multiply(p, _kiss_fft.subtract(p, a, b), p.super_twiddles)
    cut = partial(_kiss_fft.wrapped, p) if p.bits == 32 else np.asarray
    for places, parts in (
        (k, Complex(sums.re + turned.re, sums.im + turned.im)),
        (half - k, Complex(sums.re - turned.re, turned.im - sums.im)),
    ):
        f.re[..., places], f.im[..., places] = (_kiss_fft.halved(p, cut(part)) for part in parts)
    return _kiss_fft.interleaved(p, f)


def explain(p: Params, at: At, input: Array) -> Iterator[Line]:
    """Element `index` of the output."""
    *row, place = at.index
    samples = input[tuple(row)].tolist() + [0] * (p.fft_length - input.shape[-1])
    yield from _fft_story.real(p, samples, place)


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Lengths with factors of every kind, rows that are padded or not."""
    length, rows = _kiss_fft.draw_lengths(draw, make)
    size = draw(make.sampled_from((length, length, max(1, length // 2), length - 1)))
    input, output = make.tensor((*rows, size), dtype), make.tensor((*rows, length + 2), dtype)
    return Node("SignalRfft", {}, (input,), (output,), custom_options=_kiss_fft.options(dtype, length))


FACTS = Facts(c_kernels={"int16": "rfft", "int32": "rfft", "float32": "rfft"})

KERNELS = {
    ("SignalRfft", dtype): Kernel(prepare, evaluate, explain, partial(example, dtype=dtype), FACTS)
    for dtype in _kiss_fft.BITS
}
