"""What a device computed, as arrays by tensor index, and the file they are kept in.

The file is an `.npz`: `t<index>` is the tensor of that index in the `.tflite`, in its dtype and shape (the inputs
given, the output of every step, and variable tensors as they were left), and `__meta__` is a string of JSON:

- `schema` 1, `model`, `sha256` (of the .tflite), `board`, `numerics` (a preset's name), `ticks_per_second`,
- `before`: how many inferences came before this one since what lives on was forgotten,
- `inputs`, `outputs`: indices of the model's input and output tensors,
- `steps`: for each step that the device ran, `index` and `op` (the operator), `tensor` and `name` (its output),
  `ticks`, `crc32`. Operators folded when the model was exported are not among them.

All that lives on from one inference to the next is in it twice, as this one found it and as it left it: `found t3`,
`left operator 2 keeps 0`, by the names that `State.named` gives. A variable tensor of the main graph was left as the
tensor itself has it. Firmware of before `Info.version` 2 does not tell it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, require
from ..execute import Record, batch_size, execute
from ..files import write_npz
from ..kernel import PRESETS
from ..model import Array, Tensor
from ..plan import Plan, make_plan
from ..session import Session
from ..tensors.arrays import FOUND, LEFT, META
from ..tensors.difference import crc32_of
from ..text import SCHEMA, as_json
from .client import Device, DeviceRun, Progress
from .protocol import TYPES, TensorInfo
from .qemu import EmulatedLine
from .transport import DeviceError, LostError, SerialLine

EMULATED = "qemu:"

MOMENT = 3.0
"""Seconds for a board to be there: it may have been plugged in or reset just now."""

REMEMBERING = 1
"""From which version on a device's firmware goes on where the inference before ended."""


TELLING = 2
"""From which version on it tells what lives on, before and after an inference."""


@dataclass(frozen=True)
class Recording:
    """`tensors` by index in the `.tflite`, and what `__meta__` holds; `found` and `left`, all that lives on, before and
    after, by the names that `State.named` gives. Variable tensors of the main graph are left as `tensors` has them.
    """

    tensors: Mapping[int, Array]
    meta: Mapping[str, Any]
    found: Mapping[str, Array] = field(default_factory=dict)
    left: Mapping[str, Array] = field(default_factory=dict)

    def save(self, path: str | Path) -> None:
        """Write the `.npz` that the module describes."""
        arrays: dict[str, Array] = {f"t{index}": x for index, x in sorted(self.tensors.items())}
        arrays |= {f"{FOUND}{name}": x for name, x in self.found.items()}
        arrays |= {f"{LEFT}{name}": x for name, x in self.left.items()}
        write_npz(path, {META: np.array(as_json(self.meta, indent=None))} | arrays, compressed=True)


def connect(
    port: str, plan: Plan | None = None, *, name: str = "model", baud: int = 115200, timeout: float = 30.0,
    options: Sequence[str] = (),
) -> Device:  # fmt: skip
    """The device at a serial port, a pyserial URL (`socket://host:port`), or `qemu:BOARD`, built and started for it.

    A port that is not there yet has a moment to come. `timeout`: seconds a step may take. With `plan`, the device must
    run that model; `qemu:` needs one to run, called `name` there, and gives `options` to `make`. Raises `DeviceError`,
    and `UnsupportedError` for a model whose inferences may end early: the protocol waits for every step.
    """
    if plan is not None:
        for step in plan.steps:
            require(not step.facts.ends, f"{step} may end an inference early; the link to devices waits for every step")
    if port.startswith(EMULATED):
        if plan is None:
            raise DeviceError(f"{port}: which model shall it run? name one")
        line = EmulatedLine(port.removeprefix(EMULATED), plan, name=name, options=options)
        device = Device(line, timeout=timeout)
    else:
        device = _come_to(port, baud, timeout)
    try:
        if plan is not None:
            _check_model(device, plan, port)
    except DeviceError:
        device.line.close()
        raise
    return device


def _come_to(port: str, baud: int, timeout: float) -> Device:
    """The device at a port, which may come within a moment."""
    end = time.monotonic() + MOMENT
    while True:
        try:
            return Device(SerialLine(port, baud), timeout=timeout)
        except LostError:
            if time.monotonic() > end:
                raise
        time.sleep(0.1)


def _check_model(device: Device, plan: Plan, port: str) -> None:
    """Refuse a device that runs another model, or says so while its tensors are others."""
    sha256 = plan.model.sha256
    if sha256 and device.info.sha256 != sha256:
        raise DeviceError(
            f"{port}: the device runs another model, '{device.info.name}' with SHA-256 {device.info.sha256[:12]}…, "
            f"not {sha256[:12]}…; export this one and flash it, or give the other"
        )
    if plan.initial and device.info.version < REMEMBERING:
        raise DeviceError(
            f"{port}: the model remembers, and the device's firmware begins afresh at each run; build it again with "
            "this version of refengine"
        )
    steps = [(t.operator_index, *_facts_there(t)) for t in device.steps]
    states = [(t.name, *_facts_there(t)) for t in device.states]
    agreed = {
        "inputs": [*map(_facts_there, device.inputs)] == [*map(_facts, plan.inputs)],
        "outputs": [*map(_facts_there, device.outputs)] == [*map(_facts, plan.outputs)],
        "steps": len(set(steps)) == len(steps)
        and {(step.index, *_facts(t)) for step in plan.steps for t in step.outputs}.issuperset(steps),
        "states": len({t.name for t in device.states}) == len(device.states)
        and {(name, *_facts(t)) for name, t in plan.lasting.items()}.issuperset(states),
    }
    for role, agree in agreed.items():
        if not agree:
            raise DeviceError(f"{port}: the device's {role} are not the model's; export the model again and flash it")


def _facts(tensor: Tensor) -> tuple[int, str, tuple[int, ...]]:
    return tensor.index, tensor.dtype, tensor.shape


def _facts_there(tensor: TensorInfo) -> tuple[int, str, tuple[int, ...]]:
    return tensor.index, TYPES[tensor.type], tensor.shape


def numerics_of(device: Device) -> str:
    """The preset for whose arithmetic the device's firmware was exported."""
    name = device.info.numerics.partition(" ")[0]
    if name not in PRESETS:
        raise DeviceError(f"the device computes by numerics {name!r}, which this version does not know; update it")
    return name


def device_plan(device: Device, plan: Plan) -> Plan:
    """`plan` with the device's arithmetic."""
    return make_plan(plan.model, numerics=PRESETS[numerics_of(device)], kernels=plan.kernels, memory=plan.memory)


def unequal_steps(
    device: Device, plan: Plan, inputs: Sequence[Array], run: DeviceRun, before: Sequence[Sequence[Array]] = ()
) -> tuple[int, ...]:
    """The places of the steps whose output is not, by its CRC-32, what `plan` computes with the device's arithmetic.

    `before` are the inputs of the inferences that came before. What TFLM leaves unwritten is never unequal.
    """
    session = Session(device_plan(device, plan))
    for earlier in before:
        session.run(*earlier)
    expected = crcs_of(execute(session.plan, *inputs, state=session.state))
    return tuple(place for place, apart in enumerate(apart_from(expected, device, run)) if apart)


def crcs_of(records: Iterable[Record]) -> dict[int, int | None]:
    """Of what the steps of the main graph wrote, by tensor index; None where elements are unwritten, or NaN."""
    return {
        tensor.index: crc32_of(x) if mask is None else None
        for record in records
        if not record.path
        for tensor, x, mask in zip(
            record.step.outputs, record.outputs, record.undefined or (None,) * len(record.outputs), strict=True
        )
    }


def apart_from(expected: Mapping[int, int | None], device: Device, run: DeviceRun) -> list[bool]:
    """Of each of the device's steps, whether its CRC-32 is another than `expected`, see `crcs_of`.

    Raises `DeviceError` where no step of the model writes what one of the device's does.
    """
    for t in device.steps:
        if t.index not in expected:
            raise DeviceError(
                f"the device's operator {t.operator_index} writes t{t.index}, which no operator of the model does; "
                "export the model again and flash it"
            )
    return [expected[t.index] not in (None, crc) for t, crc in zip(device.steps, run.crc32, strict=True)]


def outputs_of(device: Device, run: DeviceRun) -> tuple[Array, ...]:
    """The model's outputs, from a run that was asked for `output_steps`."""
    by_index = {device.steps[place].index: array for place, array in run.tensors.items()}
    return tuple(by_index[tensor.index] for tensor in device.outputs)


def output_steps(device: Device) -> tuple[int, ...]:
    """The places of the steps that compute the model's outputs."""
    places = {tensor.index: place for place, tensor in enumerate(device.steps)}
    for tensor in device.outputs:
        if tensor.index not in places:
            raise DeviceError(f"output '{tensor.name}' is computed by no step of the device")
    return tuple(places[tensor.index] for tensor in device.outputs)


def entry_names(device: Device) -> list[str]:
    """What a recording calls the tensor of each of the device's places; where two have one name, the last is meant."""
    variables = {f"t{t.index}" for t in device.states}
    found = [f"{FOUND}{t.name}" for t in device.states]
    left = [t.name if t.name in variables else f"{LEFT}{t.name}" for t in device.states]
    return [*(f"t{t.index}" for t in device.steps), *found, *left]


def record(
    device: Device,
    plan: Plan,
    inputs: Sequence[Array],
    progress: Progress = lambda done, of: None,
    before: Sequence[Sequence[Array]] = (),
) -> Recording:
    """Run once on `inputs`, one inference, and bring along the output of every step; `before`: see `Device.run`."""
    if batch_size(plan, tuple(inputs)) is not None:
        raise InputError("a device runs one inference at a time; give one input, not a batch")
    run = device.run(inputs, range(len(device.places)), progress, before)
    entries = dict(zip(entry_names(device), run.tensors.values(), strict=True))
    computed = {t.index: f"t{t.index}" for t in (*device.steps, *device.states)}
    tensors = {tensor.index: x for tensor, x in zip(device.inputs, inputs, strict=True)}
    tensors |= {index: entries[name] for index, name in computed.items() if name in entries}
    found, left = (
        {state.name: entries[when + state.name] for state in device.states if when + state.name in entries}
        for when in (FOUND, LEFT)
    )
    meta = {
        "schema": SCHEMA,
        "model": device.info.name,
        "sha256": device.info.sha256,
        "board": device.info.board,
        "numerics": numerics_of(device),
        "ticks_per_second": device.info.ticks_per_second,
        "before": len(before),
        "inputs": [tensor.index for tensor in device.inputs],
        "outputs": [tensor.index for tensor in device.outputs],
        "steps": [
            {
                "index": t.operator_index,
                "op": t.operator_name,
                "tensor": t.index,
                "name": t.name,
                "ticks": n,
                "crc32": crc,
            }
            for t, n, crc in zip(device.steps, run.ticks, run.crc32, strict=True)
        ],
    }
    return Recording(tensors, meta, found, left)
