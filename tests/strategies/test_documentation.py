"""The example in the package's docstring, run as a user would: against a right runtime, and against a wrong one."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings

import refengine
from refengine import strategies


def documented_test(my_runtime: Callable[..., Any]) -> Callable[[], None]:
    """The example's test of a runtime, called with a model's bytes and a tuple of arrays."""
    documentation = inspect.getdoc(strategies) or ""
    code = textwrap.dedent(documentation.split("::\n", 1)[1].split("\n\n`case.model`")[0])
    names: dict[str, Any] = {"my_runtime": my_runtime}
    exec(code, names)
    test: Callable[[], None] = settings(max_examples=50)(names["test_my_runtime"])
    return test


@pytest.mark.slow
def test_a_right_runtime_passes() -> None:
    documented_test(lambda model, inputs: refengine.run(model, *inputs))()


@pytest.mark.slow
def test_a_wrong_runtime_is_caught_and_told() -> None:
    with pytest.raises(AssertionError) as failure:
        documented_test(lambda model, inputs: tuple(x ^ 1 for x in refengine.run(model, *inputs)))()
    (told, *_) = failure.value.__notes__  # type: ignore[attr-defined]  # Python 3.11's; Hypothesis sets it in 3.10 too
    assert told.count("operator ") == 1, told
    assert "'input0' = array(" in told


def test_everything_public_is_documented() -> None:
    documentation = inspect.getdoc(strategies) or ""
    assert [name for name in strategies.__all__ if f"`{name}" not in documentation] == []
    assert all(getattr(strategies, name).__doc__ for name in strategies.__all__)
