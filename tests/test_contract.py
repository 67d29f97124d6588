"""A kernel of somebody's own: what it returns and how it explains itself is held to the contract."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import refengine
from refengine import InputError
from refengine.kernels import KERNELS
from refengine.model import Array

MODEL = "stm32f746_int8"
X = np.zeros((1, 28, 28, 1), np.int8)
SOFTMAX = KERNELS["SOFTMAX", "int8"]


def own(
    evaluate: Callable[[Array], Any] = lambda y: y, explain: Callable[[Any], Any] = lambda lines: lines
) -> refengine.Plan:
    """The model with a SOFTMAX whose results and explanations somebody has changed."""
    assert SOFTMAX.evaluate is not None
    sound = SOFTMAX.evaluate
    mine = replace(
        SOFTMAX,
        evaluate=lambda params, x: evaluate(np.asarray(sound(params, x))),
        explain=lambda *arguments: explain(SOFTMAX.explain(*arguments)),
    )
    return refengine.make_plan(MODEL, kernels={**KERNELS, ("SOFTMAX", "int8"): mine})


@pytest.mark.parametrize(
    ("evaluate", "got"),
    [
        (lambda y: y.astype(np.int16), "gives an array of int16 (2, 1, 10) for output 0"),
        (lambda y: y[:, 0], "gives an array of int8 (2, 10) for output 0"),
        (lambda y: y[:1], "gives an array of int8 (1, 1, 10) for output 0"),
        (lambda y: None, "gives None for output 0"),
        (lambda y: 3, "gives an int for output 0"),
        (lambda y: (y, y), "gives 2 arrays; its evaluate must return 1 array"),
    ],
)
def test_what_a_kernel_of_ones_own_returns_is_looked_at(evaluate: Callable[[Array], Any], got: str) -> None:
    with pytest.raises(InputError) as caught:
        [*refengine.execute(own(evaluate), np.concatenate([X, X]))]
    assert f"the kernel for SOFTMAX {got}" in str(caught.value) and "must return" in str(caught.value)


@pytest.mark.parametrize(
    ("explain", "told"),
    [
        (lambda lines: [line._replace(value=0) for line in lines], "ends at 0, and its evaluate gives"),
        (lambda lines: [1], "must yield refengine.Line"),
        (lambda lines: [], "must yield refengine.Line"),
    ],
)
def test_how_a_kernel_of_ones_own_explains_itself_is_looked_at(explain: Callable[[Any], Any], told: str) -> None:
    plan = own(explain=explain)
    *_, record = refengine.execute(plan, X)
    with pytest.raises(InputError, match=told):
        refengine.explain(plan, record, (0, 7))


def test_a_sound_kernel_of_ones_own_is_believed() -> None:
    plan = own()
    (y,) = refengine.run(MODEL, X)
    *_, record = refengine.execute(plan, X)
    assert refengine.run(plan, X)[0].tolist() == y.tolist()
    assert refengine.explain(plan, record, (0, 7)).value == y[0, 7]
