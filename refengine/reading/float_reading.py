"""The float reading of a quantised graph: what its codes stand for, computed in real numbers.

Every quantised tensor becomes float32, constants are dequantised, QUANTIZE and DEQUANTIZE hand their input on; the rest
is the same graph, run by the float32 kernels. What the quantised graph computes differs from it by the rounding and
clamping of activations alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from ..errors import located
from ..kernel import Kernel, Node, Numerics
from ..kernels import reshape
from ..model import Array, Graph, Tensor
from ..numerics.quantize import code_range, dequantize, quantize
from ..plan import Plan, Step, facts_of, make_plan
from ..tensors.stats import is_quantized as is_quantized


def real_values(codes: Array, tensor: Tensor) -> Array:
    """What `tensor`'s codes (…, its shape) stand for, as float32; what is not quantised comes back as it is."""
    if not is_quantized(tensor):
        return codes
    assert tensor.quantization is not None
    scale, zero_point = tensor.quantization.scale, tensor.quantization.zero_point or (0,)
    if len(scale) == 1:
        return np.asarray(dequantize(codes, scale[0], zero_point[0]))  # of no dimensions, NumPy makes a scalar
    along = [1] * len(tensor.shape)
    along[tensor.quantization.quantized_dimension] = -1
    real: Array = (codes.astype(np.float64) - np.reshape(zero_point, along)) * np.reshape(scale, along)
    real = real.astype(np.float32)
    return real


def affine(tensor: Tensor) -> tuple[float, int]:
    """(scale, zero point) of a tensor that is quantised as a whole."""
    assert tensor.quantization is not None
    return tensor.quantization.scale[0], (*tensor.quantization.zero_point, 0)[0]


def as_codes(real: Array, tensor: Tensor) -> Array:
    """Real values as `tensor` holds them, quantised as a whole; they come back as they are if it is not."""
    return quantize(real, *affine(tensor), tensor.dtype) if is_quantized(tensor) else real


def outside(real: Array, tensor: Tensor) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Which real values lie more than a code below, and above, what `tensor` can hold. (A softmax's 1.0: just one.)"""
    scale, zero_point = affine(tensor)
    low, high = code_range(tensor.dtype)
    codes = real / np.float64(scale) + zero_point
    return codes < low - 1, codes > high + 1


def float_reading(plan: Plan) -> Plan:
    """A plan of the same graph in float32, with the same tensor indices and steps; so of the subgraphs that it runs.

    Raises `UnsupportedError` for an operator that has no float32 kernel; of a partial plan that is one more gap.
    """
    graphs = (_graph_as_float(graph, plan.plans.get(graph.index)) for graph in plan.model.graphs)
    model = replace(plan.model, graphs=tuple(graphs), sha256="")
    with located("the float reading of the model"):
        handing_on = {
            (op, "float32"): replace(IDENTITY, facts=facts)
            for op, facts in facts_of(plan.kernels).items()
            if facts.recodes
        }
        kernels = {**plan.kernels, **handing_on}
        return make_plan(model, kernels=kernels, memory=plan.memory, partial=bool(plan.gaps))


def _graph_as_float(graph: Graph, plan: Plan | None) -> Graph:
    """A subgraph in float32, as it is if nobody runs it."""
    if plan is None:
        return graph
    biases = _biases(plan.steps)
    return replace(graph, tensors=tuple(_as_float(tensor, biases.get(tensor.index)) for tensor in graph.tensors))


def _as_float(tensor: Tensor, bias: npt.NDArray[np.float32] | None) -> Tensor:
    if bias is None and not is_quantized(tensor):
        return tensor
    data = bias if bias is not None else None if tensor.data is None else real_values(tensor.data, tensor)
    return replace(tensor, dtype="float32", quantization=None, data=data)


def _biases(steps: Iterable[Step]) -> Mapping[int, npt.NDArray[np.float32]]:
    """The real biases by tensor index; their scale is input scale · weights scale, as TFLM takes it."""
    found = {}
    for step in steps:
        input, weights, bias = step.data, step.weights, step.bias
        if input is None or weights is None or bias is None or bias.data is None:
            continue
        if is_quantized(input) and is_quantized(weights) and bias.dtype in ("int32", "int64"):
            assert input.quantization is not None and weights.quantization is not None
            scale = input.quantization.scale[0] * np.array(weights.quantization.scale)
            found[bias.index] = (bias.data.reshape(-1) * scale).astype(np.float32)
    return found


def _same_shape(node: Node, numerics: Numerics) -> reshape.Params:
    assert node.outputs[0] is not None
    return reshape.Params(node.outputs[0].shape)


IDENTITY = Kernel(_same_shape, reshape.evaluate, reshape.explain, partial(reshape.example, dtype="float32"))
"""An operator that hands its input on."""
