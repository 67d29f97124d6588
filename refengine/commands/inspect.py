"""Show a model's layers and costs, and whether it runs on TFLM."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from rich.table import Table

from ..kernel import PRESETS
from ..model import Tensor
from ..survey import Layer, Survey, inspect
from ..tflite_io import load
from ._front import (
    add_json,
    add_memory,
    add_model,
    add_numerics,
    find_model,
    print_json,
    print_table,
    say,
    table_of,
    type_of,
)


def arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    add_memory(parser)
    add_numerics(parser)
    add_json(parser)


def command(args: argparse.Namespace) -> int:
    survey = inspect(load(find_model(args.model)), numerics=PRESETS[args.numerics], memory=args.memory)
    if args.json:
        return print_json({"model": args.model} | survey.as_dict())
    graph = survey.graph
    say(*(f"input   {graph.tensors[i]}" for i in graph.inputs))
    say(*(f"output  {graph.tensors[i]}" for i in graph.outputs))
    print_table(_layer_table(survey))
    print_table(_tensor_table(survey))
    say(f"Tensors alive at the same time: up to {survey.peak_bytes:,} bytes. TFLM's arena must be larger.", "")
    _print_tflm(survey)
    return 0


def _layer_table(survey: Survey) -> Table:
    table = table_of("#", "operator", "tensors", "writes", "MACs", "constant\nbytes", "output\nbytes")
    for column, total in zip(
        table.columns[-3:], (survey.macs, survey.constant_bytes, survey.output_bytes), strict=True
    ):
        column.justify, column.footer = "right", f"{total:,}"
    for column in table.columns[2:]:
        column.no_wrap = True
    table.show_footer, table.columns[1].footer = True, "total"
    for layer in survey.layers:
        table.add_row(*_layer_cells(layer))
    return table


def _layer_cells(layer: Layer) -> Iterator[str]:
    activation = layer.op.options.get("fused_activation_function", "NONE")
    yield f"{layer.op.index}{'✗' if layer.refusal else ''}"
    yield layer.op.kind + (f" + {activation}" if activation != "NONE" else "")
    read = " ".join(str(t.index) for t in layer.inputs if t is not None and t.data is None)
    yield f"{read} → {' '.join(str(t.index) for t in layer.outputs)}"
    yield ", ".join(map(type_of, layer.outputs))
    yield "?" if layer.macs is None else f"{layer.macs:,}"
    yield f"{layer.constant_bytes:,}"
    yield f"{layer.output_bytes:,}"


def _tensor_table(survey: Survey) -> Table:
    table = table_of("tensor", "of", "type", "scale", "zero")
    for layer in survey.layers:
        for tensor in (*layer.constants, *layer.outputs):
            role = f"#{layer.op.index}, {'computed' if tensor.data is None else 'constant'}"
            table.add_row(str(tensor.index), role, type_of(tensor), *_scale_and_zero(tensor))
    return table


def _scale_and_zero(tensor: Tensor) -> tuple[str, str]:
    """Of per-channel quantisation the number and the range of scales."""
    if not (tensor.quantization and tensor.quantization.scale):
        return "", ""
    scales, zeros = tensor.quantization.scale, {*tensor.quantization.zero_point}
    scale = f"{scales[0]:.6g}" if len(scales) == 1 else f"{len(scales)}: {min(scales):.3g} … {max(scales):.3g}"
    return scale, " ".join(map(str, sorted(zeros)))


def _print_tflm(survey: Survey) -> None:
    verdicts = {"yes": "yes", "no": "no", "unknown": "not known, because refengine does not run some operators"}
    say(f"Runs on TFLM: {verdicts[survey.runs_on_tflm]}.")
    say(*(f"  ✗ {refusal}" for refusal in survey.refusals))
    say("", "Its operators, for your C++:", "", *survey.resolver.splitlines())
