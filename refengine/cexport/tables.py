"""What an export tells of its steps and tensors: the rows of its tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ..errors import UnsupportedError
from ..model import Tensor
from ..plan import Plan
from ..tensors.difference import crc32_of
from ..text import in_c
from .call import At, Place, bytes_of
from .data import number
from .running import Outputs, Row, Running

LONGEST_NAME = 64
"""Longer ones are cut: some compilers limit strings, and every board its flash."""


def string(text: str) -> str:
    """A C string literal."""
    return f'"{in_c(text)}"'


class Tables(NamedTuple):
    """Makes rows: what tensors are called, if anything, and where they lie."""

    offsets: Mapping[Place, int]
    names: bool

    def name(self, text: str) -> str:
        cut = text if len(text) <= LONGEST_NAME else text[: LONGEST_NAME - 3] + "..."
        return string(cut if self.names else "")

    def step(self, row: Row, output: Tensor) -> str:
        """A row of `struct step`; the operator's name tells in which subgraph it is."""
        step = row.step
        name = self.name(f"subgraph {step.subgraph}: {step.name}" if step.subgraph else step.name)
        return f"{{{step.index}, {name}, {self.tensor(output, step.subgraph)}, 0x{_crc32(row.values):08x}}}"

    def tensor(self, tensor: Tensor, subgraph: int = 0) -> str:
        """A row of `struct tensor`."""
        return self._row(self.name(tensor.name), tensor, self.offsets.get(At(subgraph, tensor.index), 0))

    def state(self, name: str, place: Place, tensor: Tensor) -> str:
        """The same of what lives on. Its `name` is of refengine's making, and stays whatever names are left out."""
        return self._row(string(name), tensor, self.offsets[place])

    def _row(self, name: str, tensor: Tensor, offset: int) -> str:
        scale, zero_point = affine(tensor)
        if len(tensor.shape) > 6:
            raise UnsupportedError(
                f"tensor '{tensor.name}' has {len(tensor.shape)} dimensions; an export takes at most 6"
            )
        shape = ", ".join(map(str, tensor.shape)) or "0"
        return (
            f"{{{name}, {tensor.index}, {offset}, {bytes_of(tensor)}, "
            f"DTYPE_{tensor.dtype.upper()}, {len(tensor.shape)}, {{{shape}}}, {number(np.float32(scale))}, "
            f"{zero_point}}}"
        )


def states_of(plan: Plan, run: Running, tables: Tables) -> list[str]:
    """Rows of `struct tensor` of all that lives on from one inference to the next."""
    places = zip(run.begins, plan.lasting.items(), strict=True)
    return [tables.state(name, place, tensor) for place, (name, tensor) in places if place in tables.offsets]


def affine(tensor: Tensor) -> tuple[float, int]:
    """Scale and zero point, 0 where there are none."""
    quantization = tensor.quantization
    if not quantization or not quantization.scale:
        return 0.0, 0
    return quantization.scale[0], (*quantization.zero_point, 0)[0]


def _crc32(values: Outputs) -> int:
    """Of the bytes of a step's output; 0 if nobody knows them, or they are others from one time to the next."""
    found = {None if x is None else crc32_of(x) for x in values}
    return (found.pop() or 0) if len(found) == 1 else 0
