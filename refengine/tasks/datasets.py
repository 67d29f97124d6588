"""Data with the truth about them: classes, boxes as COCO's JSON has them, masks; and `.npz` files with x and y.

Classes: MNIST's IDX files; a folder of folders, one for each class; a `.csv` whose lines are a file and its class, or
numbers and a class (with a line of headings or without); an `.npz` with x and y. Classes that are words get their
numbers by a list of names, or in alphabetical order. Boxes: a folder of pictures with a JSON file, or that file. Masks:
PNG files beside the pictures, of the same name (``a.jpg``, ``a.png``) or with ``_mask`` behind it (``a.png``,
``a_mask.png``), or pictures and masks in two folders, ``images`` and ``masks``.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from ..errors import InputError, located
from ..memory import MEMORY
from ..model import Array
from ..tensors.arrays import read_bytes, read_npz
from ..tensors.datasets import bundled_digits, load_mnist
from ..tensors.images import ARRAYS, is_input, read_mask
from .detection import Truth
from .segmentation import Map

T = TypeVar("T")

MASK = "_mask"
TOLD = {".json", ".csv", ".txt"}
"""Files in a folder that tell of the others."""

LITTER = {"thumbs.db", "desktop.ini"}
"""Files that systems leave in folders, beside hidden ones; nobody means them."""

TRUTH = {"class", "label", "target", "y"}
"""How the heading of a `.csv`'s classes may be called."""

BUNDLED = "digits"
BUNDLED_TOLD = "the 100 bundled digits"

DIGITS = 10
"""From so many on, a word is no number of a class."""


@dataclass(frozen=True, eq=False)
class Classes:
    """Arrays, or names of files, each with its class by number; `names` of the classes, none where they are numbers.

    `told` says in a sentence how words became numbers.
    """

    name: str
    x: Array | list[str]
    y: npt.NDArray[np.int64]
    names: tuple[str, ...] = ()
    told: str = ""

    def first(self, limit: int | None) -> Classes:
        """At most so many of them."""
        return Classes(self.name, self.x[:limit], self.y[:limit], self.names, self.told)


@dataclass(frozen=True, eq=False)
class Pictures(Generic[T]):
    """Pictures, each the name of a file or pixels (uint8), with the truth about it; `names` of classes by number."""

    name: str
    items: list[tuple[str | Array, T]]
    names: Mapping[int, str]

    def first(self, limit: int | None) -> Pictures[T]:
        """At most so many of them."""
        return Pictures(self.name, self.items[:limit], self.names)


# ---- classes -------------------------------------------------------------------------------------------------


def classes(path: str, split: str = "test", names: Sequence[str] = (), memory: int = MEMORY) -> Classes:
    """What a path holds: MNIST (its `split`), a folder for each class, a `.csv`, an `.npz`; ``digits`` are bundled.

    Raises `InputError` for anything else, and for a class that is not among `names`, if there are some.
    """
    if path == BUNDLED:
        x, y = bundled_digits()
        return Classes(BUNDLED_TOLD, x, y.astype(np.int64))
    with located(path):
        if Path(path).suffix.lower() == ".npz":
            x, y = _pair(path, memory)
            return Classes(path, x, _labels(x, y))
        if Path(path).suffix.lower() == ".csv":
            rows = _rows(Path(path), memory)
            if (table := _table(Path(path), rows)) is not None:
                x, words = table
                found = _numbered(path, _with_classes([("", word) for word in words], len(rows)), names)
                return Classes(path, x, found.y, found.names, found.told)
            return _numbered(path, _with_classes([*_lines(Path(path), rows)], len(rows)), names)
    if is_mnist(path):
        x, y = load_mnist(path, split)
        return Classes(path, x, y.astype(np.int64))
    with located(path):
        if folders := _folders(Path(path)):
            return _numbered(path, _in_turn(folders), names)
        what = "is no data with classes" if Path(path).exists() else "there is no such file or folder"
        raise InputError(f"{what}; give a folder with one for each class or with MNIST's IDX files, a .csv or an .npz")


def is_mnist(path: str) -> bool:
    """Whether a folder holds MNIST's IDX files."""
    return any(Path(path).glob("*-images*idx3-ubyte*"))


def _folders(path: Path) -> list[Path]:
    """Those in a folder, but hidden ones."""
    return sorted(each for each in path.glob("*") if each.is_dir() and not each.name.startswith("."))


def without_truth(path: str, split: str, inputs: Collection[str], memory: int = MEMORY) -> Array | list[str]:
    """What a network is fed of a path, whatever is known about it: x of an `.npz` or of MNIST, or the names of files.

    Of a folder with one for each class files come in turn, so that the first ones are of every class; masks, and what
    is no input (see `left_out`), are left out. An `.npz` that holds all of the model's `inputs` by their names is a
    file like others. Raises `InputError` for a folder without files.
    """
    if path == BUNDLED:
        return bundled_digits()[0]
    if is_mnist(path):
        return load_mnist(path, split)[0]
    with located(path):
        suffix = Path(path).suffix.lower()
        if suffix == ".npz":
            names = read_npz(path, memory).keys()
            return _pair(path, memory)[0] if names >= {"x", "y"} and not names >= {*inputs} else [path]
        if suffix == ".csv":
            rows = _rows(Path(path), memory)
            table = _table(Path(path), rows)
            return table[0] if table else [file for file, _ in _lines(Path(path), rows)]
        if not Path(path).is_dir():
            return [path]
        masked = [*_masked(Path(path))]
        truths = {str(mask) for _, mask in masked}
        in_turn = [file for file, _ in _in_turn(_folders(Path(path)))]
        found = [str(file) for file in files_in(Path(path)) if file.parent == Path(path)] + in_turn
        files = [file for file in found if file not in truths and is_input(file)]
        if not files:
            raise InputError(
                "the folder holds nothing to run on; give pictures, .npy, .npz, .raw, .wav or MNIST's IDX files"
            )
        return files


def files_in(folder: Path) -> list[Path]:
    """All files in a folder and below but hidden ones and `LITTER`, sorted."""
    found = (file for file in folder.rglob("*") if file.is_file() and not file.name.startswith("."))
    return sorted(file for file in found if file.name.lower() not in LITTER)


def left_out(path: str) -> list[Path]:
    """The files of a folder, and below, that are no input and do not tell of the others."""
    if is_mnist(path) or not Path(path).is_dir():
        return []
    told = {file for file in Path(path).glob("*") if file.suffix.lower() in TOLD}
    return [file for file in files_in(Path(path)) if file not in told and not is_input(file)]


def _in_turn(folders: list[Path]) -> list[tuple[str, str]]:
    """(file, folder): the first file of each, then the second of each …, so that the first ones are of every class."""
    kept = [(folder.name, filter(is_input, files_in(folder))) for folder in folders]
    found = [(i, name, str(file)) for name, files in kept for i, file in enumerate(files)]
    return [(file, name) for _, name, file in sorted(found)]


def _numbered(name: str, found: list[tuple[str, str]], names: Sequence[str]) -> Classes:
    """Files with their classes' numbers: numbers as they are, words by `names`, or else in alphabetical order."""
    if not found:
        raise InputError("holds no file with a class")
    words = sorted({word for _, word in found})
    files = [file for file, _ in found]
    if all(word.isdecimal() and len(word) < DIGITS for word in words):
        return Classes(name, files, np.array([int(word) for _, word in found], np.int64), tuple(names))
    known = {word: i for i, word in enumerate(names or words)}
    if unknown := [word for word in words if word not in known]:
        raise InputError(f"has the class {unknown[0]!r}, which is not among the names: {', '.join(known)}")
    told = "by the list of names" if names else "in alphabetical order; --labels FILE sets it"
    y = np.array([known[word] for _, word in found], np.int64)
    return Classes(name, files, y, tuple(known), f"classes are numbered {told}")


def _with_classes(found: list[tuple[str, str]], lines: int) -> list[tuple[str, str]]:
    """The (file, class) of the last of so many lines; `InputError` for a line that leaves the class empty."""
    for line, (_, word) in enumerate(found, lines - len(found) + 1):
        if not word:
            raise InputError(f"line {line} has no class: its value there is empty")
    return found


def _rows(path: Path, memory: int) -> list[list[str]]:
    """The lines of a `.csv` that hold something, at least two values each; between them commas, or else semicolons or
    tabs."""
    lines = read_bytes(path, memory).decode("utf-8-sig", errors="replace").splitlines()
    between = next((each for each in ",;\t" if lines and each in lines[0]), ",")
    try:
        rows = [[value.strip() for value in row] for row in csv.reader(lines, delimiter=between) if row]
    except csv.Error as error:
        raise InputError(f"is no CSV file: {error}") from error
    for i, row in enumerate(rows):
        if len(row) < 2:
            raise InputError(f"line {i + 1} holds {len(row)} value; give a file and its class, or numbers and a class")
    return rows


def _table(path: Path, rows: list[list[str]]) -> tuple[Array, list[str]] | None:
    """(x, the words for the classes) where lines are numbers and a class; None where they name files.

    The class is in the column whose heading is one of `TRUTH`, else in the last one. Numbers are real values, but
    those of columns called ``pixel…`` are pixels: uint8.
    """
    if not rows or (path.parent / rows[-1][0]).exists():
        return None
    head = [word.lower() for word in rows[0]]
    at = next((i for i, word in enumerate(head) if word in TRUTH), len(head) - 1)
    columns = [i for i in range(len(head)) if i != at]
    first = _floats(rows[0], columns)
    body = rows if first is not None else rows[1:]
    if not body or _floats(body[0], columns) is None:
        return None
    values = [_floats(row, columns) if len(row) == len(head) else None for row in body]
    for i, row in enumerate(values, len(rows) - len(body) + 1):
        if row is None:
            raise InputError(f"line {i} does not hold {len(columns)} numbers and a class, as the first does")
    x = np.array(values, np.float32)
    if first is None and all(head[i].startswith("pixel") for i in columns):
        if not (np.isfinite(x).all() and np.array_equal(x, np.clip(np.rint(x), 0, 255))):
            raise InputError("has pixels that are no whole numbers from 0 to 255; call the columns otherwise")
        x = x.astype(np.uint8)
    return x, [row[at] for row in body]


def _floats(row: Sequence[str], columns: Sequence[int]) -> list[float] | None:
    """The numbers of some columns; None where one is none."""
    try:
        return [float(row[i]) for i in columns]
    except (ValueError, IndexError):
        return None


def _lines(path: Path, rows: list[list[str]]) -> Iterator[tuple[str, str]]:
    """(file, class) of each line; the first may be headings, if it names no file."""
    for i, row in enumerate(rows):
        file = path.parent / row[0]
        if i == 0 and not file.exists():
            continue
        yield str(file), row[1]


def _pair(path: str, memory: int) -> tuple[Array, Array]:
    """x and y of an `.npz`, as many of one as of the other."""
    arrays = read_npz(path, memory)
    if not arrays.keys() >= {"x", "y"}:
        raise InputError(f"holds {', '.join(arrays) or 'nothing'}; data for this are x and y")
    x, y = arrays["x"], arrays["y"]
    if not x.ndim or not y.ndim or len(x) != len(y) or not len(x):
        raise InputError(f"holds x {x.shape} and y {y.shape}; expected as many of one as of the other, and some")
    return x, y


def _labels(x: Array, y: Array) -> npt.NDArray[np.int64]:
    """One whole number for each."""
    flat = y.reshape(len(x), -1)
    if flat.shape[1] != 1 or y.dtype.kind not in "iufb" or not np.array_equal(flat, np.trunc(flat)):
        raise InputError(f"has y of {y.dtype} {y.shape}; expected the number of a class for each of the {len(x)} in x")
    if not -(2**31) <= flat.min() <= flat.max() < 2**31:
        raise InputError(f"has the classes {flat.min()} to {flat.max()} in y; there are not so many")
    return flat[:, 0].astype(np.int64)


# ---- boxes ---------------------------------------------------------------------------------------------------


def boxes(path: str, first: int = 1, memory: int = MEMORY) -> Pictures[list[Truth]]:
    """Pictures and what is in them, in a folder with COCO's JSON, by that file, or in an `.npz`.

    A model's class 0 is the category whose id is `first`: 1 where it was trained by TensorFlow's detection API. In an
    `.npz`, y is N×M×5: class, top, left, bottom, right (0 to 1) of each of M things, the class −1 where there is none.
    Raises `InputError` for anything else.
    """
    with located(path):
        if Path(path).suffix.lower() == ".npz":
            x, y = _pair(path, memory)
            if y.ndim != 3 or y.shape[2] != 5 or y.dtype.kind not in "iuf" or not np.isfinite(y).all():
                raise InputError(f"has y of {y.dtype} {y.shape}; expected N × M × 5: class, top, left, bottom, right")
            truths = [[Truth(int(row[0]), tuple(row[1:])) for row in each if row[0] >= 0] for each in y.tolist()]
            return Pictures(path, list(zip(x, truths, strict=True)), {})
        if Path(path).is_dir():
            found = sorted(Path(path).glob("*.json"))
            if len(found) != 1:
                raise InputError(f"holds {len(found)} .json files; give the one of COCO's that is meant")
            file = found[0]
        else:
            file = Path(path)
        try:
            told = json.loads(read_bytes(file, memory))
            return Pictures(path, *_coco(told, file.parent, first))
        except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{file.name} is not as COCO has it: {type(error).__name__} {error}") from error


def _coco(told: Any, folder: Path, first: int) -> tuple[list[tuple[str | Array, list[Truth]]], dict[int, str]]:
    """Pictures with their boxes, and the names of classes."""
    sizes = {image["id"]: (float(image["height"]), float(image["width"])) for image in told["images"]}
    truths: dict[Any, list[Truth]] = {id: [] for id in sizes}
    for each in told["annotations"]:
        height, width = sizes[each["image_id"]]
        left, top, across, down = map(float, each["bbox"])
        box = (top / height, left / width, (top + down) / height, (left + across) / width)
        if not all(map(isfinite, box)):
            raise InputError(f"an annotation of picture {each['image_id']} has the bbox {each['bbox']}, which is none")
        truths[each["image_id"]].append(Truth(int(each["category_id"]) - first, box, bool(each.get("iscrowd"))))
    names = {int(each["id"]) - first: str(each["name"]) for each in told.get("categories", ())}
    items: list[tuple[str | Array, list[Truth]]] = []
    for image in told["images"]:
        places = [folder / str(image["file_name"]), folder / "images" / str(image["file_name"])]
        items.append((str(next((place for place in places if place.exists()), places[0])), truths[image["id"]]))
    if not items:
        raise InputError("names no picture")
    return items, names


# ---- masks ---------------------------------------------------------------------------------------------------


def masks(path: str, memory: int = MEMORY) -> Pictures[str | Map]:
    """Pictures with a mask for each, the class of each pixel: files in a folder, or an `.npz` whose y is N×H×W.

    Raises `InputError` for anything else.
    """
    with located(path):
        if Path(path).suffix.lower() == ".npz":
            x, y = _pair(path, memory)
            if y.ndim == 4 and y.shape[3] == 1:
                y = y[..., 0]
            if y.ndim != 3 or y.dtype.kind not in "iu":
                raise InputError(f"has y of {y.dtype} {y.shape}; expected N × H × W, the number of each pixel's class")
            return Pictures(path, list(zip(x, y.astype(np.int64), strict=True)), {})
        if not Path(path).is_dir():
            raise InputError("is no folder of pictures and masks, and no .npz with x and y")
        found = [*_masked(Path(path))]
        if not found:
            raise InputError(
                "holds no picture with a mask: give a.jpg and a.png, a.png and a_mask.png, or folders images and masks"
            )
        return Pictures(path, found, {})


def mask_of(truth: str | Map, memory: int = MEMORY) -> Map:
    """(H, W): what is in a mask's file, or the array itself."""
    if isinstance(truth, str):
        with located(truth):
            return read_mask(truth, memory).astype(np.int64)
    return truth


def _masked(folder: Path) -> Iterator[tuple[str | Array, str | Map]]:
    """Pairs of files."""
    pictures, beside = (folder / "images", folder / "masks") if (folder / "masks").is_dir() else (folder, folder)
    for picture in files_in(pictures):
        inside = picture.relative_to(pictures)
        stems = [inside.with_name(f"{picture.stem}{MASK}.png"), inside.with_suffix(".png")]
        mask = next((beside / stem for stem in stems if (beside / stem).is_file() and beside / stem != picture), None)
        if mask is not None and not picture.stem.endswith(MASK) and picture.suffix.lower() not in ARRAYS:
            yield str(picture), str(mask)
