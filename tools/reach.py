"""Which functions of the engine does each test reach, and how many seconds of processor does it take?

`tools/mutants.py` asks only the tests that reach what it changes, the quickest first. A test file is run once with a
trace of all calls; what was found stays in build/reach/ for as long as the test file is the same. Functions go by file
and name, so that lines may move; if *who calls whom* changes in the engine, remove build/reach/.

What a test finds already computed (by `cache`, a `cached_property` or a fixture of the whole module) it reaches, too,
for it would find something else if that had computed something else. A test that starts other processes may reach
everything in them.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib
import json
import os
import pkgutil
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NoReturn

import pytest

ROOMS = ("refengine.numerics", "refengine.kernels", "refengine.judge")
"""The packages whose functions are asked about, and which import the rest of the engine."""
EVERYWHERE = "*"
"""The function that a test reaches if it starts processes: any."""

Codes = dict[int, CodeType]


@dataclass(frozen=True)
class Test:
    """One test: seconds of processor with all its calls traced, and the functions it reaches, as "file:name"."""

    seconds: float
    functions: frozenset[str]


@dataclass(frozen=True)
class Reach:
    """What is known of one test file: its tests by pytest's names, and what importing the engine reaches."""

    tests: dict[str, Test]
    imports: frozenset[str]

    def reaching(self, functions: Iterable[str] | None) -> dict[str, float]:
        """The tests that reach one of `functions` (None: all tests) and their seconds."""
        wanted = None if functions is None else {EVERYWHERE, *functions}
        if wanted is None or wanted & self.imports:
            return {name: test.seconds for name, test in self.tests.items()}
        return {name: test.seconds for name, test in self.tests.items() if wanted & test.functions}


def function_at(source: str, path: str, line: int) -> str | None:
    """The innermost function around a line, as "file:name"; None for what runs when the file is imported."""
    around = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
              and n.lineno <= line <= (n.end_lineno or n.lineno)]  # fmt: skip
    return f"{path}:{max(around, key=lambda n: n.lineno).name}" if around else None


# ---- what is kept ---------------------------------------------------------------------------------------------


def kept(root: Path, test: str) -> Path:
    """Where the reach of a test file as it is now is kept."""
    digest = hashlib.sha256((root / test).read_bytes()).hexdigest()[:16]
    return root / "build" / "reach" / f"{test.replace('/', '.')}-{digest}.json"


def load(root: Path, test: str) -> Reach | None:
    """What was recorded of a test file, if it was."""
    path = kept(root, test)
    return _decoded(json.loads(path.read_text())) if path.exists() else None


def _decoded(found: dict[str, Any]) -> Reach:
    names = found["functions"]
    tests = {name: Test(seconds, frozenset(names[i] for i in at)) for name, (seconds, at) in found["tests"].items()}
    return Reach(tests, frozenset(names[i] for i in found["imports"]))


def _encoded(reach: Reach) -> dict[str, Any]:
    names = sorted(reach.imports.union(*(test.functions for test in reach.tests.values())))
    number = {name: i for i, name in enumerate(names)}
    tests = {name: [round(t.seconds, 3), sorted(number[f] for f in t.functions)] for name, t in reach.tests.items()}
    return {"functions": names, "imports": sorted(number[f] for f in reach.imports), "tests": tests}


# ---- recording ------------------------------------------------------------------------------------------------


class Recorder:
    """A plugin of pytest that traces the calls of every test."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.codes: Codes = {}
        self.collected: dict[str, Codes] = {}
        self.fixtures: dict[object, Codes] = {}
        self.processes = False
        self.imports: Codes = {}
        self.tests: dict[str, Test] = {}

    def trace(self, frame: FrameType, event: str, arg: object) -> None:
        """Note a call; None asks for no lines. By identity, for the hash of code is dear."""
        self.codes[id(frame.f_code)] = frame.f_code

    def audit(self, event: str, args: tuple[Any, ...]) -> None:
        """Note that the engine may run in another process, which the oracles are not."""
        if event == "os.fork" or (event == "subprocess.Popen" and "oracle_worker" not in str(args[1])):
            self.processes = True

    @contextmanager
    def apart(self) -> Iterator[Codes]:
        """What is called inside, told apart from what was called before, to which it is added in the end."""
        before, self.codes = self.codes, {}
        try:
            yield self.codes
        finally:
            before.update(self.codes)
            self.codes = before

    @contextmanager
    def traced(self) -> Iterator[Codes]:
        with self.apart() as codes:
            sys.settrace(self.trace)
            threading.settrace(self.trace)
            try:
                yield codes
            finally:
                sys.settrace(None)
                threading.settrace(None)

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> Any:
        """What a test file computes when it is imported, all its tests have reached."""
        if not isinstance(collector, pytest.Module):
            return (yield)
        with self.traced() as codes:
            report = yield
        self.collected[collector.nodeid] = codes
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Any:
        """What a fixture computes, all its users have reached."""
        with self.apart() as codes:
            value = yield
        self.fixtures.setdefault(fixturedef, {}).update(codes)
        return value

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        self.processes, start = False, time.process_time()
        with self.traced() as codes:
            result = yield
        for definitions in item._fixtureinfo.name2fixturedefs.values():  # type: ignore[attr-defined]
            for definition in definitions:
                codes |= self.fixtures.get(definition, {})
        codes |= self.collected.get(item.nodeid.split("::")[0], {})
        functions = self.named(codes) | ({EVERYWHERE} if self.processes else set())
        self.tests[item.nodeid] = Test(time.process_time() - start, frozenset(functions))
        return result

    def named(self, codes: Codes) -> set[str]:
        """The engine's own functions, as "file:name"."""
        package = f"{self.root / 'refengine'}{os.sep}"
        ours = [code for code in codes.values() if code.co_filename.startswith(package)]
        return {f"{Path(code.co_filename).relative_to(self.root).as_posix()}:{code.co_name}" for code in ours}

    # ---- what is computed once counts for all who find it

    def lru_cache(self, maxsize: Any = 128, typed: bool = False) -> Any:
        """`functools.lru_cache`, whose hits count as calls of all that the value took."""
        if callable(maxsize):
            return self.lru_cache()(maxsize)

        def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
            def computed(*args: Any, **kwargs: Any) -> tuple[Any, Codes]:
                with self.apart() as codes:
                    return function(*args, **kwargs), codes

            def answered(*args: Any, **kwargs: Any) -> Any:
                value, codes = held(*args, **kwargs)
                self.codes.update(codes)
                return value

            held = _LRU_CACHE(maxsize, typed)(computed)
            answered = functools.wraps(function)(answered)
            answered.cache_clear, answered.cache_info = held.cache_clear, held.cache_info  # type: ignore[attr-defined]
            return answered

        return decorate

    def cached_property(self) -> type:
        """`functools.cached_property`, likewise."""
        recorder = self

        class Remembered(functools.cached_property):  # type: ignore[type-arg]
            def __init__(self, func: Callable[[Any], Any]) -> None:
                super().__init__(func)
                self.codes: dict[int, Codes] = {}

            def __get__(self, instance: Any, owner: Any = None) -> Any:
                if instance is None:
                    return self
                if self.attrname not in vars(instance):
                    with recorder.apart() as codes:
                        vars(instance)[self.attrname] = self.func(instance)
                    self.codes[id(instance)] = codes
                recorder.codes.update(self.codes.get(id(instance), {}))
                return vars(instance)[self.attrname]

            def __set__(self, instance: Any, value: Any) -> None:  # makes Python ask __get__ every time
                vars(instance)[self.attrname] = value

            def __delete__(self, instance: Any) -> None:
                del vars(instance)[self.attrname]

        return Remembered


_LRU_CACHE = functools.lru_cache


def record(root: Path, tests: Sequence[str]) -> None:
    """Run test files, each in a fork of this process, which is good for nothing else, whether they pass or not."""
    recorder = Recorder(root)
    functools.lru_cache = recorder.lru_cache
    functools.cached_property = recorder.cached_property()  # type: ignore[misc, assignment]
    with recorder.traced() as recorder.imports:  # before any test: what files compute once is no single test's
        _import_all()
    for done, test in enumerate(tests, 1):
        print(f"{done}/{len(tests)} recording what {test} reaches", flush=True)
        child = os.fork()
        if child == 0:
            try:
                _record(recorder, test)
            finally:  # whatever it raised: this process must not go on with the next test
                os._exit(1)
        if os.waitpid(child, 0)[1]:
            raise RuntimeError(f"pytest could not run {test}")


def _import_all() -> None:
    for room in ROOMS:
        package = importlib.import_module(room)
        for module in pkgutil.walk_packages(package.__path__, f"{room}."):
            importlib.import_module(module.name)


def _record(recorder: Recorder, test: str) -> NoReturn:
    sys.addaudithook(recorder.audit)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    status = pytest.main(["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "not long", test], plugins=[recorder])
    if status in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED):
        path = kept(recorder.root, test)
        path.parent.mkdir(parents=True, exist_ok=True)
        for stale in path.parent.glob(f"{test.replace('/', '.')}-*.json"):
            stale.unlink()
        path.write_text(json.dumps(_encoded(Reach(recorder.tests, frozenset(recorder.named(recorder.imports))))))
        os._exit(0)
    os._exit(1)


if __name__ == "__main__":
    record(Path.cwd(), sys.argv[1:])
