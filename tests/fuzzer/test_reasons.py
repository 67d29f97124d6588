"""Which dialect or known fault explains what a kernel does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from refengine.errors import UnsupportedError
from refengine.fuzzer import Case, Result, fuzz, replay
from refengine.fuzzer.reasons import _weight
from refengine.kernel import PRESETS, Numerics
from refengine.model import Array
from tests.fuzzer.test_case import dense


def speaks(numerics: Numerics) -> Callable[[Case], Array | None]:
    """A kernel in another dialect."""

    def kernel(case: Case) -> Array | None:
        try:
            return case.changed(numerics=numerics).expected
        except UnsupportedError:
            return None

    return kernel


def one(door: Callable[[Case], Array | None], op: str, dtype: str = "int8", **options: Any) -> Result:
    (result,) = fuzz(door, [op], [dtype], **options)
    return result


def unreset(case: Case) -> Case:
    """The same stream without resets."""
    return replace(case, before=case.before and unreset(case.before), reset=False)


@pytest.mark.parametrize(
    ("kept", "how"),
    [
        (lambda case: Case(case.plan, case.inputs), "if nothing is kept: every inference is as the first"),
        (unreset, "if a reset is not heeded"),
    ],
)
def test_what_a_kernel_keeps_wrongly_is_named(kept: Callable[[Case], Case], how: str) -> None:
    finding = one(lambda case: kept(case).expected, "SignalDelay", "int16", cases=60, seed=2).finding
    assert finding is not None and finding.reason is not None and finding.reason.complete
    assert (finding.reason.cause, finding.reason.how, finding.reason.certainty) == ("state", how, "certain")


LAYERS = ("FULLY_CONNECTED", "DEPTHWISE_CONV_2D", "MUL", "MEAN", "LEAKY_RELU")


@pytest.mark.slow
@pytest.mark.usefixtures("hardly_shrunk")
@pytest.mark.parametrize("op", ["CONV_2D", "ADD", *LAYERS])
def test_single_rounding_is_named(op: str) -> None:
    finding = one(speaks(PRESETS["single"]), op).finding
    assert finding is not None and finding.reason is not None
    assert finding.reason.complete and finding.reason.numerics == PRESETS["single"]
    assert finding.verdict.startswith("all ") and finding.verdict.endswith(" vanish under single rounding: certain")


@pytest.mark.slow
@pytest.mark.usefixtures("hardly_shrunk")
@pytest.mark.parametrize(
    ("numerics", "op", "dtype", "name"),
    [
        ("xnnpack", "CONV_2D", "int8", "XNNPACK's rounding"),
        ("cortex-m4f", "FULLY_CONNECTED", "float32", "FMA contraction"),
    ],
)
def test_other_dialects_are_named(numerics: str, op: str, dtype: str, name: str) -> None:
    finding = one(speaks(PRESETS[numerics]), op, dtype).finding
    assert finding is not None and finding.reason is not None and f"under {name}" in str(finding.reason)


@pytest.mark.slow
@pytest.mark.parametrize(("op", "dtype"), [("SignalDelay", "int16"), ("SignalOverlapAdd", "float32")])
def test_a_fault_of_what_remembers_is_told(op: str, dtype: str) -> None:
    finding = one(lambda case: case.expected + case.expected.dtype.type(len(case.stream) > 1), op, dtype).finding
    assert finding is not None and len(finding.case.stream) > 1
    assert finding.outcome.kind == "differs" and finding.verdict


def test_the_dialect_claimed_is_no_finding() -> None:
    (result,) = fuzz(speaks(PRESETS["single"]), ["CONV_2D"], ["int8"], cases=200, numerics=PRESETS["single"])
    assert result.finding is None


@pytest.mark.slow
def test_a_known_fault_is_named() -> None:
    def kernel(case: Case) -> Array | None:
        graph = case.model.graphs[0]
        op = replace(graph.ops[0], options={**graph.ops[0].options, "fused_activation_function": "NONE"})
        return case.changed(replace(case.model, graphs=(replace(graph, ops=(op,)),))).expected

    finding = one(kernel, "CONV_2D").finding
    assert finding is not None and finding.reason is not None and finding.reason.complete
    assert finding.reason.how == "if the fused activation is not applied" and finding.reason.cause == "clamp"


@pytest.mark.slow
def test_a_reason_must_spare_what_passes() -> None:
    """Wrong as under single rounding, but only in cases with one channel: not the dialect."""

    def kernel(case: Case) -> Array | None:
        return speaks(PRESETS["single"])(case) if case.expected.shape[-1] == 1 else case.expected

    finding = one(kernel, "CONV_2D").finding
    assert finding is not None
    assert finding.reason is None or finding.reason.numerics != PRESETS["single"]


@pytest.mark.slow
def test_what_nothing_explains_is_a_bug() -> None:
    def kernel(case: Case) -> Array:
        wrong = case.expected.copy()
        wrong.reshape(-1)[0] ^= 0x55
        return np.asarray(wrong)

    finding = one(kernel, "CONV_2D").finding
    assert finding is not None and finding.reason is None
    assert finding.verdict == "no dialect and no known fault explains the 20 failing cases: a bug"
    assert finding.case.expected.size == 1


@pytest.mark.parametrize("step", [1, -1, 128])
def test_one_case_of_few_elements_is_never_certain(step: int) -> None:
    """A saved case, replayed: many a cause explains one element, and none is asserted."""
    case = dense()
    got = case.expected.copy()
    got[0, 1] = np.int8(got[0, 1] - step) if step < 128 else 127
    finding = replay(lambda one: got, case).finding
    assert finding is not None and finding.certainty == "open"
    assert finding.reason is None or finding.verdict.endswith(": open")
    assert finding.as_dict()["certainty"] == "open"


def test_evidence_is_weighed() -> None:
    """Which of many elements differ says much, that all do nothing, and nothing does the end of a range."""
    image = np.zeros((1, 10, 10, 1), np.int8)
    some, all_, cut = image.copy(), image + np.int8(1), np.full_like(image, -128)
    some[0, 3, :5] = 1
    case = dense()
    weights = []
    for right, got in ((image, some), (image, all_), (cut, cut + np.int8(1))):
        object.__setattr__(case, "results", (right,))
        weights.append(_weight([(case, got)]))
    assert weights[0] > 20 and weights[1:] == [0.0, 0.0]
