"""Partial plans: what can be done without an operator that nobody here runs, and that nothing is made up behind it."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refengine import (
    KERNELS,
    InputError,
    Model,
    Session,
    UnsupportedError,
    diff,
    execute,
    health,
    inspect,
    load,
    make_plan,
    run,
)
from refengine.bundled import bundled_models
from refengine.cexport import export
from refengine.commands import main
from refengine.debugger import Console
from refengine.debugger import Session as Debugger
from refengine.execute import infer
from refengine.explanation import explain, in_dialect
from refengine.judge import read_dump
from refengine.kernel import Kernel, Numerics
from refengine.kernels._flexbuffer import pack
from refengine.model import Array, Graph, Op, Tensor
from refengine.plan import Plan
from refengine.quantizer.convert import convert
from refengine.state import State
from refengine.tensors.datasets import bundled_digits
from refengine.tensors.inputs import pixels_to_input
from refengine.tflite_io import dump
from tests.kernels.test_if import adding, branching
from tests.test_subgraphs import inputs, program

GAP = "VendorPool"
OUTPUT = 17  # what the operator of the network computes that stands for the vendor's


def vendored(model: Model, index: int, code: str = GAP) -> Model:
    """The model with a custom operator in one's place, and the first operator's output as a second one of its own."""
    graph = model.graphs[0]
    op = graph.ops[index]
    custom = Op(index, "CUSTOM", op.inputs[:1], op.outputs, custom_code=code)
    ops = tuple(custom if each is op else each for each in graph.ops)
    changed = replace(graph, ops=ops, outputs=(*graph.outputs, graph.ops[0].outputs[0]))
    return load(dump(replace(model, graphs=(changed, *model.graphs[1:]))))


@pytest.fixture(scope="module")
def whole() -> Plan:
    return make_plan(bundled_models()["stm32f746_int8"])


@pytest.fixture(scope="module")
def plan(whole: Plan) -> Plan:
    return make_plan(vendored(whole.model, 3), partial=True)


@pytest.fixture(scope="module")
def digit(whole: Plan) -> Array:
    return pixels_to_input(whole, bundled_digits()[0][:1])


@pytest.fixture(scope="module")
def sound(whole: Plan, digit: Array) -> Mapping[int, Array]:
    """All tensors of the network as it was, by index."""
    return {r.step.outputs[0].index: r.outputs[0] for r in execute(whole, digit)}


# ---- plans and inferences ------------------------------------------------------------------------------------


def test_a_gap_has_its_reason_and_only_a_partial_plan_has_it(plan: Plan) -> None:
    with pytest.raises(UnsupportedError) as error:
        make_plan(plan.model)
    (gap,) = plan.gaps
    assert (gap.index, gap.name, str(gap.gap)) == (3, GAP, str(error.value))
    assert "operator 3 (VendorPool)" in str(gap.gap)
    assert make_plan(bundled_models()["dense_int8"], partial=True).gaps == ()


def test_what_is_refused_by_name_is_a_gap_with_that_reason(whole: Plan) -> None:
    (gap,) = make_plan(vendored(whole.model, 3, "ethos-u"), partial=True).gaps
    assert "Ethos-U" in str(gap.gap)


def test_what_depends_on_the_gap_is_unknown_and_the_rest_as_ever(
    plan: Plan, digit: Array, sound: Mapping[int, Array]
) -> None:
    for record in execute(plan, digit):
        (tensor,), (values,) = record.step.outputs, record.outputs
        assert (tensor.index in record.unknown) == (tensor.index in plan.behind())
        if tensor.index in record.unknown:
            assert record.undefined[0] is not None
            assert record.undefined[0].all()
        else:
            assert np.array_equal(values, sound[tensor.index])
    assert repr(record) == "<Record of operator 11 (SOFTMAX): int8 (1, 10), not known>"
    assert record._repr_html_().count("not known") == 2
    assert sorted(plan.behind()) == [17, 18, 22, 23, 24, 25]  # not 19 to 21: a shape is known


def test_given_tensors_go_on_behind_the_gap(plan: Plan, digit: Array, sound: Mapping[int, Array]) -> None:
    records = list(execute(plan, digit, known={OUTPUT: sound[OUTPUT]}))
    for record in records:
        assert not record.unknown
        assert np.array_equal(record.outputs[0], sound[record.step.outputs[0].index])
    assert len(records) == len(plan.steps)


def test_a_batch_is_its_inferences(plan: Plan, whole: Plan) -> None:
    batch = pixels_to_input(whole, bundled_digits()[0][:3])
    answers, features = infer(plan, 3, [batch])[0]
    assert np.ma.getmaskarray(answers).all()
    assert np.array_equal(features, np.concatenate([infer(plan, None, [x[np.newaxis]])[0][1] for x in batch]))


@pytest.mark.parametrize("start", [run, lambda plan, x: Session(plan).run(x)])
def test_run_refuses_unless_all_outputs_can_be_computed(
    start: Callable[[Plan, Array], tuple[Array, ...]], plan: Plan, digit: Array, sound: Mapping[int, Array]
) -> None:
    with pytest.raises(
        UnsupportedError, match=r"output 'StatefulPartitionedCall_1:0' cannot be computed: .*VendorPool"
    ):
        start(plan, digit)
    graph = replace(plan.graph, outputs=(14,))
    front = make_plan(replace(plan.model, graphs=(graph,)), partial=True)
    assert front.gaps
    assert np.array_equal(start(front, digit)[0], sound[14])


def test_a_partial_plan_travels(plan: Plan) -> None:
    assert [gap.index for gap in pickle.loads(pickle.dumps(plan)).gaps] == [3]


def test_tensors_that_no_array_holds_are_unknown_too() -> None:
    tensors = (
        Tensor(0, "x", (1, 4), "float32"),
        Tensor(1, "words", (-1,), "string"),
        Tensor(2, "half", (1, 4), "float16"),
        Tensor(3, "y", (1, 4), "float32"),
    )
    ops = (
        Op(0, "CUSTOM", (0,), (1,), custom_code="Words"),
        Op(1, "CUSTOM", (1, 0), (2,), custom_code="Half"),
        Op(2, "RELU", (0,), (3,)),
    )
    graph = replace(program(0).graphs[0], tensors=tensors, inputs=(0,), outputs=(1, 2, 3), ops=ops)
    plan = make_plan(Model((graph,)), partial=True)
    for batch in (None, 2):
        words, half, y = infer(plan, batch, [np.ones((batch or 1, 4), np.float32)])[0]
        assert np.ma.getmaskarray(words).all()
        assert np.ma.getmaskarray(half).all()
        assert y.all()
        assert not np.ma.getmaskarray(y).any()


def test_a_branch_without_a_gap_is_computed_and_the_other_is_unknown() -> None:
    then, other = adding(1, [[1, 1]]), adding(2, [[10, 20]])
    other = replace(other, ops=(replace(other.ops[0], name="CUSTOM", custom_code=GAP, options={}),))
    plan = make_plan(branching(then, other), partial=True)
    assert [gap.subgraph for gap in plan.gaps] == [2]
    conditions, x = np.array([True, False, True]), np.array([[3, 4]] * 3, np.int32)
    for condition, row in zip(conditions, x, strict=True):
        (y,), _ = infer(plan, None, [np.array([condition]), row[np.newaxis]])
        assert np.ma.getmaskarray(y).all() == (not condition)
    (y,), _ = infer(plan, 3, [conditions[:, np.newaxis], x])
    assert y.tolist() == [[4, 5], [None, None], [4, 5]]


def test_what_an_operator_keeps_for_itself_is_unknown_once_it_has_read_something_unknown() -> None:
    """Each stream of a batch on its own: one whose branch has the gap, and one whose branch hands its input on."""
    shape, options = (1, 2), pack(delay_length=2)
    x, y = Tensor(0, "x", shape, "int16"), Tensor(1, "y", shape, "int16")
    then = Graph(1, "then", (x,), (0,), (0,), ())
    other = Graph(2, "else", (x, y), (0,), (1,), (Op(0, "CUSTOM", (0,), (1,), custom_code=GAP),))
    tensors = (
        Tensor(0, "c", (1,), "bool"),
        *(Tensor(i, name, shape, "int16") for i, name in ((1, "x"), (2, "y"), (3, "z"))),
    )
    ops = (
        Op(0, "IF", (0, 1), (2,), {"then_subgraph_index": 1, "else_subgraph_index": 2}),
        Op(1, "CUSTOM", (2,), (3,), custom_code="SignalDelay", custom_options=options),
    )
    plan = make_plan(Model((Graph(0, "main", tensors, (0, 1), (3,), ops), then, other)), partial=True)
    state, told = plan.initial, list[Any]()
    for conditions in ([True, True], [True, False], [True, True]):
        fed = np.array([[1, 2], [3, 4]], np.int16) + 10 * len(told)
        (z,), state = infer(plan, 2, [np.array(conditions)[:, np.newaxis], fed], state)
        told.append(z.tolist())
    assert told == [[[0, 0], [0, 0]], [[1, 2], [None, None]], [[11, 12], [None, None]]]
    (kept,) = state.memory[0, 1]
    assert kept.tolist() == [[[21, 22]], [[None, None]]]
    assert plan.reset(state).memory[0, 1][0].tolist() == [[[0, 0]]]


def altered(kernel: Kernel, by: int) -> Kernel:
    """Another operator in a kernel's place: what it computes is off, and all that depends on it."""

    def evaluate(params: Any, *arrays: Array) -> Any:
        assert kernel.evaluate is not None
        results = kernel.evaluate(params, *arrays)
        return tuple(map(off, results)) if isinstance(results, tuple) else off(results)

    def off(x: Array) -> Array:
        return x ^ bool(by % 2) if x.dtype == bool else x + np.asarray(by, x.dtype)

    return replace(kernel, evaluate=evaluate)


def agrees(partial: State, full: State) -> bool:
    """Whether all that a partial plan's state knows is so."""
    pairs = (
        (x, getattr(full, kind)[key])
        for kind in ("variables", "resources")
        for key, x in getattr(partial, kind).items()
        if not np.ma.getmaskarray(x).any()
    )
    return all(np.array_equal(x, y) for x, y in pairs)


@pytest.mark.parametrize("missing", ["MUL", "ADD", "IF", "WHILE", "READ_VARIABLE", "ASSIGN_VARIABLE", "STRIDED_SLICE"])
def test_whatever_the_gap_computes_what_is_known_stays(missing: str) -> None:
    """Programs of loops, branches and variables, over several inferences, whose batches are their streams."""
    without = {key: kernel for key, kernel in KERNELS.items() if key[0] != missing}
    known = unknown = 0
    for seed in range(6):
        model = program(seed)
        plan = make_plan(model, kernels=without, partial=True)
        others = [key for key, kernel in KERNELS.items() if key[0] == missing and kernel.evaluate]
        fulls = [
            make_plan(model, kernels={**KERNELS, **{key: altered(KERNELS[key], by) for key in others}}) for by in (0, 1)
        ]
        feeds = inputs(seed, 2)
        together, states = plan.initial, [[each.initial] * 2 for each in (plan, *fulls)]
        for _ in range(2):
            both, together = infer(plan, 2, [np.concatenate(pair) for pair in zip(*feeds, strict=True)], together)
            for k, feed in enumerate(feeds):
                part, *results = (infer(p, 1, feed, s[k]) for p, s in zip((plan, *fulls), states, strict=True))
                for each, (_, after) in zip(states, (part, *results), strict=True):
                    each[k] = after
                for x, y, *expected in zip(both, part[0], *(outputs for outputs, _ in results), strict=True):
                    mask = np.ma.getmaskarray(y)
                    assert np.array_equal(mask, np.ma.getmaskarray(x[k : k + 1]))
                    assert np.array_equal(np.ma.filled(x[k : k + 1], 0), np.ma.filled(y, 0))
                    assert mask.all() or all(np.array_equal(y, z) for z in expected)
                    known, unknown = known + (not mask.any()), unknown + bool(mask.all())
                assert all(agrees(part[1], after) for _, after in results)
    assert known
    assert unknown


# ---- the rooms -----------------------------------------------------------------------------------------------


def test_inspect_tells_what_the_rest_comes_to(plan: Plan) -> None:
    assert inspect(plan.model).plan is None
    survey = inspect(plan.model, partial=True)
    told = survey.as_dict()
    assert (told["runs_on_tflm"], told["runs_in_refengine"]) == ("no", False)
    assert [gap["index"] for gap in told["gaps"]] == [3]
    assert [output["index"] for output in told["computable_outputs"]] == [14]
    assert told["arena"]["x86-64"]["without"] == (GAP,)
    assert len(survey.layers) == 12
    assert [layer.macs is None for layer in survey.layers] == [op.index == 3 for op in plan.graph.ops]


def dump_of(path: Path, digit: Array, sound: Mapping[int, Array], without: tuple[int, ...] = ()) -> Path:
    """A dump of a device that computes all of it, but for one layer behind the gap that is off by one."""
    tensors = {f"t{index}": x for index, x in sound.items() if index not in without} | {"t0": digit}
    tensors["t23"] = np.clip(tensors["t23"], -127, None) - np.int8(1)
    np.savez(path, **tensors)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize(("absent", "unjudged"), [((), [3]), ((OUTPUT,), [4]), ((OUTPUT, 18), [5, 8])])
def test_diff_judges_what_stands_behind_the_gap_on_what_the_dump_gives(
    absent: tuple[int, ...], unjudged: list[int], plan: Plan, digit: Array, sound: Mapping[int, Array], tmp_path: Path
) -> None:
    report = diff(plan, read_dump(plan, dump_of(tmp_path / "dump.npz", digit, sound, absent)))
    statuses = {
        status: [f.step.index for f in report.findings if f.status == status] for status in ("unjudged", "culprit")
    }
    assert statuses == {"unjudged": unjudged, "culprit": [9]}
    same = 11 - len(unjudged) - len(absent)
    assert sum(f.status == "same" for f in report.findings) == same
    assert any("operator 3 (VendorPool)" in note for note in report.notes)
    assert f"{same + 1} of 12 operators compared" in report.summary


def test_diff_does_not_judge_what_was_kept_behind_a_gap(tmp_path: Path) -> None:
    """The value of a resource variable depends on the gap, though nothing that reads it reads an unknown tensor."""
    tensors = (
        *(Tensor(i, f"t{i}", (1, 2), "int32") for i in range(2)),
        Tensor(2, "handle", (), "resource"),
        *(Tensor(i, f"t{i}", (1, 2), "int32") for i in (3, 4)),
    )
    ops = (
        Op(0, "CUSTOM", (0,), (1,), custom_code=GAP),
        Op(1, "VAR_HANDLE", (), (2,), {"container": "", "shared_name": "v"}),
        Op(2, "ASSIGN_VARIABLE", (2, 1), ()),
        Op(3, "READ_VARIABLE", (2,), (3,)),
        Op(4, "ADD", (3, 0), (4,), {"fused_activation_function": "NONE", "pot_scale_int16": False}),
    )
    plan = make_plan(Model((Graph(0, "main", tensors, (0,), (4,), ops),)), partial=True)
    x = np.array([[1, 2]], np.int32)
    np.savez(tmp_path / "dump.npz", t0=x, t3=10 * x, t4=11 * x + 1)
    report = diff(plan, read_dump(plan, tmp_path / "dump.npz"))
    found = {finding.step.index: finding.status for finding in report.findings}
    assert found == {0: "absent", 1: "absent", 3: "unjudged", 4: "culprit"}


def test_of_a_batch_one_inference_reads_a_variable_that_nobody_knows() -> None:
    """What a gap may have assigned to `w` is known in no inference; what is `v`'s, where all read that."""
    tensors = (
        Tensor(0, "x", (1, 2), "int32"),
        *(Tensor(i, f"handle{i}", (), "resource") for i in (1, 2, 3)),
        Tensor(4, "read", (1, 2), "int32"),
    )
    ops = (
        Op(0, "CUSTOM", (0,), (1,), custom_code=GAP),
        Op(1, "VAR_HANDLE", (), (2,), {"container": "", "shared_name": "v"}),
        Op(2, "VAR_HANDLE", (), (3,), {"container": "", "shared_name": "w"}),
        Op(3, "ASSIGN_VARIABLE", (2, 0), ()),
        Op(4, "READ_VARIABLE", (1,), (4,)),
    )
    plan = make_plan(Model((Graph(0, "main", tensors, (0,), (4,), ops),)), partial=True)
    x = np.array([[[1, 2]], [[3, 4]]], np.int32)
    for handles, known in (([0, 0], True), ([0, 1], False)):
        (read,), *_ = infer(plan, 2, [x], known={1: np.array(handles, np.int32)})
        assert np.ma.is_masked(read) is not known
        assert not known or np.array_equal(read, x.reshape(2, 2))


@pytest.mark.parametrize("given", [0, 2])
def test_a_gap_that_is_given_no_handle_leaves_variables_as_allocation_does(given: int) -> None:
    """Whoever has the handle (tensor 2) may have assigned to its variable before the first inference."""
    tensors = (
        Tensor(0, "x", (1, 2), "int32"),
        Tensor(1, "y", (1, 2), "int32"),
        Tensor(2, "handle", (), "resource"),
        Tensor(3, "read", (1, 2), "int32"),
    )
    ops = (
        Op(0, "VAR_HANDLE", (), (2,), {"container": "", "shared_name": "v"}),
        Op(1, "READ_VARIABLE", (2,), (3,)),
        Op(2, "CUSTOM", (given,), (1,), custom_code=GAP),
        Op(3, "ASSIGN_VARIABLE", (2, 0), ()),
    )
    plan = make_plan(Model((Graph(0, "main", tensors, (0,), (3,), ops),)), partial=True)
    (read,), *_ = infer(plan, None, [np.array([[1, 2]], np.int32)])
    assert np.ma.is_masked(read) == (given == 2)
    assert given == 2 or read.tolist() == [[0, 0]]


def test_health_measures_the_layers_before_the_gap(plan: Plan, whole: Plan, digit: Array) -> None:
    measured, full = (list(health(each, [(digit,)]))[-1] for each in (plan, whole))
    assert [step.index for step in measured.unjudged] == [3, 4, 8, 9, 10, 11]
    for mine, theirs in zip(measured.layers, full.layers, strict=False):
        assert mine.as_dict() == theirs.as_dict()
    assert [layer.step.index for layer in measured.layers if layer.step] == [0, 1, 2]
    assert measured.findings  # with effects on the one output that does without the gap
    assert measured.as_dict()["gaps"] == [str(plan.gaps[0].gap)]


def test_explain_tells_the_rest_and_why_it_cannot_tell_more(
    plan: Plan, digit: Array, sound: Mapping[int, Array]
) -> None:
    records = list(execute(plan, digit))
    told = explain(plan, records[2], (0, 0, 0, 0))
    assert told.value == records[2].outputs[0][0, 0, 0, 0]
    assert in_dialect(plan, records[2], Numerics(rounding="single"))[1].outputs[0].shape == (1, 11, 11, 64)
    with pytest.raises(InputError, match=r"of operator 9 .* is not known: .*VendorPool"):
        explain(plan, records[9], (0, 0))
    given = list(execute(plan, digit, known={OUTPUT: sound[OUTPUT], 23: sound[23]}))
    assert explain(plan, given[9], (0, 0)).value == given[9].outputs[0][0, 0]
    for gap in (records[3], given[3]):
        with pytest.raises(InputError, match=r"nobody here can explain what is left out: .*VendorPool"):
            explain(plan, gap, (0, 0, 0, 0))
    behind = list(execute(plan, digit, known={23: sound[23]}))
    with pytest.raises(InputError, match=r"of operator 9 .* is not known: .*VendorPool"):
        explain(plan, behind[9], (0, 0))


def test_the_debugger_walks_through_the_gap(plan: Plan, digit: Array, sound: Mapping[int, Array]) -> None:
    console = Console(Debugger(plan, digit), 100, False)

    def ask(command: str) -> list[str]:
        return list(console.run(command))

    assert ask("next 4") == ["3 VendorPool → 17 int8 1×5×5×64  not known"]
    assert "not prepared: " in ask("info op")[-1]
    with pytest.raises(InputError, match=r"tensor 17 .* is not known: .*VendorPool"):
        ask("print out")
    assert ask("set 14[0,0,0,0] = 5")
    assert ask("goto end")[0].endswith("not known")  # not the zeros that stood there
    assert ask("undo")
    with pytest.raises(InputError, match=r"operator 10 .* is not known: .*VendorPool"):
        ask("why")
    ask("break SHAPE if max(out) > 3")
    ask("goto start")
    assert ask("continue")[0].startswith("breakpoint 1")
    behind = Debugger(plan, digit, given={OUTPUT: sound[OUTPUT]})
    assert np.array_equal(behind.final(plan.outputs[0]), sound[25])
    assert np.array_equal(behind.unchanged().final(plan.outputs[0]), sound[25])


def test_what_needs_every_operator_refuses_by_name(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"C export needs every operator of the model, .*VendorPool"):
        export(plan, tmp_path)
    with pytest.raises(UnsupportedError, match=r"quantisation needs every operator of the model, .*VendorPool"):
        convert(plan, {})


# ---- the command line ----------------------------------------------------------------------------------------


@pytest.fixture
def files(plan: Plan, digit: Array, sound: Mapping[int, Array], tmp_path: Path) -> Path:
    (tmp_path / "model.tflite").write_bytes(dump(plan.model))
    np.save(tmp_path / "x.npy", digit)
    np.savez(tmp_path / "given.npz", t17=sound[OUTPUT])
    dump_of(tmp_path / "dump.npz", digit, sound)
    return tmp_path


def asked(capsys: pytest.CaptureFixture[str], files: Path, line: str, status: int = 0) -> str:
    words = [str(files / word) if "." in word and (files / word).exists() else word for word in line.split()]
    assert main(words) == status
    return capsys.readouterr().out


@pytest.mark.parametrize(
    "line",
    [
        "run model.tflite --input x.npy",
        "explain model.tflite --input x.npy --op 0 --at 0,0,0,0",
        "debug model.tflite --input x.npy --command list",
        "diff model.tflite dump.npz",
        "health model.tflite --limit 1",
    ],
)
def test_without_the_option_a_gap_is_refused(line: str, files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked(capsys, files, line, 2)
    assert asked(capsys, files, f"{line} --partial", int(line.startswith("diff")))


def test_run_prints_the_outputs_that_can_be_computed(
    files: Path, capsys: pytest.CaptureFixture[str], sound: Mapping[int, Array]
) -> None:
    (result,) = json.loads(asked(capsys, files, "run model.tflite --input x.npy --partial --json"))["results"]
    answer, features = result["outputs"]
    assert answer["values"] is None
    assert GAP in answer["not_known"]
    assert np.array_equal(features["values"], sound[14])
    told = asked(capsys, files, "run model.tflite --input x.npy --partial --given given.npz --json")
    assert np.array_equal(json.loads(told)["results"][0]["outputs"][0]["values"], sound[25])
    assert "not known: subgraph 0, operator 3" in asked(capsys, files, "run model.tflite --input x.npy --partial")


def test_explain_and_debug_go_on_from_given_tensors(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = "--input x.npy --partial --given given.npz"
    assert "operator 9" in asked(capsys, files, f"explain model.tflite {given} --op 9 --at 0,0")
    assert "not known" not in asked(capsys, files, f"debug model.tflite {given} --command continue")
