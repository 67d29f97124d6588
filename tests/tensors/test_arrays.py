"""refengine/tensors/arrays.py: what a file announces is read or refused in one sentence, within the memory there is."""

from __future__ import annotations

import contextlib
import io
import os
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine import InputError
from refengine.tensors.arrays import read_bytes, read_npy, read_npz

ROOM = 1 << 20


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def announcing(shape: str, dtype: str = "|i1", version: bytes = b"\1\0") -> bytes:
    """An .npy whose header says so, and one byte of data."""
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}}}".encode()
    return b"\x93NUMPY" + version + len(header).to_bytes(2 if version == b"\1\0" else 4, "little") + header + b"\0"


def zipped(entries: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return file.getvalue()


def written(folder: Path, data: bytes, name: str = "x") -> Path:
    (folder / name).write_bytes(data)
    return folder / name


SOUND = [np.arange(6).reshape(2, 3), np.asfortranarray(np.eye(3)), np.array(2.5), np.zeros((0, 4))]


@pytest.mark.parametrize("array", SOUND)
def test_sound_files_are_read_as_numpy_reads_them(tmp_path: Path, array: np.ndarray) -> None:
    np.testing.assert_array_equal(read_npy(written(tmp_path, npy(array)), ROOM), array, strict=True)
    (found,) = read_npz(written(tmp_path, zipped({"a.npy": npy(array)})), ROOM).values()
    np.testing.assert_array_equal(found, array, strict=True)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (announcing("(1000000000,)"), "it announces 1000000000 bytes and holds"),
        (announcing(f"({2**40}, {2**40})"), "it announces"),
        (announcing("(-1,)"), ""),
        (announcing("(1,)", "|O"), "it holds Python objects, not numbers"),
        (announcing("(1,)", version=b"\3\0"), "version 3.0"),
        (announcing("1"), ""),
        (announcing("(" * 5000), ""),
        (zipped({"a.npy": npy(np.zeros(3))}), "it is a zip archive; name it .npz"),
        (b"", ""),
    ],
)
def test_what_is_no_array_is_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    with pytest.raises(InputError, match=f"^cannot be read: .*{reason}"):
        read_npy(written(tmp_path, data), ROOM)


def test_an_archive_with_an_entry_that_is_no_array_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, zipped({"a.npy": npy(np.zeros(3)), "b.txt": b"hello"}))
    with pytest.raises(InputError, match=r"^cannot be read: its entry 'b\.txt' is no array$"):
        read_npz(path, ROOM)


@pytest.mark.parametrize("entries", [1, 3])
def test_archives_that_unpack_to_too_much_are_refused_before_they_do(tmp_path: Path, entries: int) -> None:
    bomb = zipped({f"{i}.npy": npy(np.zeros((ROOM // entries,), np.int8)) for i in range(entries)})
    assert len(bomb) < ROOM // 100
    path = written(tmp_path, bomb)
    tracemalloc.start()
    with pytest.raises(InputError, match=r"^what it unpacks to may take 1\.0 MiB of memory, and refengine allows"):
        read_npz(path, ROOM)
    assert tracemalloc.get_traced_memory()[1] < ROOM // 2
    tracemalloc.stop()
    assert len(read_npz(path, 2 * ROOM)) == entries


def test_a_directory_that_lies_about_an_entry_unpacks_no_more_than_it_says(tmp_path: Path) -> None:
    whole = npy(np.zeros(ROOM, np.int8))
    lying = zipped({"a.npy": whole}).replace(len(whole).to_bytes(4, "little"), (200).to_bytes(4, "little"))
    with pytest.raises(InputError, match="cannot be read: Bad CRC-32"):
        read_npz(written(tmp_path, lying), ROOM)


def test_large_files_and_what_has_no_end_are_not_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^it may take 2\.0 MiB of memory"):
        read_npy(written(tmp_path, npy(np.zeros(2 * ROOM, np.int8))), ROOM)
    os.symlink("/dev/zero", tmp_path / "endless")
    with pytest.raises(InputError, match="cannot be read: it is no regular file"):
        read_bytes(tmp_path / "endless", ROOM)


def test_headers_that_python_2_wrote_are_read_without_a_warning(tmp_path: Path) -> None:
    assert read_npy(written(tmp_path, announcing("(1L,)")), ROOM).tolist() == [0]


@given(st.data())
def test_damaged_files_raise_nothing_else(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    sound = npy(np.arange(6.0).reshape(2, 3))
    raw = bytearray(data.draw(st.sampled_from([sound, zipped({"a.npy": sound, "b.npy": sound})])))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path = written(tmp_path_factory.getbasetemp(), bytes(raw[: data.draw(st.integers(0, len(raw)))]), "damaged")
    for read in (read_npy, read_npz):
        with contextlib.suppress(InputError):
            read(path, ROOM)
