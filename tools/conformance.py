"""Compare refengine with the real TFLM, bit for bit, or with LiteRT in its dialects.

Without files: invented models of one operator, for every kernel or those of --op and --dtype, each run by both.
With .tflite files: every intermediate tensor of each model, on invented inputs or those of an .npz file.
With folders: the same for every .tflite file in them, summed up by subfolder; where a model has state, inputs come
one after another, and again after a reset.

    python tools/conformance.py --cases 10000 --jobs 2
    python tools/conformance.py --cases 100000 --scheduler tcp://host:8786
    python tools/conformance.py --op CONV_2D --dtype int8 --seed 7 --save counterexamples
    python tools/conformance.py --against litert --dtype int8 int16
    python tools/conformance.py model.tflite --inputs 20
    python tools/conformance.py collection --jobs 2 --timeout 120 --save counterexamples

Against LiteRT, cases that it declines, or whose results refengine does not know, are counted, but are no findings.

Exit status: 0 all equal, 1 a counter-example was found, 2 the comparison could not run.
"""

from __future__ import annotations

import argparse
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from collection import (
    TIMEOUT,
    Differs,
    File,
    FileVerdict,
    TensorTally,
    compare_model,
    examine_file,
    files_in,
    from_file,
    json_of,
    oracle,
    save_file,
    table_of_sources,
    tables_of_blocking,
)
from dice import Dice, drawn, invented
from oracle import Litert, Oracle, OracleCrash, OracleRefusal, Tflm, UnknownLibrary, as_litert_wants, host_plan
from oracle_worker import Call
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from refengine import KERNELS, PRESETS, InferenceError, InputError, Plan, RefengineError, load
from refengine.commands._front import add_workers
from refengine.execute import batch_size, infer
from refengine.kernels import FACTS
from refengine.parallel import spread, workers
from refengine.tensors.difference import unlike
from refengine.text import SCHEMA, as_json
from refengine.tflite_io import dump

Array = npt.NDArray[Any]
Arrays = tuple[Array, ...]

ORACLES: dict[str, Callable[[], Oracle]] = {
    "tflm": oracle,
    "litert-ref": cache(partial(Litert, "ref")),
    "litert": cache(partial(Litert, "default")),
}
"""By the name of their dialect, this process's oracles."""

CHUNK = 200
"""Cases a task: enough that starting one costs little, few enough for a lively progress bar."""

AT_ONCE = 8
"""Cases that the oracle gets at once: enough that sending them costs little, few enough to begin soon."""

COPIES = {op for op, facts in FACTS.items() if facts.copies}
"""Operators that only move elements about, and so keep a NaN's every bit."""


# ---- one case ------------------------------------------------------------------------------------------------


def difference(ours: Arrays, theirs: Arrays, same_nan: bool = False, name: str = "TFLM") -> str:
    """One sentence on where two runs' outputs first part, empty where they are the same in every bit."""
    for k, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        if (a.dtype, a.shape) != (b.dtype, b.shape):
            return f"output {k} is {a.dtype} {a.shape}, {name}'s is {b.dtype} {b.shape}"
        if a.tobytes() == b.tobytes():  # as nearly all are; to look at elements takes several times as long
            continue
        where = np.argwhere(unlike(a, b, same_nan))
        if len(where):
            first = tuple(map(int, where[0]))
            return (
                f"{len(where)} of {a.size} elements of output {k} differ, first at {first}: "
                f"refengine {a[first]!r}, {name} {b[first]!r}"
            )
    return ""


@dataclass(frozen=True)
class Verdict:
    """What came of one case, a model with several inputs.

    `kind` is equal, differing, refused (by both) or disputed; against LiteRT, declined (by it alone) or unknown (to
    refengine alone) instead of the last.

    `inputs`, `ours` and `theirs` are those of the first run that is not equal; `elements` is how many TFLM computed.
    """

    kind: str
    model: bytes
    inputs: Arrays
    message: str = ""
    ours: Arrays = ()
    theirs: Arrays = ()
    elements: int = 0


class Ours(NamedTuple):
    """What came of one case here: a (status, outputs) of each run, or the reason why it is `refused`, maybe by a `bug`.

    `in_stream` the inputs come one after another, and again after a reset, as suits a model with state.
    """

    model: bytes
    runs: Sequence[Arrays]
    same_nan: bool
    in_stream: bool
    answers: Sequence[tuple[int, Arrays]]
    refused: str = ""
    bug: bool = False

    @property
    def fed(self) -> Sequence[Arrays]:
        """The inputs of each inference."""
        return [*self.runs, *self.runs] if self.in_stream else self.runs

    @property
    def call(self) -> Call:
        """What the oracle does with the same case."""
        return (
            ("run_stream", self.model, (self.fed, (len(self.runs),)))
            if self.in_stream
            else ("run_many", self.model, self.fed)
        )


def judge(tflm: Oracle, model: bytes, runs: Sequence[Arrays], same_nan: bool = False) -> Verdict:
    """Run one model on both sides. A bug of ours (any exception but a refusal) is a finding like others."""
    return judge_each(tflm, [computed(tflm, model, runs, same_nan)])()[0]


def computed(tflm: Oracle, model: bytes, runs: Sequence[Arrays], same_nan: bool = False) -> Ours:
    """Run one model here, in the oracle's dialect."""
    try:
        plan = host_plan(model, PRESETS[tflm.dialect])
        if plan.initial and isinstance(tflm, Tflm):
            stream = list(streamed(plan, [*runs, *runs], {len(runs)}))
            return Ours(model, runs, same_nan, True, stream)
        return Ours(model, runs, same_nan, False, [(0, outputs) for outputs in alone_and_together(plan, runs)])
    except UnknownLibrary:
        raise
    except Exception as error:
        bug = not isinstance(error, RefengineError)
        how = f"failed with {type(error).__name__}" if bug else "refused"
        return Ours(model, runs, same_nan, False, (), f"refengine {how}: {error}", bug)


def judge_each(tflm: Oracle, cases: Sequence[Ours]) -> Callable[[], list[Verdict]]:
    """Have the oracle begin with the same cases; what is returned waits for it, and judges."""
    begun = tflm.begin_each([ours.call for ours in cases])

    def verdicts() -> list[Verdict]:
        try:
            answers = begun()
        except OracleCrash:  # by whichever of them
            answers = [None] * len(cases)
        return [
            _compared(tflm, ours, theirs) if theirs is not None and not ours.refused else _asked(tflm, ours)
            for ours, theirs in zip(cases, answers, strict=True)
        ]

    return verdicts


def alone_and_together(plan: Plan, runs: Sequence[Arrays]) -> list[Arrays]:
    """The outputs of each run: of the first by an inference of its own, of the others by a batch, where they can be."""
    first, *others = runs
    alone = infer(plan, batch_size(plan, first), first)[0]
    if not others or not first:
        return [alone, *(infer(plan, None, inputs)[0] for inputs in others)]
    count = len(others)
    together = infer(plan, count, [np.stack(arrays) for arrays in zip(*others, strict=True)])[0]
    by_run = [x.reshape(count, *t.shape) for t, x in zip(plan.outputs, together, strict=True)]
    return [alone, *(tuple(x[i] for x in by_run) for i in range(count))]


def _asked(tflm: Oracle, ours: Ours) -> Verdict:
    """The verdict on a case that has been refused, here or by the oracle, which tells why if it is asked alone."""
    refused, declined = [ours.refused] if ours.refused else [], False
    try:
        theirs = tflm.call(*ours.call)
    except (OracleRefusal, OracleCrash) as error:
        declined = True
        refused.append(f"{tflm.name} refused: {error}")
    if not refused:  # another one had crashed
        return _compared(tflm, ours, theirs)
    if len(ours.runs) > 1 and not ours.in_stream:  # find out which
        verdicts = [judge(tflm, ours.model, [inputs], ours.same_nan) for inputs in ours.runs]
        return next((verdict for verdict in verdicts if verdict.kind != "equal"), verdicts[0])
    kind = "refused" if len(refused) == 2 else "declined" if declined else "unknown"
    disputed = ours.bug or (isinstance(tflm, Tflm) and kind != "refused")
    return Verdict("disputed" if disputed else kind, ours.model, ours.runs[0], "; ".join(refused))


def _compared(tflm: Oracle, ours: Ours, theirs: Sequence[Any]) -> Verdict:
    """The verdict on a case that both sides ran."""
    answers = theirs if ours.in_stream else [(0, outputs) for outputs in theirs]
    elements = sum(x.size for _, outputs in answers for x in outputs)
    inferences = zip(ours.fed, ours.answers, answers, strict=True)
    for k, (inputs, (status, mine), (code, other)) in enumerate(inferences):
        message = f"the status is {status}, {tflm.name}'s is {code}" if status != code else ""
        message = message or ("" if status else difference(mine, other, ours.same_nan, tflm.name))
        if message:
            where = f"inference {k}: " if ours.in_stream else ""
            return Verdict("differing", ours.model, inputs, where + message, mine, other, elements)
    return Verdict("equal", ours.model, ours.runs[0], "", ours.answers[0][1], answers[0][1], elements)


def streamed(plan: Plan, stream: Sequence[Arrays], resets: Collection[int] = ()) -> Iterator[tuple[int, Arrays]]:
    """(status, outputs) of one inference after another, as `Tflm.run_stream` gives them."""
    state = plan.initial
    for k, inputs in enumerate(stream):
        state = plan.reset(state) if k in resets else state
        try:
            outputs, state = infer(plan, None, inputs, state)
        except InferenceError as error:
            state = error.state
            yield error.status, ()
        else:
            yield 0, outputs


def save(verdict: Verdict, folder: Path, name: str) -> str:
    """Write `name`.tflite, and `name`.npz with inputs and both sides' outputs; the command that tries it again."""
    folder.mkdir(parents=True, exist_ok=True)
    model, arrays = folder / f"{name}.tflite", folder / f"{name}.npz"
    graph = load(verdict.model).graphs[0]
    found = {graph.tensors[i].name: x for i, x in zip(graph.inputs, verdict.inputs, strict=True)}
    found.update({f"refengine:{k}": x for k, x in enumerate(verdict.ours)})
    found.update({f"tflm:{k}": x for k, x in enumerate(verdict.theirs)})
    np.savez(arrays, **found)  # type: ignore[arg-type]
    model.write_bytes(verdict.model)
    return f"python tools/conformance.py {model} --input {arrays}"


# ---- many invented cases of one operator ---------------------------------------------------------------------


@dataclass(frozen=True)
class Tally:
    """What came of cases of one operator at one type.

    `counts` has the "cases", how many of them came to each kind of verdict, and the "elements" TFLM computed.
    """

    op: str
    dtype: str
    counts: Counter[str]
    findings: tuple[Verdict, ...] = ()

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.op, self.dtype, self.counts + other.counts, self.findings + other.findings)


class Task(NamedTuple):
    """So many `cases` of one operator at one type, invented from `seed`, to hold `against` an oracle."""

    op: str
    dtype: str
    cases: int
    seed: int
    against: str = "tflm"


def examine(task: Task) -> Tally:
    """Draw and judge a task's cases; keeps the smallest model of each kind of finding. Runs in any process."""
    counts, findings = Counter[str](), dict[str, Verdict]()
    for verdict in verdicts_of(task):
        counts.update(["cases", verdict.kind])
        counts["elements"] += verdict.elements
        if verdict.kind in ("differing", "disputed"):
            findings[verdict.kind] = min(findings.get(verdict.kind, verdict), verdict, key=lambda v: len(v.model))
    return Tally(task.op, task.dtype, counts, tuple(findings.values()))


def verdicts_of(task: Task) -> Iterator[Verdict]:
    """A task's cases, judged in order; while the oracle works on some, the next are drawn and computed here."""
    op, dtype, count, random_seed, against = task
    tflm, same_nan = ORACLES[against](), op in COPIES and against == "tflm"
    cases = drawn(op, dtype, count, random_seed)
    waiting: Callable[[], list[Verdict]] = list
    while some := list(islice(cases, AT_ONCE)):
        wanted = ((m if against == "tflm" else dump(as_litert_wants(load(m), dtype)), runs) for m, runs in some)
        ours = [computed(tflm, model, runs, same_nan) for model, runs in wanted]
        before, waiting = waiting, judge_each(tflm, ours)
        yield from before()
    yield from waiting()


def tasks(keys: Sequence[tuple[str, str]], count: int, random_seed: int, against: str = "tflm") -> Iterator[Task]:
    """The operators taking turns, each task with a seed of its own."""
    for start in range(0, count, CHUNK):
        for op, dtype in keys:
            seed = zlib.crc32(f"{random_seed} {op} {dtype} {start}".encode())
            yield Task(op, dtype, min(CHUNK, count - start), seed, against)


def examine_all(
    keys: Sequence[tuple[str, str]],
    count: int,
    random_seed: int,
    executor: Executor | None,
    console: Console,
    against: str = "tflm",
) -> tuple[list[Tally], bool]:
    """Tallies in the order of `keys`, and whether all of it was done (Ctrl-C ends it early)."""
    tallies = {key: Tally(*key, Counter()) for key in keys}
    with progress(console) as bar:
        done = bar.add_task("cases", total=len(keys) * count)
        try:
            for tally in spread(examine, tasks(keys, count, random_seed, against), executor):
                tallies[tally.op, tally.dtype] += tally
                bar.update(done, advance=tally.counts["cases"], description=f"{tally.op} {tally.dtype}")
            return list(tallies.values()), True
        except KeyboardInterrupt:
            return list(tallies.values()), False


# ---- the command line ----------------------------------------------------------------------------------------


PLAIN: dict[str, Any] = {"markup": False, "highlight": False, "soft_wrap": True}


def progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description:30}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def modules() -> list[str]:
    """The files that a cluster's workers need."""
    return [str(sys.modules[name].__file__) for name in ("dice", "oracle_worker", "oracle", "collection", __name__)]


def show(*tables: Table) -> None:
    """Print tables, at full width where a file or pipe tells no width."""
    Console(width=None if sys.stdout.isatty() else 120).print(*tables)


KINDS = dict.fromkeys(("cases", "elements", "equal", "differing"), "") | {"refused": "both refused"}
"""The columns of every table, and their headings, if other ones."""


def table_of(tallies: Sequence[Tally], against: str = "tflm") -> Table:
    kinds = KINDS | {"disputed": "disputed"}
    if against != "tflm":
        kinds |= {"declined": "LiteRT refuses", "unknown": "not known"}
    table = Table(title=f"refengine against {ORACLES[against]().name}" + (f", {against}" if against != "tflm" else ""))
    for column in ("operator", "type"):
        table.add_column(column, no_wrap=True)
    for kind, heading in kinds.items():
        table.add_column(heading or kind, justify="right")
    for t in tallies:
        counts = (t.counts[kind] for kind in kinds)
        table.add_row(t.op, t.dtype, *(f"{n:,}" for n in counts), style="red" if t.findings else None)
    return table


def table_of_model(path: str, tallies: Sequence[TensorTally]) -> Table:
    table = Table("tensor", "operator", "type", "shape", title=path, expand=True)
    for column in ("equal", "differing", "largest |Δ|"):
        table.add_column(column, justify="right")
    table.add_column("name", no_wrap=True, ratio=1)
    for t in tallies:
        counts = (f"{t.elements - t.differing:,}", f"{t.differing:,}", f"{t.largest:g}" if t.differing else "")
        shape = "×".join(map(str, t.shape))
        place = f"{t.subgraph}/{t.index}" if t.subgraph else f"{t.index}"
        table.add_row(place, t.op, t.dtype, shape, *counts, t.name, style="red" if t.differing else None)
    return table


def conform_kernels(arguments: argparse.Namespace, keys: Sequence[tuple[str, str]], console: Console) -> int:
    """The comparison without files; the exit status."""
    with workers(arguments.jobs, arguments.scheduler, modules()) as executor:
        tallies, complete = examine_all(keys, arguments.cases, arguments.seed, executor, console, arguments.against)
    if arguments.json:
        messages = [[finding.message for finding in t.findings] for t in tallies]
        results = [
            dict(t.counts, operator=t.op, type=t.dtype, findings=m) for t, m in zip(tallies, messages, strict=True)
        ]
        document = {"schema": SCHEMA, "complete": complete, "seed": arguments.seed, "results": results}
        print(as_json(document))
    else:
        show(table_of(tallies, arguments.against))
    if not complete:
        console.print("Interrupted: this is what was done so far.")
    for tally in tallies:
        for i, finding in enumerate(tally.findings):
            console.print(f"{tally.op} {tally.dtype}: {finding.message}", style="red", **PLAIN)
            if arguments.save:
                again = save(finding, arguments.save, f"{tally.op}-{tally.dtype}-{arguments.seed}-{i}")
                console.print(f"  saved; to see it again: {again}", **PLAIN)
    return int(any(tally.findings for tally in tallies))


def conform_models(arguments: argparse.Namespace, console: Console) -> int:
    """The comparison of files; the exit status."""
    results: dict[str, list[TensorTally]] = {}
    try:
        for path in arguments.models:
            data, dice = path.read_bytes(), Dice(arguments.seed)
            plan = host_plan(data)
            if arguments.input:
                runs = from_file(plan.model, arguments.input)
            else:
                runs = [invented(plan.model, dice) for _ in range(arguments.inputs or 5)]
            count = len(runs) * (2 if plan.initial else 1)
            with progress(console) as bar:
                compared = compare_model(plan, data, runs, oracle(arguments.timeout))
                for tallies in bar.track(compared, count, description=path.name):
                    results[str(path)] = tallies
    except KeyboardInterrupt:
        console.print("Interrupted: this is what was done so far.")
    if arguments.json:
        files = {path: [vars(t) for t in tallies] for path, tallies in results.items()}
        print(as_json({"schema": SCHEMA, "files": files}))
    else:
        show(*(table_of_model(path, tallies) for path, tallies in results.items()))
    return int(any(t.differing for tallies in results.values() for t in tallies))


def conform_collections(arguments: argparse.Namespace, console: Console) -> int:
    """The comparison of folders; the exit status. Raises `InputError` for --input, which fits one model only."""
    if arguments.input:
        raise InputError("--input is for the model that it was made for: give that file, not a folder")
    files = [
        File(source, path, arguments.seed, arguments.inputs or 3, arguments.inputs or 5, arguments.timeout)
        for source, path in files_in(arguments.models)
    ]
    verdicts: list[FileVerdict] = []
    with workers(arguments.jobs, arguments.scheduler, modules()) as executor, progress(console) as bar:
        done = bar.add_task("files", total=len(files))
        try:
            for verdict in spread(examine_file, files, executor):
                verdicts.append(verdict)
                bar.update(done, advance=1, description=verdict.source)
        except KeyboardInterrupt:
            console.print("Interrupted: this is what was done so far.")
    if arguments.json:
        print(json_of(verdicts, len(verdicts) == len(files), arguments.seed))
    else:
        show(table_of_sources(verdicts), *tables_of_blocking(verdicts))
    wrong = [(file, v) for file, v in zip(files, verdicts, strict=False) if v.kind not in ("equal", "refused")]
    for file, verdict in wrong:
        console.print(f"{verdict.path}: {verdict.kind}: {verdict.message}", style="red", **PLAIN)
        if arguments.save and verdict.sha256:
            console.print(f"  saved; to see it again: {save_file(verdict, file, arguments.save)}", **PLAIN)
    return int(bool(wrong))


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "models", nargs="*", type=Path, metavar="PATH", help="compare these files, or those in folders, by tensor"
    )
    parser.add_argument(
        "--against", choices=ORACLES, default="tflm", help="who is right, where there are no files (default: tflm)"
    )
    parser.add_argument("--cases", type=int, default=1000, help="cases an operator and type (default: %(default)s)")
    parser.add_argument("--op", nargs="+", help="only these operators, such as CONV_2D")
    parser.add_argument("--dtype", nargs="+", help="only these types of the first input, such as int8")
    parser.add_argument("--seed", type=int, default=0, help="of everything invented (default: %(default)s)")
    add_workers(parser)
    parser.add_argument("--save", type=Path, metavar="DIR", help="where to put counter-examples")
    parser.add_argument("--inputs", type=int, help="invented inputs a file (default: 5; in folders 3, with state 5)")
    parser.add_argument("--input", type=Path, metavar="FILE.npz", help="inputs of a file, by tensor name or in order")
    parser.add_argument(
        "--timeout", type=float, default=TIMEOUT, help="seconds a file, and an answer of TFLM's (default: %(default)g)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser.parse_args(argv)


def chosen(ops: Sequence[str] | None, dtypes: Sequence[str] | None) -> list[tuple[str, str]]:
    """The kernels' keys for --op and --dtype. Raises `InputError` where there are none."""
    keys = sorted((op, t) for op, t in KERNELS if (not ops or op in ops) and (not dtypes or t in dtypes))
    if not keys:
        known = ", ".join(sorted({op for op, _ in KERNELS}))
        raise InputError(f"no kernel for that operator and type; the operators are {known}")
    return keys


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status."""
    arguments = parse(argv)
    console = Console(stderr=True)
    try:
        if any(path.is_dir() for path in arguments.models):
            return conform_collections(arguments, console)
        if arguments.models:
            return conform_models(arguments, console)
        return conform_kernels(arguments, chosen(arguments.op, arguments.dtype), console)
    except (RefengineError, UnknownLibrary, OracleRefusal, OracleCrash, Differs, OSError, KeyError) as error:
        console.print(f"conformance.py: {error}", **PLAIN)
        return 2


if __name__ == "__main__":
    import conformance  # workers know what they do by this name, not as "__main__"

    sys.exit(conformance.main())
