"""refengine/reducer/failing.py: how commands and callables fail."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refengine import InputError, run
from refengine.kernel import PRESETS
from refengine.model import Array
from refengine.reducer import Command, Runtime
from tests.models import fed, one_op, q

MODEL = one_op("RELU", {}, [fed((1, 2), "int8", q(1.0))], fed((1, 2), "int8", q(1.0)))
X = (np.array([[-1, 2]], np.int8),)


def python(code: str) -> str:
    return f"{sys.executable} -c '{code}' {{model}} {{npz}} {{inputs}}"


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        ("pass", ""),
        ("raise SystemExit(3)", "exits with 3"),
        ("import os; os.kill(os.getpid(), 9)", "is ended by signal 9"),
        ('import sys; raise SystemExit(open(sys.argv[1], "rb").read()[4:8] == b"TFL3")', "exits with 1"),
        ('import sys; raise SystemExit(open(sys.argv[3], "rb").read()[1])', "exits with 2"),
        ('import sys; raise SystemExit(open(sys.argv[2], "rb").read(2) == b"PK")', "exits with 1"),
    ],
)
def test_a_command_fails_by_its_status(code: str, failure: str) -> None:
    assert Command(python(code))(MODEL, X) == failure


def test_a_command_that_does_not_end_hangs() -> None:
    assert Command(python("import time; time.sleep(9)"), time_out=0.2)(MODEL, X) == "hangs"


def test_a_command_may_have_to_say_why() -> None:
    code = 'print("no operator"); raise SystemExit(1)'
    assert Command(python(code), saying="^r")(MODEL, X) == ""
    assert Command(python(code), saying="no op.*r")(MODEL, X) == "exits with 1"


@pytest.mark.parametrize(
    ("command", "saying", "complaint"),
    [
        ("runtime", "", r"must contain \{model\}"),
        ("runtime '{model}", "", "cannot be split into words"),
        ("runtime {model}", "(", "is no regular expression"),
    ],
)
def test_a_command_that_cannot_be_is_refused(command: str, saying: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        Command(command, saying=saying)


def test_a_command_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        Command(f"{tmp_path}/none {{model}}")(MODEL, X)


def raising(model: bytes, inputs: tuple[Array, ...]) -> Any:
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("function", "failure"),
    [
        (lambda model, inputs: run(model, *inputs), ""),
        (lambda model, inputs: run(model, *inputs)[0].tolist(), "gives int64 of another type or size"),
        (lambda model, inputs: run(model, *inputs)[0].ravel(), ""),
        (lambda model, inputs: run(model, *inputs)[0] + np.int8(1), "differs"),
        (lambda model, inputs: [], "gives 0 outputs"),
        (raising, "raises ZeroDivisionError"),
    ],
)
def test_a_runtime_fails_by_what_it_gives(function: Any, failure: str) -> None:
    assert Runtime(function, PRESETS["tflm"])(MODEL, X) == failure
