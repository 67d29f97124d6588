"""Learn how integers recognise things: eight notebooks with exercises, copied and opened in Jupyter if it is there.

The folder gets the notebooks and the files that they work on. What is in it already stays as it is: to begin a lesson
anew, delete its notebook. Needs the extra `lessons` to run them.

  refengine lessons
  refengine lessons my-course
  refengine lessons --copy
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from importlib.util import find_spec

from ..processes import Terminated
from ._front import say

JUPYTER = ("jupyterlab", "notebook")
"""The modules that open a notebook, whichever is there."""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", metavar="FOLDER", nargs="?", default="lessons", help="where to (default: %(default)s)"
    )
    parser.add_argument("--copy", action="store_true", help="copy them only, and open nothing")


def command(args: argparse.Namespace) -> int:
    from ..lessons import LESSONS, write_lessons

    written, kept = write_lessons(args.folder)
    say(
        f"{args.folder}: {len(written)} file{'' if len(written) == 1 else 's'} written"
        + (f", {len(kept)} were there and stay" if kept else "")
    )
    first = f"{args.folder}/{next(iter(LESSONS))}.ipynb"
    jupyter = next((name for name in JUPYTER if find_spec(name)), None)
    if args.copy:
        say(f"begin with {first}")
    elif jupyter is None:
        say(f"begin with {first}; Jupyter is not here: pip install 'refengine[lessons]', or open it in an editor")
    else:
        say("opening Jupyter; Ctrl-C ends it")
        sys.stdout.flush()
        return _run([sys.executable, "-m", jupyter, first])
    return 0


def _run(words: list[str]) -> int:
    """The command's exit status. Ctrl-C reaches it, too, and is its own: Jupyter asks whether it shall end."""
    with subprocess.Popen(words) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt as signal:
                if isinstance(signal, Terminated):
                    process.terminate()
                    raise
