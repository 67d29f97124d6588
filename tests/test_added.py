"""tools/added.py: digits of one's own among those to train on."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from added import with_added

from refengine import InputError
from refengine.studio.collection import ARCHIVE, Collection
from refengine.tensors.datasets import bundled_digits

IMAGES, LABELS = bundled_digits()


@pytest.mark.parametrize("file", ["", ARCHIVE])
def test_what_the_studio_keeps_is_trained_on(tmp_path: Path, file: str) -> None:
    kept = Collection(tmp_path)
    for n in (7, 42):
        kept.keep(IMAGES[n], int(LABELS[n]))
    images, labels = with_added(IMAGES[:5], LABELS[:5], [str(tmp_path / file)], 3)
    assert images.dtype == labels.dtype == np.uint8
    assert np.array_equal(images, IMAGES[[0, 1, 2, 3, 4, 7, 7, 7, 42, 42, 42]])
    assert labels.tolist() == LABELS[[0, 1, 2, 3, 4, 7, 7, 7, 42, 42, 42]].tolist()


def test_nothing_added_changes_nothing() -> None:
    images, labels = with_added(IMAGES, LABELS, [], 50)
    assert images is IMAGES and labels is LABELS


@pytest.mark.parametrize(
    ("x", "y", "why"),
    [
        (np.zeros((2, 8, 8), np.uint8), [1, 2], "uint8 .2, 8, 8.; digits to train on"),
        (np.zeros((2, 28, 28), np.float32), [1, 2], "float32"),
        (np.zeros((2, 28, 28), np.uint8), [1, 10], "holds the classes 1 to 10"),
    ],
)
def test_what_is_no_digit_is_refused(tmp_path: Path, x: np.ndarray, y: list[int], why: str) -> None:
    np.savez(tmp_path / "x.npz", x=x, y=np.array(y))
    with pytest.raises(InputError, match=why):
        with_added(IMAGES, LABELS, [str(tmp_path / "x.npz")], 1)


def test_without_tensorflow_the_training_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(SystemExit, match=r"needs keras, of the extra `train`: .* -m pip install -e '\.\[train\]'$"):
        runpy.run_path(str(Path(__file__).parents[1] / "tools" / "train.py"))
