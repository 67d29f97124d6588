"""Tensors in text, as firmware prints them: by `printf`, as C arrays, as CSV, by `xxd` or `hexdump -C`.

A log is read line by line. What names a tensor (``t24:``, ``int8_t t24[10] = {``, ``operator 3 output =``, a first cell
of CSV) begins a block of numbers, which goes on over lines that hold numbers only; any other line ends it. A line for
each element (``t24[3] = 41``) is the other way: what stands between such lines does not matter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import prod

import numpy as np

from ..errors import InputError
from ..model import Array, Tensor
from ..plan import Plan
from ..text import printable

NUMBER = re.compile(
    r"[-+]?(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|nan|inf(?:inity)?)(?:[uUlLfF]+\b)?", re.IGNORECASE
)
BETWEEN = re.compile(r"[\s,;|()\[\]{}]*")
PREFIXES = re.compile(
    r"^(?:\s*(?:\[[\d:. ]+\]|\d\d:\d\d:\d\d(?:\.\d+)?(?:\s*->)?|[EWIDV] \(\d+\) [\w.\-]+:|<\w{3}> \w+:))+\s*"
)
"""What loggers put before a line: time stamps, ESP-IDF's level, time and tag, Zephyr's level and module."""

DUMPED = re.compile(r"^\s*[0-9a-fA-F]{4,16}:?\s+((?:[0-9a-fA-F]{2,8}\s)*[0-9a-fA-F]{2,8})(?:\s\s.*|\s*\|.*\|)?\s*$")
"""A line of `xxd` or `hexdump -C`: address, bytes, and the characters that they are."""

CRC = re.compile(r"\bcrc(?:-?32)?\W{0,3}(?:0x)?([0-9a-f]{8})\b", re.IGNORECASE)
"""The CRC-32 of what its line names; the bytes may follow."""

TENSOR = re.compile(r"\b(?:t|tensor)[ _#]*(\d+)\b", re.IGNORECASE)
OPERATOR = re.compile(r"\b(?:op|operator|layer|node|step)[ _#]*(\d+)\b", re.IGNORECASE)

DECLARED = re.compile(r"(\w+)\s*(?:\[[^\]]*\]\s*)+(?:\w+\s*)*=\s*\{?(.*)$")
LABELLED = re.compile(r"^(?P<label>[^:=]*[A-Za-z_][^:=]*?(?::\d+)?)\s*[:=]\s*(?P<rest>.*)$")
"""A label may end as TensorFlow's names of tensors do, in ``:0``."""

CELL = re.compile(r"^\s*\"?(?P<label>[^,;\"]*[A-Za-z_][^,;\"]*)\"?\s*[,;\t](?P<rest>.*)$")
ELEMENT = re.compile(
    rf"^\s*(?P<label>\w[^\[\]:=]*?(?::\d+)?)\s*\[\s*(?P<place>\d{{1,9}})\s*\]\s*[:=]\s*(?P<word>{NUMBER.pattern})[\s;,]*$",
    re.IGNORECASE,
)
"""One element of a tensor, by its place in the flat array."""

PAIRS = re.compile(r"(?:[0-9a-fA-F]{2}[\s:,-]*)+")


@dataclass(eq=False)
class Block:
    """Numbers that belong together: `words` as they stand there, under a `label` ("" without one), from a `line` on.

    `raw` are bytes in hexadecimal, which need no 0x; `crc` is the CRC-32 of all bytes, if the log has it.
    """

    label: str
    line: int
    words: list[str] = field(default_factory=list)
    raw: bytearray = field(default_factory=bytearray)
    crc: int | None = None

    @property
    def name(self) -> str:
        return f"'{printable(self.label)}'" if self.label else f"the numbers in line {self.line}"


def blocks(text: str) -> list[Block]:
    """All blocks of a log, in order, but those without numbers."""
    found: list[Block] = []
    current: Block | None = None
    by_element: dict[str, Block] = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = PREFIXES.sub("", re.sub(r"//.*$|/\*.*?\*/", "", line))
        if not line.strip():
            continue
        proof = CRC.search(line)
        if proof and (of := TENSOR.search(line, 0, proof.start()) or OPERATOR.search(line, 0, proof.start())):
            name = f"t{int(of[1])}" if of.re is TENSOR else f"operator {int(of[1])}"
            current = Block(name, number, crc=int(proof[1], 16))
            found.append(current)
            continue
        if element := ELEMENT.match(line):
            label, place, current = element["label"], int(element["place"]), None
            if place == 0 or label not in by_element:
                by_element[label] = Block(label, number)
                found.append(by_element[label])
            if place == len(by_element[label].words):  # else a line is lost, and the block stays too short
                by_element[label].words.append(element["word"])
            continue
        label, rest = _parted(line)
        if label is None and not _numbers(rest) and not _bytes(rest):
            current = None
            continue
        if label is not None or current is None:
            current = Block(label or "", number)
            found.append(current)
        if raw := _bytes(rest):
            current.raw += raw
        else:
            current.words += NUMBER.findall(rest)
        if "}" in rest:
            current = None
    return [block for block in found if block.words or block.raw or block.crc is not None]


def _parted(line: str) -> tuple[str | None, str]:
    """(what the line calls the numbers that follow, None if nothing, what it holds of them)."""
    for form in (DECLARED, LABELLED, CELL):
        match = form.search(line) if form is DECLARED else form.match(line)
        if match and not DUMPED.match(line):
            label, rest = match.groups()
            if not rest.strip() or _numbers(rest) or _bytes(rest) or rest.strip() in ("{", "["):
                return label.strip(), rest
    return None, line


def _numbers(text: str) -> bool:
    """Whether it is numbers and what stands between them."""
    return bool(NUMBER.search(text)) and BETWEEN.fullmatch(NUMBER.sub("", text)) is not None


def _bytes(text: str) -> bytes:
    """The bytes of a line that has them in hexadecimal without 0x, empty if it is no such line."""
    if match := DUMPED.match(text):
        return bytes.fromhex(match.group(1).replace(" ", ""))
    digits = re.sub(r"[\s:,-]", "", text)
    telling = re.search(r"[a-fA-F]", digits) and len(digits) % 2 == 0
    return bytes.fromhex(digits) if telling and PAIRS.fullmatch(text.strip()) else b""


def tensors_of(plan: Plan, text: str, names: Callable[[str], Tensor | None], sample: int = 0) -> Reading:
    """What a log holds of the model's tensors; of those that it holds several times, the `sample`-th.

    `names` knows tensors by what dumps call them. Raises `InputError` if there are not so many samples.
    """
    reading, seen = Reading({}, [], []), dict[int, int]()
    for block in blocks(text):
        tensor, why = _tensor_of(plan, block, names)
        if tensor is None:
            reading.left_out.extend([why] if why else [])
            continue
        seen[tensor.index] = seen.get(tensor.index, 0) + 1
        if seen[tensor.index] != sample + 1:
            continue
        if block.crc is not None:
            reading.crcs[tensor.index] = block.crc
        if block.words or block.raw:
            reading.arrays[f"t{tensor.index}"] = _values(tensor, block)
            reading.notes.extend([why] if why else [])
    samples = max(seen.values(), default=0)
    if sample >= max(1, samples):
        raise InputError(f"there is no sample {sample}; the log's last one, counted from 0, is {max(1, samples) - 1}")
    if samples > 1:
        reading.notes.append(f"the log holds {samples} samples; this is sample {sample} (choose by --sample)")
    return reading


@dataclass(frozen=True)
class Reading:
    """`arrays` by ``t`` and the tensor's index, `crcs` by its index; `notes` say what was taken for what, `left_out`
    what might be one's."""

    arrays: dict[str, Array | bytes]
    notes: list[str]
    left_out: list[str]
    crcs: dict[int, int] = field(default_factory=dict)


def _tensor_of(plan: Plan, block: Block, names: Callable[[str], Tensor | None]) -> tuple[Tensor | None, str]:
    """(the tensor whose numbers these are, a note), or (None, why nobody knows which it is)."""
    for spelling in _spellings(block.label):
        if tensor := names(spelling):
            return tensor, ""
    if match := OPERATOR.search(block.label):
        steps = {step.index: step for step in plan.steps}
        if step := steps.get(int(match.group(1))):
            return step.outputs[0], f"{block.name} was taken for the output of {step}"
    ends: Mapping[str, tuple[Tensor, ...]] = {"output": plan.outputs, "input": plan.inputs}
    for word, tensors in ends.items():
        if re.fullmatch(
            rf"(?:model[ _]*)?{word}s?(?:[ _]*(?:tensor|data|values|\[?0\]?))?", block.label, re.IGNORECASE
        ):
            return tensors[0], f"{block.name} was taken for the model's {word}"
    return _by_size(plan, block)


def _spellings(label: str) -> Iterator[str]:
    """What a label may mean."""
    bare = re.sub(r"\s*[(\[].*?[)\]]", "", label).strip("'\"* \t")
    *before, last = bare.split() or [""]
    yield from (label, bare, "" if before and last.isdecimal() else last)  # a number behind a word is that word's
    if match := TENSOR.search(label):
        yield match.group(1)


FEW = 4
"""Fewer numbers than that are anything that firmware prints, if their label is no tensor's."""


def _by_size(plan: Plan, block: Block) -> tuple[Tensor | None, str]:
    """The only tensor that such numbers may be of."""
    computed = [t for t in plan.graph.tensors if t.data is None and _fits(t, block)]
    if len(block.raw or block.words) < FEW or not computed:
        return None, ""
    if len(computed) == 1:
        (tensor,) = computed
        return tensor, f"{block.name} was taken for tensor {tensor.index} '{tensor.name}': no other one is so long"
    known = ", ".join(f"t{t.index}" for t in computed[:6]) + (" …" if len(computed) > 6 else "")
    return None, f"left out: {block.name}, which may be several tensors'; call it one of {known}"


def _fits(tensor: Tensor, block: Block) -> bool:
    size = prod(tensor.shape)
    return len(block.raw or block.words) in ({size * _width(tensor)} if block.raw else {size, size * _width(tensor)})


def _width(tensor: Tensor) -> int:
    return np.dtype(tensor.dtype).itemsize


DIGITS = 64
"""No number of a tensor is printed with more."""


def _values(tensor: Tensor, block: Block) -> Array | bytes:
    """The numbers of a block as an array that a dump may hold of the tensor, or as its bytes."""
    if block.raw:
        return bytes(block.raw)
    words = [word.rstrip("uUlL") for word in block.words]
    if (longest := max(map(len, words))) > DIGITS:
        raise InputError(f"{block.name}: a number of {longest} digits is no tensor's")
    hexadecimal = all(word.lower().lstrip("+-").startswith("0x") for word in words)
    floating = not hexadecimal and any(re.search(r"[.eE]|nan|inf", word, re.IGNORECASE) for word in words)
    if floating or (tensor.dtype == "float32" and not hexadecimal):
        return np.array([float(word.rstrip("fF")) for word in words], np.float32 if tensor.dtype == "float32" else None)
    numbers = [int(word, 16 if word.lower().lstrip("+-").startswith("0x") else 10) for word in words]
    width, least, most = _width(tensor), min(numbers), max(numbers)
    if least >= 0 and most < 256 and width > 1 and len(numbers) == prod(tensor.shape) * width:
        return bytes(numbers)
    if hexadecimal and least >= 0 and most < 256**width:  # bits
        bits = np.array(numbers, f"u{width}")
        return bits.view(np.float32) if tensor.dtype == "float32" else bits
    if least >= 0 and most > 127 and most < 256 and tensor.dtype == "int8":
        return np.array(numbers, np.uint8)
    dtype = np.dtype(tensor.dtype)
    bounds = np.iinfo(dtype) if dtype.kind in "iu" else np.iinfo(np.uint8)
    return np.array(numbers, dtype if bounds.min <= least and most <= bounds.max else np.float64)
