"""The ways to a kernel, and what each does when the kernel misbehaves."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from refengine.errors import InputError
from refengine.fuzzer import Case, Command, KernelError, Library, callable_of, check, fuzz
from refengine.fuzzer.files import EXAMPLE, HEADER
from refengine.fuzzer.image import GUARD, filling, image_of
from tests.fuzzer.test_case import dense

needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")

ADAPTER = """
#include "refengine_fuzz.h"
#include <unistd.h>
static int8_t right[] = {%s};
int refengine_kernel(const struct refengine_case *c) {
    int8_t *output = (int8_t *)c->outputs[0].data, *input = (int8_t *)c->inputs[0].data;
    (void)input; (void)right;
    %s
    return 0;
}
"""


@pytest.fixture
def kernel(tmp_path: Path) -> Callable[[str], Library]:
    """A library whose kernel is some statements; `right` is what `dense()` expects."""

    def build(statements: str, time_out: float = 2.0) -> Library:
        source, library = tmp_path / "kernel.c", tmp_path / "kernel.so"
        values = ", ".join(map(str, dense().expected.ravel()))
        source.write_text(ADAPTER % (values, statements))
        command = ["cc", "-shared", "-fPIC", "-O1", f"-I{HEADER.parent}", str(source), "-o", str(library)]
        subprocess.run(command, check=True)
        return Library(library, time_out)

    return build


def outcome(door: Library | Command, case: Case | None = None) -> tuple[str, str]:
    found = check(door, case or dense())
    if isinstance(door, Library):
        door.close()
    return found.kind, found.message


WRITE = "memcpy(output, right, sizeof right);"


@needs_cc
def test_a_right_kernel_is_equal(kernel: Callable[[str], Library]) -> None:
    assert outcome(kernel(WRITE)) == ("equal", "")


@needs_cc
@pytest.mark.parametrize(
    ("statements", "kind", "message"),
    [
        ("return 1;", "skipped", ""),
        ("return -3;", "fails", "returns -3"),
        (f"{WRITE} output[1]++;", "differs", ""),
        ("*(volatile int *)8 = 0;", "crashes", "is ended by SIGSEGV"),
        ("abort();", "crashes", "is ended by SIGABRT"),
        ("exit(7);", "crashes", "exits with status 7"),
        (
            'refengine_int(c, "stride");',
            "crashes",
            "is ended by SIGABRT, saying: the adapter asked for 'stride', which FULLY_CONNECTED has not",
        ),
        ("output[0] = right[0];", "never written", "leaves 1 of 2 elements unwritten, the first at [0, 1]"),
        ("", "never written", "leaves 2 of 2 elements unwritten, the first at [0, 0]"),
        (f"{WRITE} output[2] = 0;", "writes outside", "the first byte 2 of an output of 2 bytes"),
        (f"{WRITE} output[-3] = 0;", "writes outside", "writes 1 byte outside its output, the first 3 bytes before it"),
        (f"{WRITE} input[1] = 0;", "changes its input", "writes to input 0, first to byte 1 of it"),
        (f"{WRITE} output[1] = input[3];", "unsteady", "reads memory that it was not given"),
        ('puts("hello"); memcpy(output, right, sizeof right);', "equal", ""),
    ],
)
def test_a_library_may_do_anything(kernel: Callable[[str], Library], statements: str, kind: str, message: str) -> None:
    found = outcome(kernel(statements))
    assert found[0] == kind and message in found[1]


@needs_cc
def test_a_kernel_that_hangs_is_ended(kernel: Callable[..., Library]) -> None:
    assert outcome(kernel("for (;;) sleep(1);", 0.2)) == ("hangs", "has not returned after 0.2 seconds")


@needs_cc
def test_a_library_lives_on_after_a_crash(kernel: Callable[[str], Library]) -> None:
    library = kernel(f"if (input[0] == 4) abort(); {WRITE}")
    assert check(library, dense()).kind == "crashes"
    assert check(library, dense([5, 5, 6])).kind == "differs"
    library.close()


@needs_cc
def test_a_library_travels_as_its_path(kernel: Callable[[str], Library]) -> None:
    library = kernel(WRITE)
    assert check(library, dense()).kind == "equal"
    assert outcome(pickle.loads(pickle.dumps(library))) == ("equal", "")
    library.close()


@needs_cc
def test_what_is_no_library_of_kernels_is_refused(tmp_path: Path) -> None:
    text, other = tmp_path / "text.so", tmp_path / "other.so"
    text.write_text("hello")
    source = tmp_path / "other.c"
    source.write_text("int other(void) { return 0; }")
    subprocess.run(["cc", "-shared", "-fPIC", str(source), "-o", str(other)], check=True)
    for path, why in ((text, "text.so cannot be used: .*"), (other, "other.so cannot be used: .*refengine_kernel")):
        with pytest.raises(InputError, match=why):
            check(Library(path), dense())


@needs_cc
@pytest.mark.parametrize("compiler", ["cc -std=c99", "c++ -std=c++11 -x c++"])
def test_the_header_and_the_example_compile_without_a_word(compiler: str, tmp_path: Path) -> None:
    if shutil.which(compiler.split()[0]) is None:
        pytest.skip(f"no {compiler.split()[0]}")
    flags = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{HEADER.parent}", "-c", "-o", str(tmp_path / "a.o")]
    subprocess.run([*compiler.split(), str(EXAMPLE), *flags], check=True)


READS_EVERYTHING = """
#include "refengine_fuzz.h"
int refengine_kernel(const struct refengine_case *c) {
    unsigned sum = 0;
    int32_t i, k;
    size_t b;
    for (i = 0; i < c->n_inputs + c->n_outputs; i++) {
        const struct refengine_tensor *t = i < c->n_inputs ? &c->inputs[i] : &c->outputs[i - c->n_inputs];
        const size_t size = strstr(t->dtype, "64") ? 8 : strstr(t->dtype, "32") ? 4 : strstr(t->dtype, "16") ? 2 : 1;
        if (t->data == NULL && t->bytes == 0 && t->rank == 0 && strcmp(t->dtype, "") == 0) continue;
        if ((size_t)refengine_elements(t) * size != t->bytes || (size_t)t->data % 16) abort();
        for (b = 0; b < t->bytes; b++) sum += ((unsigned char *)t->data)[b];
        for (k = 0; k < t->scales; k++) sum += t->scale[k] > 0 && t->zero_point[k] >= -32768;
        if (t->scales > 1 && t->dims[t->quantized_dimension] != t->scales) abort();
    }
    for (i = 0; i < c->n_numbers; i++) {
        const struct refengine_number *n = &c->numbers[i];
        if (refengine_find(c, n->name) != n || (n->ints == NULL) == (n->reals == NULL)) abort();
        for (k = 0; k < n->count; k++) sum += n->ints ? (unsigned)n->ints[k] : n->reals[k] > 0;
    }
    return sum == 12345678 ? 0 : 1;
}
"""


@pytest.mark.slow
@needs_cc
def test_every_operator_arrives_in_good_order(tmp_path: Path) -> None:
    source, path = tmp_path / "reads.c", tmp_path / "reads.so"
    source.write_text(READS_EVERYTHING)
    subprocess.run(["cc", "-shared", "-fPIC", f"-I{HEADER.parent}", str(source), "-o", str(path)], check=True)
    for result in fuzz(Library(path), cases=6):
        assert result.skipped == result.cases == 6, result


def test_an_image_holds_guards_and_an_output_wrong_everywhere() -> None:
    case = dense()
    images = image_of(case), image_of(case, 1)
    for garbage, image in enumerate(images):
        output = np.frombuffer(image.block[image.results[0]], np.int8)
        assert (output != case.expected.ravel()).all()
        assert output.tolist() == filling(case.expected, garbage).ravel().tolist()
        assert image.block[image.inputs[0]] == case.inputs[0].tobytes()
        for part in (*image.inputs, *image.results):
            assert part.start % 32 == 16
    for part in (*images[0].inputs, *images[0].results):
        around = slice(part.start - GUARD, part.start), slice(part.stop, part.stop + GUARD)
        for place in around:
            assert all(a != b for a, b in zip(images[0].block[place], images[1].block[place], strict=True))


@pytest.mark.parametrize("dtype", ["bool", "float32", "int64"])
def test_a_filling_is_wrong_in_every_element(dtype: str) -> None:
    expected = np.array([[0, 1], [1, 0]], dtype)
    if dtype == "float32":
        expected[0] = np.nan, -0.0
    for garbage in (0, 1):
        wrong = filling(expected, garbage)
        assert wrong.shape == expected.shape and wrong.dtype == expected.dtype
        assert not (wrong == expected).any()
        if dtype == "float32":
            assert not np.isnan(wrong[0, 0])


# ---- commands ----------------------------------------------------------------------------------------------------

SCRIPT = """
import sys
import numpy as np
import refengine
model, output, *inputs = sys.argv[1:]
x = np.fromfile(inputs[0], np.int8).reshape(1, 3)
{statements}
refengine.run(model, x)[0].tofile(output)
"""


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., Command]:
    def write(statements: str = "", time_out: float = 60.0) -> Command:
        path = tmp_path / "kernel.py"
        path.write_text(SCRIPT.format(statements=statements))
        return Command(f"{sys.executable} {path} {{model}} {{outputs}} {{inputs}}", time_out)

    return write


@pytest.mark.parametrize(
    ("statements", "kind", "message"),
    [
        ("", "equal", ""),
        ("sys.exit(77)", "skipped", ""),
        ("sys.exit('no more memory')", "fails", "exits with status 1, saying: no more memory"),
        ("x += 1", "differs", ""),
        ("sys.exit(0)", "writes no output", "ends with status 0, but has not written its output"),
        ("output = open(output, 'wb'); output.write(b'a')\nsys.exit(0)", "wrong shape", "writes 1 bytes where"),
    ],
)
def test_a_command(script: Callable[..., Command], statements: str, kind: str, message: str) -> None:
    found = outcome(script(statements))
    assert found[0] == kind and message in found[1]


@pytest.mark.slow
def test_a_command_that_hangs_is_ended(script: Callable[..., Command]) -> None:
    assert outcome(script("import time; time.sleep(100)", 1.0))[0] == "hangs"


def test_commands_that_cannot_be_tried_are_refused() -> None:
    for command in ("kernel {model}", "", "kernel '{model} {outputs}"):
        with pytest.raises(InputError, match="the command"):
            Command(command)
    with pytest.raises(InputError, match="nosuchkernel: No such file"):
        check(Command("nosuchkernel {model} {outputs}"), dense())


# ---- callables ---------------------------------------------------------------------------------------------------


def test_a_callable_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mykernels_for_test.py").write_text("def kernel(case):\n    return case.expected\nnumber = 1\n")
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert check(callable_of("mykernels_for_test:kernel"), dense()).kind == "equal"
    for name in (
        "mykernels_for_test:nothing",
        "nosuchmodule:kernel",
        "mykernels_for_test",
        "mykernels_for_test:number",
    ):
        with pytest.raises(InputError, match=name.split(":")[0]):
            callable_of(name)


def test_a_kernel_error_has_a_kind() -> None:
    assert KernelError("hangs", "has not returned").kind == "hangs"
