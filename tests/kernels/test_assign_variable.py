"""ASSIGN_VARIABLE's own facts: the first one says how large a variable is, and what its bytes are at first."""

from __future__ import annotations

import numpy as np
import pytest

from refengine import InferenceError, Model, Session, UnsupportedError, make_plan
from refengine.model import Graph, Op, Quantization, Tensor
from tests.models import q

V = {"container": "", "shared_name": "v"}


def remembering(
    dtype: str, quantization: Quantization | None = None, read: tuple[str, tuple[int, ...]] | None = None
) -> Model:
    """x (2,) → what v held before, under another type and shape if `read` says so; then v becomes x."""
    output = read or (dtype, (2,))
    tensors = (
        Tensor(0, "h", (), "resource"),
        Tensor(1, "x", (2,), dtype, quantization),
        Tensor(2, "y", output[1], output[0]),
    )
    ops = (Op(0, "VAR_HANDLE", (), (0,), V), Op(1, "READ_VARIABLE", (0,), (2,)), Op(2, "ASSIGN_VARIABLE", (0, 1), ()))
    return Model((Graph(0, "main", tensors, (1,), (2,), ops),))


@pytest.mark.parametrize(
    ("dtype", "quantization", "first"),
    [
        ("int8", q(1.0, -7), -7),
        ("int16", q(1.0, 5), 0x0505),
        ("int16", None, 0),
        ("int8", q(1.0, 300), 0x2C),
        ("float32", q(1.0, 7), np.array([0x07070707], np.uint32).view(np.float32)[0]),
    ],
)
def test_every_byte_is_the_zero_points_at_first(dtype: str, quantization: Quantization, first: float) -> None:
    session = Session(remembering(dtype, quantization))
    x = np.array([1, 2], dtype)
    assert session.run(x)[0].tolist() == [first, first]
    assert session.run(x)[0].tolist() == [1, 2]
    session.reset()
    assert session.run(x)[0].tolist() == [first, first]


def test_a_variable_is_bytes() -> None:
    session = Session(remembering("float32", read=("int32", (1, 2))))
    session.run(np.array([1.0, -2.0], np.float32))
    assert session.run(np.zeros(2, np.float32))[0].tolist() == [[0x3F800000, -0x40000000]]


def test_a_reader_of_other_size_is_an_error_where_tflm_reads_beyond() -> None:
    plan = make_plan(remembering("float32", read=("float32", (3,))))
    with pytest.raises(InferenceError, match=r"\(READ_VARIABLE\): the resource variable has 8 bytes, but 12"):
        Session(plan).run(np.zeros(2, np.float32))


def test_states_are_values() -> None:
    """A copied session goes its own way; a kept state can be put back."""
    session = Session(remembering("int32"))
    session.run(np.array([1, 2], np.int32))
    other, kept = session.copy(), session.state
    session.run(np.array([3, 4], np.int32))
    assert other.run(np.array([5, 6], np.int32))[0].tolist() == [1, 2]
    session.state = kept
    assert session.run(np.array([0, 0], np.int32))[0].tolist() == [1, 2]
    assert repr(session) == "<Session of main: 0 variables, 1 resource variable, 0 operators with a memory>"


def test_more_than_a_handle_and_a_value_is_refused() -> None:
    (graph,) = remembering("int32").graphs
    ops = (*graph.ops[:2], Op(2, "ASSIGN_VARIABLE", (0, 1, 1), ()))
    with pytest.raises(UnsupportedError, match="expected a handle, a value and no outputs, got 3 inputs"):
        make_plan(Model((Graph(0, "main", graph.tensors, (1,), (2,), ops),)))
