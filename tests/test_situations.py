"""Situations in which TFLM's authors test their kernels and to which no kernel's `example` leads, against the wheel.

They are those of `kernels/*_test.cc`: what is asked there, with data of our own. The examples keep to four dimensions
where most kernels do, to shapes with elements, and to files that TFLM runs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from dice import Dice, invented
from oracle import Tflm, host_plan

from refengine import InferenceError, Model, Tensor, UnsupportedError, execute
from refengine.kernels import _flexbuffer, _kiss_fft
from refengine.tensors.difference import unlike
from refengine.tflite_io import dump
from tests.models import const, custom, fed, one_op, q

NO_ACTIVATION: dict[str, Any] = {"fused_activation_function": "NONE"}
DIMENSIONS = {5: ((1, 2, 1, 2, 2), (2, 1, 1, 2, 1)), 6: ((1, 2, 1, 2, 2, 2), (2, 1, 1, 2, 1, 2))}
NONE = np.zeros(0, np.int32)

MANY_DIMENSIONS = {
    **dict.fromkeys(("ADD", "SUB"), ("float32", "int8", "int32")),
    **dict.fromkeys(("MUL", "SQUARED_DIFFERENCE", "MAXIMUM", "EQUAL", "LESS"), ("float32", "int8", "int32")),
    "DIV": ("float32",),
    "FLOOR_MOD": ("float32",),
    "LOGICAL_AND": ("bool",),
}
COMPARES = ("EQUAL", "LESS", "LOGICAL_AND")


def computed(shape: tuple[int, ...], dtype: str) -> Tensor:
    return fed(shape, dtype, q(0.5) if dtype == "int8" else None)


def binary(op: str, dtype: str, shape: tuple[int, ...], other: tuple[int, ...]) -> Model:
    options: dict[str, Any] = (
        {} if op in (*COMPARES, "MAXIMUM", "SQUARED_DIFFERENCE", "FLOOR_MOD") else dict(NO_ACTIVATION)
    )
    if op in ("ADD", "SUB"):
        options |= {"pot_scale_int16": False}
    output = computed(tuple(np.broadcast_shapes(shape, other)), "bool" if op in COMPARES else dtype)
    return one_op(op, options, [computed(shape, dtype), computed(other, dtype)], output)


@pytest.mark.parametrize("rank", DIMENSIONS)
@pytest.mark.parametrize(("op", "dtype"), [(op, dtype) for op, dtypes in MANY_DIMENSIONS.items() for dtype in dtypes])
def test_operands_of_five_and_six_dimensions(op: str, dtype: str, rank: int, tflm: Tflm) -> None:
    """As DIV's Broadcast5D: of one shape, with a scalar, and each stretched where the other is not."""
    shape, other = DIMENSIONS[rank]
    for operands in ((shape, shape), (shape, ()), (shape, other)):
        assert_equal(binary(op, dtype, *operands), tflm)


def slicing(begin: int, end: int, stride: int, shrink: int, size: int, shape: tuple[int, ...]) -> Model:
    masks = dict.fromkeys(("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask"), 0)
    options = {**masks, "shrink_axis_mask": shrink, "offset": False}
    positions = [const([x], "int32") for x in (begin, end, stride)]
    return one_op("STRIDED_SLICE", options, [fed((size,), "float32"), *positions], fed(shape, "float32"))


def reducing(op: str, shape: tuple[int, ...], axes: Any, output: tuple[int, ...], dtype: str = "float32") -> Model:
    return one_op(op, {"keep_dims": False}, [fed(shape, dtype), const(axes, "int32")], fed(output, dtype))


def reshaping(shape: tuple[int, ...], asked: list[int], output: tuple[int, ...]) -> Model:
    inputs = [fed(shape, "float32"), const(asked, "int32")]
    return one_op("RESHAPE", {"new_shape": asked}, inputs, fed(output, "float32"))


CONVOLUTION = {
    "padding": "VALID",
    **NO_ACTIVATION,
    **dict.fromkeys(("stride_h", "stride_w", "dilation_h_factor", "dilation_w_factor"), 1),
}


def convolution(dtype: str, weights: str, output: str, scales: tuple[float, ...], op: str = "CONV_2D") -> Model:
    """Of an image of 2×2 and two channels, without a bias."""
    shape, dimension, options = ((2, 2, 2, 2), 0, CONVOLUTION)
    if op == "DEPTHWISE_CONV_2D":
        shape, dimension, options = ((1, 2, 2, 2), 3, {**CONVOLUTION, "depth_multiplier": 1})
    filter = const(np.ones(shape), weights, q(scales, 0, dimension) if weights == "int8" else None)
    return one_op(op, options, [computed((1, 2, 2, 2), dtype), filter], computed((1, 1, 1, 2), output))


RUN = {
    "StridedSlice.In1D_EmptyOutput": slicing(10, 3, 1, 0, 4, (0,)),
    "StridedSlice.In1D_ShrinkAxisMask1_NegativeSlice": slicing(-1, 0, 1, 1, 4, ()),
    "StridedSlice.OneOneOne": slicing(0, 1, 1, 0, 1, (1,)),
    "BroadcastArgs.WithScalar": one_op(
        "BROADCAST_ARGS", {}, [fed((0,), "int32"), fed((2,), "int32")], fed((2,), "int32")
    ),
    "Reduce.SumFloatScalar": reducing("SUM", (1,), NONE, (1,)),
    "Reduce.MeanOfNoAxes": reducing("MEAN", (2, 3), NONE, (2, 3)),
    "Reduce.AxisOfNoDimensions": reducing("SUM", (2, 3), 1, (2,)),
    "Reduce.AllOpTestNotKeepDims": reducing("REDUCE_ALL", (2, 3, 2), [1, 0, -3, -3], (2,), "bool"),
    "Reshape.WithManyDimensions": reshaping((1, 1, 2, 1, 1, 1, 1, 2, 2), [2, 1, 2, 1, 2], (2, 1, 2, 1, 2)),
    "Reshape.IntoManyDimensions": reshaping((8,), [1, 1, 2, 1, 1, 1, 2, 2], (1, 1, 2, 1, 1, 1, 2, 2)),
    "Reshape.WithTooManySpecialDimensions": reshaping((1, 2, 4, 1), [-1, -1, 2, 2], (2, 1, 2, 2)),
    "Concatenation.OfAnEmptyTensor": one_op(
        "CONCATENATION",
        {"axis": 0, **NO_ACTIVATION},
        [fed((0, 2), "float32"), fed((3, 2), "float32")],
        fed((3, 2), "float32"),
    ),
    "Shape.OfAScalar": one_op("SHAPE", {"out_type": "int32"}, [fed((), "float32")], fed((0,), "int32")),
    "Softmax.OfFiveDimensions": one_op("SOFTMAX", {"beta": 1.0}, [fed((1, 2, 1, 2, 3), "float32")],
                                       fed((1, 2, 1, 2, 3), "float32")),
    "L2Norm.ZerosVector": one_op("L2_NORMALIZATION", NO_ACTIVATION, [const(np.zeros((2, 4)), "float32")],
                                 fed((2, 4), "float32")),
    **{f"DepthwiseConv.{dtype}WithTwoInputs": convolution(dtype, weights, dtype, (1.0, 2.0), "DEPTHWISE_CONV_2D")
       for dtype, weights in (("float32", "float32"), ("int8", "int8"))},
}  # fmt: skip
"""By TFLM's test and name, or what the test next to it leaves out: what TFLM runs."""


@pytest.mark.parametrize("situation", RUN)
def test_what_tflm_runs(situation: str, tflm: Tflm) -> None:
    assert_equal(RUN[situation], tflm)


def transformed(op: str, dtype: str, length: int, rows: tuple[int, ...]) -> Model:
    """SignalRfft of rows of real numbers, or SignalIrfft of rows of spectra."""
    shapes = (*rows, length), (*rows, length + 2)
    given, made = shapes if op == "SignalRfft" else shapes[::-1]
    return custom(op, _kiss_fft.options(dtype, length), [fed(given, dtype)], fed(made, dtype))


@pytest.mark.parametrize(("length", "rows"), [(512, ()), (64, (4,))])
@pytest.mark.parametrize("dtype", ["float32", "int16", "int32"])
@pytest.mark.parametrize("op", ["SignalRfft", "SignalIrfft"])
def test_transforms_as_long_as_a_front_end_s(
    op: str, dtype: str, length: int, rows: tuple[int, ...], tflm: Tflm
) -> None:
    """FftTest.Size512, FftTest.Size64OuterDims4: the examples keep to 150."""
    assert_equal(transformed(op, dtype, length, rows), tflm)


def test_a_filter_bank_as_wide_as_a_front_end_s(tflm: Tflm) -> None:
    """FilterBankTest.32Channel: overlapping triangles over the spectrum of 512 samples; the examples keep to 5."""
    channels, width = 32, 8
    rng = np.random.default_rng(0)
    weights, unweights = rng.integers(0, 4096, (2, (channels + 1) * width))
    starts = np.arange(channels + 1) * width
    tables = [const(x, "int16") for x in (weights, unweights, starts % 249, starts, np.full(channels + 1, width))]
    options = _flexbuffer.pack(num_channels=channels)
    assert_equal(
        custom("SignalFilterBank", options, [fed((257,), "uint32"), *tables], fed((channels,), "uint64")), tflm
    )


def filled(dims: Tensor, output: tuple[int, ...]) -> Model:
    return one_op("FILL", {}, [dims, fed((), "float32")], fed(output, "float32"))


def broadcast(shape: Any, output: tuple[int, ...], input: tuple[int, ...] = (2,)) -> Model:
    return one_op("BROADCAST_TO", {}, [fed(input, "float32"), const(shape, "int32")], fed(output, "float32"))


def expanded(axis: int, output: tuple[int, ...]) -> Model:
    return one_op("EXPAND_DIMS", {}, [fed((2, 2), "float32"), const([axis], "int32")], fed(output, "float32"))


def gathered(*index: int) -> Model:
    return one_op("GATHER_ND", {}, [fed((2, 2), "float32"), const([index], "int32")], fed((1,), "float32"))


def padded(zero_point: int, fill: Tensor | None = None) -> Model:
    x, y = (fed(shape, "int8", q(1.0, zero_point)) for shape in ((2,), (4,)))
    inputs = [x, const([[1, 1]], "int32"), *([] if fill is None else [fill])]
    return one_op("PAD" if fill is None else "PADV2", {}, inputs, y)


REFUSED = {
    "StridedSlice.UnsupportedInputSize": one_op(
        "STRIDED_SLICE",
        {**slicing(0, 1, 1, 0, 1, (1,)).graphs[0].ops[0].options},
        [fed((2,) * 5, "float32"), *(const([x] * 5, "int32") for x in (0, 1, 1))],
        fed((1,) * 5, "float32"),
    ),
    "Fill.FillScalar": filled(const(NONE, "int64"), ()),  # from a file; the test has a tensor that says it is constant
    "Fill.NonConstDimsTensorFail": filled(fed((2,), "int32"), (2, 2)),
    "Fill.InputDimsMismatchWithOutputShallFail": filled(const([2, 2], "int64"), (2, 3)),
    "BroadcastTo.ShapeMustBe1D": broadcast([[2, 2, 2, 2]], (2, 2, 2, 2)),
    "BroadcastTo.TooManyDimensionShouldFail": broadcast([2] * 6, (2,) * 6),
    "BroadcastTo.MismatchDimensionShouldFail": broadcast([2, 4, 1, 3], (2, 4, 1, 3), (2, 4, 1, 2)),
    "ExpandDims.AxisOutOfRangeShallFail": expanded(5, (1, 2, 2)),
    "ExpandDims.InputOutputDimsMismatchShallFail": expanded(0, (2, 2, 1)),
    "GatherNd.ReadOOB": gathered(0, 5),
    "GatherNd.ReadOOBNegative": gathered(0, -1),
    "Reshape.WithMismatchedDimensionsShouldFail": reshaping((1, 2, 4, 1), [2, 1], (2, 1)),
    "Pad.Int8ExpectFailureQuantizationRangeExcludesZero": padded(-129),
    "Pad.Int8V2ExpectFailurePadValueQuantizationMismatch": padded(0, const([1], "int8", q(0.5))),
    "Conv.HybridModeIsError": convolution("float32", "int8", "float32", (1.0,)),
    "Conv.InputOutputDifferentTypeIsError": convolution("float32", "float32", "int8", ()),
    "Conv.FilterDimsNotMatchingAffineQuantization": convolution("int8", "int8", "int8", (1.0, 2.0, 3.0)),
    "DepthwiseConv.FilterDimsNotMatchingAffineQuantization": convolution(
        "int8", "int8", "int8", (1.0, 2.0, 3.0), "DEPTHWISE_CONV_2D"
    ),
    "Reverse.AxesApart": one_op("REVERSE_V2", {}, [fed((2, 3, 2), "float32"), const([0, 2], "int32")],
                                fed((2, 3, 2), "float32")),
}  # fmt: skip
"""What TFLM refuses."""


@pytest.mark.parametrize("situation", REFUSED)
def test_what_tflm_refuses(situation: str, tflm: Tflm) -> None:
    model = REFUSED[situation]
    assert not tflm.accepts(dump(model))
    with pytest.raises((UnsupportedError, InferenceError)):
        list(execute(host_plan(model), *(np.zeros(t.shape, t.dtype) for t in inputs_of(model))))


def inputs_of(model: Model) -> list[Tensor]:
    graph = model.graphs[0]
    return [graph.tensors[i] for i in graph.inputs]


def assert_equal(model: Model, tflm: Tflm) -> None:
    """Both compute the same bits from three invented inputs."""
    plan, dice = host_plan(model), Dice(0)
    runs = [invented(model, dice) for _ in range(3)]
    for arrays, theirs in zip(runs, tflm.run_many(dump(model), runs), strict=True):
        (*_, last) = execute(plan, *arrays)
        for mine, other in zip(last.outputs, theirs, strict=True):
            assert (mine.dtype, mine.shape) == (other.dtype, other.shape)
            assert not unlike(mine, other).any()
