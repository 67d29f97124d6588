"""IF's own facts: which byte counts, what crosses the border, and batches whose inferences part."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from refengine import Model, UnsupportedError, execute, make_plan, run
from refengine.explanation import explain
from refengine.model import Graph, Op, Tensor
from tests.models import const

ADD = {"fused_activation_function": "NONE", "pot_scale_int16": False}


def adding(index: int, constant: Any, dtype: str = "int32", shape: tuple[int, ...] = (1, 2)) -> Graph:
    """A subgraph that adds a constant."""
    x, y = Tensor(0, "x", shape, dtype), Tensor(2, "y", shape, dtype)
    return Graph(index, f"add{index}", (x, replace(const(constant, dtype), index=1), y), (0,), (2,),
                 (Op(0, "ADD", (0, 1), (2,), ADD),))  # fmt: skip


def branching(then: Graph, other: Graph, condition: Tensor | None = None) -> Model:
    """(condition, x int32 (1, 2)) → y."""
    tensors = (
        condition or Tensor(0, "c", (1,), "bool"),
        Tensor(1, "x", (1, 2), "int32"),
        Tensor(2, "y", (1, 2), "int32"),
    )
    op = Op(0, "IF", (0, 1), (2,), {"then_subgraph_index": 1, "else_subgraph_index": 2})
    return Model((Graph(0, "main", tensors, (0, 1), (2,), (op,)), then, other))


MODEL = branching(adding(1, [[1, 1]]), adding(2, [[10, 20]]))
X = np.array([[3, 4]], np.int32)


@pytest.mark.parametrize(("condition", "expected"), [(True, [[4, 5]]), (False, [[13, 24]])])
def test_the_condition_chooses(condition: bool, expected: list[list[int]]) -> None:
    (y,) = run(MODEL, np.array([condition]), X)
    assert y.tolist() == expected


def test_a_byte_that_is_neither_0_nor_1_is_true() -> None:
    (y,) = run(MODEL, np.array([2], np.uint8).view(np.bool_), X)
    assert y.tolist() == [[4, 5]]


def test_records_come_from_inside_first_with_their_path() -> None:
    records = list(execute(make_plan(MODEL), np.array([False]), X))
    assert [(r.step.name, [str(call) for call in r.path]) for r in records] == [
        ("ADD", ["operator 0, else"]),
        ("IF", []),
    ]


def test_inferences_of_a_batch_part_and_meet_again() -> None:
    condition = np.array([1, 0, 0, 1], np.bool_)
    x = np.arange(8, dtype=np.int32).reshape(4, 2)
    records = list(execute(make_plan(MODEL), condition, x))
    assert [None if r.rows is None else r.rows.tolist() for r in records] == [[0, 3], [1, 2], None]
    expected = np.where(condition[:, None], x + 1, x + np.array([10, 20]))
    assert np.array_equal(run(MODEL, condition, x)[0], expected)
    assert np.array_equal(records[-1].outputs[0], expected)


def test_bytes_cross_the_border_whatever_their_shape() -> None:
    """(1, 2) into (2,), as TFLM copies them."""
    (y,) = run(branching(adding(1, [5, 6], shape=(2,)), adding(2, [[0, 0]])), np.array([True]), X)
    assert y.tolist() == [[8, 10]]


def test_the_explanation_names_the_branch() -> None:
    plan = make_plan(MODEL)
    *_, record = execute(plan, np.array([False]), X)
    lines = explain(plan, record, (0, 1)).lines
    assert lines[0].text == "0: the else branch, subgraph 2, runs"
    assert lines[-1].value == 24


def test_an_explanation_says_of_which_subgraph_it_speaks() -> None:
    plan = make_plan(MODEL)
    inside, outside = (explain(plan, record, (0, 1)).as_dict() for record in execute(plan, np.array([False]), X))
    assert inside["operator"] == {"subgraph": 2, "index": 0, "name": "ADD"}
    assert inside["tensor"] == {"subgraph": 2, "index": 2, "name": "y"}
    assert outside["operator"] == {"subgraph": 0, "index": 0, "name": "IF"}


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (branching(adding(1, [[1, 1]]), adding(2, [[1]], shape=(1, 1))), "differ in bytes, where TFLM's Invoke fails"),
        (
            branching(adding(1, [[1, 1]]), adding(2, [[1, 1]]), Tensor(0, "c", (1,), "int8")),
            "input 'c' is int8; supported here: bool",
        ),
        (branching(adding(1, [[1, 1]]), adding(2, [[1, 1]]), Tensor(0, "c", (2,), "bool")), "TFLM takes one bool"),
        (
            branching(adding(1, [[1, 1]]), replace(adding(2, [[1, 1]]), outputs=(2, 2))),
            "the outputs of subgraph 2 are 2, the operator has 1",
        ),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)
