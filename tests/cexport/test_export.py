"""Exported folders build without a warning, check themselves, and give what `run` gives."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from oracle import host_plan

import refengine
from refengine import PRESETS, InferenceError, InputError, Numerics, Plan, UnsupportedError, make_plan, run
from refengine.bundled import bundled_models
from refengine.cexport import array_header, export, image_header
from refengine.cexport.calls import CALLS
from refengine.execute import infer
from refengine.kernel import Facts, Node
from refengine.kernels import KERNELS, _flexbuffer
from refengine.model import Array, Graph, Model, Op
from refengine.strategies import model_of, nodes
from tests.commands.test_streams import totalling
from tests.kernels.test_call_once import accumulator
from tests.models import const, custom, fed, network, one_op, q
from tests.test_subgraphs import inputs as program_inputs
from tests.test_subgraphs import program

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
    for file, sound, wrong, step in (
        ("model.c", r"STEP\(4, .*", "STEP(4, (void)0);", 5),
        ("pooling.c", "largest\\[0\\] = ", "largest[0] = 1 + 0 * ", 2),
    ):
        text = (tmp_path / file).read_text()
        (tmp_path / file).write_text(re.sub(sound, wrong, text))
        flags = ("-Wno-unused-const-variable", "-Wno-unused-variable")
        assert ran(built(plan, tmp_path, *flags), *drawn(plan, 1)).returncode == 1 + step


def test_no_test_switch_is_exported(tmp_path: Path) -> None:
    export(make_plan(bundled_models()["stm32f746_int8"]), tmp_path)
    assert not any("FAULT" in path.read_text() for path in tmp_path.iterdir())


PAIRS = sorted(KERNELS)


@needs_cc
@pytest.mark.long
@pytest.mark.parametrize(("op", "dtype"), PAIRS, ids=["-".join(pair) for pair in PAIRS])
def test_each_operator_alone_is_a_folder_that_checks_itself(op: str, dtype: str, tmp_path: Path) -> None:
    """Beside others, a file or a type that it lacks might be there for their sake."""
    checked = 0

    @settings(max_examples=20, phases=[Phase.generate], deadline=None, suppress_health_check=[*HealthCheck])
    @given(nodes(op, dtype))
    def check(node: Node) -> None:
        nonlocal checked
        try:
            folder = tmp_path / str(checked)
            if checked < 2:
                export(host_plan(model_of(node)), folder)
        except (InferenceError, UnsupportedError):  # of noise that is no index, and what does not export
            return
        checked += 1

    check()
    assert checked
    for folder in tmp_path.iterdir():
        (folder / "main.c").write_text('#include "model.h"\nint main(void) { return model_selftest(); }\n')
        sources = [str(path) for path in folder.glob("*.c")]
        subprocess.run(["cc", *FLAGS, *sources, "-o", str(folder / "a.out"), "-lm"], check=True)
        assert ran(folder / "a.out").returncode == 0


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
@pytest.mark.parametrize("dtype", ["float32", "int8", "int32", "int64"])
def test_zeros_of_a_shape_are_constants_of_their_type(dtype: str, tmp_path: Path) -> None:
    """Worked out when exporting: for who reads them, and where they are given out; beside a scalar of bool."""
    codes = q(0.5, 3) if dtype == "int8" else None
    x, zeros, y = (fed((2, 3), dtype, codes, name) for name in ("x", "zeros", "y"))
    flag, other = fed((), "bool", name="flag"), fed((), "bool", name="other")
    maximum, negation = Node("MAXIMUM", {}, (x, zeros), (y,)), Node("LOGICAL_NOT", {}, (flag,), (other,))
    model = network(Node("ZEROS_LIKE", {}, (x,), (zeros,)), maximum, negation)
    graph = model.graphs[0]
    plan = make_plan(replace(model, graphs=(replace(graph, outputs=(*graph.outputs, 1)),)))
    export(plan, tmp_path)
    inputs = [np.ones((), np.bool_) if t.name == "flag" else drawn(plan, 4)[0] for t in plan.inputs]
    done = ran(built(plan, tmp_path), *inputs)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == b"".join(y.tobytes() for y in run(plan, *inputs))


@needs_cc
def test_noise_for_positions_lies_inside(tmp_path: Path) -> None:
    """A network that looks words up has a golden input, though an inference of most integers fails."""
    table, words, found = const(np.eye(3, 4), "float32"), fed((1, 5), "int32"), fed((1, 5, 4), "float32")
    plan = make_plan(network(Node("GATHER", {"axis": 0, "batch_dims": 0}, (table, words), (found,))))
    export(plan, tmp_path)
    x = np.array([[2, 0, 1, 1, 2]], np.int32)
    done = ran(built(plan, tmp_path), x)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == run(plan, x)[0].tobytes()


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


STREAM = """
#include <stdio.h>
#include "model.h"

int main(void) {
  static uint8_t frame[MODEL_INPUT_BYTES], output[OUTPUT_BYTES];
  while (fread(frame, 1, sizeof frame, stdin) == sizeof frame) {
    if (frame[0] == 7) {
      model_reset();
    }
    model_invoke(frame, OUTPUTS);
    fwrite(output, 1, sizeof output, stdout);
  }
  return model_selftest();
}
"""
"""A stream of frames, that begins anew with those whose first byte is 7."""


def remembering() -> Model:
    """An SVDF of two units, of rank 1 and with a memory of three features, whose state's zero point is not 0."""
    state = replace(fed((1, 6), "int8", q(0.5, 4), "state"), is_variable=True)
    tensors = (
        fed((1, 2), "int8", q(0.5, 1), "x"),
        const([[3, -5], [7, 2]], "int8", q(0.25), "feature"),
        const([[1, 2, 3], [-4, 5, 6]], "int8", q(0.5), "time"),
        const([10, -20], "int32", q(0.25), "bias"),
        state,
    )
    options = {"rank": 1, "fused_activation_function": "NONE", "asymmetric_quantize_inputs": False}
    return one_op("SVDF", options, [*tensors], fed((1, 2), "int8", q(2.0, -3), "y"))


def delaying() -> Model:
    """The samples come out three later."""
    return custom(
        "SignalDelay", _flexbuffer.pack(delay_length=3), [fed((1, 2), "int16")], fed((1, 2), "int16", name="y")
    )


def stacking() -> Model:
    """Each frame with the one before; whether there are enough, too."""
    options = dict(num_channels=2, stacker_left_context=1, stacker_right_context=0, stacker_step=1)
    outputs = fed((4,), "int16", name="y"), fed((), "bool", name="valid")
    return custom("SignalStacker", _flexbuffer.pack(**options), [fed((2,), "int16")], *outputs)


@needs_cc
@pytest.mark.parametrize(
    "model",
    [remembering(), accumulator(), delaying(), stacking(), totalling((1, 2), "int32")],
    ids=["variable", "resource", "memory", "two outputs", "written variable"],
)
def test_what_lives_on_is_forgotten_on_demand(model: Model, tmp_path: Path) -> None:
    plan = make_plan(model)
    export(plan, tmp_path)
    (tmp_path / "main.c").write_text(STREAM)
    sources = [str(path) for path in tmp_path.glob("*.c")]
    given, size = ("output", "OUTPUT") if len(plan.outputs) == 1 else ("output,0", "OUTPUT0")
    flags = (f"-DOUTPUTS={given}", f"-DOUTPUT_BYTES=MODEL_{size}_BYTES")
    subprocess.run(["cc", *FLAGS, *SANITIZERS, *flags, *sources, "-o", str(tmp_path / "a.out"), "-lm"], check=True)
    frames = np.array([[[9, 4]], [[-100, 88]], [[6, 6]], [[7, 1]], [[9, 4]]]).astype(plan.inputs[0].dtype)
    frames = frames.reshape(5, *plan.inputs[0].shape)
    expected, state = [], None
    for frame in frames:
        state = None if frame.flat[0] == 7 else state
        outputs, state = infer(plan, None, [frame], state)
        expected.append(outputs[0])
    assert len({x.tobytes() for x in expected}) > 2
    done = subprocess.run([str(tmp_path / "a.out")], input=frames.tobytes(), capture_output=True, check=True)
    assert done.stdout == b"".join(x.tobytes() for x in expected)


ENDING = """
#include <stdio.h>
#include "model.h"

int main(void) {
  static uint8_t frame[MODEL_INPUT_BYTES], output[MODEL_OUTPUT_BYTES];
  if (model_selftest()) {
    return 2;
  }
  while (fread(frame, 1, sizeof frame, stdin) == sizeof frame) {
    if (model_invoke(frame, output) == 0) {
      fwrite(output, 1, sizeof output, stdout);
    }
  }
  return 0;
}
"""
"""A stream of frames, of which some end early."""


@needs_cc
def test_an_inference_that_ends_early_gives_no_output_and_says_so(tmp_path: Path) -> None:
    """The golden one is the first that does not; its later steps are checked."""
    buffered = replace(fed((1, 3, 1, 2), "int8", q(0.5, 7), "buffered"), is_variable=True)
    options = _flexbuffer.pack(cycles_max=3)
    frame = fed((1, 1, 1, 2), "int8", q(0.5, 7))
    buffer = Node("CIRCULAR_BUFFER", {}, (frame,), (buffered,), custom_options=options)
    then = Node("RESHAPE", {"new_shape": (6,)}, (buffered,), (fed((6,), "int8", q(0.5, 7), "y"),))
    export(make_plan(model_of(buffer, then)), tmp_path)
    assert "int model_invoke(" in (tmp_path / "model.h").read_text()
    assert not re.search(r"0x00000000}", (tmp_path / "model.c").read_text())
    (tmp_path / "main.c").write_text(ENDING)
    sources = [str(path) for path in tmp_path.glob("*.c")]
    subprocess.run(["cc", *FLAGS, *SANITIZERS, *sources, "-o", str(tmp_path / "a.out"), "-lm"], check=True)
    frames = np.arange(14, dtype=np.int8)
    done = subprocess.run([str(tmp_path / "a.out")], input=frames.tobytes(), capture_output=True, check=True)
    assert [*done.stdout] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]


FRAMES = """
#include <stdio.h>
#include "model.h"

int main(void) {
  static uint8_t x[2][MODEL_INPUT0_BYTES], y[2][MODEL_OUTPUT0_BYTES];
  while (fread(x, 1, sizeof x, stdin) == sizeof x) {
    model_invoke(x[0], x[1], y[0], y[1]);
    fwrite(y, 1, sizeof y, stdout);
  }
  return model_selftest();
}
"""
"""A stream of frames of two inputs and two outputs, all of one size."""


def check_program(seed: int, folder: Path) -> None:
    """A random program of subgraphs gives in C what it gives here, over three inferences, and checks itself."""
    plan, frames = make_plan(program(seed)), program_inputs(seed, 3)
    export(plan, folder, *frames[2])
    (folder / "main.c").write_text(FRAMES)
    sources = [str(path) for path in folder.glob("*.c")]
    subprocess.run(["cc", *FLAGS, *SANITIZERS, *sources, "-o", str(folder / "a.out"), "-lm"], check=True)
    expected, state = [], None
    for frame in frames:
        outputs, state = infer(plan, None, frame, state)
        expected += [np.ascontiguousarray(y).tobytes() for y in outputs]
    stdin = b"".join(x.tobytes() for frame in frames for x in frame)
    done = subprocess.run([str(folder / "a.out")], input=stdin, capture_output=True)
    assert done.returncode == 0, f"seed {seed}: {done.returncode} {done.stderr.decode()}"
    assert done.stdout == b"".join(expected), f"seed {seed}"


@needs_cc
@pytest.mark.parametrize("seed", [7, 10, 12, 30])
def test_subgraphs_branches_and_loops_run_in_c(seed: int, tmp_path: Path) -> None:
    check_program(seed, tmp_path)


@needs_cc
@pytest.mark.long
@pytest.mark.parametrize("seed", range(30, 130))
def test_many_programs_of_subgraphs_run_in_c(seed: int, tmp_path: Path) -> None:
    check_program(seed, tmp_path)


def worked_out(facts: Facts) -> bool:
    """Whether it is left to the export, not to a kernel: constants, variables and subgraphs."""
    return facts.shapes_only or facts.unpacks or bool(facts.resource) or bool(facts.control)


def test_all_that_runs_exports_and_the_manual_counts_it() -> None:
    """Pairs of operator and type."""
    assert [key for key, kernel in KERNELS.items() if key not in CALLS and not worked_out(kernel.facts)] == []
    page = Path(refengine.__file__).with_name("manual") / "devices.md"
    told = " ".join(page.read_text(encoding="utf-8").split())
    assert f"{len(KERNELS)} pairs of operator and type, of {len({op for op, _ in KERNELS})} operators" in told


def test_what_has_no_kernel_is_refused(tmp_path: Path) -> None:
    kernels = {("RELU", "float64"): KERNELS["RELU", "float32"]}
    plan = make_plan(one_op("RELU", {}, [fed((2,), "float64")], fed((2,), "float64")), kernels=kernels)
    with pytest.raises(UnsupportedError, match="tensor 'input0' is float64, which has no C type here"):
        export(plan, tmp_path)
    assert not any(tmp_path.iterdir())


@needs_cc
@pytest.mark.parametrize("dtype", ["int32", "int64", "uint64"])
def test_the_ends_of_wide_integers_are_constants_in_c(dtype: str, tmp_path: Path) -> None:
    ends, shape = np.iinfo(dtype), fed((2,), dtype)
    model = one_op("RESHAPE", {"new_shape": (2,)}, [shape], fed((2,), dtype, name="y"))
    if dtype == "uint64":
        model = custom("SignalFilterBankSquareRoot", b"", [shape, const(0, "int32")], fed((2,), "uint32", name="y"))
    plan, x = make_plan(model), np.array([ends.min, ends.max], dtype)
    export(plan, tmp_path, x)
    assert ran(built(plan, tmp_path), x).stdout == run(plan, x)[0].tobytes()


@needs_cc
def test_nobody_judges_the_bits_of_a_nan(tmp_path: Path) -> None:
    """They are the processor's: of 0 / 0 the sign is another on Arm than on x86."""
    pair = [fed((2,), "float32", name="a"), fed((2,), "float32", name="b")]
    plan = make_plan(one_op("DIV", {"fused_activation_function": "NONE"}, [*pair], fed((2,), "float32", name="y")))
    for zero, judged in ((0, False), (1, True)):
        export(plan, tmp_path, np.array([0, 1], np.float32), np.array([zero, 2], np.float32))
        assert ("0x00000000}" not in (tmp_path / "model.c").read_text()) is judged


@needs_cc
@pytest.mark.parametrize(
    "types", [("int8", "int8", "int32"), ("int16", "int8", "int64"), ("int16", "int8", "int32"), ("float32",) * 3]
)
def test_weights_and_biases_may_be_computed_at_run_time(types: tuple[str, ...], tmp_path: Path) -> None:
    """The bias of int8 codes is folded in memory of its own; that of int16 ones stays as it is, or is widened."""
    dtype, options = types[0], {"fused_activation_function": "NONE", "keep_num_dims": False}
    codes, shapes = dtype != "float32", ((1, 2), (3, 2), (3,))
    scales = [q(0.5, 3), q(0.25, 2), q(0.125)] if codes else [None] * 3
    inputs = [fed(shape, kind, scale, kind) for shape, kind, scale in zip(shapes, types, scales, strict=True)]
    output = fed((1, 3), dtype, q(0.75, -5) if codes else None, "y")
    plan = make_plan(one_op("FULLY_CONNECTED", options | {"quantized_bias_type": "float32"}, [*inputs], output))
    export(plan, tmp_path)
    given = drawn(plan, 5)
    done = ran(built(plan, tmp_path), *given)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == run(plan, *given)[0].tobytes()


@needs_cc
@pytest.mark.parametrize(
    ("op", "dtype", "narrow"),
    [("CONV_2D", "int16", "int32"), ("TRANSPOSE_CONV", "int8", "int32"), ("TRANSPOSE_CONV", "int16", "int16")],
)
def test_a_bias_that_is_computed_is_widened_to_64_bits(op: str, dtype: str, narrow: str, tmp_path: Path) -> None:
    """The weights are computed, too; the biases end at both ends of their type."""
    lowest, highest = np.iinfo(narrow).min, np.iinfo(narrow).max
    input, filter = fed((1, 2, 2, 3), dtype, q(0.5)), fed((4, 1, 1, 3), "int8", q(0.25), "weights")
    bias, output = fed((4,), narrow, q(0.125), "bias"), fed((1, 2, 2, 4), dtype, q(highest / 2.0**11), "y")
    options = {"padding": "VALID", "stride_h": 1, "stride_w": 1, "fused_activation_function": "NONE"}
    options |= {"dilation_h_factor": 1, "dilation_w_factor": 1} if op == "CONV_2D" else {}
    inputs = [input, filter, bias] if op == "CONV_2D" else [const((1, 2, 2, 4), "int32"), filter, input, bias]
    plan = make_plan(one_op(op, options | {"quantized_bias_type": "float32"}, inputs, output))
    export(plan, tmp_path)
    ends = np.array([lowest, -1, 2, highest], narrow)
    given = [ends if t.name == "bias" else x for t, x in zip(plan.inputs, drawn(plan, 5), strict=True)]
    done = ran(built(plan, tmp_path), *given)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == run(plan, *given)[0].tobytes()
    assert f"widen_bias_{narrow}(" in (tmp_path / "model.c").read_text()


def test_a_golden_input_must_fit(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="not those of litert"):
        export(make_plan(bundled_models()["dense_int8"], numerics=PRESETS["litert"]), tmp_path)
    plan = make_plan(bundled_models()["dense_int8"])
    with pytest.raises(InputError, match="takes one inference"):
        export(plan, tmp_path, np.zeros((2, 28, 28, 1), np.int8))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        export(plan, tmp_path / "file")


def named(name: str) -> Model:
    """A RELU whose tensors are called so."""
    model = one_op("RELU", {}, [fed((2,), "float32")], fed((2,), "float32"))
    (graph,) = model.graphs
    return replace(model, graphs=(replace(graph, tensors=tuple(replace(t, name=name) for t in graph.tensors)),))


@needs_cc
def test_names_in_the_file_cannot_become_code(tmp_path: Path) -> None:
    evil = '"; int x[-1]; /* */ \\ ??/ \n #error'
    plan = make_plan(named(evil))
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
