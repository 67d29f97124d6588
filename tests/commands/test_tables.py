"""Tables in real terminals of several widths: columns go below one another, and nothing is cut."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import cache

import pytest


@cache
def printed(command: str, columns: int | None = None) -> list[str]:
    """The lines that a command prints into a pipe, or into a terminal of so many columns, without its colours."""
    call = f"{sys.executable} -m refengine {command} 2>/dev/null"
    terminal = ["script", "-qec", f"stty cols {columns}; {call}", "/dev/null"]
    given = terminal if columns else ["sh", "-c", call]
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    done = subprocess.run(given, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, env=environment)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", done.stdout).splitlines()


def table_lines(lines: list[str]) -> list[str]:
    """Those of tables: they begin with a space, and a rule is among them."""
    return [line for line in lines if line.startswith(" ") and line.strip()]


@pytest.mark.parametrize("columns", [60, 80, 100, 200])
@pytest.mark.parametrize(
    "command", ["inspect stm32f746_int8", pytest.param("health dense_int8", marks=pytest.mark.slow)]
)
def test_a_table_fits_its_terminal_with_every_cell_whole(command: str, columns: int) -> None:
    whole, shown = table_lines(printed(command)), table_lines(printed(command, columns))
    assert max(map(len, shown)) <= columns
    cells = {cell for line in whole for cell in re.split(r"\s{2,}", line.strip()) if "…" not in cell}
    missing = [cell for cell in cells if not any(cell in line for line in shown) and "─" not in cell]
    assert missing == []
    assert len(shown) > len(whole) if columns < max(map(len, whole)) else len(shown) == len(whole)
