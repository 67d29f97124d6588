"""Damage to `.tflite` files, which the reader may refuse but never stumble over.

The tests try a fixed set; for a longer search with other seeds: ``python -m tests.tflite_io.fuzz --help``.
"""

from __future__ import annotations

import argparse
import random
import resource
import struct
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from refengine import RefengineError
from refengine.tflite_io import dump, load
from tests.tflite_io import seeds

NUMBERS = (0, 1, 2, 3, 4, 5, 8, 0x7F, 0x80, 0xFF, 0x7FFE, 0x8000, 0xFFFE, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF0,
           0xFFFFFFFC, 0xFFFFFFFF)  # fmt: skip


@contextmanager
def limited_memory() -> Iterator[None]:
    """Turn what would exhaust the machine's memory into a `MemoryError`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@contextmanager
def peak_memory() -> Iterator[Callable[[], int]]:
    """Yields a function that tells the most bytes that Python held at once since it was last called."""

    def peak() -> int:
        most = tracemalloc.get_traced_memory()[1] - held[0]
        tracemalloc.reset_peak()
        held[0] = tracemalloc.get_traced_memory()[0]
        return most

    tracemalloc.start()
    held = [0]
    try:
        yield peak
    finally:
        tracemalloc.stop()


def outcome(data: bytes, rewrite: bool = True) -> str:
    """The name of the error, or "valid". What is accepted can be printed, and (`rewrite`) written and read again."""
    try:
        model = load(data)
    except RefengineError as error:
        if len(str(error)) < 20 or "\n" in str(error):
            raise AssertionError(f"{error!r} is no sentence") from error
        return type(error).__name__
    assert str(model)
    if rewrite:
        written = dump(model)
        assert dump(load(written)) == written
    return "valid"


def truncated(data: bytes) -> Iterator[bytes]:
    """Every beginning of the file."""
    yield from (data[:size] for size in range(len(data)))


def bytes_changed(data: bytes, values: tuple[int, ...] = (0x00, 0x01, 0x80, 0xFF)) -> Iterator[bytes]:
    """Every byte, xor each of `values` (0: cleared)."""
    for at, old in enumerate(data):
        yield from (data[:at] + bytes([old ^ value if value else 0]) + data[at + 1 :] for value in values)


def numbers_changed(data: bytes, form: str) -> Iterator[bytes]:
    """Every aligned number of a form ("<H", "<I"), replaced by the edges of its range and of the file."""
    width = struct.calcsize(form)
    most = 256**width
    for at in range(0, len(data) - width, width):
        old = struct.unpack_from(form, data, at)[0]
        near = (old - 1, old + 1, old + 4, -at, len(data) - at, len(data) - at - 4, len(data))
        for new in {number % most for number in (*NUMBERS, *near)} - {old}:
            yield data[:at] + struct.pack(form, new) + data[at + width :]


def mutated(data: bytes, rng: random.Random) -> bytes:
    """One to eight changes: bytes, numbers, pieces copied over others, inserted or cut out."""
    damaged = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3, 5, 8))):
        at, other = rng.randrange(len(damaged) - 8), rng.randrange(len(damaged) - 8)
        size = rng.choice((1, 2, 4, 4, 8, 16))
        kind = rng.randrange(6)
        if kind == 0:
            damaged[at] = rng.randrange(256)
        elif kind == 1:
            struct.pack_into("<H", damaged, at & ~1, rng.choice(NUMBERS) & 0xFFFF)
        elif kind == 2:
            struct.pack_into("<I", damaged, at & ~3, rng.choice((*NUMBERS, len(damaged), rng.randrange(2**32))))
        elif kind == 3:  # an offset to somewhere else in the file
            struct.pack_into("<I", damaged, at & ~3, (other - at) % 2**32)
        elif kind == 4:
            damaged[at & ~3 : (at & ~3) + size] = damaged[other & ~3 : (other & ~3) + size]
        else:
            damaged[at : at + rng.choice((0, size))] = damaged[other : other + rng.choice((0, size))]
    return bytes(damaged)


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Mutate seed models at random; stop at the first that the reader "
        "neither reads nor refuses, and save it."
    )
    parser.add_argument("models", type=Path, nargs="*", help="further .tflite files to mutate")
    parser.add_argument("--mutations", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    files = [dump(model) for model in seeds.all_models().values()] + [path.read_bytes() for path in arguments.models]
    rng = random.Random(arguments.seed)
    outcomes: Counter[str] = Counter()
    for number in range(arguments.mutations):
        data = mutated(rng.choice(files), rng)
        try:
            with limited_memory():
                outcomes[outcome(data, rewrite=number % 8 == 0)] += 1
        except Exception:
            Path("counterexample.tflite").write_bytes(data)
            print(f"mutation {number} of seed {arguments.seed} is saved as counterexample.tflite")
            raise
    print(dict(outcomes))


if __name__ == "__main__":
    main()
