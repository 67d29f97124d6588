"""Talk to a board: what it runs, one inference with the time of each step, every tensor into a file, or many samples.

PORT is a serial port (/dev/ttyUSB0, COM3), a pyserial URL (socket://host:port), or qemu:BOARD: the firmware is then
built with MODEL, started and stopped again; BOARD: mps2-an500 (Cortex-M7), mps2-an386 (M4F), mps2-an385 (M3),
mps3-an547 (M55), riscv-virt-imc (RISC-V as in an ESP32-C3), riscv-virt-imafc (with floats, as in an ESP32-P4), or host
(a process, no QEMU, neither DSP instructions nor Helium).

  refengine device info --port /dev/ttyUSB0
  refengine device run --port /dev/ttyUSB0 --model m.tflite --input seven.png
  refengine device record --port qemu:mps2-an500 --model stm32f746_int8 \\
    --input seven.png --digit -o dump.npz
  refengine device validate --port qemu:mps2-an500 --model stm32f746_int8 \\
    --data mnist/ --limit 100

exit status of run and validate: 0 every step is as refengine computes it, of every sample, 1 not so, 2 it could not be
found out
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from ..accuracy import is_classifier, predictions, tells_probabilities
from ..device import Device, TensorInfo, connect, output_steps, outputs_of, record, unequal_steps
from ..device.protocol import TYPES
from ..device.qemu import FAULTS as NAMED
from ..device.recording import TELLING
from ..errors import InputError, instead
from ..execute import frames
from ..identity import identified
from ..judge.revealing import telling
from ..model import Array
from ..plan import Plan, make_plan
from ..tensors.images import read_inputs
from ..text import counted
from . import _validate
from ._front import add_digit, add_json, add_memory, add_range, numbers, positive, print_json, say, sureness, warn
from ._tables import print_table, progress_bar, table_of

STALE = "stale"
"""The fault that takes a step's number."""

FAULTS = (*NAMED, f"{STALE}=STEP")
"""What `firmware/faults/faults.h` can break, and says more of."""

Connect: TypeAlias = Callable[[], Device]


def arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    for action, function, sentence in (
        ("info", _info, "what runs on the board"),
        ("run", _run, "one inference: outputs, and ticks and CRC-32 of each step, compared with refengine's"),
        ("record", _record, "one inference: every step's tensor into a file"),
        ("validate", _validate.command, "many samples: accuracy, closeness to refengine, times, and what differs"),
    ):
        one = actions.add_parser(action, help=sentence, description=sentence[0].upper() + sentence[1:] + ".")
        one.set_defaults(act=function)
        one.add_argument("--port", required=True, metavar="PORT", help="/dev/ttyUSB0, socket://host:port or qemu:BOARD")
        one.add_argument(
            "--model", metavar="MODEL", required=action != "info", help="a .tflite file or a bundled network's name"
        )
        one.add_argument("--baud", type=positive, default=115200, help="of a serial port (default: %(default)s)")
        one.add_argument(
            "--timeout", type=positive, default=30, metavar="SECONDS", help="a step may take (default: %(default)s)"
        )
        one.add_argument(
            "--fault", metavar="NAME", type=_fault, help=f"break qemu:'s firmware on purpose: {', '.join(FAULTS)}"
        )
        if action in ("run", "record"):
            fed = one.add_mutually_exclusive_group(required=True)
            fed.add_argument(
                "--input",
                metavar="FILE",
                nargs="+",
                help="one inference, as `run` takes it; of a model that remembers, several in a row: the last counts",
            )
            fed.add_argument(
                "--made",
                metavar="KIND",
                choices=("noise", "revealing"),
                help="an input of refengine's making: any `noise`, or the `revealing` one: of many kinds that on which "
                "the outputs move most",
            )
            add_digit(one)
        if action == "validate":
            _validate.arguments(one)
        if action != "info":
            add_range(one)
        add_memory(one)
        if action == "record":
            one.add_argument("-o", "--output", metavar="FILE", required=True, help="the .npz to write")
        elif action != "validate":
            add_json(one)


def _fault(text: str) -> str:
    known = [fault.partition("=")[0] for fault in FAULTS]
    name, sign, k = text.lower().partition("=")
    if name not in known or (name == STALE) != bool(sign) or (sign and not k.isdecimal()):
        raise argparse.ArgumentTypeError(
            f"there is no fault {text!r}{instead(name, known)}; there are {', '.join(FAULTS)}"
        )
    return text


def command(args: argparse.Namespace) -> int:
    plan = make_plan(args.model, memory=args.memory) if args.model else None
    options = [f"FAULT={args.fault}"] if args.fault else []
    if options and not args.port.startswith("qemu:"):
        raise InputError("--fault is for qemu: only; build other boards' firmware with FAULT=")
    name = Path(args.model).stem if args.model else ""
    told = {"name": name, "baud": args.baud, "timeout": args.timeout, "options": options}
    status: int = args.act(args, plan, partial(connect, args.port, plan, **told))
    return status


def _inferences(args: argparse.Namespace, plan: Plan) -> tuple[list[tuple[Array, ...]], tuple[Array, ...]]:
    """The inputs of the inferences before, of a model that remembers, and those of the one that counts."""
    if args.made:
        return [], telling(plan, *(1,) if args.made == "noise" else ())
    cases = list(read_inputs(plan, args.input, digit=args.digit, real_range=args.range))
    if plan.initial:
        *before, last = (inputs for _, arrays in cases for inputs in frames(plan, arrays))
        return before, last
    if len(cases) != 1:
        raise InputError(f"a device runs one inference at a time, and the files hold {len(cases)}; give one")
    return [], cases[0][1]


def _info(args: argparse.Namespace, plan: Plan | None, connect: Connect) -> int:
    with connect() as device:
        info = device.info
    if args.json:
        ends = {"inputs": [*map(_tensor, device.inputs)], "outputs": [*map(_tensor, device.outputs)]}
        ends["states"] = [*map(_tensor, device.states)]
        return print_json(vars(info) | ends | {"steps": [_step(tensor) for tensor in device.steps]})
    say(f"{info.name} on {info.board}, SHA-256 {info.sha256}")
    say(f"numerics: {info.numerics}")
    say(f"arena {info.arena_bytes:,} bytes, {info.ticks_per_second:,} ticks a second")
    table = table_of("step", "operator", "output", "shape", "bytes")
    for step in device.steps:
        shape = "×".join(map(str, step.shape))
        table.add_row(str(step.operator_index), step.operator_name, step.name, shape, f"{step.bytes:,}")
    print_table(table)
    if device.states:
        say(f"living on: {counted(len(device.states), 'tensor')}, {sum(t.bytes for t in device.states):,} bytes")
    return 0


def _step(output: TensorInfo) -> dict[str, Any]:
    """Which operator a step of the device is, and what it computes."""
    return {"operator": identified(output.operator_index, output.operator_name), "outputs": [_tensor(output)]}


def _tensor(tensor: TensorInfo) -> dict[str, Any]:
    return identified(tensor.index, tensor.name) | {
        "dtype": dict(enumerate(TYPES)).get(tensor.type),
        "shape": tensor.shape,
        "bytes": tensor.bytes,
        "scale": tensor.scale,
        "zero_point": tensor.zero_point,
        "golden_crc32": tensor.golden_crc32,
    }


def _run(args: argparse.Namespace, plan: Plan, connect: Connect) -> int:
    before, inputs = _inferences(args, plan)
    with connect() as device, progress_bar() as bar:
        task = bar.add_task("bytes")
        run = device.run(inputs, output_steps(device), lambda n, of: bar.update(task, completed=n, total=of), before)
    unequal = unequal_steps(device, plan, inputs, run, before)
    outputs = outputs_of(device, run)
    steps: list[dict[str, Any]] = [
        _step(tensor) | {"ticks": ticks, "crc32": crc, "equal": place not in unequal}
        for place, (tensor, ticks, crc) in enumerate(zip(device.steps, run.ticks, run.crc32, strict=True))
    ]
    if args.json:
        heading = {"board": device.info.board, "model": args.model, "sha256": device.info.sha256}
        values = [output.tolist() for output in outputs]
        print_json(heading | {"numerics": device.info.numerics, "steps": steps, "outputs": values})
        return int(bool(unequal))
    table = table_of("step", "operator", "ticks", "ms", "CRC-32", "refengine's")
    for step in steps:
        milliseconds = f"{1000 * step['ticks'] / device.info.ticks_per_second:.3f}"
        same = "the same" if step["equal"] else "DIFFERS"
        operator, ticks, crc = step["operator"], f"{step['ticks']:,}", f"{step['crc32']:08x}"
        table.add_row(str(operator["index"]), operator["name"], ticks, milliseconds, crc, same)
    print_table(table)
    if is_classifier(plan):
        (answer,) = predictions(plan, *outputs)
        say(f"class {answer.label}, {sureness(answer.confidence, tells_probabilities(plan))}")
        outputs = (answer.output,)
    for output in outputs:
        say(f"  {output.dtype!s:8} {numbers(output.tolist())}")
    verdict = (
        f"not as refengine computes it: {counted(len(unequal), 'step')}; refengine diff tells why"
        if unequal
        else "every step as refengine computes it"
    )
    say(f"{verdict}; numerics: {device.info.numerics}")
    if not any(run.ticks):
        say(_validate.STILL)
    return int(bool(unequal))


def _record(args: argparse.Namespace, plan: Plan, connect: Connect) -> int:
    if Path(args.output).suffix.lower() != ".npz":
        raise InputError(f"{args.output}: a recording is an .npz, and diff knows it by that: call it so")
    before, inputs = _inferences(args, plan)
    with connect() as device, progress_bar() as bar:
        task = bar.add_task("bytes")
        recording = record(device, plan, inputs, lambda n, of: bar.update(task, completed=n, total=of), before)
    recording.save(args.output)
    tensors = counted(len(recording.tensors), "tensor")
    after = f", after {counted(len(before), 'inference')} before it" if before else ""
    say(f"wrote {args.output}: {tensors} of {device.info.name} on {device.info.board}{after}")
    if plan.initial and device.info.version < TELLING:
        warn(
            "the firmware is of an older refengine and does not send what lives on: build it again to have it recorded"
        )
    return 0
