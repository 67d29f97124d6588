"""Files: all of it or nothing, whatever happens while they are written; and every command writes them so."""

from __future__ import annotations

import ast
import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import refengine
from refengine.commands import main
from refengine.files import replacing, write, write_all, write_npy, write_npz

full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")


def test_a_file_is_replaced_with_its_mode_and_a_link_stays_one(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to("target")
    write(link, "new")
    assert link.is_symlink() and target.read_text() == "new" and stat.S_IMODE(target.stat().st_mode) == 0o640
    assert sorted(os.listdir(tmp_path)) == ["link", "target"]


def test_a_new_file_has_the_mode_of_any_other(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    write(tmp_path / "x", b"x")
    assert (tmp_path / "x").stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, ValueError])
def test_what_interrupts_leaves_everything_as_it_was(tmp_path: Path, error: type[BaseException]) -> None:
    (tmp_path / "x").write_text("precious")

    def interrupted(name: str) -> None:
        with replacing(tmp_path / name) as file:
            file.write(b"half")
            raise error

    for name in ("x", "y"):
        with pytest.raises(error):
            interrupted(name)
    assert os.listdir(tmp_path) == ["x"] and (tmp_path / "x").read_text() == "precious"


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    write(tmp_path / ("x" * 255), "x")
    assert os.listdir(tmp_path) == ["x" * 255]


def test_what_is_no_file_is_written_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor(1) as reader:
        ways: list[Callable[[Path], None]] = [
            lambda path: write(path, b"x"),
            lambda path: write_npy(path, np.arange(3)),
        ]
        for way in ways:
            read = reader.submit((tmp_path / "pipe").read_bytes)
            way(tmp_path / "pipe")
            assert read.result(10)
    assert (tmp_path / "pipe").is_fifo()


def test_standard_output_is_written_to_even_if_it_is_a_file(tmp_path: Path) -> None:
    program = "from refengine.files import write; write('/dev/stdout', 'one '); print('two')"
    with (tmp_path / "out").open("wb") as out:
        subprocess.run([sys.executable, "-c", program], stdout=out, check=True, env=os.environ)
    assert (tmp_path / "out").read_text() == "one two\n"


@full
@pytest.mark.parametrize("way", [
    lambda path: write(path, "x"),
    lambda path: write_npy(path, np.zeros(10_000)),
    lambda path: write_npz(path, {"x": np.zeros(10_000)}),
])  # fmt: skip
def test_a_full_disk_is_told_with_the_files_name(way: object) -> None:
    with pytest.raises(OSError, match="/dev/full") as caught:
        way("/dev/full")  # type: ignore[operator]
    assert caught.value.errno == errno.ENOSPC


def test_several_files_take_their_places_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(FileNotFoundError, match="none/c"):
        write_all({tmp_path / "a": "new", tmp_path / "b": "new", tmp_path / "none" / "c": "new"})
    assert os.listdir(tmp_path) == ["a"] and (tmp_path / "a").read_text() == "old"
    write_all({tmp_path / "a": "new", tmp_path / "b": b"new"})
    assert sorted(os.listdir(tmp_path)) == ["a", "b"] and (tmp_path / "a").read_text() == "new"


def test_npz_takes_any_name(tmp_path: Path) -> None:
    arrays = {"file": np.arange(3), "a/b": np.array("text"), "allow_pickle": np.float32(1) * np.ones((2, 2))}
    write_npz(tmp_path / "x.npz", arrays, compressed=True)
    with np.load(tmp_path / "x.npz") as found:
        assert found.files == [*arrays]
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[name], array)


def test_npy_and_npz_are_numpys_own(tmp_path: Path) -> None:
    array = np.arange(12, dtype=np.int16).reshape(3, 4).T
    write_npy(tmp_path / "a.npy", array)
    np.save(tmp_path / "b.npy", array)
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()
    write_npz(tmp_path / "a.npz", {"x": array})
    np.savez(tmp_path / "b.npz", x=array)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@pytest.mark.slow
def test_no_other_file_of_the_package_writes() -> None:
    ways = {"write_text", "write_bytes", "savez", "savez_compressed", "save", "savefig", "tofile", "open", "mkstemp"}
    found = set()
    for path in Path(refengine.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
                found |= {(path.name, called)} if called in ways else set()
    harmless = {
        ("__init__.py", "open"),  # of commands: os.devnull
        ("child.py", "open"),  # os.devnull
        ("doors.py", "write_bytes"),  # in a temporary folder of its own
        ("drawing.py", "save"),  # into what `replacing` gives
        ("files.py", "open"),
        ("fuzz.py", "save"),  # fuzz.save, which is in files.py
        ("server.py", "open"),  # a line to a server
        ("collection.py", "savez_compressed"),  # into memory
        ("comparison.py", "write_bytes"),  # in a temporary folder of its own
        ("drawings.py", "write_bytes"),  # the same
        ("failing.py", "write_bytes"),  # the same
        ("serving.py", "open"),  # a page in the browser
        ("_validate.py", "save"),  # Recording.save
        ("device.py", "save"),  # the same
        ("pictures.py", "save"),  # into what `replacing` gives
        ("plots.py", "savefig"),  # the same
    }
    readers = {(name, "open") for name in ("arrays.py", "images.py", "datasets.py", "pad.py", "reader.py")}
    assert found <= harmless | readers, found - harmless - readers


X = "{}/x.npy"
WRITERS = [
    ["quantize", "stm32f746_float32", "--data", "{}/f.npy", "-o", "{}/out"],
    ["export", "dense_int8", "-o", "{}/folder"],
    ["export", "dense_int8", "-o", "{}/folder", "--array"],
    ["explain", "dense_int8", "--input", X, "--op", "4", "--at", "0,0", "--html", "{}/out"],
    ["diff", "dense_int8", "{}/all.npz", "--html", "{}/out"],
    ["health", "dense_int8", "--limit", "1", "--plots", "{}/folder"],
    ["debug", "dense_int8", "--input", X, "--command", "save 0 {}/out.npy"],
    ["debug", "dense_int8", "--input", X, "--command", "save 0 {}/out.png"],
    ["debug", "dense_int8", "--input", X, "--command", "save all {}/out.npz"],
    ["fuzz", "--command", "false {model} {outputs}", "--operator", "RELU", "--type", "int8", "--cases", "1", "--save",
     "{}/folder"],
]  # fmt: skip


@pytest.mark.parametrize("command", WRITERS, ids=lambda command: f"{command[0]} {command[-1].replace('{}/', '')}")
def test_a_command_whose_disk_is_full_leaves_nothing_and_says_where(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "x.npy", np.zeros((1, 28, 28, 1), np.int8))
    np.save(tmp_path / "f.npy", np.zeros((2, 28, 28, 1), np.float32))
    save = ["debug", "dense_int8", "--input", str(tmp_path / "x.npy"), "--command", f"save all {tmp_path}/all.npz"]
    assert main(save) == 0
    (tmp_path / "folder").mkdir()
    for name in ("out", "out.npy", "out.png", "out.npz"):
        (tmp_path / name).write_text("precious")
    before = {path: path.read_bytes() if path.is_file() else b"" for path in tmp_path.rglob("*")}
    capsys.readouterr()

    def refuse(*paths: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    main([word.replace("{}", str(tmp_path)) for word in command])
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1
    assert errors[0].startswith(f"refengine: {tmp_path}/") and errors[0].endswith(": No space left on device")
    assert {path: path.read_bytes() if path.is_file() else b"" for path in tmp_path.rglob("*")} == before
