"""The search: cases weighted to the known traps, until one fails; that one shrunk, and explained.

Work is cut into chunks that depend on nothing but the operator, the type and the seed. Of an operator at a type, the
chunks up to the first one that fails count, whoever computed which: hence the same result whatever the split. Then what
was found is set aside, if one can say what it is, and the search goes on for the next fault.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from itertools import islice
from types import ModuleType
from typing import Any, NamedTuple

from ..errors import InputError, instead, require_names
from ..judge.evidence import Certainty
from ..kernel import Facts, Kernels, Numerics, dialect
from ..kernels import KERNELS, require_kernels
from ..parallel import spread
from ..text import counted, kind_of, printed
from .aside import Aside, Only, close, require_traits
from .case import Case, Door, Outcome, check
from .reasons import Reason, explains, of_some, reason
from .simplify import simplified
from .traits import Common, in_common

CHUNK = 250
"""Cases that one task tries."""

ENOUGH = 20
"""Failing cases after which a chunk ends; as many that pass are kept, to tell a reason from a coincidence."""

COMPARED, RUNS = 100, 20
"""How many failing cases to compare with as many that pass, and the most runs of Hypothesis for that: 1000 cases."""

PATIENCE = 3
"""Hangs after which a chunk ends, since each of them costs a time-out; shrinking takes three times as many."""

UNCLAIMED = 100
"""Skipped cases after which a chunk ends in which the kernel claimed none."""

ATTEMPTS = 3000
"""How many cases shrinking one failure may try."""

FINDINGS = 3
"""Faults of an operator at a type to look for at most, unless one says otherwise."""

STARTS, SMALL = 3, 8
"""How many failures to shrink while what is left of them has more than so many elements: some get stuck early."""


@dataclass(frozen=True, eq=False)
class Finding:
    """A fault: the smallest `case` found that has it, its `outcome`, and what explains the failing cases, if anything.

    `evidence` is how many failing cases that reason was sought in; `common` what they have in common otherwise.
    """

    case: Case
    outcome: Outcome
    evidence: int
    reason: Reason | None
    common: Common | None = None

    @property
    def verdict(self) -> str:
        """One sentence."""
        if self.outcome.kind != "differs":
            return f"the kernel {self.outcome.message}"
        if self.reason is not None:
            return str(self.reason)
        cases = "this case" if self.evidence == 1 else f"the {self.evidence} failing cases"
        return f"no dialect and no known fault explains {cases}: a bug"

    @property
    def certainty(self) -> Certainty:
        """How certain its cause is: ``certain``, ``likely`` or ``open``."""
        return "open" if self.reason is None else self.reason.certainty

    def set_aside(self, door: Door) -> Door | None:
        """The door without this fault, or None if there is no saying which cases have it."""
        aside = door if isinstance(door, Aside) else Aside(door)
        if self.common is not None and not (self.reason and self.reason.complete):
            return replace(aside, traits=(*aside.traits, self.common.trait))
        if self.reason is not None:
            return replace(aside, reasons=(*aside.reasons, self.reason))
        return None if self.outcome.kind == "differs" else replace(aside, kinds=(*aside.kinds, self.outcome.kind))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "kind": self.outcome.kind,
            "verdict": self.verdict,
            "certainty": self.certainty,
            "reason": self.reason and self.reason.as_dict(),
            "evidence": self.evidence,
            "common": self.common and self.common.as_dict(),
            "options": dict(self.case.options),
            "inputs": [None if x is None else x.tolist() for x in self.case.arrays],
            "inference": len(self.case.stream),
            "output": self.outcome.output,
            "expected": self.case.results[self.outcome.output].tolist(),
            "got": None if self.outcome.got is None else self.outcome.got.tolist(),
            "difference": self.outcome.difference and self.outcome.difference.as_dict(),
        }


@dataclass(frozen=True, eq=False)
class Result:
    """An operator at the type of its first input: how many `cases` were tried, `skipped` ones among them.

    `elements` were compared; `failing` cases were wrong, the first of them the case number `first` (from 1). `findings`
    are the faults, each found with those before it set aside; `rest` is how many cases were compared with all of them
    set aside, and were right, None if the search ended before, and `aside` how many more were tried, which have one of
    the faults or were skipped.
    """

    op: str
    dtype: str
    cases: int = 0
    skipped: int = 0
    elements: int = 0
    failing: int = 0
    first: int | None = None
    findings: tuple[Finding, ...] = ()
    rest: int | None = None
    aside: int = 0

    @printed
    def __repr__(self) -> str:
        counts = f"{counted(self.cases, 'case')}, {self.skipped:,} skipped, {self.failing:,} failing"
        return (
            f"<Result of {self}: {counts}{'; ' if self.findings else ''}{'; '.join(f.verdict for f in self.findings)}>"
        )

    def __str__(self) -> str:
        return f"{self.op} {self.dtype}"

    @property
    def finding(self) -> Finding | None:
        """The first of them."""
        return self.findings[0] if self.findings else None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "operator": self.op,
            "type": self.dtype,
            "cases": self.cases,
            "skipped": self.skipped,
            "elements": self.elements,
            "failing": self.failing,
            "first": self.first,
            "findings": [finding.as_dict() for finding in self.findings],
            "rest": self.rest,
            "aside": self.aside,
        }


def fuzz(
    door: Door,
    ops: Sequence[str] | None = None,
    dtypes: Sequence[str] | None = None,
    *,
    cases: int = 1000,
    seed: int = 0,
    numerics: Numerics | str | None = None,
    kernels: Kernels = KERNELS,
    spec: bool = False,
    exclude: Sequence[str] = (),
    findings: int = 1,
    executor: Executor | None = None,
    progress: Callable[[int], object] = lambda cases: None,
) -> Iterator[Result]:
    """Try a kernel on `cases` cases of each operator at each type of its first input, every one of them by default.

    An operator ends with the first chunk in which something fails, or goes on with what was found set aside until there
    are so many `findings`; the next one follows. `spec` keeps to TFLite's quantization specification (see
    `within_spec`). Cases with a trait of `exclude` (see `Aside`) count as skipped.
    `numerics` is the dialect that the kernels claim to compute, TFLM's own by default; `kernels` are golden ones, those
    of `make_plan`.
    Operators that run subgraphs or share resources are not among them: a case is one operator. `executor` spreads the
    work (the door is pickled then).
    `progress` is called with a number of cases whenever so many more are done with.

    Raises `InputError` for an operator or type that there is no golden kernel for, for a door that cannot be used, for
    an `exclude` that no case can have (as far as an operator's or type's name tells), and if Hypothesis is not
    installed.
    """
    if not callable(door):
        raise InputError(
            f"kernels are a callable that takes a Case, or a Library, Command, Emulator or Port, not {kind_of(door)}"
        )
    for name, count in (("cases", cases), ("findings", findings)):
        if not isinstance(count, int) or count < 1:
            raise InputError(f"{name} is {count!r}; give a number from 1 on")
    require_kernels(kernels)
    pairs = chosen(ops, dtypes, kernels)
    require_traits(exclude, kernels)
    door = Aside(door, tuple(exclude)) if exclude else door
    _drawing()
    last, over = (cases - 1) // CHUNK, set[tuple[str, str]]()
    tasks = (
        Task(door, op, dtype, number, min(CHUNK, cases - number * CHUNK), seed, dialect(numerics), spec, kernels)
        for op, dtype in pairs
        for number in range(last + 1)
        if (op, dtype) not in over
    )
    result = Result(*pairs[0])
    try:
        for task, chunk in spread(try_chunk, tasks, executor):
            if (task.op, task.dtype) in over:  # handed out before that was known
                continue
            result = _added(result if task.number else Result(task.op, task.dtype), chunk)
            if not (chunk.failing or chunk.skipped == chunk.cases or task.number == last):
                progress(task.cases)
                continue
            over.add((task.op, task.dtype))
            progress(cases - task.number * CHUNK)
            yield _with_findings(result, task, chunk, cases, findings) if chunk.failing else result
            result = Result(task.op, task.dtype)
    except KeyboardInterrupt:
        if result.cases:
            yield result
        raise


def replay(door: Door, case: Case) -> Result:
    """One case, such as a saved one."""
    chunk = Chunk()
    try:
        chunk.add(case, check(door, case))
    finally:
        close(door)
    findings = (Finding(case, chunk.failures[0][1], 1, _reason(chunk)),) if chunk.failing else ()
    return replace(_added(Result(case.op, case.dtype), chunk), findings=findings)


def chosen(
    ops: Sequence[str] | None, dtypes: Sequence[str] | None, kernels: Kernels = KERNELS
) -> list[tuple[str, str]]:
    """The pairs of operator and type to try, in the order of the kernels' files."""
    require_names(ops, "operators")
    require_names(dtypes, "types")
    for op, kernel in ((op, kernel) for (op, _), kernel in kernels.items() if op in (ops or ())):
        does = "runs other subgraphs" if kernel.facts.control else "goes by a resource that other operators share"
        if not _is_one_call(kernel.facts):
            raise InputError(f"{op} {does}, and fuzz tries operators alone; run models of it, with strategies.models")
    alone = [(op, dtype) for (op, dtype), kernel in kernels.items() if _is_one_call(kernel.facts)]
    known = {"operator": {op for op, _ in alone}, "type": {dtype for _, dtype in alone if dtype}}
    for (what, names), wanted in zip(known.items(), (ops, dtypes), strict=True):
        for name in wanted or ():
            if name not in names:
                meant, every = instead(name, names), ", ".join(sorted(names))
                raise InputError(f"there is no golden kernel for the {what} '{name}'{meant}, only {every}")
    pairs = [(op, t) for op, t in alone if (not ops or op in ops) and (not dtypes or t in dtypes)]
    if not pairs:
        raise InputError(f"there is no golden kernel for {', '.join(ops or ())} at {', '.join(dtypes or ())}")
    return pairs


def _is_one_call(facts: Facts) -> bool:
    """Whether an operator computes all by itself what it writes."""
    return not (facts.control or facts.resource)


Run = tuple[str, str, Numerics, bool, int]
"""The fields of `draw.Draws`, of which `draw.generate` makes cases."""


# ---- one chunk ---------------------------------------------------------------------------------------------------


class Task(NamedTuple):
    """A chunk of cases to try; the `number`th of its operator and type."""

    door: Door
    op: str
    dtype: str
    number: int
    cases: int
    seed: int
    numerics: Numerics
    spec: bool = False
    kernels: Kernels = KERNELS

    def __reduce__(self) -> tuple[Any, ...]:
        """The table of all kernels stays where it is."""
        return _task, (*self[:-1], None if self.kernels is KERNELS else self.kernels)

    def runs(self) -> Iterator[Run]:
        """What determines the cases of each run of Hypothesis, which has a seed of its own."""
        for run in range(self.cases):
            digest = hashlib.sha256(f"{self.seed} {self.op} {self.dtype} {self.number} {run}".encode()).digest()
            yield self.op, self.dtype, self.numerics, self.spec, int.from_bytes(digest[:8], "little")


def _task(*fields: Any) -> Task:
    return Task._make((*fields[:-1], KERNELS if fields[-1] is None else fields[-1]))


@dataclass
class Chunk:
    """What came of a task; `failures` are all that failed, `passed` the first that passed, `runs` drew failures."""

    cases: int = 0
    skipped: int = 0
    elements: int = 0
    failures: list[tuple[Case, Outcome]] = field(default_factory=list)
    passed: list[Case] = field(default_factory=list)
    first: int | None = None
    runs: list[Run] = field(default_factory=list)

    @property
    def failing(self) -> int:
        return len(self.failures)

    def is_over(self, task: Task) -> bool:
        if self.cases == task.cases:
            return True
        hangs = sum(outcome.kind == "hangs" for _, outcome in self.failures)
        return self.failing >= ENOUGH or hangs >= PATIENCE or self.cases == self.skipped == UNCLAIMED

    def add(self, case: Case, outcome: Outcome) -> None:
        self.cases += 1
        self.skipped += outcome.kind == "skipped"
        self.elements += 0 if outcome.got is None else outcome.got.size
        if outcome.failed:
            self.first = self.first or self.cases
            self.failures.append((case, outcome))
        elif outcome.kind == "equal" and len(self.passed) < ENOUGH:
            self.passed.append(case)


def try_chunk(task: Task) -> tuple[Task, Chunk]:
    """Draw a task's cases and hand them through the door."""
    chunk, draw = Chunk(), _drawing()

    def attempt(case: Case) -> None:
        chunk.add(case, check(task.door, case))
        if chunk.is_over(task):
            raise draw.Enough

    try:
        for run in task.runs():
            before = chunk.failing
            drawn = draw.generate(draw.Draws(*run), attempt, task.kernels)
            chunk.runs += [run] * (chunk.failing > before)
            if not drawn or chunk.is_over(task):
                break
    finally:
        close(task.door)
    return task, chunk


def _added(result: Result, chunk: Chunk) -> Result:
    return Result(
        result.op,
        result.dtype,
        result.cases + chunk.cases,
        result.skipped + chunk.skipped,
        result.elements + chunk.elements,
        result.failing + chunk.failing,
        None if chunk.first is None else result.cases + chunk.first,
    )


def _drawing() -> ModuleType:
    try:
        from . import draw
    except ModuleNotFoundError:
        raise InputError("cases are drawn with Hypothesis: pip install 'refengine[fuzz]'") from None
    return draw


# ---- a failure ---------------------------------------------------------------------------------------------------


def _with_findings(result: Result, task: Task, chunk: Chunk, cases: int, most: int) -> Result:
    """The faults of an operator, the first of which failed in this chunk; for the next ones the search goes on here."""
    found = [_finding(task, chunk)]
    while len(found) < most and (door := found[-1].set_aside(task.door)) is not None:
        rest = aside = 0
        for number in range(task.number, (cases - 1) // CHUNK + 1):
            task = task._replace(door=door, number=number, cases=min(CHUNK, cases - number * CHUNK))
            _, chunk = try_chunk(task)
            rest, aside = rest + chunk.cases - chunk.skipped, aside + chunk.skipped
            if chunk.failing:
                break
        if not chunk.failing:
            return replace(result, findings=tuple(found), rest=rest, aside=aside)
        found.append(_finding(task, chunk))
    return replace(result, findings=tuple(found))


def _finding(task: Task, chunk: Chunk) -> Finding:
    """The chunk's first failure as small as it gets, and the reason of all that failed so, or of most of them."""
    why = _reason(chunk)
    if (why is None or not why.complete) and (parted := _parted(chunk)) is not None:
        why, chunk = parted
        task = task._replace(door=Only(task.door, why))
    kind = chunk.failures[0][1].kind
    try:
        case, outcome = simplified(task.door, *_shrunk(task, chunk))
    finally:
        close(task.door)
    evidence = sum(outcome.kind == kind for _, outcome in chunk.failures)
    explained = (why is not None and why.complete) or kind == "hangs"  # each of which costs a time-out
    return Finding(case, outcome, evidence, why, None if explained else _common(task, kind))


def _common(task: Task, kind: str) -> Common | None:
    """What the cases that fail in this way have in common, and those that pass lack; more cases than a chunk tries."""
    failing, passing = list[Case](), list[Case]()
    draw = _drawing()

    def attempt(case: Case) -> None:
        outcome = check(task.door, case)
        if outcome.kind == kind:
            failing.append(case)
        elif outcome.kind == "equal":
            passing.append(case)

    try:
        for run in islice(task.runs(), min(RUNS, 1 + task.cases // 12)):
            draw.generate(draw.Draws(*run), attempt, task.kernels)
            if min(len(failing), len(passing)) >= COMPARED:
                break
    finally:
        close(task.door)
    return in_common(failing, passing)


def _parted(chunk: Chunk) -> tuple[Reason, Chunk] | None:
    """The dialect that explains most of the failures, where there are several faults at once, and these alone."""
    differing = [(case, outcome.got) for case, outcome in chunk.failures if outcome.got is not None]
    if any(len(case.step.writes) > 1 for case, _ in differing):
        return None
    why = of_some(differing, chunk.passed)
    if why is None:
        return None
    explained = [
        (case, outcome)
        for case, outcome in chunk.failures
        if outcome.got is not None and explains(why, case, outcome.got)
    ]
    return why, replace(chunk, failures=explained)


def _reason(chunk: Chunk) -> Reason | None:
    """What explains those failures that are outputs which differ, if the first one is."""
    differing = [(case, outcome.got) for case, outcome in chunk.failures if outcome.got is not None]
    if any(len(case.step.writes) > 1 for case, _ in differing):  # faults are known of one output
        return None
    return reason(differing, chunk.passed) if chunk.failures[0][1].kind == "differs" else None


def _shrunk(task: Task, chunk: Chunk) -> tuple[Case, Outcome]:
    """The smallest case found that fails as the chunk's first failure does."""
    smallest = chunk.failures[0]
    for run in chunk.runs[:STARTS]:
        if found := _shrunk_run(task, run, smallest[1].kind):
            smallest = min(smallest, found, key=_size)
        if _size(smallest) <= SMALL:
            break
    return smallest


def _shrunk_run(task: Task, run: Run, kind: str) -> tuple[Case, Outcome] | None:
    """The smallest case that Hypothesis makes of the first one in a run that fails in this way."""
    draw = _drawing()
    found: list[tuple[Case, Outcome]] = []
    tried = hangs = 0

    def attempt(case: Case) -> None:
        nonlocal tried, hangs
        tried += 1
        if tried > ATTEMPTS or hangs > 3 * PATIENCE:
            return
        outcome = check(task.door, case)
        hangs += outcome.kind == "hangs"
        if outcome.kind == kind:
            found.append((case, outcome))
            raise draw.Fails

    return found[-1] if draw.shrink(draw.Draws(*run), attempt, task.kernels) else min(found, key=_size, default=None)


def _size(failure: tuple[Case, Outcome]) -> int:
    """The elements of all tensors."""
    case, _ = failure
    return case.expected.size + sum(x.size for x in case.arrays if x is not None)
