"""Where one number came from: an output element's way through TFLM's arithmetic, told line by line.

    refengine.explain(plan, record, (0, 3)).lines

The kernels tell (`Kernel.explain`, plain integers in TFLM's loop order); this module chooses the element, repeats it in
another dialect, and renders text, JSON-ready dictionaries and HTML. `primer` teaches the arithmetic itself.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, zip_longest
from typing import Any

import numpy as np
import numpy.typing as npt

from ..contract import require_told
from ..errors import InputError
from ..execute import Record, is_unknown
from ..identity import identity
from ..kernel import At, Line, Numerics, dialect
from ..kernels import is_bundled
from ..model import Array, Tensor
from ..plan import Plan, Source, Step, make_plan, plan_of
from ..tensors.stats import is_quantized
from ..text import counted, kind_of, markup, printable, printed

FOLDED = 3
"""How many terms of a long sum to show at each end when it is folded."""


@dataclass(frozen=True)
class Explanation:
    """The way of one element, `at` that index of a `tensor` that the step writes: the dialect, the lines, the value.

    `real` is the value's real-valued reading (None for tensors without quantisation).
    """

    step: Step
    tensor: Tensor
    at: tuple[int, ...]
    numerics: Numerics
    lines: tuple[Line, ...]
    value: int | float
    real: float | None

    @property
    def place(self) -> str:
        """Which element that is, in words."""
        inside = f"subgraph {self.step.subgraph}, " if self.step.subgraph else ""
        return f"{inside}{self.step}, output '{printable(self.tensor.name)}' {list(self.at)}"

    @printed
    def __repr__(self) -> str:
        real = "" if self.real is None else f", which stands for {self.real:g}"
        return f"<Explanation of {self.place}: {self.value}{real}, in {counted(len(self.lines), 'line')}>"

    def _repr_html_(self) -> str:
        return _table(self, full=False, hint=".lines holds all")

    def as_dict(self) -> dict[str, Any]:
        """For JSON: `lines` (each with name, text, value) and the final `value`."""
        return {
            "operator": identity(self.step.op, self.step.subgraph),
            "tensor": identity(self.tensor, self.step.subgraph),
            "at": self.at,
            "element": self.place,
            "numerics": str(self.numerics),
            "lines": [{"name": line.name, "text": line.text, "value": _plain(line.value)} for line in self.lines],
            "value": self.value,
            "real": self.real,
        }


Place = Sequence[int] | npt.NDArray[np.integer[Any]]
"""An index for each dimension, such as a tuple, or a row of `numpy.argwhere`."""


def explain(
    source: Source, record: Record, at: Place, output: int = 0, *, numerics: Numerics | str | None = None
) -> Explanation:
    """How element `at` of one of the record's outputs came about; `source` is what made the record.

        for record in refengine.execute("model.tflite", image): ...
        refengine.explain("model.tflite", record, (0, 3))  # of the last operator

    A record of `execute`, or a debugger's (`Session.current`), holds all that is needed: nothing runs again. Variables
    that the step updates count as further outputs. Negative indices count from the end. Under other `numerics` than the
    plan's, it is told how the step goes there on the same inputs, see `in_dialect`. Raises `InputError` if the
    output has no such element or is unknown, the record is of a batch or of another model, or is none.
    """
    if not isinstance(record, Record):
        raise InputError(
            f"explain takes a record, one of those that execute gives, such as [*execute(model, x)][-1], not "
            f"{kind_of(record)}"
        )
    plan = plan_of(source)
    if not isinstance(source, Plan):
        record = replace(record, step=_step(plan, record.step))
    if numerics is not None and dialect(numerics) != plan.numerics:
        plan, record = in_dialect(plan, record, dialect(numerics))
    step = record.step
    if not step.writes:
        raise InputError(f"{step} writes no tensor, so that there is no element to explain; {_instead(step)}")
    if not isinstance(output, int | np.integer) or not 0 <= output < len(step.writes):
        outputs = counted(len(step.writes), "output")
        raise InputError(f"{step} has {outputs}, counted from 0; there is no output {output}")
    tensor, written = step.writes[output], (*record.outputs, *record.updates)
    _require_known(plan, record)
    index = _index(tensor, written[output], at)
    more = written if step.facts.control else record.memory
    lines = tuple(step.kernel.explain(step.params, At(output, index), *record.inputs, *more))
    if not is_bundled(step.kernel, step.name) and not record.undefined:
        require_told(str(step), lines, written[output][index])
    quantization = tensor.quantization
    value = _plain(lines[-1].value)
    real = None
    if quantization and is_quantized(tensor):
        real = quantization.scale[0] * (value - (quantization.zero_point or (0,))[0])
    return Explanation(step, tensor, index, plan.numerics, lines, value, real)


def _step(plan: Plan, like: Step) -> Step:
    """The same step of a plan that has just been made, perhaps in another dialect than the record's."""
    steps = plan.plans[like.subgraph].steps if like.subgraph in plan.plans else ()
    own = steps[like.index] if like.index < len(steps) else None
    if own is None or (own.name, own.reads) != (like.name, like.reads):
        raise InputError(f"the record is of {like}, which is no operator of this model")
    return own


def _instead(step: Step) -> str:
    """What can be explained where a step writes nothing."""
    if step.calls:
        return f"explain an operator of subgraph {step.calls[0]}, which it runs, such as {step.calls[0]}:0"
    (*_, given) = (tensor for tensor in step.inputs if tensor is not None)
    return f"explain what it is given, '{printable(given.name)}'"


def _require_known(plan: Plan, record: Record) -> None:
    """Raise `InputError` for a gap of a partial plan, and for what depends on one, be its output given or not."""
    step = record.step
    if step.gap:
        raise InputError(f"nobody here can explain what is left out: {step.gap}")
    for tensor, x in zip(step.inputs, record.inputs, strict=True):
        if plan.gaps and tensor is not None and x is not None and is_unknown(tensor, x):
            raise InputError(f"input '{tensor.name}' of {step} is not known: {plan.why_unknown(tensor, step.subgraph)}")


def in_dialect(plan: Plan, record: Record, numerics: Numerics) -> tuple[Plan, Record]:
    """The same step on the same inputs, prepared and run again under another dialect.

    Raises `InputError` for a step that runs subgraphs or has to do with resource variables.
    """
    other = make_plan(plan.model, numerics=numerics, kernels=plan.kernels, memory=plan.memory, partial=bool(plan.gaps))
    step = other.plans[record.step.subgraph].steps[record.step.index]
    if step.gap:
        raise step.gap
    if step.facts.control or step.facts.resource:
        raise InputError(f"{step} has no arithmetic of its own; explain it in one dialect")
    arrays = (None if x is None else x[np.newaxis] for x in (*record.inputs, *record.memory))
    results, count = [x[0] for x in step.evaluate(*arrays)], len(step.outputs)
    return other, replace(
        record, step=step, outputs=tuple(results[:count]), updates=tuple(results[count : len(step.writes)])
    )


def parting(one: Explanation, two: Explanation) -> tuple[Line, Line] | None:
    """The first pair of lines at which two tellings of the same element differ in value, or None if they never do."""
    for mine, theirs in zip(one.lines, two.lines, strict=False):
        if mine.name != theirs.name or np.asarray(mine.value).tobytes() != np.asarray(theirs.value).tobytes():
            return mine, theirs
    return None if len(one.lines) == len(two.lines) else (one.lines[-1], two.lines[-1])


def step_at(plan: Plan, op: str) -> Step:
    """The step that `op` names: an operator's index, its output's name, or an operator name that occurs once.

    All these are of the main graph; ``1:0`` is operator 0 of subgraph 1. Raises `InputError` if there is none, or
    several.
    """
    every = (step for each in plan.plans.values() for step in each.steps)
    if inner := [step for step in every if op == f"{step.subgraph}:{step.index}"]:
        return inner[0]
    found = [
        step
        for step in plan.steps
        if op in (str(step.index), step.name.lower(), step.name) or op in (t.name for t in step.outputs)
    ]
    if len(found) == 1:
        return found[0]
    listing = ", ".join(f"{s.index} {s.name}" for s in found or plan.steps)
    raise InputError(f"{'several operators are' if found else 'there is no operator'} '{op}': {listing}")


def text(explanation: Explanation, full: bool = False, hint: str = "") -> Iterator[str]:
    """The explanation as lines of text, the value of each stage in a column; long sums folded unless `full`.

    `hint` says there how one gets at all of it.
    """
    yield f"{explanation.place}, {explanation.numerics}"
    rows = [*_rows(explanation.lines, full, hint)]
    names, values = (max(len(row[i]) for row in rows) for i in (0, 1))
    yield from (f"  {name:<{names}}  {value:>{values}}  {words}" for name, value, words in rows)
    reading = "" if explanation.real is None else f", which stands for {explanation.real:.6g}"
    yield f"= {_number(explanation.value)}{reading}"


def side_by_side(one: Explanation, two: Explanation, full: bool = False, hint: str = "") -> Iterator[str]:
    """Both tellings, and the sentence that says where they part."""
    yield from text(one, full, hint)
    yield ""
    yield from text(two, full, hint)
    yield ""
    yield _where_they_part(one, two)


def _where_they_part(one: Explanation, two: Explanation) -> str:
    """In a sentence."""
    parted = parting(one, two)
    if parted is None:
        return "The two dialects agree at every stage of this element."
    mine, theirs = (_number(line.value) for line in parted)
    ends = [_number(explanation.value) for explanation in (one, two)]
    ending = f"and both end in {ends[0]}" if ends[0] == ends[1] else f"and end in {ends[0]} and {ends[1]}"
    return f"They part at '{parted[0].name}' ({mine}) and '{parted[1].name}' ({theirs}), {ending}."


def as_html(explanations: Sequence[Explanation], full: bool = False, hint: str = "") -> str:
    """One self-contained page with a table for each explanation, and of two the sentence that says where they part."""
    tables = "\n".join(_table(explanation, full, hint) for explanation in explanations)
    parted = f"\n<p>{markup(_where_they_part(*explanations))}</p>" if len(explanations) == 2 else ""
    title = f"<title>refengine explain</title>{STYLE}"
    return f'<!doctype html><html lang="en"><meta charset="utf-8">{VIEWPORT}{title}\n{tables}{parted}</html>'


VIEWPORT = '<meta name="viewport" content="width=device-width, initial-scale=1">'
STYLE = """<style>
:root { color-scheme: light dark }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em; color: #222; background: #fff }
table { border-collapse: collapse; margin-bottom: 2em } caption { text-align: left; font-weight: 600; padding: .4em 0 }
caption, td { overflow-wrap: anywhere } td:first-child { overflow-wrap: normal }
td { padding: .15em .8em; border-bottom: 1px solid #8885; vertical-align: top }
td.value { text-align: right; white-space: nowrap; font-family: ui-monospace, monospace }
tr:last-child { font-weight: 600 }
@media (prefers-color-scheme: dark) { body { color: #e4e7ea; background: #15181c } }
@media (max-width: 40em) { body { margin: 1em .6em } td { padding: .15em .3em } }
</style>"""
LEFT = 'style="text-align: left"'
"""Of words, which Jupyter's own style sheet would put to the right."""


def _table(explanation: Explanation, full: bool, hint: str) -> str:
    rows = "\n".join(
        f'<tr><td {LEFT}>{markup(name)}</td><td class="value">{value}</td><td {LEFT}>{markup(words)}</td></tr>'
        for name, value, words in _rows(explanation.lines, full, hint)
    )
    caption = markup(f"{explanation.place}, {explanation.numerics}")
    return f"<table><caption>{caption}</caption>\n{rows}</table>"


def _rows(lines: Sequence[Line], full: bool, hint: str) -> Iterator[tuple[str, str, str]]:
    """(name, value, text) of the lines, the middle of each long run of one name told in one, as `hint` says.

    Its value is the sum of those left out where the line behind the run is the sum of all: the column adds up.
    """
    runs = [[*run] for _, run in groupby(lines, key=lambda line: line.name)]
    for terms, then in zip_longest(runs, runs[1:]):
        ends = len(terms) if full or len(terms) <= 2 * FOLDED + 1 else FOLDED
        yield from (_row(line) for line in terms[:ends])
        if hidden := terms[ends:-FOLDED]:
            adds_up = then is not None and _sum(terms) == then[0].value
            more = f"… {len(hidden)} more{', and what they add up to' * adds_up}{f' ({hint})' * bool(hint)}"
            yield terms[0].name, str(_sum(hidden)) if adds_up else "", more
            yield from (_row(line) for line in terms[-FOLDED:])


def _row(line: Line) -> tuple[str, str, str]:
    return line.name, _number(line.value), line.text


def _sum(terms: Sequence[Line]) -> int | None:
    """Of integers; floats may be running sums."""
    values = [line.value for line in terms]
    return sum(map(int, values)) if all(isinstance(value, int | np.integer) for value in values) else None


def _index(tensor: Tensor, output: Array, at: Place) -> tuple[int, ...]:
    shape = tensor.shape
    if output.shape != shape:
        raise InputError(f"output '{tensor.name}' holds a batch of {len(output)}; explain one inference")
    try:
        at = [*map(operator.index, at)]
    except TypeError:
        raise InputError(f"at is {at!r}; give an index for each dimension, such as {(0,) * len(shape)}") from None
    if len(at) != len(shape) or not all(-size <= i < size for i, size in zip(at, shape, strict=True)):
        due = "" if len(at) == len(shape) else f", for one has {counted(len(shape), 'index', 'indices')}"
        due = due if shape else ": it is a single number, whose index is empty"
        raise InputError(f"output '{tensor.name}' has shape {shape}; there is no element {at}{due}")
    return tuple(i % size for i, size in zip(at, shape, strict=True))


def _plain(value: int | float | np.generic) -> int | float:
    """A number that JSON and format know."""
    plain: int | float = value.item() if isinstance(value, np.generic) else value
    return plain


def _number(value: int | float | np.generic) -> str:
    """All digits of an integer, those of a float that tell it from its float32 neighbours."""
    plain = _plain(value)
    return f"{plain:.9g}" if isinstance(plain, float) else str(plain)
