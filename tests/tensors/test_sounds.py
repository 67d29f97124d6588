"""refengine/tensors/sounds.py: WAV files of every kind, and of none."""

from __future__ import annotations

import struct
import wave
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine import InputError
from refengine.model import Array
from refengine.tensors.sounds import Sound, read_wav, resampled


def chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def header(coding: int = 1, channels: int = 1, rate: int = 16000, bits: int = 16, width: int | None = None) -> bytes:
    width = channels * bits // 8 if width is None else width
    return chunk(b"fmt ", struct.pack("<HHIIHH", coding, channels, rate, rate * width % 2**32, width, bits))


def riff(*chunks: bytes) -> bytes:
    inside = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(inside)) + inside


def read(tmp_path: Path, data: bytes) -> Sound:
    path = tmp_path / "x.wav"
    path.write_bytes(data)
    return read_wav(path)


SOUND = riff(header(), chunk(b"data", struct.pack("<3h", 1, -2, 300)))


@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_what_the_standard_library_writes_is_read(tmp_path: Path, width: int, channels: int) -> None:
    low, high = (0, 255) if width == 1 else (-(2 ** (8 * width - 1)), 2 ** (8 * width - 1) - 1)
    values = np.random.default_rng(width).integers(low, high + 1, (50, channels))
    values[0, 0], values[1, 0] = low, high
    raw = b"".join(int(v).to_bytes(width, "little", signed=width > 1) for v in values.ravel())
    with wave.open(str(tmp_path / "x.wav"), "wb") as file:
        file.setparams((channels, width, 8000, 0, "NONE", ""))
        file.writeframes(raw)
    sound = read_wav(tmp_path / "x.wav")
    centred = values - 128 if width == 1 else values
    np.testing.assert_array_equal(sound.samples, centred * 2 ** (32 - 8 * width))
    assert (sound.rate, sound.bits, sound.channels, sound.seconds) == (8000, 8 * width, channels, 50 / 8000)


def test_the_extensible_header_of_recorders_is_known(tmp_path: Path) -> None:
    body = struct.pack("<HHIIHH", 0xFFFE, 1, 48000, 144000, 3, 24) + struct.pack("<HHIH", 22, 24, 4, 1) + bytes(14)
    sound = read(tmp_path, riff(chunk(b"LIST", b"odd"), chunk(b"fmt ", body), chunk(b"data", b"\1\0\0\xff\xff\xff")))
    assert (sound.samples[:, 0] >> 8).tolist() == [1, -1]


def test_channels_are_averaged_and_rounded_down() -> None:
    sound = Sound(np.array([[3, 4], [-3, -4], [2**31 - 1, 2**31 - 1]], np.int32), 8000, 32)
    assert sound.mono().tolist() == [3, -4, 2**31 - 1]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is no WAV file"),
        (b"RIFX" + SOUND[4:], "is no WAV file"),
        (riff(chunk(b"data", b"12")), "has no format"),
        (SOUND[:20], "has no data"),
        (riff(header()), "has no data"),
        (riff(chunk(b"fmt ", b"1"), chunk(b"data", b"12")), "a format of 1 bytes"),
        (riff(header(coding=3, bits=32), chunk(b"data", b"1234")), "floating-point numbers; convert it to PCM"),
        (riff(header(coding=99), chunk(b"data", b"1234")), "samples of coding 99"),
        (riff(header(bits=12, width=2), chunk(b"data", b"12")), "has 12 bits a sample"),
        (riff(header(channels=0), chunk(b"data", b"12")), "announces 0 channels"),
        (riff(header(rate=0), chunk(b"data", b"12")), "0 times a second, which cannot be"),
        (riff(header(width=7), chunk(b"data", b"12")), "in 7 bytes"),
        (riff(header(), chunk(b"data", b"")), "holds 0 bytes of samples"),
        (riff(header(), chunk(b"data", b"123")), "holds 3 bytes of samples, of 2 each"),
        (SOUND[:-2], "announces 6 bytes of samples and holds 4"),
        (SOUND.replace(b"data\6\0\0\0", b"data\xff\xff\xff\xff"), "announces 4,294,967,295 bytes"),
    ],
)
def test_what_is_no_sound_is_refused_in_a_sentence(tmp_path: Path, data: bytes, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        read(tmp_path, data)


def test_large_sounds_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_bytes(riff(header(bits=8), chunk(b"data", bytes(100_000))))
    with pytest.raises(InputError, match=r"the sound may take 2\.3 MiB of memory"):
        read_wav(tmp_path / "x.wav", 2**20)


@given(data=st.data())
def test_changed_bytes_raise_nothing_else(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    changed = bytearray(SOUND)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(SOUND) - 1))] = data.draw(st.integers(0, 255))
    with suppress(InputError):
        sound = read(tmp_path_factory.getbasetemp(), bytes(changed[: data.draw(st.integers(0, len(SOUND)))]))
        assert sound.samples.dtype == np.int32 and sound.samples.size


@pytest.mark.parametrize(("given", "wanted"), [(44100, 16000), (8000, 16000), (48000, 16000), (16000, 16000)])
def test_resampling_keeps_a_tone_and_drops_what_would_alias(given: int, wanted: int) -> None:
    def tone(rate: int, hertz: float) -> Array:
        turns = np.arange(rate // 2) * hertz / rate
        sine: Array = np.rint(2**30 * np.sin(2 * np.pi * turns)).astype(np.int32)
        return sine

    low = resampled(Sound(tone(given, 440)[:, np.newaxis], given, 16), wanted)
    inside = slice(200, -200)
    np.testing.assert_allclose(low.mono()[inside], tone(wanted, 440)[inside], atol=2**30 * 1e-3)
    assert (low.rate, len(low.samples)) == (wanted, wanted // 2)
    if given > wanted:
        high = resampled(Sound(tone(given, 12000)[:, np.newaxis], given, 16), wanted)
        assert np.abs(high.mono()[inside]).max() < 2**30 * 1e-3


def test_rates_that_are_too_far_apart_are_refused() -> None:
    with pytest.raises(InputError, match="too far from 16,000"):
        resampled(Sound(np.zeros((9, 1), np.int32), 2**32 - 1, 16), 16000)
    with pytest.raises(InputError, match="may take"):
        resampled(Sound(np.zeros((9000, 1), np.int32), 8000, 16), 16000, memory=1000)
