"""Detectors and segmenters on pictures with the truth about them, one picture after the other or on many workers."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from functools import partial

import numpy as np

from ..errors import InputError, located
from ..execute import run
from ..model import Array
from ..parallel import spread
from ..plan import Plan
from ..tensors.images import read_inputs
from ..tensors.inputs import pixels_to_input
from .datasets import Pictures, mask_of
from .detection import Detection, Scorer, Truth, detections
from .segmentation import VOID, Map, Overlap, class_count, class_maps, map_place, overlap, resized, together

Range = tuple[float, float] | None


def evaluate_detection(
    plan: Plan, data: Pictures[list[Truth]], *, real_range: Range = None, executor: Executor | None = None
) -> Iterator[Scorer]:
    """The scorer, after each picture: its `precision` is the result so far.

    Raises `InputError` for a picture that does not fit, and for a model that remembers something.
    """
    _check(plan)
    scorer = Scorer()
    found = spread(partial(_detected, plan, real_range), (source for source, _ in data.items), executor)
    for each, (_, truths) in zip(found, data.items, strict=True):
        scorer.add(each, truths)
        yield scorer


def evaluate_segmentation(
    plan: Plan, data: Pictures[str | Map], *, real_range: Range = None, executor: Executor | None = None
) -> Iterator[Overlap]:
    """The overlap of answers and masks so far, after each picture; the last one is the result.

    Masks are judged in their own size, to which the network's answers are brought: each pixel takes the nearest.
    Raises `InputError` for a picture or mask that does not fit, and for a model that remembers something.
    """
    _check(plan)
    place = map_place(plan)
    classes = VOID if place is None else class_count(plan.outputs[place]) or VOID
    result: Overlap | None = None
    for each in spread(partial(_overlapping, plan, real_range, classes), data.items, executor):
        result = each if result is None else together(result, each)
        yield result


def _check(plan: Plan) -> None:
    if plan.initial:
        raise InputError("the model remembers something from one picture to the next; this is for models that do not")


def _detected(plan: Plan, real_range: Range, source: str | Array) -> list[Detection]:
    (found,) = detections(_outputs(plan, real_range, source))
    return found


def _overlapping(plan: Plan, real_range: Range, classes: int, item: tuple[str | Array, str | Map]) -> Overlap:
    source, truth = item
    (answers,) = class_maps(plan, _outputs(plan, real_range, source))
    mask = mask_of(truth, plan.memory)
    with located(truth if isinstance(truth, str) else "y"):
        return overlap(resized(answers, *mask.shape), mask, classes)


def _outputs(plan: Plan, real_range: Range, source: str | Array) -> tuple[Array, ...]:
    inputs = _input(plan, real_range, source)
    with located(source if isinstance(source, str) else "x"):
        return run(plan, *inputs, threads=1)


def _input(plan: Plan, real_range: Range, source: str | Array) -> tuple[Array, ...]:
    """One picture for the network."""
    if isinstance(source, str):
        ((_, inputs),) = read_inputs(plan, [source], real_range=real_range)
        return inputs
    if source.dtype == np.uint8:
        return (pixels_to_input(plan, source[np.newaxis], 0, real_range),)
    return (source[np.newaxis],)
