"""The command line: one short function per command, which asks the package and prints what it says."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from . import __version__
from .accuracy import Accuracy, evaluate, is_classifier, predictions
from .datasets import PREFIXES, bundled_digits, bundled_models, load_mnist
from .errors import InputError, RefengineError
from .execute import run
from .images import half_blocks, read_inputs
from .inputs import dequantize_output, pixels_to_input
from .kernel import PRESETS
from .model import Array, Tensor
from .plan import Plan, make_plan
from .survey import Layer, Survey, inspect
from .tflite_io import load

FAILED, INTERRUPTED, BROKEN_PIPE = 2, 130, 141  # the last two as shells have it: 128 + the signal's number

SHOWN = [13, 47, 82]  # of the bundled digits, in the demo

HELP = """\
examples:
  refengine demo
  refengine run stm32f746_int8 --input drawing.png --digit
  refengine inspect model.tflite
  refengine evaluate model.tflite --data mnist/

MODEL is a .tflite file or the name of a bundled network:
  {bundled}

exit status: 0 done, 2 error (one line on stderr), 130 interrupted"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; an error is one line, whatever the files hold."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError):  # when something else was put in its place
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        args = _parser().parse_args(arguments)
        status: int = args.command(args)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # whoever was reading has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except KeyboardInterrupt:
        return INTERRUPTED
    except MemoryError:
        return _fail("out of memory")
    except (RefengineError, OSError) as error:
        return _fail(str(error))


# ---- commands ---------------------------------------------------------------------------------------------


def _run(args: argparse.Namespace) -> int:
    plan = make_plan(_model(args.model), numerics=PRESETS[args.numerics])
    cases = read_inputs(plan, args.input, digit=args.digit, real_range=args.range)
    results = [result for name, arrays in cases for result in _results(plan, name, run(plan, *arrays))]
    if args.json:
        return _print_json(_heading(args, plan) | {"results": results})
    for result in results:
        _print_result(result)
    print(f"numerics: {plan.numerics}")
    return 0


def _inspect(args: argparse.Namespace) -> int:
    survey = inspect(load(_model(args.model)), numerics=PRESETS[args.numerics])
    if args.json:
        return _print_json({"model": args.model} | survey.as_dict())
    graph = survey.graph
    print(*(f"input   {_printable(graph.tensors[i])}" for i in graph.inputs), sep="\n")
    print(*(f"output  {_printable(graph.tensors[i])}" for i in graph.outputs), sep="\n")
    _print_table(_layer_table(survey))
    _print_table(_tensor_table(survey))
    print(f"Tensors alive at the same time: up to {survey.peak_bytes:,} bytes. TFLM's arena must be larger.\n")
    _print_tflm(survey)
    return 0


def _evaluate(args: argparse.Namespace) -> int:
    plan = make_plan(_model(args.model), numerics=PRESETS[args.numerics])
    images, labels = load_mnist(args.data, args.split) if args.data else bundled_digits()
    images, labels = images[: args.limit], labels[: args.limit]
    accuracy, status = None, 0
    try:
        with _progress() as progress:
            task = progress.add_task(args.model, total=len(images))
            for accuracy in evaluate(plan, images, labels, real_range=args.range):
                progress.update(task, completed=accuracy.count)
    except KeyboardInterrupt:
        status = INTERRUPTED
    if accuracy is None:
        return status
    data = args.data or "the bundled digits (100; more with --data)"
    if args.json:
        done = {"data": data, "interrupted": status == INTERRUPTED, "numerics": args.numerics}
        _print_json(_heading(args, plan) | done | accuracy.as_dict())
        return status
    print(f"{args.model} on {data}" + (f", interrupted after {accuracy.count} of {len(images)}" if status else ""))
    print(
        f"accuracy {accuracy.accuracy:.2%} ({accuracy.correct} of {accuracy.count}), "
        f"{accuracy.images_per_second:,.0f} images/s"
    )
    _print_table(_confusion_table(accuracy))
    print(f"numerics: {plan.numerics}")
    return status


def _demo(args: argparse.Namespace) -> int:
    images, labels = bundled_digits()
    print(*map("  ".join, zip(*(half_blocks(image[2:-2, 2:-2]) for image in images[SHOWN]), strict=True)), sep="\n")
    table = _table("network", "type", "reads above", "right of 100", "images/s")
    for name, path in bundled_models().items():
        plan = make_plan(path)
        answers = predictions(plan, *run(plan, pixels_to_input(plan, images[SHOWN])))
        *_, accuracy = evaluate(plan, images, labels)
        network, _, kind = name.rpartition("_")
        table.add_row(
            network,
            kind,
            "  ".join(str(answer.label) for answer in answers),
            str(accuracy.correct),
            f"{accuracy.images_per_second:,.0f}",
        )
    _print_table(table)
    print(
        "Every number is what TensorFlow Lite Micro computes, bit for bit. Try a digit of your own:\n"
        "  refengine run stm32f746_int8 --input drawing.png --digit"
    )
    return 0


# ---- arguments --------------------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """One that complains in one line."""

    def error(self, message: str) -> NoReturn:
        sys.exit(_fail(f"{message} (see {self.prog} --help)"))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="refengine",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="The golden model for TensorFlow Lite Micro: runs .tflite files bit for bit as TFLM does.",
        epilog=HELP.format(bundled="\n  ".join(bundled_models())),
    )
    parser.add_argument("--version", action="version", version=f"refengine {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, function: Callable[[argparse.Namespace], int], description: str) -> _Parser:
        summary = description[0].lower() + description[1:-1]
        added: _Parser = commands.add_parser(name, help=summary, description=description)
        added.set_defaults(command=function)
        return added

    command("demo", _demo, "Recognise handwritten digits with every bundled network.")
    run_ = command("run", _run, "Run a model on pictures or arrays.")
    inspect_ = command("inspect", _inspect, "Show a model's layers and costs, and whether it runs on TFLM.")
    evaluate_ = command("evaluate", _evaluate, "Measure a classifier's accuracy on MNIST.")

    for each in (run_, inspect_, evaluate_):
        each.add_argument("model", metavar="MODEL", help="a .tflite file or the name of a bundled network")
        each.add_argument(
            "--numerics",
            metavar="PRESET",
            choices=PRESETS,
            default="tflm",
            help=f"whose arithmetic: {', '.join(PRESETS)} (default: %(default)s)",
        )
        each.add_argument("--json", action="store_true", help="print JSON")
    run_.add_argument(
        "--input",
        metavar="FILE",
        nargs="+",
        required=True,
        help="pictures (PNG, JPEG, BMP, PGM, GIF …), .npy, .npz (inputs by name), .raw or .bin; several "
        "files: one inference each, or one input each where the model has several",
    )
    run_.add_argument(
        "--digit",
        action="store_true",
        help="pictures are drawn digits: crop, thicken, centre and scale them as MNIST's are",
    )
    evaluate_.add_argument("--data", metavar="DIR", help="folder of MNIST's IDX files (default: 100 bundled digits)")
    evaluate_.add_argument("--split", choices=PREFIXES, default="test", help="which of them (default: %(default)s)")
    evaluate_.add_argument("--limit", metavar="N", type=_positive, help="only the first N pictures")
    for each in (run_, evaluate_):
        each.add_argument(
            "--range",
            nargs=2,
            type=float,
            metavar=("BLACK", "WHITE"),
            help="real values of black and white (default: as the input's quantisation tells, else 0 1)",
        )
    return parser


def _positive(text: str) -> int:
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is no positive number")
    return int(text)


def _model(name: str) -> str | Path:
    """A file by its path, or a bundled network by its name."""
    bundled = bundled_models()
    if not Path(name).exists() and name not in bundled:
        raise InputError(f"{name}: no such file, and no bundled network ({', '.join(bundled)})")
    return name if Path(name).exists() else bundled[name]


# ---- output -----------------------------------------------------------------------------------------------


def _heading(args: argparse.Namespace, plan: Plan) -> dict[str, Any]:
    return {"model": args.model, "sha256": plan.model.sha256, "numerics": args.numerics}


def _results(plan: Plan, name: str, outputs: tuple[Array, ...]) -> Iterator[dict[str, Any]]:
    """What `run` gave, in plain Python: one result per answer of a classifier, else one with all outputs."""
    if not is_classifier(plan):
        yield {"input": name, "outputs": [_output(plan, i, output) for i, output in enumerate(outputs)]}
        return
    answers = predictions(plan, *outputs)
    for i, answer in enumerate(answers):
        yield {
            "input": name if len(answers) == 1 else f"{name}[{i}]",
            "class": answer.label,
            "confidence": answer.confidence,
            "outputs": [_output(plan, 0, answer.output)],
        }


def _output(plan: Plan, index: int, values: Array) -> dict[str, Any]:
    tensor = plan.outputs[index]
    real = dequantize_output(plan, values, index).tolist() if tensor.quantization else None
    return {"name": tensor.name, "dtype": tensor.dtype, "values": values.tolist(), "real": real}


def _print_result(result: dict[str, Any]) -> None:
    answer = f": class {result['class']}, confidence {result['confidence']:.4f}" if "class" in result else ""
    print(_printable(result["input"]) + answer)
    for output in result["outputs"]:
        print(f"  {output['dtype']:8} {_numbers(output['values'])}")
        if output["real"] is not None:
            print(f"  {'real':8} {_numbers(output['real'])}")


def _numbers(values: Any) -> str:
    """Nested lists of numbers in one line; float32 with all digits that tell."""
    if isinstance(values, list):
        return f"[{' '.join(map(_numbers, values))}]"
    return f"{values:.9g}" if isinstance(values, float) else str(values)


def _layer_table(survey: Survey) -> Table:
    table = _table("#", "operator", "tensors", "writes", "MACs", "constant\nbytes", "output\nbytes")
    for column, total in zip(
        table.columns[-3:], (survey.macs, survey.constant_bytes, survey.output_bytes), strict=True
    ):
        column.justify, column.footer = "right", f"{total:,}"
    for column in table.columns[2:]:
        column.no_wrap = True
    table.show_footer, table.columns[1].footer = True, "total"
    for layer in survey.layers:
        table.add_row(*map(_printable, _layer_cells(layer)))
    return table


def _layer_cells(layer: Layer) -> Iterator[str]:
    activation = layer.op.options.get("fused_activation_function", "NONE")
    yield f"{layer.op.index}{'✗' if layer.refusal else ''}"
    yield (layer.op.custom_code or layer.op.name) + (f" + {activation}" if activation != "NONE" else "")
    read = " ".join(str(t.index) for t in layer.inputs if t is not None and t.data is None)
    yield f"{read} → {' '.join(str(t.index) for t in layer.outputs)}"
    yield ", ".join(map(_type, layer.outputs))
    yield "?" if layer.macs is None else f"{layer.macs:,}"
    yield f"{layer.constant_bytes:,}"
    yield f"{layer.output_bytes:,}"


def _tensor_table(survey: Survey) -> Table:
    table = _table("tensor", "of", "type", "scale", "zero")
    for layer in survey.layers:
        for tensor in (*layer.constants, *layer.outputs):
            role = f"#{layer.op.index}, {'computed' if tensor.data is None else 'constant'}"
            table.add_row(str(tensor.index), role, _type(tensor), *_scale_and_zero(tensor))
    return table


def _type(tensor: Tensor) -> str:
    return f"{tensor.dtype} {'×'.join(map(str, tensor.shape))}"


def _scale_and_zero(tensor: Tensor) -> tuple[str, str]:
    """Of per-channel quantisation the number and the range of scales."""
    if not (tensor.quantization and tensor.quantization.scale):
        return "", ""
    scales, zeros = tensor.quantization.scale, {*tensor.quantization.zero_point}
    scale = f"{scales[0]:.6g}" if len(scales) == 1 else f"{len(scales)}: {min(scales):.3g} … {max(scales):.3g}"
    return scale, " ".join(map(str, sorted(zeros)))


def _print_tflm(survey: Survey) -> None:
    verdicts = {"yes": "yes", "no": "no", "unknown": "not known, because refengine has no kernel for some operators"}
    print(f"Runs on TFLM: {verdicts[survey.runs_on_tflm]}.")
    for refusal in survey.refusals:
        print(f"  ✗ {_printable(refusal)}")
    print(f"\nIts operators, for your C++:\n\n{survey.resolver}")


def _confusion_table(accuracy: Accuracy) -> Table:
    """A row per true class, a column per answer."""
    table = _table("is \\ seen as")
    rows = accuracy.confusion.tolist()
    for label, _ in enumerate(rows):
        table.add_column(str(label), justify="right")
    for label, row in enumerate(rows):
        table.add_row(str(label), *(str(count) if count else "·" for count in row))
    return table


def _progress() -> Progress:
    """A bar on stderr while that is a terminal, and nothing in a pipe."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _table(*headings: str) -> Table:
    return Table(*headings, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)


def _print_table(table: Table) -> None:
    """As wide as the terminal; in a pipe plain, and as wide as it needs."""
    Console(width=None if sys.stdout.isatty() else 240, markup=False, highlight=False, emoji=False).print(table)


def _print_json(value: dict[str, Any]) -> int:
    print(json.dumps(value, indent=1, default=str, ensure_ascii=False))
    return 0


def _printable(text: object) -> str:
    """One line without control characters: names in files are anybody's."""
    return "".join(c if c.isprintable() else " " for c in str(text))


def _fail(message: str) -> int:
    print(f"refengine: {_printable(message)}", file=sys.stderr)
    return FAILED
