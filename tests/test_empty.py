"""Tensors without elements: every kernel that takes them computes what TFLM does, or refuses."""

from __future__ import annotations

import zlib

import pytest
from corpus import unequal
from corpus_cases import EmptyDice, invented_case
from oracle import Tflm

from refengine import KERNELS


@pytest.mark.parametrize("part", range(4))
def test_no_elements_are_as_on_tflm(part: int, tflm: Tflm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("corpus.oracle", lambda: tflm)
    seen = 0
    for op, dtype in sorted(KERNELS)[part::4]:
        case = invented_case(op, dtype, EmptyDice(zlib.crc32(f"{op} {dtype}".encode())))
        if case is not None and "no elements" in case.traits:
            assert unequal(case) == "", case.about
            seen += 1
    assert seen > 10
