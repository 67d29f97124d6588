"""A report in words: the cells of its table, and what is to be said of each culprit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..explanation import text as explained
from ..plan import Step
from ..text import printable

if TYPE_CHECKING:
    from .report import Finding, Report  # which shows itself by what is told here

HEADINGS = ("#", "operator", "output", "", "differ", "max", "mean", "RMSE", "cosine", "first")
WORDS = {
    "same": "same",
    "victim": "passed on",
    "culprit": "CULPRIT",
    "absent": "not in the dump",
    "unjudged": "not judged",
}
LISTED = 4
"""How many explanations of one culprit to list."""


def rows(report: Report) -> Iterator[tuple[str, ...]]:
    """A row of cells for each finding, under `HEADINGS`; against the golden model."""
    for finding in report.findings:
        tensor = finding.tensor
        shape = f"{tensor.dtype} {'×'.join(map(str, tensor.shape)) or 'scalar'}"
        yield str(finding.step.index), operator(finding.step), shape, WORDS[finding.status], *figures(finding)


def figures(finding: Finding) -> tuple[str, ...]:
    """How far a tensor is from the golden model's: the cells after its status."""
    total = finding.total
    if total is None:
        return ("",) * 6
    unit = "ULP" if finding.tensor.dtype == "float32" else "LSB"
    return (
        f"{total.count:,} of {total.size:,}",
        f"{total.largest:,.0f} {unit}",
        f"{total.mean:.3g}",
        f"{total.rmse:.3g}",
        f"{total.cosine:.6f}",
        str(list(total.first)),
    )


def operator(step: Step) -> str:
    """An operator's name with its fused activation."""
    activation = step.op.options.get("fused_activation_function", "NONE")
    return step.name + (f" + {activation}" if activation != "NONE" else "")


def told(finding: Finding) -> Iterator[str]:
    """Everything about one culprit, line by line."""
    own = finding.own
    if own is None:
        return
    name = f", '{printable(finding.tensor.name)}'" if len(finding.step.writes) > 1 else ""
    yield f"{finding.step}{name}: {finding.verdict}"
    place = f", all in {own.where}" if own.where else ""
    yield f"  on its own inputs {own.count:,} of {own.size:,} elements differ{place}; first at {list(own.first)}"
    if others := [str(step.index) for step in finding.places if step != finding.step]:
        numbers = ", ".join(others)
        yield f"  what it read is not in the dump: the fault may also lie in operator {numbers}"
    listed = finding.rivals[:LISTED]
    for candidate in listed:
        yield f"  as well: {candidate}"
    hidden = len(finding.fitting) - 1 - len(listed)
    if hidden > 0 and finding.certainty != "certain":
        yield f"  and {hidden} more (--json lists all, as_dict() in Python)"
    if finding.told:
        have = (
            "NaN" if own.theirs != own.theirs else f"{own.theirs:.9g}" if isinstance(own.theirs, float) else own.theirs
        )
        yield f"  how a sound kernel comes to its value there, where the device has {have}:"
        yield from (f"    {line}" for line in explained(finding.told))


def lines(report: Report) -> Iterator[str]:
    """A whole report: its summary, what else is to be said, what differs, and everything about each culprit."""
    yield report.summary
    yield from remarks(report)
    for finding in (finding for finding in report.findings if finding.total):
        count, largest, *_, first = figures(finding)
        shape = f"{finding.tensor.dtype} {'×'.join(map(str, finding.tensor.shape)) or 'scalar'}"
        place = f"{finding.step.index} {operator(finding.step)}, {shape}"
        yield f"{place}: {WORDS[finding.status]}, {count} differ by up to {largest}, the first at {first}"
    for finding in report.culprits:
        yield from told(finding)


def remarks(report: Report) -> Iterator[str]:
    """What is to be said of a whole dump beside the summary: notes, wrong inputs, and what to dump next."""
    yield from (f"note: {printable(note)}" for note in (*report.dump.problems, *report.notes))
    yield from (f"input '{printable(fed.sample.tensor.name)}': {fed.verdict}" for fed in report.wrong_inputs)
    yield from (f"state: {held.verdict}" for held in report.wrong_states)
    if report.next:
        yield f"dump next: {report.next[1]}"
