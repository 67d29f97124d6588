"""refengine/tensors/difference.py: figures worked out by hand."""

from __future__ import annotations

import json
import math
import zlib

import numpy as np
import pytest

from refengine.tensors.difference import crc32_of, difference
from refengine.text import as_json
from tests.models import fed, q

INT8 = fed((1, 2, 2, 2), "int8", q(0.5, -3))
FLOAT = fed((4,), "float32")


def test_equal() -> None:
    x = np.arange(8, dtype=np.int8).reshape(1, 2, 2, 2)
    assert difference(INT8, x, x.copy()) is None


def test_codes() -> None:
    mine = np.array([0, 1, 2, 3, 4, 5, 6, 7], np.int8).reshape(1, 2, 2, 2)
    theirs = np.array([0, 1, 2, 6, 4, 5, 6, 3], np.int8).reshape(1, 2, 2, 2)
    found = difference(INT8, mine, theirs)
    assert found is not None
    assert (found.count, found.size, found.largest, found.mean) == (2, 8, 4, 7 / 8)
    assert found.rmse == pytest.approx(math.sqrt(25 / 8))
    a, b = mine.ravel() + 3.0, theirs.ravel() + 3.0
    assert found.cosine == pytest.approx((a @ b) / math.sqrt((a @ a) * (b @ b)))
    assert (found.first, found.mine, found.theirs) == ((0, 0, 1, 1), 3, 6)


def test_the_ends_of_int8_are_255_apart() -> None:
    found = difference(fed((1,), "int8"), np.array([-128], np.int8), np.array([127], np.int8))
    assert found is not None and found.largest == 255


def test_ulps() -> None:
    mine = np.array([1.0, 0.0, 1e-45, -1.0], np.float32)
    theirs = np.array([np.nextafter(np.float32(1), np.float32(2)), -0.0, -1e-45, -1.0], np.float32)
    found = difference(FLOAT, mine, theirs)
    assert found is not None
    assert (found.count, found.largest, found.mean) == (3, 2, 3 / 4), "−0 differs from 0 in its bits, by no ULP"


def test_any_nan_is_any_other_and_infinitely_far_from_numbers() -> None:
    nan, other = np.float32(np.nan), np.array([0xFFC00001], np.uint32).view(np.float32)[0]
    mine = np.array([nan, 1, 2, 3], np.float32)
    assert difference(FLOAT, mine, np.array([other, 1, 2, 3], np.float32)) is None
    found = difference(FLOAT, mine, np.array([0, 1, 2, 3], np.float32))
    assert found is not None and (found.count, found.largest) == (1, math.inf)
    assert json.loads(as_json(found.as_dict()))["largest"] == "Infinity"


def test_cosine_of_nothing() -> None:
    zero, one = np.zeros(4, np.float32), np.ones(4, np.float32)
    found = difference(FLOAT, zero, one)
    assert found is not None and found.cosine == 0


def test_where() -> None:
    mine = np.zeros((1, 8, 8, 8), np.int8)
    theirs = mine.copy()
    theirs[0, :, 7, 5:] = 1
    found = difference(fed(mine.shape, "int8"), mine, theirs)
    assert found is not None and found.where == "column 7, channels 5…7"


def test_the_largest_difference_counts_two_nans_as_none() -> None:
    """They differ in no value; a NaN and a number are infinitely far apart."""
    tensor, nan = fed((3,), "float32"), np.float32(np.nan)
    mine, theirs = np.array([nan, 1, 2], np.float32), np.array([-nan, np.nextafter(np.float32(1), np.float32(2)), 2])
    found = difference(tensor, mine, theirs.astype(np.float32))
    assert found is not None and (found.count, found.largest) == (1, 1.0)
    found = difference(tensor, np.array([nan, 1, 2], np.float32), np.array([0, 1, 2], np.float32))
    assert found is not None and found.largest == np.inf


def test_a_crc_is_that_of_the_bytes_unless_a_nan_is_among_them() -> None:
    assert crc32_of(np.array([1, 2], np.int8)) == zlib.crc32(b"\1\2")
    assert crc32_of(np.array([1.5, np.inf], np.float32)) is not None
    assert crc32_of(np.array([1.5, np.nan], np.float32)) is None
