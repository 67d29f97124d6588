"""TFLM's arena to the byte: its own recording allocator is the judge."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from dice import drawn
from oracle import OracleCrash, Tflm

from refengine import KERNELS, UnsupportedError, inspect, make_plan
from refengine.allocation import allocation
from refengine.bundled import bundled_models
from refengine.kernels._arena import NEEDS
from refengine.model import Model
from refengine.tflite_io import dump
from tests.test_long_graphs import chain
from tests.test_subgraphs import program


def check(model: bytes | Model, tflm: Tflm) -> None:
    found = allocation(make_plan(model))
    counted = tflm.arena(dump(model) if isinstance(model, Model) else model)
    assert (found.total, found.planned, found.persistent) == counted, str(make_plan(model).model)


def check_minimum(model: bytes | Model, tflm: Tflm) -> bool:
    """Whether the smallest arena is known; it works, and a smaller one does not."""
    minimum, data = allocation(make_plan(model)).minimum, dump(model) if isinstance(model, Model) else model
    if minimum is not None:
        assert tflm.fits(data, minimum)
        assert not tflm.fits(data, minimum - 16)
    return minimum is not None


def test_the_smallest_arena_of_bundled_networks(tflm: Tflm) -> None:
    known = {name: check_minimum(path.read_bytes(), tflm) for name, path in bundled_models().items()}
    assert sum(known.values()) >= 5, known


@pytest.mark.parametrize("seed", range(20))
def test_the_smallest_arena_of_programs(seed: int, tflm: Tflm) -> None:
    check_minimum(program(seed), tflm)


@pytest.mark.parametrize("length", [20, 100])
def test_planning_may_take_more_than_what_is_planned(length: int, tflm: Tflm) -> None:
    """Many small tensors: TFLM then needs more than it reports."""
    assert check_minimum(chain(length), tflm)
    found = allocation(make_plan(chain(length)))
    assert found.minimum is not None and found.minimum > found.total


@pytest.mark.parametrize(("op", "dtype"), sorted(KERNELS), ids=lambda part: part or "any")
def test_the_smallest_arena_of_every_kernel(op: str, dtype: str, tflm: Tflm) -> None:
    for model, _ in drawn(op, dtype, 2, 1):
        check_minimum(model, tflm)


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


@pytest.mark.parametrize("seed", range(20))
def test_tensors_lie_where_the_file_wants_them(seed: int, tflm: Tflm) -> None:
    """Vela and others write a plan of their own; buffers may overlap in it."""
    random, model = Random(seed), program(seed)
    tensors = [t for graph in model.graphs for t in graph.tensors]
    offsets = [random.choice((-1, -1, 16 * random.randrange(200))) for t in tensors]
    data = np.array([1, len(model.graphs), len(tensors), *offsets], np.int32).tobytes()
    model = replace(model, metadata=(("OfflineMemoryAllocation", data),))
    if inspect(model).plan is not None:
        return check(model, tflm)
    with pytest.raises(UnsupportedError, match="gets no memory"):
        make_plan(model)
    with pytest.raises(OracleCrash):
        tflm.accepts(dump(model))


@pytest.mark.parametrize("offsets", [[-1, -1, -1], []])
def test_an_offline_plan_of_another_model_is_refused(offsets: list[int], tflm: Tflm) -> None:
    data = np.array([1, 1, 3, *offsets], np.int32).tobytes()
    model = replace(program(0), metadata=(("OfflineMemoryAllocation", data),))
    with pytest.raises(UnsupportedError, match="OfflineMemoryAllocation has offsets for 3 tensors"):
        make_plan(model)
    assert inspect(model).runs_on_tflm == "no"
    assert not tflm.accepts(dump(model))


def test_reductions_share_a_struct() -> None:
    """TFLM's OpDataReduce: 32-bit sizes have no oracle here, but one struct has one size."""
    assert len({NEEDS[op].data for op in ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_ALL")}) == 1


def test_sizes_are_those_of_c_structs() -> None:
    """Whole multiples of their alignment, a power of two; where 64 bits need whole words, so do 32; never more."""
    for op, needs in NEEDS.items():
        for size, alignment in needs.options or ():
            assert alignment in (1, 2, 4, 8) and size % alignment == 0, op
        if needs.data:
            wide, narrow = needs.data
            assert narrow <= wide and (wide % 4 == 0) == (narrow % 4 == 0), op
