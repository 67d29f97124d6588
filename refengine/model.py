"""What a `.tflite` file says: frozen records with the schema's names, and no behaviour but to be compared and read.

Names follow the TFLite schema (`schema.fbs`) in snake case, enumerations are their names as the schema spells
them (``"SAME"``, ``"RELU6"``), types are NumPy's names (``"int8"``, ``"float32"``; also ``"int4"``, ``"string"``, …).
Whatever the file leaves out is "", (), 0 or None here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

from .text import counted, printable, printed

Array = npt.NDArray[Any]

_SHOWN = 8  # constants up to this many elements are printed, larger ones only counted


@dataclass(frozen=True, slots=True)
class Quantization:
    """Affine quantisation, real = scale · (code − zero_point), per tensor or along one dimension.

    `scale` holds float32 values (widened to Python floats, which is exact); one entry means per tensor. `custom` is
    the payload of a quantisation unknown to TFLite, which then takes the place of all this.
    """

    scale: tuple[float, ...] = ()
    zero_point: tuple[int, ...] = ()
    quantized_dimension: int = 0
    min: tuple[float, ...] = ()
    max: tuple[float, ...] = ()
    custom: bytes = b""

    @printed
    def __str__(self) -> str:
        if len(self.scale) > 1:
            scales = (
                f"{len(self.scale)} scales {min(self.scale):g} … {max(self.scale):g} along {self.quantized_dimension}"
            )
        else:
            scales = ", ".join(f"scale {scale:g}" for scale in self.scale) or "no scale"
        offsets = set(self.zero_point)
        return f"{scales}, zero point {offsets.pop()}" if len(offsets) == 1 else scales


@dataclass(frozen=True, slots=True)
class Dimension:
    """How a sparse tensor stores one dimension: `format` is ``"DENSE"``, or ``"SPARSE_CSR"`` by the two arrays."""

    format: str
    dense_size: int = 0
    array_segments: tuple[int, ...] = ()
    array_indices: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Sparsity:
    """Where a sparse tensor's stored values belong: its dimensions in `traversal_order`, then those of its blocks."""

    traversal_order: tuple[int, ...]
    block_map: tuple[int, ...]
    dim_metadata: tuple[Dimension, ...]


@dataclass(frozen=True, slots=True)
class Variant:
    """What a tensor of dtype ``"variant"`` holds."""

    shape: tuple[int, ...]
    dtype: str
    has_rank: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """One tensor of a graph.

    `data` is the constant's value: a read-only array of `shape` (int4 unpacked to int8, one code an element), or None
    for a tensor computed at run time. Where NumPy has no such type (strings, bfloat16, resources) it is the file's
    bytes as uint8; of a sparse tensor it is what is stored, in one row.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    quantization: Quantization | None = None
    data: Array | None = field(default=None, repr=False)
    shape_signature: tuple[int, ...] = ()
    is_variable: bool = False
    has_rank: bool = False
    sparsity: Sparsity | None = None
    variant_tensors: tuple[Variant, ...] = ()

    def _facts(self) -> tuple[Any, ...]:
        """Everything, in a form that compares as one value; data by its bits, so −0.0 and NaN count."""
        data = None if self.data is None else (self.data.dtype, self.data.shape, self.data.tobytes())
        return (
            self.index,
            self.name,
            self.shape,
            self.dtype,
            self.quantization,
            data,
            self.shape_signature,
            self.is_variable,
            self.has_rank,
            self.sparsity,
            self.variant_tensors,
        )

    def __eq__(self, other: object) -> bool:
        return self._facts() == other._facts() if isinstance(other, Tensor) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    @printed
    def __str__(self) -> str:
        facts = [f"{self.dtype} {self.shape}"]
        if self.data is not None:
            facts.append(f"constant {self.data.tolist()}" if 0 < self.data.size <= _SHOWN else "constant")
        facts += ["variable"] * self.is_variable
        facts += ["sparse"] * (self.sparsity is not None)
        facts += [str(self.quantization)] if self.quantization else []
        return f"{', '.join(facts)}  {self.name!r}"


@dataclass(frozen=True, slots=True)
class Op:
    """One operator: `name` is the builtin's (``"CONV_2D"``), or ``"CUSTOM"`` with its `custom_code`.

    `inputs`, `outputs` and `intermediates` are tensor indices of the same graph; −1 is an optional input left out.
    `options` holds every field of the builtin's options table (`options_type` names that table) with the schema's
    defaults filled in.
    """

    index: int
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    options_type: str = ""
    version: int = 1
    custom_code: str = ""
    custom_options: bytes = b""
    intermediates: tuple[int, ...] = ()
    mutating_variable_inputs: tuple[bool, ...] = ()
    debug_metadata_index: int = -1

    @property
    def kind(self) -> str:
        """What the operator is: the builtin's name, or the custom code."""
        return self.custom_code if self.name == "CUSTOM" else self.name

    @printed
    def __str__(self) -> str:
        options = "".join(f"  {name}={printable(value)}" for name, value in self.options.items())
        custom = f"  {len(self.custom_options)} bytes of custom options" if self.custom_options else ""
        return f"{printable(self.kind)} {self.inputs} → {self.outputs}{options}{custom}"


SMALL = 10
"""Operators of a model that shows itself in full."""


@dataclass(frozen=True, slots=True, repr=False)
class Graph:
    """A subgraph: `ops` in execution order, `inputs` and `outputs` as tensor indices."""

    index: int
    name: str
    tensors: tuple[Tensor, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    ops: tuple[Op, ...]
    debug_metadata_index: int = -1

    @printed
    def __str__(self) -> str:
        def lines() -> Iterator[str]:
            yield f"subgraph {self.index} {self.name!r}: inputs {self.inputs}, outputs {self.outputs}"
            yield from (f"  tensor {tensor.index:3}  {tensor}" for tensor in self.tensors)
            yield from (f"  operator {op.index:3}  {op}" for op in self.ops)

        return "\n".join(lines())

    __repr__ = __str__


@dataclass(frozen=True, slots=True)
class Signature:
    """A named entry point: argument name → tensor index of graph `subgraph`."""

    key: str
    subgraph: int
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]


@dataclass(frozen=True, slots=True, repr=False)
class Model:
    """A whole `.tflite` file; `sha256` identifies the very bytes it was read from (empty if it never was a file).

    `metadata` holds (name, content) in the file's order. Converters write some names twice; readers such as TFLM take
    the first of a name: ``dict(reversed(model.metadata))``.
    """

    graphs: tuple[Graph, ...]
    version: int = 3
    description: str = ""
    metadata: tuple[tuple[str, bytes], ...] = ()
    signatures: tuple[Signature, ...] = ()
    sha256: str = field(default="", compare=False)

    @printed
    def __str__(self) -> str:
        def lines() -> Iterator[str]:
            yield f"TFLite model, version {self.version}, {self.description!r}, sha256 {self.sha256[:16] or 'unknown'}"
            yield from (f"metadata {name!r}: {len(value)} bytes" for name, value in self.metadata)
            yield from (
                f"signature {signature.key!r} of subgraph {signature.subgraph}: {dict(signature.inputs)} → "
                f"{dict(signature.outputs)}"
                for signature in self.signatures
            )
            yield from map(str, self.graphs)

        return "\n".join(lines())

    @printed
    def __repr__(self) -> str:
        """All of a small model, as property tests find them; of others, how large they are."""
        ops = sum(len(graph.ops) for graph in self.graphs)
        if ops <= SMALL:
            return str(self)
        tensors = sum(len(graph.tensors) for graph in self.graphs)
        graphs = f" in {len(self.graphs)} subgraphs" if len(self.graphs) > 1 else ""
        held = f"{counted(ops, 'operator')}, {counted(tensors, 'tensor')}"
        return f"<Model {self.sha256[:16] or 'of no file'}: {held}{graphs}>"
