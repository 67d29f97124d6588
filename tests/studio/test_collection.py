"""Drawings that are kept: the folder, and what the page asks of it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refengine.commands import main
from refengine.errors import InputError
from refengine.studio import collection as module
from refengine.studio.collection import ARCHIVE, IDX, Collection
from refengine.studio.studio import Studio
from refengine.tensors.datasets import bundled_digits, load_mnist
from tests.studio.conftest import Client, served

NETWORK = "stm32f746_int8"
IMAGES, LABELS = bundled_digits()
TEN = range(0, 100, 10)


@pytest.mark.slow
def test_ten_drawings_are_data_for_evaluate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the page's calls, and then by the command line, from the folder and from the archive."""
    folder = tmp_path / "kept"
    with served(Studio(keep=folder)) as client:
        assert client.get("call/kept", {"network": NETWORK}).json()["count"] == 0 and not folder.exists()
        for n in TEN:
            label = int(LABELS[n]) if n else 9  # one of them is not what it is said to be
            told = client.get("call/keep", {"network": NETWORK, "sample": n, "label": label}).json()
        assert (told["count"], told["correct"], told["fits"]) == (10, 9, "")
        wrong = [each["place"] for each in told["drawings"] if each["answer"] != each["label"]]
        assert wrong == [0]
        with np.load(io.BytesIO(client.get("call/download").content)) as archive:
            assert np.array_equal(archive["x"], IMAGES[TEN]) and archive["y"][1:].tolist() == LABELS[TEN][1:].tolist()
        images, labels = load_mnist(folder)
        assert np.array_equal(images, IMAGES[TEN]) and labels.tolist() == archive_labels(folder)
    for data in (folder, folder / ARCHIVE):
        capsys.readouterr()
        assert main(["evaluate", NETWORK, "--data", str(data), "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["images"], told["correct"]) == (10, 9)


def test_the_page_names_the_command_as_it_is_found_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    script = tmp_path / ".venv" / "bin" / "refengine"
    script.parent.mkdir(parents=True)
    script.touch()
    with served(Studio(keep="kept")) as client:

        def named() -> str:
            told: str = client.get("call/kept", {"network": NETWORK}).json()["command"]
            return told

        monkeypatch.setattr("sys.executable", str(script.with_name("python")))
        monkeypatch.setattr("shutil.which", lambda name: None)
        assert named() == ".venv/bin/refengine"
        monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
        assert named() == "refengine"


def archive_labels(folder: Path) -> list[int]:
    with np.load(folder / ARCHIVE) as archive:
        found: list[int] = archive["y"].tolist()
        return found


def test_a_folder_is_gone_on_with_and_drawings_are_forgotten(tmp_path: Path) -> None:
    one = Collection(tmp_path)
    for n in TEN[:3]:
        one.keep(IMAGES[n], int(LABELS[n]))
    two = Collection(tmp_path)
    two.forget(1)
    assert two.held[1].tolist() == archive_labels(tmp_path) == [LABELS[0], LABELS[20]]
    two.forget(1)
    two.forget(0)
    assert len(Collection(tmp_path)) == 0 and not [*tmp_path.iterdir()]
    with pytest.raises(InputError, match="no drawing 0; 0 are kept"):
        two.forget(0)


def test_pictures_of_another_size_have_another_folder(tmp_path: Path) -> None:
    kept = Collection(tmp_path)
    kept.keep(np.zeros((32, 40, 3), np.uint8), 1)
    assert not (tmp_path / IDX[0]).exists(), "MNIST's files hold pictures of its size only"
    with pytest.raises(InputError, match="holds pictures of 32×40×3, and this one has 28×28"):
        kept.keep(IMAGES[0], 0)
    assert len(Collection(tmp_path)) == 1


def test_there_are_not_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    kept = Collection(tmp_path)
    kept.keep(IMAGES[0], 0)
    kept.keep(IMAGES[1], 1)
    with pytest.raises(InputError, match="holds 2 drawings"):
        kept.keep(IMAGES[2], 2)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / ARCHIVE, x=np.zeros((2, 5), np.float32), y=np.zeros(2, np.int64))
    with pytest.raises(InputError, match="holds no pictures of the studio's"):
        Collection(tmp_path)
    mnist = tmp_path / "mnist"
    mnist.mkdir()
    (mnist / IDX[0]).write_bytes(b"somebody else's")
    with pytest.raises(InputError, match="holds MNIST's files, which are not the studio's"):
        Collection(mnist)
    (tmp_path / ARCHIVE).write_bytes(b"no archive")
    with pytest.raises(InputError, match=ARCHIVE):
        Collection(tmp_path)


@pytest.mark.parametrize(
    ("call", "asked", "why"),
    [
        ("keep", {"sample": 1, "label": 10}, "there is no class 10"),
        ("keep", {"noise": 1, "label": 1}, "this is no picture"),
        ("keep", {"label": 1}, "nothing drawn"),
        ("forget", {"place": 5}, "there is no drawing 5"),
        ("download", {}, "nothing is kept yet"),
    ],
)
def test_what_cannot_be_kept_is_said(tmp_path: Path, call: str, asked: dict[str, Any], why: str) -> None:
    with served(Studio(keep=tmp_path / "kept")) as client:
        response = client.get(f"call/{call}", {"network": NETWORK, **asked})
        assert response.status == 400 and why in response.json()["error"]


def test_a_folder_that_cannot_be_written_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with served(Studio(keep=tmp_path / "file" / "kept")) as client:
        response = client.get("call/keep", {"network": NETWORK, "sample": 1, "label": 1})
        assert response.status == 400 and "file" in response.json()["error"]
        assert client.get("call/kept", {"network": NETWORK}).json()["count"] == 0


def test_a_network_that_reads_other_pictures_says_so(tmp_path: Path) -> None:
    Collection(tmp_path).keep(np.zeros((32, 40, 3), np.uint8), 1)
    with served(Studio(keep=tmp_path)) as client:
        told = client.get("call/kept", {"network": NETWORK}).json()
    assert told["count"] == 1 and "takes pictures of 28×28×1" in told["fits"] and told["correct"] is None


def test_drawings_are_kept_as_the_network_sees_them(client: Client, tmp_path: Path) -> None:
    seven = Path(__file__).parents[1] / "data" / "seven.png"
    with served(Studio(keep=tmp_path)) as client:
        asked = {"network": NETWORK, "digit": 1, "name": "7.png", "label": 7}
        assert client.post("call/keep", asked, seven.read_bytes()).json()["correct"] == 1
    from refengine import prepare_digit
    from refengine.tensors.images import open_picture

    assert np.array_equal(Collection(tmp_path).held[0][0], prepare_digit(np.asarray(open_picture(str(seven), 1))))
