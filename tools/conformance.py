"""Compare refengine with the real TFLM, bit for bit.

Without files: invented models of one operator, for every kernel or those of --op and --dtype, each run by both.
With .tflite files: every intermediate tensor of each model, on invented inputs or those of an .npz file.

    python tools/conformance.py --cases 10000 --jobs 2
    python tools/conformance.py --op CONV_2D --dtype int8 --seed 7 --save counterexamples
    python tools/conformance.py model.tflite --inputs 20

Exit status: 0 all equal, 1 a counter-example was found, 2 the comparison could not run.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import multiprocessing
import signal
import sys
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from oracle import OracleCrash, OracleRefusal, Tflm
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from refengine import (
    KERNELS,
    InputError,
    Model,
    Plan,
    RefengineError,
    Tensor,
    execute,
    load,
    make_plan,
    run,
    strategies,
)
from refengine.tflite_io import dump

Array = npt.NDArray[Any]
Arrays = tuple[Array, ...]

CHUNK = 200
"""Cases a task: enough that starting one costs little, few enough for a lively progress bar."""

COPIES = {"CONCATENATION", "PACK", "PAD", "RESHAPE", "STRIDED_SLICE"}
"""Operators that only move elements about, and so keep a NaN's every bit."""


# ---- one case ------------------------------------------------------------------------------------------------


def differing(ours: Array, theirs: Array, same_nan: bool = False) -> npt.NDArray[np.bool_]:
    """Which elements of two arrays of one shape and dtype are not the same, −0 and +0 told apart.

    A NaN equals every other unless `same_nan`: IEEE 754 leaves sign and payload of a computed NaN open, and so do
    compilers. x86 makes NaNs negative and hands on the first operand's payload, whichever operand the compiler put
    first; Cortex-M makes them positive. Those bits belong to a build, not to TFLM.
    """
    if ours.dtype.kind != "f":
        return np.asarray(ours != theirs)
    bits = np.dtype(f"u{ours.dtype.itemsize}")
    different = np.asarray(np.ascontiguousarray(ours).view(bits) != np.ascontiguousarray(theirs).view(bits))
    return different.reshape(ours.shape) & ~(np.isnan(ours) & np.isnan(theirs) & (not same_nan))


def difference(ours: Arrays, theirs: Arrays, same_nan: bool = False) -> str:
    """One sentence on where two runs' outputs first part, empty where they are the same in every bit."""
    for k, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        if (a.dtype, a.shape) != (b.dtype, b.shape):
            return f"output {k} is {a.dtype} {a.shape}, TFLM's is {b.dtype} {b.shape}"
        where = np.argwhere(differing(a, b, same_nan))
        if len(where):
            first = tuple(map(int, where[0]))
            return (f"{len(where)} of {a.size} elements of output {k} differ, first at {first}: "
                    f"refengine {a[first]!r}, TFLM {b[first]!r}")
    return ""


@dataclass(frozen=True)
class Verdict:
    """What came of one case. `kind` is equal, differing, refused (by both) or disputed (one of them would not)."""

    kind: str
    message: str = ""
    ours: Arrays = ()
    theirs: Arrays = ()


def judge(tflm: Tflm, model: bytes, inputs: Arrays, same_nan: bool = False) -> Verdict:
    """Run one model on both sides. A bug of ours (any exception but a refusal) is a finding like others."""
    refusals: dict[str, Exception | str] = {}
    ours: Arrays = ()
    theirs: Arrays = ()
    try:
        ours = run(model, *inputs)
    except Exception as error:
        refusals["refengine"] = error if isinstance(error, RefengineError) else f"{type(error).__name__}: {error}"
    try:
        theirs = tflm.run(model, inputs)
    except (OracleRefusal, OracleCrash) as error:
        refusals["TFLM"] = error
    if refusals:
        bug = isinstance(refusals.get("refengine"), str)
        reasons = "; ".join(f"{who} refused: {why}" for who, why in refusals.items())
        return Verdict("refused" if len(refusals) == 2 and not bug else "disputed", reasons, ours, theirs)
    message = difference(ours, theirs, same_nan)
    return Verdict("differing" if message else "equal", message, ours, theirs)


def save(folder: Path, name: str, model: bytes, inputs: Arrays, verdict: Verdict) -> Path:
    """Write `name`.tflite, and `name`.npz with the inputs by tensor name and both sides' outputs; the file's path."""
    folder.mkdir(parents=True, exist_ok=True)
    graph = load(model).graphs[0]
    arrays = {graph.tensors[i].name: x for i, x in zip(graph.inputs, inputs, strict=True)}
    for who, outputs in (("refengine", verdict.ours), ("tflm", verdict.theirs)):
        arrays.update({f"{who}:{k}": x for k, x in enumerate(outputs)})
    np.savez(folder / f"{name}.npz", **arrays)  # type: ignore[arg-type]
    (folder / f"{name}.tflite").write_bytes(model)
    return folder / f"{name}.tflite"


# ---- many invented cases of one operator ---------------------------------------------------------------------


@dataclass(frozen=True)
class Finding:
    """A counter-example: the model, its inputs, and what came of it."""

    model: bytes
    inputs: Arrays
    verdict: Verdict


@dataclass(frozen=True)
class Tally:
    """What came of cases of one operator at one type.

    `counts` has the "cases", how many of them came to each kind of verdict, and the "elements" TFLM computed.
    """

    op: str
    dtype: str
    counts: Counter[str]
    findings: tuple[Finding, ...] = ()

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.op, self.dtype, self.counts + other.counts, self.findings + other.findings)


def cases(op: str, dtype: str) -> st.SearchStrategy[tuple[Model, Arrays]]:
    """Models of one operator, as its kernel's `example` invents them, with inputs."""
    models = strategies.nodes(op, dtype).map(strategies.model_of)
    return models.flatmap(lambda model: st.tuples(st.just(model), strategies.inputs_of(model)))


def drawn(op: str, dtype: str, count: int, random_seed: int) -> list[tuple[bytes, Arrays]]:
    """`count` cases (fewer where there are no more) as files; the same ones for the same seed."""
    found: list[tuple[bytes, Arrays]] = []

    @seed(random_seed)
    @settings(max_examples=count, database=None, deadline=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))
    @given(cases(op, dtype))
    def collect(case: tuple[Model, Arrays]) -> None:
        found.append((dump(case[0]), case[1]))

    collect()
    return found


@cache
def oracle() -> Tflm:
    """This process's TFLM."""
    return Tflm()


def examine(op: str, dtype: str, count: int, random_seed: int) -> Tally:
    """Draw and judge `count` cases; keeps the smallest model of each kind of finding. Runs in any process."""
    counts, findings = Counter[str](), dict[str, Finding]()
    for model, inputs in drawn(op, dtype, count, random_seed):
        verdict = judge(oracle(), model, inputs, same_nan=op in COPIES)
        counts.update(["cases", verdict.kind])
        counts["elements"] += sum(x.size for x in verdict.theirs)
        if verdict.kind in ("differing", "disputed"):
            finding = Finding(model, inputs, verdict)
            findings[verdict.kind] = min(findings.get(verdict.kind, finding), finding, key=lambda f: len(f.model))
    return Tally(op, dtype, counts, tuple(findings.values()))


def tasks(keys: Sequence[tuple[str, str]], count: int, random_seed: int) -> Iterator[tuple[str, str, int, int]]:
    """Arguments for `examine`, the operators taking turns, each task with a seed of its own."""
    for start in range(0, count, CHUNK):
        for op, dtype in keys:
            yield op, dtype, min(CHUNK, count - start), zlib.crc32(f"{random_seed} {op} {dtype} {start}".encode())


def examine_all(keys: Sequence[tuple[str, str]], count: int, random_seed: int, executor: Executor,
                console: Console) -> tuple[list[Tally], bool]:
    """Tallies in the order of `keys`, and whether all of it was done (Ctrl-C ends it early)."""
    tallies = {key: Tally(*key, Counter()) for key in keys}
    with progress(console) as bar:
        task = bar.add_task("cases", total=len(keys) * count)
        futures = [executor.submit(examine, *arguments) for arguments in tasks(keys, count, random_seed)]
        try:
            for future in as_completed(futures):
                tally = future.result()
                tallies[tally.op, tally.dtype] += tally
                bar.update(task, advance=min(count, CHUNK), description=f"{tally.op} {tally.dtype}")
            return list(tallies.values()), True
        except KeyboardInterrupt:
            executor.shutdown(wait=False, cancel_futures=True)
            return list(tallies.values()), False


# ---- whole models --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TensorTally:
    """How one computed tensor of a model compares over all inputs tried."""

    tensor: Tensor
    op: str
    elements: int = 0
    differing: int = 0
    largest: float = 0.0  # |difference|, in codes or as a float


def compare_model(plan: Plan, model: bytes, runs: Iterable[Arrays], tflm: Tflm) -> Iterator[list[TensorTally]]:
    """After each of `runs`, how every computed tensor compares with TFLM's so far, in execution order.

    Raises `OracleRefusal` or `OracleCrash` where TFLM does not run it, `InputError` for inputs that do not fit.
    """
    tallies: dict[int, TensorTally] = {}
    for inputs in runs:
        theirs = tflm.tensors(model, inputs)
        for record in execute(plan, *inputs):
            for tensor, ours in zip(record.step.outputs, record.outputs, strict=True):
                other = theirs[plan.graph.index, tensor.index]
                wrong = differing(ours, other)
                gap = np.abs(ours[wrong].astype(np.float64) - other[wrong]).max(initial=0.0)
                last = tallies.get(tensor.index, TensorTally(tensor, record.step.op.name))
                tallies[tensor.index] = TensorTally(tensor, last.op, last.elements + ours.size,
                                                    last.differing + int(wrong.sum()), max(last.largest, float(gap)))
        yield list(tallies.values())


def invented(model: Model, count: int, random_seed: int) -> list[Arrays]:
    """`count` inputs for a model: noise over the whole range of codes, and standard normal floats."""
    rng = np.random.default_rng(random_seed)

    def array(shape: tuple[int, ...], dtype: str) -> Array:
        if dtype == "float32":
            return rng.standard_normal(shape).astype(np.float32)
        if dtype == "bool":
            return rng.random(shape) < 0.5
        info = np.iinfo(dtype)
        return rng.integers(info.min, info.max, shape, dtype, endpoint=True)

    graph = model.graphs[0]
    return [tuple(array(graph.tensors[i].shape, graph.tensors[i].dtype) for i in graph.inputs) for _ in range(count)]


def from_file(model: Model, path: Path) -> Arrays:
    """A model's inputs from an .npz, by tensor name or in the model's order. Raises `KeyError`, `OSError`."""
    graph = model.graphs[0]
    with np.load(path) as arrays:
        names = [graph.tensors[i].name for i in graph.inputs]
        keys = names if set(names) <= set(arrays) else list(arrays)[:len(names)]
        return tuple(arrays[key] for key in keys)


# ---- the command line ----------------------------------------------------------------------------------------


def progress(console: Console) -> Progress:
    return Progress(TextColumn("{task.description:30}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
                    console=console, transient=True)


def table_of(tallies: Sequence[Tally]) -> Table:
    table = Table("operator", "type", title="refengine against TFLM")
    for column in ("cases", "elements", "equal", "differing", "refused by both", "disputed"):
        table.add_column(column, justify="right")
    for t in tallies:
        counts = (t.counts[kind] for kind in ("cases", "elements", "equal", "differing", "refused", "disputed"))
        table.add_row(t.op, t.dtype, *(f"{n:,}" for n in counts), style="red" if t.findings else None)
    return table


def table_of_model(path: str, tallies: Sequence[TensorTally]) -> Table:
    table = Table("tensor", "name", "operator", "type", "shape", title=path)
    for column in ("elements", "equal", "differing", "largest |Δ|"):
        table.add_column(column, justify="right")
    for t in tallies:
        table.add_row(str(t.tensor.index), t.tensor.name, t.op, t.tensor.dtype, "×".join(map(str, t.tensor.shape)),
                      f"{t.elements:,}", f"{t.elements - t.differing:,}", f"{t.differing:,}",
                      f"{t.largest:g}" if t.differing else "", style="red" if t.differing else None)
    return table


def conform_kernels(arguments: argparse.Namespace, keys: Sequence[tuple[str, str]], console: Console) -> int:
    """The comparison without files; the exit status."""
    with ProcessPoolExecutor(arguments.jobs, multiprocessing.get_context("spawn"), signal.signal,
                             (signal.SIGINT, signal.SIG_IGN)) as pool:
        tallies, complete = examine_all(keys, arguments.cases, arguments.seed, pool, console)
    if arguments.json:
        results = [{"operator": t.op, "type": t.dtype, **t.counts, "findings": [f.verdict.message for f in t.findings]}
                   for t in tallies]
        print(json.dumps({"complete": complete, "seed": arguments.seed, "results": results}, indent=1))
    else:
        Console().print(table_of(tallies))
    if not complete:
        console.print("Interrupted: this is what was done so far.")
    for tally in tallies:
        for i, finding in enumerate(tally.findings):
            message = f"{tally.op} {tally.dtype}: {finding.verdict.message}"
            if arguments.save:
                name = f"{tally.op}-{tally.dtype}-{arguments.seed}-{i}"
                path = save(arguments.save, name, finding.model, finding.inputs, finding.verdict)
                message += f"\n  saved; look at it again with: conformance.py {path} --input {path.with_suffix('.npz')}"
            console.print(message, markup=False, highlight=False, soft_wrap=True)
    return int(any(tally.findings for tally in tallies))


def conform_models(arguments: argparse.Namespace, console: Console) -> int:
    """The comparison of files; the exit status."""
    results: dict[str, list[TensorTally]] = {}
    try:
        for path in arguments.models:
            data = path.read_bytes()
            plan = make_plan(data)
            runs = ([from_file(plan.model, arguments.input)] if arguments.input
                    else invented(plan.model, arguments.inputs, arguments.seed))
            with progress(console) as bar:
                for tallies in compare_model(plan, data, bar.track(runs, description=path.name), oracle()):
                    results[str(path)] = tallies
    except KeyboardInterrupt:
        console.print("Interrupted: this is what was done so far.")
    if arguments.json:
        print(json.dumps({path: [{"tensor": t.tensor.index, "name": t.tensor.name, "operator": t.op,
                                  "elements": t.elements, "differing": t.differing, "largest": t.largest}
                                 for t in tallies] for path, tallies in results.items()}, indent=1))
    else:
        Console().print(*(table_of_model(path, tallies) for path, tallies in results.items()))
    return int(any(t.differing for tallies in results.values() for t in tallies))


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path, metavar="MODEL", help="compare these files, tensor by tensor")
    parser.add_argument("--cases", type=int, default=1000, help="cases an operator and type (default: %(default)s)")
    parser.add_argument("--op", nargs="+", help="only these operators, such as CONV_2D")
    parser.add_argument("--dtype", nargs="+", help="only these types of the first input, such as int8")
    parser.add_argument("--seed", type=int, default=0, help="of everything invented (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: %(default)s)")
    parser.add_argument("--save", type=Path, metavar="DIR", help="where to put counter-examples")
    parser.add_argument("--inputs", type=int, default=5, help="invented inputs a MODEL (default: %(default)s)")
    parser.add_argument("--input", type=Path, metavar="FILE.npz", help="inputs of MODEL, by tensor name or in order")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser.parse_args(arguments)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status."""
    arguments = parse(argv)
    console = Console(stderr=True)
    keys = sorted((op, dtype) for op, dtype in KERNELS
                  if (not arguments.op or op in arguments.op) and (not arguments.dtype or dtype in arguments.dtype))
    try:
        if importlib.util.find_spec("tflite_micro") is None:
            raise InputError("TFLM's wheel is missing; install refengine with its extra `test`")
        if arguments.models:
            return conform_models(arguments, console)
        if not keys:
            known = ", ".join(sorted({op for op, _ in KERNELS}))
            raise InputError(f"no kernel for that operator and type; the operators are {known}")
        return conform_kernels(arguments, keys, console)
    except (RefengineError, OracleRefusal, OracleCrash, BrokenProcessPool, OSError, KeyError) as error:
        console.print(f"conformance.py: {error}", markup=False, highlight=False, soft_wrap=True)
        return 2


if __name__ == "__main__":
    sys.exit(main())
