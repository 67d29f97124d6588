"""SignalFilterBank: energies of frequencies weighted into channels that overlap each with the next.

TFLM: `signal/micro/kernels/filter_bank.cc`, `signal/src/filter_bank.cc`. Each channel sums its own frequencies times
the weights, and those of the channel before times the unweights; the first sum of all is scratch. Everything wraps in
64 bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import consistent, within_limits
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Toolbox
from ..model import Array
from . import _flexbuffer, _signal


@dataclass(frozen=True, eq=False)
class Params:
    """FilterbankConfig; `matrix` (frequencies, channels) holds what each frequency counts for each channel."""

    num_channels: int
    matrix: npt.NDArray[np.uint64]
    macs: int


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses tables that are computed, or lead beyond the frequencies or the weights."""
    wanted = (("uint32", 1), *(("int16", 1),) * 5)
    input, *tables, output = _signal.operands(node, wanted, (("uint64", 1),))
    (num_channels,) = _flexbuffer.by_place(node, "num_channels")
    consistent(
        output.shape == (num_channels,), f"output '{output.name}' has shape {output.shape} for {num_channels} channels"
    )
    for table in tables:
        within_limits(
            table.data is not None,
            f"table '{table.name}' is computed; TFLM runs that, but refengine takes constant ones only: convert again",
            tflm_runs=True,
        )
    weights, unweights, *bounds = (table.data.astype(np.int64) for table in tables if table.data is not None)
    sums = np.zeros((2, input.shape[0], num_channels + 1), np.uint64)
    consistent(min(map(len, bounds)) > num_channels, f"the tables do not name {num_channels + 1} ranges of frequencies")
    for i, (frequency, start, width) in enumerate(zip(*(b[: num_channels + 1].tolist() for b in bounds), strict=True)):
        consistent(
            width <= 0
            or (0 <= frequency <= input.shape[0] - width and 0 <= start <= min(len(weights), len(unweights)) - width),
            f"channel {i} takes {width} frequencies from {frequency} with weights from {start}, which is beyond "
            f"'{input.name}' {input.shape} or the {len(weights)} weights",
        )
        for row, factors in enumerate((weights, unweights) if width > 0 else ()):
            sums[row, frequency : frequency + width, i] = factors[start : start + width].astype(np.uint64)
    return Params(num_channels, sums[0, :, 1:] + sums[1, :, :-1], 2 * int(np.maximum(bounds[2], 0).sum()))


def evaluate(p: Params, input: Array, *tables: Array) -> Array:
    """(B, frequencies) uint32 → (B, channels) uint64."""
    total: Array = input.astype(np.uint64) @ p.matrix
    return total


def explain(p: Params, at: At, input: Array, *tables: Array) -> Iterator[Line]:
    """Element `index` of the output."""
    weights, unweights, frequency_starts, weight_starts, widths = (table.tolist() for table in tables)
    (channel,) = at.index
    total = 0
    for i, factors, kind in ((channel, unweights, "unweight"), (channel + 1, weights, "weight")):
        for j in range(widths[i]):
            x, w = int(input[frequency_starts[i] + j]), factors[weight_starts[i] + j]
            total = (total + x * w) % 2**64
            yield Line("tap", f"frequency {frequency_starts[i] + j}: {x} · {kind} {w}, sum {total}", total)
    yield Line("channel", "the sum, kept in 64 bits", total)


def example(draw: Draw, make: Toolbox) -> Node:
    """Channels of any width, at any place, weights of either sign."""
    channels = draw(make.integers(1, 5))
    frequencies, count = draw(make.integers(1, 12)), draw(make.integers(1, 16))
    weights, unweights = (make.constant(draw(make.array((count,), "int16"))) for _ in range(2))
    widths = [draw(make.integers(0, min(frequencies, count))) for _ in range(channels + 1)]
    ranges = [
        [draw(make.integers(0, frequencies - w)) for w in widths],
        [draw(make.integers(0, count - w)) for w in widths],
        widths,
    ]
    input = make.tensor((frequencies,), "uint32")
    inputs = (input, weights, unweights, *(make.constant(np.array(r, np.int16)) for r in ranges))
    options = _flexbuffer.pack(num_channels=channels)
    return Node("SignalFilterBank", {}, inputs, (make.tensor((channels,), "uint64"),), custom_options=options)


FACTS = Facts(computes={"uint32": ("uint64",)}, c_kernels={"uint32": "filter_bank"})

KERNELS = {("SignalFilterBank", "uint32"): Kernel(prepare, evaluate, explain, example, FACTS)}
