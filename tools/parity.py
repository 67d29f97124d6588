"""Compare models that refengine quantised with the TFLite converter's, parameter by parameter.

    python tools/parity.py ours_int8.tflite converter_int8.tflite
    python tools/parity.py tests/data/quantizer/zoo.tar.xz
    python tools/parity.py zoo --calibrate

A folder or .tar.xz holds what tools/zoo.py makes: from each `NAME_float32.tflite` refengine makes what the converter
made of it, with the ranges that the converter saw (the tensors' min and max), or with --calibrate with its own ranges
from the samples in `NAME.npz`.

Models are matched by structure: operators in order, then their tensors by position. Tensors' names and numbers may
differ; --names compares the names too.

Exit status: 0 all equal, 1 something differs or was refused, 2 the comparison could not run.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from difflib import SequenceMatcher
from itertools import groupby, takewhile
from pathlib import Path
from typing import Any

import numpy as np

from refengine import Graph, InputError, Model, Op, RefengineError, Tensor, UnsupportedError, load, make_plan
from refengine.quantizer import Ranges, calibrate, convert
from refengine.text import SCHEMA

KINDS: dict[str, dict[str, Any]] = {"int8": {}, "int8_float32": {"io": "float32"}, "int16x8": {"activations": "int16"}}
"""What `convert` is told to make the file of each kind."""

CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")

SUMMED = {"operator", "version", "option", "activation scale", "bias scale", "zero point"}
"""What is counted in the end even where all are equal, beside everything of constants."""


@dataclass(frozen=True)
class Difference:
    """One thing that differs. `size` is ulp of a scale, codes of a zero point, elements of a constant, else 1."""

    place: str
    what: str
    ours: str
    theirs: str
    size: int = 1


@dataclass(frozen=True)
class Comparison:
    """What `compare` found; `compared` counts what there was to differ, by the same words as `Difference.what`.

    `refused` says why there is no model of refengine's to compare.
    """

    differences: list[Difference] = field(default_factory=list)
    compared: Counter[str] = field(default_factory=Counter)
    refused: str = ""

    def note(self, place: str, what: str, ours: Any, theirs: Any, size: int = 1) -> None:
        self.compared[what] += 1
        if ours != theirs:
            self.differences.append(Difference(place, what, str(ours), str(theirs), size))

    def as_json(self) -> dict[str, Any]:
        differences = [asdict(difference) for difference in self.differences]
        return {"refused": self.refused, "differences": differences, "compared": dict(self.compared)}

    def differing(self, what: str) -> list[int]:
        """The sizes of the differences in `what`."""
        return [difference.size for difference in self.differences if difference.what == what]


def compare(ours: Model, theirs: Model, names: bool = False) -> Comparison:
    """Everything in which two models differ, matched by structure, subgraph by subgraph."""
    found = Comparison()
    found.note("model", "number of subgraphs", len(ours.graphs), len(theirs.graphs))
    for mine, other in zip(ours.graphs, theirs.graphs, strict=False):
        place = f"subgraph {other.index}, " if other.index else ""
        _compare(place, _Pairing(found, mine, other, names))
    found.note("model", "signatures", _signatures(ours), _signatures(theirs))
    return found


def _compare(where: str, pair: _Pairing) -> None:
    """The inputs, operators and outputs of one subgraph."""
    found = pair.found
    pair.tensors(f"{where}input", pair.ours.inputs, pair.theirs.inputs)
    for left, right in _matched(pair.ours.ops, pair.theirs.ops, pair.apart):
        if left is None or right is None:
            only = left or right
            assert only is not None
            found.note(f"{where}operator {only.index}", "operator", left and left.name, right and right.name)
            continue
        place = f"{where}operator {right.index} {right.name}"
        found.note(place, "operator", left.name, right.name)
        found.note(place, "version", left.version, right.version)
        for option in sorted({*left.options, *right.options}):
            mine, other = (f"{option}={op.options.get(option)}" for op in (left, right))
            found.note(place, "option", mine, other)
        pair.tensors(f"{place} input", left.inputs, right.inputs)
        pair.tensors(f"{place} output", left.outputs, right.outputs)
        pair.tensors(f"{place} intermediate", left.intermediates, right.intermediates)
    pair.tensors(f"{where}output", pair.ours.outputs, pair.theirs.outputs)


def _signatures(model: Model) -> list[tuple[Any, ...]]:
    """What a caller by name needs to know: every argument's and result's name, shape and type."""

    def told(named: Mapping[str, int]) -> list[tuple[Any, ...]]:
        tensors = ((name, model.graphs[0].tensors[index]) for name, index in sorted(named.items()))
        return [(name, tensor.shape, tensor.dtype) for name, tensor in tensors]

    return [(signature.key, told(signature.inputs), told(signature.outputs)) for signature in model.signatures]


def _matched(
    ours: Sequence[Op], theirs: Sequence[Op], apart: Callable[[Op, Op], tuple[bool, float]]
) -> Iterator[tuple[Op | None, Op | None]]:
    """Operators of equal names in order; one that the other side lacks comes with None.

    Several QUANTIZE in a row may come in any order, and so may DEQUANTIZE: the least `apart` by the time they are asked
    for are matched.
    """
    matcher = SequenceMatcher(None, [op.name for op in ours], [op.name for op in theirs], autojunk=False)
    for tag, a, a_end, b, b_end in matcher.get_opcodes():
        if tag == "equal":
            waiting = list(ours[a:a_end])
            for right in theirs[b:b_end]:
                row = _row(waiting) if right.name in CONVERSIONS else []
                left = min(row, key=lambda op: apart(op, right)) if row else waiting[0]
                waiting.remove(left)
                yield left, right
        else:
            yield from ((op, None) for op in ours[a:a_end])
            yield from ((None, op) for op in theirs[b:b_end])


def _row(ops: Sequence[Op]) -> list[Op]:
    """The operators of the same name that come first."""
    return [*takewhile(lambda op: op.name == ops[0].name, ops)]


class _Pairing:
    """Which tensor of theirs each of ours stands for: found by walking both graphs, each pair compared once."""

    def __init__(self, found: Comparison, ours: Graph, theirs: Graph, names: bool) -> None:
        self.found, self.ours, self.theirs, self.names = found, ours, theirs, names
        self.partner: dict[int, int] = {}

    def apart(self, left: Op, right: Op) -> tuple[bool, float]:
        """Whether two conversions read different tensors, and how many steps the values of equal codes lie apart."""
        unlike = self.partner.get(left.inputs[0]) != right.inputs[0]
        if right.name == "DEQUANTIZE":
            return unlike, 0.0
        made = self.ours.tensors[left.outputs[0]], self.theirs.tensors[right.outputs[0]]
        (a, b), (c, d) = (_ends(tensor) for tensor in made)
        return unlike, max(abs(a - c), abs(b - d)) / (d - c)

    def tensors(self, role: str, ours: Sequence[int], theirs: Sequence[int]) -> None:
        self.found.note(role, "number of tensors", len(ours), len(theirs))
        for place, (left, right) in enumerate(zip(ours, theirs, strict=False)):
            if left < 0 or right < 0:
                mine, other = ("given" if i >= 0 else "left out" for i in (left, right))
                self.found.note(f"{role} {place}", "tensor", mine, other)
            elif left not in self.partner:
                self.partner[left] = right
                self.tensor(f"{role} {place}", self.ours.tensors[left], self.theirs.tensors[right])
            elif self.ours.tensors[left].data is None:
                self.found.note(f"{role} {place}", "wiring", self.partner[left], right)

    def tensor(self, place: str, ours: Tensor, theirs: Tensor) -> None:
        note, place = self.found.note, f"{place} '{theirs.name}'"
        note(place, "dtype", ours.dtype, theirs.dtype)
        note(place, "shape", ours.shape, theirs.shape)
        if self.names:
            note(place, "name", ours.name, theirs.name)
        left, right = (tensor.quantization for tensor in (ours, theirs))
        scales = [np.array(q.scale if q else (), np.float32) for q in (left, right)]
        zeros = [np.array(q.zero_point if q else (), np.int64) for q in (left, right)]
        note(place, "number of scales", len(scales[0]), len(scales[1]))
        if len(scales[0]) == len(scales[1]) > 0:
            note(place, "axis", left and left.quantized_dimension, right and right.quantized_dimension)
            for a, b, ulp in zip(*scales, _ulp(*scales), strict=True):
                note(place, f"{_role(theirs)} scale", a, b, ulp)
            for a, b in zip(*zeros, strict=False):
                note(place, "zero point", a, b, abs(int(a - b)))
        if ours.data is None or theirs.data is None:
            mine, other = ("computed" if tensor.data is None else "constant" for tensor in (ours, theirs))
            note(place, "kind", mine, other)
        elif ours.data.shape == theirs.data.shape:
            unlike = np.flatnonzero(ours.data != theirs.data)
            first = [data.flat[unlike[:1]].tolist() for data in (ours.data, theirs.data)]
            note(place, f"{theirs.dtype} constant", first[0], first[1], unlike.size)


def _ends(tensor: Tensor) -> tuple[float, float]:
    """The real values of the smallest and the largest code."""
    assert tensor.quantization is not None
    scale, zero_point = tensor.quantization.scale[0], tensor.quantization.zero_point[0]
    limits = np.iinfo(tensor.dtype)
    return scale * (limits.min - zero_point), scale * (limits.max - zero_point)


def _role(tensor: Tensor) -> str:
    """What a quantised tensor is for, as its type tells."""
    if tensor.data is None:
        return "activation"
    return "bias" if tensor.dtype in ("int32", "int64") else "constant"


def _ulp(ours: np.ndarray, theirs: np.ndarray) -> list[int]:
    """How many float32 values apart positive scales are."""
    apart: list[int] = np.abs(ours.view(np.int32).astype(np.int64) - theirs.view(np.int32)).tolist()
    return apart


def calibrated(model: Model) -> tuple[Model, Ranges]:
    """A float model as it was, and what the converter's calibrator noted down in it: (min, max) by tensor."""
    graph = model.graphs[0]
    noted = {tensor.index: tensor.quantization for tensor in graph.tensors if tensor.data is None}
    ranges = {index: (noted.min[0], noted.max[0]) for index, noted in noted.items() if noted and noted.min}
    tensors = tuple(replace(tensor, quantization=None) for tensor in graph.tensors)
    return replace(model, graphs=(replace(graph, tensors=tensors), *model.graphs[1:])), ranges


def samples_of(data: bytes) -> list[tuple[np.ndarray, ...]]:
    """The calibration data that tools/zoo.py drew: one tuple of inputs per sample."""
    with np.load(io.BytesIO(data)) as arrays:
        return list(zip(*(arrays[f"arr_{i}"] for i in range(len(arrays.files))), strict=True))


def read_zoo(path: Path) -> dict[str, bytes]:
    """The files that tools/zoo.py made, by name, from its folder or .tar.xz."""
    try:
        if path.is_dir():
            return {file.name: file.read_bytes() for file in sorted(path.iterdir()) if file.is_file()}
        with tarfile.open(path) as archive:
            return {member.name: file.read() for member in archive if (file := archive.extractfile(member))}
    except (OSError, tarfile.TarError) as error:
        raise InputError(f"{path}: cannot be read ({error}); give what tools/zoo.py made") from error


def members(zoo: dict[str, bytes]) -> list[str]:
    """The names of a zoo's networks."""
    names = [name.removesuffix("_float32.tflite") for name in zoo if name.endswith("_float32.tflite")]
    return [name for name in names if not name.endswith("_int8")]  # NAME_int8_float32 is no float network


def pairs(
    zoo: dict[str, bytes], name: str, own_ranges: bool = False
) -> Iterator[tuple[str, Model | UnsupportedError, Model]]:
    """(file, ours, theirs) for everything that the converter made of one network; ours may be a refusal."""
    model, ranges = calibrated(load(zoo[f"{name}_float32.tflite"]))
    if own_ranges:
        if f"{name}.npz" not in zoo:
            raise InputError(f"{name}.npz is missing: --calibrate needs the samples, in the folder tools/zoo.py wrote")
        ranges = calibrate(make_plan(model), samples_of(zoo[f"{name}.npz"]))
    for kind, wanted in KINDS.items():
        if theirs := zoo.get(f"{name}_{kind}.tflite"):
            try:
                yield f"{name}_{kind}", convert(model, ranges, **wanted), load(theirs)
            except UnsupportedError as error:
                yield f"{name}_{kind}", error, load(theirs)


def compare_zoo(zoo: dict[str, bytes], own_ranges: bool, names: bool) -> Iterator[tuple[str, Comparison]]:
    for name in members(zoo):
        for file, ours, theirs in pairs(zoo, name, own_ranges):
            if isinstance(ours, UnsupportedError):
                yield file, Comparison(refused=str(ours))
            else:
                yield file, compare(ours, theirs, names)


def main() -> int:
    args = parse_arguments()
    if args.theirs:
        compared = {args.ours.stem: compare(load(args.ours), load(args.theirs), args.names)}
    elif args.ours.is_dir() or args.ours.suffixes == [".tar", ".xz"]:
        compared = dict(compare_zoo(read_zoo(args.ours), args.calibrate, args.names))
        if not compared:
            raise InputError(f"{args.ours}: holds no NAME_float32.tflite with what the converter made of it")
    else:
        raise InputError(f"{args.ours}: give the converter's model to compare with, or a folder or .tar.xz of both")
    if args.json:
        models = {name: found.as_json() for name, found in compared.items()}
        print(json.dumps({"schema": SCHEMA, "models": models}, indent=2))
    else:
        print_differences(compared)
    return int(any(found.differences or found.refused for found in compared.values()))


def print_differences(compared: dict[str, Comparison]) -> None:
    total: Counter[str] = Counter()
    for name, found in compared.items():
        total += found.compared
        if found.refused:
            print(f"{name}: refused: {found.refused}")
        for (place, what), group in groupby(found.differences, lambda each: (each.place, each.what)):
            worst, *others = sorted(group, key=lambda each: -each.size)
            numbers = f"refengine {worst.ours}, converter {worst.theirs}{_by(', by', worst.size, what)}"
            print(f"{name}: {place}: {what}: {numbers}{f'; and {len(others)} more' if others else ''}")
    for what in sorted(total):
        sizes = [size for found in compared.values() for size in found.differing(what)]
        if sizes or what in SUMMED or "constant" in what:
            extent = f"{len(sizes)} differ{_by(', by up to', max(sizes), what)}" if sizes else "all equal"
            print(f"{what:>18}  {total[what]:6}  {extent}")
    refused = sum(bool(found.refused) for found in compared.values())
    equal = sum(not found.differences for found in compared.values()) - refused
    print(f"{equal} of {len(compared)} models equal, {refused} refused")


def _by(words: str, size: int, what: str) -> str:
    """How far apart two are, where that is a number."""
    unit = {"scale": "ulp", "point": "codes", "constant": "elements"}.get(what.rpartition(" ")[2])
    return f"{words} {size} {unit}" if unit else ""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog="Exit status: 0 all equal, 1 something differs or was refused, 2 the comparison could not run.",
    )
    parser.add_argument("ours", type=Path, metavar="OURS", help="a model of refengine's, or what tools/zoo.py made")
    parser.add_argument("theirs", type=Path, nargs="?", metavar="THEIRS", help="the converter's model")
    parser.add_argument("--calibrate", action="store_true", help="take refengine's own ranges, from a folder's samples")
    parser.add_argument("--names", action="store_true", help="compare the tensors' names too")
    parser.add_argument("--json", action="store_true", help="print every count and difference as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RefengineError as error:
        print(f"parity: {error}", file=sys.stderr)
        sys.exit(2)
