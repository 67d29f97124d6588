"""What is known is set aside, and the next fault is found."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from refengine.errors import InputError
from refengine.fuzzer import Case, KernelError, Result, check, fuzz, told
from refengine.fuzzer.aside import Aside, require_traits
from refengine.fuzzer.traits import traits
from refengine.kernel import PRESETS
from refengine.kernels import KERNELS
from refengine.model import Array
from tests.fuzzer.test_case import dense


def one(door: Any, op: str, dtype: str = "int8", **options: Any) -> Result:
    (result,) = fuzz(door, [op], [dtype], **options)
    return result


def wrong(case: Case) -> Array:
    return np.asarray(case.expected ^ np.int8(1))


def test_cases_with_a_trait_are_skipped() -> None:
    case = dense()
    assert "int8 for the weights" in set(traits(case))
    for known in ("int8 for the weights", "int8", "* for the weights", "FULLY_CONNECTED: int8"):
        assert check(Aside(wrong, (known,)), case).kind == "skipped", known
    for other in ("int4", "CONV_2D: int8", "int8 for the filter", "weights"):
        assert check(Aside(wrong, (other,)), case).kind == "differs", other


def test_a_kind_of_failure_is_skipped() -> None:
    def crashes(case: Case) -> Array:
        raise KernelError("crashes", "is ended by SIGSEGV")

    assert check(Aside(crashes, kinds=("crashes",)), dense()).kind == "skipped"
    assert check(Aside(crashes, kinds=("hangs",)), dense()).kind == "crashes"


def two_faults(case: Case) -> Array:
    """Another dialect everywhere; and one element wrong in images."""
    got: Array = case.changed(numerics=PRESETS["single"]).expected.copy()
    if got.ndim == 4:
        got.reshape(-1)[0] ^= 0x40
    return got


@pytest.mark.slow
def test_the_second_fault_is_found_behind_the_first() -> None:
    result = one(two_faults, "LEAKY_RELU", cases=250, findings=2)
    first, second = result.findings
    assert first.reason is not None and first.reason.numerics == PRESETS["single"]
    assert second.certainty == "open" and "4 dimensions" in str(second.common)
    assert sum("with that set aside, LEAKY_RELU int8" in line for line in told(result)) == 1


@pytest.mark.slow
def test_what_is_left_is_said_to_be_right() -> None:
    def kernel(case: Case) -> Array:
        if case.expected.size < 4:
            raise KernelError("fails", "returns -1")
        return case.expected

    result = one(kernel, "RELU6", cases=60, findings=3)
    (finding,) = result.findings
    assert finding.outcome.kind == "fails" and finding.certainty == "open"
    assert (result.rest, result.aside) == (40, 20)
    assert [*told(result)][-1] == "with that set aside, nothing else is wrong in 40 cases; 20 more have it"


def test_what_all_cases_have_leaves_nothing_to_compare() -> None:
    def kernel(case: Case) -> Array:
        raise KernelError("writes too far", "writes 1 byte behind its output")

    result = one(kernel, "RELU6", cases=60, findings=3)
    assert (result.rest, result.aside, result.elements) == (0, 60, 0)
    assert [*told(result)][-1] == "with that set aside, nothing more could be compared: all 60 cases have it"


@pytest.mark.parametrize("trait", ["padding", "CONV_2D: padding"])
def test_a_trait_of_one_word_is_no_type_of_weights(trait: str) -> None:
    assert 0 < one(lambda case: case.expected, "CONV_2D", cases=20, exclude=[trait]).skipped < 20


def test_what_one_knows_is_excluded_beforehand() -> None:
    def kernel(case: Case) -> Array:
        known = set(traits(case))
        return wrong(case) if "groups of channels" in known else case.expected

    excluded = one(kernel, "CONV_2D", cases=60, exclude=["groups of *"])
    assert excluded.finding is None and 0 < excluded.skipped < 60


@pytest.mark.parametrize(
    ("op", "dtype"),
    [("CONV_2D", "int8"), ("FULLY_CONNECTED", "int16"), ("ADD", "int8"), ("SOFTMAX", "float32"), ("LEAKY_RELU", "int8"),
     ("MIRROR_PAD", "int8"), ("SVDF", "int8"), ("PACK", "int32"), ("GATHER", "int8"), ("CUMSUM", "int8")],
)  # fmt: skip
def test_the_words_of_traits_are_known(op: str, dtype: str) -> None:
    def kernel(case: Case) -> Array:
        require_traits([*traits(case)], KERNELS)
        return case.expected

    one(kernel, op, dtype, cases=12)


@pytest.mark.parametrize(
    ("trait", "meant"),
    [
        ("goups of channels", "no trait has the word 'goups' (did you mean 'groups'?), as 'goups of channels' does"),
        ("CONV_2D: a stide above 1", "no trait has the word 'stide' (did you mean 'stride'?)"),
        ("2 as zero point of the imput", "no trait has the word 'imput' (did you mean 'input'?)"),
    ],
)
def test_a_misspelt_trait_is_refused(trait: str, meant: str) -> None:
    with pytest.raises(InputError, match=re.escape(meant)):
        require_traits([trait], KERNELS)
    require_traits(
        ["groups of *", "* zero point of the *put", "keep_num_dims True", "output channels above 8"], KERNELS
    )
