"""refengine/judge/loglines.py: the numbers of one line, and of which tensor they are."""

from __future__ import annotations

import pytest

from refengine.judge import loglines


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1, -2; 3.5e-2 | nan", ["1", "-2", "3.5e-2", "nan"]),
        ("f8 32 16", ["f8", "32", "16"]),  # no Rust type
        ("int8 8 -8", ["8", "-8"]),
        ("8 fffffff8 1b 9", ["8", "fffffff8", "1b", "9"]),
        ("08:f8-1b", ["08f81b"]),
        ("1 2 ... 8 9", ["1", "2", "8", "9"]),
        ("bad face added dead", []),
        ("3 bytes", []),
        ("192.168.1.10 is up", []),
    ],
)
def test_numbers_stand_alone(text: str, words: list[str]) -> None:
    assert loglines.numbers(text) == words


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("--- t24 ---", "t24"),
        ("Layer 3 CONV_2D", "Layer 3 CONV_2D"),
        ("(gdb) p/d output->data.int8[0]@10", "output->data.int8[0]@10"),
        ("op 3 reads tensor 4 writes tensor 5", None),
        ("--- end of t24 ---", None),
        ("wifi up", None),
    ],
)
def test_a_line_without_numbers_speaks_of_one_tensor_at_most(line: str, meant: str | None) -> None:
    assert loglines.heading(line) == meant


@pytest.mark.parametrize(
    ("label", "end"),
    [
        ("output", ("out", 0)),
        ("Input tensor 1", ("in", 1)),
        ("output->data.int8", ("out", 0)),
        ("output (1x10)", ("out", 0)),
        ("interpreter.output(0)", ("out", 0)),
        ("layer5 output", None),
        ("scores", None),
    ],
)
def test_the_models_ends_have_many_names(label: str, end: tuple[str, int] | None) -> None:
    assert loglines.end_of(label) == end
