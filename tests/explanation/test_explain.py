"""Explanations: the right element, in one dialect or two, folded or whole, as text, JSON and HTML."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refengine import InputError, Numerics, Plan, Record, execute, make_plan
from refengine.commands import main
from refengine.explanation import as_html, explain, in_dialect, parting, side_by_side, step_at, text
from refengine.kernel import Line
from refengine.text import markup
from refengine.tflite_io import dump
from tests.models import const, fed, one_op, present, q
from tests.quantizer.test_convert import stream
from tests.test_execute import codes, two_layers


def tie() -> tuple[Plan, Record]:
    """One output, 13 · 0.5 − 126, which double rounding and ties-to-even put on different codes."""
    options = {"fused_activation_function": "NONE", "keep_num_dims": False, "quantized_bias_type": "float32"}
    inputs = [fed((1, 2), "int8", q(0.5)), const([[1, 1]], "int8", q(1.0)), const([13], "int32", q(0.5))]
    plan = make_plan(one_op("FULLY_CONNECTED", options, [*inputs], fed((1, 1), "int8", q(1.0, -126))))
    (record,) = execute(plan, np.zeros((1, 2), np.int8))
    return plan, record


def test_every_element_ends_in_its_value() -> None:
    plan = make_plan(two_layers())
    for record in execute(plan, codes(1)):
        for index in np.ndindex(record.outputs[0].shape):
            told = explain(plan, record, index)
            code = int(record.outputs[0][index])
            assert told.value == code == told.lines[-1].value
            assert told.real == pytest.approx(0.5 * code)


def test_negative_indices_count_from_the_end() -> None:
    plan = make_plan(two_layers())
    record = next(execute(plan, codes(1)))
    assert explain(plan, record, (0, -1)) == explain(plan, record, (0, 2))


@pytest.mark.parametrize("at", [(0,), (0, 3), (0, -4), (1, 0), (0, 0, 0)])
def test_elements_that_are_not_there(at: tuple[int, ...]) -> None:
    plan = make_plan(two_layers())
    with pytest.raises(InputError, match=r"'hidden' has shape \(1, 3\)"):
        explain(plan, next(execute(plan, codes(1))), at)


def test_a_batch_is_too_many() -> None:
    plan = make_plan(two_layers())
    with pytest.raises(InputError, match="holds a batch of 4"):
        explain(plan, next(execute(plan, codes(4))), (0, 0))


def test_dialects_part_where_they_round() -> None:
    plan, record = tie()
    other = explain(*in_dialect(plan, record, Numerics(rounding="xnnpack")), (0, 0))
    mine = explain(plan, record, (0, 0))
    assert (mine.value, other.value) == (-119, -120)
    parted = parting(mine, other)
    assert parted is not None and [line.name for line in parted] == ["multiplier", "scale"]
    assert list(side_by_side(mine, other))[-1].endswith("and end in -119 and -120.")
    assert parting(mine, mine) is None
    assert list(side_by_side(mine, mine))[-1] == "The two dialects agree at every stage of this element."


def test_infinities_in_another_dialect_are_results_and_no_warning() -> None:
    options = {"fused_activation_function": "NONE", "keep_num_dims": False, "quantized_bias_type": "float32"}
    inputs = [fed((1, 2), "float32"), const([[2, 2]], "float32"), const([-np.inf], "float32")]
    plan = make_plan(one_op("FULLY_CONNECTED", options, [*inputs], fed((1, 1), "float32")))
    (record,) = execute(plan, np.full((1, 2), 3e38, np.float32))
    other, again = in_dialect(plan, record, Numerics(contraction="fma"))
    assert np.isnan(again.outputs[0]).all() and np.isnan(explain(other, again, (0, 0)).value)


def test_long_sums_are_folded_unless_asked() -> None:
    plan = make_plan(two_layers(width=40))
    *_, record = execute(plan, codes(1))
    told = explain(plan, record, (0, 1))
    assert sum("tap" in line for line in text(told, full=True)) == 40
    folded = list(text(told))
    assert sum(line.lstrip().startswith("tap") for line in folded) == 7
    (more,) = (line for line in folded if "… 34 more, and what they add up to" in line)
    taps = [line.value for line in told.lines if line.name == "tap"]
    assert more.split()[1] == str(sum(map(int, taps[3:-3])))
    assert not any("--full" in line for line in folded)
    assert any("(--full shows all)" in line for line in text(told, hint="--full shows all"))
    assert f"= {told.value}, which stands for" in folded[-1]


def test_floats_that_a_fold_leaves_out_have_no_sum() -> None:
    plan = make_plan("dense_int8")
    lines = [Line("tap", "", np.float32(i)) for i in range(9)]
    record = [*execute(plan, np.zeros((1, 28, 28, 1), np.int8))][-1]
    told = replace(explain(plan, record, (0, 0)), lines=(*lines, Line("accumulator", "", np.float32(36))))
    (more,) = (line for line in text(told) if "… 3 more" in line)
    assert more.split() == ["tap", "…", "3", "more"]


def test_a_dialect_that_multiplies_in_floats_tells_of_no_integer_multiplier() -> None:
    plan, record = tie()
    told = explain(plan, record, (0, 0), numerics="xnnpack")
    names = [line.name for line in told.lines]
    assert names[names.index("bias") + 1 :] == ["scale", "product", "scaled", "output offset", "clamp"]
    assert not {"multiplier", "shift"} & {*names}


def test_html_is_one_well_formed_page_and_escapes_names() -> None:
    plan, record = tie()
    told = explain(plan, record, (0, 0))
    page = as_html([replace(told, tensor=replace(told.tensor, name="<script>"))])
    assert "&lt;script&gt;" in page
    opened: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: Any) -> None:
            if tag != "meta":
                opened.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert opened.pop() == tag

    Reader().feed(page)
    assert not opened and "<script>" not in page and "http" not in page


@pytest.mark.parametrize(("op", "index"), [("0", 0), ("hidden", 0), ("y", 1)])
def test_operators_by_index_or_output(op: str, index: int) -> None:
    assert step_at(make_plan(two_layers()), op).index == index


@pytest.mark.parametrize(
    ("op", "message"),
    [
        ("FULLY_CONNECTED", "several operators are 'FULLY_CONNECTED': 0 FULLY_CONNECTED, 1 FULLY_CONNECTED"),
        ("2", "there is no operator '2': 0 FULLY_CONNECTED, 1 FULLY_CONNECTED"),
    ],
)
def test_operators_that_are_not_one(op: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        step_at(make_plan(two_layers()), op)


# ---- the command ------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    model, array = tmp_path / "model.tflite", tmp_path / "x.npy"
    model.write_bytes(dump(two_layers()))
    np.save(array, codes(1))
    return str(model), str(array)


def test_command_prints_text_json_and_pages(files: tuple[str, str], tmp_path: Path, capsys: Any) -> None:
    model, array = files
    base = ["explain", model, "--input", array, "--op", "1", "--at", "0,1"]
    assert main(base) == 0
    assert capsys.readouterr().out.startswith("operator 1 (FULLY_CONNECTED), output 'y' [0, 1], tflm (rounding=double")
    assert main([*base, "--json", "--numerics", "single"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["lines"][-1]["value"] == answer["value"] and set(answer["lines"][0]) == {"name", "text", "value"}
    assert answer["beside"]["numerics"].startswith("single")
    page = tmp_path / "page.html"
    assert main([*base, "--html", str(page)]) == 0
    assert "accumulator" in page.read_text(encoding="utf-8") and "<p>" not in page.read_text(encoding="utf-8")


def test_a_page_has_the_sentence_where_two_dialects_part(files: tuple[str, str], tmp_path: Path, capsys: Any) -> None:
    model, array = files
    base = ["explain", model, "--input", array, "--op", "1", "--at", "0,1", "--numerics", "single"]
    assert main(base) == 0
    sentence = capsys.readouterr().out.splitlines()[-1]
    assert sentence.startswith(("They part at ", "The two dialects agree"))
    assert main([*base, "--html", str(tmp_path / "page.html")]) == 0
    assert f"<p>{markup(sentence)}</p>" in (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "idle"), [(["--json", "--html", "x.html"], "--html"), (["--json", "--full"], "--full")]
)
def test_json_is_all_of_it_and_no_page(files: tuple[str, str], options: list[str], idle: str, capsys: Any) -> None:
    model, array = files
    assert main(["explain", model, "--input", array, "--op", "1", "--at", "0,1", *options]) == 2
    assert f"--json holds every line: leave out {idle}" in capsys.readouterr().err


def test_the_only_element_needs_no_place(tmp_path: Path, capsys: Any) -> None:
    np.save(tmp_path / "x.npy", np.zeros((1, 28, 28, 1), np.int8))
    base = ["explain", "stm32f746_int8", "--input", str(tmp_path / "x.npy"), "--op"]
    assert main([*base, "6"]) == 0 and capsys.readouterr().out.endswith("\n= 1\n")
    assert main([*base, "9"]) == 2
    assert "has shape (1, 64): which element? --at 0,0 is the first" in capsys.readouterr().err
    assert main([*base, "6", "--output", "3"]) == 2 and "there is no output 3" in capsys.readouterr().err


def test_what_writes_nothing_is_said_with_what_to_explain_instead() -> None:
    plan = make_plan(stream())
    found = {record.step.name: record for record in execute(plan, np.zeros((1, 1, 3), np.float32)) if not record.path}
    refused = {}
    for name in ("CALL_ONCE", "ASSIGN_VARIABLE"):
        with pytest.raises(InputError, match="writes no tensor, so that there is no element to explain") as error:
            explain(plan, found[name], ())
        refused[name] = str(error.value).partition("; ")[2]
    window = found["ASSIGN_VARIABLE"].step.node.inputs[-1]
    assert refused == {
        "CALL_ONCE": "explain an operator of subgraph 1, which it runs, such as 1:0",
        "ASSIGN_VARIABLE": f"explain what it is given, '{present(window).name}'",
    }
    assert step_at(plan, "1:0").subgraph == 1


def test_the_primer_takes_nothing_else(capsys: Any) -> None:
    assert main(["explain", "--primer", "--html", "page.html", "--at", "0"]) == 2
    assert "leave out --at, --html" in capsys.readouterr().err


def test_primer_computes_its_famous_numbers(capsys: Any) -> None:
    assert main(["explain", "--primer"]) == 0
    told = capsys.readouterr().out
    for words in ("M0 = 1527099593, shift = -6", "7 − 126 = -119", "6 − 126 = -120"):
        assert words in told


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--at", "0,x"], "no list of integers"),
        (["--at", "0,9"], "there is no element"),
        (["--at", "1"], "there is no element [1], for one has 2 indices"),
        (["--op", "9"], "there is no operator"),
        (["--input", "missing.npy"], "missing.npy"),
    ],
)
def test_command_complains_in_one_line(files: tuple[str, str], change: list[str], message: str, capsys: Any) -> None:
    arguments = ["explain", files[0], "--input", files[1], "--op", "1", "--at", "0,1", *change]
    try:
        status = main(arguments)
    except SystemExit as exit_:
        status = int(exit_.code or 0)
    printed = capsys.readouterr().err
    assert status == 2 and message in printed and printed.count("\n") == 1


def test_command_wants_one_inference(files: tuple[str, str], capsys: Any) -> None:
    model, array = files
    base = ["explain", model, "--op", "1", "--at", "0,1", "--input", array, array]
    assert main(base) == 2 and "2 inferences; choose one by --index" in capsys.readouterr().err
    assert main([*base, "--index", "1"]) == 0
