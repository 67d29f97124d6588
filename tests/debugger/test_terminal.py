"""`refengine debug` in a real terminal: prompt, history, completion, repetition, colours, pager, Ctrl-C and Ctrl-D."""

from __future__ import annotations

import itertools
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from refengine.tensors.datasets import bundled_digits

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")

PATIENCE = 60  # seconds, for a machine with better things to do
PROMPT, SHELL = "(refengine)", "shell>"
numbers = itertools.count()


class Terminal:
    """A shell in tmux with a server of its own; `screen` is all that was ever written to it."""

    def __init__(self, folder: Path) -> None:
        self.tmux = ["tmux", "-L", f"refengine-{os.getpid()}-{next(numbers)}", "-f", os.devnull]
        size = ["-x", "110", "-y", "50"]
        unset = ["env", "-u", "NO_COLOR", "-u", "COLUMNS", "-u", "LINES"]  # pytest's readline has the last two
        self._run("new-session", "-d", *size, "-c", str(folder), *unset, f"PS1={SHELL} ", "sh")

    def begin(self) -> None:
        """Start the debugger."""
        prompts = self.screen().count(PROMPT)
        self.type("sh begin", "Enter")
        self.wait(PROMPT, prompts + 1)

    def type(self, *keys: str) -> None:
        """Text, or keys by tmux's names for them."""
        self._run("send-keys", *keys)

    def ask(self, line: str, answer: str) -> str:
        """Type a line at the prompt; the screen once it holds `answer` and the next prompt."""
        prompts = self.screen().count(PROMPT)
        self.type(line, "Enter")
        self.wait(PROMPT, prompts + 1)
        return self.wait(answer)

    def wait(self, text: str, times: int = 1) -> str:
        """The screen once it holds `text` so often."""
        end = time.monotonic() + PATIENCE
        while (screen := self.screen()).count(text) < times:
            assert time.monotonic() < end, f"{text!r} never came:\n{screen}"
            time.sleep(0.05)
        return screen

    def screen(self, *options: str) -> str:
        return self._run("capture-pane", "-p", "-J", "-S", "-", *options)

    def ask_tmux(self, words: str) -> str:
        return self._run("display-message", "-p", words).strip()

    def close(self) -> None:
        subprocess.run([*self.tmux, "kill-server"], check=False, capture_output=True)

    def _run(self, *command: str) -> str:
        return subprocess.run([*self.tmux, *command], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """A terminal in which the debugger is at its prompt; its folder is home, too."""
    images, labels = bundled_digits()
    Image.fromarray(images[labels == 7][0]).save(tmp_path / "seven.png")
    opened = Terminal(tmp_path)
    try:
        (tmp_path / ".refenginerc").write_text("# mine\nbreak FULLY_CONNECTED\nnonsense; delete 1\n")
        root = shlex.quote(str(Path(__file__).parents[2]))
        command = f"env -u PAGER -u LESS HOME=. PYTHONPATH={root} {shlex.quote(sys.executable)} -m refengine"
        (tmp_path / "begin").write_text(f"exec {command} debug stm32f746_int8 --input seven.png\n")
        opened.begin()
        yield opened
    finally:
        opened.close()


@pytest.mark.slow
def test_a_session(terminal: Terminal) -> None:
    begin = terminal.screen()
    assert "start: input" in begin and "breakpoint 1: operators 9" not in begin
    assert "breakpoint 1: operator 9 (FULLY_CONNECTED), operator 10 (FULLY_CONNECTED)" in begin, "its .refenginerc"
    assert "refengine: 'nonsense' is no command; help lists them" in begin
    terminal.ask("break SOFTMAX", "breakpoint 2: operator 11 (SOFTMAX)")
    terminal.ask("c", "end of the inference")
    terminal.ask("back 9", "2 CONV_2D + RELU → 16 int8 1×11×11×64")
    terminal.ask("explain 3,4,7", "which stands for")
    terminal.ask("gibberish", "refengine: 'gibberish' is no command; help lists them")
    terminal.ask("stats", "zeros   67.51%")
    assert "▀" in terminal.ask("show out[0:4]", "black -128")
    assert "\x1b[38;5;" in terminal.screen("-e"), "greys"
    terminal.type("quit", "Enter")
    terminal.wait(SHELL, 2)
    terminal.type("echo status $?", "Enter")
    terminal.wait("\nstatus 0")


def test_an_empty_line_repeats(terminal: Terminal) -> None:
    terminal.ask("next", "0 CONV_2D + RELU")
    terminal.ask("", "1 MAX_POOL_2D")
    terminal.ask("", "2 CONV_2D + RELU")


def test_tab_completes_and_history_returns(terminal: Terminal) -> None:
    terminal.type("unt", "Tab")
    terminal.wait("(refengine) until")
    terminal.type(" SOF", "Tab")
    terminal.wait("until SOFTMAX")
    terminal.type("Enter")
    terminal.wait("end of the inference")
    terminal.ask("goto start", "start: input")
    terminal.type("Up", "Up")
    terminal.wait("until SOFTMAX", 2)
    terminal.type("Enter")
    terminal.wait("end of the inference", 2)


def test_completions_come_as_a_menu_that_says_what_they_do(terminal: Terminal) -> None:
    terminal.type("next; s", "Tab")
    shown = terminal.wait("what if? Later steps are computed again")
    assert {"save", "set", "show", "stats", "step"} <= {*shown.split()} and "keeps every tensor" not in shown
    terminal.type("Tab", "Tab", "Enter", "Enter")
    terminal.wait("0 CONV_2D + RELU")


def test_what_was_typed_is_suggested_the_next_time(terminal: Terminal) -> None:
    terminal.ask("goto softmax", "end of the inference")
    terminal.type("C-d")
    terminal.wait(SHELL, 2)
    terminal.begin()
    terminal.type("got")
    terminal.wait("(refengine) goto softmax", 2)
    terminal.type("Right", "Enter")
    terminal.wait("end of the inference", 2)


def test_what_is_taller_than_the_terminal_goes_through_a_pager(terminal: Terminal) -> None:
    terminal.ask("goto 2", "2 CONV_2D + RELU")
    terminal.type("show out", "Enter")
    terminal.wait("\n54 ")
    terminal.type("q")
    assert "\n63" not in terminal.wait(PROMPT, 3), "the last row was not asked for"
    terminal.ask("next", "3 MAX_POOL_2D")


def test_interrupt_returns_to_the_prompt_and_end_of_input_leaves(terminal: Terminal) -> None:
    terminal.type("half a comm")
    terminal.wait("half a comm")
    terminal.type("C-c")
    terminal.wait(PROMPT, 2)
    terminal.ask("next", "0 CONV_2D + RELU")
    terminal.type("C-d")
    terminal.wait(SHELL, 2)


def test_a_signal_at_the_prompt_leaves_the_terminal_as_it_was(terminal: Terminal) -> None:
    terminal.ask("next", "0 CONV_2D + RELU")
    pane = terminal.ask_tmux("#{pane_pid}")
    child = subprocess.run(["ps", "-o", "pid=", "--ppid", pane], check=True, capture_output=True, text=True).stdout
    os.kill(int(child), signal.SIGTERM)
    terminal.wait(SHELL, 2)
    terminal.type("echo status $?; stty -a", "Enter")
    assert " echo " in terminal.wait("\nstatus 143") + terminal.wait("icanon") and "Traceback" not in terminal.screen()
