"""Post-training quantisation: a float32 network, ranges of its tensors, and an int8 or int16×8 network TFLM runs.

`calibrate` finds the ranges, `convert` quantises given them, `quantize` does both; `report` tells what each layer lost.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from concurrent.futures import Executor

from ..model import Array, Model
from ..plan import make_plan
from .calibrate import PERCENTILE, Ranges, calibrate
from .convert import convert

__all__ = ["Ranges", "calibrate", "convert", "quantize"]


def quantize(
    model: Model | str | os.PathLike[str] | bytes,
    batches: Iterable[tuple[Array, ...]],
    *,
    method: str = "minmax",
    percentile: float = PERCENTILE,
    activations: str = "int8",
    io: str | None = None,
    keep: Collection[int] = (),
    executor: Executor | None = None,
) -> Model:
    """Quantise a trained float32 `model`, calibrated on `batches` of its inputs: `calibrate`, then `convert`."""
    plan = make_plan(model)
    ranges = calibrate(plan, batches, method, percentile=percentile, executor=executor)
    return convert(plan.model, ranges, activations=activations, io=io, keep=keep)
