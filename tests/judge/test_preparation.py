"""refengine/judge/{sample,ways,preparation}.py: what each wrong preparation makes, worked out here by other means."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from itertools import islice, takewhile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refengine import Plan, make_plan, quantize_input
from refengine.judge.preparation import Preparation, preparations
from refengine.judge.sample import Sample, sample_from, sample_of
from refengine.judge.ways import WAYS, shifts
from refengine.model import Array, Quantization
from tests.models import fed, one_op, q


def plan_of(shape: tuple[int, ...], dtype: str, quantization: Quantization | None = None) -> Plan:
    """A network whose input is all that matters."""
    tensor = fed(shape, dtype, quantization)
    return make_plan(one_op("RESHAPE", {"new_shape": shape}, [tensor], fed(shape, dtype, quantization, "y")))


PICTURE = plan_of((1, 6, 5, 3), "int8", q(1 / 255, -128))
FLOATS = plan_of((1, 6, 5, 3), "float32")
AUDIO = plan_of((1, 40), "int16", q(1 / 32768))
WIDE = plan_of((1, 4, 4, 1), "int8", q(1 / 127, -1))
RNG = np.random.default_rng(5)
PIXELS = RNG.integers(0, 256, (1, 6, 5, 3))
REAL = (PIXELS / 255).astype(np.float32)


def made(sample: Sample, id: str, says: str = "") -> list[Preparation]:
    """The preparations of one kind whose words hold `says`."""
    return [each for each in preparations(sample) if each.id == id and says in each.says]


def only(sample: Sample, id: str, says: str = "") -> Array:
    (found,) = made(sample, id, says)
    return found.fed()


def codes(values: Array) -> Array:
    return np.clip(values, -128, 127).astype(np.int8)


P = PIXELS
X = sample_from(PICTURE, REAL)

EXPECTED: dict[tuple[str, str], Array] = {
    ("transposed", "rows and columns"): codes(P.transpose(0, 2, 1, 3).reshape(P.shape) - 128),
    ("mirrored", ""): codes(P[:, :, ::-1] - 128),
    ("upside down", ""): codes(P[:, ::-1] - 128),
    ("rotated", "180"): codes(P[:, ::-1, ::-1] - 128),
    ("rotated", "left"): codes(np.rot90(P[0]).reshape(P.shape) - 128),
    ("channels reversed", ""): codes(P[..., ::-1] - 128),
    ("planar", "is planar"): codes(P.transpose(0, 3, 1, 2).reshape(P.shape) - 128),
    ("interleaved", ""): codes(P.reshape(1, 3, 6, 5).transpose(0, 2, 3, 1) - 128),
    ("shifted", "one row too far down, background"): codes(np.pad(P, ((0, 0), (1, 0), (0, 0), (0, 0)))[:, :-1] - 128),
    ("shifted", "one column too far left, and around"): codes(np.roll(P, -1, 2) - 128),
    ("rotated", "90° to the left"): codes(np.rot90(P, 1, (1, 2)).reshape(P.shape) - 128),
    ("rotated", "90° to the right"): codes(np.rot90(P, -1, (1, 2)).reshape(P.shape) - 128),
    ("rotated", "180°"): codes(P[:, ::-1, ::-1] - 128),
    ("neighbours swapped", "2 bytes"): codes(P.reshape(-1, 2)[:, ::-1].reshape(P.shape) - 128),
    ("not normalised", ""): np.where(P > 0, 127, -128).astype(np.int8),
    ("inverted", ""): codes(255 - P - 128),
    ("off by 128", ""): P.astype(np.uint8).view(np.int8),
    ("zero point forgotten", ""): codes(P),
    ("scale forgotten", ""): codes(np.where(P > 127, 1, 0) - 128),
    ("not quantised", "rounded"): codes(np.where(P > 127, 1, 0)),
    ("halved", "half of each code above the zero point, which"): codes(P // 2),
    ("halved", "shifted right by one bit: 0"): codes(P // 2 - 128),
    ("off by one", "too large"): codes(P - 127),
    ("not normalised + channels reversed", ""): np.where(P[..., ::-1] > 0, 127, -128).astype(np.int8),
    ("channels reversed + planar", "is planar"): codes(P[..., ::-1].transpose(0, 3, 1, 2).reshape(P.shape) - 128),
    ("inverted + off by 128", ""): (255 - P).astype(np.uint8).view(np.int8),
}
"""Of a picture for int8 codes from −128 for black to 127 for white, by integers alone."""


@pytest.mark.parametrize(("id", "says"), EXPECTED, ids=lambda part: str(part))
def test_what_people_do_to_a_picture(id: str, says: str) -> None:
    assert only(X, id, says).tobytes() == EXPECTED[id, says].tobytes()


def test_everything_is_shifted_by_one_or_two() -> None:
    by = [way.says for way in shifts(X)]
    for count in ("one row", "two rows", "one column", "two columns", "one element", "two elements"):
        assert any(says.startswith(f"lies {count} too ") for says in by), count
    assert not any("3" in says for says in by)


def test_an_exact_sample_and_its_codes_make_the_same_where_codes_suffice() -> None:
    by_codes = sample_of(PICTURE, X.codes)
    for id, says in EXPECTED:
        assert only(by_codes, id, says).tobytes() == only(X, id, says).tobytes(), id


@pytest.mark.parametrize(
    ("id", "says", "wrong"),
    [
        ("not normalised", "numbers", lambda x: np.rint(x * 255)),
        ("codes as values", "", lambda x: np.rint(x * 255) - 128),
        ("-1 to 1", "-1 … 1 ", lambda x: 2 * x - 1),
        ("truncated", "", np.trunc),
        ("narrow floats", "to float16", lambda x: x.astype(np.float16)),
        ("narrow floats", "to bfloat16", lambda x: np.ldexp(np.rint(np.frexp(x)[0] * 256), np.frexp(x)[1] - 8)),
        ("inverted", "", lambda x: 1 - x),
        ("halved", "each real value", lambda x: x / 2),
        ("bytes swapped", "", lambda x: x.astype(np.float32).byteswap()),
        ("mean and deviation", "ImageNet's mean subtracted, and",
         lambda x: (x - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])),
        ("per-sample range", "smallest", lambda x: (x - x.min()) / np.ptp(x)),
    ],
)  # fmt: skip
def test_what_people_do_to_floats(id: str, says: str, wrong: Callable[[Array], Array]) -> None:
    real = REAL * np.float32(0.75) + np.float32(0.125)
    found = only(sample_from(FLOATS, real), id, says)
    np.testing.assert_allclose(
        found, wrong(real.astype(np.float64) if "swapped" not in id else real), rtol=1e-6, atol=1e-7
    )


def test_bfloat16_rounds_ties_to_the_even_one() -> None:
    nine_bits = np.float32((257 + 2 * np.arange(90)) / 512).reshape(PIXELS.shape)
    found = only(sample_from(FLOATS, nine_bits), "narrow floats", "to bfloat16")
    assert found.tobytes() == np.float32(np.rint(nine_bits * 256) / 256).tobytes()


def test_what_people_do_to_sound() -> None:
    wave = np.sin(np.arange(40) / 3) * 0.7
    sample = sample_from(AUDIO, wave.reshape(1, 40))
    right = np.trunc(np.float32(wave) * 32768 + np.copysign(0.5, wave)).astype(np.int16)
    assert sample.codes.tobytes() == right.tobytes()
    assert only(sample, "bytes swapped").tobytes() == right.byteswap().tobytes()
    assert only(sample, "reversed").tobytes() == right[::-1].tobytes()
    assert only(sample, "shifted", "two elements too late, and around").tobytes() == np.roll(right, 2).tobytes()
    assert (
        only(sample, "truncated", "rounded down").tobytes()
        == np.floor(np.float32(wave) * 32768).astype(np.int16).tobytes()
    )


@pytest.mark.parametrize(
    ("id", "says", "wrong"),
    [
        ("not normalised", "numbers", lambda p: p),
        ("0 to 1", "", lambda p: p / 255),
        ("-1 to 1", "-0.5", lambda p: p / 255 - 0.5),
        ("divided by 256", "", lambda p: p / 256 * 2 - 1),
        ("halved", "pixels", lambda p: p // 2 / 255 * 2 - 1),
        ("black and white", "", lambda p: np.where(p > 127, 1, -1)),
        ("codes as values", "", lambda p: p - 128),
        ("inverted", "", lambda p: 1 - p / 255 * 2),
        ("sign changed", "", lambda p: 1 - p / 255 * 2),
        ("mean and deviation", "ImageNet's mean subtracted from pixels",
         lambda p: p - np.array([123.68, 116.779, 103.939])),
        ("mean and deviation", "CIFAR-10's mean subtracted, and",
         lambda p: (p / 255 - [0.4914, 0.4822, 0.4465]) / [0.247, 0.2435, 0.2616]),
        ("mean and deviation", "its own deviation", lambda p: (p - p.mean()) / p.std()),
    ],
)  # fmt: skip
def test_what_people_do_to_floats_from_minus_1_to_1(id: str, says: str, wrong: Callable[[Array], Array]) -> None:
    sample = sample_from(FLOATS, np.float32(PIXELS / 127.5 - 1), real_range=(-1, 1))
    np.testing.assert_allclose(only(sample, id, says), wrong(PIXELS), rtol=1e-5, atol=2e-6)


SOUND = plan_of((1, 40), "float32")


@pytest.mark.parametrize(
    ("says", "factor"),
    [
        ("samples of 16 bits that are not divided by 32768", 32768),
        ("divided by 32768, though it is real values already", 1 / 32768),
        ("half of each real value", 0.5),
        ("twice each real value", 2),
        ("decibels instead of natural logarithms", 10 / np.log(10)),
        ("natural logarithms instead of log10", np.log(10)),
        ("log10 instead of natural logarithms", 1 / np.log(10)),
    ],
)
def test_what_people_multiply_sound_with(says: str, factor: float) -> None:
    wave = np.float32(np.sin(np.arange(40) / 3) * 0.7).reshape(1, 40)
    (each,) = [each for each in preparations(sample_from(SOUND, wave)) if each.says.endswith(says)]
    np.testing.assert_allclose(each.fed(), wave * factor, rtol=1e-6)


def test_a_zero_point_within_the_range_is_forgotten_or_subtracted() -> None:
    real = np.linspace(-1, 1, 16).reshape(1, 4, 4, 1)
    sample = sample_from(WIDE, real)
    steps = np.rint(real * 127).astype(int)
    assert made(sample, "zero point forgotten")[0].fed().tobytes() == codes(steps).tobytes()
    assert only(sample, "zero point subtracted").tobytes() == codes(steps + 1).tobytes()


def test_every_kind_is_in_the_manual() -> None:
    page = files("refengine").joinpath("manual/check-input.md").read_text(encoding="utf-8")
    assert [each for each, means in WAYS.items() if f"| `{each}` | {means} |" not in page] == []
    assert page.count("| `") == len(WAYS)


KINDS = st.sampled_from([("int8", q(1 / 255, -128)), ("int8", q(0.02, 3)), ("uint8", q(1 / 255, 0)), ("int16", q(1e-4)),
                         ("float32", None), ("int32", None), ("bool", None)])  # fmt: skip
SHAPES = st.sampled_from([(1, 5, 4, 3), (1, 6, 6, 1), (1, 3, 7), (1, 16), (1, 11), (2, 3), (4,), (1, 1), ()])


@settings(max_examples=25)
@given(KINDS, SHAPES, st.integers(0, 2**32 - 1))
def test_every_preparation_of_every_input_keeps_its_promises(
    kind: tuple[str, Quantization | None], shape: tuple[int, ...], seed: int
) -> None:
    """Named by documented ids, of the input's dtype and shape, within what it predicts, element by element."""
    dtype, quantization = kind
    rng = np.random.default_rng(seed)
    plan = plan_of(shape, dtype, quantization)
    sound = rng.random(shape) * 2 if dtype == "float32" else rng.integers(0, 2 if dtype == "bool" else 100, shape)
    sample = sample_of(plan, np.asarray(sound, dtype))
    for each in islice(preparations(sample, [sample]), int(rng.integers(20)), None, 20):
        assert set(each.id.split(" + ")) <= set(WAYS) and 1 <= len(each.ways) <= 2
        found = each.fed()
        assert found.dtype == dtype and found.shape == shape
        places = rng.permutation(sample.size)[: sample.size // 2]
        for whole, part in zip(each.predicted(), each.predicted(places), strict=True):
            np.testing.assert_array_equal(whole[places], part)


def single(sample: Sample) -> list[Preparation]:
    return list(takewhile(lambda each: len(each.ways) == 1, preparations(sample)))


@settings(max_examples=10)
@given(st.integers(0, 2**32 - 1), st.sampled_from([(1 / 255, -128), (0.013, -7), (1 / 127, 0), (0.1, 40)]))
def test_what_codes_leave_open_holds_what_the_real_values_would_make(seed: int, affine: tuple[float, int]) -> None:
    """Of every way on the way from real values to codes; the ends of the type tell less than the rest."""
    plan = plan_of((1, 24), "int8", q(*affine))
    rng = np.random.default_rng(seed)
    scale, zero_point = affine
    real = (rng.uniform(-127, 126, (1, 24)) - zero_point) * scale
    by_real, by_codes = sample_from(plan, real), sample_of(plan, quantize_input(plan, real))
    assert by_codes.codes.tobytes() == by_real.codes.tobytes()
    known = {each.says: each for each in single(by_real)}
    for each in single(by_codes):
        if (exact := known.get(each.says)) and "its own mean" not in each.says:  # that the codes' mean is near
            low, high, _ = each.predicted()
            inside, _, _ = exact.predicted()
            assert np.all((low <= inside) & (inside <= high)), each.says
