"""refengine/tensors/images.py: files of every kind into inputs, broken ones into a sentence, drawings into digits."""

from __future__ import annotations

import contextlib
import io
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from refengine import InputError, Plan, make_plan, prepare_digit, run
from refengine.model import Array, Graph, Model, Tensor
from refengine.tensors.datasets import bundled_digits
from refengine.tensors.images import half_blocks, pixel_ranges, read_inputs
from refengine.tensors.inputs import pixels_to_input
from tests.models import fed, one_op, q

DIGITS, LABELS = bundled_digits()


def network(*shape: int, dtype: str = "int8") -> Plan:
    """One that takes pictures of `shape` with values from 0 to 1."""
    quantization = {"int8": q(1 / 255, -128), "int16": q(1 / 32767), "float32": None}[dtype]
    return make_plan(one_op("RELU", {}, [fed(shape, dtype, quantization)], fed(shape, dtype, quantization, "y")))


def adder() -> Plan:
    """One of two inputs, named input0 and input1."""
    tensors = [fed((1, 4), "int8", q(0.5)) for _ in range(2)]
    options = {"fused_activation_function": "NONE", "pot_scale_int16": True}
    return make_plan(one_op("ADD", options, list(tensors), fed((1, 4), "int8", q(1.0), "y")))


def only(plan: Plan, *paths: Path, **options: Any) -> tuple[np.ndarray, ...]:
    ((_, arrays),) = read_inputs(plan, [str(path) for path in paths], **options)
    return arrays


def saved(path: Path, picture: Image.Image, **options: Any) -> Path:
    picture.save(path, **options)
    return path


def codes(pixels: np.ndarray) -> np.ndarray:
    return (pixels.astype(np.int16) - 128).astype(np.int8)


# ---- pictures ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["png", "bmp", "pgm", "gif", "tif", "webp"])
def test_pictures_of_the_right_size_are_taken_as_they_are(tmp_path: Path, suffix: str) -> None:
    path = saved(
        tmp_path / f"digit.{suffix}", Image.fromarray(DIGITS[3]), **({"lossless": True} if suffix == "webp" else {})
    )
    (x,) = only(network(1, 28, 28, 1), path)
    np.testing.assert_array_equal(x, codes(DIGITS[3]).reshape(1, 28, 28, 1), strict=True)


def test_jpeg_comes_near(tmp_path: Path) -> None:
    path = saved(tmp_path / "digit.jpg", Image.fromarray(DIGITS[3]), quality=95)
    (x,) = only(network(1, 28, 28, 1), path)
    assert np.abs(x.astype(int).reshape(28, 28) - codes(DIGITS[3])).max() < 24


def test_a_wrong_suffix_does_not_matter(tmp_path: Path) -> None:
    Image.fromarray(DIGITS[0]).save(tmp_path / "digit.jpg", format="png")
    (x,) = only(network(1, 28, 28, 1), tmp_path / "digit.jpg")
    np.testing.assert_array_equal(x[0, :, :, 0], codes(DIGITS[0]))


@pytest.mark.parametrize("shape", [(1, 28, 28), (1, 784), (1, 28, 28, 1)])
def test_the_model_says_in_which_shape(tmp_path: Path, shape: tuple[int, ...]) -> None:
    (x,) = only(network(*shape), saved(tmp_path / "a.png", Image.fromarray(DIGITS[0])))
    np.testing.assert_array_equal(x, codes(DIGITS[0]).reshape(shape), strict=True)


@pytest.mark.parametrize(("dtype", "white"), [("float32", 1.0), ("int16", 32767), ("int8", 127)])
def test_the_model_says_in_which_type(tmp_path: Path, dtype: str, white: float) -> None:
    path = saved(tmp_path / "a.png", Image.fromarray(np.array([[0, 255]], np.uint8)))
    (x,) = only(network(1, 1, 2, 1, dtype=dtype), path)
    assert x.dtype == dtype
    assert x.ravel().tolist() == [-128 if dtype == "int8" else 0, white]
    assert only(network(1, 1, 2, 1, dtype="float32"), path, real_range=(-1, 1))[0].ravel().tolist() == [-1, 1]


def test_pictures_are_scaled_and_converted(tmp_path: Path) -> None:
    red = saved(tmp_path / "red.png", Image.new("RGB", (50, 20), (255, 0, 0)))
    assert only(network(1, 4, 6, 3), red)[0].reshape(-1, 3).tolist() == [[127, -128, -128]] * 24
    assert {*only(network(1, 4, 6, 1), red)[0].ravel().tolist()} == {76 - 128}  # red's luma
    grey = saved(tmp_path / "grey.png", Image.new("L", (3, 3), 200))
    assert only(network(1, 1, 1, 4), grey)[0].ravel().tolist() == [72, 72, 72, 127]


def test_transparent_parts_are_white_paper(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (2, 1))
    picture.putpixel((0, 0), (0, 0, 0, 255))
    (x,) = only(network(1, 1, 2, 1), saved(tmp_path / "a.png", picture))
    assert x.ravel().tolist() == [-128, 127]


def test_sixteen_bits_are_not_clipped(tmp_path: Path) -> None:
    deep = saved(tmp_path / "deep.png", Image.fromarray(np.array([[0, 256 * 100, 65535]], np.uint16)))
    assert only(network(1, 1, 3, 1), deep)[0].ravel().tolist() == [-128, -28, 127]


def test_photos_are_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3  # the camera was upside down
    path = saved(tmp_path / "a.png", Image.fromarray(np.array([[0, 255]], np.uint8)), exif=exif)
    assert only(network(1, 1, 2, 1), path)[0].ravel().tolist() == [127, -128]


def test_of_animations_the_first_frame(tmp_path: Path) -> None:
    first, second = Image.new("L", (2, 2), 0), Image.new("L", (2, 2), 255)
    path = saved(tmp_path / "a.gif", first, save_all=True, append_images=[second])
    assert {*only(network(1, 2, 2, 1), path)[0].ravel().tolist()} == {-128}


# ---- arrays -----------------------------------------------------------------------------------------------


def test_arrays_of_the_declared_type_pass_unchanged(tmp_path: Path) -> None:
    x = np.arange(-4, 4, dtype=np.int8).reshape(1, 2, 4, 1)
    np.save(tmp_path / "x.npy", x)
    np.testing.assert_array_equal(only(network(1, 2, 4, 1), tmp_path / "x.npy")[0], x, strict=True)


def test_real_values_are_quantised(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([[0.0, 0.4, 1.0]]))
    (x,) = only(network(1, 3), tmp_path / "x.npy")
    np.testing.assert_array_equal(x, np.array([[-128, -26, 127]], np.int8), strict=True)
    assert only(network(1, 3, dtype="float32"), tmp_path / "x.npy")[0].dtype == np.float32


def test_real_values_beyond_float32_saturate_and_warn_of_nothing(tmp_path: Path) -> None:
    plan = make_plan(one_op("RELU", {}, [fed((1, 2), "int8", q(0.5))], fed((1, 2), "int8", q(0.5), "y")))
    np.save(tmp_path / "large.npy", np.array([[1e300, -1e300]]))
    ((_, (codes,)),) = read_inputs(plan, [str(tmp_path / "large.npy")])
    ((_, (values,)),) = read_inputs(plan, [str(tmp_path / "large.npy")], real=True)
    assert codes.tolist() == [[127, -128]] and values.tolist() == [[np.inf, -np.inf]]


@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_bytes_are_pixels_where_an_input_takes_pictures(tmp_path: Path, dtype: str) -> None:
    plan = network(1, 28, 28, 1, dtype=dtype)
    wanted = pixels_to_input(plan, DIGITS[:2])
    for i, array in enumerate((DIGITS[:2], DIGITS[:2, ..., None])):
        np.save(tmp_path / f"{i}.npy", array)
        np.savez(tmp_path / f"{i}.npz", array)
        for path in (tmp_path / f"{i}.npy", tmp_path / f"{i}.npz"):
            np.testing.assert_array_equal(only(plan, path)[0], wanted, strict=True)
            (ends,) = pixel_ranges(plan, [str(path)])
            assert (ends.black, ends.white) == (0, 1)
    np.save(tmp_path / "one.npy", DIGITS[0])
    inked = only(plan, tmp_path / "one.npy", real_range=(1, 0))[0]
    np.testing.assert_allclose(inked, pixels_to_input(plan, 255 - DIGITS[:1]), rtol=1e-6)
    with pytest.raises(InputError, match="black and white are both 0"):
        only(plan, tmp_path / "one.npy", real_range=(0, 0))
    np.save(tmp_path / "small.npy", DIGITS[:2, :9])
    with pytest.raises(InputError, match="takes pictures of 28×28×1, got 9×28×1"):
        only(plan, tmp_path / "small.npy")


def test_other_types_are_left_to_be_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((1, 3), np.uint8))
    with pytest.raises(InputError, match="is int8, got uint8"):
        run(network(1, 3), *only(network(1, 3), tmp_path / "x.npy"))


def test_raw_bytes_alone_and_in_batches(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(np.array([1, -2, 300], "<i2").tobytes())
    expected = np.array([[1, -2, 300]], np.int16)
    np.testing.assert_array_equal(only(network(1, 3, dtype="int16"), tmp_path / "x.bin")[0], expected, strict=True)
    (tmp_path / "y.raw").write_bytes(bytes(range(6)))
    np.testing.assert_array_equal(only(network(1, 3), tmp_path / "y.raw")[0], np.arange(6, dtype=np.int8).reshape(2, 3))
    with pytest.raises(InputError, match=r"y\.raw: holds 6 bytes; input 'input0', int8 \(1, 4\), has 4"):
        only(network(1, 4), tmp_path / "y.raw")


def test_an_archive_gives_all_inputs_by_name_or_in_order(tmp_path: Path) -> None:
    a, b = np.full((1, 4), 1, np.int8), np.full((1, 4), 2, np.int8)
    np.savez(tmp_path / "named.npz", input1=b, input0=a, more=np.zeros(9))
    np.savez(tmp_path / "ordered.npz", a, b)
    for name in ("named.npz", "ordered.npz"):
        x, y = only(adder(), tmp_path / name)
        assert (x[0, 0], y[0, 0]) == (1, 2)
    np.savez(tmp_path / "few.npz", left=a)
    with pytest.raises(InputError, match=r"few\.npz: holds left; the model's inputs are input0, input1"):
        only(adder(), tmp_path / "few.npz")


def test_several_files_are_several_inputs_or_several_inferences(tmp_path: Path) -> None:
    paths = []
    for i in range(4):
        paths.append(str(tmp_path / f"{i}.npy"))
        np.save(paths[-1], np.full((1, 4), i, np.int8))
    cases = list(read_inputs(adder(), paths))
    assert [[int(x[0, 0]) for x in arrays] for _, arrays in cases] == [[0, 1], [2, 3]]
    assert cases[0][0] == f"{paths[0]} {paths[1]}"
    assert [name for name, _ in read_inputs(network(1, 4), paths)] == paths
    with pytest.raises(InputError, match=r"has 2 inputs \(input0, input1\), each from a file of its own"):
        list(read_inputs(adder(), paths[:3]))


# ---- broken files -----------------------------------------------------------------------------------------


def bytes_of(suffix: str) -> bytes:
    file = io.BytesIO()
    if suffix == ".npy":
        np.save(file, np.zeros((1, 28, 28, 1), np.int8))
    elif suffix == ".npz":
        np.savez_compressed(file, np.zeros((1, 28, 28, 1), np.int8))
    else:
        Image.fromarray(DIGITS[0]).save(file, format=suffix[1:])
    return file.getvalue()


def pickled() -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([{}]), allow_pickle=True)
    return file.getvalue()


BROKEN = {
    "empty.png": b"",
    "text.png": b"not a picture",
    "short.png": bytes_of(".png")[:60],
    "short.jpeg": bytes_of(".jpeg")[:400],
    "empty.npy": b"",
    "text.npy": b"not an array",
    "short.npy": bytes_of(".npy")[:-1],
    "pickled.npy": pickled(),
    "empty.npz": b"",
    "text.npz": b"not an archive",
    "array.npz": bytes_of(".npy"),
    "archive.npy": bytes_of(".npz"),
    "short.npz": bytes_of(".npz")[:-30],
    "empty.raw": b"",
    "odd.bin": bytes(783),
    "strange.xyz": bytes(100),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_refused_in_one_sentence_that_names_them(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(BROKEN[name])
    with pytest.raises(InputError) as caught:
        only(network(1, 28, 28, 1), tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert "\n" not in str(caught.value)


def test_a_model_without_inputs_takes_no_file(tmp_path: Path) -> None:
    constant = Tensor(0, "c", (1,), "int8", data=np.zeros(1, np.int8))
    with pytest.raises(InputError, match="takes no input"):
        list(read_inputs(make_plan(Model((Graph(0, "", (constant,), (), (0,), ()),))), [str(tmp_path / "x.raw")]))


@pytest.mark.parametrize("suffix", [".png", ".npy", ".npz", ".raw"])
def test_files_that_are_not_there_and_folders(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(InputError, match="No such file"):
        only(network(1, 28, 28, 1), tmp_path / f"none{suffix}")
    (tmp_path / f"folder{suffix}").mkdir()
    with pytest.raises(InputError, match="cannot be read"):
        only(network(1, 28, 28, 1), tmp_path / f"folder{suffix}")


@given(data=st.data(), suffix=st.sampled_from([".png", ".jpeg", ".gif", ".bmp", ".npy", ".npz"]))
def test_changed_bytes_never_raise_anything_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, suffix: str
) -> None:
    raw = bytearray(bytes_of(suffix))
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / f"changed{suffix}"
    path.write_bytes(raw[: data.draw(st.integers(0, len(raw)))] if data.draw(st.booleans()) else raw)
    with contextlib.suppress(InputError):
        only(network(1, 28, 28, 1), path)


def test_a_small_file_of_many_pixels_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = saved(tmp_path / "bomb.png", Image.new("1", (10_000, 10_000)))
    assert path.stat().st_size < 20_000
    tracemalloc.start()
    with pytest.raises(InputError, match=r"a picture of 100,000,000 pixels may take 1\.5 GiB of memory, and refengine"):
        only(network(1, 28, 28, 1), path)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_the_memory_for_pictures_is_the_plans(tmp_path: Path) -> None:
    model = one_op("RELU", {}, [fed((1, 28, 28, 1), "int8", q(1 / 255))], fed((1, 28, 28, 1), "int8", q(1 / 255), "y"))
    path = saved(tmp_path / "a.png", Image.new("L", (400, 400)))
    assert only(make_plan(model, memory=400 * 400 * 16), path)
    with pytest.raises(InputError, match="a picture of 160,000 pixels"):
        only(make_plan(model, memory=400 * 400 * 16 - 1), path)


def test_only_pictures_are_pictures(tmp_path: Path) -> None:
    """Of PostScript pillow would start Ghostscript, whatever the file's name."""
    path = tmp_path / "postscript.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 28 28\n%%EndComments\nshowpage\n")
    with Image.open(path) as picture:
        assert picture.format == "EPS"
    with pytest.raises(InputError, match=r"neither a picture \(PNG, JPEG, BMP, GIF, PPM, TIFF, WEBP\) nor \.npy"):
        only(network(1, 28, 28, 1), path)


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (DIGITS[0].astype(np.float32) / 255, "holds real numbers, and does not say which are black and white"),
        (DIGITS[0].astype(np.int32) << 20, "holds greys from 0 to .*, and 16 bits end at 65535"),
        (DIGITS[0].astype(np.int32) - 1, "holds greys from -1 to"),
    ],
)
def test_pictures_whose_greys_are_not_known_are_refused(tmp_path: Path, pixels: Array, reason: str) -> None:
    path = saved(tmp_path / "a.tif", Image.fromarray(pixels))
    with pytest.raises(InputError, match=rf"^{path}: {reason}.*; save it with 8 or 16 bits$"):
        only(network(1, 28, 28, 1), path)


def test_what_pillow_warns_of_is_not_on_stderr(tmp_path: Path) -> None:
    digit = Image.fromarray(DIGITS[0]).convert("P")
    digit.info["transparency"] = bytes(256)
    path = saved(tmp_path / "a.png", digit, transparency=bytes(range(256)))
    with pytest.warns(UserWarning, match="Palette images"):
        Image.open(path).convert("RGB")
    only(network(1, 28, 28, 1), path)
    only(network(1, 28, 28, 3), path)


def test_pictures_too_large_to_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    path = saved(tmp_path / "a.png", Image.new("L", (20, 20)))
    with pytest.raises(InputError, match="cannot be read"):
        only(network(1, 28, 28, 1), path)


# ---- drawn digits -----------------------------------------------------------------------------------------


def test_run_reads_drawings(tmp_path: Path) -> None:
    path = saved(tmp_path / "drawing.png", Image.fromarray(255 - DIGITS[42]))
    (x,) = only(network(1, 28, 28, 1), path, digit=True)
    np.testing.assert_array_equal(x[0, :, :, 0], codes(prepare_digit(255 - DIGITS[42])))
    assert only(network(1, 32, 16, 3), path, digit=True)[0].shape == (1, 32, 16, 3)


def test_a_picture_as_text() -> None:
    pixels = np.array([[255, 255, 0, 0], [255, 0, 255, 0], [255, 127, 128, 0]], np.uint8)
    assert half_blocks(pixels) == ["█▀▄ ", "▀ ▀ "]
