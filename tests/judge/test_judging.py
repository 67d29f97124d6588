"""refengine/judge/judging.py: culprits and victims, partial dumps, live devices."""

from __future__ import annotations

import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from refengine import PRESETS, Plan, make_plan
from refengine.errors import InputError
from refengine.files import write_npz
from refengine.judge import META, Dump, Report, diff, tapped
from refengine.judge.verdict import GARBAGE, OTHER_WEIGHTS, STALE
from refengine.kernel import Node
from refengine.model import Array
from tests.judge.planted import case_of, dump_of, fault, in_dialect, network
from tests.kernels.test_framer import framer
from tests.models import const, fed, present
from tests.models import network as chain_of

PLAN, X = network("stm32f746_int8")
CLAUSE = "if the bias is left out"
NO_BIAS = {k: fault(case_of(PLAN, k, X), CLAUSE) for k in (2, 4)}


def statuses(report: Report) -> dict[int, str]:
    return {finding.step.index: finding.status for finding in report.findings}


def test_only_the_culprit_is_blamed() -> None:
    report = diff(PLAN, dump_of(PLAN, X, wrong={2: NO_BIAS[2]}), X)
    found = statuses(report)
    assert found[2] == "culprit"
    assert {found[k] for k in (0, 1, 5, 6, 7)} == {"same"}
    assert {found[k] for k in (3, 4, 8, 9, 10)} == {"victim"}


def test_two_culprits_and_both_are_explained() -> None:
    """The second works on the first one's wrong values."""
    first = dump_of(PLAN, X, wrong={2: NO_BIAS[2]})
    case = case_of(PLAN, 4, X)
    on_wrong = fault(replace(case, arrays=(first.tensors[17], *case.arrays[1:])), CLAUSE)
    report = diff(PLAN, dump_of(PLAN, X, wrong={2: NO_BIAS[2], 4: on_wrong}), X)
    assert [(f.step.index, f.candidates[0].how) for f in report.culprits] == [(2, CLAUSE), (4, CLAUSE)]
    assert "the fault enters at 2 CONV_2D, 4 CONV_2D, passed on to" in report.summary


def test_a_partial_dump_names_a_step_that_is_not_in_it() -> None:
    whole = dump_of(PLAN, X, wrong={2: NO_BIAS[2]}).tensors
    report = diff(PLAN, Dump("partial", {i: whole[i] for i in (15, 17, 24)}), X)
    assert {k for k, status in statuses(report).items() if status != "absent"} == {1, 3, 10}
    (culprit,) = report.culprits
    assert [step.index for step in culprit.suspects] == [2, 3]
    assert [step.index for step in culprit.candidates[0].steps] == [2] and culprit.candidates[0].how == CLAUSE
    assert "enters at 2 CONV_2D" in report.summary
    assert any("is not in the dump; the one given stood in" in note for note in report.notes)
    assert any("outputs of operators 0, 2, 4, 5, 6, 7, 8, 9, 11" in note for note in report.notes)


@pytest.mark.slow
def test_a_model_and_a_file_will_do_and_a_recording_says_its_dialect(tmp_path: Path) -> None:
    single = {f"t{i}": x for i, x in in_dialect(PLAN, PRESETS["single"], X).tensors.items()}
    write_npz(tmp_path / "x.npz", {META: np.array('{"schema": 1, "numerics": "single"}'), **single})
    assert not diff("stm32f746_int8", tmp_path / "x.npz", X).differs
    assert diff("stm32f746_int8", tmp_path / "x.npz", X, numerics="tflm").differs
    assert diff(PLAN, str(tmp_path / "x.npz"), X).differs, "a plan is of the dialect that it is of"
    write_npz(tmp_path / "x.npz", {META: np.array('{"numerics": "nobody\'s"}'), **single})
    with pytest.raises(InputError, match="recorded under the unknown numerics 'nobody's'; choose some by `numerics`"):
        diff(PLAN.model, tmp_path / "x.npz", X)


@pytest.mark.slow
def test_the_last_output_alone_is_enough_for_a_dialect() -> None:
    plan, x = network("stm32f746_float32")
    last = plan.steps[-2].outputs[0].index
    dump = Dump("logits", {last: in_dialect(plan, PRESETS["cortex-m4f"], x).tensors[last]})
    report = diff(plan, dump, x)
    assert PRESETS["cortex-m4f"] in report.dialects


def test_a_buffer_reused_before_it_was_dumped() -> None:
    tensors = dict(dump_of(PLAN, X).tensors)
    tensors[17] = np.roll(tensors[17], 7) ^ np.int8(3)
    (culprit,) = diff(PLAN, Dump("arena", tensors), X).culprits
    assert culprit.step.index == 3
    assert "reused after operator 4 (CONV_2D)" in culprit.verdict


def test_another_input_than_given() -> None:
    _, other = network("stm32f746_int8", 1)
    report = diff(PLAN, dump_of(PLAN, other), X)
    assert report.differs and not report.culprits
    assert "all differences come from other inputs; open: " in report.summary
    (fed,) = report.wrong_inputs
    assert fed.difference is not None and fed.certainty == "open" and "another sample" in fed.verdict
    assert report.as_dict()["inputs"][0]["certainty"] == "open"


def older(plan: Plan, *operators: int) -> Plan:
    """The network with other weights in some layers, as an earlier training left them."""
    (graph,), rng = plan.model.graphs, np.random.default_rng(0)
    tensors = list(graph.tensors)
    for index in (graph.ops[operator].inputs[1] for operator in operators):
        data = present(tensors[index].data)
        moved = np.clip(data + rng.integers(-9, 10, data.shape), -127, 127).astype(np.int8)
        tensors[index] = replace(tensors[index], data=moved)
    return make_plan(replace(plan.model, graphs=(replace(graph, tensors=tuple(tensors)),), sha256=""))


def test_other_weights_explain_layers_with_weights_the_better_the_more_others_are_right() -> None:
    """Four bits for each wrong layer, and one for each right one without constants, up to four."""
    plan, x = network("dense_int8", 3)
    dump = dump_of(older(plan, 4, 5), x)
    report = diff(plan, dump, x)
    for culprit in report.culprits:
        best = culprit.candidates[0]
        assert (best.how, best.bits, culprit.certainty) == (OTHER_WEIGHTS, 12.0, "likely")
    garbage = np.arange(-5, 5, dtype=np.int8).reshape(1, 10)
    report = diff(plan, dump_of(older(plan, 4, 5), x, wrong={6: garbage}), x)
    assert len(report.culprits) == 3  # one of them has no weights
    assert not any(each.how == OTHER_WEIGHTS for culprit in report.culprits for each in culprit.candidates)


def test_an_inference_before_whose_dump_nobody_gave_is_told_as_possible_and_found_where_it_is_given() -> None:
    plan, x = network("stm32f746_int8", 3)
    before = dump_of(plan, network("stm32f746_int8", 4)[1])
    hidden = plan.steps[9].outputs[0].index
    dump = dump_of(plan, x, wrong={9: before.tensors[hidden]})
    (culprit,) = diff(plan, dump, x).culprits
    assert culprit.certainty == "open" and STALE in [c.how for c in culprit.fitting]
    (culprit,) = diff(plan, dump, x, previous=before).culprits
    assert culprit.certainty != "open" and "in the previous run" in culprit.verdict, culprit.verdict
    assert STALE not in [c.how for c in culprit.candidates]


@pytest.mark.parametrize(("operator", "told"), [(5, True), (4, False)])
def test_garbage_over_a_whole_output_is_told_as_possible_where_a_cache_line_has_room_for_it(
    operator: int, told: bool
) -> None:
    """The last layer's ten bytes lie in one line of a cache, the hidden layer's do not."""
    plan, x = network("dense_int8", 3)
    sound = dump_of(plan, x).tensors[plan.steps[operator].outputs[0].index]
    garbage = np.random.default_rng(0).integers(-128, 128, sound.shape).astype(np.int8)
    (culprit, *_) = diff(plan, dump_of(plan, x, wrong={operator: garbage}), x).culprits
    assert [c.how for c in culprit.fitting if c.cause == "overwritten"] == [GARBAGE] * told
    assert culprit.certainty == "open" and culprit.verdict.startswith("open: nothing explains")
    assert (GARBAGE.removeprefix("if ") in culprit.verdict) is told


@pytest.mark.parametrize("dumped", [True, False])
def test_an_operator_that_cannot_run_on_what_it_was_given_is_not_judged_but_all_else_is(dumped: bool) -> None:
    """The device's index is beyond the table, on which TFLM's Invoke fails."""
    x, index = fed((1, 4), "float32"), fed((1,), "int32", name="index")
    row, last = (fed((1, 3), "float32", name=name) for name in ("row", "last"))
    table = const(np.arange(12).reshape(4, 3), "float32")
    plan = make_plan(
        chain_of(
            Node("ARG_MAX", {"output_type": "int32"}, (x, const(1, "int32")), (index,)),
            Node("GATHER", {"axis": 0, "batch_dims": 0}, (table, index), (row,)),
            Node("NEG", {}, (row,), (last,)),
        )
    )
    values = np.array([[0, 1, 5, 2]], np.float32)
    tensors = dict(dump_of(plan, values).tensors)
    first, second, _ = (step.outputs[0].index for step in plan.steps)
    tensors[first] = np.array([9], np.int32)
    if not dumped:
        del tensors[second]
    report = diff(plan, Dump("device", tensors), values)
    assert statuses(report) == {0: "culprit", 1: "unjudged" if dumped else "absent", 2: "same"}
    assert any(note.startswith("operator 1 (GATHER) is not judged") and "0 … 3" in note for note in report.notes)


def test_what_tflm_leaves_unwritten_is_not_compared() -> None:
    """Frames before there are samples enough: whatever lay in their memory, the board is sound."""
    plan, x = make_plan(framer(5, 2)), np.arange(1, 5, dtype=np.int16)
    frames, valid = (t.index for t in plan.outputs)
    report = diff(plan, {frames: np.full((2, 5), 77, np.int16), valid: np.array(False)}, x)
    assert not report.differs
    assert "not compared: 10 elements of operator 0 (SignalFramer), which TFLM leaves unwritten" in report.notes
    assert diff(plan, {frames: np.full((2, 5), 77, np.int16), valid: np.array(True)}, x).culprits


def test_what_does_not_fit_is_not_called_the_same() -> None:
    report = diff(PLAN, Dump("device", dump_of(PLAN, X).tensors, problems=("tensor 14 has another type",)), X)
    assert report.differs
    assert report.summary.endswith("no difference; the rest of the dump does not fit.")


def test_a_batch_is_refused() -> None:
    with pytest.raises(InputError, match="a batch"):
        diff(PLAN, dump_of(PLAN, X), np.concatenate([X, X]))


class FakeDevice:
    """A device in this process that counts what it sends, by what recordings call it."""

    def __init__(self, dump: Dump, folded: tuple[int, ...] = (5, 6, 7)) -> None:
        told = (step.outputs[0].index for step in PLAN.steps if step.index not in folded)
        self.outputs = {f"t{i}": dump.tensors[i] for i in told}
        self.folded = folded
        self.sent: list[str] = []

    def crc(self, name: str) -> int | None:
        return zlib.crc32(self.outputs[name].tobytes()) if name in self.outputs else None

    def fetch(self, name: str) -> Array:
        self.sent.append(name)
        return self.outputs[name]


def test_a_sound_device_sends_nothing_but_crcs() -> None:
    device = FakeDevice(dump_of(PLAN, X))
    dump = tapped(PLAN, device.crc, device.fetch, X)
    assert device.sent == []
    assert not diff(PLAN, dump, X).differs


@pytest.mark.slow
def test_only_culprits_are_fetched() -> None:
    device = FakeDevice(dump_of(PLAN, X, wrong={2: NO_BIAS[2]}))
    dump = tapped(PLAN, device.crc, device.fetch, X)
    assert device.sent == [f"t{PLAN.steps[2].outputs[0].index}"]
    report = diff(PLAN, dump, X)
    whole = diff(PLAN, dump_of(PLAN, X, wrong={2: NO_BIAS[2]}), X)
    assert statuses(report) == {**statuses(whole), **dict.fromkeys(device.folded, "absent")}
    assert [f.verdict for f in report.culprits] == [f.verdict for f in whole.culprits]
    assert any("tensors fetched: 1; the others are proved by their CRC" in note for note in report.notes)


def test_a_device_that_sends_something_else() -> None:
    device = FakeDevice(dump_of(PLAN, X, wrong={2: NO_BIAS[2]}))
    with pytest.raises(InputError, match=r"the device's output of operator 2 \(CONV_2D\) is int8 \(7744,\)"):
        tapped(PLAN, device.crc, lambda name: device.fetch(name).ravel(), X)
