"""Memory images: a device's arena as a debugger copied it when the firmware stood still, as a dump.

Tensors share the arena, so an image holds few of them: those that were computed by then, and not overlaid since. Which
bytes are whose is the planner's choice, TFLM's or ours, which is computed here and proven by the image itself: nothing
is taken from it unless some of it is what refengine computes at that very place, or whoever gives it says whose it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ..allocation import placed
from ..cexport import offsets_of
from ..errors import InferenceError, InputError, UnsupportedError, located
from ..execute import execute, kept
from ..memory import ALIGNMENT
from ..model import Array, Tensor
from ..plan import Plan, Step
from ..reading.links import fixed_values
from ..tensors.arrays import read_bytes
from ..tensors.difference import unlike
from ..text import printable
from .dumps import Dump, as_tensor, spelled

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

    Operator k, counted in the order in which they run, writes at time k + 1; inputs are there at time 0. `source` is
    the tensor of which it is a copy in place.
    """

    tensor: Tensor | None
    offset: int
    bytes: int
    written: int
    source: int | None = None

    def overlays(self, other: _Block) -> bool:
        """Whether what was in the other is not there any more. A copy in place leaves what it reads."""
        if self.written <= other.written or (other.tensor and self.source == other.tensor.index):
            return False
        return self.meets(other)

    def meets(self, other: _Block) -> bool:
        """Whether they share a byte."""
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
    device was fed, to prove the layout by. Raises `InputError` if the file cannot be read, or ends before `at`, the
    operator does not exist, the model runs subgraphs, nothing in the image proves a layout that is not given, or what
    it holds shows that later operators had run, too.
    """
    for step in plan.steps:
        if step.calls:
            raise InputError(
                f"{step} runs other subgraphs, and an image is read of models without called subgraphs; "
                "dump tensors by name instead"
            )
    time = _time(plan, after)
    with located(str(path)):
        data = read_bytes(Path(path), plan.memory)
        if not 0 <= at < len(data):
            raise InputError(f"an image of {len(data)} bytes; no arena begins at byte {at} of it")
    image = data[at:]
    readings = []
    for each in [layout] if layout else LAYOUTS:
        with suppress(UnsupportedError) if layout is None else nullcontext():  # not every model exports
            readings.append(_Reading(plan, image, each, _blocks(plan, each), time, inputs))
    best = max(readings, key=lambda reading: reading.likelihood)
    alike = [each for each in readings if each.tensors.keys() == best.tensors.keys() and each.proof == best.proof]
    ways = ", and ".join(LAYOUTS[each.layout] for each in alike)
    where = f"{path}: the arena is read {ways}, after operator {plan.steps[time - 1].index}"
    proof = "that this is right is shown by " + ", ".join(spelled(plan.graph.tensors[i]) for i in best.proof)
    if not best.proof:
        hint = _hint(plan, image, inputs, at, [block for each in readings for block in each.blocks])
        if layout is None or "lies at byte" in hint:
            raise InputError(f"{where}, and nothing in it is what refengine computes there; {hint}")
        proof = "nothing in it shows that this is right: it was said so"
    tensors, moved = best.found()
    if not moved:
        best.require_nothing_later(where)
    notes = (f"{where}; {proof}", *best.left_out, *moved, *best.before())
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
    offsets = offsets_of(plan)
    written = {t.index: (time, step) for time, step in enumerate(plan.steps, 1) for t in step.outputs}
    blocks = []
    for index, offset in offsets.items():
        time, step = written.get(index, (0, None))
        copied = step.inputs[0] if step and step.facts.copies else None
        source = copied.index if copied and offsets.get(copied.index) == offset else None
        blocks.append(_Block(tensors[index], offset, _bytes(tensors[index]), time, source))
    return blocks


def _bytes(tensor: Tensor) -> int:
    return int(np.prod(tensor.shape)) * np.dtype(tensor.dtype).itemsize


class _Reading:
    """An image under one layout: `tensors` that are whole at that time, sentences about computed ones that are not
    (`left_out`), and the tensors that show that the layout is right (`proof`)."""

    def __init__(
        self,
        plan: Plan,
        image: bytes,
        layout: Layout,
        blocks: Sequence[_Block],
        time: int,
        inputs: tuple[Array, ...],
        golden: Mapping[int, Array] | None = None,
    ) -> None:
        self.plan, self.image, self.layout, self.blocks, self.time = plan, image, layout, blocks, time
        self.tensors, self.left_out = self._whole([block for block in blocks if block.written <= time])
        self.golden = _golden(plan, self.tensors, inputs) if golden is None else golden
        known = [i for i in self.tensors if i in self.golden]
        self.differing = [i for i in known if unlike(self.golden[i], self.tensors[i]).any()]
        self.proof = [i for i in known if i not in self.differing and _tells(self.tensors[i])]

    @property
    def likelihood(self) -> tuple[int, int, bool]:
        """The more is as expected, the less is not; of equals, that of which the image has the size."""
        end = max(block.offset + block.bytes for block in self.blocks)
        return len(self.proof), -len(self.differing), len(self.image) - end in range(ALIGNMENT)

    def _whole(self, there: Sequence[_Block]) -> tuple[dict[int, Array], list[str]]:
        tensors: dict[int, Array] = {}
        overlaid, outside = [], []
        for block in there:
            end = block.offset + block.bytes
            if block.tensor is None:
                continue
            if any(other.overlays(block) for other in there):
                overlaid.append(spelled(block.tensor))
            elif end > len(self.image):
                outside.append(spelled(block.tensor))
            else:
                tensors[block.tensor.index] = as_tensor(block.tensor, self.image[block.offset : end])
        told = [f"overlaid by then, and not read: {', '.join(overlaid)}"] if overlaid else []
        told += [f"beyond the image's {len(self.image):,} bytes: {', '.join(outside)}"] if outside else []
        return tensors, told

    def found(self) -> tuple[dict[int, Array], list[str]]:
        """The tensors, those that differ looked for elsewhere: other kernels' scratch buffers make another layout.

        Where one is found, the places of the others that differ are not known, and they are left out.
        """
        wanted = {i: self.golden[i].tobytes() for i in self.differing if _tells(self.golden[i])}
        elsewhere = {i: place for i, data in wanted.items() if (place := self.image.find(data)) >= 0}
        if not elsewhere:
            return self.tensors, []
        spelt = {i: spelled(self.plan.graph.tensors[i]) for i in self.differing}
        told = ", ".join(f"{spelt[i]} at byte {place:,}" for i, place in elsewhere.items())
        notes = [f"laid out otherwise, which other kernels' scratch buffers do: {told}"]
        lost = [i for i in self.differing if i not in elsewhere]
        if lost:
            notes.append(f"not where it was looked for, and so not judged: {', '.join(spelt[i] for i in lost)}")
        known = {i: x for i, x in self.tensors.items() if i not in self.differing}
        return known | {i: self.golden[i] for i in elsewhere}, notes

    def _at(self, time: int) -> _Reading:
        """The same image, had it been taken at another time."""
        return _Reading(self.plan, self.image, self.layout, self.blocks, time, (), self.golden)

    def _shown_at(self, other: _Reading) -> list[int]:
        """Tensors that are right if the image was taken at the other time, and should not be there if not: nothing that
        is right lies over them, and they are not the same in every inference."""
        places = {b.tensor.index: b for b in self.blocks if b.tensor}
        right, same = [places[i] for i in self.proof], fixed_values(self.plan)
        return [i for i in other.proof if i not in same and not any(places[i].meets(block) for block in right)]

    def _better(self, times: Iterable[int]) -> tuple[_Reading, list[int]] | None:
        """The reading at the time of which the image shows most, with what shows it, if less differs then."""
        others = [(other, shown) for time in times if (shown := self._shown_at(other := self._at(time)))]
        others = [each for each in others if len(each[0].differing) < len(self.differing)]
        return max(others, key=lambda each: (len(each[1]), -len(each[0].differing)), default=None)

    def require_nothing_later(self, where: str) -> None:
        """Raise `InputError` if what should not be there yet is there: what is overlaid by it would be blamed."""
        if self.differing and (found := self._better(range(self.time + 1, len(self.plan.steps) + 1))):
            later, shown = found
            raise InputError(
                f"{where}, and what later operators compute is there, too: {self._spelled(shown)}; if the image was "
                f"taken later, say --after {later.step.index}"
            )

    def before(self) -> Iterator[str]:
        """A note, if what should be overlaid by now is whole."""
        if self.differing and (found := self._better(range(1, self.time))):
            earlier, shown = found
            yield (
                f"what should be overlaid by then is whole: {self._spelled(shown)}; what came after {earlier.step} has "
                f"not run, or the image was taken before, which --after {earlier.step.index} says"
            )

    @property
    def step(self) -> Step:
        """The last step that had run."""
        return self.plan.steps[self.time - 1]

    def _spelled(self, tensors: Iterable[int]) -> str:
        return ", ".join(spelled(self.plan.graph.tensors[i]) for i in tensors)


def _golden(plan: Plan, tensors: Mapping[int, Array], inputs: tuple[Array, ...]) -> dict[int, Array]:
    """What refengine computes of the inputs given, or else of those in the image; nothing without either."""
    fed = inputs or tuple(tensors[t.index] for t in plan.inputs if t.index in tensors)
    if len(fed) != len(plan.inputs):
        return {}
    golden = {t.index: x for t, x in zip(plan.inputs, inputs, strict=False)}
    with suppress(InferenceError):  # what is read at the wrong place may be an index beyond its range
        for record in kept(plan, execute(plan, *fed)):
            golden |= {t.index: x for t, x in zip(record.step.outputs, record.outputs, strict=True)}
    return golden


def _tells(x: Array) -> bool:
    """Whether it is no chance that this is somewhere: enough bytes, and not all alike."""
    return x.nbytes >= TELLING and len(set(x.tobytes())) > 1


def _hint(plan: Plan, image: bytes, inputs: tuple[Array, ...], at: int, blocks: Sequence[_Block]) -> str:
    """Where the inputs do lie, if they are there as a whole. At their place, they are not overlaid yet."""
    for tensor, x in zip(plan.inputs, inputs, strict=False):
        data = x.tobytes()
        if len(set(data)) > 1 and (place := image.find(data)) >= 0:
            where = f"input '{printable(tensor.name)}' lies at byte {place + at}"
            if any(b.tensor and b.tensor.index == tensor.index and b.offset == place for b in blocks):
                return f"{where}, its own place: say --after which earlier operator the image was taken"
            return f"{where}: say where the arena begins by --at"
    if not inputs:
        return "give the --input"
    return "stop after an earlier operator, where the input is there still, or say whose --layout it is"
