"""What a model consists of and costs, layer by layer; whether it runs on TFLM, and what it needs to be told there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import accumulate
from math import ceil, prod
from typing import Any, Literal, get_args

import numpy as np

from .allocation import Allocation, Target, allocation
from .errors import LimitError, UnsupportedError
from .identity import identity
from .kernel import Facts, Kernels, Numerics, dialect
from .kernels import KERNELS, require_kernels
from .kernels._tflm import CUSTOM_OPS, TFLM_OPS, WITHOUT_HARDWARE
from .memory import MEMORY, Memory, byte_count
from .model import Array, Graph, Model, Op, Signature, Tensor
from .plan import Plan, Source, Step, assembled, facts_of, first_assigned, prepared, state_before
from .state import State
from .text import c_string, counted, html_table, printed
from .tflite_io import load

Verdict = Literal["yes", "no", "not in refengine", "unknown"]
"""Whether it runs: on both; TFLM refuses it; on TFLM, but not in refengine yet; nobody knows about TFLM."""


@dataclass(frozen=True, eq=False)
class Layer:
    """One operator: its tensors, what it costs per inference, and why it was refused, if it was.

    `macs` is None where a refusal keeps them unknown. `constant_bytes` are its weights, biases and other constants,
    `output_bytes` what it writes, `live_bytes` all tensors that must exist while it runs: its own and those that
    later operators of its subgraph still read.
    """

    op: Op
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    macs: int | None
    constant_bytes: int
    output_bytes: int
    live_bytes: int
    refusal: UnsupportedError | None

    @property
    def constants(self) -> tuple[Tensor, ...]:
        return tuple(t for t in self.inputs if t is not None and t.data is not None)

    @property
    def verdict(self) -> Verdict:
        """Whether it runs; what only a kernel of the user's own computes is ``unknown`` on TFLM."""
        if self.refusal is not None:
            return _verdict(self.refusal)
        return "yes" if method_of(self.op) else "unknown"


@dataclass(frozen=True, eq=False)
class Part:
    """A subgraph's layers and their sums; `called_by` are the operators that run it, each with its subgraph."""

    graph: Graph
    layers: tuple[Layer, ...]
    called_by: tuple[tuple[int, Op], ...]

    @property
    def macs(self) -> int:
        """Multiplications and accumulations per run of its own layers, where they are known."""
        return sum(layer.macs or 0 for layer in self.layers)

    @property
    def constant_bytes(self) -> int:
        """All constants, each counted once."""
        return tensor_bytes({t.index: t for layer in self.layers for t in layer.constants}.values())

    @property
    def output_bytes(self) -> int:
        """What all layers write: the memory needed if nothing were ever given back."""
        return sum(layer.output_bytes for layer in self.layers)

    @property
    def peak_bytes(self) -> int:
        """The largest `live_bytes`: no arena can be smaller."""
        return max((layer.live_bytes for layer in self.layers), default=0)


@dataclass(frozen=True, eq=False)
class Survey:
    """A model's subgraphs, what lives on between inferences, and whether it all runs on TFLM.

    `plan` is None where refengine does not run the model, or only a part of it and that was not asked for; `limit` then
    what is wrong with the whole of it rather than with one operator. `state` is what the variables hold before the
    first inference, and `resources` the tensor first assigned to each resource variable by (container, shared name).
    `layers` and the sums are the main subgraph's.
    """

    model: Model
    numerics: Numerics
    parts: tuple[Part, ...]
    state: State
    resources: Mapping[tuple[str, str], Tensor]
    plan: Plan | None
    limit: UnsupportedError | None = None

    @printed
    def __repr__(self) -> str:
        return (
            f"<Survey of {counted(len(self.layers), 'operator')}: {self.macs:,} multiply-accumulates, constants of "
            f"{self.constant_bytes:,} bytes, {self.peak_bytes:,} of tensors at once; runs on TFLM: {self.runs_on_tflm}>"
        )

    def _repr_html_(self) -> str:
        rows = (
            (each.op.index, each.op.kind, "?" if each.macs is None else f"{each.macs:,}", f"{each.constant_bytes:,}")
            for each in self.layers
        )
        return html_table(repr(self), ("#", "operator", "MACs", "bytes of constants"), rows)

    @property
    def graph(self) -> Graph:
        return self.parts[0].graph

    @property
    def layers(self) -> tuple[Layer, ...]:
        return self.parts[0].layers

    @property
    def macs(self) -> int:
        return self.parts[0].macs

    @property
    def constant_bytes(self) -> int:
        return self.parts[0].constant_bytes

    @property
    def output_bytes(self) -> int:
        return self.parts[0].output_bytes

    @property
    def peak_bytes(self) -> int:
        return self.parts[0].peak_bytes

    @property
    def refusals(self) -> tuple[UnsupportedError, ...]:
        refused = tuple(layer.refusal for part in self.parts for layer in part.layers if layer.refusal)
        return (*refused, self.limit) if self.limit else refused

    @property
    def doubts(self) -> Iterator[tuple[Verdict, str]]:
        """Each reason why the model does not simply run, with whose it is, in the order of the file."""
        for part in self.parts:
            for layer in part.layers:
                if layer.refusal is not None:
                    yield layer.verdict, str(layer.refusal)
                elif layer.verdict != "yes":
                    place = f"subgraph {part.graph.index}, operator {layer.op.index} ({layer.op.kind})"
                    yield layer.verdict, f"{place}: TFLM has no such operator, and runs it with a kernel of yours only"
        if self.limit is not None:
            yield _verdict(self.limit), str(self.limit)

    @property
    def runs_on_tflm(self) -> Literal["yes", "no", "unknown"]:
        """``no`` where TFLM refuses anything, ``unknown`` where refengine's own limits keep it from telling."""
        verdicts = {verdict for verdict, _ in self.doubts}
        return "no" if "no" in verdicts else "unknown" if "unknown" in verdicts else "yes"

    @property
    def gaps(self) -> tuple[Step, ...]:
        """What a partial plan leaves out."""
        return self.plan.gaps if self.plan else ()

    @property
    def computable(self) -> tuple[Tensor, ...]:
        """The model's outputs that no gap can touch; none where there is no plan."""
        behind = self.plan.behind() if self.plan else {}
        return tuple(t for t in self.plan.outputs if t.index not in behind) if self.plan else ()

    @cached_property
    def arena(self) -> Mapping[Target, Allocation]:
        """What TFLM allocates on each target with its reference kernels; nothing where refengine does not run it.

        Of a partial plan, without what its gaps ask for; nothing where they have tensors that nobody can count.
        """
        touched = [t for gap in self.gaps for t in (*gap.inputs, *gap.outputs) if t is not None]
        counted = all(t.dtype in {*np.sctypeDict, "int4", "resource"} and min(t.shape, default=0) >= 0 for t in touched)
        if self.plan is None or not counted:
            return {}
        return {target: allocation(self.plan, target) for target in get_args(Target)}

    @property
    def resolver(self) -> str:
        """The C++ that registers exactly this model's operators, of all its subgraphs; not what TFLM does not have."""
        ops = {(op.kind != op.name, op.kind): op for graph in self.model.graphs for op in graph.ops}
        calls = [
            f"resolver.{method_of(op)}();"
            if method_of(op)
            else f"resolver.AddCustom({c_string(op.kind)}, /* the TFLMRegistration* of your kernel */);"
            for (custom, _), op in sorted(ops.items(), key=lambda each: each[0])
            if custom or method_of(op)
        ]
        return "\n".join([f"tflite::MicroMutableOpResolver<{len(calls)}> resolver;", *calls])

    def as_dict(self) -> dict[str, Any]:
        """Everything but the constants' values in plain Python, for JSON."""
        return {
            "sha256": self.model.sha256,
            "description": self.model.description,
            "numerics": asdict(self.numerics),
            "signatures": [_signature(self.model, signature) for signature in self.model.signatures],
            "subgraphs": [_part(part) for part in self.parts],
            "variables": [
                {**_tensor(t, graph.index), "initial": _filling(self.state.variables.get((graph.index, t.index)))}
                for graph in self.model.graphs
                for t in graph.tensors
                if t.is_variable
            ],
            "resources": [
                {
                    "container": container,
                    "shared_name": shared_name,
                    "shape": tensor.shape,
                    "dtype": tensor.dtype,
                    "bytes": tensor_bytes([tensor]),
                    "initial": _filling(self.state.resources.get((container, shared_name))),
                }
                for (container, shared_name), tensor in self.resources.items()
            ],
            "macs": self.macs,
            "constant_bytes": self.constant_bytes,
            "output_bytes": self.output_bytes,
            "peak_bytes": self.peak_bytes,
            "arena": {
                target: {
                    "total": a.total,
                    "planned": a.planned,
                    "persistent": a.persistent,
                    "minimum": a.minimum,
                    "without": a.unknown,
                }
                for target, a in self.arena.items()
            },
            "runs_on_tflm": self.runs_on_tflm,
            "runs_in_refengine": self.plan is not None and not self.gaps,
            "gaps": [identity(step.op, step.subgraph) for step in self.gaps],
            "computable_outputs": [identity(tensor) for tensor in self.computable],
            "refusals": [{"runs": verdict, "message": message} for verdict, message in self.doubts],
            "resolver": self.resolver,
        }


def inspect(
    source: Source,
    *,
    numerics: Numerics | str | None = None,
    kernels: Kernels | None = None,
    memory: Memory = MEMORY,
    partial: bool = False,
) -> Survey:
    """Look at every operator of all the model's subgraphs, those that would be refused as well.

    The arguments are those of `make_plan`, the dialect and the kernels of a plan its own by default; nothing is raised
    for what `make_plan` would refuse. Only a `partial` plan tells what the rest comes to where an operator is refused:
    what the arena must hold without it, which outputs do without it.
    """
    if isinstance(source, Plan):
        numerics = source.numerics if numerics is None else numerics
        kernels = source.kernels if kernels is None else kernels
        source = source.model
    model = source if isinstance(source, Model) else load(source)
    numerics, kernels, memory = dialect(numerics), KERNELS if kernels is None else kernels, byte_count(memory)
    require_kernels(kernels)
    looked = [tuple(prepared(model, graph, numerics, kernels, memory, partial)) for graph in model.graphs]
    steps = [tuple(each for each in found if isinstance(each, Step)) for found in looked]
    plan, limit, state = None, None, State()
    try:
        state = state_before(model, steps)
        if steps == looked:  # all of them are prepared, or gaps
            plan = assembled(model, numerics, kernels, memory, steps)
    except UnsupportedError as error:
        limit = error
    parts = tuple(map(_part_of, model.graphs, looked, _callers(model, facts_of(kernels))))
    return Survey(model, numerics, parts, state, first_assigned(steps), plan, limit)


def _part_of(graph: Graph, found: Sequence[Step | UnsupportedError], called_by: tuple[tuple[int, Op], ...]) -> Part:
    looks = zip(graph.ops, found, _live_bytes(graph), strict=True)
    return Part(graph, tuple(_look(graph, *each) for each in looks), called_by)


def method_of(op: Op) -> str | None:
    """What registers the operator in TFLM's resolver; None for what TFLM does not have."""
    if op.kind == op.name:
        return TFLM_OPS.get(op.name)
    return CUSTOM_OPS.get(op.kind) or WITHOUT_HARDWARE.get(op.kind, (None,))[0]


def _verdict(refusal: UnsupportedError) -> Verdict:
    if not isinstance(refusal, LimitError):
        return "no"
    return "not in refengine" if refusal.tflm_runs else "unknown"


def _callers(model: Model, facts: Mapping[str, Facts]) -> list[tuple[tuple[int, Op], ...]]:
    """For each subgraph, the operators that run it."""
    callers: list[list[tuple[int, Op]]] = [[] for _ in model.graphs]
    for graph in model.graphs:
        for op in graph.ops:
            for callee in {op.options[name] for name in facts.get(op.kind, Facts()).calls}:
                callers[callee].append((graph.index, op))
    return [tuple(each) for each in callers]


def _look(graph: Graph, op: Op, step: Step | UnsupportedError, live_bytes: int) -> Layer:
    inputs = tuple(None if i < 0 else graph.tensors[i] for i in op.inputs)
    outputs = tuple(graph.tensors[i] for i in op.outputs)
    constants = [t for t in inputs if t is not None and t.data is not None]
    refusal = step if isinstance(step, UnsupportedError) else step.gap
    macs = None if isinstance(step, UnsupportedError) or step.gap else getattr(step.params, "macs", 0)
    return Layer(op, inputs, outputs, macs, tensor_bytes(constants), tensor_bytes(outputs), live_bytes, refusal)


def tensor_bytes(tensors: Iterable[Tensor]) -> int:
    """What tensors occupy on a device: int4 two to a byte, no alignment; 0 for dynamic shapes."""
    return sum(_bytes(tensor) for tensor in tensors)


def _bytes(tensor: Tensor) -> int:
    if tensor.dtype == "int4":
        return ceil(prod(tensor.shape) / 2)
    if tensor.data is not None:
        return tensor.data.nbytes
    try:
        return max(0, prod(tensor.shape)) * np.dtype(tensor.dtype).itemsize
    except TypeError:  # strings and the like, which no device has
        return 0


def _live_bytes(graph: Graph) -> list[int]:
    """For each operator, the bytes of all computed tensors between their writer (or the start) and last reader."""
    end = len(graph.ops) - 1
    first = dict.fromkeys(graph.inputs, 0) | {i: op.index for op in graph.ops for i in op.outputs}
    last = {i: op.index for op in graph.ops for i in (*op.outputs, *op.inputs)} | dict.fromkeys(graph.outputs, end)
    change = [0] * (len(graph.ops) + 1)
    for tensor in graph.tensors:
        if graph.ops and tensor.data is None and tensor.index in first and tensor.index in last:
            change[first[tensor.index]] += _bytes(tensor)
            change[last[tensor.index] + 1] -= _bytes(tensor)
    return [*accumulate(change[:-1])]


def _part(part: Part) -> dict[str, Any]:
    index = part.graph.index
    return {
        "index": index,
        "name": part.graph.name,
        "called_by": [identity(op, caller) for caller, op in part.called_by],
        "inputs": [_tensor(part.graph.tensors[i], index) for i in part.graph.inputs],
        "outputs": [_tensor(part.graph.tensors[i], index) for i in part.graph.outputs],
        "layers": [_layer(layer, index) for layer in part.layers],
        "macs": part.macs,
        "constant_bytes": part.constant_bytes,
        "output_bytes": part.output_bytes,
        "peak_bytes": part.peak_bytes,
    }


def _layer(layer: Layer, subgraph: int) -> dict[str, Any]:
    return {
        "operator": identity(layer.op, subgraph),
        "version": layer.op.version,
        "options": dict(layer.op.options),
        "inputs": [None if t is None else _tensor(t, subgraph) for t in layer.inputs],
        "outputs": [_tensor(t, subgraph) for t in layer.outputs],
        "macs": layer.macs,
        "constant_bytes": layer.constant_bytes,
        "output_bytes": layer.output_bytes,
        "live_bytes": layer.live_bytes,
        "runs": layer.verdict,
        "refusal": None if layer.refusal is None else str(layer.refusal),
    }


def _signature(model: Model, signature: Signature) -> dict[str, Any]:
    def named(arguments: Mapping[str, int]) -> dict[str, Any]:
        tensors = model.graphs[signature.subgraph].tensors
        return {name: identity(tensors[i], signature.subgraph) for name, i in arguments.items()}

    return {
        "key": signature.key,
        "subgraph": signature.subgraph,
        "inputs": named(signature.inputs),
        "outputs": named(signature.outputs),
    }


def _filling(value: Array | None) -> Any:
    """What every element of a variable is at first; None where there is none, or nobody knows."""
    return value.flat[0].item() if value is not None and value.size else None


def _tensor(tensor: Tensor, subgraph: int) -> dict[str, Any]:
    return {
        **identity(tensor, subgraph),
        "shape": tensor.shape,
        "dtype": tensor.dtype,
        "constant": tensor.data is not None,
        "bytes": tensor_bytes([tensor]),
        "quantization": tensor.quantization
        and {
            "scale": tensor.quantization.scale,
            "zero_point": tensor.quantization.zero_point,
            "quantized_dimension": tensor.quantization.quantized_dimension,
        },
    }
