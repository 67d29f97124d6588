"""CRC-32s instead of tensors: what they prove is judged, what nothing computes is told, and lost bytes are noticed."""

from __future__ import annotations

import shutil
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest

from refengine import PRESETS, InputError, Plan, diff, judge, make_plan, run
from refengine.bundled import bundled_models
from refengine.execute import execute, infer
from refengine.judge import read_dump
from refengine.judge.revealing import inputs_of
from refengine.model import Array
from refengine.state import State
from tests.judge.streams import remembering
from tests.kernels.test_framer import framer
from tests.kernels.test_if import adding, branching

ROOT = Path(__file__).parents[2]
MODEL = bundled_models()["esp32_int8"]
PLAN = make_plan(MODEL)
(INPUTS,) = inputs_of(PLAN, 1, 3)


def tapped(plan: Plan, wrong: dict[int, Array] | None = None) -> list[tuple[int, int, Array]]:
    """(operator, tensor, value) as a device computes them; `wrong` ones are what that operator writes instead."""
    values = {t.index: x for t, x in zip(plan.inputs, INPUTS, strict=True)}
    values |= {t.index: t.data for t in plan.graph.tensors if t.data is not None}
    lines = []
    for step in plan.steps:
        (out,) = step.evaluate(*(None if t is None else values[t.index][np.newaxis] for t in step.inputs))
        index = step.outputs[0].index
        values[index] = (wrong or {}).get(index, np.ascontiguousarray(out[0]))
        lines.append((step.index, index, values[index]))
    return lines


def log_of(lines: list[tuple[int, int, Array]], *with_bytes: int) -> str:
    """As firmware/tflm/refengine_tap.h prints it."""
    text = []
    for operator, tensor, x in lines:
        data = x.tobytes()
        text.append(f"refengine op {operator:05} writes tensor {tensor:05} crc {zlib.crc32(data):08x}")
        if tensor in with_bytes:
            text += [f"{at:08x} {data[at : at + 16].hex(' ')}" for at in range(0, len(data), 16)]
    return "\n".join(text)


def test_crcs_prove_what_is_sound(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text(log_of(tapped(PLAN)))
    report = diff(PLAN, tmp_path / "log.txt", *INPUTS)
    assert not report.differs and f"{len(PLAN.steps)} of {len(PLAN.steps)} operators compared" in report.summary
    assert any("known by their CRC-32" in note for note in report.notes)


@pytest.mark.slow
def test_a_dialect_is_told_by_crcs_alone(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text(log_of(tapped(make_plan(MODEL, numerics="single"))))
    report = diff(PLAN, tmp_path / "log.txt", *INPUTS)
    assert report.culprits and PRESETS["single"] in report.dialects
    assert all("not by their bytes" not in problem for problem in report.dump.problems)


@pytest.mark.slow
def test_a_fault_of_one_operator_is_told_by_its_crc(tmp_path: Path) -> None:
    step = PLAN.steps[0]
    sound = {i: x for _, i, x in tapped(PLAN)}[step.outputs[0].index]
    swapped = sound.reshape(*sound.shape[:-1], -1, 2)[..., ::-1].reshape(sound.shape)
    log = log_of(tapped(PLAN, {step.outputs[0].index: np.ascontiguousarray(swapped)}))
    (tmp_path / "log.txt").write_text(log)
    report = diff(PLAN, tmp_path / "log.txt", *INPUTS)
    (culprit,) = report.culprits
    assert culprit.step.index == step.index
    assert culprit.verdict.startswith("certain: ") and "neighbouring output channels are swapped" in culprit.verdict


def test_what_nothing_computes_is_a_problem_and_its_bytes_help(tmp_path: Path) -> None:
    place = 2
    output = PLAN.steps[place].outputs[0].index
    noise = np.random.default_rng(0).integers(-128, 128, PLAN.steps[place].outputs[0].shape, np.int8)
    lines = tapped(PLAN, {output: noise})
    (tmp_path / "log.txt").write_text(log_of(lines))
    report = diff(PLAN, tmp_path / "log.txt", *INPUTS)
    assert report.differs and not report.culprits
    (problem,) = report.dump.problems
    assert problem.startswith(f"{PLAN.steps[place]}: the CRC-32 of tensor {output} ")
    assert problem.endswith("is none that a known fault gives; print its bytes")
    (tmp_path / "log.txt").write_text(log_of(lines, output))
    report = diff(PLAN, tmp_path / "log.txt", *INPUTS)
    (culprit,) = report.culprits
    assert culprit.step.index == PLAN.steps[place].index and not report.dump.problems


def test_bytes_that_were_lost_are_noticed(tmp_path: Path) -> None:
    lines = tapped(PLAN)
    output = PLAN.steps[-1].outputs[0].index
    log = log_of(lines, output)
    last = log.splitlines()[-1]
    (tmp_path / "log.txt").write_text(log.replace(last, last[:-1] + ("0" if last[-1] != "0" else "1")))
    dump = diff(PLAN, tmp_path / "log.txt", *INPUTS).dump
    assert any("its bytes do not have their CRC-32" in problem for problem in dump.problems)


def test_another_input_is_known_by_its_crc(tmp_path: Path) -> None:
    tensor = PLAN.inputs[0].index
    read = f"refengine op 00000 reads  tensor {tensor:05} crc {zlib.crc32(INPUTS[0].tobytes()):08x}\n"
    (tmp_path / "log.txt").write_text(read + log_of(tapped(PLAN)))
    assert not diff(PLAN, tmp_path / "log.txt", *INPUTS).differs
    with pytest.raises(InputError, match="the device was fed another input than the one given"):
        diff(PLAN, tmp_path / "log.txt", INPUTS[0] ^ 1)
    with pytest.raises(InputError, match="give it by --input"):
        diff(PLAN, tmp_path / "log.txt")


def test_what_branches_is_judged_by_its_crcs_too(tmp_path: Path) -> None:
    plan = make_plan(branching(adding(1, [[1, 1]]), adding(2, [[10, 20]])))
    (inputs,) = inputs_of(plan, 1)
    output, (y,) = plan.outputs[0].index, run(plan, *inputs)
    (tmp_path / "log.txt").write_text(f"tensor {output} crc {zlib.crc32(y.tobytes()):08x}")
    assert not diff(plan, tmp_path / "log.txt", *inputs).differs
    (tmp_path / "log.txt").write_text(f"tensor {output} crc 00000001")
    with pytest.raises(InputError, match=r"operator 0 \(IF\): the CRC-32 of .* is none that a known fault gives"):
        diff(plan, tmp_path / "log.txt", *inputs)


# ---- what remembers ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stream() -> tuple[Plan, list[Array], list[State]]:
    """A layer of int8 with a state, what it hears, and the states before each inference and after the last."""
    plan, rng = make_plan(remembering()), np.random.default_rng(5)
    heard = [rng.integers(-100, 100, (1, 6)).astype(np.int8) for _ in range(4)]
    states = [plan.initial]
    for x in heard:
        states.append(infer(plan, None, (x,), states[-1])[1])
    return plan, heard, states


def remembered(plan: Plan, x: Array, state: State, *without: str) -> str:
    """What the tap prints of an inference, but for the lines that begin with one of those words."""
    lines = [f"reads  tensor {plan.inputs[0].index:05} crc {zlib.crc32(x.tobytes()):08x}"]
    for record in execute(plan, x, state=state):
        updated = [t for t in record.step.writes if t.is_variable]
        told = [("reads ", t, state.variables[0, t.index][0]) for t in updated]
        told += [("writes", t, v) for t, v in zip(record.step.writes, (*record.outputs, *record.updates), strict=True)]
        lines += [f"{does} tensor {t.index:05} crc {zlib.crc32(v.tobytes()):08x}" for does, t, v in told]
    return "".join(f"refengine op 00000 {line}\n" for line in lines if not line.startswith(without))


def test_a_log_of_crcs_tells_which_state_was_found(
    stream: tuple[Plan, list[Array], list[State]], tmp_path: Path
) -> None:
    plan, heard, states = stream
    log = tmp_path / "log.txt"
    log.write_text("".join(remembered(plan, x, state) for x, state in zip(heard, states, strict=False)))
    for k, x in enumerate(heard):
        report = diff(plan, read_dump(plan, log, k), x, state=states[k], older=states[:k])
        assert not report.differs and "t4" in report.dump.found
    log.write_text(remembered(plan, heard[3], states[0]))
    (held,) = diff(plan, log, heard[3], state=states[3], older=states[:3]).wrong_states
    assert held.ways == ("is that of the first inference: reset before every one",)
    log.write_text(remembered(plan, heard[3], states[2]))
    (held,) = diff(plan, log, heard[3], state=states[3], older=states[1:3]).wrong_states
    assert (held.certainty, held.ways) == ("certain", ("is that of 1 inference earlier",))


def test_a_crc_of_a_state_that_nobody_knows_is_refused_in_a_sentence(
    stream: tuple[Plan, list[Array], list[State]], tmp_path: Path
) -> None:
    plan, heard, states = stream
    (tmp_path / "log.txt").write_text(remembered(plan, heard[3], states[3]))
    with pytest.raises(InputError, match="as the inference found it, is that of no state that was tried; print its b"):
        diff(plan, tmp_path / "log.txt", heard[3])


def test_without_the_states_crc_its_outputs_tell_of_a_reset(
    stream: tuple[Plan, list[Array], list[State]], tmp_path: Path
) -> None:
    plan, heard, states = stream
    (tmp_path / "log.txt").write_text(remembered(plan, heard[3], states[0], "reads "))
    report = diff(plan, tmp_path / "log.txt", heard[3], state=states[3], older=states[:3])
    assert report.causes[0] == "if its state is that of the first inference: reset before every one"
    assert any(
        "does not tell what lived on before: that is taken for what the inferences" in note for note in report.notes
    )


@pytest.mark.parametrize(("before", "sent"), [(3, []), (2, ["found t4"])], ids=["sound", "another state"])
def test_of_a_device_that_remembers_only_what_differs_is_fetched(
    stream: tuple[Plan, list[Array], list[State]], before: int, sent: list[str]
) -> None:
    plan, heard, states = stream
    (record,) = execute(plan, heard[3], state=states[before])
    arrays = {f"t{t.index}": x for t, x in zip(record.step.writes, (*record.outputs, *record.updates), strict=True)}
    arrays["found t4"] = states[before].variables[0, 4][0]
    fetched = list[str]()

    def fetch(name: str) -> Array:
        fetched.append(name)
        return arrays[name]

    crcs = {name: zlib.crc32(x.tobytes()) for name, x in arrays.items()}
    report = diff(plan, judge.tapped(plan, crcs.get, fetch, heard[3], state=states[3]), heard[3], state=states[3])
    assert fetched == sent and bool(report.wrong_states) == bool(sent) and not report.culprits


def test_what_is_left_unwritten_has_no_crc_and_what_operators_keep_is_known(tmp_path: Path) -> None:
    """Frames of a first inference that has too few samples; those of the second are of both."""
    plan = make_plan(framer(5, 2))
    heard = [np.arange(1, 5, dtype=np.int16) + 4 * k for k in range(2)]
    _, state = infer(plan, None, (heard[0],), plan.initial)
    (y, valid), _ = infer(plan, None, (heard[1],), state)
    frames, told = (t.index for t in plan.outputs)
    log = f"tensor {frames} crc {{:08x}}\ntensor {told} crc {{:08x}}\n"
    (tmp_path / "log.txt").write_text(log.format(0x12345678, zlib.crc32(b"\0")))
    assert not diff(plan, tmp_path / "log.txt", heard[0]).differs
    (tmp_path / "log.txt").write_text(log.format(zlib.crc32(np.asarray(y).tobytes()), zlib.crc32(valid.tobytes())))
    assert not diff(plan, tmp_path / "log.txt", heard[1], state=state).differs
    first = diff(plan, tmp_path / "log.txt", heard[1], state=plan.initial)
    assert first.differs, "after one inference, not as the first"


STUBS = """#pragma once
#include <cstddef>
#include <cstdint>
enum TfLiteStatus { kTfLiteOk };
struct TfLiteIntArray { int size; int data[24]; };
struct TfLiteEvalTensor { struct { void* data; } data; size_t bytes; };
struct TfLiteContext { TfLiteEvalTensor tensors[5]; };
struct TfLiteNode { TfLiteIntArray* inputs; TfLiteIntArray* outputs; };
struct TFLMRegistration { TfLiteStatus (*invoke)(TfLiteContext*, TfLiteNode*); };
namespace tflite {
enum BuiltinOperator { BuiltinOperator_SVDF = 27, BuiltinOperator_UNIDIRECTIONAL_SEQUENCE_LSTM = 44, OTHER };
using TfLiteBridgeBuiltinParseFunction = int;
struct NodeAndRegistration { TfLiteNode node; const TFLMRegistration* registration; };
struct MicroOpResolver {
  virtual const TFLMRegistration* FindOp(BuiltinOperator) const = 0;
  virtual const TFLMRegistration* FindOp(const char*) const = 0;
  virtual TfLiteBridgeBuiltinParseFunction GetOpDataParser(BuiltinOperator) const = 0;
  virtual ~MicroOpResolver() {}
};
inline TfLiteStatus TfLiteEvalTensorByteLength(const TfLiteEvalTensor* tensor, size_t* size) {
  *size = tensor->bytes;
  return kTfLiteOk;
}
namespace micro {
inline auto* GetEvalInput(TfLiteContext* context, TfLiteNode* node, int i) {
  return &context->tensors[node->inputs->data[i]];
}
inline auto* GetEvalOutput(TfLiteContext* context, TfLiteNode* node, int i) {
  return &context->tensors[node->outputs->data[i]];
}
}
}
"""
"""As much of TFLM as the tap calls. It was tried with the real one as well: `refengine manual printf-log`."""

MAIN = """#include "refengine_tap.h"
static TfLiteStatus Increment(TfLiteContext* c, TfLiteNode* n) {
  auto* in = (uint8_t*)c->tensors[n->inputs->data[0]].data.data;
  auto* out = (uint8_t*)c->tensors[n->outputs->data[0]].data.data;
  for (int i = 0; i < 20; ++i) out[i] = in[i] + 1;
  return kTfLiteOk;
}
static TfLiteStatus Remember(TfLiteContext* c, TfLiteNode* n) {
  for (int i = FIRST; i < n->inputs->size && i < FIRST + 2; ++i) ++*(uint8_t*)c->tensors[n->inputs->data[i]].data.data;
  return Increment(c, n);
}
static const TFLMRegistration increment{Increment}, remember{Remember};
struct Yours : tflite::MicroOpResolver {
  const TFLMRegistration* FindOp(tflite::BuiltinOperator op) const override {
    return op == tflite::OPERATOR ? &remember : nullptr;
  }
  const TFLMRegistration* FindOp(const char*) const override { return &increment; }
  int GetOpDataParser(tflite::BuiltinOperator) const override { return 7; }
};
int main() {
  static uint8_t memory[2][20], states[2];
  TfLiteContext context{{{{memory[0]}, 20}, {{memory[1]}, 20}, {{memory[0]}, 20}, {{states}, 1}, {{states + 1}, 1}}};
  Yours yours;
  refengine::Tap<2> tap(yours);
  if (tap.FindOp(tflite::OTHER) != nullptr || tap.GetOpDataParser(tflite::OTHER) != 7) return 1;
  if (tap.FindOp("custom") != tap.FindOp("custom") || tap.FindOp("custom") == tap.FindOp(tflite::OPERATOR)) return 2;
  TfLiteIntArray inputs[2] = {{1, {0}}, {SIZE, {1}}}, outputs[2] = {{1, {1}}, {1, {2}}};
  for (int i = FIRST; i < SIZE && i < FIRST + 2; ++i) inputs[1].data[i] = 3 + i - FIRST;
  for (int run = 0; run < 2; ++run) {
    tap.Begin(run);
    for (int i = 0; i < 2; ++i) {
      const auto* found = i ? tap.FindOp(tflite::OPERATOR) : tap.FindOp("custom");
      tflite::NodeAndRegistration op{{&inputs[i], &outputs[i]}, found};
      if (op.registration->invoke(&context, &op.node) != kTfLiteOk) return 3;
    }
  }
}
"""


@pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler")
@pytest.mark.parametrize(
    ("operator", "first", "size", "states"),
    [("SVDF", 4, 5, (3,)), ("UNIDIRECTIONAL_SEQUENCE_LSTM", 18, 24, (3, 4)), ("SVDF", 4, 1, ())],
)
def test_the_header_for_tflm_prints_what_the_judge_reads(
    operator: str, first: int, size: int, states: tuple[int, ...], tmp_path: Path
) -> None:
    """An operator that remembers nothing, and one of the two whose `states` TFLM has as variable tensors."""
    header = ROOT / "firmware/tflm/refengine_tap.h"
    for name in ("kernels/kernel_util.h", "memory_helpers.h", "micro_allocator.h", "micro_op_resolver.h"):
        stub = tmp_path / "tensorflow/lite/micro" / name
        stub.parent.mkdir(parents=True, exist_ok=True)
        stub.write_text(f'#include "{tmp_path}/stubs.h"\n')
    (tmp_path / "stubs.h").write_text(STUBS)
    (tmp_path / "main.cc").write_text(MAIN)
    flags = [
        *("-std=c++17", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-Wno-missing-field-initializers"),
        *(f"-DOPERATOR=BuiltinOperator_{operator}", f"-DFIRST={first}", f"-DSIZE={size}"),
        *(f"-I{header.parent}", f"-I{tmp_path}"),
    ]
    subprocess.run(["c++", *flags, tmp_path / "main.cc", "-o", tmp_path / "main"], check=True)
    printed = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True).stdout
    wanted = []
    for k in range(2):
        whole = [bytes([2 * k + n] * 20) for n in range(3)]
        told = [("reads ", 0, 0, whole[0]), ("writes", 0, 1, whole[1])]
        told += [("reads ", 1, state, bytes([k])) for state in states]
        told += [("writes", 1, 2, whole[2]), *(("writes", 1, state, bytes([k + 1])) for state in states)]
        for does, op, tensor, data in told:
            wanted.append(f"refengine op {op:05} {does} tensor {tensor:05} crc {zlib.crc32(data):08x}")
            wanted += [f"{at:08x} {data[at : at + 16].hex(' ')}" for at in range(0, len(data), 16)] if k else []
    assert printed.splitlines() == wanted


def test_a_log_of_the_exports_own_hook_is_read(tmp_path: Path) -> None:
    """`operator 3 … crc 1a2b3c4d`, as the page about devices has it."""
    lines = [f"operator {op} 99 bytes  crc 0x{zlib.crc32(x.tobytes()):08X}" for op, _, x in tapped(PLAN)]
    (tmp_path / "log.txt").write_text("\n".join(lines))
    dump = read_dump(PLAN, tmp_path / "log.txt")
    assert len(dump.crcs) == len(PLAN.steps)
    assert not diff(PLAN, dump, *INPUTS).differs
    assert {r.step.index for r in execute(PLAN, *INPUTS)} == {step.index for step in PLAN.steps}
