"""What is known of a dump: a finding for each tensor, the causes and how certain they are, all in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from ..explanation import Explanation
from ..identity import identity
from ..kernel import Numerics
from ..model import Tensor
from ..plan import Plan, Step
from ..tensors.difference import Difference
from ..text import counted, html_lines, html_table, printable, printed
from . import text
from .dumps import Dump
from .evidence import MARGIN, Certainty, certainty
from .feeding import Fed
from .remembering import Held
from .verdict import Candidate

Status = Literal["same", "victim", "culprit", "absent", "unjudged"]


@dataclass(frozen=True)
class Finding:
    """What is known of a tensor that a step writes: `output` counts its outputs, and the variables it updates on.

    `status`: ``same`` as the golden model; a ``victim`` differs only because its inputs do; a ``culprit`` differs from
    a sound kernel on the device's own inputs; ``absent`` from the dump; ``unjudged``, as nobody knows what it should
    be: of a partial plan's gap, or behind one, and so taken as it is. `total` is the difference from the golden
    model, `own` that of a culprit on its own inputs, with the `candidates` that may explain it and, where none of them
    explains all of it, how the first differing element should have come about (`told`).
    `suspects` are the steps that may be at fault: besides this one those before it that are absent.
    """

    step: Step
    output: int
    status: Status
    total: Difference | None = None
    own: Difference | None = None
    suspects: tuple[Step, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    told: Explanation | None = None

    @property
    def tensor(self) -> Tensor:
        return self.step.writes[self.output]

    @property
    def fitting(self) -> list[Candidate]:
        """The candidates that explain everything, the best first."""
        return [candidate for candidate in self.candidates if candidate.complete]

    @property
    def rivals(self) -> list[Candidate]:
        """The others that the evidence does not tell from the best."""
        best = self.fitting[0].bits if self.fitting else 0.0
        return [candidate for candidate in self.fitting[1:] if candidate.bits > best - MARGIN]

    @property
    def certainty(self) -> Certainty:
        return certainty(self.fitting[0].bits, len(self.rivals)) if self.fitting else "open"

    @property
    def cause(self) -> str | None:
        """The id of the best cause, None if nothing explains everything."""
        return self.fitting[0].cause if self.fitting else None

    @property
    def verdict(self) -> str:
        """One sentence about a culprit, which begins with how certain it is."""
        if self.own is None:
            return ""
        if any(not candidate.fits_anything for candidate in self.fitting):
            return f"{self.certainty}: {self._claim}"
        differences = "one difference" if self.own.count == 1 else f"{self.own.count:,} differences"
        anything = ", or ".join(candidate.how.removeprefix("if ") for candidate in self.fitting)
        nothing = "nothing"
        if self.step.facts.control:
            nothing = "the kernels of its subgraphs are not tried one by one, and nothing else"
        return (
            f"open: {nothing} explains its {differences}{f' (perhaps {anything})' if anything else ''}, first at "
            f"{list(self.own.first)}, where the device has {_shown(self.own.theirs)} and a sound kernel "
            f"{_shown(self.own.mine)}"
        )

    @property
    def _claim(self) -> str:
        """What the best cause explains, and what else would."""
        assert self.own is not None
        best, rivals = self.fitting[0], self.rivals
        equal = self.own.size - self.own.count
        if self.certainty == "certain":
            return f"{best}" + (f", and {equal:,} equal elements stay equal" if equal else "")
        other = [c for c in rivals if c.cause != best.cause] or rivals  # of another kind, if there is one
        others = f", or {other[0].clause}" if other else ""
        more = f", or by {counted(len(rivals) - 1, 'more cause')}" if len(rivals) > 1 else ""
        if self.certainty == "likely":
            return f"{best}{others}{more}" + (", which cannot be told apart here" if rivals else "; it might be chance")
        return f"{best}{others}{more}, but this is too little to tell"

    @property
    def entry(self) -> str:
        """The operator at fault, or those of which one is."""
        return " or ".join(f"{step.index} {step.name}" for step in self.places)

    @property
    def places(self) -> tuple[Step, ...]:
        """The steps at fault, or of which one is: those of the causes that fit, if it is not open which do."""
        known = [self.fitting[0], *self.rivals] if self.certainty != "open" else []
        if not known or not all(candidate.steps for candidate in known):
            return self.suspects
        return tuple(sorted({s for c in known for s in c.steps}, key=lambda step: step.index))

    def as_dict(self) -> dict[str, Any]:
        return {
            "operator": identity(self.step.op, self.step.subgraph),
            "outputs": [identity(self.tensor, self.step.subgraph)],
            "status": self.status,
            "total": self.total and self.total.as_dict(),
            "own": self.own and self.own.as_dict(),
            "suspects": [identity(step.op, step.subgraph) for step in self.places],
            "candidates": [candidate.as_dict() for candidate in self.candidates],
            "cause": self.cause,
            "certainty": self.certainty if self.own else None,
            "verdict": self.verdict,
            "explanation": self.told and self.told.as_dict(),
        }


@dataclass(frozen=True, eq=False)
class Report:
    """A dump judged: a finding for each tensor that a step writes, and `notes`, sentences about the dump.

    `wrong_inputs` are those of the device's inputs that are not the ones given, `wrong_states` what it found or left
    living on, if that is not what it should be, and `weights_of` the file among those
    asked whose weights make all differences vanish.
    """

    plan: Plan
    dump: Dump
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    wrong_inputs: tuple[Fed, ...] = ()
    wrong_states: tuple[Held, ...] = ()
    weights_of: str = ""

    @printed
    def __repr__(self) -> str:
        return f"<Report of {printable(self.dump.name)}: {self.summary}>"

    @printed
    def __str__(self) -> str:
        """All of it, in lines."""
        return "\n".join(text.lines(self))

    def _repr_html_(self) -> str:
        about = (*text.remarks(self), *(line for culprit in self.culprits for line in text.told(culprit)))
        return html_table(self.summary, text.HEADINGS, text.rows(self)) + html_lines("notes and verdicts", about)

    @property
    def culprits(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.status == "culprit"]

    @property
    def differs(self) -> bool:
        """Whether anything differs, or did not have its tensor's type or shape."""
        return bool(self.dump.problems or self.wrong_inputs or self.wrong_states) or any(
            f.status in ("victim", "culprit") for f in self.findings
        )

    @cached_property
    def causes(self) -> list[str]:
        """The clauses that explain everything about every culprit and that nothing tells apart, the best first."""
        found = [[c.how for c in (*f.fitting[:1], *f.rivals)] for f in self.culprits]
        return [how for how in found[0] if all(how in others for others in found)] if found else []

    @property
    def certainty(self) -> Certainty | None:
        """How certain the least certain verdict is, None without one."""
        order: list[Certainty] = ["open", "likely", "certain"]
        return min((finding.certainty for finding in self.culprits), key=order.index, default=None)

    @property
    def cause(self) -> str | None:
        """The id of the best cause that all culprits have in common."""
        return next((c.cause for f in self.culprits[:1] for c in f.fitting if c.how in self.causes[:1]), None)

    @property
    def dialects(self) -> dict[Numerics, str]:
        """The dialects that explain everything about every culprit, with their clauses, the best first."""
        found = [{c.numerics: c.how for c in finding.fitting if c.numerics} for finding in self.culprits]
        return {n: how for n, how in found[0].items() if all(n in others for others in found)} if found else {}

    @property
    def next(self) -> tuple[Tensor, str] | None:
        """(the tensor to dump next, what it would tell) where the evidence leaves several causes or places."""
        return next(filter(None, map(self._separating, self.culprits)), None)

    def _separating(self, finding: Finding) -> tuple[Tensor, str] | None:
        """The tensor that is not in the dump and parts the causes of a culprit best, by where they lie."""
        if finding.certainty == "certain":
            return None
        known = [c for c in (*finding.fitting[:1], *finding.rivals) if not c.fits_anything]
        fed = [t for t in self.plan.inputs if t.index not in self.dump.tensors]
        if fed and any(c.cause == "input" for c in known):
            return fed[0], f"the input '{printable(fed[0].name)}': it tells a wrong input from a fault in an operator"
        if len(finding.suspects) < 2:
            return None
        places = [min(step.index for step in c.steps) for c in known if c.steps] or [s.index for s in finding.suspects]
        step = max(finding.suspects[:-1], key=lambda s: min(_side(places, s.index, 1), _side(places, s.index, 0)))
        return step.outputs[0], f"the output of {step}: it tells what happens up to there from what happens after it"

    @property
    def summary(self) -> str:
        """The verdict on the whole dump, in one sentence."""
        steps = {finding.step for finding in self.findings}
        seen = {finding.step for finding in self.findings if finding.status not in ("absent", "unjudged")}
        victims = len({finding.step for finding in self.findings if finding.status == "victim"})
        count = f"{len(seen)} of {len(steps)} operators compared"
        if not self.culprits and self.wrong_inputs:
            return f"{count}: all differences come from other inputs; {self.wrong_inputs[0].verdict}."
        if not self.culprits and self.wrong_states:
            passed = "all differences come from what lived on before; " if victims else ""
            return f"{count}: {passed}{self.wrong_states[0].claim}."
        if not self.culprits:
            rest = "; the rest of the dump does not fit" if self.dump.problems else ""
            return f"{count}: {'all differences come from other inputs' if victims else 'no difference'}{rest}."
        wrong = ", ".join(dict.fromkeys(finding.entry for finding in self.culprits))
        passed = f", passed on to {victims} more" if victims else ""
        return f"{count}: the fault enters at {wrong}{passed}{self._claim}."

    @property
    def _claim(self) -> str:
        """What the causes explain, and how certainly."""
        if self.weights_of:
            return f"; certain: the device has the weights of {self.weights_of}, with which every difference vanishes"
        if not self.causes:
            return ""
        if self.certainty == "open":
            known = next((c.how for c in self.culprits[0].fitting if c.how in self.causes and not c.fits_anything), "")
            return f"; open: too little to tell why{known and f', perhaps {known}'}"
        apart = ", which cannot be told apart here" if len(self.causes) > 1 else ""
        return f"; {self.certainty}: every difference vanishes {', or '.join(self.causes[:2])}{apart}"

    def as_dict(self) -> dict[str, Any]:
        """Everything in plain Python, for JSON."""
        return {
            "dump": self.dump.name,
            "sha256": self.plan.model.sha256,
            "numerics": str(self.plan.numerics),
            "recording": dict(self.dump.meta),
            "differs": self.differs,
            "summary": self.summary,
            "cause": self.cause,
            "certainty": self.certainty,
            "causes": self.causes,
            "next": self.next and {"dump": identity(self.next[0]), "why": self.next[1]},
            "dialects": [*map(str, self.dialects)],
            "notes": [*self.notes],
            "problems": [*self.dump.problems],
            "weights_of": self.weights_of or None,
            "inputs": [_fed_as_dict(each) for each in self.wrong_inputs],
            "states": [each.as_dict() for each in self.wrong_states],
            "steps": [finding.as_dict() for finding in self.findings],
        }


def _side(places: Sequence[int], step: int, before: int) -> int:
    """How many of the places lie up to a step, or after it."""
    return sum((place <= step) == bool(before) for place in places)


def _fed_as_dict(fed: Fed) -> dict[str, Any]:
    """A wrong input, as findings are told."""
    return {
        "outputs": [identity(fed.sample.tensor)],
        "status": "culprit",
        "total": fed.difference and fed.difference.as_dict(),
        "candidates": [
            {
                "operator": None,
                "operators": [],
                "cause": "input",
                "how": each.preparation.how,
                "vanish": each.explained,
                "of": each.total,
                "bits": round(each.bits, 1),
            }
            for each in fed.explanations
        ],
        "cause": "input",
        "certainty": fed.certainty,
        "verdict": fed.verdict,
    }


def _shown(value: int | float) -> str:
    return f"{value:.9g}" if isinstance(value, float) else str(value)
