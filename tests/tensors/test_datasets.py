"""refengine/tensors/datasets.py: IDX files whole and damaged, MNIST's folders, the bundled digits and networks."""

from __future__ import annotations

import contextlib
import gzip
import json
import tracemalloc
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine import evaluate, make_plan
from refengine.bundled import DATA, bundled_models
from refengine.errors import InputError
from refengine.model import Array
from refengine.tensors import datasets
from refengine.tensors.datasets import bundled_digits, load_mnist, read_idx

NETWORKS = ("stm32f746", "dense", "dense128", "esp32")
TEST_IMAGES = Path(__file__).parents[1] / "data"

Pack = Callable[[bytes], bytes]


def idx(array: np.ndarray) -> bytes:
    """The IDX file of a uint8 array."""
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def digits(count: int) -> np.ndarray:
    return np.arange(count * 28 * 28, dtype=np.uint32).astype(np.uint8).reshape(count, 28, 28)


@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 3), (1, 2, 3, 4)])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_read_idx_gives_back_what_was_written(tmp_path: Path, shape: tuple[int, ...], pack: Pack) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    (tmp_path / "x").write_bytes(pack(idx(array)))
    result = read_idx(tmp_path / "x")
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, array, strict=True)


def test_what_gzip_packed_is_unpacked_only_as_far_as_announced(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(gzip.compress(idx(digits(1)) + bytes(50_000_000)))
    tracemalloc.start()
    with pytest.raises(InputError, match="announces 1 × 28 × 28 elements"):
        read_idx(tmp_path / "x")
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


DAMAGES = {
    "empty": (b"", "starts with"),
    "another magic number": (b"\x89PNG" + bytes(16), "89 50 4e 47"),
    "float elements": (bytes([0, 0, 0x0D, 1, 0, 0, 0, 1]) + bytes(4), "00 00 0d 01"),
    "header cut short": (idx(digits(1))[:9], "holds 9 bytes"),
    "elements missing": (idx(digits(1))[:-1], "holds 799 bytes"),
    "elements left over": (idx(digits(1)) + b"\0", "holds 801 bytes"),
    "more dimensions than NumPy has": (bytes([0, 0, 8, 255]) + bytes(1020), "announces 0 × 0"),
    "nothing in a huge shape": (bytes([0, 0, 8, 5]) + bytes(4) + b"\xff" * 16, "announces 0 × 4294967295"),
    "huge announced shape": (bytes([0, 0, 8, 3]) + b"\xff" * 12, "announces 4294967295 × 4294967295"),
    "gzip cut short": (gzip.compress(idx(digits(1)))[:-9], "cannot be read"),
    "gzip with a wrong checksum": (gzip.compress(idx(digits(1)))[:-8] + bytes(8), "cannot be read"),
    "gzip with a broken stream": (gzip.compress(idx(digits(1)))[:10] + b"\xff" * 40, "cannot be read"),
}


@pytest.mark.parametrize(("data", "message"), DAMAGES.values(), ids=DAMAGES.keys())
def test_damaged_files_are_refused_in_one_sentence(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(InputError, match=message) as caught:
        read_idx(tmp_path / "x")
    assert str(caught.value).startswith(str(tmp_path / "x"))
    assert "\n" not in str(caught.value)


@given(data=st.data(), packed=st.booleans())
def test_changed_bytes_never_raise_anything_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, packed: bool
) -> None:
    good = idx(digits(2))
    raw = bytearray(gzip.compress(good) if packed else good)
    raw[data.draw(st.integers(0, min(len(raw), 40) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "changed"
    path.write_bytes(raw)
    with contextlib.suppress(InputError):
        read_idx(path)


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_idx(tmp_path / "nothing")


@pytest.mark.parametrize("dot", "-.")
@pytest.mark.parametrize(("suffix", "pack"), [("", bytes), (".gz", gzip.compress)])
@pytest.mark.parametrize(("split", "prefix"), [("test", "t10k"), ("train", "train")])
def test_load_mnist_knows_the_usual_names(
    tmp_path: Path, dot: str, suffix: str, pack: Pack, split: str, prefix: str
) -> None:
    images, labels = digits(3), np.array([7, 2, 1], np.uint8)
    (tmp_path / f"{prefix}-images{dot}idx3-ubyte{suffix}").write_bytes(pack(idx(images)))
    (tmp_path / f"{prefix}-labels{dot}idx1-ubyte{suffix}").write_bytes(pack(idx(labels)))
    loaded = load_mnist(tmp_path, split)
    np.testing.assert_array_equal(loaded[0], images, strict=True)
    np.testing.assert_array_equal(loaded[1], labels, strict=True)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (digits(3), np.zeros(2, np.uint8), "has 3 images"),
        (digits(3), np.zeros((3, 1), np.uint8), r"has shape \(3, 1\)"),
        (np.zeros((3, 27, 28), np.uint8), np.zeros(3, np.uint8), "N × 28 × 28"),
        (np.zeros(3, np.uint8), np.zeros(3, np.uint8), "N × 28 × 28"),
        (np.zeros((), np.uint8), np.zeros((), np.uint8), "N × 28 × 28"),
    ],
)
def test_mismatched_images_and_labels(tmp_path: Path, images: Array, labels: Array, message: str) -> None:
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx(images))
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(labels))
    with pytest.raises(InputError, match=message):
        load_mnist(tmp_path)


def test_missing_files_and_unknown_splits(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no file t10k-images-idx3-ubyte"):
        load_mnist(tmp_path)
    with pytest.raises(InputError, match="no split of MNIST; choose one of train, test"):
        load_mnist(tmp_path, "t10k")


def test_the_test_images_are_mnist() -> None:
    images, labels = load_mnist(TEST_IMAGES)
    assert [sha256(idx(array)).hexdigest() for array in (images, labels)] == [
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ]


def test_bundled_digits_are_ten_of_each_class_from_the_test_images() -> None:
    images, labels = bundled_digits()
    all_images, all_labels = load_mnist(TEST_IMAGES)
    assert np.bincount(labels).tolist() == [10] * 10
    for image, label in zip(images, labels, strict=True):
        assert label in all_labels[(all_images == image).all(axis=(1, 2))]


def test_bundled_models_have_cards_and_are_the_files_that_the_cards_describe() -> None:
    models = bundled_models()
    assert models.keys() >= {"stm32f746_float32", *(f"{name}_int8" for name in NETWORKS)}
    for name, path in models.items():
        card = json.loads((DATA / f"{name.rpartition('_')[0]}.json").read_text())
        file = card["files"][path.name]
        assert sha256(path.read_bytes()).hexdigest() == file["sha256"]
        assert path.stat().st_size == file["bytes"]
        assert file["accuracy"] >= (0.965 if "dense" in name else 0.99)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dense_int8", "dense_int16x8", "dense128_int8", "stm32f746_int8"])
def test_cards_tell_the_accuracy_that_the_engine_reaches(name: str) -> None:
    card = json.loads((DATA / f"{name.rpartition('_')[0]}.json").read_text())
    *_, accuracy = evaluate(make_plan(bundled_models()[name]), *load_mnist(TEST_IMAGES))
    assert accuracy.accuracy == card["files"][f"{name}.tflite"]["accuracy"]


def test_bundled_data_stays_small() -> None:
    assert sum(path.stat().st_size for path in DATA.iterdir() if path.is_file()) < 2_200_000


@pytest.mark.parametrize("shape", [(0,), (7,), (2, 28, 28)])
def test_what_is_written_as_idx_is_read_again(tmp_path: Path, shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape), dtype=np.int64).reshape(shape).astype(np.uint8)
    (tmp_path / "file").write_bytes(datasets.idx(array))
    assert datasets.idx(array) == idx(array) and np.array_equal(read_idx(tmp_path / "file"), array)
