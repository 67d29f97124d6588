"""The numbers that C kernels are called with: the header tells them all, and no others."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from refengine import KERNELS, Numerics, RefengineError, make_plan
from refengine.fuzzer.files import HEADER
from refengine.fuzzer.numbers import numbers_of
from refengine.strategies import model_of, nodes
from refengine.tflite_io import schema

KINDS = {"i": "int32", "f": "float64"}


@cache
def promised() -> dict[tuple[str, str], dict[str, tuple[str, str]]]:
    """By operator and type, what the header's comment lists: name → (dtype, how many: "", "d" or "any")."""
    comment = HEADER.read_text(encoding="utf-8").partition("*/")[0]
    found: dict[tuple[str, str], dict[str, tuple[str, str]]] = {}
    entries = re.findall(r"^ \*   ([A-Z][A-Za-z0-9_ ]+)((?:, [a-z0-9 ]+)?): (.*(?:\n \*       .*)*)", comment, re.M)
    for ops, dtypes, names in entries:
        for op, dtype in KERNELS:
            if op in ops.split() and (not dtypes or dtype in dtypes.split(", ")[1].split()):
                found.setdefault((op, dtype), {})
                for name, kind, count in re.findall(r"(\w+) ([if])(\[\w*\])?(?=,| \(|\n|$)", names):
                    many = {"": "", "[]": "any", "[d]": "d"}[count]
                    found[op, dtype][name] = (KINDS[kind], many)
    return found


def test_every_operator_promised_exists() -> None:
    comment = HEADER.read_text(encoding="utf-8").partition("*/")[0]
    named = set(
        re.findall(r"\b[A-Z][A-Za-z0-9_]{2,}\b", comment.partition("Numbers.")[2].partition("A multiplier and")[0])
    )
    assert named & {op for op, _ in KERNELS} == {op for op, _ in promised()}


SETTLED = [key for key in KERNELS if key[0] in {op for op, _ in promised()}]


def test_the_header_says_of_which_operators_it_promises_nothing() -> None:
    assert len(SETTLED) > 80
    assert "What other operators come with, beside their options, is not settled yet" in HEADER.read_text()


@pytest.mark.parametrize(("op", "dtype"), SETTLED, ids=["-".join(pair) for pair in SETTLED])
def test_the_header_tells_what_is_passed(op: str, dtype: str) -> None:
    table = schema.options_table(op)
    options = {field.name for field in schema.fields(table)} if table else set()

    @settings(max_examples=10)
    @given(nodes(op, dtype))
    def check(node: Any) -> None:
        step = make_plan(model_of(node)).steps[-1]
        numbers, told = numbers_of(step), promised().get((op, dtype), {})
        assert set(numbers) == set(told) | options
        for name, (kind, many) in told.items():
            assert numbers[name].dtype == kind, name
            if many == "d":
                assert len(numbers[name]) == step.outputs[0].shape[-1], name
            elif not many:
                assert len(numbers[name]) == 1, name

    check()


@pytest.mark.parametrize(("op", "dtype"), SETTLED, ids=["-".join(pair) for pair in SETTLED])
def test_where_factors_are_floats_those_are_passed(op: str, dtype: str) -> None:
    table = schema.options_table(op)
    options = {field.name for field in schema.fields(table)} if table else set()

    @settings(max_examples=3)
    @given(nodes(op, dtype))
    def check(node: Any) -> None:
        try:
            numbers = numbers_of(make_plan(model_of(node), numerics=Numerics(rounding="xnnpack")).steps[-1])
        except RefengineError:  # an operator that XNNPACK has not
            return
        told = promised().get((op, dtype), {})
        for name in set(numbers) - set(told) - options:
            multiplier = name.removesuffix("_scale")
            assert name != multiplier and len(numbers[name]) == len(numbers[multiplier])
            assert numbers[name].dtype == "float64" and told[multiplier][0] == "int32"

    check()


def test_a_factor_is_the_same_in_both_forms() -> None:
    plan = make_plan("stm32f746_int8", numerics=Numerics(rounding="xnnpack"))
    numbers = next(numbers_of(step) for step in plan.steps if step.op.name == "CONV_2D")
    exact = np.ldexp(numbers["output_multiplier"].astype(np.float64), numbers["output_shift"] - 31)
    np.testing.assert_allclose(numbers["output_multiplier_scale"], exact, rtol=2.0**-23)
