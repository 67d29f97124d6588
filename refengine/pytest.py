"""Hold a runtime, a dump or kernels against the golden model in a test: it fails with which operator, how far, and why.

    from refengine.pytest import assert_golden

    assert_golden("model.tflite", lambda x: my_runtime("model.tflite", x), image)  # a callable: outputs, or any tensors
    assert_golden("model.tflite", "dump.npz", image)                               # a dump: an .npz or a folder

A library of kernels (`refengine_fuzz.h`) is held against it likewise, by its path.

The fixture `refengine_golden` keeps what is right in a file beside the test, which ``pytest --refengine-update`` writes
anew. pytest finds both by itself where refengine is installed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from traceback import walk_tb
from typing import Any

import numpy as np

from .errors import InputError, RefengineError, UnsupportedError
from .execute import Record, execute, frames, kept
from .files import write_npz
from .fuzzer import Command, Door, Library
from .fuzzer.calls import Calls
from .fuzzer.network import computed_by
from .judge import Dump, Report, diff, dump_of, read_dump
from .judge.faults import dialects
from .judge.text import lines
from .kernel import PRESETS, Numerics
from .model import Array
from .plan import Plan, Source, make_plan, plan_of, require_whole
from .state import State
from .tensors.arrays import META
from .tensors.difference import unlike
from .text import SCHEMA, as_json, counted, kind_of

Outputs = Array | Sequence[Array] | Mapping[str, Array]
"""What a runtime answers: the model's outputs, or any of its tensors, by name, by index, or as ``t`` and its index."""

Theirs = Callable[..., Any] | Mapping[str, Array] | Dump | str | os.PathLike[str]
"""What is held against the golden model, see `assert_golden`."""

LIBRARIES = {".dll", ".dylib", ".so"}
"""How the names of libraries of kernels end."""

FOLDER = "golden"
"""Where golden files are kept, beside the test's file."""


def assert_golden(source: Source, theirs: Theirs, *inputs: Array, numerics: Numerics | str | None = None) -> None:
    """Hold `theirs` against the golden model of `source`, bit for bit.

    `theirs` is one of

    - a callable, which takes an array for each input and answers with `Outputs`. Of a mapping all tensors are judged,
      so that the verdict names the operator at fault. `inputs` may hold several inferences, as `execute.frames` takes
      them; each is handed over alone, in copies that a runtime may write over, and where the model remembers something
      they are one stream;
    - a mapping of such tensors;
    - a dump, or the path of one, as `refengine diff` reads them; without `inputs` it is judged on its own;
    - kernels: the path of a library with a `refengine_kernel`, or another door of `refengine.fuzzer`. The network is
      computed by them, operator by operator.

    `numerics` is the dialect, where `source` is no plan: by default what a recording says, or TFLM's own. Arrays are of
    the declared dtypes and shapes; only a dump is read more generously.

    Raises `AssertionError` with the verdict if anything differs; `RefengineError` if nothing can be compared.
    """
    __tracebackhide__ = True
    try:
        told = "\n".join(_different(source, theirs, inputs, numerics))
    except RefengineError as error:
        raise error.with_traceback(None) if _is_ours(error) else error from None
    if told:
        raise AssertionError(told)


def _is_ours(error: RefengineError) -> bool:
    """Whether nobody else's code was running: then the sentence says all, and the way to it nothing."""
    files = (frame.f_code.co_filename for frame, _ in walk_tb(error.__traceback__))
    return all(Path(file).is_relative_to(Path(__file__).parent) for file in files)


def _different(
    source: Source, theirs: Theirs, inputs: tuple[Array, ...], numerics: Numerics | str | None
) -> Iterator[str]:
    """What differs, line by line."""
    door = _door(theirs)
    if door is None and isinstance(theirs, str | os.PathLike | Dump):
        report = diff(source, theirs, *inputs, numerics=numerics)
        require_whole(report.plan, "assert_golden")  # what nobody knows is like anything
        yield from _told(report)
        return
    plan = plan_of(source, numerics=numerics)
    require_whole(plan, "assert_golden")
    if door is not None:
        with closing(door) if isinstance(door, Library) else nullcontext():
            yield from _told(diff(plan, computed_by(door, plan, *inputs, name=_name(theirs)), *inputs))
    elif isinstance(theirs, Mapping):
        answer = _held(plan, theirs, "the mapping")
        misfits = [*_misfits(plan, answer, "the mapping")]
        yield from misfits or _told(diff(plan, _answered(plan, answer, (), "the mapping"), *inputs))
    elif callable(theirs):
        yield from _compared(plan, theirs, inputs)
    else:
        raise InputError(f"nothing can be compared with {theirs!r}: give a callable, a mapping, a dump or a library")


def _door(theirs: Theirs) -> Door | None:
    """The way to kernels, if it is one."""
    if isinstance(theirs, str | os.PathLike) and Path(theirs).suffix.lower() in LIBRARIES:
        return Library(theirs)
    return theirs if isinstance(theirs, Calls | Command) else None


def _name(theirs: object) -> str:
    """What reports call it."""
    return str(theirs) if isinstance(theirs, str | os.PathLike) else getattr(theirs, "__name__", type(theirs).__name__)


def _told(report: Report, differs: bool = False) -> Iterator[str]:
    """The report, if anything differs, or is known to differ."""
    if differs or report.differs:
        yield f"{report.dump.name} is not what the golden model computes ({report.plan.numerics})"
        yield from lines(report)


def _compared(plan: Plan, runtime: Callable[..., Outputs], inputs: tuple[Array, ...]) -> Iterator[str]:
    """The first inference that a runtime gets wrong, how many more those are, and whose arithmetic all of them are."""
    cases = frames(plan, inputs)
    if not cases:
        raise InputError("the inputs hold no inference: there is nothing to compare")
    answers = [_held(plan, runtime(*(x.copy() for x in case)), _name(runtime)) for case in cases]
    if misfits := [line for answer in answers for line in _misfits(plan, answer, _name(runtime))]:
        yield from dict.fromkeys(misfits)
        return
    dumps = [_answered(plan, answer, case, _name(runtime)) for answer, case in zip(answers, cases, strict=True)]
    states = list(_wrong(plan, cases, dumps))
    wrong = [number for number, state in enumerate(states) if state is not None]
    if not wrong:
        return
    first, state = wrong[0], states[wrong[0]]
    if len(cases) > 1:
        yield f"{len(wrong)} of {len(cases)} inferences differ, the first of them inputs[{first}]"
        if clauses := list(_dialects(plan, cases, dumps)):
            yield f"all {len(cases)} are equal under {', or '.join(clauses)}"
    yield from _told(diff(plan, dumps[first], *cases[first], state=state), differs=True)


def _dialects(plan: Plan, cases: Sequence[tuple[Array, ...]], dumps: Sequence[Dump]) -> Iterator[str]:
    """What the dialects are called in which nothing differs."""
    for numerics, clause in dialects(plan.numerics).items():
        with suppress(UnsupportedError):  # a dialect that nobody knows of this operator
            other = make_plan(plan.model, numerics=numerics, kernels=plan.kernels, memory=plan.memory)
            if all(state is None for state in _wrong(other, cases, dumps)):
                yield clause


def _wrong(plan: Plan, cases: Sequence[tuple[Array, ...]], dumps: Sequence[Dump]) -> Iterator[State | None]:
    """Of each inference the state before it if it is not as the plan computes it, else None."""
    state = plan.initial
    for case, dump in zip(cases, dumps, strict=True):
        given = {tensor.index: x for tensor, x in zip(plan.inputs, case, strict=True)}
        before, differs = state, bool(dump.problems) or any(unlike(x, dump.tensors[i]).any() for i, x in given.items())
        for record in execute(plan, *case, state=before):
            differs |= not record.path and any(
                np.any(unlike(right, dump.tensors[tensor.index]) & (True if mask is None else ~mask))
                for tensor, right, mask in zip_longest(record.step.writes, _results(record), record.undefined)
                if tensor.index in dump.tensors
            )
            state = record.state
        yield before if differs else None


def _held(plan: Plan, answer: Outputs, name: str) -> Mapping[str, Array]:
    """A runtime's answer by tensor, in copies: its next inference may reuse the memory."""
    if not isinstance(answer, Mapping):
        outputs = tuple(answer) if isinstance(answer, list | tuple) else (answer,)
        if len(outputs) != len(plan.outputs):
            raise InputError(f"the model has {counted(len(plan.outputs), 'output')}; {name} gave {len(outputs)}")
        answer = {str(tensor.index): x for tensor, x in zip(plan.outputs, outputs, strict=True)}
    for key, x in answer.items():
        if not isinstance(x, np.ndarray | np.generic):
            raise InputError(f"{name} gave {kind_of(x)} for tensor {key}; give NumPy's arrays")
    return {key: np.array(x) for key, x in answer.items()}


def _misfits(plan: Plan, answer: Mapping[str, Array], name: str) -> Iterator[str]:
    """Tensors of another type or shape than the model's, though a dump with such numbers could be read."""
    for key, x in answer.items():
        read: Mapping[int, Array] = {}
        with suppress(InputError):  # for which the whole answer is refused
            read = dump_of(plan, {key: x}, name).tensors
        for index, right in read.items():
            if (x.dtype, x.shape) != (right.dtype, right.shape):
                tensor = f"tensor {index} '{plan.graph.tensors[index].name}'"
                yield f"{name} gives {x.dtype} {x.shape} for {tensor}, {right.dtype} {right.shape} is right"


def _answered(plan: Plan, answer: Mapping[str, Array], case: tuple[Array, ...], name: str) -> Dump:
    """A runtime's answer as a dump, with what it was fed."""
    dump = dump_of(plan, answer, name)
    if not dump.problems and dump.tensors.keys() <= {
        tensor.index for tensor in plan.inputs if tensor not in plan.outputs
    }:
        raise InputError(f"{name} gave the model's inputs only: there is nothing to compare")
    fed = {tensor.index: x for tensor, x in zip(plan.inputs, case, strict=False)}
    return replace(dump, tensors=fed | {**dump.tensors}, problems=(*dump.problems, *dump.notes), notes=())


def _results(record: Record) -> tuple[Array, ...]:
    """What a step writes, in the order of `Step.writes`."""
    return (*record.outputs, *record.updates)


# ---- golden files ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Golden:
    """A plan, the inputs of one inference, and the file in which every tensor of it is kept."""

    plan: Plan
    inputs: tuple[Array, ...]
    path: Path

    @property
    def outputs(self) -> tuple[Array, ...]:
        """What is right, as `run` gives it."""
        tensors = read_dump(self.plan, self.path).tensors
        return tuple(tensors[tensor.index] for tensor in self.plan.outputs)

    def check(self, theirs: Theirs) -> None:
        """Hold `theirs` against it, as `assert_golden` does."""
        __tracebackhide__ = True
        assert_golden(self.plan, theirs, *self.inputs)


class GoldenFiles:
    """The golden files of one test, in a `folder`: what the fixture `refengine_golden` is.

        def test_my_board(refengine_golden):
            refengine_golden("model.tflite", image).check(my_runtime)

    A call gives the golden model of one inference, and holds it against the file of that test: another model file, or a
    refengine that computes something else, fails until the file is renewed (`update`). `refengine diff MODEL FILE`
    reads it, and so does firmware by any reader of .npz. `written` are the files that were written.
    """

    def __init__(self, folder: Path, test: str, update: bool = False) -> None:
        self.folder, self.test, self.update = folder, test, update
        self.written: list[Path] = []
        self._calls = 0

    def __call__(self, source: Source, *inputs: Array, numerics: Numerics | str | None = None) -> Golden:
        """Raises `AssertionError` for a file that is missing or holds something else, and what `execute` raises."""
        __tracebackhide__ = True
        plan = plan_of(source, numerics=numerics)
        if any(x.shape != tensor.shape for x, tensor in zip(inputs, plan.inputs, strict=False)):
            raise InputError("a golden file holds one inference; call refengine_golden for each")
        self._calls += 1
        number = f"-{self._calls}" if self._calls > 1 else ""
        path = self.folder / f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', self.test).strip('-')}{number}.npz"
        if self.update:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_npz(path, _kept(plan, inputs), compressed=True)
            self.written.append(path)
        if told := "\n".join(_outdated(plan, inputs, path)):
            raise AssertionError(f"{told}\npytest --refengine-update writes it anew, if that is meant")
        return Golden(plan, inputs, path)


def _kept(plan: Plan, inputs: tuple[Array, ...]) -> dict[str, Array]:
    """What a golden file holds: a dump of every tensor that the main graph computes, and of the inputs."""
    name = PRESETS.name(plan.numerics)
    facts = {"schema": SCHEMA, "sha256": plan.model.sha256} | ({"numerics": name} if name in PRESETS else {})
    tensors = {f"t{tensor.index}": x for tensor, x in zip(plan.inputs, inputs, strict=False)}
    for record in kept(plan, execute(plan, *inputs)):
        pairs = zip(record.step.writes, _results(record), strict=True)
        tensors |= {f"t{t.index}": x for t, x in pairs if not record.path and t.index not in record.unknown}
    return {META: np.array(as_json(facts, indent=None)), **tensors}


def _outdated(plan: Plan, inputs: tuple[Array, ...], path: Path) -> Iterator[str]:
    """What a golden file holds that is not so any more."""
    if not path.exists():
        yield f"there is no golden file {path}"
        return
    try:
        report = diff(plan, read_dump(plan, path), *inputs)
    except InputError as error:
        yield str(error)
        return
    if report.differs:
        yield f"{path} holds something else than the golden model computes now ({plan.numerics})"
        yield from lines(report)
    elif any(finding.status == "absent" for finding in report.findings):
        yield f"{path} does not hold all tensors that the golden model computes"
