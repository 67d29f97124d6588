"""Messages mean to us what they mean to flatc; frames are received whole or not at all."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import zlib
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine.bundled import bundled_models
from refengine.device.protocol import BODIES, Body, Deframer, GetTensor, Range, Run, Write, decode, encode, frame
from refengine.plan import make_plan
from tests.device.memory_board import MemoryBoard

SCHEMA = Path(__file__).parents[2] / "firmware" / "protocol" / "device.fbs"
needs_flatc = pytest.mark.skipif(shutil.which("flatc") is None, reason="flatc (apt install flatbuffers-compiler)")
needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")

uint32 = st.integers(0, 2**32 - 1)
int32 = st.integers(-(2**31), 2**31 - 1)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "uint8": st.integers(0, 2),
    "uint32": uint32,
    "int32": int32,
    "float32": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "str": st.text(st.characters(codec="ascii", min_codepoint=32)),
    "bytes": st.binary(max_size=600),
    "tuple[int32, ...]": st.lists(int32).map(tuple),
    "tuple[uint32, ...]": st.lists(uint32).map(tuple),
    "tuple[Range, ...]": st.lists(st.builds(Range, uint32, uint32, uint32)).map(tuple),
}
bodies: st.SearchStrategy[Body] = st.sampled_from(BODIES).flatmap(
    lambda table: st.builds(table, *(VALUES[str(f.type)] for f in fields(table)))
)


@given(uint32, bodies)
def test_what_is_encoded_is_decoded(sequence: int, body: Body) -> None:
    assert decode(encode(sequence, body)) == (sequence, body)


@given(st.binary(), bodies, st.randoms(use_true_random=False))
def test_rubbish_is_no_message(noise: bytes, body: Body, rng: random.Random) -> None:
    assert decode(noise) is None
    damaged = bytearray(encode(1, body))
    for _ in range(4):
        damaged[rng.randrange(8, len(damaged))] = rng.randrange(256)
    decode(bytes(damaged))  # whatever it is now, it raises nothing


# ---- flatc's opinion


def told_by_flatc(folder: Path, messages: list[bytes]) -> list[Any]:
    """The messages as flatc reads them, as JSON."""
    names = []
    for i, message in enumerate(messages):
        (folder / f"m{i}.bin").write_bytes(message)
        names.append(f"m{i}.bin")
    options = ["--json", "--strict-json", "--defaults-json"]
    subprocess.run(["flatc", *options, str(SCHEMA), "--", *names], cwd=folder, check=True)
    return [json.loads((folder / f"m{i}.json").read_text()) for i in range(len(messages))]


def as_json(sequence: int, body: Body) -> dict[str, Any]:
    """What flatc should say; enumerations by their names."""
    enums = {"role": ("STEP", "INPUT", "OUTPUT"), "reason": ("UNKNOWN_REQUEST", "OUT_OF_RANGE", "INPUT_DIFFERS")}
    types = {"type": ("FLOAT32", "INT8", "INT16", "INT32", "INT64", "UINT8", "BOOL")}

    def value(name: str, x: Any) -> Any:
        if name in enums | types:
            return (enums | types)[name][x]
        if isinstance(x, bytes):
            return list(x)
        if isinstance(x, tuple):
            return [r._asdict() if isinstance(r, Range) else r for r in x]
        return pytest.approx(x, abs=1e-6) if isinstance(x, float) else x

    told = {f.name: value(f.name, getattr(body, f.name)) for f in fields(body)}
    return {"sequence": sequence, "body_type": type(body).__name__, "body": told}


SAMPLES: dict[str, Any] = {
    "uint8": 1, "uint32": 2**32 - 2, "int32": -3, "float32": 0.5, "str": "a name", "bytes": b"\0\xc0\xdb",
    "tuple[int32, ...]": (7, -8), "tuple[uint32, ...]": (7, 8), "tuple[Range, ...]": (Range(1, 2, 3), Range(4, 5, 6)),
}  # fmt: skip
EXAMPLES: tuple[Body, ...] = (
    *(table(*(SAMPLES[str(f.type)] for f in fields(table))) for table in BODIES),
    GetTensor(0, 0),
    Write(0, 0, b""),
    Run((0,), ()),
)


@needs_flatc
def test_flatc_reads_ours_and_we_read_flatcs(tmp_path: Path) -> None:
    told = told_by_flatc(tmp_path, [encode(i, body) for i, body in enumerate(EXAMPLES)])
    assert told == [as_json(i, body) for i, body in enumerate(EXAMPLES)]
    for i, body in enumerate(EXAMPLES):
        subprocess.run(["flatc", "--binary", str(SCHEMA), f"m{i}.json"], cwd=tmp_path, check=True)
        assert decode((tmp_path / f"m{i}.bin").read_bytes()) == (i, body)


@pytest.mark.slow
@needs_flatc
@needs_cc
def test_flatc_reads_what_the_firmware_writes(tmp_path: Path) -> None:
    """And the firmware reads what flatc writes: the requests go through flatc first."""
    plan = make_plan(bundled_models()["dense_int8"])
    board = MemoryBoard(plan, tmp_path)
    x = bytes(plan.inputs[0].shape[1] * plan.inputs[0].shape[2])
    requests: list[Body] = [BODIES[0](), *(GetTensor(role, 0) for role in range(4)), Write(0, 0, x[:512])]
    requests += [
        Write(0, 512, x[512:]),
        Run((0x1234,)),
        Run((zlib.crc32(x),), (Range(0, 3, 2), Range(1, 0, 2**32 - 1))),
    ]
    told_by_flatc(tmp_path, [encode(i, body) for i, body in enumerate(requests)])
    replies = []
    for i in range(len(requests)):
        subprocess.run(["flatc", "--binary", str(SCHEMA), f"m{i}.json"], cwd=tmp_path, check=True)
        replies += list(Deframer().feed(board.exchange(frame((tmp_path / f"m{i}.bin").read_bytes()))))
    replies += Deframer().feed(board.exchange(frame(encode(9, BODIES[0]())), power_fails_at=3))
    messages = [decode(reply) for reply in replies]
    assert None not in messages
    assert {type(body).__name__ for _, body in messages} == {table.__name__ for table in BODIES[4:]}  # type: ignore
    assert told_by_flatc(tmp_path, replies) == [as_json(*message) for message in messages]  # type: ignore[misc]


# ---- frames

payloads = st.lists(st.binary(min_size=1, max_size=40) | st.lists(st.sampled_from(b"\xc0\xdb\xdc\xdd\0")).map(bytes))


@given(payloads, st.binary(max_size=20), st.integers(1, 50))
def test_frames_arrive_in_whatever_pieces(payloads: list[bytes], noise: bytes, piece: int) -> None:
    line = noise + b"".join(map(frame, payloads))
    deframer = Deframer()
    got = [payload for at in range(0, len(line), piece) for payload in deframer.feed(line[at : at + piece])]
    assert got == [payload for payload in payloads if payload]


@given(st.binary(min_size=1, max_size=40), st.data())
def test_a_damaged_frame_is_no_frame(payload: bytes, data: st.DataObject) -> None:
    line = bytearray(frame(payload))
    at = data.draw(st.integers(1, len(line) - 2))
    kind = data.draw(st.sampled_from(("lost", "damaged", "doubled")))
    if kind == "lost":
        del line[at]
    elif kind == "doubled":
        line.insert(at, line[at])
    else:
        line[at] ^= data.draw(st.integers(1, 255))
    after = b"the next"
    got = list(Deframer().feed(bytes(line) + frame(after)))
    assert got == [after]
