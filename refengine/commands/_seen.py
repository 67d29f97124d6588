"""What `run` is given and what it shows on the way: random inputs, what the network saw, what each operator does."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from ..errors import InferenceError, InputError
from ..execute import NONE, Record, execute, frames
from ..identity import identity
from ..model import Array, Tensor
from ..plan import Plan
from ..reading.cut_off import Intake
from ..tasks.audio import Ears
from ..tensors import pictures
from ..tensors.images import read_inputs
from ..tensors.inputs import random_inputs
from ..tensors.reprs import told_values, traced
from ..tensors.stats import stats
from ._front import held, say, terminal_width

Case = tuple[str, tuple[Array, ...]]

MAPS = 16
"""So many maps of an input are drawn."""


def fed(plan: Plan, args: argparse.Namespace, ears: Ears, intake: Intake) -> Iterator[Case]:
    """The inferences of --input, or the one of --random; `intake` knows what was cut off."""
    if args.random is None:
        files = read_inputs(plan, args.input, digit=args.digit, real_range=args.range, real=True, hear=ears.hear)
        return (_fitting(plan, name, intake(arrays)) for name, arrays in files)
    return iter([(f"random {args.random}", random_inputs(plan, args.random, args.range))])


def _fitting(plan: Plan, name: str, arrays: tuple[Array, ...]) -> Case:
    """The same; refused by the files' name unless they hold whole inferences."""
    held(plan, name, arrays)
    return name, arrays


def singly(plan: Plan, cases: Iterable[Case]) -> Iterator[Case]:
    """The single inferences, those of a file by their numbers."""
    for name, arrays in cases:
        inferences = frames(plan, arrays)
        for t, inputs in enumerate(inferences):
            yield name if len(inferences) == 1 else f"{name}[{t}]", inputs


def shown(plan: Plan, cases: Iterable[Case]) -> Iterator[Case]:
    """The same, each drawn as it goes by: grey from the smallest value, black, to the largest, white."""
    colour, width = sys.stdout.isatty(), terminal_width()
    for name, arrays in cases:
        for place, inputs in singly(plan, [(name, arrays)]):
            for tensor, x in zip(plan.inputs, inputs, strict=True):
                say(f"{place}: '{tensor.name}' {x.dtype} {x.shape}, {told_values(tensor, x)}")
                maps = pictures.maps(x)
                names = [str(i) for i, _ in enumerate(maps[:MAPS])] if len(maps) > 1 else [""]
                say(*pictures.grid(pictures.grey(maps[:MAPS]), names, width, colour))
                say(*([f"… {len(maps) - MAPS} more of {len(maps)} maps"] if len(maps) > MAPS else []))
        yield name, arrays


def watched(
    plan: Plan,
    cases: Iterable[Case],
    tell: Callable[[str, Record], None],
    stream: bool,
    known: Mapping[int, Array] = NONE,
) -> Iterator[Case]:
    """The same; what each operator does in each inference is told before it goes by."""
    for name, arrays in cases:
        state = plan.initial
        for place, inputs in singly(plan, [(name, arrays)]):
            try:
                for record in execute(plan, *inputs, known=known, state=state):
                    tell(place, record)
                    after = record.state
            except InferenceError as error:  # which whoever runs it tells
                after = error.state or state
            state = after if stream else state
        yield name, arrays


def print_trace(place: str, record: Record) -> None:
    """One operator, as ONNX's verbose evaluator has it: what it reads, what it gives, and the values."""
    say(*traced(record.step, record.outputs, record.unknown, record.path))


def trace_json(place: str, record: Record) -> dict[str, Any]:
    """The same for JSON; null where an input is left out."""
    step = record.step
    inputs = [None if t is None else identity(t, step.subgraph) for t in step.inputs]
    pairs = zip(step.outputs, record.outputs, strict=True)
    outputs = [identity(t, step.subgraph) | _ends(t, x, t.index in record.unknown) for t, x in pairs]
    return {"input": place, "operator": identity(step.op, step.subgraph), "inputs": inputs, "outputs": outputs}


def _ends(tensor: Tensor, values: Array, is_unknown: bool) -> dict[str, Any]:
    """The smallest and largest value, null where nobody knows or there is none."""
    told: dict[str, Any] = {"dtype": tensor.dtype, "shape": values.shape, "min": None, "max": None}
    with suppress(InputError):
        found = stats(tensor, values) if not is_unknown else None
        told |= {"min": found.min, "max": found.max} if found else {}
    return told
