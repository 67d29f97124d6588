"""A failing case in files: it can be tried again, here and as a C program."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from refengine import load, make_plan
from refengine.bundled import bundled_models
from refengine.errors import InputError
from refengine.fuzzer import Case, Finding, Outcome, Result, replay, replayed, save
from refengine.fuzzer.files import HEADER, c_test
from refengine.fuzzer.search import chosen
from refengine.strategies import inputs_of, model_of, nodes
from refengine.tensors.images import read_inputs
from tests.fuzzer.test_case import dense

needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
FLAGS = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{HEADER.parent}"]

# Gives what the test expects, or that and one more in every byte.
ANSWERS = """
#include "refengine_fuzz.h"
int refengine_kernel(const struct refengine_case *c) {
    size_t i;
    for (i = 0; i < c->inputs[0].bytes; i++)
        ((unsigned char *)c->outputs[0].data)[i] = (unsigned char)(((unsigned char *)c->inputs[0].data)[i] + WRONG);
    return STATUS;
}
"""


def found(case: Case) -> Result:
    got = case.expected + np.int8(1)
    findings = (Finding(case, Outcome("differs", got=got), 1, None),)
    return Result(case.op, case.dtype, 1, failing=1, first=1, findings=findings)


def test_a_saved_case_is_the_same_case(tmp_path: Path) -> None:
    case = dense()
    paths = save(found(case), tmp_path / "new")
    assert [path.name for path in paths] == [
        "FULLY_CONNECTED-int8.tflite",
        "FULLY_CONNECTED-int8.npz",
        "FULLY_CONNECTED-int8.c",
        "refengine_fuzz.h",
    ]
    plan = make_plan(paths[0])
    ((_, inputs),) = read_inputs(plan, [str(paths[1])])
    again = replayed(plan, inputs)
    assert again.expected.tolist() == case.expected.tolist() and load(paths[0]).graphs[0].name == "main"
    with np.load(paths[1]) as archive:
        assert archive["expected"].tolist() == case.expected.tolist()
        assert archive["got"].tolist() == (case.expected + 1).tolist()
    assert replay(lambda case: case.expected, again).failing == 0
    result = replay(lambda case: case.expected + np.int8(1), again)
    assert (
        result.finding is not None
        and result.finding.verdict == "no dialect and no known fault explains this case: a bug"
    )


def test_only_cases_are_replayed_and_only_findings_saved(tmp_path: Path) -> None:
    plan = make_plan(bundled_models()["stm32f746_int8"])
    with pytest.raises(InputError, match="has 12 operators"):
        replayed(plan, ())
    with pytest.raises(InputError, match="nothing was found"):
        save(Result("ADD", "int8"), tmp_path)


@pytest.mark.slow
@needs_cc
@settings(max_examples=25)
@given(data=st.data())
def test_every_c_test_compiles(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tensors of every type, left out, empty lists, infinities and the least integers among them."""
    op, dtype = data.draw(st.sampled_from(chosen(None, None)))
    model = model_of(data.draw(nodes(op, dtype)))
    case = Case(make_plan(model), data.draw(inputs_of(model)))
    assume(not case.step.memory)
    source = tmp_path_factory.mktemp("c") / "test.c"
    source.write_text(c_test(case), encoding="utf-8")
    subprocess.run(["cc", *FLAGS, "-c", str(source), "-o", str(source.with_suffix(".o"))], check=True)


def reshaped() -> Case:
    """An operator that is right when it copies its input."""
    from tests.models import const, fed, one_op, q

    model = one_op(
        "RESHAPE", {"new_shape": [3, 2]}, [fed((2, 3), "int8", q(1)), const([3, 2], "int32")], fed((3, 2), "int8", q(1))
    )
    return Case(make_plan(model), (np.array([[1, -2, 3], [-128, 127, 0]], np.int8),))


@needs_cc
@pytest.mark.parametrize(
    ("wrong", "status", "exit", "said"),
    [
        (0, 0, 0, "RESHAPE: right"),
        (1, 0, 1, "RESHAPE: 6 of 6 elements differ, the first is element 0: got 2, expected 1"),
        (0, 1, 77, "RESHAPE: not supported"),
        (0, -1, 1, "RESHAPE: the kernel returned -1"),
    ],
)
def test_the_c_test_judges(tmp_path: Path, wrong: int, status: int, exit: int, said: str) -> None:
    *_, test, _ = save(found(reshaped()), tmp_path)
    kernels, library, program = tmp_path / "k.c", tmp_path / "libk.so", tmp_path / "test"
    kernels.write_text(ANSWERS)
    defines = [f"-DWRONG={wrong}", f"-DSTATUS=({status})"]
    subprocess.run(["cc", *FLAGS, *defines, "-shared", "-fPIC", str(kernels), "-o", str(library)], check=True)
    subprocess.run(["cc", *FLAGS[:-1], f"-I{tmp_path}", str(test), str(library), "-o", str(program)], check=True)
    done = subprocess.run([str(program)], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (exit, said)
