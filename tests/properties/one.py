"""What the tests of properties share: a single operator, and all codes of a type."""

from __future__ import annotations

from typing import Any

import numpy as np

from refengine import run
from refengine.model import Array, Tensor
from refengine.numerics.quantize import code_range
from refengine.tflite_io import dump
from tests.models import one_op

Operands = list[Tensor | None]


def model(op: str, operands: Operands, output: Tensor, **options: Any) -> bytes:
    """The operator as a `.tflite` file, which has the schema's defaults for all other options."""
    return dump(one_op(op, options, operands, output))


def apply(op: str, operands: Operands, output: Tensor, *fed: Array, **options: Any) -> Array:
    """What the operator makes of `fed`; operands with data are constants."""
    return run(model(op, operands, output, **options), *fed)[0]


def every_code(dtype: str) -> Array:
    """All codes of an integer type, ascending."""
    low, high = code_range(dtype)
    return np.arange(low, high + 1).astype(dtype)
