"""The TFLite schema as data, learnt from the generated classes of the `tflite` package.

    python tools/tflite_schema.py  # writes refengine/tflite_io/schema.json

Every generated accessor asks flatbuffers' `Table` for its slot, then for a value of some type. `learnt` hands each of
them a `_Probe` in the table's stead and notes the questions: no field, type or default is spelled out by hand. What the
generated classes do not tell is which integers are enumerations, and which operators share an options table; the two
small dictionaries below do. A test holds the file against the package that is installed.
"""

from __future__ import annotations

import json
import re
from inspect import isfunction
from pathlib import Path
from typing import Any

import tflite
from flatbuffers.table import Table

FILE = Path(__file__).resolve().parent.parent / "refengine" / "tflite_io" / "schema.json"

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


class _Probe(Table):  # type: ignore[misc]
    """A table that has every field, or none, and remembers what an accessor asked of it first.

    First, because `OperatorCode.BuiltinCode`, mended by hand in the package, goes on to ask for the older code.
    """

    def __init__(self, present: bool) -> None:
        super().__init__(b"", 0)
        self.present = present
        self.slot = 0
        self.kind = "scalar"
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


def learnt() -> dict[str, Any]:
    """What the file holds: the package's version, enumerations (code → name), the fields of tables as `schema.Field`
    has them but for defaults that go without saying, and the options table of each builtin operator that has one."""
    tables = {name: _fields(table) for name, table in vars(tflite).items() if hasattr(table, "GetRootAs")}
    used = {field["names"] for fields in tables.values() for field in fields if field["names"]}
    operators = _enumeration("BuiltinOperator")
    return {
        "version": tflite.__version__,
        "enumerations": {name: _enumeration(name) for name in sorted({*used, "BuiltinOperator"})},
        "tables": {name: [list(field.values()) for field in fields] for name, fields in sorted(tables.items())},
        "options": {op: table.__name__ for op in operators.values() if (table := _options_table(op))},
    }


def written(schema: dict[str, Any]) -> str:
    """The file's text: a line for each enumeration and table."""
    parts = []
    for key, value in schema.items():
        lines = [f"{json.dumps(name)}: {json.dumps(each)}" for name, each in value.items()] if key != "version" else []
        inside = ",\n".join(f"  {line}" for line in lines)
        parts.append(f" {json.dumps(key)}: {{\n{inside}\n }}" if lines else f" {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _fields(table: Any) -> list[dict[str, Any]]:
    """The fields of a generated table class, in the order of their slots."""
    methods = {name for name, method in vars(table).items() if isfunction(method) and name != "Init"}
    twins = {name + suffix for name in methods for suffix in ("AsNumpy", "Length", "IsNone")}
    return sorted((_field(table, name) for name in methods - twins), key=lambda field: field["slot"])


def _field(table: Any, accessor: str) -> dict[str, Any]:
    probe, answer = _ask(table, accessor, present=True)
    _, default = _ask(table, accessor, present=False)
    name = _snake(accessor)
    enum = _ENUMS_OF.get((table.__name__, name), _ENUMS.get(name))
    return {
        "name": name,
        "slot": probe.slot,
        "kind": probe.kind,
        "vector": probe.vector,
        "type": "" if probe.flags is None else probe.flags.__name__.removesuffix("Flags").lower(),
        "table": type(answer).__name__ if probe.kind == "table" else "",
        "default": None if probe.vector or probe.kind != "scalar" else default,
        "names": "" if enum is None else enum.__name__,
    }


def _ask(table: Any, accessor: str, present: bool) -> tuple[_Probe, Any]:
    row = table()
    row._tab = probe = _Probe(present)
    method = getattr(row, accessor)
    return probe, method(0) if method.__code__.co_argcount == 2 else method()


def _snake(name: str) -> str:
    """``DilationWFactor`` → ``dilation_w_factor``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _enumeration(name: str) -> dict[int, str]:
    """Code → name."""
    return {code: member for member, code in vars(getattr(tflite, name)).items() if not member.startswith("_")}


def _options_table(operator: str) -> Any:
    """The options class of a builtin operator, or None for one without options."""
    tables = {
        name.removesuffix("Options").lower(): getattr(tflite, name)
        for union in (tflite.BuiltinOptions, tflite.BuiltinOptions2)
        for name in vars(union)
        if name.endswith("Options")
    }
    return _OPTIONS.get(operator, tables.get(operator.replace("_", "").lower()))


if __name__ == "__main__":
    FILE.write_text(written(learnt()), encoding="utf-8")
