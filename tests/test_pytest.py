"""The pytest plugin, as a user's tests have it: what passes, and what a failure tells."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import refengine
import refengine.pytest
from refengine.files import write_npz
from refengine.fuzzer import Library
from refengine.fuzzer.files import EXAMPLE, HEADER
from refengine.judge import read_dump
from refengine.kernel import Node
from refengine.model import Array, Model
from refengine.pytest import assert_golden
from refengine.strategies import model_of

from .models import fed, network, one_op, svdf

pytest_plugins = ["pytester"]

PLAN = refengine.make_plan("stm32f746_int8")
IMAGES = np.random.default_rng(0).integers(-128, 128, (5, 28, 28, 1), np.int8)
IMAGE = IMAGES[:1]
needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")


def right(x: Array) -> tuple[Array, ...]:
    return refengine.run(PLAN, x)


def every_tensor(x: Array, numerics: str = "tflm") -> Mapping[str, Array]:
    plan = refengine.make_plan("stm32f746_int8", numerics=numerics)
    records = [(record.step.outputs, record.outputs) for record in refengine.execute(plan, x)]
    return {f"t{tensor.index}": y for pair in records for tensor, y in zip(*pair, strict=True)}


def complaint(theirs: refengine.pytest.Theirs, *inputs: Array, source: refengine.plan.Source = PLAN) -> str:
    with pytest.raises(AssertionError) as found:
        assert_golden(source, theirs, *inputs)
    return str(found.value)


# ---- the assertion ---------------------------------------------------------------------------------------------


def test_what_is_right_passes_however_it_is_given(tmp_path: Path) -> None:
    write_npz(tmp_path / "dump.npz", every_tensor(IMAGE))
    assert_golden("stm32f746_int8", right, IMAGES)
    assert_golden(PLAN.model, lambda x: list(right(x)), IMAGE)
    assert_golden(PLAN, lambda x: right(x)[0], IMAGE)
    assert_golden(PLAN, every_tensor, IMAGES[:2])
    assert_golden(PLAN, every_tensor(IMAGE), IMAGE)
    assert_golden(PLAN, tmp_path / "dump.npz", IMAGE)
    assert_golden(PLAN, read_dump(PLAN, tmp_path / "dump.npz"), IMAGE)
    (tmp_path / "board.log").write_text(f"t25: {' '.join(map(str, right(IMAGE)[0].ravel()))}\n", encoding="utf-8")
    assert_golden(PLAN, tmp_path / "board.log", IMAGE)
    assert_golden("stm32f746_int8", lambda x: refengine.run(PLAN, x, numerics="tflm"), IMAGE, numerics="tflm")


@pytest.mark.slow
def test_outputs_tell_how_many_inferences_differ_and_whose_arithmetic_it_is() -> None:
    single = refengine.make_plan("stm32f746_int8", numerics="single")
    wrong = [
        i for i, x in enumerate(IMAGES) if refengine.run(single, x[None])[0].tobytes() != right(x[None])[0].tobytes()
    ]
    told = complaint(lambda x: refengine.run(single, x), IMAGES)
    assert told.startswith(f"{len(wrong)} of 5 inferences differ, the first of them inputs[{wrong[0]}]\n")
    assert "\nall 5 are equal under single rounding, or XNNPACK's rounding" in told
    assert "<lambda> is not what the golden model computes (tflm (rounding=double" in told


@pytest.mark.slow
def test_tensors_tell_which_operator_how_far_and_why() -> None:
    told = complaint(lambda x: every_tensor(x, "single"), IMAGE)
    assert (
        "the fault enters at 0 CONV_2D, 2 CONV_2D, passed on to 7 more; likely: every difference vanishes under single"
        in told
    )
    assert (
        "0 CONV_2D + RELU, int8 1×26×26×32: CULPRIT, 15 of 21,632 differ by up to 1 LSB, the first at [0, 2, 1, 18]"
        in told
    )


def test_a_dump_is_judged_on_its_own_or_with_the_input_that_was_meant(tmp_path: Path) -> None:
    write_npz(tmp_path / "dump.npz", {"t0": IMAGE, **every_tensor(IMAGE)})
    assert_golden("stm32f746_int8", tmp_path / "dump.npz")
    assert "input 'serving_default_keras_tensor:0'" in complaint(tmp_path / "dump.npz", IMAGES[1:2])


def test_a_runtime_may_write_over_what_it_was_given_and_over_what_it_gave() -> None:
    memory = np.zeros((1, 10), np.int8)

    def reusing(x: Array) -> Array:
        memory[...] = right(x)[0]
        x += 1
        return memory

    given = IMAGES.copy()
    assert_golden(PLAN, reusing, given)
    assert given.tobytes() == IMAGES.tobytes()


def test_an_error_of_ours_has_no_way_to_it() -> None:
    with pytest.raises(refengine.InputError) as caught:
        assert_golden(PLAN, lambda x: [], IMAGE)
    assert [*map(str, caught.traceback)][-1].count("assert_golden") == 1


def test_another_type_or_shape_is_no_match() -> None:
    for other, got in ((np.int32(1) * right(IMAGE)[0], "int32 (1, 10)"), (right(IMAGE)[0][0], "int8 (10,)")):
        for theirs in (lambda x, other=other: other, lambda x, other=other: {"t25": other}):
            told = f"<lambda> gives {got} for tensor 25 'StatefulPartitionedCall_1:0', int8 (1, 10) is right"
            assert complaint(theirs, IMAGE) == told
    assert "int8 (1, 10); the dump has int8 (1, 9)" in complaint(
        lambda x: {**every_tensor(x), "t25": right(x)[0][:, :9]}, IMAGE
    )


@pytest.mark.parametrize(
    ("theirs", "why"),
    [
        (lambda x: [], "the model has 1 output; <lambda> gave 0"),
        (lambda x: [3], "<lambda> gave an int for tensor 25; give NumPy's arrays"),
        (lambda x: {"nobody": x}, "<lambda> holds none of the model's tensors"),
        ("nowhere.npz", "nowhere.npz"),
        (lambda x: {"t0": x}, "<lambda> gave the model's inputs only: there is nothing to compare"),
        (3, "nothing can be compared with 3: give a callable, a mapping, a dump or a library"),
    ],
)
def test_what_cannot_be_compared_is_refused(theirs: refengine.pytest.Theirs, why: str) -> None:
    with pytest.raises(refengine.RefengineError, match=why):
        assert_golden(PLAN, theirs, IMAGE)


def test_nothing_passes_that_was_not_compared() -> None:
    with pytest.raises(refengine.InputError, match="the inputs hold no inference: there is not one frame in them"):
        assert_golden(PLAN, right, np.zeros((0, 1, 28, 28, 1), np.int8))
    gap = one_op("CUSTOM", {}, [fed((1, 3), "float32")], fed((1, 3), "float32"))
    partial = refengine.make_plan(gap, partial=True)
    with pytest.raises(refengine.UnsupportedError, match="assert_golden needs every operator of the model"):
        assert_golden(partial, lambda x: x, np.zeros((1, 3), np.float32))


def test_an_output_that_is_an_input_is_compared() -> None:
    x, y = fed((1, 3), "float32"), fed((1, 3), "float32", name="y")
    graph = network(Node("RELU", {}, (x,), (y,))).graphs[0]
    model = Model((replace(graph, outputs=(0, 1)),))
    given = np.array([[1.0, -2.0, 3.0]], np.float32)
    assert_golden(model, lambda x: refengine.run(model, x), given)
    assert "input 'x'" in complaint(lambda x: (x + 1, refengine.run(model, x)[1]), given, source=model)
    assert "1 of 3 differ" in complaint(lambda x: (x, x), given, source=model)


def test_what_a_runtime_raises_is_its_own() -> None:
    def broken(x: Array) -> Array:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        assert_golden(PLAN, broken, IMAGE)


def test_a_model_that_remembers_is_given_a_stream() -> None:
    model = model_of(svdf(fed((1, 4), "float32"), 2, np.random.default_rng(1)))
    stream, frames = refengine.Session(model), np.random.default_rng(2).standard_normal((3, 4)).astype(np.float32)
    assert_golden(model, stream.run, frames)
    forgetful = complaint(lambda x: refengine.run(model, x), frames, source=model)
    assert forgetful.startswith("2 of 3 inferences differ, the first of them inputs[1]\n")


def test_any_nan_is_any_other_and_a_zero_has_a_sign() -> None:
    model = one_op("RELU", {}, [fed((1, 3), "float32")], fed((1, 3), "float32"))
    x = np.array([[np.nan, -1.0, 2.0]], np.float32)
    (y,) = refengine.run(model, x)
    assert_golden(model, lambda x: y * np.array([[-1, 1, 1]], np.float32), x)
    assert "1 of 3 differ" in complaint(lambda x: y * np.array([[1, -1, 1]], np.float32), x, source=model)


# ---- kernels ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The example of a kernel, as it is and with a fault."""
    folder, source = tmp_path_factory.mktemp("kernels"), EXAMPLE.read_text()
    faulty = source.replace("(high + half - (high < 0 && right > 0)) >> right", "high >> right")
    assert faulty != source
    found = {}
    for name, text in (
        ("right", source),
        ("faulty", faulty),
        ("none", source.replace('"FULLY_CONNECTED", "int8"', '"X", "int8"')),
    ):
        (folder / f"{name}.c").write_text(text)
        found[name] = folder / f"lib{name}.so"
        command = [
            "cc",
            "-shared",
            "-fPIC",
            "-O1",
            f"-I{HEADER.parent}",
            str(folder / f"{name}.c"),
            "-o",
            str(found[name]),
        ]
        subprocess.run(command, check=True)
    return found


@needs_cc
def test_a_library_computes_the_network_operator_by_operator(libraries: dict[str, Path]) -> None:
    assert_golden("dense_int8", libraries["right"], IMAGE)
    told = complaint(libraries["faulty"], IMAGE, source="dense_int8")
    assert "FULLY_CONNECTED" in told.partition("the fault enters at ")[2].partition("\n")[0]
    assert "libfaulty.so, and computed as TFLM does: " in told and "SOFTMAX" in told.partition("as TFLM does: ")[2]
    door = Library(libraries["right"])
    assert_golden("dense_int8", door, IMAGE)
    door.close()


@needs_cc
def test_a_library_that_claims_nothing_proves_nothing(libraries: dict[str, Path]) -> None:
    with pytest.raises(
        refengine.InputError, match=r"libnone.so claim none of the model's operators: .*FULLY_CONNECTED"
    ):
        assert_golden("dense_int8", libraries["none"], IMAGE)


# ---- golden files ----------------------------------------------------------------------------------------------

TEST = """
import numpy as np, pytest, refengine

@pytest.mark.parametrize("value", [0, 7])
def test_it(refengine_golden, value):
    golden = refengine_golden("{model}", np.full((1, 28, 28, 1), value, np.int8))
    golden.check(lambda x: refengine.run("{model}", x))
    assert golden.outputs[0].shape == (1, 10)
    refengine_golden("{model}", np.full((1, 28, 28, 1), 3, np.int8))
"""
NAMES = ["test_it-0.npz", "test_it-0-2.npz", "test_it-7.npz", "test_it-7-2.npz"]


def ran(pytester: pytest.Pytester, *options: str) -> pytest.RunResult:
    return pytester.runpytest_inprocess("-p", "pytest_refengine", "-p", "no:cacheprovider", *options)


@pytest.mark.slow
def test_golden_files_are_kept_compared_and_renewed(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_mine=TEST.format(model="stm32f746_int8"))
    missing = ran(pytester)
    missing.assert_outcomes(failed=2)
    missing.stdout.fnmatch_lines(
        ["E*there is no golden file *test_it-0.npz", "E*pytest --refengine-update writes it anew*"]
    )
    written = ran(pytester, "--refengine-update")
    written.assert_outcomes(passed=2)
    written.stdout.fnmatch_lines(["refengine: wrote *golden*test_mine*test_it-7-2.npz"])
    folder = pytester.path / "golden" / "test_mine"
    assert sorted(path.name for path in folder.iterdir()) == sorted(NAMES)
    again = ran(pytester)
    again.assert_outcomes(passed=2)
    again.stdout.no_fnmatch_line("refengine: wrote*")
    assert len(read_dump(PLAN, folder / NAMES[0]).tensors) == 13


@pytest.mark.slow
def test_a_golden_file_of_another_model_or_with_other_numbers_fails(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_mine=TEST.format(model="stm32f746_int8"))
    ran(pytester, "--refengine-update").assert_outcomes(passed=2)
    file = pytester.path / "golden" / "test_mine" / NAMES[0]
    with np.load(file) as held:
        arrays = dict(held)
    arrays["t24"] = arrays["t24"] ^ 1
    np.savez(file, **arrays)
    changed = ran(pytester)
    changed.assert_outcomes(passed=1, failed=1)
    changed.stdout.fnmatch_lines(["E*test_it-0.npz holds something else than the golden model computes now*"])
    del arrays["t24"]
    np.savez(file, **arrays)
    ran(pytester).stdout.fnmatch_lines(["E*test_it-0.npz does not hold all tensors that the golden model computes"])
    pytester.makepyfile(test_mine=TEST.format(model="dense_int8"))
    other = ran(pytester)
    other.assert_outcomes(failed=2)
    other.stdout.fnmatch_lines(["E*is a dump of another model: its sha256 is*"])


def test_a_golden_file_holds_one_inference(pytester: pytest.Pytester) -> None:
    files = refengine.pytest.GoldenFiles(pytester.path, "it", update=True)
    with pytest.raises(refengine.InputError, match="holds one inference; call refengine_golden for each"):
        files(PLAN, IMAGES)
    assert not list(pytester.path.glob("*.npz"))


# ---- what it costs those who do not use it -----------------------------------------------------------------------


def test_the_plugin_loads_nothing_of_refengine() -> None:
    code = "import pytest_refengine, sys; print({'numpy', 'refengine'} & {*sys.modules})"
    root = Path(__file__).parents[1]
    assert subprocess.check_output([sys.executable, "-c", code], text=True, cwd=root).strip() == "set()"
    tree = ast.parse((root / "pytest_refengine.py").read_text())
    assert {ast.unparse(node) for node in tree.body if isinstance(node, ast.Import)} == {"import pytest"}
