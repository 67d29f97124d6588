"""The ways to a kernel: a C library, a command, or any Python callable that takes a `Case`.

A door returns the kernel's output for a case, or None where the kernel does not claim to compute it.
"""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..errors import InputError, require_posix
from ..files import write_npz
from ..model import Array
from ..processes import filled, finished, words_of
from ..tflite_io import dump
from . import child
from .calls import Calls
from .case import Case, Door, KernelError
from .image import Image

UNSUPPORTED = 77
"""The exit status by which a command says that it does not claim to compute a case; as automake's tests skip."""

TIME_OUT = 2.0, 60.0
"""Seconds that a library's call and a command may take, unless one says otherwise."""


class Library(Calls):
    """A shared library with a `refengine_kernel` (see `refengine_fuzz.h`), called in a process of its own.

    That it crashes or takes more than `time_out` seconds is a `KernelError`, as all that `Calls` finds. Pickles as its
    path: another process loads it anew.
    """

    def __init__(self, path: str | os.PathLike[str], time_out: float = TIME_OUT[0]) -> None:
        require_posix("a library of kernels, which may crash or hang,")
        self.path, self.time_out = Path(path).resolve(), time_out
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: BinaryIO | None = None

    def call(self, image: Image) -> tuple[int, bytes]:
        process = self._started()
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(np.array([len(image.block), len(image.pointers), *image.pointers], np.uint64).tobytes())
            process.stdin.write(image.block)
            process.stdin.flush()
            reply = process.stdout.read(4 + len(image.block))
        except BrokenPipeError:
            reply = b""
        if len(reply) < 4 + len(image.block):
            raise self._death()
        return int(np.frombuffer(reply[:4], np.int32)[0]), reply[4:]

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._errors = tempfile.TemporaryFile()  # noqa: SIM115
            command = [sys.executable, "-I", "-S", child.__file__, str(self.path), str(self.time_out)]
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors
            )
            assert self._process.stdout is not None
            if self._process.stdout.read(len(child.READY)) != child.READY:
                status, said = self._last_words()  # of Python: OSError: why
                why = said[0].partition(": ")[2] if status == 1 and said else f"to load it {_ended(status, said)}"
                raise InputError(f"{self.path.name} cannot be used: {why}")
        return self._process

    def _last_words(self) -> tuple[int, list[str]]:
        """The status that the process ends with, and what it said last."""
        assert self._process is not None and self._errors is not None
        status = self._process.wait()
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip().splitlines()[-1:]
        self.close()
        return status, said

    def _death(self) -> KernelError:
        """What ended the process."""
        status, said = self._last_words()
        if status == -signal.SIGALRM:
            return KernelError("hangs", f"has not returned after {self.time_out:g} seconds")
        return KernelError("crashes", _ended(status, said))

    def close(self) -> None:
        """End the process; the next case starts another."""
        if self._process is not None:
            assert self._process.stdin is not None and self._process.stdout is not None and self._errors is not None
            for pipe in (self._process.stdin, self._process.stdout, self._errors):
                with suppress(BrokenPipeError):
                    pipe.close()
            self._process.wait()
            self._process = None

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "time_out": self.time_out, "_process": None, "_errors": None}


class Command:
    """A command that reads a model and tensors and writes its output, with `{model}`, `{inputs}` and `{outputs}` in it.

    `{model}` is the path of a `.tflite` file of one operator; `{inputs}` those of one file for each of the model's
    inputs, in order, each as one word; `{npz}` that of one .npz with all of them by name; `{outputs}` those of the
    files to write, one for each output. Tensors are raw bytes in C order, little-endian. Of an operator with state the
    inputs hold several inferences, one behind another, which begin fresh; the outputs are those of the last one. Exit
    status 0: computed, 77: not supported (skipped), anything else is a `KernelError`, as is an output of a wrong size.
    """

    def __init__(self, command: str, time_out: float = TIME_OUT[1]) -> None:
        self.words = words_of(command)
        self.time_out = time_out
        wanted = ("{model}", "{outputs}")
        if not self.words or any(not any(name in word for word in self.words) for name in wanted):
            raise InputError(f"the command {command!r} must contain {' and '.join(wanted)}")

    def __call__(self, case: Case) -> tuple[Array, ...] | None:
        with tempfile.TemporaryDirectory(prefix="refengine-") as folder:
            paths = _written(case, Path(folder))
            try:
                done = finished(filled(self.words, paths), self.time_out)
            except subprocess.TimeoutExpired:
                raise KernelError("hangs", f"has not ended after {self.time_out:g} seconds") from None
            except OSError as error:
                raise InputError(f"{self.words[0]}: {error.strerror}") from None
            if done.returncode == UNSUPPORTED:
                return None
            if done.returncode:
                said = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()[-1:]
                raise KernelError("fails", _ended(done.returncode, said))
            return tuple(_read(Path(path), x) for path, x in zip(paths["{outputs}"], case.record.outputs, strict=True))


def _written(case: Case, folder: Path) -> dict[str, list[str]]:
    """The files of a case, by what stands for them in a command."""
    model, npz, stream = folder / "model.tflite", folder / "inputs.npz", _since_reset(case)
    inferences = zip(*(one.inputs for one in stream), strict=True)
    fed = [np.stack(arrays) if len(stream) > 1 else arrays[0] for arrays in inferences]
    model.write_bytes(dump(case.model))
    write_npz(npz, {t.name: x for t, x in zip(case.plan.inputs, fed, strict=True)})
    inputs = [folder / f"input{i}.raw" for i in range(len(fed))]
    for path, array in zip(inputs, fed, strict=True):
        path.write_bytes(array.tobytes())
    outputs = [folder / f"output{i}.raw" for i in range(len(case.step.outputs))]
    found = {"{model}": [model], "{inputs}": inputs, "{npz}": [npz], "{outputs}": outputs}
    return {name: [str(path) for path in paths] for name, paths in found.items()}


def _since_reset(case: Case) -> tuple[Case, ...]:
    """The inferences of a stream since its last reset, which leaves everything as at first."""
    last = max((i for i, one in enumerate(case.stream) if one.reset), default=0)
    return case.stream[last:]


def _read(path: Path, expected: Array) -> Array:
    if not path.exists():
        raise KernelError("writes no output", "ends with status 0, but has not written its output")
    raw = path.read_bytes()
    if len(raw) != expected.nbytes:
        raise KernelError("wrong shape", f"writes {len(raw)} bytes where {expected.dtype} {expected.shape} is due")
    return np.frombuffer(raw, expected.dtype).reshape(expected.shape)


def _ended(status: int, said: list[str]) -> str:
    """How a process ended, and what it said last."""
    how = f"is ended by {signal.Signals(-status).name}" if status < 0 else f"exits with status {status}"
    return how + (f", saying: {said[0]}" if said else "")


def callable_of(name: str) -> Door:
    """The Python callable that ``module:function`` names; modules are looked for in the current folder too."""
    module, _, attribute = name.partition(":")
    if not (module and attribute):
        raise InputError(f"{name!r} names no callable; give it as module:function")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # a module is anybody's code
        raise InputError(f"{name} cannot be imported as module:function: {type(error).__name__}: {error}") from None
    if not callable(found):
        raise InputError(f"{name} is no callable")
    door: Door = found
    return door
