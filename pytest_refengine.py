"""What pytest loads in every run where refengine is installed, and so nearly nothing: `refengine.pytest` works."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from refengine.pytest import GoldenFiles

WRITTEN = "refengine_golden"
"""The property of a test's report that names a golden file that it wrote: it comes back from other processes, too."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("refengine", "golden models of TensorFlow Lite Micro")
    group.addoption(
        "--refengine-update", action="store_true", help="write the files of refengine_golden anew, instead of comparing"
    )


@pytest.fixture
def refengine_golden(request: pytest.FixtureRequest) -> Iterator[GoldenFiles]:
    """The golden files of this test, in golden/FILE/ beside its file; see `refengine.pytest.GoldenFiles`."""
    from refengine.pytest import FOLDER, GoldenFiles

    path, inside = request.node.path, request.node.nodeid.partition("::")[2]
    files = GoldenFiles(path.parent / FOLDER / path.stem, inside, request.config.getoption("--refengine-update"))
    yield files
    request.node.user_properties += [(WRITTEN, str(path)) for path in files.written]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [each for found in terminalreporter.stats.values() for each in found if hasattr(each, "user_properties")]
    written = {value for each in reports for name, value in each.user_properties if name == WRITTEN}
    for path in sorted(written):
        terminalreporter.write_line(f"refengine: wrote {path}")
