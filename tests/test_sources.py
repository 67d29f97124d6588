"""What needs a model takes it as people have it: a plan, a model, a path, bytes, or a bundled network's name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import refengine
from refengine.bundled import bundled_models
from refengine.kernel import PRESETS
from refengine.model import Array
from refengine.tensors.datasets import bundled_digits

NAME = "dense_int8"
FILE = bundled_models()[NAME]
SOURCES: dict[str, Any] = {
    "a name": NAME,
    "a path": FILE,
    "a path's text": str(FILE),
    "bytes": FILE.read_bytes(),
    "a model": refengine.load(FILE),
    "a plan": refengine.make_plan(FILE),
}
X: Array = np.full((1, 28, 28, 1), -100, np.int8)
IMAGES, LABELS = bundled_digits()


def exported(source: Any, folder: Path) -> Any:
    return refengine.export(source, folder).arena_bytes


CALLS: dict[str, Callable[[Any, Path], Any]] = {
    "run": lambda source, _: refengine.run(source, X)[0].tolist(),
    "execute": lambda source, _: [record.outputs[0].tolist() for record in refengine.execute(source, X)],
    "Session": lambda source, _: refengine.Session(source).run(X)[0].tolist(),
    "evaluate": lambda source, _: [*refengine.evaluate(source, IMAGES, LABELS)][-1].correct,
    "predictions": lambda source, _: refengine.predictions(source, refengine.run(NAME, X)[0])[0].label,
    "quantize_input": lambda source, _: refengine.quantize_input(source, np.zeros((1, 28, 28, 1))).tolist(),
    "dequantize_output": lambda source, _: refengine.dequantize_output(source, np.zeros((1, 10), np.int8)).tolist(),
    "health": lambda source, _: [*refengine.health(source, [(X,)])][-1].inferences,
    "export": exported,
}


@pytest.mark.parametrize("call", CALLS)
def test_every_call_takes_every_source(call: str, tmp_path: Path) -> None:
    answers = [CALLS[call](source, tmp_path / str(n)) for n, source in enumerate(SOURCES.values())]
    assert answers == answers[:1] * len(SOURCES)


def test_inspect_takes_all_but_a_plan() -> None:
    told = [refengine.inspect(source).macs for kind, source in SOURCES.items() if kind != "a plan"]
    assert told == told[:1] * 5


@pytest.mark.parametrize("name", [*PRESETS, "single/cortex-m4f"])
def test_a_dialect_goes_by_its_name(name: str) -> None:
    named, given = (refengine.make_plan(NAME, numerics=choice) for choice in (name, PRESETS[name]))
    assert named.numerics == given.numerics == refengine.inspect(NAME, numerics=name).numerics
    assert refengine.run(NAME, X, numerics=name)[0].tolist() == refengine.Session(given).run(X)[0].tolist()


def test_a_name_that_there_is_not_names_those_that_there_are() -> None:
    for call in (refengine.make_plan, refengine.inspect, refengine.Session):
        with pytest.raises(
            refengine.InputError,
            match=r"no dialect 'cortex' \(did you mean 'cortex-m7'\?\); choose one of tflm, .*cortex-m7",
        ):
            call(NAME, numerics="cortex")
    with pytest.raises(refengine.ModelError, match="dense_int9: no such file, and no bundled network"):
        refengine.run("dense_int9", X)
