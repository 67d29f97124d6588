"""The lessons: notebooks that run from the first cell to the last, and a command that brings them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from refengine.commands import main
from refengine.lessons import FILES, LESSONS, notebook, write_lessons

QUICK = ("2-codes", "4-convolution")
"""Run by `make test`; the others take longer."""

ROOT = Path(__file__).parents[2]


def cells(name: str, kind: str) -> list[str]:
    """The sources of a lesson's cells of that kind, its answers among them."""
    return [source for each, source in sources(answered(name)) if each == kind]


def answered(name: str) -> dict[str, Any]:
    """The notebook of a lesson with its answers as cells to run."""
    return notebook(LESSONS[name].read_text(encoding="utf-8"), folded=False)


def sources(book: dict[str, Any]) -> list[tuple[str, str]]:
    return [(cell["cell_type"], "".join(cell["source"])) for cell in book["cells"]]


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.long) for n in LESSONS])
def test_a_lesson_runs_and_what_it_asserts_holds(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    write_lessons(tmp_path)
    nbformat.validate(nbformat.read(tmp_path / f"{name}.ipynb", as_version=4))
    book = nbformat.reads(json.dumps(answered(name)), as_version=4)
    nbclient.NotebookClient(book, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    assert any("image/png" in output.get("data", ()) for output in outputs), "a lesson shows a plot"


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_asks_first_and_has_short_cells_exercises_and_answers(name: str) -> None:
    text, code = cells(name, "markdown"), cells(name, "code")
    assert text[0].startswith(f"# {name[0]} · ") and "**The question.**" in text[0]
    assert sum("**Predict:**" in cell for cell in text) >= 2
    assert [cell.partition("\n")[0] for cell in text if cell[:3] == "## "][-2:] == ["## Exercises", "## Answers"]
    assert code.count("# your turn") == 1
    assert any("assert " in cell for cell in code)
    assert max(len(cell.splitlines()) for cell in code) <= 25


@pytest.mark.parametrize("name", LESSONS)
def test_the_answers_are_folded_and_all_there(name: str) -> None:
    """HTML around Markdown, as JupyterLab 4, Notebook 7 and nbconvert show it, without anything installed for it."""
    folded = sources(notebook(LESSONS[name].read_text(encoding="utf-8")))
    start = [source.startswith("## Answers\n\nTry first") for _, source in folded].index(True)
    _, exercises = next(cell for cell in folded if cell[1].startswith("## Exercises"))
    answers = folded[start + 1 :]
    assert folded[start - 1] == ("code", "# your turn")
    assert len(answers) == len(re.findall(r"^\d\. ", exercises, re.MULTILINE)) >= 3
    for i, (kind, source) in enumerate(answers, start=1):
        assert kind == "markdown" and source.startswith(f"<details>\n<summary><b>Answer {i}</b></summary>\n\n")
        assert source.endswith("\n\n</details>") and source.count("```python\n") == source.count("\n```\n") >= 1
    unfolded = [source for kind, source in sources(answered(name))[start + 1 :] if kind == "code"]
    assert unfolded and all(any(code in source for _, source in answers) for code in unfolded)


def test_the_code_of_the_lessons_is_as_clean_as_ours(tmp_path: Path) -> None:
    for name in LESSONS:
        (tmp_path / f"{name}.ipynb").write_text(json.dumps(answered(name)), encoding="utf-8")
    ruff = [sys.executable, "-m", "ruff"]
    config = ["--config", str(ROOT / "pyproject.toml"), "--no-cache", str(tmp_path)]
    found = [
        subprocess.run([*ruff, *words, *config], capture_output=True, text=True)
        for words in (["check", "--extend-ignore", "B018,E402,RUF005"], ["format", "--check"])
    ]
    assert [done.returncode for done in found] == [0, 0], found


def test_a_text_becomes_cells_at_its_headings_and_code() -> None:
    book = notebook("# One\nwords\n\n## Two\nmore\n\n```python\nx = 1  # no heading\n# nor this\nx\n```\n\nthe end\n")
    assert sources(book) == [
        ("markdown", "# One\nwords"),
        ("markdown", "## Two\nmore"),
        ("code", "x = 1  # no heading\n# nor this\nx"),
        ("markdown", "the end"),
    ]
    assert all("outputs" not in cell or cell["outputs"] == [] for cell in book["cells"])


def test_the_command_writes_every_lesson_and_keeps_what_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, mine = tmp_path / "course", json.dumps({"cells": ["my answers"]})
    assert main(["lessons", str(folder), "--copy"]) == 0
    assert {path.name for path in folder.iterdir()} == {f"{n}.ipynb" for n in LESSONS} | {f.name for f in FILES}
    first, second = (folder / f"{name}.ipynb" for name in list(LESSONS)[:2])
    first.write_text(mine)
    second.unlink()
    assert main(["lessons", str(folder), "--copy"]) == 0
    assert first.read_text() == mine and second.exists()
    assert f"1 file written, {len(LESSONS) + len(FILES) - 1} were there and stay" in capsys.readouterr().out


def test_without_jupyter_the_command_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("refengine.commands.lessons.find_spec", lambda name: None)
    assert main(["lessons", str(tmp_path)]) == 0
    assert "pip install 'refengine[lessons]'" in capsys.readouterr().out


JUPYTER = """
import signal, sys, time
asked = []
def ask(number, frame):
    asked.append(number)  # first: the next signal may come at once
    print("asked" if len(asked) == 1 else "ended", flush=True)
    if len(asked) == 2:
        sys.exit(0)
signal.signal(signal.SIGINT, ask)
print("opened", *sys.argv[1:], flush=True)
while True:
    time.sleep(0.1)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals to a group are POSIX's")
def test_the_command_opens_jupyter_which_is_asked_by_ctrl_c_whether_it_shall_end(tmp_path: Path) -> None:
    for name in ("jupyterlab", "notebook"):
        (tmp_path / f"{name}.py").write_text(JUPYTER)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    words = [sys.executable, "-m", "refengine", "lessons", "course"]
    with subprocess.Popen(
        words, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        assert lines[-1] == "opened course/1-pixels.ipynb\n"
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout.readline() == "asked\n" and process.poll() is None
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout.read() == "ended\n"
        assert process.wait(10) == 0


def test_a_folder_that_cannot_be_is_an_error_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["lessons", str(tmp_path / "file"), "--copy"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
