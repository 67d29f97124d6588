"""Hold another wheel of TFLM against the pinned one, list what changed, and pin it.

    python tools/repin.py 0.dev20261101000000
    python tools/repin.py 0.dev20250805221117 --dry-run --cases 50
    python tools/repin.py 0.dev20231010131554 --dry-run --python python3.11 --op CONV_2D --json

Each wheel gets an environment of its own, which pip fills. Both run the same invented models of one operator, three
inputs each, for every kernel that refengine has. A pair that changed is told with the presets that compute as the other
wheel does in all cases that both it and refengine run. Without --dry-run the pin in pyproject.toml is rewritten in the
end: install it, and run the tests, which then hold refengine against it.

Exit status: 0 nothing changed, 1 something did, 2 the comparison could not run.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Literal

import tflite
from conformance import COPIES, Arrays, chosen, difference, progress, show, streamed
from dice import drawn
from oracle import OracleCrash, OracleRefusal, Tflm, UnknownLibrary, host_plan
from rich.console import Console
from rich.table import Table

from refengine import PRESETS, Graph, InputError, Model, Op, RefengineError
from refengine.kernels._tflm import CUSTOM_OPS
from refengine.tflite_io import dump

PYPROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"
PIN = re.compile(r"(?<=tflite-micro==)0\.dev\d+")
RUNS = 3
"""Inputs a model; where it has state they come once more after a reset."""

BUILTINS = sorted(name for name in vars(tflite.BuiltinOperator) if name.isupper() and "PLACEHOLDER" not in name)

Answer = list[tuple[int, Arrays]] | Literal["refuses", "crashes"]
"""(status, outputs) of each inference, or how the runtime does not get there."""


# ---- an environment with a wheel -----------------------------------------------------------------------------


def environment(version: str, folder: Path, python: str) -> Path:
    """The Python of a new environment in `folder` with that wheel of TFLM and what `oracle_worker.py` needs.

    Early wheels work with NumPy 1 only. Raises `InputError` where pip finds no such wheel for this Python, or where it
    does not work there.
    """
    inside = bare_environment(folder, python)
    put_wheel(version, inside)
    for numpy in NUMPYS:
        _pip(inside, f"pip installs no {numpy}", numpy)
        failure = why_not(inside)
        if not failure:
            return inside
    raise InputError(f"tflite-micro {version} does not work with {python}: {failure}; try another --python")


NUMPYS = ("numpy", "numpy<2")


def bare_environment(folder: Path, python: str, numpy: str = "numpy") -> Path:
    """The Python of a new environment with what `oracle_worker.py` needs beside a wheel. Raises `InputError`."""
    _call(f"{python} makes no environment", python, "-m", "venv", str(folder))
    inside = folder / "bin" / "python"
    _pip(inside, f"pip installs no {numpy}", numpy, "tflite")
    return inside


def put_wheel(version: str, inside: Path) -> None:
    """Put that wheel of TFLM into an environment, in another one's place. Raises `InputError` where pip finds none.

    It comes without what it asks for: early ones want TensorFlow.
    """
    _pip(inside, f"pip installs no tflite-micro {version}", "--no-deps", "--no-cache-dir", f"tflite-micro=={version}")


def why_not(inside: Path) -> str:
    """Why the wheel in an environment does not work there; "" where it does."""
    try:
        with Tflm(python=inside) as tflm:
            ((model, runs),) = drawn("RELU", "float32", 1, 0)
            tflm.run(model, runs[0])
    except (OracleCrash, OracleRefusal) as error:
        return str(error).strip().rpartition("\n")[2]
    return ""


def _pip(inside: Path, what: str, *arguments: str) -> None:
    _call(what, str(inside), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments)


def _call(what: str, *command: str) -> None:
    """Run a command; raises `InputError` with its last words where it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        raise InputError(f"{what}: {error}") from None
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines() or ["it says nothing"]
        raise InputError(f"{what}: {words[-1]}")


# ---- what a wheel makes of a case ----------------------------------------------------------------------------


def answer(tflm: Tflm, model: bytes, runs: Sequence[Arrays]) -> Answer:
    """One model's outputs; where it has state, of one inference after another, and again after a reset."""
    try:
        if _stateful(model):
            return tflm.run_stream(model, [*runs, *runs], {len(runs)})
        return [(0, outputs) for outputs in tflm.run_many(model, runs)]
    except OracleRefusal:
        return "refuses"
    except OracleCrash:
        return "crashes"


def ours(model: bytes, runs: Sequence[Arrays], preset: str) -> Answer:
    """The same by refengine in the dialect `preset`."""
    try:
        plan = host_plan(model, PRESETS[preset])
        return list(streamed(plan, [*runs, *runs] if _stateful(model) else runs, {len(runs)}))
    except RefengineError:
        return "refuses"


def _stateful(model: bytes) -> bool:
    try:
        return bool(host_plan(model).initial)
    except RefengineError:
        return False


def equal(a: Answer, b: Answer, same_nan: bool) -> bool:
    """Whether two answers are the same in every bit; elements undefined in `a` count for nothing."""
    if isinstance(a, str) or isinstance(b, str):
        return a == b
    return all(s == t and (s or not difference(x, y, same_nan)) for (s, x), (t, y) in zip(a, b, strict=True))


def change(before: Answer, after: Answer, same_nan: bool) -> str:
    """What became of a case from one wheel to another: "" for the same, else a word for the table's columns."""
    if isinstance(after, str):
        return "" if before == after else after
    if isinstance(before, str):
        return "runs now"
    return "" if equal(before, after, same_nan) else "other bits"


def registered(tflm: Tflm) -> set[str]:
    """The operators that a wheel has kernels for: of others it says so before it looks at anything else."""

    def known(name: str) -> bool:
        op = Op(0, name, (), ()) if name in BUILTINS else Op(0, "CUSTOM", (), (), custom_code=name)
        try:
            tflm.run(dump(Model((Graph(0, "main", (), (), (), (op,)),))), [])
        except OracleRefusal as refusal:
            return "Failed to get registration" not in str(refusal)
        except OracleCrash:
            pass
        return True

    return {name for name in (*BUILTINS, *CUSTOM_OPS) if known(name)}


# ---- the comparison ------------------------------------------------------------------------------------------


@dataclass
class Change:
    """What changed of one operator at one type.

    `counts` has the "cases" and how many of them came to each change; `presets` those that compute as the other wheel
    does wherever both run a changed case, None where there is none to ask.
    """

    operator: str
    type: str
    counts: Counter[str] = field(default_factory=Counter)
    presets: set[str] | None = None

    @property
    def changed(self) -> int:
        return self.counts.total() - self.counts["cases"]


def compare(keys: Iterable[tuple[str, str]], cases: int, random_seed: int, old: Tflm, new: Tflm) -> Iterator[Change]:
    """Run the same cases on two wheels, a pair of operator and type after the other."""
    for op, dtype in keys:
        found = Change(op, dtype)
        for model, runs in drawn(op, dtype, cases, zlib.crc32(f"{random_seed} {op} {dtype}".encode())):
            runs = runs[:RUNS]
            after = answer(new, model, runs)
            kind = change(answer(old, model, runs), after, op in COPIES)
            found.counts.update(["cases", kind] if kind else ["cases"])
            if kind in ("other bits", "runs now"):
                agreeing = {preset for preset in PRESETS if equal(ours(model, runs, preset), after, op in COPIES)}
                found.presets = agreeing if found.presets is None else found.presets & agreeing
        yield found


KINDS = ("other bits", "runs now", "refuses", "crashes")


def table_of(changes: Sequence[Change], old: str, new: str) -> Table:
    table = Table(title=f"from tflite-micro {old} to {new}")
    for column in ("operator", "type"):
        table.add_column(column, no_wrap=True)
    for column in (*KINDS, "cases"):
        table.add_column(column, justify="right")
    table.add_column("as the new one")
    for found in changes:
        presets = "" if found.presets is None else ", ".join(p for p in PRESETS if p in found.presets) or "none"
        table.add_row(found.operator, found.type, *(f"{found.counts[kind]:,}" for kind in (*KINDS, "cases")), presets)
    return table


def pinned(text: str) -> str:
    """The version of tflite-micro that pyproject.toml names. Raises `InputError` where another one is installed."""
    found = PIN.search(text)
    if found is None:
        raise InputError(f"{PYPROJECT.name} pins no tflite-micro==0.dev…")
    if installed() != found.group():
        raise InputError(
            f"tflite-micro {found.group()} is pinned, and {installed()} is installed; install the pinned one"
        )
    return found.group()


def installed() -> str:
    """The version of tflite-micro in this environment."""
    try:
        return metadata.version("tflite-micro")
    except metadata.PackageNotFoundError:
        return "none"


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("version", help="of the wheel tflite-micro, such as 0.dev20261023182759")
    parser.add_argument("--dry-run", action="store_true", help="list what changed, and leave the pin")
    parser.add_argument("--cases", type=int, default=20, help="models an operator and type (default: %(default)s)")
    parser.add_argument("--op", nargs="+", help="only these operators, such as CONV_2D")
    parser.add_argument("--dtype", nargs="+", help="only these types of the first input, such as int8")
    parser.add_argument("--seed", type=int, default=0, help="of everything invented (default: %(default)s)")
    parser.add_argument("--python", default=sys.executable, help="the interpreter that the wheel is for")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status."""
    arguments = parse(argv)
    console = Console(stderr=True)
    try:
        text = PYPROJECT.read_text()
        old, keys = pinned(text), chosen(arguments.op, arguments.dtype)
        with tempfile.TemporaryDirectory() as folder:
            python = environment(arguments.version, Path(folder), arguments.python)
            with Tflm() as here, Tflm(python=python, apart=True) as there, progress(console) as bar:
                before, after = registered(here), registered(there)
                compared = compare(keys, arguments.cases, arguments.seed, here, there)
                changes = [found for found in bar.track(compared, len(keys), description="pairs") if found.changed]
    except (RefengineError, UnknownLibrary, OSError) as error:
        console.print(f"repin.py: {error}", markup=False, highlight=False, soft_wrap=True)
        return 2
    added, gone = sorted(after - before), sorted(before - after)
    tell(arguments, old, len(keys), added, gone, changes)
    if not arguments.dry_run:
        PYPROJECT.write_text(PIN.sub(arguments.version, text))
        console.print(
            f"{PYPROJECT.name} pins tflite-micro {arguments.version} now; the commit named beside it is yours"
        )
    return int(bool(added or gone or changes))


def tell(
    arguments: argparse.Namespace, old: str, pairs: int, added: list[str], gone: list[str], changes: Sequence[Change]
) -> None:
    """Print what changed."""
    if arguments.json:
        rows = [
            {**vars(found), "presets": None if found.presets is None else sorted(found.presets)} for found in changes
        ]
        print(json.dumps(dict(old=old, new=arguments.version, added=added, gone=gone, changes=rows), indent=1))
        return
    for word, operators in (("added", added), ("gone", gone)):
        if operators:
            print(f"operators {word}: {', '.join(operators)}")
    if changes:
        show(table_of(changes, old, arguments.version))
    print(f"{len(changes)} of {pairs} pairs of operator and type changed, {arguments.cases} cases each")


if __name__ == "__main__":
    sys.exit(main())
