"""What a kernel is handed, and how its answer is judged."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

from refengine import make_plan
from refengine.errors import InputError, UnsupportedError
from refengine.fuzzer import Case, KernelError, check
from refengine.kernel import PRESETS
from tests.models import const, fed, one_op, q


def dense(inputs: list[int] | None = None, **options: object) -> Case:
    """FULLY_CONNECTED of 2×3 weights."""
    model = one_op(
        "FULLY_CONNECTED",
        {"fused_activation_function": "NONE", "keep_num_dims": False, **options},
        [
            fed((1, 3), "int8", q(0.5, 1)),
            const([[1, 2, 3], [-4, 5, 6]], "int8", q(0.25)),
            const([10, -10], "int32", q(0.125)),
        ],
        fed((1, 2), "int8", q(0.5, -2)),
    )
    return Case(make_plan(model), (np.array([inputs or [4, 5, 6]], np.int8),))


def test_a_case_says_what_a_kernel_needs() -> None:
    case = dense()
    assert (case.op, case.dtype) == ("FULLY_CONNECTED", "int8")
    assert [array.shape for array in case.arrays if array is not None] == [(1, 3), (2, 3), (2,)]
    assert case.expected.tolist() == [[7, 5]]  # (26 + 10) / 4 − 2 and (38 − 10) / 4 − 2
    assert case.numbers["input_offset"].tolist() == [-1] and case.numbers["output_offset"].tolist() == [-2]
    assert case.numbers["output_multiplier"].tolist() == [2**30] * 2


def test_a_case_travels() -> None:
    case = pickle.loads(pickle.dumps(dense()))
    assert case.model == dense().model and case.expected.tolist() == dense().expected.tolist()


def test_a_case_may_be_changed_where_that_would_run() -> None:
    case = dense()
    assert case.changed(numerics=PRESETS["single"]).numerics == PRESETS["single"]
    graph = case.model.graphs[0]
    tensors = (replace(graph.tensors[0], quantization=None), *graph.tensors[1:])
    with pytest.raises(UnsupportedError):
        case.changed(replace(case.model, graphs=(replace(graph, tensors=tensors),)))


def test_answers_are_judged() -> None:
    case = dense()
    right = case.expected

    def outcome(answer: object) -> tuple[str, str]:
        found = check(lambda case: answer, case)  # type: ignore[arg-type, return-value]
        return found.kind, found.message

    assert outcome(right) == ("equal", "") and outcome((right,)) == ("equal", "")
    assert outcome(None) == ("skipped", "")
    assert outcome(right.astype(np.int16)) == ("wrong shape", "gives int16 (1, 2) where int8 (1, 2) is due")
    assert outcome(right[0]) == ("wrong shape", "gives int8 (2,) where int8 (1, 2) is due")
    assert outcome([1, 2]) == ("wrong shape", "gives list where int8 (1, 2) is due")
    scalar = Case(
        make_plan(one_op("RELU6", {}, [fed((), "int8", q(1))], fed((), "int8", q(1)))), (np.array(3, np.int8),)
    )
    assert check(lambda case: np.int8(3), scalar).kind == "equal"
    found = check(lambda case: right + np.int8(1), case)
    assert found.failed and found.kind == "differs" and found.difference is not None and found.difference.count == 2


def test_an_exception_is_a_finding_and_an_error_of_ours_is_not() -> None:
    def broken(case: Case) -> None:
        raise ZeroDivisionError("by nothing")

    def worse(case: Case) -> None:
        raise KernelError("smokes", "is on fire")

    def refused(case: Case) -> None:
        raise InputError("no such kernel")

    assert check(broken, dense()).message == "raises ZeroDivisionError: by nothing"
    assert check(worse, dense()).kind == "smokes"
    with pytest.raises(InputError):
        check(refused, dense())


def test_a_kernel_cannot_write_to_what_it_reads() -> None:
    def writes(case: Case) -> object:
        case.arrays[0][...] = 0  # type: ignore[index]
        return case.expected

    case = dense()
    case.expected  # noqa: B018
    assert check(writes, case).kind == "raises"  # type: ignore[arg-type]
