"""refengine/memory.py: what would take too much is refused before anything is allocated; what is counted is true."""

from __future__ import annotations

import pickle
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise, product
from math import prod
from typing import Any

import numpy as np
import pytest

from refengine import InputError, Interpreter, LimitError, Model, UnsupportedError, make_plan, run
from refengine.commands import main
from refengine.debugger import Session
from refengine.execute import execute, kept, tile_size
from refengine.kernel import Node
from refengine.memory import MEMORY, STATES, WORK, needs, size
from refengine.model import Graph, Op, Tensor
from refengine.survey import inspect
from refengine.tflite_io import dump
from tests.kernels.test_assign_variable import remembering
from tests.kernels.test_delay import delay
from tests.kernels.test_if import adding, branching
from tests.kernels.test_while import counting
from tests.models import const, fed, network, one_op, q

MOST = 2**31 - 16
"""Bytes: the most that TFLM counts, aligned as its arena does."""


def padded(count: int, dtype: str = "int8") -> Model:
    """One element in, `count` out: a file of a few hundred bytes."""
    quantization = None if dtype == "float32" else q(0.5)
    pads = const([[0, 0], [0, count - 1]], "int32")
    return one_op("PAD", {}, [fed((1, 1), dtype, quantization), pads], fed((1, count), dtype, quantization, "y"))


def peak(work: Any) -> int:
    """The most bytes at once that `work()` takes."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("dtype", "count", "needed"), [("int8", MOST, 18), ("float32", MOST // 4, 6)])
def test_an_operator_that_takes_too_much_is_refused_before_it_is_prepared(dtype: str, count: int, needed: int) -> None:
    def refused() -> None:
        with pytest.raises(
            LimitError,
            match=rf"^subgraph 0, operator 0 \(PAD\): it may take {needed}\.0 GiB of memory,"
            r" and refengine allows itself 1\.0 GiB; allow more with --memory",
        ):
            make_plan(padded(count, dtype))

    assert peak(refused) < 1 << 20


@pytest.mark.parametrize(
    ("dtype", "shape"), [("int8", (1, MOST + 1)), ("int8", (1, 1 << 16, 1 << 16)), ("float32", (1, MOST // 4 + 1))]
)
def test_what_tflm_cannot_count_it_does_not_run(dtype: str, shape: tuple[int, ...]) -> None:
    quantization = None if dtype == "float32" else q(0.5)
    model = one_op("RELU", {}, [fed(shape, dtype, quantization)], fed(shape, dtype, quantization, "y"))
    told_of = rf" {prod(shape):,} elements of {dtype}; TFLM counts them, and the bytes of its arena in steps of 16,"
    with pytest.raises(UnsupportedError, match=told_of) as told:
        make_plan(model, memory=1 << 62)
    assert not isinstance(told.value, LimitError)
    assert inspect(model).runs_on_tflm == "no"


def test_inspect_does_not_say_that_it_runs_and_takes_no_memory_either() -> None:
    """The windows of an average pool would be counted in a table as high as the image."""
    options = {"padding": "SAME", "stride_h": 1, "stride_w": 1, "filter_width": 3, "filter_height": 3}
    image, pooled = fed((1, MOST, 1, 1), "int8", q(0.5)), fed((1, MOST, 1, 1), "int8", q(0.5), "y")
    model = one_op("AVERAGE_POOL_2D", options | {"fused_activation_function": "NONE"}, [image], pooled)
    assert peak(lambda: inspect(model)) < 1 << 20
    assert inspect(model).runs_on_tflm == "unknown"


def test_the_limit_can_be_raised_and_lowered() -> None:
    model = padded(1 << 20)
    needed = make_plan(model).working_bytes
    x = np.ones((1, 1), np.int8)
    assert needed == 1 + (1 << 20) + WORK * (1 + (1 << 20))
    assert run(model, x, memory=needed)[0].shape == (1, 1 << 20)
    with pytest.raises(LimitError, match=r"in Python with memory=9437193$"):
        run(model, x, memory=needed - 1)
    assert pickle.loads(pickle.dumps(make_plan(model, memory=needed))).memory == needed


def test_tensors_count_as_long_as_they_live() -> None:
    x, y, z, end = (fed((1, 1000), "int8", q(0.5), name) for name in "xyzw")
    chain = network(*(Node("RELU", {}, (a,), (b,)) for a, b in ((x, y), (y, z), (z, end))))
    assert list(needs(chain.graphs, 0)) == [2000 + WORK * 2000] * 3
    branched = network(Node("RELU", {}, (x,), (y,)), Node("RELU", {}, (y,), (z,)), Node("RELU", {}, (y,), (end,)))
    assert list(needs(branched.graphs, 0)) == [2000 + WORK * 2000, 2000 + WORK * 2000, 3000 + WORK * 2000]


NOTHING = Graph(0, "main", (Tensor(0, "x", (1,), "int32"),), (0,), (0,), ())


def graph_needs(model: Model, graph: int) -> tuple[int, ...]:
    return needs(model.graphs, graph, lambda op: (1, 2) if op.name == "IF" else ())


def test_a_called_subgraph_comes_on_top_of_its_caller() -> None:
    model = branching(adding(1, [[1, 1]]), adding(2, [[10, 20]]))
    inside = 2 * 8 + WORK * 4
    assert [graph_needs(model, graph) for graph in (1, 2)] == [(inside,)] * 2
    assert graph_needs(model, 0) == (1 + 2 * 8 + WORK * 5 + inside,)
    needed = make_plan(model).working_bytes
    assert needed == graph_needs(model, 0)[0]
    assert make_plan(model, memory=needed).memory == needed
    with pytest.raises(LimitError, match=r"^subgraph 0, operator 0 \(IF\): it may take"):
        make_plan(model, memory=needed - 1)
    with pytest.raises(LimitError, match=r"^subgraph 1, operator 0 \(ADD\): it may take"):
        make_plan(replace(model, graphs=(NOTHING, *model.graphs[1:])), memory=inside - 1)


def test_graphs_that_call_the_next_one_twice_are_counted_once() -> None:
    """1,000 deep, 2¹⁰⁰⁰ ways down."""
    x, y = Tensor(0, "x", (1, 2), "int32"), Tensor(1, "y", (1, 2), "int32")
    op = Op(0, "IF", (0,), (1,))
    graphs = [Graph(i, "", (x, y), (0,), (1,), (op,)) for i in range(1000)]
    assert needs(graphs, 0, lambda op: ()) == (16 + WORK * 4,)
    chain = [replace(graph, ops=(replace(op, options={"next": graph.index + 1}),)) for graph in graphs[:-1]]
    called = needs([*chain, graphs[-1]], 0, lambda op: (op.options["next"],) * 2 if op.options else ())
    assert called == (1000 * (16 + WORK * 4),)


def test_what_a_kernel_remembers_counts_as_well() -> None:
    (short, shorter) = (make_plan(delay(length, (1, 4))).working_bytes for length in (9, 5))
    assert short - shorter == STATES * 4 * 2


def test_what_lives_on_counts_as_it_is_found_and_as_it_is_left() -> None:
    model = remembering("int32")
    plan = make_plan(model)
    assert plan.working_bytes == max(needs(model.graphs, 0)) + STATES * 8
    with pytest.raises(LimitError, match=r"^an inference, with what lives on after it, may take"):
        make_plan(model, memory=plan.working_bytes - 1)


def test_a_variable_that_nobody_reads_is_refused_before_it_is_made() -> None:
    unread = Tensor(1, "v", (1 << 29,), "int8", is_variable=True)
    model = Model((replace(NOTHING, tensors=(*NOTHING.tensors, unread)),))
    told = r"^an inference, with what lives on after it, may take 1\.0 GiB of memory, .* allows itself 512\.0 MiB"

    def refused() -> None:
        with pytest.raises(LimitError, match=told):
            make_plan(model, memory=1 << 29)

    assert peak(refused) < 1 << 20


def test_what_loops_and_is_kept_is_counted_as_it_comes() -> None:
    n, x = np.full((1, 1), 200, np.int32), np.zeros((1, 1), np.int32)
    plan = make_plan(counting(), memory=1 << 10)
    assert len(list(execute(plan, n, x))) == 401
    complaint = r"^keeping every tensor that the model computes may take 1\.0 KiB of memory"
    with pytest.raises(InputError, match=complaint):
        list(kept(plan, execute(plan, n, x)))
    session = Session(plan, n, x)
    for _ in range(2):
        with pytest.raises(InputError, match=complaint):
            session.record(400)
    assert len(list(kept(plan, execute(plan, n // 2, x)))) == 201


def test_a_batch_is_refused_where_it_is_kept_whole_and_run_in_tiles_that_fit() -> None:
    plan = make_plan(padded(1 << 16), memory=1 << 20)
    batch = np.ones((9, 1), np.int8)
    with pytest.raises(InputError, match=r"^a batch of 9, all at once, may take 5\.1 MiB of memory"):
        next(execute(plan, batch))
    assert tile_size(plan) == 1
    assert run(plan, batch)[0].shape == (9, 1 << 16)
    with pytest.raises(InputError, match=r"^the results of a batch of 17 may take 1\.1 MiB of memory"):
        run(plan, np.ones((17, 1), np.int8))


def test_threads_share_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def pool(threads: int) -> ThreadPoolExecutor:
        asked.append(threads)
        return ThreadPoolExecutor(threads)

    monkeypatch.setattr("concurrent.futures.ThreadPoolExecutor", pool)
    model, batch = padded(1 << 18, "float32"), np.ones((3, 1), np.float32)
    needed = make_plan(model).working_bytes
    for memory in (2 * needed - 1, 2 * needed):
        run(make_plan(model, memory=memory), batch, threads=3)
    assert asked == [1, 2]


def test_whoever_keeps_every_tensor_asks_before() -> None:
    tensors = [fed((1, 1 << 12), "float32", None, f"t{i}") for i in range(65)]
    chain = network(*(Node("RELU", {}, (a,), (b,)) for a, b in pairwise(tensors)))
    plan = make_plan(chain, memory=1 << 20)
    x = np.zeros((1, 1 << 12), np.float32)
    assert len(list(execute(plan, x))) == 64
    complaint = r"^keeping every tensor that the model computes may take 1\.0 MiB of memory"
    with pytest.raises(InputError, match=complaint):
        Session(make_plan(chain, memory=(1 << 20) - 1), x)
    with pytest.raises(InputError, match=complaint):
        Interpreter(model_content=dump(chain), memory=(1 << 20) - 1).allocate_tensors()
    assert Session(plan, x).record(63).outputs[0].shape == x.shape


S = (1, 128, 128, 16)
POOL = {"fused_activation_function": "NONE", "padding": "SAME", "stride_h": 1, "stride_w": 1, "filter_width": 3}
CONV = POOL | {"dilation_h_factor": 1, "dilation_w_factor": 1, "quantized_bias_type": "float32", "depth_multiplier": 1}
OPTIONS: dict[str, dict[str, Any]] = {
    "RELU": {}, "TANH": {}, "HARD_SWISH": {}, "LOGISTIC": {}, "LEAKY_RELU": {"alpha": 0.1}, "SOFTMAX": {"beta": 1.0},
    "ADD": {"fused_activation_function": "NONE", "pot_scale_int16": False}, "DEQUANTIZE": {}, "QUANTIZE": {},
    "MUL": {"fused_activation_function": "NONE"}, "AVERAGE_POOL_2D": POOL | {"filter_height": 3},
    "MAX_POOL_2D": POOL | {"filter_height": 3}, "CONV_2D": CONV, "DEPTHWISE_CONV_2D": CONV,
}  # fmt: skip
OUTPUTS = {"SOFTMAX": q(1 / 256, -128), "LOGISTIC": q(1 / 256, -128), "TANH": q(1 / 128)}
WEIGHTS = {"CONV_2D": (16, 5, 5, 16), "DEPTHWISE_CONV_2D": (1, 5, 5, 16)}


EXEMPT = {("SOFTMAX", "int8")}  # 14 bytes an element, as memory.WORK says
NONE = {("DEQUANTIZE", "float32")}


@pytest.mark.parametrize(("name", "dtype"), sorted({*product(OPTIONS, ["int8", "float32"])} - EXEMPT - NONE))
def test_operators_take_no_more_than_is_counted(name: str, dtype: str) -> None:
    out = {"DEQUANTIZE": "float32", "QUANTIZE": "int8"}.get(name, dtype)
    x, y = (
        fed(S, kind, None if kind == "float32" else quantization, label)
        for kind, quantization, label in ((dtype, q(0.05), "x"), (out, OUTPUTS.get(name, q(0.05)), "y"))
    )
    others = [x] if name in ("ADD", "MUL") else []
    if name in WEIGHTS:
        scales = q((0.01,) * 16, 0, 0 if name == "CONV_2D" else 3) if dtype == "int8" else None
        others = [const(np.ones(WEIGHTS[name]), dtype, scales)]
    plan = make_plan(one_op(name, OPTIONS[name], [x, *others], y))
    value = np.random.default_rng(0).integers(-99, 99, S).astype(dtype)
    list(execute(plan, value))  # caches are filled once
    assert peak(lambda: list(execute(plan, value))) <= plan.working_bytes + (2 << 20)


def test_the_command_line_refuses_and_allows(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    model, x = tmp_path / "m.tflite", tmp_path / "x.npy"
    model.write_bytes(dump(padded(1 << 13)))
    np.save(x, np.ones((1, 1), np.int8))
    for command in (["run"], ["debug", "--command", "next"]):
        arguments = [command[0], str(model), "--input", str(x), *command[1:]]
        assert main([*arguments, "--memory", "32K"]) == 2
        complaint = capsys.readouterr().err
        assert complaint.startswith("refengine: subgraph 0, operator 0 (PAD): it may take 72.0 KiB of memory")
        assert complaint.count("\n") == 1
        assert main([*arguments, "--memory", "73k"]) == 0
        capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["run", str(model), "--input", str(x), "--memory", "many"])
    assert "no positive number" in capsys.readouterr().err


def test_sizes_as_people_read_them() -> None:
    told = ["0 bytes", "1,023 bytes", "1.0 KiB", "1.0 GiB", "1.5 GiB"]
    assert [size(n) for n in (0, 1023, 1024, MEMORY, 3 << 29)] == told
