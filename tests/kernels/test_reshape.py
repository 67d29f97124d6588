"""RESHAPE's own facts: the declared shape counts, and Flatten as Keras' converter leaves it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from refengine import UnsupportedError, make_plan, run
from refengine.model import Graph, Model, Op
from tests.models import const, fed, one_op


def test_the_shape_input_is_not_read() -> None:
    model = one_op("RESHAPE", {"new_shape": [5]}, [fed((2, 3), "int8"), const([9, 9], "int32")], fed((3, 2), "int8"))
    assert run(model, np.array([[1, 2, 3], [4, 5, 6]], np.int8))[0].tolist() == [[1, 2], [3, 4], [5, 6]]


def test_flatten_in_a_batch() -> None:
    """SHAPE → STRIDED_SLICE → PACK → RESHAPE: every inference sees the declared batch of 1, in a batch as alone."""
    tensors = [
        fed((1, 2, 3), "float32", name="image"),
        fed((3,), "int32", name="shape"),
        const([0], "int32", name="begin"),
        const([1], "int32", name="end"),
        const([1], "int32", name="strides"),
        fed((), "int32", name="batch"),
        const(-1, "int32", name="rest"),
        fed((2,), "int32", name="new shape"),
        fed((1, 6), "float32", name="flat"),
    ]
    slice_options = {"begin_mask": 0, "end_mask": 0, "ellipsis_mask": 0, "new_axis_mask": 0, "shrink_axis_mask": 1}
    ops = (
        Op(0, "SHAPE", (0,), (1,), {"out_type": "int32"}),
        Op(1, "STRIDED_SLICE", (1, 2, 3, 4), (5,), slice_options),
        Op(2, "PACK", (5, 6), (7,), {"axis": 0, "values_count": 2}),
        Op(3, "RESHAPE", (0, 7), (8,), {}),
    )
    graph = Graph(0, "main", tuple(replace(t, index=i) for i, t in enumerate(tensors)), (0,), (8, 7), ops)
    images = np.arange(24, dtype=np.float32).reshape(4, 2, 3)
    flat, shapes = run(Model((graph,)), images)
    assert flat.tolist() == images.reshape(4, 6).tolist()
    assert shapes.tolist() == [[1, -1]] * 4


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            one_op("RESHAPE", {}, [fed((2, 3), "int8")], fed((5,), "int8")),
            r"'input0' \(2, 3\) and output 'output0' \(5,\) have different numbers of elements",
        ),
        (one_op("RESHAPE", {}, [fed((0,), "int8")], fed((0,), "int8")), r"one element, and so TFLM refuses"),
        (one_op("RESHAPE", {}, [fed((1,), "int8")], fed((0,), "int8")), r"one element, and refengine does not"),
        (one_op("RESHAPE", {}, [fed((2,), "int8")], fed((2,), "uint8")), r"'output0' is uint8 but 'input0' is int8"),
        (one_op("RESHAPE", {}, [fed((2,), "int8")] * 3, fed((2,), "int8")), r"got 3 inputs and 1 output"),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)
