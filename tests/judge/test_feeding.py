"""refengine/judge/feeding.py: what was fed is named by what explains all of it, and nothing without evidence."""

from __future__ import annotations

import re
from itertools import takewhile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refengine import quantize_input
from refengine.judge.feeding import fed, with_cause, without_cause
from refengine.judge.preparation import Preparation, preparations
from refengine.judge.sample import Sample, sample_from, sample_of
from refengine.model import Array
from refengine.tensors.datasets import bundled_digits
from tests.judge.test_preparation import AUDIO, FLOATS, PICTURE, WIDE, plan_of
from tests.models import q

GREY = plan_of((1, 28, 28, 1), "int8", q(1 / 255, -128))
UNSIGNED = plan_of((1, 12, 9, 3), "uint8", q(1 / 255, 0))
SYMMETRIC = plan_of((1, 12, 9, 3), "int8", q(2 / 255, 0))
COLOURS = plan_of((1, 12, 9, 3), "float32")
DIGITS = bundled_digits()[0][:, np.newaxis, ..., np.newaxis] / np.float32(255)


def scene(shape: tuple[int, ...], low: float = 0.0, high: float = 1.0, seed: int = 1) -> Array:
    """Pixels that look like nothing upside down, mirrored or planar, the darkest and the lightest among them."""
    size = int(np.prod(shape))
    pixels = np.sort(np.random.default_rng(seed).integers(0, 256, size)).reshape(shape)
    pixels[..., ::2] = pixels[..., ::2] ** 2 // 255
    return np.asarray(low + pixels / 255 * (high - low), np.float32)


SAMPLES = {
    "a digit": sample_from(GREY, DIGITS[70]),
    "a digit's codes": sample_of(GREY, quantize_input(GREY, DIGITS[70])),
    "uint8": sample_from(UNSIGNED, scene((1, 12, 9, 3))),
    "zero point 0": sample_from(SYMMETRIC, scene((1, 12, 9, 3), -1, 1)),
    "floats": sample_from(COLOURS, scene((1, 12, 9, 3))),
    "sound": sample_from(AUDIO, np.sin(np.arange(40) ** 1.5 / 9).reshape(1, 40) * 0.7),
}


def single(sample: Sample) -> list[Preparation]:
    return list(takewhile(lambda each: len(each.ways) == 1, preparations(sample)))


def information(values: Array) -> int:
    """How many elements are not like most."""
    return int(values.size - np.unique(values, return_counts=True)[1].max())


@pytest.mark.parametrize("name", SAMPLES)
def test_every_single_departure_is_found_again(name: str) -> None:
    """Named first or with others that make the same, certain or not, and never a cause that does not explain it."""
    sample, certain, made = SAMPLES[name], 0, 0
    for each in single(sample)[sorted(SAMPLES).index(name) :: 9]:
        wrong = each.fed()
        if wrong.tobytes() == sample.codes.tobytes() or information(wrong) < 20 or np.isnan(wrong.astype(float)).any():
            continue
        verdict = fed(sample, wrong)
        made += 1
        certain += verdict.certainty == "certain"
        assert each.id in [found.preparation.id for found in verdict.fitting], (each.id, verdict.verdict)
        assert verdict.certainty != "certain" or verdict.cause == each.id
    assert made > 3 and certain > made / 2


@settings(max_examples=8)
@given(st.sampled_from(sorted(SAMPLES)), st.integers(0, 2**32 - 1))
def test_two_departures_are_told_by_what_explains_everything(name: str, seed: int) -> None:
    """The pair itself, or what makes the same of this sample."""
    sample, rng = SAMPLES[name], np.random.default_rng(seed)
    pairs = [each for each in preparations(sample) if len(each.ways) == 2]
    pair = pairs[rng.integers(len(pairs))]
    wrong = pair.fed()
    verdict = fed(sample, wrong)
    if verdict.right or information(wrong) < 40:
        return
    assert verdict.certainty in ("certain", "likely"), verdict.verdict
    for found in verdict.fitting:
        low, high, free = found.preparation.predicted()
        places = wrong.ravel().astype(np.float64)
        period = 2.0 ** (8 * wrong.itemsize) if wrong.dtype.kind != "f" else np.inf
        assert np.all(free | (np.mod(places - low, period) <= high - low) | (np.isnan(low) & np.isnan(places)))


@settings(max_examples=8)
@given(st.sampled_from([PICTURE, WIDE, FLOATS, AUDIO, GREY]), st.integers(0, 2**32 - 1))
def test_an_unrelated_input_is_open(plan: object, seed: int) -> None:
    sample, other = (drawn(plan, seed + i) for i in range(2))
    verdict = fed(sample, other.codes)
    assert verdict.certainty == "open" and verdict.cause is None and not verdict.right
    assert verdict.verdict.startswith("open: ") and "no known preparation" in verdict.verdict


def drawn(plan: object, seed: int) -> Sample:
    tensor = plan.inputs[0]  # type: ignore[attr-defined]
    rng = np.random.default_rng(seed)
    return sample_from(plan, rng.random(tensor.shape).astype(np.float32) * 0.5)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", SAMPLES)
def test_the_sound_input_is_right(name: str) -> None:
    verdict = fed(SAMPLES[name], SAMPLES[name].codes.copy())
    assert verdict.right and verdict.certainty == "certain" and verdict.cause is None and not verdict.explanations


def test_other_float_arithmetic_is_named_as_that() -> None:
    sample = SAMPLES["floats"]
    pixels = np.rint(sample.codes * 255).astype(np.float32)
    verdict = fed(sample, pixels * np.float32(1 / 255))
    assert not verdict.right and verdict.certainty == "certain" and verdict.cause == "float arithmetic"
    verdict = fed(sample, (pixels * np.float32(1 / 255))[..., ::-1])
    assert verdict.certainty == "certain" and verdict.cause == "float arithmetic + channels reversed"


def test_other_digits_are_open() -> None:
    """They share most of their background with the sample."""
    sample = SAMPLES["a digit"]
    for other in DIGITS[::30]:
        verdict = fed(sample, quantize_input(GREY, other))
        assert verdict.right or verdict.certainty == "open", verdict.verdict


def test_what_tells_too_little_is_open() -> None:
    sample = SAMPLES["a digit"]
    hot, blank = sample.codes.copy(), np.full_like(sample.codes, -128)
    hot[0, 3, 3] = 90
    verdict = fed(sample, hot)
    assert (
        verdict.verdict.startswith("open: 1 of 784 elements differ") and "others are as they should" in verdict.verdict
    )
    verdict = fed(sample, np.ascontiguousarray(hot.transpose(0, 2, 1, 3)))
    assert verdict.certainty == "open" and not verdict.fitting
    (closest,) = verdict.explanations
    assert (closest.preparation.id, closest.explained) == ("transposed", 783)
    verdict = fed(sample, blank)
    assert verdict.certainty == "open" and "holds -128 everywhere; perhaps it was never written" in verdict.verdict
    dot = sample_of(GREY, np.where(np.arange(784).reshape(blank.shape) == 300, 100, blank).astype(np.int8))
    assert fed(dot, np.roll(dot.codes, 1)).certainty == "open"


@pytest.mark.slow
@given(st.sampled_from([0, 0.0001, 0.0005, 0.001, 0.002, 0.02]), st.booleans(), st.integers(0, 2**32 - 1))
def test_how_a_sample_was_stretched_is_among_what_is_told_though_codes_leave_it_open(
    margin: float, subtracted: bool, seed: int
) -> None:
    """Whether the smallest value was subtracted may not show, and the change may be too small to speak for anything."""
    real = np.random.default_rng(seed).uniform(margin, 1 - margin, GREY.inputs[0].shape).astype(np.float32)
    least = real.min() if subtracted else np.float32(0)
    verdict = fed(
        sample_of(GREY, quantize_input(GREY, real)), quantize_input(GREY, (real - least) / (real.max() - least))
    )
    says = ("smallest",) if subtracted else ("divided by its own largest", "from black, or from its own smallest")
    assert verdict.right or any(each in told.preparation.says for told in verdict.fitting for each in says)


@pytest.mark.parametrize(("wrong", "told"), [(100, "the others are as they should be"), (200, "another sample")])
def test_what_is_alike_is_told_by_what_is_no_background(wrong: int, told: str) -> None:
    """A third of the picture is none: most elements are right by the background alone."""
    rng = np.random.default_rng(8)
    pixels = np.where(np.arange(784) < 284, rng.integers(-127, 128, 784), -128)
    other = np.where(rng.permutation(284) < wrong, rng.integers(-127, 128, 284), pixels[:284])
    seen = np.concatenate([other, pixels[284:]]).astype(np.int8).reshape(1, 28, 28, 1)
    verdict = fed(sample_of(GREY, pixels.astype(np.int8).reshape(seen.shape)), seen)
    assert verdict.certainty == "open" and told in verdict.verdict


def test_noise_at_the_ends_of_the_type_is_open() -> None:
    """At both ends of the type noise has but one direction, as truncation has."""
    rng = np.random.default_rng(2)
    ends = np.where(DIGITS[70] > 0.4, 127, -128)
    for sound in (ends, np.where(DIGITS[70] > 0.4, rng.integers(-120, 120, ends.shape), -128)):
        for count in (20, 100, 784):
            noise = rng.integers(-1, 2, 784) * (rng.permutation(784) < count)
            noisy = np.clip(sound + noise.reshape(ends.shape), -128, 127)
            verdict = fed(sample_of(GREY, sound.astype(np.int8)), noisy.astype(np.int8))
            assert verdict.certainty == "open", verdict.verdict


def test_a_choice_that_each_value_makes_is_cheap() -> None:
    """Rounding down changes whatever has one pixel's value in the same way."""
    rng = np.random.default_rng(6)
    pixels = rng.choice(rng.integers(0, 200, 20), (1, 28, 28, 1))
    sample = sample_of(GREY, (pixels - 128).astype(np.int8))
    lower = rng.permutation(200) < 100
    verdict = fed(sample, (pixels - 128 - lower[pixels]).astype(np.int8))
    assert "truncated" in [each.preparation.id for each in verdict.explanations]


def test_what_cannot_be_told_apart_is_likely_and_told_together() -> None:
    """A picture that is the same mirrored: turned by 180° or upside down."""
    half = scene((1, 6, 5, 3), seed=3)
    real = np.concatenate([half, half[:, :, ::-1]], axis=2)
    sample = sample_from(plan_of((1, 6, 10, 3), "int8", q(1 / 255, -128)), real)
    verdict = fed(sample, np.ascontiguousarray(sample.codes[:, ::-1]))
    assert verdict.certainty == "likely"
    assert {each.preparation.id for each in verdict.fitting} == {"rotated", "upside down"}


def test_a_part_that_was_not_written_begins_where_it_begins() -> None:
    sample, before = SAMPLES["a digit"], sample_of(GREY, quantize_input(GREY, DIGITS[15]))
    for name, rest in {"zeros": np.zeros_like(sample.codes), "the previous sample": before.codes}.items():
        flat = sample.codes.ravel().copy()
        flat[337:] = rest.ravel()[337:]
        verdict = fed(sample, flat.reshape(sample.codes.shape), [before])
        assert verdict.certainty == "certain" and verdict.cause == "half filled"
        assert f": {name} from there on" in verdict.verdict
    verdict = fed(sample, before.codes, [before])
    assert verdict.certainty == "certain" and verdict.cause == "previous sample"


def test_a_part_may_be_written_of_what_is_wrong_already() -> None:
    sample = SAMPLES["a digit"]
    flat = (sample.codes ^ np.int8(-128)).ravel()  # raw pixels
    flat[437:] = -128
    verdict = fed(sample, flat.reshape(sample.codes.shape))
    assert verdict.certainty == "certain" and verdict.cause == "off by 128 + half filled"
    assert "up to element 437 only: background from there on" in verdict.verdict


def test_any_shift_and_any_straight_line_is_found() -> None:
    sample = SAMPLES["a digit"]
    moved = np.roll(sample.codes, (5, -3), (1, 2))
    verdict = fed(sample, moved)
    assert verdict.cause == "shifted" and "lies 5 rows too far down and 3 columns too far left" in verdict.verdict
    colours = SAMPLES["floats"]
    verdict = fed(colours, (colours.codes - np.float32(0.31)) / np.float32(0.2))
    assert verdict.cause == "mean and deviation" and "a mean of about 0.31 " in verdict.verdict
    wrong = quantize_input(GREY, (DIGITS[70] - 0.2) / 0.77)
    verdict = fed(sample, wrong)
    assert verdict.certainty == "certain" and verdict.cause == "mean and deviation"
    assert re.search(r"a mean of about 0\.(2|199|201) .* a deviation of about 0\.77", verdict.verdict)


def test_evidence_counts_low() -> None:
    ones, rng = np.ones(64, np.int8), np.random.default_rng(0)
    noise = rng.permutation(64).astype(np.int8)
    assert without_cause(ones, noise) == 0, "a constant proves nothing"
    assert without_cause(noise, noise) == 0
    assert without_cause(noise, ones) == pytest.approx(64 * 6), "each of 64 values is one of 64"
    near = noise + (np.arange(64) == 5).astype(np.int8)
    assert without_cause(near, noise) < 9, "where one of 64 differs, and to which side"
    binary = (np.arange(64) % 3 > 1).astype(np.int8)
    assert without_cause(binary * 90 - 7, binary) == 2 * 8, "two numbers are all that a table of two values tells"
    exact = noise.astype(np.float64)
    assert with_cause(exact, exact, exact) == 0
    wide = with_cause(exact + rng.integers(0, 2, 64), exact, exact + 1)
    assert 60 < wide < 80, "one bit for each choice of two, and a little for their frequencies"
    assert with_cause(exact, exact, exact, np.ones(64, np.bool_)) == pytest.approx(64 * 6), (
        "what is free is not explained"
    )


@pytest.mark.parametrize(
    ("factor", "says"),
    [
        (2.0**15, "holds samples of 16 bits that are not divided by 32768"),
        (2.0**-15, "is divided by 32768, though it is real values already"),
    ],
)
def test_sounds_that_are_not_scaled_or_twice(factor: float, says: str) -> None:
    plan = plan_of((1, 401), "float32")  # no picture
    sound = np.random.default_rng(0).integers(-(2**15), 2**15, (1, 401)).astype(np.float32) / np.float32(2**15)
    verdict = fed(sample_from(plan, sound), sound * np.float32(factor))
    assert verdict.certainty == "certain" and verdict.cause == "scaled" and says in verdict.verdict


@pytest.mark.parametrize(("wrong", "told"), [(5, True), (300, True), (450, False)])
def test_few_wrong_elements_are_told_from_another_sample(wrong: int, told: bool) -> None:
    """If fewer than half differ, and the equal ones tell most."""
    rng = np.random.default_rng(0)
    sample = sample_from(plan_of((1, 784), "int8", q(1 / 255, -128)), rng.random((1, 784)).astype(np.float32))
    seen = sample.codes.copy()
    seen[0, :wrong] = rng.integers(-128, 128, wrong)
    assert fed(sample, seen).alike is told
