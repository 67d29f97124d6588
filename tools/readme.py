"""Keep the pages' examples true: run every command shown in README and manual and compare, or paste, what it prints.

    python tools/readme.py            exit status 1 if an output differs, with the difference
    python tools/readme.py --write    paste the present outputs into the pages

A fenced block of language `console` holds `$ command` lines, each followed by its output. Blocks whose figures change
from run to run, or that need more than Python, are marked `console measured`: they are pasted by `--write` but not
compared. Commands run in a shell, one after the other in a folder that looks like the repository's root, where they may
leave files; `refengine` and `python` mean this Python's.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = (ROOT / "README.md", *sorted((ROOT / "refengine" / "manual").glob("*.md")))
BLOCK = re.compile(r"^```console( measured)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def outputs(block: str, folder: Path) -> Iterator[str]:
    """The block again, each command followed by what it prints now."""
    for command in re.findall(r"^\$ (.*)$", block, re.MULTILINE):
        yield f"$ {command}"
        printed = _run(command, folder)
        if printed:
            yield printed


def _furnish(folder: Path) -> None:
    """Make `folder` look like the repository's root, with `refengine` and `python` in its .bin."""
    for entry in ROOT.iterdir():
        (folder / entry.name).symlink_to(entry)
    (folder / ".bin").mkdir()
    for name, call in (("refengine", "-m refengine"), ("python", "")):
        script = folder / ".bin" / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {call} "$@"\n')
        script.chmod(0o755)


def _run(command: str, folder: Path) -> str:
    """What a command prints to stdout and stderr, with the space at the ends of lines cut."""
    environment = os.environ | {
        "PATH": f"{folder / '.bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "100",
    }
    done = subprocess.run(
        command, shell=True, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    return "\n".join(line.rstrip() for line in done.stdout.splitlines()).strip("\n")


def refreshed(text: str, measured: bool) -> str:
    """A page with every compared block's outputs renewed; the measured ones too if `measured`."""

    def renew(found: re.Match[str]) -> str:
        if found[1] and not measured:
            return found[0]
        return f"```console{found[1] or ''}\n" + "\n".join(outputs(found[2], folder)) + "\n```"

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _furnish(folder)
        return BLOCK.sub(renew, text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="paste the outputs into the pages")
    arguments = parser.parse_args()
    stale = False
    for page in PAGES:
        name, shown = str(page.relative_to(ROOT)), page.read_text(encoding="utf-8")
        present = refreshed(shown, measured=arguments.write)
        if arguments.write:
            page.write_text(present, encoding="utf-8")
            continue
        difference = list(difflib.unified_diff(shown.splitlines(), present.splitlines(), name, "now", lineterm=""))
        print("\n".join(difference) or f"{name} shows what its commands print")
        stale |= bool(difference)
    return int(stale)


if __name__ == "__main__":
    sys.exit(main())
