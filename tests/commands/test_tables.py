"""Tables in real terminals of several widths: columns go below one another, and nothing is cut."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import cache
from io import StringIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from refengine.commands._tables import _side_by_side, table_of


@cache
def printed(command: str, columns: int | None = None) -> list[str]:
    """The lines that a command prints into a pipe, or into a terminal of so many columns, without its colours."""
    call = f"{sys.executable} -m refengine {command} 2>/dev/null"
    terminal = ["script", "-qec", f"stty cols {columns}; {call}", "/dev/null"]
    given = terminal if columns else ["sh", "-c", call]
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    done = subprocess.run(given, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, env=environment)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", done.stdout).splitlines()


@pytest.mark.parametrize(
    "command",
    [
        "explain stm32f746_int8 --input tests/data/seven.png --digit --op 10 --at 0,7",
        "run stm32f746_int8 --input tests/data/seven.png --digit",
    ],
)
def test_lines_are_as_wide_as_a_terminal_and_whole_in_a_pipe(command: str) -> None:
    lines, whole = printed(command, 60), printed(command)
    assert max(map(len, lines)) <= 60 < max(map(len, whole))
    assert "".join(" ".join(lines).split()) == "".join(" ".join(whole).split())


def table_lines(lines: list[str]) -> list[str]:
    """Those of tables: they begin with a space, and go on no line of text."""
    without = re.sub(r"(?m)^\S.*\n(?: {2}\S.*\n)+", "", "\n".join([*lines, ""]))
    return [line for line in without.splitlines() if line.startswith(" ") and line.strip()]


@pytest.mark.parametrize("columns", [60, 80, 100, 200])
@pytest.mark.parametrize(
    "command",
    [
        "inspect stm32f746_int8",
        pytest.param("health dense_int8", marks=pytest.mark.slow),
        pytest.param("run stm32f746_int8 --against stm32f746_float32 --random", marks=pytest.mark.long),
    ],
)
def test_a_table_fits_its_terminal_with_every_cell_whole(command: str, columns: int) -> None:
    whole, shown = table_lines(printed(command)), table_lines(printed(command, columns))
    assert max(map(len, shown)) <= columns
    cells = {cell for line in whole for cell in re.split(r"\s{2,}", line.strip()) if "…" not in cell}
    missing = [cell for cell in cells if not any(cell in line for line in shown) and "─" not in cell]
    assert missing == []
    assert len(shown) > len(whole) if columns < max(map(len, whole)) else len(shown) == len(whole)


@pytest.mark.slow
@pytest.mark.parametrize("columns", [60, 80, 100, 200])
@settings(max_examples=25)
@given(
    widths=st.lists(st.integers(1, 20), min_size=1, max_size=24),
    key=st.sampled_from(["#", "class"]),
    rows=st.integers(1, 3),
)
def test_any_table_fits_with_every_number_whole(columns: int, widths: list[int], key: str, rows: int) -> None:
    """Numbers of any width, in any number of columns, whichever name the rows."""
    cells = [[f"{i}{place}".zfill(width) for place, width in enumerate(widths)] for i in range(rows)]
    table = table_of(key, "operator", *map(str, range(len(widths))))
    for i, row in enumerate(cells):
        table.add_row(str(i), "FULLY_CONNECTED", *row)
    console = Console(width=columns, file=StringIO(), force_terminal=False)
    console.print(*_side_by_side(table, columns), sep="\n")
    shown = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert max(map(len, shown)) <= columns
    for i, row in enumerate(cells):
        words = {word for line in shown if line.split()[:1] == [str(i)] for word in line.split()}
        assert {*row} <= words
