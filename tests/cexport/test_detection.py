"""Detections in C: the same of a picture's worth of boxes, with scores that tie, by both suppressions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from refengine import make_plan
from refengine.cexport import export
from refengine.execute import infer
from refengine.model import Array, Model
from tests.cexport.test_export import built, needs_cc, ran
from tests.kernels.test_detection_postprocess import detection

pytestmark = pytest.mark.slow

BOXES, CLASSES, MOST = 60, 5, 12


def crowd(regular: bool, per_box: int) -> Model:
    """Boxes of a picture's third, on top of each other; more than are wanted."""
    anchors = np.random.default_rng(3).uniform(0.1, 0.4, (BOXES, 4))
    slots = MOST if regular else per_box**2 * MOST
    return detection(
        CLASSES, slots, anchors, boxes=True, max_detections=MOST, max_classes_per_detection=per_box,
        use_regular_nms=regular, detections_per_class=9, nms_score_threshold=0.25,
    )  # fmt: skip


def drawn() -> tuple[Array, Array]:
    """Encodings, and scores in steps of 1/8."""
    rng = np.random.default_rng(4)
    encodings, scores = rng.normal(0, 0.5, (1, BOXES, 4)), rng.integers(0, 9, (1, BOXES, CLASSES)) / 8
    return encodings.astype(np.float32), scores.astype(np.float32)


@needs_cc
@pytest.mark.parametrize(("regular", "per_box"), [(True, 1), (False, 1), (False, 2)])
def test_the_same_boxes_are_kept(regular: bool, per_box: int, tmp_path: Path) -> None:
    plan, inputs = make_plan(crowd(regular, per_box)), drawn()
    export(plan, tmp_path, *inputs)
    outputs, _ = infer(plan, None, inputs)
    done = ran(built(plan, tmp_path), *inputs)
    assert done.returncode == 0, done.stderr.decode()
    written = np.frombuffer(done.stdout, np.float32)
    expected = np.concatenate([np.ma.getdata(x).ravel() for x in outputs])
    is_known = ~np.concatenate([np.ma.getmaskarray(x).ravel() for x in outputs])
    assert is_known.sum() > 6 * MOST
    assert written[is_known].tobytes() == expected[is_known].tobytes()
