"""The cases of a corpus: invented as conformance's are, chosen so that few and small ones have all that there is.

A case is about what its `traits` say: phrases such as ``per-channel``, ``dilated``, ``broadcast on axis 1`` or
``saturating``, an open vocabulary, found out from the model, its prepared operator and the arrays.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from dice import Dice, invented
from oracle import host_plan

from refengine import KERNELS, Model, Plan, Quantization, RefengineError, Tensor, strategies
from refengine.execute import batch_size, infer
from refengine.kernel import Node
from refengine.kernels import FACTS
from refengine.kernels._linear import Computed
from refengine.kernels._window import Window
from refengine.model import Array
from refengine.plan import Step
from refengine.tensors.stats import is_quantized
from refengine.tflite_io import dump

Arrays = tuple[Array, ...]

CANDIDATES = 3
"""How many cases to invent for each that is chosen."""

INFERENCES = 3
"""Of a case without state. One with state has these, a reset, and the first two again, so that the reset is seen."""

EMPTY = 4
"""Cases to invent beside those, in which some tensor is likely to have no elements, if the operator can do that."""

SMALL = 4096
"""Bytes of model and arrays together from which on a case is taken only if there are too few others."""


@dataclass(eq=False)
class Case:
    """A model, the inputs of its inferences one after the other, and what comes out.

    `resets` are the numbers of the inferences before which the interpreter is reset; `status` is what Invoke returns
    for each, `outputs` the arrays of each (none where that is not 0), masked where TFLM leaves elements unwritten.
    """

    op: str
    dtype: str
    model: bytes
    runs: list[Arrays]
    resets: tuple[int, ...]
    status: list[int] = field(default_factory=list)
    outputs: list[Arrays] = field(default_factory=list)
    traits: list[str] = field(default_factory=list)
    about: str = ""
    uses_libm: bool = False
    signature: tuple[tuple[Tensor, ...], tuple[Tensor, ...]] = ((), ())

    @property
    def size(self) -> int:
        return len(self.model) + sum(x.nbytes for arrays in (*self.runs, *self.outputs) for x in arrays)


def chosen(op: str, dtype: str, count: int, seed: int) -> list[Case]:
    """`count` cases of one operator at one type, each with what refengine computes: the same for the same seed.

    Of `CANDIDATES` times as many, those that bring most traits that no other has yet, the smallest of equals first.
    """
    dice = Dice(zlib.crc32(f"corpus {seed} {op} {dtype}".encode()))
    every = [dice] * (CANDIDATES * count) + [EmptyDice(dice.random.getrandbits(32))] * EMPTY
    found = [case for each in every if (case := invented_case(op, dtype, each))]
    left = sorted(found, key=lambda case: (case.size > SMALL, case.size))
    taken: list[Case] = []
    seen: set[str] = set()
    while left and len(taken) < count:
        best = max(left, key=lambda case: (case.size <= SMALL, len({*case.traits} - seen)))  # the first of equals
        left.remove(best)
        taken.append(best)
        brought = [trait for trait in best.traits if trait not in seen]
        best.about += f"; the first with: {', '.join(brought)}" if brought else ""
        seen |= {*brought}
    return taken


class EmptyDice(Dice):
    """Dice whose vectors often have no elements, from which some examples cannot go on."""

    cannot = (ValueError, IndexError, ZeroDivisionError)

    def shape(self, rank: int | tuple[int, int], largest: int = 6) -> tuple[int, ...]:
        least, most = (rank, rank) if isinstance(rank, int) else rank
        return (0,) if least <= 1 <= most and self.random.random() < 0.7 else super().shape(rank, largest)


def invented_case(op: str, dtype: str, dice: Dice) -> Case | None:
    """One more case; None for one that refengine refuses, and where no elements are too few for the example."""
    try:
        model = observed(KERNELS[op, dtype].example(lambda value: value, dice), dice)
    except dice.cannot:
        return None
    try:
        plan = host_plan(dump(model))
    except RefengineError:
        return None
    runs = [invented(model, dice) for _ in range(INFERENCES)]
    resets: tuple[int, ...] = ()
    if plan.initial:
        runs, resets = [*runs, *runs[:2]], (INFERENCES,)
    case = Case(op, dtype, dump(model), runs, resets, signature=(plan.inputs, plan.outputs))
    _compute(case, plan)
    step = next(s for p in plan.plans.values() for s in p.steps if s.name == op)
    case.traits = traits(plan, step, case)
    case.uses_libm = any(hasattr(s.params, "libm") for p in plan.plans.values() for s in p.steps)
    case.about = about(step, case)
    return case


def _compute(case: Case, plan: Plan) -> None:
    """What refengine makes of the inferences."""
    state = plan.initial
    for k, inputs in enumerate(case.runs):
        state = plan.reset(state) if k in case.resets else state
        try:
            outputs, state = infer(plan, batch_size(plan, inputs), inputs, state)
            case.status.append(0)
        except RefengineError as error:
            outputs, state = (), error.state  # type: ignore[attr-defined]
            case.status.append(error.status)  # type: ignore[attr-defined]
        case.outputs.append(outputs)


def observed(node: Node, dice: Dice) -> Model:
    """The node's model; one that only leaves something behind is followed, or also preceded, by what reads it."""
    facts = FACTS[node.name]
    if facts.control != "once" and facts.resource != "assign":
        return strategies.model_of(node)
    if facts.control:  # what the subgraph assigns is read, then assigned anew
        graph = node.subgraphs[0]
        handle_op, assign = graph.ops[0], graph.ops[1]
        value = dice.tensor(*_like(graph.tensors[assign.inputs[1]]))
        handle = dice.tensor((), "resource")
        make = Node(handle_op.name, handle_op.options, (), (handle,))
        fed = dice.tensor(*_like(value))
        put = Node(assign.name, {}, (handle, fed), ())
        return strategies.model_of(node, make, _reading(handle, value), put, outputs=[value])
    which, given = node.inputs
    assert which is not None and given is not None
    before, after = dice.tensor(*_like(given)), dice.tensor(*_like(given))
    nodes = (*node.before, _reading(which, before), node._replace(before=()), _reading(which, after))
    return strategies.model_of(*nodes, outputs=[before, after])


def _reading(handle: Tensor, value: Tensor) -> Node:
    """The operator that reads a resource variable."""
    name = next(op for op, facts in FACTS.items() if facts.resource == "read")
    return Node(name, {}, (handle,), (value,))


def _like(tensor: Tensor) -> tuple[tuple[int, ...], str, Quantization | None]:
    return tensor.shape, tensor.dtype, tensor.quantization


def about(step: Step, case: Case) -> str:
    """What goes in and comes out, such as ``CONV_2D: int8 1×5×5×3, constant int8 8×3×3×3 → int8 1×5×5×8``."""

    def told(tensor: Tensor | None) -> str:
        if tensor is None:
            return "nothing"
        kind = "constant " if tensor.data is not None else "variable " if tensor.is_variable else ""
        return f"{kind}{tensor.dtype} {'×'.join(map(str, tensor.shape)) or 'scalar'}"

    read, made = (", ".join(map(told, each)) or "nothing" for each in (step.inputs, step.outputs))
    return f"{case.op}: {read} → {made}"


# ---- traits --------------------------------------------------------------------------------------------------

Traits = Iterator[tuple[str, Any]]
"""Phrases, each with whether it holds."""


def traits(plan: Plan, step: Step, case: Case) -> list[str]:
    """What a case of the operator `step` is about, in words."""
    every = (_weights(step), _options(step), _shapes(step), _quantization(step), _inputs(case), _outputs(plan, case))
    return list(dict.fromkeys(phrase for some in every for phrase, holds in some if holds))


def _weights(step: Step) -> Traits:
    weights, bias = step.weights, step.bias
    yield "computed weights", isinstance(step.params, Computed)
    if weights is not None:
        scales = weights.quantization.scale if weights.quantization and is_quantized(weights) else ()
        yield "per-channel", len(scales) > 1
        yield "per-tensor", len(scales) == 1
        yield "int4 weights", weights.dtype == "int4"
    if step.facts.bias is not None:
        yield "no bias" if bias is None else f"{bias.dtype} bias" if bias.data is not None else "computed bias", True
    if isinstance(window := getattr(step.params, "window", None), Window):
        yield from _window(window)


def _window(window: Window) -> Traits:
    padding = (max(0, span - size) for span, size in zip(window.span, window.input, strict=True))
    yield "1×1 filter", window.filter == (1, 1)
    yield "padded" if window.is_padded else "not padded", True
    yield "an odd pixel of padding", any(pixels % 2 for pixels in padding)
    yield "a filter larger than the image", any(np.greater(window.filter, window.input))


TOLD_OTHERWISE = ("stride", "dilation", "filter", "quantized_bias_type", "in_data_type", "out_data_type", "output_type")
"""How options begin that other traits, or the types of tensors, tell."""

NUMBERS = ("axis", "batch_dims", "block_size", "depth_multiplier", "num", "num_splits", "values_count")
"""Options of which each value is a case of its own."""


def _options(step: Step) -> Traits:
    """Options that are not as they mostly are."""
    options = step.op.options
    silent = (*step.facts.calls, "container", "shared_name", "weights_format", "out_type", "pot_scale_int16", "rank")
    for what, beginning in (("strided", "stride_"), ("dilated", "dilation_")):
        factors = [value for name, value in options.items() if name.startswith(beginning)]
        yield what, max(factors, default=1) > 1
        yield f"{what} otherwise down than across", len({*factors}) > 1
    for name, value in options.items():
        words = name.replace("_", " ")
        if name == "fused_activation_function":
            yield f"fused {value}", value != "NONE"
        elif name in silent or name.startswith(TOLD_OTHERWISE):
            continue
        elif isinstance(value, bool):
            yield words, value
        elif isinstance(value, str):
            yield f"{words} {value}", value
        elif isinstance(value, (int, float)):
            yield f"{words} {value}" if name in NUMBERS else f"{words} given", value not in (0, 1)


def _shapes(step: Step) -> Traits:
    tensors, outputs = [t for t in step.inputs if t is not None], step.outputs
    shapes = [t.shape for t in (*tensors, *outputs)]
    yield "an input left out", None in step.inputs
    yield "no elements", any(0 in shape for shape in shapes)
    yield "scalar", () in shapes
    if step.data is not None:
        rank = len(step.data.shape)
        yield f"{rank} dimensions" if rank != 1 else "1 dimension", rank
        yield "a batch above 1", rank == 4 and step.data.shape[0] > 1
    yield f"{len(outputs)} outputs", len(outputs) > 1
    yield "the same tensor twice", len({t.index for t in tensors}) < len(tensors)
    if (step.facts.arithmetic or step.facts.elementwise) and len(tensors) > 1 and outputs:
        yield from _broadcast([t.shape for t in tensors], outputs[0].shape)


def _broadcast(shapes: Sequence[tuple[int, ...]], output: tuple[int, ...]) -> Traits:
    for shape in shapes:
        lead = len(output) - len(shape)
        yield "broadcast from fewer dimensions", lead
        yield from ((f"broadcast on axis {lead + i}", size == 1 < output[lead + i]) for i, size in enumerate(shape))


def _quantization(step: Step) -> Traits:
    ends = {"input": step.inputs[:1], "output": step.outputs[:1]}
    found = {role: t for role, some in ends.items() for t in some if t is not None and is_quantized(t)}
    for role, tensor in found.items():
        assert tensor.quantization is not None
        zero, info = (*tensor.quantization.zero_point, 0)[0], np.iinfo(tensor.dtype)
        yield f"{role} zero point at an end", zero in (info.min, info.max)
        yield f"{role} zero point 0", zero == 0
        yield f"{role} scale a power of two", np.frexp(tensor.quantization.scale[0])[0] == 0.5
    if len(found) == 2:
        one, other = ((t.dtype, t.quantization) for t in found.values())
        yield "output quantised as the input" if one == other else "rescaling", True
    layers = (step.facts.weights, step.facts.bias)
    yield "a constant input", any(t and t.data is not None for i, t in enumerate(step.inputs) if i not in layers)


def _inputs(case: Case) -> Traits:
    yield "state over inferences", case.resets
    yield "reset", case.resets
    for x in (x for arrays in case.runs for x in arrays if x.size):
        if x.dtype.kind == "f":
            yield from _floats(x, "input")
        elif x.dtype.kind in "iu":
            info = np.iinfo(x.dtype)
            yield "both ends of the type in the input", x.min() == info.min and x.max() == info.max


def _floats(x: Array, role: str) -> Traits:
    tiny = np.finfo(x.dtype).tiny
    yield f"NaN in the {role}", np.isnan(x).any()
    yield f"infinity in the {role}", np.isinf(x).any()
    yield f"−0 in the {role}", (np.signbit(x) & (x == 0)).any()
    yield f"subnormal {role}", ((x != 0) & (np.abs(x) < tiny)).any()


def _outputs(plan: Plan, case: Case) -> Traits:
    yield "an inference that fails", 1 in case.status
    yield "an inference that waits for more", any(status > 1 for status in case.status)
    for tensor, x in (pair for arrays in case.outputs for pair in zip(plan.outputs, arrays, strict=False)):
        yield "elements left unwritten", isinstance(x, np.ma.MaskedArray)
        if x.size and x.dtype.kind == "f":
            yield from _floats(np.ma.filled(x, 1), "output")
        elif x.size and is_quantized(tensor):
            info = np.iinfo(x.dtype)
            low, high = (x == info.min).any(), (x == info.max).any()
            yield "saturating at both ends" if low and high else "saturating", low or high
