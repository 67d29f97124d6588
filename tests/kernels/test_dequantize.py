"""DEQUANTIZE's own facts: one rounding, at either end of float32 too."""

from __future__ import annotations

import numpy as np
import pytest

from refengine import UnsupportedError, make_plan, run
from refengine.model import Model, Quantization
from tests.models import fed, one_op, q


def dequantize(dtype: str, quantization: Quantization | None, output_type: str = "float32", size: int = 3) -> Model:
    return one_op("DEQUANTIZE", {}, [fed((3,), dtype, quantization)], fed((size,), output_type))


@pytest.mark.parametrize("scale", [0.1, 2.0**-149, 3 * 2.0**-149, 1e-39, 3e38])
@pytest.mark.parametrize(("dtype", "zero_point"), [("int8", -128), ("int16", 0), ("int16", 32767), ("uint8", 255)])
def test_one_rounding(dtype: str, zero_point: int, scale: float) -> None:
    info = np.iinfo(dtype)
    x = np.array([info.min, 5, info.max], dtype)
    (y,) = run(dequantize(dtype, q(scale, zero_point)), x)
    with np.errstate(all="ignore"):
        expected = (np.float64(np.float32(scale)) * (x.astype(np.float64) - zero_point)).astype(np.float32)
    assert y.tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (dequantize("int8", q(1), "int8"), r"'output0' is int8; TFLM dequantises into float32 only"),
        (dequantize("int8", None), r"'input0' is int8 but has no positive scale"),
        (dequantize("int8", q(1), size=4), r"must have one shape"),
        (dequantize("int32", q(1)), r"'input0' is int32; supported here: int16, int8, uint8"),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)
