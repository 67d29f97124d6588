"""Known faults: what a wrong kernel would have computed, by the right kernel with something changed.

A fault is a function from a `Case` to the outputs that it would give, each with a clause that completes "the
differences vanish …". All arithmetic is the kernels' own: what changes is what they are prepared with, what they are
given, or how their output lies in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from ..errors import InferenceError, UnsupportedError
from ..kernel import PRESETS, Numerics
from ..kernels._window import Window
from ..model import Array, Quantization, Tensor
from ..numerics.fixedpoint import Multiplier
from ..numerics.float32 import round_half_away
from ..numerics.quantize import ACTIVATIONS
from ..numerics.requantize import Requantizer
from ..plan import Step

LAYOUTS = {
    "OHWI": ("OIHW", "HWIO", "HWOI", "IHWO", "OWHI"),
    "1HWO": ("1OHW", "OHW1", "HWO1", "HW1O", "1WHO"),
    "OI": ("IO",),
}
"""How others than TFLite order the weights' dimensions: O outputs, I inputs, H rows, W columns."""

CHUNK = 16  # bytes; what arenas align tensors to
NO_OFFSET = {"output_offset": 0, "output_zero_point": 0}
OPEN = {"min": -(2**31), "max": 2**31 - 1}


@dataclass(frozen=True, eq=False)
class Case:
    """One step, the `arrays` it read, and what a sound kernel makes of them.

    `seen` is what the device made of them (None if only a later step's output is known), `memory` what else was in its
    memory, by what one would call it.
    """

    step: Step
    numerics: Numerics
    arrays: tuple[Array | None, ...]
    sound: Array
    seen: Array | None = None
    memory: Mapping[str, Array] = field(default_factory=dict)

    def replay(
        self,
        *,
        numerics: Numerics | None = None,
        options: Mapping[str, Any] | None = None,
        tensors: Mapping[int, Tensor | None] | None = None,
        output: Tensor | None = None,
        arrays: Mapping[int, Array] | None = None,
        params: Callable[[Any], Any] = lambda params: params,
        dtype: str | None = None,
    ) -> Array | None:
        """The step's output with some things changed, or None where TFLM's Prepare would refuse that.

        `tensors` and `arrays` replace inputs by position (constants bring their own array), `output` the output's
        tensor, `options` some of the options; `params` changes what Prepare made of them.
        The result has the `dtype` of a sound output, unless another is given; codes wrap.
        """
        step, tensors = self.step, tensors or {}
        inputs = tuple(tensors.get(i, tensor) for i, tensor in enumerate(step.inputs))
        given = {**{i: t.data for i, t in tensors.items() if t is not None and t.data is not None}, **(arrays or {})}
        values = [
            None if tensor is None else given.get(i, array)
            for i, (tensor, array) in enumerate(zip(inputs, self.arrays, strict=True))
        ]
        node = step.node._replace(
            options={**step.op.options, **(options or {})},
            inputs=inputs,
            outputs=(output or step.outputs[0], *step.outputs[1:]),
        )
        try:
            changed = replace(step, node=node).prepared(numerics or self.numerics)
        except UnsupportedError:
            return None
        changed = replace(changed, params=params(changed.params))
        try:
            result, *_ = changed.evaluate(*(None if x is None else x[np.newaxis] for x in values), *changed.memory)
        except InferenceError:  # it would have failed, not computed something wrong
            return None
        with np.errstate(invalid="ignore"):  # a fault may make infinities, which no integer holds
            return np.asarray(result[0]).astype(dtype or self.sound.dtype)

    @property
    def weights(self) -> Tensor | None:
        return self.step.weights

    @property
    def bias(self) -> Tensor | None:
        return self.step.bias

    def replay_with(self, *, weights: Tensor | None = None, bias: Tensor | None = None) -> Array | None:
        """`replay` with other weights, or another bias."""
        facts = self.step.facts
        given = {facts.weights: weights, facts.bias: bias}
        return self.replay(tensors={i: t for i, t in given.items() if i is not None and t is not None})


Variants = Iterator[tuple[str, Array | None]]
Fault = Callable[[Case], Variants]


# ---- dialects ---------------------------------------------------------------------------------------------

DIALECTS = {
    ("rounding", "double"): "double rounding",
    ("rounding", "single"): "single rounding",
    ("rounding", "xnnpack"): "XNNPACK's rounding",
    ("scale_math", "double"): "float64 scales (TFLM from commit 7b49bf8 on)",
    ("scale_math", "float32"): "float32 scales (TFLM before commit 7b49bf8)",
    ("scale_math", "tflite"): "float32 scales (TFLite)",
    ("contraction", "none"): "separate float32 multiply and add",
    ("contraction", "fma"): "FMA contraction",
    ("libm", "glibc"): "glibc's expf",
    ("libm", "glibc-2.41"): "glibc 2.41's tanhf",
    ("libm", "newlib"): "newlib's expf without FPU",
    ("libm", "newlib-fma"): "newlib's expf with a single-precision FPU",
    ("libm", "newlib-double"): "newlib's expf with a double-precision FPU",
    ("float_to_int", "x86"): "x86's conversion of floats to integers",
    ("float_to_int", "arm"): "Arm's conversion of floats to integers",
    ("kernels", "tflm"): "TFLM's kernels",
    ("kernels", "cmsis-nn"): "CMSIS-NN's kernels",
    ("kernels", "esp-nn"): "ESP-NN's kernels",
    ("kernels", "litert-ref"): "TFLite's reference kernels",
    ("kernels", "litert"): "LiteRT's kernels",
}
"""Every single choice of `Numerics`, in words."""


def dialects(base: Numerics) -> dict[Numerics, str]:
    """The other dialects with their names: one choice away from `base` first, then real targets."""
    found = {base: ""}
    for (choice, value), name in DIALECTS.items():
        found.setdefault(replace(base, **{choice: value}), name)  # type: ignore[arg-type]
    for preset, numerics in PRESETS.items():
        found.setdefault(numerics, f"the dialect {preset}")
    del found[base]
    return found


# ---- faults -----------------------------------------------------------------------------------------------


def padding(case: Case) -> Variants:
    """The window of a convolution or a pool lies wrong over the image."""
    step, window = case.step, _window(case)
    if window is None:
        return
    (top, left), need = window.pad, [max(0, s - i) for s, i in zip(window.span, window.input, strict=True)]
    ways = {
        "if the odd pixel of SAME padding goes to the top and left": (need[0] - top, need[1] - left),
        "if the window lies one row and one column too far up and left": (top + 1, left + 1),
        "if the window lies one row too far up": (top + 1, left),
        "if the window lies one column too far left": (top, left + 1),
        "if the window lies one row and one column too far down and right": (top - 1, left - 1),
        "if the window lies one row too far down": (top - 1, left),
        "if the window lies one column too far right": (top, left - 1),
        "if the image is not padded above and left": (0, 0),
    }
    for how, pad in ways.items():
        if pad != window.pad and min(pad) >= 0:
            yield how, case.replay(params=_with_pad(pad))
    if window.dilation != (1, 1):
        yield "if the dilation is ignored", case.replay(params=partial(_altered, change=_undilated))
    if window.is_padded and (image := step.inputs[0]) is not None and case.arrays[0] is not None:
        for value, called in {0: "code 0 instead of the zero point", _zero_point(image): "values that count"}.items():
            framed = window.padded(case.arrays[0], value)
            wide = replace(image, shape=framed.shape)
            yield (
                f"if the padding is {called}",
                case.replay(options={"padding": "VALID"}, tensors={0: wide}, arrays={0: framed}),
            )


def zero_point(case: Case) -> Variants:
    """A zero point is forgotten, or has the wrong sign."""
    for i, tensor in enumerate(case.step.inputs):
        if tensor is not None and _zero_point(tensor):
            name = "the weights" if i and case.weights else f"input {i}" if len(case.arrays) == 2 else "the input"
            for how, point in {"is taken for 0": 0, "has the wrong sign": -_zero_point(tensor)}.items():
                wrong = case.replay(tensors={i: _with_zero_point(tensor, point)})
                yield f"if the zero point of {name} {how}", wrong
    output = case.step.outputs[0]
    if _zero_point(output):
        yield (
            "if the zero point of the output is not added",
            case.replay(params=partial(_altered, change=partial(_changed, changes=NO_OFFSET))),
        )
        yield "if the zero point of the output is taken for 0", case.replay(output=_with_zero_point(output, 0))


def clamp(case: Case) -> Variants:
    """The fused activation is forgotten or another one, or codes wrap where they should saturate."""
    mine = case.step.op.options.get("fused_activation_function")
    if mine is not None:
        for other in ACTIVATIONS:
            how = "is not applied" if other == "NONE" else f"is {other} instead of {mine}"
            if other != mine:
                yield f"if the fused activation {how}", case.replay(options={"fused_activation_function": other})
    if case.sound.dtype.kind == "i":
        for sides, how in {("min", "max"): "", ("max",): " at the upper end"}.items():
            opened: dict[str, Any] = {f"{p}activation_{side}": OPEN[side] for side in sides for p in ("", "output_")}
            change = partial(_changed, changes={**opened, "dtype": "int32"})
            yield (
                f"if codes wrap around instead of saturating{how}",
                case.replay(params=partial(_altered, change=change)),
            )


def bias(case: Case) -> Variants:
    """The bias is missing, doubled, or another channel's."""
    if case.bias is None or case.bias.data is None:
        return
    data = case.bias.data
    with np.errstate(all="ignore"):
        ways = {
            "is left out": np.zeros_like(data),
            "is added twice": data + data,
            "is subtracted": -data,
            "is the next channel's": np.roll(data, -1),
            "is the previous channel's": np.roll(data, 1),
        }
    for how, values in ways.items():
        yield f"if the bias {how}", case.replay_with(bias=_frozen(case.bias, values))


def transposed_weights(case: Case) -> Variants:
    """The weights lie in memory in another order than the kernel reads them."""
    if case.weights is None or case.weights.data is None:
        return
    data, layout = case.weights.data, case.step.facts.layout
    ways = {}
    for other in LAYOUTS.get(layout, ()):
        axes = [layout.index(letter) for letter in other]
        ways[f"if the weights are stored as {other} but read as {layout}"] = data.transpose(axes).reshape(data.shape)
        read = data.reshape([data.shape[i] for i in axes]).transpose(np.argsort(axes))
        ways[f"if the weights are stored as {layout} but read as {other}"] = read
    if data.ndim == 4:
        ways["if the filter's rows and columns are upside down"] = data[:, ::-1, ::-1]
    if case.weights.dtype == "int4":
        nibbles = np.append(data.ravel(), np.zeros(data.size % 2, data.dtype)).reshape(-1, 2)[:, ::-1]
        ways["if the two int4 weights of a byte are swapped"] = nibbles.ravel()[: data.size].reshape(data.shape)
    yield from _with_weights(case, ways)


def per_tensor_scale(case: Case) -> Variants:
    """One scale for all channels of weights that have one each."""
    tensor = case.weights
    if tensor is None or tensor.quantization is None or len(scales := tensor.quantization.scale) < 2:
        return
    ways = {"the first channel's scale": (scales[0],) * len(scales), "the largest scale": (max(scales),) * len(scales)}
    for how, chosen in ways.items():
        one = replace(tensor, quantization=replace(tensor.quantization, scale=chosen))
        yield f"if every channel is given {how}", case.replay_with(weights=one)


def requantisation(case: Case) -> Variants:
    """Accumulators become codes by other arithmetic than fixed point, or are not rounded."""
    parts = _requantizers(case.step.params)
    acc = case.replay(params=partial(_altered, change=_unscaled), dtype="int64")
    if not parts or acc is None:
        return
    shift = np.concatenate([np.atleast_1d(r.multiplier.shift) for r in parts])
    factor = np.ldexp(np.concatenate([np.atleast_1d(r.multiplier.multiplier * 1.0) for r in parts]), shift - 31)
    real, exact = acc * factor, acc * _real_factor(case, factor)
    single = acc.astype(np.float32) * factor.astype(np.float32)
    ways = {
        "if requantisation rounds down": np.floor(real),
        "if requantisation truncates towards zero": np.trunc(real),
        "if requantisation drops the bits it shifts out": np.floor(
            real + np.where(shift < 0, np.exp2(shift - 1.0), 0.5)
        ),
        "if requantisation is a float64 product, ties away from zero (TFLite's own)": round_half_away(exact),
        "if requantisation is a float64 product, ties to even": np.rint(exact),
        "if requantisation is a float32 product, ties away from zero": round_half_away(single.astype(np.float64)),
    }
    for how, codes in ways.items():
        code = np.clip(codes + parts[0].output_offset, parts[0].activation_min, parts[0].activation_max)
        yield how, code.astype(case.sound.dtype).reshape(case.sound.shape)


def swapped_channels(case: Case) -> Variants:
    """Channels in another order: of the input (RGB, BGR), or of the output."""
    x, sound = case.arrays[0], case.sound
    if x is not None and x.ndim > 1 and x.shape[-1] > 1:
        yield "if the input's channels are in reverse order (RGB, BGR)", case.replay(arrays={0: x[..., ::-1]})
        yield "if neighbouring input channels are swapped", case.replay(arrays={0: x[..., _pairs(x.shape[-1])]})
        if x.ndim == 4:
            planar = x.reshape(x.shape[0], x.shape[3], *x.shape[1:3]).transpose(0, 2, 3, 1)
            yield "if the input is read as NCHW", case.replay(arrays={0: planar})
    if sound.ndim > 1 and sound.shape[-1] > 1:
        yield "if the output's channels are in reverse order", sound[..., ::-1]
        yield "if neighbouring output channels are swapped", sound[..., _pairs(sound.shape[-1])]
        if sound.ndim == 4:
            yield "if the output is written as NCHW", sound.transpose(0, 3, 1, 2).reshape(sound.shape)
            yield from _permuted(case)
    other = case.arrays[1] if len(case.arrays) == 2 else None
    if x is not None and other is not None and x.shape == other.shape and case.weights is None:
        yield "if its two inputs are swapped", case.replay(arrays={0: other, 1: x})


def endianness(case: Case) -> Variants:
    """The bytes of a number are in the other order."""
    if case.bias is not None and case.bias.data is not None:
        yield (
            "if the bytes of each bias value are reversed",
            case.replay_with(bias=_frozen(case.bias, case.bias.data.byteswap())),
        )
    if case.weights is not None and case.weights.data is not None and case.weights.data.itemsize > 1:
        yield from _with_weights(case, {"if the bytes of each weight are reversed": case.weights.data.byteswap()})
    if case.sound.itemsize > 1:
        yield "if the bytes of each output value are reversed", case.sound.byteswap()
    x = case.arrays[0]
    if x is not None and x.itemsize > 1:
        yield "if the bytes of each input value are reversed", case.replay(arrays={0: x.byteswap()})


def signedness(case: Case) -> Variants:
    """Codes of int8 taken for uint8: 128 too many or too few."""
    x = case.arrays[0]
    if case.sound.dtype == np.int8:
        yield "if the output is uint8 (every code 128 too large)", case.sound ^ np.int8(-128)
    if x is not None and x.dtype == np.int8:
        yield "if the input is uint8 (every code 128 too large)", case.replay(arrays={0: x ^ np.int8(-128)})


def shifted(case: Case) -> Variants:
    """Everything lies one element, row, column or channel off; what lies beyond the edge is anybody's."""
    for how, moved, edge in _moves(case.sound):
        if case.seen is not None:
            yield f"if the output lies {how}", np.where(edge, case.seen, moved)
    x, tensor = case.arrays[0], case.step.inputs[0]
    if x is not None and tensor is not None:
        for how, moved, edge in _moves(x):
            filled = np.where(edge, np.asarray(_zero_point(tensor), x.dtype), moved)
            yield f"if the input lies {how}", case.replay(arrays={0: filled})


def stale_buffer(case: Case) -> Variants:
    """The output was never computed: its buffer holds what was there before."""
    if case.seen is None or _constant(case.seen):
        return
    raw = case.seen.tobytes()
    for name, array in case.memory.items():
        held = array.tobytes()
        for start in range(0, len(held) - len(raw) + 1, CHUNK):
            if held.startswith(raw, start):
                place = f" from byte {start} on" if start else ""
                yield f"if the step never ran and its buffer still holds {name}{place}", case.seen
                return
    held_bytes = [array.tobytes() for array in case.memory.values()]
    chunks = {held[i : i + CHUNK] for held in held_bytes for i in range(0, len(held), CHUNK)}
    mine = [raw[i : i + CHUNK] for i in range(0, len(raw), CHUNK)]
    known = [chunk in chunks for chunk in mine]
    telling = [k for k, chunk in zip(known, mine, strict=True) if len(set(chunk)) > 2]
    if len(telling) >= 4 and 2 * sum(telling) >= len(telling):
        left = np.repeat(known, CHUNK)[: len(raw) : case.seen.itemsize].reshape(case.seen.shape)
        yield (
            "if the step never ran and its buffer holds pieces of other tensors",
            np.where(left, case.seen, case.sound),
        )


def never_written(case: Case) -> Variants:
    """The buffer, or its end, holds a filling."""
    if case.seen is None or case.seen.size < 2:
        return
    raw = case.seen.tobytes()
    if _constant(case.seen) or (len(raw) >= 8 and raw == (raw[:4] * len(raw))[: len(raw)]):
        yield f"if the output was never written: it is {_filling(case.seen)}", case.seen
        return
    flat, last = case.seen.ravel(), case.seen.ravel()[-1:].tobytes()
    start = flat.size
    while flat[start - 1 : start].tobytes() == last:
        start -= 1
    if flat.size - start >= CHUNK and len(set(last)) == 1:
        tail = np.concatenate([case.sound.ravel()[:start], flat[start:]]).reshape(flat.shape)
        what = _filling(case.seen.ravel()[start:])
        yield f"if the output was never written from its element {start} on: {what}", tail.reshape(case.seen.shape)


def summation_order(case: Case) -> Variants:
    """Float32 results as close as another order of summation, or another libm, may bring them.

    Two orders of n terms are at most 2·n·2⁻²⁴·Σ|term| apart; the kernel itself sums the |terms|.
    """
    if case.seen is None or case.sound.dtype != np.float32:
        return
    why, place = case.step.facts.inexact, case.step.facts.data or 0
    x = case.arrays[place]
    if x is None:
        return
    if case.weights is not None:
        constants = {i: t for i, t in enumerate(case.step.inputs) if t is not None and t.data is not None}
        size = case.replay(
            options={"fused_activation_function": "NONE"},
            tensors={i: _frozen(t, np.abs(t.data)) for i, t in constants.items() if t.data is not None},
            arrays={place: np.abs(x)},
        )
        terms = case.step.params.macs // case.sound.size + 1
    elif why == "sums":
        size, terms = case.replay(arrays={place: np.abs(x)}), x.size // case.sound.size + 1
    elif why == "libm":
        size, terms = np.abs(case.sound), (x.shape[-1] if x.ndim else 1) + 4
    else:
        return
    if size is not None:
        with np.errstate(all="ignore"):
            near = np.abs(case.seen.astype(np.float64) - case.sound) <= terms * 2.0**-23 * size
        yield (
            "within the rounding errors of another order of summation, or another libm",
            np.where(near, case.seen, case.sound),
        )


FAULTS: Mapping[str, Fault] = {
    "padding": padding,
    "zero point": zero_point,
    "clamp": clamp,
    "bias": bias,
    "requantisation": requantisation,
    "per-tensor scale": per_tensor_scale,
    "transposed weights": transposed_weights,
    "swapped channels": swapped_channels,
    "endianness": endianness,
    "signedness": signedness,
    "shifted": shifted,
    "never written": never_written,
    "stale buffer": stale_buffer,
    "summation order": summation_order,
}
"""Every known fault; of explanations that are equally good, the earlier ones here come first."""


# ---- what they share --------------------------------------------------------------------------------------


def _altered(node: Any, change: Callable[[Any], Mapping[str, Any]]) -> Any:
    """Params with the fields replaced that `change` names for each record in them; what was derived is dropped."""
    if isinstance(node, tuple) and not hasattr(node, "_fields"):
        return tuple(_altered(part, change) for part in node)
    if not is_dataclass(node) or isinstance(node, type):
        return node
    parts = {f.name: _altered(getattr(node, f.name), change) for f in fields(node)}
    if wanted := change(node):
        wanted = {**dict.fromkeys(("line", "drop", "table")), **wanted}
        parts |= {name: value for name, value in wanted.items() if name in parts}
    return replace(node, **parts)


def _changed(node: Any, changes: Mapping[str, Any]) -> Mapping[str, Any]:
    """`changes` for a record that holds the last stage of an integer kernel: output offset and clamp."""
    return changes if isinstance(node, Requantizer) or hasattr(node, "output_activation_min") else {}


def _unscaled(node: Any) -> Mapping[str, Any]:
    """Changes that make a requantizer return its accumulators, bias included."""
    if not isinstance(node, Requantizer):
        return {}
    # Double rounding would shift to the left first, and wrap accumulators from 2³⁰ on.
    one = Multiplier(np.int64(2**30), np.int64(1), np.float32(1), rounding="single")
    low, high = OPEN["min"], OPEN["max"]
    return {"multiplier": one, "output_offset": 0, "activation_min": low, "activation_max": high, "dtype": "int32"}


def _requantizers(node: Any) -> list[Requantizer]:
    """Those of params, in the order of the channels."""
    if isinstance(node, Requantizer):
        return [node]
    if isinstance(node, tuple):
        return [r for part in node for r in _requantizers(part)]
    if is_dataclass(node):
        return [r for f in fields(node) for r in _requantizers(getattr(node, f.name))]
    return []


def _real_factor(case: Case, factor: Array) -> Array:
    """The factors of a layer with weights before they became fixed point."""
    tensors = (case.step.data, case.weights, case.step.outputs[0])
    scales = [t.quantization.scale for t in tensors if t is not None and t.quantization is not None]
    return factor if len(scales) < 3 else np.array(scales[1]) * scales[0][0] / scales[2][0]


def _with_pad(pad: tuple[int, int]) -> Callable[[Any], Any]:
    return partial(_altered, change=lambda node: {"pad": pad} if isinstance(node, Window) else {})


def _undilated(node: Any) -> Mapping[str, Any]:
    return {"dilation": (1, 1)} if isinstance(node, Window) else {}


def _window(case: Case) -> Window | None:
    """The window of a convolution or a pool."""
    window = getattr(case.step.params, "window", None)
    return window if isinstance(window, Window) else None


def _zero_point(tensor: Tensor) -> int:
    points = tensor.quantization.zero_point if tensor.quantization else ()
    return points[0] if points else 0


def _with_zero_point(tensor: Tensor, point: int) -> Tensor:
    quantization = tensor.quantization or Quantization()
    return replace(tensor, quantization=replace(quantization, zero_point=(point,) * len(quantization.zero_point)))


def _frozen(tensor: Tensor, data: Array) -> Tensor:
    return replace(tensor, data=np.ascontiguousarray(data))


def _with_weights(case: Case, ways: Mapping[str, Array]) -> Variants:
    """Replays with other weights, each different ones once."""
    tensor = case.weights
    assert tensor is not None and tensor.data is not None
    tried = {tensor.data.tobytes()}
    for how, data in ways.items():
        if (raw := data.tobytes()) not in tried:
            tried.add(raw)
            yield how, case.replay_with(weights=_frozen(tensor, data))


def _pairs(channels: int) -> list[int]:
    """0 and 1 swapped, 2 and 3, …; an odd last one stays."""
    return [c ^ 1 if c ^ 1 < channels else c for c in range(channels)]


def _permuted(case: Case) -> Variants:
    """The output's channels in whatever order the device has them, if they are all there."""
    if case.seen is None or case.seen.size < 4 * case.seen.shape[-1]:
        return
    mine, theirs = (np.moveaxis(a, -1, 0) for a in (case.sound, case.seen))
    places = {channel.tobytes(): c for c, channel in enumerate(mine)}
    order = [places.get(channel.tobytes(), -1) for channel in theirs]
    if -1 not in order and len(set(order)) == len(order):
        listed = " ".join(map(str, order[:8])) + (" …" if len(order) > 8 else "")
        yield f"if the output's channels are in the order {listed}", case.sound[..., order]


def _moves(array: Array) -> Iterator[tuple[str, Array, Array]]:
    """(how, the array moved by one, where nothing was moved to)."""
    flat, places = array.ravel(), np.arange(array.size)
    for by, side in ((1, "late"), (-1, "early")):
        edge = places == (0 if by == 1 else array.size - 1)
        if array.size > 2:
            yield f"one element too {side}", np.roll(flat, by).reshape(array.shape), edge.reshape(array.shape)
        for axis, size in enumerate(array.shape[1:-1], 1):
            if size > 2:
                line = np.arange(size) == (0 if by == 1 else size - 1)
                name = "row" if axis == 1 else "column"
                mask = np.broadcast_to(np.expand_dims(line, tuple(range(1, array.ndim - axis))), array.shape)
                yield f"one {name} too {side}", np.roll(array, by, axis), mask


def _constant(array: Array) -> bool:
    flat = array.ravel()
    return bool(flat.size) and flat.tobytes() == flat[:1].tobytes() * flat.size


def _filling(array: Array) -> str:
    """What a buffer that nobody wrote is full of."""
    raw = array.tobytes()[:4]
    if not any(raw):
        return "all zeros"
    if _constant(array) and array.itemsize == 1 and raw[0] not in (0xCD, 0xA5, 0xAA, 0x55, 0xFF):
        return f"all {array.ravel()[0]}"
    return f"the bytes 0x{raw.hex().upper()} over and over"
