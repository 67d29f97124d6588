"""A float32 network and its ranges become the quantised network that TensorFlow 2.21's converter would write.

Every tensor is made in one form, float32 or codes, and read in one or more. `Forms` decides on them; the graph is then
written in order, with a QUANTIZE or DEQUANTIZE wherever a tensor is read in another form than it was made in.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain, count

import numpy as np

from ..errors import InputError, UnsupportedError, located, require
from ..kernel import Kernels, Numerics
from ..kernels import KERNELS, dequantize, quantize
from ..memory import MEMORY, Memory
from ..model import Graph, Model, Op, Quantization, Tensor
from ..plan import Plan, Source, Step, make_plan, prepared, require_whole
from .calibrate import Ranges
from .curves import check_curve, check_quotients, check_zeros
from .forms import Form, Forms
from .parameters import PARAMETERS, computes_reals, floats, left_in_float, parameters, ranged
from .rules import rule, stays_float, weighed, with_intermediates
from .variables import Name, accesses, begun, check_begins, check_kept

_QUANTIZE = Op(0, quantize.NAME, (), (), options_type="QuantizeOptions")
_DEQUANTIZE = Op(0, dequantize.NAME, (), (), options_type="DequantizeOptions", version=2)


def convert(
    model: Source,
    ranges: Ranges,
    *,
    activations: str = "int8",
    io: str | None = None,
    keep: Collection[int | str] = (),
    kernels: Kernels = KERNELS,
    memory: Memory = MEMORY,
) -> Model:
    """Quantise a trained float32 `model`: weights to int8, `activations` to ``"int8"`` or ``"int16"`` (16×8).

    `model` is its plan, whose kernels then count, or what one is made of; `kernels` are those of `make_plan`, for
    operators of your own.

    `ranges` are those of `calibrate`. The result's inputs and outputs are `io`: the `activations` type itself (the
    default) or ``"float32"``. The operators of `keep` (see `kept_of`) stay in float, between DEQUANTIZE and QUANTIZE.

    Given equal ranges, scales, zero points, weights and biases equal those of TensorFlow 2.21's converter bit for bit,
    and names, versions and options are as it leaves them; the metadata stays the float file's. Operators that it leaves
    in float at int8 stay there. Where its models would not run, or be wrong, this departs from it: operators that it
    would leave in float by mistake are quantised; at int16×8 a range that is next to nothing has a scale all the same,
    a PADV2's padding value is quantised, SUM has a scale of its own, a bias that two operators share is quantised for
    each, and an LSTM is quantised by int8's rules; resource variables are quantised with what reads and assigns them,
    and a state always has the scale of the output that it becomes. An input that nobody reads stays float.

    The result has been planned, so it runs. Raises `InputError` for a model that is quantised already, ranges that are
    missing or not finite, and arguments that do not fit; `UnsupportedError` for operators that cannot be quantised
    (`keep` may leave them in float), for what TFLM could not run, before or after, and for logits, quotients and
    padding of which its integer kernels make nonsense.
    """
    plan = model if isinstance(model, Plan) else make_plan(model, kernels=kernels, memory=memory)
    require_whole(plan, "quantisation")
    keep = kept_of(plan, keep)
    check(plan, activations=activations, io=io, keep=keep)
    kept = frozenset({*keep, *left_in_float(plan.graph, activations)})
    model, graph = plan.model, with_intermediates(plan.graph, kept)
    _check_ranges(graph, ranges)
    with np.errstate(all="ignore"):  # scales that overflow are refused when they are planned
        forms = Forms(graph, parameters(graph, ranges, activations), activations, io or activations, kept)
        writer = _Writer(forms)
        written = writer.graph()
    place = {i: writer.read(forms.outside(i)) for i in (*graph.inputs, *graph.outputs)}
    signatures = [
        replace(
            signature,
            inputs={name: place[i] for name, i in signature.inputs.items() if i in place},
            outputs={name: place[i] for name, i in signature.outputs.items() if i in place},
        )
        for signature in model.signatures
    ]
    with located("the quantised model"):
        others = [begun(other, writer.held(), activations) for other in model.graphs[1:]]
        quantized = replace(model, graphs=(written, *others), signatures=tuple(signatures), sha256="")
        _check_written(quantized, plan, writer.origins)
    return quantized


def _check_written(model: Model, plan: Plan, origins: Mapping[int, int]) -> None:
    """Refuse what TFLM would not run, or not run well, with the float model's number of the operator."""
    for index, step in enumerate(prepared(model, model.graphs[0], Numerics(), plan.kernels, plan.memory)):
        try:
            if isinstance(step, UnsupportedError):
                raise step
            for check_step in (check_curve, check_quotients, check_zeros):
                check_step(step)
        except UnsupportedError as error:
            if index not in origins:
                raise
            error.args = (f"{error}; {_kept_in_float(origins[index])}",)
            raise


def _kept_in_float(index: int) -> str:
    return f"keep={{{index}}} (--keep {index}) leaves it in float"


def kept_of(plan: Plan, layers: Collection[int | str]) -> frozenset[int]:
    """The numbers of the operators that are meant by their number, by their type (all such), or by a part of their
    output's name between slashes and semicolons. Raises `InputError` for anything else."""
    if isinstance(layers, str) or not isinstance(layers, Collection):
        raise InputError(f"keep is {layers!r}; give several operators, such as keep={[layers]!r}")
    found: set[int] = set()
    for layer in layers:
        name = str(layer)
        meant = {step.index for step in plan.steps if name in _names(step)}
        if not meant:
            alike = [step.name for step in plan.steps if step.name == name.upper()]
            hint = f" (there is {alike[0]})" if alike else ""
            known = ", ".join(f"{step.index} {step.name}" for step in plan.steps)
            raise InputError(
                f"no operator to keep in float has the number, type or name {name!r}{hint}; give some of these, "
                f"each by itself: {known}"
            )
        found |= meant
    return frozenset(found)


def _names(step: Step) -> set[str]:
    output = [step.outputs[0].name] if step.outputs else []
    return {str(step.index), step.name, *output, *(part for name in output for part in re.split("[/;]", name))}


def check(plan: Plan, *, activations: str = "int8", io: str | None = None, keep: Collection[int] = ()) -> None:
    """Refuse what `convert` refuses whatever the ranges, which are then not worth calibrating."""
    if activations not in PARAMETERS or io not in (None, activations, "float32"):
        raise InputError(
            f"activations {activations!r} with inputs and outputs {io or activations!r}: activations are 'int8' or "
            "'int16', inputs and outputs are of the same type or 'float32'"
        )
    _check_model(plan.model)
    _check_operators(plan, activations, keep)


def _check_model(model: Model) -> None:
    check_begins(model)
    for tensor in (tensor for graph in model.graphs for tensor in graph.tensors):
        where = f"tensor {tensor.index} '{tensor.name}'"
        scaled = tensor.quantization is not None and tensor.quantization.scale
        if scaled:
            raise InputError(
                f"{where} is {tensor.dtype}: the model is quantised already; give the float32 file it was made from"
            )
        if tensor.dtype in ("int4", "int8", "uint8", "int16"):
            raise InputError(
                f"{where} is {tensor.dtype} without a scale: what holds integers that are no codes, such as samples of "
                "sound, is not quantised; give the float32 layers behind it as a model of their own"
            )
        values = tensor.data if tensor.dtype == "float32" else None
        if values is not None and values.size and not _is_range(values.min(), values.max()):
            raise InputError(f"{where} is a constant with values that are not finite; train the network again")


def _check_operators(plan: Plan, activations: str, keep: Collection[int]) -> None:
    graph = plan.graph
    check_kept(graph, keep)
    for op in graph.ops:
        if op.index in keep or stays_float(op, activations) or not computes_reals(graph, op):
            continue
        where = f"operator {op.index} ({op.kind})"
        quantized = rule(op).quantized
        require(
            quantized is not None and activations in quantized.versions,
            f"{where}: there is no rule to quantise it to {activations}; {_kept_in_float(op.index)}",
        )
        require(
            (op.name, activations) in plan.kernels or bool(rule(op).resource),
            f"{where}: there is no {activations} kernel for it; {_kept_in_float(op.index)}",
        )
        _check_constants(graph, op, where)
        _check_states(graph, op, where)


def _check_constants(graph: Graph, op: Op, where: str) -> None:
    """Refuse weights and biases that are computed at run time, but for weights alone whose zero point counts."""
    for layer in weighed(op):
        weights, bias = (
            graph.tensors[op.inputs[at]] if at is not None and at < len(op.inputs) and op.inputs[at] >= 0 else None
            for at in (layer.weights, layer.bias)
        )
        require(
            weights is None or bias is None or (weights.data is not None and bias.data is not None),
            f"{where}: a bias is quantised only if it and the weights are constants; {_kept_in_float(op.index)}",
        )
        require(
            weights is None or weights.data is not None or rule(op).layout in ("OI", ""),  # these do not ignore it
            f"{where}: its weights are computed at run time, and TFLM would ignore their zero point; "
            f"{_kept_in_float(op.index)}",
        )


def _check_states(graph: Graph, op: Op, where: str) -> None:
    """Refuse variables whose form no rule tells, or that operators share, each of which may want another form."""
    quantized = rule(op).quantized
    for at, i in floats(graph, op.inputs):
        require(
            not graph.tensors[i].is_variable
            or (quantized is not None and at in quantized.states and _uses(graph, i) == 1),
            f"{where}: there is no rule to quantise the variable '{graph.tensors[i].name}', or others use it too; "
            f"{_kept_in_float(op.index)}",
        )


def _uses(graph: Graph, index: int) -> int:
    """How many operators read a tensor, and once more if it leaves or enters the graph."""
    return sum(index in op.inputs for op in graph.ops) + (index in (*graph.inputs, *graph.outputs))


def _check_ranges(graph: Graph, ranges: Ranges) -> None:
    for i in ranged(graph):
        where = f"tensor {i} '{graph.tensors[i].name}'"
        if i not in ranges:
            raise InputError(f"the range of {where} is missing; calibrate this very model")
        low, high = ranges[i]
        if not _is_range(low, high):
            raise InputError(f"the range of {where} is [{low:g}, {high:g}]; calibrate with data that keep it finite")


def _is_range(low: float, high: float) -> bool:
    """Whether the two are in order and finite, and so is their difference, in float32."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(low <= high and np.isfinite(np.float32(high) - np.float32(low)))


@dataclass(frozen=True, eq=False)
class _Writer:
    """The quantised graph while it is written; `places` says where each form stands among its `tensors`.

    `origins` are the float graph's numbers of those operators that come from it.
    """

    forms: Forms
    tensors: list[Tensor] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    places: dict[Form, int] = field(default_factory=dict)
    made: dict[int, Form] = field(default_factory=dict)
    ready: set[Form] = field(default_factory=set)
    ops: list[Op] = field(default_factory=list)
    origins: dict[int, int] = field(default_factory=dict)

    def graph(self) -> Graph:
        forms, graph = self.forms, self.forms.graph
        reads = {op.index: forms.reads(op) for op in graph.ops}
        makes = {op.index: forms.makes(op) for op in graph.ops}
        self.made.update({i: forms.outside(i) for i in graph.inputs})
        self.made.update({form.tensor: form for made in makes.values() for form in made})
        outputs = [forms.outside(i) for i in graph.outputs]
        wanted = [form for form in chain(*reads.values(), outputs) if form]
        for form in self._first(wanted):
            self.place(form)
        by_tensor: dict[int, list[Form]] = {}
        for form in wanted:
            by_tensor.setdefault(form.tensor, []).append(form)
        self._convert_now(graph.inputs, by_tensor)
        for op in graph.ops:
            inputs = tuple(-1 if form is None else self.read(form) for form in reads[op.index])
            made = tuple(self.place(form) for form in makes[op.index])
            op = replace(op, intermediates=tuple(self.place(form) for form in forms.between(op)))
            self.origins[len(self.ops)] = op.index
            self.append(self._rewritten(op, (*reads[op.index], *makes[op.index])), inputs, made)
            self._convert_now(op.outputs, by_tensor)
        results = tuple(self.read(form) for form in outputs)
        newest = {op.name: op.version for op in sorted(self.ops, key=lambda op: op.version)}  # one for all of a name
        return replace(
            graph,
            inputs=tuple(self.place(forms.outside(i)) for i in graph.inputs),
            outputs=results,
            tensors=tuple(self.tensors),
            ops=tuple(replace(op, version=newest[op.name]) for op in self.ops),
        )

    def held(self) -> dict[Name, Quantization]:
        """The parameters of the variables of floats, but of those that stay in float."""
        values = ((op, name, value) for op, name, value in accesses(self.forms.graph) if self.forms.quantises(op))
        forms = ((name, form) for op, name, value in values for form in (*self.forms.reads(op), *self.forms.makes(op)))
        return {name: form.quantization for name, form in forms if form and form.quantization}

    @cached_property
    def theirs(self) -> frozenset[str]:
        """The names in the float model."""
        return frozenset(tensor.name for tensor in self.forms.graph.tensors)

    def place(self, form: Form) -> int:
        """The index of a tensor in this form, which is added if there is none yet."""
        if form not in self.places:
            tensor = self.forms.graph.tensors[form.tensor]
            self.places[form] = len(self.tensors)
            name = self._name(form)
            self.names.add(name)
            self.tensors.append(
                replace(
                    tensor,
                    index=len(self.tensors),
                    name=name,
                    dtype=form.dtype,
                    quantization=form.quantization,
                    data=self.forms.codes.get(form, tensor.data),
                )
            )
        return self.places[form]

    def read(self, form: Form) -> int:
        """The index of a tensor in the form that is read. The usual codes, and floats, come from how it was made."""
        if form not in self.ready and form != self.made.get(form.tensor, form):
            self.ready.add(form)
            usual = self.forms.usual(form.tensor)
            as_made = form.dtype == "float32" or form == usual
            source = self.place(self.made[form.tensor]) if as_made else self.read(usual)
            op = _QUANTIZE if form.dtype != "float32" else _DEQUANTIZE
            if op is _QUANTIZE and self.tensors[source].dtype == "int16":
                op = replace(op, version=2)
            self.append(op, (source,), (self.place(form),))
        return self.place(form)

    def append(self, op: Op, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> None:
        self.ops.append(replace(op, index=len(self.ops), inputs=inputs, outputs=outputs))

    def _convert_now(self, indices: Collection[int], wanted: Mapping[int, list[Form]]) -> None:
        """The MLIR quantizer converts a tensor right behind what made it, the older one when it is read."""
        for index in indices if self.forms.activations == "int8" else ():
            for form in wanted.get(index, ()):
                self.read(form)

    def _rewritten(self, op: Op, forms: Iterable[Form | None]) -> Op:
        """The operator as a quantised one. The older quantizer says so of those that compute indices, too."""
        activations = self.forms.activations
        quantized = rule(op).quantized
        if not quantized or op.index in self.forms.keep or not (activations == "int16" or self.forms.quantises(op)):
            return op
        changes = quantized.int16_options if activations == "int16" else {}
        version = max(op.version, quantized.versions.get(activations, 0))
        if rule(op).arithmetic == "*" and activations == "int8":  # 3: its multiplier may be 1 or more
            one, other, product = (
                np.float32(form.quantization.scale[0]) for form in forms if form and form.quantization
            )
            version = 3 if one * other / product >= 1 else version
        return replace(op, options={**op.options, **changes}, version=version)

    def _first(self, wanted: list[Form]) -> list[Form]:
        """The forms that stand first, as the converter orders them; others follow as they are made.

        The MLIR quantizer has inputs first, then constants as they were, by their first use, then quantised ones, by
        their last; the older one leaves everything in its place.
        """
        graph = self.forms.graph
        constants = [form for form in wanted if graph.tensors[form.tensor].data is not None]
        if self.forms.activations == "int16":
            usual = [form for form in (*wanted, *self.made.values()) if form == self.forms.usual(form.tensor)]
            return sorted((*constants, *usual), key=lambda form: form.tensor)
        coded = [form for form in constants if form.quantization]
        inputs = [self.made[i] for i in graph.inputs]
        return [*inputs, *(form for form in constants if not form.quantization), *reversed(coded)]

    def _name(self, form: Form) -> str:
        """The tensor's own name for the form in which it is made or leaves the graph; others as the converter's."""
        forms, graph, index = self.forms, self.forms.graph, form.tensor
        name = graph.tensors[index].name
        taken: list[Collection[str]] = [self.names]
        if form != (forms.outside(index) if index in graph.outputs else self.made.get(index, form)):
            taken.append(self.theirs)
            if forms.activations == "int16":
                usual = "_int16" if form == forms.usual(index) else "_requantized"
                name += "_float" if form.dtype == "float32" else usual
            elif index in graph.inputs:
                name = "tfl.quantize"
        choices = chain((name,), (f"{name}{n}" for n in count(1)))
        return next(choice for choice in choices if not any(choice in names for names in taken))
