"""Tensors in text, as firmware prints them: by `printf`, as C arrays, as CSV or JSON, by `xxd`, `hexdump -C` or gdb.

A log is read line by line. What names a tensor (``t24:``, ``int8_t t24[10] = {``, ``operator 3 output =``, a first cell
of CSV) begins a block of numbers, which goes on over lines that hold numbers only; any other line ends it, and names
the numbers that follow it at once if it speaks of one tensor (``--- t24 ---``). A line for each element (``t24[3] =
41``) is the other way: what stands between such lines does not matter. Below a name they may do with their places
(``3: 41``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
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
    r"^(?:\s*(?:\[[\d:., ]+\]|(?:\d{4}-\d\d-\d\d[T ])?\d\d:\d\d:\d\d(?:[.,]\d+)?Z?(?:\s*->)?|[EWIDV] \(\d+\) [\w.\-]+:|"
    r"<\w{3}> \w+:|\d{1,10}:(?=\s+t(?:ensor)?[ _]?\d)|"
    r"\[?(?:TRACE|DEBUG|INFO|WARN(?:ING)?|ERROR)\]?(?:\s*[:-])?(?=\s)))+\s*"
)
"""What loggers put before a line: time stamps, levels, ESP-IDF's level, time and tag, Zephyr's level and module."""

AROUND = [
    (re.compile(pattern), instead)
    for pattern, instead in (
        (r"//.*$|/\*.*?\*/|\s#\s.*$", ""),  # comments
        (r"^\s*(?:\(gdb\)\s*)?\$\d+ = ", ""),  # gdb's print, and its x
        (r"^\s*0x[\da-f]+ <(\w+)>:", r"\1:"),
        (r"^\s*0x[\da-f]+ <\w+\+\d+>:", ""),
        (r"(?<=\d) '(?:\\\d{3}|\\.|[^\\])'(?=[,}\s]|$)", ""),  # characters that it shows beside numbers
        (r"\b(?:np\.|numpy\.|torch\.)?(?:array|tensor)\((?=\[)|,? ?dtype=[\w.']+\)?", ""),  # Python's arrays
        (r"\b(?:len|length|size|count)\s*[=:]\s*\d+[,;]?", ""),
        (r"(?:\\x[\da-fA-F]{2})+", lambda match: match[0].replace("\\x", " 0x")),  # bytes in a string
        (r"</\w+>\s*$", ""),
        (
            r"^\s*((?:0x)?[\da-fA-F]{4,16}:?\s)?\s*((?:[\da-fA-F]{2}\s{1,2}){2,})\s*\s\|.*$",
            lambda match: _dumped(match),
        ),
    )
]
"""What languages and debuggers put around numbers, and what stands there for it."""

COLOURS = re.compile(r"\x1b\[[\d;]*[A-Za-z]")

REPEATS = re.compile(r"(?<!\w)([-+]?\w{1,64}),? <repeats (\d{1,7}) times>")
"""How gdb shows equal elements."""

DUMPED = re.compile(
    r"^\s*(?:0x)?[0-9a-fA-F]{4,16}:?\s+((?:[0-9a-fA-F]{2,8}\s)*[0-9a-fA-F]{2,8})(?:\s\s.*|\s*\|.*\|)?\s*$"
)
"""A line of `xxd` or `hexdump -C`: address, bytes, and the characters that they are."""

CRC = re.compile(r"\bcrc(?:-?32)?\W{0,3}(?:0x)?([0-9a-f]{8})\b", re.IGNORECASE)
"""The CRC-32 of what its line names; the bytes may follow."""

TENSOR = re.compile(r"\b(?:t|tensor)[ _#]*(?:(?<=tensor)\[)?(\d+)\b", re.IGNORECASE)
OPERATOR = re.compile(r"\b(?:op|operator|layer|node|step)[ _#]*(\d+)\b", re.IGNORECASE)

DECLARED = re.compile(r"(?<!\w)(\w{1,200})\s*(?:\[[^\]]*\]\s*)+(?:\w+\s+)*(?:\w+\s*)?=\s*\{?(.*)$")
LABELLED = re.compile(r"^(?P<label>[^:=]{0,200}[A-Za-z_][^:=]{0,200}?(?::\d+)?)\s*[:=]\s*(?P<rest>.*)$")
"""A label may end as TensorFlow's names of tensors do, in ``:0``."""

CELL = re.compile(r"^\s*\"?(?P<label>[^,;\"=\t\[{]{0,200}[A-Za-z_][^,;\"=\t\[{]{0,200})\"?\s*[,;\t](?P<rest>.*)$")
NAMED = re.compile(
    r"^[\W_]*(?P<label>(?:t|tensor)[ _#\[]*\d+)\b[\])]*(?:\s+-\s|\s*[-=]?[>|]|(?=\s))(?P<rest>.*)$", re.IGNORECASE
)
"""A tensor's index, and its numbers behind whatever may stand between."""

TOGETHER = re.compile(r"(?<=[\d\])};,])\s+(?=(?:t|tensor[ _]?)\d+\s*(?:\[\d+\]\s*)?[:=])", re.IGNORECASE)
"""Where another tensor, or element, begins in the same line."""

ELEMENT = re.compile(
    rf"^\s*(?P<label>\w[^\[\]():=]*?(?::\d+)?)\s*(?:\[0\])*[\[(]\s*(?P<place>\d{{1,9}})\s*[\])]\s*[:=]\s*"
    rf"(?P<word>{NUMBER.pattern})[\s;,]*$",
    re.IGNORECASE,
)
"""One element of a tensor, by its place in the flat array."""

ITEM = re.compile(
    rf"^\s*(?:-\s+|(?:class|index|idx|element|i)?\s*\[?(?P<place>\d{{1,9}})\]?\s*[:=]\s*)(?P<word>{NUMBER.pattern})[\s;,]*$",
    re.IGNORECASE,
)
"""The same below the tensor's name, or as YAML lists them."""

ENDS = re.compile(r"\bend\b", re.IGNORECASE)
PLACES = {"", "i", "index", "idx", "place", "class"}
"""What the column of places is called in a table whose other columns are tensors."""

PAIRS = re.compile(r"(?:[0-9a-fA-F]{2}[\s:,-]*)+")


@dataclass(eq=False)
class Block:
    """Numbers that belong together: `words` as they stand there, under a `label` ("" without one), from a `line` on.

    `raw` are bytes in hexadecimal, which need no 0x; `crc` is the CRC-32 of all bytes, if the log has it. A label
    `is_guessed` if it is a line before that speaks of the tensor; `by_item`, each number has a line with its place.
    """

    label: str
    line: int
    words: list[str] = field(default_factory=list)
    raw: bytearray = field(default_factory=bytearray)
    crc: int | None = None
    is_guessed: bool = False
    by_item: bool = False

    @property
    def name(self) -> str:
        return f"'{printable(self.label)}'" if self.label else f"the numbers in line {self.line}"


def blocks(text: str) -> list[Block]:
    """All blocks of a log, in order, but those without numbers."""
    reader = _Reader()
    for number, line in enumerate(text.splitlines(), 1):
        for part in TOGETHER.split(_bare(line)):
            if part.strip():
                reader.read(part, number)
    found = [block for block in reader.found if block.words or block.raw or block.crc is not None]
    return [*_counted_up(found)]


def _bare(line: str) -> str:
    """A line without what is put around the numbers."""
    line = PREFIXES.sub("", COLOURS.sub("", line))
    for pattern, instead in AROUND:
        line = pattern.sub(instead, line)
    return REPEATS.sub(lambda match: ", ".join([match[1]] * int(match[2])), line)


def _dumped(match: re.Match[str]) -> str:
    """A line of a hexadecimal dump without the characters, with an address."""
    return f"{(match[1] or '0000').strip()} {' '.join(match[2].split())}"


class _Reader:
    """The blocks that were found so far, the current one, and what the line before may call the next."""

    def __init__(self) -> None:
        self.found: list[Block] = []
        self.current: Block | None = None
        self.heading: str | None = None
        self.by_element: dict[str, Block] = {}
        self.columns: list[Block | None] = []

    def read(self, line: str, number: int) -> None:
        """One line, or what of it is of one tensor."""
        heading, self.heading = self.heading, None
        done = self._crc(line, number) or self._object(line, number) or self._row(line) or self._columns(line, number)
        if done or self._element(line, number) or self._item(line, heading, number):
            return
        label, rest = _parted(line)
        if label is None and not _numbers(rest) and not _bytes(rest):
            self.current, tensors = None, TENSOR.findall(line)
            self.heading = f"t{tensors[0]}" if len(tensors) == 1 and not ENDS.search(line) else None
            return
        if label is not None or self.current is None:
            self._begin(label or heading or "", number).is_guessed = label is None
        self._add(rest)

    def _begin(self, label: str, number: int, crc: int | None = None) -> Block:
        self.current = Block(label, number, crc=crc)
        self.found.append(self.current)
        return self.current

    def _add(self, rest: str) -> None:
        assert self.current is not None
        if raw := _bytes(rest):
            self.current.raw += raw
        else:
            self.current.words += NUMBER.findall(rest)
        if "}" in rest:
            self.current = None

    def _crc(self, line: str, number: int) -> bool:
        proof = CRC.search(line)
        of = proof and (TENSOR.search(line, 0, proof.start()) or OPERATOR.search(line, 0, proof.start()))
        if proof and of:
            self._begin(f"{'t' if of.re is TENSOR else 'operator '}{int(of[1])}", number, int(proof[1], 16))
        return bool(of)

    def _object(self, line: str, number: int) -> bool:
        """An object of JSON, or as Python prints it, with several tensors in one line."""
        text = line.strip()
        if not (text.startswith("{") and text.endswith("}") and ":" in text):
            return False
        with suppress(ValueError, RecursionError):
            held = json.loads(re.sub(r"([{,]\s*)(\d+)\s*:", r'\1"\2":', text.replace("'", '"')))
            for label, values in held.items():
                self._begin(label, number).words += NUMBER.findall(json.dumps(values))
            self.current = None
            return True
        return False

    def _columns(self, line: str, number: int) -> bool:
        """The heading of a table, each of whose columns is a tensor."""
        cells = [cell.strip("\" '") for cell in re.split(r"[,;\t|]", line.strip())]
        tensors = [TENSOR.fullmatch(cell) for cell in cells]
        if len(cells) < 2 or not any(tensors):
            return False
        if not all(tensor or cell.lower() in PLACES for cell, tensor in zip(cells, tensors, strict=True)):
            return False
        self.columns = [Block(cell, number) if tensor else None for cell, tensor in zip(cells, tensors, strict=True)]
        self.found += filter(None, self.columns)
        return True

    def _row(self, line: str) -> bool:
        words = NUMBER.findall(line) if self.columns and _numbers(line) else []
        if len(words) != len(self.columns):
            self.columns = []
        for block, word in zip(self.columns, words, strict=False):
            if block:
                block.words.append(word)
        return bool(self.columns)

    def _element(self, line: str, number: int) -> bool:
        if element := ELEMENT.match(line):
            label, place, self.current = element["label"], int(element["place"]), None
            if place == 0 or label not in self.by_element:
                self.by_element[label] = Block(label, number)
                self.found.append(self.by_element[label])
            if place == len(self.by_element[label].words):  # else a line is lost, and the block stays too short
                self.by_element[label].words.append(element["word"])
        return bool(element)

    def _item(self, line: str, heading: str | None, number: int) -> bool:
        """An element below its tensor's name, which the line before, or a block without numbers yet, has."""
        item = ITEM.match(line)
        if not item or (item["place"] is None and self.current is None and heading is None):
            return False
        if self.current is None:
            if heading is None or item["place"] not in (None, "0"):
                return False
            self._begin(heading, number).is_guessed = True
        assert self.current is not None
        fits = item["place"] is None or int(item["place"]) == len(self.current.words)
        if self.current.raw or not fits or not (self.current.by_item or not self.current.words):
            return False
        self.current.by_item = True
        self.current.words.append(item["word"])
        return True


def _counted_up(found: list[Block]) -> Iterator[Block]:
    """The blocks; of several lines ``name, place, value`` that count up from 0, one."""
    by_label: dict[str, list[Block]] = {}
    for block in found:
        by_label.setdefault(block.label, []).append(block)
    counting = {
        label: each
        for label, each in by_label.items()
        if label and len(each) > 2 and [b.words[:-1] for b in each] == [[str(i)] for i in range(len(each))]
    }
    for block in found:
        each = counting.get(block.label)
        if each is None:
            yield block
        elif block is each[0]:
            yield Block(block.label, block.line, [one.words[1] for one in each])


def _parted(line: str) -> tuple[str | None, str]:
    """(what the line calls the numbers that follow, None if nothing, what it holds of them)."""
    for form in (DECLARED, LABELLED, CELL, NAMED):
        match = form.search(line) if form is DECLARED else form.match(line)
        if match and not DUMPED.match(line):
            label, rest = match[1], match[2]
            if form is DECLARED and label.lower().endswith("tensor"):  # tensor[24] = {
                continue
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
    if block.is_guessed:
        tensor = names(block.label)
        return (tensor, "") if tensor and _fits(tensor, block) else _by_size(plan, block)
    if tensor := names(block.label):
        return tensor, ""
    if match := END.fullmatch(re.sub(r"(?:->|\.)data(?:\.\w+)?$|\[\d+\.\.+\d+\]$", "", block.label)):
        word, place = match[1].lower(), int(match[2] or 0)
        tensors = plan.outputs if word == "output" else plan.inputs
        if place < len(tensors):
            which = f" {place}" if len(tensors) > 1 else ""
            return tensors[place], f"{block.name} was taken for the model's {word}{which}"
    for spelling in _spellings(block.label):
        if tensor := names(spelling):
            return tensor, ""
    if match := OPERATOR.search(block.label):
        steps = {step.index: step for step in plan.steps}
        if step := steps.get(int(match.group(1))):
            return step.outputs[0], f"{block.name} was taken for the output of {step}"
    return _by_size(plan, block)


END = re.compile(
    r"(?:model[ _]*)?(input|output)s?(?:[ _]*(?:tensor|data|values))?(?:[ _]*[\[(#]?(\d{1,3})[\])]?)?", re.IGNORECASE
)
"""What the model's own inputs and outputs are called."""


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
