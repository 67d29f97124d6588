"""Show a model's layers and costs, and whether it runs on TFLM."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from rich.table import Table

from ..kernel import PRESETS
from ..model import Array, Tensor
from ..survey import Layer, Part, Survey, Verdict, inspect
from ..tflite_io import load
from ._front import add_json, add_memory, add_model, add_numerics, add_partial, print_json, say, type_of
from ._tables import print_table, table_of

TARGETS = {"x86-64": "x86-64, as the Python wheel", "arm": "32-bit Cortex-M, by GCC"}
MARKS = {"yes": "", "no": "✗", "not in refengine": "!", "unknown": "?"}
HEADINGS: dict[Verdict, str] = {
    "no": "TFLM refuses:",
    "not in refengine": "TFLM runs these, refengine does not yet:",
    "unknown": "Whether TFLM runs these is not known:",
}
VERDICTS = {"yes": "yes", "no": "no", "unknown": "not known"}


def arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    add_memory(parser)
    add_numerics(parser)
    add_partial(parser)
    add_json(parser)


def command(args: argparse.Namespace) -> int:
    model = load(args.model)
    survey = inspect(model, numerics=PRESETS[args.numerics], memory=args.memory, partial=args.partial)
    if args.json:
        return print_json({"model": args.model} | survey.as_dict())
    _print_arguments(survey)
    for part in survey.parts:
        _print_part(part, alone=len(survey.parts) == 1)
    _print_arena(survey)
    _print_tflm(survey)
    say(*_partly(survey))
    return 0


def _print_arguments(survey: Survey) -> None:
    """What goes in and comes out, and what lives on."""
    graph = survey.graph
    say(*(f"input   {graph.tensors[i]}" for i in graph.inputs))
    say(*(f"output  {graph.tensors[i]}" for i in graph.outputs))
    for signature in survey.model.signatures:
        inputs, outputs = (
            ", ".join(f"{name} = tensor {i}" for name, i in each.items())
            for each in (signature.inputs, signature.outputs)
        )
        say(f"signature {signature.key!r} of subgraph {signature.subgraph}: {inputs} → {outputs}")
    for (subgraph, index), value in survey.state.variables.items():
        tensor = survey.model.graphs[subgraph].tensors[index]
        say(f"variable {index} of subgraph {subgraph}, {_filled(value)}: {tensor}")
    for name, value in survey.state.resources.items():
        type = type_of(survey.resources[name])
        say(f"resource variable {name[1]!r}, container {name[0]!r}, {_filled(value)}: {type}")


def _filled(value: Array) -> str:
    return f"at first all {value.flat[0]}" if value.size else "without elements"


def _print_part(part: Part, alone: bool) -> None:
    graph = part.graph
    if not alone:
        say("", f"subgraph {graph.index} {graph.name!r}{_callers(part)}")
    if not alone and graph.index:
        say(*(f"input   {graph.tensors[i]}" for i in graph.inputs))
        say(*(f"output  {graph.tensors[i]}" for i in graph.outputs))
    print_table(_layer_table(part))
    print_table(_tensor_table(part))
    say(f"Tensors alive at the same time: up to {part.peak_bytes:,} bytes.", "")


def _callers(part: Part) -> str:
    names = [f"operator {op.index} ({op.kind}) of subgraph {subgraph}" for subgraph, op in part.called_by]
    return ", called by " + ", ".join(names) if names else ", called by nobody" * (part.graph.index > 0)


def _print_arena(survey: Survey) -> None:
    if not survey.arena:
        say("What TFLM's arena must hold is not known, because refengine does not run the model.", "")
        return
    table = table_of("TFLM's arena, in bytes", "planned", "persistent", "in use", "smallest")
    for column in table.columns[1:]:
        column.justify = "right"
    for target, a in survey.arena.items():
        smallest = "?" if a.minimum is None else f"{a.minimum:,}"
        table.add_row(TARGETS[target], f"{a.planned:,}", f"{a.persistent:,}", f"{a.total:,}", smallest)
    print_table(table)
    say(
        "With TFLM's reference kernels and greedy planner; CMSIS-NN's kernels ask for scratch buffers of their own.",
        "The smallest arena that works, if known, is for a start aligned to 16; TFLM holds most while it allocates.",
    )
    if unknown := survey.arena["x86-64"].unknown:
        say(f"Without what these keep for themselves, which is not known: {', '.join(unknown)}.")
    say("")


def _layer_table(part: Part) -> Table:
    table = table_of("#", "operator", "tensors", "writes", "MACs", "constant\nbytes", "output\nbytes")
    for column, total in zip(table.columns[-3:], (part.macs, part.constant_bytes, part.output_bytes), strict=True):
        column.justify, column.footer = "right", f"{total:,}"
    for column in table.columns[2:]:
        column.no_wrap = True
    table.show_footer, table.columns[1].footer = True, "total"
    for layer in part.layers:
        table.add_row(*_layer_cells(layer))
    return table


def _layer_cells(layer: Layer) -> Iterator[str]:
    activation = layer.op.options.get("fused_activation_function", "NONE")
    yield f"{layer.op.index}{MARKS[layer.verdict]}"
    yield layer.op.kind + (f" + {activation}" if activation != "NONE" else "")
    read = " ".join(str(t.index) for t in layer.inputs if t is not None and t.data is None)
    yield f"{read} → {' '.join(str(t.index) for t in layer.outputs)}"
    yield ", ".join(map(type_of, layer.outputs))
    yield "?" if layer.macs is None else f"{layer.macs:,}"
    yield f"{layer.constant_bytes:,}"
    yield f"{layer.output_bytes:,}"


def _tensor_table(part: Part) -> Table:
    table = table_of("tensor", "of", "type", "scale", "zero")
    for layer in part.layers:
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
    """Whether it runs, with the reasons against it sorted by whose they are."""
    answer = VERDICTS[survey.runs_on_tflm]
    if survey.runs_on_tflm == "yes" and (survey.plan is None or survey.gaps):
        answer += ", but refengine does not run it yet"
    say(f"Runs on TFLM: {answer}.")
    doubts = [*survey.doubts]
    for verdict, heading in HEADINGS.items():
        reasons = [f"  {MARKS[verdict]} {message}" for whose, message in doubts if whose == verdict]
        say(*([heading, *reasons] if reasons else []))
    if survey.model.graphs[0].ops:
        say("", f"Versions of its operators, at which TFLM does not look: {', '.join(_versions(survey))}.")
    say("", "Its operators, for your C++:", "", *survey.resolver.splitlines())


def _partly(survey: Survey) -> Iterator[str]:
    """What can be computed without the operators that are refused."""
    if survey.gaps:
        ops, outputs = [op for graph in survey.model.graphs for op in graph.ops], survey.model.graphs[0].outputs
        names = ", ".join(repr(tensor.name) for tensor in survey.computable) or "none"
        count = f"{len(ops) - len(survey.gaps)} of {len(ops)} operators"
        yield from ("", f"--partial runs {count}; outputs that need none of the others: {names} (of {len(outputs)}).")


def _versions(survey: Survey) -> Iterator[str]:
    """CONV_2D 3, and so on; each version of an operator."""
    found = {(layer.op.kind, layer.op.version) for part in survey.parts for layer in part.layers}
    yield from (f"{kind} {version}" for kind, version in sorted(found))
