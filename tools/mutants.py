"""Do the tests notice a fault? Change the engine's sources one place at a time, and see which changes survive.

A mutant is one small change of meaning: a comparison, an operator, a constant, a refusal left out, an argument dropped.
Each is tried in a copy of the repository against the tests that concern its file and reach its function
(`tools/reach.py`); a mutant that no test notices either shows a gap in the tests, or a line that does nothing. The
sample is drawn by a seed, in an order that is chance as well: what is tried so far is a fair sample, too. The score
comes with its 95 % interval (Wilson), since it is a sample.

    python tools/mutants.py --count 300 --seed 1 --save sample.json    # once more after an interruption: it goes on
    python tools/mutants.py --again sample.json                       # those that no test noticed
    python tools/mutants.py refengine/plan.py --count 20
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from itertools import accumulate
from math import sqrt
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import NoReturn

import pytest
import reach

ROOT = Path(__file__).parents[1]
PLACES = (
    *("refengine/numerics", "refengine/kernels", "refengine/refusals.py", "refengine/state.py", "refengine/plan.py"),
    *("refengine/execute.py", "refengine/judge"),
)
PATIENCE = 60, 10
"""Seconds of processor for one test, and how many times what it took when it was recorded: a change that makes a test
run for ever is noticed, however busy the machine is."""
TIME_LIMIT = 3600
"""Seconds by the clock for the tests of one mutant. Then they wait for something, or the machine does: no verdict."""
NOTICED, SURVIVED, HUNG, GONE = "noticed", "SURVIVED", "HUNG", "gone"
"""The verdicts; "gone" is of a change that can no longer be made."""
BROKEN = 70
"""The status of a process that never came to run pytest."""

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.Div: ast.Mult,
    ast.Mod: ast.Mult, ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr, ast.Pow: ast.Mult,
}  # fmt: skip
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "minimum": "maximum", "maximum": "minimum",
         "floor": "ceil", "ceil": "floor"}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One change: the file, where, what is there and what may be there instead."""

    path: str
    line: int
    before: str
    after: str
    changed: str
    """The line as the mutant has it, which tells two equal changes in one line apart."""
    start: int
    """The first byte of what is there."""

    def applied(self, source: str) -> str:
        """The whole file with the change."""
        data, end = source.encode(), self.start + len(self.before.encode())
        assert data[self.start : end].decode() == self.before, f"{self.path} is another file now"
        return (data[: self.start] + self.after.encode() + data[end:]).decode()


@dataclass
class Tried:
    """One mutant of a sample as a file keeps it, with its verdicts: of when it was first tried, and of now."""

    path: str
    line: int
    before: str
    after: str
    changed: str
    first: str | None = None
    now: str | None = None

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.before}  →  {self.after}"

    @classmethod
    def of(cls, mutant: Mutant) -> Tried:
        return cls(mutant.path, mutant.line, mutant.before, mutant.after, mutant.changed)

    def found(self) -> Mutant | None:
        """The same change in the file as it is now; None if its line is gone, or another line now."""
        path = ROOT / self.path
        changes = _mutants(path, path.stat().st_mtime_ns) if path.exists() else ()
        same = [m for m in changes if (m.before, m.after, m.changed) == (self.before, self.after, self.changed)]
        return min(same, key=lambda m: abs(m.line - self.line), default=None)


# ---- what can be changed -------------------------------------------------------------------------------------


def mutants(path: Path) -> Iterator[Mutant]:
    """Every change of one file."""
    source = path.read_text(encoding="utf-8")
    data, lines = source.encode(), source.encode().splitlines(keepends=True)
    starts = [0, *accumulate(map(len, lines))]
    for node, new in _changes(ast.parse(source)):
        after = ast.unparse(ast.fix_missing_locations(new))
        if isinstance(node, ast.expr):
            after = f"({after})"
        assert node.end_lineno is not None and node.end_col_offset is not None
        first, last = lines[node.lineno - 1][: node.col_offset], lines[node.end_lineno - 1][node.end_col_offset :]
        start, end = starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset
        changed = f"{first.decode()}{after}{last.decode()}".rstrip("\n")
        shown = str(path.relative_to(ROOT))
        yield Mutant(shown, node.lineno, data[start:end].decode(), after, changed, start)


@cache
def _mutants(path: Path, changed: int) -> tuple[Mutant, ...]:
    """The same of a file last written at `changed`, for those who ask often."""
    return tuple(mutants(path))


def _changes(tree: ast.Module) -> Iterator[tuple[ast.expr | ast.stmt, ast.AST]]:
    """(what is there, what may stand there instead) in code: no annotations, texts or docstrings."""
    skipped = {id(inner) for node in ast.walk(tree) for part in _texts(node) for inner in ast.walk(part)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        for change in CHANGES:
            new = change(node)
            if new is not None and isinstance(node, ast.expr | ast.stmt):
                yield node, new


INVENTING = ("example", "draw_", "_draw", "__repr__", "__str__")
"""How functions begin that invent cases, or words, and compute nothing."""
CHANCE = ("draw", "rng")
"""What functions that invent cases take."""
SILENT = ("strict", "repr")
"""Keywords that check what never happens (an uneven `zip` is no answer to anybody), or that shape words."""


def _texts(node: ast.AST) -> Iterator[ast.AST]:
    invents = isinstance(node, ast.FunctionDef) and (node.name.startswith(INVENTING) or _takes(node, CHANCE))
    if invents or isinstance(node, ast.Assert):  # which narrows types, or says what never happens
        yield node
    elif isinstance(node, ast.ClassDef):
        yield from node.decorator_list
    elif isinstance(node, ast.keyword) and node.arg in SILENT:
        yield node.value
    elif isinstance(node, ast.FunctionDef):
        yield from (a.annotation for a in (*node.args.args, *node.args.kwonlyargs) if a.annotation)
        yield from [node.returns] if node.returns else []
        yield from node.decorator_list
    elif isinstance(node, ast.AnnAssign):
        yield node.annotation
    elif isinstance(node, ast.JoinedStr):
        yield node
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Line":
        yield from node.args[:2]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "reshape":
        yield from (size for argument in node.args for inner in ast.walk(argument) for size in _unknown_sizes(inner))


def _takes(node: ast.FunctionDef, names: Sequence[str]) -> bool:
    return any(argument.arg in names for argument in node.args.args)


def _unknown_sizes(node: ast.AST) -> Iterator[ast.AST]:
    """The 1 of `reshape(-1, …)`: any negative number says the same."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and ast.unparse(node) == "-1":
        yield node.operand


def _comparison(node: ast.AST) -> ast.AST | None:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARISONS:
        return ast.Compare(node.left, [COMPARISONS[type(node.ops[0])](), *node.ops[1:]], node.comparators)
    return None


def _operator(node: ast.AST) -> ast.AST | None:
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS and not isinstance(node.left, ast.JoinedStr):
        return ast.BinOp(node.left, OPERATORS[type(node.op)](), node.right)
    return None


def _constant(node: ast.AST) -> ast.AST | None:
    if not isinstance(node, ast.Constant) or node.value in (None, Ellipsis) or isinstance(node.value, str | bytes):
        return None
    value = node.value
    return ast.Constant(not value if isinstance(value, bool) else value + 1)


def _negation(node: ast.AST) -> ast.AST | None:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        return node.operand
    if isinstance(node, ast.IfExp):
        return ast.IfExp(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse)
    return None


def _either(node: ast.AST) -> ast.AST | None:
    if isinstance(node, ast.BoolOp):
        return ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
    return None


def _name(node: ast.AST) -> ast.AST | None:
    if isinstance(node, ast.Name) and node.id in NAMES and isinstance(node.ctx, ast.Load):
        return ast.Name(NAMES[node.id], node.ctx)
    if isinstance(node, ast.Attribute) and node.attr in NAMES and isinstance(node.ctx, ast.Load):
        return ast.Attribute(node.value, NAMES[node.attr], node.ctx)
    return None


def _left_out(node: ast.AST) -> ast.AST | None:
    """A refusal, a `raise` or a guarded statement that is not there."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return ast.Pass()
    if isinstance(node, ast.Raise | ast.AugAssign | ast.Continue | ast.Break):
        return ast.Pass()
    return None


def _untouched(node: ast.AST) -> ast.AST | None:
    """A conversion or a clamp that does nothing: its first operand instead."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr in ("astype", "copy", "reshape", "clip") and not isinstance(node.func.value, ast.Name):
            return node.func.value
        if node.func.attr in ("clip", "where", "broadcast_to", "clamp") and node.args:
            return node.args[0]
    return None


CHANGES: tuple[Callable[[ast.AST], ast.AST | None], ...] = (
    _comparison, _operator, _constant, _negation, _either, _name, _left_out, _untouched,
)  # fmt: skip


# ---- which tests concern a file ------------------------------------------------------------------------------


def concerning(path: str) -> list[list[str]]:
    """Arguments of pytest, the nearest tests first: further ones are only asked if those notice nothing."""
    place = Path(path)
    room, name = place.parts[1], place.stem
    own = f"tests/{room}/test_{name}.py"
    if name == "_arena":  # what TFLM asks its arena for
        return [["tests/test_allocation.py"]]
    if room == "kernels":
        operators = sorted(_operators(ROOT / path))
        laws = ["tests/test_kernels.py", "tests/test_plan_fuzz.py", "-k", " or ".join(operators) or name]
        first = [own] if (ROOT / own).exists() else _users(name)
        dialects = ["tests/test_dialects.py", "-k", " or ".join(["explanations", *(operators or [name])])]
        return [first, ["tests/test_facts.py"], laws, dialects]
    if room == "numerics":
        properties = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "tests/properties").glob("test_*.py"))
        return [["tests/numerics"], properties, ["tests/kernels"], ["tests/test_dialects.py"]]
    if room == "judge":
        every = "tests/judge/test_every_kernel.py"  # two thirds of the judge's time, so a few kinds stand for all
        others = [file for file in _test_files("tests/judge", ROOT) if file not in (own, every)]
        own_first = [[own]] if (ROOT / own).exists() else []
        few = [every, "-k", "FULLY_CONNECTED or DEPTHWISE or ADD- or SOFTMAX-"]
        return [*own_first, others, ["tests/debugger", "-k", "compare"], ["tests/test_partial.py"], few]
    spine = ["tests/test_refusals.py", "tests/test_state.py", "tests/test_plan.py", "tests/test_execute.py"]
    spine += ["tests/test_subgraphs.py"]
    sizes = ["tests/test_memory.py", "tests/test_allocation.py", "tests/tflite_io/test_oddities.py"]
    control = ["tests/kernels", "-k", "if or while or call_once or variable or var_handle or session"]
    laws = ["tests/test_kernels.py", "-k", "ADD"]
    rest = ["tests/test_session.py", "tests/test_partial.py", "tests/test_plan_fuzz.py", "tests/test_interpreter.py"]
    return [spine, sizes, control, rest, laws]


def _operators(path: Path) -> set[str]:
    """The operators that a kernel's file registers: "ADD", "SignalRfft"; of a shared file, its users'."""
    if path.stem.startswith("_"):
        return set().union(*(_operators(user) for user in _importers(path.stem)), set())
    strings = {n.value for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Constant)}
    return {s for s in strings if isinstance(s, str)} & _registered()


@cache
def _registered() -> set[str]:
    """All operators that refengine has; asked of a process of its own, for this one must not import what it changes."""
    ask = "from refengine import KERNELS; print(*{op for op, _ in KERNELS})"
    return set(
        subprocess.run([sys.executable, "-c", ask], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    )


def _importers(name: str) -> list[Path]:
    """The kernels that use a shared file."""
    kernels = (ROOT / "refengine/kernels").glob("[!_]*.py")
    return sorted(p for p in kernels if f"import {name}" in p.read_text() or f", {name}" in p.read_text())


def _users(name: str) -> list[str]:
    tests = [f"tests/kernels/test_{p.stem}.py" for p in _importers(name)]
    return [test for test in tests if (ROOT / test).exists()] or ["tests/kernels"]


# ---- trying --------------------------------------------------------------------------------------------------


def verdict(mutant: Mutant) -> tuple[str, float]:
    """What the tests say, and how many seconds that took. In a process of a pool, with a copy of its own."""
    start, copy = time.perf_counter(), _copy()
    target = copy / mutant.path
    original = target.read_text(encoding="utf-8")
    function = reach.function_at(original, mutant.path, mutant.line)
    target.write_text(mutant.applied(original), encoding="utf-8")
    try:
        groups = (_chosen(copy, tests, function) for tests in concerning(mutant.path))
        verdicts = (_verdict(copy, *chosen) for chosen in groups if chosen is not None)
        said = next((each for each in verdicts if each != SURVIVED), SURVIVED)
    finally:
        target.write_text(original, encoding="utf-8")
    return said, time.perf_counter() - start


class Selection:
    """A plugin of pytest: of the tests whose reach is recorded those that are known here, the quickest first.

    A test that runs for ever is ended. Hypothesis makes no failing example smaller, for nobody reads it.
    """

    def __init__(self, seconds: dict[str, float], recorded: set[str]) -> None:
        self.seconds, self.recorded = seconds, recorded

    def pytest_sessionstart(self) -> None:
        from hypothesis import Phase, settings

        settings.register_profile("mutants", settings(), phases=[Phase.explicit, Phase.generate])
        settings.load_profile("mutants")

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        known = [item for item in items if item.nodeid in self.seconds or _file(item) not in self.recorded]
        chosen = [item for item in known if not item.get_closest_marker("long")]  # which `make test` leaves out
        items[:] = sorted(chosen, key=lambda item: self.seconds.get(item.nodeid, 0))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        signal.setitimer(signal.ITIMER_PROF, PATIENCE[0] + PATIENCE[1] * self.seconds.get(nodeid, 0))


def _file(item: pytest.Item) -> str:
    return item.nodeid.split("::")[0]


def _chosen(root: Path, tests: Sequence[str], function: str | None) -> tuple[list[str], Selection] | None:
    """The arguments of pytest without the files that do not reach the function, and what of the others does.

    None if nothing does.
    """
    files = [file for place in tests if place.startswith("tests/") for file in _test_files(place, root)]
    known = {file: found for file in files if (found := reach.load(root, file)) is not None}
    reaching = {file: found.reaching(function and [function]) for file, found in known.items()}
    asked = [file for file in files if reaching.get(file) != {}]
    seconds = {test: each for tests in reaching.values() for test, each in tests.items()}
    options = [argument for argument in tests if not argument.startswith("tests/")]
    return ([*asked, *options], Selection(seconds, set(known))) if asked else None


def _test_files(place: str, root: Path) -> list[str]:
    path = root / place
    return [str(p.relative_to(root)) for p in sorted(path.rglob("test_*.py"))] if path.is_dir() else [place]


_COPIES: list[Path] = []
_FOLDERS: list[Path] = []


def _copy() -> Path:
    """This process's copy of the repository as it is at first: whoever goes on writing disturbs nothing."""
    if not _COPIES:
        folder = Path(tempfile.mkdtemp(dir=_FOLDERS[0]))
        ignored = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", ".hypothesis", "build")
        _COPIES.append(Path(shutil.copytree(ROOT, folder / "refengine", ignore=ignored)))
        if (ROOT / "build/reach").exists():
            shutil.copytree(ROOT / "build/reach", _COPIES[0] / "build/reach")
        _compile(_COPIES[0])
    return _COPIES[0]


def _compile(copy: Path) -> None:
    """Leave the bytecode of all that is not changed, tests as pytest rewrites them among it: forks write none."""
    allowed = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for command in (["compileall", "-q", "refengine"], ["pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]):
        subprocess.run(
            [sys.executable, "-m", *command], cwd=copy, check=True, env=allowed | {"PYTHONPATH": str(copy)},
            stdout=subprocess.DEVNULL,
        )  # fmt: skip


def _verdict(copy: Path, tests: Sequence[str], selection: Selection) -> str:
    """pytest's verdict, in a fork of this process, which has imported what takes long."""
    child = os.fork()
    if child == 0:
        try:
            _become_pytest(copy, tests, selection)
        finally:  # whatever it raised: this process must not go on as one of the pool
            os._exit(BROKEN)
    try:
        return _awaited(child, tests)
    finally:  # an interrupted run leaves no tests behind
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)


def _awaited(child: int, tests: Sequence[str]) -> str:
    """The verdict as soon as pytest has ended, or may be given up."""
    deadline = time.monotonic() + TIME_LIMIT
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            if code == BROKEN:
                raise RuntimeError(f"pytest could not run {' '.join(tests)}: status {code}")
            return SURVIVED if code in (0, 5) else NOTICED  # 5: nothing to run
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return HUNG


def _become_pytest(copy: Path, tests: Sequence[str], selection: Selection) -> NoReturn:
    """Run tests in the copy, silently, and exit with pytest's status."""
    os.setsid()
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    os.chdir(copy)
    sys.path[:0] = [str(copy), str(copy / "tools")]
    sys.dont_write_bytecode = True
    os.environ["PYTHONPATH"] = str(copy)
    arguments = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *tests]
    os._exit(int(pytest.main(arguments, plugins=[selection])))


def _prepare(folder: Path) -> None:
    """Of a pool's process: its copy comes to `folder`, and what every fork needs is imported once.

    Not hypothesis, whose asserts pytest wants to rewrite.
    """
    _FOLDERS[:] = [folder]
    import flatbuffers  # noqa: F401
    import numpy  # noqa: F401
    import tflite  # noqa: F401


def interval(killed: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    share, spread = killed / total, z * z / total
    middle = share + spread / 2
    half = z * sqrt(share * (1 - share) / total + spread / (4 * total))
    return (middle - half) / (1 + spread), (middle + half) / (1 + spread)


def drawn(places: Sequence[str], count: int, seed: int) -> list[Mutant]:
    """`count` mutants of the files in `places`, each place of change as likely as any other."""
    files = sorted({file for place in places for file in ([ROOT / place] if place.endswith(".py") else
                                                          (ROOT / place).rglob("*.py"))})  # fmt: skip
    every = [mutant for file in files for mutant in mutants(file)]
    return Random(seed).sample(every, min(count, len(every)))


def recorded(sample: Sequence[Mutant]) -> None:
    """Record what all tests reach that the sample asks, where that is not known yet."""
    places = {place for m in sample for tests in concerning(m.path) for place in tests if place.startswith("tests/")}
    files = sorted({file for place in places for file in _test_files(place, ROOT)})
    missing = [file for file in files if not reach.kept(ROOT, file).exists()]
    if missing:
        command = [sys.executable, str(Path(reach.__file__)), *missing]
        subprocess.run(command, cwd=ROOT, check=True, env=os.environ | {"PYTHONPATH": str(ROOT)})


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("places", nargs="*", default=PLACES, help="files and folders (default: %(default)s)")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument(
        "--save", metavar="FILE", type=Path, help="keep the sample with its verdicts, and go on with it"
    )
    parser.add_argument("--again", metavar="FILE", type=Path, help="try those of a kept sample again that survived")
    args = parser.parse_args(argv)
    file = args.again or args.save
    if file and file.exists():
        sample = [Tried(**fields) for fields in json.loads(file.read_text())]
    else:
        sample = [Tried.of(mutant) for mutant in drawn(args.places, args.count, args.seed)]
    wanted = (SURVIVED, HUNG) if args.again else (None,)
    for each in _judged([each for each in sample if each.now in wanted], args.jobs):
        each.first = each.first or each.now
        if file:
            part = file.with_name(f"{file.name}.part")
            part.write_text(json.dumps([asdict(each) for each in sample], indent=1, ensure_ascii=False))
            part.replace(file)
    print(f"when first tried: {score([each.first for each in sample])}")
    print(f"by the tests now: {score([each.now for each in sample])}")
    return 0


def _judged(sample: Sequence[Tried], jobs: int) -> Iterator[Tried]:
    """Each mutant with the verdict of the tests of now, as soon as it is known."""
    found = [(each, each.found()) for each in sample]
    there = [mutant for _, mutant in found if mutant is not None]
    recorded(there)
    with (
        tempfile.TemporaryDirectory(prefix="mutants-") as folder,
        ProcessPoolExecutor(jobs, get_context("fork"), _prepare, (Path(folder),)) as pool,
    ):
        verdicts = pool.map(verdict, there)
        for done, (each, mutant) in enumerate(found, 1):
            each.now, seconds = (GONE, 0.0) if mutant is None else next(verdicts)
            print(f"{done}/{len(found)} {seconds:4.0f} s  {each.now:8}  {each}", flush=True)
            yield each


def score(verdicts: Sequence[str | None]) -> str:
    """How many of those that were tried, and can be, are noticed."""
    tried = [verdict for verdict in verdicts if verdict not in (None, GONE)]
    noticed = tried.count(NOTICED)
    low, high = interval(noticed, max(1, len(tried)))
    return f"{noticed} of {len(tried)} noticed: {noticed / max(1, len(tried)):.1%} (95 %: {low:.1%} … {high:.1%})"


if __name__ == "__main__":
    sys.exit(main())
