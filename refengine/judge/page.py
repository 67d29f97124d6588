"""A report as one self-contained page: the graph with every step coloured; a click on a step shows its numbers.

The page needs no script: the steps are links, and CSS shows the section that was followed.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from ..plan import Plan, Step
from ..text import markup
from .judging import Finding, Report
from .text import HEADINGS, WORDS, figures, operator, told

WIDTH, HEIGHT, GAP_X, GAP_Y = 210, 44, 24, 30  # of a step's box, and between boxes

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em; color: #222; background: #fff }
main { display: flex; gap: 2em; align-items: flex-start; flex-wrap: wrap }
aside { position: sticky; top: 1em; flex: 1; min-width: 24em; max-width: 70em }
aside section { display: none; overflow-wrap: anywhere }
aside section:target { display: block; scroll-margin-top: 50vh }
h1 { font-size: 1.2em }
rect { stroke: #555; rx: 6px } text { font-size: 13px } .edge { stroke: #888; fill: none }
a:hover rect, a:focus rect { stroke-width: 3 }
.same { fill: #bfe3c0; background: #bfe3c0 } .victim { fill: #ffe3a3; background: #ffe3a3 }
.culprit { fill: #f4a6a0; background: #f4a6a0 } .absent { fill: #e4e4e4; background: #e4e4e4 }
.unjudged { fill: #cfd8f0; background: #cfd8f0 }
.key { padding: .1em .6em; border-radius: 4px; margin-right: .5em }
th { text-align: left; padding-right: 1em; font-weight: 500 } pre { white-space: pre-wrap; font-size: 13px }
"""


def as_html(report: Report) -> str:
    """The page; well-formed XML, too."""
    keys = "".join(f'<span class="key {status}">{word}</span>' for status, word in WORDS.items())
    notes = "".join(f"<li>{markup(note)}</li>" for note in (*report.dump.problems, *report.notes))
    details = "\n".join(_details(finding) for finding in report.findings)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/><title>refengine diff</title>'
        f"<style>{STYLE}</style></head>\n<body><h1>{markup(report.summary)}</h1>\n"
        f"<p>{markup(report.dump.name)}, judged by {markup(report.plan.numerics)}</p>\n"
        f"<ul>{notes}</ul>\n<p>{keys}</p>\n"
        f"<main>{_graph(report)}\n<aside><p>Click on an operator.</p>\n{details}</aside></main></body></html>\n"
    )


def _graph(report: Report) -> str:
    """The steps from top to bottom, each below all that it reads from."""
    depth = _depths(report.plan)
    ordered = sorted(report.findings, key=lambda finding: depth[finding.step.index])
    places: dict[tuple[int, int], tuple[int, int]] = {}
    for level, findings in groupby(ordered, key=lambda finding: depth[finding.step.index]):
        for column, finding in enumerate(findings):
            places[finding.step.index, finding.output] = (column * (WIDTH + GAP_X) + 2, level * (HEIGHT + GAP_Y) + 2)
    width = max((x for x, _ in places.values()), default=0) + WIDTH + 2
    height = max((y for _, y in places.values()), default=0) + HEIGHT + 2
    boxes = (_box(finding, *places[finding.step.index, finding.output]) for finding in report.findings)
    drawn = [*_edges(report.plan, places), *boxes]
    body = "\n".join(drawn)
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">\n{body}\n</svg>'


def _depths(plan: Plan) -> dict[int, int]:
    """How many steps lead to each step, at most."""
    depths: dict[int, int] = {}
    for step in plan.steps:
        before = [depths[i] for i in _sources(plan, step)]
        depths[step.index] = 1 + max(before, default=-1)
    return depths


def _sources(plan: Plan, step: Step) -> list[int]:
    """The steps before it that compute what it reads."""
    found = (plan.writers[t.index].index for t in step.inputs if t is not None and t.index in plan.writers)
    return [source for source in found if source < step.index]


def _edges(plan: Plan, places: dict[tuple[int, int], tuple[int, int]]) -> Iterator[str]:
    """From what computes a tensor to what reads it, the first box of each step."""
    for step in (step for step in plan.steps if (step.index, 0) in places):
        x, y = places[step.index, 0]
        for source in (source for source in _sources(plan, step) if (source, 0) in places):
            from_x, from_y = places[source, 0]
            yield (
                f'<path class="edge" d="M{from_x + WIDTH // 2} {from_y + HEIGHT} '
                f'C{from_x + WIDTH // 2} {from_y + HEIGHT + GAP_Y} {x + WIDTH // 2} {y - GAP_Y} {x + WIDTH // 2} {y}"/>'
            )


def _box(finding: Finding, x: int, y: int) -> str:
    step = finding.step
    line = f"{figures(finding)[0]} differ" if finding.total else WORDS[finding.status]
    return (
        f'<a href="#{_id(finding)}"><title>{markup(finding.verdict or WORDS[finding.status])}</title>'
        f'<rect class="{finding.status}" x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}"/>'
        f'<text x="{x + 8}" y="{y + 18}">{step.index} {markup(operator(step))}</text>'
        f'<text x="{x + 8}" y="{y + 36}">{markup(line)}</text></a>'
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
