"""What a `.tflite` file says: frozen records with the schema's names, and no behaviour.

Names follow the TFLite schema (`schema.fbs`) in snake case, enumerations are their names as the schema spells
them (``"SAME"``, ``"RELU6"``), types are NumPy's names (``"int8"``, ``"float32"``; also ``"int4"``, ``"string"`` …).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Quantization:
    """Affine quantisation, real = scale · (code − zero_point), per tensor or along one dimension.

    `scale` holds float32 values (widened to Python floats, which is exact); one entry means per tensor.
    """

    scale: tuple[float, ...] = ()
    zero_point: tuple[int, ...] = ()
    quantized_dimension: int = 0
    min: tuple[float, ...] = ()
    max: tuple[float, ...] = ()
    custom: bytes = b""


@dataclass(frozen=True, slots=True)
class Dimension:
    """How a sparse tensor stores one dimension: ``"DENSE"`` of `dense_size`, or ``"SPARSE_CSR"`` by the two arrays."""

    format: str
    dense_size: int = 0
    array_segments: tuple[int, ...] = ()
    array_indices: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Sparsity:
    """Where a sparse tensor's stored values belong: the dimensions in `traversal_order`, then those of its blocks."""

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

    `data` is the constant's value: a read-only array of `shape` (int4 unpacked to int8, one code an element),
    raw uint8 bytes where NumPy has no such type (strings, resources), or None for a tensor computed at run time.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    quantization: Quantization | None = None
    data: Array | None = None
    shape_signature: tuple[int, ...] = ()
    is_variable: bool = False
    has_rank: bool = False
    sparsity: Sparsity | None = None
    variant_tensors: tuple[Variant, ...] = ()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tensor):
            return NotImplemented
        mine, theirs = ((t.index, t.name, t.shape, t.dtype, t.quantization, t.shape_signature, t.is_variable,
                         t.has_rank, t.sparsity, t.variant_tensors, None if t.data is None else (t.data.dtype, t.data.shape, t.data.tobytes()))
                        for t in (self, other))
        return mine == theirs

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class Op:
    """One operator: `name` is the builtin's (``"CONV_2D"``), or ``"CUSTOM"`` with its `custom_code`.

    `inputs` and `outputs` are tensor indices of the same graph; −1 is an optional input left out. `options` holds
    every field of the builtin's options table (`options_type` names that table) with the schema's defaults filled in.
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


@dataclass(frozen=True, slots=True)
class Graph:
    """A subgraph: `ops` in execution order, `inputs` and `outputs` as tensor indices."""

    index: int
    name: str
    tensors: tuple[Tensor, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    ops: tuple[Op, ...]
    debug_metadata_index: int = -1


@dataclass(frozen=True, slots=True)
class Signature:
    """A named entry point: argument name → tensor index of graph `subgraph`."""

    key: str
    subgraph: int
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Model:
    """A whole `.tflite` file; `sha256` identifies the very bytes it was read from (empty if it never was a file)."""

    graphs: tuple[Graph, ...]
    version: int = 3
    description: str = ""
    metadata: Mapping[str, bytes] = field(default_factory=dict)
    signatures: tuple[Signature, ...] = ()
    sha256: str = field(default="", compare=False)
