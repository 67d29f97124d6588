"""refengine_command.py: what the console script calls, and Ctrl-C from its first line on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

CALL = """\
import signal, sys

class Asked:
    def find_spec(name, path=None, target=None):
        if name == module:
            signal.raise_signal(signal.SIGINT)

_, module, handler, *sys.argv[1:] = sys.argv
signal.signal(signal.SIGINT, getattr(signal, handler))
sys.meta_path.insert(0, Asked)
import refengine_command
sys.exit(refengine_command.main())
"""
"""Calls it, and sends Ctrl-C to itself when a module is about to be imported."""


def called(module: str, handler: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", CALL, module, handler, *arguments]
    return subprocess.run(words, capture_output=True, text=True, cwd=ROOT)


@pytest.mark.parametrize("module", ["refengine", "numpy", "refengine.commands.health", "refengine.examination"])
def test_ctrl_c_amid_imports_ends_in_a_sentence(module: str) -> None:
    done = called(module, "default_int_handler", "health", "dense_int8")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "refengine: interrupted\n")


def test_a_ctrl_c_that_a_shell_keeps_away_stays_away() -> None:
    done = called("numpy", "SIG_IGN", "manual")
    assert (done.returncode, done.stderr) == (0, "") and "glossary" in done.stdout


def test_it_imports_nearly_nothing_before_it_listens() -> None:
    code = "import refengine_command, sys; print({'numpy', 'refengine', 'argparse'} & {*sys.modules})"
    assert subprocess.check_output([sys.executable, "-c", code], text=True, cwd=ROOT).strip() == "set()"


def test_afterwards_ctrl_c_is_an_exception_again() -> None:
    """For commands that put away what they have begun, and tell what is done."""
    code = (
        "import signal, refengine.commands, refengine_command\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "refengine.commands.main = lambda: print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)\n"
        "refengine_command.main()"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True, cwd=ROOT) == "True\n"
