"""The laws of the architecture that one can see in the source: who may import whom, and who may print."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import refengine
from refengine.kernels import FACTS
from refengine.kernels._tflm import CUSTOM_OPS, TFLM_OPS, WITHOUT_HARDWARE

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "refengine"

# A module may import modules of lower layers, and its own package; peers in one layer do not know each other.
LAYERS = (
    {"bundled", "text"},
    {"diagram", "errors"},
    {"model", "processes"},
    {"files", "identity", "memory", "numerics"},
    {"tflite_io"},
    {"kernel"},
    {"contract", "kernels", "state"},
    {"refusals"},
    {"plan"},
    {"tensors"},
    {"execute", "parallel"},
    {"reading", "session"},
    {"accuracy", "allocation", "cexport", "explanation", "interpreter", "strategies"},
    {"debugger", "device", "dialects", "examination", "judge", "quantizer", "survey", "tasks"},
    {"fuzzer", "lessons", "reducer", "studio"},
    {"__init__"},
    {"commands", "pytest"},
    {"__main__"},
)

ROOMS = {
    "check_input": "judge",
    "debug": "debugger",
    "diff": "judge",
    "explain": "explanation",
    "export": "cexport",
    "fuzz": "fuzzer",
    "health": "examination",
    "reduce": "reducer",
}
"""The calls of the package that are imported only once somebody asks for them, and their rooms."""

EXTRA = {
    "strategies": {"hypothesis"},
    "fuzzer": {"hypothesis"},
    "parallel": {"distributed"},
    "device": {"serial"},
    "examination": {"matplotlib"},
    "commands": {"shtab"},
    "lessons": {"ipycanvas"},
    "studio": {"starlette", "uvicorn", "segno"},
}  # the optional ones, and who may use them


def dependencies() -> set[str]:
    """The runtime dependencies that pyproject.toml declares, by import name."""
    section = re.search(r"^dependencies = \[(.*?)^\]", (ROOT / "pyproject.toml").read_text(), re.M | re.S)
    assert section is not None
    return {
        {"pillow": "PIL", "prompt-toolkit": "prompt_toolkit"}.get(name, name)
        for name in re.findall(r'"([\w-]+)', section[1])
    }


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def unit(path: Path) -> str:
    """The layer's member that a file belongs to: ``kernels/conv.py`` → ``kernels``."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, absolute dotted name) of every import in a file, relative ones resolved, wherever it stands."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else ()
            parts = (*base, *(node.module.split(".") if node.module else ()))
            for alias in node.names:
                yield node.lineno, ".".join((*parts, alias.name))


def layer(name: str) -> int:
    return next((i for i, members in enumerate(LAYERS) if name in members), -1)


def own(path: Path) -> Iterator[tuple[int, str]]:
    """(line, unit) of every import from `refengine`; what only the root defines is `__init__`'s."""
    known = set().union(*LAYERS)
    for line, name in imports(path):
        root, *rest = name.split(".")
        if root == "refengine":
            yield line, rest[0] if rest and rest[0] in known else "__init__"


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_the_layers_are_what_there_is() -> None:
    members = [name for layer in LAYERS for name in layer]
    assert sorted(members) == sorted({unit(path) for path in modules()})


@pytest.mark.parametrize("path", modules(), ids=ids)
def test_imports_point_downwards(path: Path) -> None:
    me = unit(path)
    wrong = [
        f"{ids(path)}:{line} imports {other}" for line, other in own(path) if other != me and layer(other) >= layer(me)
    ]
    assert not wrong


@pytest.mark.parametrize("path", modules(), ids=ids)
def test_only_declared_dependencies_are_imported(path: Path) -> None:
    allowed = sys.stdlib_module_names | dependencies() | {"refengine"} | EXTRA.get(unit(path), set())
    wrong = [f"{ids(path)}:{line} imports {name}" for line, name in imports(path) if name.split(".")[0] not in allowed]
    assert not wrong


@pytest.mark.parametrize("path", [p for p in modules() if layer(unit(p)) <= layer("execute")], ids=ids)
def test_below_the_front_ends_nothing_prints(path: Path) -> None:
    """Nor draws; `tensors` alone has pillow, for files of pictures."""
    wrong = [
        f"{ids(path)}:{line} imports {name}"
        for line, name in imports(path)
        if name.split(".")[0] in ({"rich", "logging"} if unit(path) == "tensors" else {"rich", "logging", "PIL"})
    ]
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    wrong += [
        f"{ids(path)}:{call.lineno} prints"
        for call in calls
        if ast.unparse(call.func)
        in {"print", "input", "breakpoint", "sys.stdout.write", "sys.stderr.write", "warnings.warn"}
    ]
    assert not wrong


@pytest.mark.parametrize("path", [p for p in modules() if unit(p) == "commands"], ids=ids)
def test_front_ends_do_not_compute(path: Path) -> None:
    """No arithmetic library in a front end: what it shows was computed below."""
    assert not [f"{ids(path)}:{line}" for line, name in imports(path) if name.split(".")[0] == "numpy"]


NAMED = re.compile(rf"(?<!\w)({'|'.join(map(re.escape, {*FACTS, *TFLM_OPS, *CUSTOM_OPS, *WITHOUT_HARDWARE}))})(?!\w)")
"""An operator's name, as a word."""

MAY_NAME = {
    "numerics/quantize.py": {"RELU", "RELU6", "TANH"},  # fused activations, which are called so too
    "tflite_io/compression.py": {
        "ASSIGN_VARIABLE", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV",
    },  # what TFLM decompresses for whom: known where files are read, below the kernels
    "tflite_io/reader.py": {"TFLM_DECODE"},  # likewise: whose input is bytes, whatever the file says
    "commands/debug.py": {"SOFTMAX"},  # an example of what to type
    "commands/fuzz.py": {"CONV_2D"},  # likewise
    "debugger/prompt.py": {"LESS"},  # a pager and its variable
}  # fmt: skip
"""By file outside `kernels/`, the operators' names that may stand in its code, and why."""


def strings(source: str) -> Iterator[str]:
    """The string and bytes constants of a module's code, those inside f-strings too; docstrings are none."""
    tree = ast.parse(source)
    comments = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in comments and isinstance(node.value, (str, bytes)):
            yield node.value if isinstance(node.value, str) else node.value.decode("latin-1")


def named(source: str) -> set[str]:
    """The operators that a module's code names."""
    return {name for text in strings(source) for name in NAMED.findall(text)}


@pytest.mark.parametrize("path", [p for p in modules() if unit(p) != "kernels"], ids=ids)
def test_no_operator_is_named_outside_the_kernels(path: Path) -> None:
    """What a room must know of an operator is among its `Facts`, or goes by the type of its params."""
    assert named(path.read_text()) == MAY_NAME.get(path.relative_to(PACKAGE).as_posix(), set())


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('if step.name == "SHAPE": pass', {"SHAPE"}),
        ('table = {"CONV_2D": 1, b"TANH": 2}', {"CONV_2D", "TANH"}),
        ('say(f"the last FULLY_CONNECTED of {plan}")', {"FULLY_CONNECTED"}),
        ('if op.custom_code == "SignalFramer": pass', {"SignalFramer"}),
        ('def f():\n    """What CONV_2D does."""\n    return "RESHAPED", "NO_PAD", "pad"  # PAD', set()),
        ('KINDS = ()\n"""Such as ADD."""', set()),
    ],
)
def test_a_name_is_found_as_a_word_in_code(source: str, found: set[str]) -> None:
    assert named(source) == found


def test_the_package_imports_fast_and_lean() -> None:
    """`import refengine` brings none of the heavy or optional modules along, nor the rooms whose calls are lazy."""
    heavy = ["rich", "PIL", "prompt_toolkit", "hypothesis", "tensorflow", "tflite_micro", "ai_edge_litert", "serial"]
    heavy += ["starlette", "uvicorn", "tflite", "multiprocessing", "threadpoolctl", "html"]
    heavy += [f"refengine.{room}" for room in ROOMS.values()]
    code = f"import refengine, sys; print([name for name in {heavy} if name in sys.modules])"
    printed = subprocess.check_output([sys.executable, "-c", code], text=True, cwd=ROOT)
    assert printed.strip() == "[]"


def test_a_run_brings_only_what_it_needs() -> None:
    """Two thirds of the command's time were modules that it did not use."""
    heavy = ["rich", "PIL", "multiprocessing", "concurrent.futures", "email", "prompt_toolkit"]
    heavy += ["tflite", "flatbuffers", "html", "gzip", "csv"]
    heavy += [f"refengine.{room}" for room in ROOMS.values()] + ["refengine.kernels.svdf"]
    code = "from refengine.commands import main; main(['run', 'dense_int8', '--random', '1'])"
    code += f"; import sys; print([name for name in {heavy} if name in sys.modules])"
    printed = subprocess.check_output([sys.executable, "-c", code], text=True, cwd=ROOT)
    assert printed.splitlines()[-1] == "[]"


@pytest.mark.parametrize(("call", "room"), ROOMS.items())
def test_a_call_of_the_package_is_its_rooms(call: str, room: str) -> None:
    assert call in dir(refengine) and call in refengine.__all__
    assert getattr(refengine, call) is getattr(import_module(f"refengine.{room}"), call)
    assert call not in {unit(path) for path in modules()}, "no module of that name is in its way"


def test_the_package_has_no_other_names() -> None:
    with pytest.raises(AttributeError, match="module 'refengine' has no attribute 'judgement'"):
        refengine.judgement  # type: ignore[attr-defined]  # noqa: B018


def test_a_relative_import_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    folder = tmp_path / "refengine" / "kernels"
    folder.mkdir(parents=True)
    path = folder / "conv.py"
    path.write_text("import numpy as np\nfrom ..plan import Plan\nfrom . import _window\nfrom refengine import plan\n")
    assert list(imports(path)) == [
        (1, "numpy"),
        (2, "refengine.plan.Plan"),
        (3, "refengine.kernels._window"),
        (4, "refengine.plan"),
    ]
    assert [name for _, name in own(path)] == ["plan", "kernels", "plan"]
