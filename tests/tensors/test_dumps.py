"""refengine/tensors/dumps.py: inferences' tensors in an archive that other commands read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from refengine import make_plan
from refengine.judge import read_dump
from refengine.tensors.dumps import dump_names, stacked, write_dump
from refengine.tensors.images import read_inputs
from tests.models import fed, one_op, q

PLAN = make_plan(one_op("RELU", {}, [fed((1, 2), "int8", q(0.5))], fed((1, 2), "int8", q(0.5), "y")))


def test_an_archive_is_read_as_a_dump_and_as_inputs(tmp_path: Path) -> None:
    x, y = np.array([[-1, 2]], np.int8), np.array([[0, 2]], np.int8)
    write_dump(tmp_path / "a.npz", PLAN, {PLAN.inputs[0].index: x, PLAN.outputs[0].index: y})
    found = read_dump(PLAN, tmp_path / "a.npz")
    assert found.tensors[PLAN.outputs[0].index].tolist() == y.tolist() and found.problems == ()
    assert found.meta == {"schema": 1, "sha256": "", "numerics": "tflm"}
    ((_, (again,)),) = read_inputs(PLAN, [str(tmp_path / "a.npz")])
    assert again.tobytes() == x.tobytes()


def test_a_name_that_is_no_ones_own_gives_way_to_the_index() -> None:
    tensors = [fed((1,), "int8", name=name) for name in ("a", "b", "b", "", "c\n")]
    assert dump_names(tensors) == ["a", "0", "0", "0", "0"]  # all made by hand with index 0


def test_inferences_are_stacked_as_run_gives_a_batch() -> None:
    leading, other = fed((1, 2), "int8"), fed((2,), "int8")
    one = np.array([[1, 2]], np.int8)
    assert stacked(leading, [one]) is one
    assert stacked(leading, [one, np.repeat(one, 2, 0)]).tolist() == [[1, 2]] * 3
    assert stacked(other, [one[0], one]).tolist() == [[1, 2]] * 2
