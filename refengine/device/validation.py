"""Many inferences on a device, each held against the golden model: how close, how right, how fast.

The figures are those of ST's `validate`, of an output's real values r (refengine's) and d (the device's), over all
inferences: RMSE, the root of the mean of (d − r)²; MAE, the mean of |d − r|; L2r, ‖d − r‖ / ‖r‖; NSE, 1 − Σ(d − r)² /
Σ(r − mean r)² (Nash and Sutcliffe 1970); COS, the cosine of the angle between d and r. Sums are kept in float64.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf, nan, sqrt
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from ..accuracy import answers_of, class_count
from ..execute import execute
from ..model import Array, Tensor
from ..plan import Plan
from ..state import State
from ..tensors.difference import unlike
from ..tensors.stats import real_values
from .client import Device, DeviceRun
from .recording import Recording, apart_from, crcs_of, device_plan, output_steps, outputs_of, record
from .transport import DeviceError, LostError

PATIENCE = 30.0
"""Seconds to wait for a line that was lost."""

AGAIN = 1.0
"""Seconds between two attempts to find it."""

Inferences = Sequence[tuple[Array, ...]]
"""Their inputs."""

T = TypeVar("T")

LOSSES = 3
"""So often in a row a line may be lost over one inference."""


@dataclass(frozen=True, eq=False)
class Sample:
    """What a device shall run: one `inference` after the other, whose last output's class should be `label`.

    A model that remembers begins each sample afresh.
    """

    name: str
    inferences: Sequence[tuple[Array, ...]]
    label: int | None = None


@dataclass
class Closeness:
    """How close the device's values of one output are to refengine's, see the module; `equal` of `elements` are the
    same bits. What is not defined (no values, no variance) is NaN."""

    tensor: Tensor
    elements: int = 0
    equal: int = 0
    _errors: float = 0.0
    _squares: float = 0.0
    _mine: float = 0.0
    _mine_squares: float = 0.0
    _theirs_squares: float = 0.0
    _products: float = 0.0

    def add(self, mine: Array, theirs: Array) -> None:
        """One inference's values: codes or float32, of one shape."""
        self.elements += mine.size
        self.equal += int(np.count_nonzero(~unlike(mine, theirs)))
        r, d = (self._real(x) for x in (mine, theirs))
        with np.errstate(all="ignore"):  # of infinities and NaN, which become the figures
            self._errors += float(np.abs(d - r).sum())
            self._squares += float(((d - r) ** 2).sum())
            self._mine += float(r.sum())
            self._mine_squares += float((r * r).sum())
            self._theirs_squares += float((d * d).sum())
            self._products += float((d * r).sum())

    def _real(self, values: Array) -> Array:
        """(elements,), float64: of codes without a scale, the codes."""
        real = real_values(self.tensor, values)
        return np.asarray((values if real is None else real).astype(np.float64).ravel())

    @property
    def rmse(self) -> float:
        return sqrt(self._squares / self.elements) if self.elements else nan

    @property
    def mae(self) -> float:
        return self._errors / self.elements if self.elements else nan

    @property
    def l2r(self) -> float:
        return _ratio(sqrt(self._squares), sqrt(self._mine_squares))

    @property
    def nse(self) -> float:
        variation = self._mine_squares - self._mine * self._mine / self.elements if self.elements else 0.0
        return 1 - _ratio(self._squares, max(variation, 0.0))

    @property
    def cos(self) -> float:
        return _ratio(self._products, sqrt(self._mine_squares) * sqrt(self._theirs_squares))


def _ratio(a: float, b: float) -> float:
    return a / b if b else nan


@dataclass
class StepTally:
    """A step of the device over all inferences: its ticks, and in how many its output was not refengine's."""

    runs: int = 0
    ticks: int = 0
    least: float = inf
    most: int = 0
    differing: int = 0

    def add(self, ticks: int, differs: bool) -> None:
        self.runs, self.ticks, self.differing = self.runs + 1, self.ticks + ticks, self.differing + differs
        self.least, self.most = min(self.least, ticks), max(self.most, ticks)


@dataclass
class Validation:
    """What was found so far. `differing` are (place, name) of the samples with a step whose output is not refengine's;
    `confusion[true class, answer]` counts the labelled ones, on the device and here; `lost`, how often the line was;
    `restarts`, how often the device began anew."""

    steps: list[StepTally]
    outputs: list[Closeness]
    samples: int = 0
    inferences: int = 0
    differing: list[tuple[int, str]] = field(default_factory=list)
    theirs: npt.NDArray[np.int64] | None = None
    mine: npt.NDArray[np.int64] | None = None
    lost: int = 0
    restarts: int = 0


class Board:
    """A device that is found again when the line to it was lost, for `patience` seconds. Use it in a `with` statement.

    `connect` gives the device anew each time, and raises `LostError` where it is not there yet.
    """

    def __init__(self, connect: Callable[[], Device], plan: Plan, patience: float = PATIENCE) -> None:
        self.connect, self.plan, self.patience, self.lost = connect, plan, patience, 0
        self._restarts = 0  # of the devices before
        self._meet()

    def __enter__(self) -> Board:
        return self

    def __exit__(self, *_: object) -> None:
        self.device.line.close()

    @property
    def restarts(self) -> int:
        """How often it began anew."""
        return self._restarts + self.device.restarts

    def run(self, inputs: Sequence[Array], before: Inferences = ()) -> DeviceRun:
        """One inference, with the model's outputs. Raises `DeviceError`."""
        return self._patiently(lambda device: device.run(inputs, output_steps(device), before=before))

    def record(self, inputs: Sequence[Array], before: Inferences = ()) -> Recording:
        """One inference, with every tensor. Raises `DeviceError`."""
        return self._patiently(lambda device: record(device, self.plan, inputs, before=before))

    def _patiently(self, work: Callable[[Device], T]) -> T:
        for left in reversed(range(LOSSES)):
            try:
                return work(self.device)
            except LostError as error:
                if not left:
                    raise
                self._find_again(error)
        raise AssertionError("the last attempt returns or raises")

    def _meet(self) -> None:
        self.device = self.connect()
        self.golden = device_plan(self.device, self.plan)

    def _find_again(self, lost: LostError) -> None:
        with suppress(DeviceError, OSError):
            self.device.line.close()
        self.lost += 1
        counted, end = self.restarts, time.monotonic() + self.patience
        while True:
            try:
                self._meet()
                self._restarts = counted
                return
            except LostError:
                if time.monotonic() > end:
                    raise LostError(f"{lost}; it did not come back within {self.patience:.0f} s") from lost
                time.sleep(AGAIN)


def validate(
    board: Board,
    samples: Iterable[Sample],
    differs: Callable[[int, Sample, tuple[Array, ...], Inferences], object] = lambda *_: None,
) -> Iterator[Validation]:
    """Run `samples` on the board and here; yield what was found so far after each: one `Validation`, which grows.

    `differs` is told of each inference in which a step differs: the sample's place, the sample, the inputs, and those
    before it that the model remembers; it may ask the board to `record` them. Raises `DeviceError` when the line is
    lost for good, and `InferenceError` where TFLM would fail.
    """
    plan = board.golden
    found = Validation([StepTally() for _ in board.device.steps], [Closeness(tensor) for tensor in plan.outputs])
    for place, sample in enumerate(samples):
        different, last, state = False, None, plan.initial
        for number, inputs in enumerate(sample.inferences):
            before = sample.inferences[:number] if plan.initial else ()
            run = board.run(inputs, before)
            wrong, mine, state = _expected(board, inputs, run, state)
            last = mine, outputs_of(board.device, run)
            for step, ticks, apart in zip(found.steps, run.ticks, wrong, strict=True):
                step.add(ticks, apart)
            for closeness, *values in zip(found.outputs, *last, strict=True):
                closeness.add(*values)
            if any(wrong):
                different = True
                differs(place, sample, inputs, before)
            found.inferences += 1
        if sample.label is not None and last:
            _count(found, plan, sample.label, *last)
        if different:
            found.differing.append((place, sample.name))
        found.samples, found.lost, found.restarts = place + 1, board.lost, board.restarts
        yield found


def _expected(
    board: Board, inputs: tuple[Array, ...], run: DeviceRun, state: State
) -> tuple[list[bool], list[Array], State]:
    """Which of the device's steps differ, refengine's outputs, and what lives on, of one pass."""
    wanted = {tensor.index for tensor in board.golden.outputs}
    crcs: dict[int, int | None] = {}
    outputs: dict[int, Array] = {}
    for step in execute(board.golden, *inputs, state=state):
        state = step.state
        crcs |= crcs_of([step])
        outputs |= {
            t.index: x
            for t, x in zip(step.step.outputs, step.outputs, strict=True)
            if not step.path and t.index in wanted
        }
    return apart_from(crcs, board.device, run), [outputs[t.index] for t in board.golden.outputs], state


def _count(found: Validation, plan: Plan, label: int, mine: Sequence[Array], theirs: Sequence[Array]) -> None:
    """The answers of a labelled sample, in both tables."""
    if found.mine is None or found.theirs is None:
        classes = class_count(plan)
        found.mine, found.theirs = (np.zeros((classes, classes), np.int64) for _ in range(2))
    for confusion, (scores,) in ((found.mine, mine), (found.theirs, theirs)):
        confusion[label, answers_of(plan, scores)[0]] += 1
