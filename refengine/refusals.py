"""What a file may hold and TFLM does not run, or refengine does not: whose limit it is, and the way out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod

import numpy as np

from .errors import LimitError, UnsupportedError, require
from .kernel import Facts, Kernel, Kernels, Node
from .kernels._tflm import CUSTOM_OPS, INSTEAD, TFLM_OPS, TYPES_WITHOUT_KERNEL, WITHOUT_HARDWARE
from .memory import ALIGNMENT, tensor_bytes
from .model import Model, Op, Tensor

INT8_ADVICE = (
    "convert the float model again, with a representative dataset and inference_input_type = tf.int8 (full integer)"
)
TYPE_ADVICE = {
    "float16": f"TFLM has no float16; {INT8_ADVICE}, or all float32 (without optimizations and supported_types)",
    "uint8": f"TFLM computes with int8, and no longer with uint8; {INT8_ADVICE}",
}
"""What TFLM has not for a type, and what to do instead."""


def kernel_for(op: Op, node: Node, kernels: Kernels, facts: Mapping[str, Facts]) -> Kernel:
    """The kernel for the operator at the type of the input that holds its data."""
    if node.name not in facts:
        raise _no_kernel(op)
    place = facts[node.name].data
    data = node.inputs[place] if place is not None and place < len(node.inputs) else None
    require(
        place is None or data is not None,
        f"input {place}, which holds the data, is missing, without which TFLM does not run it: convert again",
    )
    dtype = data.dtype if data is not None else ""
    if (node.name, dtype) in kernels:
        return kernels[node.name, dtype]
    known = ", ".join(sorted(dtype for name, dtype in kernels if name == node.name))
    assert data is not None
    said = f"input '{data.name}' is {dtype}; supported here: {known}; "
    advice = "convert again with one of these, or give refengine a kernel by make_plan(kernels=…)"
    if dtype in TYPES_WITHOUT_KERNEL.get(node.name, ()):
        raise LimitError(f"{said}TFLM runs {dtype} too; {advice}", tflm_runs=True)
    if node.name not in (TFLM_OPS if op.kind == op.name else CUSTOM_OPS):
        raise LimitError(said + advice)
    if dtype in ("int8", "int16") and (node.name, "float32") in kernels:
        advice = (
            f"TFLM has no {dtype} kernel for it: leave it in float (refengine quantize --keep {node.name}, of the "
            "float32 file), or give TFLM a kernel of yours, and refengine one by make_plan(kernels=…)"
        )
    raise UnsupportedError(said + TYPE_ADVICE.get(dtype, advice))


def _no_kernel(op: Op) -> UnsupportedError:
    """Whose limit it is that an operator has no kernel, and the way out."""
    custom = op.kind != op.name
    if op.kind in (CUSTOM_OPS if custom else TFLM_OPS):
        return LimitError(
            "TFLM has this operator, and refengine no kernel for it yet, so whether TFLM takes these tensors is not "
            "known; in Python, make_plan(kernels=…) and quantize(kernels=…) take a kernel of yours"
        )
    if custom and op.kind in WITHOUT_HARDWARE:
        return UnsupportedError(WITHOUT_HARDWARE[op.kind][1])
    if custom:
        return UnsupportedError(
            "TFLM registers no such custom operator; build TFLM with a kernel of your own for it, and give refengine "
            "one through make_plan(kernels=…), or leave it out (--partial, in Python partial=True)"
        )
    return UnsupportedError(
        "TFLM has no such operator; build the network without it, from those that it has "
        f"(refengine.kernels._tflm.TFLM_OPS{INSTEAD.get(op.kind, '')}), or build TFLM with a kernel of your own and "
        "give make_plan(kernels=…) one"
    )


def require_tensors(node: Node) -> None:
    for tensor in filter(None, (*node.inputs, *node.outputs)):
        require(
            all(d >= 0 for d in tensor.shape),
            f"tensor '{tensor.name}' has the dynamic shape {tensor.shape}; TFLM plans all memory beforehand: "
            "convert again with fixed shapes",
        )
        require(
            tensor.dtype != "string",
            f"tensor '{tensor.name}' holds strings, for which TFLM plans no memory; convert again without them",
        )
        require(
            tensor.sparsity is None,
            f"tensor '{tensor.name}' is sparse, but TFLM reads all constants as dense; convert again without sparsity",
        )
        _check_countable(tensor)
    for tensor in node.outputs:
        require(
            0 not in tensor.shape or tensor.shape == (0,),
            f"output '{tensor.name}' has the empty shape {tensor.shape}, which TFLM takes for a dynamic one; "
            "convert again with fixed shapes",
        )
    for tensor in node.intermediates:
        require(
            0 in tensor.shape,
            f"the intermediate tensor '{tensor.name}' has the shape {tensor.shape}, for which TFLM's allocation fails; "
            "convert again with a current converter, which leaves intermediates empty",
        )


def _check_countable(tensor: Tensor) -> None:
    """TFLM counts a tensor's elements (`BytesRequiredForTensor`, memory_helpers.cc) and the bytes that its arena plans
    for it, a multiple of 16 (`MicroMemoryPlanner::AddBuffer`), in an `int`."""
    planned = -(-tensor_bytes(tensor) // ALIGNMENT) * ALIGNMENT if tensor.data is None else 0
    require(
        max(prod(tensor.shape), planned) < 1 << 31,
        f"tensor '{tensor.name}' has {prod(tensor.shape):,} elements of {tensor.dtype}; TFLM counts them, and the "
        "bytes of its arena in steps of 16, in 32 bits, up to 2,147,483,647: build the network with smaller tensors",
    )


@contextmanager
def telling_unknown_lengths(node: Node) -> Iterator[None]:
    """Add to a refusal what may be its cause: the converter writes 1 for lengths that it does not know."""
    try:
        yield
    except UnsupportedError as error:
        unknown = [t for t in node.inputs if t is not None and -1 in t.shape_signature[1:]]
        if unknown:
            error.args = (
                f"{error}; the converter did not know the lengths {unknown[0].shape_signature} of "
                f"'{unknown[0].name}', and wrote {unknown[0].shape}: convert again with fixed ones",
            )
        raise


def offline_offsets(model: Model) -> tuple[int, ...] | None:
    """Where the file wants each tensor in TFLM's arena, those of all subgraphs in a row, −1 where it does not matter.

    TFLM: `AllocationInfoBuilder::GetOfflinePlannedOffsets` (micro_allocation_info.cc). Refuses another number of them,
    and variables that get no memory: `AllocateVariables` looks for their offsets among those of the first subgraph.
    """
    data = dict(model.metadata).get("OfflineMemoryAllocation")
    if data is None:
        return None
    words: list[int] = np.frombuffer(data[: len(data) // 4 * 4], "<i4").tolist()
    count, offsets = (words[2] if len(words) > 2 else 0), words[3:]
    tensors = sum(len(graph.tensors) for graph in model.graphs)
    require(
        count == tensors and len(offsets) >= tensors,
        f"the metadata OfflineMemoryAllocation has offsets for {count} tensors, and the model has {tensors}, where "
        "TFLM's allocation fails: remove the metadata, or plan the memory again",
    )
    every = ((graph, tensor) for graph in model.graphs for tensor in graph.tensors)
    for (graph, tensor), offset in zip(every, offsets, strict=False):
        require(
            not tensor.is_variable or offset != -1 or offsets[tensor.index] == -1,
            f"the variable '{tensor.name}' of subgraph {graph.index} gets no memory, for TFLM looks up its offset as "
            "that of a tensor of subgraph 0, and crashes: remove the metadata OfflineMemoryAllocation",
        )
    return tuple(offsets[:tensors])
