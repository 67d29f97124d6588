"""Tensors in text, as firmware prints them: by `printf`, as C arrays, as CSV or JSON, by `xxd`, `hexdump` or gdb.

A log is read line by line. What names a tensor (``t24:``, ``int8_t t24[10] = {``, ``operator 3 output =``, a first cell
of CSV) begins a block of numbers, which goes on over lines that hold numbers only; any other line ends it, and names
the numbers that follow it at once if it speaks of one tensor (``--- t24 ---``). A line for each element (``t24[3] =
41``) is the other way: what stands between such lines does not matter. Below a name they may do with their places
(``3: 41``). What numbers mean that can be read in several ways, the length of their tensor decides, at the end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from math import prod

import numpy as np

from ..errors import InputError
from ..model import Array, Tensor
from ..plan import Plan
from ..tensors.arrays import FOUND
from ..text import printable
from . import hexdumps, loglines
from .loglines import BARE, NUMBER, OPERATOR, TENSOR

CRC = re.compile(r"\bcrc(?:-?32)?\W{0,3}(?:0x)?([0-9a-f]{8})\b", re.IGNORECASE)
"""The CRC-32 of what its line names; the bytes may follow, or stand before."""

READS = re.compile(r"\breads\s*$", re.IGNORECASE)
"""What stands before a tensor that is told before its operator runs."""

TOGETHER = re.compile(r"(?<=[\d\])};,])\s+(?=(?:t|tensor[ _]?)\d+\s*(?:\[\d+\]\s*)?[:=])", re.IGNORECASE)
"""Where another tensor, or element, begins in the same line."""

VALUE = rf"(?P<word>{NUMBER.pattern})[\s;,]*(?:\(.*\))?[\s;,]*$"
ELEMENT = re.compile(
    r"^\s*(?P<label>[^\W\d][^\[\]():=]*?(?::\d+)?)(?P<places>(?:\s*[\[(]\s*\d{1,9}(?:\s*,\s*\d{1,9})*\s*[\])])+|"
    rf"\s+(?:i|idx|index|place)\s*[:=]?\s*\d{{1,9}},?\s*(?:v|val|value)?)(?:\s*[:=]\s*|\s+){VALUE}",
    re.IGNORECASE,
)
"""One element of a tensor, by its place in it."""

ITEM = re.compile(
    rf"^\s*(?:-\s+|(?:class|index|idx|element|i)?\s*[\[#]?(?P<place>\d{{1,9}})\]?\s*[:=]\s*){VALUE}", re.IGNORECASE
)
"""The same below the tensor's name, or as YAML lists them."""

ROW = re.compile(r"^\s*[+\[]?(?P<place>(?:0x)?[\da-fA-F]{1,9})\]?\s*[:|](?P<rest>[^:|]*)$")
"""Several elements below the tensor's name, behind the place of the first."""

PART = re.compile(r"^(?P<label>.*?)\s*[\[(](?P<place>\d{1,9})(?:\s*(?:\.\.+|[:-])\s*\d{1,9})?[\])]$")
"""A tensor's name and the place of the first element that follows, perhaps of the last one."""

PLACES = {"", "i", "index", "idx", "place", "class"}
"""What the column of places is called in a table whose other columns are tensors."""

VALUES = {"data", "values", "value", "content", "contents", "bytes"}
"""What the elements are called where their tensor was told before."""

ABOUT = re.compile(r"_(?:len|length|size|count|scale|zero_point)$")
"""Names of variables that are about an array."""

LONGEST = 1 << 26
"""More equal bytes than that no dump stands for."""


@dataclass(eq=False)
class Block:
    """Numbers that belong together: `words` as they stand there, under a `label` ("" without one), from a `line` on.

    `raw` are the bytes of a dump, which begins at `address`, and `swapped` those of its words turned around, which it
    is if it `is_swapped`; `crc` is the CRC-32 of all bytes, if the log has it. A label `is_guessed` if it is a line
    before that speaks of the tensor. `by_item`, each number has a line with its place, of which `place` is the last;
    `is_cut`, dots stand for some; `in_hexadecimal`, letters elsewhere in the log tell that digits are hexadecimal.
    `last` is the last line. What `is_read` is there before an operator runs, else after it.
    """

    label: str
    line: int
    words: list[str] = field(default_factory=list)
    raw: bytearray = field(default_factory=bytearray)
    swapped: bytearray = field(default_factory=bytearray)
    is_swapped: bool = False
    crc: int | None = None
    is_guessed: bool = False
    by_item: bool = False
    is_cut: bool = False
    in_hexadecimal: bool = False
    address: int | None = None
    place: tuple[int, ...] = ()
    last: int = 0
    is_read: bool = False

    @property
    def name(self) -> str:
        return f"'{printable(self.label)}'" if self.label else f"the numbers in line {self.line}"

    @property
    def is_hexadecimal(self) -> bool:
        """Whether its words are hexadecimal without saying so."""
        tells = loglines.tells(self.words) or (self.in_hexadecimal and loglines.are_bytes(self.words))
        return tells and all(BARE.fullmatch(word) for word in self.words)


def blocks(text: str) -> list[Block]:
    """All blocks of a log, in order, but those without numbers."""
    reader, at, end = _Reader(), 0, 0
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        start, at = at, at + len(line)
        if start < end:
            continue
        if line[:1] in ("{", "["):
            held, end = loglines.held_over_lines(text, start)
            reader.held(held, number)
            if held:
                continue
        line = loglines.PREFIXES.sub("", loglines.CONTROLS.sub("", line.rstrip("\r\n")))
        if reader.dump(line, number):
            continue
        for part in TOGETHER.split(loglines.bare(line)):
            if part.strip():
                reader.read(part, number)
    found = [block for block in reader.found if block.words or block.raw or block.crc is not None]
    in_hexadecimal = any(block.is_hexadecimal for block in found)
    for block in found:
        block.in_hexadecimal = in_hexadecimal
    return [*_counted_up(found)]


class _Reader:
    """The blocks that were found so far, the current one, and what the line before may call the next."""

    def __init__(self) -> None:
        self.found: list[Block] = []
        self.current: Block | None = None
        self.heading: str | None = None
        self.by_label: dict[str, Block] = {}
        self.columns: list[Block | None] = []
        self.repeats = False

    def dump(self, line: str, number: int) -> bool:
        """A line of a hexadecimal dump, of what stands before it or of nobody."""
        if self.current and self.current.raw:
            if line.strip() == "*":
                self.repeats = True
                return True
            if end := hexdumps.END.match(line):
                self._repeat(int(end[1], 16))
                self.current = None
                return True
        dumped = hexdumps.read_line(line)
        if dumped is None or (self.current and self.current.words):
            return False
        block = self._under(self.heading, number)
        self.heading = None
        if not block.raw:
            block.address = dumped.address
        self._repeat(dumped.address)
        block.is_swapped |= dumped.is_swapped and (dumped.has_characters or not block.raw)
        block.raw += dumped.data
        block.swapped += dumped.swapped
        return True

    def _repeat(self, address: int | None) -> None:
        """Fills what a line of one asterisk stood for, as `hexdump` writes it, up to an address."""
        assert self.current is not None
        if self.repeats and address is not None and self.current.address is not None:
            missing = address - self.current.address - len(self.current.raw)
            for data in (self.current.raw, self.current.swapped) if 0 < missing <= LONGEST else ():
                data += (data[-16:] * (missing // len(data[-16:]) + 1))[:missing]
        self.repeats = False

    def read(self, line: str, number: int) -> None:
        """One line, or what of it is of one tensor."""
        heading, self.heading = self.heading, None
        if line.strip() == "*" and self.current:
            self.current.is_cut = True
            return
        done = self._crc(line, number) or self._object(line, number) or self._row(line) or self._columns(line, number)
        if (
            done
            or self._element(line, number)
            or self._item(line, heading, number)
            or self._part(line, heading, number)
        ):
            return
        label, rest = loglines.parted(line)
        if label is None and not loglines.numbers(rest):
            kept = heading if loglines.PROMPT.match(line) else None
            self.current, self.heading = None, loglines.heading(line) or kept
            if loose := loglines.loose(line):
                self._begin(loose[0], number).is_guessed = True
                self._close(loose[1])
            return
        if label is not None and label.strip("\"' ").lower() in VALUES and heading:
            label = heading
        if label is None:
            self._under(heading, number)
        elif not self._goes_on(label):
            self._begin(label, number)
        self._add(rest, number)

    def _begin(self, label: str, number: int, crc: int | None = None) -> Block:
        self.current = Block(label, number, crc=crc)
        part = PART.match(label)
        self.by_label[part["label"] if part else label] = self.current
        self.found.append(self.current)
        return self.current

    def _under(self, heading: str | None, number: int) -> Block:
        """The block that a line without a label belongs to."""
        if self.current is None:
            self._begin(heading or "", number).is_guessed = True
        assert self.current is not None
        return self.current

    def _goes_on(self, label: str) -> bool:
        """Whether a label is of a tensor's part, behind the one that was read last."""
        part = PART.match(label)
        block = self.by_label.get(part["label"]) if part else None
        if part and block and int(part["place"]) == len(block.words) > 1:
            self.current = block
            return True
        return False

    def _add(self, rest: str, number: int) -> None:
        assert self.current is not None
        self.current.words += loglines.numbers(rest)
        self.current.is_cut |= loglines.CUT.search(rest) is not None
        self.current.last = number
        if "}" in rest:
            self.current = None

    def _close(self, words: list[str]) -> None:
        assert self.current is not None
        self.current.words += words
        self.current = None

    def _crc(self, line: str, number: int) -> bool:
        proof = CRC.search(line)
        of = proof and (TENSOR.search(line, 0, proof.start()) or OPERATOR.search(line, 0, proof.start()))
        if proof and of:
            block = self._begin(f"{'t' if of.re is TENSOR else 'operator '}{int(of[1])}", number, int(proof[1], 16))
            block.is_read = READS.search(line, 0, of.start()) is not None
            block.words += loglines.numbers(line[of.end() : proof.start()].lstrip("\"']) :="))
        return bool(of)

    def _object(self, line: str, number: int) -> bool:
        """An object of JSON, or as Python prints it, with several tensors in one line."""
        start, end = line.find("{"), line.rfind("}")
        held = [*loglines.held(line[start : end + 1])] if start >= 0 and ":" in line[start:end] else []
        self.held(held, number)
        return bool(held)

    def held(self, held: Iterable[tuple[str, list[str]]], number: int) -> None:
        """Labels and their numbers, which go on nowhere."""
        for label, words in held:
            self._begin(label, number)
            self._close(words)

    def _columns(self, line: str, number: int) -> bool:
        """The heading of a table, each of whose columns is a tensor."""
        cells = [cell.strip("\" '") for cell in re.split(r"[,;\t|]", line.strip())]
        tensors = [TENSOR.fullmatch(cell) for cell in cells]
        if len(cells) < 2 or not any(tensors):
            return False
        if not all(tensor or cell.lower() in PLACES for cell, tensor in zip(cells, tensors, strict=True)):
            return False
        self.current = None
        self.columns = [Block(cell, number) if tensor else None for cell, tensor in zip(cells, tensors, strict=True)]
        self.found += filter(None, self.columns)
        return True

    def _row(self, line: str) -> bool:
        words = loglines.numbers(line) if self.columns else []
        if len(words) != len(self.columns):
            self.columns = []
        for block, word in zip(self.columns, words, strict=False):
            if block:
                block.words.append(word)
        return bool(self.columns)

    def _element(self, line: str, number: int) -> bool:
        element = ELEMENT.match(line)
        if not element:
            return False
        label, place = element["label"], tuple(map(int, re.findall(r"\d+", element["places"])))
        if label.lower() in ("t", "tensor", "tensors"):
            label, place = f"t{place[0]}", place[1:]
        if not place:
            return False
        self.current = None
        if not any(place) or label not in self.by_label:
            self.found.append(Block(label, number, by_item=True))
            self.by_label[label] = self.found[-1]
        block = self.by_label[label]
        if not any(place) or _follows(block.place, place):  # else a line is lost, and the block stays too short
            block.words.append(element["word"])
            block.place = place
        return True

    def _item(self, line: str, heading: str | None, number: int) -> bool:
        """An element below its tensor's name, which the line before, or a block without numbers yet, has."""
        item = ITEM.match(line)
        if not item or (self.current is None and (heading is None or item["place"] not in (None, "0"))):
            return False
        block = self._under(heading, number)
        fits = item["place"] is None or int(item["place"]) == len(block.words)
        if block.raw or not fits or not (block.by_item or not block.words):
            return False
        block.by_item = True
        block.words.append(item["word"])
        return True

    def _part(self, line: str, heading: str | None, number: int) -> bool:
        """Several elements below their tensor's name, behind the place of the first."""
        row = ROW.match(line)
        if not row or not (self.current or heading) or not loglines.numbers(row["rest"]):
            return False
        count = len(self.current.words) if self.current else 0
        if count not in (int(row["place"], 16), int(row["place"]) if row["place"].isdecimal() else None):
            return False
        self._under(heading, number)
        self._add(row["rest"], number)
        return True


def _follows(last: tuple[int, ...], place: tuple[int, ...]) -> bool:
    """Whether it may be the next place: one index counts one up, and those behind it begin anew."""
    at = next((i for i, (a, b) in enumerate(zip(last, place, strict=False)) if a != b), None)
    return len(last) == len(place) and at is not None and place[at] == last[at] + 1 and not any(place[at + 1 :])


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


def tensors_of(plan: Plan, text: str, names: Callable[[str], Tensor | None], sample: int = 0) -> Reading:
    """What a log holds of the model's tensors; of those that it holds several times, the `sample`-th.

    `names` knows tensors by what dumps call them. Raises `InputError` if there are not so many samples.
    """
    reading, seen = Reading({}, [], []), dict[tuple[int, bool], int]()
    for block, tensor, why in _whole((block, *_tensor_of(plan, block, names)) for block in blocks(text)):
        if tensor is None:
            reading.left_out.extend([why] if why else [])
            continue
        if block.is_cut:
            reading.left_out.append(
                f"left out: {block.name}, where dots or an asterisk stand for elements; print all of them"
            )
            continue
        is_found = block.is_read and tensor.is_variable
        if block.is_read and not is_found and tensor not in plan.inputs:
            continue  # the outputs of other operators
        seen[tensor.index, is_found] = seen.get((tensor.index, is_found), 0) + 1
        if seen[tensor.index, is_found] != sample + 1:
            continue
        name = f"t{tensor.index}"
        if block.crc is not None and is_found:
            reading.found_crcs[name] = block.crc
        elif block.crc is not None:
            reading.crcs[tensor.index] = block.crc
        if block.words or block.raw:
            reading.arrays[f"{FOUND}{name}" if is_found else name] = _values(tensor, block)
            reading.notes.extend([why] if why else [])
            if loglines.are_bytes(block.words) and not block.is_hexadecimal and len(block.words) >= loglines.FEW:
                reading.notes.append(f"{block.name} was read as decimal numbers; hexadecimal ones need 0x here")
    samples = max(seen.values(), default=0)
    if sample >= max(1, samples):
        raise InputError(f"there is no sample {sample}; the log's last one, counted from 0, is {max(1, samples) - 1}")
    if samples > 1:
        reading.notes.append(f"the log holds {samples} samples; this is sample {sample} (choose by --sample)")
    return reading


def unread(text: str, names: Callable[[str], Tensor | None]) -> str:
    """Why a log in which nothing was read holds nothing that can be."""
    for number, line in enumerate(text.splitlines(), 1):
        if (match := TENSOR.search(line)) and (tensor := names(match[1])):
            name = f"t{tensor.index}"
            return f"line {number} speaks of {name}, and no numbers that can be read follow: print it as {name}: 1 2 3"
    return "nothing in it is called like one (t14, its name, operator 3), or as long as one"


@dataclass(frozen=True)
class Reading:
    """`arrays` by ``t`` and the tensor's index, behind ``found`` those of variable tensors before the inference; `crcs`
    by the index, `found_crcs` by the name. `notes` say what was taken for what, `left_out` what might be one's."""

    arrays: dict[str, Array | bytes]
    notes: list[str]
    left_out: list[str]
    crcs: dict[int, int] = field(default_factory=dict)
    found_crcs: dict[str, int] = field(default_factory=dict)


def _whole(found: Iterable[tuple[Block, Tensor | None, str]]) -> Iterator[tuple[Block, Tensor | None, str]]:
    """The same, where lines that follow each other and name one tensor are one block, if that is whole."""
    parts: list[tuple[Block, Tensor | None, str]] = []
    for block, tensor, why in found:
        follows = parts and tensor and parts[-1][1] is tensor and parts[-1][0].last + 1 == block.line
        if not follows or block.raw or block.crc is not None:
            yield from parts
            parts = []
        parts.append((block, tensor, why))
        joined = Block(parts[0][0].label, parts[0][0].line, [word for part, _, _ in parts for word in part.words])
        if tensor and len(parts) > 1 and _fits(tensor, joined) and not _fits(tensor, block):
            yield joined, tensor, why
            parts = []
    yield from parts


def _tensor_of(plan: Plan, block: Block, names: Callable[[str], Tensor | None]) -> tuple[Tensor | None, str]:
    """(the tensor whose numbers these are, a note), or (None, why nobody knows which it is)."""
    if other := _other_operator(plan, block.label):
        return None, f"left out: {block.name}, as {other}; count operators as the model does (model_steps[i].index)"
    tensor, note = _called(plan, block, names)
    if tensor is None:
        return _by_size(plan, block)
    if block.is_guessed and not block.is_cut and not _fits(tensor, block):
        count = f"{len(block.raw)} bytes" if block.raw else f"{len(block.words)} numbers"
        size = prod(tensor.shape)
        return None, f"left out: the {count} in line {block.line}, as t{tensor.index} has {size} elements"
    return tensor, note


def _other_operator(plan: Plan, label: str) -> str:
    """Which operator has the number that a label tells, if it tells the name of another as well; else ""."""
    match = OPERATOR.search(label)
    step = next((step for step in plan.steps if match and step.index == int(match[1])), None)
    told = {step.name for step in plan.steps} & set(re.findall(r"[A-Z][A-Z0-9_]+", label))
    return f"operator {step.index} is {step.name}" if step and told and step.name not in told else ""


def _called(plan: Plan, block: Block, names: Callable[[str], Tensor | None]) -> tuple[Tensor | None, str]:
    """(the tensor that a block's label means, a note if that is not its name)."""
    if ABOUT.search(block.label):
        return None, ""
    *_, last = re.split(r"[:=|>\])]\s+", block.label)
    for label in (block.label, last):
        if tensor := names(label):
            return tensor, ""
        if end := loglines.end_of(label):
            ends = plan.outputs if end[0] == "out" else plan.inputs
            if end[1] < len(ends):
                which = f" {end[1]}" if len(ends) > 1 else ""
                return ends[end[1]], f"{block.name} was taken for the model's {end[0]}put{which}"
        for spelling in _spellings(label):
            if tensor := names(spelling):
                return tensor, ""
        if match := OPERATOR.search(label):
            steps = {step.index: step for step in plan.steps}
            if step := steps.get(int(match[1])):
                return step.outputs[0], f"{block.name} was taken for the output of {step}"
    return None, ""


def _spellings(label: str) -> Iterator[str]:
    """What a label may mean."""
    bare = re.sub(r"\s*[(\[].*?[)\]]", "", label).strip("'\"* \t")
    *before, last = bare.split() or [""]
    yield from (label, bare, "" if before and last.isdecimal() else last)  # a number behind a word is that word's
    if match := TENSOR.search(label):
        yield match.group(1)


def _by_size(plan: Plan, block: Block) -> tuple[Tensor | None, str]:
    """The only tensor that such numbers may be of."""
    computed = [t for t in plan.graph.tensors if t.data is None and _fits(t, block)]
    if len(block.raw or block.words) < loglines.FEW or not computed:
        return None, ""
    if len(computed) == 1:
        (tensor,) = computed
        return tensor, f"{block.name} was taken for tensor {tensor.index} '{tensor.name}': no other one is so long"
    known = ", ".join(f"t{t.index}" for t in computed[:6]) + (" …" if len(computed) > 6 else "")
    return None, f"left out: {block.name}, which may be several tensors'; call it one of {known}"


def _fits(tensor: Tensor, block: Block) -> bool:
    return any(fits for fits, _ in _readings(tensor, block))


def _readings(tensor: Tensor, block: Block) -> Iterator[tuple[bool, Callable[[], Array | bytes]]]:
    """What a block may hold, as (whether it is as long as the tensor, the numbers or the bytes), likeliest first."""
    size, width, words = prod(tensor.shape), _width(tensor), block.words
    if block.raw:
        yield len(block.raw) == size * width, lambda: bytes(block.swapped if block.is_swapped else block.raw)
        return
    if block.is_hexadecimal:
        digits = "".join(words)
        words = [f"0x{word}" for word in words]
        if len(words) != size and len(digits) % 2 == 0:
            yield len(digits) == 2 * size * width, lambda: bytes.fromhex(digits)
    if len(words) == 1 and words[0][:2].lower() == "0x" and len(words[0]) == 2 + 2 * size * width and size > 1:
        yield True, lambda: bytes.fromhex(words[0][2:])
    yield len(words) in (size, size * width), lambda: _array(tensor, words)
    if len(words) == 2 * size and words[::2] == [*map(str, range(size))]:  # each behind its place
        yield True, lambda: _array(tensor, words[1::2])
    front = words[: max(0, len(words) - size)]
    if front and front in ([str(size)], [*map(str, tensor.shape)], [str(len(tensor.shape)), *map(str, tensor.shape)]):
        yield True, lambda: _array(tensor, words[len(front) :])
    if len(words) * 4 == size * width and all(re.fullmatch("0x[0-9a-fA-F]{8}", word) for word in words):  # gdb's x/xw
        yield True, lambda: b"".join(int(word, 16).to_bytes(4, "little") for word in words)


def _width(tensor: Tensor) -> int:
    return np.dtype(tensor.dtype).itemsize


DIGITS = 64
"""No number of a tensor is printed with more."""


def _values(tensor: Tensor, block: Block) -> Array | bytes:
    """The numbers of a block as an array that a dump may hold of the tensor, or as its bytes."""
    readings = [*_readings(tensor, block)]
    return next((read for fits, read in readings if fits), readings[0][1])()


BASES = {"0x": 16, "0b": 2}


def _array(tensor: Tensor, words: list[str]) -> Array | bytes:
    words = [word.rstrip("uUlL") for word in words]
    if (longest := max(map(len, words))) > DIGITS:
        raise InputError(f"tensor {tensor.index}: a number of {longest} digits is no tensor's")
    bases = [BASES.get(word.lstrip("+-")[:2].lower(), 10) for word in words]
    decimal = [word for word, base in zip(words, bases, strict=True) if base == 10]
    floating = any(re.search(r"[.eE]|nan|inf", word, re.IGNORECASE) for word in decimal)
    if floating or (tensor.dtype == "float32" and decimal):
        return np.array([float(word.rstrip("fF")) for word in words], np.float32 if tensor.dtype == "float32" else None)
    numbers = [int(word, base) for word, base in zip(words, bases, strict=True)]
    width = _width(tensor)
    if not decimal:
        numbers = _narrowed(numbers, 8 * width)
    least, most = min(numbers), max(numbers)
    if least >= 0 and most < 256 and width > 1 and len(numbers) == prod(tensor.shape) * width:
        return bytes(numbers)
    if not decimal and least >= 0 and most < 256**width:  # bits
        bits = np.array(numbers, f"u{width}")
        return bits.view(np.float32) if tensor.dtype == "float32" else bits
    if least >= 0 and most > 127 and most < 256 and tensor.dtype == "int8":
        return np.array(numbers, np.uint8)
    dtype = np.dtype(tensor.dtype)
    bounds = np.iinfo(dtype) if dtype.kind in "iu" else np.iinfo(np.uint8)
    return np.array(numbers, dtype if bounds.min <= least and most <= bounds.max else np.float64)


def _narrowed(numbers: list[int], bits: int) -> list[int]:
    """Numbers of so many bits that `printf` showed as an int's, with the sign in front: ``fffffff8`` is -8's ``f8``."""
    for wide in (32, 64):
        signed = [number - (1 << wide) if number >> (wide - 1) == 1 else number for number in numbers]
        if bits < wide and min(signed) < 0 and -min(signed) <= 1 << (bits - 1) > max(signed):
            return [number % (1 << bits) for number in signed]
    return numbers
