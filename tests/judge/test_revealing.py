"""refengine/judge/revealing.py: inputs on which outputs move, and on which causes part."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from refengine import PRESETS, execute, make_plan
from refengine.bundled import bundled_models
from refengine.commands import main
from refengine.files import write_npz
from refengine.judge import Report, diff
from refengine.judge.revealing import as_c, inputs_of, separating, telling
from refengine.model import Array
from refengine.plan import Plan
from tests.judge.planted import dump_of, in_dialect, network
from tests.models import fed, one_op, q


def still(report: Report) -> list[str]:
    """What is said about outputs that hardly move."""
    return [note for note in report.notes if "cannot show" in note]


@pytest.mark.parametrize("name", ["stm32f746_int8", "dense_int16x8", "stm32f746_float32"])
def test_inputs_are_the_same_again_and_fit(name: str) -> None:
    plan = make_plan(bundled_models()[name])
    first, again = list(inputs_of(plan, 6)), list(inputs_of(plan, 6))
    assert all(a.tobytes() == b.tobytes() for (a,), (b,) in zip(first, again, strict=True))
    assert {(str(x.dtype), x.shape) for (x,) in first} == {(plan.inputs[0].dtype, plan.inputs[0].shape)}
    assert len({x.tobytes() for (x,) in first}) == 6
    assert next(inputs_of(plan, 6, seed=1))[0].tobytes() != first[0][0].tobytes()


def liveliness(plan: Plan, *inputs: Array) -> float:
    """How many kinds of values outputs have on average, by their entropy in bits."""
    outputs = [r.outputs[0] for r in execute(plan, *inputs) if not (r.step.facts.copies or r.step.facts.shapes_only)]
    shares = [np.unique(x, return_counts=True)[1] / x.size for x in outputs]
    bits = [float(-(p * np.log2(p)).sum()) for p in shares]
    return sum(bits) / len(bits)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["stm32f746_int8", "esp32_int8"])
def test_a_telling_input_moves_what_a_digit_leaves_still(name: str) -> None:
    plan, digit = network(name)
    assert liveliness(plan, *telling(plan)) > 1.1 * liveliness(plan, digit)


@pytest.mark.slow
def test_an_input_parts_what_a_digit_could_not() -> None:
    plan, digit = network("esp32_int8")
    report = diff(plan, in_dialect(plan, PRESETS["single"], digit), digit)
    assert report.certainty == "likely" and len(report.causes) > 1
    found = separating(report)
    assert found is not None and found.parted == found.pairs > 0 and found.apart > 0
    second = diff(plan, in_dialect(plan, PRESETS["single"], *found.inputs), *found.inputs)
    assert (second.certainty, second.causes) == ("certain", ["under single rounding"])


def pool() -> tuple[Plan, Array]:
    """A pool whose padding no constant picture shows."""
    options = {"padding": "SAME", "stride_h": 2, "stride_w": 2, "filter_height": 2, "filter_width": 2}
    options |= {"fused_activation_function": "NONE"}
    x, y = fed((1, 5, 5, 1), "int8", q(0.1)), fed((1, 3, 3, 1), "int8", q(0.1))
    return make_plan(one_op("AVERAGE_POOL_2D", options, [x], y)), np.full((1, 5, 5, 1), 7, np.int8)


def test_nothing_is_sought_where_nothing_is_open() -> None:
    plan, x = pool()
    assert separating(diff(plan, dump_of(plan, x), x)) is None


def test_c_arrays_compile_to_the_same_bytes(tmp_path: Path) -> None:
    for name in ("dense_int8", "dense_int16x8", "stm32f746_float32"):
        plan = make_plan(bundled_models()[name])
        (x,) = telling(plan, 2)
        (tmp_path / "input.h").write_text(as_c(plan, [x]))
        main_ = '#include <stdio.h>\n#include "input.h"\nint main(void) { fwrite(input0, sizeof input0, 1, stdout); }\n'
        (tmp_path / "main.c").write_text(main_)
        subprocess.run(["gcc", "-Wall", "-Werror", "main.c", "-o", "main"], cwd=tmp_path, check=True)
        assert subprocess.run([tmp_path / "main"], capture_output=True, check=True).stdout == x.tobytes()


@pytest.mark.slow
def test_the_command_writes_what_it_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan, digit = network("esp32_int8")
    dump, file = tmp_path / "dump.npz", tmp_path / "next.npz"
    recorded = in_dialect(plan, PRESETS["single"], digit)
    write_npz(dump, {f"t{i}": x for i, x in recorded.tensors.items()})
    assert main(["diff", "esp32_int8", str(dump), "--reveal", str(file)]) == 1
    said = capsys.readouterr().out
    assert f"wrote {file}: run it next; of the causes left both part, in at least" in said
    assert main(["run", "esp32_int8", "--input", str(file)]) == 0


def test_the_command_says_that_no_input_is_needed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan, digit = network("dense_int8")
    dump, file = tmp_path / "dump.npz", tmp_path / "next.npz"
    write_npz(dump, {f"t{i}": x for i, x in dump_of(plan, digit).tensors.items()})
    assert main(["diff", "dense_int8", str(dump), "--reveal", str(file)]) == 0
    assert "nothing was written" in capsys.readouterr().out and not file.exists()
