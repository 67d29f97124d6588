"""What a device was fed, and the sample that it was made from: was it prepared as the model wants it?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np

from ..errors import InputError, located
from ..model import Array, Tensor
from ..plan import Plan, Source, plan_of
from ..tensors.arrays import read_bytes, read_npy
from ..tensors.images import read_inputs
from ..tensors.inputs import picture_shape, pixels_to_input
from ..text import counted
from .dumps import RAW, as_tensor, read_dump
from .feeding import Fed, fed
from .pictures import otherwise
from .sample import Sample, sample_from, sample_of

Arrays = Array | Sequence[Array]
"""Those of all inputs, or that of the only one."""

Range = tuple[float, float] | None


def check_input(
    source: Source, given: Arrays, sample: Arrays, *, previous: Arrays = (), real_range: Range = None
) -> tuple[Fed, ...]:
    """Which preparations made what a device was fed of a sample: a verdict for each input.

    `given` is what the inputs' buffers held, in the declared dtypes and shapes. `sample` has as many elements as the
    input, in any shape: real values (any float dtype), or the pixels of a picture (uint8, unless the input is of uint8
    itself), or the sound codes (the input's dtype), which leave real values known to half a step. `previous` is the
    sample of the inference before, in the same forms; `real_range` are the real values of black and white, by default
    as `pixel_range` has them. Raises `InputError` for arrays that do not fit, and what `make_plan` raises.
    """
    plan = plan_of(source)
    before = samples_of(plan, previous, real_range) if len(previous) else ()
    return judged(plan, dict(enumerate(_several(given))), samples_of(plan, sample, real_range), before)


def judged(
    plan: Plan, given: Mapping[int, Array], samples: Sequence[Sample], previous: Sequence[Sample] = ()
) -> tuple[Fed, ...]:
    """The same of samples that are read already, and of the inputs that are `given`, by their place."""
    found = []
    for i, x in given.items():
        tensor = plan.inputs[i] if i < len(plan.inputs) else None
        if tensor is None or x.dtype != tensor.dtype or x.shape != tensor.shape:
            takes = f"is {tensor.dtype} {tensor.shape}" if tensor else "does not exist"
            raise InputError(f"input {i} {takes}; it was fed {x.dtype} {x.shape}: give just what lay in its buffer")
        exchanged = tuple(
            ("inputs exchanged", f"holds what input '{each.tensor.name}' should", each)
            for each in samples
            if each.index != i and (each.codes.dtype, each.codes.shape) == (x.dtype, x.shape)
        )
        sample = replace(samples[i], others=(*samples[i].others, *exchanged))
        found.append(fed(sample, x, previous[i : i + 1]))
    return tuple(found)


def samples_of(plan: Plan, arrays: Arrays, real_range: Range = None) -> tuple[Sample, ...]:
    """The samples of all inputs, by arrays as `check_input` takes them."""
    each = _several(arrays)
    if len(each) != len(plan.inputs):
        takes, got = counted(len(plan.inputs), "input"), counted(len(each), "array")
        raise InputError(f"the model has {takes}; the sample has {got}")
    return tuple(_sample(plan, x, i, real_range) for i, x in enumerate(each))


def _several(arrays: Arrays) -> tuple[Array, ...]:
    each = (arrays,) if isinstance(arrays, np.ndarray) else arrays
    if not isinstance(each, list | tuple) or not all(isinstance(x, np.ndarray) for x in each):
        raise InputError(f"what was fed, and its sample, are an array, or a tuple of them; got a {_kind(arrays)}")
    return tuple(each)


def _kind(arrays: object) -> str:
    return next((type(x).__name__ for x in arrays), "") if isinstance(arrays, list | tuple) else type(arrays).__name__


def _sample(plan: Plan, values: Array, index: int, real_range: Range) -> Sample:
    tensor = plan.inputs[index]
    if values.size == prod(tensor.shape):
        if values.dtype == np.uint8 and tensor.dtype != "uint8":
            pixels = values.reshape(1, *picture_shape(tensor))
            values = pixels_to_input(plan, pixels, index, real_range, real=True)
        if values.dtype.kind == "f":
            return sample_from(plan, values.reshape(tensor.shape), index, real_range)
        if values.dtype == tensor.dtype:
            return sample_of(plan, values.reshape(tensor.shape), index, real_range)
    raise InputError(
        f"input '{tensor.name}' is {tensor.dtype} {tensor.shape}; its sample is real values or codes of that shape, or "
        f"a picture's pixels, not {values.dtype} {values.shape}"
    )


# ---- from files ------------------------------------------------------------------------------------------------


def read_samples(
    plan: Plan, paths: Sequence[str], *, digit: bool = False, real_range: Range = None
) -> list[tuple[Sample, ...]]:
    """The samples that files hold: for each inference, one for each input.

    Files are those of `tensors.images.read_inputs`; pictures also bring what else they may become. Raises `InputError`
    as it does.
    """
    found: list[tuple[Sample, ...]] = []
    for name, arrays in read_inputs(plan, paths, digit=digit, real_range=real_range, real=True):
        with located(name):
            each = [samples_of(plan, some, real_range) for some in _single(plan, arrays)]
        found += each
    if len(found) == 1 and len(paths) == len(plan.inputs):  # one inference, each input from a file of its own
        kinds = (otherwise(plan, i, path, digit=digit, real_range=real_range) for i, path in enumerate(paths))
        return [tuple(replace(s, others=others) for s, others in zip(found[0], kinds, strict=True))]
    return found


def _single(plan: Plan, arrays: Sequence[Array]) -> list[tuple[Array, ...]]:
    """The inferences of one file, or of as many as the model has inputs."""
    sizes = [prod(tensor.shape) for tensor in plan.inputs]
    counts = {x.size // size if size and x.size % size == 0 else 1 for x, size in zip(arrays, sizes, strict=True)}
    if len(counts) > 1:
        raise InputError(f"the inputs have different numbers of samples: {', '.join(map(str, sorted(counts)))}")
    (count,) = counts or {0}
    return list(zip(*([x] if count == 1 else [*x.reshape(count, -1)] for x in arrays), strict=True))


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
            f"the model has {counted(len(plan.inputs), 'input')}, each from a file of its own, or all from one .npz; "
            f"{' '.join(paths)}: {counted(len(paths), 'file')}"
        )
    return {i: _read(plan, path, tensor) for i, (path, tensor) in enumerate(zip(paths, plan.inputs, strict=True))}


def _read(plan: Plan, path: str, tensor: Tensor) -> Array:
    with located(path):
        if Path(path).suffix.lower() == ".npy":
            return as_tensor(tensor, read_npy(path, plan.memory))
        if Path(path).suffix.lower() in RAW:
            return as_tensor(tensor, read_bytes(path, plan.memory))
        raise InputError("what a device was fed is its buffer: an .npy, .raw or .bin, or a dump")
