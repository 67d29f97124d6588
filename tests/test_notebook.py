"""A notebook, run as Jupyter runs it: what refengine answers shows itself as a table, and nothing writes to stderr."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
pytest.importorskip("ipykernel", reason="ipykernel is not installed")

SETUP = """
import numpy as np, refengine
x = np.arange(784, dtype=np.int16).astype(np.int8).reshape(1, 28, 28, 1)
plan = refengine.make_plan("stm32f746_int8")
first, *_, last = refengine.execute(plan, x)
np.savez("dump.npz", t25=last.outputs[0] ^ 1, t14=first.outputs[0])
"""
TABLES = {
    "plan": "SOFTMAX",
    "first": '<img alt="the first maps"',
    "refengine.explain(plan, last, (0, 3))": "exponential",
    "refengine.inspect(plan.model)": "multiply-accumulates",
    "refengine.diff(plan, 'dump.npz', x)": "CULPRIT",
    "[*refengine.health(plan, [(x,)])][-1]": "SQNR dB",
}
TEXTS = {
    "refengine.Session(plan)": "<Session of main",
    "refengine.debug(plan, x, commands='until SOFTMAX')": "<Session at operator 11 (SOFTMAX)",
    "plan.model": "<Model ",
}


@pytest.mark.slow
def test_a_notebook_shows_what_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).parents[1]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    cells = [nbformat.v4.new_code_cell(source) for source in (SETUP, *TABLES, *TEXTS)]
    book = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(book, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [cell.outputs for cell in book.cells]
    assert not [output for each in outputs for output in each if output.get("name") == "stderr"]
    shown = [output.data for each in outputs for output in each if output.output_type == "execute_result"]
    for data, part in zip(shown, TABLES.values(), strict=False):
        assert part in data["text/html"] and len(data["text/html"]) < 40_000
    for data, part in zip(shown, (*[""] * len(TABLES), *TEXTS.values()), strict=True):
        assert part in data["text/plain"] and len(data["text/plain"]) < 400
