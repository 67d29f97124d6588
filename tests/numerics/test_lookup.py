"""Numbers packed into bits, and the channels of elements."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from refengine.numerics.lookup import channels, packed, unpacked


def test_the_highest_bit_comes_first() -> None:
    assert packed([7, 0, 3, 2], 3) == bytes((0b11100001, 0b10100000))
    assert unpacked(bytes((0b11100001, 0b10100000)), 3, 4).tolist() == [7, 0, 3, 2]


@given(st.integers(1, 8).flatmap(lambda w: st.tuples(st.just(w), st.lists(st.integers(0, 2**w - 1), max_size=40))))
def test_what_is_packed_is_unpacked(case: tuple[int, list[int]]) -> None:
    width, numbers = case
    assert unpacked(packed(numbers, width), width, len(numbers)).tolist() == numbers


def test_channels_are_along_either_end() -> None:
    assert channels(6, 2, last=False).tolist() == [0, 0, 0, 1, 1, 1]
    assert channels(6, 2, last=True).tolist() == [0, 1, 0, 1, 0, 1]
    assert channels(3, 1, last=False).tolist() == [0, 0, 0]
