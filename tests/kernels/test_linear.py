"""Layers whose weights or bias are computed at run time give what they give with the same values as constants."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refengine import Plan, UnsupportedError, make_plan, run, strategies
from refengine.execute import infer
from refengine.kernel import Node
from refengine.kernels._linear import Computed
from refengine.model import Array, Tensor
from refengine.tensors.difference import unlike
from tests.models import const, fed, one_op, q

PLACES = {"CONV_2D": (1, 2), "DEPTHWISE_CONV_2D": (1, 2), "FULLY_CONNECTED": (1, 2), "TRANSPOSE_CONV": (1, 3)}
"""Where weights and bias are."""

LAYERS = [(op, dtype) for op in PLACES for dtype in ("int8", "int16", "float32")]


def with_data(node: Node, data: dict[int, Array | None]) -> Node:
    """The node with other inputs constant, or computed where there is None."""
    inputs: list[Tensor | None] = list(node.inputs)
    for place, values in data.items():
        tensor = inputs[place]
        assert tensor is not None
        inputs[place] = replace(tensor, data=values)
    return node._replace(inputs=tuple(inputs))


@pytest.mark.slow
@pytest.mark.parametrize(("op", "dtype"), LAYERS)
def test_each_inference_has_weights_and_a_bias_of_its_own(op: str, dtype: str) -> None:
    """A batch of three: the first path computes with constants, and proofs about them; the second has neither."""

    @settings(max_examples=40)
    @given(strategies.nodes(op, dtype), st.sampled_from(((True, True), (True, False), (False, True))), st.data())
    def law(node: Node, wanted: tuple[bool, bool], data: st.DataObject) -> None:
        given_in = zip(PLACES[op], wanted, strict=True)
        tensors = {i: node.inputs[i] for i, want in given_in if want and i < len(node.inputs)}
        computed = [i for i, t in tensors.items() if t is not None and t.dtype != "int4"]
        node = with_data(node, dict.fromkeys(computed))
        model = strategies.model_of(node)
        inputs = data.draw(strategies.inputs_of(model, batch=3))
        plan = make_plan(model)
        assert isinstance(plan.steps[0].params, Computed) or not computed
        together = infer(plan, 3, inputs)[0][0]
        read = [i for i, t in enumerate(node.inputs) if t is not None and t.data is None]
        for b in range(3):
            alone = [x[b : b + 1] for x in inputs]
            values = {i: x[0] for i, x in zip(read, alone, strict=True) if i in PLACES[op]}
            rest = [x for i, x in zip(read, alone, strict=True) if i not in values]
            expected = infer(make_plan(strategies.model_of(with_data(node, values))), 1, rest)[0][0]
            assert not unlike(expected, together[b : b + 1]).any()

    law()


def test_one_set_of_weights_serves_a_batch() -> None:
    """The weights may come from a constant through other operators: then all inferences share them."""
    weights = fed((2, 3), "float32")
    model = one_op(
        "FULLY_CONNECTED",
        {"fused_activation_function": "NONE", "keep_num_dims": False, "quantized_bias_type": "float32"},
        [fed((1, 3), "float32"), weights, None],
        fed((1, 2), "float32"),
    )
    plan = make_plan(model)
    x, w = np.arange(6, dtype=np.float32).reshape(2, 1, 3), np.arange(6, dtype=np.float32).reshape(1, 2, 3)
    evaluated = plan.steps[0].evaluate(x, w, None)[0]
    assert evaluated.tolist() == (x @ w[0].T).tolist()
    assert plan.macs == 6


def test_a_weights_zero_point_counts_as_with_constants() -> None:
    """An activation as weights is asymmetric: FULLY_CONNECTED subtracts its zero point, 2 · (5 − 4) = 2."""
    model = one_op(
        "FULLY_CONNECTED",
        {"fused_activation_function": "NONE", "keep_num_dims": False, "quantized_bias_type": "float32"},
        [fed((1, 1), "int8", q(1)), fed((1, 1), "int8", q(1, 4), "w"), None],
        fed((1, 1), "int8", q(1)),
    )
    assert run(model, np.array([[2]], np.int8), np.array([[5]], np.int8))[0].item() == 2


@pytest.mark.parametrize(("dtype", "bias", "most"), [("int8", "int32", 31), ("int16", "int64", 14)])
def test_a_factor_may_shift_as_far_as_c_can(dtype: str, bias: str, most: int) -> None:
    def plan(shift: int) -> Plan:
        inputs = [fed((1, 1), dtype, q(1)), const([[1]], "int8", q(1)), const([0], bias, q(1))]
        options = {"fused_activation_function": "NONE", "keep_num_dims": False, "quantized_bias_type": "float32"}
        return make_plan(one_op("FULLY_CONNECTED", options, inputs, fed((1, 1), dtype, q(2.0 ** (1 - shift)))))

    assert plan(most).steps[0].params.requantize.multiplier.shift == most
    with pytest.raises(UnsupportedError, match=rf"reaches 2\^{most + 1}, and TFLM can shift by {most} bits at most"):
        plan(most + 1)


def test_an_infinite_bias_meets_an_opposite_sum_in_silence() -> None:
    """Constants are finite; what is computed may be anything."""
    model = one_op(
        "FULLY_CONNECTED",
        {"fused_activation_function": "NONE", "keep_num_dims": False, "quantized_bias_type": "float32"},
        [fed((1, 1), "float32"), fed((1, 1), "float32", name="w"), fed((1,), "float32", name="b")],
        fed((1, 1), "float32"),
    )
    x = np.array([[np.inf]], np.float32)
    with np.errstate(all="raise"):
        assert np.isnan(run(model, x, np.ones((1, 1), np.float32), np.array([-np.inf], np.float32))[0].item())
