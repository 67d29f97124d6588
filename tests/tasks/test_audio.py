"""refengine/tasks/audio.py: front ends bit for bit, and sounds cut into what networks take."""

from __future__ import annotations

import sys
from hashlib import sha256
from pathlib import Path

import front_ends
import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from oracle import Tflm, host_libm

from refengine import InputError, Plan, Session, make_plan
from refengine.model import Array
from refengine.tasks.audio import BUNDLED, FRONT_ENDS, Ears, front_end
from refengine.tensors.images import read_inputs
from refengine.tflite_io import dump
from tests.models import fed, one_op, q
from tests.tasks.nets import keyword_spotter, signal, wav

GOLDEN = {
    "micro_speech": ("59c909bd4198139f", "17ced906bf2df6f9"),  # audio_preprocessor_int8.tflite and …_float.tflite
    "micro_wake_word": ("1e7ec5b3b401af8e", "f6a4808b2c3c1c97"),  # microfrontend as ESPHome and as microWakeWord has it
}
"""How the SHA-256 begins of what others compute of `signal()`: int8 codes and float32 features."""


def windows(samples: Array, step: int) -> Array:
    return sliding_window_view(samples, 480)[::step]


def plan_for(shape: tuple[int, ...], dtype: str = "int8", scale: float = 26 / 256, zero_point: int = -128) -> Plan:
    """A network that hands on what it is fed."""
    kind = None if dtype == "float32" or not scale else q(scale, zero_point)
    return make_plan(one_op("RESHAPE", {}, [fed(shape, dtype, kind)], fed(shape, dtype, kind, "y")))


@pytest.mark.parametrize("name", BUNDLED)
def test_features_are_those_of_the_originals(name: str) -> None:
    session = Session(FRONT_ENDS / f"{name}.tflite")
    outputs = zip(*(session.run(window[np.newaxis]) for window in windows(signal(), BUNDLED[name])), strict=True)
    assert tuple(sha256(np.stack(rows).tobytes()).hexdigest()[:16] for rows in outputs) == GOLDEN[name]


@pytest.mark.parametrize("name", BUNDLED)
def test_tflm_computes_the_same(name: str, tflm: Tflm) -> None:
    model = (FRONT_ENDS / f"{name}.tflite").read_bytes()
    session = Session(model)
    stream = [[window[np.newaxis]] for window in windows(signal(), BUNDLED[name])[:60]]
    for (status, theirs), inputs in zip(tflm.run_stream(model, stream), stream, strict=True):
        assert status == 0
        for mine, other in zip(session.run(*inputs), theirs, strict=True):
            np.testing.assert_array_equal(mine, other, strict=True)


@pytest.mark.skipif(sys.platform != "linux" or host_libm() != "glibc", reason="its log1pf need not be Sun's")
def test_the_bundled_front_ends_are_what_the_tool_writes() -> None:
    assert {name: dump(model) for name, model in front_ends.models().items()} == {
        name: (FRONT_ENDS / f"{name}.tflite").read_bytes() for name in BUNDLED
    }


def test_a_second_of_sound_is_what_micro_speech_takes(tmp_path: Path) -> None:
    plan = make_plan(keyword_spotter())
    ears = Ears(plan)
    fed = ears.hear(wav(tmp_path / "x.wav", signal()))
    assert fed.shape == (1, 1960) and fed.dtype == np.int8
    assert sha256(fed.tobytes()).hexdigest()[:16] == GOLDEN["micro_speech"][0]
    assert ears.front_end.name == "micro_speech" and "49 × 40" in ears.front_end.reason
    assert str(ears.heard[0]) == "16 bits, mono, 16,000 Hz, 1 s, 0.01 s left out at the end: 1 inference"


def test_float_networks_get_real_features_and_other_codes_are_quantised(tmp_path: Path) -> None:
    path = wav(tmp_path / "x.wav", signal())
    real = Ears(plan_for((1, 49, 40, 1), "float32"), "micro_speech").hear(path)
    assert real.shape == (1, 49, 40, 1) and real.dtype == np.float32
    assert sha256(real.tobytes()).hexdigest()[:16] == GOLDEN["micro_speech"][1]
    ears = Ears(plan_for((1, 49, 40), "int8", 0.25, 0), "micro_speech")
    codes = ears.hear(path)
    assert "; float32 features, quantised to int8)" in str(ears.front_end)
    np.testing.assert_array_equal(codes, np.clip(np.floor(real[..., 0] * 4 + 0.5), -128, 127).astype(np.int8))


def test_what_is_too_short_is_filled_with_silence_and_said(tmp_path: Path) -> None:
    plan = make_plan(keyword_spotter())
    ears = Ears(plan)
    short = ears.hear(wav(tmp_path / "short.wav", signal(5000)))
    filled = ears.hear(wav(tmp_path / "long.wav", np.append(signal(5000), np.zeros(10840, np.int16))))
    np.testing.assert_array_equal(short, filled)
    assert "0.677 s of silence added" in str(ears.heard[0]) and "added" not in str(ears.heard[1])


def test_the_hop_says_where_the_next_inference_begins(tmp_path: Path) -> None:
    path = wav(tmp_path / "x.wav", signal(20000))
    plan = make_plan(keyword_spotter())
    apart, close = Ears(plan).hear(path), Ears(plan, hop=5).hear(path)
    assert (len(apart), len(close)) == (1, 3)
    np.testing.assert_array_equal(close[0], apart[0])
    np.testing.assert_array_equal(close[1, : 44 * 40], close[0, 5 * 40 :])


def test_files_of_one_length_go_together_and_each_as_alone(tmp_path: Path) -> None:
    plan = make_plan(keyword_spotter())
    sounds = [signal(), signal()[::-1], signal(9000), signal(20000)]
    paths = [wav(tmp_path / f"{i}.wav", samples) for i, samples in enumerate(sounds)]
    together, alone = Ears(plan, hop=7), Ears(plan, hop=7)
    for mine, path in zip(together.hear_all(paths), paths, strict=True):
        np.testing.assert_array_equal(mine, alone.hear(path))
    assert together.heard == alone.heard


def test_a_front_end_may_be_any_file_that_makes_features(tmp_path: Path) -> None:
    plan = make_plan(keyword_spotter())
    path = wav(tmp_path / "x.wav", signal())
    file = str(FRONT_ENDS / "micro_speech.tflite")
    np.testing.assert_array_equal(Ears(plan, file, step=320).hear(path), Ears(plan).hear(path))
    assert front_end(plan, file).step == 480


def test_without_a_front_end_samples_are_fed(tmp_path: Path) -> None:
    path = wav(tmp_path / "x.wav", signal(4100))
    (samples,) = Ears(plan_for((1, 4000), "int16", 0)).hear(path)
    np.testing.assert_array_equal(samples, signal(4100)[:4000])
    (real,) = Ears(plan_for((1, 4000, 1), "float32")).hear(path)
    np.testing.assert_array_equal(real[:, 0], signal(4100)[:4000] / np.float32(2**15))
    (codes,) = Ears(plan_for((1, 4000), "int8", 1 / 128, 0)).hear(path)
    halves = signal(4100)[:4000] / 256
    np.testing.assert_array_equal(codes, np.clip(np.sign(halves) * np.floor(np.abs(halves) + 0.5), -128, 127))


@pytest.mark.parametrize(
    ("shape", "name"), [((1, 1960), "micro_speech"), ((1, 49, 40, 1), "micro_speech"), ((1, 16000), "none")]
)
def test_the_input_tells_where_it_leaves_no_doubt(shape: tuple[int, ...], name: str) -> None:
    assert front_end(plan_for(shape)).name == name


@pytest.mark.parametrize("shape", [(1, 490), (1, 49, 10, 1), (1, 3, 40), (1, 28, 28)])
def test_where_it_does_not_tell_the_front_end_is_asked_for(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="is not to be seen: say --front-end micro_speech, micro_wake_word, none"):
        front_end(plan_for(shape))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"name": "mfcc"}, "mfcc: no front end; choose micro_speech"),
        ({"name": "none", "step": 3}, "leave out --step"),
        ({"name": "micro_speech", "step": 0}, "must be at least 1"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        front_end(make_plan(keyword_spotter()), **options)  # type: ignore[arg-type]


def test_a_network_that_is_no_front_end_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "net.tflite"
    file.write_bytes(dump(keyword_spotter()))
    with pytest.raises(InputError, match=r"net\.tflite: is no front end"):
        front_end(make_plan(keyword_spotter()), str(file))


def test_sounds_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    plan = make_plan(keyword_spotter())
    slow = wav(tmp_path / "slow.wav", signal(), 8000)
    with pytest.raises(InputError, match=r"8,000 samples a second, and micro_speech takes 16,000.*--resample 16000"):
        Ears(plan).hear(slow)
    with pytest.raises(InputError, match=r"slow\.wav: has 8,000"):
        Ears(plan).hear_all([slow])
    with pytest.raises(InputError, match="no whole number of micro_speech's rows of 40"):
        Ears(plan_for((1, 490)), "micro_speech").hear(wav(tmp_path / "x.wav", signal()))
    x, y = fed((1, 4), "float32"), fed((1, 4), "float32", name="y")
    two = make_plan(one_op("ADD", {"fused_activation_function": "NONE"}, [x, y], fed((1, 4), "float32", name="z")))
    with pytest.raises(InputError, match="has 2 inputs"):
        front_end(two)
    with pytest.raises(InputError, match="is bool, and the front end gives int8, float32"):
        Ears(plan_for((1, 1960), "bool", 0)).hear(wav(tmp_path / "x.wav", signal()))
    with pytest.raises(InputError, match="what a network is fed of it may take"):
        Ears(make_plan(keyword_spotter(), memory=2**21), hop=1).hear(wav(tmp_path / "x.wav", signal(60000)))


def test_resampled_sounds_are_said_to_be(tmp_path: Path) -> None:
    ears = Ears(make_plan(keyword_spotter()), rate=16000)
    ears.hear(wav(tmp_path / "slow.wav", signal(), 8000))
    assert "8,000 Hz resampled to 16,000, 2 s" in str(ears.heard[0])


def test_where_nothing_hears_a_sound_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"x\.wav: is a sound"):
        list(read_inputs(make_plan(keyword_spotter()), [wav(tmp_path / "x.wav", signal())]))
