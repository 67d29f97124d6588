"""READ_VARIABLE's own facts; what a variable holds is in `test_assign_variable`."""

from __future__ import annotations

import numpy as np
import pytest

from refengine import InferenceError, Model, UnsupportedError, execute, make_plan, run
from refengine.explanation import explain
from refengine.model import Graph, Op, Tensor
from tests.kernels.test_assign_variable import V, remembering


def test_nothing_ever_assigned_is_an_error() -> None:
    """TFLM leaves whatever is in memory."""
    tensors = (Tensor(0, "h", (), "resource"), Tensor(1, "y", (2,), "int8"))
    ops = (Op(0, "VAR_HANDLE", (), (0,), V), Op(1, "READ_VARIABLE", (0,), (1,)))
    with pytest.raises(InferenceError, match="nothing is ever assigned to the resource variable 'v'"):
        run(Model((Graph(0, "main", tensors, (), (1,), ops),)))


def test_the_explanation_tells_what_the_variable_held() -> None:
    plan, x = make_plan(remembering("int32")), np.array([4, 5], np.int32)
    *_, last = execute(plan, x)
    record = next(r for r in execute(plan, x, state=last.state) if r.step.name == "READ_VARIABLE")
    assert explain(plan, record, (1,)).value == 5


def test_an_output_too_many_is_refused() -> None:
    (graph,) = remembering("int32").graphs
    ops = (graph.ops[0], Op(1, "READ_VARIABLE", (0, 1), (2,)), graph.ops[2])
    with pytest.raises(UnsupportedError, match="expected a handle and 1 output, got 2 inputs"):
        make_plan(Model((Graph(0, "main", graph.tensors, (1,), (2,), ops),)))
