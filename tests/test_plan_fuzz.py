"""Senseless models, well-formed as files: `make_plan` refuses them, or nothing in them can raise any more.

Valid models of every kernel, with a few of their facts changed: options, operands, shapes, types, quantisation, data.
"""

from __future__ import annotations

import importlib
import random
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import pytest
from dice import Dice, invented
from oracle import Tflm, host_plan

from refengine import (
    KERNELS,
    InferenceError,
    Model,
    Op,
    Plan,
    Quantization,
    RefengineError,
    Tensor,
    UnsupportedError,
    make_plan,
    run,
)
from refengine.execute import infer
from refengine.model import Array, Sparsity
from refengine.strategies import model_of
from refengine.tensors.difference import unlike
from refengine.tflite_io import dump, load, schema
from tests.models import const, fed, one_op
from tests.tflite_io.fuzz import limited_memory
from tests.tflite_io.seeds import DTYPES, constant

Random = random.Random

NUMBERS = (0, 1, -1, 2, 3, 5, 127, 128, -128, -129, 255, 2**15, 2**20, 2**31 - 1, -(2**31))
SCALES = (0.0, 1.0, -1.0, 1e-45, 1e-30, 1e-7, 0.5, 3e38, float("inf"), float("nan"))
FED = ("bool", "uint8", "int8", "int16", "int32", "int64", "float32")
LARGEST = 2**16
"""Models whose tensors or windows have more elements than this are planned, but not run."""


def odd_option(op: Op, rng: Random) -> Op:
    """Another value for one option: of an enumeration any, of a number an edge."""
    table = schema.options_table(op.name)
    fields = [field for field in schema.fields(table) if not field.vector] if table else []
    if not fields:
        return op
    field = rng.choice(fields)
    if field.names is not None:
        value: Any = rng.choice(list(field.names.values()))
    elif field.kind != "scalar":
        return op
    elif field.dtype.kind == "b":
        value = rng.random() < 0.5
    elif field.dtype.kind == "f":
        value = rng.choice(SCALES)
    else:
        info = np.iinfo(field.dtype)
        value = min(max(rng.choice(NUMBERS), int(info.min)), int(info.max))
    return replace(op, options={**op.options, field.name: value})


def odd_operands(op: Op, rng: Random, tensors: int) -> Op:
    """An input or output more, less, left out, twice, or in another place; or the same operands of another operator."""
    inputs, outputs = list(op.inputs), list(op.outputs)
    kind = rng.randrange(7)
    if kind == 0:
        inputs.insert(rng.randint(0, len(inputs)), rng.randrange(-1, tensors))
    elif kind == 1 and inputs:
        inputs.pop(rng.randrange(len(inputs)))
    elif kind == 2 and inputs:
        inputs[rng.randrange(len(inputs))] = rng.randrange(-1, tensors)
    elif kind == 3:
        rng.shuffle(inputs)
    elif kind == 4:
        outputs.append(rng.randrange(tensors))
    elif kind == 5:
        outputs = []
    else:
        name = rng.choice(sorted(name for name, _ in KERNELS))
        return replace(op, name=name, options={}, options_type="")
    return replace(op, inputs=tuple(inputs), outputs=tuple(outputs))


def odd_shape(tensor: Tensor, rng: Random) -> Tensor:
    shape = list(tensor.shape)
    kind = rng.randrange(5)
    if kind == 0 and shape:
        shape.pop(rng.randrange(len(shape)))
    elif kind == 1:
        shape.insert(rng.randint(0, len(shape)), rng.choice((0, 1, 1, 1, 2)))
    elif kind == 2:
        rng.shuffle(shape)
    elif kind == 3 and shape:
        shape[rng.randrange(len(shape))] += rng.choice((-1, 1))
    elif shape:
        shape[rng.randrange(len(shape))] = rng.choice((0, 1, 2, 7, 2**15, 2**31 - 1))
    return with_data(replace(tensor, shape=tuple(shape)), rng)


def with_data(tensor: Tensor, rng: Random) -> Tensor:
    """The constant's data again in the tensor's shape and type, if they have changed and it is a constant."""
    if tensor.data is None or (prod(tensor.shape) > LARGEST or min(tensor.shape, default=0) < 0):
        return replace(tensor, data=None)
    held = schema.held_as(tensor.dtype)
    if schema.is_raw(tensor.dtype):
        return replace(tensor, data=constant(tensor.dtype, prod(tensor.shape)))
    flat = np.resize(tensor.data.reshape(-1), prod(tensor.shape)) if tensor.data.size else np.zeros(prod(tensor.shape))
    with np.errstate(all="ignore"):
        return replace(tensor, data=np.asarray(flat.reshape(tensor.shape)).astype(held))


def odd_type(tensor: Tensor, rng: Random) -> Tensor:
    return with_data(replace(tensor, dtype=rng.choice((*DTYPES, "int8", "int16", "int32", "float32", "int4"))), rng)


def odd_data(tensor: Tensor, rng: Random) -> Tensor:
    """Other values; a constant where there was none, or none where there was one."""
    if tensor.data is None:
        return with_data(replace(tensor, data=np.zeros(1)), rng)
    if tensor.data.size and not schema.is_raw(tensor.dtype) and rng.random() < 0.8:
        data, edges = tensor.data.copy(), (*NUMBERS, *tensor.data.reshape(-1)[:3].tolist())
        for _ in range(rng.randint(1, 3)):
            value = rng.choice(SCALES if data.dtype.kind == "f" else edges)
            with np.errstate(all="ignore"):
                data.flat[rng.randrange(data.size)] = np.asarray(value).astype(data.dtype)
        return replace(tensor, data=data)
    return replace(tensor, data=None)


def odd_quantization(tensor: Tensor, rng: Random) -> Tensor:
    old = tensor.quantization or Quantization((1.0,), (0,))
    kind = rng.randrange(6)
    if kind == 0:
        return replace(tensor, quantization=None)
    scale, zero_point, dimension = list(old.scale or (1.0,)), list(old.zero_point or (0,)), old.quantized_dimension
    if kind == 1:
        scale[rng.randrange(len(scale))] = rng.choice(SCALES)
    elif kind == 2:
        zero_point[rng.randrange(len(zero_point))] = rng.choice((*NUMBERS, 2**63 - 1, -(2**63)))
    elif kind == 3:
        dimension = rng.randint(0, 4)
        count = tensor.shape[dimension] if dimension < len(tensor.shape) else 1
        if 0 < count < 100:
            scale, zero_point = scale[:1] * count, zero_point[:1] * count
    elif kind == 4:
        zero_point = []
    else:
        return replace(tensor, quantization=Quantization(custom=b"\x01\x02"))
    return replace(tensor, quantization=Quantization(tuple(scale), tuple(zero_point), dimension))


def odd_kind(tensor: Tensor, rng: Random) -> Tensor:
    """A variable, or sparse."""
    if rng.random() < 0.5 or tensor.data is None:
        return replace(tensor, is_variable=True, data=None)
    row = tensor.data.reshape(-1)[: rng.randint(1, 4)]
    return replace(tensor, data=row, sparsity=Sparsity(tuple(range(len(tensor.shape))), (), ()))


ODD_TENSORS: tuple[Callable[[Tensor, Random], Tensor], ...] = (
    odd_shape, odd_shape, odd_type, odd_data, odd_quantization, odd_quantization, odd_kind,
)  # fmt: skip


def changed(model: Model, rng: Random) -> Model:
    """The model with one to three of its facts changed."""
    graph = model.graphs[0]
    (*before, op), tensors = graph.ops, list(graph.tensors) or [fed((1,), "int32")]
    outputs = graph.outputs
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        kind = rng.random()
        if kind < 0.25:
            op = odd_option(op, rng)
        elif kind < 0.4:
            op = odd_operands(op, rng, len(tensors))
        elif kind < 0.43:
            outputs = tuple(rng.randrange(len(tensors)) for _ in range(rng.randint(0, 2)))
        else:
            at = rng.randrange(len(tensors))
            tensors[at] = rng.choice(ODD_TENSORS)(tensors[at], rng)
    computed = {i for each in (*before, op) for i in each.outputs}
    used = dict.fromkeys(i for i in (*graph.inputs, *op.inputs) if i >= 0 and i not in computed)
    given = tuple(i for i in used if tensors[i].data is None and not tensors[i].is_variable)
    main = replace(graph, tensors=tuple(tensors), ops=(*before, op), inputs=given, outputs=outputs)
    return replace(model, graphs=(main, *model.graphs[1:]))


def small(model: Model) -> bool:
    """Whether running it takes no noticeable time."""
    graph = model.graphs[0]
    sizes = [prod(tensor.shape) for tensor in graph.tensors]
    sizes += [abs(v) for v in graph.ops[0].options.values() if isinstance(v, int)]
    return max(sizes) <= LARGEST


Case = tuple[Model, Plan, tuple[Array, ...]]
"""A changed model as read from a file, its plan, and inputs."""


def case(op: str, dtype: str, seed: int) -> Case | str:
    """A changed model that can be planned and run, or why there is none: "refused", "no file", "large"."""
    rng, dice = random.Random(seed), Dice(seed)
    model = changed(model_of(KERNELS[op, dtype].example(lambda value: value, dice)), rng)
    try:
        model = load(dump(model))
        plan = make_plan(model)
    except UnsupportedError:
        return "refused"
    except RefengineError:
        return "no file"
    if not small(model) or any(tensor.dtype not in FED for tensor in plan.inputs):
        return "large"
    return model, plan, invented(model, dice)


every_kernel = pytest.mark.parametrize(("op", "dtype"), sorted(KERNELS), ids=lambda part: part)


@every_kernel
def test_after_make_plan_nothing_in_the_file_raises(op: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for what TFLM, too, finds only when it runs."""
    monkeypatch.setattr(importlib.import_module("refengine.execute"), "LOOP_LIMIT", 300)
    ran = refused = 0
    with limited_memory(), warnings.catch_warnings():
        warnings.simplefilter("error")
        for seed in range(1000):
            if seed >= 80 and ran and refused:
                break
            found = case(op, dtype, seed)
            refused += found == "refused"
            if isinstance(found, str):
                continue
            _, plan, inputs = found
            ran += 1
            with suppress(InferenceError):
                for tensor, output in zip(plan.outputs, run(plan, *inputs), strict=True):
                    assert output.shape == tensor.shape
    assert ran and refused, "all alike: the changes miss the point"


@pytest.mark.slow
@every_kernel
def test_what_refengine_plans_tflm_runs_too(op: str, dtype: str, tflm: Tflm) -> None:
    """With the same result: what TFLM refuses must not be accepted here."""
    for found in (case(op, dtype, seed) for seed in range(40)):
        if isinstance(found, str):
            continue
        model, plan, inputs = found
        step = plan.steps[-1]
        unread = {*plan.graph.inputs} - {*step.op.inputs}
        if step.facts.control or step.facts.resource:
            continue  # subgraphs that were made for other tensors
        if unread or plan.graph.outputs != step.op.outputs:
            continue
        try:
            outputs, _ = infer(host_plan(model), None, inputs)
        except InferenceError:  # found only by running, as in TFLM
            continue
        for output, expected in zip(outputs, tflm.run(dump(model), inputs), strict=True):
            assert not unlike(output, expected).any(), str(model)


def test_a_window_beyond_all_bounds_is_refused_at_once() -> None:
    options = {"padding": "SAME", "stride_h": 1, "stride_w": 1, "filter_height": 2**31 - 1, "filter_width": 1}
    image = fed((1, 3, 3, 1), "float32")
    with pytest.raises(UnsupportedError, match="pads the image"):
        make_plan(one_op("MAX_POOL_2D", {**options, "fused_activation_function": "NONE"}, [image], image))


def test_strings_are_refused_even_where_nothing_reads_them() -> None:
    shape = Tensor(0, "shape", (1,), "string", data=constant("string", 1))
    with pytest.raises(UnsupportedError, match="holds strings"):
        make_plan(one_op("RESHAPE", {}, [fed((2,), "int8"), shape], fed((2, 1), "int8")))


def test_sparse_constants_are_refused() -> None:
    a = fed((2, 2), "int32")
    sparse = replace(const([7], "int32"), shape=(2, 2), sparsity=Sparsity((0, 1), (), ()))
    with pytest.raises(UnsupportedError, match="is sparse"):
        make_plan(one_op("ADD", {"fused_activation_function": "NONE"}, [a, sparse], a))
