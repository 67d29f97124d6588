"""What is found in pictures: boxes, those that overlap dropped."""

from __future__ import annotations

import numpy as np

from ..plan import Step
from .call import Argument, Call, Maker, Scratch, given


def _detection_postprocess(step: Step) -> Call:
    p, (encodings, scores, anchors) = step.params, given(*step.inputs)
    boxes = anchors.shape[0]
    names = ("num_classes", "max_detections", "detections_per_class", "nms_score_threshold", "nms_iou_threshold")
    params = {
        "boxes": boxes,
        "encodings_depth": encodings.shape[2],
        "scores_depth": scores.shape[2],
        "classes_per_box": p.n,
        "use_regular_nms": int(p.use_regular_nms),
        "scales": np.array(p.scales, np.float32),
    } | {name: getattr(p, name) for name in names}
    scratch = Scratch(step.subgraph, step.index, 5 * 4 * boxes)
    arguments: tuple[Argument, ...] = (encodings, scores, anchors, scratch, *step.outputs[1:])
    return Call("detection_postprocess.c", "detection_postprocess", "detection_params", params, arguments)


MAKERS: dict[str, Maker] = {"detection_postprocess": _detection_postprocess}
"""By C kernel: what makes a call of it."""
