"""What failing cases have in common: true, and told only where it is no coincidence."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from refengine.fuzzer import Case, fuzz, told
from refengine.fuzzer.traits import Common, in_common, traits
from refengine.kernel import PRESETS
from refengine.model import Array
from tests.fuzzer.planted import built, tried
from tests.fuzzer.test_case import dense

pytestmark = pytest.mark.usefixtures("hardly_shrunk")


def wrong_if(has: Callable[[Case], bool]) -> Callable[[Case], Array]:
    """A kernel all of whose output is wrong in some cases."""
    return lambda case: case.expected ^ 0x55 if has(case) else case.expected


FAULTS: dict[str, Callable[[Case], bool]] = {
    "input channels in no multiple of 4": lambda case: case.tensors[0].shape[3] % 4 != 0,  # type: ignore[union-attr]
    "input channels in a multiple of 4": lambda case: case.tensors[0].shape[3] % 4 == 0,  # type: ignore[union-attr]
    "padding SAME": lambda case: case.options["padding"] == "SAME",
    "a 1×1 filter": lambda case: case.tensors[1].shape[1:3] == (1, 1),  # type: ignore[union-attr]
    "dilation_w_factor above 1": lambda case: case.options["dilation_w_factor"] > 1,
    "no bias": lambda case: case.arrays[2] is None,
    "int4 for the filter": lambda case: case.tensors[1].dtype == "int4",  # type: ignore[union-attr]
    "a batch above 1": lambda case: case.expected.shape[0] > 1,
}


@pytest.mark.slow
@pytest.mark.parametrize("trait", FAULTS)
def test_it_is_named(trait: str) -> None:
    (result,) = fuzz(wrong_if(FAULTS[trait]), ["CONV_2D"], ["int8"])
    finding = result.finding
    assert finding is not None and finding.common is not None
    assert (finding.common.trait, finding.common.exceptions) == (trait, 0)
    assert f"that fail have {trait}, and none of the " in [*told(result)][1]
    assert finding.as_dict()["common"]["trait"] == trait


@pytest.mark.slow
def test_nothing_is_told_where_there_is_nothing_in_common() -> None:
    (result,) = fuzz(wrong_if(lambda case: case.inputs[0].tobytes()[0] % 3 == 0), ["ADD"], ["int8"])
    assert result.finding is not None and result.finding.common is None


@pytest.mark.slow
def test_nothing_is_told_beside_a_full_explanation() -> None:
    def kernel(case: Case) -> Array:
        return case.changed(numerics=PRESETS["single"]).expected

    (result,) = fuzz(kernel, ["CONV_2D"], ["int8"])
    assert result.finding is not None and result.finding.reason is not None and result.finding.common is None


def test_few_cases_tell_nothing() -> None:
    assert in_common([dense()], []) is None and in_common([], [dense()]) is None
    assert in_common([dense()], [dense()]) is None
    assert Common("no bias", 3, 200, 0).is_telling and not Common("no bias", 2, 20, 0).is_telling
    assert not Common("no bias", 100, 100, 60).is_telling


def test_traits_of_a_case_are_the_same_each_time() -> None:
    assert [*traits(dense())] == [*traits(dense())]
    assert "one scale for the input" in set(traits(dense()))


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("planted"))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
@pytest.mark.parametrize(
    ("bug", "op", "trait"),
    [
        ("CHANNELS_BY_2", "CONV_2D", "output channels in no multiple of 2"),
        ("CHANNELS_BY_4", "FULLY_CONNECTED", "output channels in no multiple of 4"),
        ("TWO_CHANNELS", "FULLY_CONNECTED", "output channels 2"),
        ("BIAS_NOT_OPTIONAL", "FULLY_CONNECTED", "no bias"),
        ("INPUT_OFFSET_8_BITS", "CONV_2D", "-128 as zero point of the input"),
        ("SHIFT_31", "CONV_2D", "an output_shift of -31 or less"),
        ("GROUPS_IGNORED", "CONV_2D", "groups of channels"),
        ("POINTWISE_IGNORES_STRIDE", "CONV_2D", "a 1×1 filter"),
    ],
)
def test_it_leads_to_planted_bugs(bug: str, op: str, trait: str, library: Path) -> None:
    finding = tried(library, bug, op, "int8").finding
    assert finding is not None and finding.common is not None and finding.common.trait == trait
