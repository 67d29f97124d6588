"""The API reference as HTML, from the docstrings: one page for each module that people call.

    python tools/reference.py [DIR]     by default build/reference; exit status 1 if a link leads nowhere

pdoc makes the pages. What it cannot tell (a name that does not resolve, an annotation that it cannot read) fails, too.
"""

from __future__ import annotations

import argparse
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import refengine

ROOT = Path(__file__).resolve().parent.parent
MODULES = (
    "refengine",
    "refengine.bundled",
    "refengine.cexport",
    "refengine.debugger",
    "refengine.device",
    "refengine.errors",
    "refengine.examination",
    "refengine.explanation",
    "refengine.fuzzer",
    "refengine.interpreter",
    "refengine.judge",
    "refengine.kernel",
    "refengine.model",
    "refengine.parallel",
    "refengine.pytest",
    "refengine.quantizer",
    "refengine.strategies",
    "refengine.tasks",
    "refengine.tflite_io",
)

SCRIPT = re.compile(r"<script\b.*?</script>", re.DOTALL)
"""Parts of a page in which a link is a template."""


def write(folder: Path) -> list[Path]:
    """Write the reference into a folder; its pages. Raises `Warning` for what pdoc complains of."""
    import pdoc

    for name in refengine.__all__:  # rooms are imported once somebody asks for them: pdoc looks only at what is there
        setattr(refengine, name, getattr(refengine, name))
    pdoc.render.configure(docformat="markdown", show_source=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "Error parsing type annotation")  # names that only type checkers import
        pdoc.pdoc(*MODULES, output_directory=folder)
    return sorted(folder.rglob("*.html"))


def broken(pages: list[Path]) -> Iterator[str]:
    """The links that lead nowhere, each with the page that has it; those to other sites are not followed."""
    texts = {page.resolve(): SCRIPT.sub("", page.read_text(encoding="utf-8")) for page in pages}
    anchors = {page: {*re.findall(r'\bid="([^"]+)"', text)} for page, text in texts.items()}
    for page, text in texts.items():
        for link in re.findall(r'\bhref="([^"]+)"', text):
            path, _, anchor = unquote(link).partition("#")
            target = (page.parent / path).resolve() if path else page
            outside = re.match(r"[a-z]+:", link)
            if not outside and (target not in texts or (anchor and anchor not in anchors[target])):
                yield f"{page.name}: {link}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="DIR", nargs="?", type=Path, default=ROOT / "build" / "reference")
    folder = parser.parse_args().folder
    pages = write(folder)
    wrong = list(broken(pages))
    print(*wrong or [f"{len(pages)} pages in {folder}; every link leads somewhere"], sep="\n")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
