"""Lines of hexadecimal dumps: an address, bytes or words of them, and often the characters that they are.

`xxd`, `hexdump -C` and loggers show bytes as they lie in memory. `hexdump` and `od -x` without more, OpenOCD's `mdw`,
J-Link's `mem32` and U-Boot's `md` show words, whose lowest byte lies first on the processors that TFLM runs on. The
characters tell which it is; without them, the tool does, by how it writes addresses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LINE = re.compile(
    r"^\s*(?:[A-Z]{1,3}:(?=\w+\|))?(?P<address>(?:0x)?[0-9a-fA-F]{4,16})(?P<mark> ?[:=|](?=[ \da-fA-F])|(?= ))"
    r"(?P<blanks> *)(?P<rest>[0-9a-fA-F]{2}.*)$"
)
UNPLACED = re.compile(r"^\s*(?P<rest>(?:[0-9a-fA-F]{2} {1,2}){2,}.*\|.*)$")
"""Zephyr leaves the address out; the characters behind their bar tell what it is."""

GROUP = re.compile(r" {0,2}((?:[0-9a-fA-F]{2})+)(?=[\s|]|$)")
WIDEST = 64
"""So many groups at most are characters that look like digits."""

END = re.compile(r"^\s*(?:0x)?([0-9a-fA-F]{7,16})\s*$")
"""The last line of `hexdump` and `od`: where the bytes end."""


@dataclass(frozen=True)
class Dumped:
    """The bytes of one line as they stand there, the same with each word's `swapped`, and the `address` of the first,
    if it is there. `is_swapped` tells which it is, as far as this line does: `has_characters` to go by, or the tool's
    way to write addresses, which only a first line has in full."""

    address: int | None
    data: bytes
    swapped: bytes
    is_swapped: bool
    has_characters: bool


def read_line(line: str) -> Dumped | None:
    """What a line of a dump holds; None if it is none."""
    placed = LINE.match(line)
    match = placed or UNPLACED.match(line)
    groups = _groups(match["rest"]) if match else None
    if groups is None or (placed and not _is_address(placed, groups[0])):
        return None
    words, characters = groups
    width = len(words[0]) if len(words[0]) in (4, 8) else 2
    data = bytes.fromhex("".join(words))
    swapped = b"".join(bytes.fromhex(word)[:: -1 if len(word) == width else 1] for word in words)
    if characters:
        is_swapped = characters != _shown(data) and characters == _shown(swapped)
    else:
        is_swapped = placed is not None and width > 2 and _shows_words(placed)
    return Dumped(int(placed["address"], 16) if placed else None, data, swapped, is_swapped, bool(characters))


def _is_address(match: re.Match[str], words: list[str]) -> bool:
    """Whether the first number is one, and not the first of several."""
    address = match["address"]
    if match["mark"] or address.startswith("0x"):
        return True
    pairs = all(len(word) == 2 for word in words)
    return address.startswith("0") and (len(address) == 7 or (pairs and (len(address) > 7 or len(match["blanks"]) > 1)))


def _shows_words(match: re.Match[str]) -> bool:
    return (
        match["address"].startswith("0x") or "=" in match["mark"] or (not match["mark"] and len(match["address"]) == 7)
    )


def _groups(rest: str) -> tuple[list[str], str] | None:
    """(the groups of digits, the characters behind them); None if the line goes on with anything else."""
    ends: list[tuple[int, str]] = []
    while found := GROUP.match(rest, ends[-1][0] if ends else 0):
        ends.append((found.end(), found[1]))
    least = max(0, len(ends) - WIDEST)
    cuts = [([word for _, word in ends[:n]], rest[ends[n - 1][0] :]) for n in range(len(ends), least, -1)]
    for is_sure in (True, False):  # characters may look like digits, too
        for words, tail in cuts:
            shown, size = tail.strip(" |"), sum(map(len, words)) // 2
            if len(shown) == size and tail.startswith("  ") and (not is_sure or " " not in shown):
                return words, shown
            if not is_sure and (not shown or size in (len(tail) - 1, len(tail) - 2)):
                return words, shown
        if not is_sure and cuts and len(cuts[0][1].strip(" |")) <= sum(map(len, cuts[0][0])) // 2:
            return cuts[0][0], cuts[0][1].strip(" |")
    return None


def _shown(data: bytes) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 else "." for byte in data).strip(" |")
