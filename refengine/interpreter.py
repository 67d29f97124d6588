"""The `tf.lite.Interpreter` interface over `Plan` and `execute`: change the import, keep the script.

    from refengine.interpreter import Interpreter  # was: from ai_edge_litert.interpreter import Interpreter

Names, defaults and the shapes of the answers are those of LiteRT's `interpreter.py`. What differs is for the better:
the arithmetic is TFLM's (or any dialect, `numerics`), every intermediate is kept, and wrong calls raise
errors of the same kinds that say what to do.
"""

from __future__ import annotations

import enum
import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from operator import index as as_int
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import InferenceError, InputError, RefengineError, UnsupportedError
from .execute import execute, require_room_for_all
from .kernel import Kernels, Numerics, dialect
from .kernels import KERNELS, require_kernels
from .memory import MEMORY, Memory, byte_count
from .model import Array, Graph, Signature, Tensor
from .plan import Plan, beginning, make_plan
from .state import State, frozen
from .text import printed
from .tflite_io import load

DTYPES = {"int4": "int8", "resource": "O", "variant": "O", "string": "S"}
"""How LiteRT gives types that NumPy does not have."""

Sizes = Sequence[int] | npt.NDArray[np.integer[Any]]
"""A shape, such as a tuple, or what the details of a tensor hold."""


class StateError(RefengineError, RuntimeError):
    """A call came at the wrong time: before `allocate_tensors`, or while an array of `tensor()` is still held."""


@dataclass
class _Shared:
    """What the interpreters of a model's subgraphs have in common, `others` than the `first` made as they are asked
    for: the plan, and what lives on, of so many inferences at once (0 before the first allocation)."""

    first: weakref.ref[Interpreter]
    others: dict[int, Interpreter] = field(default_factory=dict)
    plan: Plan | None = None
    state: State = field(default_factory=State)
    batch: int = 0
    entered: set[int] = field(default_factory=set)

    def enter(self, graph: int) -> None:
        """An inference begins in a subgraph. Where others have been entered as well, what CALL_ONCE has run for one of
        them is not run again: TFLM, which enters the first one alone, keeps a flag for each operator."""
        self.entered.add(graph)
        assert self.plan is not None
        if len(self.entered) > 1:
            self.state = _once_for_all(self.plan, self.state)


def _once_for_all(plan: Plan, state: State) -> State:
    """The state in which a subgraph that one CALL_ONCE has run is run by no other."""
    steps = [step for each in plan.plans.values() for step in each.steps if step.facts.control == "once"]
    flags = {(step.subgraph, step.index): state.memory[step.subgraph, step.index][0] for step in steps}
    for step in steps:
        alike = [flags[each.subgraph, each.index] for each in steps if each.calls == step.calls]
        state = state.with_memory(step.subgraph, step.index, (frozen(np.logical_or.reduce(alike)),))
    return state


class OpResolverType(enum.Enum):
    """LiteRT's choice of kernels, accepted and without effect: refengine has one kernel an operator and type."""

    AUTO = 0
    BUILTIN = 1
    BUILTIN_REF = 2
    BUILTIN_WITHOUT_DEFAULT_DELEGATES = 3


def load_delegate(library: str, options: Mapping[str, Any] | None = None) -> Any:
    """Raises `InputError` (a ValueError, as LiteRT's does), which scripts catch to fall back to the CPU."""
    raise InputError(f"Failed to load delegate from {library}: refengine computes everything itself; leave it out")


class Interpreter:
    """Runs one `.tflite` model the way a `tf.lite.Interpreter` is used.

    Answers and kinds of errors are LiteRT's: ValueError for wrong values, indices and bad files (`InputError`,
    `ModelError`), RuntimeError for what cannot run or not yet (`UnsupportedError`, `StateError`), TypeError for
    arguments of the wrong type.
    """

    def __init__(
        self,
        model_path: str | bytes | os.PathLike[str] | None = None,
        model_content: bytes | bytearray | memoryview | None = None,
        experimental_delegates: Sequence[Any] | None = None,
        num_threads: int | None = None,
        experimental_op_resolver_type: Any = OpResolverType.AUTO,
        experimental_preserve_all_tensors: bool = False,
        experimental_disable_delegate_clustering: bool = False,
        experimental_default_delegate_latest_features: bool = False,
        experimental_compress_quantization_zero_points: bool = False,
        experimental_disable_delegate_node_fusion: bool = False,
        experimental_force_delegate_node_profiling: bool = False,
        *,
        numerics: Numerics | str | None = None,
        kernels: Kernels = KERNELS,
        memory: Memory = MEMORY,
    ) -> None:
        """Read the model; `numerics` is a dialect or the name of one of `PRESETS` (default: TFLM's own).

        `kernels` are those of `make_plan`, for operators of your own; `memory` are the bytes that an inference, and all
        its tensors, may take.

        `num_threads`, the resolver type and what concerns delegates change no bit here and are only checked;
        intermediates are preserved in any case. Delegates, and compressed zero points, are refused.
        """
        if getattr(experimental_op_resolver_type, "name", None) not in OpResolverType.__members__:
            raise InputError(f"Unrecognized passed in op resolver type: {experimental_op_resolver_type}")
        if num_threads is not None and (not isinstance(num_threads, int) or num_threads < 1):
            raise InputError(f"num_threads should be an int >= 1, got {num_threads!r}")
        if not model_path and not model_content:
            raise InputError("`model_path` or `model_content` must be specified")
        if model_path and model_content:
            raise InputError("can't both provide `model_path` and `model_content`; leave one out")
        if isinstance(model_path, bytes | bytearray) and model_path[4:8] == b"TFL3":
            raise InputError("`model_path` holds a model's bytes; give them as `model_content`")
        if experimental_delegates:
            raise UnsupportedError("refengine computes everything itself; leave out experimental_delegates")
        if experimental_compress_quantization_zero_points:
            raise UnsupportedError("zero points are given as the file has them; leave out the option to compress them")
        self._numerics = dialect(numerics)
        require_kernels(kernels)
        self._kernels, self._memory = kernels, byte_count(memory)
        self._model = load(os.fsdecode(model_path) if model_path else bytes(memoryview(model_content or b"")))
        self._shared = _Shared(weakref.ref(self))  # who is let go is gone at once, with all its arrays
        self._begin(self._model.graphs[0])

    def _begin(self, graph: Graph) -> None:
        """Nothing is allocated yet of a subgraph."""
        self._graph = graph
        self._plan: Plan | None = None
        self._batch = 1  # how many inferences at once, in place of a leading dimension 1
        self._asked: dict[int, tuple[int, ...]] = {}  # shapes of inputs since the last allocation
        self._values: dict[int, Array] = {}
        self._views: list[weakref.ref[Array]] = []

    def _of(self, subgraph: int) -> Interpreter:
        """The interpreter of one subgraph; what lives on is the same in all of them."""
        index, count = as_int(subgraph), len(self._model.graphs)
        if not 0 <= index < count:
            raise InputError(f"subgraph_index is out of range: {index}; the model has subgraphs 0 to {count - 1}")
        others, first = self._shared.others, self._shared.first()
        if index == 0 and first is not None:
            return first
        if index not in others:
            others[index] = copy(self)
            others[index]._begin(self._model.graphs[index])
        return others[index]

    @printed
    def __repr__(self) -> str:
        return f"<Interpreter of {self._model!r}>" if self._plan is None else f"<Interpreter of {self._plan!r}>"

    # ---- running ----------------------------------------------------------------------------------------------

    def allocate_tensors(self) -> None:
        """Prepare every operator, and the inputs (zeros, or what they were if their shapes stayed).

        Raises `UnsupportedError` (a RuntimeError) for what TFLM or refengine would not run, and for inputs resized to
        different batches.
        """
        self._ensure_safe()
        declared = {i: self._graph.tensors[i].shape for i in self._graph.inputs}
        asked = {i: self._asked.get(i, self._shape(i)) for i in declared}
        batches = {1 if asked[i] == declared[i] else asked[i][0] for i in declared}
        if len(batches) > 1:
            raise UnsupportedError(f"the inputs were resized to different batches ({sorted(batches)}); give all one")
        plan = self._plan or self._planned()
        batch = batches.pop() if batches else 1
        require_room_for_all(plan, batch)
        if batch != self._batch or self._plan is None:
            constants = {t.index: t.data for t in self._graph.tensors if t.data is not None}
            self._values = {t.index: np.zeros(asked[t.index], t.dtype) for t in plan.inputs} | constants
        self._plan, self._batch, self._asked = plan, batch, {}
        if self._shared.batch != batch:
            self._shared.state, self._shared.batch = plan.initial, batch
        self._show_variables()

    def _planned(self) -> Plan:
        """The plan that begins in this subgraph."""
        if self._shared.plan is None:
            self._shared.plan = make_plan(
                self._model, numerics=self._numerics, kernels=self._kernels, memory=self._memory
            )
        return beginning(self._shared.plan, self._graph.index)

    def invoke(self) -> None:
        """Compute every tensor; variables live on into the next call.

        Raises `StateError` (a RuntimeError) before `allocate_tensors` or while views live, and `InferenceError` (a
        RuntimeError) where TFLM's Invoke fails.
        """
        self._ensure_safe()
        if self._plan is None or self._asked:
            raise StateError("Invoke called on model that is not ready; call allocate_tensors() first")
        inputs = [self._values[i].copy() for i in self._graph.inputs]
        shared = self._shared
        shared.enter(self._graph.index)
        try:
            for record in execute(self._plan, *inputs, state=shared.state):
                shared.state = record.state
                if record.rows is None:  # of a batch that parted nobody asks for one tensor
                    values = (self if not record.path else self._of(record.step.subgraph))._values
                    values.update(zip((t.index for t in record.step.outputs), record.outputs, strict=True))
        except InferenceError as error:
            shared.state = error.state
            raise
        finally:
            self._show_variables()

    def resize_tensor_input(self, input_index: int, tensor_size: Sizes, strict: bool = False) -> None:
        """Make an input a batch: N in place of a leading 1. Takes effect with `allocate_tensors`.

        Raises `UnsupportedError` (a RuntimeError) for any other change of shape, and where `strict` allows only
        dimensions declared as unknown (−1).
        """
        self._ensure_safe()
        tensor = self._input(input_index)
        size = np.asarray(tensor_size).astype(np.int32)
        if size.ndim != 1:
            raise InputError(f"Shape should be 1D instead of {size.ndim}; give one size for each dimension")
        shape = tuple(size.tolist())
        batchable = tensor.shape[:1] == (1,) and shape[1:] == tensor.shape[1:] and len(shape) > 0 and shape[0] > 0
        if shape != tensor.shape and not batchable:
            batch = f" or [N, {', '.join(map(str, tensor.shape[1:]))}]" if tensor.shape[:1] == (1,) else ""
            raise UnsupportedError(
                f"input '{tensor.name}' can have shape {list(tensor.shape)}{batch}, not {list(shape)}: TFLM's shapes "
                "are fixed, a batch is all that refengine adds"
            )
        if strict and shape != self._shape(tensor.index) and tensor.shape_signature[:1] != (-1,):
            raise UnsupportedError(f"input '{tensor.name}' has no unknown dimension, so strict forbids resizing it")
        self._asked[tensor.index] = shape

    def reset_all_variables(self) -> None:
        """Give variables and resource variables their first values, as TFLM's Reset; CALL_ONCE does not run again."""
        self._ensure_safe()
        if self._plan is not None:
            self._shared.state = self._plan.reset(self._shared.state)
            self._show_variables()

    def _show_variables(self) -> None:
        """Show the variables that live on as tensors."""
        batch = self._shared.batch
        for (graph, index), value in self._shared.state.variables.items():
            other = self._of(graph)
            shape = other._graph.tensors[index].shape
            several = (batch, *(shape[1:] if shape[:1] == (1,) else shape))
            other._values[index] = np.resize(value, shape if batch == 1 else several)

    # ---- values -----------------------------------------------------------------------------------------------

    def set_tensor(self, tensor_index: int, value: npt.ArrayLike) -> None:
        """Copy `value` into an input. Raises `InputError` (a ValueError) unless dtype and shape are the input's."""
        tensor = self._input(tensor_index)
        if self._plan is None or self._asked:
            raise InputError("Cannot set tensor: it is not allocated; call allocate_tensors() first")
        array = np.asarray(value)
        place = f"input {tensor.index}, name: {tensor.name}"
        if array.dtype != tensor.dtype:
            raise InputError(
                f"Cannot set tensor: Got value of type {array.dtype} but expected {tensor.dtype} for {place}"
            )
        shape = self._shape(tensor.index)
        if array.shape != shape:
            raise InputError(f"Cannot set tensor: Got shape {array.shape} but expected {shape} for {place}")
        self._values[tensor.index][...] = array

    def get_tensor(self, tensor_index: int, subgraph_index: int = 0) -> Array:
        """A copy of any tensor's value: inputs, outputs, constants, and every intermediate of the last `invoke`.

        Of another subgraph's it is that of its last run. Without dimensions it is a NumPy scalar, as LiteRT gives it.
        Raises `InputError` (a ValueError) for a wrong index and for what is not computed yet.
        """
        value = self._of(subgraph_index)._value(tensor_index)
        return value.copy() if value.ndim else value[()]

    def tensor(self, tensor_index: int) -> Callable[[], Array]:
        """A function that gives a view of the tensor's value at the time of its call.

        Write into an input's view to set it: ``interpreter.tensor(i)().fill(3)``. Views must be let go before
        `invoke`, `allocate_tensors` and `resize_tensor_input`, which raise `StateError` otherwise; the function may be
        kept. Constants are read-only.
        """
        return lambda: self._view(tensor_index)

    def _view(self, tensor_index: int) -> Array:
        value = self._value(tensor_index)
        index = as_int(tensor_index)
        if not value.flags.writeable and self._graph.tensors[index].data is None:
            value = self._values[index] = value.copy()
        # An array over a memoryview, not over an array: its slices then refer to it, and whoever holds one is noticed.
        view = np.asarray(value.data)
        self._views = [ref for ref in self._views if ref() is not None] + [weakref.ref(view)]
        return view

    def _ensure_safe(self) -> None:
        if any(ref() is not None for ref in self._views):
            raise StateError(
                "There is at least 1 reference to internal data in the interpreter, an array from tensor(): hold only "
                "the function, and let its arrays go (del) before this call"
            )

    def _value(self, tensor_index: int) -> Array:
        tensor = self._tensor(tensor_index)
        if tensor.index not in self._values:
            missing = "allocate_tensors()" if self._plan is None else "invoke()"
            raise InputError(f"Tensor data is null: '{tensor.name}' has no value yet; call {missing} first")
        return self._values[tensor.index]

    # ---- details ----------------------------------------------------------------------------------------------

    def get_input_details(self) -> list[dict[str, Any]]:
        """A dictionary for each input: name, index, shape, shape_signature, dtype, quantization,
        quantization_parameters (scales, zero_points, quantized_dimension, block_size), sparsity_parameters."""
        return [self._get_tensor_details(i) for i in self._graph.inputs]

    def get_output_details(self) -> list[dict[str, Any]]:
        """The same of each output."""
        return [self._get_tensor_details(i) for i in self._graph.outputs]

    def get_tensor_details(self, subgraph_index: int = 0) -> list[dict[str, Any]]:
        """The same of every tensor."""
        of = self._of(subgraph_index)
        return [of._get_tensor_details(t.index) for t in of._graph.tensors]

    def num_subgraphs(self) -> int:
        return len(self._model.graphs)

    def _get_tensor_details(self, tensor_index: int, subgraph_index: int = 0) -> dict[str, Any]:
        tensor = self._tensor(tensor_index)
        quantization = tensor.quantization
        shape = self._asked.get(tensor.index, self._shape(tensor.index))
        scales, zeros = (quantization.scale, quantization.zero_point) if quantization else ((), ())
        zero_points = np.array(zeros, np.int64).astype(np.int32)  # cut to 32 bits, as LiteRT does
        return {
            "name": tensor.name,
            "index": tensor.index,
            "shape": np.array(shape, np.int32),
            "shape_signature": np.array(tensor.shape_signature or shape, np.int32),
            "dtype": np.dtype(DTYPES.get(tensor.dtype, tensor.dtype)).type,
            "quantization": (scales[0], (*zero_points.tolist(), 0)[0]) if len(scales) == 1 else (0.0, 0),
            "quantization_parameters": {
                "scales": np.array(scales, np.float32),
                "zero_points": zero_points,
                "quantized_dimension": quantization.quantized_dimension if quantization else 0,
                "block_size": 0,
            },
            "sparsity_parameters": {},
        }

    def _get_ops_details(self) -> list[dict[str, Any]]:
        """Each operator's index, op_name, inputs and outputs (indices) with their types, as visualisers ask for."""

        def types(indices: tuple[int, ...]) -> list[Any]:
            return [self._get_tensor_details(i)["dtype"] for i in indices if i >= 0]

        return [
            {
                "index": op.index,
                "op_name": op.kind,
                "inputs": np.array(op.inputs, np.int32),
                "outputs": np.array(op.outputs, np.int32),
                "operand_types": types(op.inputs),
                "result_types": types(op.outputs),
            }
            for op in self._graph.ops
        ]

    # ---- signatures -------------------------------------------------------------------------------------------

    def get_signature_list(self) -> dict[str, dict[str, list[str]]]:
        """The names of inputs and outputs of each signature, in alphabetical order as LiteRT has them."""
        return {s.key: {"inputs": sorted(s.inputs), "outputs": sorted(s.outputs)} for s in self._model.signatures}

    def get_signature_runner(self, signature_key: str | None = None) -> SignatureRunner:
        """Something to call with arrays by name; the key may be left out if there is just one signature.

        One of another subgraph than the first, which TFLM has no way to enter, runs there as LiteRT does it, by TFLM's
        kernels: variables are shared, and what CALL_ONCE runs is run once for all. Raises `InputError` (a ValueError)
        for a wrong key.
        """
        signatures = {s.key: s for s in self._model.signatures}
        if signature_key is None and len(signatures) == 1:
            (signature_key,) = signatures
        if signature_key not in signatures:
            raise InputError(f"Invalid signature_key provided: {signature_key!r}; the model has {list(signatures)}")
        return SignatureRunner(self, signatures[signature_key])

    # ---- what all share ---------------------------------------------------------------------------------------

    def _tensor(self, tensor_index: int) -> Tensor:
        index, count = as_int(tensor_index), len(self._graph.tensors)
        if not 0 <= index < count:
            raise InputError(f"Invalid tensor index {index}: the model has tensors 0 to {count - 1}")
        return self._graph.tensors[index]

    def _input(self, tensor_index: int) -> Tensor:
        tensor = self._tensor(tensor_index)
        if tensor.index not in self._graph.inputs:
            raise InputError(f"tensor {tensor.index} '{tensor.name}' is no input; the inputs are {self._graph.inputs}")
        return tensor

    def _shape(self, index: int) -> tuple[int, ...]:
        """A tensor's shape now: its value's if it has one, else the declared one with the batch in it."""
        if index in self._values:
            return self._values[index].shape
        shape = self._graph.tensors[index].shape
        is_batched = self._batch > 1 and self._graph.tensors[index].data is None and shape[:1] == (1,)
        return (self._batch, *shape[1:]) if is_batched else shape


class SignatureRunner:
    """Runs a model by the names of a signature. Made by `Interpreter.get_signature_runner`."""

    def __repr__(self) -> str:
        return f"<SignatureRunner of {', '.join(self._inputs)} -> {', '.join(self._outputs)}>"

    def __init__(self, interpreter: Interpreter, signature: Signature) -> None:
        self._owner, self._interpreter = interpreter, interpreter._of(signature.subgraph)
        self._inputs = dict(sorted(signature.inputs.items()))
        self._outputs = dict(sorted(signature.outputs.items()))

    def __call__(self, **inputs: Array) -> dict[str, Array]:
        """The outputs by name, for all inputs by name; a batch if the arrays hold one.

        Raises `InputError` (a ValueError) for wrong names and dtypes, `UnsupportedError` (a RuntimeError) for shapes.
        """
        if inputs.keys() != self._inputs.keys():
            raise InputError(f"Invalid inputs for the signature: expected {list(self._inputs)}, got {list(inputs)}")
        for name, value in inputs.items():
            self._interpreter.resize_tensor_input(self._inputs[name], value.shape)
        self._interpreter.allocate_tensors()
        for name, value in inputs.items():
            self._interpreter.set_tensor(self._inputs[name], value)
        self._interpreter.invoke()
        subgraph = self._interpreter._graph.index
        return {name: self._interpreter.get_tensor(index, subgraph) for name, index in self._outputs.items()}

    def get_input_details(self) -> dict[str, dict[str, Any]]:
        """What `Interpreter.get_input_details` gives, by name."""
        return {name: self._interpreter._get_tensor_details(index) for name, index in self._inputs.items()}

    def get_output_details(self) -> dict[str, dict[str, Any]]:
        """What `Interpreter.get_output_details` gives, by name."""
        return {name: self._interpreter._get_tensor_details(index) for name, index in self._outputs.items()}
