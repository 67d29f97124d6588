"""Quantised networks with branches and loops: each number is counted again by hand, round by round."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refengine import InferenceError, InputError, dequantize_output, execute, make_plan, run
from refengine.commands import main
from refengine.examination import Health, health
from refengine.examination.decisions import Decision, borders
from refengine.examination.layer import Layer
from refengine.model import Array, Graph, Model, Op, Tensor
from refengine.reading.float_reading import as_codes, float_reading, real_values
from refengine.tflite_io import dump
from tests.models import present, q

CELL = (1, 1)
NONE = {"fused_activation_function": "NONE"}
ADD = NONE | {"pot_scale_int16": False}


def graph(index: int, tensors: Sequence[Tensor], inputs: Sequence[int], outputs: Sequence[int], *ops: Op) -> Graph:
    """A subgraph of the tensors and operators, which get their numbers here."""
    numbered = tuple(replace(t, index=i) for i, t in enumerate(tensors))
    counted = tuple(replace(op, index=i) for i, op in enumerate(ops))
    return Graph(index, f"g{index}", numbered, tuple(inputs), tuple(outputs), counted)


def op(name: str, inputs: Sequence[int], outputs: Sequence[int], **options: Any) -> Op:
    return Op(0, name, tuple(inputs), tuple(outputs), options)


def cell(name: str, scale: float = 0.1, zero_point: int = 0) -> Tensor:
    return Tensor(0, name, CELL, "int8", q(scale, zero_point))


def code(value: int, scale: float = 0.1) -> Tensor:
    return replace(cell("c", scale), data=np.array([[value]], np.int8))


BOOL = Tensor(0, "met", CELL, "bool")


def above(index: int, codes: int) -> Graph:
    """Whether x is more than so many codes of 0.1."""
    return graph(index, (cell("x"), code(codes), BOOL), (0,), (2,), op("GREATER", (0, 1), (2,)))


def halving(made: Tensor | None = None) -> Model:
    """While x > 1: x is halved."""
    loop = op("WHILE", (0,), (1,), cond_subgraph_index=1, body_subgraph_index=2)
    body = (cell("x"), code(50, 0.01), made or cell("half"))
    return Model(
        (
            graph(0, (cell("x"), cell("y")), (0,), (1,), loop),
            above(1, 10),
            graph(2, body, (0,), (2,), op("MUL", (0, 1), (2,), **NONE)),
        )
    )


def choosing(made: Tensor | None = None, scaled: Tensor | None = None) -> Model:
    """x > 0 ? x / 2 : (x > −2 ? x : −x), in int8."""
    inner = op("IF", (2, 0), (3,), then_subgraph_index=3, else_subgraph_index=4)
    outer = replace(inner, options={"then_subgraph_index": 1, "else_subgraph_index": 2})
    greater = op("GREATER", (0, 1), (2,))
    return Model(
        (
            graph(0, (cell("x"), code(0), BOOL, made or cell("y")), (0,), (3,), greater, outer),
            graph(
                1, (cell("x"), code(50, 0.01), scaled or cell("scaled")), (0,), (2,), op("MUL", (0, 1), (2,), **NONE)
            ),
            graph(2, (cell("x"), code(-20), BOOL, cell("y")), (0,), (3,), greater, inner),
            graph(3, (cell("x"),), (0,), (0,)),
            graph(4, (cell("x"), code(-100, 0.01), cell("turned")), (0,), (2,), op("MUL", (0, 1), (2,), **NONE)),
        )
    )


def column(*values: float) -> Array:
    return np.array(values, np.float32).reshape(-1, 1)


def examined(model: Model, *values: float, beside: Model | None = None) -> Health:
    *_, result = health(model, [(column(*values),)], beside)
    return result


def layer_of(result: Health, name: str) -> Layer:
    return next(layer for layer in result.layers if str(layer) == name)


def decision_of(result: Health, index: int = 0, subgraph: int = 0) -> Decision:
    return next(d for d in result.decisions if (d.step.subgraph, d.step.index) == (subgraph, index))


DATA = (4.04, 0.5, 3.9, 7.77)
"""The first is halved three times in floats, twice in codes; the second never."""


def rounds(x: float) -> list[float]:
    """What floats halve, round by round."""
    made = []
    while x > 1:
        made.append(x := x / 2)
    return made


def coded_rounds(x: float) -> list[int]:
    """What the codes become: TFLM rounds halves away from zero."""
    made, now = [], round(x / 0.1)
    while now > 10:
        made.append(now := (now + 1) // 2)
    return made


def test_a_loops_body_is_measured_in_all_rounds() -> None:
    result = examined(halving(), *DATA)
    body = layer_of(result, "subgraph 2, operator 0 (MUL)")
    codes = [each for x in DATA for each in coded_rounds(x)]
    assert body.codes == (min(codes), max(codes)) and body.runs == len(codes) == 7
    before = [each for x in DATA for each in [round(x / 0.1), *coded_rounds(x)][:-1]]
    own = np.array(codes) - np.array(before) / 2
    assert present(body.own).layer.rmse[0] == pytest.approx(np.sqrt(np.mean(np.square(own))), rel=1e-3)


def test_its_total_error_counts_rounds_that_floats_run_as_well() -> None:
    body = layer_of(examined(halving(), *DATA, 2.4, 1.94), "subgraph 2, operator 0 (MUL)")
    errors = [c - f / 0.1 for x in (*DATA, 2.4, 1.94) for c, f in zip(coded_rounds(x), rounds(x), strict=False)]
    assert present(body.total).count == len(errors)
    assert present(body.total).layer.rmse[0] == pytest.approx(np.sqrt(np.mean(np.square(errors))), rel=1e-3)


def test_what_a_loop_hands_on_is_no_error_of_its_own() -> None:
    result = examined(halving(), *DATA)
    loop = layer_of(result, "operator 0 (WHILE)")
    assert loop.role == "passed on" and loop.runs == 4
    wrong = [([round(x / 0.1), *coded_rounds(x)][-1] - [x, *rounds(x)][-1] / 0.1) for x in DATA]
    assert present(loop.total).layer.rmse[0] == pytest.approx(np.sqrt(np.mean(np.square(wrong))), rel=1e-3)
    assert not [f for f in result.findings if f.layer == str(loop) and f.kind not in ("decision", "unseen")]


def test_other_rounds_in_floats_are_a_finding() -> None:
    result = examined(halving(), *DATA)
    decision = decision_of(result)
    assert decision.taken == {2: 2, 0: 1, 3: 1} and (decision.compared, decision.differing) == (4, 1)
    assert str(decision) == "operator 0 (WHILE): 0 … 3 rounds, in 4 runs"
    (finding,) = (f for f in result.findings if f.kind == "decision")
    assert finding.text.startswith("In 1 of 4 runs floats run another number of rounds")
    assert result.as_dict()["decisions"] == [
        {
            "operator": {"subgraph": 0, "index": 0, "name": "WHILE"},
            "rounds": {"0": 1, "2": 2, "3": 1},
            "compared": 4,
            "differing": 1,
        }
    ]


def test_a_body_that_never_runs_is_told_and_nothing_of_its_layers() -> None:
    result = examined(halving(), 0.5, 0.2)
    assert [str(layer) for layer in result.layers] == ["input 'x'", "operator 0 (WHILE)"]
    (finding,) = (f for f in result.findings if f.kind == "unseen")
    assert finding.text.startswith("Its body, subgraph 2, never ran in 2 runs")
    assert not [f for f in examined(halving(), 0.5, 4.0).findings if f.kind == "unseen"]


def test_each_inference_of_a_batch_takes_its_own_branch() -> None:
    values = (1.1, -0.7, -3.0, 5.5, -1.9, 2.5)
    result = examined(choosing(), *values)
    runs = {str(layer): layer.runs for layer in result.layers}
    assert runs["subgraph 1, operator 0 (MUL)"] == 3 and runs["subgraph 4, operator 0 (MUL)"] == 1
    assert runs["operator 1 (IF)"] == 6 and runs["subgraph 2, operator 1 (IF)"] == 3
    assert decision_of(result, 1).taken == {1: 3, 0: 3} and decision_of(result, 1, 2).taken == {1: 2, 0: 1}
    assert str(decision_of(result, 1, 2)) == "subgraph 2, operator 1 (IF): then 2 times, else 1"
    floats = [x / 2 if x > 0 else x if x > -2 else -x for x in values]
    plan = make_plan(choosing())
    (codes,) = run(plan, as_codes(column(*values), plan.inputs[0]))
    wrong = (dequantize_output(plan, codes).ravel() - floats) / 0.1
    total = present(layer_of(result, "operator 1 (IF)").total)
    assert total.layer.rmse[0] == pytest.approx(np.sqrt(np.mean(np.square(wrong))), rel=1e-3)
    everything, _ = result.experiment.effects([])
    assert present(everything).rmse == pytest.approx(total.layer.rmse[0] * 0.1, rel=1e-3)


def test_the_other_branch_in_floats_is_a_finding() -> None:
    """0.04 is code 0, which is not above 0."""
    result = examined(choosing(), 0.04, 1.0, -1.0)
    assert decision_of(result, 1).differing == 1
    (finding,) = (f for f in result.findings if f.kind == "decision")
    assert (finding.layer, finding.text[:40]) == ("operator 1 (IF)", "In 1 of 3 runs floats take the other bra")
    assert decision_of(result, 1, 2).compared == 1, "floats came there only once"


def test_a_branch_that_is_never_taken_is_told() -> None:
    found = [f for f in examined(choosing(), 1.0, -1.0).findings if f.kind == "unseen"]
    assert [(f.layer, f.text[:24]) for f in found] == [("subgraph 2, operator 1 (IF)", "Its else, subgraph 4, ne")]


def test_a_branch_in_a_loops_body_is_measured_in_each_round() -> None:
    """While x > 1: x becomes a quarter if it is more than 5, else half."""
    inner = op("IF", (2, 0), (3,), then_subgraph_index=3, else_subgraph_index=4)
    first, cond, half = halving().graphs
    body = graph(2, (cell("x"), code(50), BOOL, cell("y")), (0,), (3,), op("GREATER", (0, 1), (2,)), inner)
    (x, _, made) = half.tensors
    quarter = graph(3, (x, code(25, 0.01), made), (0,), (2,), op("MUL", (0, 1), (2,), **NONE))
    values = (12.0, 6.4, 3.2, 0.8)
    result = examined(Model((first, cond, body, quarter, replace(half, index=4))), *values)
    ways: list[bool] = []
    for now in values:
        while now > 1:
            ways.append(now > 5)
            now /= 4 if now > 5 else 2
    assert decision_of(result, 1, 2).taken == {1: sum(ways), 0: len(ways) - sum(ways)}
    assert (decision_of(result, 1, 2).compared, decision_of(result, 1, 2).differing) == (len(ways), 0)
    assert layer_of(result, "subgraph 3, operator 0 (MUL)").runs == sum(ways) == 2
    assert layer_of(result, "subgraph 2, operator 1 (IF)").runs == len(ways)


def test_an_inference_that_fails_is_told_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module("refengine.execute"), "LOOP_LIMIT", 20)
    loop, _, body = halving().graphs
    with pytest.raises(
        InferenceError, match=r"^inference 2 \(from 0\): operator 0 \(WHILE\): the loop has run 20 times"
    ):
        examined(Model((loop, above(1, 0), body)), -1.0, -2.0, 3.0, 4.0)


def test_silence_is_counted_in_runs_of_the_branch() -> None:
    """A branch that was taken nine times tells nothing yet, however many inferences there were."""
    values = [(-1) ** i * 2.5 for i in range(18)]
    model = choosing(scaled=cell("scaled", 0.05))
    assert not [f for f in examined(model, *values).findings if f.kind == "silent"]
    (finding,) = (f for f in examined(model, *values, 2.5).findings if f.kind == "silent")
    assert finding.layer == "subgraph 1, operator 0 (MUL)"
    assert "silent in 10 runs." in finding.text


def test_what_an_inner_layer_does_to_the_outputs_is_tried_alone() -> None:
    """Its scale is too small, and codes are cut off: in floats, where that layer alone computes in codes."""
    once, again = (op("MUL", inputs, outputs, **NONE) for inputs, outputs in (((0, 1), (2,)), ((2, 3), (4,))))
    tensors = (cell("x"), code(50, 0.01), cell("half", 0.01), code(100, 0.01), cell("same"))
    result = examined(Model((*halving().graphs[:2], graph(2, tensors, (0,), (4,), once, again))), *DATA)
    (finding,) = (f for f in result.findings if f.kind == "saturation")
    assert finding.layer == "subgraph 2, operator 0 (MUL)"
    errors = []
    for x in DATA:
        now, right = x, [x, *rounds(x)][-1]
        while now > 1:
            now = min(round(now / 0.1) * 5, 127) * 0.01
        errors.append(now - right)
    assert present(finding.effect).rmse == pytest.approx(np.sqrt(np.mean(np.square(errors))), rel=1e-2)


def test_codes_that_mean_something_else_behind_the_border_are_a_finding() -> None:
    (finding,) = (f for f in examined(halving(cell("half", 0.2)), *DATA).findings if f.kind == "border")
    assert "'half' to 'x', 'half' to 'y'" in finding.text and finding.layer == "operator 0 (WHILE)"
    assert not [*borders(make_plan(halving()))] and not [*borders(make_plan(choosing()))]
    assert [t.name for _, _, t in borders(make_plan(choosing(made=cell("y", 0.2))))] == ["y", "y"]


def test_beside_another_float_model_an_inner_layer_has_its_rounds_there() -> None:
    """That one takes a fifth of x instead of half, and has its subgraphs in another order."""
    loop, cond, body = float_reading(make_plan(halving())).model.graphs
    tensors = tuple(replace(t, data=np.array([[0.2]], np.float32)) if t.data is not None else t for t in body.tensors)
    turned = replace(loop, ops=(replace(loop.ops[0], options={"cond_subgraph_index": 2, "body_subgraph_index": 1}),))
    other = Model((turned, replace(body, index=1, tensors=tensors), replace(cond, index=2)))
    result = examined(halving(), *DATA, beside=other)
    layer, alone = (layer_of(each, "subgraph 2, operator 0 (MUL)") for each in (result, examined(halving(), *DATA)))
    errors = []
    for x in DATA:
        now = x
        for made in coded_rounds(x):
            if now > 1:  # the fewer rounds of that model
                now *= 0.2
                errors.append(made - now / 0.1)
    assert present(layer.own).layer.rmse == present(alone.own).layer.rmse
    assert present(layer.total).count == len(errors) < layer.runs == 7
    assert present(layer.total).layer.rmse[0] == pytest.approx(np.sqrt(np.mean(np.square(errors))), rel=1e-3)
    assert result.compared == (2, 2) and decision_of(result).compared == 4


def real(name: str) -> Tensor:
    return Tensor(0, name, CELL, "float32")


def number(value: float) -> Tensor:
    return replace(real("c"), data=np.array([[value]], np.float32))


MET = graph(1, (real("x"), number(1.0), BOOL), (0,), (2,), op("GREATER", (0, 1), (2,)))
WHOLE = graph(
    0, (real("x"), real("y")), (0,), (1,), op("WHILE", (0,), (1,), cond_subgraph_index=1, body_subgraph_index=2)
)


def test_what_a_body_quantises_is_beside_what_the_float_body_was_given() -> None:
    """Floats cross the border, and the body computes in codes: its first layer is the float body's input."""
    coded = (real("x"), cell("codes"), code(50, 0.01), cell("half"), real("made"))
    steps = (op("QUANTIZE", (0,), (1,)), op("MUL", (1, 2), (3,), **NONE), op("DEQUANTIZE", (3,), (4,)))
    floats = graph(2, (real("x"), number(0.5), real("made")), (0,), (2,), op("MUL", (0, 1), (2,), **NONE))
    quantised = Model((WHOLE, MET, graph(2, coded, (0,), (4,), *steps)))
    result = examined(quantised, *DATA, beside=Model((WHOLE, MET, floats)))
    errors = []
    for x in DATA:
        before, there = [round(x / 0.1), *coded_rounds(x)][:-1], [x, *rounds(x)][:-1]
        errors += [c - f / 0.1 for c, f in zip(before, there, strict=False)]
    layer = layer_of(result, "subgraph 2, operator 0 (QUANTIZE)")
    assert present(layer.total).count == len(errors) == 7
    assert present(layer.total).layer.rmse[0] == pytest.approx(np.sqrt(np.mean(np.square(errors))), rel=1e-3)


def test_a_branch_is_beside_the_float_models_branch_and_its_effect_is_tried() -> None:
    """Its scale is too small for what the float model's branch makes."""
    model = choosing(scaled=cell("scaled", 0.01))
    other = float_reading(make_plan(model)).model
    result = examined(model, 4.0, 6.0, -1.0, beside=other)
    (finding,) = (f for f in result.findings if f.kind == "offset")
    layer = layer_of(result, "subgraph 1, operator 0 (MUL)")
    errors = np.array([1.27 - 2.0, 1.27 - 3.0])
    assert finding.layer == str(layer)
    assert present(finding.effect).square == pytest.approx(np.sum(np.square(errors)), rel=1e-3)
    assert present(layer.total).layer.rmse[0] == pytest.approx(np.sqrt(np.mean(np.square(errors / 0.01))), rel=1e-3)


def test_a_float_model_without_that_branch_tells_nothing_of_it() -> None:
    """It computes x / 2 whatever x is."""
    floats = graph(0, (real("x"), number(0.5), real("y")), (0,), (2,), op("MUL", (0, 1), (2,), **NONE))
    result = examined(choosing(), 1.0, 2.0, beside=Model((floats,)))
    layer = layer_of(result, "subgraph 1, operator 0 (MUL)")
    assert layer.total is None and present(layer.own).count == 2
    assert present(layer_of(result, "operator 1 (IF)").total).largest.max() < 1e-4
    assert decision_of(result, 1).compared == 0


def test_floats_that_never_end_leave_the_rest_to_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """While x > 0 it is halved: codes come to 1, and 1 stays; so the factor is 0.4, and floats go on for long."""
    loop, _, body = halving().graphs
    tensors = tuple(replace(t, data=np.array([[40]], np.int8)) if t.data is not None else t for t in body.tensors)
    model = Model((loop, above(1, 0), replace(body, tensors=tensors)))
    monkeypatch.setattr(importlib.import_module("refengine.execute"), "LOOP_LIMIT", 50)
    result = examined(model, 4.0, 0.0, 2.0)
    (finding,) = (f for f in result.findings if f.kind == "decision")
    assert finding.text.startswith(
        "In 2 of 3 inferences floats fail though the integers do not, and nothing is compared"
    )
    assert "the loop has run 50 times" in finding.text
    body_layer = layer_of(result, "subgraph 2, operator 0 (MUL)")
    assert body_layer.total is None and present(body_layer.own).count == body_layer.runs > 4
    assert present(layer_of(result, "operator 0 (WHILE)").total).count == 1


def test_what_lives_on_in_a_branch_is_judged_on_what_it_found() -> None:
    """x > 0 adds x to a variable, and gives it; else x itself."""
    handle = Tensor(0, "h", (), "resource")
    tensors = (cell("x"), handle, cell("before"), cell("after"))
    adding = graph(
        1, tensors, (0,), (3,),
        op("VAR_HANDLE", (), (1,), container="", shared_name="v"), op("READ_VARIABLE", (1,), (2,)),
        op("ADD", (0, 2), (3,), **ADD), op("ASSIGN_VARIABLE", (1, 3), ()),
    )  # fmt: skip
    (first, *_), copying = choosing().graphs, graph(2, (cell("x"),), (0,), (0,))
    result = examined(Model((first, adding, copying)), 1.0, -1.0, 2.0, 0.54)
    added = layer_of(result, "subgraph 1, operator 2 (ADD)")
    assert added.codes == (10, 35) and added.runs == 3
    read = layer_of(result, "subgraph 1, operator 1 (READ_VARIABLE)")
    assert read.codes == (0, 30) and present(read.own).largest.max() < 1e-4
    assert present(added.total).largest.max() == pytest.approx(0.4, rel=1e-3), "0.54 is code 5"


def test_a_gap_in_a_branch_hides_what_depends_on_it_alone() -> None:
    model = choosing()
    unknown = tuple(replace(each, name="ATAN2") if each.name == "MUL" else each for each in model.graphs[4].ops)
    plan = make_plan(Model((*model.graphs[:4], replace(model.graphs[4], ops=unknown))), partial=True)
    *_, result = health(plan, [(column(1.0, -1.0, -3.0),)])
    assert layer_of(result, "subgraph 1, operator 0 (MUL)").runs == 1
    assert [step.number for step in result.unjudged] == ["4:0"]
    assert layer_of(result, "operator 1 (IF)").runs == 2, "the third inference came to the gap"
    assert decision_of(result, 1, 2).taken == {1: 1, 0: 1}


def test_loops_of_floats_are_measured_in_all_rounds() -> None:
    model = float_reading(make_plan(halving())).model
    result = examined(model, *DATA)
    body = next(layer for layer in result.floats if str(layer) == "subgraph 2, operator 0 (MUL)")
    made = [each for x in DATA for each in rounds(x)]
    assert (body.low[0], body.high[0]) == pytest.approx((min(made), max(made))) and body.runs == len(made)
    assert decision_of(result).taken == {3: 2, 0: 1, 2: 1}
    (unseen,) = (f for f in examined(model, 0.5).findings if f.kind == "unseen")
    assert "body, subgraph 2" in unseen.text


def test_what_overflows_in_a_branch_is_named_where_it_arises() -> None:
    first, then, *others = float_reading(make_plan(choosing())).model.graphs
    tensors = tuple(replace(t, data=np.array([[3e38]], np.float32)) if t.data is not None else t for t in then.tensors)
    result = examined(Model((first, replace(then, tensors=tensors), *others)), 2.0, 0.5, -1.0)
    (finding,) = (f for f in result.findings if f.kind == "overflow")
    assert finding.layer == "subgraph 1, operator 0 (MUL)" and "In 1 of 2 runs finite inputs give" in finding.text


def test_the_first_records_are_those_that_execute_gives() -> None:
    """What a layer saw is what ran, and no more."""
    plan = make_plan(halving())
    codes = as_codes(column(*DATA), plan.inputs[0])
    seen = [r for x in codes for r in execute(plan, x[np.newaxis]) if r.step.name == "MUL"]
    body = layer_of(examined(halving(), *DATA), "subgraph 2, operator 0 (MUL)")
    assert int(body.histogram.sum()) == len(seen)
    assert present(body.own).got[0] == pytest.approx(sum(float(r.outputs[0][0, 0]) ** 2 for r in seen))
    assert real_values(seen[0].outputs[0], seen[0].step.outputs[0]).dtype == np.float32


def test_the_command_tells_decisions_below_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.tflite").write_bytes(dump(choosing()))
    np.save(tmp_path / "x.npy", column(1.0, -1.0, 0.04))
    assert main(["health", str(tmp_path / "m.tflite"), "--data", str(tmp_path / "x.npy")]) == 0
    printed = capsys.readouterr().out
    assert "\noperator 1 (IF): then 1 time, else 2\nsubgraph 2, operator 1 (IF): then 2 times, else 0\n" in printed
    assert " 1:0 " in printed and "operator 1 (IF): decision. In 1 of 3 runs" in printed


def test_a_float_model_of_other_inputs_is_refused() -> None:
    with pytest.raises(InputError, match="the float model's inputs are not float32 ones"):
        examined(halving(), 1.0, beside=halving())
