"""Small networks of each task, whose answers one can see in the input."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from refengine.kernel import Node
from refengine.kernels import _flexbuffer
from refengine.model import Array, Model
from refengine.strategies import model_of
from tests.models import const, fed, q

GREY = q(1 / 255, -128)
CELLS = 4
NONE = {"fused_activation_function": "NONE"}


def anchors() -> Array:
    """The places of 4×4 cells: y, x, height and width, as int8 codes of eighths."""
    middles = np.arange(CELLS) * 2 + 1
    y, x = np.meshgrid(middles, middles, indexing="ij")
    return np.stack([y, x, np.full_like(y, 2), np.full_like(y, 2)], -1).reshape(-1, 4)


def detector(most: int = 6, moved: bool = False) -> Model:
    """A 4×4 grey picture → a box on each cell as bright as 0.3, its class 0, its brightness the score.

    The anchors are constants; `moved` has them reshaped first.
    """
    n = CELLS * CELLS
    picture, row = fed((1, CELLS, CELLS, 1), "int8", GREY), fed((1, n, 1), "int8", GREY)
    scores, places = fed((1, n, 1), "float32"), fed((n, 4), "float32")
    boxes = const(np.zeros((1, n, 4)), "float32")
    options = _flexbuffer.pack(
        max_detections=most, max_classes_per_detection=1, num_classes=1, use_regular_nms=False,
        nms_score_threshold=0.3, nms_iou_threshold=0.5, y_scale=10.0, x_scale=10.0, h_scale=5.0, w_scale=5.0,
    )  # fmt: skip
    found = [fed(shape, "float32") for shape in ((1, most, 4), (1, most), (1, most), (1,))]
    codes, flat = const(anchors(), "int8", q(1 / 8)), const(anchors().ravel(), "int8", q(1 / 8))
    reshaped = fed((n, 4), "int8", q(1 / 8))
    return model_of(
        Node("RESHAPE", {}, (picture, const([1, n, 1], "int32")), (row,)),
        Node("DEQUANTIZE", {}, (row,), (scores,)),
        *([Node("RESHAPE", {}, (flat, const([n, 4], "int32")), (reshaped,))] if moved else []),
        Node("DEQUANTIZE", {}, (reshaped if moved else codes,), (places,)),
        Node("TFLite_Detection_PostProcess", {}, (boxes, scores, places), tuple(found), custom_options=options),
    )


def segmenter() -> Model:
    """A 6×6 picture of three colours → scores of two classes: more red than blue, or less."""
    picture, scores = fed((1, 6, 6, 3), "int8", GREY), fed((1, 6, 6, 2), "int8", q(1 / 128))
    weights = const([[[[127, 0, 0]]], [[[0, 0, 127]]]], "int8", q((1 / 127, 1 / 127)))
    options = {"padding": "VALID", "stride_w": 1, "stride_h": 1, "dilation_w_factor": 1, "dilation_h_factor": 1} | NONE
    return model_of(Node("CONV_2D", options, (picture, weights, const([0, 0], "int32", q((1.0, 1.0)))), (scores,)))


def keyword_spotter() -> Model:
    """49 × 40 features as micro_speech takes them → four scores: the mean of a quarter each."""
    features, scores = fed((1, 1960), "int8", q(26 / 256, -128)), fed((1, 4), "int8", q(26 / 256, -128))
    weights = np.repeat(np.eye(4, dtype=np.int8), 490, axis=1)
    return model_of(Node("FULLY_CONNECTED", NONE, (features, const(weights, "int8", q(1 / 490)), None), (scores,)))


def wav(path: Path, samples: Array, rate: int = 16000) -> str:
    """A file of PCM: (n,) or (n, channels) of uint8, int16 or int32."""
    data = samples.astype(samples.dtype.newbyteorder("<")).tobytes()
    channels, width = (1, *samples.shape[1:])[-1], samples.itemsize
    header = struct.pack("<HHIIHH", 1, channels, rate, rate * channels * width, channels * width, 8 * width)
    chunks = b"fmt " + struct.pack("<I", 16) + header + b"data" + struct.pack("<I", len(data)) + data
    path.write_bytes(b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks)
    return str(path)


def signal(length: int = 16000) -> Array:
    """A sound that is the same wherever it is made: noise of sixteen loudnesses, the most negative sample in it."""
    state, samples = 1, []
    for i in range(length):
        state = (1103515245 * state + 12345) % 2**31
        samples.append((state >> 15) - 2**15 >> (i // 1000) % 16 if i % 997 else -(2**15))
    return np.array(samples, np.int16)


def wake_word() -> Model:
    """Three rows of microWakeWord's features → how loud the last nine are, 0.5 to 1: six of them are remembered."""
    loud = q(26 / 256, -128)
    rows, old, window, kept = (fed((1, n, 40), "int8", loud) for n in (3, 6, 9, 6))
    handle, silent = fed((), "resource"), const(np.full((1, 6, 40), -128), "int8", loud)
    named = {"container": "", "shared_name": "window"}
    begin = Node("ASSIGN_VARIABLE", {}, (handle, silent), (), before=(Node("VAR_HANDLE", named, (), (handle,)),))
    masks = {"begin_mask": 5, "end_mask": 5, "ellipsis_mask": 0, "new_axis_mask": 0, "shrink_axis_mask": 0}
    ends = (const(each, "int32") for each in ([0, 3, 0], [0, 9, 0], [1, 1, 1]))
    flat, score = fed((1, 360), "int8", loud), fed((1, 1), "int8", q(26 / 256, -128))
    sure, given = fed((1, 1), "int8", q(1 / 256, -128)), fed((1, 1), "uint8", q(1 / 256))
    weights = const(np.ones((1, 360)), "int8", q(1 / 3600))
    return model_of(
        Node("CALL_ONCE", {}, (), (), subgraphs=(model_of(begin).graphs[0],)),
        Node("VAR_HANDLE", named, (), (handle,)),
        Node("READ_VARIABLE", {}, (handle,), (old,)),
        Node("CONCATENATION", {"axis": 1} | NONE, (old, rows), (window,)),
        Node("STRIDED_SLICE", masks | {"offset": False}, (window, *ends), (kept,)),
        Node("ASSIGN_VARIABLE", {}, (handle, kept), ()),
        Node("RESHAPE", {"new_shape": ()}, (window, const([1, 360], "int32")), (flat,)),
        Node("FULLY_CONNECTED", NONE, (flat, weights, None), (score,)),
        Node("LOGISTIC", {}, (score,), (sure,)),
        Node("QUANTIZE", {}, (sure,), (given,)),
    )
