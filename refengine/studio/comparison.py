"""The graph in colours: what each operator's codes lose, what a device's dump says of it, how long it took."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ..errors import InputError
from ..examination import Finding, Health, Layer, health
from ..judge import diff, read_dump
from ..judge.report import Report
from ..judge.text import WORDS, figures
from ..judge.text import told as told_of
from ..model import Array
from ..plan import Plan, Step
from ..tensors.datasets import bundled_digits
from ..tensors.inputs import picture_shape, pixels_to_input
from ..text import counted
from .asked import Asked
from .graph import described
from .studio import Studio

Colours = dict[int, tuple[str, str]]

CODES = (0.35, 0.5, 1.0, 2.0)
"""Errors, in codes, at which the next colour begins: rounding alone is 0.29."""

PARTS = (0.02, 0.1, 0.25, 0.5)
"""The same of parts of the whole time."""


def lost(studio: Studio, asked: Asked) -> dict[str, Any]:
    """What quantisation costs, operator by operator: ``by`` its ``own`` error, the ``total`` one, or health's
    ``findings``. `told` are lines for each operator, `summary` and `of` what it was measured on."""
    by = asked.text("by", "own")
    if by not in ("own", "total", "findings"):
        raise InputError(f"'by' is {by[:20]!r}; choose own, total or findings")
    plan = studio.plan(asked)
    data, cases = _cases(studio, asked, plan)
    *_, measured = health(plan, cases)
    if measured.floats:
        raise InputError("the network has no quantised layer: its floats lose nothing to integers")
    if by == "findings":
        colours = _found(measured)
    else:
        colours = {
            layer.step.index: (_bucket(_codes(layer, by), CODES), f"{_codes(layer, by):.2f} codes")
            for layer in reversed(measured.layers)  # an operator's output stays, not what it leaves for the next time
            if layer.step is not None and not layer.step.subgraph and getattr(layer, by) is not None
        }
    told = {str(step.index): lines for step in plan.steps if (lines := [*_health_lines(step, measured)])}
    summary = f"{counted(measured.inferences, 'inference')}, {data}, against the float reading of the same graph"
    return described(plan, _rest(plan, colours)) | {"told": told, "summary": summary, "of": data, "key": _key(by)}


def _cases(studio: Studio, asked: Asked, plan: Plan) -> tuple[str, Sequence[tuple[Array, ...]]]:
    """What to measure on: what is kept, if it fits; else the digits, for a network of digits; else all inferences of
    the drawing, a sequence of a network that remembers."""
    if len(plan.inputs) == 1:
        for name, x in (("the kept drawings", studio.collection.held[0]), ("the bundled digits", bundled_digits()[0])):
            if len(x) and _fits(plan, x):
                return name, [(pixels_to_input(plan, x, real=True),)]
    with studio.session(asked) as session:
        every = session.every_inputs
    return "the drawing", [tuple(map(np.stack, zip(*every, strict=True)))] if plan.initial else every


def _fits(plan: Plan, x: Array) -> bool:
    try:
        height, width, channels = picture_shape(plan.inputs[0])
    except InputError:
        return False
    return (*x.shape[1:3], (*x.shape[3:], 1)[0]) == (height, width, channels)


def _codes(layer: Layer, by: str) -> float:
    errors = getattr(layer, by)
    return float(errors.layer.rmse[0]) if errors is not None else 0.0


def _bucket(value: float, ends: tuple[float, ...]) -> str:
    return f"heat{bisect(ends, value)}"


def _found(measured: Health) -> Colours:
    """Culprits are operators with a finding, of a subgraph that they run as well; of a part that never ran nothing is
    known."""
    colours: Colours = {}
    for step in measured.plan.steps:
        kinds = [finding.kind for finding in _findings_of(step, measured)]
        wrong = [kind for kind in kinds if kind != "unseen"]
        if wrong:
            colours[step.index] = "culprit", wrong[0]
        elif kinds:
            colours[step.index] = "absent", "a part never ran"
        elif _layers_of(step, measured):
            colours[step.index] = "same", "nothing suspicious"
    return colours


def _layers_of(step: Step, measured: Health) -> list[Layer]:
    """What an operator of the main graph writes, as it was measured."""
    return [each for each in measured.layers if each.step and (each.step.subgraph, each.step.index) == (0, step.index)]


def _findings_of(step: Step, measured: Health) -> list[Finding]:
    """Those of an operator of the main graph, and of what it runs, the worst first."""
    names = {str(step), *map(str, _layers_of(step, measured))}
    inside = measured.plan.reached(step)
    return [found for found in measured.findings if found.layer in names or found.place[0][0] in inside]


def _health_lines(step: Step, measured: Health) -> Iterator[str]:
    for layer in _layers_of(step, measured):
        yield f"codes {layer.codes[0]} … {layer.codes[1]}, {layer.used:.0%} of the type's range"
        for name in ("own", "total"):
            if getattr(layer, name) is not None:
                what = "enters here" if name == "own" else "with what came from before"
                yield f"error ({what}): RMSE {_codes(layer, name):.3f} codes; rounding alone is 0.289"
        if layer.clamped is not None:
            yield f"cut off by the type: {layer.lost_to_type:.2%}"
    for found in _findings_of(step, measured):
        where = f"{found.layer}: " if found.place[0][0] else ""
        yield f"{where}{found.kind}: {found.text}"


def verdict(studio: Studio, asked: Asked) -> dict[str, Any]:
    """`refengine diff` of a dump (``name``, .npz) of a device that ran on the drawing, and on what came before."""
    name = asked.text("name", "dump.npz")
    plan = studio.plan(asked)
    with studio.session(asked) as session:
        inputs, state = session.inputs, session.start if session.inference else None
    with TemporaryDirectory(prefix="refengine-") as folder:
        path = Path(folder, "dump.npz")
        path.write_bytes(asked.body)
        try:
            return judged(plan, diff(plan, read_dump(plan, path), *inputs, state=state))
        except InputError as error:
            raise InputError(str(error).replace(str(path), name)) from error


def judged(plan: Plan, report: Report) -> dict[str, Any]:
    """A report as a graph in colours, with its words."""
    colours: Colours = {}
    for finding in reversed(report.findings):  # the first output of each operator stays
        line = f"{figures(finding)[0]} differ" if finding.total else WORDS[finding.status]
        colours[finding.step.index] = (finding.status, line)
    told = {str(finding.step.index): [*told_of(finding)] for finding in report.findings}
    key = [{"status": status, "text": word} for status, word in WORDS.items()]
    return described(plan, _rest(plan, colours)) | {"told": told, "summary": report.summary, "key": key}


def taken(plan: Plan, milliseconds: Mapping[int, float]) -> dict[str, Any]:
    """How long a device took for each operator, as parts of all of it."""
    whole = sum(milliseconds.values()) or 1.0
    colours = {i: (_bucket(ms / whole, PARTS), f"{ms:.3f} ms, {ms / whole:.0%}") for i, ms in milliseconds.items()}
    told = {str(i): [f"{ms:.3f} ms of {whole:.3f} ms"] for i, ms in milliseconds.items()}
    return described(plan, _rest(plan, colours)) | {"told": told, "key": _key("time")}


def _rest(plan: Plan, colours: Colours) -> Colours:
    """The operators that nothing is said of, too."""
    return {step.index: ("absent", "not judged") for step in plan.steps} | colours


def _key(by: str) -> list[dict[str, str]]:
    if by == "findings":
        words = {"same": "nothing suspicious", "culprit": "a finding", "absent": "not judged"}
        return [{"status": status, "text": text} for status, text in words.items()]
    ends = PARTS if by == "time" else CODES
    shown = [f"{end:.0%}" if by == "time" else f"{end:g} codes" for end in ends]
    texts = [f"below {shown[0]}", *(f"from {end}" for end in shown)]
    return [{"status": f"heat{i}", "text": text} for i, text in enumerate(texts)]
