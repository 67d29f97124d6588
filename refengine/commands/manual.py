"""Read the manual: a list of its pages, or one of them.

In a terminal a page is set for its width, rows of wide tables cut, and shown by a pager ($PAGER, else `less`); a file
or a pipe gets its Markdown.

  refengine manual
  refengine manual diff
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
from difflib import get_close_matches
from pathlib import Path
from textwrap import wrap

from ._front import say
from ._tables import print_table, table_of

BLOCK = re.compile(r"^(```\w[^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ROW = re.compile(r"\S {2,}\S|─{3}")
"""What shows that a line has columns."""

MARGINS = 2
"""Columns that Rich puts around a block of code."""

PAGES = {path.stem: path for path in sorted((Path(__file__).parents[1] / "manual").glob("*.md"))}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("page", nargs="?", type=_page, choices=PAGES, metavar="PAGE", help=f"one of {', '.join(PAGES)}")


def _page(name: str) -> str:
    """The name as it is, unless it is nearly that of a page: `quantize` is a command, and `quantise` tells of it."""
    if name not in PAGES and (near := get_close_matches(name, PAGES, 1)):
        raise argparse.ArgumentTypeError(f"there is no page {name!r}; did you mean {near[0]!r}?")
    return name


def command(args: argparse.Namespace) -> int:
    texts = {name: path.read_text(encoding="utf-8") for name, path in PAGES.items()}
    if args.page is None:
        table = table_of("page", "what it tells")
        for name, text in texts.items():
            table.add_row(name, text.partition("\n")[0].removeprefix("# "))
        print_table(table)
    elif sys.stdout.isatty():
        _show(args.page, texts[args.page])
    else:
        say(*texts[args.page].splitlines())
    return 0


def _show(page: str, text: str) -> None:
    from rich.console import Console
    from rich.markdown import Markdown

    if shutil.which("less"):
        os.environ.setdefault("PAGER", "less -R")  # colours as they are
    console = Console()
    with console.pager(styles=True):
        console.print(Markdown(BLOCK.sub(lambda block: _fitted(block, console.width - MARGINS, page), text)))


def _fitted(block: re.Match[str], room: int, page: str) -> str:
    """A block of code whose lines fit: rows of tables are cut, which folding would tear, and other lines folded."""
    lines = [_fitting(line, room) for line in block[2].splitlines()]
    told = f"\n*Rows that end in … are whole in a wider terminal, or by* `refengine manual {page} | less -S`*.*\n"
    cut = any(len(each) == 1 and each[0].endswith("…") and each[0] not in block[2] for each in lines)
    return "\n".join([block[1], *(line for each in lines for line in each), "```"]) + told * cut


def _fitting(line: str, room: int) -> list[str]:
    if len(line) <= room:
        return [line]
    if ROW.search(line) and not line.startswith("$ "):
        return [line[: room - 1] + "…"]
    return wrap(line, room, subsequent_indent="  ")
