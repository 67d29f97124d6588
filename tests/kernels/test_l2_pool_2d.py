"""L2_POOL_2D's own facts: the root of the mean of squares, over what lies inside the image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refengine import Numerics, UnsupportedError, make_plan, run
from refengine.model import Model
from tests.models import fed, one_op


def pool(
    before: tuple[int, int],
    after: tuple[int, int],
    filter: tuple[int, int],
    padding: str = "VALID",
    activation: str = "NONE",
    channels: int = 1,
) -> Model:
    options = {
        "padding": padding,
        "stride_h": 1,
        "stride_w": 1,
        "filter_height": filter[0],
        "filter_width": filter[1],
        "fused_activation_function": activation,
    }
    return one_op("L2_POOL_2D", options, [fed((1, *before, 1), "float32")], fed((1, *after, channels), "float32"))


def row(*values: float) -> np.ndarray[Any, Any]:
    return np.array(values, np.float32).reshape(1, 1, -1, 1)


def test_the_root_of_the_mean_of_squares() -> None:
    (y,) = run(pool((1, 3), (1, 2), (1, 2)), row(1, -7, 1))
    assert y.reshape(-1).tolist() == [5, 5]


def test_what_pads_does_not_count() -> None:
    (y,) = run(pool((1, 2), (1, 2), (1, 3), "SAME"), row(1, 7))
    assert y.reshape(-1).tolist() == [5, 5]
    (y,) = run(pool((1, 2), (1, 2), (1, 2), "SAME"), row(1, 7))
    assert y.reshape(-1).tolist() == [5, 7]


@pytest.mark.parametrize(("activation", "expected"), [("NONE", 7), ("RELU6", 6), ("TANH", 7)])
def test_the_fused_activation_clamps_the_root(activation: str, expected: float) -> None:
    (y,) = run(pool((1, 1), (1, 1), (1, 1), activation=activation), row(-7))
    assert y.item() == expected


def test_infinities_become_flt_max_and_nan_stays() -> None:
    (y,) = run(pool((1, 3), (1, 3), (1, 1)), row(np.inf, 1e30, np.nan))
    assert y.reshape(-1)[:2].tolist() == [np.finfo(np.float32).max] * 2
    assert np.isnan(y.reshape(-1)[2])


def test_contraction_keeps_the_product() -> None:
    x = 1 + 2.0**-12
    sums = {"none": np.float32(np.float32(x * x) * 3), "fma": np.float32(np.float32(np.float32(x * x) + x * x) + x * x)}
    for contraction, total in sums.items():
        plan = make_plan(pool((1, 3), (1, 1), (1, 3)), numerics=Numerics(contraction=contraction))  # type: ignore[arg-type]
        assert run(plan, row(x, x, x))[0].item() == np.sqrt(total / np.float32(3))


def test_an_output_of_another_shape_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"a 1×2 window over .* gives height and width \(1, 2\)"):
        make_plan(pool((1, 3), (1, 3), (1, 2)))
    with pytest.raises(UnsupportedError, match=r"with the same batch and channels"):
        make_plan(pool((1, 3), (1, 2), (1, 2), channels=2))
