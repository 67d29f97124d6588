"""Faults of float32 arithmetic, and what is none: another order of summation, another libm."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...model import Array
from ...tensors.difference import unlike
from ..evidence import choices, values
from ._case import Case, Fits, Variants, with_data

ROUNDOFF = 6 * 2.0**-24
"""How many standard deviations of a rounding error, times its unit, still count as one."""

APPROXIMATE = 1e-3
"""How far off, relatively, an approximation of exp may bring a softmax or the like."""


def summation_order(case: Case) -> Variants:
    """The sums of a layer run in another order, or in float64."""
    weights = case.weights
    if weights is None or weights.data is None or weights.data.dtype != np.float32 or case.sound.dtype != np.float32:
        return
    bounds = case.step.params
    if not hasattr(bounds, "float_activation_min"):
        return
    totals = _totals(case)
    for how, total in totals.items():
        total = total + (0 if case.bias is None or case.bias.data is None else case.bias.data.reshape(-1))
        total = np.minimum(np.maximum(total, bounds.float_activation_min), bounds.float_activation_max)
        yield f"under another order of summation: {how}", total.astype(np.float32).reshape(case.sound.shape)


def _totals(case: Case) -> dict[str, Array]:
    """The sums without bias, (positions, channels), by how they were computed."""
    assert case.weights is not None and case.weights.data is not None
    shared = case.step.facts.layout != "1HWO"
    channels = case.sound.shape[-1]
    columns = [case.columns(c) for c in range(1 if shared else channels)]
    if any(c is None for c in columns) or not columns:
        return {}
    x = np.stack([c for c in columns if c is not None], axis=-1)  # (positions, taps, channels or 1)
    w = np.stack([case.taps_of(case.weights.data, c) for c in range(channels)], axis=-1)  # (taps, channels)
    if x.shape[1] != w.shape[0]:
        return {}
    exact = np.einsum("ptc,tc->pc", np.broadcast_to(x, (*x.shape[:2], channels)), w, dtype=np.float64, optimize=True)
    return {
        "backwards": _summed(x, w, 1, -1),
        "in four lanes": _summed(x, w, 4, 1),
        "in eight lanes": _summed(x, w, 8, 1),
        "in four lanes, neighbours first": _summed(x, w, 4, 1, neighbours=True),
        "in eight lanes, neighbours first": _summed(x, w, 8, 1, neighbours=True),
        "in float64": exact.astype(np.float32),
    }


def _summed(x: Array, w: Array, lanes: int, direction: int, neighbours: bool = False) -> Array:
    """Every lane takes each so many-th product; halves are added in the end, or lanes beside one another."""
    parts = np.zeros((lanes, len(x), w.shape[1]), np.float32)
    for k in range(len(w))[::direction]:
        parts[k % lanes] += x[:, k] * w[k]
    while len(parts) > 1:
        half = len(parts) // 2
        parts = parts[::2] + parts[1::2] if neighbours else parts[:half] + parts[half:]
    return np.asarray(parts[0])


def roundoff(case: Case) -> Fits:
    """Results as close as another order of summation, or another libm, brings them, and on neither side."""
    if case.seen is None or case.sound.dtype != np.float32:
        return
    size = _spread(case)
    if size is None:
        return
    delta = case.seen.astype(np.float64) - case.sound
    tolerance = ROUNDOFF * size
    near = np.abs(delta) <= tolerance
    apart = delta != 0
    if (near | ~apart).all() and not _leans(delta[apart], case.sound[apart].astype(np.float64)):
        yield "within the rounding errors of another order of summation, or another libm", case.seen, _half(case)


def _half(case: Case) -> float:
    """What it costs to say of differences how large they are at most, and no more: half of what they are worth."""
    assert case.seen is not None
    count = int(unlike(case.sound, case.seen).sum())
    return (values(case.sound, case.seen) + choices(case.seen.size, count)) / 2


def _leans(delta: Array, values: Array) -> bool:
    """Whether differences share a direction or grow with the values, which rounding errors do not."""
    if len(delta) < 8:
        return False
    by_value = delta * np.sign(values)
    return any(
        abs(d.mean()) > 5 * d.std() / np.sqrt(len(d)) and abs(d.mean()) > 0.5 * d.std() for d in (delta, by_value)
    )


def _spread(case: Case) -> Array | None:
    """√n · √Σt² of each element's n terms t, its own kernel summing the squares; or its size, for a libm's errors."""
    why, place = case.step.facts.inexact, case.step.facts.data or 0
    x = case.arrays[place]
    if x is None:
        return None
    if case.weights is not None:
        constants = {i: t for i, t in enumerate(case.step.inputs) if t is not None and t.data is not None}
        squares = case.replay(
            options={"fused_activation_function": "NONE"},
            tensors={i: with_data(t, t.data * t.data) for i, t in constants.items() if t.data is not None},
            arrays={place: x * x},
        )
        terms = case.step.params.macs // case.sound.size + 1
    elif why == "sums":
        squares, terms = case.replay(arrays={place: x * x}), x.size // case.sound.size + 1
    elif why == "libm":
        return np.asarray(np.abs(case.sound) * ((x.shape[-1] if x.ndim else 1) + 4) / 3)
    else:
        return None
    return None if squares is None else np.asarray(np.sqrt(terms * squares.astype(np.float64)) + np.abs(case.sound))


def scaled(case: Case) -> Fits:
    """All weights too large by one factor, or all biases by one amount: differences in proportion, or all alike."""
    size = (
        _spread(case) if case.seen is not None and case.sound.dtype == np.float32 and case.weights is not None else None
    )
    if size is None or case.seen is None:
        return
    mine, theirs = case.sound.astype(np.float64), case.seen.astype(np.float64)
    open_ = (mine != 0) & (theirs != 0) & np.isfinite(theirs)
    if open_.sum() < 8 or not _leans((theirs - mine)[open_], mine[open_]):
        return
    tolerance = ROUNDOFF * size
    for how, wrong in _straight(case, mine, theirs, open_):
        inside = np.where(
            open_, np.abs(theirs - wrong) <= tolerance, np.abs(theirs - mine) <= np.abs(wrong - mine) + tolerance
        )
        if inside.all():
            yield how, case.seen, _half(case) + 16.0


def _straight(case: Case, mine: Array, theirs: Array, open_: Array) -> Iterator[tuple[str, Array]]:
    """(how, the values) of the best factor of the weights, of weights and biases, and the best amount."""
    bias = np.zeros(mine.shape[-1]) if case.bias is None or case.bias.data is None else case.bias.data.reshape(-1)
    for name, base in {"weights": mine - bias, "weights and biases": mine}.items():
        factor = 1 + ((theirs - mine) * base)[open_].sum() / (base * base)[open_].sum()
        if abs(factor - 1) > 1e-6:
            yield f"if all {name} of the layer are scaled by a factor of about {factor:.6g}", mine + (factor - 1) * base
    amount = float(np.median((theirs - mine)[open_]))
    yield f"if the layer has other biases than this file's: each is off by about {amount:.3g}", mine + amount


def another_exp(case: Case) -> Fits:
    """A softmax, or whatever else calls libm, by an approximation of exp."""
    if case.seen is None or case.sound.dtype != np.float32 or case.step.facts.inexact != "libm":
        return
    off = np.abs(case.seen.astype(np.float64) / case.sound - 1)
    off = off[np.isfinite(off)]
    if len(off) and off.max() <= APPROXIMATE:
        yield f"if its expf is an approximation, off by up to {off.max():.2g}", case.seen, _half(case)
