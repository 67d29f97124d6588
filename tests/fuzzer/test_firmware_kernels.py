"""Our own kernels go through the same door as anybody's: firmware/fuzz, built as its README says, finds nothing."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

import refengine
from refengine import Numerics, make_plan
from refengine.cexport.calls import CALLS
from refengine.fuzzer import Case, Door, Emulator, Library, fuzz
from refengine.fuzzer import check as outcome_of
from refengine.kernels import FACTS
from refengine.kernels._kiss_fft import options
from refengine.model import Array, Tensor
from tests.fuzzer.test_case import dense
from tests.models import const, custom, fed

FUZZ = Path(__file__).parents[2] / "firmware" / "fuzz"
SHARED = ("copies", "reshape", "lookup", "cast", "pad", "select", "dynamic_update_slice")
"""Kernels that do not look at what their bytes mean, so that each type needs few cases."""

CHOOSY = ("framer", "stacker", "detection_postprocess")
"""Those with faults that few cases show: of streams, five each are of one operator."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("cc") is None or shutil.which("make") is None, reason="no C compiler or make"),
]


def built(folder: Path, *arguments: str) -> Path:
    """Where `make` puts what it makes."""
    subprocess.run(["make", "--silent", "-C", str(FUZZ), f"BUILD={folder}", *arguments], check=True)
    return folder


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """The kernels as a process under the sanitizers; it takes longer to optimise than to run."""
    door = Emulator(str(built(tmp_path_factory.mktemp("watched"), "server", "DEFINES=-O0") / "server"))
    yield door
    door.close()


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return Library(built(tmp_path_factory.mktemp("library")) / "librefengine.so")


BEHIND_THE_DOOR = [
    pair
    for file in sorted((FUZZ / "families").glob("*.c"))
    for pair in re.findall(r'^    \{"(\w+)", "(\w+)", \w+\},$', file.read_text(encoding="utf-8"), re.MULTILINE)
]
"""What the tables of the families name."""


def test_the_door_hands_on_all_that_is_exported() -> None:
    assert sorted(BEHIND_THE_DOOR) == sorted(CALLS)
    page = Path(refengine.__file__).with_name("manual") / "fuzz.md"
    assert f"all {len(CALLS)} pairs of operator and type" in page.read_text(encoding="utf-8")


each = pytest.mark.parametrize(("op", "dtype"), BEHIND_THE_DOOR, ids=["-".join(key) for key in BEHIND_THE_DOOR])


def check(door: Door, op: str, dtype: str, cases: int) -> None:
    (result,) = fuzz(door, [op], [dtype], cases=cases)
    assert result.finding is None, result.finding
    assert result.cases == cases and result.skipped < cases  # some layers are too large for the line, or for us


@each
def test_nothing_found_under_the_sanitizers(op: str, dtype: str, watched: Emulator) -> None:
    kernel, is_layer = FACTS[op].c_kernels[dtype], FACTS[op].weights is not None
    check(watched, op, dtype, 200 if is_layer or kernel in CHOOSY else 12 if kernel in SHARED else 40)


@pytest.mark.long
@each
def test_nothing_found_in_many_cases(op: str, dtype: str, watched: Emulator, library: Library) -> None:
    check(watched, op, dtype, 500)
    check(library, op, dtype, 500)


def signal(op: str, packed: bytes, array: Array, *outputs: Tensor) -> Case:
    """An operator of the audio front end on one array."""
    shift = [const(0, "int32")] if op == "SignalFilterBankSquareRoot" else []
    return Case(make_plan(custom(op, packed, [fed(array.shape, array.dtype.name), *shift], *outputs)), (array,))


SELDOM = [
    signal(
        "SignalFilterBankSquareRoot",
        b"",
        np.array([2**32 - 1, 2**32, 65535**2 + 65536, 2**64 - 1], np.uint64),
        fed((4,), "uint32"),
    ),
    signal(
        "SignalRfft", options("int16", 16), np.array([2**15 - 1] * 8 + [-(2**15)] * 8, np.int16), fed((18,), "int16")
    ),
    *(
        signal("SignalFftAutoScale", b"", np.array(samples, np.int16), fed((2,), "int16"), fed((), "int32"))
        for samples in ([0, 1], [0, -1], [0, 0])
    ),
]
"""Roots at the end of 16 bits, sums that are halved before they are cut to 16 bits, and the quietest signals."""


@pytest.mark.parametrize("case", SELDOM, ids=lambda case: case.op)
def test_what_is_seldom_drawn(case: Case, watched: Emulator) -> None:
    assert outcome_of(watched, case).kind == "equal"


XNNPACK = "-DREFENGINE_XNNPACK_ROUNDING=1"

WITH_FACTORS = [
    *(("CONV_2D", dtype) for dtype in ("int8", "int16")),
    *(("TRANSPOSE_CONV", dtype) for dtype in ("int8", "int16")),
    *((op, "int8") for op in ("DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "SUB", "MUL", "MEAN", "QUANTIZE")),
]
"""Operators that XNNPACK's rounding knows: some have a factor for each channel, some have several."""


def test_kernels_that_multiply_by_floats(tmp_path: Path) -> None:
    door = Library(built(tmp_path, f"DEFINES={XNNPACK} -O0") / "librefengine.so")
    for op, dtype in WITH_FACTORS:
        (result,) = fuzz(door, [op], [dtype], cases=40, numerics=Numerics(rounding="xnnpack"))
        assert result.finding is None, result.finding
        assert result.skipped < result.cases == 40


BROKEN = [
    ("fully_connected_int16.c", "return p->input_offset * sum", "return 0 * sum", "FULLY_CONNECTED", "int16", "double"),
    ("fixedpoint.h", "(int32_t)rintf(", "(int32_t)roundf(", "CONV_2D", "int8", "xnnpack"),
    ("fixedpoint.h", "(int32_t)rintf(", "(int32_t)roundf(", "MUL", "int16", "xnnpack"),
]
"""A file, what stands in it and what shall, and where that is noticed: in an operator at a type, with a rounding."""


@pytest.mark.parametrize(("file", "sound", "broken", "op", "dtype", "rounding"), BROKEN)
def test_a_fault_in_them_is_found(
    file: str, sound: str, broken: str, op: str, dtype: str, rounding: Literal["double", "xnnpack"], tmp_path: Path
) -> None:
    kernels = tmp_path / "kernels"
    shutil.copytree(FUZZ.parent / "kernels", kernels)
    text = (kernels / file).read_text(encoding="utf-8")
    assert text.count(sound) == 1
    (kernels / file).write_text(text.replace(sound, broken), encoding="utf-8")
    defines = f"DEFINES=-O0 {XNNPACK if rounding == 'xnnpack' else ''}"
    door = Library(built(tmp_path / "build", f"KERNELS={kernels}", defines) / "librefengine.so")
    (result,) = fuzz(door, [op], [dtype], cases=1000, numerics=Numerics(rounding=rounding))
    assert result.finding is not None and result.finding.outcome.kind == "differs"


READER = """
#include "families/family.h"
int weights_fit(const test_case *c) { return c != NULL; }
static void reader(const test_case *c) {
  volatile const uint8_t *in = c->inputs[0].data;
  memset(c->outputs[0].data, in[atoi(getenv("PLACE"))] & 0, c->outputs[0].bytes);
}
const struct entry %s;
"""
"""A kernel that looks at one byte of its input, and gives zeros."""


def test_reading_beside_a_tensor_is_seen(tmp_path: Path) -> None:
    tables = re.findall(r"\b([A-Z]+)\[\]", (FUZZ / "families" / "family.h").read_text(encoding="utf-8"))
    rows = (f'{table}[] = {{{{"FULLY_CONNECTED", "int8", reader}}, {{0}}}}' for table in tables)
    (tmp_path / "reader.c").write_text(READER % ", ".join(rows), encoding="utf-8")
    server = built(tmp_path, "server", f"TRIED=adapter.c {tmp_path}/reader.c", f"DEFINES=-O0 -I{FUZZ}") / "server"
    case = dense()
    size = case.inputs[0].nbytes
    for place, kind in ((-1, "crashes"), (0, "differs"), (size - 1, "differs"), (size, "crashes")):
        door = Emulator(f"env PLACE={place} {server}")
        assert outcome_of(door, case).kind == kind, place
        door.close()
