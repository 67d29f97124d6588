"""tools/edge_parity.py: how what another quantiser makes is held against refengine's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import edge_parity
import parity
import pytest

from refengine import load, make_plan
from refengine.bundled import bundled_models
from tests.examination.nets import float_net


@pytest.mark.parametrize(
    ("what", "verdict"),
    [
        ([], "equal"),
        (["version"], "equal"),
        (["version", "option"], "options"),
        (["option", "zero point"], "parameters"),
        (["activation scale", "operator"], "operators"),
        (["wiring"], "operators"),
    ],
)
def test_the_gravest_difference_is_the_verdict(what: list[str], verdict: str) -> None:
    found = parity.Comparison([parity.Difference("operator 0", each, "a", "b") for each in what])
    assert edge_parity.judged(found)[0] == verdict and verdict in edge_parity.VERDICTS


def test_a_model_without_a_signature_gets_one() -> None:
    plan = make_plan(edge_parity.signed(float_net()))
    (signature,) = plan.model.signatures
    assert [*signature.inputs.values()] == [*plan.graph.inputs]


def test_it_is_compared_where_the_other_is_installed() -> None:
    pytest.importorskip("ai_edge_quantizer", reason="no test needs it")
    kind, what = edge_parity.verdict(load(bundled_models()["stm32f746_float32"]), "int8")
    assert (kind, "activation scale" in what) == ("operators", False), "its SHAPE reads a copy in float"


def test_without_the_other_it_says_what_to_install(tmp_path: Path) -> None:
    if _has_the_other():
        pytest.skip("it is installed")
    (tmp_path / "x_float32.tflite").write_bytes(bundled_models()["stm32f746_float32"].read_bytes())
    tool = Path(edge_parity.__file__)
    done = subprocess.run([sys.executable, tool, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "pip install ai-edge-quantizer" in done.stderr


def _has_the_other() -> bool:
    try:
        import ai_edge_quantizer  # noqa: F401
    except ImportError:
        return False
    return True
