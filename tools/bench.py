"""How fast the engine is: refengine, TFLM and LiteRT side by side, on the same inputs, in the same run.

    python tools/bench.py [MODEL.tflite …] [--rounds 3] [--markdown] [--plot speed.png] [--before CHECKOUT]

For each model (the bundled ones by default; any that keeps nothing from one inference to the next) every contender runs
in a process of its own, in turn, `--rounds` times; each contender's best round counts. "single" is one image a call,
"batch" many: refengine streams them through in one call, LiteRT is resized to the batch, TFLM has nothing but a loop.
Loading and preparing are not counted, but for what making a plan takes; copying inputs in and outputs out is. All get
both cores: TFLM cannot use them. Figures are ratios to TFLM's time for one image, so a number above 1 means "that many
times faster than TFLM's C++". "Of sgemm" is what part of a batch's time on one core the matrix products alone would
take, were the codes float32 and already gathered: what nobody can pass who multiplies by this machine's BLAS. The plot
shows how an image's cost grows with its multiply-adds, with the batch, and with the number of operators (of one byte
each: what is left is what an operator costs beyond its kernel).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from refengine.bundled import bundled_models
from refengine.numerics.quantize import code_range
from refengine.tensors.datasets import bundled_digits

CONTENDERS = ("tflm", "refengine", "litert-ref", "litert")
SECONDS = 1.0  # how long a contender repeats one measurement
BATCH = 512
GROWTH = (2, 4, 8, 16, 32, 64, 128, 256)  # how the cost of an image falls with the batch
CHAIN = (1, 4, 16, 64, 256)  # operators in a row
LABELS = {"single": "one image", "batch": f"{BATCH} in a call"}
OPERAND = 1 << 20  # bytes of the left operand of the product that stands for a shape: the cache has room for it
LEAST_DRAWN = 1_000_000
"""Multiply-adds from which on a network's batches are drawn: those of others lie on one line."""

Array = np.ndarray[Any, Any]


def inputs_for(model: bytes, count: int) -> list[Array]:
    """`count` inputs in the model's dtypes, each in its declared shape: bundled digits where they fit, else noise."""
    import refengine

    plan, rng, made = refengine.make_plan(model), np.random.default_rng(0), []
    for tensor in plan.inputs:
        shape = (count, *tensor.shape[1:])
        if np.prod(tensor.shape) == 784 and len(plan.inputs) == 1:
            real = np.resize(bundled_digits()[0], (count, 784)).reshape(shape).astype(np.float32) / 255
            made.append(real if tensor.dtype == "float32" else refengine.quantize_input(plan, real))
        elif tensor.dtype == "float32":
            made.append(rng.random(shape, np.float32))
        else:
            made.append(rng.integers(*code_range(tensor.dtype), shape, endpoint=True).astype(tensor.dtype))
    return made


def seconds_per_image(
    task: Callable[[], int], seconds: float = SECONDS, clock: Callable[[], float] = time.perf_counter
) -> float:
    """The least time per image, by the `clock`, of `task`, which returns how many images it ran, repeated for
    `seconds`."""
    task()
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = clock()
        count = task()
        best = min(best, (clock() - start) / count)
    return best


def contender_refengine(model: bytes, images: list[Array]) -> dict[str, float]:
    import refengine

    plan = refengine.make_plan(model)

    def runs(count: int) -> int:
        refengine.run(plan, *(x[:count] for x in images))
        return count

    def plans() -> int:
        refengine.make_plan(model)
        return 1

    times = {"single": seconds_per_image(lambda: runs(1)), "batch": seconds_per_image(lambda: runs(BATCH))}
    times |= {"plan": seconds_per_image(plans), "operators": len(plan.steps), "macs": plan.macs}
    for size in GROWTH:
        times[f"batch {size}"] = seconds_per_image(partial(runs, size), SECONDS / 4)
    return times | on_one_core(plan, images)


def on_one_core(plan: Any, images: list[Array]) -> dict[str, float]:
    """The processor's seconds for an image of a batch on one core, and for its matrix products alone in float32;
    nothing where it has none. They take turns, and the best of each counts."""
    import refengine

    seconds = partial(seconds_per_image, clock=time.process_time)
    found, best = products(plan), {"one core": float("inf"), "sgemm": float("inf")}
    operands = [(np.ones(shape[:2], np.float32), np.ones(shape[1:], np.float32)) for shape in found]

    def batch() -> int:
        refengine.run(plan, *images, threads=1)
        return BATCH

    def multiplied(x: Array, w: Array) -> int:
        return len(np.matmul(x, w))

    with threadpool_limits(1):
        for _ in range(3 if found else 0):
            best["one core"] = min(best["one core"], seconds(batch, SECONDS / 4))
            of_each = [seconds(partial(multiplied, *both), SECONDS / 4 / len(found)) for both in operands]
            best["sgemm"] = min(best["sgemm"], float(np.dot(of_each, [*found.values()])))
    return best if found else {}


def products(plan: Any) -> dict[tuple[int, int, int], float]:
    """The matrix products of a plan's layers of int8 codes, but depthwise ones: by the shape (rows, taps, outputs) of
    one that stands for them, the rows that they have for an image."""
    found: dict[tuple[int, int, int], float] = {}
    for step in plan.steps:
        filter = step.inputs[step.facts.weights] if step.facts.layout in ("OHWI", "OI") else None
        if filter is not None and filter.dtype == "int8" and step.inputs[0].dtype == "int8":
            outputs, taps = filter.shape[0], int(np.prod(filter.shape[1:]))
            rows = step.params.macs / (taps * outputs)
            shape = min(int(rows * BATCH), max(1, OPERAND // (4 * taps))), taps, outputs
            found[shape] = found.get(shape, 0.0) + rows
    return found


def contender_tflm(model: bytes, images: list[Array]) -> dict[str, float]:
    from tflite_micro import runtime

    sink = os.dup(1)
    os.dup2(2, 1)  # what the wheel prints must not mix with the answer
    interpreter = runtime.Interpreter.from_bytes(model, arena_size=1 << 24)
    os.dup2(sink, 1)

    def single() -> int:
        for i, x in enumerate(images):
            interpreter.set_input(x[:1], i)
        interpreter.invoke()
        interpreter.get_output(0)
        return 1

    return {"single": seconds_per_image(single)}


def contender_litert(model: bytes, images: list[Array], reference: bool = False) -> dict[str, float]:
    from ai_edge_litert import interpreter as litert

    kind = litert.OpResolverType.BUILTIN_REF if reference else litert.OpResolverType.AUTO

    def timed(count: int) -> float:
        interpreter = litert.Interpreter(
            model_content=model, num_threads=os.cpu_count(), experimental_op_resolver_type=kind
        )
        parts = {each["index"]: x[:count] for each, x in zip(interpreter.get_input_details(), images, strict=True)}
        for index, part in parts.items() if count > 1 else ():
            interpreter.resize_tensor_input(index, part.shape)
        interpreter.allocate_tensors()

        def task() -> int:
            for index, part in parts.items():
                interpreter.set_tensor(index, part)
            interpreter.invoke()
            interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
            return count

        return seconds_per_image(task)

    times = {"single": timed(1)}
    with suppress(RuntimeError):  # a RESHAPE to a fixed batch of 1 keeps LiteRT from resizing
        times["batch"] = timed(64)
    return times


def run_contender(name: str, path: Path) -> dict[str, float]:
    """In this process: the contender's seconds per image of each measurement."""
    model = path.read_bytes()
    images = inputs_for(model, BATCH)
    if name == "refengine":
        return contender_refengine(model, images)
    if name == "tflm":
        return contender_tflm(model, images)
    return contender_litert(model, images, reference=name == "litert-ref")


def measure(
    path: Path, rounds: int, contenders: Sequence[str] = CONTENDERS, before: Path | None = None
) -> dict[str, dict[str, float]]:
    """The best of `rounds` interleaved rounds, by contender and measurement; a contender that fails is left out.

    One more, "before", is the refengine of another checkout, if there is one.
    """
    best: dict[str, dict[str, float]] = {}
    turns = {name: [__file__, "--contender", name] for name in contenders}
    if before:
        turns["before"] = [str(before / "tools" / "bench.py"), "--contender", "refengine"]
    for _ in range(rounds):
        for name, turn in turns.items():
            child = subprocess.run([sys.executable, *turn, str(path)], capture_output=True, text=True)
            if child.returncode:
                continue
            for key, value in json.loads(child.stdout.splitlines()[-1]).items():
                best.setdefault(name, {})[key] = min(value, best.get(name, {}).get(key, float("inf")))
    return best


def peak_memory(path: Path) -> float:
    """MB of resident memory at the peak of a fresh process that runs 10,000 images through the model."""
    script = (
        "import sys, resource, numpy as np, refengine; plan = refengine.make_plan(sys.argv[1]);"
        "refengine.run(plan, *(np.zeros((10_000, *t.shape[1:]), t.dtype) for t in plan.inputs));"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        capture_output=True,
        check=True,
        cwd=Path(__file__).resolve().parent.parent,
    )
    return int(answer.stdout) / (1 << 10)


def chains(rounds: int) -> dict[int, dict[str, dict[str, float]]]:
    """The same of rows of so many operators that do next to nothing, by their number."""
    from refengine.model import Graph, Model, Op, Quantization, Tensor
    from refengine.tflite_io import dump

    found = {}
    for length in CHAIN:
        tensors = tuple(Tensor(i, f"t{i}", (1, 1), "int8", Quantization((1.0,), (0,))) for i in range(length + 1))
        ops = tuple(Op(i, "RELU", (i,), (i + 1,)) for i in range(length))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "chain.tflite"
            path.write_bytes(dump(Model((Graph(0, "main", tensors, (0,), (length,), ops),))))
            found[length] = measure(path, rounds, ("tflm", "refengine"))
    return found


def draw(results: dict[str, Any], rows: dict[int, dict[str, dict[str, float]]], path: Path) -> None:
    """How the cost of an image grows, in three pictures side by side."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, (macs, batch, operators) = pyplot.subplots(1, 3, figsize=(15, 5), layout="constrained")
    work = [times["refengine"]["macs"] for times in results.values()]
    for name, key, mark in (("tflm", "single", "s"), ("refengine", "single", "o"), ("refengine", "batch", "^")):
        cost = [1e3 * times[name][key] for times in results.values()]
        macs.loglog(work, cost, mark, label=f"{'TFLM' if name == 'tflm' else name}, {LABELS[key]}", alpha=0.8)
    macs.set(title="by the multiply-adds of a network", xlabel="multiply-adds", ylabel="ms an image")
    for name, times in results.items():
        if times["refengine"]["macs"] >= LEAST_DRAWN:
            steps = {1: "single", **{size: f"batch {size}" for size in GROWTH}, BATCH: "batch"}
            cost = [times["refengine"][key] / times["tflm"]["single"] for key in steps.values()]
            drawn = len(batch.lines)
            batch.loglog(list(steps), cost, ("-", "--")[drawn // 10], label=name)
    batch.set(title="by the images in a call", xlabel="images", ylabel="time of an image, in TFLM's of one")
    for name in ("tflm", "refengine"):
        cost = [1e6 * times[name]["single"] for times in rows.values()]
        operators.loglog(list(rows), cost, "o-", label="TFLM" if name == "tflm" else name)
    operators.set(title="by operators of one byte each", xlabel="operators", ylabel="µs an inference")
    for axes in (macs, batch, operators):
        axes.grid(True, which="major", alpha=0.3)
        beside = {"loc": "center left", "bbox_to_anchor": (1, 0.5)} if axes is batch else {}
        axes.legend(fontsize="small", **beside)
    figure.savefig(path, dpi=80)


def rows_of(results: dict[str, Any]) -> list[list[str]]:
    """The table's rows: each contender's speed as a multiple of TFLM's on one image; what was before stands last."""
    rows, has_before = [], any("before" in times for times in results.values())
    for model, times in results.items():
        base = times["tflm"]["single"]

        def ratio(name: str, key: str, times: Any = times, base: float = base) -> str:
            value = times.get(name, {}).get(key)
            return f"{base / value:.1f}×" if value else "–"

        rows.append(
            [
                model,
                f"{times['refengine']['operators']}",
                f"{times['refengine']['macs'] / 1e6:.2f} M",
                f"{base * 1e3:.2f} ms",
                ratio("refengine", "single"),
                ratio("refengine", "batch"),
                ratio("litert-ref", "single"),
                ratio("litert", "single"),
                ratio("litert", "batch"),
                of_sgemm(times["refengine"]),
                f"{times['refengine']['plan'] / base:.1f}",
                f"{times['memory']:.0f} MB",
                *((ratio("before", "single"), ratio("before", "batch")) if has_before else ()),
            ]
        )
    return rows


def of_sgemm(times: dict[str, float]) -> str:
    """What part of a batch's time on one core the products alone would take."""
    return f"{100 * times['sgemm'] / times['one core']:.0f} %" if "sgemm" in times else "–"


HEADINGS = [
    "model",
    "operators",
    "MACs",
    "TFLM, one image",
    "refengine single",
    "refengine batch",
    "LiteRT ref single",
    "LiteRT single",
    "LiteRT batch",
    "of sgemm, one core",
    "a plan, in TFLM's images",
    "refengine peak, 10,000 images",
]
BEFORE = ["single before", "batch before"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path, help=".tflite files (default: bundled)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each contender has its turn (default 3)")
    parser.add_argument("--markdown", action="store_true", help="print tables for the README")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw how the cost grows, too")
    parser.add_argument(
        "--before", type=Path, metavar="CHECKOUT", help="another refengine to run in turn with this one"
    )
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.before and not (arguments.before / "tools" / "bench.py").is_file():
        parser.error(f"{arguments.before} has no tools/bench.py; give the folder of a checkout of refengine")
    if arguments.contender:
        print(json.dumps(run_contender(arguments.contender, arguments.models[0])))
        return 0
    paths = {p.stem: p for p in arguments.models} or dict(bundled_models())
    results: dict[str, Any] = {}
    try:
        for name, path in paths.items():
            found = measure(path, arguments.rounds, before=arguments.before)
            results[name] = {**found, "memory": peak_memory(path)}
            print(f"measured {name}", file=sys.stderr)
    except KeyboardInterrupt:
        print("interrupted; what was measured so far:", file=sys.stderr)
        results = {name: times for name, times in results.items() if "memory" in times}
    rows = rows_of(results)
    show((HEADINGS + BEFORE)[: len(rows[0])] if rows else HEADINGS, rows, arguments.markdown)
    first: dict[str, Any] = next(iter(results.values()), {})
    sizes = [key for key in first.get("refengine", {}) if key.startswith("batch ")]
    growth = [
        [name, *(f"{1e3 * times['refengine'][key]:.3f}" for key in ["single", *sizes, "batch"])]
        for name, times in results.items()
    ]
    show(
        ["refengine, ms an image at batch", "1", *(s.split()[1] for s in sizes), str(BATCH)], growth, arguments.markdown
    )
    if arguments.plot and results:
        draw(results, chains(arguments.rounds), arguments.plot)
    return 0


def show(headings: list[str], rows: list[list[str]], markdown: bool) -> None:
    if markdown:
        print("\n".join("| " + " | ".join(row) + " |" for row in (headings, ["---"] * len(headings), *rows)) + "\n")
        return
    table = Table(*headings)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
