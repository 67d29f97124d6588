"""Draws within TFLite's quantization specification, for every kernel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refengine import KERNELS, make_plan
from refengine.errors import UnsupportedError
from refengine.fuzzer.search import chosen
from refengine.fuzzer.spec import within_spec
from refengine.kernel import Node
from refengine.strategies import model_of, nodes

QUANTIZED = [pair for pair in chosen(None, None) if pair[1] in ("int8", "int16")]


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_kernel_takes_what_the_specification_allows(data: st.DataObject) -> None:
    op, dtype = data.draw(st.sampled_from(QUANTIZED))
    drawn = data.draw(nodes(op, dtype))
    node = within_spec(drawn, KERNELS[op, dtype].facts)
    _check(node, dtype)
    assert [t and t.shape for t in node.inputs] == [t and t.shape for t in drawn.inputs]
    make_plan(model_of(node))


@pytest.mark.parametrize("op", ["FULLY_CONNECTED", "CONV_2D", "SVDF", "LOGISTIC", "SOFTMAX", "L2_NORMALIZATION"])
def test_weights_biases_and_prescribed_outputs(op: str) -> None:
    facts = KERNELS[op, "int8"].facts

    @settings(max_examples=10)
    @given(node=nodes(op, "int8"))
    def check(node: Node) -> None:
        now = within_spec(node, facts)
        _check(now, "int8")
        weights = [t for t in now.inputs if t is not None and t.data is not None and t.dtype in ("int8", "int4")]
        for tensor in weights:
            assert tensor.data is not None and tensor.quantization is not None
            assert tensor.data.min() >= (-127 if tensor.dtype == "int8" else -7)
            assert not any(tensor.quantization.zero_point)
        if facts.fixed_output and now.outputs[0].dtype == "int8":
            q = now.outputs[0].quantization
            assert q is not None and (q.scale[0], q.zero_point[0]) == facts.fixed_output["int8"]
        if facts.weights is not None and len(now.inputs) > 2 and now.inputs[2] is not None:
            (_, _, product), (a, b, _) = ((t.quantization for t in now.inputs[:3]) for _ in range(2))  # type: ignore[union-attr]
            assert a is not None and b is not None and product is not None
            assert product.scale == tuple((np.float32(a.scale[0]) * np.array(b.scale, np.float32)).tolist())

    check()


def _check(node: Node, dtype: str) -> None:
    for tensor in (*node.inputs, *node.outputs):
        if tensor is not None and tensor.dtype == "int16" and tensor.quantization and dtype == "int16":
            assert not any(tensor.quantization.zero_point)


def test_the_specification_refuses_most_draws_of_int16_layers_without_it() -> None:
    """What vendors refuse: the reason for `--spec`."""
    from refengine.fuzzer import Case, fuzz

    def vendor(case: Case) -> object:
        tensors = (*case.tensors, *case.step.outputs)
        refused = any(
            t is not None and t.dtype == "int16" and t.quantization and any(t.quantization.zero_point) for t in tensors
        )
        return None if refused else case.results

    counts = []
    for spec in (False, True):
        (result,) = fuzz(vendor, ["FULLY_CONNECTED"], ["int16"], cases=60, spec=spec)  # type: ignore[arg-type]
        counts.append(result.skipped)
    assert counts[0] > 30 and counts[1] == 0


def test_a_dialect_may_refuse_what_the_specification_allows() -> None:
    assert issubclass(UnsupportedError, Exception)
