"""L2_NORMALIZATION's own facts: 128ths whatever the output says, rows of zeros, and sums that would overflow."""

from __future__ import annotations

import numpy as np
import pytest

from refengine import Numerics, UnsupportedError, execute, explain, make_plan, run
from refengine.model import Model, Quantization
from tests.models import fed, one_op, q


def l2norm(
    shape: tuple[int, ...],
    dtype: str = "int8",
    input: Quantization | None = None,
    output: Quantization | None = None,
    activation: str = "NONE",
) -> Model:
    options = {"fused_activation_function": activation}
    return one_op("L2_NORMALIZATION", options, [fed(shape, dtype, input)], fed(shape, dtype, output))


@pytest.mark.parametrize("output", [q(1 / 128), q(3.5, -7), None])
def test_results_are_128ths_whatever_the_output_says(output: Quantization | None) -> None:
    """3 and −4 by 5: 0.6 · 128 = 76.8 and −102.4; the input's zero point 10 counts, its scale does not."""
    (y,) = run(l2norm((1, 2), "int8", q(0.37, 10), output), np.array([[13, 6]], np.int8))
    assert y.tolist() == [[77, -102]]


def test_one_alone_saturates_and_zeros_stay() -> None:
    x = np.array([[5, 0], [-5, 0], [0, 0], [1, 0]], np.int8)
    (y,) = run(l2norm((4, 2), "int8", q(1)), x)
    assert y.tolist() == [[127, 0], [-128, 0], [0, 0], [127, 0]]


def test_an_explanation_goes_along_the_elements_own_row() -> None:
    plan, x = make_plan(l2norm((2, 2, 2), "int8", q(1))), np.array([[[3, 4], [5, 12]], [[8, 6], [9, 40]]], np.int8)
    (record,) = execute(plan, x)
    for index in np.ndindex(2, 2, 2):
        assert explain(plan, record, index).lines[-1].value == record.outputs[0][index]


def test_single_rounding_differs_in_ties_only() -> None:
    x = np.random.default_rng(1).integers(-128, 128, (50, 7)).astype(np.int8)
    plans = [make_plan(l2norm((50, 7), "int8", q(1)), numerics=Numerics(rounding=r)) for r in ("double", "single")]
    a, b = (run(plan, x)[0].astype(int) for plan in plans)
    assert np.abs(a - b).max() <= 1


def test_floats_are_divided_by_at_least_a_millionth() -> None:
    inf, nan = np.inf, np.nan
    x = np.array([[3, 4], [0, 0], [1e-7, 0], [inf, 1], [nan, 1], [1e30, 1e30]], np.float32)
    (y,) = run(l2norm((6, 2), "float32"), x)
    assert y[0].tolist() == [np.float32(0.6), np.float32(0.8)]
    assert y[1].tolist() == [0, 0]
    assert y[2, 0] == np.float32(1e-7) / np.float32(1e-6)
    assert np.isnan(y[3, 0])
    assert y[3, 1] == 0
    assert np.isnan(y[4]).all()
    assert y[5].tolist() == [0, 0]  # the squares overflow


def test_contraction_keeps_the_product() -> None:
    """(1 + 2⁻¹²)² is 1 + 2⁻¹¹ + 2⁻²⁴: the last term is lost twice, or joins the next."""
    x = np.array([[1 + 2.0**-12] * 3], np.float32)
    plain, fused = (
        run(l2norm((1, 3), "float32"), x, numerics=Numerics(contraction=c))[0].tobytes() for c in ("none", "fma")
    )
    terms = [float(v) for v in x[0].astype(np.float64) ** 2]
    twice = np.float32(np.float32(np.float32(terms[0]) + np.float32(terms[1])) + np.float32(terms[2]))
    once = np.float32(np.float32(np.float32(terms[0]) + terms[1]) + terms[2])
    assert plain == (x / np.sqrt(twice)).tobytes()
    assert fused == (x / np.sqrt(once)).tobytes()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (l2norm((1, 2), "int8", q(1), activation="RELU"), r"has no fused activation, this one has RELU"),
        (l2norm((1,) * 5, "float32"), r"input 'input0' has 5 dimensions; TFLM normalises 1 to 4: reshape it"),
        (l2norm((), "float32"), r"has 0 dimensions"),
        (l2norm((1, 33026), "int8", q(1, -128)), r"the 33026 squares of a row of 'input0' may overflow TFLM's"),
        (l2norm((1, 2), "int8"), r"'input0' is int8 but has no positive scale"),
        (one_op("L2_NORMALIZATION", {}, [fed((2,), "int8")], fed((3,), "int8")), r"they must agree"),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)


def test_33025_squares_fit() -> None:
    make_plan(l2norm((1, 33025), "int8", q(1, -128)))
