"""Models that between them reach every table, union and vector of the schema: to be read, written and damaged."""

from __future__ import annotations

from typing import Any

import numpy as np

from refengine.model import Dimension, Graph, Model, Op, Quantization, Signature, Sparsity, Tensor, Variant
from refengine.tflite_io import schema

OPERATORS = [
    name for name in schema.enumeration("BuiltinOperator").values() if name != "PLACEHOLDER_FOR_GREATER_OP_CODES"
]
DTYPES = list(schema.enumeration("TensorType").values())


def unusual(field: schema.Field) -> Any:
    """A value for an option that is not its default (and where it names a subgraph, one that exists)."""
    if field.names is not None:
        last = list(field.names.values())[-1]
        return (last,) if field.vector else last
    if field.kind == "string":
        return f"the {field.name}"
    if field.is_bytes:
        return b"\x00\x01\xff"
    if "subgraph" in field.name:
        return 1
    value = {"b": not field.default, "f": 0.1875, "i": -3, "u": 7}[field.dtype.kind]
    return (value, value) if field.vector else value


def options(operator: str) -> tuple[dict[str, Any], str]:
    """Unusual options for an operator, and the name of their table."""
    table = schema.options_table(operator)
    return ({field.name: unusual(field) for field in schema.fields(table)}, table) if table else ({}, "")


def operators(names: list[str]) -> Model:
    """One operator of each name, all reading tensor 0; no runtime would run them."""
    tensors = [Tensor(i, f"t{i}", (2,), "int8") for i in range(len(names) + 1)]
    ops = [
        Op(
            i,
            name,
            (0, -1),
            (i + 1,),
            *options(name),
            version=i + 1,
            custom_code="mine" * (name == "CUSTOM"),
            custom_options=b"\x01\x02" * (name == "CUSTOM"),
            intermediates=(0,) * (i % 2),
            mutating_variable_inputs=(True, False) * (i % 2),
            debug_metadata_index=i - 1,
        )
        for i, name in enumerate(names)
    ]
    main = Graph(0, "main", tuple(tensors), (0,), (len(names),), tuple(ops), 0)
    callee = Graph(1, "callee", (Tensor(0, "same", (2,), "int8"),), (0,), (0,), ())
    return Model((main, callee))


def constant(dtype: str, count: int) -> np.ndarray[Any, Any]:
    """`count` elements, no two alike where there are so many."""
    held = schema.held_as(dtype)
    if schema.is_raw(dtype):
        return np.arange(count * schema.element_bits(dtype) // 8 or 5, dtype=held)
    return (np.arange(count) % (2 if dtype == "bool" else 16) - (8 if dtype == "int4" else 0)).astype(held)


def tensors() -> Model:
    """Every type and quantisation, sparse, variant, variable, empty and shared constants, signatures, metadata."""

    def add(*fields: Any, **more: Any) -> None:
        rows.append(Tensor(len(rows), *fields, **more))

    rows: list[Tensor] = []
    add("input é", (1, 3), "float32", shape_signature=(-1, 3), has_rank=True)
    add("state", (2,), "int8", Quantization((0.5,), (-128,)), is_variable=True)
    for dtype in DTYPES:
        data = constant(dtype, 3)
        add(dtype, (3,), dtype, data=data)
        if not schema.is_raw(dtype):
            add(f"{dtype} scalar", (), dtype, data=data[0].reshape(()), has_rank=True)
            add(f"{dtype} empty", (2, 0), dtype, data=data[:0].reshape(2, 0))
    add(
        "channels",
        (2, 1, 3),
        "int8",
        Quantization((0.5, 0.25, 2.0), (0, 1, -1), 2, (-1.0,), (float("inf"),)),
        data=np.arange(6, dtype=np.int8).reshape(2, 1, 3),
    )
    add("bias of channels", (3,), "int32", Quantization((1.0, 2.0, 3.0), (0,) * 3, 3), data=constant("int32", 3))
    add("shared", (3,), "int32", data=constant("int32", 3))
    add("odd nibbles", (3, 3), "int4", Quantization((0.25,), (0,)), data=constant("int4", 9).reshape(3, 3))
    add("custom", (1,), "int8", Quantization(custom=b"\x07" * 5))
    dimensions = Dimension("DENSE", 2), Dimension("SPARSE_CSR", 0, (0, 1, 3), (0, 1, 3)), Dimension("DENSE", 1)
    add("sparse", (2, 4), "int8", data=constant("int8", 3), sparsity=Sparsity((0, 1, 2), (1,), dimensions))
    add("sparse nibbles", (2, 4), "int4", data=constant("int4", 4), sparsity=Sparsity((1, 0), (), ()))
    add("variants", (), "variant", variant_tensors=(Variant((2, -1), "float32", True), Variant((), "int8")))
    add("output", (1, 3), "float32")
    ops = (Op(0, "CUSTOM", (0, -1, 1), (len(rows) - 1,), custom_code="my_op", custom_options=b"flex", version=3),)
    main = Graph(0, "main", tuple(rows), (0,), (len(rows) - 1, 0, 2), ops)
    signatures = (Signature("serve", 0, {"x": 0}, {"y": len(rows) - 1, "x again": 0}), Signature("", 1, {}, {}))
    return Model(
        (main, Graph(1, "", (), (), (), ()), Graph(2, "third", (Tensor(0, "", (), "bool"),), (0,), (0,), ())),
        3,
        "every kind of tensor",
        (("version", b"1.2.3"), ("empty", b""), ("", b"\x00\xff"), ("version", b"4")),
        signatures,
    )


def dense() -> Model:
    """What TFLM runs: two int8 layers, 4 → 3 → 2."""

    def layer(index: int, depth: int, channels: int) -> list[Tensor]:
        codes = np.arange(channels * depth).reshape(channels, depth) * 37 % 255 - 127
        weights = codes.astype(np.int8)
        return [
            Tensor(index, "weights", weights.shape, "int8", Quantization((0.125,), (0,)), weights),
            Tensor(
                index + 1,
                "bias",
                (channels,),
                "int32",
                Quantization((0.0625,), (0,)),
                np.arange(channels, dtype=np.int32) * 100,
            ),
        ]

    q = Quantization((0.5,), (-3,))
    rows = [
        Tensor(0, "image", (1, 4), "int8", q),
        *layer(1, 4, 3),
        Tensor(3, "hidden", (1, 3), "int8", q),
        *layer(4, 3, 2),
        Tensor(6, "logits", (1, 2), "int8", q),
    ]
    defaults = {
        "fused_activation_function": "NONE",
        "weights_format": "DEFAULT",
        "keep_num_dims": False,
        "asymmetric_quantize_inputs": False,
        "quantized_bias_type": "float32",
    }
    ops = (
        Op(
            0,
            "FULLY_CONNECTED",
            (0, 1, 2),
            (3,),
            defaults | {"fused_activation_function": "RELU"},
            "FullyConnectedOptions",
            version=4,
        ),
        Op(1, "FULLY_CONNECTED", (3, 4, 5), (6,), defaults, "FullyConnectedOptions", version=4),
    )
    return Model((Graph(0, "main", tuple(rows), (0,), (6,), ops),), description="two layers")


def all_models() -> dict[str, Model]:
    """By name: the two above, and all operators, eight at a time so that each file is small."""
    groups = [OPERATORS[i : i + 8] for i in range(0, len(OPERATORS), 8)]
    return {"dense": dense(), "tensors": tensors(), **{f"{group[0]}…": operators(group) for group in groups}}
