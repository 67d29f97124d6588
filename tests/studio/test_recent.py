"""refengine/studio/recent.py: what was used last stays, and no more than there is room for."""

from __future__ import annotations

import pytest

from refengine.studio.recent import Recent


def test_what_was_asked_for_last_stays() -> None:
    held: Recent[str] = Recent(2)
    for key in "ab":
        held.put(key, key.upper())
    assert held.get("a") == "A"
    held.put("c", "C")
    assert [held.get(key) for key in "abc"] == ["A", None, "C"] and len(held) == 2


def test_bytes_are_counted_and_the_last_one_stays_whatever_it_takes() -> None:
    held: Recent[bytes] = Recent(9, 10, len)
    for key, size in (("a", 4), ("b", 5), ("c", 3)):
        held.put(key, bytes(size))
    assert [held.get(key) is None for key in "abc"] == [True, False, False]
    held.put("d", bytes(50))
    assert held.get("d") == bytes(50) and len(held) == 1


def test_a_value_is_made_once_and_an_error_is_not_kept() -> None:
    held: Recent[int] = Recent(2)
    with pytest.raises(ZeroDivisionError):
        held.made("a", lambda: 1 // 0)
    assert [held.made("a", lambda n=n: n) for n in (1, 2)] == [1, 1]  # type: ignore[misc]
