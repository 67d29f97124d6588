"""What refengine quantises is what the TFLite converter makes: operators, scales, zero points, weights and biases.

The converter's models and ranges are in `tests/data/quantizer` (its README says how they came about), so these tests
need no TensorFlow.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import parity
import pytest
from oracle import Tflm, host_plan
from parity import KINDS, Comparison, calibrated, compare, members, pairs, read_zoo

from refengine import InputError, Model, Session, UnsupportedError, load, make_plan
from refengine.bundled import bundled_models
from refengine.kernel import Node
from refengine.kernels import FACTS
from refengine.model import Array, Tensor
from refengine.quantizer import calibrate, convert
from refengine.tensors.datasets import load_mnist
from refengine.tflite_io import dump
from tests.models import fed, network, present, q

DATA = Path(__file__).parents[1] / "data" / "quantizer"
ZOO = read_zoo(DATA / "zoo.tar.xz")
RUNS = 3  # inferences of each model, one after the other

DEAD = {"activation scale"}  # the converter's is 3.6e-43
FLOAT = {"operator", "version", "wiring", "dtype", "number of scales"}  # the converter leaves the operator in float
APART = {"operator", "activation scale", "zero point"}  # rescaled here, so that both have what they need
BEGUN = {"wiring", "constant scale", "int8 constant"}  # and so has what it begins with
DIFFERENT = {
    "add_n_int8": {"activation scale", "zero point"},  # the converter's terms have the scale of the sum, which is float
    "add_n_int8_float32": {"activation scale", "zero point"},
    "concat_transpose_int8": FLOAT,  # nobody tells the TRANSPOSE that x has a CONCATENATION's parameters
    "concat_transpose_int8_float32": FLOAT,
    "dead_relu_int16x8": DEAD | {"constant scale", "int8 constant", "bias scale", "int64 constant"},  # …, then infinite
    "lstm_concat_int8": APART,  # the converter rescales the LSTM's output, which its state becomes, but not the state
    "lstm_concat_int8_float32": APART,
    "mul_zero_int16x8": DEAD,
    "one_bias_int16x8": {"bias scale", "int64 constant"},  # the converter's is scaled for the first of its two readers
    "pad_value_int16x8": {"dtype", "number of scales", "float32 constant"},  # the converter's pads int16 with a float
    "stream_read_int8": APART | BEGUN,  # the converter's variable has the range of what is read, not of all it holds
    "stream_read_int8_float32": APART | BEGUN,
    "stream_read_int16x8": {"operator", "activation scale"},  # the converter's is assigned codes of another scale
    "sum_int16x8": {"activation scale"},  # the converter's sums saturate: they have the summands' scale
}
"""Where refengine departs from the converter, whose models would not run or not be right: what differs, by file."""

REFUSED = {
    "all_zero_int8": "TFLM aborts",  # whatever is subtracted into a tensor that only ever held zeros
    "all_zero_int8_float32": "TFLM aborts",
    "all_zero_int16x8": "TFLM aborts",
    "batch_to_space_int16x8": "no int16 kernel",
    "conv_mirror_pad_int16x8": "no int16 kernel",
    "conv_reduce_max_int16x8": "no int16 kernel",
    "div_int8": "no bits for small quotients",
    "div_int8_float32": "no bits for small quotients",
    "exp_int8": "no int8 kernel",
    "exp_int8_float32": "no int8 kernel",
    "exp_int16x8": "no int16 kernel",
    "fill_int16x8": "no int16 kernel",
    "gather_int16x8": "no int16 kernel",
    "gather_nd_int16x8": "no int16 kernel",
    "log_int8": "no int8 kernel",
    "log_int8_float32": "no int8 kernel",
    "log_int16x8": "no int16 kernel",
    "mirror_pad_int16x8": "no int16 kernel",
    "reduce_max_int16x8": "no int16 kernel",
    "reduce_min_int16x8": "no int16 kernel",
    "resize_bilinear_int16x8": "no int16 kernel",
    "space_to_batch_int8": "pads with code 0",
    "space_to_batch_int8_float32": "pads with code 0",
    "space_to_batch_int16x8": "no int16 kernel",
    "sqrt_int8": "no int8 kernel",
    "sqrt_int8_float32": "no int8 kernel",
}
"""What the converter makes but TFLM cannot run, or not without nonsense."""


@cache
def converted(name: str) -> list[tuple[str, Model | UnsupportedError, Model]]:
    return list(pairs(ZOO, name))


@pytest.mark.parametrize("name", members(ZOO))
def test_a_network_of_the_zoo_is_quantised_as_by_the_converter(name: str) -> None:
    for file, ours, theirs in converted(name):
        if isinstance(ours, UnsupportedError):
            assert REFUSED[file] in str(ours)
        else:
            found = compare(ours, theirs)
            assert {each.what for each in found.differences} == DIFFERENT.get(file, set()), found.differences
            assert ends(ours) == ends(theirs)


def test_every_rule_has_a_network_in_the_zoo() -> None:
    """But for one that reads ids, on which any integers would not do, and one that the converter writes as RESHAPE."""
    shown = {op.name for name in members(ZOO) for op in load(ZOO[f"{name}_float32.tflite"]).graphs[0].ops}
    assert {name for name, facts in FACTS.items() if facts.quantized} - shown == {"EMBEDDING_LOOKUP", "SQUEEZE"}


def ends(model: Model) -> list[tuple[str, tuple[int, ...]]]:
    """Name and shape of the inputs and outputs."""
    graph = model.graphs[0]
    return [(graph.tensors[i].name, graph.tensors[i].shape) for i in (*graph.inputs, *graph.outputs)]


@pytest.mark.parametrize("name", members(ZOO))
def test_what_was_quantised_runs_on_tflm_with_equal_bytes(name: str, tflm: Tflm) -> None:
    random = np.random.default_rng(7)
    for file, ours, _ in converted(name):
        if isinstance(ours, UnsupportedError):
            continue
        inputs = [[drawn(random, tensor) for tensor in make_plan(ours).inputs] for _ in range(RUNS)]
        stream = Session(host_plan(ours))
        for arrays, (status, expected) in zip(inputs, tflm.run_stream(dump(ours), inputs), strict=True):
            assert status == 0
            for a, b in zip(stream.run(*arrays), expected, strict=True):
                assert a.dtype == b.dtype and a.tobytes() == b.tobytes(), file


def drawn(random: np.random.Generator, tensor: Tensor) -> Array:
    if tensor.dtype == "float32":
        return random.normal(0, 1, tensor.shape).astype(np.float32)
    limits = np.iinfo(tensor.dtype)
    return random.integers(limits.min, limits.max, tensor.shape, tensor.dtype, endpoint=True)


@pytest.mark.parametrize("kind", ["int8", "int16x8"])
def test_the_bundled_network_is_quantised_as_by_the_converter(kind: str) -> None:
    bundled = bundled_models()
    ranges = {
        int(index): tuple(range_) for index, range_ in json.loads((DATA / "stm32f746_ranges.json").read_text()).items()
    }
    ours = convert(load(bundled["stm32f746_float32"]), ranges, **KINDS[kind])
    found = compare(ours, load(bundled[f"stm32f746_{kind}"]), names=True)
    assert found.differences == []
    assert found.compared["constant scale"] == found.compared["bias scale"] == 32 + 64 + 64 + 64 + 10


@pytest.mark.parametrize("kind", ["int8", "int16x8"])
def test_with_its_own_ranges_only_last_bits_differ(kind: str) -> None:
    """TFLM adds in another order than the kernels that the converter calibrates with."""
    images, _ = load_mnist(DATA, "train")
    inputs = images[..., np.newaxis].astype(np.float32) / np.float32(255)
    bundled = bundled_models()
    model = load(bundled["stm32f746_float32"])
    ours = convert(model, calibrate(make_plan(model), [(inputs,)]), **KINDS[kind])
    found = compare(ours, load(bundled[f"stm32f746_{kind}"]))
    assert {difference.what for difference in found.differences} == {"activation scale", "bias scale"}
    assert len(found.differing("activation scale")) == 2
    assert max(difference.size for difference in found.differences) <= 3  # ulp


# ---- the comparison itself ------------------------------------------------------------------------------------


@cache
def lenet() -> Model:
    return load(ZOO["lenet_int8.tflite"])


def altered(**changes: Any) -> Model:
    model = lenet()
    return replace(model, graphs=(replace(model.graphs[0], **changes),))


def with_tensor(index: int, **changes: Any) -> Model:
    tensors = list(lenet().graphs[0].tensors)
    tensors[index] = replace(tensors[index], **changes)
    return altered(tensors=tuple(tensors))


def with_quantization(index: int, **changes: Any) -> Model:
    quantization = lenet().graphs[0].tensors[index].quantization
    assert quantization
    return with_tensor(index, quantization=replace(quantization, **changes))


def sizes(found: Comparison) -> dict[str, int]:
    return {difference.what: difference.size for difference in found.differences}


def test_a_model_equals_itself() -> None:
    found = compare(lenet(), lenet(), names=True)
    assert found.differences == []
    assert found.compared["operator"] == len(lenet().graphs[0].ops)


def test_a_scale_one_ulp_off_is_found() -> None:
    (scale,) = present(lenet().graphs[0].tensors[0].quantization).scale
    more = float(np.nextafter(np.float32(scale), np.float32(1)))
    assert sizes(compare(with_quantization(0, scale=(more,)), lenet())) == {"activation scale": 1}


def test_a_zero_point_two_off_is_found() -> None:
    (zero_point,) = present(lenet().graphs[0].tensors[0].quantization).zero_point
    assert sizes(compare(with_quantization(0, zero_point=(zero_point + 2,)), lenet())) == {"zero point": 2}


def test_codes_that_differ_are_counted() -> None:
    weights = next(t for t in lenet().graphs[0].tensors if t.data is not None and t.dtype == "int8")
    data = present(weights.data).copy()
    data.flat[:3] ^= 1
    assert sizes(compare(with_tensor(weights.index, data=data), lenet())) == {"int8 constant": 3}


def test_a_missing_operator_is_found_and_the_others_still_compared() -> None:
    ops = lenet().graphs[0].ops
    found = compare(altered(ops=ops[:1] + ops[2:]), lenet())
    assert ("operator 1", "operator", "None", ops[1].name) in {
        (d.place, d.what, d.ours, d.theirs) for d in found.differences
    }
    assert found.compared["operator"] == len(ops)


def test_versions_options_and_names_are_compared() -> None:
    ops = lenet().graphs[0].ops
    changed = replace(ops[0], version=9, options={**ops[0].options, "stride_w": 3})
    assert sizes(compare(altered(ops=(changed, *ops[1:])), lenet())) == {"version": 1, "option": 1}
    renamed = with_tensor(0, name="other")
    assert sizes(compare(renamed, lenet())) == {}
    assert sizes(compare(renamed, lenet(), names=True)) == {"name": 1}


def test_the_command_says_what_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (theirs,) = present(lenet().graphs[0].tensors[0].quantization).zero_point
    changed = with_quantization(0, zero_point=(theirs + 2,))
    for name, model in (("ours", changed), ("theirs", lenet())):
        (tmp_path / f"{name}.tflite").write_bytes(dump(model))

    def said(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["parity.py", *(str(tmp_path / f"{each}.tflite") for each in arguments[:2])])
        sys.argv += arguments[2:]
        return parity.main(), capsys.readouterr().out

    status, text = said("ours", "theirs")
    assert status == 1
    assert f"zero point: refengine {theirs + 2}, converter {theirs}, by 2 codes" in text
    assert "0 of 1 models equal, 0 refused" in text
    assert said("theirs", "theirs")[0] == 0
    document = json.loads(said("ours", "theirs", "--json")[1])
    (found,) = document["models"].values()
    assert document["schema"] == 1
    assert [each["what"] for each in found["differences"]] == ["zero point"]
    with pytest.raises(InputError, match="a folder"):
        said("ours")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.tar.xz"], "cannot be read"),
        ([str(DATA)], "no NAME_float32"),
        ([str(DATA / "zoo.tar.xz"), "--calibrate"], "needs the samples"),
    ],
)
def test_what_is_no_zoo_is_refused(arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["parity.py", *arguments])
    with pytest.raises(InputError, match=message):
        parity.main()


def test_another_wiring_is_found() -> None:
    model = load(ZOO["sub_int8.tflite"])
    (op,) = model.graphs[0].ops
    swapped = replace(model.graphs[0], ops=(replace(op, inputs=op.inputs[::-1]),))
    assert "wiring" in sizes(compare(replace(model, graphs=(swapped,)), model))


def test_the_ranges_of_a_calibrated_model() -> None:
    model, ranges = calibrated(load(ZOO["conv_relu_float32.tflite"]))
    assert not any(tensor.quantization for tensor in model.graphs[0].tensors)
    assert sorted(ranges) == [0, 3]
    assert ranges[3][0] == 0 < ranges[3][1]


def quantizes(*made: tuple[float, int]) -> Model:
    """A tensor that is rescaled to several parameters."""
    x = fed((2,), "int8", q(0.02, 3))
    return network(*(Node("QUANTIZE", {}, (x,), (fed((2,), "int8", q(*each)),)) for each in made))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_quantize_operators_in_a_row_are_matched_although_last_bits_differ(order: tuple[int, ...]) -> None:
    theirs = [(0.05, 3), (0.5, 3), (0.05, -40)]
    ours = [(theirs[i][0] * (1 + 2**-22), theirs[i][1]) for i in order]
    found = compare(quantizes(*ours), quantizes(*theirs))
    inside = [each for each in found.differences if each.place.startswith("operator")]
    assert {each.what for each in inside} == {"activation scale"} and len(inside) == 3
    assert max(each.size for each in inside) <= 4  # ulp
