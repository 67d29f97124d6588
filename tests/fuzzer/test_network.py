"""refengine/fuzzer/network.py: a network computed by somebody's kernels, but for what makes no case by itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from refengine import InputError, diff, make_plan
from refengine.fuzzer import Case, Door
from refengine.fuzzer.network import computed_by
from refengine.judge.report import Report
from refengine.model import Array, Model
from refengine.strategies import model_of
from tests.examination.test_decisions import choosing
from tests.models import fed, svdf
from tests.quantizer.test_convert import stream

X = np.array([[30]], np.int8)
FRAME = np.ones((1, 1, 3), np.float32)


def kernels(*wrong: str) -> Door:
    """Sound ones for all that they are given, but for a bit in the last element of what those of `wrong` write."""

    def door(case: Case) -> tuple[Array, ...]:
        first, *others = (np.array(x) for x in case.results)
        if case.op in wrong:
            first.reshape(-1).view(np.uint8)[-1] ^= 1
        return (first, *others)

    return door


def judged(model: Model, x: Array, *wrong: str) -> Report:
    plan = make_plan(model)
    return diff(plan, computed_by(kernels(*wrong), plan, x, name="mine"), x)


def test_what_runs_subgraphs_is_left_to_tflm_and_said() -> None:
    report = judged(choosing(), X)
    assert not report.differs and "not given to mine alone, and computed as TFLM does: 1 IF" in report.notes


def test_it_goes_on_with_what_the_kernels_made() -> None:
    """A condition that is wrong leads into the other branch, and that is nobody's fault but its own."""
    report = judged(choosing(), X, "GREATER")
    assert [finding.status for finding in report.findings] == ["culprit", "victim"]


def test_a_layer_that_remembers_is_given_as_in_its_first_inference() -> None:
    model, x = model_of(svdf(fed((1, 4), "float32"), 2, np.random.default_rng(1))), np.ones((1, 4), np.float32)
    assert not judged(model, x).differs and not any("as TFLM does" in note for note in judged(model, x).notes)
    (culprit,) = judged(model, x, "SVDF").culprits
    assert culprit.step.name == "SVDF"


def test_variables_that_operators_share_are_left_to_tflm() -> None:
    report = judged(stream(), FRAME)
    (note,) = (note for note in report.notes if "not given" in note)
    assert note.endswith(": 0 CALL_ONCE, 1 VAR_HANDLE, 2 READ_VARIABLE, 5 ASSIGN_VARIABLE") and not report.differs
    (culprit,) = judged(stream(), FRAME, "STRIDED_SLICE").culprits
    assert culprit.step.name == "STRIDED_SLICE"


def refusal(model: Model, door: Door, x: Array) -> str:
    with pytest.raises(InputError) as error:
        computed_by(door, make_plan(model), x, name="mine")
    return str(error.value)


def test_refusals_name_a_way_out() -> None:
    (main, *others) = choosing().graphs
    alone = replace(
        main, tensors=(*main.tensors[:2], replace(main.tensors[2], data=np.array([[True]])), main.tensors[3])
    )
    model = Model((replace(alone, ops=(replace(main.ops[1], index=0),)), *others))
    assert refusal(model, kernels(), X).endswith("instead, by a callable or a dump")
    assert refusal(choosing(), lambda case: None, X) == (
        "mine claim none of the model's operators: GREATER; have them claim one, or give a model with one that they "
        "claim"
    )
    assert refusal(choosing(), kernels(), np.zeros((3, 1), np.int8)).endswith("give one of them, x[:1]")
