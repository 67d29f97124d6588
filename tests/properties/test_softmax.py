"""SOFTMAX: TFLM's `kernels/softmax.cc`, `reference/softmax.h`. The judge is the exponential in float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from refengine.kernels.softmax import _look_up, _tables
from refengine.model import Array
from refengine.numerics import gemmlowp
from refengine.numerics.quantize import code_range
from refengine.strategies import arrays, scales
from tests.models import fed, q
from tests.properties.one import apply

FIXED = {"int8": q(1 / 256, -128), "int16": q(1 / 32768), "float32": None}
UNITS = {"int8": 256, "int16": 32768}
SCALES = {"int8": scales(2.0**-10, 2.0**3), "int16": scales(2.0**-16, 2.0**-6)}

few = settings(max_examples=40)


def softmax(x: Array, scale: float | None = None) -> Array:
    """Probabilities of the rows of `x`, float32 or in units of 1/256 or 1/32768."""
    dtype = x.dtype.name
    input, output = None if scale is None else q(scale), FIXED[dtype]
    codes = apply("SOFTMAX", [fed(x.shape, dtype, input)], fed(x.shape, dtype, output), x, beta=1.0)
    return codes if output is None else codes.astype(int) - output.zero_point[0]


def rows(dtype: str, least: int = 1, most: int = 64) -> st.SearchStrategy[Array]:
    """20 rows of one length: any codes, or a few near one another."""
    low, high = code_range(dtype)
    return st.tuples(st.integers(least, most), st.sampled_from(((low, high), (-5, 0), (-60, 60)))).flatmap(
        lambda pair: arrays((20, pair[0]), dtype, *pair[1])
    )


def exact(x: Array, scale: float) -> Array:
    powers = np.exp(float(np.float32(scale)) * (x.astype(np.float64) - x.max(axis=-1, keepdims=True)))
    total: Array = powers / powers.sum(axis=-1, keepdims=True)
    return total


# ── 16. The sum of a row ──────────────────────────────────────────────────────────────────────────


@few
@given(rows("int8"), SCALES["int8"])
def test_int8_rows(x: Array, scale: float) -> None:
    """Each probability to within 0.51 of 1/256, but for 1 itself; each sum to within half the row's length."""
    probabilities = softmax(x, scale)
    error = np.abs(probabilities - 256 * exact(x, scale))
    assert error[probabilities < 255].max(initial=0) <= 0.51 and error.max() <= 1
    sums = probabilities.sum(axis=-1)
    assert np.abs(sums - 256).max() <= max(1, x.shape[1] / 2)


def test_the_worst_int8_rows() -> None:
    """One logit before (n − 1) equal ones, each at a tie; and both ends of what any row can sum to."""
    for n in (2, 5, 10, 20, 100):
        tail = 0.5 / 256 * (1 + 2.0**-11)  # just rounds up; twice as many 256ths as it should be
        scale = -np.log(tail / (1 - (n - 1) * tail))
        row = np.zeros((1, n), np.int8)
        row[0, 0] = 1
        up, down = (softmax(row, scale * factor).sum() - 256 for factor in (1, 1.001))
        assert n // 2 - 1 <= up <= n / 2 and -n / 2 <= down <= 1 - n // 2
    rng = np.random.default_rng(0)
    for n, scale in ((300, 0.01), (505, 0.01), (505, 0.001), (1000, 0.05), (4000, 0.5), (8000, 0.5)):
        assert 1 <= softmax(rng.integers(-128, 128, (1, n)).astype(np.int8), scale).sum() <= 511
    assert [softmax(np.zeros((1, n), np.int8), 0.1).sum() for n in (1, 256, 257, 511)] == [255, 256, 257, 511]
    for n in (600, 900, 2000):
        row = np.zeros((1, n), np.int8)
        row[0, 0] = 1
        assert softmax(row, -np.log(499 / (n - 1))).sum() == 1


@few
@given(rows("int16"), SCALES["int16"])
@example(np.array([[0, 0, 0]], np.int16), 0.1)
def test_int16_rows(x: Array, scale: float) -> None:
    sums = softmax(x, scale).sum(axis=-1)
    assert np.abs(sums - 32768).max() <= x.shape[1] / 2 + 2


@pytest.mark.parametrize("n", [3, 85, 98, 1000, 21_845, 21_846, 43_690, 43_691, 65_468, 65_536])
def test_equal_int16_logits(n: int) -> None:
    """All probabilities are one code, off by up to a half: from twice 1 in all to nothing."""
    assert abs(softmax(np.zeros((1, n), np.int16), 0.1).sum() - 32768) <= n / 2 + 2


@few
@given(st.integers(1, 200).flatmap(lambda n: arrays((3, n), "float32", -30, 30)))
def test_float_rows(x: Array) -> None:
    """In float64 the sum of the quotients is exact enough."""
    sums = softmax(x).sum(axis=-1, dtype=np.float64)
    assert np.abs(sums - 1).max() <= x.shape[1] * 2.0**-24 * (1 + 2.0**-10)


# ── 17. Order, shifts and the winner ──────────────────────────────────────────────────────────────


def in_order(x: Array, probabilities: Array) -> bool:
    order = x.argsort(axis=-1, kind="stable")
    return bool((np.diff(np.take_along_axis(probabilities, order, axis=-1)) >= 0).all())


@few
@given(st.data(), st.sampled_from(("int8", "int16", "float32")))
def test_softmax_keeps_the_order(data: st.DataObject, dtype: str) -> None:
    if dtype == "float32":
        x = data.draw(arrays((5, 30), dtype, -20, 20))
        assert in_order(x, softmax(x))
        return
    scale = data.draw(SCALES[dtype])
    x = data.draw(rows(dtype))
    assert in_order(x, softmax(x, scale))


@pytest.mark.slow
def test_the_exponentials_never_fall() -> None:
    """Every argument that int8 can have, 2³¹ in Q5.26: a polynomial in each quarter, then products with constants.

    A product with a positive constant keeps the order, so that the first quarter and the seams are enough. int16's
    come from a table, at each of its 65,536 arguments.
    """
    quarter = 1 << 24
    for start in range(-quarter, 0, 1 << 20):
        ascending = np.arange(start, start + (1 << 20) + 1)
        assert (np.diff(gemmlowp.exp_on_negative_values(ascending, 5)) >= 0).all()
    seams = -quarter * np.arange(1, 128)
    left, right = (gemmlowp.exp_on_negative_values(seams - step, 5) for step in (1, 0))
    assert (left <= right).all()
    exps, _ = _tables()
    assert _look_up(exps, np.int64(-32768)) == 2, "what the smallest logit still counts"
    assert (np.diff(_look_up(exps, np.arange(-32768, 32768))) >= 0).all()


@few
@given(st.data(), st.sampled_from(("int8", "int16")), st.integers(-40, 40))
def test_softmax_ignores_shifts(data: st.DataObject, dtype: str, shift: int) -> None:
    """Codes; in float32 the document's example shows the contrary."""
    x, scale = data.draw(arrays((5, 12), dtype, -88, 87)), data.draw(SCALES[dtype])
    assert np.array_equal(softmax(x + np.array(shift, dtype), scale), softmax(x, scale))
    order = np.random.default_rng(abs(shift)).permutation(12)
    assert np.array_equal(softmax(x[:, order], scale), softmax(x, scale)[:, order])


@pytest.mark.parametrize("n", [2, 10, 100, 1000, 10000])
def test_the_sure_winner(n: int) -> None:
    """One logit 64 above all others. int16 gives each of those 2 of 32768: its exponentials end at e^−10."""
    row = np.full((1, n), -32768, np.int16)
    row[0, 0] = 32767
    winner, loser = softmax(row, 1 / 1024)[0, :2]
    assert abs(winner / 32768 - 32762 / (32762 + 2 * (n - 1))) < 2.0**-14
    assert loser == round(2 * winner / 32768 + 1e-9)
    if n < 8192:  # int8's sums have no room for more
        assert softmax((row >> 8).astype(np.int8), 0.25)[0, :2].tolist() == [255, 0]
    assert softmax(row.astype(np.float32) / 1024)[0, 0] == 1
