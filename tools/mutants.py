"""Do the tests notice a fault? Change the engine's sources one place at a time, and see which changes survive.

A mutant is one small change of meaning: a comparison, an operator, a constant, a refusal left out, an argument dropped.
Each is tried in a copy of the repository against the tests that concern its file; a mutant that no test notices either
shows a gap in the tests, or a line that does nothing. The sample is drawn by a seed; the score comes with its 95 %
interval (Wilson), since it is a sample.

    python tools/mutants.py --count 300 --seed 1 --jobs 2 --save survivors.json
    python tools/mutants.py --again survivors.json
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
from math import sqrt
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import NoReturn

ROOT = Path(__file__).parents[1]
PLACES = ("refengine/numerics", "refengine/kernels", "refengine/plan.py", "refengine/execute.py", "refengine/judge")
TIME_LIMIT = 600
"""Seconds for the tests of one mutant; a change that makes them hang is noticed, too."""
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
    """One change: the file, where, what was there and what is there instead, and the file's whole new text."""

    path: str
    line: int
    before: str
    after: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.before}  →  {self.after}"


# ---- what can be changed -------------------------------------------------------------------------------------


def mutants(path: Path) -> Iterator[Mutant]:
    """Every change of one file."""
    source = path.read_text(encoding="utf-8")
    lines = source.encode().splitlines(keepends=True)
    for node, new in _changes(ast.parse(source)):
        before = ast.get_source_segment(source, node) or ""
        after = ast.unparse(ast.fix_missing_locations(new))
        if isinstance(node, ast.expr):
            after = f"({after})"
        assert node.end_lineno is not None and node.end_col_offset is not None
        head = b"".join(lines[: node.lineno - 1]) + lines[node.lineno - 1][: node.col_offset]
        tail = lines[node.end_lineno - 1][node.end_col_offset :] + b"".join(lines[node.end_lineno :])
        shown = str(path.relative_to(ROOT))
        yield Mutant(shown, node.lineno, before, after, (head + after.encode() + tail).decode())


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
"""What functions that invent cases take first."""
SILENT = ("strict", "repr")
"""Keywords that check what never happens (an uneven `zip` is no answer to anybody), or that shape words."""


def _texts(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.FunctionDef) and (node.name.startswith(INVENTING) or _first(node) in CHANCE):
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


def _first(node: ast.FunctionDef) -> str | None:
    """The name of a function's first argument."""
    return node.args.args[0].arg if node.args.args else None


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
    """Arguments of pytest, the quickest tests first: further ones are only asked if those notice nothing."""
    place = Path(path)
    room, name = place.parts[1], place.stem
    own = f"tests/{room}/test_{name}.py"
    if name == "_arena":  # what TFLM asks its arena for
        return [["tests/test_allocation.py"]]
    if room == "kernels":
        operators = sorted(_operators(ROOT / path))
        laws = ["tests/test_kernels.py", "tests/test_plan_fuzz.py", "-k", " or ".join(operators) or name]
        first = [own] if (ROOT / own).exists() else _users(name)
        dialects = ["tests/test_dialects.py", "-k", " or ".join(operators) or name]
        return [first, ["tests/test_facts.py"], [*laws, "-m", "not slow"], laws, dialects]
    if room == "numerics":
        properties = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "tests/properties").glob("test_*.py"))
        return [["tests/numerics"], properties, ["tests/kernels"], ["tests/test_dialects.py"]]
    if room == "judge":
        own_first = [[own]] if (ROOT / own).exists() else []
        return [
            *own_first,
            ["tests/judge", "-m", "not slow"],
            ["tests/judge", "-m", "slow"],
            ["tests/debugger", "-k", "compare"],
            ["tests/test_partial.py"],
        ]
    spine = ["tests/test_plan.py", "tests/test_execute.py", "tests/test_subgraphs.py", "-m", "not slow"]
    sizes = ["tests/test_memory.py", "tests/test_allocation.py", "tests/tflite_io/test_oddities.py"]
    control = ["tests/kernels", "-k", "if or while or call_once or variable or var_handle or session"]
    laws = ["tests/test_kernels.py", "-k", "ADD"]
    return [spine, sizes, control, ["tests/test_plan_fuzz.py", "tests/test_interpreter.py"], laws]


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


def survives(mutant: Mutant) -> tuple[Mutant, bool, float]:
    """Whether no test notices, and how many seconds that took. In a process of a pool, with a copy of its own."""
    start, copy = time.perf_counter(), _copy()
    target = copy / mutant.path
    original = target.read_text(encoding="utf-8")
    target.write_text(mutant.text, encoding="utf-8")
    try:
        survived = all(_passes(copy, tests) for tests in concerning(mutant.path))
    finally:
        target.write_text(original, encoding="utf-8")
    return mutant, survived, time.perf_counter() - start


_COPIES: list[Path] = []


def _copy() -> Path:
    """This process's copy of the repository."""
    if not _COPIES:
        folder = Path(tempfile.mkdtemp(prefix="mutants-"))
        ignored = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", ".hypothesis")
        _COPIES.append(Path(shutil.copytree(ROOT, folder / "refengine", ignore=ignored)))
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


def _passes(copy: Path, tests: Sequence[str]) -> bool:
    """pytest's verdict, in a fork of this process, which has imported what takes long."""
    child = os.fork()
    if child == 0:
        try:
            _become_pytest(copy, tests)
        finally:  # whatever it raised: this process must not go on as one of the pool
            os._exit(BROKEN)
    deadline = time.monotonic() + TIME_LIMIT
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            if code == BROKEN or not all((copy / test).exists() for test in tests if test.startswith("tests/")):
                raise RuntimeError(f"pytest could not run {' '.join(tests)}: status {code}")
            return code in (0, 5)  # 5: nothing to run
        time.sleep(0.05)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def _become_pytest(copy: Path, tests: Sequence[str]) -> NoReturn:
    """Run tests in the copy, silently, and exit with pytest's status."""
    import pytest

    os.setsid()
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    os.chdir(copy)
    sys.path[:0] = [str(copy), str(copy / "tools")]
    sys.dont_write_bytecode = True
    os.environ["PYTHONPATH"] = str(copy)
    os._exit(int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *tests])))


def _prepare() -> None:
    """What every fork needs is imported once; not hypothesis, whose asserts pytest wants to rewrite."""
    import flatbuffers  # noqa: F401
    import numpy  # noqa: F401
    import pytest  # noqa: F401
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


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("places", nargs="*", default=PLACES, help="files and folders (default: %(default)s)")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--save", metavar="FILE", type=Path, help="write the survivors, for --again")
    parser.add_argument("--again", metavar="FILE", type=Path, help="try the survivors of a file once more")
    args = parser.parse_args(argv)
    if args.again:
        again = (_again(Mutant(**fields)) for fields in json.loads(args.again.read_text()))
        sample = [mutant for mutant in again if mutant is not None]
    else:
        sample = drawn(args.places, args.count, args.seed)
    survivors: list[Mutant] = []
    with ProcessPoolExecutor(args.jobs, get_context("fork"), _prepare) as pool:
        for done, (mutant, survived, seconds) in enumerate(pool.map(survives, sample), 1):
            survivors += [mutant] if survived else []
            verdict = "SURVIVED" if survived else "noticed "
            print(f"{done}/{len(sample)} {seconds:4.0f} s  {verdict}  {mutant}", flush=True)
            if args.save:
                args.save.write_text(json.dumps([asdict(m) for m in survivors], indent=1, ensure_ascii=False))
    killed = len(sample) - len(survivors)
    low, high = interval(killed, max(1, len(sample)))
    print(f"{killed} of {len(sample)} noticed: {killed / max(1, len(sample)):.1%} (95 %: {low:.1%} … {high:.1%})")
    return 0


def _again(mutant: Mutant) -> Mutant | None:
    """The same change in the file as it is now; None if what it changed is gone."""
    changes = mutants(ROOT / mutant.path)
    alike = [m for m in changes if (m.before, m.after) == (mutant.before, mutant.after)]
    return min(alike, key=lambda m: (_changed(m) != _changed(mutant), abs(m.line - mutant.line)), default=None)


def _changed(mutant: Mutant) -> str:
    """The line as the mutant has it, which tells two equal changes in one line apart."""
    return mutant.text.splitlines()[mutant.line - 1]


if __name__ == "__main__":
    sys.exit(main())
