"""A model is frozen, compared by what it says, and printed for people."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from pickle import dumps, loads

import numpy as np
import pytest

from refengine.model import Quantization, Tensor
from tests.tflite_io import seeds


def test_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        seeds.dense().graphs[0].tensors[0].name = "other"  # type: ignore[misc]


def test_equal_by_contents() -> None:
    assert seeds.tensors() == seeds.tensors()
    assert replace(seeds.dense(), sha256="00") == seeds.dense()
    assert replace(seeds.dense(), description="other") != seeds.dense()


def test_data_is_compared_by_its_bits() -> None:
    def constant(value: float, dtype: str = "float32") -> Tensor:
        return Tensor(0, "c", (1,), "float32", data=np.array([value], dtype))

    assert constant(float("nan")) == constant(float("nan"))
    assert constant(0.0) != constant(-0.0)
    assert constant(0.0) != constant(0.0, "float64")
    assert constant(0.0) != replace(constant(0.0), data=None)
    assert constant(0.0) != "c"


def test_survives_the_way_to_another_process() -> None:
    assert loads(dumps(seeds.tensors())) == seeds.tensors()


def test_printed_it_reads_like_a_listing() -> None:
    assert (
        str(seeds.dense())
        == """\
TFLite model, version 3, 'two layers', sha256 unknown
subgraph 0 'main': inputs (0,), outputs (6,)
  tensor   0  int8 (1, 4), scale 0.5, zero point -3  'image'
  tensor   1  int8 (3, 4), constant, scale 0.125, zero point 0  'weights'
  tensor   2  int32 (3,), constant [0, 100, 200], scale 0.0625, zero point 0  'bias'
  tensor   3  int8 (1, 3), scale 0.5, zero point -3  'hidden'
  tensor   4  int8 (2, 3), constant [[-127, -90, -53], [-16, 21, 58]], scale 0.125, zero point 0  'weights'
  tensor   5  int32 (2,), constant [0, 100], scale 0.0625, zero point 0  'bias'
  tensor   6  int8 (1, 2), scale 0.5, zero point -3  'logits'
  operator   0  FULLY_CONNECTED (0, 1, 2) → (3,)  fused_activation_function=RELU  weights_format=DEFAULT  \
keep_num_dims=False  asymmetric_quantize_inputs=False  quantized_bias_type=float32
  operator   1  FULLY_CONNECTED (3, 4, 5) → (6,)  fused_activation_function=NONE  weights_format=DEFAULT  \
keep_num_dims=False  asymmetric_quantize_inputs=False  quantized_bias_type=float32"""
    )


def test_printed_it_shows_everything_but_large_arrays() -> None:
    text = str(seeds.tensors())
    for shown in (
        "3 scales 0.25 … 2 along 2  'channels'",
        "variable, scale 0.5, zero point -128  'state'",
        "'input é'",
        "my_op (0, -1, 1)",
        "4 bytes of custom options",
        "metadata 'version': 5 bytes",
        "sparse",
        "'third'",
        "signature 'serve' of subgraph 0: {'x': 0} → ",
    ):
        assert shown in text
    large = Tensor(0, "w", (10**6,), "float32", data=np.zeros(10**6, np.float32))
    assert len(repr(large)) < 300
    assert str(large) == "float32 (1000000,), constant  'w'"


def test_an_empty_constant_prints_in_no_time() -> None:
    """NumPy would make two thousand million empty lists of it."""
    shape = (2**31 - 1, 0)
    assert str(Tensor(0, "none", shape, "int8", data=np.zeros(shape, np.int8))) == f"int8 {shape}, constant  'none'"


def test_quantization_without_a_scale() -> None:
    assert str(Quantization(min=(-1.0,), max=(1.0,))) == "no scale"
