"""What the docstrings, the README and the manual show in Python runs as it is written."""

from __future__ import annotations

import ast
import re
import runpy
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest
from dice import Dice
from hypothesis import Phase, seed, settings
from PIL import Image

import refengine
from refengine.bundled import bundled_models
from refengine.model import Graph, Model, Op, Tensor
from refengine.tensors.datasets import bundled_digits
from refengine.tflite_io import dump

ROOT = Path(refengine.__file__).parent
PAGES = (ROOT.parent / "README.md", *sorted((ROOT / "manual").glob("*.md")))
ELSEWHERE = ("ProcessPoolExecutor(8)", ">>> ")
"""What is no program of its own, or too much for a test: other tests run the like."""


def documented() -> Iterator[tuple[str, str]]:
    """(module and name, code) of each public docstring's indented block of Python."""
    for path in sorted(ROOT.rglob("*.py")):
        if path.relative_to(ROOT).parts[0] == "kernels":
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                for code in re.findall(r"\n\n((?: {4}.*\n|\n(?= {4}))+)", f"{ast.get_docstring(node)}\n"):
                    place = path.relative_to(ROOT.parent).as_posix()
                    yield f"{place}:{getattr(node, 'name', '')}", dedent(code)


def in_the_pages() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for code in re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            if not any(word in code for word in ELSEWHERE):
                yield f"{page.name}:{text[: text.index(code)].count(chr(10)) + 1}", code


DOCSTRINGS = dict(documented())
EXAMPLES = DOCSTRINGS | dict(in_the_pages())


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A folder with the files that examples name, and the names that they take for granted."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(bundled_models()["stm32f746_int8"], "model.tflite")
    Image.open(ROOT.parent / "tests" / "data" / "seven.png").resize((28, 28)).save("seven.png")
    Path("wakeword.tflite").write_bytes(dump(custom("RELU")))
    Path("custom.tflite").write_bytes(dump(custom("CUSTOM")))
    plan = refengine.make_plan("model.tflite")
    image = refengine.quantize_input(plan, bundled_digits()[0][:1, ..., None] / np.float32(255))
    *_, record = refengine.execute(plan, image)
    np.savez("dump.npz", **{str(t.index): record.outputs[0] for t in record.step.outputs})  # type: ignore[arg-type]
    names = {"refengine": refengine, "np": np, "plan": plan, "image": image, "x": image, "record": record}
    names["y"] = record.outputs[0]
    return names | {"batches": [(image,)], "frames": [np.ones((1, 4), np.float32)] * 3, "my_runtime": refengine.run}


def custom(op: str) -> Model:
    """One operator from float32 1×4 to the same; MyOp if it is a custom one."""
    tensors = tuple(Tensor(i, f"t{i}", (1, 4), "float32") for i in range(2))
    return Model((Graph(0, "", tensors, (0,), (1,), (Op(0, op, (0,), (1,), custom_code="MyOp" * (op == "CUSTOM")),)),))


def library() -> None:
    """The shared library of a vendor who has nothing yet."""
    Path("mine.c").write_text(
        '#include "refengine_fuzz.h"\n'
        "int refengine_kernel(const struct refengine_case *c) { (void)c; return REFENGINE_UNSUPPORTED; }\n"
    )
    subprocess.run(["cc", "-shared", "-fPIC", f"-I{ROOT / 'fuzzer'}", "mine.c", "-o", "libmykernels.so"], check=True)


@pytest.mark.parametrize("place", EXAMPLES)
def test_an_example_runs_as_it_is_written(place: str, here: dict[str, Any]) -> None:
    code = EXAMPLES[place]
    if "libmykernels.so" in code:
        if shutil.which("cc") is None:
            pytest.skip("no C compiler")
        library()
    if "def test_my_runtime" in code:
        code += "\ntest_my_runtime()\n" if "def my_runtime" not in code else ""
        here["my_runtime"] = lambda model, inputs: refengine.run(model, *inputs)
    exec(compile(code, place, "exec"), here)


@pytest.mark.parametrize("number", [0, 3])
def test_the_fault_of_the_pages_runtime_is_found_whatever_the_seed(number: int) -> None:
    my_runtime = runpy.run_path(str(ROOT.parent / "tests" / "data" / "my_runtime.py"))
    at_once = settings(database=None, phases=[Phase.generate], report_multiple_bugs=False)
    with pytest.raises(AssertionError, match="Arrays are not equal"):
        seed(number)(at_once(my_runtime["test_my_runtime"]))()


def test_every_room_with_an_example_is_found() -> None:
    found = {place.split(":")[0] for place in DOCSTRINGS}
    assert {f"refengine/{room}" for room in ("__init__.py", "fuzzer/__init__.py", "strategies/__init__.py",
            "session.py", "interpreter.py", "judge/__init__.py", "explanation/__init__.py")} <= found  # fmt: skip


def test_a_custom_operator_of_the_users_runs_in_every_room(here: dict[str, Any]) -> None:
    (code,) = (code for place, code in in_the_pages() if '("MyOp", "float32"): mine' in code)
    exec(code, here)
    assert here["y"].tolist() == [[2.0] * 4] and here["y"].dtype == np.float32
    x = np.arange(4, dtype=np.float32)[None]
    *_, record = refengine.execute(here["plan"], x)
    assert refengine.explain(here["plan"], record, (0, 3)).lines[-1].value == 6
    (batch,) = refengine.run(here["plan"], np.repeat(x, 3, 0))
    assert batch.tolist() == [[0, 2, 4, 6]] * 3
    assert refengine.inspect(here["plan"].model, kernels=here["plan"].kernels).refusals == ()
    assert refengine.Session(here["plan"]).run(x)[0].tolist() == [[0, 2, 4, 6]]
    assert here["example"](lambda x: x, Dice(0)).name == "MyOp"


def test_the_drop_in_prints_what_its_page_shows(here: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "manual" / "python.md").read_text(encoding="utf-8")
    (classify,) = re.findall(r"^```python\n(from refengine import Interpreter.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (prepare,) = re.findall(r"^```python\n(import shutil.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (shown,) = re.findall(r"^\$ python classify.py\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    exec(prepare, {})
    exec(classify, {})
    assert capsys.readouterr().out == shown
