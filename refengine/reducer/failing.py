"""How somebody's command or runtime fails on a model, so that a smaller one can be held against it."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, RefengineError
from ..execute import run
from ..files import write_npz
from ..kernel import Numerics
from ..model import Array, Model
from ..plan import make_plan
from ..processes import filled, finished, words_of
from ..tensors.difference import unlike
from ..tensors.dumps import dump_names
from ..text import counted
from ..tflite_io import dump

TIME_OUT = 60.0
"""Seconds that a command may take, unless one says otherwise."""

PLACES = ("{model}", "{npz}", "{inputs}")

Fails = Callable[[Model, tuple[Array, ...]], str]
"""How something fails on a model and its inputs, in words that are the same for the same failure; "" where it does
not."""


class Command:
    """A command that fails by its exit status; `{model}` in it is the path of a `.tflite` file.

    `{inputs}` are those of one file of raw bytes for each input, `{npz}` that of an .npz with all of them by name.
    ``exits with 3``, ``is ended by signal 11`` or ``hangs`` (for `time_out` seconds) is how it fails; where `saying` is
    given, it fails only if that regular expression is found in what it prints. Raises `InputError` where it cannot be
    started.
    """

    def __init__(self, command: str, time_out: float = TIME_OUT, saying: str = "") -> None:
        self.words = words_of(command)
        try:
            self.saying = re.compile(saying)
        except re.error as error:
            raise InputError(f"{saying!r} is no regular expression: {error}") from None
        self.time_out = time_out
        if not any("{model}" in word for word in self.words):
            raise InputError(f"the command {command!r} must contain {{model}}")

    def __call__(self, model: Model, inputs: tuple[Array, ...]) -> str:
        with tempfile.TemporaryDirectory(prefix="refengine-") as folder:
            words = filled(self.words, _written(model, inputs, Path(folder)))
            try:
                done = finished(words, self.time_out)
            except subprocess.TimeoutExpired:
                return "" if self.saying.pattern else "hangs"
            except OSError as error:
                raise InputError(f"{self.words[0]}: {error.strerror}") from None
        if not done.returncode or not self.saying.search((done.stdout + done.stderr).decode(errors="replace")):
            return ""
        return f"exits with {done.returncode}" if done.returncode > 0 else f"is ended by signal {-done.returncode}"


def _written(model: Model, inputs: tuple[Array, ...], folder: Path) -> dict[str, Sequence[str]]:
    """The files that stand for the places of a command."""
    file, npz = folder / "model.tflite", folder / "inputs.npz"
    raw = [folder / f"input{i}.raw" for i, _ in enumerate(inputs)]
    graph = model.graphs[0]
    names = dump_names(graph.tensors)
    file.write_bytes(dump(model))
    write_npz(npz, {names[i]: x for i, x in zip(graph.inputs, inputs, strict=True)})
    for path, x in zip(raw, inputs, strict=True):
        path.write_bytes(x.tobytes())
    return dict(zip(PLACES, ([str(file)], [str(npz)], [*map(str, raw)]), strict=True))


class Runtime:
    """A callable that runs a model: ``function(model: bytes, inputs: tuple[ndarray, ...])`` gives the outputs.

    It ``differs`` where an output is not what refengine computes in a dialect, bit for bit (any NaN is any other), or
    ``gives 2 outputs`` and the like; what it raises is told by its type. One that crashes takes this process with it:
    give such a one as a command.
    """

    def __init__(self, function: Callable[..., Any], numerics: Numerics) -> None:
        self.function, self.numerics = function, numerics

    def __call__(self, model: Model, inputs: tuple[Array, ...]) -> str:
        wanted = run(make_plan(model, numerics=self.numerics), *inputs)
        try:
            got = self.function(dump(model), inputs)
        except RefengineError:
            raise
        except Exception as error:  # a callable is anybody's code
            return f"raises {type(error).__name__}"
        found = [np.asarray(x) for x in (got if isinstance(got, list | tuple) else [got])]
        if len(found) != len(wanted):
            return f"gives {counted(len(found), 'output')}"
        for mine, theirs in zip(wanted, found, strict=True):
            if mine.dtype != theirs.dtype or mine.size != theirs.size:
                return f"gives {theirs.dtype} of another type or size"
        return "differs" if any(unlike(x, y.reshape(x.shape)).any() for x, y in zip(wanted, found, strict=True)) else ""
