"""What was found, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..explanation import explain
from ..explanation import text as explained
from ..model import Array, Tensor
from ..tensors.difference import Difference
from ..text import counted
from .search import Finding, Result

HEADINGS = ("operator", "type", "cases", "skipped", "elements compared", "failing", "first at case")

PLAIN = ("NONE", "float32", False)
"""Values of options that go without saying."""

LISTED = 6
"""How many wrong operators a summary lists."""

SHOWN = 64
"""Arrays of at most so many elements are printed."""


def row(result: Result) -> tuple[str, ...]:
    """The cells of a result, under `HEADINGS`."""
    counts = (result.cases, result.skipped, result.elements, result.failing)
    return result.op, result.dtype, *(f"{n:,}" for n in counts), "" if result.first is None else f"{result.first:,}"


def summary(results: Sequence[Result]) -> str:
    """All results in one sentence."""
    claimed = [result for result in results if result.skipped < result.cases]
    wrong = [str(result) for result in claimed if result.failing]
    refused = sum(result.cases == 0 for result in results)
    skipped = len(results) - len(claimed) - refused
    rest = f"; {skipped} more {'is' if skipped == 1 else 'are'} not claimed" if skipped else ""
    rest += f"; {refused} more {'does' if refused == 1 else 'do'} not run in this dialect" if refused else ""
    count = sum(result.cases - result.skipped for result in claimed)
    cases = counted(count, "case")
    pairs = "1 operator and type" if len(claimed) == 1 else f"{len(claimed)} operators and types"
    if not results:
        return "nothing was tried to the end"
    if refused == len(results):
        return f"none of the operators and types tried ({refused}) runs in this dialect"
    if not claimed:
        return f"the kernels claim none of the operators and types tried ({len(results)})"
    wrong = wrong if len(wrong) <= LISTED else [*wrong[:LISTED], f"{len(wrong) - LISTED} more"]
    if not wrong:
        return f"{cases} of {pairs}: all equal, bit for bit{rest}"
    return f"{cases} of {pairs}: wrong in {', '.join(wrong)}{rest}"


def told(result: Result) -> Iterator[str]:
    """Everything about the faults of a result, line by line; nothing where there is none."""
    for i, finding in enumerate(result.findings):
        yield f"{'with that set aside, ' * bool(i)}{result} {finding.outcome.kind}: {finding.verdict}"
        if finding.common is not None:
            yield f"  {finding.common}"
        yield from smallest(finding)
    if result.failing and not result.findings:
        yield f"{result}: {counted(result.failing, 'failing case')}; the search for the reason was not at its end"
    if result.rest is not None:
        yield f"with that set aside, {_rest(result, result.rest)}"


def _rest(result: Result, compared: int) -> str:
    """What is known of the cases that do not have the faults, if there are any."""
    without = "have it or are skipped" if result.skipped else "have it"
    if not compared:
        return f"nothing more could be compared: all {result.aside:,} cases {without}"
    more = f"; {result.aside:,} more {without}" if result.aside else ""
    return f"nothing else is wrong in {counted(compared, 'case')}{more}"


def smallest(finding: Finding) -> Iterator[str]:
    """The smallest case: its node, its numbers, where it differs, and how a sound kernel comes to its value there."""
    case, apart, output = finding.case, finding.outcome.difference, finding.outcome.output
    yield "  the smallest case:"
    options = ", ".join(f"{name} {value}" for name, value in case.options.items() if value not in PLAIN)
    yield f"    {case.op}" + (f", {options}" if options else "")
    if case.before is not None:
        resets = [str(k) for k, one in enumerate(case.stream, 1) if one.reset]
        reset = f", reset before inference {' and '.join(resets)}" if resets else ""
        yield f"    inference {len(case.stream)} of a stream{reset}"
    for i, (tensor, array) in enumerate(zip(case.tensors, case.arrays, strict=True)):
        yield from _tensor(f"input {i}", tensor, array)
    for i, tensor in enumerate(case.step.outputs):
        yield from _tensor("output" if len(case.step.outputs) == 1 else f"output {i}", tensor, None)
    if apart is None:
        yield f"  the kernel {finding.outcome.message}"
        return
    count = len(case.step.outputs)
    place = f"in output {output}, " if count > 1 else ""
    if output >= count:
        place = f"in the variable that is input {case.step.facts.updates[output - count]}, "
    yield f"  {place}{different(apart)}"
    yield "  how a sound kernel comes to its value there:"
    yield from (f"    {line}" for line in explained(explain(case.plan, case.record, apart.first, output)))


def different(apart: Difference) -> str:
    """Where an output differs first, and in how many places."""
    where = f"element {list(apart.first)} is {_number(apart.theirs)} where {_number(apart.mine)} is right"
    return where if apart.size == 1 else f"{apart.count:,} of {apart.size:,} elements differ: {where}"


def _tensor(name: str, tensor: Tensor | None, array: Array | None) -> Iterator[str]:
    if tensor is None:
        yield f"    {name:8}  left out"
        return
    quantization = f"  {tensor.quantization}" if tensor.quantization else ""
    constant = "  constant" if tensor.data is not None else ""
    yield f"    {name:8}  {tensor.dtype} {'×'.join(map(str, tensor.shape)) or 'scalar'}{constant}{quantization}"
    if array is not None and array.size <= SHOWN:
        yield f"              {_values(array)}"


def _values(array: Array) -> str:
    """Nested brackets in one line; float32 with all digits that tell."""
    if array.ndim == 0:
        return _number(array.item())
    return f"[{' '.join(map(_values, array))}]"


def _number(value: int | float) -> str:
    return f"{value:.9g}" if isinstance(value, float) else str(value)
