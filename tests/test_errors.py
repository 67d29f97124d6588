"""One root, and places that gather in front of a message."""

from __future__ import annotations

import pytest

from refengine.errors import InputError, ModelError, RefengineError, UnsupportedError, located, require


@pytest.mark.parametrize(("kind", "builtin"), [
    (ModelError, ValueError), (UnsupportedError, NotImplementedError), (InputError, ValueError)])
def test_one_root_and_the_builtin_it_resembles(kind: type[Exception], builtin: type[Exception]) -> None:
    assert issubclass(kind, RefengineError)
    assert issubclass(kind, builtin)


def test_require() -> None:
    require([0], "never said")
    with pytest.raises(UnsupportedError, match=r"^said$"):
        require([], "said")


def test_places_gather_and_the_type_stays() -> None:
    with (pytest.raises(InputError, match=r"^subgraph 0: tensor 1: too large$"),
          located("subgraph 0"), located("tensor 1")):
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
