"""Our own kernels go through the same door as anybody's: firmware/fuzz, built as its README says, finds nothing."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import refengine
from refengine.cexport.calls import CALLS
from refengine.fuzzer import Library, fuzz
from refengine.kernels import FACTS

FUZZ = Path(__file__).parents[2] / "firmware" / "fuzz"
SHARED = ("copies", "reshape", "lookup", "cast", "pad", "select", "dynamic_update_slice")
"""Kernels that do not look at what their bytes mean, so that each type needs few cases."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("cc") is None or shutil.which("make") is None, reason="no C compiler or make"),
]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kernels")
    subprocess.run(["make", "--silent", "-C", str(FUZZ), f"BUILD={folder}"], check=True)
    return folder / "librefengine.so"


BEHIND_THE_DOOR = sorted(
    re.findall(r'^    \{"(\w+)", "(\w+)", \w+\},$', (FUZZ / "adapter.c").read_text(), re.MULTILINE)
)
"""What the adapter's table names. The other C kernels are tried without a door, in `tests/firmware/test_kernels.py`."""


def test_the_door_hands_on_what_is_exported() -> None:
    assert BEHIND_THE_DOOR and set(BEHIND_THE_DOOR) <= set(CALLS)
    assert len(set(BEHIND_THE_DOOR)) == len(BEHIND_THE_DOOR)
    page = Path(refengine.__file__).with_name("manual") / "fuzz.md"
    assert f"{len(BEHIND_THE_DOOR)} of the {len(CALLS)} pairs" in page.read_text(encoding="utf-8")


each = pytest.mark.parametrize(("op", "dtype"), BEHIND_THE_DOOR, ids=["-".join(key) for key in BEHIND_THE_DOOR])


def check(op: str, dtype: str, library: Path, cases: int) -> None:
    (result,) = fuzz(Library(library), [op], [dtype], cases=cases)
    assert result.finding is None, result.finding
    assert (
        result.cases == cases and result.skipped < cases
    )  # QUANTIZE has output types, and LSTM sizes, that we leave out


@each
def test_nothing_found(op: str, dtype: str, library: Path) -> None:
    facts = FACTS[op]
    check(op, dtype, library, 200 if facts.weights is not None else 12 if facts.c_kernels[dtype] in SHARED else 40)


@pytest.mark.long
@each
def test_nothing_found_in_many_cases(op: str, dtype: str, library: Path) -> None:
    check(op, dtype, library, 500)
