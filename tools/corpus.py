"""A corpus of conformance cases as plain data, against which any runtime in any language can be held.

    python tools/corpus.py write DIR --jobs 2           write it, every byte verified against the real TFLM
    python tools/corpus.py check DIR                    hold refengine against it
    python tools/corpus.py check DIR --runtime COMMAND  hold another runtime against it
    python tools/corpus.py serve tflm                   be such a runtime: refengine, or the real TFLM

The README.md that is written beside the data tells what it holds, how it may be used, and what COMMAND reads and
writes. The same seed gives the same bytes.

Exit status: 0 all equal, 1 something differs, 2 it could not be written or compared.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shlex
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from collection import oracle
from conformance import COPIES, PLAIN, chosen, modules, progress, show, streamed
from corpus_cases import Case
from corpus_cases import chosen as chosen_cases
from oracle import OracleCrash, OracleRefusal, UnknownLibrary, host_libm, host_plan
from rich.console import Console
from rich.table import Table

import refengine
from refengine import RefengineError
from refengine.commands._front import add_workers
from refengine.errors import InputError
from refengine.files import write, write_npz
from refengine.identity import identity
from refengine.memory import MEMORY
from refengine.model import Array
from refengine.parallel import spread, workers
from refengine.tensors.arrays import read_npz
from refengine.tensors.difference import unlike
from refengine.text import SCHEMA, as_json

LEAST = 20
"""Cases of each operator at each type."""

TIMEOUT = 60.0
"""Seconds that a runtime may take for a case."""

LICENCE = Path(__file__).resolve().parent.parent / "LICENSE"
"""The text of refengine's own licence, which a corpus carries with it."""

Runs = list[tuple[Array, ...]]


# ---- writing -------------------------------------------------------------------------------------------------


class Task(NamedTuple):
    """So many `cases` of one operator at one type, invented from `seed`."""

    op: str
    dtype: str
    cases: int
    seed: int


class Written(NamedTuple):
    """The cases of a task as the index and the files have them, or what is wrong with one."""

    entries: list[dict[str, Any]]
    models: list[bytes]
    arrays: list[dict[str, Array]]
    wrong: str = ""


def made(task: Task) -> Written:
    """A task's cases, each verified. Runs in any process."""
    cases = chosen_cases(*task)
    written = Written([], [], [])
    for number, case in enumerate(cases):
        if wrong := unequal(case):
            return written._replace(wrong=f"{case.op} {case.dtype}, case {number}: {wrong}")
        name = f"{folder_of(case.op, case.dtype)}/{number:02}"
        written.entries.append(entry(name, case))
        written.models.append(case.model)
        written.arrays.append(arrays_of(case))
    if len(cases) < task.cases:
        return written._replace(wrong=f"{task.op} {task.dtype}: only {len(cases)} cases were found")
    return written


def unequal(case: Case) -> str:
    """How TFLM runs the case otherwise than refengine, empty if it does not."""
    try:
        answers = oracle().run_stream(case.model, case.runs, case.resets)
    except (OracleRefusal, OracleCrash) as error:
        return f"TFLM refused: {error}"
    ours = zip(case.status, case.outputs, strict=True)
    for k, ((status, mine), (code, theirs)) in enumerate(zip(ours, answers, strict=True)):
        if status != code:
            return f"inference {k}: the status is {status}, TFLM's is {code}"
        for i, (x, y) in enumerate(zip(mine, theirs, strict=True) if not status else ()):
            if (x.dtype, x.shape) != (y.dtype, y.shape) or unlike(x, y, case.op in COPIES).any():
                return f"inference {k}: output {i} differs"
    return ""


def folder_of(op: str, dtype: str) -> str:
    """Where the cases of an operator at a type are."""
    return f"{op}/{dtype or 'any'}"


def arrays_of(case: Case) -> dict[str, Array]:
    """What the case's .npz holds: inputs and outputs by number, the inferences along the first axis."""
    inputs, outputs = case.signature
    found = {f"input{i}": np.stack([run[i] for run in case.runs]) for i in range(len(inputs))}
    for i, tensor in enumerate(outputs):
        sample = next((arrays[i] for arrays in case.outputs if arrays), np.zeros(tensor.shape, np.int32))
        blank = np.zeros(sample.shape, sample.dtype)
        every = [arrays[i] if arrays else blank for arrays in case.outputs]
        found[f"output{i}"] = np.stack([np.ma.filled(x, 0) for x in every])
        masks = np.stack([np.ma.getmaskarray(x) for x in every])
        found |= {f"unwritten{i}": masks} if masks.any() else {}
    return found


def entry(name: str, case: Case) -> dict[str, Any]:
    """The case as the index has it."""
    inputs, outputs = case.signature
    return {
        "name": name,
        "operator": case.op,
        "type": case.dtype,
        "about": case.about,
        "traits": case.traits,
        "inputs": [{**identity(t), "shape": t.shape, "dtype": t.dtype} for t in inputs],
        "outputs": [{**identity(t), "shape": t.shape, "dtype": t.dtype} for t in outputs],
        "inferences": len(case.runs),
        "resets": case.resets,
        "status": case.status,
        "nan_bits": case.op in COPIES,
        "libm": case.uses_libm,
        "sha256": hashlib.sha256(case.model).hexdigest(),
    }


def write_corpus(arguments: argparse.Namespace, console: Console) -> int:
    """Write the corpus; the exit status. Nothing is written where a case is not equal."""
    if arguments.folder.exists() and any(arguments.folder.iterdir()):
        raise InputError(f"{arguments.folder} is not empty, and a corpus has no other files: give a new folder")
    keys = chosen(arguments.op, arguments.dtype)
    tasks = [Task(op, dtype, arguments.cases, arguments.seed) for op, dtype in keys]
    tool = [*modules(), *own_modules()]
    with workers(arguments.jobs, arguments.scheduler, tool) as executor, progress(console) as bar:
        every = list(bar.track(spread(made, tasks, executor), len(tasks), description="operators"))
    for wrong in filter(None, (written.wrong for written in every)):
        console.print(f"corpus.py: {wrong}", style="red", **PLAIN)
    if any(written.wrong for written in every):
        return 1
    for written in every:
        for entry, model, arrays in zip(written.entries, written.models, written.arrays, strict=True):
            path = arguments.folder / entry["name"]
            path.parent.mkdir(parents=True, exist_ok=True)
            write(f"{path}.tflite", model)
            write_npz(f"{path}.npz", arrays, compressed=True)
    index = header(arguments.seed, [entry for written in every for entry in written.entries])
    write(arguments.folder / "index.json", told(index))
    write(arguments.folder / "index.schema.json", as_json(INDEX_SCHEMA) + "\n")
    write(arguments.folder / "README.md", readme(index))
    write(arguments.folder / "LICENSE", LICENCE.read_bytes())
    size = sum(path.stat().st_size for path in arguments.folder.rglob("*") if path.is_file())
    print(f"{len(index['cases']):,} cases of {len(keys)} operators and types, {size:,} bytes; 0 differ from TFLM")
    return 0


def own_modules() -> list[str]:
    """The files of this tool that a cluster's workers need."""
    return [str(sys.modules[name].__file__) for name in ("corpus_cases", __name__)]


def header(seed: int, cases: list[dict[str, Any]]) -> dict[str, Any]:
    """The index: what made it, then the cases."""
    return {
        "schema": SCHEMA,
        "licence": "Apache-2.0",
        "refengine": refengine.__version__,
        "tflite_micro": version("tflite-micro"),
        "libm": host_libm(),
        "seed": seed,
        "cases": cases,
    }


def told(index: dict[str, Any]) -> str:
    """The index as JSON, a case a line."""
    cases = ",\n".join(as_json(case, indent=None) for case in index["cases"])
    return as_json({**index, "cases": []}).removesuffix("[]\n}") + f"[\n{cases}\n]\n}}\n"


def readme(index: dict[str, Any]) -> str:
    """The README.md beside the data."""
    text = Path(__file__).with_name("corpus.md").read_text(encoding="utf-8")
    keys = {(case["operator"], case["type"]) for case in index["cases"]}
    words = {
        "CASES": f"{len(index['cases']):,}",
        "KEYS": str(len(keys)),
        "OPERATORS": str(len({op for op, _ in keys})),
        "REFENGINE": index["refengine"],
        "TFLM": index["tflite_micro"],
        "LIBM": index["libm"],
        "SEED": str(index["seed"]),
        "SCHEMA": str(SCHEMA),
    }
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    return text


_TENSORS = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["subgraph", "index", "name", "shape", "dtype"],
        "properties": {
            "subgraph": {"const": 0},
            "index": {"type": "integer", "description": "of the tensor in the file"},
            "name": {"type": "string"},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
            "dtype": {"type": "string", "description": "as the file declares it; arrays have the .npz's"},
        },
    },
}

_CASE: dict[str, Any] = {
    "name": {"type": "string", "description": "the path of its .tflite and .npz, without these"},
    "operator": {"type": "string", "description": "the builtin's name, or the custom code"},
    "type": {"type": "string", "description": "of the input that chooses the kernel; empty if none does"},
    "about": {"type": "string", "description": "one line for people"},
    "traits": {"type": "array", "items": {"type": "string"}, "description": "phrases; the vocabulary is open"},
    "inputs": _TENSORS,
    "outputs": _TENSORS,
    "inferences": {"type": "integer", "minimum": 1},
    "resets": {
        "type": "array",
        "items": {"type": "integer"},
        "description": "numbers of the inferences, from 0, before which the interpreter is reset",
    },
    "status": {
        "type": "array",
        "items": {"type": "integer"},
        "description": "what Invoke returns for each inference; where it is not 0, outputs are not compared",
    },
    "nan_bits": {"type": "boolean", "description": "whether a NaN must have the same bits; else any NaN is any other"},
    "libm": {"type": "boolean", "description": "whether a function of the C library is called"},
    "sha256": {"type": "string", "description": "of the .tflite"},
}

INDEX_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "index.json of a conformance corpus",
    "type": "object",
    "required": ["schema", "licence", "refengine", "tflite_micro", "libm", "seed", "cases"],
    "properties": {
        "schema": {"const": SCHEMA},
        "licence": {"type": "string"},
        "refengine": {"type": "string", "description": "the version that wrote it"},
        "tflite_micro": {"type": "string", "description": "the wheel against which every byte was verified"},
        "libm": {"type": "string", "description": "the C library that it called"},
        "seed": {"type": "integer"},
        "cases": {"type": "array", "items": {"type": "object", "required": [*_CASE], "properties": _CASE}},
    },
}


# ---- checking ------------------------------------------------------------------------------------------------


class Runtime:
    """Another runtime, a process that reads a case a line and answers in a line; see the corpus's README.md."""

    def __init__(self, command: str, timeout: float = TIMEOUT) -> None:
        self.command, self.timeout = shlex.split(command), timeout
        self._process: subprocess.Popen[str] | None = None

    def run(self, folder: Path, inferences: int, resets: Sequence[int]) -> str:
        """Its answer, which is ``ok`` or why it cannot; a dead or slow one is started anew for the next case."""
        process = self._process = self._process or subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdin and process.stdout
        watch = threading.Timer(self.timeout, process.kill)
        watch.start()
        try:
            print(inferences, ",".join(map(str, resets)) or "-", folder, file=process.stdin, flush=True)
            answer = process.stdout.readline().strip()
        except OSError:
            answer = ""
        finally:
            watch.cancel()
        if answer:
            return answer
        self.close()
        return f"the runtime died or gave no answer within {self.timeout:g} s"

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def __enter__(self) -> Runtime:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def read_index(folder: Path) -> dict[str, Any]:
    """The index of a corpus. Raises `InputError` where there is none, or one of another schema."""
    try:
        index: dict[str, Any] = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: a corpus has an index.json ({error})") from None
    if index.get("schema") != SCHEMA:
        raise InputError(f"{folder} is of schema {index.get('schema')}, this tool reads {SCHEMA}")
    return index


def difference(case: dict[str, Any], corpus: Path, runtime: Runtime) -> str:
    """How a runtime does a case otherwise than the corpus has it; ``cannot: …`` where it says so itself."""
    model, arrays = (corpus / f"{case['name']}.tflite").read_bytes(), read_npz(corpus / f"{case['name']}.npz", MEMORY)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "model.tflite").write_bytes(model)
        for k in range(case["inferences"]):
            for i in range(len(case["inputs"])):
                (folder / f"{k}.input{i}").write_bytes(arrays[f"input{i}"][k].tobytes())
        answer = runtime.run(folder, case["inferences"], case["resets"])
        if answer != "ok":
            return f"cannot: {answer}"
        return next(_differences(case, arrays, folder), "")


def _differences(case: dict[str, Any], arrays: dict[str, Array], folder: Path) -> Iterator[str]:
    for k, status in enumerate(case["status"]):
        paths = [folder / f"{k}.output{i}" for i in range(len(case["outputs"]))]
        if status and any(path.exists() for path in paths):
            yield f"inference {k} has outputs, where Invoke returns {status}"
        for i, path in enumerate([] if status else paths):
            wanted = np.ma.array(arrays[f"output{i}"][k], mask=arrays.get(f"unwritten{i}", {k: False})[k])
            got = path.read_bytes() if path.exists() else b""
            if len(got) != wanted.nbytes or not path.exists():
                yield f"output {i} of inference {k} has {len(got)} bytes, not {wanted.nbytes}"
                continue
            there = np.frombuffer(got, wanted.dtype).reshape(wanted.shape)
            if count := int(np.ma.filled(unlike(wanted, there, case["nan_bits"]), False).sum()):
                yield f"{count} of {wanted.size} elements of output {i} of inference {k} differ"


def check(arguments: argparse.Namespace, console: Console) -> int:
    """Hold a runtime against a corpus; the exit status."""
    index = read_index(arguments.folder)
    cases = [case for case in index["cases"] if _wanted(case, arguments.op, arguments.dtype)]
    if not cases:
        raise InputError("the corpus has no case of that operator and type")
    command = arguments.runtime or shlex.join([sys.executable, __file__, "serve", "refengine"])
    with Runtime(command, arguments.timeout) as runtime, progress(console) as bar:
        tracked = bar.track(cases, description="cases")
        results = [(case, difference(case, arguments.folder, runtime)) for case in tracked]
    if arguments.json:
        found = [{"case": case["name"], "message": message} for case, message in results if message]
        print(as_json({"schema": SCHEMA, "runtime": command, "cases": len(cases), "differing": found}))
    else:
        show(table_of(results))
        for case, message in results:
            if message:
                console.print(f"{case['name']}: {message}\n  {case['about']}", **PLAIN)
    return int(any(message for _, message in results))


def _wanted(case: dict[str, Any], ops: Sequence[str] | None, dtypes: Sequence[str] | None) -> bool:
    return (not ops or case["operator"] in ops) and (not dtypes or case["type"] in dtypes)


def table_of(results: Iterable[tuple[dict[str, Any], str]]) -> Table:
    """Counts by operator and type."""
    counts: dict[tuple[str, str], Counter[str]] = {}
    for case, message in results:
        kind = "equal" if not message else "cannot" if message.startswith("cannot") else "differing"
        counts.setdefault((case["operator"], case["type"]), Counter())[kind] += 1
    table = Table("operator", "type", title="against the corpus")
    for column in ("cases", "equal", "differing", "cannot"):
        table.add_column(column, justify="right")
    for (op, dtype), found in counts.items():
        figures = (found.total(), found["equal"], found["differing"], found["cannot"])
        table.add_row(op, dtype, *map(str, figures), style=None if found["equal"] == found.total() else "red")
    return table


# ---- being a runtime -----------------------------------------------------------------------------------------


def serve(engine: str) -> int:
    """Answer cases from stdin until it ends."""
    for line in sys.stdin:
        inferences, resets, folder = line.rstrip("\n").split(" ", 2)
        try:
            serve_case(engine, Path(folder), int(inferences), {int(k) for k in resets.split(",") if k != "-"})
            print("ok", flush=True)
        except (RefengineError, OracleRefusal, OracleCrash) as error:
            print(str(error).splitlines()[0], flush=True)
    return 0


def serve_case(engine: str, folder: Path, inferences: int, resets: set[int]) -> None:
    model = (folder / "model.tflite").read_bytes()
    plan = host_plan(model)
    runs = [tuple(_read(folder / f"{k}.input{i}", t) for i, t in enumerate(plan.inputs)) for k in range(inferences)]
    if engine == "tflm":
        answers: Iterable[tuple[int, tuple[Array, ...]]] = oracle().run_stream(model, runs, resets)
    else:
        answers = streamed(plan, runs, resets)
    for k, (status, outputs) in enumerate(answers):
        for i, x in enumerate(() if status else outputs):
            (folder / f"{k}.output{i}").write_bytes(np.ma.filled(x, 0).tobytes())


def _read(path: Path, tensor: refengine.Tensor) -> Array:
    return np.frombuffer(path.read_bytes(), tensor.dtype).reshape(tensor.shape)


# ---- the command line ----------------------------------------------------------------------------------------


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    writing = commands.add_parser("write", help="write a corpus")
    writing.add_argument("--cases", type=int, default=LEAST, help="of each operator and type (default: %(default)s)")
    writing.add_argument("--seed", type=int, default=0, help="of everything invented (default: %(default)s)")
    add_workers(writing)
    writing.set_defaults(run=write_corpus)
    checking = commands.add_parser("check", help="hold a runtime against a corpus")
    checking.add_argument("--runtime", metavar="COMMAND", help="what runs cases (default: refengine itself)")
    checking.add_argument("--timeout", type=float, default=TIMEOUT, help="seconds a case (default: %(default)g)")
    checking.add_argument("--json", action="store_true", help="print JSON instead of a table")
    checking.set_defaults(run=check)
    for each in (writing, checking):
        each.add_argument("folder", type=Path, metavar="DIR", help="of the corpus")
        each.add_argument("--op", nargs="+", help="only these operators, such as CONV_2D")
        each.add_argument("--dtype", nargs="+", help="only these types, such as int8")
    serving = commands.add_parser("serve", help="run cases that stdin names, as a runtime for check")
    serving.add_argument("engine", choices=("refengine", "tflm"))
    serving.set_defaults(run=lambda arguments, console: serve(arguments.engine))
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status."""
    arguments = parse(argv)
    console = Console(stderr=True)
    try:
        status: int = arguments.run(arguments, console)
        return status
    except (RefengineError, UnknownLibrary, OSError) as error:
        console.print(f"corpus.py: {error}", **PLAIN)
        return 2


if __name__ == "__main__":
    import corpus  # workers know what they do by this name, not as "__main__"

    sys.exit(corpus.main())
