"""One root, and places that gather in front of a message."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import refengine
from refengine.errors import InputError, ModelError, RefengineError, UnsupportedError, consistent, located, require

SOURCES = sorted((Path(refengine.__file__).parent / "kernels").glob("*.py"))
REFUSALS = ("require", "within_limits")
WAYS_OUT = (
    "again", "make_plan", "in float", "put a", "do it in steps", "use a slice", "make ", "reshape", "give the",
    "choose a dialect",
)  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "builtin"), [(ModelError, ValueError), (UnsupportedError, NotImplementedError), (InputError, ValueError)]
)
def test_one_root_and_the_builtin_it_resembles(kind: type[Exception], builtin: type[Exception]) -> None:
    assert issubclass(kind, RefengineError)
    assert issubclass(kind, builtin)


def test_require() -> None:
    require([0], "never said")
    with pytest.raises(UnsupportedError, match=r"^said$"):
        require([], "said")


def test_a_graph_that_contradicts_itself_is_converted_again() -> None:
    consistent((1,), "never said")
    with pytest.raises(UnsupportedError, match=r"^said; the file contradicts itself: convert the model again$"):
        consistent((), "said")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_every_refusal_of_a_kernel_says_whose_limit_it_is_and_a_way_out(path: Path) -> None:
    """As far as the words in the source show; whether the way is passable, people must see."""
    source = path.read_text(encoding="utf-8")
    for call in ast.walk(ast.parse(source)):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in REFUSALS:
            said = ast.get_source_segment(source, call.args[1]) or ""
            if isinstance(call.args[1], ast.Name) or "ADVICE" in said:  # put together elsewhere
                continue
            whose = ("refengine",) if call.func.id == "within_limits" else ("TFLM", "TFLite")  # in LiteRT's dialects
            assert any(name in said for name in whose), said
            assert any(way in said for way in WAYS_OUT), said


def test_places_gather_and_the_type_stays() -> None:
    with (
        pytest.raises(InputError, match=r"^subgraph 0: tensor 1: too large$"),
        located("subgraph 0"),
        located("tensor 1"),
    ):
        raise InputError("too large")


def test_the_cause_stays() -> None:
    def fail() -> None:
        try:
            int("x")
        except ValueError as error:
            raise ModelError("no number") from error

    with pytest.raises(ModelError) as caught, located("here"):
        fail()
    assert isinstance(caught.value.__cause__, ValueError)


def test_other_errors_pass_through() -> None:
    with pytest.raises(KeyError, match=r"^'k'$"), located("here"):
        raise KeyError("k")
