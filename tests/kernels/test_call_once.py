"""CALL_ONCE's own facts: once a stream, and not again after a reset."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from refengine import Model, Session, UnsupportedError, make_plan, run
from refengine.execute import infer
from refengine.model import Graph, Op, Tensor
from refengine.state import State
from tests.models import const, q

V = {"container": "", "shared_name": "v"}


def accumulator(initial: int = 5, zero_point: int = 3) -> Model:
    """x int8 (1, 2) → what v held before; v, set up once to `initial`, becomes x."""
    handle, quantization = Tensor(0, "h", (), "resource"), q(1.0, zero_point)
    tensors = (handle, Tensor(1, "x", (1, 2), "int8", quantization), Tensor(2, "y", (1, 2), "int8", quantization))
    ops = (
        Op(0, "CALL_ONCE", (), (), {"init_subgraph_index": 1}),
        Op(1, "VAR_HANDLE", (), (0,), V),
        Op(2, "READ_VARIABLE", (0,), (2,)),
        Op(3, "ASSIGN_VARIABLE", (0, 1), ()),
    )
    value = replace(const([[initial, initial]], "int8", quantization), index=1)
    init = Graph(1, "init", (handle, value), (), (), (Op(0, "VAR_HANDLE", (), (0,), V),
                                                      Op(1, "ASSIGN_VARIABLE", (0, 1), ())))  # fmt: skip
    return Model((Graph(0, "main", tensors, (1,), (2,), ops), init))


def codes(*values: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int8]]:
    return np.array([values], np.int8).reshape(-1, 2)


def test_the_subgraph_runs_in_the_first_inference_only() -> None:
    session = Session(accumulator())
    assert [session.run(codes(k, k))[0].tolist() for k in (7, 8, 9)] == [[[5, 5]], [[7, 7]], [[8, 8]]]


def test_a_reset_restores_the_fill_and_does_not_set_up_again() -> None:
    """The fill is the zero point of the first value assigned, 3, not the 5 that the subgraph assigns."""
    session = Session(accumulator())
    session.run(codes(7, 7))
    session.reset()
    assert session.run(codes(8, 8))[0].tolist() == [[3, 3]]
    assert Session(session.plan).run(codes(8, 8))[0].tolist() == [[5, 5]], "a new session is fresh"


def test_each_stream_of_a_batch_is_set_up_for_itself() -> None:
    plan = make_plan(accumulator())
    (first,), state = infer(plan, 2, [codes(1, 1, 2, 2)])
    (second,), _ = infer(plan, 2, [codes(3, 3, 4, 4)], state)
    assert (first.tolist(), second.tolist()) == ([[5, 5], [5, 5]], [[1, 1], [2, 2]])


def test_streams_that_differ_in_what_ran_may_share_a_batch() -> None:
    plan = make_plan(accumulator())
    _, one = infer(plan, 1, [codes(7, 7)])
    both = State.joined([(np.array([0]), one), (np.array([1]), plan.initial)])
    (y,), _ = infer(plan, 2, [codes(0, 0, 0, 0)], both)
    assert y.tolist() == [[7, 7], [5, 5]]


def test_runs_are_fresh_each() -> None:
    assert run(accumulator(), codes(7, 7))[0].tolist() == run(accumulator(), codes(7, 7))[0].tolist() == [[5, 5]]


def test_a_subgraph_with_inputs_is_refused() -> None:
    main, init = accumulator().graphs
    fed = replace(init, tensors=(*init.tensors, Tensor(2, "z", (1,), "int8")), inputs=(2,))
    with pytest.raises(UnsupportedError, match="its subgraph has inputs or outputs; TFLM takes none"):
        make_plan(Model((main, fed)))
