"""refengine/judge/evidence.py: what differences are worth, and that more of them never make a verdict worse."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine.judge import Dump, diff
from refengine.judge.evidence import CERTAIN, LIKELY, MANY, Certainty, bits, certainty, values
from tests.judge.planted import case_of, dump_of, fault, network

LIVE = np.ones(1000, bool)


def codes(*differing: int) -> np.ndarray:
    """A thousand codes, the first of which differ from 0 by so much."""
    return np.array([*differing, *[0] * (1000 - len(differing))], np.int8)


def test_nothing_differs_and_that_is_worth_nothing() -> None:
    assert bits(codes(), codes(), LIVE) == 0


def test_three_of_ten_codes_that_are_one_off_are_too_few() -> None:
    sound = np.arange(10, dtype=np.int8)
    seen = sound + np.array([1, -1, 1, *[0] * 7], np.int8)
    tried = np.log2(100)
    assert bits(sound, seen, LIVE[:10]) - tried < LIKELY


def test_elements_that_nothing_moves_say_nothing_by_staying_as_they_are() -> None:
    few = np.arange(1000) < 10
    assert bits(codes(), codes(1, 1, 1), few) < bits(codes(), codes(1, 1, 1), LIVE)


def test_a_constant_output_is_poor_evidence() -> None:
    sound = np.random.default_rng(0).integers(-128, 128, 1000).astype(np.int8)
    assert bits(sound, np.full_like(sound, -77), LIVE) < CERTAIN
    assert bits(sound, sound[::-1], LIVE) > CERTAIN


@given(st.lists(st.integers(1, 100), min_size=1, max_size=20), st.integers(1, 100))
def test_one_more_difference_is_worth_more(deltas: list[int], more: int) -> None:
    assert values(codes(), codes(*deltas, more)) > values(codes(), codes(*deltas))


def test_floats_are_measured_in_units_in_the_last_place() -> None:
    one = np.ones(4, np.float32)
    near, far = np.nextafter(one, np.float32(2)), one * 2
    assert values(one, near) < LIKELY < CERTAIN < values(one, far)
    assert np.isfinite(values(one, np.full_like(one, np.nan)))


def test_the_words_of_the_scale() -> None:
    words = [certainty(0, 0), certainty(LIKELY, 0), certainty(CERTAIN, 0), certainty(CERTAIN, 1), certainty(0, 1)]
    assert words == ["open", "likely", "certain", "likely", "open"]
    assert [certainty(CERTAIN, MANY - 1), certainty(CERTAIN, MANY)] == ["likely", "open"]
    assert {*words} == {*get_args(Certainty)}


@pytest.mark.slow
@pytest.mark.parametrize("clause", ["if the bias is left out", "if the multiplier shifts one bit too far to the right"])
def test_more_of_a_dump_makes_a_verdict_only_more_certain(clause: str) -> None:
    plan, x = network("dense_int8")
    operator = plan.steps[-3].index
    whole = dump_of(plan, x, wrong={operator: fault(case_of(plan, operator, x), clause)}).tensors
    order = [step.outputs[0].index for step in reversed(plan.steps)] + [plan.inputs[0].index]
    ranks: list[int] = []
    for count in range(1, len(order) + 1):
        report = diff(plan, Dump("part", {i: whole[i] for i in order[:count]}), x)
        ranks.append(["open", "likely", "certain"].index(report.certainty or "open"))
        assert all(clause in [c.how for c in (*f.fitting[:1], *f.rivals)] for f in report.culprits)
    assert ranks == sorted(ranks) and ranks[-1] == 2
