"""The schema's data against what `schema.fbs` says, and against the classes that it was learnt from."""

from __future__ import annotations

import tflite_schema

from refengine.tflite_io import schema


def table(name: str) -> dict[str, schema.Field]:
    return {field.name: field for field in schema.fields(name)}


def test_the_file_is_what_the_package_tells() -> None:
    """Learnt again from the `tflite` that is installed."""
    assert tflite_schema.FILE.read_text(encoding="utf-8") == tflite_schema.written(tflite_schema.learnt())


def test_options_have_the_schemas_names_and_defaults() -> None:
    defaults = {name: field.default for name, field in table("DepthwiseConv2DOptions").items()}
    assert defaults == {
        "padding": "SAME",
        "stride_w": 0,
        "stride_h": 0,
        "depth_multiplier": 0,
        "fused_activation_function": "NONE",
        "dilation_w_factor": 1,
        "dilation_h_factor": 1,
    }


def test_slots_are_in_the_schemas_order() -> None:
    assert [(field.name, field.slot) for field in schema.fields("OperatorCode")] == [
        ("deprecated_builtin_code", 4),
        ("custom_code", 6),
        ("version", 8),
        ("builtin_code", 10),
    ]


def test_kinds() -> None:
    tensor = table("Tensor")
    assert (tensor["shape"].kind, tensor["shape"].vector, tensor["shape"].default) == ("scalar", True, ())
    assert (tensor["name"].kind, tensor["name"].default) == ("string", "")
    assert (tensor["quantization"].kind, tensor["quantization"].table) == ("table", "QuantizationParameters")
    assert tensor["variant_tensors"].vector
    assert tensor["variant_tensors"].table == "VariantSubType"
    assert table("Operator")["builtin_options"].kind == "union"
    assert table("Buffer")["data"].default == b""
    assert tensor["type"].names is not None
    assert tensor["type"].names[9] == "int8"


def test_every_options_table_belongs_to_an_operator() -> None:
    """So the two unions have no table that the naming rule and its few exceptions overlook."""
    reached = {schema.options_table(name) for name in schema.enumeration("BuiltinOperator").values()}
    tables = {name for union in ("BuiltinOptions", "BuiltinOptions2") for name in schema.enumeration(union).values()}
    assert reached - {None} == tables - {"NONE"}


def test_operators_share_and_lack_options() -> None:
    assert schema.options_table("REDUCE_MAX") == schema.options_table("MEAN") == "ReducerOptions"
    assert schema.options_table("LOGISTIC") is None


def test_integers_that_are_enumerations_all_have_names() -> None:
    """Options that are a byte, but no bool, are enumerations."""
    found = map(schema.options_table, schema.enumeration("BuiltinOperator").values())
    tables = {table for table in found if table is not None}
    nameless = {
        (table, field.name)
        for table in tables
        for field in schema.fields(table)
        if field.dtype.itemsize == 1 and field.dtype.kind != "b" and not field.vector and not field.names
    }
    assert nameless == set()
