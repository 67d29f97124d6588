"""What the tests share: the oracles, one worker each for a whole session, and Hypothesis without clocks or chance.

`make test` tries the same cases every time; `tools/conformance.py --seed` goes looking for others. `make check` is what
one runs before each commit, in a minute: with `--few` a test marked slow (half a second of a processor, or a second by
the clock) is left out, and any other is tried on the first and the last of its cases, so that every room and every law
is among them.
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


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--few", action="store_true", help="no slow tests, and the first and last case of each other one")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("few"):
        return
    quick = [item for item in items if not (item.get_closest_marker("slow") or item.get_closest_marker("long"))]
    first = {item.nodeid.partition("[")[0]: item for item in reversed(quick)}
    last = {item.nodeid.partition("[")[0]: item for item in quick}
    chosen = {*first.values(), *last.values()}
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = [item for item in items if item in chosen]


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
