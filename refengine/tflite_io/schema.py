"""The TFLite schema as data, learnt from the generated classes of the `tflite` package.

Every generated accessor asks flatbuffers' `Table` for its slot, then for a value of some type. `fields` hands each of
them a `_Probe` in the table's stead and notes the questions, so reader and writer share one description of every
table: no field, type or default is spelled out here. What the generated classes do not tell is which integers are
enumerations, and which operators share an options table; the two small dictionaries below do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from inspect import isfunction
from typing import Any, Literal

import numpy as np
import tflite
from flatbuffers import number_types
from flatbuffers.table import Table

# Enumerations by field name; `_ENUMS_OF` for names that mean something else in other tables.
_ENUMS = {
    "padding": tflite.Padding,
    "fused_activation_function": tflite.ActivationFunctionType,
    "weights_format": tflite.FullyConnectedOptionsWeightsFormat,
    "kernel_type": tflite.LSTMKernelType,
    "combiner": tflite.CombinerType,
    "mode": tflite.MirrorPadMode,
    "reduce_function": tflite.ReduceWindowFunction,
    "algorithm": tflite.RngAlgorithm,
    "comparison_direction": tflite.StablehloComparisonDirection,
    "compare_type": tflite.StablehloComparisonType,
    "precision_config": tflite.StablehloPrecisionConfig,
    "custom_options_format": tflite.CustomOptionsFormat,
    "composite_attributes_format": tflite.CustomOptionsFormat,
    "format": tflite.DimensionType,
    "in_data_type": tflite.TensorType,
    "out_data_type": tflite.TensorType,
    "out_type": tflite.TensorType,
    "output_type": tflite.TensorType,
    "idx_out_type": tflite.TensorType,
    "key_dtype": tflite.TensorType,
    "value_dtype": tflite.TensorType,
    "quantized_bias_type": tflite.TensorType,
    "builtin_options": tflite.BuiltinOptions,
    "builtin_options2": tflite.BuiltinOptions2,
    "details": tflite.QuantizationDetails,
    "array_segments": tflite.SparseIndexVector,
    "array_indices": tflite.SparseIndexVector,
}
_ENUMS_OF = {
    ("Tensor", "type"): tflite.TensorType,
    ("VariantSubType", "type"): tflite.TensorType,
    ("LSHProjectionOptions", "type"): tflite.LSHProjectionType,
    ("StablehloConvolutionOptions", "padding"): None,
    ("StablehloReduceWindowOptions", "padding"): None,
}

# Operators whose options table is not named after them.
_OPTIONS = {
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"), tflite.Pool2DOptions),
    **dict.fromkeys(
        ("MEAN", "SUM", "REDUCE_PROD", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_ANY", "REDUCE_ALL"), tflite.ReducerOptions
    ),
    **dict.fromkeys(("MAXIMUM", "MINIMUM"), tflite.MaximumMinimumOptions),
    **dict.fromkeys(("RANDOM_UNIFORM", "RANDOM_STANDARD_NORMAL", "MULTINOMIAL"), tflite.RandomOptions),
    "CONV_3D_TRANSPOSE": tflite.Conv3DOptions,
    "L2_NORMALIZATION": tflite.L2NormOptions,
    "UNIDIRECTIONAL_SEQUENCE_RNN": tflite.SequenceRNNOptions,
}

# Tensor types that NumPy lacks: how an array holds them, and the bits of one element (0: it varies).
_FOREIGN = {
    "int4": ("int8", 4),
    "bfloat16": ("uint8", 16),
    "string": ("uint8", 0),
    "resource": ("uint8", 0),
    "variant": ("uint8", 0),
}

BYTE = number_types.Uint8Flags

Kind = Literal["scalar", "string", "table", "union"]


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a table. `flags` is flatbuffers' number type of a scalar, `table` the class of a nested table.

    `default` is what an absent field means, `names` the enumerators by their codes, and `codes` the other way round.
    `dtype` is what the file stores: the number of a scalar, the offset of anything else.
    """

    name: str
    slot: int
    kind: Kind
    vector: bool
    flags: Any
    table: Any
    default: Any
    names: Mapping[int, str] | None
    codes: Mapping[str, int] | None
    dtype: np.dtype[Any]


class _Probe(Table):  # type: ignore[misc]
    """A table that has every field, or none, and remembers what an accessor asked of it first.

    First, because `OperatorCode.BuiltinCode`, mended by hand in the package, goes on to ask for the older code.
    """

    def __init__(self, present: bool) -> None:
        super().__init__(b"", 0)
        self.present = present
        self.slot = 0
        self.kind: Kind = "scalar"
        self.vector = False
        self.flags: Any = None

    def Offset(self, vtableOffset: int) -> int:  # noqa: N802, N803
        self.slot = self.slot or vtableOffset
        return vtableOffset if self.present else 0

    def Vector(self, off: int) -> int:  # noqa: N802
        self.vector = True
        return 0

    def Get(self, flags: Any, off: int) -> int:  # noqa: N802
        self.flags = self.flags or flags
        return 0

    def Indirect(self, off: int) -> int:  # noqa: N802
        self.kind = "table"
        return 0

    def String(self, off: int) -> bytes:  # noqa: N802
        self.kind = "string"
        return b""

    def Union(self, t2: Any, off: int) -> None:  # noqa: N802
        self.kind = "union"


@cache
def fields(table: Any) -> tuple[Field, ...]:
    """The fields of a generated table class, in the order of their slots."""
    methods = {name for name, method in vars(table).items() if isfunction(method) and name != "Init"}
    twins = {name + suffix for name in methods for suffix in ("AsNumpy", "Length", "IsNone")}
    return tuple(sorted((_field(table, name) for name in methods - twins), key=lambda field: field.slot))


def _field(table: Any, accessor: str) -> Field:
    probe, answer = _ask(table, accessor, present=True)
    _, default = _ask(table, accessor, present=False)
    name = _snake(accessor)
    enum = _ENUMS_OF.get((table.__name__, name), _ENUMS.get(name))
    names = None if enum is None else enumeration(enum)
    if probe.vector:
        default = b"" if probe.flags is BYTE else ()
    elif probe.kind == "string":
        default = ""
    elif probe.kind == "scalar" and names is not None:
        default = names[default]
    nested = type(answer) if probe.kind == "table" else None
    named = None if enum is None else codes(enum)
    dtype = number_types.to_numpy_type(probe.flags or number_types.UOffsetTFlags)
    return Field(name, probe.slot, probe.kind, probe.vector, probe.flags, nested, default, names, named, dtype)


def _ask(table: Any, accessor: str, present: bool) -> tuple[_Probe, Any]:
    row = table()
    row._tab = probe = _Probe(present)
    method = getattr(row, accessor)
    return probe, method(0) if method.__code__.co_argcount == 2 else method()


def _snake(name: str) -> str:
    """``DilationWFactor`` → ``dilation_w_factor``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


@cache
def enumeration(enum: Any) -> Mapping[int, str]:
    """Code → name; tensor types in NumPy's lower case."""
    members = {code: name for name, code in vars(enum).items() if not name.startswith("_")}
    return {code: name.lower() for code, name in members.items()} if enum is tflite.TensorType else members


@cache
def codes(enum: Any) -> Mapping[str, int]:
    """Name → code: the inverse of `enumeration`."""
    return {name: code for code, name in enumeration(enum).items()}


@cache
def options_table(operator: str) -> Any:
    """The options class of a builtin operator, or None for one without options."""
    tables = {
        name.removesuffix("Options").lower(): getattr(tflite, name)
        for union in (tflite.BuiltinOptions, tflite.BuiltinOptions2)
        for name in vars(union)
        if name.endswith("Options")
    }
    return _OPTIONS.get(operator, tables.get(operator.replace("_", "").lower()))


def held_as(dtype: str) -> np.dtype[Any]:
    """The NumPy type of a constant's array; uint8 stands for raw bytes, but for uint8 itself."""
    return np.dtype(_FOREIGN.get(dtype, (dtype, 0))[0])


def element_bits(dtype: str) -> int:
    """The bits that one element takes in the file, or 0 where that varies."""
    return _FOREIGN[dtype][1] if dtype in _FOREIGN else np.dtype(dtype).itemsize * 8


def is_raw(dtype: str) -> bool:
    """Whether a constant of this type is kept as the file's bytes, because NumPy has nothing like it."""
    return dtype in _FOREIGN and dtype != "int4"
