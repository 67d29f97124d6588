"""A single operator, as the tests here and the examples in PROPERTIES.md use it."""

from __future__ import annotations

from typing import Any

from refengine import run
from refengine.model import Array, Tensor
from refengine.tflite_io import dump
from tests.models import one_op

Operands = list[Tensor | None]


def model(op: str, operands: Operands, output: Tensor, **options: Any) -> bytes:
    """The operator as a `.tflite` file, which has the schema's defaults for all other options."""
    return dump(one_op(op, options, operands, output))


def apply(op: str, operands: Operands, output: Tensor, *fed: Array, **options: Any) -> Array:
    """What the operator makes of `fed`; operands with data are constants."""
    return run(model(op, operands, output, **options), *fed)[0]
