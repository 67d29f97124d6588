"""The C kernels compute what the NumPy ones do, bit for bit, on operators that each kernel's own `example` invents.

They run in this process, watched by the undefined-behaviour sanitizer; the last test runs all of it again under the
address sanitizer, which Python must be started with.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext, suppress
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, reject, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from oracle import host_plan

from refengine import PRESETS, Numerics, UnsupportedError, execute, make_plan, strategies
from refengine.cexport import export
from refengine.cexport.call import Call, Kept, kept_by
from refengine.cexport.calls import CALLS, MAKERS, calls_of
from refengine.commands import device
from refengine.device.qemu import missing_tools
from refengine.errors import InferenceError, LimitError
from refengine.execute import Record
from refengine.kernel import Node
from refengine.kernels import FACTS
from refengine.kernels.circular_buffer import ABORT
from refengine.model import Array, Model
from tests.firmware.kernel_library import KERNELS, Arrays, Library
from tests.laws import holds, quickly
from tests.models import const, fed, network, q

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")]

SANITIZERS = os.environ.get("REFENGINE_SANITIZE", "undefined")

SLOWLY = "-O0"
"""It takes longer to optimise than to run: done but for TFLM's dialect, and there not under the address sanitizer."""

DIALECTS = {
    "tflm": (Numerics(), ()),
    "single": (
        Numerics(rounding="single", float_to_int="riscv"),
        ("-DREFENGINE_SINGLE_ROUNDING=1", "-DREFENGINE_SATURATE=2"),
    ),
    "xnnpack": (Numerics(rounding="xnnpack"), ("-DREFENGINE_XNNPACK_ROUNDING=1",)),
    "fma": (Numerics(contraction="fma", float_to_int="arm"), ("-DREFENGINE_FMA=1", "-DREFENGINE_SATURATE=1")),
    "dsp": (Numerics(), ("-DREFENGINE_DSP",)),
}
"""Each dialect's numerics, and the flags that compile the kernels for it. `dsp` is no dialect but another way there."""

SHARED = [MAKERS[kernel] for kernel in ("copies", "lookup", "reshape")]
"""What many operators share, so that each needs few examples."""

Case = tuple[Model, tuple[Array, ...]]

every_kernel = pytest.mark.parametrize(("op", "dtype"), sorted(CALLS), ids=["-".join(key) for key in sorted(CALLS)])


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Library]:
    """The kernels compiled for a dialect, once, with the sanitizers."""

    @cache
    def compiled(dialect: str) -> Library:
        sanitize = (f"-fsanitize={SANITIZERS}", "-fno-sanitize-recover=all")
        speed = () if dialect == "tflm" and SANITIZERS == "undefined" else (SLOWLY,)
        return Library(tmp_path_factory.mktemp(dialect), *DIALECTS[dialect][1], *sanitize, *speed)

    return compiled


def examples(op: str, dtype: str) -> int:
    """How many to try: many of the layers, whose C has several paths, few of what other operators' C does, too."""
    if CALLS[op, dtype] in SHARED or SANITIZERS != "undefined":
        return 12
    if dtype != "int8":
        return 24
    return 60 if FACTS[op].weights is None else 100


def cases(op: str, dtype: str) -> st.SearchStrategy[Case]:
    models = strategies.nodes(op, dtype).map(strategies.model_of)
    return models.flatmap(lambda model: st.tuples(st.just(model), strategies.inputs_of(model)))


def bits(x: Array) -> bytes:
    """What must be equal: every bit, but a NaN's."""
    return (np.where(np.isnan(x), np.float32(np.nan), x) if x.dtype == np.float32 else x).tobytes()


def check(library: Library, numerics: Numerics, model: Model, inputs: tuple[Array, ...]) -> None:
    try:
        plan = host_plan(model, numerics)
        calls = calls_of(plan.steps[-1], plan.constants)
    except (UnsupportedError, LimitError):
        reject()
    state = plan.initial
    lives_on = plan.steps[-1].facts.updates or plan.steps[-1].memory
    for _ in range(4 if lives_on else 1):  # then on what the first left
        arrays: Arrays = dict(zip(plan.graph.inputs, inputs, strict=True))
        arrays |= {tensor: x[0, ...] for (_, tensor), x in state.variables.items()}
        try:
            (*before, record) = execute(plan, *inputs, state=state)
        except InferenceError as error:
            if error.status != ABORT:
                raise
            state = error.state
            continue
        compare(library, calls, before, record, arrays)
        state = record.state


def compare(library: Library, calls: tuple[Call, ...], before: list[Record], record: Record, arrays: Arrays) -> None:
    """The calls give the record's outputs, and leave what lives on as it does."""
    arrays |= {t.index: x for r in before for t, x in zip(r.step.outputs, r.outputs, strict=True)}
    variables = [record.step.inputs[i] for i in record.step.facts.updates]
    arrays |= {
        t.index: x.copy()
        for t, x in zip(record.step.inputs, record.inputs, strict=True)
        if t and t.is_variable and x is not None
    }
    arrays |= {place: x.copy() for place, x in zip(kept_by(record.step), record.memory, strict=True)}
    results = library.run(calls, arrays, record.step.outputs)
    after = dict(zip(kept_by(record.step), record.state.memory.get((0, record.step.index), ()), strict=True))
    for place in {a for call in calls for a in call.arguments if isinstance(a, Kept)}:
        assert bits(arrays[place]) == bits(after[place][0, ...]), f"{place} becomes another"
    for tensor, expected in zip(variables, record.updates, strict=True):
        assert tensor is not None and bits(arrays[tensor.index]) == bits(expected), f"{tensor} becomes another"
    masks = record.undefined or [None] * len(results)
    for result, expected, undefined in zip(results, record.outputs, masks, strict=True):
        result = result if undefined is None else np.where(undefined, expected, result)
        assert bits(result) == bits(expected), f"{calls[0].kernel} gives\n{result}\nnot\n{expected}"


@every_kernel
def test_equals_numpy(op: str, dtype: str, library: Callable[[str], Library]) -> None:
    def law(case: Case) -> None:
        check(library("tflm"), Numerics(), *case)

    holds(law, examples(op, dtype), cases(op, dtype))


@pytest.mark.slow
@every_kernel
def test_equals_numpy_in_other_dialects(op: str, dtype: str, library: Callable[[str], Library]) -> None:
    def law(case: Case, dialect: str) -> None:
        check(library(dialect), DIALECTS[dialect][0], *case)

    others = st.sampled_from([name for name in DIALECTS if name != "tflm"])
    holds(law, examples(op, dtype) // 3, cases(op, dtype), others)


@pytest.mark.long
@pytest.mark.parametrize("dialect", DIALECTS)
@every_kernel
def test_equals_numpy_on_many_examples(op: str, dtype: str, dialect: str, library: Callable[[str], Library]) -> None:
    def law(case: Case) -> None:
        check(library(dialect), DIALECTS[dialect][0], *case)

    with nullcontext() if dialect == "tflm" else suppress(Unsatisfiable):  # some dialects have no such operator
        holds(law, 100, cases(op, dtype))


def layer(op: str, input: tuple[int, ...], filter: tuple[int, ...], **options: object) -> Node:
    """An int8 layer with SAME padding, its weights and biases noise."""
    rng = np.random.default_rng(0)
    channels = filter[3] if op == "DEPTHWISE_CONV_2D" else filter[0]
    weights = const(rng.integers(-127, 128, filter), "int8", q(0.01), "w")
    bias = const(rng.integers(-9999, 9999, channels), "int32", q(0.0005), "b")
    stride = int(options.setdefault("stride_h", 1))  # type: ignore[call-overload]
    output = (input[0], -(-input[1] // stride), -(-input[2] // stride), channels)
    shared = {"padding": "SAME", "stride_w": stride, "dilation_h_factor": 1, "dilation_w_factor": 1}
    activation = {"fused_activation_function": "NONE", "quantized_bias_type": "float32"}
    tensors = [fed(input, "int8", q(0.05, -3)), weights, bias]
    return Node(op, shared | activation | options, tuple(tensors), (fed(output, "int8", q(0.4, 5), "y"),))


PATHS = {
    "too large for a patch": ("conv_int8", layer("CONV_2D", (1, 3, 4, 132), (6, 3, 3, 132))),
    "grouped": ("conv_int8", layer("CONV_2D", (2, 5, 5, 8), (6, 3, 3, 4), stride_h=2)),
    "a large patch": ("conv_int8_packed", layer("CONV_2D", (1, 3, 4, 96), (6, 3, 3, 96))),
    "odd taps, channels and positions": ("conv_int8_packed", layer("CONV_2D", (2, 3, 3, 7), (5, 1, 1, 7))),
    "runs of no whole words": ("conv_int8_packed", layer("CONV_2D", (1, 9, 9, 3), (8, 3, 3, 3), stride_h=2)),
    "one input channel": (
        "conv_int8_packed",
        layer("DEPTHWISE_CONV_2D", (1, 7, 6, 1), (1, 3, 3, 8), depth_multiplier=8, stride_h=2),
    ),
    "shared channels": (
        "depthwise_conv_int8",
        layer("DEPTHWISE_CONV_2D", (1, 4, 4, 3), (1, 5, 3, 12), depth_multiplier=4),
    ),
    "a few channels left": (
        "depthwise_conv_int8",
        layer("DEPTHWISE_CONV_2D", (2, 5, 5, 11), (1, 3, 3, 11), depth_multiplier=1),
    ),
    "wider than a band": (
        "depthwise_conv_int8_packed",
        layer("DEPTHWISE_CONV_2D", (2, 3, 85, 8), (1, 3, 3, 8), depth_multiplier=1),
    ),
    "down a tall image": (
        "depthwise_conv_int8_packed",
        layer("DEPTHWISE_CONV_2D", (1, 90, 4, 4), (1, 3, 3, 4), depth_multiplier=1, stride_h=2),
    ),
    "smaller than its window": (
        "depthwise_conv_int8_packed",
        layer("DEPTHWISE_CONV_2D", (2, 1, 2, 4), (1, 3, 3, 4), depth_multiplier=1),
    ),
}
"""Layers, each of which takes another path through the C, and the kernel that it is exported to."""


@pytest.mark.parametrize("dialect", ["tflm", "dsp"])
@pytest.mark.parametrize(("kernel", "node"), PATHS.values(), ids=PATHS)
def test_shapes_beyond_the_examples(kernel: str, node: Node, dialect: str, library: Callable[[str], Library]) -> None:
    model = strategies.model_of(node)
    plan = host_plan(model, Numerics())
    assert [call.kernel for call in calls_of(plan.steps[0], plan.constants)] == [kernel]
    tensor = model.graphs[0].tensors[0]
    check(library(dialect), Numerics(), model, (np.random.default_rng(1).integers(-128, 128, tensor.shape, np.int8),))


@pytest.mark.parametrize("dialect", ["tflm", "dsp"])
def test_windows_of_3x3_slide_along_any_image(dialect: str, library: Callable[[str], Library]) -> None:
    @settings(max_examples=60)
    @given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 3), st.sampled_from([4, 8]))
    def run(height: int, width: int, stride: int, depth: int) -> None:
        shapes = (1, height, width, depth), (1, 3, 3, depth)
        model = strategies.model_of(layer("DEPTHWISE_CONV_2D", *shapes, depth_multiplier=1, stride_h=stride))
        x = np.random.default_rng(height * width).integers(-128, 128, (1, height, width, depth), np.int8)
        check(library(dialect), Numerics(), model, (x,))

    run()


@pytest.mark.parametrize("board", ["mps2-an500", "mps3-an547"])
def test_equals_numpy_where_the_core_has_instructions_of_its_own(board: str, tmp_path: Path) -> None:
    """One model of many layers beside each other, drawn and those of `PATHS`, checks itself under QEMU."""
    if tools := missing_tools(board):
        pytest.skip(f"NOT TESTED: {board} needs {', '.join(tools)} (`make tools` installs them)")
    nodes = [node for _, node in PATHS.values()]
    ops = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "MAX_POOL_2D")

    @seed(0)
    @settings(max_examples=25, phases=[Phase.generate], database=None)
    @given(st.tuples(*(strategies.nodes(op, "int8") for op in ops)))
    def draw(drawn: tuple[Node, ...]) -> None:
        nodes.extend(filter(is_exported, drawn))

    draw()
    export(make_plan(network(*nodes), numerics=PRESETS["cortex-m7"]), tmp_path / "model")
    command = ["make", "-s", "-C", str(KERNELS.parent), "check", f"BOARD={board}"]
    done = subprocess.run(
        [*command, f"MODEL={tmp_path / 'model'}", f"BUILD={tmp_path / 'build'}"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("right") == len(nodes) > 100


def is_exported(node: Node) -> bool:
    """Whether its weights are constant, and there is a kernel for it."""
    plan = make_plan(strategies.model_of(node), numerics=PRESETS["cortex-m7"])
    with suppress(UnsupportedError):
        return bool(calls_of(plan.steps[0], plan.constants))
    return False


FAULTS = re.findall(r"^ \*   (\w+)(?:=k)? +\w", (KERNELS.parent / "faults" / "faults.h").read_text(), re.MULTILINE)
"""The deliberate faults that `faults.h` lists."""


def test_the_command_knows_the_deliberate_faults() -> None:
    assert [fault.partition("=")[0].upper() for fault in device.FAULTS] == FAULTS


@pytest.mark.slow
@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault not in ("STALE", "NO_RESET")])  # no kernel's
def test_a_fault_shows(fault: str, tmp_path: Path) -> None:
    """With each fault compiled in, some integer kernel gives other bits for some drawn operator."""
    faulty = Library(tmp_path, SLOWLY, fault=fault)
    layers = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "SOFTMAX")
    ops = ("MAX_POOL_2D",) if "POOL" in fault else layers
    models = st.one_of([cases(op, "int8") for op in ops])

    def law(case: Case) -> None:
        check(faulty, Numerics(), *case)

    with pytest.raises(AssertionError, match="gives"):
        quickly(law, 300, 0, st.tuples(models))


@pytest.mark.long
def test_under_the_address_sanitizer() -> None:
    """The above again, but for other dialects of the same loops, with every array's ends watched."""
    if SANITIZERS != "undefined":
        pytest.skip("this is it")
    runtime = subprocess.run(["cc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    if not Path(runtime.stdout.strip()).is_absolute():
        pytest.skip("the compiler has no address sanitizer")
    environment = os.environ | {
        "REFENGINE_SANITIZE": "address,undefined",
        "LD_PRELOAD": runtime.stdout.strip(),
        "ASAN_OPTIONS": "detect_leaks=0",
        "PYTHONMALLOC": "malloc",
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", __file__]
    command += ["-m", "not long", "-k", "not other_dialects and not a_fault_shows and not where_the_core"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
