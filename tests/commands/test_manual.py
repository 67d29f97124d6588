"""`refengine manual`: the pages that travel with the package."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from refengine.commands import main
from refengine.commands.manual import PAGES


def test_the_list_tells_every_page_and_its_title(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["manual"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in PAGES) and "Which preset has my chip" in shown


def test_a_page_goes_into_a_pipe_as_it_is() -> None:
    done = subprocess.run([sys.executable, "-m", "refengine", "manual", "glossary"], capture_output=True, check=True)
    assert done.stdout == PAGES["glossary"].read_bytes()


@pytest.mark.parametrize("columns", [60, 100])
def test_a_terminal_shows_a_page_in_its_width(columns: int) -> None:
    command = f"stty cols {columns}; PAGER=cat exec {sys.executable} -m refengine manual state"
    done = subprocess.run(["script", "-qec", command, "/dev/null"], stdin=subprocess.DEVNULL, capture_output=True)
    lines = done.stdout.decode().splitlines()
    assert done.returncode == 0 and any("My model has state" in line for line in lines)
    assert not any("```" in line for line in lines)  # set, not its source


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_no_row_of_a_table_is_torn(columns: int) -> None:
    command = f"stty cols {columns}; COLUMNS={columns} PAGER=cat exec {sys.executable} -m refengine manual printf-log"
    done = subprocess.run(["script", "-qec", command, "/dev/null"], stdin=subprocess.DEVNULL, capture_output=True)
    shown = re.sub(r"\x1b\[[\d;]*m", "", done.stdout.decode())
    lines = [line.strip() for line in shown.splitlines()]
    assert max(map(len, shown.splitlines())) <= columns
    rows = [line for line in lines if line.startswith(("0   CONV_2D + RELU", "1   MAX_POOL_2D", "#   operator"))]
    assert len(rows) == 3 and all(line.endswith("…") == (columns < 200) for line in rows)
    assert ("refengine manual printf-log | less -S" in re.sub(r"\s+", " ", shown)) == (columns < 200)
    assert "--numerics cortex-m7" in re.sub(r"\s+", " ", shown)  # a command is folded, never cut


def test_a_page_that_there_is_not_names_those_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["manual", "nothing"])
    assert "invalid choice: 'nothing' (choose from" in capsys.readouterr().err


def test_a_page_that_is_spelt_nearly_so_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["manual", "quantize"])
    assert "there is no page 'quantize'; did you mean 'quantise'?" in capsys.readouterr().err
