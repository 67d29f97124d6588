"""What only moves elements: by strides, by lists of where they come from, or by positions that are computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import numpy as np

from ..errors import require
from ..model import Array, Tensor
from ..plan import Step
from .call import MAX_RANK, Call, Constant, Maker, Values, data_of, given, input_of, size_of


def _pad(step: Step) -> Call:
    p, input, fill = step.params, input_of(step), step.inputs[2] if len(step.inputs) == 3 else None
    value = Constant("pad_value", np.array(p.pad_value, input.dtype)) if fill is None else fill
    front = MAX_RANK - len(input.shape)
    params = {
        "element_size": np.dtype(input.dtype).itemsize,
        "input_shape": Values((1,) * front + input.shape),
        "left_padding": Values((0,) * front + p.left_padding),
        "output_shape": Values((1,) * front + p.output_shape),
    }
    return Call("pad.c", "pad", "pad_params", params, (input, value))


def _reshape(step: Step) -> Call:
    bytes = size_of(step) * np.dtype(step.outputs[0].dtype).itemsize
    return Call("reshape.c", "reshape", "reshape_params", {"bytes": bytes}, (input_of(step),), in_place=True)


def _select(step: Step) -> Call:
    tensors, shape = given(*step.inputs), step.outputs[0].shape
    ones = (1,) * (MAX_RANK - len(shape))

    def strides(tensor: Tensor) -> Values:
        padded = (1,) * (MAX_RANK - len(tensor.shape)) + tensor.shape
        return Values(0 if padded[d] == 1 else prod(padded[d + 1 :]) for d in range(MAX_RANK))

    names = ("condition_strides", "x_strides", "y_strides")
    params = {"element_size": np.dtype(tensors[1].dtype).itemsize, "shape": Values(ones + shape)}
    params |= {name: strides(tensor) for name, tensor in zip(names, tensors, strict=True)}
    return Call("select.c", "select_elements", "select_params", params, tensors)


def _gather(step: Step) -> Call | tuple[Call, ...]:
    """By positions that are computed; constant ones only move elements."""
    p, (input, positions) = step.params, given(*step.inputs)
    if positions.data is not None:
        return _copies(step)
    batches, outer, count, inner = p.input_shape
    params = {"batches": batches, "outer": outer, "count": count, "bytes": inner * np.dtype(input.dtype).itemsize}
    params["positions"] = p.positions_shape[1]
    return Call("gather.c", "gather_elements", "gather_elements_params", params, (input, positions))


def _embedding_lookup(step: Step) -> Call:
    p, (ids, table) = step.params, given(*step.inputs)
    depth = prod(table.shape[1:])
    if p.scale is not None:
        params = {"ids": prod(ids.shape), "rows": p.rows, "depth": depth, "scale": p.scale}
        return Call("gather.c", "embedding_lookup_int8_float32", "embedding_params", params, (ids, table))
    sizes = {"batches": 1, "outer": 1, "count": p.rows, "bytes": depth * np.dtype(table.dtype).itemsize}
    params = sizes | {"positions": prod(ids.shape)}
    return Call("gather.c", "embedding_lookup", "gather_elements_params", params, (ids, table))


def _space_to_batch_nd(step: Step) -> Call:
    """Where each pixel comes from, by the kernel itself: it moves the elements' numbers, and pads with 0."""
    p, input = step.params, data_of(step)
    require(
        p.blocks is not None,
        f"{step}: blocks and paddings are computed at run time; the C kernel takes constant ones only",
    )
    numbered = replace(step, params=replace(p, pad_value=0))
    (taken,) = _taken(numbered, [input], np.array([1, 1 + prod(input.shape)]))
    depth, size = input.shape[-1], np.dtype(input.dtype).itemsize
    starts = np.maximum((taken[::depth] - 1) * size, -1).astype(np.int32)
    params = {"count": len(starts), "bytes": depth * size, "pad_byte": p.pad_value & 0xFF, "starts": starts}
    return Call("gather.c", "gather_padded", "gather_padded_params", params, (input,))


def _dynamic_update_slice(step: Step) -> Call:
    operand, update, indices = given(*step.inputs)
    rank, shape = len(operand.shape), operand.shape
    front = MAX_RANK - rank
    params = {
        "element_size": np.dtype(operand.dtype).itemsize,
        "bytes": prod(shape) * np.dtype(operand.dtype).itemsize,
        "rank": rank,
        "update_shape": Values((1,) * front + update.shape),
        "strides": Values((0,) * front + tuple(prod(shape[d + 1 :]) for d in range(rank))),
        "largest": Values((0,) * front + step.params.largest),
    }
    kernel = f"dynamic_update_slice_{indices.dtype}"
    return Call("gather.c", kernel, "update_params", params, (operand, update, indices))


def _copies(step: Step) -> tuple[Call, ...]:
    """Each output from each input that reaches it, by where the operator's own kernel takes the elements from."""
    inputs = [t for t in step.inputs if t is not None]
    sources = inputs if step.facts.joins else [data_of(step)]
    for tensor in inputs:
        require(
            tensor in sources or tensor.data is not None,
            f"{step}: input '{tensor.name}' says what moves where and is computed at run time; the C kernels take "
            "constant ones only",
        )
    starts = np.cumsum([0, *(prod(t.shape) for t in sources)])
    calls = []
    for number, taken in enumerate(_taken(step, sources, starts)):
        for source, start, end in zip(sources, starts, starts[1:], strict=False):
            places = np.flatnonzero((taken >= start) & (taken < end))
            if places.size:
                calls.append(_copied(step, source, taken[places] - start, places, number))
    return tuple(calls)


def _taken(step: Step, sources: Sequence[Tensor], starts: Array) -> list[Array]:
    """For each output, which element of the `sources`, counted through, each of its elements is.

    The kernel moves the elements' numbers, a few bits at a time so that any type holds them.
    """
    bits = 1 if sources[0].dtype == "bool" else 7
    outputs = [np.zeros(prod(t.shape), np.int64) for t in step.outputs]
    assert step.kernel.evaluate is not None
    for shift in range(0, max(1, int(starts[-1]).bit_length()), bits):
        digits = {
            id(t): ((start + np.arange(prod(t.shape))) >> shift & (1 << bits) - 1).astype(t.dtype).reshape(1, *t.shape)
            for t, start in zip(sources, starts, strict=False)
        }
        arrays = [None if t is None else digits[id(t)] if id(t) in digits else _row(t) for t in step.inputs]
        moved = step.kernel.evaluate(step.params, *arrays)
        for output, x in zip(outputs, moved if isinstance(moved, tuple) else (moved,), strict=True):
            output += np.asarray(x).reshape(-1).astype(np.int64) << shift
    return outputs


def _row(tensor: Tensor) -> Array:
    assert tensor.data is not None
    return tensor.data[np.newaxis]


def _copied(step: Step, source: Tensor, taken: Array, places: Array, number: int) -> Call:
    """`output[places] = source[taken]`, as nested strides or, where there are none, block by block."""
    size = np.dtype(source.dtype).itemsize
    by_input = np.argsort(taken, kind="stable") if len(places) < prod(step.outputs[number].shape) else slice(None)
    nests = _nested(np.stack([taken[by_input], places[by_input]], axis=1))
    if nests is not None:
        front = [(1, (0, 0))] * (MAX_RANK - len(nests))
        shape, strides = zip(*front, *nests, strict=True)
        inputs, outputs = zip(*strides, strict=True)
        params = {
            "element_size": size,
            "shape": Values(shape),
            "input_start": int(taken[by_input][0]),
            "output_start": int(places[by_input][0]),
            "input_strides": Values(inputs),
            "output_strides": Values(outputs),
        }
        return Call("copies.c", "copy_elements", "copy_params", params, (source,), output=number)
    require(
        len(places) == prod(step.outputs[number].shape),
        f"{step}: elements of '{source.name}' go to places of '{step.outputs[number].name}' without regular strides, "
        "for which there is no C kernel",
    )
    block = _block(taken)
    params = {"count": len(taken) // block, "bytes": block * size, "starts": (taken[::block] * size).astype(np.int32)}
    return Call("copies.c", "gather_blocks", "gather_params", params, (source,), output=number)


def _nested(pairs: Array) -> list[tuple[int, tuple[int, int]]] | None:
    """(count, strides) from the outermost loop to the innermost that count through `pairs` (n, 2); None beyond 6."""
    nests: list[tuple[int, tuple[int, int]]] = []
    while len(pairs) > 1:
        steps = np.diff(pairs, axis=0)
        longest = _first(np.any(steps != steps[0], axis=1)) + 1
        count = next((n for n in range(longest, 1, -1) if len(pairs) % n == 0 and _regular(pairs, n)), 1)
        if count == 1 or len(nests) == MAX_RANK:
            return None
        nests.insert(0, (count, (int(steps[0, 0]), int(steps[0, 1]))))
        pairs = pairs[::count]
    return nests


def _first(where: Array) -> int:
    """The first place that is true, or the length."""
    places = np.flatnonzero(where)
    return int(places[0]) if places.size else len(where)


def _regular(pairs: Array, count: int) -> bool:
    """Whether every row of `count` goes on by the steps of the first."""
    return bool(np.all(np.diff(pairs.reshape(-1, count, 2), axis=1) == pairs[1] - pairs[0]))


def _block(taken: Array) -> int:
    """The most elements that always lie side by side."""
    longest = _first(np.diff(taken) != 1) + 1
    rows = (n for n in range(longest, 1, -1) if len(taken) % n == 0)
    return next((n for n in rows if np.all(np.diff(taken.reshape(-1, n), axis=1) == 1)), 1)


MAKERS: dict[str, Maker] = {
    "select": _select,
    "gather": _gather,
    "embedding_lookup": _embedding_lookup,
    "space_to_batch_nd": _space_to_batch_nd,
    "dynamic_update_slice": _dynamic_update_slice,
    "copies": _copies,
    "pad": _pad,
    "reshape": _reshape,
}
"""By C kernel: what makes a call of it."""
