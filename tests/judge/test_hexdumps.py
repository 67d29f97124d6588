"""refengine/judge/hexdumps.py: what tools print of memory, read as bytes."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from refengine.judge.hexdumps import read_line
from refengine.judge.logs import blocks

DATA = bytes([8, 248, 27, 38, 243, 9, 205, 73, 14, 23, *range(60, 75), *[0] * 64, 65, 66, 67, 68, *b"deadbeef"])


def read(text: str) -> bytes:
    (block,) = blocks(f"t1\n{text}")
    return bytes(block.swapped if block.is_swapped else block.raw)


@pytest.mark.parametrize(
    "tool",
    [
        "xxd",
        "xxd -g 1",
        "xxd -g 4",
        "xxd -c 8",
        "xxd -u",
        "hexdump -C",
        "hexdump -vC",
        "hexdump",
        "od -v -t x1",
        "od -v -x",
    ],
)
def test_what_a_tool_printed_is_the_bytes(tool: str) -> None:
    if not shutil.which(tool.split()[0]):
        pytest.skip(f"{tool.split()[0]} is not installed")
    data = DATA if len(DATA) % 2 == 0 else DATA[:-1]  # words of two bytes
    printed = subprocess.run(tool.split(), input=data, capture_output=True, check=True).stdout.decode()
    assert read(printed) == data


def test_the_bytes_that_an_asterisk_stands_for_are_filled_in() -> None:
    lines = ["00000000  01 02 03 04 05 06 07 08  01 02 03 04 05 06 07 08  |................|", "*", "00000100"]
    assert read("\n".join(lines)) == bytes(range(1, 9)) * 32


def test_characters_tell_which_way_words_lie() -> None:
    """As U-Boot's `md.l` prints them on a processor that has the lowest byte first, and as `xxd -g 4` does."""
    assert read("20000000: 64636261 80818283    abcd....") == b"abcd\x83\x82\x81\x80"
    assert read("20000000: 61626364 80818283    abcd....") == b"abcd\x80\x81\x82\x83"


def test_words_of_debuggers_have_their_lowest_byte_first() -> None:
    assert read("0x20000000: 64636261 80818283") == b"abcd\x83\x82\x81\x80"
    assert read("20000000 = 64636261 80818283") == b"abcd\x83\x82\x81\x80"


@pytest.mark.parametrize("line", ["1000 20 30 40", "10000000 20 30", "t24: 08 f8", "0000 zz", "", "fffffff8 08 1b"])
def test_numbers_are_no_dump(line: str) -> None:
    assert read_line(line) is None
