"""Memory images: a device's arena as a debugger copied it when the firmware stood still, as a dump.

Tensors share the arena, so an image holds few of them: those that were computed by then, and not overlaid since. Which
bytes are whose is the planner's choice, TFLM's or ours, which is computed here and proven by the image itself: nothing
is taken from it unless some of it is what refengine computes at that very place.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ..allocation import placed
from ..cexport import offsets_of
from ..errors import InferenceError, InputError, located
from ..execute import execute, kept
from ..identity import spelt
from ..model import Array, Tensor
from ..plan import Plan
from ..tensors.arrays import read_bytes
from ..tensors.difference import unlike
from .dumps import Dump, as_tensor

Layout = Literal["tflm", "export"]
LAYOUTS: Mapping[Layout, str] = {
    "tflm": "as TFLM's planner lays it out with reference kernels",
    "export": "as this version's C export lays it out",
}

TELLING = 8
"""So many bytes, not all alike, must be as expected at their place to prove a layout."""


@dataclass(frozen=True)
class _Block:
    """Bytes of the arena: a tensor's, or an operator's scratch buffer (None), written at time `written`.

    Operator k, counted in the order in which they run, writes at time k + 1; inputs are there at time 0.
    """

    tensor: Tensor | None
    offset: int
    bytes: int
    written: int

    def overlaps(self, other: _Block) -> bool:
        return self.offset < other.offset + other.bytes and other.offset < self.offset + self.bytes


def read_arena(
    plan: Plan,
    path: str | os.PathLike[str],
    *inputs: Array,
    after: int | None = None,
    layout: Layout | None = None,
    at: int = 0,
) -> Dump:
    """The tensors in an image of the arena that begins at byte `at` of a file.

    It was taken when operator `after` (its number in the file; the last by default) had run and the next one had not.
    The arena is laid out as `layout` says, by default in the way of which the image has more. `inputs` are what the
    device was fed, to prove the layout by. Raises `InputError` if the file cannot be read, the operator does not
    exist, the model runs subgraphs, or nothing in the image proves a layout.
    """
    if any(step.calls for step in plan.steps):
        raise InputError("an image is read of models without called subgraphs; dump tensors by name instead")
    time = _time(plan, after)
    with located(str(path)):
        image = read_bytes(Path(path), plan.memory)[at:]
    found = {each: _read(image, _blocks(plan, each), time) for each in ([layout] if layout else LAYOUTS)}
    proofs = {each: _proof(plan, tensors, inputs) for each, (tensors, _) in found.items()}
    best = max(found, key=lambda each: len(proofs[each]))
    tensors, left = found[best]
    where = f"{path}: the arena is read {LAYOUTS[best]}, after operator {plan.steps[time - 1].index}"
    if not proofs[best]:
        raise InputError(f"{where}, and nothing in it is what refengine computes there{_hint(plan, image, inputs, at)}")
    proof = ", ".join(spelt(plan.graph.tensors[i]) for i in proofs[best])
    notes = (f"{where}; that this is right is shown by {proof}", *left)
    return Dump(str(path), tensors, notes=notes)


def _time(plan: Plan, after: int | None) -> int:
    """The time when that operator had run."""
    if after is None:
        return len(plan.steps)
    places = {step.index: place for place, step in enumerate(plan.steps, 1)}
    if after not in places:
        raise InputError(f"there is no operator {after}; they are {plan.steps[0].index} to {plan.steps[-1].index}")
    return places[after]


def _blocks(plan: Plan, layout: Layout) -> list[_Block]:
    tensors = plan.graph.tensors
    if layout == "tflm":
        return [
            _Block(tensors[p.tensor[1]] if p.tensor else None, p.offset, p.buffer.bytes, p.buffer.first)
            for p in placed(plan)
        ]
    written = {t.index: time for time, step in enumerate(plan.steps, 1) for t in step.outputs}
    return [
        _Block(tensors[index], offset, _bytes(tensors[index]), written.get(index, 0))
        for index, offset in offsets_of(plan).items()
    ]


def _bytes(tensor: Tensor) -> int:
    return int(np.prod(tensor.shape)) * np.dtype(tensor.dtype).itemsize


def _read(image: bytes, blocks: Sequence[_Block], time: int) -> tuple[dict[int, Array], list[str]]:
    """The tensors that are whole in the image at that time, and sentences about those that were computed and are not."""
    tensors: dict[int, Array] = {}
    overlaid, outside = [], []
    there = [block for block in blocks if block.written <= time]
    for block in there:
        if block.tensor is None:
            continue
        if any(block.written < other.written and block.overlaps(other) and not _is_same(block, other) for other in there):
            overlaid.append(spelt(block.tensor))
        elif block.offset + block.bytes > len(image):
            outside.append(spelt(block.tensor))
        else:
            tensors[block.tensor.index] = as_tensor(block.tensor, image[block.offset : block.offset + block.bytes])
    told = [f"overlaid by then, and not read: {', '.join(overlaid)}"] if overlaid else []
    told += [f"beyond the image's {len(image):,} bytes, and not read: {', '.join(outside)}"] if outside else []
    return tensors, told


def _is_same(block: _Block, other: _Block) -> bool:
    """Whether the other has the same bytes: only what copies in place is laid over what it reads."""
    return (block.offset, block.bytes) == (other.offset, other.bytes) and block.tensor is not None
