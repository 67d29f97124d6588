"""The corpus: plain data that says what it is about, the same twice, and a checker that finds what is wrong."""

from __future__ import annotations

import hashlib
import json
import re
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import corpus
import corpus_cases
import numpy as np
import pytest
from corpus import INDEX_SCHEMA, main
from corpus_cases import Case, chosen, invented_case, traits
from dice import Dice
from oracle import Tflm, host_plan

from refengine import Model
from refengine.execute import infer
from refengine.model import Array
from refengine.state import State
from refengine.tflite_io import dump
from tests.models import const, fed, one_op, q

KEYS = ["--op", "ADD", "SVDF", "CALL_ONCE", "ASSIGN_VARIABLE", "SPLIT", "--dtype", "int8", "", "resource"]
"""Broadcasts, state, operators without outputs, and one with several."""

PAIRS = 5


@pytest.fixture(scope="module", autouse=True)
def one_oracle(tflm: Tflm) -> Iterator[None]:
    """The session's, for this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus, "oracle", lambda: tflm)
        yield


@pytest.fixture(scope="module")
def folder(one_oracle: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of a few pairs."""
    path = tmp_path_factory.mktemp("corpus")
    assert main(["write", str(path), "--cases", "3", *KEYS]) == 0
    return path


def index_of(folder: Path) -> dict[str, Any]:
    index: dict[str, Any] = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    return index


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    assert main(["write", str(tmp_path / "again"), "--cases", "3", *KEYS]) == 0
    assert contents(tmp_path / "again") == contents(folder)
    assert main(["write", str(tmp_path / "other"), "--cases", "3", "--seed", "1", "--op", "ADD"]) == 0
    assert contents(tmp_path / "other")["ADD/int8/00.npz"] != contents(folder)["ADD/int8/00.npz"]


def fits(value: Any, schema: dict[str, Any]) -> bool:
    """Whether a JSON value is as the part of JSON Schema says that the index uses."""
    kinds: dict[str, type[Any]] = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
    if "const" in schema:
        return bool(value == schema["const"])
    if not isinstance(value, kinds[schema["type"]]) or ("minimum" in schema and value < schema["minimum"]):
        return False
    if schema["type"] == "array":
        return all(fits(each, schema["items"]) for each in value)
    if schema["type"] == "object":
        properties = schema["properties"]
        return set(schema["required"]) <= value.keys() and all(fits(value[key], properties[key]) for key in value)
    return True


def test_the_index_is_as_its_schema_says_and_so_are_the_files(folder: Path) -> None:
    index = index_of(folder)
    assert json.loads((folder / "index.schema.json").read_text()) == INDEX_SCHEMA
    assert fits(index, INDEX_SCHEMA)
    assert not fits(index | {"schema": 2}, INDEX_SCHEMA)
    assert not fits(index | {"cases": [{}]}, INDEX_SCHEMA)
    assert len(index["cases"]) == 3 * len({(case["operator"], case["type"]) for case in index["cases"]}) == 3 * PAIRS
    assert len(contents(folder)) == 2 * len(index["cases"]) + 4
    for case in index["cases"]:
        assert hashlib.sha256((folder / f"{case['name']}.tflite").read_bytes()).hexdigest() == case["sha256"]
        arrays = np.load(folder / f"{case['name']}.npz")
        for role in ("input", "output"):
            for i, tensor in enumerate(case[f"{role}s"]):
                assert arrays[f"{role}{i}"].shape == (case["inferences"], *tensor["shape"])
        assert case["outputs"], "there is nothing to compare"


def test_cases_with_state_have_a_reset_that_is_seen(folder: Path) -> None:
    (first, *_) = [case for case in index_of(folder)["cases"] if case["operator"] == "SVDF"]
    assert (first["inferences"], first["resets"]) == (5, [3])
    arrays = np.load(folder / f"{first['name']}.npz")
    assert np.array_equal(arrays["input0"][:2], arrays["input0"][3:])
    assert np.array_equal(arrays["output0"][:2], arrays["output0"][3:])


def test_the_readme_tells_the_licence_and_what_stays(folder: Path) -> None:
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert "@" not in text
    for words in (f"{3 * PAIRS} cases", "Apache-2.0", "This is schema 1.", "from the seed 0;"):
        assert words in text
    assert (folder / "LICENSE").read_text(encoding="utf-8").lstrip().startswith("Apache License")


def test_a_corpus_is_not_mixed_with_other_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["write", str(folder), "--cases", "1", "--op", "ADD"]) == 2
    assert "is not empty" in capsys.readouterr().err


def test_what_tflm_computes_otherwise_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def off_by_one(*arguments: Any) -> tuple[tuple[Array, ...], State]:
        outputs, state = infer(*arguments)
        return tuple(x ^ 1 for x in outputs), state

    monkeypatch.setattr(corpus_cases, "infer", off_by_one)
    assert main(["write", str(tmp_path / "c"), "--cases", "2", "--op", "ADD", "--dtype", "int8"]) == 1
    assert re.search(r"ADD int8, case [01]: inference 0: output 0 differs", capsys.readouterr().err)
    assert not (tmp_path / "c").exists()


# ---- checking ------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["refengine", "tflm"])
def test_refengine_and_tflm_pass(engine: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = f"{sys.executable} {corpus.__file__} serve {engine}"
    assert main(["check", str(folder), "--json", *(["--runtime", command] if engine == "tflm" else [])]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["schema"], told["cases"], told["differing"]) == (1, 3 * PAIRS, [])


RUNTIME = """
import sys, pathlib
for line in sys.stdin:
    inferences, resets, folder = line.rstrip("\\n").split(" ", 2)
    {body}
    print("ok", flush=True)
"""


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("print('not today', flush=True); continue", "cannot: not today"),
        ("sys.exit(3)", "cannot: the runtime died"),
        ("pass", "output 0 of inference 0 has 0 bytes, not "),
        ("[pathlib.Path(folder, f'{k}.output0').write_bytes(b'xy') for k in range(3)]", "has 2 bytes, not "),
    ],
)
def test_whatever_a_runtime_does_is_told(
    body: str, message: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "runtime.py").write_text(RUNTIME.format(body=body))
    only = ["--op", "ADD", "--dtype", "int8", "--runtime", f"{sys.executable} {tmp_path / 'runtime.py'}"]
    assert main(["check", str(folder), *only]) == 1
    printed = capsys.readouterr()
    assert printed.err.count(message) == 3
    assert "ADD" in printed.out


def test_one_wrong_bit_is_found_and_what_is_unwritten_is_not_looked_at(tmp_path: Path) -> None:
    case = {"name": "x", "status": [0, 1], "outputs": [{}], "nan_bits": False}
    wanted = {"output0": np.array([[1.0, 2.0], [0.0, 0.0]], np.float32)}
    got = wanted["output0"][0].copy()
    got.view(np.uint32)[1] ^= 1
    (tmp_path / "0.output0").write_bytes(got.tobytes())
    assert [*corpus._differences(case, wanted, tmp_path)] == ["1 of 2 elements of output 0 of inference 0 differ"]
    mask = {"unwritten0": np.array([[False, True], [False, False]])}
    assert [*corpus._differences(case, wanted | mask, tmp_path)] == []
    (tmp_path / "1.output0").write_bytes(got.tobytes())
    assert [*corpus._differences(case, wanted | mask, tmp_path)] == ["inference 1 has outputs, where Invoke returns 1"]


@pytest.mark.parametrize("text", ["", "{}", '{"schema": 2}'])
def test_what_is_no_corpus_is_refused(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "index.json").write_text(text)
    assert main(["check", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("corpus.py: ")


# ---- what cases are about ------------------------------------------------------------------------------------


def traits_of(model: Model, *inputs: Array) -> list[str]:
    """Those of the last operator of a model, on one inference."""
    plan = host_plan(dump(model))
    outputs, _ = infer(plan, None, inputs)
    case = Case("", "", b"", [inputs], (), [0], [outputs])
    return traits(plan, plan.steps[-1], case)


def test_traits_of_a_dilated_convolution_with_a_scale_for_each_channel() -> None:
    weights = const(np.full((2, 3, 3, 1), 127), "int8", q((0.5, 1.0)))
    options = {"padding": "SAME", "stride_w": 1, "stride_h": 1, "dilation_w_factor": 2, "dilation_h_factor": 2}
    model = one_op("CONV_2D", {**options, "fused_activation_function": "RELU"},
                   [fed((1, 5, 5, 1), "int8", q(0.5, -128)), weights, None],
                   fed((1, 5, 5, 2), "int8", q(0.5)))  # fmt: skip
    found = traits_of(model, np.full((1, 5, 5, 1), 100, np.int8))
    expected = {"per-channel", "dilated", "padded", "fused RELU", "no bias", "saturating"}
    assert {*expected, "input zero point at an end"} <= {*found}
    assert not {"strided", "per-tensor", "computed weights", "1×1 filter"} & {*found}


def test_traits_of_a_broadcast_sum_of_floats() -> None:
    model = one_op("ADD", {"fused_activation_function": "NONE"}, [fed((2, 1), "float32"), fed((3,), "float32")],
                   fed((2, 3), "float32"))  # fmt: skip
    found = traits_of(model, np.array([[np.nan], [-0.0]], np.float32), np.full(3, 1e-40, np.float32))
    assert found == [
        "2 dimensions",
        "broadcast on axis 1",
        "broadcast from fewer dimensions",
        "NaN in the input",
        "−0 in the input",
        "subnormal input",
        "NaN in the output",
        "subnormal output",
    ]


def test_chosen_cases_are_small_and_have_what_all_the_invented_ones_have() -> None:
    taken = chosen("CONV_2D", "int8", 8, seed=5)
    dice = Dice(zlib.crc32(b"corpus 5 CONV_2D int8"))
    every = [case for _ in range(24) if (case := invented_case("CONV_2D", "int8", dice))]  # none without elements
    small = {trait for case in every if case.size <= corpus_cases.SMALL for trait in case.traits}
    assert len(small - {trait for case in taken for trait in case.traits}) <= 1
    assert max(case.size for case in taken) <= corpus_cases.SMALL
    assert taken[0].about.startswith("CONV_2D: int8 ")
