"""tools/panel.py: a small, fixed part of the panel of faulty devices; all of it takes minutes."""

from __future__ import annotations

import collections
from pathlib import Path

import panel
import pytest

SEED = 4
PART = {  # faults, and how many dumps of each must be named, of how many
    "bias left out": "cifarish",
    "stride h/w swapped": "lab",
    "output written NCHW": "cifarish",
    "half unwritten": "cifarish",
    "transposed": "cifarish",
    "older biases": "cifarish",
    "no fault": "cifarish",
    "one logit off by one": "cifarish",
}


@pytest.fixture(scope="module")
def nets() -> dict[str, panel.Net]:
    return {"cifarish": panel.Net("cifarish", panel._cifarish()), "lab": panel.Net("lab", panel._lab())}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "net"), PART.items())
def test_no_verdict_is_false_and_causes_are_named(
    name: str, net: str, nets: dict[str, panel.Net], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = next(fault for fault in panel.FAULTS if fault.name == name)
    only = panel.Fault(fault.cls, fault.name, (net,), fault.make, fault.kinds, 1, fault.most)
    monkeypatch.setattr(panel, "FAULTS", [only])
    cases = list(panel.cases(nets, SEED, "A", "", collections.Counter()))
    scores = [panel.score(case, panel.judged(case, tmp_path)) for case in cases]
    outcomes = [score.outcome for score in scores]
    assert outcomes and not {"FALSE", "missed", "partial"} & {*outcomes}
    if case := next((score for c, score in zip(cases, scores, strict=True) if c.kind == "all"), None):
        assert case.located and case.outcome == "named"


def test_the_panels_own_kernels_are_sound(nets: dict[str, panel.Net]) -> None:
    assert panel.self_check(nets) > 8
