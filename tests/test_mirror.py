"""Tests mirror the package: whoever looks for the tests of a module finds them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PACKAGE = HERE.parent / "refengine"
LARGE = 100
"""Lines from which on a module has tests of its own, or the test file that tries it is named here."""

ELSEWHERE = {
    "cexport/test_command.py": ("commands/export",),
    "cexport/test_export.py": ("cexport/data", "cexport/model_c", "cexport/model_h", "cexport/running"),
    "commands/test_main.py": ("commands/__init__", "commands/_front", "commands/inspect"),
    "commands/test_run.py": ("commands/_seen",),
    "commands/test_tables.py": ("commands/_tables",),
    "debugger/test_debugger.py": (
        *("debugger/condition", "debugger/console", "debugger/info", "debugger/names", "debugger/text"),
        *("debugger/conversation", "tensors/pictures", "tensors/stats"),
    ),
    "debugger/test_terminal.py": ("debugger/prompt",),
    "device/test_validation.py": ("commands/_validate",),
    "device/test_lies.py": ("device/transport",),
    "examination/test_command.py": ("commands/_data", "commands/health"),
    "examination/test_decisions.py": ("reading/inside",),
    "examination/test_findings.py": ("examination/effect",),
    "examination/test_health.py": ("examination/__init__", "examination/layer", "examination/measure"),
    "explanation/test_explain.py": ("commands/explain", "explanation/__init__"),
    "firmware/test_boards.py": ("commands/device", "device/qemu"),
    "firmware/test_kernels.py": (
        "cexport/call",
        "cexport/elements",
        "cexport/layers",
        "cexport/memory",
        "cexport/moves",
        "cexport/signals",
    ),
    "fuzzer/test_command.py": ("commands/fuzz", "fuzzer/text"),
    "fuzzer/test_doors.py": ("fuzzer/image",),
    "fuzzer/test_search.py": ("fuzzer/draw", "fuzzer/simplify"),
    "judge/test_check.py": ("judge/pictures",),
    "judge/test_command.py": ("commands/diff", "judge/text"),
    "judge/test_judging.py": ("judge/report",),
    "judge/test_preparation.py": ("judge/sample", "judge/ways"),
    "judge/test_verdict.py": (
        *("judge/faults/__init__", "judge/faults/_case", "judge/faults/arithmetic", "judge/faults/constants"),
        *("judge/faults/floats", "judge/faults/geometry", "judge/faults/layout", "judge/faults/memory"),
    ),
    "numerics/test_float32.py": ("numerics/scalar_float",),
    "quantizer/test_command.py": ("commands/quantize",),
    "quantizer/test_equalization.py": ("quantizer/correction", "reading/links"),
    "reducer/test_reduce.py": ("reducer/__init__",),
    "studio/test_application.py": ("studio/drawings", "studio/studio"),
    "studio/test_elements.py": ("studio/words",),
    "tasks/test_commands.py": ("commands/evaluate",),
    "quantizer/test_convert.py": (
        *("quantizer/affine", "quantizer/curves", "quantizer/forms", "quantizer/parameters", "quantizer/variables"),
    ),
    "test_kernels.py": ("kernel",),
    "test_package.py": ("__init__",),
    "test_reprs.py": ("tensors/reprs",),
}
"""Test files by modules without one of their own. What kernels share (`kernels/_*.py`) is tried by the kernels."""


def mirror(path: Path) -> Path:
    """``refengine/tensors/images.py`` → ``tests/tensors/test_images.py``."""
    inside = path.relative_to(PACKAGE)
    return HERE / inside.parent / f"test_{inside.name}"


def large() -> set[str]:
    """The modules of some size that have no mirror."""
    paths = [path for path in PACKAGE.rglob("*.py") if not path.match("kernels/_*.py")]
    alone = [path for path in paths if len(path.read_text().splitlines()) >= LARGE and not mirror(path).exists()]
    return {path.relative_to(PACKAGE).with_suffix("").as_posix() for path in alone}


def test_every_large_module_has_its_test_file_or_is_named_once() -> None:
    named = [module for modules in ELSEWHERE.values() for module in modules]
    assert sorted(named) == sorted(large())
    assert all((HERE / file).exists() for file in ELSEWHERE)


@pytest.mark.parametrize("path", sorted(HERE.rglob("test_*.py")), ids=lambda path: str(path.relative_to(HERE)))
def test_no_test_file_is_empty(path: Path) -> None:
    """A file without tests would satisfy whoever only asks whether it exists."""
    found = [node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]
    assert any(name.startswith("test_") for name in found)
