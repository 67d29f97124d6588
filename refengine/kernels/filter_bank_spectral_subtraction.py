"""SignalFilterBankSpectralSubtraction: channels less a running estimate of their noise.

TFLM: `signal/micro/kernels/filter_bank_spectral_subtraction.cc`, `signal/src/filter_bank_spectral_subtraction.cc`. The
estimate lives from one inference to the next, and is the second output. Channels with odd numbers have a smoothing of
their own. Everything wraps in 32 bits, sums of products in 64.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from ..errors import consistent
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Toolbox
from ..model import Array
from . import _flexbuffer, _signal

Words = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Params:
    """SpectralSubtractionConfig, in the order of the options' places."""

    alternate_one_minus_smoothing: int
    alternate_smoothing: int
    clamping: int
    min_signal_remaining: int
    num_channels: int
    one_minus_smoothing: int
    smoothing: int
    smoothing_bits: int
    spectral_subtraction_bits: int

    @property
    def memory(self) -> tuple[Array]:
        """The noise estimate."""
        return (np.zeros((1, self.num_channels), np.uint32),)

    def coefficients(self) -> tuple[Words, Words]:
        """(smoothing, one minus smoothing) of each channel."""
        odd = np.arange(self.num_channels) % 2 == 1
        return (
            np.where(odd, np.uint64(self.alternate_smoothing), np.uint64(self.smoothing)),
            np.where(odd, np.uint64(self.alternate_one_minus_smoothing), np.uint64(self.one_minus_smoothing)),
        )


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses another number of channels than the options have, and shifts that C leaves undefined."""
    input, output, noise = _signal.operands(node, (("uint32", 1),), (("uint32", 1), ("uint32", 1)))
    _signal.same_shape(input, output, noise)
    names = [field.name for field in fields(Params)]
    options = dict(zip(names, _flexbuffer.by_place(node, *names), strict=True))
    consistent(
        input.shape == (options["num_channels"],),
        f"input '{input.name}' has shape {input.shape} for {options['num_channels']} channels",
    )
    _signal.in_range("smoothing_bits", options["smoothing_bits"], 0, 31)
    _signal.in_range("spectral_subtraction_bits", options["spectral_subtraction_bits"], 0, 63)
    unsigned = {name: value if name == "num_channels" else value % 2**32 for name, value in options.items()}
    return Params(**unsigned)


def evaluate(p: Params, input: Array, noise_estimate: Array) -> tuple[Array, Array, Array]:
    """(B, n) uint32 → (B, n) and (B, n) uint32, and the new estimate again."""
    bits = np.uint64(p.spectral_subtraction_bits)
    smoothing, one_minus_smoothing = p.coefficients()
    scaled_up = input << np.uint32(p.smoothing_bits)
    noise = ((scaled_up * smoothing + noise_estimate * one_minus_smoothing) >> bits).astype(np.uint32)
    estimate = np.minimum(noise, scaled_up)
    floor = ((input.astype(np.uint64) * np.uint64(p.min_signal_remaining)) >> bits).astype(np.uint32)
    output = np.maximum((scaled_up - estimate) >> np.uint32(p.smoothing_bits), floor)
    after = estimate if p.clamping else noise
    return output, after, after


def explain(p: Params, at: At, input: Array, noise_estimate: Array) -> Iterator[Line]:
    """Element `index` of the output, or of the estimate."""
    (channel,) = at.index
    x, before, bits = int(input[channel]), int(noise_estimate[channel]), p.spectral_subtraction_bits
    smoothing, one_minus = (
        (p.alternate_smoothing, p.alternate_one_minus_smoothing)
        if channel % 2
        else (p.smoothing, p.one_minus_smoothing)
    )
    up = (x << p.smoothing_bits) % 2**32
    yield Line("scaled up", f"{x} · 2^{p.smoothing_bits}, kept in 32 bits", up)
    noise = ((up * smoothing + before * one_minus) % 2**64 >> bits) % 2**32
    yield Line("noise", f"({up} · {smoothing} + noise before {before} · {one_minus}) / 2^{bits}", noise)
    estimate = min(noise, up)
    yield Line("estimate", "at most the signal", estimate)
    if at.output == 1:
        how = "clamped to the signal" if p.clamping else "not clamped to the signal"
        yield Line("noise after", how, estimate if p.clamping else noise)
        return
    floor = (x * p.min_signal_remaining >> bits) % 2**32
    yield Line("floor", f"{x} · {p.min_signal_remaining} / 2^{bits}: what remains at least", floor)
    rest = up - estimate >> p.smoothing_bits
    yield Line("rest", f"({up} − {estimate}) / 2^{p.smoothing_bits} = {rest}, at least the floor", max(rest, floor))


def example(draw: Draw, make: Toolbox) -> Node:
    """The usual coefficients, and any."""
    input = _signal.draw_vector(draw, make, "uint32", 12)

    def coefficient(usual: int) -> int:
        return int(draw(make.sampled_from((usual, usual, draw(make.integers(-(2**31), 2**31 - 1))))))

    options = _flexbuffer.pack(
        alternate_one_minus_smoothing=coefficient(14516),
        alternate_smoothing=coefficient(983),
        clamping=draw(make.booleans()),
        min_signal_remaining=coefficient(819),
        num_channels=input.shape[0],
        one_minus_smoothing=coefficient(15974),
        smoothing=coefficient(410),
        smoothing_bits=draw(make.sampled_from((10, 0, 31))),
        spectral_subtraction_bits=draw(make.sampled_from((14, 0, 32, 63))),
    )
    outputs = (make.tensor(input.shape, "uint32"), make.tensor(input.shape, "uint32"))
    return Node("SignalFilterBankSpectralSubtraction", {}, (input,), outputs, custom_options=options)


FACTS = Facts(c_kernels={"uint32": "filter_bank_spectral_subtraction"})

KERNELS = {("SignalFilterBankSpectralSubtraction", "uint32"): Kernel(prepare, evaluate, explain, example, FACTS)}
