"""Real values and pixels into what a model is fed, and back, by the quantisation that its tensors declare."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..kernel import Facts
from ..kernels import FACTS
from ..model import Array, Graph, Model, Op, Tensor
from ..numerics.quantize import code_range, dequantize, quantize
from ..plan import Plan, Source
from ..text import kind_of
from ..tflite_io import load
from .stats import is_quantized

CONVENTIONS = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))
"""The real values (black, white) that networks are usually trained with."""


@dataclass(frozen=True)
class PixelRange:
    """The real values that black and white stand for at an input, and how that is known: in a word and in a sentence.

    ``given`` by the caller, read from the input's ``quantization`` or from the first ``layers``, or a ``guess``.
    """

    input: str
    black: float
    white: float
    known_from: Literal["given", "quantization", "layers", "guess"]
    reason: str


def quantize_input(source: Source, x: npt.ArrayLike, index: int = 0) -> Array:
    """Real values as input `index` of the model takes them, any shape.

    float32 inputs take them as they are; integer ones as round(x / scale) + zero point, ties away from zero, clipped to
    the type (see `numerics.quantize.quantize`). Raises `InputError` if the model has no such input, the input has no
    quantisation, `x` is not numbers, or holds one that the input cannot: NaN for a code, or what float32 is too narrow
    for.
    """
    tensor = _tensor(source, "input", index)
    try:
        values = np.asarray(x)
    except ValueError:
        raise InputError(f"input '{tensor.name}' takes an array; the rows of what is given differ in length") from None
    if values.dtype.kind not in "fiub":
        raise InputError(f"input '{tensor.name}' takes numbers, got an array of {values.dtype}")
    if tensor.dtype == "float32":
        return _narrowed(values, tensor)
    if np.isnan(values).any():
        raise InputError(f"input '{tensor.name}' is {tensor.dtype}, and no code stands for the NaN in the array")
    return quantize(values, *_affine(tensor), tensor.dtype)


def _narrowed(values: Array, tensor: Tensor) -> npt.NDArray[np.float32]:
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32)
    lost = np.isinf(narrow) & np.isfinite(values)
    if lost.any():
        raise InputError(f"input '{tensor.name}' is float32, which ends at 3.4e38; the array has {values[lost][0]:g}")
    return narrow


def dequantize_output(source: Source, y: Array, index: int = 0) -> npt.NDArray[np.float32]:
    """The real values (float32) of what `run` gave for output `index`, any shape: scale · (code − zero point).

    float32 outputs come back as they are. Raises `InputError` if the model has no such output, it has no quantisation,
    or `y` has another dtype than the output.
    """
    tensor = _tensor(source, "output", index)
    if not isinstance(y, np.ndarray | np.generic) or y.dtype != tensor.dtype:
        got = y.dtype if isinstance(y, np.ndarray) else f"{kind_of(y)}; give one of the arrays that run gives"
        raise InputError(f"output '{tensor.name}' is {tensor.dtype}, got {got}")
    return y if tensor.dtype == "float32" else dequantize(y, *_affine(tensor))


def pixels_to_input(
    plan: Plan,
    pixels: npt.NDArray[np.uint8],
    index: int = 0,
    real_range: tuple[float, float] | None = None,
    real: bool = False,
) -> Array:
    """N pictures (uint8, N×H×W or N×H×W×C) as a batch for input `index`: (N, *its shape without the leading 1).

    Black (0) becomes real_range[0], white (255) real_range[1] (default: as `pixel_range` says), then codes as
    `quantize_input` makes them; `real` leaves them as they are, in float32. Raises `InputError` if the input takes no
    pictures or others than these.
    """
    tensor = _tensor(plan, "input", index)
    height, width, channels = picture_shape(tensor)
    pictures = pixels if pixels.ndim == 4 else pixels[..., np.newaxis]
    if pictures.shape[1:] != (height, width, channels):
        raise InputError(
            f"input '{tensor.name}' takes pictures of {height}×{width}×{channels}, "
            f"got {'×'.join(map(str, pictures.shape[1:]))}"
        )
    ends = pixel_range(plan, index, real_range)
    levels = ends.black + np.arange(256, dtype=np.float32) / np.float32(255) * (ends.white - ends.black)
    values = levels.astype(np.float32) if real else quantize_input(plan, levels, index)
    return values[pixels].reshape(len(pixels), *tensor.shape[1:])


def random_inputs(plan: Plan, seed: int, real_range: tuple[float, float] | None = None) -> tuple[Array, ...]:
    """All inputs of an inference, `noise`: the same for the same seed, and NumPy."""
    rng = np.random.default_rng(seed)
    return tuple(noise(plan, index, rng, real_range) for index in range(len(plan.inputs)))


def noise(plan: Plan, index: int, rng: np.random.Generator, real_range: tuple[float, float] | None = None) -> Array:
    """An inference's random input `index`, in its declared dtype and shape.

    Every code is as likely as any other; of float32, every value between black and white, see `pixel_range`. Integers
    that are no codes are 0 or 1, since they may be indices. Raises `InputError` for a type of which there is no noise.
    """
    tensor = _tensor(plan, "input", index)
    if tensor.dtype == "float32":
        ends = pixel_range(plan, index, real_range)
        return rng.uniform(ends.black, ends.white, tensor.shape).astype(np.float32)
    if tensor.dtype in ("bool", "int32", "int64") and not is_quantized(tensor):
        return rng.integers(0, 2, tensor.shape).astype(tensor.dtype)
    if tensor.dtype not in np.sctypeDict:
        raise InputError(f"input '{tensor.name}' is {tensor.dtype}, of which there is no noise; give .npy")
    low, high = code_range(tensor.dtype)
    return rng.integers(low, high, tensor.shape, tensor.dtype, endpoint=True)


def picture_shape(tensor: Tensor) -> tuple[int, int, int]:
    """(height, width, channels) of an input that takes pictures: 1×H×W×C, 1×H×W, or 1×n² for a flattened square.

    Raises `InputError` for any other shape.
    """
    match tensor.shape:
        case (1, height, width, (1 | 3 | 4) as channels):
            return height, width, channels
        case (1, height, width):
            return height, width, 1
        case (1, n) if n > 1 and isqrt(n) ** 2 == n:
            return isqrt(n), isqrt(n), 1
    raise InputError(f"input '{tensor.name}' has shape {tensor.shape}, not a picture's; give .npy, .npz or raw values")


def pixel_range(source: Source, index: int = 0, given: tuple[float, float] | None = None) -> PixelRange:
    """The real values that black and white stand for at input `index`, and how that is known.

    What is `given` holds. Integers, also those of a QUANTIZE behind a float32 input, tell it: the real values of the
    smallest and largest code, or the one of `CONVENTIONS` that they are within 2 % of, as calibration leaves them.
    int16 codes are symmetric around 0 by definition, so that black is taken as 0 there; a network trained on (−1, 1)
    must be told so. float32 tells nothing: it is the first of `CONVENTIONS` that layers which multiply and add
    constants bring into a range as networks take it, or else a guess. Raises `InputError` if the model has no such
    input, it is of integers without quantisation, or the `given` two are one.
    """
    tensor = _tensor(source, "input", index)
    require_range(given)
    if given is not None:
        return PixelRange(tensor.name, *given, "given", "as given")
    return _told(_graph(source), tensor)


def require_range(given: object) -> None:
    """Raise `InputError` for anything else than two finite numbers that differ, or None."""
    pair = [*given] if isinstance(given, Sequence | np.ndarray) and not isinstance(given, str) else []
    numbers = all(isinstance(end, int | float | np.number) and np.isfinite(end) for end in pair)
    if given is not None and not (len(pair) == 2 and numbers):
        raise InputError(f"the range of pixels is {given!r}; give what black and white stand for, such as (-1.0, 1.0)")
    if pair and pair[0] == pair[1]:
        raise InputError(f"black and white are both {pair[0]:g}; give two values that differ")


@np.errstate(all="ignore")  # constants may be anything
def _told(graph: Graph, tensor: Tensor) -> PixelRange:
    """What the type of an input and the operators behind it tell."""
    factor, term, ops, codes, end = _first_layers(graph, tensor)
    layers = f"the first layers ({', '.join(op.kind for op in ops)}) make"
    speaks = not (np.all(factor == 1) and not np.any(term))
    for black, white in CONVENTIONS if codes is None else (_ends(codes),):
        low, high = np.sort((black * factor + term, white * factor + term), axis=0)
        made, likely = f"{low.min():.3g} … {high.max():.3g} of that", _as_networks_take_it(factor, low, high)
        if codes is not None:
            doubt = "" if likely or not speaks else f", but {layers} {made}, which is hardly right"
            return PixelRange(
                tensor.name, black, white, "quantization", f"its {codes.dtype} codes stand for that{doubt}"
            )
        if speaks and likely:
            return PixelRange(tensor.name, black, white, "layers", f"{layers} {made}")
    against = f"{layers} nothing usual of any usual range" if speaks else _outweighing(graph, end, *CONVENTIONS[0])
    doubt = f", and hardly right: {against}" if against else ""
    return PixelRange(tensor.name, *CONVENTIONS[0], "guess", f"a guess, as float32 tells nothing{doubt}")


def _outweighing(graph: Graph, tensor: Tensor, black: float, white: float) -> str:
    """That most biases of the layer that reads a tensor are beyond twice what pictures can bring there, if they are.

    Such a layer would say nearly the same of every picture. Of 16 public float networks for pictures it is true of
    those two alone that take 0 … 255: their biases are 6 and 7 times what 0 … 1 can bring, the others' at most once.
    """
    readers = [op for op in graph.ops if tensor.index in op.inputs]
    if len(readers) != 1:
        return ""
    (op,) = readers
    facts = FACTS.get(op.name, Facts())
    if facts.weights is None or facts.bias is None or op.inputs[facts.bias :][:1] in ((), (-1,)):
        return ""
    weights, bias = graph.tensors[op.inputs[facts.weights]], graph.tensors[op.inputs[facts.bias]]
    if weights.data is None or bias.data is None or weights.dtype != "float32":
        return ""
    by_channel = np.moveaxis(weights.data, facts.layout.index("O"), 0).reshape(bias.data.size, -1)
    times = float(np.median(np.abs(bias.data) / ((white - black) * np.abs(by_channel).sum(axis=1, dtype=np.float64))))
    return (
        f"the biases of {op.kind} behind it are {times:.2g} times what it can bring there" if 2 < times < np.inf else ""
    )


def _ends(tensor: Tensor) -> tuple[float, float]:
    """(black, white) as the quantisation of a tensor has them."""
    scale, zero_point = _affine(tensor)
    low, high = dequantize(np.array(code_range(tensor.dtype)), scale, zero_point).tolist()
    found = (0.0 if tensor.dtype == "int16" else low, high)
    tolerance = 0.02 * (high - low)
    return next((usual for usual in CONVENTIONS if np.allclose(usual, found, rtol=0, atol=tolerance)), found)


def _as_networks_take_it(factor: Array, low: Array, high: Array) -> bool:
    """Whether a network may be trained on values from `low` to `high` (each channel's): about 0, and not all alike.

    Subtracting a mean alone leaves the range as wide as it was, as some networks have it.
    """
    width, middle = high - low, (low + high) / 2
    return bool(np.all((np.abs(middle) <= width) & ((width >= 0.25) & (width <= 16) | (np.abs(factor) == 1))))


def _first_layers(graph: Graph, tensor: Tensor) -> tuple[Array, Array, list[Op], Tensor | None, Tensor]:
    """(factor, term, operators, codes, end): these make factor · input + term, one for each channel, of an input.

    They follow one another, with QUANTIZE and padding between them perhaps; `end` is what the last of all these writes.
    `codes` is the input if it is of integers, or what the first QUANTIZE gives if it is quantised as it is.
    """
    readers: dict[int, list[Op]] = defaultdict(list)
    for op in graph.ops:
        for index in {*op.inputs}:
            readers[index].append(op)
    factor, term, ops, codes = np.ones(1), np.zeros(1), list[Op](), None if tensor.dtype == "float32" else tensor
    while len(readers[tensor.index]) == 1:
        (op,) = readers[tensor.index]
        output = graph.tensors[op.outputs[0]] if len(op.outputs) == 1 else None
        if output is None or output.shape[-1:] != tensor.shape[-1:]:
            break
        facts = FACTS.get(op.name, Facts())
        if facts.recodes and output.dtype != "float32":
            codes = output if codes is None and not ops else codes
        elif not facts.pads:
            step = _factor_and_term(graph, op, tensor)
            if step is None:
                break
            factor, term = factor * step[0], term * step[0] + step[1]
            ops.append(op)
        tensor = output
    return factor, term, ops, codes, tensor


def _factor_and_term(graph: Graph, op: Op, tensor: Tensor) -> tuple[Array, Array] | None:
    """(factor, term) of an operator that scales or shifts `tensor` by a constant, one or one for each channel."""
    if len(op.inputs) != 2 or min(op.inputs) < 0 or op.options.get("fused_activation_function", "NONE") != "NONE":
        return None
    is_first = op.inputs[0] == tensor.index
    constant = graph.tensors[op.inputs[is_first]]
    if constant.data is None or constant.data.size not in (1, *constant.shape[-1:]):
        return None
    if constant.dtype != "float32" and (constant.quantization is None or len(constant.quantization.scale) != 1):
        return None
    values = constant.data if constant.dtype == "float32" else dequantize(constant.data, *_affine(constant))
    c = np.reshape(values, -1).astype(np.float64)
    match FACTS.get(op.name, Facts()).arithmetic, is_first:
        case "*", _:
            return c, np.zeros(1)
        case "/", True if c.all():
            return 1 / c, np.zeros(1)
        case "+", _:
            return np.ones(1), c
        case "-", True:
            return np.ones(1), -c
        case "-", False:
            return -np.ones(1), c
    return None


def _graph(source: Source) -> Graph:
    if isinstance(source, Plan):
        return source.graph
    return (source if isinstance(source, Model) else load(source)).graphs[0]


def _tensor(source: Source, kind: str, index: int) -> Tensor:
    graph = _graph(source)
    indices = graph.inputs if kind == "input" else graph.outputs
    if not isinstance(index, int) or not 0 <= index < len(indices):
        raise InputError(f"the model has no {kind} {index!r}: it has {len(indices)}, counted from 0")
    return graph.tensors[indices[index]]


def _affine(tensor: Tensor) -> tuple[float, int]:
    """(scale, zero point)."""
    integers = tensor.dtype.lstrip("u") in ("int8", "int16", "int32", "int64")
    if not integers or tensor.quantization is None or not tensor.quantization.scale:
        raise InputError(
            f"'{tensor.name}' is {tensor.dtype} without quantisation: its values are what they are; "
            "neither quantise nor dequantise them"
        )
    return tensor.quantization.scale[0], (*tensor.quantization.zero_point, 0)[0]
