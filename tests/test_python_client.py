"""What a user's script calls is there, as mypy was told when it checked that script with everything else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import refengine

from . import python_client

CALLS = (
    "check_input",
    "debug",
    "diff",
    "evaluate",
    "explain",
    "export",
    "fuzz",
    "health",
    "inspect",
    "quantize",
    "run",
)


def test_a_script_runs_as_it_is_typed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    python_client.main(tmp_path)
    printed = capsys.readouterr().out.splitlines()
    assert "breakpoint 1: SOFTMAX" in printed and printed[-1] == "[ 1 28 28  1]"
    assert (tmp_path / "client.npz").exists() and (tmp_path / "c" / "model.c").exists()


def test_no_complaint_of_a_checker_is_silenced_in_it() -> None:
    source = Path(python_client.__file__).read_text()
    assert not re.search(r"type: ignore|noqa|\bAny\b|\bcast\b", source)
    assert {call for call in CALLS if f"refengine.{call}(" not in source} == set()


@pytest.mark.parametrize("name", refengine.__all__)
def test_everything_public_has_a_docstring(name: str) -> None:
    thing = getattr(refengine, name)
    assert isinstance(thing, dict) or len((thing.__doc__ or "").strip()) > 20
