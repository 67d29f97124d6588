"""Scales and zero points that no converter writes, on tensors of any type: no tool ends in a traceback or a warning."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refengine import Interpreter, Plan, dequantize_output, execute, inspect, make_plan, quantize_input, run
from refengine.commands import main
from refengine.errors import RefengineError
from refengine.model import Model, Quantization, Tensor
from refengine.tflite_io import dump, load
from tests.models import const, fed, one_op, q

SHAPE = (1, 2, 3)
LARGEST = 3.4028234663852886e38
SCALES = (0.5, 0.0, -0.0, -1.0, -LARGEST, LARGEST, 1e-45, float("inf"), float("-inf"), float("nan"))
ZERO_POINTS = (0, 3, -128, 127, 255, 2**31 - 1, -(2**31), 2**31, 2**63 - 1, -(2**63))
TYPES = ("int8", "uint8", "int16", "int32", "int64", "bool", "float32")

quantizations = st.none() | st.builds(
    lambda pairs, dimension: Quantization(
        tuple(float(np.float32(s)) for s, _ in pairs), tuple(z for _, z in pairs), dimension
    ),
    st.lists(st.tuples(st.sampled_from(SCALES), st.sampled_from(ZERO_POINTS)), max_size=3),
    st.sampled_from((0, 1, 2, 3, -1)),
)


def reshaped(tensor: Tensor, quantization: Quantization | None) -> Model:
    """An operator that takes any type and looks at no scale."""
    flat = fed((6,), tensor.dtype, quantization, "y")
    return one_op("RESHAPE", {"new_shape": (6,)}, [tensor, const([6], "int32")], flat)


def looked_at(model: Model, folder: Path) -> None:
    """By everything that shows a tensor to people."""
    path, data = folder / "m.tflite", folder / "x.npy"
    path.write_bytes(dump(model))
    inspect(load(path))
    Interpreter(str(path)).get_tensor_details()
    plan = make_plan(path)
    x = np.arange(6).reshape(SHAPE).astype(plan.inputs[0].dtype)
    np.save(data, x)
    for record in execute(plan, x):
        repr(record)
        record._repr_html_()
    for convert in (lambda: quantize_input(plan, [0.5, 1e30]), lambda: dequantize_output(plan, run(plan, x)[0])):
        with contextlib.suppress(RefengineError):
            convert()
    show = (
        "break RESHAPE if real > 0.5; next; info tensor 0; info tensor out; info quant 0; info quant out; info op; "
        "print 0; print out; stats 0; stats; show out; why; explain 1; set out[0] = real(0.5); set 0 = 3; compare; undo"
    )
    for arguments in (
        ["run", path, "--input", data],
        ["debug", path, "--input", data, "--command", show],
        ["explain", path, "--input", data, "--op", 0, "--at", 1],
        ["health", path, "--data", data],
        ["inspect", path],
        ["inspect", path, "--json"],
    ):
        assert main([str(each) for each in arguments]) in (0, 1, 2)


@pytest.mark.slow
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(TYPES), quantizations, quantizations)
def test_no_tool_ends_in_a_traceback(
    tmp_path: Path, capsys: Any, dtype: str, theirs: Quantization | None, ours: Quantization | None
) -> None:
    with contextlib.suppress(RefengineError):
        looked_at(reshaped(fed(SHAPE, dtype, theirs), ours), tmp_path)
    capsys.readouterr()


def only(dtype: str, quantization: Quantization) -> Plan:
    return make_plan(reshaped(fed(SHAPE, dtype, quantization), quantization))


def test_a_bool_with_a_scale_is_a_bool() -> None:
    plan = only("bool", q(-1.0))
    (record,) = execute(plan, np.array([[[True, False, True]] * 2]))
    assert repr(record) == "<Record of operator 0 (RESHAPE): bool (6,), 0 … 1>"
    with pytest.raises(RefengineError, match="is bool without quantisation"):
        quantize_input(plan, [0.5])


def test_zero_points_beyond_int32_are_cut_as_litert_cuts_them(litert: Any) -> None:
    model = reshaped(fed(SHAPE, "uint8", Quantization((0.5,), (2**63 - 1,))), Quantization((0.5,), (2**31 + 5,)))
    mine = Interpreter(model_content=dump(model)).get_tensor_details()
    assert [d["quantization"] for d in mine if d["quantization"][0]] == [(0.5, -1), (0.5, 5 - 2**31)]
    assert [d["quantization_parameters"]["zero_points"].tolist() for d in mine[::2]] == [[-1], [5 - 2**31]]


def test_health_refuses_scales_that_stand_for_nothing() -> None:
    from refengine.examination import health

    x = np.zeros(SHAPE, np.int8)
    for scale in (float("inf"), 0.0, -1.0, 3e38):
        plan = only("int8", q(scale))
        with pytest.raises(RefengineError, match=r"^tensor 0 'input0' has the scale .*, by which its codes stand for"):
            list(health(plan, [(x,)]))
