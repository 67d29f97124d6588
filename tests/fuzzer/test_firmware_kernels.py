"""Our own kernels go through the same door as anybody's: firmware/fuzz, built as its README says, finds nothing."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from refengine.cexport.calls import CALLS
from refengine.fuzzer import Library, fuzz

FUZZ = Path(__file__).parents[2] / "firmware" / "fuzz"
CASES = 300

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("cc") is None or shutil.which("make") is None, reason="no C compiler or make"),
]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kernels")
    subprocess.run(["make", "--silent", "-C", str(FUZZ), f"BUILD={folder}"], check=True)
    return folder / "librefengine.so"


@pytest.mark.parametrize(("op", "dtype"), sorted(CALLS), ids=["-".join(key) for key in sorted(CALLS)])
def test_nothing_found(op: str, dtype: str, library: Path) -> None:
    (result,) = fuzz(Library(library), [op], [dtype], cases=CASES)
    assert result.finding is None, result.finding
    assert result.cases == CASES and result.skipped < CASES  # QUANTIZE and SOFTMAX have output types we leave out
