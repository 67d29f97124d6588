"""How one number of a Fourier transform came about, in plain numbers; nothing here is used by `evaluate`.

kissfft's recursion is followed for that number alone. What is told is the last steps: the one or two numbers of the
complex transform, each with the numbers that its last stage combined, and how the real one came from them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..kernel import Line
from ._kiss_fft import Params

Pair = tuple[Any, Any]
"""Real and imaginary part, integers or float32."""


class Arithmetic:
    """kissfft's, for one number at a time."""

    def __init__(self, p: Params) -> None:
        self.p, self.bits = p, p.bits

    def wrap(self, x: Any) -> Any:
        half = 1 << self.bits - 1 if self.bits else 0
        return (x + half) % (2 * half) - half if self.bits else x

    def round(self, x: Any) -> Any:
        return self.wrap((x + (1 << self.bits - 2)) >> self.bits - 1) if self.bits else x

    def times(self, a: Pair, b: Pair) -> Pair:
        return self.round(a[0] * b[0] - a[1] * b[1]), self.round(a[0] * b[1] + a[1] * b[0])

    def plus(self, a: Pair, b: Pair) -> Pair:
        return self.wrap(a[0] + b[0]), self.wrap(a[1] + b[1])

    def minus(self, a: Pair, b: Pair) -> Pair:
        return self.wrap(a[0] - b[0]), self.wrap(a[1] - b[1])

    def over(self, a: Pair, radix: int) -> Pair:
        factor = ((1 << self.bits - 1) - 1) // radix if self.bits else 0
        return (self.round(a[0] * factor), self.round(a[1] * factor)) if self.bits else a

    def half(self, x: Any) -> Any:
        return x >> 1 if self.bits else x * np.float32(0.5)

    def conjugate(self, a: Pair) -> Pair:
        return a[0], self.wrap(-a[1])

    def twiddle(self, i: int) -> Pair:
        t = self.p.twiddles
        return _plain(t.re[i]), _plain(t.im[i])

    def super_twiddle(self, i: int) -> Pair:
        t = self.p.super_twiddles
        return _plain(t.re[i]), _plain(t.im[i])

    def parts(self, z: Sequence[Pair], k: int, start: int = 0, stride: int = 1, stage: int = 0) -> list[Pair]:
        """What the butterfly at number k of a stage combines, divided and turned."""
        radix, length = self.p.factors[stage]
        below = [self.number(z, k % length, start + q * stride, stride * radix, stage + 1) for q in range(radix)]
        g = [self.over(x, radix) for x in below]
        return [g[0], *(self.times(g[q], self.twiddle(q * (k % length) * stride)) for q in range(1, radix))]

    def number(self, z: Sequence[Pair], k: int, start: int = 0, stride: int = 1, stage: int = 0) -> Pair:
        """Number k of the transform of every `stride`-th of z."""
        if stage == len(self.p.factors):
            return z[start]
        length = self.p.factors[stage][1]
        g = self.parts(z, k, start, stride, stage)
        return self.combined(g, k // length, stride * length)

    def combined(self, g: list[Pair], j: int, step: int) -> Pair:
        """Output j of a butterfly; twiddles `step` apart turn by a whole share of the circle."""
        if len(g) == 2:
            return self.minus(g[0], g[1]) if j else self.plus(g[0], g[1])
        if len(g) == 4:
            near, far = (self.plus, self.plus) if j % 2 == 0 else (self.minus, self.minus)
            a, c = near(g[0], g[2]), far(g[1], g[3])
            if j % 2 == 0:
                return self.minus(a, c) if j else self.plus(a, c)
            forward = (j == 1) != self.p.inverse
            return self.plus(a, (c[1], -c[0])) if forward else self.minus(a, (c[1], -c[0]))
        return self._third(g, j, step) if len(g) == 3 else self._fifth(g, j, step)

    def _third(self, g: list[Pair], j: int, step: int) -> Pair:
        total, gap = self.plus(g[1], g[2]), self.minus(g[1], g[2])
        if j == 0:
            return self.plus(g[0], total)
        turn = self.twiddle(step)[1]
        re, im = self.round(gap[0] * turn), self.round(gap[1] * turn)
        x = self.minus(g[0], (self.half(total[0]), self.half(total[1])))
        return self.minus(x, (im, -re)) if j == 1 else self.plus(x, (im, -re))

    def _fifth(self, g: list[Pair], j: int, step: int) -> Pair:
        outer, inner = self.plus(g[1], g[4]), self.plus(g[2], g[3])
        if j == 0:
            return self.plus(g[0], self.plus(outer, inner))
        near, far = self.twiddle(step), self.twiddle(2 * step)
        if j in (2, 3):
            near, far = far, near
        p = tuple(self.wrap(g[0][i] + self.round(outer[i] * near[0]) + self.round(inner[i] * far[0])) for i in (0, 1))
        out, into = self.minus(g[1], g[4]), self.minus(g[2], g[3])
        a = [self.round(x * near[1]) for x in out]
        b = [self.round(x * far[1]) for x in into]
        if j in (1, 4):
            q = self.wrap(a[1] + b[1]), self.wrap(-a[0] - b[0])
            return self.minus((p[0], p[1]), q) if j == 1 else self.plus((p[0], p[1]), q)
        w = self.wrap(b[1] - a[1]), self.wrap(a[0] - b[0])
        return self.plus((p[0], p[1]), w) if j == 2 else self.minus((p[0], p[1]), w)


def real(p: Params, row: Sequence[float], place: int) -> Iterator[Line]:
    """Element `place` of a real signal's spectrum."""
    with np.errstate(all="ignore"):
        yield from _real(Arithmetic(p), _paired(p, row), p.fft_length // 2, place // 2, place % 2)


def _real(a: Arithmetic, z: Sequence[Pair], half: int, i: int, part: int) -> Iterator[Line]:
    if i in (0, half):
        yield from _stage(a, z, 0)
        d = a.over(a.number(z, 0), 2)
        value = a.wrap(d[0] + d[1] if i == 0 else d[0] - d[1])
        sign = "+" if i == 0 else "−"
        yield Line("bin", f"({d[0]} {sign} {d[1]}, 0), its {_NAMES[part]} part", 0 if part else value)
        return
    k = i if 2 * i < half else half - i
    yield from _stage(a, z, k)
    yield from _stage(a, z, half - k)
    x, y = a.over(a.number(z, k), 2), a.over(a.conjugate(a.number(z, half - k)), 2)
    even, odd = a.plus(x, y), a.times(a.minus(x, y), a.super_twiddle(k - 1))
    yield Line("even", f"({even[0]}, {even[1]}): numbers {k} and, mirrored, {half - k}, their sum", even[part])
    yield Line("odd", f"({odd[0]}, {odd[1]}): their difference, turned", odd[part])
    mirrored = even[0] - odd[0], odd[1] - even[1]
    total = even[part] + odd[part] if i == k and 2 * k != half else mirrored[part]
    total = a.wrap(total) if a.bits == 32 else total
    yield Line("bin", f"half of {total}, the {_NAMES[part]} part of bin {i}", a.half(total))


def imaginary(p: Params, row: Sequence[float], place: int) -> Iterator[Line]:
    """Element `place` of the signal of a spectrum."""
    a, half = Arithmetic(p), p.fft_length // 2
    with np.errstate(all="ignore"):
        z = _folded(a, _paired(p, row), half)
        yield from _stage(a, z, place // 2)
        value = a.number(z, place // 2)[place % 2]
        yield Line("sample", f"the {_NAMES[place % 2]} part of number {place // 2} is sample {place}", value)
        if not a.bits:
            yield Line("divided", f"{value:.9g} / {p.fft_length}", value / np.float32(p.fft_length))


def _folded(a: Arithmetic, f: Sequence[Pair], half: int) -> list[Pair]:
    """The complex numbers whose transform is the signal, from its spectrum."""
    z: list[Pair] = [(0, 0)] * half
    z[0] = a.over((a.wrap(f[0][0] + f[half][0]), a.wrap(f[0][0] - f[half][0])), 2)
    for k in range(1, half // 2 + 1):
        x, y = a.over(f[k], 2), a.over(a.conjugate(f[half - k]), 2)
        even, odd = a.plus(x, y), a.times(a.minus(x, y), a.super_twiddle(k - 1))
        z[k] = a.plus(even, odd)
        z[half - k] = a.conjugate(a.minus(even, odd))
    return z


_NAMES = ("real", "imaginary")


def _stage(a: Arithmetic, z: Sequence[Pair], k: int) -> Iterator[Line]:
    """Number k of the complex transform: what its last stage combined, and what came of it."""
    radix, length = a.p.factors[0]
    for q, (re, im) in enumerate(a.parts(z, k)):
        yield Line("part", f"({re}, {im}): number {k % length} of part {q} of {radix}, turned", re)
    re, im = a.number(z, k)
    yield Line("number", f"({re}, {im}): number {k} of the complex transform", re)


def _paired(p: Params, row: Sequence[float]) -> list[Pair]:
    numbers = [np.float32(x) for x in row] if p.bits == 0 else list(row)
    return list(zip(numbers[0::2], numbers[1::2], strict=True))


def _plain(x: Any) -> Any:
    return x if isinstance(x, np.float32) else int(x)
