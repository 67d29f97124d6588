"""EMBEDDING_LOOKUP's own facts: rows as they are, or as floats by the first scale."""

from __future__ import annotations

import numpy as np
import pytest

from refengine import InferenceError, UnsupportedError, make_plan, run
from refengine.execute import infer
from refengine.model import Model, Quantization, Tensor
from tests.models import const, fed, one_op, q


def lookup(
    ids: Tensor, output: tuple[int, ...], dtype: str = "int8", quantization: Quantization | None = None
) -> Model:
    """In a constant (3, 2)."""
    table = const([[1, 2], [3, 4], [-5, 6]], "int8", quantization or q(0.1))
    return one_op("EMBEDDING_LOOKUP", {}, [ids, table], fed(output, dtype))


def test_rows_are_copied() -> None:
    assert run(lookup(const([2, 0], "int32"), (2, 2), quantization=q(1, 9)))[0].tolist() == [[-5, 6], [1, 2]]


@pytest.mark.parametrize("quantization", [q(0.1), q((0.1, 0.2, 0.3))])
def test_codes_become_floats_by_the_first_scale_even_where_each_row_has_one(quantization: Quantization) -> None:
    (y,) = run(lookup(const([2], "int32"), (1, 2), "float32", quantization))
    assert y.tobytes() == (np.float32(0.1) * np.array([-5, 6], np.float32)).tobytes()


@pytest.mark.parametrize("outside", [3, -1])
def test_an_id_that_is_no_row_fails_its_inference_alone(outside: int) -> None:
    plan = make_plan(lookup(fed((2,), "int32"), (2, 2)))
    with pytest.raises(InferenceError, match=r"an id lies outside the table's rows 0 … 2, .*Invoke fails") as error:
        infer(plan, 2, [np.array([[0, outside], [1, 1]], np.int32)])
    assert error.value.rows.tolist() == [True, False]
    assert error.value.outputs[0][1].tolist() == [[3, 4], [3, 4]]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lookup(const([0, 3], "int32"), (2, 2)), r"an id lies outside the table's rows 0 … 2"),
        (lookup(const([0], "int64"), (1, 2)), r"the ids 'input0' are int64 \(1,\); TFLM takes a row of int32"),
        (lookup(const([[0]], "int32"), (1, 1, 2)), r"the ids 'input0' are int32 \(1, 1\)"),
        (
            lookup(const([0], "int32"), (1, 2), "float32", q(1, 9)),
            r"zero point 9 of table 'input1' is not 0; .*symmetric",
        ),
        (lookup(const([0], "int32"), (1, 2), "float32", q(0)), r"'input1' is int8 but has no positive scale"),
        (lookup(const([0], "int32"), (1, 2), "int16"), r"'input1' is int8 but|'output0' is int16 but 'input1' is int8"),
        (
            lookup(const([0], "int32"), (2,)),
            r"'output0' has shape \(2,\); what 'input0' \(1,\) chooses .* has \(1, 2\)",
        ),
        (
            one_op("EMBEDDING_LOOKUP", {}, [const([0], "int32"), fed((3,), "int8")], fed((1,), "int8")),
            r"the table 'input1' has shape \(3,\); TFLM takes 2 dimensions or more",
        ),
        (
            one_op("EMBEDDING_LOOKUP", {}, [const([0], "int32"), fed((3, 1), "int32")], fed((1, 1), "int32")),
            r"'input1' is int32; supported here: float32, int8",
        ),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)
