"""A report as one self-contained page: the graph with every step coloured; a click on a step shows its numbers.

The page needs no script: the steps are links, and CSS shows the section that was followed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..diagram import STYLE as GRAPH
from ..diagram import Box, drawn
from ..plan import Plan, Step
from ..text import markup
from .report import Finding, Report
from .text import HEADINGS, WORDS, figures, operator, told

STYLE = (
    GRAPH
    + """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em; color: #222; background: #fff }
main { display: flex; gap: 2em; align-items: flex-start; flex-wrap: wrap }
aside { position: sticky; top: 1em; flex: 1; min-width: 24em; max-width: 70em }
aside section { display: none; overflow-wrap: anywhere }
aside section:target { display: block; scroll-margin-top: 50vh }
h1 { font-size: 1.2em }
.key { padding: .1em .6em; border-radius: 4px; margin-right: .5em }
th { text-align: left; padding-right: 1em; font-weight: 500 } pre { white-space: pre-wrap; font-size: 13px }
"""
)


def as_html(report: Report) -> str:
    """The page; well-formed XML, too."""
    keys = "".join(f'<span class="key {status}">{word}</span>' for status, word in WORDS.items())
    wrong = (f"input '{fed.sample.tensor.name}': {fed.verdict}" for fed in report.wrong_inputs)
    held = (f"state: {each.verdict}" for each in report.wrong_states)
    after = (f"dump next: {report.next[1]}",) if report.next else ()
    said = (*report.dump.problems, *report.notes, *wrong, *held, *after)
    notes = "".join(f"<li>{markup(note)}</li>" for note in said)
    details = "\n".join(_details(finding) for finding in report.findings)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/><title>refengine diff</title>'
        f"<style>{STYLE}</style></head>\n<body><h1>{markup(report.summary)}</h1>\n"
        f"<p>{markup(report.dump.name)}, judged by {markup(report.plan.numerics)}</p>\n"
        f"<ul>{notes}</ul>\n<p>{keys}</p>\n"
        f"<main>{_graph(report)}\n<aside><p>Click on an operator.</p>\n{details}</aside></main></body></html>\n"
    )


def _graph(report: Report) -> str:
    """The steps from top to bottom, a box for each of their outputs."""
    known = {(finding.step.index, finding.output): finding for finding in report.findings}
    return drawn([_box(finding, [*_reads(report.plan, finding.step, known)]) for finding in report.findings])


def _reads(plan: Plan, step: Step, known: Mapping[tuple[int, int], Finding]) -> Iterator[str]:
    """The boxes of what the step reads."""
    for tensor in step.inputs:
        source = None if tensor is None else plan.writers.get(tensor.index)
        if tensor is not None and source is not None and source.index < step.index:
            output = [t.index for t in source.outputs].index(tensor.index)
            if finding := known.get((source.index, output), known.get((source.index, 0))):
                yield _id(finding)


def _box(finding: Finding, reads: list[str]) -> Box:
    line = f"{figures(finding)[0]} differ" if finding.total else WORDS[finding.status]
    return Box(
        _id(finding),
        (f"{finding.step.index} {operator(finding.step)}", line),
        tuple(reads),
        finding.status,
        finding.verdict or WORDS[finding.status],
    )


def _id(finding: Finding) -> str:
    return f"step{finding.step.index}" + (f"-{finding.output}" if finding.output else "")


def _details(finding: Finding) -> str:
    cells = "".join(
        f"<tr><th>{name}</th><td>{markup(cell)}</td></tr>"
        for name, cell in zip(HEADINGS[4:], figures(finding), strict=True)
        if cell
    )
    words = "\n".join(map(markup, told(finding)))
    return (
        f'<section id="{_id(finding)}"><h2>{finding.step.index} {markup(operator(finding.step))}: '
        f"{WORDS[finding.status]}</h2><p>{markup(finding.tensor)}</p><table>{cells}</table>"
        f"<pre>{words}</pre></section>"
    )
