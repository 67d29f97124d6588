"""SignalIrfft: the signal of each row's spectrum, complex numbers as re and im.

TFLM: `signal/micro/kernels/irfft.cc`, `signal/src/irfft_{int16,int32,float}.cc`; the arithmetic in `_kiss_fft`. Only
float32 is divided by the length at the end; fixed point is so small already.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from ..errors import consistent
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Toolbox
from ..model import Array
from . import _fft_story, _kiss_fft
from ._kiss_fft import Complex, Params


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses rows of other lengths than the transform's."""
    p, input, output = _kiss_fft.prepare(node, numerics, inverse=True)
    consistent(
        (input.shape[-1], output.shape[-1]) == (p.fft_length + 2, p.fft_length),
        f"input '{input.name}' {input.shape} and output '{output.name}' {output.shape} do not have the "
        f"{p.fft_length // 2 + 1} complex and {p.fft_length} real numbers of the transform",
    )
    return p


def evaluate(p: Params, input: Array) -> Array:
    """(B, …, fft_length + 2) → (B, …, fft_length)."""
    f, half = _kiss_fft.parts_of(p, input), p.fft_length // 2
    z = Complex(*(np.zeros((*input.shape[:-1], half), f.re.dtype) for _ in range(2)))
    first, last = f.re[..., 0], f.re[..., half]
    dc = Complex(_kiss_fft.wrapped(p, first + last), _kiss_fft.wrapped(p, first - last))
    z.re[..., 0], z.im[..., 0] = _kiss_fft.divided(p, dc, 2)
    k = np.arange(1, half // 2 + 1)
    a = _kiss_fft.divided(p, f.at(..., k), 2)
    conjugate = f.at(..., half - k).conjugate()
    b = _kiss_fft.divided(p, Complex(conjugate.re, _kiss_fft.wrapped(p, conjugate.im)), 2)
    even = _kiss_fft.add(p, a, b)
    odd = _kiss_fft.multiply(p, _kiss_fft.subtract(p, a, b), p.super_twiddles)
    z.re[..., k], z.im[..., k] = _kiss_fft.add(p, even, odd)
    difference = _kiss_fft.subtract(p, even, odd)
    z.re[..., half - k], z.im[..., half - k] = difference.re, _kiss_fft.wrapped(p, -difference.im)
    x = _kiss_fft.interleaved(p, _kiss_fft.transformed(p, z))
    return x / np.float32(p.fft_length) if p.bits == 0 else x


def explain(p: Params, at: At, input: Array) -> Iterator[Line]:
    """Element `index` of the output."""
    *row, place = at.index
    yield from _fft_story.imaginary(p, input[tuple(row)].tolist(), place)


def example(draw: Draw, make: Toolbox, dtype: str) -> Node:
    """Lengths with factors of every kind."""
    length, rows = _kiss_fft.draw_lengths(draw, make)
    input, output = make.tensor((*rows, length + 2), dtype), make.tensor((*rows, length), dtype)
    return Node("SignalIrfft", {}, (input,), (output,), custom_options=_kiss_fft.options(dtype, length))


FACTS = Facts(c_kernels={"int16": "irfft", "int32": "irfft", "float32": "irfft"})

KERNELS = {
    ("SignalIrfft", dtype): Kernel(prepare, evaluate, explain, partial(example, dtype=dtype), FACTS)
    for dtype in _kiss_fft.BITS
}
