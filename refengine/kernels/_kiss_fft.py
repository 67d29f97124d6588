"""The discrete Fourier transforms of real signals that SignalRfft and SignalIrfft share: kissfft's, bit for bit.

TFLM: `signal/src/{rfft,irfft}_*.cc`, kissfft v130 (`kiss_fft.c`, `kiss_fftr.c`) with TFLM's patch. A real signal of N
samples is transformed as N / 2 complex numbers. Fixed point halves, thirds or fifths everything at each stage so that
nothing overflows, and rounds each product or sum of two products; sums wrap. Float32 rounds each operation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import consistent, require
from ..kernel import Draw, Node, Numerics, Toolbox
from ..model import Array, Tensor
from . import _flexbuffer, _signal

BITS = {"int16": 16, "int32": 32, "float32": 0}

Part = npt.NDArray[Any]


class Complex(NamedTuple):
    """Complex numbers by parts: int64 that the type's bits hold, or float32."""

    re: Part
    im: Part

    def at(self, *where: Any) -> Complex:
        return Complex(self.re[where], self.im[where])

    def conjugate(self) -> Complex:
        return Complex(self.re, -self.im)


@dataclass(frozen=True, eq=False)
class Params:
    """kiss_fftr_cfg: `factors` are (radix, length of each part) of the complex transform of half the `fft_length`."""

    dtype: str
    fft_length: int
    factors: tuple[tuple[int, int], ...]
    twiddles: Complex
    super_twiddles: Complex
    inverse: bool

    @property
    def bits(self) -> int:
        """16 or 32 of fixed point, 0 for float32."""
        return BITS[self.dtype]


def prepare(node: Node, numerics: Numerics, inverse: bool) -> tuple[Params, Tensor, Tensor]:
    """Params, input and output; refuses lengths on which kissfft, as TFLM patches it, gives up and TFLM crashes."""
    dtype = node.inputs[0].dtype if node.inputs and node.inputs[0] is not None else ""
    input, output = _signal.operands(node, ((dtype, None),), ((dtype, None),))
    _signal.named_type(node, input)
    require(
        dtype != "float32" or numerics.contraction == "none",
        f"refengine has not compared kissfft's float32 products in the dialect contraction={numerics.contraction} with "
        'TFLM; choose a dialect with contraction="none", or make the transform int16',
    )
    _, length = _flexbuffer.by_place(node, "T", "fft_length")
    factors, rest = _factors(length // 2)
    require(
        length >= 4 and length % 2 == 0 and rest == 1,
        f"the option fft_length is {length} as TFLM reads it, on which its kissfft crashes; it must be even, at least "
        "4, and half of it a product of 2, 3 and 5: convert again",
    )
    consistent(
        input.shape[:-1] == output.shape[:-1],
        f"input '{input.name}' {input.shape} and output '{output.name}' {output.shape} have other rows",
    )
    half, sign = length // 2, 1 if inverse else -1
    twiddles = [sign * 2 * math.pi * i / half for i in range(half)]
    super_twiddles = [sign * math.pi * ((k + 1) / half + 0.5) for k in range(half // 2)]
    p = Params(dtype, length, factors, _turned(dtype, twiddles), _turned(dtype, super_twiddles), inverse)
    return p, input, output


def _factors(n: int) -> tuple[tuple[tuple[int, int], ...], int]:
    """kissfft's (radix, what remains) of n ≥ 1, and what is left over of other primes."""
    factors = []
    for radix in (4, 2, 3, 5):
        while n > 1 and n % radix == 0:
            n //= radix
            factors.append((radix, n))
    return tuple(factors), n


def _turned(dtype: str, phases: list[float]) -> Complex:
    """cos + i sin of each phase as kissfft keeps them: the C library's values in double, which `math` calls."""
    parts = [[f(phase) for phase in phases] for f in (math.cos, math.sin)]
    if dtype == "float32":
        return Complex(*(np.array(part, np.float32) for part in parts))
    most = 2 ** (BITS[dtype] - 1) - 1
    return Complex(*(np.array([math.floor(0.5 + most * x) for x in part], np.int64) for part in parts))


# ---- arithmetic ----------------------------------------------------------------------------------------------


def wrapped(p: Params, x: Part) -> Part:
    """As many bits as the type has."""
    return x if p.bits == 0 else x.astype(p.dtype).astype(np.int64)


def rounded(p: Params, x: Part) -> Part:
    """A product, or a sum of two, back to the type: kissfft's `sround`."""
    return x if p.bits == 0 else wrapped(p, (x + (1 << (p.bits - 2))) >> (p.bits - 1))


def add(p: Params, a: Complex, b: Complex) -> Complex:
    return Complex(wrapped(p, a.re + b.re), wrapped(p, a.im + b.im))


def subtract(p: Params, a: Complex, b: Complex) -> Complex:
    return Complex(wrapped(p, a.re - b.re), wrapped(p, a.im - b.im))


def multiply(p: Params, a: Complex, b: Complex) -> Complex:
    return Complex(rounded(p, a.re * b.re - a.im * b.im), rounded(p, a.re * b.im + a.im * b.re))


def scaled(p: Params, a: Complex, factor: Part) -> Complex:
    return Complex(rounded(p, a.re * factor), rounded(p, a.im * factor))


def divided(p: Params, a: Complex, radix: int) -> Complex:
    """Fixed point only: by the radix, so that a sum of so many has room."""
    return a if p.bits == 0 else scaled(p, a, np.int64((2 ** (p.bits - 1) - 1) // radix))


def halved(p: Params, x: Part) -> Part:
    return x * np.float32(0.5) if p.bits == 0 else x >> 1


# ---- the complex transform -----------------------------------------------------------------------------------


def transformed(p: Params, z: Complex, stage: int = 0, stride: int = 1) -> Complex:
    """(…, h) complex numbers, transformed along the last axis by one stage and those below it."""
    if stage == len(p.factors):
        return z
    radix, length = p.factors[stage]
    parts = Complex(*(np.moveaxis(x.reshape(*x.shape[:-1], length, radix), -1, -2) for x in z))
    below = divided(p, transformed(p, parts, stage + 1, stride * radix), radix)
    u = np.arange(length)
    each = [below.at(..., q, slice(None)) for q in range(radix)]
    turned = [multiply(p, x, p.twiddles.at(q * u * stride)) if q else x for q, x in enumerate(each)]
    results = _BUTTERFLIES[radix](p, turned, stride * length)
    return Complex(*(np.concatenate(x, axis=-1) for x in zip(*results, strict=True)))


def _two(p: Params, g: list[Complex], third: int) -> list[Complex]:
    return [add(p, g[0], g[1]), subtract(p, g[0], g[1])]


def _four(p: Params, g: list[Complex], third: int) -> list[Complex]:
    a, b = add(p, g[0], g[2]), subtract(p, g[0], g[2])
    c, d = add(p, g[1], g[3]), subtract(p, g[1], g[3])
    one = Complex(wrapped(p, b.re + d.im), wrapped(p, b.im - d.re))
    three = Complex(wrapped(p, b.re - d.im), wrapped(p, b.im + d.re))
    one, three = (three, one) if p.inverse else (one, three)
    return [add(p, a, c), one, subtract(p, a, c), three]


def _three(p: Params, g: list[Complex], third: int) -> list[Complex]:
    c, d = add(p, g[1], g[2]), subtract(p, g[1], g[2])
    d = scaled(p, d, p.twiddles.im[third])
    x = Complex(wrapped(p, g[0].re - halved(p, c.re)), wrapped(p, g[0].im - halved(p, c.im)))
    one = Complex(wrapped(p, x.re - d.im), wrapped(p, x.im + d.re))
    two = Complex(wrapped(p, x.re + d.im), wrapped(p, x.im - d.re))
    return [add(p, g[0], c), one, two]


def _five(p: Params, g: list[Complex], fifth: int) -> list[Complex]:
    ya, yb = p.twiddles.at(fifth), p.twiddles.at(2 * fifth)
    outer, outer_gap = add(p, g[1], g[4]), subtract(p, g[1], g[4])
    inner, inner_gap = add(p, g[2], g[3]), subtract(p, g[2], g[3])
    first = add(p, add(p, g[0], scaled(p, outer, ya.re)), scaled(p, inner, yb.re))
    second = add(p, add(p, g[0], scaled(p, outer, yb.re)), scaled(p, inner, ya.re))
    a, b = scaled(p, outer_gap, ya.im), scaled(p, inner_gap, yb.im)
    q = Complex(wrapped(p, a.im + b.im), wrapped(p, -a.re - b.re))
    a, b = scaled(p, outer_gap, yb.im), scaled(p, inner_gap, ya.im)
    w = Complex(wrapped(p, b.im - a.im), wrapped(p, a.re - b.re))
    return [
        add(p, g[0], add(p, outer, inner)),
        subtract(p, first, q),
        add(p, second, w),
        subtract(p, second, w),
        add(p, first, q),
    ]


_BUTTERFLIES = {2: _two, 3: _three, 4: _four, 5: _five}


# ---- what both operators also share --------------------------------------------------------------------------


def parts_of(p: Params, interleaved: Array) -> Complex:
    """(…, 2n) re and im by turns → n complex numbers."""
    held = interleaved if p.bits == 0 else interleaved.astype(np.int64)
    return Complex(held[..., 0::2], held[..., 1::2])


def interleaved(p: Params, z: Complex) -> Array:
    """n complex numbers → (…, 2n) re and im by turns, in the type."""
    return np.stack(z, axis=-1).reshape(*z.re.shape[:-1], -1).astype(p.dtype)


def draw_lengths(draw: Draw, make: Toolbox) -> tuple[int, tuple[int, ...]]:
    """For an example: a length with factors of every kind, and the shape of the rows."""
    length = draw(make.sampled_from((8, 4, 6, 10, 12, 16, 18, 20, 24, 30, 32, 48, 50, 60, 64, 120, 128, 150)))
    return length, draw(make.shape((0, 2), 2))


def options(dtype: str, fft_length: int) -> bytes:
    return _flexbuffer.pack(T=_signal.TENSOR_TYPES[dtype], fft_length=fft_length)
