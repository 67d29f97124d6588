"""Commands from a person, a script or a pipe, and the answers: if one is wrong, a line says so, and the next is run."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from os.path import expanduser
from pathlib import Path
from types import MappingProxyType

from ..errors import InputError, RefengineError
from ..kernel import Numerics
from ..model import Array
from ..plan import Source, plan_of
from ..processes import Terminated
from ..text import encodable, hung, kind_of, printable
from .console import Console, split
from .session import Session

PROMPT = "(refengine) "

RC = "~/.refenginerc"
"""Commands in one's home directory that every conversation begins with, as gdb's .gdbinit and pdb's .pdbrc have them.
Not the current directory's: a folder that somebody else made must not give orders."""


def debug(
    source: Source,
    *inputs: Array,
    commands: str | Iterable[str] | None = None,
    then: Sequence[tuple[Array, ...]] = (),
    given: Mapping[int, Array] = MappingProxyType({}),
    numerics: Numerics | str | None = None,
) -> Session:
    """Step through an inference: `refengine debug`, at a prompt in this terminal, or by `commands`.

        session = refengine.debug("model.tflite", image, commands="break if saturation > 0.05; continue; stats")
        session.current.outputs                                  # where it stands, for Python to go on with

    `commands` are lines as one types them at the prompt, several in one between semicolons; their answers are printed.
    `inputs` are those of one inference, `then` and `given` as in `debugger.Session`, which comes back. `numerics` is
    for `make_plan`, where `source` is no plan yet.

    Raises `InputError` for inputs that do not fit, for no `commands` where there is no terminal (as in a notebook), and
    what a command raises.
    """
    console = Console(Session(plan_of(source, numerics=numerics), *inputs, then=then, given=given), width(), colour())
    if commands is None:
        converse(console)
        return console.session
    lines = [commands] if isinstance(commands, str) else commands
    for line in lines if isinstance(lines, Iterable) else [lines]:
        if not isinstance(line, str):
            raise InputError(f"commands are lines as one types them, such as 'continue; stats', not {kind_of(line)}")
        for command in split(line):
            tell(console.run(command))
    return console.session


def read(console: Console, lines: Iterable[str]) -> bool:
    """Commands without a person: whether all of them were right, and no `compare` found a difference."""
    right = [obey(console, split(line)) for line in lines if not line.strip().startswith("#")]
    return all(right) and not console.differed


def converse(console: Console) -> None:
    """A prompt, until quit or Ctrl-D; Ctrl-C returns to it. Raises `InputError` where there is no terminal."""
    if not (sys.stdin and sys.stdin.isatty()):
        raise InputError('there is no terminal to type at; give commands, for example "break if zeros > 0.5; continue"')
    from .prompt import paged, prompt_of  # and its library, which scripts do without

    ask = prompt_of(console, PROMPT)
    tell(console.where())
    read(console, _own_commands())
    while not console.done:
        console.width = width()
        try:
            for line in ask().splitlines() or [""]:  # several if they were pasted
                obey(console, split(line) or [""], paged)
        except Terminated:
            raise
        except KeyboardInterrupt:
            print("^C")
        except EOFError:
            return


def tell(lines: Iterable[str]) -> None:
    """An answer, as it comes."""
    for line in lines:
        told = printable(line)
        for part in hung(told, width()) if sys.stdout.isatty() else [told]:
            print(encodable(part, sys.stdout.encoding))


def obey(console: Console, commands: Iterable[str], show: Callable[[Iterable[str]], None] = tell) -> bool:
    """Run commands, whose answers `show` shows; whether all of them were right."""
    right = True
    for each in commands:
        if console.done:
            break
        try:
            show(console.run(each))
        except (RefengineError, OSError) as error:
            if isinstance(error, BrokenPipeError):
                raise
            right = False
            sys.stdout.flush()
            print(f"refengine: {printable(_sentence(error))}", file=sys.stderr)
    return right


def width() -> int:
    """Columns of the terminal, or what does for a pipe."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 100


def colour() -> bool:
    """Whether what is printed to shows xterm's greys."""
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM", "dumb") != "dumb"


def _own_commands() -> list[str]:
    """The lines of one's own .refenginerc, if there is one."""
    path = Path(expanduser(RC))
    return path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []


def _sentence(error: Exception) -> str:
    """What is wrong; of the operating system's errors, the file and the reason."""
    return f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
