"""What every way to a C kernel has in common: a case is put into memory, called, and the memory looked through."""

from __future__ import annotations

import numpy as np

from ..model import Array
from ..text import counted
from .case import Case, KernelError
from .image import GUARD, NATIVE, Image, filling, image_of, pieces_of

UNSUPPORTED = 1
"""What `refengine_kernel` returns for what it does not claim to compute."""


class Calls:
    """A C kernel behind `refengine_kernel`; whoever derives from this knows where it lives, and how to `call` it.

    That it writes beside its output, leaves elements of it unwritten or reads what it was not given is a `KernelError`.
    Of a stream, what the kernel keeps for itself comes about by the calls before, with what was right in between.
    """

    @property
    def pointer(self) -> int:
        """The size of a pointer where the kernel lives."""
        return NATIVE

    def call(self, image: Image) -> tuple[int, bytes] | None:
        """The kernel's status, and the image as it left it; None if there is no room for it.

        Raises `KernelError` if it does not return.
        """
        raise NotImplementedError

    def __call__(self, case: Case) -> tuple[Array, ...] | None:
        got = self._results(case, 0)
        if got is None or _same(got, case.results):
            return got
        again = self._results(case, 1)
        if again is None or _same(got, again):
            return got
        raise _between(case, got, again)

    def _results(self, case: Case, garbage: int) -> tuple[Array, ...] | None:
        """What the kernel writes."""
        memory, pointer = None, self.pointer
        for one in case.stream if case.step.memory else (case,):
            image = image_of(one, garbage, memory, pointer)
            done = self.call(image)
            if done is None or done[0] == UNSUPPORTED:
                return None
            status, after = done
            if status != 0:
                raise KernelError("fails", f"returns {status}")
            check_untouched(image, after, pointer)
            memory = after[image.memory]
        return tuple(
            case.defined(i, np.frombuffer(after[part], right.dtype).reshape(right.shape))
            for i, (part, right) in enumerate(zip(image.results, case.results, strict=True))
        )


def _same(some: tuple[Array, ...], others: tuple[Array, ...]) -> bool:
    return all(x.tobytes() == y.tobytes() for x, y in zip(some, others, strict=True))


def _between(case: Case, got: tuple[Array, ...], again: tuple[Array, ...]) -> KernelError:
    """Why a kernel answers the same case in two ways."""
    for i, (one, other) in enumerate(zip(got, again, strict=True)):
        left = [case.defined(i, filling(case.results[i], garbage)) for garbage in (0, 1)]
        unwritten = (one == left[0]) & (other == left[1]) & (left[0] != left[1])
        if i < len(case.step.outputs) and unwritten.any():
            first = [int(k) for k in np.unravel_index(int(unwritten.argmax()), unwritten.shape)]
            where = f" of output {i}" if len(case.step.outputs) > 1 else ""
            return KernelError(
                "never written",
                f"leaves {unwritten.sum():,} of {one.size:,} elements{where} unwritten, the first at {first}",
            )
    return KernelError(
        "unsteady", "gives another output for the same case: it reads memory that it was not given, or remembers"
    )


def check_untouched(image: Image, after: bytes, pointer: int = NATIVE) -> None:
    """Raise if anything but what the kernel may write has changed."""
    before, now = (np.frombuffer(block, np.uint8) for block in (image.block, after))
    same = before == now
    if same.all():
        return
    for part in (*image.results, image.memory, image.pieces):
        same[part] = True
    pieces = pieces_of(image, after, pointer)
    for part in pieces:
        same[part] = True
    if same.all():
        return
    place, count = int(np.argmin(same)), int((~same).sum())
    for i, part in enumerate(image.inputs):
        if part.start <= place < part.stop:
            raise KernelError("changes its input", f"writes to input {i}, first to byte {place - part.start} of it")
    if image.scratch.start - GUARD <= place < image.scratch.stop + GUARD:
        raise KernelError(
            "writes outside", f"writes {_bytes(count)} outside its scratch memory, {_beside(place, pieces, 'a piece')}"
        )
    names = [f"output {i}" if i else "output" for i in range(len(image.results))]
    nearest = min(range(len(names)), key=lambda i: _distance(place, image.results[i]))
    where = _beside(place, [image.results[nearest]], "an output")
    raise KernelError("writes outside", f"writes {_bytes(count)} outside its {names[nearest]}, {where}")


def _distance(place: int, part: slice) -> int:
    away: int = max(part.start - place, place - part.stop + 1)
    return away


def _beside(place: int, parts: list[slice], what: str) -> str:
    """Where the first byte lies from the nearest of some parts, each of which is `what`."""
    if not parts:
        return "of which it has asked for none"
    part = min(parts, key=lambda part: _distance(place, part))
    size = _bytes(part.stop - part.start)
    if 0 < part.start - place <= 2 * GUARD:
        return f"the first {_bytes(part.start - place)} before it"
    if 0 <= place - part.stop <= 2 * GUARD:
        return f"the first byte {place - part.start} of {what} of {size}"
    return "the first far from it, among its inputs"


def _bytes(count: int) -> str:
    return counted(count, "byte")
