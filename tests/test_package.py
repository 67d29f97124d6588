"""The wheel, built from the tree and installed away from it: data included, nothing of the checkout needed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest

import refengine
from refengine.bundled import DATA, bundled_models

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def elsewhere(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of a new environment with the wheel, which borrows the dependencies from this one: no downloads."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False, symlinks=True)
    scripts = folder / ("Scripts" if sys.platform == "win32" else "bin")
    pip = [sys.executable, "-m", "pip", "--quiet", "--python", str(scripts / "python")]
    subprocess.run([*pip, "install", "--no-index", "--no-deps", str(wheel)], check=True)
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = subprocess.check_output([scripts / "python", "-c", where], text=True).strip()
    borrowed = {sysconfig.get_path(kind) for kind in ("purelib", "platlib")}
    Path(site, "dependencies.pth").write_text("\n".join(sorted(borrowed)))
    return scripts


def test_the_wheel_holds_the_package_and_copies_of_the_firmware(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    held = {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}
    sources = (*files(ROOT / "refengine"), ROOT / "pytest_refengine.py", ROOT / "refengine_command.py")
    own = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in sources}
    firmware = {path.read_bytes() for path in files(ROOT / "firmware")}
    assert {f"refengine/data/{path.name}" for path in DATA.iterdir()} <= held.keys()
    assert {name: held[name] for name in own} == own
    assert [name for name in held.keys() - own.keys() if held[name] not in firmware] == []


def files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def test_the_wheel_says_who_it_is(wheel: Path) -> None:
    files = zipfile.ZipFile(wheel)
    (metadata,) = [files.read(name).decode() for name in files.namelist() if name.endswith(".dist-info/METADATA")]
    assert f"\nVersion: {refengine.__version__}\n" in metadata
    assert "\nLicense-Expression: Apache-2.0\n" in metadata
    assert "\nRequires-Python: >=3.10\n" in metadata
    assert any(name.endswith("licenses/LICENSE") for name in files.namelist())


def test_pytest_finds_the_plugin_where_the_wheel_is_installed(elsewhere: Path, tmp_path: Path) -> None:
    call = 'refengine_golden("stm32f746_int8", np.zeros((1, 28, 28, 1), np.int8))'
    (tmp_path / "test_it.py").write_text(f"import numpy as np\n\ndef test_it(refengine_golden):\n    {call}\n")
    pytest = [str(elsewhere / "python"), "-m", "pytest", "-q"]
    found = [subprocess.run([*pytest, *more], cwd=tmp_path).returncode for more in ((), ("--refengine-update",), ())]
    assert found == [1, 0, 0]


def test_the_demo_runs_away_from_the_checkout(elsewhere: Path, tmp_path: Path) -> None:
    printed = subprocess.check_output([elsewhere / "refengine", "demo"], cwd=tmp_path, text=True, encoding="utf-8")
    assert all(name.rsplit("_", 1)[0] in printed for name in bundled_models())


def test_the_header_for_those_who_run_tflm_is_there_away_from_the_checkout(elsewhere: Path, tmp_path: Path) -> None:
    printed = subprocess.check_output([elsewhere / "refengine", "diff", "--tap"], cwd=tmp_path, text=True)
    assert printed == (ROOT / "firmware/tflm/refengine_tap.h").read_text()


def test_it_runs_models_away_from_the_checkout(elsewhere: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((1, 28, 28, 1), np.int8))
    command = [str(elsewhere / "refengine"), "run", "stm32f746_int8", "--input", "x.npy", "--json"]
    (result,) = json.loads(subprocess.check_output(command, cwd=tmp_path))["results"]
    expected = refengine.run(bundled_models()["stm32f746_int8"], np.zeros((1, 28, 28, 1), np.int8))[0]
    assert result["outputs"][0]["values"] == expected[0].tolist()


def test_the_studio_opens_away_from_the_checkout(elsewhere: Path, tmp_path: Path) -> None:
    command = [str(elsewhere / "refengine"), "studio", "--no-browser"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, encoding="utf-8")
    try:
        assert process.stdout is not None
        address = process.stdout.readline().split()[-1]
        for name in ("", "studio.js", "studio.css", "call/answer?network=dense_int8&sample=7"):
            with urlopen(address + name) as page:
                assert page.status == 200 and page.read()
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert process.returncode == 0 and not [*tmp_path.iterdir()]


def test_it_is_the_wheel_that_runs_and_brings_no_more_than_it_needs(elsewhere: Path, tmp_path: Path) -> None:
    code = "import refengine, sys; print(refengine.__file__, *sorted({name.split('.')[0] for name in sys.modules}))"
    path, *names = subprocess.check_output([elsewhere / "python", "-c", code], cwd=tmp_path, text=True).split()
    assert Path(path).is_relative_to(elsewhere.parent)
    unwanted = {
        "PIL",
        "rich",
        "hypothesis",
        "pytest",
        "tensorflow",
        "tflite_micro",
        "ai_edge_litert",
        "asyncio",
        "serial",
        "starlette",
        "uvicorn",
    }
    assert not unwanted & {*names}


def test_the_strategies_are_there_once_somebody_asks_and_say_what_they_need() -> None:
    for hidden, script in (
        ("", "import refengine; print(refengine.strategies.models.__name__)"),
        ("importlib.util.find_spec = lambda name: None; ", "from refengine import strategies"),
    ):
        done = subprocess.run(
            [sys.executable, "-c", f"import importlib.util; {hidden}{script}"], cwd=ROOT, capture_output=True, text=True
        )
        told = "ModuleNotFoundError: refengine.strategies draws with Hypothesis: pip install hypothesis"
        assert (told in done.stderr) if hidden else (done.stdout == "models\n")
