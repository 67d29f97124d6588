"""refengine/explanation/reads.py: what an explanation does not read changes nothing, in every kernel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from dice import Arrays, Dice, invented

from refengine import KERNELS, InferenceError, Record, execute, make_plan, strategies
from refengine.explanation import explain
from refengine.explanation.reads import Read, _Watched, reads

KEYS = sorted(key for key, kernel in KERNELS.items() if not kernel.facts.control)
"""What runs subgraphs tells which one it took; their own records tell the rest."""

TRIES = 4


def bits(x: object) -> bytes:
    return np.asarray(x).tobytes()


def somewhere(dice: Dice, shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(dice.integers(0, size - 1) for size in shape)


def otherwise(record: Record, found: set[Read], inputs: Arrays, other: Arrays, fed: Sequence[int]) -> Arrays:
    """The `inputs`, with everything from `other` that was not read."""
    changed = [np.array(x) for x in inputs]
    for k, tensor in enumerate(record.step.inputs):
        if tensor is not None and tensor.index in fed:
            x = changed[fed.index(tensor.index)]
            kept = [place for place in range(x.size) if Read(k, place) in found]
            new = other[fed.index(tensor.index)].copy()
            new.reshape(-1)[kept] = x.reshape(-1)[kept]
            changed[fed.index(tensor.index)] = new
    return tuple(changed)


@pytest.mark.parametrize(("op", "dtype"), KEYS, ids=["-".join(key) for key in KEYS])
def test_what_is_not_read_changes_nothing(op: str, dtype: str) -> None:
    """And the lines are those of the explanation."""
    dice = Dice(7)
    for _ in range(TRIES):
        model = strategies.model_of(KERNELS[op, dtype].example(lambda value: value, dice))
        plan, inputs = make_plan(model), invented(model, dice)
        try:
            record = next(record for record in execute(plan, *inputs) if not record.path and record.step.name == op)
        except InferenceError:
            continue
        places = [k for k, x in enumerate(record.outputs) if x.size and x.dtype.kind in "iufb"]
        if not places:
            continue
        output = dice.sampled_from(places)
        at = somewhere(dice, record.outputs[output].shape)
        told = list(reads(record, output, at))
        lines = explain(plan, record, at, output).lines
        assert [(line.name, line.text, bits(line.value)) for line, _ in told] == [
            (line.name, line.text, bits(line.value)) for line in lines
        ]
        found = {read for _, each in told for read in each}
        other = otherwise(record, found, inputs, invented(model, dice), plan.graph.inputs)
        try:
            again = next(r for r in execute(plan, *other) if not r.path and r.step.index == record.step.index)
        except InferenceError:
            continue
        assert bits(again.outputs[output][at]) == bits(record.outputs[output][at])


def test_a_convolution_reads_its_window_and_its_filter_tap_by_tap() -> None:
    plan = make_plan("stm32f746_int8")
    record = next(execute(plan, np.zeros((1, 28, 28, 1), np.int8)))
    told = [each for line, each in reads(record, 0, (0, 5, 7, 3)) if line.name == "tap"]
    window = [28 * y + x for y in (5, 6, 7) for x in (7, 8, 9)]
    assert told == [(Read(0, place), Read(1, 9 * 3 + k)) for k, place in enumerate(window)]


@pytest.mark.parametrize(
    ("work", "found"),
    [
        (lambda x: x[1, 2], [6]),
        (lambda x: x[1][2], [6]),
        (lambda x: max(x[..., 1].tolist()), [1, 5, 9]),
        (lambda x: x.ravel().tolist()[7], [7]),
        (lambda x: x.tolist()[1][1:3][0], [5]),
        (lambda x: sum(x[1].tolist()), [4, 5, 6, 7]),
        (lambda x: len(x[1].tolist()), []),
        (lambda x: x.ravel()[7], [7]),
        (lambda x: x.flat[7], [7]),
        (lambda x: x.reshape(2, 6)[1, 0], [6]),
        (lambda x: list(x[2]), [8, 9, 10, 11]),
        (lambda x: x[0].sum(), [0, 1, 2, 3]),
        (lambda x: np.stack([x[0], x[1]]), [*range(8)]),
        (lambda x: x[0, :2].max(), [0, 1]),
        (lambda x: x.T[0, 1], [*range(12)]),  # a view that is not followed
        (lambda x: x[1].item(3), [7]),
        (lambda x: x.astype(np.float32), [*range(12)]),
        (lambda x: x + 1, [*range(12)]),
        (lambda x: x.shape, []),
    ],
)
def test_every_way_to_look_into_an_array_is_seen(work: Callable[[Any], Any], found: list[int]) -> None:
    plain = np.arange(12).reshape(3, 4)
    seen: list[Read] = []
    result = work(_Watched.of(plain, seen, 4))
    assert np.array_equal(result, work(plain))
    assert sorted(seen) == [Read(4, place) for place in found]
