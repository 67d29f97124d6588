"""Which scale and zero point every tensor gets: ranges meet the operators that share scales or prescribe them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ..model import Graph, Op, Quantization
from . import affine
from .calibrate import Ranges
from .rules import rule, stays_float
from .variables import with_values


@dataclass(frozen=True, eq=False)
class Parameters:
    """The parameters of every float32 tensor of a graph, by its index.

    `tensors` holds those its readers expect; `made` those that its maker gives it where that is another choice (a
    SOFTMAX in front of a CONCATENATION); `read` those that one input alone expects, by (operator, position). A QUANTIZE
    operator goes between where two of them differ. `states` are the types and parameters of variables.
    """

    tensors: dict[int, Quantization] = field(default_factory=dict)
    made: dict[int, Quantization] = field(default_factory=dict)
    read: dict[tuple[int, int], Quantization] = field(default_factory=dict)
    states: dict[int, tuple[str, Quantization]] = field(default_factory=dict)

    def makes(self, index: int) -> Quantization | None:
        """The parameters in which a tensor is made."""
        return self.made.get(index, self.tensors.get(index))


def parameters(graph: Graph, ranges: Ranges, activations: str) -> Parameters:
    """Those of the quantizer that the converter takes for these activations; then the states', which are alike."""
    found = PARAMETERS[activations](*with_values(graph, ranges))
    for op, at, held in states(graph):
        i = op.inputs[at]
        match held:
            case "around":
                found.states[i] = "int16", affine.activation(*ranges[i], "int16")
            case "power":
                found.states[i] = "int16", affine.state(*ranges[i])
            case _:
                own = found.makes(op.outputs[0])
                assert own is not None  # whatever is computed has parameters
                found.states[i] = activations, own
    return found


def int8_parameters(graph: Graph, ranges: Ranges) -> Parameters:
    """As the MLIR quantizer: parameters spread from ranges that count through operators that share, last ones first.

    An operator that shares and has one float input takes that input's parameters; one with several gives its output's
    to all of them and to what made them. Whoever comes too late to set a tensor's parameters has it rescaled.
    Operators that the MLIR quantizer never comes back to, and so leaves in float, take what they then find.

    Source: `RemoveRedundantStatsOps` (quantization_utils.cc) and `QuantizationDriver` (quantization_driver.cc).
    """
    superseded = _superseded(graph)
    calibrated = {i: affine.activation(*ranges[i], "int8") for i in computed(graph) if i not in superseded}
    found = Parameters(dict(calibrated))
    done: set[int] = set()

    def parameters(op: Op) -> Quantization | None:
        """Those the operator imposes on what it touches, if any are known."""
        known = (calibrated, found.tensors) if op.outputs else (found.tensors,)  # the first value's are a variable's
        shared = _shared(op, known) if rule(op).shares_scale else None
        return None if op.index in done else shared or _fixed(op, "int8", ranges)

    waiting = list(graph.ops)
    while waiting := waiting or [op for op in graph.ops if parameters(op)]:  # first its own, then those it forgot
        op = waiting.pop()
        imposed = parameters(op)
        if imposed is None:
            continue
        done.add(op.index)
        for at, i in floats(graph, op.inputs) if rule(op).shares_scale else ():
            if i not in found.tensors and graph.tensors[i].data is None:
                found.tensors[i] = imposed
                waiting += [maker for maker in graph.ops if i in maker.outputs]
            elif found.tensors.get(i) != imposed:
                found.read[op.index, at] = imposed
        for _, i in floats(graph, op.outputs):
            if i not in found.tensors:
                found.tensors[i] = imposed
                waiting += [reader for reader in graph.ops if i in reader.inputs]
            elif found.tensors[i] != imposed:
                found.made[i] = imposed
    return found


def int16_parameters(graph: Graph, ranges: Ranges) -> Parameters:
    """As the older quantizer: every output has its range, or its first input's parameters where they are shared.

    CONCATENATION and PACK have their output's range, and their inputs are rescaled to it.

    Source: `QuantizeWeightsInputOutput` and `ApplyConstraints`, tensorflow/lite/tools/optimize/quantize_model.cc.
    """
    found = Parameters({i: affine.activation(*ranges[i], "int16") for i in computed(graph)})
    for op in graph.ops:
        first = _first(graph, op, found.tensors) if rule(op).shares_scale and not rule(op).joins else None
        for _, i in floats(graph, op.outputs):
            found.tensors[i] = first or _fixed(op, "int16", ranges) or found.tensors[i]
        if rule(op).shares_scale:
            shared = next((found.tensors[i] for _, i in floats(graph, op.outputs)), first)
            for at, i in floats(graph, op.inputs):
                if shared is not None and found.tensors.get(i) != shared:
                    found.read[op.index, at] = shared
    return found


PARAMETERS = {"int8": int8_parameters, "int16": int16_parameters}


def floats(graph: Graph, indices: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """(position, index) of the float32 tensors among an operator's inputs or outputs."""
    return ((at, i) for at, i in enumerate(indices) if i >= 0 and graph.tensors[i].dtype == "float32")


def states(graph: Graph) -> Iterator[tuple[Op, int, str]]:
    """(operator, position, how it is held) of every input that is the state of a quantised operator."""
    for op in graph.ops:
        if quantized := rule(op).quantized:
            yield from ((op, at, held) for at, held in quantized.states.items() if op.inputs[at] >= 0)


def ranged(graph: Graph) -> list[int]:
    """What needs a range: the tensors that are fed or computed, and states that have one of their own."""
    return [*computed(graph), *(op.inputs[at] for op, at, held in states(graph) if held != "output")]


def computed(graph: Graph) -> list[int]:
    """The float32 tensors that are fed or computed; but no input that nobody reads."""
    read = {*graph.outputs, *(i for op in graph.ops for i in op.inputs)}
    made = (*(i for i in graph.inputs if i in read), *(i for op in graph.ops for i in op.outputs))
    return [i for _, i in floats(graph, made)]


def computes_reals(graph: Graph, op: Op) -> bool:
    """Whether an operator reads or makes any float32 tensor: others are left as they are."""
    return any(True for _ in floats(graph, (*op.inputs, *op.outputs)))


def _first(graph: Graph, op: Op, known: Mapping[int, Quantization]) -> Quantization | None:
    """The parameters of an operator's first float input, if it is fed or computed."""
    return next((known.get(i) for _, i in floats(graph, op.inputs)), None)


def left_in_float(graph: Graph, activations: str) -> list[int]:
    """The operators that the converter leaves in float; none of those that read and make no float32 tensor."""
    return [op.index for op in graph.ops if stays_float(op, activations) and computes_reals(graph, op)]


def _fixed(op: Op, dtype: str, ranges: Ranges) -> Quantization | None:
    """The parameters that an operator gives its outputs, whoever reads them: prescribed ones, or those of a state.

    A state is the output of the inference before, code by code. (The converter has an LSTM's output rescaled for a
    CONCATENATION but not its state, so that TFLM computes noise.)
    """
    facts = rule(op)
    if facts.quantized and "output" in facts.quantized.states.values():
        return affine.activation(*ranges[op.outputs[0]], dtype)
    prescribed = facts.fixed_output.get(dtype)
    return None if prescribed is None else Quantization(prescribed[:1], prescribed[1:])


def _superseded(graph: Graph) -> set[int]:
    """The tensors whose range does not count, because parameters reach them from elsewhere."""
    makers = {i: op for op in graph.ops for i in op.outputs}
    sharing = [op for op in graph.ops if rule(op).shares_scale]
    assigning = [op for op in sharing if not op.outputs]
    joining = [op for op in sharing if op.outputs and not _one_computed(graph, op)]
    superseded = {i for op in graph.ops if op in sharing or rule(op).fixed_output for i in op.outputs}
    superseded |= {op.inputs[0] for op in assigning}
    superseded -= {i for op in joining for i in op.outputs}
    seen: set[int] = set()
    while joining:
        op = joining.pop()
        if op.index not in seen:
            seen.add(op.index)
            inputs = {i for _, i in floats(graph, op.inputs)}
            superseded |= inputs
            joining += [makers[i] for i in inputs if i in makers and makers[i] in sharing]
    return superseded


def _one_computed(graph: Graph, op: Op) -> bool:
    """Whether an operator's float inputs are one tensor that is fed or computed."""
    constant = [graph.tensors[i].data is not None for _, i in floats(graph, op.inputs)]
    return constant == [False]


def _shared(op: Op, known: tuple[Mapping[int, Quantization], ...]) -> Quantization | None:
    """The parameters that all of an operator's tensors shall have: a single input's, a single output's, the first's."""
    alone = [indices[0] for indices in (op.inputs, op.outputs) if len(indices) == 1]
    return next((these[i] for these in known for i in (*alone, *op.inputs, *op.outputs) if i in these), None)
