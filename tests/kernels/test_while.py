"""WHILE's own facts: how often, for whom, and loops that never end."""

from __future__ import annotations

import importlib
from dataclasses import replace

import numpy as np
import pytest
from oracle import Litert

from refengine import InferenceError, LimitError, Model, UnsupportedError, execute, make_plan, run
from refengine.model import Graph, Op, Tensor
from refengine.tflite_io import dump
from tests.kernels.test_if import ADD, adding


def counting(step: int = -1, cond_outputs: tuple[int, ...] = (0,)) -> Model:
    """(n, x) int32 (1, 1) → (n, x): while the low byte of n is not 0, n += step and x += 3."""
    cell = (1, 1)
    main = (
        Tensor(0, "n", cell, "int32"), Tensor(1, "x", cell, "int32"),
        Tensor(2, "n'", cell, "int32"), Tensor(3, "x'", cell, "int32"),
    )  # fmt: skip
    op = Op(0, "WHILE", (0, 1), (2, 3), {"cond_subgraph_index": 1, "body_subgraph_index": 2})
    cond = Graph(1, "cond", (main[0], main[1]), (0, 1), cond_outputs, ())
    minus, plus = adding(0, [[step]], shape=cell), adding(0, [[3]], shape=cell)
    tensors = (main[0], main[1], *(Tensor(i, f"t{i}", cell, "int32", data=d) for i, d in (
        (2, minus.tensors[1].data), (3, plus.tensors[1].data), (4, None), (5, None))))  # fmt: skip
    ops = (Op(0, "ADD", (0, 2), (4,), ADD), Op(1, "ADD", (1, 3), (5,), ADD))
    body = Graph(2, "body", tensors, (0, 1), (4, 5), ops)
    return Model((Graph(0, "main", main, (0, 1), (2, 3), (op,)), cond, body))


def cells(*values: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    return np.array(values, np.int32).reshape(-1, 1)


def test_the_body_runs_as_often_as_the_condition_says() -> None:
    assert [y.tolist() for y in run(counting(), cells(4), cells(100))] == [[[0]], [[112]]]
    assert [y.tolist() for y in run(counting(), cells(0), cells(100))] == [[[0]], [[100]]]


def test_only_the_first_byte_of_the_condition_counts() -> None:
    """512 has the low byte 0."""
    assert [y.tolist() for y in run(counting(), cells(512), cells(7))] == [[[512]], [[7]]]


def test_each_inference_of_a_batch_loops_for_itself() -> None:
    n, x = run(counting(), cells(3, 0, 5, 1), cells(0, 1, 2, 3))
    assert (n.ravel().tolist(), x.ravel().tolist()) == ([0, 0, 0, 0], [9, 1, 17, 6])


def test_records_tell_the_round() -> None:
    records = list(execute(make_plan(counting()), cells(2), cells(0)))
    assert [(str(r.step.index), *map(str, r.path)) for r in records] == [
        ("0", "operator 0, body 0"), ("1", "operator 0, body 0"),
        ("0", "operator 0, body 1"), ("1", "operator 0, body 1"), ("0",),
    ]  # fmt: skip


def test_a_loop_without_end_is_an_error_for_its_inferences_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module("refengine.execute"), "LOOP_LIMIT", 20)
    with pytest.raises(InferenceError, match="the loop has run 20 times, more than refengine follows it") as caught:
        run(counting(step=0), cells(1, 0, 2, 0), cells(1, 2, 3, 4))
    assert caught.value.rows.tolist() == [True, False, True, False]
    n, x = caught.value.outputs
    assert n.mask.ravel().tolist() == [True, False, True, False]
    assert x.compressed().tolist() == [2, 4]


def test_a_condition_without_output_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="the condition, subgraph 1, has no output: TFLM would loop for ever"):
        make_plan(counting(cond_outputs=()))


def below(answer: str = "bool", outputs: tuple[int, ...] = (3, 1)) -> Model:
    """(n, x) int32 (1,) → (n, x): while n is below 3, n += 1."""
    names = ("n", "x", "c", "made")
    cell = tuple(Tensor(i, name, (1,), "int32") for i, name in enumerate(names))
    options = {"cond_subgraph_index": 1, "body_subgraph_index": 2}
    three, one = (replace(cell[2], data=np.array([n], np.int32)) for n in (3, 1))
    compared = (*cell[:2], three, replace(cell[3], name="below", dtype=answer))
    compare = Op(0, "LESS" if answer == "bool" else "SUB", (0, 2), (3,), {} if answer == "bool" else ADD)
    added = (*cell[:2], one, cell[3])
    return Model(
        (
            Graph(0, "main", (*cell[:3], cell[3]), (0, 1), (2, 3), (Op(0, "WHILE", (0, 1), (2, 3), options),)),
            Graph(1, "cond", compared, (0, 1), (3,), (compare,)),
            Graph(2, "body", added, (0, 1), outputs, (Op(0, "ADD", (0, 2), (3,), ADD),)),
        )
    )


@pytest.mark.parametrize("dialect", ["litert-ref", "litert"])
def test_litert_wants_a_bool_and_inputs_in_their_places(dialect: str, litert: Litert) -> None:
    """What stays in its place is kept there; what a body hands on in another's place is not."""
    x = [np.array([n], np.int32) for n in (0, 7)]
    assert [y.tolist() for y in run(below(), *x, numerics=dialect)] == [[3], [7]]
    assert [y.tolist() for y in litert.run(dump(below()), x)] == [[3], [7]]
    with pytest.raises(UnsupportedError, match=r"'below' is int32 \(1,\), and TFLite takes one bool, of shape"):
        make_plan(below("int32"), numerics=dialect)
    with pytest.raises(LimitError, match="hands on an input in another's place"):
        make_plan(below(outputs=(3, 0)), numerics=dialect)
    assert [y.tolist() for y in run(below(outputs=(3, 0)), *x)] == [[3], [2]]
