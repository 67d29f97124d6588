"""The search: the same whatever the split, and its failing cases small."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from operator import attrgetter
from typing import Any

import numpy as np
import pytest

from refengine.errors import InputError
from refengine.fuzzer import Case, KernelError, Result, fuzz, told
from refengine.fuzzer.search import CHUNK, ENOUGH, PATIENCE, UNCLAIMED, chosen
from refengine.fuzzer.text import summary
from refengine.model import Array
from refengine.parallel import workers


def sound(case: Case) -> Array:
    return case.expected


def never(case: Case) -> None:
    return None


def no_stride(case: Case) -> Array:
    """A pool that is wrong in its last row where it has a stride of 2 and at least three channels."""
    wrong: Array = case.expected.copy()
    if case.options["stride_h"] == 2 and wrong.shape[3] > 2:
        wrong[:, -1] ^= 1
    return wrong


def rare(case: Case) -> Array:
    """Wrong where an input code is 77."""
    wrong: Array = case.expected.copy()
    wrong[case.arrays[0] == 77] = 0
    return wrong


def one(door: Any, op: str, dtype: str = "int8", **options: Any) -> Result:
    (result,) = fuzz(door, [op], [dtype], **options)
    return result


def facts(result: Result) -> dict[str, Any]:
    return result.as_dict()


def test_a_sound_kernel_passes_every_case() -> None:
    result = one(sound, "MAX_POOL_2D", cases=30)
    assert (result.cases, result.skipped, result.failing, result.first, result.finding) == (30, 0, 0, None, None)
    assert result.elements > 30


def test_what_is_not_claimed_is_left_soon() -> None:
    result = one(never, "MAX_POOL_2D", cases=1000)
    assert result.cases == result.skipped == UNCLAIMED and result.elements == 0


@pytest.mark.slow
def test_a_fault_is_found_and_shrunk() -> None:
    result = one(no_stride, "MAX_POOL_2D", cases=500)
    assert result.finding is not None and result.first is not None and result.first <= result.cases
    assert result.failing <= ENOUGH
    case, outcome = result.finding.case, result.finding.outcome
    assert case.options["stride_h"] == 2 and case.expected.shape[3] == 3
    assert case.expected.size == 3 and outcome.difference is not None
    assert case.options["filter_height"] == case.options["filter_width"] == case.options["stride_w"] == 1
    assert case.options["fused_activation_function"] == "NONE"


@pytest.mark.slow
def test_single_elements_shrink_too() -> None:
    result = one(rare, "RELU", cases=500)
    assert result.finding is not None
    codes = np.asarray(result.finding.case.arrays[0])
    assert codes.ravel().tolist() == [77]


def wrong(case: Case) -> tuple[Array, ...]:
    """Every output is wrong in its lowest bit, whatever it is."""
    return tuple((np.asarray(x).reshape(-1).view(np.uint8) ^ 1).view(x.dtype).reshape(x.shape) for x in case.results)


@pytest.mark.parametrize(
    ("op", "dtype"),
    [
        ("RSQRT", "int8"),  # has an operator before it
        ("DIV", "int8"),  # fails where the divisor is 0
        ("TFLite_Detection_PostProcess", "float32"),  # fails on empty boxes
        ("CIRCULAR_BUFFER", "int8"),  # remembers
    ],
)
def test_whatever_is_wrong_is_told(op: str, dtype: str) -> None:
    result = one(wrong, op, dtype, cases=5)
    assert result.finding is not None and told(result)


def test_what_a_dialect_refuses_has_no_cases() -> None:
    results = list(fuzz(sound, ["SignalRfft"], ["int16", "float32"], cases=3, numerics="cortex-m7"))
    assert [result.cases for result in results] == [3, 0]
    assert summary(results).endswith("all equal, bit for bit; 1 more does not run in this dialect")
    assert summary(results[1:]) == "none of the operators and types tried (1) runs in this dialect"


def test_the_seed_chooses_the_cases() -> None:
    seen: dict[int, list[bytes]] = {}
    for seed in (0, 0, 1):
        drawn: list[bytes] = []
        one(lambda case, drawn=drawn: drawn.append(case.inputs[0].tobytes()), "RELU", cases=20, seed=seed)
        assert seen.setdefault(seed, drawn) == drawn
    assert seen[0] != seen[1]


@pytest.mark.slow
def test_the_same_whatever_the_split() -> None:
    ops, few = ["RELU", "MAX_POOL_2D", "AVERAGE_POOL_2D"], CHUNK + 20
    here = [*fuzz(odd_pool, ops, ["int8"], cases=few)]
    with ThreadPoolExecutor(3) as executor:
        there = [*fuzz(odd_pool, ops, ["int8"], cases=few, executor=executor)]
    assert [*map(facts, here)] == [*map(facts, there)]
    assert [result.finding is not None for result in here] == [True, False, True]


@pytest.mark.slow
def test_other_processes_draw_the_same_cases() -> None:
    identity, ops = attrgetter("inputs"), ["RELU", "RELU6", "SHAPE"]
    here = [*map(facts, fuzz(identity, ops, ["int8"], cases=100))]
    with workers(2) as executor:
        assert [*map(facts, fuzz(identity, ops, ["int8"], cases=100, executor=executor))] == here
    assert [len(fact["findings"]) for fact in here] == [1] * 3


def odd_pool(case: Case) -> Array | None:
    if case.op == "MAX_POOL_2D":
        return case.expected
    if case.op == "RELU":
        return rare(case)
    return no_stride(case)


@pytest.mark.slow
def test_progress_ends_at_the_number_of_cases() -> None:
    for door in (sound, never, no_stride):
        told: list[int] = []
        one(door, "MAX_POOL_2D", cases=300, progress=told.append)
        assert sum(told) == 300


def test_hangs_are_not_waited_for_often() -> None:
    calls = 0

    def hanging(case: Case) -> Array:
        nonlocal calls
        if case.expected.size > 3:
            calls += 1
            raise KernelError("hangs", "has not returned")
        return case.expected

    result = one(hanging, "MAX_POOL_2D")
    assert result.finding is not None and result.finding.outcome.kind == "hangs"
    assert result.failing == PATIENCE and calls <= 5 * PATIENCE
    assert result.finding.verdict == "the kernel has not returned" and result.finding.reason is None


@pytest.mark.slow
def test_a_kernel_that_cannot_make_up_its_mind_is_still_told() -> None:
    calls = 0

    def moody(case: Case) -> Array:
        nonlocal calls
        calls += 1
        return case.expected if calls % 7 else case.expected ^ 1

    assert one(moody, "RELU", cases=100).finding is not None


def test_what_is_wrong_with_the_call_is_told() -> None:
    for ops, dtypes, why in (
        (
            ["CONV"],
            None,
            "there is no golden kernel for the operator 'CONV' .did you mean 'CONV_2D'.., only ABS, ADD, ",
        ),
        (None, ["int7"], r"for the type 'int7' \(did you mean 'int\d+'\?\), only bool, "),
        (["HARD_SWISH"], ["int16"], "there is no golden kernel for HARD_SWISH at int16"),
    ):
        with pytest.raises(InputError, match=why):
            next(fuzz(sound, ops, dtypes))
    assert len(chosen(None, None)) > 100 and chosen(["CONV_2D"], ["int8", "int16"]) == [
        ("CONV_2D", "int8"),
        ("CONV_2D", "int16"),
    ]


def test_ctrl_c_leaves_what_was_done() -> None:
    calls = 0

    def interrupted(case: Case) -> Array:
        nonlocal calls
        calls += 1
        if calls > CHUNK:
            raise KeyboardInterrupt
        return case.expected

    results = fuzz(interrupted, ["RELU"], ["int8"], cases=2 * CHUNK)
    assert next(results).cases == CHUNK
    with pytest.raises(KeyboardInterrupt):
        next(results)


def test_ctrl_c_while_a_failure_shrinks_does_not_acquit() -> None:
    calls = 0

    def interrupted(case: Case) -> Array:
        nonlocal calls
        calls += 1
        if calls > 25:
            raise KeyboardInterrupt
        return np.asarray(case.expected ^ np.int8(1))

    results = fuzz(interrupted, ["RELU"], ["int8"])
    result = next(results)
    assert result.failing == 20 and not result.findings
    assert [*told(result)] == ["RELU int8: 20 failing cases; the search for the reason was not at its end"]
    assert summary([result]) == "20 cases of 1 operator and type: wrong in RELU int8"
    with pytest.raises(KeyboardInterrupt):
        next(results)
