"""CRC-32s instead of tensors: what they prove is judged, what nothing computes is told, and lost bytes are noticed."""

from __future__ import annotations

import shutil
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest

from refengine import PRESETS, InputError, Plan, UnsupportedError, diff, make_plan
from refengine.bundled import bundled_models
from refengine.execute import execute
from refengine.judge import read_dump
from refengine.judge.revealing import inputs_of
from refengine.model import Array
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


def test_what_does_not_stand_alone_is_refused_in_a_sentence(tmp_path: Path) -> None:
    plan = make_plan(branching(adding(1, [[1, 1]]), adding(2, [[10, 20]])))
    (inputs,) = inputs_of(plan, 1)
    (tmp_path / "log.txt").write_text(f"tensor {plan.steps[-1].outputs[0].index} crc 00000001")
    with pytest.raises(UnsupportedError, match="runs other subgraphs"):
        diff(plan, tmp_path / "log.txt", *inputs)


STUBS = """#pragma once
#include <cstddef>
#include <cstdint>
enum TfLiteStatus { kTfLiteOk };
struct TfLiteIntArray { int size; int data[2]; };
struct TfLiteEvalTensor { struct { void* data; } data; size_t bytes; };
struct TfLiteContext { TfLiteEvalTensor tensors[3]; };
struct TfLiteNode { TfLiteIntArray* inputs; TfLiteIntArray* outputs; };
struct TFLMRegistration { TfLiteStatus (*invoke)(TfLiteContext*, TfLiteNode*); };
namespace tflite {
enum BuiltinOperator { FIRST, SECOND };
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
static const TFLMRegistration increment{Increment};
struct Yours : tflite::MicroOpResolver {
  const TFLMRegistration* FindOp(tflite::BuiltinOperator op) const override {
    return op == tflite::FIRST ? &increment : nullptr;
  }
  const TFLMRegistration* FindOp(const char*) const override { return &increment; }
  int GetOpDataParser(tflite::BuiltinOperator) const override { return 7; }
};
int main() {
  static uint8_t memory[2][20];
  TfLiteContext context{{{{memory[0]}, 20}, {{memory[1]}, 20}, {{memory[0]}, 20}}};  // the last overlays the first
  Yours yours;
  refengine::Tap<1> tap(yours);
  if (tap.FindOp(tflite::SECOND) != nullptr || tap.GetOpDataParser(tflite::FIRST) != 7) return 1;
  if (tap.FindOp("custom") != tap.FindOp(tflite::FIRST)) return 2;
  TfLiteIntArray ends[3] = {{1, {0}}, {1, {1}}, {1, {2}}};
  for (int run = 0; run < 2; ++run) {
    tap.Begin(run);
    for (int i = 0; i < 2; ++i) {
      tflite::NodeAndRegistration op{{&ends[i], &ends[i + 1]}, tap.FindOp(tflite::FIRST)};
      if (op.registration->invoke(&context, &op.node) != kTfLiteOk) return 3;
    }
  }
}
"""


@pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler")
def test_the_header_for_tflm_prints_what_the_judge_reads(tmp_path: Path) -> None:
    header = ROOT / "firmware/tflm/refengine_tap.h"
    assert len(header.read_text().splitlines()) < 80
    for name in ("kernels/kernel_util.h", "memory_helpers.h", "micro_allocator.h", "micro_op_resolver.h"):
        stub = tmp_path / "tensorflow/lite/micro" / name
        stub.parent.mkdir(parents=True, exist_ok=True)
        stub.write_text(f'#include "{tmp_path}/stubs.h"\n')
    (tmp_path / "stubs.h").write_text(STUBS)
    (tmp_path / "main.cc").write_text(MAIN)
    flags = [
        "-std=c++17",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-Wno-unused-parameter",
        f"-I{header.parent}",
        f"-I{tmp_path}",
    ]
    subprocess.run(["c++", *flags, tmp_path / "main.cc", "-o", tmp_path / "main"], check=True)
    printed = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True).stdout
    states = [bytes([n] * 20) for n in (0, 1, 2, 2, 3, 4)]
    ends = [("reads ", 0, 0), ("writes", 0, 1), ("writes", 1, 2)]
    wanted = []
    for run in range(2):
        for (does, op, tensor), data in zip(ends, states[3 * run :], strict=False):
            wanted.append(f"refengine op {op:05} {does} tensor {tensor:05} crc {zlib.crc32(data):08x}")
            wanted += [f"{at:08x} {data[at : at + 16].hex(' ')}" for at in range(0, 20, 16)] if run else []
    assert printed.splitlines() == wanted


def test_a_log_of_the_exports_own_hook_is_read(tmp_path: Path) -> None:
    """`operator 3 … crc 1a2b3c4d`, as the page about devices has it."""
    lines = [f"operator {op} 99 bytes  crc 0x{zlib.crc32(x.tobytes()):08X}" for op, _, x in tapped(PLAN)]
    (tmp_path / "log.txt").write_text("\n".join(lines))
    dump = read_dump(PLAN, tmp_path / "log.txt")
    assert len(dump.crcs) == len(PLAN.steps)
    assert not diff(PLAN, dump, *INPUTS).differs
    assert {r.step.index for r in execute(PLAN, *INPUTS)} == {step.index for step in PLAN.steps}
