"""refengine/tasks/datasets.py: one's own data, in every form that is taken, and in none."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from refengine import InputError
from refengine.tasks.datasets import boxes, classes, left_out, mask_of, masks, without_truth
from refengine.tasks.detection import Truth
from refengine.tensors.datasets import bundled_digits


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def npz(path: Path, **arrays: Any) -> str:
    np.savez(path, **arrays)
    return str(path)


# ---- classes -------------------------------------------------------------------------------------------------


def test_a_folder_for_each_class(tmp_path: Path) -> None:
    for name in ("dog/b.png", "dog/deep/a.png", "cat/c.png", ".git/x", "cat/.hidden"):
        touch(tmp_path / name)
    data = classes(str(tmp_path))
    assert [Path(file).name for file in data.x] == ["c.png", "b.png", "a.png"]  # each class in turn
    assert (data.y.tolist(), data.names) == ([0, 1, 1], ("cat", "dog"))
    assert data.told == "classes are numbered in alphabetical order; --labels FILE sets it"
    named = classes(str(tmp_path), names=["bird", "dog", "cat"])
    assert (named.y.tolist(), named.names) == ([2, 1, 1], ("bird", "dog", "cat"))
    assert data.first(1).y.tolist() == [0]


def test_what_systems_leave_in_folders_is_no_data_and_other_strays_are_left_out_and_named(tmp_path: Path) -> None:
    for name in ("7/a.png", "7/Thumbs.db", "7/.DS_Store", "7/notes.txt", "0/desktop.ini", "0/b.npy", "x.csv"):
        touch(tmp_path / name)
    Image.new("L", (3, 3)).save(tmp_path / "7/pixels", "PNG")
    kept = [str(tmp_path / name) for name in ("0/b.npy", "7/a.png", "7/pixels")]
    found = classes(str(tmp_path))
    assert sorted(found.x) == kept == sorted(without_truth(str(tmp_path), "test", []))
    assert left_out(str(tmp_path)) == [tmp_path / "7/notes.txt"]


def test_folders_that_are_numbers_are_classes_themselves(tmp_path: Path) -> None:
    for name in ("10/a.png", "2/b.png"):
        touch(tmp_path / name)
    assert classes(str(tmp_path)).y.tolist() == [10, 2]


@pytest.mark.parametrize("headings", ["", "file,label\n"])
def test_lines_of_files_and_classes(tmp_path: Path, headings: str) -> None:
    touch(tmp_path / "a.png"), touch(tmp_path / "b.png")
    (tmp_path / "x.csv").write_text(headings + "a.png, yes\n\nb.png,no,more\n", encoding="utf-8-sig")
    data = classes(str(tmp_path / "x.csv"))
    assert ([Path(file).name for file in data.x], data.y.tolist()) == (["a.png", "b.png"], [1, 0])


@pytest.mark.parametrize(
    ("text", "x", "y"),
    [
        ("1.5,2,yes\n-1,0.25,no\n", [[1.5, 2], [-1, 0.25]], [1, 0]),
        ("a,b,label\n1,2,0\n3,4,1\n", [[1, 2], [3, 4]], [0, 1]),
        ("Label,a,b\n1,2,3\n0,4,5\n", [[2, 3], [4, 5]], [1, 0]),
        ("1.5;2;yes\n-1;0.25;no\n", [[1.5, 2], [-1, 0.25]], [1, 0]),
        ("a\tb\tlabel\n1\t2\t0\n", [[1, 2]], [0]),
    ],
)
def test_lines_of_numbers_and_a_class(tmp_path: Path, text: str, x: list[list[float]], y: list[int]) -> None:
    (tmp_path / "x.csv").write_text(text)
    data = classes(str(tmp_path / "x.csv"))
    assert isinstance(data.x, np.ndarray) and data.x.dtype == np.float32
    assert (data.x.tolist(), data.y.tolist()) == (x, y)
    assert np.array_equal(without_truth(str(tmp_path / "x.csv"), "test", ()), data.x)


def test_columns_of_pixels_are_pixels(tmp_path: Path) -> None:
    """As Kaggle has MNIST."""
    (tmp_path / "x.csv").write_text("label,pixel0,pixel1\n7,0,255\n")
    data = classes(str(tmp_path / "x.csv"))
    assert isinstance(data.x, np.ndarray) and data.x.dtype == np.uint8 and data.x.tolist() == [[0, 255]]
    (tmp_path / "x.csv").write_text("label,pixel0,pixel1\n7,0,nan\n")
    with pytest.raises(InputError, match="has pixels that are no whole numbers from 0 to 255"):
        classes(str(tmp_path / "x.csv"))


@pytest.mark.parametrize("line", ["1,2", "1,x,0", "1,2,3,0"])
def test_a_line_that_is_not_as_the_first_is_told_by_its_number(tmp_path: Path, line: str) -> None:
    (tmp_path / "x.csv").write_text(f"a,b,y\n1,2,0\n{line}\n")
    with pytest.raises(InputError, match=r"x\.csv: line 3 does not hold 2 numbers and a class"):
        classes(str(tmp_path / "x.csv"))


def test_arrays_with_labels(tmp_path: Path) -> None:
    data = classes(npz(tmp_path / "x.npz", x=np.zeros((3, 2)), y=np.array([[1.0], [0], [2]])))
    assert isinstance(data.x, np.ndarray) and data.x.shape == (3, 2) and data.y.tolist() == [1, 0, 2]


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"x": [1, 2]}, "holds x; data for this are x and y"),
        ({"x": [1, 2], "y": [1]}, r"holds x \(2,\) and y \(1,\)"),
        ({"x": np.zeros((0, 2)), "y": []}, "and some"),
        ({"x": [1, 2], "y": [0.5, 1]}, "expected the number of a class for each of the 2"),
        ({"x": [1, 2], "y": [np.nan, 1]}, "expected the number of a class"),
        ({"x": [1, 2], "y": ["a", "b"]}, "expected the number of a class"),
        ({"x": [1, 2], "y": [[1, 2], [3, 4]]}, "expected the number of a class"),
        ({"x": [1, 2], "y": [1e300, 1]}, "there are not so many"),
        ({"x": [1, 2], "y": [-(2**63), 1]}, "there are not so many"),
    ],
)
def test_arrays_without_are_refused(tmp_path: Path, arrays: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        classes(npz(tmp_path / "x.npz", **arrays))


def test_classes_that_are_not_among_the_names_are_refused(tmp_path: Path) -> None:
    touch(tmp_path / "frog/a.png")
    with pytest.raises(InputError, match=r"the class 'frog', which is not among the names: cat, dog"):
        classes(str(tmp_path), names=["cat", "dog"])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "holds no file"),
        ("a.png\n", "line 1 holds 1 value"),
        ('"a\0.png,b', "x.csv"),
        ("a,y\n1,2\n3,\n", "line 3 has no class"),
        ("a.png,cat\nb.png,\n", "line 2 has no class"),
    ],
)
def test_lines_that_say_nothing_are_refused(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(InputError, match=reason):
        classes(str(tmp_path / "x.csv"))


def test_the_word_digits_is_the_bundled_ones() -> None:
    assert classes("digits").y.tolist() == bundled_digits()[1].tolist()
    assert np.array_equal(without_truth("digits", "test", ()), bundled_digits()[0])


def test_without_the_truth_masks_and_what_tells_of_files_are_left_out(tmp_path: Path) -> None:
    for name in ("a.png", "a_mask.png", "b.png", "coco.json", "deep/c.png", "other/d.png", "deep/e.png"):
        touch(tmp_path / name)
    found = without_truth(str(tmp_path), "test", ())
    assert [str(Path(file).relative_to(tmp_path)) for file in found] == [
        *("a.png", "b.png"), *("deep/c.png", "other/d.png", "deep/e.png")
    ]  # fmt: skip


def test_an_archive_of_the_models_own_inputs_is_a_file_like_others(tmp_path: Path) -> None:
    path = npz(tmp_path / "x.npz", x=np.zeros((2, 3)), y=np.zeros(2))
    assert np.shape(without_truth(path, "test", ["input"])) == (2, 3)
    assert without_truth(path, "test", ["x", "y"]) == [path]


# ---- boxes ---------------------------------------------------------------------------------------------------

COCO: dict[str, Any] = {
    "images": [{"id": 7, "file_name": "a.png", "width": 200, "height": 100}],
    "annotations": [{"image_id": 7, "category_id": 3, "bbox": [20, 10, 40, 50], "iscrowd": 1}],
    "categories": [{"id": 3, "name": "cat"}],
}


def coco(folder: Path, told: Any) -> str:
    (folder / "truth.json").write_text(told if isinstance(told, str) else json.dumps(told))
    return str(folder)


def test_boxes_of_coco_are_parts_of_the_picture(tmp_path: Path) -> None:
    data = boxes(coco(tmp_path, COCO))
    assert data.items == [(str(tmp_path / "a.png"), [Truth(2, (0.1, 0.1, 0.6, 0.3), crowd=True)])]
    assert data.names == {2: "cat"}
    assert boxes(str(tmp_path / "truth.json"), first=0).items[0][1][0].label == 3
    touch(tmp_path / "images/a.png")
    assert boxes(str(tmp_path)).items[0][0] == str(tmp_path / "images/a.png")


def test_boxes_of_arrays(tmp_path: Path) -> None:
    y = np.array([[[1, 0, 0, 0.5, 0.5], [-1, 0, 0, 0, 0]]])
    data = boxes(npz(tmp_path / "x.npz", x=np.zeros((1, 4, 4), np.uint8), y=y))
    assert data.items[0][1] == [Truth(1, (0, 0, 0.5, 0.5))]
    with pytest.raises(InputError, match=r"expected N × M × 5"):
        boxes(npz(tmp_path / "y.npz", x=np.zeros((1, 4, 4), np.uint8), y=y[..., :4]))


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ("{", "truth.json is not as COCO has it: JSONDecodeError"),
        ("[" * 100_000, "is not as COCO has it"),
        ("[]", "is not as COCO has it: TypeError"),
        ({}, "is not as COCO has it: KeyError 'images'"),
        ({"images": [], "annotations": []}, "names no picture"),
        (COCO | {"annotations": [{"image_id": 8}]}, "KeyError 8"),
        (COCO | {"annotations": [COCO["annotations"][0] | {"bbox": [1, 2, 3]}]}, "ValueError"),
        (COCO | {"annotations": [COCO["annotations"][0] | {"bbox": [1, 2, 3, float("inf")]}]}, "which is none"),
        (COCO | {"images": [COCO["images"][0] | {"width": 0}]}, "ZeroDivisionError"),
        (COCO | {"images": [COCO["images"][0] | {"id": [1]}]}, "TypeError"),
    ],
)
def test_what_is_not_as_coco_has_it_is_refused_in_a_sentence(tmp_path: Path, told: Any, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        boxes(coco(tmp_path, told))


@given(data=st.data())
def test_changed_bytes_raise_nothing_else(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    changed = bytearray(json.dumps(COCO).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "changed.json"
    path.write_bytes(changed)
    with suppress(InputError):
        assert len(boxes(str(path)).items) == 1


def test_a_folder_without_a_truth_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds 0 \.json files"):
        boxes(str(tmp_path))
    with pytest.raises(InputError, match="No such file"):
        boxes(str(tmp_path / "none.json"))


# ---- masks ---------------------------------------------------------------------------------------------------


def picture(path: Path, mode: str = "L", value: Any = 1) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (3, 2), value).save(path)
    return str(path)


def test_masks_beside_their_pictures(tmp_path: Path) -> None:
    pairs = [(picture(tmp_path / "a.jpg"), picture(tmp_path / "a.png"))]
    pairs += [(picture(tmp_path / "b.png"), picture(tmp_path / "b_mask.png"))]
    picture(tmp_path / "lonely.png")
    assert masks(str(tmp_path)).items == pairs
    assert mask_of(pairs[0][1]).tolist() == [[1, 1, 1]] * 2


def test_masks_in_a_folder_of_their_own(tmp_path: Path) -> None:
    pair = picture(tmp_path / "images/deep/a.png"), picture(tmp_path / "masks/deep/a.png")
    assert masks(str(tmp_path)).items == [pair]


def test_masks_of_arrays(tmp_path: Path) -> None:
    data = masks(npz(tmp_path / "x.npz", x=np.zeros((1, 4, 4), np.uint8), y=np.ones((1, 4, 4, 1), np.uint8)))
    truth = data.items[0][1]
    assert not isinstance(truth, str) and truth.shape == (4, 4)
    with pytest.raises(InputError, match="expected N × H × W"):
        masks(npz(tmp_path / "y.npz", x=np.zeros((1, 4, 4), np.uint8), y=np.ones((1, 4, 4))))


def test_a_palette_gives_its_numbers_and_colours_are_no_classes(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1), 5)
    image.putpalette([9, 9, 9] * 256)
    image.save(tmp_path / "p.png")
    assert mask_of(str(tmp_path / "p.png")).tolist() == [[5, 5]]
    with pytest.raises(InputError, match=r"rgb\.png: cannot be read: a mask is a PNG of greys or a palette"):
        mask_of(picture(tmp_path / "rgb.png", "RGB", "red"))
    touch(tmp_path / "empty.png")
    with pytest.raises(InputError, match=r"empty\.png: cannot be read"):
        mask_of(str(tmp_path / "empty.png"))


def test_no_masks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no picture with a mask"):
        masks(str(tmp_path))
    with pytest.raises(InputError, match=r"is no folder of pictures and masks"):
        masks(str(tmp_path / "none"))
