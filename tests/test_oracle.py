"""The oracle survives what the real TFLM does: it prints, refuses, aborts and hangs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import oracle
import pytest
from dice import drawn
from oracle import Litert, OracleCrash, OracleRefusal, Tflm, UnknownLibrary, host_libm, host_plan

from refengine import Graph, Model, Numerics, Op, Quantization, Tensor, load, run
from refengine.tflite_io import dump
from tests.models import const, fed, one_op, q

WEIGHTS = np.array([[1, 2], [-3, 0.5]], np.float32)
X, Y = np.array([[4, 8]], np.float32), np.array([[20, -8]], np.float32)

NO_ACTIVATION = {"fused_activation_function": "NONE"}


def dense(weights: np.ndarray = WEIGHTS) -> bytes:
    """A fully connected layer of float32 activations."""
    tensors = (
        Tensor(0, "x", (1, 2), "float32"),
        Tensor(1, "w", (2, 2), weights.dtype.name, Quantization((1.0,), (0,)), weights),
        Tensor(2, "y", (1, 2), "float32"),
    )
    return dump(
        Model((Graph(0, "main", tensors, (0,), (2,), (Op(0, "FULLY_CONNECTED", (0, 1, -1), (2,), NO_ACTIVATION),)),))
    )


def unary(op: str, options: dict[str, object], x: Tensor, y: Tensor) -> bytes:
    return dump(Model((Graph(0, "main", (x, y), (0,), (1,), (Op(0, op, (0,), (1,), options),)),)))


def softmax(classes: int) -> bytes:
    """TFLM aborts on rows whose exponentials sum to 512 or more."""
    return unary("SOFTMAX", {"beta": 1.0}, Tensor(0, "x", (1, classes), "int8", Quantization((1.0,), (0,))),
                 Tensor(1, "y", (1, classes), "int8", Quantization((1 / 256,), (-128,))))  # fmt: skip


def test_tflm_computes(tflm: Tflm) -> None:
    (y,) = tflm.run(dense(), [X])
    assert (y.dtype, y.shape) == (np.dtype(np.float32), (1, 2))
    np.testing.assert_array_equal(y, Y)


@pytest.mark.parametrize("resolver", ["ref", "default"])
def test_litert_computes(resolver: str) -> None:
    pytest.importorskip("ai_edge_litert")
    with Litert(resolver) as litert:
        np.testing.assert_array_equal(litert.run(dense(), [X])[0], Y)
        assert litert.tensors(dense(), [X]).keys() == {(0, 0), (0, 2)}


def test_many_inputs_go_through_one_model(tflm: Tflm) -> None:
    answers = tflm.run_many(dense(), [[X], [-X], [2 * X]])
    np.testing.assert_array_equal([y for (y,) in answers], [Y, -Y, 2 * Y])


def test_an_answer_waits_for_whoever_asks_in_whatever_order() -> None:
    """A death under way is heard of by whoever began that, and by nobody else."""
    with Tflm() as tflm:
        first = tflm.begin_each([("run_many", dense(), [[X]])])
        dies = tflm.begin_each([("run_many", softmax(5000), [[np.zeros((1, 5000), np.int8)]])])
        last = tflm.begin_each([("run_many", dense(), [[-X]])])
        np.testing.assert_array_equal(last()[0][0][0], -Y)
        with pytest.raises(OracleCrash):
            dies()
        np.testing.assert_array_equal(first()[0][0][0], Y)
        stopped = tflm.begin_each([("run_many", dense(), [[X]])])
        tflm.close()
        with pytest.raises(OracleCrash, match="was stopped before it answered"):
            stopped()


def test_of_several_tasks_those_that_are_refused_have_no_answer(tflm: Tflm) -> None:
    one = "run_many", dense(), [[X]]
    refused = "run_many", dense(), [[X[..., :1]]]
    answers = tflm.begin_each([one, refused, ("run_stream", dense(), ([[-X]], ()))])()
    assert answers[1] is None
    np.testing.assert_array_equal(answers[0][0][0], Y)
    ((status, (output,)),) = answers[2]
    assert status == 0
    np.testing.assert_array_equal(output, -Y)


USED = """
import sys
import numpy as np
import oracle_worker
libc = oracle_worker._LIBC
*pieces, last = [libc.malloc(100_000) for _ in range(200)]
for piece in pieces:  # but for the last, or all goes back to the system
    oracle_worker.ctypes.memset(piece, 0x5A, 100_000)
    libc.free(piece)
((output,),) = oracle_worker._tflm_tasks()["run_many"](sys.stdin.buffer.read(), [[np.ones((1, 2, 2, 1), np.int8)]])
print(output.tolist())
"""


def test_arenas_are_zeros_though_memory_was_used_before(tmp_path: Path) -> None:
    """TFLM pads with a byte of its arena that it has not written."""
    paddings = const([[1, 1], [1, 1]], "int32")
    inputs = [fed((1, 2, 2, 1), "int8", q(1.0)), const([1, 1], "int32"), paddings]
    model = one_op("SPACE_TO_BATCH_ND", {}, inputs, fed((1, 4, 4, 1), "int8", q(1.0)))
    environment = {**os.environ, "PYTHONPATH": str(Path(oracle.__file__).parent), "MALLOC_MMAP_THRESHOLD_": "524288"}
    with (tmp_path / "log").open("w+b") as log:  # which the worker looks at
        command = [sys.executable, "-c", USED]
        done = subprocess.run(command, input=dump(model), stdout=subprocess.PIPE, stderr=log, env=environment)
    assert not done.returncode, (tmp_path / "log").read_text()
    (image,) = json.loads(done.stdout.splitlines()[-1])
    assert np.pad(np.ones((2, 2), int), 1).tolist() == np.array(image)[..., 0].tolist()


def test_a_death_apart_is_told_alike_and_costs_no_worker() -> None:
    with Tflm(apart=True) as tflm:
        np.testing.assert_array_equal(tflm.run(dense(), [X])[0], Y)
        worker = tflm._process
        with pytest.raises(OracleCrash, match=r"tflm died \(SIGABRT\): "):
            tflm.run(softmax(5000), [np.zeros((1, 5000), np.int8)])
        with pytest.raises(OracleRefusal):
            tflm.run(dense(), [np.zeros((1, 3), np.float32)])
        np.testing.assert_array_equal(tflm.run(dense(), [-X])[0], -Y)
        assert tflm._process is worker


def test_tensors_are_those_computed_and_fed(tflm: Tflm) -> None:
    tensors = tflm.tensors(dense(), [X])
    assert tensors.keys() == {(0, 0), (0, 2)}
    np.testing.assert_array_equal(tensors[0, 0], X)
    np.testing.assert_array_equal(tensors[0, 2], Y)


def test_a_stream_shows_every_tensor_after_each_inference(tflm: Tflm) -> None:
    """A variable's too, which lives until a reset."""
    ((model, runs),) = drawn("SVDF", "float32", 1, 0)
    stream = [runs[0], runs[1], runs[0]]
    seen = list(tflm.tensor_stream(model, stream, resets={2}))
    assert [status for status, _ in seen] == [0, 0, 0]
    variable = next(t.index for t in load(model).graphs[0].tensors if t.is_variable)
    values = [tensors[0, variable].tobytes() for _, tensors in seen]
    assert values[0] == values[2] != values[1]


def test_the_arena_grows_with_the_model(tflm: Tflm) -> None:
    x = Tensor(0, "x", (1, 700, 700, 1), "float32")
    pool = {"padding": "VALID", "stride_w": 1, "stride_h": 1, "filter_width": 1, "filter_height": 1, **NO_ACTIVATION}
    model = unary("MAX_POOL_2D", pool, x, Tensor(1, "y", x.shape, "float32"))
    ramp = np.arange(700 * 700, dtype=np.float32).reshape(x.shape)
    np.testing.assert_array_equal(tflm.run(model, [ramp])[0], ramp)


def test_a_refusal_carries_what_tflm_printed(tflm: Tflm) -> None:
    with pytest.raises(OracleRefusal, match="FLOAT32 with filter type: INT8 not supported"):
        tflm.run(dense(WEIGHTS.astype(np.int8)), [X])
    with pytest.raises(OracleRefusal, match="Dimension mismatch") as caught:
        tflm.run(dense(), [X.T.copy()])
    assert "not supported" not in str(caught.value), "that was printed for the model before"


def test_an_abort_costs_only_the_worker(tflm: Tflm) -> None:
    assert tflm.run(softmax(511), [np.zeros((1, 511), np.int8)])[0].shape == (1, 511)
    with pytest.raises(OracleCrash, match="SIGABRT"):
        tflm.run(softmax(512), [np.zeros((1, 512), np.int8)])
    np.testing.assert_array_equal(tflm.run(dense(), [X])[0], Y)


def test_silence_is_an_error() -> None:
    pytest.importorskip("tflite_micro")
    with Tflm(timeout=0) as hasty, pytest.raises(OracleCrash, match="no answer within 0 s"):
        hasty.run(dense(), [X])


def on_a_machine_with(monkeypatch: pytest.MonkeyPatch, version: str, machine: str = "x86_64") -> None:
    monkeypatch.setattr("platform.libc_ver", lambda: ("glibc", version))
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr("pathlib.Path.read_text", lambda path: "flags : fpu fma sse")


FLOAT_TANH = one_op("TANH", {}, [fed((4,), "float32")], fed((4,), "float32", None, "y"))
INT8_TANH = one_op("TANH", {}, [fed((4,), "int8", q(0.1))], fed((4,), "int8", q(2**-7), "y"))


@pytest.mark.parametrize(
    ("version", "libm"), [("2.28", "glibc"), ("2.36", "glibc"), ("2.40", "glibc"), ("2.41", "glibc-2.41")]
)
def test_the_oracle_speaks_the_dialect_of_its_hosts_library(
    monkeypatch: pytest.MonkeyPatch, version: str, libm: str
) -> None:
    on_a_machine_with(monkeypatch, version)
    assert host_libm() == libm
    assert host_plan(FLOAT_TANH).numerics.libm == libm
    assert host_plan(INT8_TANH).numerics.libm == "glibc"  # no C library takes part


@pytest.mark.parametrize(("version", "machine"), [("2.27", "x86_64"), ("2.42", "x86_64"), ("2.36", "aarch64")])
def test_where_nobody_knows_the_hosts_library_tests_that_need_it_skip(
    monkeypatch: pytest.MonkeyPatch, version: str, machine: str
) -> None:
    on_a_machine_with(monkeypatch, version, machine)
    with pytest.raises(UnknownLibrary, match=f"glibc {version} on {machine}"):
        host_plan(FLOAT_TANH)
    assert host_plan(INT8_TANH).steps


def test_tflms_tanh_is_that_of_its_hosts_library(tflm: Tflm) -> None:
    """glibc 2.36 and 2.41 differ in some of these values."""
    x = np.linspace(-3, 3, 4000, dtype=np.float32)
    model = one_op("TANH", {}, [fed(x.shape, "float32")], fed(x.shape, "float32", None, "y"))
    (theirs,) = tflm.run(dump(model), [x])
    answers = {libm: run(model, x, numerics=Numerics(libm=libm))[0].tobytes() for libm in ("glibc", "glibc-2.41")}
    assert answers["glibc"] != answers["glibc-2.41"]
    assert theirs.tobytes() == answers[host_libm()] == run(host_plan(model), x)[0].tobytes()
