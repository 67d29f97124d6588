"""A network's answers to one inference after the other of a file, for those that remember."""

from __future__ import annotations

from typing import Any

from ..accuracy import is_classifier
from ..errors import InferenceError, InputError
from ..tensors.inputs import dequantize_output
from .asked import Asked
from .studio import Studio

MOST = 16
"""Scores that are drawn, or numbers of an output that is no row of scores."""


def timeline(studio: Studio, asked: Asked) -> dict[str, Any]:
    """By `names`, the `scores` at every inference in turn; null where TFLM ends one without an answer."""
    with studio.session(asked) as session:
        plan, scores = session.plan, list[list[float] | None]()
        output = plan.outputs[0] if plan.outputs else None
        if output is None or output.dtype == "bool":
            raise InputError("the network has no output whose numbers could be followed through time")
        here = session.inference
        for frame in range(session.inferences):
            session.enter(frame)
            try:
                values = session.final(output)
            except InferenceError:
                scores.append(None)
                continue
            real = dequantize_output(plan, values) if output.quantization or output.dtype == "float32" else values
            scores.append([float(x) for x in real.reshape(-1)[:MOST]])
        session.enter(here)
    count = max((len(each) for each in scores if each), default=0)
    names = [studio.names.get(i, str(i)) if is_classifier(plan) else f"[{i}]" for i in range(count)]
    return {"names": names, "scores": scores, "remembers": bool(plan.initial)}
