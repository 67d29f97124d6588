"""Tables looked up by blocks and by pairs give what NumPy's own indexing gives."""

from __future__ import annotations

import numpy as np
import pytest

from refengine.numerics import tables


@pytest.mark.parametrize("size", [0, 1, tables.BLOCK - 1, tables.BLOCK, 3 * tables.BLOCK + 7])
@pytest.mark.parametrize("dtype", ["int8", "int16", "float32"])
@pytest.mark.parametrize("codes", [np.uint8, np.uint16])
def test_every_code_gets_its_entry(size: int, dtype: str, codes: type[np.unsignedinteger]) -> None:
    rng, places = np.random.default_rng(size), np.iinfo(codes).max + 1
    table = rng.integers(-128, 128, places).astype(dtype)
    x = rng.integers(0, places, (size, 1)).astype(codes)
    found = tables.look_up(table, x)
    assert found.dtype == table.dtype and np.array_equal(found, table[x])


def test_codes_may_lie_anyhow() -> None:
    rng = np.random.default_rng(5)
    table, x = rng.integers(0, 256, 256).astype(np.uint8), rng.integers(0, 256, (300, 701)).astype(np.uint8)
    for view in (x.T, x[:, 1:], x[::-1, ::3], x.reshape(-1)[1:]):
        assert view.size > tables.BLOCK
        assert np.array_equal(tables.look_up(table, view), table[view])


def test_pairs_of_one_table_are_made_once() -> None:
    table = np.arange(256, dtype=np.uint8)[::-1]
    assert tables._of_pairs(table.tobytes()) is tables._of_pairs(table.copy().tobytes())
