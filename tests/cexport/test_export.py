"""Exported folders build without a warning, check themselves, and give what `run` gives."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from oracle import host_plan

from refengine import PRESETS, InputError, Numerics, Plan, UnsupportedError, make_plan, run
from refengine.bundled import bundled_models
from refengine.cexport import array_header, export, image_header
from refengine.model import Array, Graph, Model, Op
from tests.models import const, fed, one_op, q

pytestmark = pytest.mark.slow

needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")

FLAGS = ["-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-Wconversion"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]

MAIN = """
#include <stdio.h>
#include "model.h"

static int steps;

static void count(int32_t place) { steps += place == steps; }

int main(void) {
  static uint8_t inputs[%d], outputs[%d];
  if (fread(inputs, 1, sizeof inputs, stdin) != sizeof inputs || model_selftest() != 0) {
    return 1 + model_selftest();
  }
  model_step_hook = count;
  model_invoke(%s);
  fwrite(outputs, 1, sizeof outputs, stdout);
  return steps == MODEL_STEPS ? 0 : 100;
}
"""


def built(plan: Plan, folder: Path, *flags: str) -> Path:
    """A program that checks itself, then runs the inputs on its stdin and writes the outputs to its stdout."""
    sizes = [[int(np.prod(t.shape)) * np.dtype(t.dtype).itemsize for t in ts] for ts in (plan.inputs, plan.outputs)]
    starts = [[sum(row[:i]) for i in range(len(row))] for row in sizes]
    arguments = [f"inputs + {at}" for at in starts[0]] + [f"outputs + {at}" for at in starts[1]]
    (folder / "main.c").write_text(MAIN % (sum(sizes[0]), sum(sizes[1]), ", ".join(arguments)))
    sources = [str(path) for path in folder.glob("*.c")]
    subprocess.run(["cc", *FLAGS, *SANITIZERS, *flags, *sources, "-o", str(folder / "a.out"), "-lm"], check=True)
    return folder / "a.out"


def ran(program: Path, *inputs: Array) -> subprocess.CompletedProcess[bytes]:
    stdin = b"".join(x.tobytes() for x in inputs)
    return subprocess.run([str(program)], input=stdin, capture_output=True, check=False)


def drawn(plan: Plan, seed: int) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [rng.integers(-128, 128, t.shape).astype(t.dtype) for t in plan.inputs]


@needs_cc
@pytest.mark.parametrize("name", bundled_models())
def test_networks_equal_run(name: str, tmp_path: Path) -> None:
    plan = host_plan(bundled_models()[name].read_bytes())
    exported = export(plan, tmp_path, name=name)
    inputs = drawn(plan, 1)
    done = ran(built(plan, tmp_path), *inputs)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == b"".join(x.tobytes() for x in run(plan, *inputs))
    assert exported.least_bytes <= exported.arena_bytes <= exported.tflm_arena_bytes
    assert "malloc" not in "".join(path.read_text() for path in tmp_path.glob("*.[ch]"))


@needs_cc
@pytest.mark.parametrize(
    "numerics", [Numerics(rounding="single"), Numerics(rounding="xnnpack")], ids=lambda n: n.rounding
)
def test_dialects_travel_in_the_folder(numerics: Numerics, tmp_path: Path) -> None:
    plan = make_plan(bundled_models()["dense_int8"], numerics=numerics)
    export(plan, tmp_path)
    inputs = drawn(plan, 2)
    done = ran(built(plan, tmp_path), *inputs)
    assert done.returncode == 0
    assert done.stdout == run(plan, *inputs)[0].tobytes()


@needs_cc
def test_a_wrong_step_is_named(tmp_path: Path) -> None:
    """The self-test returns 1 + the first step that differs: pools lie between the layers, and are sound."""
    plan = make_plan(bundled_models()["stm32f746_int8"])
    export(plan, tmp_path)
    assert ran(built(plan, tmp_path, "-DREFENGINE_FAULT_POOL_SHORT"), *drawn(plan, 1)).returncode == 1 + 2
    assert ran(built(plan, tmp_path, "-DREFENGINE_FAULT_STALE=4"), *drawn(plan, 1)).returncode == 1 + 5


def two_inputs() -> Model:
    """c = a + b; the outputs are c, c reshaped, and a constant."""
    tensors = (
        fed((1, 3), "int8", q(0.5), "a"),
        fed((1, 3), "int8", q(0.25, 3), "b"),
        fed((1, 3), "int8", q(0.5), "c"),
        fed((3,), "int8", q(0.5), "d"),
        const([1, 2], "int8", q(1.0), "e"),
        const([3], "int32", name="shape"),
    )
    placed = tuple(replace(tensor, index=i) for i, tensor in enumerate(tensors))
    ops = (Op(0, "ADD", (0, 1), (2,), {"fused_activation_function": "NONE"}), Op(1, "RESHAPE", (2, 5), (3,), {}))
    return Model((Graph(0, "main", placed, (0, 1), (2, 3, 4), ops),))


@needs_cc
def test_one_pointer_per_tensor(tmp_path: Path) -> None:
    plan = make_plan(two_inputs())
    export(plan, tmp_path)
    header = (tmp_path / "model.h").read_text()
    assert (
        "void model_invoke(const void *input0, const void *input1, void *output0, void *output1, void *output2);"
        in header
    )
    inputs = drawn(plan, 3)
    done = ran(built(plan, tmp_path), *inputs)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == b"".join(x.tobytes() for x in run(plan, *inputs))


@pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler")
def test_a_cpp_program_links_with_the_export(tmp_path: Path) -> None:
    export(make_plan(bundled_models()["dense_int8"]), tmp_path)
    (tmp_path / "main.cc").write_text('#include "model.h"\nint main() { return model_selftest(); }\n')
    for source in tmp_path.glob("*.c"):
        subprocess.run(["cc", "-std=c11", "-c", source, "-o", source.with_suffix(".o")], check=True)
    program = tmp_path / "program"
    objects = map(str, tmp_path.glob("*.o"))
    subprocess.run(
        ["c++", "-Wall", "-Werror", str(tmp_path / "main.cc"), *objects, "-o", str(program), "-lm"], check=True
    )
    assert subprocess.run([str(program)], check=False).returncode == 0


def test_a_reshape_shares_its_input_s_memory(tmp_path: Path) -> None:
    assert export(make_plan(two_inputs()), tmp_path).arena_bytes == 48


def split_and_joined() -> Model:
    """x (1, 4) is split into a and b, both outputs, and c joins b, a constant and a."""
    tensors = (
        fed((1, 4), "int16", q(0.5), "x"),
        const([1], "int32", name="axis"),
        fed((1, 2), "int16", q(0.5), "a"),
        fed((1, 2), "int16", q(0.5), "b"),
        const([[7, -9]], "int16", q(0.5), "k"),
        fed((1, 6), "int16", q(0.5), "c"),
    )
    placed = tuple(replace(tensor, index=i) for i, tensor in enumerate(tensors))
    joined = {"axis": 1, "fused_activation_function": "NONE"}
    ops = (Op(0, "SPLIT", (1, 0), (2, 3), {"num_splits": 2}), Op(1, "CONCATENATION", (3, 4, 2), (5,), joined))
    return Model((Graph(0, "main", placed, (0,), (2, 3, 5), ops),))


@needs_cc
def test_each_output_of_an_operator_is_a_step_and_each_input_of_a_join_a_call(tmp_path: Path) -> None:
    plan = make_plan(split_and_joined())
    assert export(plan, tmp_path).steps == 3
    assert (tmp_path / "model.c").read_text().count("copy_elements(&step2_") == 3
    inputs = drawn(plan, 4)
    done = ran(built(plan, tmp_path), *inputs)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == b"".join(x.tobytes() for x in run(plan, *inputs))


def without_a_kernel() -> Model:
    tensors = [fed((1, 2), "int8", q(0.5)), const([1], "int32", name="axis")]
    return one_op("REDUCE_MAX", {"keep_dims": False}, tensors, fed((1,), "int8", q(0.5), "y"))


def test_what_has_no_kernel_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"operator \d+ \(REDUCE_MAX\): there is no C kernel for int8"):
        export(make_plan(without_a_kernel()), tmp_path)
    assert not any(tmp_path.iterdir())


def test_weights_computed_at_run_time_are_refused(tmp_path: Path) -> None:
    options = {"fused_activation_function": "NONE", "keep_num_dims": False, "quantized_bias_type": "float32"}
    inputs = [fed((1, 2), "float32"), fed((3, 2), "float32", name="w"), None]
    plan = make_plan(one_op("FULLY_CONNECTED", options, [*inputs], fed((1, 3), "float32")))
    with pytest.raises(UnsupportedError, match=r"FULLY_CONNECTED.* take weights and biases that are constant"):
        export(plan, tmp_path)


def test_a_golden_input_must_fit(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="not those of litert"):
        export(make_plan(bundled_models()["dense_int8"], numerics=PRESETS["litert"]), tmp_path)
    plan = make_plan(bundled_models()["dense_int8"])
    with pytest.raises(InputError, match="takes one inference"):
        export(plan, tmp_path, np.zeros((2, 28, 28, 1), np.int8))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        export(plan, tmp_path / "file")


@needs_cc
def test_names_in_the_file_cannot_become_code(tmp_path: Path) -> None:
    evil = '"; int x[-1]; /* */ \\ ??/ \n #error'
    model = one_op("RELU", {}, [fed((2,), "float32", name=evil)], fed((2,), "float32"))
    plan = make_plan(model)
    export(plan, tmp_path, name=evil)
    assert ran(built(plan, tmp_path), np.array([-1, 2], np.float32)).stdout == np.array([0, 2], np.float32).tobytes()


@needs_cc
@pytest.mark.parametrize("compiler", [["cc", "-std=c11"], ["c++", "-std=c++11"]], ids=lambda command: command[0])
def test_headers_compile_in_c_and_cpp(compiler: list[str], tmp_path: Path) -> None:
    """What `xxd -i my-model.tflite` would name, aligned; one bit a pixel, the leftmost highest."""
    picture = np.zeros((2, 9), np.uint8)
    picture[0, 0] = picture[1, 8] = 255
    model = array_header(bytes(range(20)), "my-model.tflite")
    for file, text in (model, image_header([picture] * 2, "2x9", 1, [7, 8]), image_header([picture], "grey", 8)):
        (tmp_path / file).write_text(text)
    (tmp_path / "main.c").write_text("""
#include "my_model_tflite.h"
#include "__2x9.h"
#include "grey.h"
int main(void) {
  return !((unsigned long)my_model_tflite % 16 == 0 && my_model_tflite_len == 20 && my_model_tflite[19] == 19 &&
           __2x9[1][0] == 0x80 && __2x9[1][1] == 0x00 && __2x9[1][2] == 0x40 && __2x9_labels[1] == 8 &&
           __2X9_COUNT == 2 && __2X9_HEIGHT == 2 && __2X9_WIDTH == 9 && grey[0][17] == 255);
}
""")
    if shutil.which(compiler[0]) is None:
        pytest.skip(f"no {compiler[0]}")
    subprocess.run([*compiler, "main.c", "-o", "a.out"], cwd=tmp_path, check=True)
    subprocess.run(["./a.out"], cwd=tmp_path, check=True)
