"""A drawing on a board, beside what refengine computes of it: answers, times, CRCs, and why they differ if they do."""

from __future__ import annotations

import re
from typing import Any

from ..accuracy import is_classifier, predictions
from ..device import Device, device_plan, output_steps, outputs_of, record, unequal_steps
from ..device.qemu import DEBIAN, FAULTS, boards
from ..device.recording import EMULATED
from ..errors import InputError
from ..execute import run
from ..judge import Dump, diff
from ..model import Array
from ..plan import Plan
from .asked import Asked
from .comparison import judged, taken
from .studio import Studio


def ports(studio: Studio, asked: Asked) -> dict[str, Any]:
    """What boards there are, and what some of them need."""
    found = [{"port": port, "core": _core(port), "missing": missing} for port, missing in studio.boards.ports().items()]
    return {"ports": found, "faults": FAULTS, "install": f"sudo apt install make {' '.join(DEBIAN.values())}"}


def _core(port: str) -> str:
    """What an emulated board's code is compiled for, ``cortex-m7`` or ``rv32imc``; nothing of others."""
    settings = boards().get(port.removeprefix(EMULATED), {})
    found = re.search(r"-m(?:cpu|arch)=([\w-]+)", settings.get("CPU", ""))
    return found[1] if found else ""


def board(studio: Studio, asked: Asked) -> dict[str, Any]:
    """Run the drawing on the board at ``port``, built with ``fault`` if it is emulated."""
    port, fault, name = asked.text("port"), asked.text("fault", ""), asked.text("network")
    if fault and (fault not in FAULTS or not port.startswith(EMULATED)):
        raise InputError(f"there is no fault {fault[:30]!r} for {port[:60]}; emulated boards have {', '.join(FAULTS)}")
    with studio.session(asked) as session:
        inputs = session.inputs
    plan = studio.networks.plan(name)
    with studio.boards.device(port, plan, name, fault) as device:
        return _told(device, plan, inputs)


def _told(device: Device, plan: Plan, inputs: tuple[Array, ...]) -> dict[str, Any]:
    """What the device gives, beside what refengine computes by the device's arithmetic."""
    done = device.run(inputs, output_steps(device))
    unequal = unequal_steps(device, plan, inputs, done)
    mine = device_plan(device, plan)
    milliseconds = [1000 * ticks / device.info.ticks_per_second for ticks in done.ticks]
    steps = [
        {
            "index": tensor.operator_index,
            "name": tensor.operator_name,
            "milliseconds": milliseconds[place],
            "crc32": f"{done.crc32[place]:08x}",
            "equal": place not in unequal,
        }
        for place, tensor in enumerate(device.steps)
    ]
    times = {tensor.operator_index: ms for tensor, ms in zip(device.steps, milliseconds, strict=True)}
    return {
        "board": device.info.board,
        "numerics": device.info.numerics,
        "arena": device.info.arena_bytes,
        "steps": steps,
        "total": sum(milliseconds),
        "answers": _answers(mine, outputs_of(device, done), run(mine, *inputs)),
        "times": taken(mine, times),
        "verdict": _verdict(device, mine, inputs) if unequal else None,
    }


def _answers(plan: Plan, theirs: tuple[Array, ...], mine: tuple[Array, ...]) -> dict[str, Any]:
    """Both outputs, and of a classifier both answers."""
    codes = {"board": [x.ravel().tolist() for x in theirs], "refengine": [x.ravel().tolist() for x in mine]}
    if not is_classifier(plan):
        return {"codes": codes, "classes": None}
    both = {name: predictions(plan, *each)[0] for name, each in (("board", theirs), ("refengine", mine))}
    classes = {name: {"label": each.label, "score": each.confidence} for name, each in both.items()}
    return {"codes": codes, "classes": classes}


def _verdict(device: Device, plan: Plan, inputs: tuple[Array, ...]) -> dict[str, Any]:
    """Where the difference begins, and why: every tensor is brought over for it."""
    kept = record(device, plan, inputs)
    report = diff(plan, Dump(device.info.board, kept.tensors, meta=kept.meta), *inputs)
    return judged(plan, report)
