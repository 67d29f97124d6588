"""What the tests share: the oracles, one worker each for a whole session, and Hypothesis without clocks or chance.

`make test` tries the same cases every time; `tools/conformance.py --seed` goes looking for others.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from oracle import Litert, Tflm

settings.register_profile(
    "refengine",
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("refengine")


@pytest.fixture(scope="session")
def tflm() -> Iterator[Tflm]:
    """The real TFLM; skips where its wheel does not exist (it is made for Linux on x86-64)."""
    pytest.importorskip("tflite_micro", reason="the oracle's wheel is not installed")
    with Tflm() as oracle:
        yield oracle


@pytest.fixture(scope="session")
def litert() -> Iterator[Litert]:
    """LiteRT's reference kernels."""
    pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
    with Litert("ref") as oracle:
        yield oracle
