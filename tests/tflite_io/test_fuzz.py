"""No damage to a file makes the reader do anything but read it or refuse it in one sentence."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from itertools import islice

import pytest

from refengine.tflite_io import dump
from refengine.tflite_io.flat import ALLOWANCE, ALLOWANCE_AT_LEAST
from tests.tflite_io import seeds
from tests.tflite_io.fuzz import (
    bytes_changed,
    limited_memory,
    mutated,
    numbers_changed,
    outcome,
    peak_memory,
    truncated,
)

pytestmark = pytest.mark.slow

FILES = {name: dump(model) for name, model in seeds.all_models().items()}
DENSE, TENSORS = FILES["dense"], FILES["tensors"]


def outcomes(cases: Iterable[bytes]) -> Counter[str]:
    """How often each outcome occurs; every eighth file that is read is also written and read again."""
    with limited_memory():
        return Counter(outcome(data, rewrite=number % 8 == 0) for number, data in enumerate(cases))


@pytest.mark.parametrize("name", ["dense", "tensors", "LSTM…"])
def test_truncated_at_any_byte(name: str) -> None:
    """Only the padding behind the last field may be missing."""
    found = outcomes(truncated(FILES[name]))
    assert set(found) <= {"ModelError", "valid"}
    assert found["valid"] < 4


def test_any_byte_changed() -> None:
    found = outcomes(bytes_changed(DENSE, (0x00, 0x01, 0x80, 0xFF)))
    assert min(found["ModelError"], found["valid"]) > 1000


def test_any_number_at_the_edges() -> None:
    """Lengths, offsets, indices and vtables: each in turn becomes each of some twenty awkward numbers."""
    assert outcomes(numbers_changed(DENSE, "<I"))["ModelError"] > 1000
    assert outcomes(islice(numbers_changed(DENSE, "<H"), None, None, 3))["ModelError"] > 1000
    assert outcomes(islice(numbers_changed(TENSORS, "<I"), None, None, 17))["ModelError"] > 500


def test_random_damage() -> None:
    rng = random.Random(20_000)
    found = outcomes(mutated(rng.choice(list(FILES.values())), rng) for _ in range(20_000))
    found["UnsupportedError"] += found.pop("LimitError", 0)  # which is a kind of it
    assert min(found.values()) > 200
    assert set(found) == {"ModelError", "UnsupportedError", "valid"}


def test_memory_stays_within_the_allowance() -> None:
    rng = random.Random(2)
    cases = [mutated(rng.choice([DENSE, TENSORS]), rng) for _ in range(1000)]
    with limited_memory(), peak_memory() as peak:
        for data in cases:
            peak()
            outcome(data, rewrite=False)
            assert peak() < max(ALLOWANCE * len(data), ALLOWANCE_AT_LEAST)
