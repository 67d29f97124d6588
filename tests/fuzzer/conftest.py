"""What tests of the fuzz kit share."""

from __future__ import annotations

import pytest

from refengine.fuzzer import search


@pytest.fixture
def hardly_shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails is shrunk a little: for tests of what is said about all failing cases, which takes no part in that."""
    monkeypatch.setattr(search, "STARTS", 1)
    monkeypatch.setattr(search, "ATTEMPTS", 30)
