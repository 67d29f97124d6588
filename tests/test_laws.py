"""What tries the laws: it tries as many cases as it says, the same with a record and without, and shrinks."""

from __future__ import annotations

from unittest import SkipTest

import pytest
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable

from tests import laws

NUMBERS, PAIRS = st.integers(0, 1000), st.tuples(st.integers(0, 9), st.booleans())


def test_a_law_is_tried_on_as_many_cases_as_are_wanted_and_the_same_every_time() -> None:
    rounds = []
    for _ in range(2):
        seen: list[tuple[int, object]] = []
        laws.holds(lambda number, pair, to=seen: to.append((number, pair)), 50, NUMBERS, PAIRS)
        rounds.append(seen)
    assert len(rounds[0]) == 50 and len(set(rounds[0])) > 40 and rounds[0] == rounds[1]


def test_with_their_record_the_cases_are_the_same_behind_the_simplest() -> None:
    quick, recorded = list[int](), list[int]()
    for draw, seen in ((laws.quickly, quick), (laws.recorded, recorded)):
        draw(seen.append, 30, 7, st.tuples(NUMBERS))
    assert len(quick) == 30 and recorded[:1] == [0] and recorded[-30:] == quick


def test_a_case_that_fails_is_shrunk(capsys: pytest.CaptureFixture[str]) -> None:
    failed = []

    def law(number: int, data: st.DataObject) -> None:
        if number + data.draw(NUMBERS) > 700:
            failed.append(number)
            pytest.fail(f"{number} is too much")

    with pytest.raises(pytest.fail.Exception, match="is too much"):
        laws.holds(law, 100, NUMBERS, st.data())
    assert failed[-1] <= failed[0] and len(failed) > 2


def test_what_assumptions_reject_is_no_case() -> None:
    seen = []

    def law(number: int) -> None:
        assume(number % 2)
        seen.append(number)

    laws.holds(law, 20, NUMBERS)
    assert len(seen) == 20 and all(number % 2 for number in seen)


def test_a_law_that_hardly_any_draw_is_a_case_of_says_so() -> None:
    with pytest.raises(Unsatisfiable):
        laws.holds(lambda number: assume(number < 0), 5, NUMBERS)


def test_a_failure_that_does_not_come_again_is_a_failure() -> None:
    times = []

    def law(number: int) -> None:
        times.append(number)
        assert len(times) != 3, "once only"

    with pytest.raises(AssertionError, match="once only"):
        laws.holds(law, 10, NUMBERS)


def test_a_law_that_skips_is_skipped() -> None:
    def law(number: int) -> None:
        raise SkipTest("nobody knows")

    with pytest.raises(SkipTest, match="nobody knows"):
        laws.holds(law, 10, NUMBERS)
