"""`refengine fuzz`, as its users call it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from refengine.commands import main
from refengine.fuzzer.files import EXAMPLE, HEADER, SERVER

needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")

KERNELS = """
import numpy as np
def sound(case):
    return case.expected if case.op == "RELU" else None
def single(case):
    from refengine.kernel import PRESETS
    return case.changed(numerics=PRESETS["single"]).expected
def forgetful(case):
    return case.results if case.before is None else case.expected ^ np.int8(1)
def flat(case):
    return case.expected ^ np.int8(1) if case.expected.ndim == 1 else case.expected
def wrong(case):
    return np.where(case.expected == 1, 2, case.expected).astype(case.expected.dtype)
"""


@pytest.fixture(autouse=True)
def kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("fuzz_test_kernels.py").write_text(KERNELS)


def fuzz(*arguments: str) -> int:
    return main(["fuzz", *arguments])


def test_the_header_and_the_example_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert fuzz("--header") == 0
    assert capsys.readouterr().out == HEADER.read_text(encoding="utf-8")
    for option, file in (("--example", EXAMPLE), ("--server", SERVER)):
        assert fuzz(option) == 0
        assert capsys.readouterr().out == file.read_text(encoding="utf-8")


def test_sound_kernels_exit_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--operator", "RELU", "RELU6", "--type", "int8", "--cases", "120")
    assert fuzz("--callable", "fuzz_test_kernels:sound", *arguments) == 0
    out = capsys.readouterr().out
    assert re.search(r"RELU +int8 +120 +0", out) and "RELU6 " not in out
    assert out.endswith("120 cases of 1 operator and type: all equal, bit for bit; 1 more is not claimed\n")


def test_kernels_that_claim_nothing_exit_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert fuzz("--callable", "fuzz_test_kernels:sound", "--operator", "RELU6", "--type", "int8") == 2
    assert capsys.readouterr().out.endswith("the kernels claim none of the operators and types tried (1)\n")


@pytest.mark.slow
def test_wrong_ones_exit_with_1_are_told_and_saved(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--operator", "RELU", "--type", "int8", "--save", "found")
    assert fuzz("--callable", "fuzz_test_kernels:wrong", *arguments) == 1
    out = capsys.readouterr().out
    assert "RELU int8 differs: no dialect and no known fault explains" in out and "a bug" in out
    assert "is 2 where 1 is right" in out and "how a sound kernel comes to its value there:" in out
    again = next(line for line in out.splitlines() if "--replay" in line).split()[1:]
    assert again[-2:] == ["--replay", "found/RELU-int8.tflite"]
    assert main(again) == 1
    assert "is 2 where 1 is right" in capsys.readouterr().out
    assert fuzz("--callable", "fuzz_test_kernels:sound", "--replay", "found/RELU-int8.tflite") == 0
    assert capsys.readouterr().out.endswith("\n1 case of 1 operator and type: all equal, bit for bit\n")


@pytest.mark.slow
def test_a_dialect_is_named_and_may_be_claimed(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--callable", "fuzz_test_kernels:single", "--operator", "CONV_2D", "--type", "int8")
    assert fuzz(*arguments, "--findings", "1") == 1
    assert "vanish under single rounding: certain" in capsys.readouterr().out
    assert fuzz(*arguments, "--numerics", "single", "--cases", "100") == 0


@pytest.mark.slow
def test_a_stream_is_saved_and_replayed(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--operator", "SVDF", "--type", "int8", "--cases", "60", "--findings", "1", "--save", "found")
    assert fuzz("--callable", "fuzz_test_kernels:forgetful", *arguments) == 1
    out = capsys.readouterr().out
    assert re.search(r"inference [2-5] of a stream", out)
    again = next(line for line in out.splitlines() if "--replay" in line).split()[1:]
    assert main(again) == 1
    assert re.search(r"inference [2-5] of a stream", capsys.readouterr().out)


@pytest.mark.slow
def test_what_is_known_is_excluded(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--callable", "fuzz_test_kernels:flat", "--operator", "RELU6", "--type", "int8", "--cases", "40")
    assert fuzz(*arguments, "--exclude", "an input of 1 dimensions", "--spec") == 0
    assert re.search(r"RELU6 +int8 +40 +[1-9]", capsys.readouterr().out)
    assert fuzz(*arguments, "--findings", "1") == 1
    capsys.readouterr()
    assert fuzz(*arguments, "--exclude", "a bias of the input") == 1
    assert capsys.readouterr().out.endswith("nothing was excluded: no case had 'a bias of the input'\n")


@pytest.mark.slow
def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert fuzz("--callable", "fuzz_test_kernels:single", "--operator", "ADD", "--type", "int8", "--json") == 1
    told = json.loads(capsys.readouterr().out)
    (result,) = told["results"]
    assert (told["seed"], told["interrupted"], result["operator"], result["type"]) == (0, False, "ADD", "int8")
    (finding,) = result["findings"]
    assert finding["reason"]["how"] == "under single rounding" and finding["certainty"] == "certain"
    assert finding["got"] != finding["expected"] and result["rest"] + result["aside"] == 1000 and result["rest"] > 600


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((), "fuzz needs --library FILE, --callable MODULE:FUNCTION, --command COMMAND, --emulator COMMAND"),
        (("--library", "nothing.so"), "nothing.so: no such file"),
        (("--port", "socket://localhost:1", "--jobs", "2"), "leads to one board; leave out --jobs and --scheduler"),
        (("--emulator", "nosuchserver"), "nosuchserver cannot be used: No such file"),
        (("--callable", "nothing:kernel"), "nothing:kernel cannot be imported as module:function"),
        (("--callable", "math"), "'math' names no callable; give it as module:function"),
        (("--command", "kernel"), "the command 'kernel' must contain {model} and {outputs}"),
        (("--callable", "fuzz_test_kernels:sound", "--operator", "CONV"), "no golden kernel for the operator 'CONV'"),
        (("--callable", "fuzz_test_kernels:sound", "--cases", "0"), "'0' is no positive number"),
        (
            ("--callable", "fuzz_test_kernels:sound", "--replay", "nothing.tflite"),
            "nothing.tflite: no such file, and no bundled network (dense128_int16x8",
        ),
        (("--library", "a.so", "--callable", "a:b"), "not allowed with"),
    ],
)
def test_errors_are_one_line(arguments: tuple[str, ...], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status = fuzz(*arguments)
    except SystemExit as error:
        status = int(str(error.code))
    err = capsys.readouterr().err
    assert status == 2 and why in err and err.count("\n") == 1


def test_ctrl_c_shows_what_was_done(capsys: pytest.CaptureFixture[str]) -> None:
    Path("interrupting_kernels.py").write_text(
        "calls = 0\n"
        "def kernel(case):\n"
        "    global calls\n"
        "    calls += 1\n"
        "    if calls == 300: raise KeyboardInterrupt\n"
        "    return case.expected\n"
    )
    assert fuzz("--callable", "interrupting_kernels:kernel", "--operator", "RELU", "--type", "int8") == 130
    assert "interrupted; until then, 250 cases of 1 operator and type: all equal" in capsys.readouterr().out


@pytest.mark.slow
@needs_cc
def test_the_readme_s_kernel_speaks_another_dialect(capsys: pytest.CaptureFixture[str]) -> None:
    source = Path(__file__).parents[1] / "data" / "dense.c"
    flags = ["-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-O2", f"-I{HEADER.parent}"]
    subprocess.run(["cc", *flags, str(source), "-o", "libdense.so"], check=True)
    chosen = ("--library", "./libdense.so", "--operator", "FULLY_CONNECTED", "--type", "int8")
    assert fuzz(*chosen) == 1
    out = capsys.readouterr().out
    assert "vanish under single rounding" in out and "input 0   int8 1×1 " in out
    assert fuzz(*chosen, "--numerics", "single", "--cases", "250") == 0


@pytest.mark.slow
@needs_cc
def test_the_readme_of_the_header_works(capsys: pytest.CaptureFixture[str]) -> None:
    """The commands in the comment of the example, and a case of a wrong one as a C test."""
    fuzz("--header")
    Path("refengine_fuzz.h").write_text(capsys.readouterr().out)
    fuzz("--example")
    text = capsys.readouterr().out
    Path("right.c").write_text(text)
    Path("wrong.c").write_text(text.replace("output_offset;", "output_offset + (acc > 100);"))
    for name in ("right", "wrong"):
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", f"{name}.c", "-o", f"lib{name}.so"], check=True)
    chosen = ("--operator", "FULLY_CONNECTED", "--type", "int8", "--findings", "1")
    assert fuzz("--library", "./libright.so", *chosen) == 0
    assert fuzz("--library", "libwrong.so", *chosen, "--jobs", "2", "--save", "found") == 1
    out = capsys.readouterr().out
    assert "wrong in FULLY_CONNECTED int8" in out
    build, run = next(line.strip() for line in out.splitlines() if line.strip().startswith("cc ")).split(" && ")
    subprocess.run(build.split(), check=True)
    assert subprocess.run([run], env={"LD_LIBRARY_PATH": "."}).returncode == 1
