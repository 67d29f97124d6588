"""Arena planning: nothing alive at once overlaps, TFLM's layouts by hand, and never a byte more than TFLM's."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine.reading.arena import Buffer, lower_bound, merged, peak, plan_arena, tflm_greedy

buffers = st.lists(
    st.builds(
        lambda bytes, first, length: Buffer(bytes, first, first + length),
        st.integers(1, 2000),
        st.integers(0, 12),
        st.integers(0, 6),
    ),
    max_size=14,
)


def overlaps(these: list[Buffer], offsets: list[int]) -> bool:
    """Whether two buffers that are alive at the same time share a byte."""
    placed = list(zip(these, offsets, strict=True))
    return any(
        a.meets(b) and at < other + b.size and other < at + a.size for (a, at), (b, other) in combinations(placed, 2)
    )


@given(buffers)
def test_no_two_that_meet_overlap(these: list[Buffer]) -> None:
    for planner in (tflm_greedy, plan_arena):
        offsets = planner(these)
        assert not overlaps(these, offsets)
        assert all(offset % 16 == 0 for offset in offsets)


@pytest.mark.slow
@given(buffers)
def test_between_the_lower_bound_and_tflm(these: list[Buffer]) -> None:
    assert lower_bound(these) <= peak(these, plan_arena(these)) <= peak(these, tflm_greedy(these))


def test_greedy_places_the_largest_first() -> None:
    """TFLM's own test (`greedy_memory_planner_test.cc`) of a chain: 10, 20, 10 bytes, here in units of 16."""
    chain = [Buffer(160, 0, 1), Buffer(320, 1, 2), Buffer(160, 2, 3)]
    assert tflm_greedy(chain) == [320, 0, 320]


def test_of_equals_the_last_comes_first() -> None:
    """TFLM fills its list from the tail, then sorts it stably."""
    assert tflm_greedy([Buffer(16, 0, 1), Buffer(16, 1, 2)]) == [16, 0]


def test_gaps_are_used() -> None:
    assert tflm_greedy([Buffer(64, 0, 3), Buffer(48, 0, 0), Buffer(16, 2, 2), Buffer(32, 0, 1)]) == [0, 64, 64, 112]


def test_better_than_greedy_where_size_misleads() -> None:
    """Largest first, 3 units at both ends leave no room of 4 units beside 5; in order of time there is."""
    these = [Buffer(16 * n, first, last) for n, first, last in ((5, 4, 5), (6, 1, 3), (4, 3, 5), (3, 4, 4))]
    assert peak(these, tflm_greedy(these)) == 208
    assert peak(these, plan_arena(these)) == lower_bound(these) == 192


def test_merged_lives_as_long_as_all_of_it() -> None:
    assert merged([Buffer(5, 0, 2), Buffer(9, 2, 7), Buffer(1, 1, 1)], [[0, 1], [2]]) == [
        Buffer(9, 0, 7),
        Buffer(1, 1, 1),
    ]


def test_nothing_needs_nothing() -> None:
    assert peak([], plan_arena([])) == lower_bound([]) == 0
