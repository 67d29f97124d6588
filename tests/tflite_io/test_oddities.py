"""What converters have written that no schema or manual tells, and how runtimes take it: never a reason to refuse.

Each case is a file of two dense layers made odd the same way. "TF a, b, c" are the versions of TensorFlow whose
converters were seen to write it, among 2.4.4, 2.10.1, 2.15.1, 2.18.1 and 2.21.0 (float, float16, dynamic range, int8,
int16x8; of Keras models, saved models and functions); "nobody seen" is what runtimes take all the same. How TFLM reads
tensors is in its `micro_allocator.cc`, `InitializeTfLiteTensorFromFlatbuffer`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from oracle import Litert, Tflm

from refengine import load, make_plan, run
from refengine.model import Model
from refengine.tflite_io import dump
from refengine.tflite_io.writer import file_of
from tests.models import present
from tests.tflite_io import seeds
from tests.tflite_io.test_reader import root

Row = dict[str, Any]
NO_LITERT = {
    "one zero point for all channels",
    "more zero points than scales",
    "scales of a bias along a dimension that it does not have",
}
"""What the LiteRT of the oracle (2.3) refuses."""


class Oddity(NamedTuple):
    """What is odd, who wrote it, how readers take it; how to make a file so, and what must be read from it."""

    what: str
    writer: str
    readers: str
    change: Callable[[Row], object]
    holds: Callable[[Model], object] = lambda model: True


def tensor(row: Row, index: int) -> Row:
    changed: Row = row["subgraphs"][0]["tensors"][index]
    return changed


def operator(row: Row, index: int) -> Row:
    changed: Row = row["subgraphs"][0]["operators"][index]
    return changed


def buffers(row: Row, *more: bytes) -> list[int]:
    """Indices of new buffers."""
    row["buffers"] = [*row["buffers"], *({"data": contents or None} for contents in more)]
    return list(range(len(row["buffers"]) - len(more), len(row["buffers"])))


def metadata(row: Row, *entries: tuple[str, bytes]) -> None:
    places = buffers(row, *(contents for _, contents in entries))
    row["metadata"] = [{"name": name, "buffer": place} for (name, _), place in zip(entries, places, strict=True)]


def quantized(row: Row, index: int, **fields: Any) -> Row:
    changed = tensor(row, index)
    changed["quantization"] = {**changed["quantization"], **fields}
    return changed


def longer(row: Row, index: int) -> Row:
    """Three bytes more in a tensor's buffer."""
    changed = tensor(row, index)
    (changed["buffer"],) = buffers(row, bytes(row["buffers"][changed["buffer"]]["data"]) + b"odd")
    return changed


PER_CHANNEL = {"scale": (0.125, 0.25, 0.5), "quantized_dimension": 0}
RUNTIME = (("min_runtime_version", b"1.14.0".ljust(16, b"\0")), ("min_runtime_version", bytes(16)))

ODDITIES = (
    Oddity(
        "min_runtime_version twice, the second time empty",
        "TF 2.16.1 to 2.19: every file that was quantised with calibration",
        "TFLM and LiteRT take the first",
        lambda row: metadata(row, *RUNTIME, ("CONVERSION_METADATA", b"any")),
        lambda model: (
            model.metadata == (*RUNTIME, ("CONVERSION_METADATA", b"any"))
            and dict(reversed(model.metadata))["min_runtime_version"].startswith(b"1.14.0")
        ),
    ),
    Oddity(
        "one zero point for all channels",
        "nobody seen; TFLM has it since pull request 813, to save eight bytes a channel",
        "TFLM takes the first zero point for all where their number is not the scales'; LiteRT refuses",
        lambda row: quantized(row, 1, zero_point=(0,), **PER_CHANNEL),
        lambda model: present(model.graphs[0].tensors[1].quantization).zero_point == (0, 0, 0),
    ),
    Oddity(
        "more zero points than scales",
        "nobody seen",
        "TFLM takes the first; LiteRT refuses",
        lambda row: quantized(row, 1, zero_point=(3, 7)),
        lambda model: present(model.graphs[0].tensors[1].quantization).zero_point == (3,),
    ),
    Oddity(
        "scales of a bias along a dimension that it does not have",
        "TF 1: that of the weights, 3 in DEPTHWISE_CONV_2D (TFLM's own person_detect)",
        "TFLM does not look at it; LiteRT refuses",
        lambda row: (
            quantized(row, 1, zero_point=(0,) * 3, **PER_CHANNEL),
            quantized(row, 2, scale=(0.0625, 0.125, 0.25), zero_point=(0,) * 3, quantized_dimension=3),
        ),
    ),
    Oddity(
        "a table of quantisation with nothing in it",
        "TF 2.4.4, 2.10.1, 2.15.1, 2.18.1, 2.21.0: every tensor that is not quantised",
        "as if there were none",
        lambda row: (quantized(row, 1, zero_point=(0,) * 3, **PER_CHANNEL), tensor(row, 2).update(quantization={})),
        lambda model: model.graphs[0].tensors[2].quantization is None,
    ),
    Oddity(
        "a shape signature of another rank than the shape",
        "nobody seen",
        "TFLM does not read it; LiteRT hands it on",
        lambda row: tensor(row, 0).update(shape_signature=(-1, 2, 2)),
        lambda model: model.graphs[0].tensors[0].shape_signature == (-1, 2, 2),
    ),
    Oddity(
        "a buffer longer than its tensor",
        "nobody seen",
        "TFLM and LiteRT leave alone what follows",
        lambda row: (longer(row, 1), longer(row, 2)),
        lambda model: model == load(dump(seeds.dense())),
    ),
    Oddity(
        "operator codes in the first field only",
        "converters before TF 2.4, when there was no second: TFLM's own person_detect, MLPerf's kws and ad01",
        "the larger of the two",
        lambda row: row["operator_codes"][0].pop("builtin_code"),
    ),
    Oddity(
        "operator codes in the second field only",
        "nobody seen",
        "the larger of the two",
        lambda row: row["operator_codes"][0].pop("deprecated_builtin_code"),
    ),
    Oddity(
        "an operator without its table of options",
        "TF 2.4.4, 2.10.1, 2.15.1, 2.18.1, 2.21.0, where an operator has none; others, where all are the defaults",
        "the defaults",
        lambda row: operator(row, 1).update(builtin_options=None),
    ),
    Oddity(
        "an optional input left out as −1",
        "TF 2.4.4, 2.10.1, 2.15.1, 2.18.1, 2.21.0: a layer without bias",
        "as if there were none",
        lambda row: operator(row, 0).update(inputs=(0, 1, -1)),
    ),
    Oddity(
        "an optional input left out at the end",
        "nobody seen",
        "as if there were none",
        lambda row: operator(row, 0).update(inputs=(0, 1)),
    ),
    Oddity(
        "one tensor as two outputs, and by two names",
        "TF 2.10.1, 2.18.1, 2.21.0: a Keras model that gives one layer twice",
        "each output is that tensor",
        lambda row: (
            row["subgraphs"][0].update(outputs=(6, 6)),
            row.update(
                signature_defs=[
                    {
                        "signature_key": "serving_default",
                        "outputs": [{"name": name, "tensor_index": 6} for name in "ab"],
                    }
                ]
            ),
        ),
    ),
    Oddity(
        "an input or a constant as an output",
        "TF 2.4.4, 2.10.1, 2.15.1, 2.18.1, 2.21.0: a model that hands them through",
        "its values come out",
        lambda row: row["subgraphs"][0].update(outputs=(6, 0, 2)),
    ),
    Oddity(
        "tensors of one name, or of none",
        "TF 2.4.4: an unrolled LSTM; TFLM's own keyword_scrambled",
        "names are nobody's concern",
        lambda row: [tensor(row, index).update(name=name) for index, name in ((0, "x"), (3, "x"), (6, None))],
    ),
    Oddity(
        "tensors that no operator uses",
        "TF 2.4.4",
        "they are never looked at",
        lambda row: row["subgraphs"][0]["tensors"].append({"name": "left", "shape": (9,), "type": "float32"}),
    ),
)


@pytest.mark.parametrize("oddity", ODDITIES, ids=lambda oddity: oddity.what)
def test_what_converters_write_is_read_as_runtimes_read_it(oddity: Oddity, tflm: Tflm, litert: Litert) -> None:
    row = root(seeds.dense())
    for op in row["subgraphs"][0]["operators"]:
        op["custom_options"] = None  # TFLM refuses builtin operators with any, even with none in them
    oddity.change(row)
    data = file_of(row)
    model, codes = load(data), np.random.default_rng(0).integers(-128, 128, (1, 4)).astype(np.int8)
    assert oddity.holds(model)
    assert load(dump(model)) == model
    expected = [output.tobytes() for output in run(make_plan(model), codes)]
    for file in (data, dump(model)):
        assert [output.tobytes() for output in tflm.run(file, [codes])] == expected
    if oddity.what not in NO_LITERT:
        assert [output.tobytes() for output in litert.run(data, [codes])] == expected
