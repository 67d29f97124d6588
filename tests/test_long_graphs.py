"""Long graphs: four times the operators are four times the work, for whoever reads, plans, runs or shows them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

from refengine import execute, inspect, load, make_plan, run
from refengine.commands import main
from refengine.examination import health
from refengine.judge import diff, read_dump
from refengine.judge.page import as_html
from refengine.model import Graph, Model, Op, Quantization, Tensor
from refengine.quantizer.calibrate import calibrate
from refengine.quantizer.choices import Choice, choices
from refengine.quantizer.convert import convert
from refengine.reading.arena import Buffer, lower_bound, plan_arena, tflm_greedy
from refengine.tflite_io import dump

SHORT, LONG = 60, 240
GENEROUS = 5.5
"""Times the work that four times the operators may be: what is quadratic comes to 16."""


def chain(length: int, dtype: str = "int8") -> Model:
    """RELU after RELU."""
    quantization = None if dtype == "float32" else Quantization((0.5,), (0,))
    tensors = tuple(Tensor(i, f"t{i}", (1, 4), dtype, quantization) for i in range(length + 1))
    return Model((Graph(0, "", tensors, (0,), (length,), tuple(Op(i, "RELU", (i,), (i + 1,)) for i in range(length))),))


def work(call: Callable[[], object]) -> int:
    """How many of Python's instructions ran in refengine: lines would not tell the rounds of a comprehension."""
    steps = 0

    def count(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal steps
        if "refengine" not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        steps += 1
        return count

    sys.settrace(count)
    try:
        call()
    finally:
        sys.settrace(None)
    return steps


X = np.ones((1, 4), np.int8)


def files(folder: Path, length: int) -> tuple[str, str, str]:
    """A model, its input, and a dump of all its tensors."""
    model, x, everything = (str(folder / f"{name}{length}") for name in ("m", "x", "all"))
    Path(model).write_bytes(dump(chain(length)))
    np.save(x, X)
    plan = make_plan(model)
    np.savez(everything, t0=X, **{f"t{r.step.index + 1}": r.outputs[0] for r in execute(plan, X)})  # type: ignore[arg-type]
    return model, f"{x}.npy", f"{everything}.npz"


def linear(short: Callable[[], object], long: Callable[[], object]) -> None:
    short()  # what is made once and cached
    assert work(long) < GENEROUS * work(short)


@pytest.mark.parametrize("do", [
    lambda model: dump(model),
    lambda model: load(dump(model)),
    make_plan,
    lambda model: run(model, X),
    str,
    inspect,
    lambda model: [*health(make_plan(model), [(X,)])],
], ids=["dump", "load", "plan", "run", "str", "inspect", "health"])  # fmt: skip
def test_the_engine_is_linear(do: Callable[[Model], object]) -> None:
    short, long = chain(SHORT), chain(LONG)
    linear(lambda: do(short), lambda: do(long))


@pytest.mark.slow
@pytest.mark.parametrize("command", [
    ["inspect", "{m}"],
    ["inspect", "{m}", "--json"],
    ["run", "{m}", "--input", "{x}"],
    ["explain", "{m}", "--input", "{x}", "--op", "5", "--at", "0,0"],
    ["debug", "{m}", "--input", "{x}", "--command", "goto end; list all; info tensor; info arena"],
    ["debug", "{m}", "--input", "{x}", "--command", "goto end; set t5 = 1; goto end; compare"],
    ["debug", "{m}", "--input", "{x}", "--command", "save all {m}.npz; compare {m}.npz"],
    ["diff", "{m}", "{all}", "--html", "{m}.html"],
    ["export", "{m}", "-o", "{m}.c"],
    ["health", "{m}", "--data", "{x}"],
], ids=lambda command: " ".join(command).replace("{", "").replace("}", ""))  # fmt: skip
def test_commands_are_linear(command: list[str], tmp_path: Path) -> None:
    def ask(length: int) -> Callable[[], int]:
        model, x, everything = files(tmp_path, length)
        words = [word.replace("{m}", model).replace("{x}", x).replace("{all}", everything) for word in command]
        return lambda: main(words)

    linear(ask(SHORT), ask(LONG))


def test_a_page_of_differences_is_linear(tmp_path: Path) -> None:
    def ask(length: int) -> Callable[[], str]:
        model, _, everything = files(tmp_path, length)
        plan = make_plan(model)
        report = diff(plan, read_dump(plan, everything))
        return lambda: as_html(report)

    linear(ask(SHORT), ask(LONG))


def test_choices_are_linear() -> None:
    def ask(length: int) -> Callable[[], list[Choice]]:
        plan = make_plan(chain(length, "float32"))
        ranges = calibrate(plan, [(X.astype(np.float32),)])
        quantised = make_plan(convert(plan.model, ranges))
        return lambda: choices(plan, quantised, ranges)

    linear(ask(SHORT), ask(LONG))


@pytest.mark.slow
def test_quantizing_is_linear(tmp_path: Path) -> None:
    def ask(length: int) -> Callable[[], int]:
        model, out = (str(tmp_path / f"{name}{length}") for name in ("m", "out"))
        Path(model).write_bytes(dump(chain(length, "float32")))
        np.save(tmp_path / "x.npy", X.astype(np.float32))
        return lambda: main(["quantize", model, "--data", str(tmp_path / "x.npy"), "-o", out])

    linear(ask(SHORT), ask(LONG))


@pytest.mark.parametrize("seed", range(20))
def test_a_layout_is_that_of_the_plain_algorithm(seed: int) -> None:
    """Which looks at all pairs of buffers."""
    rng = np.random.default_rng(seed)
    starts = rng.integers(0, 30, 40).tolist()
    buffers = [Buffer(int(rng.integers(1, 200)), s, s + int(rng.integers(0, 12) ** (seed % 3))) for s in starts]
    offsets = [0] * len(buffers)
    placed: list[int] = []
    for i in sorted(range(len(buffers)), key=lambda i: (-buffers[i].size, -i)):
        for j in sorted((j for j in placed if buffers[i].meets(buffers[j])), key=lambda j: offsets[j]):
            if offsets[j] - offsets[i] >= buffers[i].size:
                break
            offsets[i] = max(offsets[i], offsets[j] + buffers[j].size)
        placed.append(i)
    assert tflm_greedy(buffers) == offsets
    times = range(max(b.last for b in buffers) + 1)
    assert lower_bound(buffers) == max(sum(b.size for b in buffers if b.first <= t <= b.last) for t in times)


def test_an_arena_of_a_long_graph_is_linear_too() -> None:
    def buffers(length: int) -> list[Buffer]:
        return [Buffer(64, i, i + 1) for i in range(length)]

    linear(lambda: plan_arena(buffers(SHORT * 10)), lambda: plan_arena(buffers(LONG * 10)))
