"""Post-training quantisation: a float32 network, ranges of its tensors, and an int8 or int16×8 network TFLM runs.

`calibrate` finds the ranges, `convert` quantises given them, `quantize` does both; `report` tells what each layer lost.
`equalize` comes before them and `correct_biases` behind, for whoever wants more than the converter does.
"""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import Executor

from ..kernel import Kernels
from ..kernels import KERNELS
from ..memory import MEMORY, Memory
from ..model import Model
from ..plan import Plan, Source, make_plan
from .calibrate import PERCENTILE, Batches, Ranges, calibrate
from .convert import check, convert, kept_of
from .correction import correct_biases
from .equalization import equalize
from .report import check_judged

__all__ = ["Ranges", "calibrate", "convert", "correct_biases", "equalize", "quantize"]


def quantize(
    model: Source,
    batches: Batches,
    *,
    method: str = "minmax",
    percentile: float = PERCENTILE,
    activations: str = "int8",
    io: str | None = None,
    keep: Collection[int | str] = (),
    equalized: bool = False,
    executor: Executor | None = None,
    kernels: Kernels = KERNELS,
    memory: Memory = MEMORY,
) -> Model:
    """Quantise a trained float32 `model`, calibrated on `batches` of its inputs: `calibrate`, then `convert`.

    `model` is a plan, or what one is made of. Each of `batches`, which a function may give, is a tuple with an array
    for each input, float32 of the input's shape or N of it, (N, …); where something lives on from one inference to the
    next, it is a sequence of N, and the next begins anew. `method` is ``"minmax"``, ``"moving-average"``,
    ``"percentile"`` (with `percentile`, above 50 and up to 100) or ``"entropy"``; `activations` ``"int8"`` or
    ``"int16"`` (16×8); `io`, of the inputs and outputs, the same (the default) or ``"float32"``; `keep` the operators
    that stay in float, by number, type or name (`kept_of`); with `equalized`, `equalize` comes before and
    `correct_biases`, on all of the batches, behind; `executor` runs the calibration's tasks, with the same result;
    `kernels` are those of `make_plan`, for operators of your own, and `memory` the bytes that an inference may take.

    The result has been planned, so it runs; `refengine.tflite_io.dump` gives its bytes. Parameters are those of
    TensorFlow 2.21's converter (see `convert` for where its models would be wrong). Raises `InputError` and
    `UnsupportedError`, in one sentence: see `calibrate` and `convert`.
    """
    plan = model if isinstance(model, Plan) else make_plan(model, kernels=kernels, memory=memory)
    keep = kept_of(plan, keep)
    check(plan, activations=activations, io=io, keep=keep)
    if not equalized:
        ranges = calibrate(plan, batches, method, percentile=percentile, executor=executor)
        return convert(plan, ranges, activations=activations, io=io, keep=keep)
    check_judged(plan, "equalized=True")
    every = list(batches() if callable(batches) else batches)
    plan = make_plan(equalize(plan).model, kernels=plan.kernels, memory=plan.memory)
    ranges = calibrate(plan, every, method, percentile=percentile, executor=executor)
    return correct_biases(plan, convert(plan, ranges, activations=activations, io=io, keep=keep), every)
