"""Eight lessons as Jupyter notebooks: real questions about integer inference, with exercises and their answers.

    from refengine.lessons import write_lessons

    write_lessons("lessons")

They are written down as Markdown beside this file, where they read and compare well; `notebook` makes of such a text
what a reader gets. The files beside them are what the lessons work on: a drawing, and what boards recorded of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..files import write_all
from .pad import Pad

__all__ = ["FILES", "LESSONS", "Pad", "notebook", "write_lessons"]

HERE = Path(__file__).parent

LESSONS = {path.stem: path for path in sorted(HERE.glob("*.md"))}
"""The lessons' texts by the notebooks' names, in their order."""

FILES = sorted((*HERE.glob("*.npz"), *HERE.glob("*.png")))
"""What they work on."""

CODE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECTION = re.compile(r"^(?=#+ )", re.MULTILINE)

ANSWERS = "\n## Answers\n"
ANSWER = re.compile(r"^\*\*(\d)\.\*\* ?(.*?)(?=^\*\*\d\.|\Z)", re.MULTILINE | re.DOTALL)

TRY_FIRST = "\n\nTry first; then open them. To run an answer's code, copy it into the cell above."

FOLD = "<details>\n<summary><b>Answer {}</b></summary>\n\n{}\n\n</details>"
"""HTML around Markdown: blank lines tell where one ends."""


def notebook(text: str, folded: bool = True) -> dict[str, Any]:
    """The notebook (nbformat 4.5, as JSON holds it, without outputs) of a lesson in Markdown.

    Each block of Python becomes a cell of code, what stands between them a cell of text, and each heading begins one.
    Each answer (``**1.**`` behind the heading ``## Answers``) becomes a cell of text that opens when it is asked for,
    its code included: front ends differ in how they hide cells of code, and agree on HTML. If it is not `folded`, its
    code is cells as well.
    """
    cells: list[dict[str, Any]] = [
        {"cell_type": kind, "id": f"cell-{i}", "metadata": {}, "source": source.splitlines(keepends=True)}
        | ({"execution_count": None, "outputs": []} if kind == "code" else {})
        for i, (kind, source) in enumerate(_cells(text, folded))
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def _cells(text: str, folded: bool) -> Iterator[tuple[str, str]]:
    """(cell_type, source) of every cell in order."""
    lesson, heading, answers = text.partition(ANSWERS)
    for i, part in enumerate(CODE.split(lesson)):
        if i % 2:
            yield "code", part.strip()
        else:
            yield from (("markdown", cell.strip()) for cell in SECTION.split(part) if cell.strip())
    if not heading:
        return
    yield "markdown", heading.strip() + TRY_FIRST
    if folded:
        yield from (("markdown", FOLD.format(number, answer.strip())) for number, answer in ANSWER.findall(answers))
    else:
        yield from _cells(answers, folded)


def write_lessons(folder: str | Path) -> tuple[list[Path], list[Path]]:
    """Write the notebooks and their files into `folder`, which is made; (those written, those that were there).

    What is there already stays as it is: it holds somebody's work. Raises `OSError` where nothing can be written.
    """
    there = Path(folder)
    there.mkdir(parents=True, exist_ok=True)
    sources = {there / f"{name}.ipynb": source for name, source in LESSONS.items()}
    sources |= {there / source.name: source for source in FILES}
    kept = [path for path in sources if path.exists()]
    new = [path for path in sources if path not in kept]
    write_all({path: _written(sources[path]) for path in new})
    return new, kept


def _written(source: Path) -> str | bytes:
    """What a reader gets of a file beside this one."""
    if source.suffix != ".md":
        return source.read_bytes()
    return json.dumps(notebook(source.read_text(encoding="utf-8")), indent=1, ensure_ascii=False) + "\n"
