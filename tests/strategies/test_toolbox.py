"""What examples are drawn from: within the promised bounds, with the edges, and with the traps of vendor kernels."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np
import pytest
from dice import Dice
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from refengine import KERNELS, Plan, make_plan, run, strategies
from refengine.kernels._linear import Computed
from refengine.model import Array
from refengine.numerics.quantize import activation_range, code_range
from tests.models import present

SMALLEST = settings(max_examples=2000, suppress_health_check=list(HealthCheck))
FIRST = settings(SMALLEST, phases=[Phase.generate])
INTEGERS = ("int8", "int16", "int32", "int64", "uint8")


# ---- numbers and arrays --------------------------------------------------------------------------------------


@given(st.sampled_from(INTEGERS), st.data())
def test_integer_arrays_stay_within_their_bounds(dtype: str, data: st.DataObject) -> None:
    least, most = code_range(dtype)
    low = data.draw(st.integers(least, most))
    high = data.draw(st.integers(low, most))
    shape = data.draw(st.lists(st.integers(0, 4), max_size=3).map(tuple))
    x = data.draw(strategies.arrays(shape, dtype, low, high))
    assert (x.dtype.name, x.shape) == (dtype, shape)
    assert x.size == 0 or low <= int(x.min()) <= int(x.max()) <= high


@given(st.sampled_from((None, 4, 100)), st.data())
def test_float_arrays_are_finite_unless_asked_for(high: int | None, data: st.DataObject) -> None:
    x = data.draw(strategies.arrays((3, 5), "float32", high=high))
    assert (x.dtype, x.shape) == (np.dtype(np.float32), (3, 5))
    assert np.isfinite(x).all() and (high is None or np.abs(x).max() <= high)


@pytest.mark.parametrize(
    ("dtype", "finite", "edge"),
    [
        ("int8", True, lambda x: (x == -128).any() and (x == 127).any()),
        ("int32", True, lambda x: (x == -(2**31)).any()),
        ("int32", True, lambda x: (x % 2**20 == 2**19).all()),  # lie between two multiples of 2²⁰
        ("int16", True, lambda x: len(set(x.tolist())) == 1),
        ("float32", True, lambda x: (np.signbit(x) & (x == 0)).any()),
        ("float32", True, lambda x: ((x != 0) & (np.abs(x) < np.finfo(np.float32).tiny)).any()),
        ("float32", True, lambda x: (np.abs(x) > 1e30).any()),
        ("float32", True, lambda x: (np.abs(x % 1) == 0.5).all()),
        ("float32", False, lambda x: np.isnan(x).any() and np.isinf(x).any()),
    ],
)
def test_arrays_have_edges(dtype: str, finite: bool, edge: Callable[[Array], bool]) -> None:
    find(strategies.arrays((40,), dtype, finite=finite), edge, settings=FIRST)


@pytest.mark.parametrize("dtype", ["uint32", "uint64"])
def test_wide_unsigned_arrays_have_numbers_of_every_size(dtype: str) -> None:
    bits = np.iinfo(dtype).bits
    noise = np.concatenate([strategies.array_of((50,), dtype, None, None, "noise", seed) for seed in range(20)])
    sizes = {int(x).bit_length() for x in noise}
    assert sizes >= set(range(2, bits + 1))
    ends = {2**end - 1 for end in (0, 16, 32, 64) if end <= bits}
    assert set(strategies.array_of((50,), dtype, None, None, "ends", 1).tolist()) == ends


@pytest.mark.parametrize("dtype", ["int8", "int32", "float32"])
def test_arrays_shrink_to_constants(dtype: str) -> None:
    assert not find(strategies.arrays((5,), dtype), lambda x: True, settings=SMALLEST).any()
    least = find(strategies.arrays((5,), dtype), lambda x: bool((x != 0).all()), settings=SMALLEST)
    assert (least == (0.25 if dtype == "float32" else 1)).all()


@given(st.sampled_from(("int8", "int16", "uint8")), st.booleans(), st.sampled_from((1, 3)), st.data())
def test_quantizations_are_ones_tflm_takes(dtype: str, asymmetric: bool, channels: int, data: st.DataObject) -> None:
    q = data.draw(strategies.quantizations(dtype, asymmetric=asymmetric, channels=channels, dimension=2))
    low, high = code_range(dtype)
    assert len(q.scale) == len(q.zero_point) == channels
    assert all(np.float32(scale) == scale and scale > 0 for scale in q.scale)
    assert all(low <= z <= high for z in q.zero_point)
    assert q.quantized_dimension == (2 if channels > 1 else 0)
    if channels == 1:
        assert 0.2 < q.scale[0] * (high - low) < 1100
        assert dtype != "int16" or asymmetric or q.zero_point == (0,)


@given(st.integers(-31, 30), st.integers(0, 61), st.data())
def test_multipliers_are_those_of_tflm(low: int, more: int, data: st.DataObject) -> None:
    multiplier, shift = data.draw(strategies.multipliers(low, min(30, low + more)))
    assert 2**30 <= multiplier < 2**31
    assert low <= shift <= min(30, low + more)


@pytest.mark.parametrize("wanted", [(2**30, 0), (2**31 - 1, -31), (2**30, 30)], ids=str)
def test_multipliers_have_edges(wanted: tuple[int, int]) -> None:
    find(strategies.multipliers(), lambda drawn: drawn == wanted, settings=FIRST)


@pytest.mark.parametrize("zero_point", [0, -128, 127])
def test_zero_points_have_edges(zero_point: int) -> None:
    find(strategies.zero_points("int8"), lambda drawn: drawn == zero_point, settings=FIRST)


def test_a_cache_tells_one_from_true() -> None:
    make = strategies.Toolbox()
    assert find(make.sampled_from((1, 0)), lambda x: True) is not find(make.sampled_from((True, False)), lambda x: True)


# ---- the traps of vendor kernels -----------------------------------------------------------------------------


def drawn(op: str, dtype: str, count: int) -> list[Plan]:
    """Plans of one operator; of layers, those with constants."""
    dice = Dice(1)
    plans = (make_plan(strategies.model_of(KERNELS[op, dtype].example(lambda x: x, dice))) for _ in range(2 * count))
    return list(islice((plan for plan in plans if not isinstance(plan.steps[0].params, Computed)), count))


def weights(plan: Plan) -> tuple[int, ...]:
    return plan.graph.tensors[plan.graph.ops[0].inputs[1]].shape


def requantizer(plan: Plan) -> Any:
    params = plan.steps[0].params
    return params.groups[0][1] if hasattr(params, "groups") else params.requantize


def options(plan: Plan) -> Any:
    return plan.graph.ops[0].options


def padding(plan: Plan) -> tuple[int, int]:
    """Rows padded above and below."""
    window = plan.steps[0].params.window
    return window.pad[0], window.span[0] - window.input[0] - window.pad[0]


CONV: dict[str, Callable[[Plan], Any]] = {
    "depth beside a multiple of 4": lambda p: weights(p)[3] > 4 and weights(p)[3] % 4,
    "depth beside a multiple of 8": lambda p: weights(p)[3] > 8 and weights(p)[3] % 8,
    "depth beside a multiple of 16": lambda p: weights(p)[3] > 16 and weights(p)[3] % 16,
    "outputs beside a multiple of 4": lambda p: weights(p)[0] > 4 and weights(p)[0] % 4,
    "one output channel": lambda p: weights(p)[0] == 1,
    "two output channels": lambda p: weights(p)[0] == 2,
    "depth 1": lambda p: weights(p)[3] == 1,
    "1×1 with a stride": lambda p: weights(p)[1:3] == (1, 1) and max(p.steps[0].params.window.stride) > 1,
    "asymmetric padding": lambda p: padding(p)[1] == padding(p)[0] + 1,
    "stride 2 on an even size": lambda p: (
        options(p)["stride_h"] == 2 and options(p)["padding"] == "SAME" and p.inputs[0].shape[1] % 2 == 0
    ),
    "dilation": lambda p: options(p)["dilation_w_factor"] > 1 and weights(p)[2] > 1,
    "zero point −128": lambda p: present(p.inputs[0].quantization).zero_point == (-128,),
    "zero point 127": lambda p: present(p.inputs[0].quantization).zero_point == (127,),
    "a factor above 1": lambda p: requantizer(p).multiplier.shift.max() > 0,
    "a factor below 2⁻⁸": lambda p: requantizer(p).multiplier.shift.min() < -8,
    "30 bits and more to the right": lambda p: requantizer(p).multiplier.shift.min() <= -30,
    "a power of two": lambda p: (requantizer(p).multiplier.multiplier == 2**30).all(),
    "a huge bias": lambda p: np.abs(requantizer(p).bias).max() > 2**28,
    "per channel": lambda p: len(set(present(p.graph.tensors[p.graph.ops[0].inputs[1]].quantization).scale)) > 1,
    "int4": lambda p: p.graph.tensors[p.graph.ops[0].inputs[1]].dtype == "int4",
    "several images": lambda p: p.inputs[0].shape[0] > 1,
}


@pytest.fixture(scope="module")
def convolutions() -> list[Plan]:
    return drawn("CONV_2D", "int8", 800)


@pytest.mark.slow
@pytest.mark.parametrize("trap", CONV)
def test_convolutions_meet_every_trap(trap: str, convolutions: list[Plan]) -> None:
    """Each in one case of a hundred at least."""
    assert sum(bool(CONV[trap](plan)) for plan in convolutions) >= len(convolutions) // 100


TRAPS: dict[tuple[str, str], Callable[[Plan], Any]] = {
    ("DEPTHWISE_CONV_2D", "several outputs of one channel"): lambda p: (
        p.inputs[0].shape[3] == 1 and options(p)["depth_multiplier"] > 1
    ),
    ("FULLY_CONNECTED", "a batch and a depth beside a multiple of 4"): lambda p: (
        p.outputs[0].shape[0] > 1 and weights(p)[1] % 4
    ),
    ("AVERAGE_POOL_2D", "a window past the border"): lambda p: max(padding(p)) > 0,
    ("MAX_POOL_2D", "a window larger than the image"): lambda p: options(p)["filter_height"] > p.inputs[0].shape[1],
    ("SOFTMAX", "rows of one"): lambda p: p.inputs[0].shape[-1] == 1,
    ("SOFTMAX", "a big range"): lambda p: present(p.inputs[0].quantization).scale[0] > 1,
    ("ADD", "an input that is repeated"): lambda p: len({t.shape for t in p.inputs}) > 1,
    ("MUL", "scales far apart"): lambda p: (
        len(p.inputs) > 1
        and not 2**-6 < present(p.inputs[0].quantization).scale[0] / present(p.inputs[1].quantization).scale[0] < 2**6
    ),
    ("MEAN", "an odd number of elements"): lambda p: (
        p.steps[0].params.axes.num_elements_in_axis % 2 and p.steps[0].params.axes.num_elements_in_axis > 1
    ),
}


@pytest.mark.parametrize(("op", "trap"), TRAPS, ids=str)
def test_examples_meet_every_trap(op: str, trap: str) -> None:
    assert sum(bool(TRAPS[op, trap](plan)) for plan in drawn(op, "int8", 300)) >= 3


@pytest.mark.parametrize(
    "op", ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "SUB", "MUL", "AVERAGE_POOL_2D"]
)
@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_most_results_lie_inside_the_range(op: str, dtype: str) -> None:
    """Clamped ones would hide how they were rounded."""
    rng, shares = random.Random(2), []
    for plan in drawn(op, dtype, 200):
        (output,), activation = plan.outputs, options(plan)["fused_activation_function"]
        assert output.quantization is not None
        low, high = activation_range(activation, dtype, output.quantization.scale[0], output.quantization.zero_point[0])
        fed = [strategies.array_of(t.shape, t.dtype, None, None, "noise", rng.getrandbits(32)) for t in plan.inputs]
        (y,) = run(plan, *fed)
        shares.append(np.mean((low < y) & (y < high)))
    assert np.mean(shares) > 0.5
