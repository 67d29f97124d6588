"""refengine/commands/completion.py: scripts that real shells complete by."""

from __future__ import annotations

import builtins
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from refengine.bundled import bundled_models
from refengine.commands import main
from refengine.commands.completion import SHELLS

BASH = """
source {script}
words=({line}"$1")
COMP_WORDS=("${{words[@]}}") COMP_CWORD=$((${{#words[@]}} - 1))
_shtab_refengine refengine "$1"
printf '%s\\n' "${{COMPREPLY[@]}}"
"""

TYPED = [
    ("refengine ", "he", {"health"}),
    ("refengine run ", "esp", {"esp32_int16x8", "esp32_int8"}),
    ("refengine run dense_int8 ", "--tr", {"--trace"}),
    ("refengine run dense_int8 --task ", "seg", {"segmentation"}),
    ("refengine inspect dense_int8 --numerics ", "cortex-m3", {"cortex-m3"}),
    ("refengine manual ", "glo", {"glossary"}),
    ("refengine device ", "rec", {"record"}),
]
"""A line so far, the word that is typed, and all that it may become."""


def script(shell: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    pytest.importorskip("shtab", reason="the extra `completion` is not installed")
    assert main(["completion", shell]) == 0
    path = folder / f"refengine.{shell}"
    path.write_text(capsys.readouterr().out)
    return path


@pytest.mark.parametrize(("line", "word", "wanted"), TYPED)
def test_bash_completes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, word: str, wanted: set[str]
) -> None:
    code = BASH.format(script=script("bash", tmp_path, capsys), line=line)
    done = subprocess.run(["bash", "-c", code, "-", word], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert {*done.stdout.split()} == wanted and done.stderr == ""


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish_completes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = script("fish", tmp_path, capsys)
    for line, word, wanted in TYPED:
        call = ["fish", "-c", f"source {path}; complete -C '{line}{word}'"]
        done = subprocess.run(call, capture_output=True, text=True, cwd=tmp_path, check=True)
        assert {each.partition("\t")[0] for each in done.stdout.splitlines()} == wanted


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh_reads_its_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    subprocess.run(["zsh", "-n", script("zsh", tmp_path, capsys)], check=True)


@pytest.mark.parametrize("shell", SHELLS)
def test_every_network_is_known_to_every_script(shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = script(shell, tmp_path, capsys).read_text()
    assert all(name in text for name in bundled_models())


def test_without_shtab_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    imported = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "shtab":
            raise ImportError(name)
        return imported(name, *rest)

    monkeypatch.delitem(sys.modules, "shtab", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    assert main(["completion", "bash"]) == 2
    assert capsys.readouterr().err == "refengine: completion needs shtab: pip install 'refengine[completion]'\n"
