"""The stages of an explanation in words for somebody in their second year, who has not met integer inference yet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..kernel import Facts, Line
from ..model import Tensor
from ..plan import Step
from ..tensors.stats import is_quantized

STAGES = {
    "tap": "One of the numbers that this one is made of; the line says what was done with it.",
    "accumulator": "All products together, in a register wide enough that nothing is rounded yet.",
    "bias": "A constant that the layer learned for this channel, in the accumulator's own unit.",
    "multiplier": "What comes in counts in steps of one scale (a layer's sum: input scale times weight scale), the "
    "result in steps of another. The ratio of the two is a real number, kept as this integer and a power of two.",
    "scale": "What comes in counts in steps of one scale (a layer's sum: input scale times weight scale), the "
    "result in steps of another. This is the ratio of the two, as it is: this dialect multiplies in floats.",
    "shift": "The power of two that belongs to the multiplier: a chip moves bits instead of dividing.",
    "high multiply": "First rounding: the product's upper half is kept, rounded to the nearest integer.",
    "rounding remainder": "What the right shift is about to cut off. Above one half the result is rounded up, below it "
    "down; where just one half goes, the next line says.",
    "scaled": "The same in steps of another size: the line says of which.",
    "shifted": "Moved by some bits: times a power of two, or divided by one.",
    "output offset": "The code 0 need not stand for the real 0: the zero point moves the result to where it belongs.",
    "input offset": "The input's zero point is taken off, so that the code 0 stands for the real 0.",
    "clamp": "The code must fit its type; a ReLU folded into the layer cuts off what is below 0 at the same time.",
    "input": "The element of the layer before that this one is made of.",
    "input 1": "The element of the first input at the same place.",
    "input 2": "The element of the second input at the same place.",
    "output": "The element itself.",
    "copy": "Nothing is computed: the number moves here as it is.",
    "moved": "Nothing is computed: the number moves here as it is.",
    "element": "The number that is taken.",
    "maximum": "The largest of them. Before a softmax it is taken off, so that no exponential overflows.",
    "exponential": "e to the power of the difference to the largest one: between 0 and 1. Integer kernels take it from "
    "a table, or compute it in fixed point.",
    "sum": "All of them together.",
    "reciprocal": "One divided by the sum: multiplying by it is cheaper than dividing each.",
    "product": "The two multiplied.",
    "normalised": "Brought between 1 and 2, where the next step can look it up.",
    "interpolated": "Between two entries of a table.",
    "mean": "The sum divided by how many there are.",
    "quotient": "One divided by the other.",
    "difference": "One taken from the other.",
    "square": "Multiplied by itself.",
    "root": "The square root.",
    "rounded": "To the nearest integer: codes are whole numbers.",
    "real": "What the code stands for: scale times (code minus zero point).",
    "code": "The whole number that stands for the real one.",
    "table": "Looked up: with 256 possible codes, every result is computed beforehand.",
    "curve": "The function's value, looked up or computed in fixed point.",
    "sigmoid": "A soft switch from 0 to 1, at one half where its input is 0.",
    "tanh": "A soft switch from −1 to 1.",
    "logarithm": "The logarithm, which squeezes large numbers together.",
    "pad": "Outside of the picture: padding, which stands for the real 0.",
    "cell state": "What the cell remembers from the step of time before.",
    "hidden state": "What the layer said at the step of time before.",
    "kept": "What was remembered from before.",
    "dimension": "How long the tensor is along one of its axes; no number of the input is looked at.",
    "detection": "One thing in the picture, as the boxes before were decoded and sorted.",
    "condition": "Which way the network goes on from here.",
    "saturated": "Cut off at the end of the register.",
    "fixed point": "A real number as an integer with an agreed power of two.",
}
"""By the name of a line, where it is the same in every operator and dialect."""

OF_PRODUCTS = "One product: an input, its zero point taken off, times a weight."
"""What a tap of a layer with weights is; in floats, `OF_FLOATS`."""

OF_FLOATS = {
    "tap": "One product, of an input and a weight; the number is the sum so far, which is rounded after each.",
    "accumulator": "All products together. Each addition was rounded to float32, and so their order counts.",
    "bias": "A constant that the layer learned for this channel.",
    "clamp": "A ReLU folded into the layer cuts off what is below 0; without one only infinities are cut off.",
    "maximum": "The largest of them. Before a softmax it is taken off, so that no exponential overflows.",
    "exponential": "e to the power of the difference to the largest one: between 0 and 1.",
}
"""By the name of a line that holds a float."""

ROUNDED = {
    "rounding remainder": "Second rounding: after the shift this is the result in the output's own steps. Dialects "
    "that round once, or ties to the even neighbour, may differ by one here.",
    "high multiply": "The result in the output's own steps: nothing is shifted to the right, and the high multiply was "
    "the only rounding.",
    "scale": "The only rounding: the product becomes a whole number, in the output's own steps. Dialects that multiply "
    "by an integer and a power of two may differ by one here.",
    "multiplier": "The only rounding: product and shift in one, and this is the result in the output's own steps. "
    "Dialects that round twice, or ties to the even neighbour, may differ by one here.",
}
"""What a multiplier's result is, by the first of these that stands between its beginning and the line "scaled"."""

LAYOUTS = {
    "OHWI": "A small window slides over the layer before. Under it, every number is multiplied with a weight, all the "
    "products are summed up, and the sum becomes one number here. Each channel has weights of its own.",
    "1HWO": "A small window slides over each channel of the layer before by itself; the products with its weights are "
    "summed up to one number.",
    "OI": "Every number of the layer before is multiplied with a weight of its own, and all products are summed up.",
}
"""By the layout of the weights."""


def of_lines(step: Step, lines: Sequence[Line]) -> Iterator[str]:
    """What each line of a step's explanation is about, as its dialect has it; nothing of names that say it."""
    since: set[str] = set()  # the names since the last multiplier began
    for line in lines:
        since = {line.name} if line.name in ("multiplier", "scale") else since | {line.name}
        yield _of_line(step, line, since if since & {"multiplier", "scale"} else set())
        since = set() if line.name == "scaled" else since


def _of_line(step: Step, line: Line, since: set[str]) -> str:
    is_float = isinstance(line.value, float | np.floating)
    if line.name == "scaled" and since:
        return next(words for name, words in ROUNDED.items() if name in since)
    if line.name == "tap" and step.facts.layout and not is_float:
        return OF_PRODUCTS
    if is_float and line.name in OF_FLOATS and (line.name != "tap" or step.facts.layout):
        return OF_FLOATS[line.name]
    return STAGES.get(line.name, "")


def of_step(step: Step) -> str:
    """What an operator does, as far as its facts tell."""
    return _doing(step.facts) or "How each number here is computed, the explanation tells line by line."


def _doing(facts: Facts) -> str:
    if facts.layout:
        return LAYOUTS[facts.layout]
    if facts.control:
        return "It runs another graph inside of this one, and hands on what that computes."
    if facts.pads:
        return "It puts a border around its input."
    if facts.joins:
        return "It puts its inputs side by side: here branches of the network meet."
    if facts.copies:
        return "It computes nothing: every number comes from another place as it is."
    if facts.shapes_only:
        return "It looks at the shape of its input only."
    if facts.recodes:
        return "The same real values, in other codes."
    if facts.arithmetic:
        return f"It computes a {facts.arithmetic} b, at every place by itself."
    if facts.detects:
        return "It decodes boxes, and keeps those that are surest and overlap least."
    if facts.elementwise:
        return "It computes a function of every number by itself."
    return ""


def of_tensor(tensor: Tensor) -> str:
    """What its codes stand for."""
    if not is_quantized(tensor) or tensor.quantization is None:
        return ""
    if len(tensor.quantization.scale) > 1:
        return "real = scale of its channel · code"
    zero_point = (*tensor.quantization.zero_point, 0)[0]
    return f"real = {tensor.quantization.scale[0]:.6g} · (code − {zero_point})".replace("− -", "+ ")
