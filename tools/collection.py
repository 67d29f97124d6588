"""Whole models against the real TFLM, tensor by tensor, and collections of them: what `conformance.py` compares."""

from __future__ import annotations

import hashlib
import importlib.util
import socket
import time
import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from dice import Dice, invented
from oracle import OracleCrash, OracleRefusal, OracleTimeout, Tflm, UnknownLibrary, host_plan
from oracle_worker import Tensors
from rich.table import Table

from refengine import InferenceError, InputError, Model, Plan, RefengineError, execute, inspect, load
from refengine.execute import kept
from refengine.state import State
from refengine.tensors.difference import unlike
from refengine.text import SCHEMA, as_json, printable

Array = npt.NDArray[Any]
Arrays = tuple[Array, ...]

TIMEOUT = 60.0
"""Seconds that TFLM may take for one answer, and refengine for one file."""


@cache
def oracle(timeout: float = TIMEOUT) -> Tflm:
    """This process's TFLM. Raises `InputError` where there is none."""
    if importlib.util.find_spec("tflite_micro") is None:
        raise InputError(f"TFLM's wheel is missing on {socket.gethostname()}; install refengine with its extra `test`")
    return Tflm(timeout)


# ---- one model -----------------------------------------------------------------------------------------------


@dataclass
class TensorTally:
    """How one computed tensor or variable of a model compares over the inferences tried; `largest` is |difference|.

    `elements` are those that TFLM writes.
    """

    subgraph: int
    index: int
    name: str
    op: str
    dtype: str
    shape: tuple[int, ...]
    elements: int = 0
    differing: int = 0
    largest: float = 0.0

    def add(self, ours: Array, undefined: npt.NDArray[np.bool_] | None, *theirs: Array) -> None:
        """Compare one more array with TFLM's, which may have computed it in more ways than one.

        Any NaN is any other, in copies too: those of a NaN that was computed on the way have its bits, which are open.
        """
        self.elements += ours.size - (0 if undefined is None else int(undefined.sum()))
        mine = ours if undefined is None else np.ma.array(ours, mask=undefined)
        wrong = np.zeros(ours.shape, bool)
        for other in theirs:
            if (ours.dtype, ours.shape) != (other.dtype, other.shape):
                wrong[...], self.largest = True, np.inf
                break
            unequal = unlike(mine, other)
            with np.errstate(invalid="ignore"):
                gap = np.abs(ours[unequal].astype(np.float64) - other[unequal]).max(initial=0.0)
            wrong |= unequal
            self.largest = max(self.largest, float(gap))
        self.differing += int(wrong.sum())


class Differs(Exception):  # noqa: N818
    """The two sides part in something else than a tensor's elements."""


class Late(Exception):  # noqa: N818
    """A file takes more time than it may."""


Written = dict[tuple[int, int], tuple[str, Array, "npt.NDArray[np.bool_] | None"]]
"""By (subgraph, tensor), the operator that wrote it last, what it wrote, and which elements TFLM leaves unwritten."""


def written(plan: Plan, inputs: Arrays, state: State, deadline: float = np.inf) -> tuple[int, Written, State]:
    """One inference: the status that TFLM's Invoke would return, what was written by then, and the state after it.

    Raises `Late` after the first operator that ends later than `deadline` (`time.monotonic`).
    """
    found: Written = {}
    try:
        for record in kept(plan, execute(plan, *inputs, state=state)):
            arrays = (*record.outputs, *record.updates)
            masks = record.undefined or (None,) * len(record.outputs)
            masks += (None,) * (len(arrays) - len(masks))
            for tensor, array, mask in zip(record.step.writes, arrays, masks, strict=True):
                found[record.step.subgraph, tensor.index] = record.step.name, array, mask
            state = record.state
            if time.monotonic() > deadline:
                raise Late(f"refengine has come to {record.step} when the time was up")
    except InferenceError as error:
        return error.status, found, error.state
    return 0, found, state


def compare_model(
    plan: Plan, model: bytes, runs: Sequence[Arrays], tflm: Tflm, deadline: float = np.inf
) -> Iterator[list[TensorTally]]:
    """After each inference, how every tensor that an operator writes compares with TFLM's so far, in execution order.

    TFLM runs twice, once keeping every tensor (if it can) and once with tensors that share memory, as ever. `runs`
    follow one another without a reset; where the model has state, they all come once more after one. Raises
    `OracleRefusal` or `OracleCrash` where TFLM does not run it, `InputError` for inputs that do not fit, `Differs`
    where only one side's inference fails, and `Late` as `written` does.
    """
    stream, resets = ([*runs, *runs], {len(runs)}) if plan.initial else (runs, set())
    packed = tflm.run_stream(model, stream, resets)
    tallies: dict[tuple[int, int], TensorTally] = {}
    state = plan.initial
    for k, (code, theirs) in enumerate(_inner(tflm, model, stream, resets, packed)):
        state = plan.reset(state) if k in resets else state
        status, ours, state = written(plan, stream[k], state, deadline)
        if {status} != {code, packed[k][0]}:
            raise Differs(f"inference {k}: refengine's status is {status}, TFLM's is {code}")
        outputs = {(plan.graph.index, t.index): x for t, x in zip(plan.outputs, packed[k][1], strict=False)}
        for place, (op, array, mask) in ours.items():
            witnesses = [side[place] for side in (theirs, outputs) if place in side]
            if witnesses:  # NumPy can hold it
                tallies.setdefault(place, _tally(plan, place, op)).add(array, mask, *witnesses)
        yield list(tallies.values())


def _inner(
    tflm: Tflm, model: bytes, stream: Sequence[Arrays], resets: Collection[int], packed: Sequence[tuple[int, Arrays]]
) -> Iterator[tuple[int, Tensors]]:
    """(status, tensors) after each inference; no tensors where TFLM runs the model but cannot keep them."""
    try:
        return tflm.tensor_stream(model, stream, resets)
    except OracleRefusal:
        return ((status, {}) for status, _ in packed)


def _tally(plan: Plan, place: tuple[int, int], op: str) -> TensorTally:
    subgraph, index = place
    tensor = plan.model.graphs[subgraph].tensors[index]
    return TensorTally(subgraph, index, tensor.name, op, tensor.dtype, tensor.shape)


def from_file(model: Model, path: Path) -> list[Arrays]:
    """A model's inputs from an .npz, by tensor name or in the model's order; with an axis in front, several in a row.

    Raises `KeyError`, `OSError`.
    """
    tensors = [model.graphs[0].tensors[i] for i in model.graphs[0].inputs]
    with np.load(path) as arrays:
        names = [t.name for t in tensors]
        keys = names if set(names) <= set(arrays) else list(arrays)[: len(names)]
        found = tuple(arrays[key] for key in keys)
    if all(x.ndim == len(t.shape) + 1 for x, t in zip(found, tensors, strict=True)):
        return list(zip(*found, strict=True))
    return [found]


# ---- one file of a collection --------------------------------------------------------------------------------

Kind = Literal["equal", "differing", "refused", "disputed", "unfinished"]


class File(NamedTuple):
    """A file to judge: where it comes from, what it holds, and with what inputs."""

    source: str
    path: Path
    seed: int
    inputs: int
    frames: int
    timeout: float

    @property
    def name(self) -> str:
        """What its counter-example is called: sources may have files of one name."""
        return f"{self.path.stem}-{zlib.crc32(str(self.path).encode()):08x}"


@dataclass
class FileVerdict:
    """What came of one file: equal, differing, refused (by both), disputed (one side runs it), unfinished.

    Unfinished is what cannot be read, or takes too long. `tflm` and `refengine` say who runs it; `blocking` are the
    operators that refengine refuses though TFLM runs the file, `elements` what TFLM computed, `differing` the tensors
    that differ, and `runs` the inputs.
    """

    source: str
    path: str
    sha256: str = ""
    kind: Kind = "unfinished"
    tflm: bool = False
    refengine: bool = False
    message: str = ""
    blocking: tuple[str, ...] = ()
    inferences: int = 0
    elements: int = 0
    seconds: float = 0.0
    differing: list[TensorTally] = field(default_factory=list)
    runs: list[Arrays] = field(default_factory=list, repr=False)

    def as_dict(self) -> dict[str, Any]:
        """In plain Python, for JSON."""
        plain = {key: value for key, value in vars(self).items() if key != "runs"}
        return plain | {"differing": [asdict(t) for t in self.differing]}


def examine_file(file: File) -> FileVerdict:
    """Judge one file. A bug of ours (any exception but a refusal) is a finding like others. Runs in any process.

    Raises `InputError` where there is no TFLM, and `UnknownLibrary`.
    """
    start, tflm = time.monotonic(), oracle(file.timeout)
    verdict = FileVerdict(file.source, str(file.path))
    try:
        data = file.path.read_bytes()
    except OSError as error:
        verdict.message = str(error)
        return verdict
    verdict.sha256 = hashlib.sha256(data).hexdigest()
    try:
        plan = host_plan(data)
    except UnknownLibrary:
        raise
    except Exception as error:
        _refused(verdict, data, file, error, tflm)
    else:
        verdict.refengine = verdict.tflm = True
        _compared(verdict, plan, data, file, tflm, start + file.timeout)
    verdict.seconds = round(time.monotonic() - start, 3)
    return verdict


def _compared(verdict: FileVerdict, plan: Plan, data: bytes, file: File, tflm: Tflm, deadline: float) -> None:
    """What both sides make of a file that refengine does not refuse."""
    dice = Dice(file.seed)
    verdict.runs = [invented(plan.model, dice) for _ in range(file.frames if plan.initial else file.inputs)]
    try:
        for tallies in compare_model(plan, data, verdict.runs, tflm, deadline):
            verdict.inferences += 1
            verdict.elements = sum(t.elements for t in tallies)
            verdict.differing = [t for t in tallies if t.differing]
    except OracleTimeout as error:
        verdict.tflm, verdict.message = False, str(error)
    except (OracleRefusal, OracleCrash) as error:
        verdict.kind, verdict.tflm, verdict.message = "disputed", False, f"TFLM refused: {error}"
    except Late as error:
        verdict.message = str(error)
    except Differs as error:
        verdict.kind, verdict.message = "differing", str(error)
    except Exception as error:
        verdict.kind, verdict.refengine, verdict.message = "disputed", False, _said(error)
    else:
        verdict.kind = "equal"
    if verdict.differing:
        verdict.kind = "differing"
        verdict.message = verdict.message or _parting(verdict.differing[0])


def _parting(first: TensorTally) -> str:
    name = f"tensor {first.index} of subgraph {first.subgraph} ('{printable(first.name)}')"
    return f"{first.op}: {first.differing:,} of {first.elements:,} elements of {name} differ"


def _refused(verdict: FileVerdict, data: bytes, file: File, error: Exception, tflm: Tflm) -> None:
    """What TFLM makes of a file that refengine does not run."""
    verdict.kind, verdict.message = "refused", _said(error)
    try:
        model = load(data)
        verdict.runs = [invented(model, Dice(file.seed))]
        tflm.run_many(data, verdict.runs)
    except OracleTimeout as late:
        verdict.kind, verdict.message = "unfinished", f"{verdict.message}; {late}"
    except (OracleRefusal, OracleCrash) as refusal:
        verdict.message += f"; TFLM refused: {refusal}"
    except Exception:  # not even the inputs are known
        verdict.tflm = _allocates(tflm, data)
    else:
        verdict.tflm = True
        parts = inspect(model).parts
        verdict.blocking = tuple(layer.op.kind for part in parts for layer in part.layers if layer.refusal)
    if verdict.tflm or not isinstance(error, RefengineError):
        verdict.kind = "disputed"


def _said(error: Exception) -> str:
    if isinstance(error, RefengineError):
        return f"refengine refused: {error}"
    return f"refengine failed with {type(error).__name__}: {error}"


def _allocates(tflm: Tflm, data: bytes) -> bool:
    """Whether TFLM takes a file whose inputs refengine cannot read."""
    try:
        tflm.arena(data)
    except (OracleRefusal, OracleCrash):
        return False
    return True


def save_file(verdict: FileVerdict, file: File, folder: Path) -> str:
    """Write a file's copy and its inputs; the command that tries them again."""
    folder.mkdir(parents=True, exist_ok=True)
    model, arrays = folder / f"{file.name}.tflite", folder / f"{file.name}.npz"
    data = file.path.read_bytes()
    model.write_bytes(data)
    if not verdict.runs:
        return f"python tools/conformance.py {model}"
    graph = load(data).graphs[0]
    names = [graph.tensors[i].name for i in graph.inputs]
    names = names if len(set(names)) == len(names) else [f"{i}" for i in range(len(names))]
    streams = (np.stack(frames) for frames in zip(*verdict.runs, strict=True))
    np.savez(arrays, **dict(zip(names, streams, strict=True)))  # type: ignore[arg-type]
    return f"python tools/conformance.py {model} --input {arrays}"


# ---- many files ----------------------------------------------------------------------------------------------


def files_in(paths: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    """(source, file) of the .tflite files in folders, sorted: a source is a folder's subfolder, or the folder itself.

    Raises `InputError` for a folder without any.
    """
    for path in paths:
        if not path.is_dir():
            yield path.parent.name, path
            continue
        found = sorted(file for file in path.rglob("*.tflite") if file.is_file())
        if not found:
            raise InputError(f"there is no .tflite file in {path}")
        for file in found:
            parts = file.relative_to(path).parts
            yield parts[0] if len(parts) > 1 else path.resolve().name, file


def sums(verdicts: Sequence[FileVerdict]) -> dict[str, Counter[str]]:
    """By source, how many files there are, who runs them, how many of each kind, and the elements TFLM computed."""
    table: dict[str, Counter[str]] = {}
    for v in verdicts:
        counts = table.setdefault(v.source, Counter())
        counts.update(files=1, tflm=int(v.tflm), refengine=int(v.refengine))
        counts.update(inferences=v.inferences, elements=v.elements)
        counts[v.kind] += 1
    return table


def blocking(verdicts: Sequence[FileVerdict]) -> Counter[str]:
    """How many files each operator keeps out."""
    return Counter(op for v in verdicts for op in set(v.blocking))


COLUMNS = ("files", "tflm", "refengine", "equal", "differing", "refused", "disputed", "unfinished", "elements")
HEADINGS = ("files", "TFLM", "refengine", "equal", "differing", "both refused", "disputed", "unfinished", "elements")


def table_of_sources(verdicts: Sequence[FileVerdict]) -> Table:
    table = Table(title="whole models, refengine against TFLM")
    table.add_column("source", overflow="fold")
    for heading in HEADINGS:
        table.add_column(heading, justify="right")
    total = Counter[str]()
    for source, counts in sums(verdicts).items():
        total += counts
        wrong = counts["differing"] or counts["disputed"] or counts["unfinished"]
        table.add_row(source, *(f"{counts[c]:,}" for c in COLUMNS), style="red" if wrong else None)
    table.add_section()
    table.add_row("all", *(f"{total[c]:,}" for c in COLUMNS))
    return table


def tables_of_blocking(verdicts: Sequence[FileVerdict]) -> Iterator[Table]:
    """What keeps files out that TFLM runs, if anything does."""
    counts = blocking(verdicts)
    if counts:
        table = Table("operator", title="what refengine refuses and TFLM runs")
        table.add_column("files", justify="right")
        for op, count in counts.most_common():
            table.add_row(printable(op), f"{count:,}")
        yield table


def json_of(verdicts: Sequence[FileVerdict], complete: bool, seed: int) -> str:
    document = {
        "schema": SCHEMA,
        "complete": complete,
        "seed": seed,
        "sources": sums(verdicts),
        "blocking": blocking(verdicts),
        "files": [v.as_dict() for v in verdicts],
    }
    return as_json(document)
