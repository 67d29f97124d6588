"""Whole models, grown from the kernels' examples: each operator starts from tensors that the graph has already."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from ..errors import InputError, require_names
from ..files import write, write_npz, written_or_told
from ..kernel import Facts, Kernels, Node
from ..kernels import KERNELS, require_kernels
from ..kernels._affine import params_of, real_range
from ..kernels._tflm import TFLM_OPS
from ..model import Array, Quantization, Tensor
from ..text import printed
from ..tflite_io import dump, load
from .operators import inputs_of, model_of
from .toolbox import Toolbox


def growing(kernels: Kernels) -> Kernels:
    """The kernels that can go on from a tensor of a graph; the others need nodes around them.

    TFLM's custom operators are left out: they take tensors of one kind each, leave elements unwritten, or end the
    inference early.
    """
    own = {key for key, kernel in kernels.items() if KERNELS.get(key) is not kernel}
    able = {key: kernel for key, kernel in kernels.items() if key[1] and not kernel.facts.resource}
    return {key: kernel for key, kernel in able.items() if key in own or key[0] in TFLM_OPS}


QUANTIZED = ("int8", "int16", "uint8")
"""The types whose tensors have scale and zero point wherever they come from."""

LARGEST = 1000
"""Tensors with more elements are read by no further operator, so that a case takes milliseconds."""


@dataclass(frozen=True, repr=False, eq=False)
class Case:
    """A model, the bytes of a `.tflite` file, and an array for each of its inputs; printed as a graph with arrays."""

    model: bytes
    inputs: tuple[Array, ...]

    @printed
    def __repr__(self) -> str:
        graph = load(self.model).graphs[0]
        with np.printoptions(threshold=64):
            fed = [f"  {graph.tensors[i].name!r} = {x!r}" for i, x in zip(graph.inputs, self.inputs, strict=True)]
        return "\n".join([f"Case of {len(self.model)} bytes:", str(graph), *fed])

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """How Hypothesis prints it, which else would show the bytes."""
        printer.text(repr(self).replace("\n", "\n    "))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to `path`, and its inputs by name beside it, as ``.npz``: what `refengine run` reads.

        Raises `InputError` if they cannot be written.
        """
        graph = load(self.model).graphs[0]
        named = {graph.tensors[i].name: x for i, x in zip(graph.inputs, self.inputs, strict=True)}
        with written_or_told():
            write(path, self.model)
            write_npz(Path(path).with_suffix(".npz"), named)


def models(
    ops: Collection[str] | None = None,
    dtypes: Collection[str] | None = None,
    max_ops: int = 6,
    *,
    finite: bool = True,
    kernels: Kernels = KERNELS,
) -> st.SearchStrategy[Case]:
    """Whole models that TFLM runs, of one to `max_ops` operators, each with inputs.

    `ops` are names of operators, such as ``"CONV_2D"``, by default all that refengine has. `dtypes` are the types of
    everything fed and computed, such as ``"int8"``, by default all. An operator reads the latest tensor, an older one,
    or a new input: so there are chains, branches, residual links, joins, and tensors read twice. Outputs of a model
    are the tensors that no operator reads, and at times others, even its inputs. Unless `finite`, float32 inputs have
    infinities and NaN in them, too; what is computed from finite ones may become such anyway. `kernels` are those of
    `make_plan`, for operators of your own.

    Cases shrink to one operator on single elements. Raises `InputError` for what refengine does not have, and for
    operators none of which can do with the types.
    """
    if not isinstance(max_ops, int) or max_ops < 1:
        raise InputError(f"max_ops is {max_ops!r}, but a model has one operator or more")
    require_kernels(kernels)
    chosen = _chosen(growing(kernels), ops, dtypes)

    @st.composite
    def cases(draw: Callable[[Any], Any]) -> Case:
        grown = _grown(draw, chosen, max_ops, dtypes)
        assume(grown)
        tensors = {id(t): t for node in grown for t in moving(node)}
        read = {id(t) for node in grown for t in node.inputs}
        unread = [t for key, t in tensors.items() if key not in read]
        more = draw(st.lists(st.sampled_from(list(tensors.values())), max_size=2))
        model = model_of(*grown, outputs=list({id(t): t for t in (*unread, *more)}.values()))
        return Case(dump(model), draw(inputs_of(model, finite=finite)))

    return cases()


def _chosen(kernels: Kernels, ops: Collection[str] | None, dtypes: Collection[str] | None) -> Kernels:
    """The kernels to draw from."""
    for what, given, position in (("operators", ops, 0), ("types", dtypes, 1)):
        known = sorted({key[position] for key in kernels})
        require_names(given, what)
        for name in given or ():
            if name not in known:
                raise InputError(f"refengine has no {name!r}; the {what} are {', '.join(known)}")
    keys = [key for key in kernels if ops is None or key[0] in ops]
    reading = [key for key in keys if dtypes is None or key[1] in dtypes]
    fitting = [key for key in reading if dtypes is None or not _computes(kernels, *key).isdisjoint(dtypes)]
    if reading and not fitting:
        others = sorted(set().union(*(_computes(kernels, *key) for key in reading)))
        raise InputError(
            f"{_names(reading, 0)} of {_names(reading, 1)} computes {' or '.join(others)}; add it to dtypes"
        )
    if not fitting:
        raise InputError(
            f"none of the operators {list(ops or ())} has a kernel for any of the types {list(dtypes or ())}; "
            f"they have some for {_names(keys, 1)}"
        )
    return {key: kernels[key] for key in fitting}


def _names(keys: list[tuple[str, str]], position: int) -> str:
    return ", ".join(sorted({key[position] for key in keys})) or "none"


def _computes(kernels: Kernels, op: str, dtype: str) -> set[str]:
    """The types that an operator may compute from `dtype`."""
    return {*kernels[op, dtype].facts.computes.get(dtype, (dtype,))}


def _grown(draw: Callable[[Any], Any], kernels: Kernels, max_ops: int, dtypes: Collection[str] | None) -> list[Node]:
    """Nodes that share tensors, in an order that runs."""
    make = Growing()
    nodes: list[Node] = []
    count = draw(make.integers(1, max_ops))  # a number first, then as many draws: what the shrinker knows to shorten
    for _ in range(count + 8):  # some bring a type that is not wanted
        node = draw(_one_more(kernels, make))
        if dtypes is None or all(t.dtype in dtypes for t in moving(node)):
            nodes.append(node)
            make.keep(moving(node))
        if len(nodes) == count:
            break
    return nodes


@st.composite
def _one_more(draw: Callable[[Any], Any], kernels: Kernels, make: Growing) -> Node:
    """A node of an operator for which there is a tensor, if there is one."""

    def either(what: Any) -> Any:
        return what(draw) if callable(what) else draw(what)

    types = {t.dtype for t in make.tensors}
    ready = [key for key in kernels if key[1] in types] or list(kernels)
    joining = [key for key in ready if _joins(kernels[key].facts)]  # three times as often as others
    op, dtype = draw(make.sampled_from([*ready, *joining * 2]))
    return kernels[op, dtype].example(either, make)


def _joins(facts: Facts) -> bool:
    """Whether an operator brings branches together."""
    return facts.joins or bool(facts.arithmetic)


def moving(node: Node) -> list[Tensor]:
    """The tensors of a node that are no constants."""
    return [t for t in (*node.inputs, *node.outputs) if t is not None and t.data is None]


class Growing(Toolbox):
    """A toolbox whose `input`s are mostly tensors of a graph."""

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []  # that further operators may read, what was made or read last in front

    def keep(self, tensors: list[Tensor]) -> None:
        """The tensors of a new node, its output last."""
        for tensor in filter(_usable, tensors):
            self.tensors = [tensor, *(t for t in self.tensors if t is not tensor)]

    def input(
        self, shape: Any, dtype: str, quantization: Any = None, fits: Callable[[Tensor], bool] | None = None
    ) -> Any:
        quantized = isinstance(quantization, Quantization) or dtype in QUANTIZED
        new = super().input(shape, dtype, quantization)
        fitting = [
            t
            for t in self.tensors
            if t.dtype == dtype and (t.quantization is not None) == quantized and (fits is None or fits(t))
        ]

        def choose(draw: Callable[[Any], Any]) -> Tensor:
            # every choice is drawn, needed or not: so a case stays one when the shrinker takes a tensor away
            tensor: Tensor = draw(new)
            among, index = draw(self.sampled_from((1, 3, 1, 8, 3, 0))), draw(self.integers(0, 7))
            if fitting and among:
                tensor = fitting[index % min(among, len(fitting))]
            # the operator's other inputs are rather other tensors
            self.tensors = [*(t for t in self.tensors if t is not tensor), *(t for t in self.tensors if t is tensor)]
            return tensor

        return choose


def _usable(tensor: Tensor) -> bool:
    """Whether any operator can go on from here: scales drift with each product, and int16 wants zero points of 0."""
    if prod(tensor.shape) > LARGEST:
        return False
    if tensor.quantization is None or tensor.dtype not in QUANTIZED:
        return True
    low, high = real_range(tensor)
    return 2.0**-5 <= high - low <= 2.0**12 and (tensor.dtype != "int16" or params_of(tensor)[1] == 0)
