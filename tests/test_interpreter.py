"""refengine/interpreter.py: one client, two imports, the same answers and errors; and what refengine does better."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import refengine
from refengine import InputError, Interpreter, RefengineError, UnsupportedError
from refengine.bundled import bundled_models
from refengine.interpreter import StateError, load_delegate
from refengine.model import Graph, Model, Op, Signature, Tensor
from refengine.tensors.datasets import bundled_digits
from refengine.tensors.inputs import pixels_to_input
from refengine.tflite_io import dump
from tests.examination.test_decisions import choosing
from tests.kernels.test_call_once import V, accumulator
from tests.kernels.test_if import MODEL as BRANCHING
from tests.models import const, fed, one_op, q

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
DENSE = bundled_models()["dense_int8"]


def int4() -> Model:
    options = {"fused_activation_function": "NONE", "keep_num_dims": False, "quantized_bias_type": "float32"}
    inputs = [fed((1, 4), "int8", q(0.5, 3)), const(np.ones((2, 4)), "int4", q(0.25)), const([1, 2], "int32", q(0.125))]
    return one_op("FULLY_CONNECTED", options, inputs, fed((1, 2), "int8", q(1.0)))


def two_inputs() -> Model:
    inputs = [fed((1, 4), "float32", name="a"), fed((1, 4), "float32", name="b")]
    model = one_op("ADD", {"fused_activation_function": "NONE"}, inputs, fed((1, 4), "float32"))
    return replace(model, signatures=(Signature("add", 0, {"second": 1, "first": 0}, {"sum": 2}),))


def signatures() -> Model:
    """add: v += x, and gives it; times: v · x. Both have CALL_ONCE set v up to 5."""
    handle = Tensor(0, "h", (), "resource")
    x, old, y = (Tensor(i, name, (1, 3), "float32") for i, name in enumerate(("x", "old", "y")))
    five = replace(x, index=1, data=np.full((1, 3), 5, np.float32))
    once, make = Op(0, "CALL_ONCE", (), (), {"init_subgraph_index": 2}), Op(1, "VAR_HANDLE", (), (1,), V)
    tensors = (x, replace(handle, index=1), replace(old, index=2), replace(y, index=3))
    read, plus = Op(2, "READ_VARIABLE", (1,), (2,)), {"fused_activation_function": "NONE", "pot_scale_int16": False}
    add = (once, make, read, Op(3, "ADD", (0, 2), (3,), plus), Op(4, "ASSIGN_VARIABLE", (1, 3), ()))
    times = (once, make, read, Op(3, "MUL", (0, 2), (3,), {"fused_activation_function": "NONE"}))
    begin = (replace(make, index=0, outputs=(0,)), Op(1, "ASSIGN_VARIABLE", (0, 1), ()))
    graphs = (
        Graph(0, "add", tensors, (0,), (3,), add),
        Graph(1, "times", tensors, (0,), (3,), times),
        Graph(2, "begin", (handle, five), (), (), begin),
    )
    return Model(graphs, signatures=tuple(Signature(each.name, each.index, {"x": 0}, {"y": 3}) for each in graphs[:2]))


MADE = {"int4": int4, "two_inputs": two_inputs, "signatures": signatures}


def answers(module: str, model: Path) -> list[dict[str, Any]]:
    command = [sys.executable, str(HERE / "interpreter_client.py"), module, str(model)]
    environment = os.environ | {"PYTHONPATH": str(HERE.parent)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def same(mine: object, theirs: object) -> bool:
    """Equal, but for what two arithmetics may do: float rounding, one code of int8, four of int16."""
    if isinstance(theirs, dict) and "array" in theirs:
        assert isinstance(mine, dict)
        if theirs["array"] == "object":  # a variable's handle, of which LiteRT tells nothing and refengine its number
            return bool(mine["scalar"] == "int32")
        if mine["array"] != theirs["array"] or mine["shape"] != theirs["shape"]:
            return False
        codes = {"int8": 1, "int16": 4}.get(theirs["array"], 1e-6)
        return bool(np.allclose(mine["values"], theirs["values"], rtol=1e-4, atol=codes))
    if isinstance(theirs, dict):
        return isinstance(mine, dict) and [*mine] == [*theirs] and all(same(mine[k], theirs[k]) for k in theirs)
    if isinstance(theirs, list):
        return isinstance(mine, list) and len(mine) == len(theirs) and all(map(same, mine, theirs))
    return type(mine) is type(theirs) and mine == theirs


@pytest.mark.parametrize("name", ["dense_int8", "stm32f746_int8", "stm32f746_float32", "esp32_int16x8", *MADE])
def test_a_script_that_changes_only_the_import(name: str, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
    path = bundled_models().get(name, tmp_path / "made.tflite")
    if name in MADE:
        path.write_bytes(dump(MADE[name]()))
    mine, theirs = answers("refengine.interpreter", path), answers("ai_edge_litert.interpreter", path)
    assert [told["call"] for told in mine] == [told["call"] for told in theirs]
    for told, expected in zip(mine, theirs, strict=True):
        if "error" in expected:
            assert expected["error"][0] in told.get("error", ()), (told, expected)
        else:
            assert "error" not in told, (told, expected)
            assert same(told["answer"], expected["answer"]), (told, expected)


@pytest.fixture
def interpreter() -> Interpreter:
    return Interpreter(str(DENSE))


def test_outputs_and_intermediates_are_what_execute_records(interpreter: Interpreter) -> None:
    plan = refengine.make_plan(DENSE)
    images, _ = bundled_digits()
    x = pixels_to_input(plan, images[:5])
    interpreter.resize_tensor_input(0, x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, x)
    interpreter.invoke()
    for record in refengine.execute(plan, x):
        for tensor, value in zip(record.step.outputs, record.outputs, strict=True):
            np.testing.assert_array_equal(interpreter.get_tensor(tensor.index), value)
            assert tuple(interpreter.get_tensor_details()[tensor.index]["shape"]) == value.shape


def test_a_dialect_can_be_chosen(interpreter: Interpreter) -> None:
    images, _ = bundled_digits()
    plan = refengine.make_plan(DENSE, numerics=refengine.PRESETS["single"])
    x = pixels_to_input(plan, images[:100])
    other = Interpreter(str(DENSE), numerics="single")
    other.resize_tensor_input(0, x.shape)
    other.allocate_tensors()
    other.set_tensor(0, x)
    other.invoke()
    for record in refengine.execute(plan, x):
        np.testing.assert_array_equal(other.get_tensor(record.step.outputs[0].index), record.outputs[0])
    with pytest.raises(InputError, match="no dialect 'tpu'; choose one of tflm"):
        Interpreter(str(DENSE), numerics="tpu")


def test_values_stay_until_the_next_invoke(interpreter: Interpreter) -> None:
    interpreter.allocate_tensors()
    output = interpreter.tensor(interpreter.get_output_details()[0]["index"])
    interpreter.set_tensor(0, np.full((1, 28, 28, 1), 127, np.int8))
    interpreter.invoke()
    before = output().copy()
    interpreter.set_tensor(0, np.full((1, 28, 28, 1), -128, np.int8))
    np.testing.assert_array_equal(output(), before)
    interpreter.invoke()
    assert not np.array_equal(output(), before)
    interpreter.allocate_tensors()
    assert (interpreter.get_tensor(0) == -128).all(), "allocating again keeps the inputs"


def test_constants_cannot_be_written(interpreter: Interpreter) -> None:
    interpreter.allocate_tensors()
    constant = next(d["index"] for d in interpreter.get_tensor_details() if d["name"].endswith("/MatMul"))
    with pytest.raises(ValueError, match="read-only"):
        interpreter.tensor(constant)()[...] = 0
    with pytest.raises(InputError, match=r"is no input; the inputs are \(0,\)"):
        interpreter.set_tensor(constant, interpreter.get_tensor(constant))


def test_shapes_other_than_batches_are_refused(interpreter: Interpreter) -> None:
    for shape in [(1, 29, 28, 1), (1, 784), (0, 28, 28, 1), ()]:
        with pytest.raises(UnsupportedError, match=r"can have shape \[1, 28, 28, 1\] or \[N, 28, 28, 1\]"):
            interpreter.resize_tensor_input(0, shape)
    interpreter.resize_tensor_input(0, (2, 28, 28, 1), strict=True)  # declared as -1
    pair = Interpreter(model_content=dump(two_inputs()))
    with pytest.raises(UnsupportedError, match="no unknown dimension, so strict forbids"):
        pair.resize_tensor_input(0, (2, 4), strict=True)
    pair.resize_tensor_input(0, (2, 4))
    with pytest.raises(UnsupportedError, match=r"different batches \(\[1, 2\]\)"):
        pair.allocate_tensors()
    with pytest.raises(StateError, match=r"call allocate_tensors\(\) first"):
        pair.invoke()
    pair.resize_tensor_input(1, (2, 4))
    pair.allocate_tensors()
    pair.invoke()
    assert pair.get_tensor(2).shape == (2, 4)


def test_what_cannot_be_had_is_refused_with_a_reason() -> None:
    with pytest.raises(UnsupportedError, match="leave out experimental_delegates"):
        Interpreter(str(DENSE), experimental_delegates=[object()])
    with pytest.raises(UnsupportedError, match="zero points are given as the file has them"):
        Interpreter(str(DENSE), experimental_compress_quantization_zero_points=True)
    with pytest.raises(ValueError, match="computes everything itself"):
        load_delegate("libedgetpu.so.1")


def test_a_model_that_tflm_would_not_run_fails_in_allocate_tensors() -> None:
    model = one_op("CUMSUM", {"exclusive": False, "reverse": False}, [fed((4,), "float32")], fed((4,), "float32"))
    interpreter = Interpreter(model_content=dump(model))
    with pytest.raises(RuntimeError) as caught:
        interpreter.allocate_tensors()
    assert isinstance(caught.value, RefengineError)


def test_a_batch_for_another_signature_begins_afresh() -> None:
    """As everywhere, a batch is streams of their own."""
    interpreter = Interpreter(model_content=dump(signatures()))
    add, times = map(interpreter.get_signature_runner, ("add", "times"))
    ones = np.ones((1, 3), np.float32)
    assert [add(x=ones)["y"][0, 0] for _ in range(3)] == [6, 7, 8] and times(x=ones)["y"][0, 0] == 8
    assert times(x=np.ones((2, 3), np.float32))["y"].tolist() == [[5] * 3] * 2
    assert interpreter.num_subgraphs() == 3


def test_who_is_let_go_is_gone_at_once_and_a_runner_holds_its_interpreter() -> None:
    interpreter = Interpreter(model_content=dump(signatures()))
    gone = weakref.ref(interpreter)
    runner = interpreter.get_signature_runner("times")
    del interpreter
    assert runner(x=np.ones((1, 3), np.float32))["y"][0, 0] == 5 and gone() is not None
    alone = Interpreter(str(DENSE))
    alone.allocate_tensors()
    gone = weakref.ref(alone)
    del alone
    assert gone() is None


def test_a_reset_is_for_all_signatures() -> None:
    interpreter = Interpreter(model_content=dump(signatures()))
    add, times = map(interpreter.get_signature_runner, ("add", "times"))
    ones = np.ones((1, 3), np.float32)
    add(x=ones)
    interpreter.reset_all_variables()
    assert times(x=ones)["y"][0, 0] == 0 and add(x=ones)["y"][0, 0] == 1, "TFLM's, which sets up nothing again"


def test_without_other_signatures_every_call_once_has_a_flag_of_its_own() -> None:
    """TFLM's way, where LiteRT's is one flag for a subgraph: the second operator sets the variable up again."""
    (main, other, begin) = signatures().graphs
    again = tuple(replace(op, index=i) for i, op in enumerate((*main.ops, main.ops[0])))
    interpreter = Interpreter(model_content=dump(Model((replace(main, ops=again), other, begin))))
    interpreter.allocate_tensors()
    seen = []
    for _ in range(2):
        interpreter.set_tensor(0, np.ones((1, 3), np.float32))
        interpreter.invoke()
        seen.append(interpreter.get_tensor(3)[0, 0])
    assert seen == [6, 6]


def test_tensors_of_a_branch_are_those_of_its_last_run() -> None:
    interpreter = Interpreter(model_content=dump(choosing()))
    interpreter.allocate_tensors()
    with pytest.raises(InputError, match="'scaled' has no value yet"):
        interpreter.get_tensor(2, 1)
    interpreter.set_tensor(0, np.array([[30]], np.int8))
    interpreter.invoke()
    assert interpreter.get_tensor(2, 1).tolist() == [[15]]
    assert interpreter.get_tensor_details(2)[0]["name"] == "x"


def test_variables_live_on_until_they_are_reset() -> None:
    """CALL_ONCE sets the variable to 5; a reset gives it the fill of its zero point, 3."""
    interpreter = Interpreter(model_content=dump(accumulator()))
    interpreter.allocate_tensors()

    def invoke(value: int) -> list[list[int]]:
        interpreter.set_tensor(1, np.full((1, 2), value, np.int8))
        interpreter.invoke()
        found: list[list[int]] = interpreter.get_tensor(2).tolist()
        return found

    assert [invoke(k) for k in (7, 8)] == [[[5, 5]], [[7, 7]]]
    interpreter.reset_all_variables()
    assert [invoke(k) for k in (9, 1)] == [[[3, 3]], [[9, 9]]]


def test_tensors_of_other_subgraphs_do_not_overwrite_those_of_the_first() -> None:
    interpreter = Interpreter(model_content=dump(BRANCHING))
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, np.array([False]))
    interpreter.set_tensor(1, np.array([[3, 4]], np.int32))
    interpreter.invoke()
    assert interpreter.get_tensor(1).tolist() == [[3, 4]]
    assert interpreter.get_tensor(2).tolist() == [[13, 24]]


def test_a_variable_can_be_read_as_a_tensor() -> None:
    tensors = (Tensor(0, "x", (1, 2), "int32"), Tensor(1, "sum", (1, 2), "int32", is_variable=True))
    op = Op(0, "ADD", (1, 0), (1,), {"fused_activation_function": "NONE", "pot_scale_int16": False})
    interpreter = Interpreter(model_content=dump(Model((Graph(0, "main", tensors, (0,), (1,), (op,)),))))
    interpreter.allocate_tensors()
    assert interpreter.get_tensor(1).tolist() == [[0, 0]]
    for _ in range(3):
        interpreter.set_tensor(0, np.array([[1, 10]], np.int32))
        interpreter.invoke()
    assert interpreter.get_tensor(1).tolist() == [[3, 30]]
