"""The command line, `refengine COMMAND …`, and its commands: one file each, registered by existing.

A file's docstring begins with the sentence that `--help` shows; `arguments(parser)` adds what the command takes, and
`command(args)` runs it and returns the exit status. Commands ask the package and print what it says; they compute
nothing. Heavy libraries are imported where they are used, so that `refengine --help` stays quick.
"""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from difflib import get_close_matches
from typing import Any, NoReturn

from .. import __version__
from ..bundled import bundled_models
from ..errors import RefengineError
from ..kernel import PRESETS
from ..kernels._tflm import COMMIT, LITERT, WHEEL
from ..processes import terminable
from ..text import ALIKE, SCHEMA, paragraphs
from ._front import BROKEN_PIPE, CHIPS, WARNED, ended, fail, require_apart, say

HELP = """\
examples:
  refengine demo
  refengine run stm32f746_int8 --input drawing.png --digit
  refengine inspect model.tflite
  refengine evaluate model.tflite --data mnist/
  refengine completion bash
  refengine help evaluate

MODEL is a .tflite file or the name of a bundled network:
  {bundled}

exit status: 0 done, 2 error (one line on stderr), 130 interrupted, 143 terminated"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; an error is one line, whatever the files hold."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the shell (>&-)
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        with suppress(AttributeError):  # when something else was put in its place
            getattr(sys, name).reconfigure(errors=ALIKE)
    WARNED.clear()
    try:
        with terminable():
            given = [*(sys.argv[1:] if arguments is None else arguments)]
            given = [*given[1:], "--help"] if given[:1] == ["help"] else given
            args = parser_of(given).parse_args(given)
            require_apart(args)
            status: int = args.command(args)
            sys.stdout.flush()
            return status
    except BrokenPipeError:  # whoever was reading has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except KeyboardInterrupt as signal:
        fail("interrupted")
        return ended(signal)
    except MemoryError:
        return fail("out of memory")
    except (RefengineError, OSError) as error:
        return fail(error)


class _Help(argparse.RawDescriptionHelpFormatter):
    """Descriptions fill the terminal, as options do."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return paragraphs(text, width)


class _Version(argparse.Action):
    """Tells the version, the oracles' and the schemas'."""

    def __call__(self, parser: argparse.ArgumentParser, *rest: object) -> NoReturn:
        from ..tflite_io.schema import version

        say(
            f"refengine {__version__}",
            f"TFLM: commit {COMMIT}; oracle of the tests: tflite-micro {WHEEL}",
            f"LiteRT (dialects litert and litert-ref): oracle of the tests: ai-edge-litert {LITERT}",
            f"schemas: of .tflite files that of tflite {version()}; of JSON, dumps and recordings {SCHEMA}",
        )
        parser.exit()


class _Parser(argparse.ArgumentParser):
    """One that complains in one line, of a command's options itself: its help, not refengine's, lists them.

    What takes several values takes them all, whether they stand behind one option or the option stands there again.
    """

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.register("action", None, _stored)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        known, unknown = super().parse_known_args(args, namespace)
        unknown = self._without_late(known, unknown)
        if unknown:
            meant = _meant(unknown[0].partition("=")[0], self._option_string_actions)
            self.error(f"unrecognized arguments: {' '.join(unknown)}{meant}")
        return known, unknown

    def _without_late(self, known: Any, unknown: list[str]) -> list[str]:
        """What is left when an argument that may be left out has been found behind options: before Python 3.13 argparse
        believes that it is left out as soon as those come."""
        late = [one for one in self._get_positional_actions() if one.nargs == "?" and getattr(known, one.dest) is None]
        if len(late) == len(unknown) == 1 and not unknown[0].startswith("-"):
            setattr(known, late[0].dest, self._get_values(late[0], unknown))
            return []
        return unknown

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            known = [str(choice) for choice in action.choices or ()]
            hint = f"; {CHIPS}" if action.choices is PRESETS else ""
            raise argparse.ArgumentError(action, f"{error.message}{_meant(str(value), known) or hint}") from None

    def error(self, message: str) -> NoReturn:
        sys.exit(fail(f"{message} (see {self.prog} --help)"))


def _stored(option_strings: Sequence[str], dest: str, nargs: Any = None, **more: Any) -> argparse.Action:
    """What an option does that says nothing of it: one of several values does not forget the values before."""
    does = argparse._ExtendAction if nargs == "+" and option_strings else argparse._StoreAction
    return does(option_strings, dest, nargs=nargs, **more)


def _meant(word: str, known: Iterable[str]) -> str:
    """``; did you mean '--input'?``, if something that is known is spelt so nearly."""
    near = get_close_matches(word, known, 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def parser_of(arguments: Sequence[str] = ()) -> argparse.ArgumentParser:
    """Of the command that comes first; of all, which bring much, where that is none but --version."""
    files = {name.replace("_", "-"): name for _, name, _ in pkgutil.iter_modules(__path__) if not name.startswith("_")}
    called = {name: file for name, file in files.items() if [name] == [*arguments[:1]]}
    known = [*files, "--version", "--help"]
    if arguments and arguments[0] not in known and (meant := _meant(arguments[0], known)):
        kind = "option" if arguments[0].startswith("-") else "command"
        sys.exit(fail(f"there is no {kind} {arguments[0]!r}{meant} (see refengine --help)"))
    parser = _Parser(
        prog="refengine",
        formatter_class=_Help,
        description="The golden model for TensorFlow Lite Micro: runs .tflite files bit for bit as TFLM does.",
        epilog=HELP.format(bundled="\n  ".join(bundled_models())),
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show whose arithmetic it is, and which schemas")
    added = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    wanted: dict[str, str] = {} if [*arguments] == ["--version"] else called or files
    for name, file in wanted.items():
        module = importlib.import_module(f"{__name__}.{file}")
        description = module.__doc__ or ""
        sentence = description.partition("\n")[0]
        one = added.add_parser(
            name, help=sentence[:1].lower() + sentence[1:-1], description=description, formatter_class=_Help
        )
        module.arguments(one)
        one.set_defaults(command=module.command)
    return parser
