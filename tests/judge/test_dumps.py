"""refengine/judge/dumps.py: whatever people call tensors, and whatever they leave out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refengine.errors import InputError
from refengine.judge import META, Dump, diff, read_dump
from refengine.model import Array
from tests.judge.planted import dump_of, network

PLAN, X = network("dense_int8")
SOUND = dump_of(PLAN, X).tensors
NAMES = {t.index: t.name for t in PLAN.graph.tensors}


def saved(path: Path, **arrays: Any) -> Path:
    np.savez(path / "dump.npz", **arrays)
    return path / "dump.npz"


@pytest.mark.parametrize("spell", [lambda i: NAMES[i], str, lambda i: f"t{i}"], ids=["name", "index", "t index"])
def test_npz_by_any_name(tmp_path: Path, spell: Callable[[int], str]) -> None:
    dump = read_dump(PLAN, saved(tmp_path, **{spell(i): x for i, x in SOUND.items()}))
    assert dump.problems == ()
    assert {i: x.tobytes() for i, x in dump.tensors.items()} == {i: x.tobytes() for i, x in SOUND.items()}


def test_a_folder_of_arrays_and_raw_bytes(tmp_path: Path) -> None:
    np.save(tmp_path / "t11.npy", SOUND[11])
    (tmp_path / "12.bin").write_bytes(SOUND[12].tobytes())
    (tmp_path / ("".join(c if c.isalnum() else "_" for c in NAMES[13]) + ".raw")).write_bytes(SOUND[13].tobytes())
    (tmp_path / "readme.txt").write_text("not a tensor")
    dump = read_dump(PLAN, tmp_path)
    assert {i: x.tobytes() for i, x in dump.tensors.items()} == {i: SOUND[i].tobytes() for i in (11, 12, 13)}
    assert not diff(PLAN, dump, X).differs


def test_raw_bytes_are_little_endian(tmp_path: Path) -> None:
    plan, x = network("dense_int16x8")
    sound = dump_of(plan, x).tensors
    (tmp_path / "12.bin").write_bytes(sound[12].astype("<i2").tobytes())
    assert read_dump(plan, tmp_path).tensors[12].tobytes() == sound[12].tobytes()


def test_flat_arrays_and_leading_ones_are_the_same_numbers(tmp_path: Path) -> None:
    dump = read_dump(PLAN, saved(tmp_path, t12=SOUND[12].ravel(), t13=SOUND[13][None]))
    assert dump.problems == ()
    assert dump.tensors[12].shape == SOUND[12].shape and dump.tensors[13].shape == SOUND[13].shape


def test_what_does_not_fit_is_told_and_the_rest_compared(tmp_path: Path) -> None:
    wide = SOUND[12].astype(np.int64) + 1000
    path = saved(tmp_path, t11=SOUND[11].reshape(28, 28), t12=wide, t13=SOUND[13], extra=SOUND[13])
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "t12.raw").write_bytes(b"short")
    dump = read_dump(PLAN, path)
    assert set(dump.tensors) == {13}
    assert [problem.split("'")[0] for problem in dump.problems] == [
        "tensor 11 ",
        "tensor 12 ",
        "the model has no tensor called ",
    ]
    assert "is int8 (1, 784); the dump has int8 (28, 28)" in dump.problems[0]
    assert "the dump has int64" in dump.problems[1]
    report = diff(PLAN, dump, X)
    assert report.differs and report.summary.startswith("1 of 7 operators compared: no difference")
    assert "128 bytes; the dump has 5" in read_dump(PLAN, tmp_path / "folder").problems[0]


@pytest.mark.parametrize(
    ("held", "says"),
    [
        (lambda codes, scale, zero: codes.astype(np.int64), "the int64 numbers"),
        (lambda codes, scale, zero: codes.view(np.uint8), "the uint8 numbers"),
        (lambda codes, scale, zero: (codes.astype(int) + 128).astype(np.uint8), "the uint8 numbers"),
        (lambda codes, scale, zero: np.float32((codes.astype(int) - zero) * scale), "the real values"),
    ],
    ids=["wider", "bits", "offset", "real values"],
)
def test_codes_in_other_types_are_read_and_that_is_told(
    tmp_path: Path, held: Callable[[Array, float, int], Array], says: str
) -> None:
    quantization = PLAN.graph.tensors[13].quantization
    assert quantization is not None
    dump = read_dump(PLAN, saved(tmp_path, t13=held(SOUND[13], quantization.scale[0], quantization.zero_point[0])))
    report = diff(PLAN, dump, X)
    assert not report.differs
    assert f"tensor 13 '{NAMES[13]}' is int8; {says} in the dump were read as its codes" in report.notes


def test_what_was_read_as_codes_is_told_once(tmp_path: Path) -> None:
    wide = {f"t{index}": SOUND[index].astype(np.int64) for index in (12, 13)}
    (note,) = read_dump(PLAN, saved(tmp_path, **wide)).notes
    assert note == "tensors 12, 13 are int8; the int64 numbers in the dump were read as their codes"


def test_numbers_that_are_no_codes_are_refused(tmp_path: Path) -> None:
    real = np.float32(SOUND[13]) + np.float32(0.4321)
    assert "the dump has float32" in read_dump(PLAN, saved(tmp_path, t13=real, t12=SOUND[12])).problems[0]


def test_a_recording_of_another_model_is_told_by_its_hash(tmp_path: Path) -> None:
    meta = json.dumps({"sha256": "0" * 64, "board": "mine", "numerics": "tflm"})
    with pytest.raises(InputError, match="a dump of another model: its sha256 is 0000000000000000…"):
        read_dump(PLAN, saved(tmp_path, **{META: np.array(meta), "t13": SOUND[13]}))


def test_a_recording_tells_its_board(tmp_path: Path) -> None:
    meta = {"sha256": PLAN.model.sha256, "board": "mine", "numerics": "cortex-m7"}
    assert read_dump(PLAN, saved(tmp_path, **{META: np.array(json.dumps(meta)), "t13": SOUND[13]})).meta == meta


@pytest.mark.parametrize(
    ("arrays", "complaint"),
    [
        ({"other": SOUND[13]}, "holds none of the model's tensors .* but other"),
        ({}, "is empty: give some of the model's tensors"),
        ({META: np.array("[]"), "t13": SOUND[13]}, "is no JSON object"),
        ({META: np.array("{"), "t13": SOUND[13]}, "is no JSON object"),
        ({META: np.array('{"a":' * 100_000), "t13": SOUND[13]}, "is no JSON object"),
        ({META: np.array("[" * 100_000), "t13": SOUND[13]}, "is no JSON object"),
        ({"t13": np.array([object()])}, "cannot be read"),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, arrays: dict[str, Array], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        read_dump(PLAN, saved(tmp_path, **arrays))


def test_no_dump_at_all(tmp_path: Path) -> None:
    (tmp_path / "damaged.npz").write_bytes(b"PK\3\4 nothing")
    for path in (tmp_path / "damaged.npz", tmp_path / "missing.npz", tmp_path / "other.txt"):
        with pytest.raises(InputError, match=path.name):
            read_dump(PLAN, path)


def test_the_input_may_come_from_the_dump() -> None:
    assert not diff(PLAN, Dump("device", SOUND)).differs
    with pytest.raises(InputError, match="does not hold the input"):
        diff(PLAN, Dump("device", {13: SOUND[13]}))
    with pytest.raises(InputError, match="holds no operator's output that fits; only the input"):
        diff(PLAN, Dump("device", {0: X}), X)


def test_a_file_that_is_not_there_is_told_before_its_samples(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_dump(PLAN, tmp_path / "none.txt", sample=1)
    with pytest.raises(InputError, match="is of one inference"):
        read_dump(PLAN, saved(tmp_path, **{str(i): x for i, x in SOUND.items()}), sample=1)
