"""Kernels of somebody's own held to the contract of `kernel`: what they give is looked at before anybody believes it.

The package's own keep it by their tests, and are not asked again each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from .errors import InputError
from .kernel import Kernel, Line, Node
from .model import Array, Tensor
from .text import counted, kind_of

AS_ARRAYS = {"int4": "int8", "resource": "int32"}
"""What arrays hold of types that NumPy has not."""


def held(kernel: Kernel, node: Node) -> Kernel:
    """The kernel, whose results are those that the node declares: else its `evaluate` raises `InputError`."""
    evaluate = kernel.evaluate
    if evaluate is None:
        return kernel
    updated = (node.inputs[i] for i in kernel.facts.updates)
    written = (*node.outputs, *(t for t in updated if t is not None))

    def checked(params: Any, *arrays: Array | None) -> tuple[Array, ...]:
        results = evaluate(params, *arrays)
        results = results if isinstance(results, tuple) else (results,)
        memory: tuple[Array, ...] = getattr(params, "memory", ())
        place = f"the kernel for {node.name}"
        kept = 1 if kernel.facts.resource in ("read", "assign") else len(memory)  # a variable's value, of any shape
        if len(results) != len(written) + kept:
            due = counted(len(written), "array") + f", then the {kept} that it keeps" * bool(kept)
            raise InputError(f"{place} gives {counted(len(results), 'array')}; its evaluate must return {due}")
        batch = 1 if kernel.facts.shapes_only else _batch(arrays)
        for i, (tensor, x) in enumerate(zip(written, results, strict=False)):
            dtype = AS_ARRAYS.get(tensor.dtype, tensor.dtype)
            _check(f"{place} gives {{}} for {_called(i, tensor, node)}", dtype, tensor.shape, x, batch)
        for before, x in zip(memory, results[len(written) :], strict=False):
            _check(f"{place} gives {{}} for what it keeps", before.dtype.name, before.shape[1:], x, batch)
        return results

    return replace(kernel, evaluate=checked)


def require_told(step: str, lines: Sequence[Line], element: np.generic) -> None:
    """Raise `InputError` unless a kernel's explanation ends at the element that it has computed, bit for bit."""
    told = lines[-1].value if lines and isinstance(lines[-1], Line) else None
    if told is None:
        raise InputError(f"the explain of {step} must yield refengine.Line, the last of them with the element as value")
    with np.errstate(all="ignore"), suppress(OverflowError, TypeError, ValueError):
        value = element.dtype.type(told)
        if value.tobytes() == element.tobytes() or (value != value and element != element):
            return
    raise InputError(f"the explain of {step} ends at {told}, and its evaluate gives {element}: one of them is wrong")


def _batch(arrays: Sequence[Array | None]) -> int:
    """How many inferences a kernel is given at once."""
    return max((len(x) for x in arrays if x is not None), default=1)


def _called(i: int, tensor: Tensor, node: Node) -> str:
    return f"output {i} '{tensor.name}'" if i < len(node.outputs) else f"the variable '{tensor.name}'"


def _check(told: str, dtype: str, shape: tuple[int, ...], x: object, batch: int) -> None:
    """Raise `InputError` unless `x` is an array of that dtype and shape, with the batch in front."""
    right = isinstance(x, np.ndarray) and x.shape[1:] == shape and x.ndim == len(shape) + 1
    if not right or not isinstance(x, np.ndarray) or len(x) < batch or (dtype in np.sctypeDict and x.dtype != dtype):
        due = ", ".join(map(str, ("batch", *shape)))
        raise InputError(
            f"{told.format(kind_of(x))}; its evaluate must return {dtype} ({due}), and the batch is {batch}"
        )
