"""Conversion gives the converter's numbers, where files of it are at hand; and what it gives runs, and means the same.

How it compares with the converter on many small networks is told by `test_parity.py`.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from oracle import Tflm, host_plan

from refengine import (
    InferenceError,
    InputError,
    Model,
    Session,
    Tensor,
    UnsupportedError,
    load,
    make_plan,
    quantize_input,
    run,
)
from refengine.bundled import bundled_models
from refengine.errors import RefengineError
from refengine.execute import infer
from refengine.kernel import Node
from refengine.kernels import FACTS, KERNELS
from refengine.model import Array, Graph
from refengine.quantizer import Ranges, calibrate, convert, quantize
from refengine.quantizer.affine import activation, constant, state, weights
from refengine.quantizer.choices import choices
from refengine.quantizer.convert import kept_of
from refengine.strategies import Case, model_of, models
from refengine.tensors.inputs import dequantize_output
from refengine.tflite_io import dump
from tests.models import const, fed, one_op, present, q, svdf

RNG = np.random.default_rng(5)
CONV = {"padding": "SAME", "stride_w": 1, "stride_h": 1, "dilation_w_factor": 1, "dilation_h_factor": 1,
        "fused_activation_function": "NONE"}  # fmt: skip
POOL = {"padding": "VALID", "stride_w": 2, "stride_h": 2, "filter_width": 2, "filter_height": 2,
        "fused_activation_function": "NONE"}  # fmt: skip
ADD = {"fused_activation_function": "NONE", "pot_scale_int16": True}
CONCATENATION = {"axis": 3, "fused_activation_function": "NONE"}
KINDS = [("int8", "int8"), ("int8", "float32"), ("int16", "int16"), ("int16", "float32")]


# ── What converters made ──


def recorded() -> Ranges:
    """The ranges that the converter saw for the bundled float network, of which its int16×8 file has kept a record."""
    names = {t.name: t.quantization for t in load(bundled_models()["stm32f746_int16x8"]).graphs[0].tensors}
    graph = load(bundled_models()["stm32f746_float32"]).graphs[0]
    seen = {t.index: names[t.name] for t in graph.tensors if t.dtype == "float32" and t.data is None}
    return {i: (q.min[0], q.max[0]) if q and q.min else (0.0, 1.0) for i, q in seen.items()}  # SOFTMAX's does not count


def without_ranges(graph: Graph) -> Graph:
    def bare(tensor: Tensor) -> Tensor:
        quantization = tensor.quantization and replace(tensor.quantization, min=(), max=())
        return replace(tensor, quantization=quantization)

    return replace(graph, tensors=tuple(map(bare, graph.tensors)))


@pytest.mark.parametrize(("activations", "name"), [("int8", "stm32f746_int8"), ("int16", "stm32f746_int16x8")])
def test_the_bundled_network_becomes_the_converters(activations: str, name: str) -> None:
    """Every tensor, name, version and option, in order; every weight and bias."""
    theirs = load(bundled_models()[name])
    ours = convert(load(bundled_models()["stm32f746_float32"]), recorded(), activations=activations)
    assert ours.graphs[0] == without_ranges(theirs.graphs[0])
    assert ours.signatures == theirs.signatures


# ── Numbers ──


@pytest.mark.parametrize(
    ("low", "high", "scale", "zero_point"),
    [
        (-0.9998078942298889, 0.9995822906494141, 0.007840745151042938, 0),
        (0.0, 3.8800463676452637, 0.015215868130326271, -128),
        (0.5418226718902588, 1.9387471675872803, 0.0076029300689697266, -128),  # widened to contain 0
        (-1.550919771194458, 1.1754943508222875e-38, 0.0060820383951067924, 127),
        (0.0, 0.0, 7.84313680668447e-09, 0),  # grown by 1e-6 at either side
    ],
)
def test_int8_parameters_are_the_converters(low: float, high: float, scale: float, zero_point: int) -> None:
    found = activation(low, high, "int8")
    assert (found.scale, found.zero_point) == ((scale,), (zero_point,))


@pytest.mark.parametrize(
    ("low", "high", "scale"),
    [
        (-0.9998078942298889, 0.9995822906494141, 3.0512646844726987e-05),
        (-5.8156585693359375, 1.060821533203125, 0.00017748522805050015),
        (0.0, 0.0, 7.84313680668447e-09),  # the converter's is 0
    ],
)
def test_int16_parameters_are_the_converters(low: float, high: float, scale: float) -> None:
    found = activation(low, high, "int16")
    assert (found.scale, found.zero_point) == ((scale,), (0,))


@given(
    st.floats(-(2.0**99), 2.0**99, width=32),
    st.floats(-(2.0**99), 2.0**99, width=32),
    st.sampled_from(["int8", "int16"]),
)
def test_a_range_is_covered_to_one_step_and_zero_exactly(low: float, high: float, dtype: str) -> None:
    low, high = sorted((low, high))
    found = activation(low, high, dtype)
    (scale,), (zero_point,) = found.scale, found.zero_point
    least, most = ((c - zero_point) * scale for c in ((-128, 127) if dtype == "int8" else (-32767, 32767)))
    assert least <= min(low, 0) + scale and most >= max(high, 0) - scale
    assert -128 <= zero_point <= 127


@given(
    st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.integers(1, 4)),
    st.sampled_from([0, 3]),
    st.sampled_from([1e-9, 1e-3, 1.0, 1e4]),
    st.sampled_from([0.0, 1e-3, 1.0, 1e6]),
    st.sampled_from(["int8", "int16"]),
    st.integers(0, 2**32 - 1),
)
def test_weights_are_near_and_biases_leave_room(
    shape: tuple[int, ...], axis: int, size: float, bias_size: float, dtype: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    values = (rng.normal(size=shape) * size).astype(np.float32)
    bias = (rng.normal(size=shape[axis]) * bias_size).astype(np.float32)
    found = weights(values, axis, bias, 0.02, dtype)
    along = [-1 if i == axis else 1 for i in range(4)]
    scale = np.array(found.quantization.scale).reshape(along)
    assert found.codes.dtype == np.int8 and found.codes.min() >= -127
    assert np.all(np.abs(found.codes * scale - values) <= scale * 0.50001)
    assert found.bias is not None and found.bias.dtype == ("int32" if dtype == "int8" else "int64")
    assert np.abs(found.bias).max() <= 2**30 + 128
    steps = np.array(found.bias_quantization.scale)
    assert np.all(np.abs(found.bias * steps - bias) <= steps * 0.5 + np.abs(bias) * 2e-7)
    assert found.quantization.quantized_dimension == axis and found.bias_quantization.quantized_dimension == 0


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_a_channel_of_zeros(dtype: str) -> None:
    values = np.array([[0.0, 0.0], [1.0, -2.0]], np.float32)
    found = weights(values, 0, None, 0.5, dtype)
    assert found.bias is None
    assert found.codes.tolist() == [[0, 0], [64, -127]]
    assert found.quantization.scale[1] == float(np.float32(2) / np.float32(127))


@pytest.mark.parametrize("value", [3.0, -0.25, 0.0])
def test_a_scalar_constant(value: float) -> None:
    """Asymmetric, so that it lies at an end of its codes; symmetric at int16."""
    for dtype, expected in (("int8", {-128, 127}), ("int16", {-32767, 32767})):
        codes, parameters = constant(np.array(value, np.float32), dtype)
        assert codes.shape == () and (codes.item() in expected or not value)
        found = (codes.item() - parameters.zero_point[0]) * parameters.scale[0]
        assert found == pytest.approx(value, rel=1e-6, abs=1e-6)


def test_what_has_a_rule_has_kernels() -> None:
    """In float to start from; int16 alone is no rule, nor are other types."""
    for op, facts in FACTS.items():
        if facts.quantized:
            assert (op, "float32") in KERNELS or facts.resource
            assert tuple(facts.quantized.versions) in ((), ("int8",), ("int8", "int16"))


def test_what_has_no_rule_is_refused_or_kept_in_float() -> None:
    """TensorFlow's converter does not take this one at all."""
    model = one_op("L2_POOL_2D", POOL, [tensor(1, 2, 2, 1)], tensor(1, 1, 1, 1))
    assert FACTS["L2_POOL_2D"].quantized is None
    data = [(np.ones((1, 2, 2, 1), np.float32),)]
    with pytest.raises(
        UnsupportedError, match=r"operator 0 \(L2_POOL_2D\): .* no rule to quantise it to int8.*; keep="
    ):
        quantize(model, data)
    assert names(quantize(model, data, keep=[0])) == ["DEQUANTIZE", "L2_POOL_2D", "QUANTIZE"]


def test_what_the_converter_leaves_in_float_stays_there() -> None:
    """At int8; at int16 it refuses the network. This one has an int8 kernel, even so."""
    model = one_op("ELU", {}, [tensor(1, 2)], tensor(1, 2))
    assert ("ELU", "int8") in KERNELS
    data = [(np.array([[-1, 1]], np.float32),)]
    assert names(quantize(model, data)) == ["DEQUANTIZE", "ELU", "QUANTIZE"]
    with pytest.raises(
        UnsupportedError, match=r"operator 0 \(ELU\): there is no rule to quantise it to int16.*; keep="
    ):
        quantize(model, data, activations="int16")


# ── Whole networks ──


def tensor(*shape: int) -> Tensor:
    return fed(shape, "float32")


def conv(x: Tensor, channels: int, size: float = 1.0) -> Node:
    kernel = const(RNG.normal(size=(channels, 3, 3, x.shape[-1])) * size / 5, "float32")
    bias = const(RNG.normal(size=channels) * size / 5, "float32")
    return Node("CONV_2D", CONV, (x, kernel, bias), (tensor(*x.shape[:-1], channels),))


def network() -> Model:
    """Two convolutions joined, pooled, then a dense layer and SOFTMAX."""
    x = tensor(1, 8, 8, 3)
    left, right = conv(x, 4), conv(x, 2, size=5.0)
    joined, pooled, flat = tensor(1, 8, 8, 6), tensor(1, 4, 4, 6), tensor(1, 96)
    scores, chances = tensor(1, 5), tensor(1, 5)
    dense = const(RNG.normal(size=(5, 96)) / 10, "float32"), const(RNG.normal(size=5), "float32")
    options = {"fused_activation_function": "RELU", "weights_format": "DEFAULT", "keep_num_dims": False,
               "asymmetric_quantize_inputs": False}  # fmt: skip
    return model_of(
        left,
        right,
        Node("CONCATENATION", CONCATENATION, (left.outputs[0], right.outputs[0]), (joined,)),
        Node("MAX_POOL_2D", POOL, (joined,), (pooled,)),
        Node("RESHAPE", {"new_shape": ()}, (pooled, const([1, 96], "int32")), (flat,)),
        Node("FULLY_CONNECTED", options, (flat, *dense), (scores,)),
        Node("SOFTMAX", {"beta": 1.0}, (scores,), (chances,)),
    )


def samples(model: Model, count: int = 8) -> list[tuple[Array, ...]]:
    rng = np.random.default_rng(6)
    return [tuple(rng.normal(size=t.shape).astype(np.float32) for t in make_plan(model).inputs) for _ in range(count)]


def coded(model: Model, inputs: tuple[Array, ...]) -> list[Array]:
    """Real inputs as the network takes them; what are no reals stay as they are."""
    tensors = make_plan(model).inputs
    return [
        quantize_input(model, x, i) if x.dtype == np.float32 and t.dtype != "float32" else x
        for i, (x, t) in enumerate(zip(inputs, tensors, strict=True))
    ]


def result(model: Model, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
    """What the network computes of real inputs, in real numbers."""
    outputs = run(model, *coded(model, inputs))
    return tuple(dequantize_output(model, y, i) for i, y in enumerate(outputs))


def names(model: Model) -> list[str]:
    return [op.name for op in model.graphs[0].ops]


NETWORK = network()
SAMPLES = samples(NETWORK)
RANGES = calibrate(make_plan(NETWORK), SAMPLES)


@pytest.mark.parametrize(("activations", "io"), KINDS)
@pytest.mark.parametrize("keep", [(), (3,), (0, 2, 5), tuple(range(7))])
def test_a_network_means_the_same_and_runs_on_tflm(
    tflm: Tflm, activations: str, io: str, keep: Collection[int]
) -> None:
    quantised = convert(NETWORK, RANGES, activations=activations, io=io, keep=keep)
    for inputs in SAMPLES[:3]:
        (real,), (found,) = result(NETWORK, inputs), result(quantised, inputs)
        assert np.abs(found - real).max() < 0.05
    plan = make_plan(quantised)
    assert all(t.dtype == io for t in (*plan.inputs, *plan.outputs))
    codes = coded(quantised, SAMPLES[0])
    (theirs,), (ours,) = tflm.run(dump(quantised), codes), run(host_plan(quantised), *codes)
    assert theirs.tobytes() == ours.tobytes()


def test_float_outside_is_int8_inside() -> None:
    inside, outside = convert(NETWORK, RANGES), convert(NETWORK, RANGES, io="float32")
    assert names(outside) == ["QUANTIZE", *names(inside), "DEQUANTIZE"]
    for inputs in SAMPLES:
        assert np.array_equal(result(inside, inputs), result(outside, inputs))
    first, last = (outside.graphs[0].tensors[i[0]] for i in (outside.graphs[0].inputs, outside.graphs[0].outputs))
    assert (first.name, first.dtype) == ("0/input0", "float32")
    assert (last.name, last.dtype) == ("6/output0", "float32")


def test_keeping_everything_changes_nothing() -> None:
    kept = convert(NETWORK, RANGES, io="float32", keep=range(7))
    assert names(kept) == names(NETWORK)
    for inputs in SAMPLES:
        assert np.array_equal(result(kept, inputs), result(NETWORK, inputs))


def test_kept_operators_stand_between_conversions() -> None:
    kept = convert(NETWORK, RANGES, keep=(3, 5))
    assert names(kept) == ["CONV_2D", "CONV_2D", "CONCATENATION", "DEQUANTIZE", "MAX_POOL_2D", "QUANTIZE", "RESHAPE",
                           "DEQUANTIZE", "FULLY_CONNECTED", "QUANTIZE", "SOFTMAX"]  # fmt: skip
    graph = kept.graphs[0]
    for op in graph.ops:
        types = {graph.tensors[i].dtype for i in (*op.inputs, *op.outputs)} - {"int32"}
        expected = {"float32"} if op.name in ("MAX_POOL_2D", "FULLY_CONNECTED") else {"int8"}
        assert types == ({"float32", "int8"} if "QUANT" in op.name else expected)


def test_what_is_joined_shares_the_range_of_both() -> None:
    """CONCATENATION's range reaches the convolutions before it, and the RESHAPE behind it."""
    quantised = convert(NETWORK, RANGES)
    of = {t.name: t.quantization for t in quantised.graphs[0].tensors}
    assert len({of[name] for name in ("0/output0", "1/output0", "2/output0", "3/output0", "4/output0")}) == 1
    assert of["2/output0"] == activation(
        *RANGES[[t.name for t in NETWORK.graphs[0].tensors].index("2/output0")], "int8"
    )


def test_the_older_quantizer_rescales_what_is_joined() -> None:
    quantised = convert(NETWORK, RANGES, activations="int16")
    assert names(quantised)[:4] == ["CONV_2D", "CONV_2D", "QUANTIZE", "CONCATENATION"]
    assert quantised.graphs[0].tensors[-1].name == "0/output0_requantized"
    assert quantised.graphs[0].ops[0].options["quantized_bias_type"] == "int64"


def test_a_fixed_output_is_rescaled_where_it_is_joined() -> None:
    x = tensor(1, 4, 4, 2)
    chances, other = tensor(1, 4, 4, 2), conv(x, 2)
    joined = Node("CONCATENATION", CONCATENATION, (chances, other.outputs[0]), (tensor(1, 4, 4, 4),))
    model = model_of(Node("LOGISTIC", {}, (x,), (chances,)), other, joined)
    quantised = quantize(model, samples(model))
    assert names(quantised) == ["LOGISTIC", "QUANTIZE", "CONV_2D", "CONCATENATION"]
    made = quantised.graphs[0].tensors[quantised.graphs[0].ops[0].outputs[0]].quantization
    assert made is not None and (made.scale, made.zero_point) == ((1 / 256,), (-128,))


def test_a_tensor_that_two_join_differently_is_rescaled_for_one() -> None:
    x = tensor(1, 4, 4, 2)
    shared, small, large = conv(x, 2), conv(x, 2, 0.1), conv(x, 2, 10.0)
    first, second = (
        Node("CONCATENATION", CONCATENATION, (shared.outputs[0], other.outputs[0]), (tensor(1, 4, 4, 4),))
        for other in (small, large)
    )
    model = model_of(shared, small, first, large, second, outputs=(first.outputs[0], second.outputs[0]))
    quantised = quantize(model, samples(model))
    assert names(quantised) == ["CONV_2D", "QUANTIZE", "CONV_2D", "CONCATENATION", "CONV_2D", "CONCATENATION"]
    for inputs in samples(model, 3):
        for found, real in zip(result(quantised, inputs), result(model, inputs), strict=True):
            assert np.abs(found - real).max() < 0.02 * np.abs(real).max() + 0.2


@pytest.mark.parametrize("activations", ["int8", "int16"])
def test_a_bias_that_two_share_is_quantised_for_each(activations: str) -> None:
    first = conv(tensor(1, 4, 4, 3), 3)
    second = Node("CONV_2D", CONV, (first.outputs[0], *first.inputs[1:]), (tensor(1, 4, 4, 3),))
    model = model_of(first, second)
    graph = quantize(model, samples(model), activations=activations).graphs[0]
    one, other = graph.ops
    assert one.inputs[1] == other.inputs[1] and one.inputs[2] != other.inputs[2]
    for op in graph.ops:
        data, kernel, bias = (graph.tensors[i].quantization for i in op.inputs)
        assert data and kernel and bias
        assert bias.scale == tuple(float(np.float32(data.scale[0] * scale)) for scale in kernel.scale)


@pytest.mark.parametrize("activations", ["int8", "int16"])
def test_what_only_counts_stays_as_it_is(activations: str) -> None:
    """SHAPE reads codes, but what is computed from it are indices."""
    x = tensor(2, 3)
    shape, flat = fed((2,), "int32"), tensor(2, 3)
    model = model_of(
        Node("SHAPE", {"out_type": "int32"}, (x,), (shape,)), Node("RESHAPE", {"new_shape": ()}, (x, shape), (flat,))
    )
    quantised = quantize(model, samples(model), activations=activations)
    assert [t.dtype for t in quantised.graphs[0].tensors] == [activations, "int32", activations]
    assert names(quantised) == ["SHAPE", "RESHAPE"]


def test_a_padding_value_is_quantised() -> None:
    padding = const([[0, 0], [1, 1], [0, 0], [0, 0]], "int32")
    x, y = tensor(1, 2, 2, 1), tensor(1, 4, 2, 1)
    model = model_of(Node("PADV2", {}, (x, padding, const(-1.5, "float32")), (y,)))
    for activations in ("int8", "int16"):
        quantised = quantize(model, samples(model), activations=activations)
        (inputs,) = samples(model, 1)
        assert np.abs(np.array(result(quantised, inputs)) - np.array(result(model, inputs))).max() < 0.02


def test_an_embedding_shares_its_tables_scale(tflm: Tflm) -> None:
    """The converter gives the rows that TFLM copies another scale than the table's."""
    ids = fed((3,), "int32")
    model = one_op("EMBEDDING_LOOKUP", {}, [ids, const(RNG.normal(size=(4, 5)), "float32")], tensor(3, 5))
    chosen = [(np.array(each, np.int32),) for each in ([0, 1, 2], [3, 3, 0])]
    quantised = quantize(model, chosen)
    for inputs in chosen:
        (real,), (found,), (theirs,) = run(model, *inputs), result(quantised, inputs), tflm.run(dump(quantised), inputs)
        assert theirs.tobytes() == run(quantised, *inputs)[0].tobytes()
        assert np.abs(found - real).max() < 0.03


def test_no_reader_of_what_is_joined_stays_in_float() -> None:
    """The MLIR quantizer does not come back to the TRANSPOSE, whose input has no range that counts."""
    x = tensor(1, 2, 3, 2)
    joined, turned = tensor(1, 2, 3, 4), tensor(1, 3, 2, 2)
    model = model_of(
        Node("CONCATENATION", CONCATENATION, (x, x), (joined,)),
        Node("TRANSPOSE", {}, (x, const([0, 2, 1, 3], "int32")), (turned,)),
        outputs=(joined, turned),
    )
    quantised = quantize(model, samples(model))
    assert names(quantised) == ["CONCATENATION", "TRANSPOSE"]
    assert {t.dtype for t in quantised.graphs[0].tensors} == {"int8", "int32"}


@pytest.mark.parametrize("activations", ["int8", "int16"])
def test_a_constant_that_is_only_moved_shares_parameters(activations: str) -> None:
    values = const([[1.0, -2.0]], "float32")
    column = tensor(2, 1)
    x, y = tensor(2, 1), tensor(2, 1)
    moved = Node("RESHAPE", {"new_shape": ()}, (values, const([2, 1], "int32")), (column,))
    model = model_of(moved, Node("ADD", ADD, (x, column), (y,)))
    quantised = quantize(model, samples(model), activations=activations)
    assert names(quantised) == ["RESHAPE", "ADD"]
    (inputs,) = samples(model, 1)
    assert np.abs(np.array(result(quantised, inputs)) - np.array(result(model, inputs))).max() < 0.05


RULED = sorted(name for name, facts in FACTS.items() if facts.quantized and not facts.resource)
"""The operators that the converter is known to quantise, or to leave in float."""


def quantisable(op: str, activations: str) -> bool:
    """Whether a rule and a kernel are there."""
    quantized = FACTS[op].quantized
    known = quantized is not None and activations in quantized.versions
    return known and ((op, activations) in KERNELS or bool(FACTS[op].resource))


@pytest.mark.slow
@given(
    models(RULED, dtypes=["float32"]),
    st.sampled_from(KINDS),
    st.integers(0, 2**32 - 1),
    st.sets(st.integers(0, 5), max_size=3) | st.just(set()),
)
def test_whatever_is_converted_runs_on_tflm(
    tflm: Tflm, case: Case, kind: tuple[str, str], seed: int, keep: set[int]
) -> None:
    """It is written, read and planned again, and TFLM computes the same bytes, inference after inference."""
    model = load(case.model)
    rng = np.random.default_rng(seed)
    plan = make_plan(model)

    def drawn() -> tuple[Array, ...]:
        pairs = zip(plan.inputs, case.inputs, strict=True)
        return tuple(rng.normal(size=t.shape).astype(np.float32) if t.dtype == "float32" else x for t, x in pairs)

    try:
        ranges = calibrate(plan, [drawn() for _ in range(3)])
        ops = model.graphs[0].ops
        keep = {op.index for op in ops if op.index in keep or not quantisable(op.name, kind[0])}
        quantised = convert(model, ranges, activations=kind[0], io=kind[1], keep=keep)
    except RefengineError as error:
        expected = (
            r"is too small|computes (-?inf|nan)|not finite|keep it finite|the quantised model|quantised already"
            r"|a bias is quantised only|its weights are computed|no rule to quantise the"
        )
        if not re.search(expected, str(error)):
            raise
        assume(False)
    file = dump(quantised)
    assert load(file).graphs == quantised.graphs
    stream, inputs = host_plan(file), [coded(quantised, drawn()) for _ in range(2)]
    state = stream.initial
    for arrays, (status, theirs) in zip(inputs, tflm.run_stream(file, inputs), strict=True):
        if status:
            with pytest.raises(InferenceError):
                infer(stream, None, arrays, state)
            return
        ours, state = infer(stream, None, arrays, state)
        for a, b in zip(theirs, ours, strict=True):
            defined = ~np.ma.getmaskarray(b)
            assert a[defined].tobytes() == np.ma.getdata(b)[defined].tobytes()


MOVES = [
    op
    for op, facts in FACTS.items()
    if facts.shares_scale and not facts.joins and not facts.resource and quantisable(op, "int8") and op != "SELECT_V2"
]


@pytest.mark.slow
@given(models(ops=MOVES, dtypes=["float32"], max_ops=3), st.sampled_from(KINDS), st.integers(0, 2**32 - 1))
def test_what_only_moves_values_is_as_near_as_one_rounding(case: Case, kind: tuple[str, str], seed: int) -> None:
    """Pools, slices, reshapes: within the calibrated range, half a step of the input, and half of every average."""
    model = load(case.model)
    assume(all(quantisable(name, kind[0]) for name in names(model)) and "PADV2" not in names(model))
    plan = make_plan(model)
    rng = np.random.default_rng(seed)
    inputs = tuple(rng.normal(size=t.shape).astype(np.float32) for t in plan.inputs)
    assume(all(t.dtype == "float32" for t in (*plan.inputs, *plan.outputs)))
    try:
        quantised = quantize(model, [inputs], activations=kind[0], io=kind[1])
    except RefengineError as error:
        assume(not re.search("TFLM pads with code|quantised already", str(error)))  # the latter for dimensions in int8
        raise
    step = max((t.quantization.scale[0] for t in quantised.graphs[0].tensors if t.quantization), default=0.0)
    halves = 1 + names(model).count("AVERAGE_POOL_2D") + 2 * names(model).count("RESIZE_BILINEAR")
    for found, real in zip(result(quantised, inputs), result(model, inputs), strict=True):
        assert np.all(np.abs(found - real) <= step * (halves / 2 + 1e-3) + 1e-6)


# ── What lives on ──


def lstm(x: Tensor, units: int) -> Node:
    options = {"fused_activation_function": "TANH", "cell_clip": 10.0, "proj_clip": 0.0, "time_major": False,
               "asymmetric_quantize_inputs": False, "diagonal_recurrent_tensors": False}  # fmt: skip
    weights = [const(RNG.normal(size=(units, width)) / 2, "float32") for width in (x.shape[2], units) for _ in range(4)]
    biases = [const(RNG.normal(size=units) / 2, "float32") for _ in range(4)]
    states = [replace(tensor(x.shape[0], units), is_variable=True) for _ in range(2)]
    inputs = (x, *weights, *[None] * 3, *biases, *[None] * 2, *states, *[None] * 4)
    return Node("UNIDIRECTIONAL_SEQUENCE_LSTM", options, inputs, (tensor(*x.shape[:2], units),))


def stream(units: int = 3) -> Model:
    """A window of four frames in a resource variable, which begins with 0.5, then a dense layer."""
    frame, old, kept, window = tensor(1, 1, 3), tensor(1, 4, 3), tensor(1, 3, 3), tensor(1, 4, 3)
    handle = fed((), "resource")
    named = {"container": "", "shared_name": "window"}
    begin = model_of(
        Node("ASSIGN_VARIABLE", {}, (handle, const(np.full((1, 4, 3), 0.5), "float32")), (),
             before=(Node("VAR_HANDLE", named, (), (handle,)),)),
    ).graphs[0]  # fmt: skip
    ends = (const(each, "int32") for each in ([0, 1, 0], [0, 4, 0], [1, 1, 1]))
    cut = {
        "begin_mask": 5,
        "end_mask": 5,
        "ellipsis_mask": 0,
        "new_axis_mask": 0,
        "shrink_axis_mask": 0,
        "offset": False,
    }
    flat, scores = tensor(1, 12), tensor(1, units)
    dense = {"fused_activation_function": "NONE", "weights_format": "DEFAULT", "keep_num_dims": False,
             "asymmetric_quantize_inputs": False}  # fmt: skip
    weights = const(RNG.normal(size=(units, 12)) / 4, "float32")
    return model_of(
        Node("CALL_ONCE", {}, (), (), subgraphs=(begin,)),
        Node("VAR_HANDLE", named, (), (handle,)),
        Node("READ_VARIABLE", {}, (handle,), (old,)),
        Node("STRIDED_SLICE", cut, (old, *ends), (kept,)),
        Node("CONCATENATION", {"axis": 1, "fused_activation_function": "NONE"}, (kept, frame), (window,)),
        Node("ASSIGN_VARIABLE", {}, (handle, window), ()),
        Node("RESHAPE", {"new_shape": ()}, (window, const([1, 12], "int32")), (flat,)),
        Node("FULLY_CONNECTED", dense, (flat, weights, None), (scores,)),
    )


def sequences(model: Model, length: int = 12) -> list[tuple[Array, ...]]:
    rng = np.random.default_rng(8)
    (shape,) = (t.shape for t in make_plan(model).inputs)
    return [(rng.normal(size=(length, *shape[1:])).astype(np.float32),) for _ in range(3)]


STATEFUL = {
    "lstm": model_of(lstm(tensor(1, 5, 3), 4)),
    "svdf": model_of(svdf(tensor(1, 6), 3, RNG)),
    "stream": stream(),
}


@pytest.mark.parametrize(
    ("name", "activations", "bound"),
    [
        ("lstm", "int8", 0.03),
        ("lstm", "int16", 0.01),
        ("svdf", "int8", 0.15),
        ("stream", "int8", 0.04),
        ("stream", "int16", 0.01),
    ],
)
def test_what_lives_on_means_the_same_and_runs_on_tflm(tflm: Tflm, name: str, activations: str, bound: float) -> None:
    """Twelve inferences in a row are off by `bound` at most, of outputs up to about 1 (the SVDF's: 9)."""
    model = STATEFUL[name]
    data = sequences(model)
    quantised = quantize(model, data, activations=activations)
    floats, ours = Session(make_plan(model)), Session(host_plan(quantised))
    frames = [(frame[np.newaxis],) for frame in data[0][0]]
    inputs = [coded(quantised, frame) for frame in frames]
    for frame, codes, (status, theirs) in zip(frames, inputs, tflm.run_stream(dump(quantised), inputs), strict=True):
        (real,), (found,) = floats.run(*frame), ours.run(*codes)
        assert status == 0 and theirs[0].tobytes() == found.tobytes()
        assert np.abs(dequantize_output(quantised, found, 0) - real).max() < bound


def test_all_weights_of_an_lstm_are_told_of() -> None:
    model = STATEFUL["lstm"]
    plan, ranges = make_plan(model), calibrate(make_plan(model), sequences(model))
    (told,) = (each for each in choices(plan, make_plan(convert(model, ranges)), ranges) if each.step)
    assert len(told.weight_scales) == 8


@pytest.mark.parametrize(("activations", "most"), [("int8", 127), ("int16", 32767)])
def test_an_lstms_states(activations: str, most: int) -> None:
    """The hidden one is held as the output, the cell in int16 with a power of two for its end."""
    graph = quantize(STATEFUL["lstm"], sequences(STATEFUL["lstm"]), activations=activations).graphs[0]
    (op,) = graph.ops
    output, hidden, cell = (graph.tensors[i] for i in (op.outputs[0], op.inputs[18], op.inputs[19]))
    assert hidden.is_variable and (hidden.dtype, hidden.quantization) == (activations, output.quantization)
    assert cell.is_variable and cell.dtype == "int16" and cell.quantization is not None
    end = cell.quantization.scale[0] * 32768
    assert np.log2(end) == round(np.log2(end)) and cell.quantization.zero_point == (0,)
    for w, b in zip(op.inputs[1:5], op.inputs[12:16], strict=True):
        scales = [graph.tensors[i].quantization for i in (op.inputs[0], w, b)]
        one, other, product = (np.float32(present(each).scale[0]) for each in scales)
        assert one * other == product
    between = [graph.tensors[i] for i in op.intermediates]
    assert [t.dtype for t in between] == ["float32"] * 4 + [activations] and {t.shape for t in between} == {(0,)}
    assert between[-1].name == "effective_hidden_scale_intermediate" and between[-1].quantization == output.quantization


@pytest.mark.parametrize(("low", "high", "end"), [(-0.7, 0.9, 1), (-1.0, 0.2, 1), (-1.001, 0, 2), (0, 0, 2**-15)])
def test_a_cell_states_end_is_the_next_power_of_two(low: float, high: float, end: float) -> None:
    assert state(low, high).scale == (end / 32768,)


@pytest.mark.parametrize("method", ["minmax", "percentile"])
def test_a_cell_is_watched_within_its_sequence(method: str) -> None:
    """A layer of five steps has the ranges of the same layer of one step that gets five times as many frames."""
    layer = lstm(tensor(1, 5, 3), 4)
    one = layer._replace(inputs=(tensor(1, 1, 3), *layer.inputs[1:]), outputs=(tensor(1, 1, 4),))
    whole, parted = model_of(layer), model_of(one)
    data = sequences(whole)
    found = calibrate(make_plan(whole), data, method)
    wanted = calibrate(make_plan(parted), [(x.reshape(-1, 1, 3),) for (x,) in data], method)
    (op,) = whole.graphs[0].ops
    assert found[op.inputs[19]] == wanted[op.inputs[19]]
    assert found[op.outputs[0]] == wanted[op.outputs[0]]


def test_a_joined_lstm_is_rescaled_behind_it() -> None:
    """Its output's codes become its state's, so no scale but its own will do."""
    x = tensor(1, 5, 3)
    layer = lstm(x, 2)
    model = model_of(
        layer, Node("CONCATENATION", CONCATENATION | {"axis": 2}, (layer.outputs[0], x), (tensor(1, 5, 5),))
    )
    quantised = quantize(model, sequences(model))
    assert names(quantised) == ["UNIDIRECTIONAL_SEQUENCE_LSTM", "QUANTIZE", "CONCATENATION"]
    op = quantised.graphs[0].ops[0]
    made, held = (quantised.graphs[0].tensors[i].quantization for i in (op.outputs[0], op.inputs[18]))
    assert made == held


@pytest.mark.parametrize("activations", ["int8", "int16"])
def test_a_kept_layer_keeps_its_states(tflm: Tflm, activations: str) -> None:
    model = STATEFUL["lstm"]
    quantised = quantize(model, sequences(model), activations=activations, keep=[0])
    assert names(quantised) == ["DEQUANTIZE", "UNIDIRECTIONAL_SEQUENCE_LSTM", "QUANTIZE"]
    assert not quantised.graphs[0].ops[1].intermediates
    inputs = [coded(quantised, (frame[np.newaxis],)) for frame in sequences(model)[0][0][:3]]
    ours = Session(host_plan(quantised))
    for codes, (_, theirs) in zip(inputs, tflm.run_stream(dump(quantised), inputs), strict=True):
        assert theirs[0].tobytes() == ours.run(*codes)[0].tobytes()


@pytest.mark.parametrize("activations", ["int8", "int16"])
def test_a_resource_variable_is_held_in_codes_from_the_beginning(activations: str) -> None:
    quantised = quantize(stream(), sequences(stream()), activations=activations)
    main, begin = quantised.graphs
    read, assign = (next(op for op in main.ops if op.name == f"{each}_VARIABLE") for each in ("READ", "ASSIGN"))
    old, new = main.tensors[read.outputs[0]], main.tensors[assign.inputs[1]]
    (first,) = (t for t in begin.tensors if t.data is not None)
    assert old.dtype == new.dtype == first.dtype == activations
    assert old.quantization == new.quantization == first.quantization
    assert np.abs(dequantized(first) - 0.5).max() < 0.01


def dequantized(tensor: Tensor) -> Array:
    assert tensor.data is not None and tensor.quantization is not None
    return (tensor.data.astype(np.float64) - tensor.quantization.zero_point[0]) * tensor.quantization.scale[0]


def test_a_variable_stays_in_float_as_a_whole() -> None:
    model = stream()
    data = sequences(model)
    kept = quantize(model, data, keep=[2, 5])
    assert names(kept)[2:6] == ["READ_VARIABLE", "QUANTIZE", "STRIDED_SLICE", "CONCATENATION"]
    assert kept.graphs[1] == model.graphs[1]
    with pytest.raises(UnsupportedError, match=r"variable 'window' would hold floats and codes; .* \(2, 5\), or none"):
        quantize(model, data, keep=[2])


def test_a_state_that_others_read_is_refused() -> None:
    layer = lstm(tensor(1, 5, 3), 2)
    hidden = layer.inputs[18]
    assert hidden is not None
    model = model_of(layer, Node("RELU", {}, (hidden,), (tensor(1, 2),)), outputs=layer.outputs)
    with pytest.raises(UnsupportedError, match=r"operator 0 .* variable '0/input18', or others use it too; keep=\{0\}"):
        quantize(model, sequences(model))


# ── Refusals ──


def relu(x: Tensor, name: str = "RELU") -> Model:
    return one_op(name, {}, [x], fed(x.shape, x.dtype, x.quantization))


REFUSED: list[tuple[str, Any, dict[str, Any], type[RefengineError]]] = [
    ("activations 'int4'", NETWORK, {"activations": "int4"}, InputError),
    ("inputs and outputs 'int16'", NETWORK, {"io": "int16"}, InputError),
    ("no operator to keep in float has", NETWORK, {"keep": [7]}, InputError),
    (r"tensor 0 'input0' is int16 without a scale: .* give the float32 layers behind it",
     one_op("CAST", {"in_data_type": "INT16", "out_data_type": "FLOAT32"}, [fed((1, 2), "int16")], tensor(1, 2)), {},
     InputError),
    (r"keep is 11; give several operators, such as keep=\[11\]", NETWORK, {"keep": 11}, InputError),
    ("quantised already", load(bundled_models()["dense_int8"]), {}, InputError),
    (r"operator 0 \(HARD_SWISH\).* no int16 kernel", relu(tensor(2), "HARD_SWISH"), {"activations": "int16"},
     UnsupportedError),
    ("values that are not finite", one_op("ADD", ADD, [tensor(1), const([np.nan], "float32")], tensor(1)), {},
     InputError),
    ("no operator runs subgraphs 1, 2", replace(NETWORK, graphs=NETWORK.graphs * 3), {}, UnsupportedError),
    ("operator 0 .*weights are computed at run time, and TFLM would ignore their zero point; keep={0}",
     one_op("CONV_2D", CONV, [tensor(1, 3, 3, 1), tensor(1, 3, 3, 1), None], tensor(1, 3, 3, 1)), {},
     UnsupportedError),
    ("TFLM has no such operator", relu(tensor(2), "ATAN2"), {}, UnsupportedError),
    ("from those that it has", relu(tensor(2), "TILE"), {}, UnsupportedError),
]  # fmt: skip


def test_operators_are_kept_by_number_type_and_name() -> None:
    plan = make_plan(NETWORK)
    assert kept_of(plan, [6, "CONV_2D", "0"]) == {0, 1, 6}
    assert kept_of(plan, {plan.steps[5].outputs[0].name}) == {5}


@pytest.mark.parametrize(("message", "model", "arguments", "kind"), REFUSED, ids=[r[0] for r in REFUSED])
def test_refusals_say_what_and_where(
    message: str, model: Model, arguments: dict[str, Any], kind: type[RefengineError]
) -> None:
    ranges = dict.fromkeys(range(len(model.graphs[0].tensors)), (0.0, 1.0))
    with pytest.raises(kind, match=message) as refusal:
        convert(model, ranges, **arguments)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("wrong", [(0.0, np.nan), (-np.inf, 1.0), (2.0, 1.0), (-3e38, 3e38)])
def test_a_range_must_be_one(wrong: tuple[float, float]) -> None:
    with pytest.raises(InputError, match=r"the range of tensor 0 'input0' is \["):
        convert(relu(tensor(2)), {0: wrong, 1: (0.0, 1.0)})


def test_a_range_must_be_there() -> None:
    with pytest.raises(InputError, match="the range of tensor 1 'output0' is missing"):
        convert(relu(tensor(2)), {0: (0.0, 1.0)})


def test_a_kept_operator_needs_no_quantised_kernel() -> None:
    model = relu(tensor(2), "HARD_SWISH")
    quantised = convert(model, {0: (-1.0, 1.0), 1: (-1.0, 1.0)}, activations="int16", keep=[0])
    assert names(quantised) == ["DEQUANTIZE", "HARD_SWISH", "QUANTIZE"]


@pytest.mark.parametrize("activations", ["int8", "int16"])
def test_a_sum_that_is_always_zero_is_refused_with_the_way_out(activations: str) -> None:
    """The sum of a thing and its negative: TFLM aborts where the output's scale is so small. No data can help."""
    x, zero, y = tensor(1), fed((1,), "float32", name="zero"), tensor(1)
    model = model_of(Node("RELU", {}, (x,), (y,)), Node("ADD", ADD, (y, fed((1,), "float32", name="−y")), (zero,)))
    ranges = {t.index: (0.0, 0.0) if t.name == "1/output0" else (-99.0, 99.0) for t in model.graphs[0].tensors}
    with pytest.raises(UnsupportedError, match=r"^the quantised model: subgraph 0, operator 1 \(ADD\)") as refusal:
        convert(model, ranges, activations=activations)
    assert "or, if it never does, with this operator in float" in str(refusal.value)
    assert str(refusal.value).endswith("keep={1} (--keep 1) leaves it in float")
    assert "ADD" in names(convert(model, ranges, activations=activations, keep={1}))


def test_the_way_out_counts_operators_as_the_float_model_does() -> None:
    """In the quantised one, a QUANTIZE comes first."""
    model = one_op("ADD", ADD, [tensor(1), fed((1,), "float32", name="y")], tensor(1))
    with pytest.raises(UnsupportedError, match=r"operator 2 \(ADD\).* keep=\{0\} \(--keep 0\)"):
        convert(model, {0: (-1.0, 1.0), 1: (-1.0, 1.0), 2: (0.0, 0.0)}, io="float32")


@pytest.mark.parametrize("activations", ["int8", "int16"])
def test_an_operator_of_ones_own_is_quantised_around(activations: str) -> None:
    own = {**KERNELS, ("GELU", "float32"): KERNELS["RELU", "float32"]}
    x, y = conv(tensor(1, 4, 4, 3), 3), tensor(1, 4, 4, 3)
    model = model_of(x, Node("GELU", {"approximate": False}, (x.outputs[0],), (y,)))
    with pytest.raises(UnsupportedError, match=r"operator 1 \(GELU\): TFLM has no such operator"):
        quantize(model, [])
    with pytest.raises(UnsupportedError, match=r"operator 1 \(GELU\): there is no rule .*; keep=\{1\}"):
        quantize(model, [], activations=activations, kernels=own)
    rng = np.random.default_rng(6)
    batches = [(rng.normal(size=(1, 4, 4, 3)).astype(np.float32),) for _ in range(3)]
    quantised = quantize(model, batches, activations=activations, keep={1}, kernels=own)
    assert names(quantised) == ["CONV_2D", "DEQUANTIZE", "GELU", "QUANTIZE"]
    ranges = calibrate(make_plan(model, kernels=own), batches)
    assert convert(model, ranges, activations=activations, keep={1}, kernels=own) == quantised
    assert convert(make_plan(model, kernels=own), ranges, activations=activations, keep={1}) == quantised


@pytest.mark.parametrize(("activations", "io"), KINDS)
def test_an_input_that_nobody_reads_stays_as_it_was(tflm: Tflm, activations: str, io: str) -> None:
    """The converter, too, has no range for it."""
    model = relu(tensor(2))
    (graph,) = model.graphs
    unread = replace(tensor(3), index=2, name="unread")
    model = replace(model, graphs=(replace(graph, tensors=(*graph.tensors, unread), inputs=(0, 2)),))
    quantised = convert(model, {0: (-1.0, 1.0), 1: (0.0, 1.0)}, activations=activations, io=io)
    assert [t.dtype for t in make_plan(quantised).inputs] == [io, "float32"]
    batch = (np.array([-1, 1], np.float32), np.zeros(3, np.float32))
    assert quantize(model, [batch], activations=activations, io=io).graphs == quantised.graphs
    inputs = coded(quantised, batch)
    (theirs,), (ours,) = tflm.run(dump(quantised), inputs), run(quantised, *inputs)
    assert theirs.tobytes() == ours.tobytes()


# Ranges, a code of which is worth 5 and 5.2, or 7.8 and 9.4: between them the kernels break.
@pytest.mark.parametrize(
    ("op", "activations", "good", "bad"),
    [
        ("SOFTMAX", "int16", 1.63e5, 1.7e5),
        ("LOGISTIC", "int16", 1.63e5, 1.8e5),
        ("TANH", "int16", 1.63e5, 1.8e5),
        ("LOGISTIC", "int8", 1000.0, 1200.0),
        ("TANH", "int8", 1000.0, 1200.0),
        ("SOFTMAX", "int8", 1e9, None),
    ],
)
def test_logits_too_large_for_an_integer_kernel_are_refused(
    op: str, activations: str, good: float, bad: float | None
) -> None:
    model = one_op(op, {"beta": 1.0} if op == "SOFTMAX" else {}, [tensor(1, 3)], tensor(1, 3))

    def converted(bound: float) -> Model:
        return convert(model, {0: (-bound, bound), 1: (-1.0, 1.0)}, activations=activations)

    assert names(converted(good)) == [op]
    if bad is not None:
        with pytest.raises(UnsupportedError, match=rf"operator 0 \({op}\): a code of .* is right; keep=\{{0\}}"):
            converted(bad)
        assert op in names(convert(model, {0: (-bad, bad), 1: (-1.0, 1.0)}, activations=activations, keep=[0]))


def test_quotients_too_small_for_the_integer_kernel_are_refused(tflm: Tflm) -> None:
    """A code of the output is worth 1/8 of the largest quotient here, and 1 / 10 becomes any code."""
    model = one_op("DIV", {"fused_activation_function": "NONE"}, [tensor(1), fed((1,), "float32", name="y")], tensor(1))
    ranges = {0: (0.0, 1.0), 1: (0.0, 10.0), 2: (0.0, 1000.0)}
    with pytest.raises(
        UnsupportedError, match=r"operator 0 \(DIV\): TFLM's int8 kernel has no bits for .*; keep=\{0\}"
    ):
        convert(model, ranges)
    assert "DIV" in names(convert(model, ranges, keep=[0]))
    exact = one_op("DIV", {"fused_activation_function": "NONE"}, [tensor(1), const([0.5], "float32")], tensor(1))
    (op,) = convert(exact, {0: (0.0, 1.0), 2: (0.0, 2.0)}).graphs[0].ops
    assert op.name == "DIV"


def test_padding_that_is_no_zero_is_refused(tflm: Tflm) -> None:
    """TFLM's SPACE_TO_BATCH_ND pads with code 0, which is right for a symmetric range only."""
    given = [const([1], "int32"), const([[0, 1]], "int32")]
    model = one_op("SPACE_TO_BATCH_ND", {}, [tensor(1, 1, 1), *given], tensor(1, 2, 1))
    with pytest.raises(UnsupportedError, match=r"operator 0 .* pads with code 0, which is worth .* not 0; keep=\{0\}"):
        convert(model, {0: (0.0, 1.0), 3: (0.0, 1.0)})
    assert names(convert(model, {0: (-128.0, 127.0), 3: (0.0, 1.0)})) == ["SPACE_TO_BATCH_ND"]


def test_tflm_shares_evenly_among_int16_logits_far_apart(tflm: Tflm) -> None:
    """What is refused above: its 32-bit products wrap."""
    x, y = fed((1, 3), "int16", q(100.0)), fed((1, 3), "int16", q(1 / 32768))
    model = one_op("SOFTMAX", {"beta": 1.0}, [x], y)
    (theirs,) = tflm.run(dump(model), [np.array([[-32767, 0, 32767]], np.int16)])
    assert theirs.tolist() == [[10922, 10922, 10922]]
