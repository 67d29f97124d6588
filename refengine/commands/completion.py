"""Print what makes a shell complete commands, options, files and networks' names, once it has read it.

  refengine completion bash \\
    > ~/.local/share/bash-completion/completions/refengine
  refengine completion zsh > ~/.zfunc/_refengine
  refengine completion fish > ~/.config/fish/completions/refengine.fish

For zsh, fpath+=~/.zfunc stands before compinit in ~/.zshrc. The script knows what this version takes: print it anew
after an upgrade.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from ..bundled import bundled_models
from ..errors import InputError
from ._front import say

SHELLS = ("bash", "zsh", "fish")

FILES = {"FILE", "PATH", "DUMP", "OTHER", "FLOAT"}
"""How arguments that are files are called in the help; a folder is a DIR, and a MODEL a file or a bundled network."""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help=f"one of {', '.join(SHELLS)}")


def command(args: argparse.Namespace) -> int:
    try:
        import shtab
    except ImportError:
        raise InputError("completion needs shtab: pip install 'refengine[completion]'") from None
    from . import parser_of  # of all commands

    parser, named = parser_of(), _model(bundled_models())
    for action in _actions(parser):
        action.choices = action.choices and [*action.choices]  # a mapping would be taken for commands
        names = {action.metavar} if isinstance(action.metavar, str) else {*(action.metavar or ())}
        if "MODEL" in names or "FLOAT" in names:
            action.complete = named  # type: ignore[attr-defined]
        elif names & FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif "DIR" in names:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    say(*shtab.complete(parser, args.shell).splitlines())
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """What a parser takes, and all parsers below it."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in {id(each): each for each in action.choices.values()}.values():
                yield from _actions(below)
        else:
            yield action


def _model(networks: Any) -> dict[str, Any]:
    """How each shell completes a file or one of these names."""
    names = " ".join(networks)
    return {
        "bash": "_refengine_model",
        "zsh": "_refengine_model",
        "fish": "(_refengine_model)",
        "preamble": {
            "bash": f'_refengine_model() {{\n  compgen -W "{names}" -- "$1"\n  compgen -f -- "$1"\n}}',
            "zsh": f"_refengine_model() {{\n  _alternative 'names:network:({names})' 'files:file:_files'\n}}",
            "fish": f"function _refengine_model\n  string split ' ' '{names}'\n  __fish_complete_path\nend",
        },
    }
