#!/usr/bin/env python3
"""How good a judge is `refengine diff`? A panel of device dumps whose fault is known, and a scorer.

    python panel.py                 all cases, the table by class and by kind of dump
    python panel.py --half A        half of the instances (A for developers, B kept back); --seed N gives fresh ones
    python panel.py --json out.json every case with what was said; --false prints the false verdicts; --faults a table
                                    by fault; --only TEXT takes the faults whose class or name contains it
    python panel.py --save DIR      also keeps the dumps: DIR/<case>.npz, .input.npy, .previous.npz, <net>.tflite

What a faulty device would have computed is worked out here, in plain NumPy, by kernels that share no code with
refengine's (they are checked against it at the start: "own kernels agree"); layers that are sound, and dialects, are
computed by `refengine.execute`. Everything follows from seeds. Needs refengine and numpy, nothing else.

Each instance (one fault, in one network, on one input) is dumped in up to four kinds:
    all      every tensor, the input too           noinput  every tensor but the input
    output   only the logits, or only the scores   half     a random half of the tensors
A dump that equals the sound one is `silent`: nothing can be told from it, it is not judged.

One outcome for each dump:
    named    the right cause is said (the verdict, the summary, a note, or among the five explanations shown)
    unknown  honest: differences, and no cause claimed
    thin     wrong causes named, but said to be uncertain
    partial  a wrong cause for 80 % and more of the differences, not for all
    FALSE    a wrong cause said to explain everything, or "never ran/written" where it ran and wrote
    missed   differences denied, or an exception
and `located`: every operator it suspects is the true one, or is among those that can't be told apart; for a wrong
input: it says that the input is wrong. `less`: instances where more evidence was given and less was said.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import re
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import refengine
from refengine.bundled import bundled_models
from refengine.judge import diff, read_dump
from refengine.kernel import PRESETS
from refengine.model import Graph, Model, Op, Quantization, Tensor
from refengine.tensors.datasets import bundled_digits

# ===========================================================================================================
#  KEYWORDS: the only place that knows how refengine words things. All are searched without regard to case, in
#  sentences from which the operators' names (CONV_2D, …) were taken out. Add wordings here, nowhere else.
# ===========================================================================================================

UNKNOWN = r"nothing explains|no known (fault|cause)|unexplained|cause (is )?unknown|a real bug"
"""A verdict that claims no cause."""

HEDGE = (
    r"too few|too little|\bthin\b|by chance|cannot (be )?(tell|told)|can ?not tell|not enough|ambiguous|compatible with|"
    r"\blikely\b|\bopen\b|perhaps|consistent with|may be\b|might be|could be|would (also )?explain|cannot tell apart|unproven|uncertain|indistinguishable"
)
"""What makes a claim an uncertain one, in the verdict's own sentence or in the summary."""

NEVER = r"never (ran|written|computed|executed)"
"""A claim that is false where the step ran, however many differences it explains."""

INPUT_BLAMED = (
    r"other inputs|another input|(fed|given) (an)?other|wrong input|the input (is|was|lies|has|holds|seems|looks|itself)|"
    r"input('s)? (channels|codes|values|rows|columns|pixels|tensor|elements|bytes)|(zero point|offset|scale) of the input"
)
"""The input is said to be wrong."""

PLACE = r", first at \[.*"
"""The end of a verdict that tells an element's values: numbers that are no cause."""

BOILERPLATE = r"^what this input cannot show|^the (input|output) .*: it tells|stood in for it|not in the dump, and computed|tensors fetched|^the device was fed another input '.*differ, first at"
"""Notes that name no cause."""

_NEIGHBOUR = (
    r"next|previous|neighbour|another channel|other channel|wrong channel|one channel|rolled|shifted|off by one"
)
NAMES = {
    # ---- input ---------------------------------------------------------------------------------------------
    "not normalised": r"not normali|255|un-?normali|raw pixels|without (the )?division|clipp|cut off",
    "not normalised, wrapping": r"not normali|255|un-?normali|raw pixels|without (the )?division|wrap",
    "-1…1 instead of 0…1": r"(-|−|minus )1\s*(…|to|\.\.)\s*\+?1|2x ?- ?1|twice|doubled|symmetric",
    "uint8 bits": r"uint8|128 too|off by 128|sign bit|unsigned|zero point",
    "zero point forgotten": r"zero point|offset|128",
    "scale forgotten": r"scale (is |was )?(forgotten|missing|left out|ignored|not)|without (the )?scale|not (scaled|divided)|unscaled",
    "0…1 cast to codes": r"0\s*(…|/|or|to)\s*1|cast|not quanti|real values|scale|unquanti",
    "truncated": r"truncat|round(s|ed)? (down|towards)|floor|not rounded|without rounding|one (code )?too (small|low)|cut off",
    "inverted": r"invert|negative|complement|black and white|255 ?[-−]",
    "transposed": r"transpos|rows? and columns?|columns? and rows?|width and height|height and width",
    "mirrored": r"mirror|left and right|flipped|(rows|columns|lines).*revers|revers.*(rows|columns|lines)",
    "upside down": r"upside|top and bottom|flipped|mirrored vertically|(rows|columns|lines).*revers|revers.*(rows|columns|lines)",
    "rotated by 180°": r"rotat|180|(elements|pixels|rows|order).*revers|revers.*(elements|pixels|rows)|upside.*mirror|mirror.*upside",
    "shifted": r"lies one|too (late|early|far)|shift|moved|offset by|one (row|column|element|pixel)|displac",
    "planar": r"planar|nchw|chw|channels? first|plane",
    "planar BGR": r"planar|nchw|chw|channels? first|plane",
    "BGR": r"bgr|rgb|channels.*(revers|swap|order)",
    "halved": r"halved|half (as|of|the)|divided by 2|factor (of )?(2|two|0\.5|½)|0\s*(…|to)\s*127|7 bits|scaled by 0\.5",
    "per-sample min/max": r"min.{0,5}max|per.?sample|stretch|contrast|normali[sz]ed|own range|scaled",
    "mean and deviation": r"mean|deviation|standardi|normali[sz]ed|z-score",
    "stale input": r"previous|stale|\blast (input|sample|picture|run)|earlier|before it",
    "half filled": r"(only|from|up to|until|after|beyond) .*(element|row|half|byte|filled|written)|half (of|filled)|partly|half-filled|rest of the input",
    "codes as floats": r"codes|quanti[sz]ed|int8|255|not real|integers",
    "hot pixel": r"one (pixel|element|value|input)|single|pixel",
    # ---- arithmetic ----------------------------------------------------------------------------------------
    "code off by one": r"off by one|one code|1 LSB|±1|single (element|output|code)",
    "lowest bit lost": r"lowest bit|bit 0|even codes|least significant",
    "single rounding": r"single rounding|dialect single|half.?up|rounds? once",
    "xnnpack": r"xnnpack|float32 product|ties to even",
    "round half up": r"half.?up|upwards?|esp-?nn|ties up|single rounding|dialect single",
    "shift off by one": r"\bshift(ed)? (is |are )?(one|off|by one|too)|one (bit|shift)|factor (of )?(2|two|0\.5|½|1/2)|twice as|half as|power of two|doubled|halved",
    "multiplier of 16 bits": r"16.?bits?|multiplier",
    "not rounded": r"rounds? down|truncat|floor|not rounded|without rounding|drops the bits|shifts out",
    "accumulator saturates at 16 bits": r"16.?bits?|int16|accumulat",
    "accumulator wraps at 16 bits": r"16.?bits?|int16|accumulat",
    "input offset missing": r"(zero point|offset) of (the |an )?input|input('s)? (offset|zero point)",
    "output offset missing": r"(zero point|offset) of the output|output('s)? (offset|zero point)",
    "activation min 0": r"activation|clamp|relu|lower (bound|end|limit)|minimum|code 0\b",
    "activation max": r"activation|clamp|relu|upper (bound|end|limit)|maximum",
    "bias left out": r"bias.*(left out|missing|forgotten|not added|zero|without)|without (the |its )?bias",
    "bias of another channel": rf"bias.*({_NEIGHBOUR}|every fourth)",
    "folded bias of another channel": rf"bias.*({_NEIGHBOUR}|every fourth)|folded",
    "one scale for all channels": r"(one|same|single|first|last|largest|mean|per.tensor).*(scale|multiplier|factor)|every channel",
    "neighbour's scale": rf"(scale|multiplier|factor).*({_NEIGHBOUR})|({_NEIGHBOUR}).*(scale|multiplier|factor)",
    "multiplier zero": r"multiplier|factor|scale|zero point|clamped at|every (code|element)",
    # ---- geometry ------------------------------------------------------------------------------------------
    "padding off by one": r"padding|window lies|padded|odd pixel",
    "padding with code 0": r"padding is|padd(ed|ing) (with|value)|code 0 instead",
    "stride h/w swapped": r"stride|(height|rows?) and (width|columns?)|h and w|exchanged|swapped",
    "padding h/w swapped": r"padding|padded|window lies|(height|rows?) and (width|columns?)",
    "filter row skipped": r"(row|column|tap)s? of the (filter|kernel|window)|(filter|kernel|window)('s)? (first|last|row|column|tap)|skip|\btaps?\b",
    "dilation ignored": r"dilation",
    "pool window 1×1": r"1\s*[x×]\s*1|only (the )?(first|corner|one)|subsampl|does not pool|window (of|is) 1|pool.*(copies|first)",
    "max pool starts at 0": r"(starts?|begins?|initial\w*) (at|from|with|is).* 0|code 0\b|below 0|negative codes|lower bound|minimum",
    "average truncates": r"truncat|round(s|ed)? (down|towards)|floor|not rounded|without rounding",
    # ---- layout --------------------------------------------------------------------------------------------
    "flattened CHW": r"chw|planar|channels? first|channel.major|flatten",
    "flattened WHC": r"whc|rows? and columns?|columns? and rows?|height and width|transpos|flatten",
    "weights in another order": r"weights? (are |is |lie )?(stored|ordered|laid|read|transposed)|stored as|layout|flatten|chw",
    "filter upside down": r"upside|rotat|flipped|revers",
    "output written NCHW": r"nchw|planar|channels? first|chw",
    "output transposed": r"transpos|rows? and columns?|columns? and rows?|height and width",
    # ---- memory --------------------------------------------------------------------------------------------
    "never ran": r"never (ran|written)|not written|still holds|stale|previous (run|inference)",
    "never written": r"never (ran|written)|not written|still holds|filling",
    "half stale": r"(from|up to|until|after|beyond|only).*(element|row|byte)|partly|previous (run|inference)|stale",
    "half unwritten": r"(from|up to|until|after|beyond|only).*(element|row|byte)|partly|never written from",
    "overwritten later": r"overwrit|reused",
    "cache line": r"cache|garbage|(elements|bytes) \d+|block of|stretch of|contiguous|in a row|overwrit",
    "weight bit": r"(weight|filter|constant).*\b(bit|flip|corrupt)|\b(bit|flip|corrupt)\w*.*(weight|filter|constant)|one weight|single weight",
    "output bit": r"\bbit \d|one bit|single bit|flipped bit|bit.?flip|bit (error|is|was)",
    # ---- model ---------------------------------------------------------------------------------------------
    "other weights": r"other (weights|constants|parameters|model)|older|another (model|version|training)|different (weights|constants|model)|"
    r"weights (differ|of another|are (other|different|not))|retrained|not this model|constants differ|belong to another",
    "other biases": r"other (bias|constants|weights|model)|older|another (model|version)|different (bias|constants|weights|model)|constants differ",
    "fp16 weights": r"fp16|float16|half.precision|half floats?|16.bit floats?|bfloat|other weights|different weights|weights (differ|are other)",
    "weights 0.01 % off": r"0\.01|1\.0001|scaled|proportional|too (large|small)|factor|other weights|different weights|weights (differ|are other)",
    "scale 0.01 % off": r"0\.01|1\.0001|proportional|multiplier|factor|scales?\b.*(off|differ|other|another|too)|other (scales|weights)|float32 scales",
    # ---- float ---------------------------------------------------------------------------------------------
    "fma": r"\bfma\b|fused|contract|cortex",
    "summation order": r"order of summation|summation|another order|rounding errors|accumulat",
    "fast exp": r"\bexpf?\b|libm|exponential",
    # ---- sound ---------------------------------------------------------------------------------------------
    "sound": r"(?!)",
    "float32 scales": r"float32 scales|8f6596d|7b49bf8|tflm-2026-08|scale_math",
    "cortex-m7": r"\bfma\b|newlib|cortex",
    "cortex-m3": r"newlib|cortex",
}

FORBIDDEN = {
    "half stale": NEVER.replace("ran|written", "ran"),
    "half unwritten": r"never ran",
    "cache line": r"never ran",
}
"""What makes a sentence wrong though it holds a right word."""

SHOWN = 5
"""So many explanations of one culprit are shown (the verdict and four more); what is only further down is not said."""

# ===========================================================================================================
#  The networks
# ===========================================================================================================


def _q(scale: Any, point: int = 0) -> Quantization:
    scales = tuple(float(np.float32(s)) for s in np.atleast_1d(scale))
    return Quantization(scales, (point,) * len(scales), 0)


class _Builder:
    """A model, node by node; output scales follow from what sample inputs give."""

    def __init__(self, shape: tuple[int, ...], quantization: Quantization) -> None:
        self.tensors: list[Tensor] = []
        self.ops: list[Op] = []
        self.add("x", shape, "int8", quantization)

    def add(self, name: str, shape: Any, dtype: str, quantization: Any = None, data: Any = None) -> int:
        if data is not None:
            data = np.ascontiguousarray(data, dtype)
            data.setflags(write=False)
        self.tensors.append(Tensor(len(self.tensors), name, tuple(shape), dtype, quantization, data))
        return len(self.tensors) - 1

    def op(self, name: str, inputs: tuple[int, ...], output: int, **options: Any) -> int:
        self.ops.append(Op(len(self.ops), name, inputs, (output,), options))
        return output

    def model(self) -> Model:
        last = self.ops[-1].outputs
        return Model((Graph(0, "main", tuple(self.tensors), (0,), last, tuple(self.ops)),))


_CONV = {"dilation_w_factor": 1, "dilation_h_factor": 1}


def _cifarish() -> Model:
    """The three-channel network of the reports: CONV SAME, MAX_POOL, RESHAPE, FULLY_CONNECTED, SOFTMAX."""
    rng = np.random.default_rng(3)
    b = _Builder((1, 8, 8, 3), _q(1 / 255, -128))
    scales = [0.002 + 0.0005 * i for i in range(6)]
    w = b.add("w", (6, 3, 3, 3), "int8", _q(scales), rng.integers(-127, 128, (6, 3, 3, 3)))
    bias = b.add(
        "b", (6,), "int32", _q([np.float32(1 / 255) * np.float32(s) for s in scales]), rng.integers(-500, 500, 6)
    )
    c = b.add("c", (1, 8, 8, 6), "int8", _q(0.01, -128))
    same = {"padding": "SAME", "stride_w": 1, "stride_h": 1, **_CONV, "fused_activation_function": "RELU"}
    b.op("CONV_2D", (0, w, bias), c, **same)
    p = b.add("p", (1, 4, 4, 6), "int8", _q(0.01, -128))
    pool = {"padding": "VALID", "stride_w": 2, "stride_h": 2, "filter_width": 2, "filter_height": 2}
    b.op("MAX_POOL_2D", (c,), p, **pool, fused_activation_function="NONE")
    shape = b.add("sh", (2,), "int32", None, np.array([1, 96]))
    r = b.op("RESHAPE", (p, shape), b.add("r", (1, 96), "int8", _q(0.01, -128)), new_shape=(1, 96))
    w2 = b.add("w2", (5, 96), "int8", _q(0.003), rng.integers(-127, 128, (5, 96)))
    b2 = b.add("b2", (5,), "int32", _q(np.float32(0.01) * np.float32(0.003)), np.zeros(5))
    logits = b.op(
        "FULLY_CONNECTED", (r, w2, b2), b.add("l", (1, 5), "int8", _q(0.05, 0)), fused_activation_function="NONE"
    )
    b.op("SOFTMAX", (logits,), b.add("y", (1, 5), "int8", _q(1 / 256, -128)), beta=1.0)
    return b.model()


def _lab() -> Model:
    """What the bundled networks lack: strides and filters that are not square, dilation, depthwise, an average pool."""
    rng = np.random.default_rng(41)
    b = _Builder((1, 12, 10, 3), _q(1 / 255, -128))
    real = rng.random((40, 12, 10, 3))  # the values at each tensor, for the scales
    point, scale = -128, 1 / 255
    last = 0

    def layer(name: str, shape: tuple[int, ...], channels: int, out: tuple[int, ...], act: str, **options: Any) -> None:
        nonlocal real, last, scale, point
        spread = rng.uniform(0.6, 1.8, channels)
        fan = int(np.prod(shape[1:])) if name != "DEPTHWISE_CONV_2D" else 9
        values = rng.normal(size=shape) / np.sqrt(fan)
        axis = 3 if name == "DEPTHWISE_CONV_2D" else 0
        per = [channels if i == axis else 1 for i in range(len(shape))]
        values *= spread.reshape(per)
        per_channel = name != "FULLY_CONNECTED"
        most = (
            np.abs(values).max(axis=tuple(i for i in range(len(shape)) if i != axis))
            if per_channel
            else np.abs(values).max()
        )
        ws = np.float32(np.atleast_1d(most / 127))
        codes = np.rint(values / (ws.reshape(per) if per_channel else ws[0])).clip(-127, 127)
        quantization = Quantization(tuple(map(float, ws)), (0,) * len(ws), axis)
        w = b.add(f"w{len(b.ops)}", shape, "int8", quantization, codes)
        bs = np.float32(scale) * ws
        bias = rng.integers(-400, 400, channels) * max(1, int(0.0005 / float(bs.mean())))
        bi = b.add(f"b{len(b.ops)}", (channels,), "int32", _q(bs), bias)
        weights = codes * (ws.reshape(per) if per_channel else ws[0])
        results = []
        for x in real:
            if name == "FULLY_CONNECTED":
                results.append(x.reshape(-1) @ weights.T + bias * bs)
            else:
                geometry = _geometry(options, x.shape[:2], (shape[1], shape[2]), out[1:3])
                taps = _patches(x, geometry, 0.0)
                eq = "yxfgc,fgc->yxc" if name == "DEPTHWISE_CONV_2D" else "yxfgc,ofgc->yxo"
                results.append(np.einsum(eq, taps, weights[0] if name == "DEPTHWISE_CONV_2D" else weights) + bias * bs)
        real = np.array(results)
        if act != "NONE":
            real = np.clip(real, 0, 6 if act == "RELU6" else None)
        low, high = min(0.0, float(real.min())), float(real.max())
        scale = float(np.float32((high - low) / 255))
        point = int(np.clip(round(-128 - low / scale), -128, 127))
        t = b.add(f"t{len(b.ops)}", out, "int8", _q(scale, point))
        last = b.op(name, (last, w, bi), t, **options, fused_activation_function=act)

    same = {"padding": "SAME", "stride_w": 1, "stride_h": 2, **_CONV}
    layer("CONV_2D", (8, 3, 5, 3), 8, (1, 6, 10, 8), "RELU", **same)
    deep = {"padding": "SAME", "stride_w": 1, "stride_h": 1, "dilation_w_factor": 2, "dilation_h_factor": 2}
    layer("DEPTHWISE_CONV_2D", (1, 3, 3, 8), 8, (1, 6, 10, 8), "NONE", **deep, depth_multiplier=1)
    real = real.reshape(40, 3, 2, 5, 2, 8).mean(axis=(2, 4))
    t = b.add("pool", (1, 3, 5, 8), "int8", _q(scale, point))
    pool = {"padding": "VALID", "stride_w": 2, "stride_h": 2, "filter_width": 2, "filter_height": 2}
    last = b.op("AVERAGE_POOL_2D", (last,), t, **pool, fused_activation_function="NONE")
    layer("CONV_2D", (12, 2, 2, 8), 12, (1, 2, 4, 12), "RELU6", padding="VALID", stride_w=1, stride_h=1, **_CONV)
    shape = b.add("sh", (2,), "int32", None, np.array([1, 96]))
    last = b.op("RESHAPE", (last, shape), b.add("flat", (1, 96), "int8", _q(scale, point)), new_shape=(1, 96))
    layer("FULLY_CONNECTED", (16, 96), 16, (1, 16), "RELU")
    real = real * 1.0
    layer("FULLY_CONNECTED", (6, 16), 6, (1, 6), "NONE")
    b.op("SOFTMAX", (last,), b.add("y", (1, 6), "int8", _q(1 / 256, -128)), beta=3.0)
    return b.model()


LINEAR = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
POOLS = ("MAX_POOL_2D", "AVERAGE_POOL_2D")
FIXED = ("SHAPE", "STRIDED_SLICE", "PACK")


class Net:
    """A network under test: its sound plan, its steps by kind, and devices that run it."""

    def __init__(self, name: str, model: Model) -> None:
        self.name, self.model = name, model
        self.plan = refengine.make_plan(model)
        self.input = self.plan.inputs[0]
        self.is_float = self.input.dtype == "float32"
        self.steps = self.plan.steps
        self.linear = [s.index for s in self.steps if s.op.name in LINEAR]
        self.convs = [s.index for s in self.steps if s.op.name in LINEAR[:2]]
        self.pools = [s.index for s in self.steps if s.op.name in POOLS]
        self.work = [s.index for s in self.steps if s.op.name not in (*FIXED, "RESHAPE")]
        self.logits, self.scores = self.steps[-2].outputs[0].index, self.steps[-1].outputs[0].index

    def out(self, step: int) -> int:
        return int(self.steps[step].outputs[0].index)

    def codes(self, real: Any) -> Any:
        """What the input holds for real values, done rightly."""
        if self.is_float:
            return np.float32(real).reshape(self.input.shape)
        s, z = self.affine(self.input)
        scaled = np.asarray(real, np.float64) / s
        rounded = np.trunc(scaled + np.copysign(0.5, scaled))
        return np.clip(rounded + z, -128, 127).astype(np.int8).reshape(self.input.shape)

    @staticmethod
    def affine(tensor: Any) -> tuple[float, int]:
        return tensor.quantization.scale[0], tensor.quantization.zero_point[0]

    def run(self, x: Any, faults: dict[int, Callable[[Any], Any]] | None = None, plan: Any = None) -> dict[int, Any]:
        """All tensors of a device whose `faults` (by step, from the record of a sound step) compute something else."""
        plan, known, found = plan or self.plan, {}, {self.input.index: x}  # type: ignore[var-annotated]
        for wanted in [*sorted(faults or {}), None]:
            for record in refengine.execute(plan, x, known=dict(known)):
                output = np.array(record.outputs[0])
                if record.step.index == wanted:
                    output = np.asarray(faults[wanted](record), output.dtype).reshape(output.shape)  # type: ignore[index]
                known[record.step.outputs[0].index] = output
                if record.step.index == wanted:
                    break
        return found | known

    def with_data(self, change: Callable[[Any, Any], Any]) -> Any:
        """A plan of the same network with other constants: `change(tensor, data)` for weights and biases."""
        graph = self.model.graphs[0]
        touched = {i for s in self.linear for i in graph.ops[s].inputs[1:] if i >= 0}
        tensors = tuple(
            replace(t, data=np.ascontiguousarray(change(t, t.data), t.data.dtype)) if t.index in touched else t  # type: ignore[union-attr]
            for t in graph.tensors
        )
        return refengine.make_plan(replace(self.model, graphs=(replace(graph, tensors=tensors),)))


def networks() -> dict[str, Net]:
    files = bundled_models()
    bundled = ("stm32f746_int8", "esp32_int8", "dense_int8", "stm32f746_float32")
    return {
        **{name: Net(name, refengine.load(files[name])) for name in bundled},
        "cifarish": Net("cifarish", _cifarish()),
        "lab": Net("lab", _lab()),
    }


# ===========================================================================================================
#  Kernels of our own, with handles to break them
# ===========================================================================================================


@dataclass
class _Geometry:
    stride: tuple[int, int]
    dilation: tuple[int, int]
    pad: tuple[int, int]
    filter: tuple[int, int]
    output: tuple[int, int]


def _geometry(options: Any, image: Any, taps: Any, output: Any) -> _Geometry:
    stride = options["stride_h"], options["stride_w"]
    dilation = options.get("dilation_h_factor", 1), options.get("dilation_w_factor", 1)
    pad = [0, 0]
    if options["padding"] == "SAME":
        for i in (0, 1):
            pad[i] = max(0, (output[i] - 1) * stride[i] + (taps[i] - 1) * dilation[i] + 1 - image[i]) // 2
    return _Geometry(stride, dilation, (pad[0], pad[1]), tuple(taps), tuple(output))


def _patches(image: Any, g: _Geometry, outside: Any) -> Any:
    """(h, w, c) → (oh, ow, fh, fw, c); what lies outside the image is `outside`."""
    rows, cols = (
        np.arange(g.output[i])[:, None] * g.stride[i] - g.pad[i] + np.arange(g.filter[i]) * g.dilation[i]
        for i in (0, 1)
    )
    h, w = image.shape[:2]
    found = image[rows.clip(0, h - 1)][:, :, cols.clip(0, w - 1)].transpose(0, 2, 1, 3, 4)
    inside = ((rows >= 0) & (rows < h))[:, None, :, None] & ((cols >= 0) & (cols < w))[None, :, None, :]
    return np.where(inside[..., None], found, np.asarray(outside, image.dtype))


def _requantized(acc: Any, real: Any, rounding: str = "double", shift: int = 0, bits: int = 32) -> Any:
    """int64 accumulators times a real factor, as fixed point; `shift` and `bits` break it."""
    mantissa, exponent = np.frexp(np.asarray(real, np.float64))
    m = np.floor(mantissa * 2.0**31 + 0.5).astype(np.int64)
    m, e = np.where(m == 2**31, m // 2, m), (exponent + (m == 2**31)).astype(np.int64) + shift
    if bits == 16:
        m = m & ~np.int64(0xFFFF)
    if rounding == "single":
        return (acc * m + (np.int64(1) << (30 - e))) >> (31 - e)
    if rounding == "floor":
        return (acc * m) >> (31 - e)
    if rounding == "trunc":
        product = acc * m
        return np.where(product < 0, -((-product) >> (31 - e)), product >> (31 - e))
    left, right = np.maximum(e, 0), np.maximum(-e, 0)
    high = ((acc << left) * m + (1 << 30)) >> 31
    half = (np.int64(1) << right) >> 1
    away = (high < 0) & (half > 0) if rounding == "double" else 0  # "halfup": the shift rounds half up
    return (high + half - away) >> right


_ACTIVATION = {"NONE": (None, None), "RELU": (0, None), "RELU6": (0, 6), "RELU_N1_TO_1": (-1, 1)}


def layer(record: Any, **c: Any) -> Any:
    """A layer with weights from its record; `c` are changes: weights, bias, offset, geometry, outside, real, …"""
    step, x = record.step, record.inputs[0]
    tensors, output = step.inputs, step.outputs[0]
    w = np.asarray(c.get("weights", record.inputs[1]))
    bias = record.inputs[2] if len(record.inputs) > 2 and record.inputs[2] is not None else 0
    bias = np.asarray(c.get("bias", bias))
    dense = step.op.name == "FULLY_CONNECTED"
    geometry = None
    if not dense:
        geometry = _geometry(step.op.options, x.shape[1:3], w.shape[1:3], output.shape[1:3])
        geometry = replace(geometry, **c.get("geometry", {}))
    if x.dtype == np.float32:
        return _float_layer(step, x, w, bias, geometry, c)
    zx, zo = Net.affine(tensors[0])[1], Net.affine(output)[1]
    offset = c.get("offset", -zx)
    codes = x.astype(np.int64) + offset
    if dense:
        acc = codes.reshape(-1, w.shape[1]).astype(np.float64) @ w.T.astype(np.float64)
    else:
        taps = _patches(codes[0], geometry, c.get("outside", 0)).astype(np.float64)  # type: ignore[arg-type]
        if step.op.name == "DEPTHWISE_CONV_2D":
            acc = np.einsum("yxfgc,fgc->yxc", taps, w[0].astype(np.float64))
        else:
            n = int(np.prod(w.shape[1:]))
            acc = taps.reshape(-1, n) @ w.reshape(len(w), n).T.astype(np.float64)
    acc = (
        np.rint(acc).astype(np.int64).reshape(-1, w.shape[3] if step.op.name == "DEPTHWISE_CONV_2D" else len(w)) + bias
    )
    if "acc" in c:
        acc = c["acc"](acc)
    ws = np.array(tensors[1].quantization.scale)
    real = np.asarray(c.get("real", ws * Net.affine(tensors[0])[0] / Net.affine(output)[0]))
    scaled = _requantized(acc, real, c.get("rounding", "double"), c.get("shift", 0), c.get("bits", 32))
    low, high = _ACTIVATION[step.op.options["fused_activation_function"]]
    so = np.float32(Net.affine(output)[0])
    low = -128 if low is None else max(-128, zo + int(np.rint(np.float32(low) / so)))
    high = 127 if high is None else min(127, zo + int(np.rint(np.float32(high) / so)))
    code = np.clip(scaled + c.get("output_offset", zo), c.get("low", low), c.get("high", high))
    return code.astype(np.int8).reshape(output.shape)


def real_factor(record: Any) -> Any:
    tensors, output = record.step.inputs, record.step.outputs[0]
    return np.array(tensors[1].quantization.scale) * Net.affine(tensors[0])[0] / Net.affine(output)[0]


def _float_layer(step: Any, x: Any, w: Any, bias: Any, geometry: Any, c: Any) -> Any:
    """float32, each sum in order from 0 unless `order` says otherwise, the bias last."""
    if geometry is None:
        columns, weights = x.reshape(1, -1), w
    else:
        taps = _patches(x[0], geometry, c.get("outside", 0))
        n = int(np.prod(w.shape[1:]))
        columns, weights = taps.reshape(-1, n), w.reshape(len(w), n)
    n, order = weights.shape[1], c.get("order", "sequential")
    if order == "float64":
        total = (columns.astype(np.float64) @ weights.T.astype(np.float64)).astype(np.float32)
    else:
        lanes = {"sequential": 1, "reversed": 1, "four lanes": 4, "eight lanes": 8}[order]
        parts = np.zeros((lanes, len(columns), len(weights)), np.float32)
        for k in range(n)[:: -1 if order == "reversed" else 1]:
            parts[k % lanes] += columns[:, k, None] * weights[:, k]
        while len(parts) > 1:
            parts = parts[: len(parts) // 2] + parts[len(parts) // 2 :]
        total = parts[0]
    total = total + np.asarray(bias, np.float32)
    low, high = _ACTIVATION[step.op.options["fused_activation_function"]]
    low = c.get("low", low)
    if low is not None:
        total = np.maximum(total, np.float32(low))
    if c.get("high", high) is not None:
        total = np.minimum(total, np.float32(c.get("high", high)))
    return total.astype(np.float32).reshape(step.outputs[0].shape)


def pool(record: Any, *, window: Any = None, start: int | None = None, truncated: bool = False) -> Any:
    """A max or average pool of its record's input."""
    step, x = record.step, record.inputs[0]
    taps = step.op.options["filter_height"], step.op.options["filter_width"]
    geometry = _geometry(step.op.options, x.shape[1:3], taps, step.outputs[0].shape[1:3])
    geometry = replace(geometry, filter=window) if window else geometry
    seen = _patches(x[0], geometry, 0)
    seen = seen.reshape(*seen.shape[:2], -1, seen.shape[4])
    if step.op.name == "MAX_POOL_2D":
        largest = seen.max(axis=2)
        return (largest if start is None else np.maximum(largest, start)).reshape(step.outputs[0].shape)
    total, count = seen.astype(np.int64).sum(axis=2), seen.shape[2]
    half = 0 if truncated else count // 2
    mean = np.where(total < 0, -((-total + half) // count), (total + half) // count)
    return mean.astype(np.int8).reshape(step.outputs[0].shape)


def softmax(record: Any, exp: Callable[[Any], Any]) -> Any:
    x = record.inputs[0].astype(np.float32)
    e = exp((x - x.max()).astype(np.float32)).astype(np.float32)
    total = np.float32(0)
    for value in e.ravel():
        total += value
    return (e / total).astype(np.float32)


def self_check(nets: dict[str, Net]) -> int:
    """Every layer and pool of ours against the engine's, bit by bit."""
    agreed = 0
    for net in nets.values():
        x = net.codes(np.random.default_rng(5).random(net.input.shape))
        for record in refengine.execute(net.plan, x):
            name = record.step.op.name
            mine = layer(record) if name in LINEAR else pool(record) if name in POOLS else None
            if mine is not None:
                if mine.tobytes() != np.ascontiguousarray(record.outputs[0]).tobytes():
                    sys.exit(f"own kernel and refengine disagree: {net.name}, {record.step}")
                agreed += 1
    return agreed


# ===========================================================================================================
#  Inputs
# ===========================================================================================================

DIGITS = bundled_digits()[0].astype(np.float64) / 255


def picture(net: Net, rng: Any) -> Any:
    """Real values from 0 to 1 in the input's shape: a digit, a blend of two, a faint or blurred one, or noise."""
    shape = net.input.shape
    if shape[1:] != (28, 28, 1):
        smooth = rng.random(shape)
        if rng.random() < 0.5:  # less noisy: neighbours alike
            smooth = (smooth + np.roll(smooth, 1, 1) + np.roll(smooth, 1, 2)) / 3
        return smooth ** rng.uniform(0.6, 1.6)
    kind = rng.choice(["digit", "blend", "blend", "faint", "blurred", "noise", "noisy digit"])
    a, b = DIGITS[rng.integers(len(DIGITS))], DIGITS[rng.integers(len(DIGITS))]
    part = rng.uniform(0.35, 0.65)
    real = {
        "digit": a,
        "blend": part * a + (1 - part) * b,
        "faint": rng.uniform(0.03, 0.2) + rng.uniform(0.2, 0.6) * a,
        "blurred": (a + np.roll(a, 1, 0) + np.roll(a, 1, 1) + np.roll(a, -1, 0) + np.roll(a, -1, 1)) / 5,
        "noise": rng.random((28, 28)) ** rng.uniform(1, 4),
        "noisy digit": np.clip(0.7 * a + 0.3 * rng.random((28, 28)), 0, 1),
    }[str(kind)]
    return real.reshape(shape)


# ===========================================================================================================
#  The catalogue: fault → what the device's tensors are
# ===========================================================================================================


KINDS = ("all", "noinput", "output", "half")


@dataclass
class Made:
    """`values` are the device's tensors by index, `given` the input it should have had; `where` the operators at
    fault, or "input"; `names` a key of NAMES."""

    values: dict[int, Any]
    given: Any
    where: set[Any]
    names: str
    previous: dict[int, Any] | None = None
    detail: str = ""
    plan: Any = None  # if judged by another plan than the sound one
    unreadable_after: int | None = None  # overwritten later: this step's output proves it


@dataclass
class Fault:
    cls: str
    name: str
    nets: tuple[str, ...]
    make: Callable[[Net, Any], Made | None]
    kinds: tuple[str, ...] = KINDS
    instances: int = 4  # half of them in A, half in B
    most: int | None = None  # so many elements of the logits or scores differ at most


FAULTS: list[Fault] = []
INT8 = ("stm32f746_int8", "dense_int8", "cifarish", "lab", "esp32_int8")
SMALL = ("stm32f746_int8", "dense_int8", "cifarish", "lab")
FLOAT = ("stm32f746_float32",)
ANY = (*SMALL, "stm32f746_float32")
CONV = ("stm32f746_int8", "cifarish", "lab", "esp32_int8", "stm32f746_float32")


def fault(cls: str, name: str, nets: tuple[str, ...]) -> Callable[[Any], Any]:
    def add(make: Callable[[Net, Any], Made | None]) -> Any:
        FAULTS.append(Fault(cls, name, nets, make))
        return make

    return add


# ---- INPUT --------------------------------------------------------------------------------------------------


def _input_fault(
    name: str, wrong: Callable[[Net, Any, Any], Any], nets: tuple[str, ...] = ANY, names: str | None = None
) -> None:
    """`wrong(net, real, rng)` gives the wrong input's codes (or floats), or None where it makes no sense."""

    def make(net: Net, rng: Any) -> Made | None:
        real = picture(net, rng)
        x = wrong(net, real, rng)
        if x is None:
            return None
        x = np.ascontiguousarray(x, net.input.dtype).reshape(net.input.shape)
        return Made(net.run(x), net.codes(real), {"input"}, names or name)

    FAULTS.append(Fault("INPUT", name, nets, make))


def _wrapped(values: Any) -> Any:
    return np.rint(values).astype(np.int64).astype(np.uint8).view(np.int8)


def _sz(net: Net) -> tuple[float, int]:
    return net.affine(net.input)


_input_fault("not normalised", lambda n, x, r: n.codes(np.rint(x * 255)))
_input_fault("not normalised, wrapping", lambda n, x, r: _wrapped(np.rint(x * 255) / _sz(n)[0] + _sz(n)[1]), SMALL)
_input_fault("-1…1 instead of 0…1", lambda n, x, r: n.codes(2 * x - 1))
_input_fault("uint8 bits", lambda n, x, r: n.codes(x) ^ np.int8(-128), SMALL)
_input_fault("zero point forgotten", lambda n, x, r: np.clip(np.rint(x / _sz(n)[0]), -128, 127), SMALL)
_input_fault("scale forgotten", lambda n, x, r: np.clip(np.rint(x) + _sz(n)[1], -128, 127), SMALL)
_input_fault("0…1 cast to codes", lambda n, x, r: np.trunc(x) if r.random() < 0.5 else np.rint(x), SMALL)
_input_fault("truncated", lambda n, x, r: np.clip(np.trunc(x / _sz(n)[0] + _sz(n)[1]), -128, 127), SMALL)
_input_fault("floored", lambda n, x, r: np.clip(np.floor(x / _sz(n)[0]) + _sz(n)[1], -128, 127), SMALL, "truncated")
_input_fault("inverted", lambda n, x, r: n.codes(1 - x))
_input_fault("transposed", lambda n, x, r: n.codes(x).transpose(0, 2, 1, 3).reshape(n.input.shape))
_input_fault("mirrored", lambda n, x, r: n.codes(x)[:, :, ::-1])
_input_fault("upside down", lambda n, x, r: n.codes(x)[:, ::-1])
_input_fault("rotated by 180°", lambda n, x, r: n.codes(x)[:, ::-1, ::-1])


def _moved(net: Net, real: Any, rng: Any) -> Any:
    codes, axis, by = net.codes(real), int(rng.integers(1, 3)), int(rng.choice([-2, -1, 1, 2]))
    moved = np.roll(codes, by, axis)
    if rng.random() < 0.7:  # what comes in is background, else what went out
        edge = [slice(None)] * 4
        edge[axis] = slice(0, by) if by > 0 else slice(by, None)
        moved[tuple(edge)] = net.codes(np.zeros(net.input.shape))[tuple(edge)]
    return moved


_input_fault("shifted", _moved)
_input_fault("one element late", lambda n, x, r: np.roll(n.codes(x).ravel(), int(r.choice([-1, 1]))), ANY, "shifted")
_input_fault("planar", lambda n, x, r: n.codes(x).transpose(0, 3, 1, 2).copy(), ("cifarish", "lab"))
_input_fault("planar BGR", lambda n, x, r: n.codes(x)[..., ::-1].transpose(0, 3, 1, 2).copy(), ("cifarish", "lab"))
_input_fault("BGR", lambda n, x, r: n.codes(x)[..., ::-1], ("cifarish", "lab"))
_input_fault(
    "halved", lambda n, x, r: n.codes(x / 2) if n.is_float or r.random() < 0.5 else (n.codes(x).astype(int) + 128) // 2
)
_input_fault("per-sample min/max", lambda n, x, r: n.codes((x - x.min()) / np.ptp(x)))
_input_fault("mean and deviation", lambda n, x, r: n.codes((x - 0.1307) / 0.3081))
_input_fault("codes as floats", lambda n, x, r: np.rint(x * 255) - 128, FLOAT)


@fault("INPUT", "stale input", ANY)
def _(net: Net, rng: Any) -> Made:
    old, new = net.codes(picture(net, rng)), net.codes(picture(net, rng))
    values = net.run(old)
    return Made(values, new, {"input"}, "stale input", dict(values) if rng.random() < 0.5 else None)


@fault("INPUT", "half filled", ANY)
def _(net: Net, rng: Any) -> Made:
    real = picture(net, rng)
    right = net.codes(real)
    x, start = right.copy().reshape(-1), int(right.size * rng.uniform(0.25, 0.75))
    start -= start % int(rng.choice([1, 4, right.shape[2]]))
    fill = str(rng.choice(["zeros", "background", "previous"]))
    rest = {
        "zeros": np.zeros_like(right),
        "background": net.codes(np.zeros(right.shape)),
        "previous": net.codes(picture(net, rng)),
    }
    x[start:] = rest[fill].reshape(-1)[start:]
    previous = net.run(rest[fill]) if fill == "previous" else None
    return Made(
        net.run(x.reshape(right.shape)), right, {"input"}, "half filled", previous, f"{fill} from element {start}"
    )


# ---- ARITHMETIC ---------------------------------------------------------------------------------------------


def _layer_fault(
    cls: str,
    name: str,
    change: Callable[[Any, Any], dict[str, Any] | None],
    nets: tuple[str, ...] = INT8,
    names: str | None = None,
    which: Callable[[Net, int], bool] = lambda net, step: True,
) -> None:
    """One layer with weights computes with `change(record, rng)`; sometimes all of them do."""

    def make(net: Net, rng: Any) -> Made | None:
        steps = [s for s in net.linear if which(net, s)]
        if not steps:
            return None
        chosen = [int(rng.choice(steps))]

        def broken(record: Any) -> Any:
            changes = change(record, rng)
            return record.outputs[0] if changes is None else layer(record, **changes)

        x = net.codes(picture(net, rng))
        return Made(net.run(x, dict.fromkeys(chosen, broken)), x, set(chosen), names or name)

    FAULTS.append(Fault(cls, name, nets, make))


def _everywhere(
    cls: str, name: str, change: Callable[[Any, Any], dict[str, Any]], nets: tuple[str, ...], names: str | None = None
) -> None:
    """All layers with weights compute so: a library's own arithmetic."""

    def make(net: Net, rng: Any) -> Made:
        x = net.codes(picture(net, rng))
        broken = {s: (lambda record: layer(record, **change(record, rng))) for s in net.linear}
        return Made(net.run(x, broken), x, set(net.work), names or name)

    FAULTS.append(Fault(cls, name, nets, make))


def _dialect(cls: str, name: str, preset: str, nets: tuple[str, ...], names: str | None = None) -> None:
    def make(net: Net, rng: Any) -> Made:
        x = net.codes(picture(net, rng))
        return Made(
            net.run(x, plan=refengine.make_plan(net.model, numerics=PRESETS[preset])), x, set(net.work), names or name
        )

    FAULTS.append(Fault(cls, name, nets, make))


_dialect("ARITHMETIC", "single rounding", "single", INT8)
_dialect("ARITHMETIC", "xnnpack", "xnnpack", INT8)
_everywhere("ARITHMETIC", "round half up", lambda r, g: {"rounding": "halfup"}, INT8)
_layer_fault("ARITHMETIC", "shift off by one", lambda r, g: {"shift": int(g.choice([-1, 1]))})
_layer_fault("ARITHMETIC", "multiplier of 16 bits", lambda r, g: {"bits": 16})
_layer_fault("ARITHMETIC", "not rounded", lambda r, g: {"rounding": str(g.choice(["floor", "trunc"]))})
_layer_fault(
    "ARITHMETIC", "accumulator saturates at 16 bits", lambda r, g: {"acc": lambda a: a.clip(-(2**15), 2**15 - 1)}
)
_layer_fault(
    "ARITHMETIC", "accumulator wraps at 16 bits", lambda r, g: {"acc": lambda a: a.astype(np.int16).astype(np.int64)}
)
_layer_fault("ARITHMETIC", "input offset missing", lambda r, g: {"offset": 0})
_layer_fault("ARITHMETIC", "output offset missing", lambda r, g: {"output_offset": 0})
_layer_fault("ARITHMETIC", "activation min 0", lambda r, g: {"low": 0})
_layer_fault("ARITHMETIC", "activation max", lambda r, g: {"high": int(g.choice([-30, 0, 63, 100]))})
_layer_fault("ARITHMETIC", "multiplier zero", lambda r, g: {"real": real_factor(r) * 2.0**-20})


def _bias(record: Any) -> Any:
    return np.asarray(record.inputs[2]).astype(record.inputs[2].dtype)


_layer_fault("ARITHMETIC", "bias left out", lambda r, g: {"bias": np.zeros_like(_bias(r))}, (*INT8, *FLOAT))
_layer_fault(
    "ARITHMETIC",
    "bias of another channel",
    lambda r, g: {
        "bias": np.roll(_bias(r), int(g.choice([-1, 1])))
        if g.random() < 0.7
        else _bias(r)[np.arange(len(_bias(r))) // 4 * 4]
    },
    (*INT8, *FLOAT),
)


def _folded(record: Any, rng: Any) -> dict[str, Any]:
    w, zx = np.asarray(record.inputs[1]).astype(np.int64), Net.affine(record.step.inputs[0])[1]
    axes = (0, 1, 2) if record.step.op.name == "DEPTHWISE_CONV_2D" else tuple(range(1, w.ndim))
    folded = _bias(record).astype(np.int64) - zx * w.sum(axis=axes)
    moved = np.roll(folded, int(rng.choice([-1, 1]))) if rng.random() < 0.7 else folded[np.arange(len(folded)) // 4 * 4]
    return {"bias": _bias(record).astype(np.int64) + moved - folded}


_layer_fault("ARITHMETIC", "folded bias of another channel", _folded)


def _per_channel(net: Net, step: int) -> bool:
    return len(net.steps[step].inputs[1].quantization.scale) > 1  # type: ignore[union-attr]


def _one_scale(record: Any, rng: Any) -> dict[str, Any]:
    real = real_factor(record)
    return {"real": np.full_like(real, rng.choice([real[0], real[-1], real.max(), real.mean()]))}


_layer_fault("ARITHMETIC", "one scale for all channels", _one_scale, which=_per_channel)
_layer_fault(
    "ARITHMETIC",
    "neighbour's scale",
    lambda r, g: {"real": np.roll(real_factor(r), int(g.choice([-1, 1])))},
    which=_per_channel,
)

# ---- GEOMETRY -----------------------------------------------------------------------------------------------


def _conv(net: Net, step: int) -> bool:
    return step in net.convs


def _padded(net: Net, step: int) -> bool:
    return _conv(net, step) and net.steps[step].op.options["padding"] == "SAME"


def _default(record: Any) -> _Geometry:
    w, x = record.inputs[1], record.inputs[0]
    return _geometry(record.step.op.options, x.shape[1:3], w.shape[1:3], record.step.outputs[0].shape[1:3])


def _pad_moved(record: Any, rng: Any) -> dict[str, Any]:
    y, x = _default(record).pad
    dy, dx = [(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1)][rng.integers(6)]
    return {"geometry": {"pad": (max(0, y + dy), max(0, x + dx))}}


_layer_fault("GEOMETRY", "padding off by one", _pad_moved, ("cifarish", "lab"), which=_padded)
_layer_fault(
    "GEOMETRY",
    "padding with code 0",
    lambda r, g: {"outside": -Net.affine(r.step.inputs[0])[1]},
    ("cifarish", "lab"),
    which=_padded,
)
_layer_fault(
    "GEOMETRY",
    "stride h/w swapped",
    lambda r, g: {"geometry": {"stride": _default(r).stride[::-1]}},
    ("lab",),
    which=lambda net, s: _conv(net, s) and net.steps[s].op.options["stride_h"] != net.steps[s].op.options["stride_w"],
)
_layer_fault(
    "GEOMETRY",
    "padding h/w swapped",
    lambda r, g: {"geometry": {"pad": _default(r).pad[::-1]}},
    ("lab",),
    which=lambda n, s: s == n.convs[0],
)


def _skipped(record: Any, rng: Any) -> dict[str, Any]:
    w = np.array(record.inputs[1])
    axis, place = int(rng.integers(1, 3)), int(rng.choice([0, -1]))
    w[(slice(None),) * axis + (place,)] = 0
    return {"weights": w}


_layer_fault("GEOMETRY", "filter row skipped", _skipped, CONV, which=_conv)
_layer_fault(
    "GEOMETRY",
    "dilation ignored",
    lambda r, g: {"geometry": {"dilation": (1, 1)} if g.random() < 0.5 else {"dilation": (1, 1), "pad": (1, 1)}},
    ("lab",),
    which=lambda net, s: _conv(net, s) and net.steps[s].op.options["dilation_h_factor"] > 1,
)


def _pool_fault(name: str, change: dict[str, Any], nets: tuple[str, ...], op: str) -> None:
    def make(net: Net, rng: Any) -> Made | None:
        steps = [s for s in net.pools if net.steps[s].op.name == op]
        if not steps:
            return None
        step, x = int(rng.choice(steps)), net.codes(picture(net, rng))
        return Made(net.run(x, {step: lambda record: pool(record, **change)}), x, {step}, name)

    FAULTS.append(Fault("GEOMETRY", name, nets, make))


_pool_fault(
    "pool window 1×1",
    {"window": (1, 1)},
    ("stm32f746_int8", "cifarish", "esp32_int8", "stm32f746_float32"),
    "MAX_POOL_2D",
)
_pool_fault("max pool starts at 0", {"start": 0}, ("stm32f746_int8", "cifarish", "esp32_int8"), "MAX_POOL_2D")
_pool_fault("average truncates", {"truncated": True}, ("lab",), "AVERAGE_POOL_2D")

# ---- LAYOUT -------------------------------------------------------------------------------------------------


def _flattened(name: str, axes: tuple[int, ...]) -> None:
    """In the RESHAPE's output, or by weights in that order."""

    def make(net: Net, rng: Any) -> Made | None:
        steps = [
            s
            for s in net.steps
            if s.op.name == "RESHAPE" and len(s.inputs[0].shape) == 4 and s.inputs[0].shape[3] > 1  # type: ignore[union-attr]
        ]
        if not steps:
            return None
        step, x = steps[0], net.codes(picture(net, rng))
        reader = next(
            s.index for s in net.steps if any(t is not None and t.index == net.out(step.index) for t in s.inputs)
        )
        shape = step.inputs[0].shape[1:]  # type: ignore[union-attr]

        def ordered(record: Any) -> Any:
            return np.ascontiguousarray(record.inputs[0][0].transpose(axes))

        def weights(record: Any) -> Any:
            w = np.asarray(record.inputs[1])
            return layer(record, weights=w.reshape(-1, *shape).transpose(0, *(a + 1 for a in axes)).reshape(w.shape))

        if rng.random() < 0.5:
            return Made(net.run(x, {step.index: ordered}), x, {step.index, reader}, name, detail="RESHAPE")
        return Made(net.run(x, {reader: weights}), x, {step.index, reader}, name, detail="weights")

    FAULTS.append(Fault("LAYOUT", name, ("stm32f746_int8", "cifarish", "lab", "stm32f746_float32"), make))


_flattened("flattened CHW", (2, 0, 1))
_flattened("flattened WHC", (1, 0, 2))


def _reordered(record: Any, rng: Any) -> dict[str, Any]:
    w = np.asarray(record.inputs[1])
    if w.ndim == 2:
        return {"weights": w.T.reshape(w.shape) if rng.random() < 0.5 else w.reshape(w.shape[::-1]).T}
    if w.shape[0] == 1:  # depthwise 1HWO
        return {
            "weights": w.transpose(0, 3, 1, 2).reshape(w.shape)
            if rng.random() < 0.5
            else w.transpose(0, 2, 1, 3).reshape(w.shape)
        }
    axes = [(0, 3, 1, 2), (1, 2, 3, 0), (0, 2, 1, 3)][rng.integers(3)]  # OIHW, HWIO, OWHI
    if rng.random() < 0.5:  # stored so, read as OHWI
        return {"weights": w.transpose(axes).reshape(w.shape)}
    return {"weights": w.reshape([w.shape[a] for a in axes]).transpose(np.argsort(axes))}


_layer_fault("LAYOUT", "weights in another order", _reordered, (*INT8, *FLOAT))
_layer_fault(
    "LAYOUT", "filter upside down", lambda r, g: {"weights": np.asarray(r.inputs[1])[:, ::-1, ::-1]}, CONV, which=_conv
)


def _output_fault(
    cls: str, name: str, change: Callable[[Any, Any], Any], nets: tuple[str, ...], which: Callable[[Net], list[int]]
) -> None:
    """The output of one step changed after it was computed, before it is read."""

    def make(net: Net, rng: Any) -> Made | None:
        steps = which(net)
        if not steps:
            return None
        step, x = int(rng.choice(steps)), net.codes(picture(net, rng))
        return Made(net.run(x, {step: lambda record: change(np.array(record.outputs[0]), rng)}), x, {step}, name)

    FAULTS.append(Fault(cls, name, nets, make))


_output_fault(
    "LAYOUT",
    "output written NCHW",
    lambda y, g: y.transpose(0, 3, 1, 2).copy().reshape(y.shape),
    CONV,
    lambda n: n.convs + n.pools,
)
_output_fault(
    "LAYOUT",
    "output transposed",
    lambda y, g: y.transpose(0, 2, 1, 3).copy().reshape(y.shape),
    CONV,
    lambda n: n.convs + n.pools,
)

# ---- MEMORY -------------------------------------------------------------------------------------------------


@fault("MEMORY", "never ran: previous values", ANY)
def _(net: Net, rng: Any) -> Made:
    before, x = net.run(net.codes(picture(net, rng))), net.codes(picture(net, rng))
    step = int(rng.choice(net.work[:-1]))
    values = net.run(x, {step: lambda record: before[net.out(step)]})
    return Made(values, x, {step}, "never ran", before if rng.random() < 0.6 else None)


@fault("MEMORY", "never ran: another tensor's bytes", ANY)
def _(net: Net, rng: Any) -> Made | None:
    x = net.codes(picture(net, rng))
    step = int(rng.choice(net.work[1:-1]))
    size = net.run(x)[net.out(step)].nbytes

    def stale(record: Any) -> Any:
        held = seen[other].tobytes()
        return np.frombuffer(held[:size], record.outputs[0].dtype)

    seen = net.run(x)
    others = [s for s in net.work if s < step - 1 and seen[net.out(s)].nbytes >= size]
    if not others:
        return None
    other = net.out(int(rng.choice(others)))
    return Made(net.run(x, {step: stale}), x, {step}, "never ran", detail=f"tensor {other}")


@fault("MEMORY", "never written: a filling", ANY)
def _(net: Net, rng: Any) -> Made:
    x, step = net.codes(picture(net, rng)), int(rng.choice(net.work[:-1]))
    fill = int(rng.choice([0x00, 0xCD, 0xA5, 0xFF]))
    return Made(
        net.run(x, {step: lambda r: np.full(r.outputs[0].nbytes, fill, np.uint8).view(r.outputs[0].dtype)}),
        x,
        {step},
        "never written",
    )


def _start(y: Any, rng: Any) -> int:
    start = int(y.size * rng.uniform(0.25, 0.75))
    return max(1, start - start % int(rng.choice([1, 4, y.shape[-1] if y.ndim == 4 else 1])))


@fault("MEMORY", "half stale", ANY)
def _(net: Net, rng: Any) -> Made:
    before, x = net.run(net.codes(picture(net, rng))), net.codes(picture(net, rng))
    step = int(rng.choice(net.work[:-1]))

    def half(record: Any) -> Any:
        y = np.array(record.outputs[0]).ravel()
        start = _start(record.outputs[0], rng)
        y[start:] = before[net.out(step)].ravel()[start:]
        return y

    return Made(net.run(x, {step: half}), x, {step}, "half stale", before if rng.random() < 0.6 else None)


@fault("MEMORY", "half unwritten", ANY)
def _(net: Net, rng: Any) -> Made:
    x, step = net.codes(picture(net, rng)), int(rng.choice(net.work[:-1]))

    def half(record: Any) -> Any:
        y = np.array(record.outputs[0]).ravel()
        y[_start(record.outputs[0], rng) :] = 0
        return y

    return Made(net.run(x, {step: half}), x, {step}, "half unwritten")


@fault("MEMORY", "overwritten later", ANY)
def _(net: Net, rng: Any) -> Made | None:
    """The reader saw the right values; by the time of the dump a later output lies there, or part of one."""
    x = net.codes(picture(net, rng))
    values = net.run(x)
    steps = [s for s in net.work[:-2]]
    step = int(rng.choice(steps))
    later = [s for s in net.work if s > step + 1]
    if not later:
        return None
    raw = bytearray(values[net.out(step)].tobytes())
    held = values[net.out(int(rng.choice(later)))].tobytes()[: len(raw)]
    at = int(rng.integers(0, (len(raw) - len(held)) // 16 + 1)) * 16
    raw[at : at + len(held)] = held
    damaged = np.frombuffer(bytes(raw), values[net.out(step)].dtype).reshape(values[net.out(step)].shape)
    reader = next(s.index for s in net.steps if any(t is not None and t.index == net.out(step) for t in s.inputs))
    return Made(values | {net.out(step): damaged}, x, {step}, "overwritten later", unreadable_after=net.out(reader))


def _garbage(y: Any, rng: Any) -> Any:
    raw = np.array(np.frombuffer(y.tobytes(), np.uint8))
    size = int(rng.choice([16, 32, 64]))
    at = int(rng.integers(0, max(1, len(raw) // size))) * size
    raw[at : at + size] = rng.integers(0, 256, len(raw[at : at + size]))
    return raw.view(y.dtype)


def _bit(y: Any, rng: Any) -> Any:
    raw = np.array(np.frombuffer(y.tobytes(), np.uint8))
    raw[rng.integers(len(raw))] ^= 1 << int(rng.integers(8))
    return raw.view(y.dtype)


_output_fault("MEMORY", "cache line", _garbage, ANY, lambda n: n.work[:-1])
_output_fault("MEMORY", "output bit", _bit, ANY, lambda n: n.work[:-1])


def _weight_bit(record: Any, rng: Any) -> dict[str, Any]:
    w = np.asarray(record.inputs[1])
    raw = np.array(np.frombuffer(w.tobytes(), np.uint8))
    place = int(rng.integers(w.size)) * w.itemsize + (w.itemsize - 1 if w.itemsize == 1 else 2)
    raw[place] ^= 1 << int(rng.choice([4, 5, 6, 7]))
    return {"weights": raw.view(w.dtype).reshape(w.shape)}


_layer_fault("MEMORY", "weight bit", _weight_bit, (*SMALL, *FLOAT))

# ---- MODEL --------------------------------------------------------------------------------------------------


def _model_fault(
    name: str, names: str, change: Callable[[Any], Callable[[Any, Any], Any]], nets: tuple[str, ...]
) -> None:
    def make(net: Net, rng: Any) -> Made:
        x = net.codes(picture(net, rng))
        return Made(net.run(x, plan=net.with_data(change(rng))), x, set(net.linear), names)

    FAULTS.append(Fault("MODEL", name, nets, make))


def _older(rng: Any) -> Callable[[Any, Any], Any]:
    size = rng.choice([1, 3, 8])

    def change(tensor: Any, data: Any) -> Any:
        if data.dtype == np.int8:
            return np.clip(data + np.rint(rng.normal(0, size, data.shape)), -127, 127)
        spread = 0.05 * size * (np.abs(data).mean() + 1)
        return data + (
            np.rint(rng.normal(0, spread, data.shape))
            if data.dtype.kind == "i"
            else rng.normal(0, 0.02 * size * data.std(), data.shape)
        )

    return change


def _another(rng: Any) -> Callable[[Any, Any], Any]:
    return lambda tensor, data: rng.permutation(data.ravel()).reshape(data.shape)


def _older_bias(rng: Any) -> Callable[[Any, Any], Any]:
    return lambda tensor, data: (
        data if data.ndim > 1 else data + (np.abs(data).mean() + 4) * 0.3 * rng.normal(size=data.shape)
    )


_model_fault("older weights", "other weights", _older, ANY)
_model_fault("another model of these shapes", "other weights", _another, ANY)
_model_fault("older biases", "other biases", _older_bias, ANY)
_model_fault("all weights 0.01 % off", "weights 0.01 % off", lambda g: lambda t, d: d * np.float32(1.0001), FLOAT)
_model_fault("all weights fp16", "fp16 weights", lambda g: lambda t, d: d.astype(np.float16).astype(np.float32), FLOAT)
_layer_fault(
    "MODEL",
    "one layer 0.01 % off",
    lambda r, g: {"weights": np.asarray(r.inputs[1]) * np.float32(1 + g.choice([-1e-4, 1e-4]))},
    FLOAT,
    "weights 0.01 % off",
)
_layer_fault(
    "MODEL",
    "one layer fp16",
    lambda r, g: {"weights": np.asarray(r.inputs[1]).astype(np.float16).astype(np.float32)},
    FLOAT,
    "fp16 weights",
)
_layer_fault("MODEL", "bias 1e-5 off", lambda r, g: {"bias": _bias(r) + np.float32(1e-5)}, FLOAT, "other biases")
_layer_fault("MODEL", "scale 0.01 % off", lambda r, g: {"real": real_factor(r) * (1 + g.choice([-1e-4, 1e-4]))}, SMALL)

# ---- FLOAT --------------------------------------------------------------------------------------------------


@fault("FLOAT", "fma", FLOAT)
def _(net: Net, rng: Any) -> Made:
    x = net.codes(picture(net, rng))
    numerics = replace(PRESETS["tflm"], contraction="fma")
    return Made(net.run(x, plan=refengine.make_plan(net.model, numerics=numerics)), x, set(net.work), "fma")


for _order in ("reversed", "four lanes", "eight lanes", "float64"):
    _everywhere("FLOAT", f"sums: {_order}", lambda r, g, o=_order: {"order": o}, FLOAT, "summation order")  # type: ignore[misc]


def _fast_exp(x: Any) -> Any:
    """2^n times a cubic: 1e-4 relative."""
    y = x.astype(np.float64) * 1.4426950408889634
    n = np.floor(y)
    f = y - n
    return np.ldexp(1 + f * (0.695556856 + f * (0.226173572 + f * 0.0781455737)), n.astype(int))


@fault("FLOAT", "fast exp, 1e-4", FLOAT)
def _(net: Net, rng: Any) -> Made:
    x, last = net.codes(picture(net, rng)), len(net.steps) - 1
    return Made(net.run(x, {last: lambda r: softmax(r, _fast_exp)}), x, {last}, "fast exp")


@fault("FLOAT", "another exp, 1e-7", FLOAT)
def _(net: Net, rng: Any) -> Made:
    x, last = net.codes(picture(net, rng)), len(net.steps) - 1
    return Made(
        net.run(x, {last: lambda r: softmax(r, lambda v: np.exp2(v * np.float32(1.442695)))}), x, {last}, "fast exp"
    )


# ---- SOUND --------------------------------------------------------------------------------------------------


@fault("SOUND", "no fault", (*INT8, *FLOAT))
def _(net: Net, rng: Any) -> Made:
    x = net.codes(picture(net, rng))
    return Made(net.run(x), x, set(), "sound")


@fault("SOUND", "no fault, dialect declared", (*INT8, *FLOAT))
def _(net: Net, rng: Any) -> Made:
    x, numerics = (
        net.codes(picture(net, rng)),
        PRESETS["cortex-m7" if net.is_float else str(rng.choice(["single", "xnnpack"]))],
    )
    plan = refengine.make_plan(net.model, numerics=numerics)
    return Made(net.run(x, plan=plan), x, set(), "sound", plan=plan)


_dialect("SOUND", "dialect float32 scales", "tflm-2026-08", ("cifarish", "lab"), "float32 scales")
_dialect("SOUND", "dialect cortex-m7", "cortex-m7", FLOAT, "cortex-m7")
_dialect("SOUND", "dialect cortex-m3", "cortex-m3", FLOAT, "cortex-m3")

# ---- THIN: hardly any evidence ------------------------------------------------------------------------------


def _thin(
    name: str, of: tuple[str, str] | None, make: Any = None, nets: tuple[str, ...] | None = None, most: int = 3
) -> None:
    """Only logits or scores are dumped, of which few elements differ; `of` is a fault above, or `make` a new one."""
    if of is not None:
        base = next(f for f in FAULTS if (f.cls, f.name) == of)
        make, nets = base.make, nets or tuple(n for n in base.nets if n in ANY)
    FAULTS.append(Fault("THIN", name, nets or SMALL, make, ("output",), 8, most))


def _off_by_one(net: Net, rng: Any) -> Made:
    x, step = net.codes(picture(net, rng)), net.linear[-1]

    def wrong(record: Any) -> Any:
        y = np.array(record.outputs[0]).astype(int).ravel()
        y[rng.integers(y.size)] += int(rng.choice([-1, 1]))
        return y.clip(-128, 127)

    return Made(net.run(x, {step: wrong}), x, {step}, "code off by one")


def _even(net: Net, rng: Any) -> Made:
    x, step = net.codes(picture(net, rng)), int(rng.choice(net.linear))
    return Made(net.run(x, {step: lambda r: np.array(r.outputs[0]) & np.int8(-2)}), x, {step}, "lowest bit lost")


def _hot_pixel(net: Net, rng: Any) -> Made:
    right = net.codes(picture(net, rng))
    x = right.copy()
    x.reshape(-1)[rng.integers(x.size)] = int(rng.choice([-128, 127]))
    return Made(net.run(x), right, {"input"}, "hot pixel")


_thin("input truncated", ("INPUT", "truncated"))
_thin("input one element late", ("INPUT", "one element late"), nets=SMALL)
_thin("input without scale, few scores", ("INPUT", "scale forgotten"), nets=("cifarish", "lab"), most=6)
_thin("one hot pixel", None, _hot_pixel)
_thin("one logit off by one", None, _off_by_one)
_thin("a layer's lowest bit lost", None, _even)
_thin("multiplier of 16 bits", ("ARITHMETIC", "multiplier of 16 bits"))
_thin("one output bit", ("MEMORY", "output bit"), nets=SMALL)
_thin("one weight bit", ("MEMORY", "weight bit"), nets=SMALL)
_thin("older biases", ("MODEL", "older biases"), nets=SMALL)
_thin("average truncates", ("GEOMETRY", "average truncates"))

# ===========================================================================================================
#  Cases: instances and their dumps
# ===========================================================================================================


@dataclass
class Case:
    number: str
    fault: Fault
    net: Net
    made: Made
    kind: str
    tensors: tuple[int, ...]
    differing: int  # elements of the dumped outputs that differ from the sound ones


def _apart(a: Any, b: Any) -> int:
    """How many elements differ by their bits."""
    width = a.dtype.itemsize
    same = np.frombuffer(np.ascontiguousarray(a).tobytes(), np.uint8) == np.frombuffer(
        np.ascontiguousarray(b).tobytes(), np.uint8
    )
    return int((~same.reshape(-1, width).all(axis=1)).sum())


def cases(nets: dict[str, Net], seed: int, halves: str, only: str, silent: collections.Counter[Any]) -> Any:
    """All cases in order; the silent ones are counted instead."""
    for f in FAULTS:
        if only.lower() not in f"{f.cls} {f.name}".lower():
            continue
        for i in range(f.instances):
            half = "AB"[i % 2]
            if half not in halves:
                continue
            for attempt in range(12 if f.most is None else 60):
                rng = np.random.default_rng([seed, zlib.crc32(f"{f.cls}/{f.name}".encode()), i, attempt])
                net = nets[str(rng.choice(f.nets))]
                made = f.make(net, rng)
                if made is None:
                    continue
                sound = net.run(made.given, plan=made.plan)
                apart = {t: _apart(a, sound[t]) for t, a in made.values.items()}
                if f.most is not None and not 0 < min(apart[net.logits] or 99, apart[net.scores] or 99) <= f.most:
                    continue
                if made.names == "sound" or any(apart[s.outputs[0].index] for s in net.steps):
                    break
            else:
                silent[f.cls, "never"] += 1
                continue
            yield from _kinds(f, net, made, rng, f"{f.cls}/{f.name}/{half}{i}", apart, silent)


def _kinds(f: Fault, net: Net, made: Made, rng: Any, number: str, apart: dict[int, int], silent: Any) -> Any:
    outputs = [s.outputs[0].index for s in net.steps]
    moving = [s.outputs[0].index for s in net.steps if s.op.name not in FIXED]
    chosen = {"all": (net.input.index, *outputs), "noinput": tuple(outputs)}
    chosen["output"] = (net.logits,) if rng.random() < 0.5 else (net.scores,)
    for _ in range(8):
        some = [t for t in moving if rng.random() < 0.5] or [moving[-1]]
        chosen["half"] = (*((net.input.index,) if rng.random() < 0.5 else ()), *some)
        if any(apart[t] for t in some):
            break
    if f.most is not None:
        chosen["output"] = (net.scores,) if 0 < apart[net.scores] <= f.most else (net.logits,)
    for kind in f.kinds:
        tensors = chosen[kind]
        if kind == "output" and not apart[tensors[0]]:  # the other one may show it
            tensors = (net.logits,) if apart[net.logits] else tensors
        differing = sum(apart[t] for t in tensors if t != net.input.index)
        visible = differing or (net.input.index in tensors and apart[net.input.index])
        if not visible and made.names != "sound":
            silent[f.cls, kind] += 1
            continue
        yield Case(f"{number}/{kind}", f, net, made, kind, tensors, differing)


# ===========================================================================================================
#  Judging the judge
# ===========================================================================================================


@dataclass
class Score:
    outcome: str
    located: bool
    said: list[str]
    seconds: float = 0.0


def judged(case: Case, folder: Path) -> dict[str, Any]:
    """refengine's report as plain Python."""
    net, made = case.net, case.made
    plan = made.plan or net.plan

    def dumped(name: str, tensors: dict[int, Any]) -> Any:
        np.savez(folder / name, **{f"t{i}": x for i, x in tensors.items()})
        return read_dump(plan, folder / name)

    device = dumped("dump.npz", {i: made.values[i] for i in case.tensors})
    before = None
    if made.previous is not None:
        before = dumped("previous.npz", made.previous)
    report = diff(plan, device, made.given, previous=before)
    found: dict[str, Any] = _numbered(json.loads(json.dumps(report.as_dict())))
    return found


def _numbered(node: Any) -> Any:
    """The report with operators and tensors by their numbers."""
    if isinstance(node, list):
        return [_numbered(part) for part in node]
    if isinstance(node, dict):
        return (
            node["index"]
            if node.keys() == {"subgraph", "index", "name"}
            else {k: _numbered(v) for k, v in node.items()}
        )
    return node


SKIPPED = {"dump", "sha256", "numerics", "recording", "name", "output", "status", "explanation", "total", "own"}


def _findings(node: Any) -> list[dict[str, Any]]:
    """Whatever has candidates and a verdict, anywhere in the report."""
    if isinstance(node, list):
        return [f for part in node for f in _findings(part)]
    if not isinstance(node, dict):
        return []
    if "verdict" in node and "candidates" in node:
        return [node] if node["verdict"] or node.get("status") == "culprit" else []
    return [f for part in node.values() for f in _findings(part)]


def _strings(node: Any, key: str = "") -> list[str]:
    """The sentences of a report outside its findings."""
    if isinstance(node, str):
        return [] if key in SKIPPED else [node]
    if isinstance(node, list):
        return [s for part in node for s in _strings(part, key)]
    if isinstance(node, dict) and key not in SKIPPED and not ("verdict" in node and "candidates" in node):
        return [s for k, part in node.items() for s in _strings(part, k)]
    return []


def _found(pattern: str, text: str) -> bool:
    return re.search(pattern, text, re.IGNORECASE | re.DOTALL) is not None


def score(case: Case, report: dict[str, Any]) -> Score:
    made, net = case.made, case.net
    names = NAMES[made.names]
    if made.unreadable_after is not None and made.unreadable_after not in case.tensors:
        names += "|holds|never (ran|written)|stale|garbage"  # without the reader's output, who can tell?
    forbidden = FORBIDDEN.get(made.names)
    ops = sorted({s.op.name for s in net.steps}, key=len, reverse=True)

    def plain(text: str) -> str:
        for op in ops:
            text = text.replace(op, "OP")
        return re.sub(PLACE, "", text, flags=re.DOTALL)

    def right(text: str) -> bool:
        return _found(names, text) and not (forbidden and _found(forbidden, text))

    def here(candidate: dict[str, Any]) -> bool:
        if made.where == {"input"} or candidate.get("cause") == "dialect":
            return True
        return candidate.get("operator") is None or candidate["operator"] in made.where

    free = [plain(s) for s in _strings(report)]
    findings = _findings(report)
    summary, causes = plain(str(report.get("summary", ""))), [plain(c) for c in report.get("causes", ())]
    notes = [s for s in free if not _found(BOILERPLATE, s) and s != summary and s not in causes]
    said = [str(report.get("summary", "")), *(f["verdict"] for f in findings)]
    outcomes: list[str] = []
    blamed = any(_found(INPUT_BLAMED, s) for s in free)
    places: list[set[Any]] = []
    for f in findings:
        verdict, candidates = plain(f["verdict"]), f["candidates"]
        complete = [c for c in candidates if c.get("vanish") == c.get("of")]
        shown = [
            plain(c["how"]) for c in complete[:SHOWN] if here(c)
        ]  # the right cause in another operator is a wrong one
        claims = bool(complete) or (not candidates and not _found(UNKNOWN, verdict))
        first = complete[0].get("operator") if complete else None
        places.append({first} if first is not None else set(f.get("suspects") or [f.get("operator", "input")]))
        blamed |= _found(INPUT_BLAMED, verdict) or any(_found(INPUT_BLAMED, how) for how in shown)
        if any(map(right, shown)) or (right(verdict) and (not candidates or here(candidates[0]))):
            outcomes.append("named")
        elif claims:
            outcomes.append("thin" if _found(HEDGE, verdict) or _found(HEDGE, summary) else "FALSE")
        elif candidates and not _found(UNKNOWN, verdict):
            hedged = _found(HEDGE, verdict)
            outcomes.append("thin" if hedged else "FALSE" if _found(NEVER, verdict) else "partial")
        else:
            outcomes.append("unknown")
    if made.names == "sound":
        good = not report.get("differs") and not findings
        worst = next((o for o in ("FALSE", "partial", "thin", "unknown") if o in outcomes), "missed")
        return Score("named" if good else worst, good, said)
    if made.where == {"input"}:
        located = blamed
    else:
        located = bool(findings) and all(place & made.where for place in places)
    if made.where == {"input"} and not located:
        outcomes = ["unknown" if o == "named" else o for o in outcomes]  # a right word about the wrong thing
    if any(map(right, notes)) or (located and any(map(right, [*causes, summary]))):
        outcome = "named"
    elif not findings:
        outcome = "unknown" if blamed and made.where == {"input"} else "missed"
    else:
        worst = next((o for o in ("FALSE", "partial", "thin") if o in outcomes), None)  # type: ignore[assignment]
        outcome = worst or ("named" if "named" in outcomes else "unknown")
    return Score(outcome, located, said)


# ===========================================================================================================
#  The table
# ===========================================================================================================

COLUMNS = ("n", "located", "named", "unknown", "thin", "partial", "FALSE", "missed", "silent")
CLASSES = ("INPUT", "ARITHMETIC", "GEOMETRY", "LAYOUT", "MEMORY", "MODEL", "FLOAT", "SOUND", "THIN")


def _row(results: list[tuple[Case, Score]], silent: int) -> list[int]:
    count = collections.Counter(s.outcome for _, s in results)
    located = sum(s.located for _, s in results)
    return [len(results), located, *(count[o] for o in COLUMNS[2:8]), silent]


def table(results: list[tuple[Case, Score]], silent: collections.Counter[Any]) -> str:
    lines = [f"{'class':<12}{'dump':<9}" + "".join(f"{c:>9}" for c in COLUMNS) + f"{'less':>7}"]
    lines.append("-" * len(lines[0]))

    def add(name: str, kind: str, part: list[tuple[Case, Score]], quiet: int, less: str = "") -> None:
        if part or quiet:
            lines.append(f"{name:<12}{kind:<9}" + "".join(f"{v:>9}" for v in _row(part, quiet)) + f"{less:>7}")

    for cls in CLASSES:
        mine = [r for r in results if r[0].fault.cls == cls]
        for kind in KINDS:
            add(cls, kind, [r for r in mine if r[0].kind == kind], silent[cls, kind])
        if mine:
            add(cls, "sum", mine, sum(silent[cls, k] for k in KINDS), str(len(said_less(mine))))
    lines.append("-" * len(lines[0]))
    for kind in KINDS:
        add("ALL", kind, [r for r in results if r[0].kind == kind], sum(silent[c, kind] for c in CLASSES))
    add("ALL", "sum", results, sum(v for (c, k), v in silent.items() if k in KINDS), str(len(said_less(results))))
    return "\n".join(lines)


def fault_table(results: list[tuple[Case, Score]]) -> str:
    groups: dict[tuple[str, str], list[tuple[Case, Score]]] = collections.defaultdict(list)
    for r in results:
        groups[r[0].fault.cls, r[0].fault.name].append(r)
    lines = [f"{'class':<12}{'fault':<36}" + "".join(f"{c:>9}" for c in COLUMNS[:8])]
    lines += [f"{c:<12}{n:<36}" + "".join(f"{v:>9}" for v in _row(part, 0)[:8]) for (c, n), part in groups.items()]
    return "\n".join(lines)


def said_less(results: list[tuple[Case, Score]]) -> list[str]:
    """Instances where `all` or `noinput` says less than a dump that is part of it: named before, not named now."""
    grouped: dict[str, dict[str, Score]] = collections.defaultdict(dict)
    for case, s in results:
        grouped[case.number.rpartition("/")[0]][case.kind] = s
    part_of = {"all": ("noinput", "output", "half"), "noinput": ("output",)}
    return [
        number
        for number, kinds in grouped.items()
        if any(
            more in kinds
            and kinds[more].outcome != "named"
            and any(k in kinds and kinds[k].outcome == "named" for k in fewer)
            for more, fewer in part_of.items()
        )
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", choices=("A", "B"), help="only this half of the instances")
    parser.add_argument(
        "--seed",
        type=int,
        default=2026,
        help="other seeds give other instances of the same faults (default: %(default)s)",
    )
    parser.add_argument("--only", default="", help="only faults whose class or name contains this")
    parser.add_argument("--json", metavar="FILE", help="write every case ('-': to standard output, and nothing else)")
    parser.add_argument("--faults", action="store_true", help="also a table by fault")
    parser.add_argument("--false", action="store_true", help="also every false verdict")
    parser.add_argument("--save", metavar="DIR", help="keep the dumps")
    args = parser.parse_args()
    shown = sys.stderr if args.json == "-" else sys.stdout
    started = time.process_time()
    nets = networks()
    agreed = self_check(nets)
    silent: collections.Counter[Any] = collections.Counter()
    results: list[tuple[Case, Score]] = []
    save = Path(args.save) if args.save else None
    with tempfile.TemporaryDirectory() as folder:
        for case in cases(nets, args.seed, args.half or "AB", args.only, silent):
            begun = time.process_time()
            try:
                found = score(case, judged(case, Path(folder)))
            except Exception as error:  # a judge that falls over is a result too
                found = Score("missed", False, [f"{type(error).__name__}: {error}"])
            found.seconds = time.process_time() - begun
            results.append((case, found))
            if save:
                keep(case, Path(folder), save)
    head = (
        f"refengine {getattr(refengine, '__version__', '?')}, seed {args.seed}, half {args.half or 'A and B'}: "
        f"{len({c.number.rpartition('/')[0] for c, _ in results})} instances of {len(FAULTS)} faults, {len(results)} dumps judged; "
        f"own kernels agree with refengine's in {agreed} layers; {time.process_time() - started:.0f} s of processor time"
    )
    never = sum(v for (c, k), v in silent.items() if k == "never")
    print(head, "", table(results, silent), sep="\n", file=shown)
    if never:
        print(f"{never} instances could not be made visible", file=shown)
    if args.faults:
        print("", fault_table(results), sep="\n", file=shown)
    if args.false:
        for case, s in results:
            if s.outcome == "FALSE":
                print(
                    f"\n{case.number} ({case.net.name}, {case.differing} elements differ)",
                    *s.said,
                    sep="\n    ",
                    file=shown,
                )
    if args.json:
        rows = [
            {
                "case": c.number, "class": c.fault.cls, "fault": c.fault.name, "half": c.number.split("/")[-2][0], "net": c.net.name,
                "kind": c.kind, "tensors": list(c.tensors), "differing": c.differing, "where": sorted(map(str, c.made.where)),
                "detail": c.made.detail, "previous given": c.made.previous is not None,
                "outcome": s.outcome, "located": s.located, "said": s.said, "seconds": round(s.seconds, 3),
            }
            for c, s in results
        ]  # fmt: skip
        text = json.dumps({"about": head, "cases": rows, "less": said_less(results)}, indent=1, ensure_ascii=False)
        if args.json == "-":
            print(text)
        else:
            Path(args.json).write_text(text, encoding="utf-8")


def keep(case: Case, folder: Path, save: Path) -> None:
    """The dump that was just judged, for `refengine diff <net> X.npz --input X.input.npy`."""
    save.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^\w.]+", "_", case.number)
    (save / f"{name}.npz").write_bytes((folder / "dump.npz").read_bytes())
    np.save(save / f"{name}.input.npy", case.made.given)
    if case.made.previous is not None:
        (save / f"{name}.previous.npz").write_bytes((folder / "previous.npz").read_bytes())
    model = save / f"{case.net.name}.tflite"
    if not model.exists():
        from refengine.tflite_io import dump

        with contextlib.suppress(Exception):
            model.write_bytes(dump(case.net.model))


if __name__ == "__main__":
    main()
