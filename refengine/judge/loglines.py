"""What one line of a log says: of which tensor it is, and the numbers, without what stands around them.

Loggers' time stamps and levels, debuggers' and languages' brackets, comments and colours mean nothing here; what a
tensor is called may stand behind anything that ends in punctuation.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import takewhile

NUMBER = re.compile(
    r"[-+]?(?:0x[0-9a-f]+[ul]*|0b[01]+|(?:\d+\.\d*|\.\d+)(?:e[-+]?\d+)?(?:[fl]\b)?|\d+(?:e[-+]?\d+)?(?:[ul]+\b)?|"
    r"nan|inf(?:inity)?)",
    re.IGNORECASE,
)
SEPARATORS = r"[\s,;|()\[\]{}]"
BETWEEN = re.compile(f"{SEPARATORS}*")
BARE = re.compile(r"[0-9a-fA-F]+")
"""A hexadecimal number without 0x, or bytes in a row."""

POWER = re.compile(r"\d+[eE]\d+|0[bB][01]{4,}")
"""A real or binary number that might be hexadecimal."""

FEW = 4
"""Fewer numbers than that are anything that firmware prints, if their label is no tensor's."""

PREFIXES = re.compile(
    r"^(?:\s*(?:\[[\d:., ]+\](?!\s*[:=])|(?:\d{4}-\d\d-\d\d[T ])?\d\d:\d\d:\d\d(?:[.,]\d+)?Z?(?:\s*->)?|"
    r"[EWIDV] \([\d:.]+\) [^:]{1,40}:|<\w{3,7}> [\w.]+:|\d{1,10}:(?=\s+t(?:ensor)?[ _]?\d)|"
    r"\[?(?:TRACE|DEBUG|INFO|WARN(?:ING)?|ERROR)\]?(?:\s*[:-])?(?=\s)))+\s*",
    re.IGNORECASE,
)
"""What loggers put before a line: time stamps, levels, ESP-IDF's level, time and tag, Zephyr's level and module."""

AROUND = [
    (re.compile(pattern, re.IGNORECASE), instead)
    for pattern, instead in (
        (r"//.*$|/\*.*?\*/|\s#\s.*$", ""),  # comments
        (r"\bb'(?:[^'\\]|\\.)*'|\bb\"(?:[^\"\\]|\\.)*\"", lambda match: _literal(match[0])),
        (r"\bbytearray\((.*)\)", r"\1"),
        (r"^\s*(?:\(gdb\)\s*)?\$\d+ = ", ""),  # gdb's print, and its x
        (r"^\s*0x[\da-f]+ <(\w+)>:", r"\1:"),
        (r"^\s*0x[\da-f]{4,16}(?: <\w+\+\d+>)?:(?=\s)", ""),
        (r"^\s*[\da-f]{8}\s+(?=0x|[\da-f]{2},)", ""),
        (r"^\s*0\d{6}(?=\s|$)", ""),  # od's addresses
        (r"(?<=\d) '(?:\\\d{3}|\\.|[^\\])'(?=[,}\s]|$)", ""),  # characters that gdb shows beside numbers
        (
            r"\b(?:np\.|numpy\.|torch\.)?(?:array|tensor)\((?:'\w',\s*)?(?=\[)|,? ?dtype=[\w.']+\)?",
            "",
        ),  # Python's arrays
        (r"\b(?:len|length|size|count)\s*[=:]\s*\d+[,;]?", ""),
        (r"(?<=[\w\]])\s\([^()]*[a-z][^()]*\)\s*$", ""),  # what is said of the line, or its number in other words
        (r"(?:\\x[\da-f]{2})+", lambda match: match[0].replace("\\x", " 0x")),  # bytes in a string
        (r"(?:\\[rn])+[\"']?$", ""),  # a line's end as a string shows it
        (r"(?<![\w$])[$]([\da-f]{2,8})\b", r"0x\1"),  # assemblers' hexadecimal
        (r"(?<![\w])([\da-f]{2,8})h\b", r"0x\1"),
        (r"</\w+>\s*$", ""),
        (r"^\s*([\"'])([^\"']*)\1\s*$", r"\2"),  # a line in quotes
        ("[\u2212\u2013]", "-"),
        ("\uff1a", ":"),
    )
]
"""What languages and debuggers put around numbers, and what stands there for it."""

CONTROLS = re.compile(r"\x1b\[[\d;]*[A-Za-z]|[\x00-\x08\x0e-\x1f]")
"""Colours, and what a serial line adds when it opens."""

REPEATS = re.compile(r"(?<!\w)([-+]?\w{1,64}),? <repeats (\d{1,7}) times>")
"""How gdb shows equal elements."""

CUT = re.compile(r"\.\.\.|…")
"""How NumPy shows what it leaves out of long arrays."""

TYPE = re.compile(r"[\s\[]*(?:u?int\d+(?:_t)?|[iu](?:8|16|32|64)|float\d*)(?!\w)")
"""An element's type, before the elements."""

TENSOR = re.compile(
    r"\b(?:t[ _#\[(]*|tensors?(?:[ _#:=\[(\"']|index|idx|id|no\.|nr\.|number){0,8})(\d+)(?![\dA-Za-z])", re.IGNORECASE
)
OPERATOR = re.compile(r"\b(?:op|operator|layer|node|step)[ _#\[(]*(\d+)(?![\dA-Za-z])", re.IGNORECASE)
FRONT = re.compile(r"[:\]>)|$]\s*$")
"""How anything may end that stands before a tensor's name."""

END = re.compile(
    r"(?:model[ _]*)?(?:\w{1,64}(?:\.|->)){0,4}(in|out)(?:put)?s?(?:[ _]*(?:tensor|data|values))?"
    r"(?:[ _]*[\[(#]?(\d{1,3})[\])]?)?(?:(?:->|\.)data(?:\.\w+)?)?(?:\[[\d.]+\])?(?:@\d+)?",
    re.IGNORECASE,
)
"""What the model's own inputs and outputs are called."""

DECLARED = re.compile(r"(?<!\w)(\w{1,200})\s*(?:\[[^\]]*\]\s*)+(?:\w+\s+)*(?:\w+\s*)?=\s*\{?(.*)$")
LABELLED = re.compile(r"^(?P<label>[^:=]{0,200}[A-Za-z_][^:=]{0,200}?(?::\d+)?)\s*[:=]\s*(?P<rest>.*)$")
"""A label may end as TensorFlow's names of tensors do, in ``:0``."""

LAST = re.compile(r"^(?P<label>[^A-Za-z_]{0,200}[A-Za-z_].{0,400})[:=](?P<rest>[^:=]*)$")
"""The same, where other colons and signs stand before."""

CELL = re.compile(r"^\s*\"?(?P<label>[^,;\"=\t\[{]{0,200}[A-Za-z_][^,;\"=\t\[{]{0,200})\"?\s*[,;\t](?P<rest>.*)$")
NAMED = re.compile(
    r"^[\W_]*(?P<label>(?:t|tensor)[ _#\[]*\d+)\b[\])]*(?:\s+-\s|\s*[-=]?[>|]|(?=[\s{]))(?P<rest>.*)$", re.IGNORECASE
)
"""A tensor's index, and its numbers behind whatever may stand between."""

TOLD = re.compile(r"^\W*tensor\W*(?:index|idx|id|no|nr|number)?\W*\d+\W*$", re.IGNORECASE)
"""A tensor's index, where its numbers could stand."""

ENDS = re.compile(r"\bend\b", re.IGNORECASE)
PAIRS = re.compile(r"(?:[0-9a-fA-F]{2}[\s:,-]*)+")

SHAPES = {"shape", "dims", "shape_signature"}
KEYS = {
    "tensor": "t", "index": "t", "tensor_index": "t", "id": "t", "name": "", "operator": "operator ", "op": "operator ",
}  # fmt: skip
"""How an object of JSON may say of which tensor its one list is, and what stands before the number."""


def bare(line: str) -> str:
    """A line without what is put around the numbers, and without what stands before a tensor's name."""
    if line.startswith(("b'", 'b"')):  # a line as Python shows its bytes
        with suppress(ValueError, SyntaxError):
            line = PREFIXES.sub("", ast.literal_eval(line.strip()).decode(errors="replace"))
    for pattern, instead in AROUND:
        line = pattern.sub(instead, line)
    tensor = TENSOR.search(line)
    if tensor and FRONT.search(line, max(0, tensor.start() - 40), tensor.start()) and "{" not in line[: tensor.start()]:
        line = line[tensor.start() :]
    return REPEATS.sub(lambda match: ", ".join([match[1]] * int(match[2])), line)


def _literal(text: str) -> str:
    """Python's bytes, as numbers."""
    with suppress(ValueError, SyntaxError):
        return " ".join(map(hex, ast.literal_eval(text)))
    return text


def numbers(text: str) -> list[str]:
    """The numbers of a text that holds numbers alone, as they stand there; else none.

    Hexadecimal ones need no 0x where a letter tells, and bytes may stand in a row, which is one of them then.
    """
    if kind := TYPE.match(text):
        text = text[kind.end() :]
    text = CUT.sub(" ", text)
    if _is_plain(text):
        return NUMBER.findall(text)
    words = _words(text)
    short = all(BARE.fullmatch(word) and len(word) <= 16 for word in words)
    if are_bytes(words) or (short and len(words) >= FEW and tells(words) and re.search(r"\d", text)):
        return words
    digits = re.sub(r"[\s:,-]", "", text)
    if len(digits) % 2 == 0 and tells([digits]) and PAIRS.fullmatch(text.strip()):
        return words if all(map(BARE.fullmatch, words)) else [digits]
    return []


def _is_plain(text: str) -> bool:
    """Whether it is nothing but numbers, of which hexadecimal ones say so."""
    return BETWEEN.fullmatch(NUMBER.sub("", text)) is not None


def _words(text: str) -> list[str]:
    return [word for word in re.split(f"{SEPARATORS}+", text) if word]


def are_bytes(words: list[str]) -> bool:
    """Whether they are two hexadecimal digits each."""
    return bool(words) and all(len(word) == 2 and BARE.fullmatch(word) for word in words)


def tells(words: list[str]) -> bool:
    """Whether a word can be hexadecimal only."""
    return any(re.search(r"[a-fA-F]", word) and BARE.fullmatch(word) and not POWER.fullmatch(word) for word in words)


def parted(line: str) -> tuple[str | None, str]:
    """(what the line calls the numbers that follow, None if nothing, what it holds of them)."""
    if TOLD.match(line) or _is_plain(line) or are_bytes(_words(line)):
        return None, line
    for form in (DECLARED, LABELLED, LAST, CELL, NAMED):
        match = form.search(line) if form is DECLARED else form.match(line)
        if not match:
            continue
        label, rest = match[1], match[2]
        if form is DECLARED and (
            label.lower() in ("t", "tensor", "tensors") or TYPE.fullmatch(label)
        ):  # tensor[24] = {
            continue
        words = numbers(rest)
        if form is LAST and rest.strip() and len(words) < 2 and re.search("[:=]", label):
            continue  # the last of several things that are said of it
        if words or not rest.strip() or rest.strip() in ("{", "["):
            return label.strip(), rest
    return None, line


def heading(line: str) -> str | None:
    """Of what a line without numbers speaks, if it is one tensor, one operator, or one of the model's ends."""
    tensors, operators = TENSOR.findall(line), OPERATOR.findall(line)
    if ENDS.search(line) or len(tensors) > 1:
        return None
    if tensors or len(operators) == 1:
        return f"t{tensors[0]}" if tensors else line.strip()
    said = re.sub(r"^\s*\(gdb\)\s*\w+(?:/\w+)?\s+\*?", "", line).strip(" -=#*:<>")
    return said if end_of(said) else None


def end_of(label: str) -> tuple[str, int] | None:
    """("in" or "out", which of them), if a label means one of the model's own inputs and outputs."""
    label = label.strip("\"' ")
    match = END.fullmatch(label) or END.fullmatch(re.sub(r"\s*[(\[][^()\[\]]*[)\]]$", "", label))
    return (match[1].lower(), int(match[2] or 0)) if match else None


PROMPT = re.compile(r"\s*(?:\(gdb\)|J-Link>|=>|>+|\$)\s*\S")
"""A command that somebody typed; it does not end what was said before."""


def loose(line: str) -> tuple[str, list[str]] | None:
    """(the tensor, its numbers) of a line that goes on with something else behind them."""
    match = LABELLED.match(line) or NAMED.match(line)
    label = heading(match["label"]) if match else None
    if not match or not label:
        return None
    words = [*takewhile(NUMBER.fullmatch, _words(match["rest"]))]
    return (label, words) if len(words) >= FEW else None


def held(text: str) -> Iterator[tuple[str, list[str]]]:
    """The (label, numbers) of JSON, or of Python's way to write the same; none of what is neither."""
    with suppress(ValueError, RecursionError):
        yield from _values(json.loads(re.sub(r"([{,]\s*)(\d+)\s*:", r'\1"\2":', text.replace("'", '"'))), "")


def held_over_lines(text: str, at: int) -> tuple[list[tuple[str, list[str]]], int]:
    """The same of JSON that begins at a place in a log and goes on over lines, and where it ends."""
    with suppress(ValueError, RecursionError):
        value, end = json.JSONDecoder().raw_decode(text, at)
        values = [*_values(value, "")]
        if any(label for label, _ in values):
            return values, end
    return [], at


def _values(value: object, label: str) -> Iterator[tuple[str, list[str]]]:
    if isinstance(value, dict):
        named = [KEYS[key] + str(value[key]) for key in KEYS if isinstance(value.get(key), int | str)]
        lists = [key for key, each in value.items() if isinstance(each, list) and key not in SHAPES]
        for key, each in value.items():
            if not (named and len(lists) == 1):
                yield from _values(each, key)
            elif key == lists[0]:
                yield from _values(each, named[0])
    elif isinstance(value, list) and any(isinstance(each, dict) for each in value):
        for each in value:
            yield from _values(each, label)
    elif isinstance(value, list | int | float) and (words := NUMBER.findall(json.dumps(value))):
        yield label, words
