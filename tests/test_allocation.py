"""TFLM's arena to the byte: its own recording allocator is the judge."""

from __future__ import annotations

import pytest
from dice import drawn
from oracle import Tflm

from refengine import KERNELS, make_plan
from refengine.allocation import allocation
from refengine.model import Model
from refengine.tensors.datasets import bundled_models
from refengine.tflite_io import dump
from tests.test_subgraphs import program


def check(model: bytes | Model, tflm: Tflm) -> None:
    found = allocation(make_plan(model))
    counted = tflm.arena(dump(model) if isinstance(model, Model) else model)
    assert (found.total, found.planned, found.persistent) == counted, str(make_plan(model).model)


@pytest.mark.parametrize("name", bundled_models())
def test_bundled_networks(name: str, tflm: Tflm) -> None:
    check(bundled_models()[name].read_bytes(), tflm)


@pytest.mark.parametrize(("op", "dtype"), sorted(KERNELS), ids=lambda part: part or "any")
def test_every_kernel(op: str, dtype: str, tflm: Tflm) -> None:
    """What each asks for besides its tensors."""
    for model, _ in drawn(op, dtype, 6, 0):
        check(model, tflm)


@pytest.mark.parametrize("seed", range(20))
def test_programs_of_several_subgraphs(seed: int, tflm: Tflm) -> None:
    check(program(seed), tflm)


def test_a_known_network_on_both_targets() -> None:
    """What the README says of stm32f746_int8; the 32-bit count is TFLM's, built with arm-none-eabi-gcc."""
    plan = make_plan(bundled_models()["stm32f746_int8"])
    assert (allocation(plan).planned, allocation(plan).total) == (27_040, 31_984)
    assert allocation(plan, "arm").total == 30_644
