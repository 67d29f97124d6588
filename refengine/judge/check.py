"""What a device was fed, and the sample that it was made from: was it prepared as the model wants it?"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from pathlib import Path

import numpy as np

from ..errors import InputError, located
from ..model import Array, Tensor
from ..plan import Plan
from ..tensors.arrays import read_bytes, read_npy
from ..tensors.images import read_inputs
from ..tensors.inputs import picture_shape, pixels_to_input
from .dumps import RAW, _as_tensor, read_dump
from .feeding import Fed, fed
from .preparation import Sample, Way, sample_from, sample_of


def check_input(
    plan: Plan,
    given: Array,
    sample: Array,
    *,
    index: int = 0,
    previous: Array | None = None,
    real_range: tuple[float, float] | None = None,
    others: Sequence[tuple[Way, Sample]] = (),
) -> Fed:
    """Which preparation made `given`, what input `index` was fed (its dtype, its shape), of a sample.

    `sample` has as many elements as the input, in any shape: real values (any float dtype), or the pixels of a picture
    (uint8, unless the input is of uint8 itself), or the sound codes (the input's dtype), which leave real values known
    to half a step. `previous` is the sample of the inference before, in the same forms;
    `real_range` are the real values of black and white, by default as `pixel_range` has them. `others` are samples that
    the same file may become, with how.

    Raises `InputError` for arrays that do not fit.
    """
    tensor = plan.inputs[index] if 0 <= index < len(plan.inputs) else None
    if tensor is None:
        raise InputError(f"the model has no input {index}: it has {len(plan.inputs)}, counted from 0")
    if given.dtype != tensor.dtype or given.shape != tensor.shape:
        raise InputError(
            f"input '{tensor.name}' is {tensor.dtype} {tensor.shape}, and what it was fed {given.dtype} {given.shape}; "
            "give just what lay in its buffer"
        )
    before = [] if previous is None else [_sample(plan, previous, index, real_range)]
    return fed(_sample(plan, sample, index, real_range), given, before, others)


def _sample(plan: Plan, values: Array, index: int, real_range: tuple[float, float] | None) -> Sample:
    tensor = plan.inputs[index]
    if values.dtype == np.uint8 and tensor.dtype != "uint8" and values.size == prod(tensor.shape):
        pixels = values.reshape(1, *picture_shape(tensor))
        values = pixels_to_input(plan, pixels, index, real_range, real=True)
    if values.size == prod(tensor.shape) and values.dtype.kind == "f":
        return sample_from(plan, values.reshape(tensor.shape), index, real_range)
    if values.size == prod(tensor.shape) and values.dtype == tensor.dtype:
        return sample_of(plan, values.reshape(tensor.shape), index, real_range)
    raise InputError(
        f"input '{tensor.name}' is {tensor.dtype} {tensor.shape}; its sample is real values or codes of that shape, or "
        f"a picture's pixels, not {values.dtype} {values.shape}"
    )


def read_samples(
    plan: Plan, paths: Sequence[str], *, digit: bool = False, real_range: tuple[float, float] | None = None
) -> list[tuple[Array, ...]]:
    """The samples that files hold, as `check_input` takes them: for each inference, one for each input.

    Files are those of `tensors.images.read_inputs`, but real values stay real values. Raises `InputError` as it does.
    """
    found: list[tuple[Array, ...]] = []
    for name, arrays in read_inputs(plan, paths, digit=digit, real_range=real_range, real=True):
        sizes = [prod(tensor.shape) for tensor in plan.inputs]
        counts = {x.size // size if size and x.size % size == 0 else 1 for x, size in zip(arrays, sizes, strict=True)}
        if len(counts) > 1:
            raise InputError(f"{name} holds different numbers of samples for its inputs: {', '.join(map(str, counts))}")
        count = counts.pop() if counts else 0
        found += zip(*([x] if count == 1 else [*x.reshape(count, -1)] for x in arrays), strict=True)
    return found


def read_fed(plan: Plan, paths: Sequence[str]) -> dict[int, Array]:
    """What a device was fed, by the input's place: from a dump (`read_dump`), or from one `.npy`, `.raw` or `.bin` for
    each input.

    Raises `InputError`, in one sentence that names the file, for what cannot be read or does not fit.
    """
    if len(paths) == 1 and (Path(paths[0]).is_dir() or Path(paths[0]).suffix.lower() == ".npz"):
        dump = read_dump(plan, paths[0])
        found = {i: dump.tensors[t.index] for i, t in enumerate(plan.inputs) if t.index in dump.tensors}
        if not found:
            raise InputError(f"{paths[0]} holds no input that fits; {[*dump.problems, 'only other tensors'][0]}")
        return found
    if len(paths) != len(plan.inputs):
        raise InputError(
            f"the model has {len(plan.inputs)} inputs, each from a file of its own, or all from one .npz; "
            f"{' '.join(paths)} are {len(paths)}"
        )
    return {i: _read(plan, path, tensor) for i, (path, tensor) in enumerate(zip(paths, plan.inputs, strict=True))}


def _read(plan: Plan, path: str, tensor: Tensor) -> Array:
    with located(path):
        if Path(path).suffix.lower() == ".npy":
            return _as_tensor(tensor, read_npy(path, plan.memory))
        if Path(path).suffix.lower() in RAW:
            return _as_tensor(tensor, read_bytes(path, plan.memory))
        raise InputError("what a device was fed is its buffer: an .npy, .raw or .bin, or a dump")
