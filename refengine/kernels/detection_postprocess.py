"""TFLite_Detection_PostProcess: boxes from their encodings, and of those that overlap the best only.

TFLM: `kernels/detection_postprocess.cc`. Boxes are decoded in double and narrowed. "Regular" suppression goes class by
class; the "fast" one takes each box with its best classes, by the best one's score. Three oddities of TFLM:

- If **any** box of all is empty (its top not above its bottom, or left of right), Invoke fails.
- Fast detections beyond the count are left unwritten; TFLite has zeros there.
- With n > 1 classes a box, the fast one takes n times too many places: entry k of all, class c of its box, goes to
  place n · k + c. Of the outputs that a converter gives it, the last ones would go beyond the end.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InferenceError, consistent, require, within_limits
from ..kernel import At, Draw, Facts, Kernel, Line, Node, Numerics, Toolbox
from ..model import Array
from . import _flexbuffer, _signal

Floats = npt.NDArray[np.float32]
SCALES = ("y_scale", "x_scale", "h_scale", "w_scale")


@dataclass(frozen=True)
class Params:
    """TFLM's OpData; `slots` is how many detections the outputs hold, `n` how many classes of a box are given."""

    max_detections: int
    n: int
    detections_per_class: int
    use_regular_nms: bool
    nms_score_threshold: np.float32
    nms_iou_threshold: np.float32
    num_classes: int
    scales: tuple[float, float, float, float]
    shapes: tuple[tuple[int, ...], ...]

    @property
    def slots(self) -> int:
        return prod(self.shapes[1])


def prepare(node: Node, numerics: Numerics) -> Params:
    """Refuses options with which every Invoke fails, and outputs that TFLM would write beyond."""
    wanted = (("float32", 3), ("float32", 3), ("float32", 2))
    boxes, scores, anchors, *outputs = _signal.operands(node, wanted, (("float32", None),) * 4)
    within_limits(
        numerics.libm in ("glibc", "glibc-2.41") and numerics.contraction == "none",
        f"the bits of exp in double with libm={numerics.libm}, and of TFLM's areas with contraction="
        f'{numerics.contraction}, are not known to refengine; make the dialect libm="glibc", contraction="none"',
    )
    options = _flexbuffer.by_name(node)
    number = partial(_flexbuffer.number, options)
    classes, most = int(number("num_classes")), int(number("max_detections"))
    p = Params(
        most,
        min(int(number("max_classes_per_detection")), classes),
        int(number("detections_per_class", 100)),
        bool(number("use_regular_nms", 0)),
        np.float32(number("nms_score_threshold")),
        np.float32(number("nms_iou_threshold")),
        classes,
        tuple(float(np.float32(number(name))) for name in SCALES),  # type: ignore[arg-type]
        tuple(t.shape for t in outputs),
    )
    count = boxes.shape[1]
    consistent(
        boxes.shape[0] == scores.shape[0] == 1
        and boxes.shape[2] >= 4
        and scores.shape[1] == count
        and anchors.shape == (count, 4)
        and scores.shape[2] - classes in (0, 1),
        f"boxes '{boxes.name}' {boxes.shape}, scores '{scores.name}' {scores.shape} of {classes} classes and anchors "
        f"'{anchors.name}' {anchors.shape} do not fit each other",
    )
    _require_sense(p)
    _require_room(p, count)
    return p


def _require_sense(p: Params) -> None:
    for name, value, sound in (
        ("nms_iou_threshold", p.nms_iou_threshold, 0 < p.nms_iou_threshold <= 1),
        ("max_detections", p.max_detections, p.max_detections > 0),
        ("num_classes", p.num_classes, p.num_classes > 0),
        ("max_classes_per_detection", p.n, p.use_regular_nms or p.n > 0),
        ("detections_per_class", p.detections_per_class, not p.use_regular_nms or p.detections_per_class > 0),
    ):
        require(sound, f"the option {name} is {value}, on which TFLM's Invoke fails or misbehaves: convert again")


def _require_room(p: Params, count: int) -> None:
    consistent(
        prod(p.shapes[0]) == 4 * p.slots and prod(p.shapes[2]) == p.slots and prod(p.shapes[3]) == 1,
        f"the outputs have shapes {p.shapes} for boxes, classes, scores and their count",
    )
    written = p.max_detections if p.use_regular_nms else p.n**2 * min(p.max_detections, count)
    require(
        written <= p.slots,
        f"up to {written} detections may be written to outputs that hold {p.slots}, where TFLM would go on beyond the "
        "end: convert again with fewer max_detections or, of the fast suppression, with max_classes_per_detection 1",
    )
    require(
        not p.use_regular_nms
        or p.num_classes == 1
        or p.max_detections + min(count, p.detections_per_class) <= p.max_detections * count,
        f"with max_detections {p.max_detections} of {count} boxes, TFLM would write beyond its scratch memory: convert "
        "again with more max_detections",
    )


# ---- evaluate ------------------------------------------------------------------------------------------------


def evaluate(p: Params, box_encodings: Array, scores: Array, anchors: Array) -> tuple[Array, ...]:
    """(B, 1, n, 4 or more), (B, 1, n, classes), (B, n, 4) → boxes, classes, scores, and (B, …) how many."""
    decoded = _decoded(p, box_encodings[:, 0, :, :4], anchors)
    batch = max(len(decoded), len(scores))
    decoded, scores = (np.broadcast_to(x, (batch, *x.shape[1:])) for x in (decoded, scores[:, 0]))
    empty = (decoded[..., :2] >= decoded[..., 2:]).any(axis=(1, 2))
    if empty.any():
        raise InferenceError(
            "a box is empty (its anchor has no height or width, or its size underflows), with which TFLM's Invoke "
            "fails",
            rows=empty,
        )
    outputs = [_undefined(batch, p.slots, *rest) for rest in ((4,), (), ())]
    counts = _undefined(batch, 1)
    suppress = _regular if p.use_regular_nms else _fast
    for b in range(batch):
        rated = scores[b, :, scores.shape[2] - p.num_classes :]
        if not p.use_regular_nms and p.num_classes > 1 and np.isnan(rated).any():
            continue  # how a C++ library sorts NaN is its own affair
        place, box, kind, value = suppress(p, decoded[b], rated)
        counts[b] = len(place)
        if p.use_regular_nms:
            for output in outputs:
                output[b, : p.max_detections] = 0
        for output, values in zip(outputs, (decoded[b, box], kind, value), strict=True):
            output[b, place] = values
    shaped = (x.reshape(batch, *shape) for x, shape in zip((*outputs, counts), p.shapes, strict=True))
    return tuple(x if np.ma.is_masked(x) else x.data for x in shaped)


def _undefined(*shape: int) -> Any:
    """An array that nothing is written to yet."""
    return np.ma.array(np.zeros(shape, np.float32), mask=True)


def _decoded(p: Params, encodings: Array, anchors: Array) -> Floats:
    """(B, n, 4) of y, x, height and width → (B, n, 4) of top, left, bottom, right."""
    scaled = encodings.astype(np.float64) / np.array(p.scales)
    anchor = anchors.astype(np.float64)
    centre = (scaled[..., :2] * anchor[..., 2:] + anchor[..., :2]).astype(np.float32)
    grown = np.array([_exp(x) for x in scaled[..., 2:].ravel().tolist()]).reshape(scaled[..., 2:].shape)
    half = (0.5 * grown * anchor[..., 2:]).astype(np.float32)
    return np.concatenate((centre - half, centre + half), axis=-1)


def _exp(x: float) -> float:
    """The C library's `exp`, which `math` calls; NumPy's is another."""
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


def _descending(values: Floats) -> npt.NDArray[np.intp]:
    return np.argsort(-values, kind="stable")


def _kept(p: Params, decoded: Floats, scores: Floats, limit: int) -> list[int]:
    """The boxes of one class that suppression leaves, the best first."""
    candidates = np.flatnonzero(scores >= p.nms_score_threshold)
    candidates = candidates[_descending(scores[candidates])]
    limit = min(len(candidates), limit)
    kept: list[int] = []
    while len(candidates) and len(kept) < limit:
        best, candidates = int(candidates[0]), candidates[1:]
        kept.append(best)
        candidates = candidates[~(_overlaps(decoded[best], decoded[candidates]) > p.nms_iou_threshold)]
    return kept


def _overlaps(box: Floats, others: Floats) -> Floats:
    """The intersection over the union of a box and others, with C++'s choice of NaN."""
    area, areas = ((b[..., 2] - b[..., 0]) * (b[..., 3] - b[..., 1]) for b in (box, others))
    top_left = np.where(box[:2] < others[:, :2], others[:, :2], box[:2])
    bottom_right = np.where(others[:, 2:] < box[2:], others[:, 2:], box[2:])
    sides = bottom_right - top_left
    sides = np.where(sides < 0, np.float32(0), sides)
    shared = sides[:, 0] * sides[:, 1]
    overlaps: Floats = np.where((area <= 0) | (areas <= 0), np.float32(0), shared / (area + areas - shared))
    return overlaps


def _fast(p: Params, decoded: Floats, scores: Floats) -> tuple[Any, Any, Any, Any]:
    """(place, box, class, score) of each detection."""
    ranks = np.argsort(-scores, axis=1, kind="stable")[:, : p.n]
    best = np.take_along_axis(scores, ranks[:, :1], 1)[:, 0]
    kept = np.array(_kept(p, decoded, best, p.max_detections), np.intp)
    box = np.repeat(kept, p.n)
    kind = ranks[kept].ravel()
    return p.n * np.arange(len(box)) + np.tile(np.arange(p.n), len(kept)), box, kind, scores[box, kind]


def _regular(p: Params, decoded: Floats, scores: Floats) -> tuple[Any, Any, Any, Any]:
    """(place, box, class, score) of each detection."""
    box, kind = np.zeros((2, 0), np.intp)
    for c in range(p.num_classes):
        more = _kept(p, decoded, scores[:, c], p.detections_per_class)
        box, kind = np.append(box, np.array(more, np.intp)), np.append(kind, np.full(len(more), c))
        order = _descending(scores[box, kind])[: p.max_detections]
        box, kind = box[order], kind[order]
    return np.arange(len(box)), box, kind, scores[box, kind]


# ---- explain -------------------------------------------------------------------------------------------------


def explain(p: Params, at: At, box_encodings: Array, scores: Array, anchors: Array) -> Iterator[Line]:
    """Element `index` of an output."""
    with np.errstate(all="ignore"):
        yield from _told(p, at, box_encodings[0, :, :4], scores[0], anchors)


def _told(p: Params, at: At, encodings: Array, scores: Array, anchors: Array) -> Iterator[Line]:
    rated = scores[:, scores.shape[1] - p.num_classes :]
    corners = [_corners(p, encoding, anchor) for encoding, anchor in zip(encodings, anchors, strict=True)]
    if not p.use_regular_nms and p.num_classes > 1 and np.isnan(rated).any():
        yield Line("undefined", "a score is NaN, and how C++ sorts those is left open; shown as 0", 0)
        return
    found = _found(p, corners, rated)
    if at.output == 3:
        yield Line("count", "detections that suppression left", np.float32(len(found)))
        return
    place = int(np.ravel_multi_index(at.index, p.shapes[at.output]))
    slot = place // 4 if at.output == 0 else place
    if slot not in found:
        zeros = p.use_regular_nms and slot < p.max_detections
        yield Line("empty", "no detection is left for this place: 0", 0) if zeros else _signal.UNWRITTEN
        return
    box, kind = found[slot]
    yield Line("detection", f"place {slot} has box {box} as class {kind}, by its score", rated[box, kind])
    if at.output == 1:
        yield Line("class", f"the class of box {box}", np.float32(kind))
    elif at.output == 0:
        axis, name = place % 2, ("top", "left", "bottom", "right")[place % 4]
        centre, half = _centre_and_half(p, encodings[box], anchors[box], axis)
        yield Line("centre", "the encoding over its scale, times the anchor's size, plus the anchor's place", centre)
        yield Line("half", "e to the encoding over its scale, times half the anchor's size", half)
        yield Line(name, "centre less half" if place % 4 < 2 else "centre plus half", corners[box][place % 4])


def _centre_and_half(p: Params, encoding: Array, anchor: Array, axis: int) -> tuple[np.float32, np.float32]:
    place, size, start, length = (float(x) for x in (*encoding[axis::2], *anchor[axis::2]))
    near, far = np.float64(place) / p.scales[axis], np.float64(size) / p.scales[axis + 2]
    return np.float32(near * length + start), np.float32(0.5 * _exp(float(far)) * length)


def _corners(p: Params, encoding: Array, anchor: Array) -> list[Any]:
    pairs = [_centre_and_half(p, encoding, anchor, axis) for axis in (0, 1)]
    return [centre - half for centre, half in pairs] + [centre + half for centre, half in pairs]


def _found(p: Params, corners: list[list[Any]], rated: Array) -> dict[int, tuple[int, int]]:
    """Place → (box, class)."""
    boxes, classes = range(len(rated)), range(p.num_classes)
    if p.use_regular_nms:
        listed: list[tuple[int, int]] = []
        for c in classes:
            listed += [(i, c) for i in _survivors(p, corners, rated[:, c].tolist(), p.detections_per_class)]
            listed = sorted(listed, key=lambda pair: -float(rated[pair]))[: p.max_detections]
        return dict(enumerate(listed))
    best = [sorted(classes, key=lambda c: -float(rated[i, c]))[: p.n] for i in boxes]
    survivors = _survivors(p, corners, [float(rated[i, best[i][0]]) for i in boxes], p.max_detections)
    entries = [(i, rank) for i in survivors for rank in range(p.n)]
    return {p.n * k + rank: (i, best[i][rank]) for k, (i, rank) in enumerate(entries)}


def _survivors(p: Params, corners: list[list[Any]], scores: list[float], limit: int) -> list[int]:
    """Greedy suppression, a box at a time."""
    kept: list[int] = []
    for i in sorted((i for i, s in enumerate(scores) if s >= p.nms_score_threshold), key=lambda i: -scores[i]):
        if len(kept) < limit and not any(_overlap(corners[j], corners[i]) > p.nms_iou_threshold for j in kept):
            kept.append(i)
    return kept


def _overlap(a: list[Any], b: list[Any]) -> Any:
    area_a, area_b = ((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b))
    if area_a <= 0 or area_b <= 0:
        return np.float32(0)
    height = (b[2] if b[2] < a[2] else a[2]) - (b[0] if a[0] < b[0] else a[0])
    width = (b[3] if b[3] < a[3] else a[3]) - (b[1] if a[1] < b[1] else a[1])
    shared = (np.float32(0) if height < 0 else height) * (np.float32(0) if width < 0 else width)
    return shared / (area_a + area_b - shared)


def example(draw: Draw, make: Toolbox) -> Node:
    """Constant boxes that are not empty, fed scores; few or many classes, with a background or not."""
    boxes, classes, most = draw(make.integers(2, 9)), draw(make.integers(1, 4)), draw(make.integers(2, 6))
    regular, n = draw(make.booleans()), draw(make.integers(1, 3))
    encodings = draw(make.array((1, boxes, draw(make.integers(4, 5))), "float32", -3, 3))
    anchors = np.abs(draw(make.array((boxes, 4), "float32", 0, 2))) + np.float32(0.25)
    options = _flexbuffer.pack(
        max_detections=most,
        max_classes_per_detection=n,
        num_classes=classes,
        use_regular_nms=bool(regular),
        detections_per_class=draw(make.integers(1, 4)),
        nms_score_threshold=draw(make.sampled_from((0.0, -1e9, 0.5, 1.0))),
        nms_iou_threshold=draw(make.sampled_from((0.5, 0.25, 0.75, 1.0))),
        **{name: draw(make.sampled_from((10.0, 5.0, 1.0, 3.3))) for name in SCALES},
    )
    slots = most if regular else min(n, classes) ** 2 * most
    shapes = ((1, slots, 4), (1, slots), (1, slots), (1,))
    fed = make.tensor((1, boxes, classes + draw(make.integers(0, 1))), "float32")
    inputs = (make.constant(encodings), fed, make.constant(anchors))
    outputs = tuple(make.tensor(shape, "float32") for shape in shapes)
    return Node("TFLite_Detection_PostProcess", {}, inputs, outputs, custom_options=options)


FACTS = Facts(detects=True, c_kernels={"float32": "detection_postprocess"})

KERNELS = {("TFLite_Detection_PostProcess", "float32"): Kernel(prepare, evaluate, explain, example, FACTS)}
