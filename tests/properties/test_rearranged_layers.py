"""Layers that sum products: which rearrangements of them are the same layer, bit for bit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from oracle import Tflm

from refengine import KERNELS, PRESETS, InferenceError, make_plan, run
from refengine.bundled import bundled_models
from refengine.execute import infer
from refengine.model import Array, Quantization, Tensor
from refengine.strategies import arrays, inputs_of, model_of, nodes, quantizations
from tests.models import fed, q
from tests.properties.one import apply, model

TYPES = ("int8", "int16", "float32")
INTEGERS = ("int8", "int16")

few = settings(max_examples=30)


@dataclass(frozen=True)
class Layer:
    """A convolution's input (1, y, x, c), its weights (o, y, x, c) with a scale an output channel, and bias."""

    x: Array
    weights: Array
    bias: Array
    input: Quantization | None
    scales: tuple[float, ...]
    output: Quantization | None

    def __call__(self, op: str = "CONV_2D", stride: int = 1, padding: str = "SAME", zero_point: int = 0) -> Array:
        """What the layer computes as `op`, which lays the weights out in its own way."""
        x, weights, dimension, options = self.x, self.weights, 0, {}
        n, height, width, _ = x.shape
        if op == "FULLY_CONNECTED":
            x, weights = x.reshape(-1, x.shape[-1]), weights.reshape(len(weights), -1)
            shape: tuple[int, ...] = (len(x), len(weights))
        else:
            sides = (-(-side // stride) if padding == "SAME" else (side - k) // stride + 1
                     for side, k in zip((height, width), weights.shape[1:3], strict=True))  # fmt: skip
            shape = (n, *sides, len(weights))
            options = {"stride_h": stride, "stride_w": stride, "padding": padding}
        if op == "DEPTHWISE_CONV_2D":
            weights, dimension = weights.transpose(3, 1, 2, 0), 3
            options["depth_multiplier"] = len(self.weights) // x.shape[-1]
        kind, floats = x.dtype.name, x.dtype == np.float32
        scales = None if floats else Quantization(self.scales, (zero_point,) * len(self.scales), dimension)
        operands: list[Tensor | None] = [
            fed(x.shape, kind, self.input),
            Tensor(0, "w", weights.shape, weights.dtype.name, scales, weights),
            Tensor(0, "b", self.bias.shape, self.bias.dtype.name, scales and self._bias_scales(), self.bias),
        ]
        return apply(op, operands, fed(shape, kind, self.output), x, **options)

    def _bias_scales(self) -> Quantization:
        assert self.input is not None
        scales = tuple(float(np.float32(self.input.scale[0] * scale)) for scale in self.scales)
        return Quantization(scales, (0,) * len(scales))


@st.composite
def layers(
    draw: st.DrawFn,
    dtype: str,
    kernel: tuple[int, int] = (3, 3),
    sides: tuple[int, int] = (4, 5),
    one_scale: bool = False,
) -> Layer:
    """Three to five input channels, as many output channels, scales that use the output's range."""
    c = draw(st.integers(3, 5))
    x = draw(arrays((1, *sides, c), dtype, *((-8, 8) if dtype == "float32" else (None, None))))
    if dtype == "float32":
        weights, bias = draw(arrays((c, *kernel, c), dtype, -4, 4)), draw(arrays((c,), dtype, -4, 4))
        return Layer(x, weights, bias, None, (), None)
    weights = draw(arrays((c, *kernel, c), "int8", -127, 127))
    bias = draw(arrays((c,), draw(st.sampled_from(("int32", "int64"))) if dtype == "int16" else "int32", -9000, 9000))
    scales = tuple(2.0**-7 * (1 + k / 8) for k in range(1 if one_scale else c))
    input = draw(quantizations(dtype, low=2.0**-6, high=0.5))
    output = draw(quantizations(dtype, low=input.scale[0] / 4, high=input.scale[0] * 4))
    return Layer(x, weights, bias, input, scales, output)


def depthwise(layer: Layer) -> Layer:
    """The layer with weights for one input channel each; int16 ones take int64 biases only."""
    bias = layer.bias.astype("int64") if layer.x.dtype == np.int16 else layer.bias
    return replace(layer, weights=layer.weights[..., :1], bias=bias)


def layers_of(*types: str, **shape: Any) -> st.SearchStrategy[Layer]:
    return st.sampled_from(types).flatmap(lambda dtype: layers(dtype, **shape))


# ── 18. Channels in another order ─────────────────────────────────────────────────────────────────


def output_channels(layer: Layer, order: Array) -> Layer:
    """The layer with its output channels in another order."""
    scales = tuple(layer.scales[i] for i in order) if layer.scales else ()
    return replace(layer, weights=layer.weights[order], bias=layer.bias[order], scales=scales)


@few
@given(layers_of(*TYPES), st.integers(0, 99), st.sampled_from(("CONV_2D", "FULLY_CONNECTED", "DEPTHWISE_CONV_2D")))
def test_output_channels_permute(layer: Layer, seed: int, op: str) -> None:
    order = np.random.default_rng(seed).permutation(len(layer.bias))
    if op == "FULLY_CONNECTED":
        layer = replace(layer, weights=layer.weights[:, :1, :1])
    if op == "DEPTHWISE_CONV_2D":
        layer = depthwise(layer)
    moved = output_channels(layer, order)
    if op == "DEPTHWISE_CONV_2D":  # each output channel has its own input channel, which goes along
        moved = replace(moved, x=moved.x[..., order])
    assert moved(op).tobytes() == layer(op)[..., order].tobytes()


@few
@given(layers_of(*INTEGERS), st.integers(0, 99))
def test_input_channels_permute(layer: Layer, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(layer.x.shape[-1])
    moved = replace(layer, x=layer.x[..., order], weights=layer.weights[..., order])
    assert np.array_equal(moved(), layer())
    moved, layer = (replace(one, weights=one.weights[:, :1, :1]) for one in (moved, layer))
    assert np.array_equal(moved("FULLY_CONNECTED"), layer("FULLY_CONNECTED"))


def test_float_sums_depend_on_the_order() -> None:
    """Most sums of 64 random products, in a random other order, have other last bits."""
    rng = np.random.default_rng(0)
    x, weights = rng.standard_normal((1, 1, 1, 64)), rng.standard_normal((500, 1, 1, 64))
    layer = Layer(x.astype(np.float32), weights.astype(np.float32), np.zeros(500, np.float32), None, (), None)
    order = rng.permutation(64)
    moved = replace(layer, x=layer.x[..., order], weights=layer.weights[..., order])
    assert np.mean(moved() != layer()) > 0.7


# ── 19. Batches ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("op", "dtype"), sorted(KERNELS), ids=lambda part: part)
def test_a_batch_is_its_parts(op: str, dtype: str) -> None:
    """Three inputs at once and one by one, for what each kernel's `example` invents."""

    @settings(max_examples=5)
    @given(st.data())
    def law(data: st.DataObject) -> None:
        invented = model_of(data.draw(nodes(op, dtype)))
        plan, inputs = make_plan(invented), data.draw(inputs_of(invented, batch=3))

        def outputs(part: slice) -> tuple[Array, ...]:
            return infer(plan, part.stop - part.start, [x[part] for x in inputs])[0]

        try:
            whole, parts = outputs(slice(0, 3)), [outputs(slice(i, i + 1)) for i in range(3)]
        except InferenceError:
            return  # as on TFLM, which fails on this data or waits for more
        for i, part in enumerate(parts):
            for together, alone in zip(whole, part, strict=True):
                assert np.array_equal(together[i : i + 1], alone, equal_nan=alone.dtype.kind == "f")

    law()


@pytest.mark.parametrize("name", ["dense_int8", "dense_int16x8", "stm32f746_int8", "stm32f746_float32"])
def test_a_network_in_batches(name: str) -> None:
    """Seven inputs at once, in two parts, and one by one, in whatever tiles and threads `run` takes."""
    plan = make_plan(bundled_models()[name])
    (tensor,), rng = plan.inputs, np.random.default_rng(0)
    noise = rng.integers(-128, 128, (7, *tensor.shape[1:]))
    x = (noise / np.float32(64) if tensor.dtype == "float32" else noise).astype(tensor.dtype)
    whole = run(plan, x)[0]
    for cuts in ([3], range(1, 7)):
        assert np.concatenate([run(plan, part)[0] for part in np.split(x, cuts)]).tobytes() == whole.tobytes()


@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_a_batch_is_its_parts_in_tflm_too(tflm: Tflm, dtype: str) -> None:
    """There the batch is in the file: a convolution of three images, and the same of one."""
    rng, floats = np.random.default_rng(0), dtype == "float32"
    images, weights = (
        (rng.integers(-99, 99, shape) / (7 if floats else 1)).astype(dtype) for shape in ((3, 4, 4, 2), (5, 3, 3, 2))
    )
    quantization = None if floats else Quantization((0.05,), (0,))
    filter = Tensor(0, "w", weights.shape, dtype, quantization, weights)

    def convolved(x: Array) -> Array:
        operands: list[Tensor | None] = [fed(x.shape, dtype, quantization), filter, None]
        output = fed((*x.shape[:3], 5), dtype, quantization)
        return tflm.run(model("CONV_2D", operands, output, stride_h=1, stride_w=1, padding="SAME"), [x])[0]

    assert np.concatenate([convolved(image[None]) for image in images]).tobytes() == convolved(images).tobytes()


# ── 20. One layer, two operators ──────────────────────────────────────────────────────────────────


@few
@given(layers_of(*TYPES, kernel=(1, 1)))
def test_fully_connected_is_a_1x1_convolution(layer: Layer) -> None:
    assert layer("FULLY_CONNECTED").tobytes() == layer("CONV_2D").tobytes()


def test_zero_points_that_only_one_of_the_two_reads() -> None:
    """FULLY_CONNECTED takes those of the weights, and of int16 tensors; CONV_2D takes none of them."""
    x, weights, bias = np.array([[[[3]]]], np.int8), np.array([[[[2]]]], np.int8), np.zeros(1, np.int32)
    layer = Layer(x, weights, bias, q(1.0), (1.0,), q(1.0))
    assert [layer(op, zero_point=1).item() for op in ("FULLY_CONNECTED", "CONV_2D")] == [3 * (2 - 1), 3 * 2]
    layer = replace(layer, x=x.astype(np.int16), input=q(1.0, 2), output=q(1.0, 9))
    assert [layer(op).item() for op in ("FULLY_CONNECTED", "CONV_2D")] == [(3 - 2) * 2 + 9, 3 * 2]


@pytest.mark.slow
@few
@given(layers_of(*TYPES), st.sampled_from((1, 2)), st.sampled_from(("SAME", "VALID")))
def test_depthwise_is_a_grouped_convolution(layer: Layer, stride: int, padding: str) -> None:
    """Weights for one input channel make CONV_2D one group a channel."""
    layer = depthwise(layer)
    assert layer("DEPTHWISE_CONV_2D", stride, padding).tobytes() == layer("CONV_2D", stride, padding).tobytes()


# ── 21. Mirrored images ───────────────────────────────────────────────────────────────────────────


@few
@given(st.data(), st.sampled_from(INTEGERS), st.sampled_from((1, 2, 3)), st.sampled_from(("SAME", "VALID")))
def test_mirrored_images(data: st.DataObject, dtype: str, stride: int, padding: str) -> None:
    """Wherever the windows, with as much padding on either side, cover the image exactly."""
    sides, kernel = (data.draw(st.tuples(*[st.integers(1, 6)] * 2)) for _ in range(2))
    layer = data.draw(layers(dtype, kernel=kernel, sides=sides))
    assume(padding == "SAME" or all(side >= k for side, k in zip(sides, kernel, strict=True)))

    def covered(side: int, k: int) -> bool:
        outputs = -(-side // stride) if padding == "SAME" else (side - k) // stride + 1
        added = (outputs - 1) * stride + k - side
        return added >= 0 and added % 2 == 0

    mirrored = replace(layer, x=layer.x[:, ::-1, ::-1].copy(), weights=layer.weights[:, ::-1, ::-1].copy())
    before, after = layer(stride=stride, padding=padding), mirrored(stride=stride, padding=padding)
    if covered(sides[0], kernel[0]) and covered(sides[1], kernel[1]):
        assert np.array_equal(after[:, ::-1, ::-1], before)


def test_a_mirrored_image_at_stride_two() -> None:
    """Even sides and odd filters never fit: the output is another."""
    rng = np.random.default_rng(0)
    for k in (1, 3, 5):
        x, weights = (
            rng.integers(-128, 128, (1, 6, 6, 1)).astype(np.int8),
            rng.integers(-9, 9, (1, k, k, 1)).astype(np.int8),
        )
        layer = Layer(x, weights, np.zeros(1, np.int32), q(1.0), (1.0,), q(8.0))
        mirrored = replace(layer, x=x[:, ::-1, ::-1].copy(), weights=weights[:, ::-1, ::-1].copy())
        assert not np.array_equal(mirrored(stride=2)[:, ::-1, ::-1], layer(stride=2))


# ── 22. The order of a float sum ──────────────────────────────────────────────────────────────────


def test_fused_sums_differ() -> None:
    """On a network with random weights most outputs; the integer networks know no difference."""
    models, rng = bundled_models(), np.random.default_rng(0)
    for name, share in (("stm32f746_float32", 0.3), ("stm32f746_int8", 0.0)):
        plans = [make_plan(models[name], numerics=PRESETS[preset]) for preset in ("tflm", "cortex-m4f")]
        (tensor,) = plans[0].inputs
        x = rng.uniform(0, 1, (20, *tensor.shape[1:])).astype(np.float32)
        if tensor.dtype != "float32":
            x = (255 * x - 128).astype(np.int8)
        differ = np.mean(np.any(run(plans[0], x)[0] != run(plans[1], x)[0], axis=-1))
        assert differ > share if share else differ == 0
