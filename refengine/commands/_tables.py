"""Tables that fit the terminal, and bars that tell how far a command is; by Rich, which whoever prints none spares."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import replace
from typing import Any

from rich import box
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from ..model import Array
from ..text import printable
from ._front import named

LONG = 1000
"""Rows that Rich draws within seconds."""
GAP = 2
"""Spaces beside each column of a table."""


def progress_bar() -> Progress:
    """A bar on stderr while that is a terminal, and nothing in a pipe."""
    quiet = not sys.stderr.isatty()
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True, quiet=quiet),
        transient=True,
        disable=quiet,
    )


class _Table(Table):
    def add_row(self, *cells: object, **options: Any) -> None:
        super().add_row(*map(printable, cells), **options)


def table_of(*headings: str) -> Table:
    return _Table(*headings, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)


def confusion_table(confusion: Array, names: Sequence[str]) -> Table:
    """A row per true class, a column per answer."""
    table = table_of("is \\ seen as")
    rows = confusion.tolist()
    for label, _ in enumerate(rows):
        table.add_column(str(label), justify="right")
    for label, row in enumerate(rows):
        table.add_row(named(names, label), *(str(count) if count else "·" for count in row))
    return table


def print_table(table: Table) -> None:
    """In a terminal, one below the other what is too wide for it; in a pipe, or if it is long, as wide as it needs."""
    if sys.stdout.isatty() and table.row_count <= LONG:
        console = _Console(markup=False, highlight=False, emoji=False)
        console.print(*_side_by_side(table, console.width), sep="\n")
    else:
        sys.stdout.writelines(f" {line} \n" for line in _plain_lines(table))


def _side_by_side(table: Table, width: int) -> Iterator[Table]:
    """A table in parts that fit a terminal, each with the columns that name the row. No digit is cut off."""
    keys = 2 if table.columns[0].header == "#" else 1
    taken = [width + GAP for width in _widths(table)]
    parts, room = [[*range(keys)]], width - sum(taken[:keys])
    for i in range(keys, len(taken)):
        if len(parts[-1]) > keys and taken[i] > room:
            parts.append([*range(keys)])
            room = width - sum(taken[:keys])
        parts[-1].append(i)
        room -= taken[i]
    for columns in parts:
        part = copy(table)
        part.columns = [replace(table.columns[i], _index=n, overflow="fold") for n, i in enumerate(columns)]
        yield part


def _widths(table: Table) -> list[int]:
    """How wide each column is if nothing is cut or wrapped."""
    return [
        max(map(cell_len, (*str(column.header).split("\n"), str(column.footer), *map(str, column._cells))))
        for column in table.columns
    ]


def _plain_lines(table: Table) -> Iterator[str]:
    """What Rich draws where there is room, in a thousandth of the time."""
    columns = [[*map(str, column._cells)] for column in table.columns]
    headings = [str(column.header).split("\n") for column in table.columns]
    footers = [str(column.footer) for column in table.columns]
    widths = _widths(table)

    def line(cells: Iterable[str]) -> str:
        return (" " * GAP).join(
            f"{' ' * (width - cell_len(cell))}{cell}" if column.justify == "right" else set_cell_size(cell, width)
            for column, cell, width in zip(table.columns, cells, widths, strict=True)
        )

    height, blank = max(map(len, headings)), line("" for _ in widths)
    yield blank
    yield from map(line, zip(*([""] * (height - len(heading)) + heading for heading in headings), strict=True))
    yield "─" * len(blank)
    yield from map(line, zip(*columns, strict=True))
    yield blank
    if table.show_footer:
        yield line(footers)
        yield blank


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to `commands.main`: Rich would exit with 1."""
        raise
