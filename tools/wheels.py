"""Ask every wheel of TFLM that installs the same questions, and list where the answers change.

    python tools/wheels.py answers --python python3.11 python3.13 python3.10
    python tools/wheels.py answers --cases 100 --only 0.dev20250307180546 0.dev20250317171226
    python tools/wheels.py answers --op FULLY_CONNECTED --dtype int8 int16

The questions are those of `repin.py`: invented models of one operator, three inputs each, for every kernel that
refengine has. Each is asked twice, of two processes: what they answer differently TFLM has not written, and counts for
nothing. What a wheel answers is kept in the folder, and a wheel that has answered is not asked again, so that a run may
be stopped and goes on where it was; another folder is for other questions.

In the end two tables: the stretches of wheels that answer alike, with how many answers of the first one are not those
of each preset, of what both run, and what changed from each stretch to the next.

Exit status: 0 every wheel has answered, 1 a wheel does not work with any of the Pythons, 2 nothing could be asked.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import repin
from conformance import COPIES, Arrays, chosen, progress, show
from dice import drawn
from oracle import Tflm, UnknownLibrary
from repin import Answer
from rich.console import Console
from rich.table import Table

from refengine import InputError, RefengineError
from refengine.tensors.difference import unlike

PRESETS = ("tflm", "tflm-2026-08")
"""The dialects of TFLM's history."""

UNSETTLED = "unsettled"
WORDS = ("refuses", "crashes")

Answers = dict[str, list[str]]
"""What was answered to each question, by "OPERATOR type": digests of the outputs, or one of the words above."""


# ---- questions -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Question:
    """A model with its inputs, and what refengine computes in each dialect of TFLM's history."""

    model: bytes
    runs: Sequence[Arrays]
    same_nan: bool
    ours: Mapping[str, Answer]


def questions(key: tuple[str, str], cases: int, random_seed: int) -> Iterator[Question]:
    """Those on one operator at one type."""
    op, dtype = key
    for model, runs in drawn(op, dtype, cases, zlib.crc32(f"{random_seed} {op} {dtype}".encode())):
        runs = runs[: repin.RUNS]
        ours = {preset: repin.ours(model, runs, preset) for preset in PRESETS}
        yield Question(model, runs, op in COPIES, ours)


def digest(answer: Answer, question: Question) -> str:
    """The same text for answers that are the same in every bit, but for elements that refengine leaves undefined, and
    any NaN for any other where the operator computes."""
    if isinstance(answer, str):
        return answer
    mine = question.ours[PRESETS[0]]
    sums = hashlib.blake2s(digest_size=8)
    for k, (status, outputs) in enumerate(answer):
        sums.update(bytes([status]))
        like = mine[k][1] if not isinstance(mine, str) else ()
        for j, x in enumerate(outputs):
            x = _as_ours(x, like[j], question.same_nan) if j < len(like) else x
            sums.update(repr((x.dtype.name, x.shape)).encode() + x.tobytes())
    return sums.hexdigest()


def _as_ours(x: np.ndarray[Any, Any], mine: np.ndarray[Any, Any], same_nan: bool) -> np.ndarray[Any, Any]:
    """An array with refengine's bits in every element that counts as the same."""
    if (x.dtype, x.shape) != (mine.dtype, mine.shape):
        return x
    return np.asarray(np.where(unlike(mine, x, same_nan), np.ma.getdata(x), np.ma.getdata(mine)))


# ---- wheels --------------------------------------------------------------------------------------------------


def published(pythons: Sequence[str]) -> list[str]:
    """The versions of tflite-micro that pip finds for any of the interpreters, the oldest first."""
    found = set[str]()
    for python in pythons:
        command = (python, "-m", "pip", "index", "versions", "--pre", "tflite-micro")
        try:
            said = subprocess.run(command, capture_output=True, text=True).stdout
        except OSError as error:
            raise InputError(f"{python} does not run: {error}") from None
        found.update(re.findall(r"0\.dev\d+", said))
    if not found:
        raise InputError(f"pip lists no tflite-micro for {', '.join(pythons)}")
    return sorted(found)


class Environments:
    """One for each Python and each NumPy, made when a wheel first needs it; wheels come and go in them."""

    def __init__(self, pythons: Sequence[str], folder: Path) -> None:
        self.kinds = [(python, numpy) for python in pythons for numpy in repin.NUMPYS]
        self.folder = folder
        self._made: dict[tuple[str, str], Path] = {}

    def with_wheel(self, version: str) -> tuple[str, Path]:
        """The name and the Python of one that the wheel works in. Raises `InputError` with the reasons for none."""
        reasons = []
        for kind in list(self.kinds):
            name = f"{kind[0]} with {kind[1]}"
            try:
                inside = self._made.get(kind) or repin.bare_environment(self.folder / f"env{len(self._made)}", *kind)
                self._made[kind] = inside
                repin.put_wheel(version, inside)
                failure = repin.why_not(inside)
            except InputError as error:
                failure = str(error)
            if not failure:
                self.kinds.sort(key=lambda other: other != kind)  # its neighbours want the same
                return name, inside
            reasons.append(f"{name}: {failure}")
        raise InputError("; ".join(reasons))


@dataclass(frozen=True)
class Answered:
    """What a wheel answered, and to how many questions not as refengine does in each dialect of TFLM's history.

    `both` is how many of the answers there are here and there, `apart` how many of those are not the same.
    """

    answers: Answers
    both: Mapping[str, int]
    apart: Mapping[str, int]


def ask(inside: Path, asked: Mapping[str, Sequence[Question]]) -> Answered:
    """Ask the wheel in an environment, twice."""
    both, apart = (dict.fromkeys(PRESETS, 0) for _ in range(2))
    answers: Answers = {key: [] for key in asked}
    with Tflm(python=inside, apart=True) as tflm, Tflm(python=inside, apart=True) as again:
        for key, q in ((key, q) for key, qs in asked.items() for q in qs):
            answer = repin.answer(tflm, q.model, q.runs)
            told = digest(answer, q)
            settled = told == digest(repin.answer(again, q.model, q.runs), q)
            answers[key].append(told if settled else UNSETTLED)
            for preset, mine in q.ours.items():
                if settled and not isinstance(answer, str) and not isinstance(mine, str):
                    both[preset] += 1
                    apart[preset] += not repin.equal(mine, answer, q.same_nan)
    return Answered(answers, both, apart)


# ---- what changed --------------------------------------------------------------------------------------------


def changes(before: Answers, after: Answers) -> dict[str, Counter[str]]:
    """What became of the answers from one wheel to another, counted by `repin.KINDS`, of each key that changed; "" is
    how many did not."""
    counted = {key: Counter(map(_change, before[key], after[key])) for key in sorted(before)}
    return {key: counts for key, counts in counted.items() if counts.keys() - {""}}


def _change(before: str, after: str) -> str:
    if before == after or UNSETTLED in (before, after):
        return ""
    return after if after in WORDS else "runs now" if before in WORDS else "other bits"


@dataclass
class Stretch:
    """Neighbouring wheels that answer alike, and what changed from the stretch before."""

    first: str
    last: str
    wheels: int
    answered: Answered
    changed: Mapping[str, Counter[str]]


def stretches(wheels: Mapping[str, Answered]) -> list[Stretch]:
    """The wheels in the order of their versions, put together where nothing changed."""
    found: list[Stretch] = []
    for version, answered in sorted(wheels.items()):
        changed = changes(found[-1].answered.answers, answered.answers) if found else {}
        if found and not changed:
            found[-1].last, found[-1].wheels = version, found[-1].wheels + 1
        else:
            found.append(Stretch(version, version, 1, answered, changed))
    return found


def tell(found: Sequence[Stretch]) -> None:
    """Print both tables."""
    alike = Table(title="wheels that answer alike")
    for column in ("from", "to", "wheels", *(f"not as {preset}" for preset in PRESETS)):
        alike.add_column(column, justify="right", no_wrap=True)
    for stretch in found:
        shares = (f"{stretch.answered.apart[p]:,} of {stretch.answered.both[p]:,}" for p in PRESETS)
        alike.add_row(_short(stretch.first), _short(stretch.last), str(stretch.wheels), *shares)
    show(alike)
    changed = Table(title="what changed")
    for column in ("from", "to", "operator and type", *repin.KINDS):
        changed.add_column(column, justify="right" if column in repin.KINDS else "left", no_wrap=True)
    for before, after in pairwise(found):
        for key, counts in after.changed.items():
            numbers = (f"{counts[kind]:,}" for kind in repin.KINDS)
            changed.add_row(_short(before.last), _short(after.first), key, *numbers)
    show(changed)


def _short(version: str) -> str:
    return version.removeprefix("0.dev")


# ---- the command ---------------------------------------------------------------------------------------------


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the answers are kept")
    parser.add_argument("--python", nargs="+", default=[sys.executable], help="interpreters that the wheels are for")
    parser.add_argument("--only", nargs="+", help="these versions, such as 0.dev20261023182759")
    parser.add_argument("--cases", type=int, default=16, help="models an operator and type (default: %(default)s)")
    parser.add_argument("--op", nargs="+", help="only these operators, such as CONV_2D")
    parser.add_argument("--dtype", nargs="+", help="only these types of the first input, such as int8")
    parser.add_argument("--seed", type=int, default=0, help="of everything invented (default: %(default)s)")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status."""
    arguments = parse(argv)
    console = Console(stderr=True)
    try:
        keys = chosen(arguments.op, arguments.dtype)
        _same_questions(arguments.folder, keys, arguments.cases, arguments.seed)
        versions = arguments.only or published(arguments.python)
        with progress(console) as bar:
            drawing = bar.track(keys, description="questions")
            asked = {" ".join(key): list(questions(key, arguments.cases, arguments.seed)) for key in drawing}
            failures = ask_all(bar.track(versions, description="wheels"), asked, arguments)
    except (RefengineError, UnknownLibrary, OSError) as error:
        console.print(f"wheels.py: {error}", markup=False, highlight=False, soft_wrap=True)
        return 2
    wheels = {path.stem: _read(path) for path in arguments.folder.glob("0.dev*.json")}
    tell(stretches(wheels))
    for version, reasons in failures.items():
        print(f"{version} could not be asked: {reasons}")
    print(f"{len(wheels)} wheels have answered {sum(map(len, asked.values())):,} questions each")
    return int(bool(failures))


def ask_all(
    versions: Iterable[str], asked: Mapping[str, Sequence[Question]], arguments: argparse.Namespace
) -> dict[str, str]:
    """Ask the wheels that have not answered, and keep what they say; the reasons of those that cannot be asked."""
    failures = {}
    with tempfile.TemporaryDirectory() as folder:
        environments = Environments(arguments.python, Path(folder))
        for version in versions:
            path = arguments.folder / f"{version}.json"
            if path.exists():
                continue
            try:
                name, inside = environments.with_wheel(version)
            except InputError as error:
                failures[version] = str(error)
                continue
            _write(path, {"environment": name, **vars(ask(inside, asked))})
    return failures


def _same_questions(folder: Path, keys: Sequence[tuple[str, str]], cases: int, seed: int) -> None:
    """Raises `InputError` where the folder's answers are to other questions."""
    now = {"cases": cases, "seed": seed, "pairs": [" ".join(key) for key in keys]}
    path = folder / "questions.json"
    if path.exists() and json.loads(path.read_text()) != now:
        raise InputError(f"{folder} has answers to other questions; give another folder, or the same questions again")
    folder.mkdir(parents=True, exist_ok=True)
    _write(path, now)


def _read(path: Path) -> Answered:
    saved = json.loads(path.read_text())
    return Answered(saved["answers"], saved["both"], saved["apart"])


def _write(path: Path, value: Any) -> None:
    """Whole or not at all, for runs may be stopped at any time."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(value))
    part.replace(path)


if __name__ == "__main__":
    sys.exit(main())
