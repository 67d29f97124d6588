"""refengine/judge/inputs.py: a wrong input that nobody saw is found through the network; one that was seen, at once."""

from __future__ import annotations

import numpy as np
import pytest

from refengine.judge import Dump, diff
from refengine.model import Array
from tests.judge.planted import dump_of, network

PLAN, X = network("dense_int8", 3)
WRONG = {"transposed": X.transpose(0, 2, 1, 3), "upside down": X[:, ::-1], "mirrored": X[:, :, ::-1]}


@pytest.mark.parametrize("words", WRONG)
def test_an_input_in_the_dump_is_judged_by_itself(words: str) -> None:
    report = diff(PLAN, dump_of(PLAN, np.ascontiguousarray(WRONG[words])), X)
    (fed,) = report.wrong_inputs
    assert fed.certainty == "certain" and words in fed.verdict
    assert not report.culprits and report.differs and words in report.summary
    assert report.as_dict()["inputs"][0]["certainty"] == "certain"


@pytest.mark.parametrize("words", WRONG)
def test_an_input_that_nobody_saw_is_found_by_what_came_of_it(words: str) -> None:
    report = diff(PLAN, dump_of(PLAN, np.ascontiguousarray(WRONG[words]), fed=False), X)
    (culprit,) = report.culprits
    assert culprit.certainty != "open" and culprit.cause == "input"
    assert any(words in candidate.how for candidate in (culprit.fitting[0], *culprit.rivals))


def test_an_input_that_codes_do_not_tell_wholly_is_found_by_how_near_it_comes() -> None:
    """Half of each pixel: the sample's codes leave some of them open by a code."""
    pixels = X + 128.0 + np.random.default_rng(1).uniform(-0.49, 0.49, X.shape) * (X > -128)
    halved = (np.clip(np.rint(pixels / 2), 0, 255) - 128).astype(np.int8)
    (culprit,) = diff(PLAN, dump_of(PLAN, halved, fed=False), X).culprits
    assert culprit.certainty == "certain" and "if the input holds half of each real value" in culprit.verdict


def test_what_is_known_in_part_only_is_a_rival_of_what_is_known_wholly() -> None:
    """Half of each code, or of each real value: the scores fit both, and are dozens of codes from sound ones."""
    plan, x = network("dense_int16x8", 3)
    scores = plan.outputs[0].index
    halved = Dump("scores", {scores: dump_of(plan, np.rint(x / 2).astype(np.int16)).tensors[scores]})
    (culprit,) = diff(plan, halved, x).culprits
    assert culprit.certainty == "likely" and "half of each code" in culprit.verdict
    assert [rival.how for rival in culprit.rivals] == ["if the input holds half of each real value"]


@pytest.mark.slow
def test_what_changes_a_few_codes_only_is_among_what_is_possible_though_the_sound_input_comes_closer() -> None:
    """Codes that span the range already, stretched by half a code at most: every 25th of them is one larger."""
    plan, x = network("stm32f746_int8", 3)
    stretched = np.where((np.random.default_rng(1).random(x.shape) < 0.04) & (abs(x) < 127), x + 1, x).astype(np.int8)
    (culprit,) = diff(plan, dump_of(plan, stretched, fed=False), x).culprits
    named = [c.how for c in culprit.fitting if "from its own smallest" in c.how]
    assert named and culprit.certainty == "open"
    assert diff(plan, dump_of(plan, stretched), x).wrong_inputs[0].certainty == "open"


@pytest.mark.slow
def test_causes_that_make_the_same_input_are_all_told() -> None:
    """A dark picture becomes all black whether its scale is forgotten or it is normalised to -1 … 1."""
    plan, x = network("stm32f746_int8", 3)
    dark = ((x.astype(np.int16) + 128) // 3 - 128).astype(np.int8)
    report = diff(plan, dump_of(plan, np.full_like(x, -128), fed=False), dark)
    (culprit,) = report.culprits
    told = " ".join(candidate.how for candidate in culprit.fitting)
    assert culprit.certainty != "certain"
    assert "normalised to -1 … 1" in told and "not divided by the scale" in told and "black and white" in told


def test_a_copy_in_the_dump_shows_what_codes_do_not_tell_wholly() -> None:
    """Rounding down takes some codes down by one; the network's first step hands the input on as it is."""
    floored = np.where(np.random.default_rng(1).random(X.shape) < 0.4, np.maximum(X, -127) - 1, X).astype(np.int8)
    (culprit,) = diff(PLAN, dump_of(PLAN, floored, fed=False), X).culprits
    (seen,) = diff(PLAN, dump_of(PLAN, floored), X).wrong_inputs
    assert culprit.certainty == seen.certainty == "likely"  # a division by 256 does just that, too
    assert all("every code rounded down" in verdict for verdict in (culprit.verdict, seen.verdict))


def test_the_previous_sample_is_one_of_the_suspects() -> None:
    _, before = network("dense_int8", 4)
    previous = dump_of(PLAN, before)
    (culprit,) = diff(PLAN, dump_of(PLAN, before, fed=False), X, previous=previous).culprits
    assert "previous sample" in culprit.verdict


@pytest.mark.slow
@pytest.mark.parametrize(("value", "claimed"), [(127, True), (31, False)])
def test_one_dead_or_hot_pixel_is_found_by_what_came_of_it(value: int, claimed: bool) -> None:
    """Of all elements at either end of their range, just this one leads to what the first layer computed."""
    plan, x = network("stm32f746_int8", 3)
    hot = x.copy()
    hot[0, 20, 9, 0] = value
    (culprit,) = diff(plan, dump_of(plan, hot, fed=False), x).culprits
    named = [candidate for candidate in culprit.fitting if "one element, [0, 20, 9, 0], that holds" in candidate.how]
    assert bool(named) is claimed
    assert (culprit.certainty == "certain" and culprit.cause == "input") is claimed


def test_what_is_open_says_what_to_dump_next() -> None:
    _, before = network("dense_int8", 4)
    scores = PLAN.outputs[0].index
    report = diff(PLAN, Dump("scores", {scores: dump_of(PLAN, before).tensors[scores]}), X)
    assert report.certainty == "open" and report.next is not None
    tensor, why = report.next
    assert tensor.index not in report.dump.tensors and "it tells" in why


def test_a_saturated_score_cannot_show_a_fault_and_that_is_said() -> None:
    report = diff(PLAN, dump_of(PLAN, X), X)
    assert not report.differs
    still: list[Array] = [x for x in dump_of(PLAN, X).tensors.values() if len(np.unique(x)) == 1]
    assert any("what this input cannot show well" in note for note in report.notes) or not still
