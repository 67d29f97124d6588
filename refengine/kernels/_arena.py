"""What each of TFLM's reference kernels asks its arena for, beside the tensors: structs, tables and scratch buffers.

TFLM: `Init` and `Prepare` of `kernels/*.cc`, the option structs of `core/c/builtin_op_data.h`. Sizes are those of C++
structs on two targets: x86-64 as the wheel is built, and 32-bit Arm as arm-none-eabi builds it (whose enums have one
byte). Whoever is not here asks for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import prod
from typing import NamedTuple

import numpy as np

from ..kernel import Node
from ..model import Tensor
from . import _flexbuffer


class Request(NamedTuple):
    """`size` bytes, for as long as the interpreter lives or, if it is `scratch`, while the operator runs."""

    size: int
    scratch: bool = False


class Needs(NamedTuple):
    """What an operator needs on x86-64 and on 32-bit Arm.

    `options` is the struct of its parsed options (size, alignment), `data` its own (TFLM's OpData), and `more` what
    Prepare asks for besides, given the node and how many bytes a pointer has.
    """

    options: tuple[tuple[int, int], tuple[int, int]] | None = None
    data: tuple[int, int] | None = None
    more: Callable[[Node, int], Iterator[Request]] | None = None


def elements(tensor: Tensor | None) -> int:
    return 0 if tensor is None else prod(tensor.shape)


def _scales(tensor: Tensor | None) -> int:
    return len(tensor.quantization.scale) if tensor is not None and tensor.quantization else 0


def _is_integer(tensor: Tensor | None) -> bool:
    return tensor is not None and tensor.dtype in ("int8", "int16")


def _channels(axis: int) -> Callable[[Node, int], Iterator[Request]]:
    """Multiplier and shift for each output channel; the unpacked filter where it is int4."""

    def more(node: Node, pointer: int) -> Iterator[Request]:
        filter = node.inputs[1]
        assert filter is not None
        yield from [Request(4 * filter.shape[axis])] * 2
        yield from [Request(elements(filter), scratch=True)] * (filter.dtype == "int4")

    return more


def _fully_connected(node: Node, pointer: int) -> Iterator[Request]:
    filter = node.inputs[1]
    assert filter is not None
    if _scales(filter) > 1 and _is_integer(node.inputs[0]):
        yield from [Request(4 * filter.shape[0])] * 2
    yield from [Request(elements(filter), scratch=True)] * (filter.dtype == "int4")


def _softmax(node: Node, pointer: int) -> Iterator[Request]:
    if node.inputs[0] is not None and node.inputs[0].dtype == "int16":
        yield from [Request(1026)] * 2


def _sum(node: Node, pointer: int) -> Iterator[Request]:
    if _is_integer(node.inputs[0]):
        yield Request(4 * elements(node.outputs[0]), scratch=True)
    yield from _extreme(node, pointer)


def _extreme(node: Node, pointer: int) -> Iterator[Request]:
    input, axis = node.inputs
    assert input is not None
    yield Request(4 * len(input.shape), scratch=True)
    yield Request(4 * elements(axis), scratch=True)


def _shape_kept(rank: int) -> int:
    """A TfLiteIntArray of that many dimensions."""
    return 4 + 4 * rank


def _reshape(node: Node, pointer: int) -> Iterator[Request]:
    if -1 in node.outputs[0].shape:
        yield Request(_shape_kept(len(node.outputs[0].shape)))


def _output_shape(node: Node, pointer: int) -> Iterator[Request]:
    yield Request(_shape_kept(len(node.outputs[0].shape)))


def _svdf(node: Node, pointer: int) -> Iterator[Request]:
    x, weights, _, bias, _ = (*node.inputs, None, None, None, None, None)[:5]
    assert x is not None and weights is not None
    yield Request(4 * x.shape[0] * weights.shape[0], scratch=True)
    if _is_integer(x):
        yield Request(4 * elements(node.outputs[0]), scratch=True)
    del bias


def _lstm(node: Node, pointer: int) -> Iterator[Request]:
    cell = node.inputs[19]
    assert cell is not None
    yield from [Request(elements(cell) * np.dtype(cell.dtype).itemsize, scratch=True)] * 4


def _transpose_conv(node: Node, pointer: int) -> Iterator[Request]:
    filter, input, output = node.inputs[1], node.inputs[2], node.outputs[0]
    assert filter is not None and input is not None
    yield from [Request(4 * filter.shape[0])] * 2
    if _is_integer(input):
        yield Request((4 if input.dtype == "int8" else 8) * elements(output), scratch=True)
    bias = node.inputs[3] if len(node.inputs) > 3 else None
    if input.dtype == "int16" and bias is not None and bias.dtype == "int16":
        yield Request(8 * elements(bias), scratch=True)


def _batch_matmul(node: Node, pointer: int) -> Iterator[Request]:
    lhs, rhs = node.inputs
    assert lhs is not None and rhs is not None
    if _is_integer(lhs):
        yield Request(28)
    for tensor, turned in ((lhs, node.options["adj_x"]), (rhs, not node.options["adj_y"])):
        if turned:
            yield Request(3 * pointer)
            yield Request(_shape_kept(len(tensor.shape)))
            yield Request(elements(tensor) * np.dtype(tensor.dtype).itemsize)
    yield Request(_shape_kept(len(node.outputs[0].shape)))


def _l2_pool(node: Node, pointer: int) -> Iterator[Request]:
    yield Request(_shape_kept(len(node.outputs[0].shape)))


def _mirror_pad(node: Node, pointer: int) -> Iterator[Request]:
    yield from [Request(4 * len(node.outputs[0].shape), scratch=True)] * 2


def _if_integer(x86: int, arm: int) -> Callable[[Node, int], Iterator[Request]]:
    def more(node: Node, pointer: int) -> Iterator[Request]:
        if node.inputs[0] is not None and node.inputs[0].dtype == "int8":
            yield Request(x86 if pointer == 8 else arm)

    return more


def _add_n(node: Node, pointer: int) -> Iterator[Request]:
    if _is_integer(node.inputs[0]):
        yield Request(40)
    yield Request(pointer * len(node.inputs), scratch=True)


def _embedding_lookup(node: Node, pointer: int) -> Iterator[Request]:
    yield Request(2 * pointer)
    yield Request(_shape_kept(len(node.outputs[0].shape)))


def _rows(tensor: Tensor | None) -> int:
    return 0 if tensor is None else prod(tensor.shape[:-1])


def _circular_buffer(pointer: int, capacity: int) -> Request:
    """Of the signal library: a struct, and twice as many int16 as it holds."""
    return Request((40 if pointer == 8 else 24) + 4 * capacity)


def _delay(node: Node, pointer: int) -> Iterator[Request]:
    (input,), (length,) = node.inputs, _flexbuffer.by_place(node, "delay_length")
    assert input is not None
    yield from [Request(pointer * _rows(input))] * 2
    yield from [_circular_buffer(pointer, input.shape[-1] + int(length))] * _rows(input)


def _framer(node: Node, pointer: int) -> Iterator[Request]:
    size, step, _ = _flexbuffer.by_place(node, "frame_size", "frame_step", "prefill")
    rows = _rows(node.inputs[0])
    yield from [Request(pointer * rows)] * 2
    yield from [_circular_buffer(pointer, -(-int(size) // int(step)) * int(step))] * rows


def _stacker(node: Node, pointer: int) -> Iterator[Request]:
    names = ("num_channels", "stacker_left_context", "stacker_right_context", "stacker_step")
    channels, left, right, _ = map(int, _flexbuffer.by_place(node, *names))
    yield _circular_buffer(pointer, channels * (left + right + 1))


def _overlap_add(node: Node, pointer: int) -> Iterator[Request]:
    (input,) = node.inputs
    assert input is not None
    rows = prod(input.shape[:-2])
    yield Request(pointer * rows)
    yield from [Request(input.shape[-1] * np.dtype(input.dtype).itemsize)] * rows


def _filter_bank(node: Node, pointer: int) -> Iterator[Request]:
    (channels,) = _flexbuffer.by_place(node, "num_channels")
    yield Request(8 * (int(channels) + 1))


def _spectral_subtraction(node: Node, pointer: int) -> Iterator[Request]:
    yield Request(4 * elements(node.outputs[0]))


def _rfft(node: Node, pointer: int) -> Iterator[Request]:
    (output,) = node.outputs
    length, itemsize = output.shape[-1] - 2, np.dtype(output.dtype).itemsize
    yield Request(3 * pointer + _transform(length, itemsize))
    yield Request(length * itemsize, scratch=True)


def _irfft(node: Node, pointer: int) -> Iterator[Request]:
    (output,) = node.outputs
    pointers = 5 if output.dtype == "float32" else 3
    yield Request(pointers * pointer + _transform(output.shape[-1], np.dtype(output.dtype).itemsize))


def _transform(length: int, itemsize: int) -> int:
    """KISS FFT's state of a real transform: that of a complex one of half the length, and twiddles of both."""
    half = length // 2
    return 264 + 2 * itemsize * (half + half * 3 // 2)


def _detection(node: Node, pointer: int) -> Iterator[Request]:
    boxes, scores, _ = node.inputs
    assert boxes is not None and scores is not None
    options = _flexbuffer.by_name(node)
    n, classes = boxes.shape[1], int(_flexbuffer.number(options, "num_classes"))
    most = int(_flexbuffer.number(options, "max_detections"))
    for size in (
        *(n, 16 * n, 4 * elements(scores), 4 * n, 4 * n, 4 * most * n, 4 * most * n, 4 * n, 4 * most * n),
        *(4 * n * max(classes, most), 4 * n * min(n, most)),
    ):
        yield Request(size, scratch=True)


def _decode(node: Node, pointer: int) -> Iterator[Request]:
    """A decoder an output: of a lookup table, of Huffman's code, or of what was pruned."""
    yield Request(pointer * len(node.outputs))
    for ancillary, output in zip(node.inputs[1::2], node.outputs, strict=True):
        assert ancillary is not None and ancillary.data is not None
        kind = ancillary.data.tobytes()[0]
        yield Request((72, 56, 80)[kind] if pointer == 8 else (36, 28, 40)[kind])
        if kind == 2 and _scales(output) > 1:
            yield Request(_scales(output))


def _both(size: int, align: int = 4) -> tuple[tuple[int, int], tuple[int, int]]:
    return (size, align), (size, align)


_COMPARISON = Needs(data=(32, 32))
_POOL = Needs(_both(40), (32, 32))
_SMALL = ((4, 4), (1, 1))

NEEDS: Mapping[str, Needs] = {
    "CONV_2D": Needs(_both(28), (80, 56), _channels(0)),
    "DEPTHWISE_CONV_2D": Needs(_both(28), (80, 56), _channels(3)),
    "FULLY_CONNECTED": Needs(((32, 8), (5, 1)), (72, 48), _fully_connected),
    "AVERAGE_POOL_2D": _POOL,
    "MAX_POOL_2D": _POOL,
    "L2_POOL_2D": Needs(_both(40), None, _l2_pool),
    "ADD": Needs(((8, 4), (2, 1)), (60, 60)),
    "SUB": Needs(((8, 4), (2, 1)), (52, 52)),
    "MUL": Needs(_SMALL, (36, 36)),
    "DIV": Needs(_SMALL, (28, 28)),
    "SOFTMAX": Needs(_both(4), (80, 56), _softmax),
    "MEAN": Needs(_both(1, 1), (44, 44), _sum),
    "SUM": Needs(_both(1, 1), (44, 44), _sum),
    "REDUCE_MAX": Needs(_both(1, 1), (44, 44), _extreme),
    "REDUCE_MIN": Needs(_both(1, 1), (44, 44), _extreme),
    "REDUCE_ALL": Needs(_both(1, 1), (44, 44), _extreme),
    "RESHAPE": Needs(_both(36), None, _reshape),
    "SQUEEZE": Needs(_both(36)),
    "CONCATENATION": Needs(_both(8), (80, 24)),
    "STRIDED_SLICE": Needs(_both(24), (84, 84)),
    "SPLIT": Needs(_both(4)),
    "SPLIT_V": Needs(_both(4)),
    "PACK": Needs(_both(8)),
    "UNPACK": Needs(_both(8)),
    "QUANTIZE": Needs(data=(32, 32)),
    "DEQUANTIZE": Needs(data=(32, 32)),
    "PAD": Needs(data=(56, 56)),
    "PADV2": Needs(data=(56, 56)),
    "RELU": Needs(data=(28, 28)),
    "RELU6": Needs(data=(8, 8)),
    "LEAKY_RELU": Needs(_both(4), (24, 24)),
    "PRELU": Needs(data=(28, 28)),
    "HARD_SWISH": Needs(data=(20, 20)),
    "ELU": Needs(data=(256, 256)),
    "LOGISTIC": Needs(data=(16, 16)),
    "TANH": Needs(data=(16, 16)),
    "ABS": Needs(data=(28, 28)),
    "RSQRT": Needs(data=(28, 28)),
    **dict.fromkeys(("EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL"), _COMPARISON),
    "SQUARED_DIFFERENCE": Needs(data=(112, 112)),
    "SVDF": Needs(((12, 4), (8, 4)), (36, 36), _svdf),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": Needs(_both(16), (688, 688), _lstm),
    "TRANSPOSE_CONV": Needs(((20, 4), (16, 4)), (88, 72), _transpose_conv),
    "BATCH_MATMUL": Needs(_both(3, 1), (32, 16), _batch_matmul),
    "GATHER": Needs(_both(8), None, _output_shape),
    "GATHER_ND": Needs(None, None, _output_shape),
    "DEPTH_TO_SPACE": Needs(_both(4), None, _output_shape),
    "SPACE_TO_DEPTH": Needs(_both(4), None, _output_shape),
    "ARG_MAX": Needs(_SMALL),
    "ARG_MIN": Needs(_SMALL),
    "SHAPE": Needs(_SMALL),
    "L2_NORMALIZATION": Needs(_SMALL, (4, 4)),
    "MIRROR_PAD": Needs(_SMALL, (20, 20), _mirror_pad),
    "CAST": Needs(((8, 4), (2, 1))),
    "CUMSUM": Needs(_both(2, 1), None, _if_integer(36, 36)),
    "RESIZE_BILINEAR": Needs(_both(2, 1)),
    "RESIZE_NEAREST_NEIGHBOR": Needs(_both(2, 1)),
    "LOG_SOFTMAX": Needs(None, None, _if_integer(40, 28)),
    "ADD_N": Needs(None, None, _add_n),
    "EMBEDDING_LOOKUP": Needs(None, None, _embedding_lookup),
    "SELECT_V2": Needs(data=(1, 1)),
    "SPACE_TO_BATCH_ND": Needs(data=(4, 4)),
    "IF": Needs(_both(8), (8, 8)),
    "WHILE": Needs(_both(8), (8, 8)),
    "CALL_ONCE": Needs(_both(4), (8, 8)),
    "VAR_HANDLE": Needs(((16, 8), (8, 4)), (4, 4)),
    "ASSIGN_VARIABLE": Needs(data=(4, 0)),
    "CIRCULAR_BUFFER": Needs(data=(8, 8)),
    "SignalDelay": Needs(None, (32, 20), _delay),
    "SignalEnergy": Needs(data=(8, 8)),
    "SignalFftAutoScale": Needs(),
    "SignalFilterBank": Needs(None, (64, 36), _filter_bank),
    "SignalFilterBankLog": Needs(data=(8, 8)),
    "SignalFilterBankSpectralSubtraction": Needs(None, (56, 44), _spectral_subtraction),
    "SignalFilterBankSquareRoot": Needs(),
    "SignalFramer": Needs(None, (40, 28), _framer),
    "SignalIrfft": Needs(None, (32, 24), _irfft),
    "SignalOverlapAdd": Needs(None, (32, 24), _overlap_add),
    "SignalPCAN": Needs(data=(4, 4)),
    "SignalRfft": Needs(None, (48, 32), _rfft),
    "SignalStacker": Needs(None, (56, 36), _stacker),
    "SignalWindow": Needs(data=(8, 8)),
    "TFLM_DECODE": Needs(None, None, _decode),
    "TFLite_Detection_PostProcess": Needs(None, (112, 112), _detection),
}
