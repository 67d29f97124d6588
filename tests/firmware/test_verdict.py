"""The judge judged: firmware broken on purpose, run on every board, its tensors read over the wire, and the verdict.

Each fault of `firmware/faults/faults.h` is built into the firmware of a small network in which it shows. The diff must
call every operator that the fault touches a culprit and no other, and say of each what is wrong with it; of faults that
it does not know, that nothing explains them. About sound firmware it must say nothing.
"""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from refengine.cexport.placement import offsets_of
from refengine.commands import main
from refengine.device import Device, connect, device_plan, qemu, record
from refengine.execute import execute, infer
from refengine.judge import Dump, Finding, Report, diff, read_dump
from refengine.kernel import PRESETS
from refengine.model import Model
from refengine.plan import make_plan
from refengine.tflite_io import dump
from tests.firmware.nets import AVERAGE_POOL, CONV, DEPTHWISE, HIDDEN, LOGITS, MAX_POOL, SOFTMAX, network, picture
from tests.judge.streams import recurrent, remembering
from tests.models import present
from tests.test_processes import until

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
BOARDS = ("host", "mps2-an385", "mps2-an386", "mps2-an500")

LAYERS = (CONV, DEPTHWISE, HIDDEN, LOGITS)
NOTHING = "nothing explains"
SINGLE = "under single rounding"
DROPS, ROUNDS_DOWN = "if requantisation drops the bits it shifts out", "if requantisation rounds down"
UP_LEFT = "if the window lies one row and one column too far up and left"
NO_CLAMP, WRAPS = "if the fused activation is not applied", "if codes wrap around instead of saturating"
NO_INPUT_OFFSET, NO_OUTPUT_OFFSET = (
    "if the zero point of the input is taken for 0",
    "if the zero point of the output is not added",
)
NO_BIAS, REVERSED = "if the bias is left out", "if the bytes of each bias value are reversed"
TRANSPOSED = "if the weights are stored as OI but read as IO"
SWAPPED = "if neighbouring output channels are swapped"
SHORT, NARROW = "if the last column of the window is skipped", "if the accumulator wraps at 16 bits"
STALE = "if the step never ran and its buffer still holds the output of operator"

FLOAT_FAULTS = {
    "pad": {CONV: UP_LEFT, DEPTHWISE: UP_LEFT},
    "clamp": {CONV: NO_CLAMP, DEPTHWISE: NO_CLAMP, HIDDEN: NO_CLAMP},
    "missing_bias": dict.fromkeys(LAYERS, NO_BIAS),
    "transposed_weights": {HIDDEN: TRANSPOSED, LOGITS: TRANSPOSED},
    "swapped_channels": {CONV: SWAPPED},
    "pool_short": {MAX_POOL: SHORT, AVERAGE_POOL: SHORT},
    "stale=2": {DEPTHWISE: STALE},
}
"""What the diff must say of which operators, for each fault that float layers have too; and for int8's own:"""

INT8_FAULTS = FLOAT_FAULTS | {
    "clamp": dict.fromkeys((CONV, DEPTHWISE, HIDDEN), WRAPS),
    "single_rounding": {CONV: SINGLE, DEPTHWISE: SINGLE},
    "round_down": {CONV: DROPS, DEPTHWISE: DROPS, HIDDEN: ROUNDS_DOWN, LOGITS: ROUNDS_DOWN, SOFTMAX: NOTHING},
    "zero_point": dict.fromkeys(LAYERS, NO_INPUT_OFFSET),
    "output_offset": dict.fromkeys(LAYERS, NO_OUTPUT_OFFSET),
    "endianness": dict.fromkeys(LAYERS, REVERSED),
    "narrow_accumulator": {HIDDEN: NARROW},
    "softmax_beta": {SOFTMAX: NOTHING},
    "stale=6": {LOGITS: STALE},
}

CASES = [("int8", fault) for fault in INT8_FAULTS] + [("float32", fault) for fault in FLOAT_FAULTS]

MVE = "mps3-an547"
"""Has kernels of its own, but for broken ones, which are those of the others."""

LONG = {"mps2-an385", "mps2-an386"}
"""Their kernels are the portable ones and those with DSP instructions, which other boards have as well."""

on_every_board = pytest.mark.parametrize(
    "board", [pytest.param(board, marks=pytest.mark.long) if board in LONG else board for board in BOARDS]
)


@pytest.fixture(autouse=True)
def _tools(request: pytest.FixtureRequest) -> None:
    """Skips a board whose tools are missing, and says which they are."""
    board = request.node.callspec.params.get("board", "host") if hasattr(request.node, "callspec") else "host"
    if missing := qemu.missing_tools(board):
        pytest.skip(f"NOT TESTED on {board}: {' and '.join(missing)} missing (`make tools` installs them)")


def dumped(board: str, model: Model, folder: Path, fault: str = "") -> Path:
    """A recording of everything that the board computes of the network's picture."""
    plan = make_plan(model)
    with connect(f"qemu:{board}", plan, options=[f"FAULT={fault}"] if fault else []) as device:
        record(device, plan, (picture(plan.inputs[0].dtype),)).save(folder / "dump.npz")
    return folder / "dump.npz"


def judged(model: Model, path: Path, dialect: str = "") -> Report:
    """The recording by the dialect that it names, or by another one."""
    plan = make_plan(model)
    dump = read_dump(plan, path)
    plan = make_plan(model, numerics=PRESETS[dialect or dump.meta["numerics"]])
    return diff(plan, dump, picture(plan.inputs[0].dtype))


@pytest.mark.parametrize("board", [*BOARDS, MVE])
@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_silent_on_sound_firmware(dtype: str, board: str, tmp_path: Path) -> None:
    model = network(dtype)
    report = judged(model, dumped(board, model, tmp_path))
    assert [finding.status for finding in report.findings] == ["same"] * 8
    assert not report.differs and all("cannot show well" in note for note in report.notes)


@on_every_board
@pytest.mark.parametrize(("dtype", "fault"), CASES, ids=[f"{dtype}-{fault}" for dtype, fault in CASES])
def test_a_fault_is_named(dtype: str, fault: str, board: str, tmp_path: Path) -> None:
    model, expected = network(dtype), (INT8_FAULTS if dtype == "int8" else FLOAT_FAULTS)[fault]
    report = judged(model, dumped(board, model, tmp_path, fault))
    culprits = {finding.step.index: finding for finding in report.culprits}
    assert culprits.keys() == expected.keys()
    for index, finding in culprits.items():
        assert finding.verdict.partition(": ")[2].startswith(sentence(finding, expected[index]))
        explained = finding.told.value if finding.told else None
        assert explained == (present(finding.own).mine if expected[index] == NOTHING else None)

    first = min(expected)  # where it enters: what the device read there is sound, so NumPy alone tells what differs
    assert all(finding.status == "same" for finding in report.findings[:first])
    golden = next(r.outputs[0] for r in execute(report.plan, picture(dtype)) if r.step.index == first)
    apart = np.argwhere(golden != report.dump.tensors[report.plan.steps[first].outputs[0].index])
    own = present(culprits[first].own)
    assert (own.count, own.first) == (len(apart), tuple(apart[0]))


def sentence(finding: Finding, cause: str) -> str:
    """How the verdict on a culprit must begin, after how certain it is."""
    if cause == NOTHING:
        return f"nothing explains its {present(finding.own).count} differences"
    return f"all its {present(finding.own).count} differences vanish {cause}"


DIALECTS = {
    "fma": ("float32", "cortex-m7", "cortex-m3", LAYERS, "under FMA contraction"),
    "no-fma": ("float32", "cortex-m3", "cortex-m7", LAYERS, "under separate float32 multiply and add"),
    "xnnpack": ("int8", "xnnpack", "tflm", (CONV, DEPTHWISE), "under XNNPACK's rounding"),
}
"""The network, the firmware's dialect, a wrong one to judge it by, where that shows, and what must be said."""


@on_every_board
@pytest.mark.parametrize("case", DIALECTS)
def test_a_dialect_is_told(case: str, board: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sound firmware is right by its own Numerics, and by others it is told how they differ.

    Every board computes every dialect: a Cortex-M3 has no FPU and calls fmaf. The softmax is left out, since with it
    the dialects would differ in more than one choice.
    """
    dtype, dialect, wrong, where, name = DIALECTS[case]
    settings = qemu.board_settings(board) | {"NUMERICS": dialect}
    monkeypatch.setattr(qemu, "board_settings", lambda board: settings)
    model = network(dtype, softmax=False)
    path = dumped(board, model, tmp_path)
    assert not judged(model, path).differs
    report = judged(model, path, wrong)
    assert tuple(finding.step.index for finding in report.culprits) == where
    best = [finding.candidates[0] for finding in report.culprits]
    assert all(candidate.complete and candidate.how == name for candidate in best)
    assert f"every difference vanishes {name}" in report.summary


@pytest.mark.parametrize("board", ["mps2-an500"])
def test_a_trained_network_end_to_end(board: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As it is typed: recorded into a file, then judged; and judged on the line, by CRCs."""
    picture, path = str(ROOT / "tests" / "data" / "seven.png"), str(tmp_path / "dump.npz")
    given = ["--input", picture, "--digit", "--port", f"qemu:{board}"]
    broken = ["--fault", "single_rounding"]
    recording = ["device", "record", "--model", "stm32f746_int8", *given, "-o", path]

    assert main(recording) == 0
    assert main(["diff", "stm32f746_int8", path]) == 0
    assert "no difference" in capsys.readouterr().out

    assert main([*recording, *broken]) == 0
    assert main(["diff", "stm32f746_int8", path]) == 1
    summary = capsys.readouterr().out.splitlines()[-1].partition(": ")[2]
    assert summary.startswith(
        "the fault enters at 0 CONV_2D, 2 CONV_2D, passed on to 6 more; likely: every difference vanishes under"
    )
    assert SINGLE in summary

    assert main(["diff", "stm32f746_int8", *given, *broken, "--bisect"]) == 1
    assert capsys.readouterr().out.splitlines()[-1].endswith(f": {summary}")


@pytest.mark.parametrize(
    ("board", "model"),
    [
        pytest.param("mps2-an386", remembering, id="SVDF"),
        pytest.param("mps2-an500", partial(recurrent, "int8"), id="LSTM", marks=pytest.mark.long),
    ],
)
def test_a_board_that_is_not_reset_is_told(board: str, model: Callable[[], Model]) -> None:
    """Two inferences from a fresh start, and the same again, where the board should have forgotten, and has not."""
    plan, rng = make_plan(model()), np.random.default_rng(1)
    x, y = ((rng.integers(-100, 100, plan.inputs[0].shape).astype(np.int8),) for _ in range(2))
    with connect(f"qemu:{board}", plan, options=["FAULT=no_reset"]) as device:
        recordings = [record(device, plan, inputs, before=before) for inputs, before in [(x, ()), (y, (x,))] * 2]
        plan = device_plan(device, plan)
    first, second, again, after = (
        Dump("device", each.tensors, meta=each.meta, found=each.found, left=each.left) for each in recordings
    )
    for sound, previous in ((first, None), (second, None), (second, first), (after, again)):
        assert not diff(plan, sound, previous=previous).differs
    (held,) = diff(plan, again, previous=second).wrong_states
    assert (held.meant, held.certainty) == ("the first one begins with", "certain")
    assert held.ways[0].startswith("is what the previous dump left")
    report = diff(plan, after, state=infer(plan, None, x, plan.initial)[1])
    assert not report.culprits and report.wrong_states[0].meant == "the inferences before leave"

    silent = replace(again, found={}, left={}, meta={})  # as boards were that did not send what lives on
    blind = diff(plan, silent)
    assert [finding.step.index for finding in blind.culprits][:1] == [0] and blind.certainty == "open"


def write_to(emulator: qemu.Emulator, address: int, data: bytes, folder: Path) -> None:
    """Write into a board's memory, as a debugger does."""
    emulator._monitor.sendall(f"gdbserver unix:{folder}/gdb,server=on,wait=off\n".encode())
    until((folder / "gdb").exists)
    with socket.socket(socket.AF_UNIX) as debugger:
        debugger.connect(f"{folder}/gdb")
        for packet in (f"M{address:x},{len(data):x}:{data.hex()}", "D"):
            debugger.sendall(f"${packet}#{sum(packet.encode()) & 0xFF:02x}".encode())
            answer = b""
            while b"$OK#9a" not in answer:
                answer += debugger.recv(100)
            debugger.sendall(b"+")


def test_memory_that_was_written_between_two_inferences_is_told(tmp_path: Path) -> None:
    """On a board whose firmware is sound, and knows of nothing."""
    board, model, rng = "mps2-an385", make_plan(recurrent("int8")), np.random.default_rng(1)
    x, y = ((rng.integers(-100, 100, model.inputs[0].shape).astype(np.int8),) for _ in range(2))
    image = qemu.build(board, model, tmp_path)
    names = subprocess.check_output(["arm-none-eabi-nm", image], text=True)
    (arena,) = re.findall(r"^(\w+) . model_arena$", names, re.MULTILINE)
    with qemu.Emulator(board, image, has_console=False) as emulator, Device(emulator.line) as device:
        plan = device_plan(device, model)
        hidden, *_ = (t.index for t in plan.graph.tensors if t.is_variable)
        first = record(device, plan, x)
        write_to(emulator, int(arena, 16) + offsets_of(plan)[hidden] + 3, b"\x2a\x2b", tmp_path)
        second = record(device, plan, y, before=(x,))
    previous, dump = (Dump("device", r.tensors, meta=r.meta, found=r.found, left=r.left) for r in (first, second))
    report = diff(plan, dump, previous=previous)
    (held,) = report.wrong_states
    assert not report.culprits and second.found[f"t{hidden}"][0, 3:5].tolist() == [0x2A, 0x2B]
    assert "somebody wrote there" in held.verdict and "differs in 2 of 8 elements, first at [0, 3]" in held.verdict
    blind = diff(plan, replace(dump, found={}), previous=previous)
    assert blind.culprits and not blind.wrong_states, "an operator is accused, where nobody tells the state"


def test_bisecting_what_remembers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """CRCs first, of the state as well; of a layer that is wrong, its output alone is sent."""
    path, plan = tmp_path / "model.tflite", make_plan(remembering())
    path.write_bytes(dump(plan.model))
    np.save(tmp_path / "x.npy", np.random.default_rng(2).integers(-100, 100, (3, 1, 6)).astype(np.int8))
    asked = ["diff", str(path), "--port", "qemu:host", "--input", str(tmp_path / "x.npy"), "--index", "2", "--bisect"]
    assert main(asked) == 0
    told = capsys.readouterr().out
    assert "tensors fetched: 0; the others are proved by their CRC" in told and "no difference" in told
    assert main([*asked, "--fault", "round_down"]) == 1
    assert "the fault enters at 0 SVDF" in capsys.readouterr().out


def test_every_fault_of_the_firmware_is_tried() -> None:
    listed = re.findall(r"^ \*   (\w+)(?:=k)? +\w", (ROOT / "firmware/faults/faults.h").read_text(), re.MULTILINE)
    assert {fault.partition("=")[0].upper() for fault in (*INT8_FAULTS, "no_reset")} == set(listed)
