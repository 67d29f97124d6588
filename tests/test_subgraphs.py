"""Programs of several subgraphs, invented at random: IF in WHILE in IF, and variables; TFLM is the judge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np
import pytest
from conformance import judge
from oracle import Tflm

from refengine import Model, make_plan
from refengine.execute import infer
from refengine.model import Array, Graph, Op, Tensor
from refengine.tflite_io import dump
from tests.kernels.test_if import ADD

SHAPE = (1, 2)
VARIABLES = ("u", "v", "w")


@dataclass
class Program:
    """A model in the making: graphs by index, the main one first, all of x, n → x', n' (int32 (1, 2))."""

    random: Random
    graphs: list[Graph | None] = field(default_factory=list)

    def graph(self, depth: int, body: bool = False) -> int:
        """A new subgraph that may call deeper ones; a loop's body counts n down. Returns its index."""
        index = len(self.graphs)
        self.graphs.append(None)
        tensors = [Tensor(0, "x", SHAPE, "int32"), Tensor(1, "n", SHAPE, "int32")]
        ops: list[Op] = []

        def tensor(dtype: str = "int32", shape: tuple[int, ...] = SHAPE, **more: Any) -> int:
            tensors.append(Tensor(len(tensors), f"t{len(tensors)}", shape, dtype, **more))
            return len(tensors) - 1

        def op(name: str, inputs: tuple[int, ...], outputs: tuple[int, ...], **options: Any) -> None:
            ops.append(Op(len(ops), name, inputs, outputs, options))

        x, n = 0, 1
        if self.random.random() < 0.3:
            variable = tensor(is_variable=True)
            op("ADD", (variable, x), (variable,), **ADD)
            x = variable
        for _ in range(self.random.randint(1, 3)):
            kind = self.random.choice(("add", "mul", "variable", "if", "while", "once"))
            if kind in ("add", "mul"):
                y, c = tensor(), tensor(data=np.full(SHAPE, self.random.randint(-3, 3), np.int32))
                op(kind.upper(), (x, c), (y,), **(ADD if kind == "add" else {"fused_activation_function": "NONE"}))
                x = y
            elif kind == "variable":
                handle, y, z = tensor("resource", ()), tensor(), tensor()
                op("VAR_HANDLE", (), (handle,), container="", shared_name=self.random.choice(VARIABLES))
                op("ASSIGN_VARIABLE", (handle, x), ()) if self.random.random() < 0.7 else None
                op("READ_VARIABLE", (handle,), (y,))
                op("ADD", (x, y), (z,), **ADD)
                op("ASSIGN_VARIABLE", (handle, z), ())
                x = z
            elif kind == "if" and depth:
                condition, y, m = self.condition(op, tensor, x), tensor(), tensor()
                branches = {f"{way}_subgraph_index": self.graph(depth - 1) for way in ("then", "else")}
                op("IF", (condition, x, n), (y, m), **branches)
                x = y
            elif kind == "while" and depth:
                count = tensor(data=np.full(SHAPE, self.random.randint(0, 3), np.int32))
                y, m = tensor(), tensor()
                op("WHILE", (x, count), (y, m), cond_subgraph_index=self.cond(),
                   body_subgraph_index=self.graph(depth - 1, body=True))  # fmt: skip
                x = y
            elif kind == "once":
                op("CALL_ONCE", (), (), init_subgraph_index=self.init())
        if body:
            one, m = tensor(data=np.ones(SHAPE, np.int32)), tensor()
            op("SUB", (n, one), (m,), **ADD)
            n = m
        self.graphs[index] = Graph(index, f"g{index}", tuple(tensors), (0, 1), (x, n), tuple(ops))
        return index

    def condition(self, op: Callable[..., None], tensor: Callable[..., int], x: int) -> int:
        """A bool from the bytes of x, by way of a variable, whose bytes have no type."""
        handle, values, one = tensor("resource", ()), tensor("bool", (1, 8)), tensor("bool", (1,))
        begin, end, strides = (tensor(shape=(2,), data=np.array(v, np.int32)) for v in ((0, 0), (1, 1), (1, 1)))
        op("VAR_HANDLE", (), (handle,), container="", shared_name="condition")
        op("ASSIGN_VARIABLE", (handle, x), ())
        op("READ_VARIABLE", (handle,), (values,))
        op("STRIDED_SLICE", (values, begin, end, strides), (one,), begin_mask=0, end_mask=0, ellipsis_mask=0,
           new_axis_mask=0, shrink_axis_mask=1, offset=False)  # fmt: skip
        return one

    def cond(self) -> int:
        """Whether n is not 0."""
        tensors = (Tensor(0, "x", SHAPE, "int32"), Tensor(1, "n", SHAPE, "int32"))
        self.graphs.append(Graph(len(self.graphs), "cond", tensors, (0, 1), (1,), ()))
        return len(self.graphs) - 1

    def init(self) -> int:
        """Assigns a constant to a variable."""
        value = np.full(SHAPE, self.random.randint(-9, 9), np.int32)
        tensors = (Tensor(0, "h", (), "resource"), Tensor(1, "c", SHAPE, "int32", data=value))
        name = self.random.choice(VARIABLES)
        handle = Op(0, "VAR_HANDLE", (), (0,), {"container": "", "shared_name": name})
        ops = (handle, Op(1, "ASSIGN_VARIABLE", (0, 1), ()))
        self.graphs.append(Graph(len(self.graphs), "init", tensors, (), (), ops))
        return len(self.graphs) - 1


def program(seed: int) -> Model:
    made = Program(Random(seed))
    made.graph(3)
    return Model(tuple(graph for graph in made.graphs if graph is not None))


def inputs(seed: int, count: int) -> list[tuple[Array, ...]]:
    rng = np.random.default_rng(seed)
    return [tuple(rng.integers(0, 4, SHAPE, dtype=np.int32) for _ in range(2)) for _ in range(count)]


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_programs_run_as_on_tflm(part: int, tflm: Tflm) -> None:
    """Over several inferences and a reset."""
    kinds = []
    for seed in range(part * 75, (part + 1) * 75):
        verdict = judge(tflm, dump(program(seed)), inputs(seed, 3))
        assert verdict.kind == "equal", f"seed {seed}: {verdict.message}\n{program(seed)}"
        kinds.append(verdict.elements)
    assert sum(kinds)


@pytest.mark.parametrize("seed", range(12))
def test_a_batch_of_programs_is_its_streams(seed: int) -> None:
    plan, (first, second) = make_plan(program(seed)), inputs(seed, 2)
    both = [np.concatenate(pair) for pair in zip(first, second, strict=True)]
    together, apart = plan.initial, [plan.initial, plan.initial]
    for _ in range(3):
        outputs, together = infer(plan, 2, both, together)
        for k, one in enumerate((first, second)):
            alone, apart[k] = infer(plan, 1, one, apart[k])
            for y, z in zip(outputs, alone, strict=True):
                assert np.array_equal(y[k : k + 1], z)
