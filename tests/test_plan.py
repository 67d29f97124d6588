"""Planning: which kernel, which refusal, and what can be replaced."""

from __future__ import annotations

import pickle
import tracemalloc

import numpy as np
import pytest

from refengine import KERNELS, InferenceError, Kernel, Numerics, make_plan, run
from refengine.bundled import bundled_models
from refengine.kernel import PRESETS
from refengine.kernels._flexbuffer import pack
from refengine.model import Tensor
from tests.models import custom, fed, one_op, q
from tests.test_execute import codes, two_layers


def test_steps_know_when_a_tensor_is_read_for_the_last_time() -> None:
    first, second = make_plan(two_layers()).steps
    assert first.last_use == (0,) and second.last_use == (2,)  # the output itself is kept


def test_a_users_own_kernel_takes_its_place() -> None:
    mine = Kernel(
        lambda *_: None,
        lambda p, x, *_: x[..., :1] * 0 + np.int8(42),
        KERNELS["RELU", "int8"].explain,
        KERNELS["RELU", "int8"].example,
    )
    model = one_op("RELU", {}, [fed((1, 3), "int8", q(1.0))], fed((1, 1), "int8", q(1.0)))
    plan = make_plan(model, kernels={**KERNELS, ("RELU", "int8"): mine})
    assert run(plan, np.zeros((1, 3), np.int8))[0].tolist() == [[42]]


def test_the_dialect_travels_with_the_plan() -> None:
    for name, numerics in PRESETS.items():
        assert make_plan(two_layers(), numerics=numerics).numerics == numerics
        assert str(numerics).startswith(f"{name} (rounding=")
    assert make_plan(two_layers()).numerics == Numerics()
    assert str(Numerics(rounding="single", libm="newlib")).startswith("custom (")


@pytest.mark.parametrize("name", ["stm32f746_int8", "esp32_int8", "stm32f746_int16x8", "stm32f746_float32"])
def test_a_plan_takes_less_than_thrice_the_files_size(name: str) -> None:
    """While it is made, for the second time: the first one imports kernels and fills tables that all share."""
    file = bundled_models()[name].read_bytes()
    make_plan(file)
    tracemalloc.start()
    try:
        make_plan(file)
        assert tracemalloc.get_traced_memory()[1] < 3 * len(file)
    finally:
        tracemalloc.stop()


def test_planning_does_not_depend_on_what_ran_before() -> None:
    plan, x = make_plan(two_layers()), codes(4)
    assert np.array_equal(run(plan, x)[0], run(plan, x)[0])


def test_a_plan_is_pickled_as_what_it_was_made_of() -> None:
    plan, x = make_plan(two_layers(), numerics=Numerics(rounding="single")), codes(4)
    data = pickle.dumps(plan)
    again = pickle.loads(data)
    assert again.kernels is KERNELS and again.numerics == plan.numerics and again.model == plan.model
    assert np.array_equal(run(again, x)[0], run(plan, x)[0])
    assert len(data) < 2 * len(pickle.dumps(plan.model))


def test_a_plans_own_kernels_are_pickled_with_it() -> None:
    mine = {**KERNELS, ("MINE", "int8"): KERNELS["RELU", "int8"]}
    again = pickle.loads(pickle.dumps(make_plan(two_layers(), kernels=mine)))
    assert again.kernels.keys() == mine.keys()


def test_an_inference_that_ends_early_keeps_undefined_what_depends_on_undefined_elements() -> None:
    """A frame with an unwritten element goes into a buffer that lives on, though the inference ends there."""
    buffer = Tensor(-1, "buffer", (1, 2, 1, 2), "int8", is_variable=True)
    model = custom("CIRCULAR_BUFFER", pack(cycles_max=2), [fed((1, 1, 1, 2), "int8")], buffer)
    (step,) = make_plan(model).steps
    frame = np.ma.array([[[[[5, 6]]]]], np.int8, mask=[[[[[False, True]]]]])
    with pytest.raises(InferenceError) as caught:
        step.evaluate(frame, *step.memory)
    assert caught.value.results[0].tolist() == [[[[[0, 0]], [[5, None]]]]]
