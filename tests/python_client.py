"""Somebody's script, which uses what refengine offers in Python; mypy checks it with everything else, strictly.

It has no annotation that only a checker needs, and no comment that silences one: `test_python_client.py` looks.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import refengine
from refengine import judge, strategies
from refengine.bundled import bundled_models
from refengine.fuzzer import Case
from refengine.pytest import GoldenFiles, assert_golden


def main(folder: Path) -> None:
    plan = refengine.make_plan("stm32f746_int8", numerics="tflm")
    x = refengine.quantize_input(plan, np.zeros((1, 28, 28, 1)))
    (y,) = refengine.run(plan, x)
    print(refengine.dequantize_output(plan, y).shape, refengine.prepare_digit(np.eye(40) * 255).dtype)

    *_, last = refengine.execute(plan.model, x)
    explanation = refengine.explain(plan, last, (0, 3))
    print(explanation.value, [line.name for line in explanation.lines][-1], last.step.name)
    print(refengine.inspect("stm32f746_int8").macs, refengine.Session(plan).run(x)[0].dtype)

    path = folder / "dump.npz"
    np.savez(path, t25=y)
    report = refengine.diff("stm32f746_int8", path, x)
    print(report.differs, report.summary, [finding.verdict for finding in report.culprits])
    print(judge.read_dump(plan, path).name, refengine.check_input(plan, x, np.zeros((28, 28)))[0].verdict)

    images, labels = np.zeros((3, 28, 28), np.uint8), np.array([0, 0, 1])
    *_, accuracy = refengine.evaluate(plan, images, labels)
    *_, health = refengine.health(plan, [(x,)])
    print(accuracy.count, len(health.layers), [finding.text for finding in health.findings])

    floats = np.random.default_rng(0).random((4, 28, 28, 1), np.float32)
    quantized = refengine.quantize("stm32f746_float32", [(floats,)])
    exported = refengine.export(quantized, folder / "c")
    print(len(quantized.graphs), exported.arena_bytes)

    def kernel(case: Case) -> refengine.model.Array:
        return case.expected

    for result in refengine.fuzz(kernel, ["RELU"], ["int8"], cases=3):
        print(result.op, result.failing)
    print(strategies.models(ops=["RELU"], dtypes=["int8"]) is not None)

    session = refengine.debug(plan, x, commands="break SOFTMAX; continue")
    print(session.position)

    assert_golden(plan, lambda image: refengine.run(plan, image), x)
    GoldenFiles(folder, "client", update=True)(plan, x).check(lambda image: refengine.run(plan, image))

    interpreter = refengine.Interpreter(model_content=bundled_models()["stm32f746_int8"].read_bytes())
    interpreter.allocate_tensors()
    print(interpreter.get_input_details()[0]["shape"])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
