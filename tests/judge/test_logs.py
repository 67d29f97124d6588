"""refengine/judge/logs.py: numbers as firmware prints them, and what else it prints."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from itertools import product
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine.commands import main
from refengine.errors import InputError
from refengine.judge import Dump, read_dump
from refengine.judge.logs import blocks
from refengine.model import Array
from tests.judge.planted import dump_of, network

PLAN, X = network("dense_int8")
SOUND = dump_of(PLAN, X).tensors
HIDDEN, LOGITS, SCORES = (step.outputs[0].index for step in PLAN.steps[-3:])


def listed(array: Array, form: str = "{}", between: str = " ") -> str:
    return between.join(form.format(x) for x in array.ravel().tolist())


def bits(array: Array) -> Array:
    return array.view(np.uint8)


def xxd(array: Array, *options: str) -> str:
    return subprocess.run(["xxd", *options], input=array.tobytes(), capture_output=True, check=True).stdout.decode()


def log(tmp_path: Path, text: str, sample: int = 0) -> Dump:
    (tmp_path / "board.log").write_text(text)
    return read_dump(PLAN, tmp_path / "board.log", sample)


WAYS: dict[str, Callable[[Array], str]] = {
    "printf": lambda x: f"t{LOGITS}: {listed(x)}",
    "commas and brackets": lambda x: f"tensor {LOGITS} = [{listed(x, between=', ')}]",
    "over lines": lambda x: f"t{LOGITS}:\n" + "\n".join(map(str, x.ravel().tolist())) + "\ndone",
    "c array": lambda x: f"const int8_t t{LOGITS}[10] = {{{listed(x, between=', ')}}};",
    "c array over lines": lambda x: (
        f"static int8_t t{LOGITS}[2][5] = {{\n  {listed(x[:, :5], between=', ')},\n"
        f"  {listed(x[:, 5:], between=', ')} }}; // the logits"
    ),
    "hexadecimal": lambda x: f"t{LOGITS}: {listed(bits(x), '0x{:02x}')}",
    "bare hexadecimal": lambda x: f"t{LOGITS}: {listed(bits(x), '{:02X}')}",
    "unsigned": lambda x: f"t{LOGITS}: {listed(bits(x))}",
    "a line for each element": lambda x: "\n".join(
        f"I (344) tflm: t{LOGITS}[{i}] = {value}\nfree heap: 1200" for i, value in enumerate(x.ravel().tolist())
    ),
    "csv": lambda x: f"time,3\nt{LOGITS},{listed(x, between=',')}",
    "operator": lambda x: f"operator {PLAN.steps[-2].index} (FULLY_CONNECTED) output: {listed(x)}",
    "name": lambda x: f"{PLAN.graph.tensors[LOGITS].name}: {listed(x)}",
    "esp-idf": lambda x: f"I (312) main: boot\nI (344) tflm: t{LOGITS}: {listed(x)}\nI (345) main: heap 1200",
    "time stamps": lambda x: f"[00:00:01.312] t{LOGITS}: {listed(x)}\n12:31:07.001 -> class: 7",
    "glued": lambda x: f"t{LOGITS}:{listed(x, between=',')}",
    "glued to an equals sign": lambda x: f"t{LOGITS} = {{{listed(x, between=', ')}}};",
    "matlab": lambda x: f"t{LOGITS} = [{listed(x, between='; ')}]",
    "nothing between": lambda x: f"t{LOGITS} {listed(x)}",
    "tabs": lambda x: f"t{LOGITS}\t{listed(x, between=chr(9))}",
    "arrows": lambda x: f"t{LOGITS} -> {listed(x)}",
    "a table's row": lambda x: f"| t{LOGITS} | {listed(x, between=' | ')} |",
    "a tag": lambda x: f"<t{LOGITS}>{listed(x)}</t{LOGITS}>",
    "brackets around the name": lambda x: f"[t{LOGITS}] {listed(x)}",
    "tensor[14]": lambda x: f"tensor[{LOGITS}] = {{{listed(x, between=', ')}}}",
    "a heading": lambda x: f"--- BEGIN t{LOGITS} ---\n{listed(x)}\n--- END t{LOGITS} ---\n1 2 3 4 5 6 7 8 9 10",
    "a heading with a word": lambda x: f"Tensor {LOGITS}: FULLY_CONNECTED\n{listed(x)}",
    "json": lambda x: f'{{"t{LOGITS}": {x.tolist()}, "heap": 1200}}',
    "json over lines": lambda x: f'{{\n  "t{LOGITS}": [\n    ' + listed(x, between=",\n    ") + "\n  ]\n}",
    "a Python dictionary": lambda x: str({LOGITS: x.ravel().tolist()}),
    "a NumPy array": lambda x: f"t{LOGITS} = np.array({x.tolist()}, dtype=np.int8)",
    "yaml": lambda x: f"t{LOGITS}:\n  - " + listed(x, between="\n  - "),
    "a line for each place": lambda x: "\n".join([f"t{LOGITS}:", *(f"{i}: {v}" for i, v in enumerate(x.ravel()))]),
    "two indices": lambda x: "\n".join(f"t{LOGITS}[0][{i}] = {value}" for i, value in enumerate(x.ravel())),
    "elements in one line": lambda x: " ".join(f"t{LOGITS}[{i}]={value}" for i, value in enumerate(x.ravel())),
    "csv, a line for each element": lambda x: "\n".join(
        ["tensor,index,value", *(f"t{LOGITS},{i},{value}" for i, value in enumerate(x.ravel()))]
    ),
    "csv, a column": lambda x: "\n".join([f"index,t{LOGITS}", *(f"{i},{value}" for i, value in enumerate(x.ravel()))]),
    "its length told": lambda x: f"t{LOGITS} size=10 data={listed(x, between=',')}",
    "a comment": lambda x: f"t{LOGITS}: {listed(x)}  # the logits",
    "gdb": lambda x: (
        f"(gdb) p t{LOGITS}\n$1 = {{" + ", ".join(f"{v} '\\{v & 255:03o}'" for v in x.ravel().tolist()) + "}"
    ),
    "gdb's x": lambda x: (
        f"0x20000000 <t{LOGITS}>:\t{listed(x[:, :8], between=chr(9))}\n0x20000008 <t{LOGITS}+8>:\t"
        + listed(x[:, 8:], between="\t")
    ),
    "bytes of a string": lambda x: f"t{LOGITS}: {listed(bits(x), chr(92) + 'x{:02x}', '')}",
    "zephyr": lambda x: f"[00:00:00.344,000] <inf> app: t{LOGITS}: {listed(x)}",
    "zephyr's hexdump": lambda x: (
        f"<inf> app: t{LOGITS}\n          {listed(bits(x[:, :8]), '{:02x}')}  "
        f"{listed(bits(x[:, 8:]), '{:02x}')}    |.... .."
    ),
    "esp-idf in colour": lambda x: f"\x1b[0;32mI (344) app: t{LOGITS}: {listed(x)}\x1b[0m",
    "esp-idf's hexdump": lambda x: (
        f"I (344) app: t{LOGITS}\nI (344) app: 0x3fff0000   {listed(bits(x[:, :8]), '{:02x}')}  "
        f"{listed(bits(x[:, 8:]), '{:02x}')}  |..........|"
    ),
    "a logger's level": lambda x: f"2026-11-27 12:00:01,123 INFO: t{LOGITS}: {listed(x)}",
    "an index in brackets": lambda x: f"tensors[{LOGITS}] = {listed(x)}",
    "an index in words": lambda x: f"tensor index {LOGITS}: {listed(x)}",
    "a field for the index": lambda x: f"tensor={LOGITS} values={listed(x, between=',')}",
    "a field for the index above": lambda x: f"tensor: {LOGITS}\n{listed(x)}",
    "a shape in its name": lambda x: f"tensor {LOGITS} shape=(1, 10): {listed(x)}",
    "a type and a shape": lambda x: f"t{LOGITS}: int8 [1,10] = {listed(x)}",
    "its length before": lambda x: f"t{LOGITS}: [10] {listed(x)}",
    "scale and zero point": lambda x: f"t{LOGITS} scale=0.1 zp=-5: {listed(x)}",
    "an operator's heading": lambda x: f"Layer {PLAN.steps[-2].index} FULLY_CONNECTED\n{listed(x)}",
    "an operator's variable": lambda x: f"layer{PLAN.steps[-2].index}_output: {listed(x)}",
    "a line for each row": lambda x: f"t{LOGITS}: {listed(x[:, :5])}\nt{LOGITS}: {listed(x[:, 5:])}",
    "rows by their places": lambda x: f"t{LOGITS}[0]: {listed(x[:, :5])}\nt{LOGITS}[5]: {listed(x[:, 5:])}",
    "rows by ranges": lambda x: f"t{LOGITS}[0..4]: {listed(x[:, :5])}\nt{LOGITS}[5..9]: {listed(x[:, 5:])}",
    "rows below the name": lambda x: f"t{LOGITS}:\n0: {listed(x[:, :5])}\n5: {listed(x[:, 5:])}",
    "two columns": lambda x: "\n".join([f"t{LOGITS}:", *(f"{i}\t{v}" for i, v in enumerate(x.ravel()))]),
    "places in brackets below": lambda x: "\n".join([f"t{LOGITS}", *(f"[{i}] = {v}" for i, v in enumerate(x.ravel()))]),
    "indices with commas": lambda x: "\n".join(f"t{LOGITS}[0,{i}] = {v}" for i, v in enumerate(x.ravel())),
    "indices of two rows": lambda x: "\n".join(f"t{LOGITS}[{i // 5}][{i % 5}]: {v}" for i, v in enumerate(x.ravel())),
    "elements without a sign between": lambda x: "\n".join(f"t{LOGITS}[{i}] {v}" for i, v in enumerate(x.ravel())),
    "elements by fields": lambda x: "\n".join(f"t{LOGITS} i={i} v={v}" for i, v in enumerate(x.ravel())),
    "elements in two forms": lambda x: "\n".join(
        f"t{LOGITS}[{i}] = {v} (0x{v & 255:02x})" for i, v in enumerate(x.ravel().tolist())
    ),
    "%x of what is below zero": lambda x: f"t{LOGITS}: {listed(x.astype('i4').view('u4'), '{:x}')}",
    "%02x of what is below zero": lambda x: f"t{LOGITS}: {listed(x.astype('i4').view('u4'), '{:02x}')}",
    "0x%08x of what is below zero": lambda x: f"t{LOGITS}: {listed(x.astype('i4').view('u4'), '0x{:08x}')}",
    "hexadecimal over lines": lambda x: (
        f"t{LOGITS}:\n{listed(bits(x[:, :3]), '{:02x}')}\n{listed(bits(x[:, 3:]), '{:02x}')}"
    ),
    "0x over lines": lambda x: (
        f"uint8_t t{LOGITS}[] = {{\n  {listed(bits(x[:, :5]), '0x{:02x}', ', ')},\n"
        f"  {listed(bits(x[:, 5:]), '0x{:02x}', ', ')}\n}};\nunsigned int t{LOGITS}_len = 10;"
    ),
    "one long number": lambda x: f"t{LOGITS}: 0x{listed(bits(x), '{:02x}', '')}",
    "hexadecimal as assemblers write it": lambda x: f"t{LOGITS}: {listed(bits(x), '{:02X}h')}",
    "binary": lambda x: f"t{LOGITS}: {listed(bits(x), '0b{:08b}')}",
    "glued by its width": lambda x: f"t{LOGITS}: {listed(x, '{:+d}', '')}",
    "Python's bytes": lambda x: f"t{LOGITS} = {x.tobytes()!r}",
    "a bytearray": lambda x: f"t{LOGITS} = {bytearray(x.tobytes())!r}",
    "a line that Python shows": lambda x: repr(f"t{LOGITS}: {listed(x)}\r\n".encode()),
    "a quoted line": lambda x: f'"t{LOGITS}: {listed(x)}"',
    "MicroPython": lambda x: f">>> t{LOGITS}\narray('b', [{listed(x, between=', ')}])",
    "std::array": lambda x: f"constexpr std::array<int8_t, 10> t{LOGITS}{{{{{listed(x, between=', ')}}}}};",
    "Rust": lambda x: f"let t{LOGITS}: [i8; 10] = [{listed(x, between=', ')}];",
    "a typographer's minus": lambda x: f"t{LOGITS}: {listed(x)}".replace("-", "\u2212"),
    "json with an index": lambda x: f'{{"tensor": {LOGITS}, "shape": [1, 10], "data": {x.ravel().tolist()}}}',
    "json, nested": lambda x: f'{{"tensors": [{{"index": {LOGITS}, "data": {x.ravel().tolist()}}}]}}',
    "json with an index over lines": lambda x: (
        f'{{\n  "tensor": {LOGITS},\n  "data": [\n    {listed(x, between=", ")}]\n}}'
    ),
    "any logger": lambda x: f"[INFO][main]: t{LOGITS}: {listed(x)}",
    "a file and a line": lambda x: f"main.c:123: t{LOGITS}: {listed(x)}",
    "a shell": lambda x: f"uart:~$ t{LOGITS}: {listed(x)}",
    "esp-idf with the time": lambda x: f"I (00:00:00.344) my app: t{LOGITS}: {listed(x)}",
    "zephyr's function": lambda x: f"[00:00:00.344,000] <dbg> app.run_inference: t{LOGITS}: {listed(x)}",
    "syslog": lambda x: f"Nov 27 12:00:01 host app[123]: t{LOGITS}: {listed(x)}",
    "words behind": lambda x: f"t{LOGITS}: {listed(x)} done",
    "the time that it took behind": lambda x: f"t{LOGITS}: {listed(x)} (3 ms)",
    "zeros of a line that opened": lambda x: f"\0\0t{LOGITS}: {listed(x)}",
    "gdb's x by address": lambda x: (
        f"(gdb) x/10db t{LOGITS}\n0x20000000:\t{listed(x[:, :8], between=chr(9))}\n"
        f"0x20000008:\t{listed(x[:, 8:], between=chr(9))}"
    ),
    "hexdump with its last line": lambda x: f"t{LOGITS}\n00000000  {listed(bits(x), '{:02x}')}  |..........|\n0000000a",
    "OpenOCD": lambda x: f"t{LOGITS}\n0x20000000: {listed(bits(x), '{:02x}')} ..........",
    "J-Link": lambda x: f"t{LOGITS}\nJ-Link>mem8 20000000,A\n20000000 = {listed(bits(x), '{:02X}')} ..........",
    "Lauterbach": lambda x: f"t{LOGITS}\nD:20000000|{listed(bits(x), '{:02X}')} ..........",
    "od of numbers": lambda x: f"t{LOGITS}\n0000000{listed(x, '{:5}', '')}\n0000012",
    "real values": lambda x: f"t{LOGITS}: " + listed((x - np.float64(point(LOGITS)[1])) * point(LOGITS)[0], "{:.9g}"),
}


def point(index: int) -> tuple[float, int]:
    quantization = PLAN.graph.tensors[index].quantization
    assert quantization is not None
    return quantization.scale[0], quantization.zero_point[0]


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_print_a_tensor_is_read(way: str, tmp_path: Path) -> None:
    dump = log(tmp_path, f"boot ok, arena 27040\n{WAYS[way](SOUND[LOGITS])}\nfree heap: 12345\n")
    assert not dump.problems
    assert {i: x.tobytes() for i, x in dump.tensors.items()} == {LOGITS: SOUND[LOGITS].tobytes()}


@pytest.mark.parametrize("options", [(), ("-p",), ("-g", "1"), ("-u",)], ids=str)
def test_xxd(options: tuple[str, ...], tmp_path: Path) -> None:
    if not shutil.which("xxd"):
        pytest.skip("xxd is not installed")
    text = "".join(f"t{i}:\n{xxd(SOUND[i], *options)}\n" for i in (HIDDEN, LOGITS))
    dump = log(tmp_path, text)
    assert {i: x.tobytes() for i, x in dump.tensors.items()} == {i: SOUND[i].tobytes() for i in (HIDDEN, LOGITS)}


def test_hexdump(tmp_path: Path) -> None:
    """Two blanks in the middle, and the characters behind them."""
    lines = [
        f"{at:08x}  {listed(row[:8], '{:02x}')}  {listed(row[8:], '{:02x}')}  |{'a' * len(row)}|"
        for at, row in ((at, bits(SOUND[HIDDEN]).ravel()[at : at + 16]) for at in range(0, SOUND[HIDDEN].size, 16))
    ]
    dump = log(tmp_path, "\n".join([f"t{HIDDEN}:", *lines]))
    assert {i: x.tobytes() for i, x in dump.tensors.items()} == {HIDDEN: SOUND[HIDDEN].tobytes()}


REFUSED: dict[str, tuple[Callable[[Array], str], str]] = {
    "slashes": (
        lambda x: f"t{LOGITS}: {listed(x, between='/')}",
        "line 2 speaks of t13, and no numbers that can be read",
    ),
    "base64": (
        lambda x: f"t{LOGITS}: CPgbJvMJzUkOFw==",
        "line 2 speaks of t13, and no numbers that can be read follow",
    ),
    "NumPy's dots": (
        lambda x: f"t{LOGITS}: {listed(x[:, :3])} ... {listed(x[:, 8:])}",
        "where dots or an asterisk stand",
    ),
    "other numbers below": (
        lambda x: f"t{LOGITS} ready\n1 2 3",
        "left out: the 3 numbers in line 3, as t13 has 10 elem",
    ),
    "no name": (lambda x: f"scores: {listed(x)}", "which may be several tensors'; call it one of t13, t14"),
    "another operator's number": (
        lambda x: f"layer 1 SOFTMAX\n{listed(x)}",
        "left out: 'layer 1 SOFTMAX', as operator 1 is STRIDED_SLICE; count operators as the model does",
    ),
    "a time": (lambda x: f"t{LOGITS} done in 312 us", "line 2 speaks of t13, and no numbers that can be read follow"),
}


@pytest.mark.parametrize("way", REFUSED)
def test_what_is_not_read_is_refused_in_a_sentence_that_says_what_to_print(way: str, tmp_path: Path) -> None:
    text, sentence = REFUSED[way]
    with pytest.raises(InputError, match=re.escape(sentence)):
        log(tmp_path, f"boot ok, arena 27040\n{text(SOUND[LOGITS])}\nfree heap: 12345\n")


@pytest.mark.parametrize("codes", [np.arange(-64, 64), np.full(128, -86), np.repeat([-128, 5, 99, -1], 32)])
def test_no_way_to_dump_bytes_is_read_as_other_ones(codes: Array, tmp_path: Path) -> None:
    """Of groups, widths and addresses: what is not known is left out."""
    codes = codes.astype(np.int8)
    assert codes.shape == SOUND[HIDDEN].ravel().shape
    for form in ("{:02x}", "{:02X}", "0x{:02x}", "{:d}"):
        for width, between, address in product(
            (1, 3, 8, 16), (" ", ", ", ""), ("", "{:04x}: ", "{:08x}  ", "0x{:08x}: ")
        ):
            if between or form[-2] == "x":
                rows = [listed(bits(codes[i : i + width]), form, between) for i in range(0, 128, width)]
                lines = [address.format(i * width) + row for i, row in enumerate(rows)]
                (tmp_path / "board.log").write_text("\n".join([f"t{HIDDEN}:", *lines]))
                with suppress(InputError):
                    dump = read_dump(PLAN, tmp_path / "board.log")
                    assert {i: x.tobytes() for i, x in dump.tensors.items()} in ({}, {HIDDEN: codes.tobytes()})


def test_two_digits_without_a_letter_are_hexadecimal_where_others_are(tmp_path: Path) -> None:
    dump = log(tmp_path, f"t{LOGITS}: {' '.join(['80'] * 10)}\nt{HIDDEN}: {listed(bits(SOUND[HIDDEN]), '{:02x}')}")
    assert (dump.tensors[LOGITS] == -128).all()
    dump = log(tmp_path, f"t{LOGITS}: {' '.join(['80'] * 10)}")
    assert (dump.tensors[LOGITS] == 80).all()
    assert dump.notes[0] == f"'t{LOGITS}' was read as decimal numbers; hexadecimal ones need 0x here"


@pytest.mark.parametrize(
    "form", ['{{"t{}": [{}], "t{}": [{}]}}', "t{}: {} t{}: {}", "t{}={} t{}={}", "t{}: {}\r\nt{}: {}\r\n"]
)
def test_two_tensors_in_one_line(form: str, tmp_path: Path) -> None:
    text = form.format(LOGITS, listed(SOUND[LOGITS], between=", "), SCORES, listed(SOUND[SCORES], between=", "))
    dump = log(tmp_path, text)
    assert {i: x.tobytes() for i, x in dump.tensors.items()} == {i: SOUND[i].tobytes() for i in (LOGITS, SCORES)}


def test_a_table_of_two_tensors_and_equal_elements_as_gdb_has_them(tmp_path: Path) -> None:
    rows = zip(SOUND[LOGITS].ravel(), SOUND[SCORES].ravel(), strict=True)
    dump = log(tmp_path, "\n".join([f"t{LOGITS},t{SCORES}", *(f"{a},{b}" for a, b in rows)]))
    assert {i: x.tobytes() for i, x in dump.tensors.items()} == {i: SOUND[i].tobytes() for i in (LOGITS, SCORES)}
    (block,) = blocks("t3 = {7, 0 <repeats 12 times>, -1}")
    assert block.words == ["7", *["0"] * 12, "-1"]


@pytest.mark.parametrize("rows", ["5,6\n7,8\n", ""])
def test_a_heading_of_columns_ends_the_tensor_before(rows: str) -> None:
    """What stands behind the table, or in its place, is nobody's."""
    found = [(block.label, block.words) for block in blocks(f"t1: 1 2\nt2,t3\n{rows}9 9 9\n")]
    assert found[0] == ("t1", ["1", "2"]) and found[-1] == ("", ["9", "9", "9"])


def test_a_heading_of_columns_names_no_rows_of_another_width() -> None:
    (block,) = blocks("class;t13\n1 2 3")
    assert (block.label, block.words) == ("", ["1", "2", "3"])


def test_two_tensors_whose_parts_alternate(tmp_path: Path) -> None:
    parts = [f"t{i}[{start}]: {listed(SOUND[i][:, start : start + 5])}" for start in (0, 5) for i in (LOGITS, SCORES)]
    dump = log(tmp_path, "\n".join(parts))
    assert {i: x.tobytes() for i, x in dump.tensors.items()} == {i: SOUND[i].tobytes() for i in (LOGITS, SCORES)}


def test_the_models_ends_by_their_numbers(tmp_path: Path) -> None:
    dump = log(tmp_path, f"Input tensor 0: {listed(X)}\nOutput tensor 0: {listed(SOUND[SCORES])}")
    assert dump.tensors.keys() == {PLAN.inputs[0].index, SCORES}
    lines = "\n".join(f"output->data.int8[{i}] = {value}" for i, value in enumerate(SOUND[SCORES].ravel()))
    assert log(tmp_path, lines).tensors[SCORES].tobytes() == SOUND[SCORES].tobytes()


def test_a_line_that_only_speaks_of_a_tensor_names_no_other_numbers(tmp_path: Path) -> None:
    dump = log(tmp_path, f"t{LOGITS} went to flash\n17 18 19\nt{SCORES}: {listed(SOUND[SCORES])}")
    assert dump.tensors.keys() == {SCORES} and not dump.problems


def test_a_log_of_powershell(tmp_path: Path) -> None:
    (tmp_path / "board.log").write_bytes(f"t{SCORES}: {listed(SOUND[SCORES])}\r\n".encode("utf-16"))
    assert read_dump(PLAN, tmp_path / "board.log").tensors.keys() == {SCORES}


@pytest.mark.parametrize(
    "line", ["a" * 20_000, "t1: 1" + " " * 20_000 + "x", "t[1] " + "a" * 60, "1:" * 9_000, "0000: " + "7f " * 9_000]
)
def test_long_lines_take_no_longer(line: str) -> None:
    began = perf_counter()
    blocks(line)
    assert perf_counter() - began < 5


def test_what_is_called_otherwise_is_known_by_its_length_or_left_out(tmp_path: Path) -> None:
    dump = log(tmp_path, f"hidden layer: {listed(SOUND[HIDDEN])}\nscores: {listed(SOUND[SCORES])}")
    assert dump.tensors.keys() == {HIDDEN} and not dump.problems
    taken, left = dump.notes
    assert f"'hidden layer' was taken for tensor {HIDDEN}" in taken and "no other one is so long" in taken
    assert left == f"left out: 'scores', which may be several tensors'; call it one of t{LOGITS}, t{SCORES}"


@pytest.mark.parametrize("text", ["{}: {}", "{} = {{{}}};", "int8 {}: {}"])
def test_names_that_end_in_a_number_behind_a_colon_are_read(text: str, tmp_path: Path) -> None:
    name = PLAN.graph.tensors[SCORES].name
    assert name.endswith(":0")
    dump = log(tmp_path, text.format(name, listed(SOUND[SCORES])))
    assert {i: x.tobytes() for i, x in dump.tensors.items()} == {SCORES: SOUND[SCORES].tobytes()}


def test_the_models_output_and_input(tmp_path: Path) -> None:
    dump = log(tmp_path, f"input: {listed(X)}\noutput tensor: {listed(SOUND[SCORES])}")
    assert {i: x.tobytes() for i, x in dump.tensors.items()} == {
        PLAN.inputs[0].index: X.tobytes(),
        SCORES: SOUND[SCORES].tobytes(),
    }


def test_several_samples(tmp_path: Path) -> None:
    other = SOUND[SCORES][:, ::-1]
    text = f"output: {listed(SOUND[SCORES])}\nframe 2\noutput: {listed(other)}\n"
    assert log(tmp_path, text).tensors[SCORES].tobytes() == SOUND[SCORES].tobytes()
    second = log(tmp_path, text, sample=1)
    assert second.tensors[SCORES].tobytes() == other.tobytes()
    assert second.notes[-1] == "the log holds 2 samples; this is sample 1 (choose by --sample)"
    with pytest.raises(InputError, match="there is no sample 2; the log's last one, counted from 0, is 1"):
        log(tmp_path, text, sample=2)


def test_wider_types_by_their_bytes_and_bits(tmp_path: Path) -> None:
    for name, index in (("dense_int16x8", LOGITS), ("stm32f746_float32", 0)):
        plan, x = network(name)
        sound = dump_of(plan, x).tensors
        index = plan.steps[-2].outputs[0].index
        forms = {
            "bytes": f"t{index}: {listed(bits(sound[index]), '0x{:02x}')}",
            "words": f"t{index}: {listed(sound[index].view(f'u{sound[index].itemsize}'), '0x{:x}')}",
            "numbers": f"t{index}: {listed(sound[index], '{!r}')}",
        }
        for text in forms.values():
            (tmp_path / "board.txt").write_text(text)
            assert read_dump(plan, tmp_path / "board.txt").tensors[index].tobytes() == sound[index].tobytes()


@pytest.mark.parametrize("form", ["bytes", "numbers"])
def test_wider_types_without_a_name_are_known_by_their_length(form: str, tmp_path: Path) -> None:
    plan, x = network("dense_int16x8")
    index = plan.steps[-3].outputs[0].index
    hidden = dump_of(plan, x).tensors[index]
    listing = listed(bits(hidden), "0x{:02x}") if form == "bytes" else listed(hidden)
    (tmp_path / "board.txt").write_text(f"hidden layer: {listing}")
    dump = read_dump(plan, tmp_path / "board.txt")
    assert dump.tensors.keys() == {index} and dump.tensors[index].tobytes() == hidden.tobytes()


def test_a_tensor_that_is_not_whole_is_told(tmp_path: Path) -> None:
    text = f"t{LOGITS}: {listed(SOUND[LOGITS][:, :7])}\nt{SCORES}: {listed(SOUND[SCORES])}"
    dump = log(tmp_path, text)
    assert dump.tensors.keys() == {SCORES} and "the dump has" in dump.problems[0] and "7" in dump.problems[0]
    lines = [f"t{LOGITS}[{i}]: {x}\n" for i, x in enumerate(SOUND[LOGITS].ravel().tolist()) if i != 4]
    dump = log(tmp_path, "".join(lines) + f"t{SCORES}: {listed(SOUND[SCORES])}")
    assert dump.tensors.keys() == {SCORES} and "the dump has 4 values" in dump.problems[0]


def test_a_line_for_each_element_begins_another_sample_at_0() -> None:
    text = "".join(f"scores[{i % 10}]: {i}\n" for i in range(20))
    assert [block.words for block in blocks(text)] == [[str(i) for i in range(k, k + 10)] for k in (0, 10)]


def test_numbers_that_are_no_tensors_are_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a number of 5000 digits is no tensor's"):
        log(tmp_path, f"t{LOGITS}: {'9' * 5000}")
    assert (
        "the dump has float64 (1,)"
        in log(tmp_path, f"t{LOGITS}: {'9' * 60}\n{WAYS['name'](SOUND[HIDDEN])}").problems[0]
    )


def test_a_log_without_tensors_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"board.log holds none of the model's tensors; nothing in it is called like"):
        log(tmp_path, "boot ok\nheap: 27040\n")


@pytest.mark.slow
@given(st.text(alphabet="0123456789abcxtT:=,;{}[]()- \n.+e/*|>\"'IW") | st.text())
def test_no_text_is_too_odd_to_read(text: str) -> None:
    for block in blocks(text):
        assert block.words or block.raw


def test_the_command_takes_a_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "board.log"
    file.write_text(f"t{PLAN.inputs[0].index}: {listed(X)}\nlayer {PLAN.steps[-2].index}: {listed(SOUND[LOGITS])}\n")
    assert main(["diff", "dense_int8", str(file)]) == 0
    assert "1 of 7 operators compared: no difference" in capsys.readouterr().out
    assert main(["diff", "dense_int8", str(file), "--sample", "3"]) == 2
    assert "there is no sample 3" in capsys.readouterr().err
