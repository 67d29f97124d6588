"""What is found of a C kernel by looking through its memory: state, scratch memory, several outputs, packed weights."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from refengine import make_plan
from refengine.fuzzer import Case, Library, check, fuzz
from refengine.fuzzer.files import HEADER
from refengine.fuzzer.image import STRUCTS, Layout, image_of, packed_int4
from refengine.kernel import Node
from refengine.model import Array
from refengine.strategies import model_of
from refengine.strategies.toolbox import Toolbox
from tests.fuzzer.test_case import dense
from tests.models import fed, one_op, q

needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")


@pytest.fixture
def kernel(tmp_path: Path) -> Callable[[str], Library]:
    """A library whose kernel is some statements."""

    def build(statements: str) -> Library:
        source, library = tmp_path / "kernel.c", tmp_path / "kernel.so"
        head = f'#include "refengine_fuzz.h"\nint refengine_kernel(const struct refengine_case *c) {{ {statements} }}'
        source.write_text(head)
        command = ["cc", "-shared", "-fPIC", "-O1", f"-I{HEADER.parent}", str(source), "-o", str(library)]
        subprocess.run(command, check=True)
        return Library(library)

    return build


def outcome(door: Library, case: Case) -> tuple[str, str]:
    found = check(door, case)
    door.close()
    return found.kind, found.message


COPY = "memcpy(c->outputs[0].data, c->inputs[0].data, c->outputs[0].bytes); return 0;"


def copied() -> Case:
    return Case(
        make_plan(one_op("RELU", {}, [fed((8,), "int8", q(1))], fed((8,), "int8", q(1)))),
        (np.arange(8, dtype=np.int8),),
    )


@needs_cc
@pytest.mark.parametrize(
    ("statements", "kind", "message"),
    [
        ("char *s = refengine_scratch(c, 5); s[0] = s[4] = 1;", "equal", ""),
        (
            "char *s = refengine_scratch(c, 5); s[5] = 1;",
            "writes outside",
            "its scratch memory, the first byte 5 of a piece of 5 bytes",
        ),
        (
            "char *s = refengine_scratch(c, 5); s[-1] = 1;",
            "writes outside",
            "its scratch memory, the first 1 byte before it",
        ),
        ("c->scratch->memory[9] = 1;", "writes outside", "its scratch memory, of which it has asked for none"),
        (
            "char *r = refengine_scratch(c, 5), *s = refengine_scratch(c, 7); s[6] = r[4] = 1; r[5] = 1;",
            "writes outside",
            "the first byte 5 of a piece of 5 bytes",
        ),
        ("if (refengine_scratch(c, c->scratch->bytes + 1)) return 5;", "equal", ""),
        ("for (int i = 0; i < 8; i++) refengine_scratch(c, 1); if (refengine_scratch(c, 1)) return 5;", "equal", ""),
        ("if ((size_t)refengine_scratch(c, 3) % 16 || (size_t)refengine_scratch(c, 3) % 16) return 5;", "equal", ""),
    ],
)
def test_scratch_memory_is_watched(kernel: Callable[[str], Library], statements: str, kind: str, message: str) -> None:
    found = outcome(kernel(f"{statements} {COPY}"), copied())
    assert found[0] == kind and message in found[1]


@needs_cc
def test_scratch_memory_holds_garbage(kernel: Callable[[str], Library]) -> None:
    reads = "signed char *s = refengine_scratch(c, 1); ((signed char *)c->outputs[0].data)[0] = *s; return 0;"
    assert outcome(kernel(COPY.replace("return 0;", "") + reads), copied())[0] == "unsteady"


@needs_cc
def test_every_output_is_compared(kernel: Callable[[str], Library]) -> None:
    make, half = Toolbox(), (2,)
    axis, input = make.constant(np.array(0, np.int32)), make.tensor((4,), "int8", q(1))
    model = model_of(
        Node(
            "SPLIT",
            {"num_splits": 2},
            (axis, input),
            (make.tensor(half, "int8", q(1)), make.tensor(half, "int8", q(1))),
        )
    )
    case = Case(make_plan(model), (np.array([1, 2, 3, 4], np.int8),))
    assert case.dtype == "int8"
    first = "memcpy(c->outputs[0].data, c->inputs[1].data, 2);"
    copies = first + "memcpy(c->outputs[1].data, (char *)c->inputs[1].data + %d, 2); return 0;"
    assert outcome(kernel(copies % 2), case)[0] == "equal"
    library = kernel(copies % 1)
    wrong = check(library, case)
    library.close()
    assert (wrong.kind, wrong.output) == ("differs", 1)
    assert (
        "of output 1 unwritten"
        in outcome(kernel("memcpy(c->outputs[0].data, c->inputs[1].data, 2); return 0;"), case)[1]
    )


def test_int4_is_packed_as_files_have_it() -> None:
    assert packed_int4(np.array([[1, -2, 7]], np.int8)) == bytes([0xE1, 0x07])


def test_layouts_are_those_of_compilers(tmp_path: Path) -> None:
    assert [Layout.of(fields, 4).size for fields in STRUCTS] == [52, 16, 76, 48]
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    source, program = tmp_path / "sizes.c", tmp_path / "sizes"
    names = ("tensor", "number", "scratch", "case")
    prints = " ".join(f'printf("%d ", (int)sizeof(struct refengine_{name}));' for name in names)
    source.write_text(f'#include "refengine_fuzz.h"\nint main(void) {{ {prints} return 0; }}')
    subprocess.run(["cc", f"-I{HEADER.parent}", str(source), "-o", str(program)], check=True)
    said = subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout
    assert [*map(int, said.split())] == [Layout.of(fields, 8).size for fields in STRUCTS]


def test_an_image_for_32_bits_has_smaller_pointers() -> None:
    small, large = image_of(dense(), pointer=4), image_of(dense(), pointer=8)
    assert len(small.pointers) == len(large.pointers) and len(small.block) < len(large.block)
    assert small.block[small.inputs[1]] == large.block[large.inputs[1]]


# ---- state -------------------------------------------------------------------------------------------------------


def stream(*frames: int, resets: tuple[int, ...] = ()) -> Case:
    """A CIRCULAR_BUFFER of three frames that lets the rest run always, after some frames."""
    shape, make = (1, 3, 1, 1), Toolbox()
    input, output = make.tensor((1, 1, 1, 1), "int8", q(1, 7)), make.variable(shape, "int8", q(1, 7))
    plan = make_plan(model_of(Node("CIRCULAR_BUFFER", {}, (input,), (output,), custom_options=_one_cycle())))
    case: Case | None = None
    for k, frame in enumerate(frames):
        case = Case(plan, (np.full((1, 1, 1, 1), frame, np.int8),), case, k in resets)
    assert case is not None
    return case


def _one_cycle() -> bytes:
    from refengine.kernels import _flexbuffer

    return _flexbuffer.pack(cycles_max=1)


BUFFER = """
    signed char *kept = c->memory;
    if (c->begins == REFENGINE_FRESH %s) memset(kept, 7, 3);
    memmove(kept, kept + 1, 2); kept[2] = *(signed char *)c->inputs[0].data;
    memcpy(c->outputs[0].data, kept, 3); return 0;
"""


def test_a_case_of_a_stream_goes_on_from_the_one_before() -> None:
    assert stream(1, 2).expected.ravel().tolist() == [7, 1, 2]
    assert stream(1, 2, 3, resets=(2,)).expected.ravel().tolist() == [7, 7, 3]


@needs_cc
def test_memory_comes_back_at_the_next_inference(kernel: Callable[[str], Library]) -> None:
    right, wrong = BUFFER % "|| c->begins == REFENGINE_RESET", BUFFER % ""
    for case in (stream(1), stream(1, 2, 3, 4), stream(1, 2, 3, resets=(2,))):
        assert outcome(kernel(right), case)[0] == "equal"
    assert outcome(kernel(wrong), stream(1, 2, 3))[0] == "equal"
    assert outcome(kernel(wrong), stream(1, 2, 3, resets=(2,)))[0] == "differs"


@needs_cc
def test_memory_is_watched(kernel: Callable[[str], Library]) -> None:
    found = outcome(kernel("((char *)c->memory)[c->memory_bytes] = 1; " + BUFFER % ""), stream(1))
    assert found[0] == "writes outside"


def test_variables_are_compared_behind_the_outputs() -> None:
    drawn: list[Case] = []

    def tells_outputs_alone(case: Case) -> Array:
        drawn.append(case)
        return case.expected

    (forgiven,) = fuzz(tells_outputs_alone, ["SVDF"], ["int8"], cases=20)
    assert forgiven.finding is None, "what a callable does not tell is not judged"
    case = next(one for one in drawn if len(one.stream) == 3)
    found = check(lambda one: (one.results[0], one.results[1] ^ 1), case)
    assert (found.kind, found.output) == ("differs", 1)
