"""What goes element by element, or along rows and axes: pairs, functions, sums, tables of codes."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from math import prod

import numpy as np

from ..errors import InferenceError
from ..kernels._sigmoid import SIGMOID
from ..model import Array, Tensor
from ..numerics.fixedpoint import Multiplier
from ..plan import Step
from .call import MAX_RANK, Call, Fields, Maker, Several, Values, given, input_of, rows_of, size_of


def _softmax_int8(step: Step) -> Call:
    exps = np.trim_zeros(step.params.exps.astype(np.int32), "b")
    params = rows_of(step) | {"exps_length": len(exps), "exps": exps}
    kernel = {"int8": "softmax_int8", "int16": "softmax_int8_int16"}[step.params.output_type]
    return Call("softmax.c", kernel, "softmax_int8_params", params, (input_of(step),))


def _softmax_float32(step: Step) -> Call:
    params = rows_of(step) | {"beta": step.params.beta}
    return Call("softmax.c", "softmax_float32", "softmax_float32_params", params, (input_of(step),))


def _broadcast(step: Step) -> Fields:
    """Shape and strides, dimensions joined with the next one where both inputs' elements simply follow each other."""
    output = step.outputs[0].shape
    ones = (1,) * (MAX_RANK - len(output))

    def strides(tensor: Tensor | None) -> list[int]:
        assert tensor is not None
        shape = (1,) * (MAX_RANK - len(tensor.shape)) + tensor.shape
        return [0 if shape[d] == 1 else prod(shape[d + 1 :]) for d in range(MAX_RANK)]

    rows = list(zip(ones + output, strides(step.inputs[0]), strides(step.inputs[1]), strict=True))
    joined = [rows.pop()]
    while rows:
        (outer, first, second), (inner, first_step, second_step) = rows.pop(), joined[0]
        if inner == 1:
            joined[0] = (outer, first, second)
        elif (first, second) == (inner * first_step, inner * second_step):
            joined[0] = (outer * inner, first_step, second_step)
        elif outer != 1:
            joined.insert(0, (outer, first, second))
    front = [(1, 0, 0)] * (MAX_RANK - len(joined))
    names = ("shape", "input1_strides", "input2_strides")
    return {name: Values(values) for name, values in zip(names, zip(*front, *joined, strict=True), strict=True)}


SCALED = (
    *("left_shift", "input1_offset", "input2_offset", "output_offset"),
    *("input1_multiplier", "input2_multiplier", "output_multiplier"),
    *("output_activation_min", "output_activation_max"),
)
PRODUCT = (
    *("input1_zero_point", "input2_zero_point", "output_zero_point", "output_multiplier"),
    *("output_activation_min", "output_activation_max"),
)
DIFFERENCE = (
    *("left_shift", "input1_zero_point", "input2_zero_point", "output_zero_point"),
    *("input1_multiplier", "input2_multiplier", "output_multiplier"),
)
COMPARISON = ("input1_zero_point", "input2_zero_point", "input1_multiplier", "input2_multiplier")
PRELU = ("input_zero_point", "alpha_zero_point", "output_zero_point", "output_multiplier_1", "output_multiplier_2")


def _of_params(step: Step, source: str, kernel: str, struct: str, names: tuple[str, ...]) -> Call:
    """Of two inputs, and of params that have the fields `names` as they are."""
    params = {"broadcast": _broadcast(step)} | {name: getattr(step.params, name) for name in names}
    return Call(source, kernel, struct, params, given(*step.inputs[:2]))


_scaled_pair = partial(_of_params, struct="add_int8_params", names=SCALED)
_mul = partial(_of_params, source="mul.c", struct="mul_params", names=PRODUCT)
_squared_difference = partial(
    _of_params, source="squared_difference.c", struct="squared_difference_params", names=DIFFERENCE
)
_comparison_int8 = partial(_of_params, source="comparisons.c", struct="comparison_int8_params", names=COMPARISON)
_prelu = partial(_of_params, source="prelu.c", struct="prelu_params", names=PRELU)


def _div_int8(step: Step) -> Call:
    call = _of_params(step, "div.c", "div_int8", "div_int8_params", PRODUCT)
    return replace(call, params=call.params | {"shifts_modulo_64": int(step.params.processor == "x86")})


def _add_float32(step: Step) -> Call:
    p = step.params
    params = {
        "broadcast": _broadcast(step),
        "output_activation_min": np.float32(p.output_activation_min),
        "output_activation_max": np.float32(p.output_activation_max),
    }
    return Call("add.c", "add_float32", "add_float32_params", params, given(*step.inputs[:2]))


def _relu_int8(step: Step) -> Call:
    p = step.params
    names = ("input_offset", "multiplier", "output_offset", "quantized_activation_min", "quantized_activation_max")
    params = {"size": size_of(step)} | {name: getattr(p, name) for name in names}
    return Call("activations.c", "relu_int8", "relu_int8_params", params, (input_of(step),))


def _relu6_int8(step: Step) -> Call:
    params = {"size": size_of(step), "zero": step.params.zero, "six": step.params.six}
    return Call("activations.c", "relu6_int8", "relu6_int8_params", params, (input_of(step),))


def _relu_float32(step: Step, kernel: str) -> Call:
    return Call("activations.c", kernel, "size_params", {"size": size_of(step)}, (input_of(step),))


def _reduced(step: Step, axis: tuple[int, ...]) -> Fields:
    """The dimensions kept and those reduced, each in order, with ones in front, and their strides in the input."""
    input = input_of(step)
    strides = [prod(input.shape[d + 1 :]) for d in range(len(input.shape))]

    def part(dimensions: list[int]) -> tuple[Values, Values]:
        front = MAX_RANK - len(dimensions)
        return (
            Values((1,) * front + tuple(input.shape[d] for d in dimensions)),
            Values((0,) * front + tuple(strides[d] for d in dimensions)),
        )

    kept, reduced = part([d for d in range(len(input.shape)) if d not in axis]), part(list(axis))
    return {"kept_shape": kept[0], "kept_strides": kept[1], "reduced_shape": reduced[0], "reduced_strides": reduced[1]}


def _sum_int8(step: Step) -> Call:
    r = step.params.requantize
    params = {
        "axes": _reduced(step, step.params.axes.axis),
        "bias": int(np.int64(r.bias.item()).astype(np.int32)),
        "multiplier": r.multiplier,
        "output_offset": r.output_offset,
    }
    return Call("reduce.c", "sum_int8", "sum_int8_params", params, (input_of(step),))


def _sum_float32(step: Step) -> Call:
    axes, mean = step.params.axes, step.params.mean
    params = {"axes": _reduced(step, axes.axis), "divisor": np.float32(axes.num_elements_in_axis if mean else 1)}
    return Call("reduce.c", "sum_float32", "sum_float32_params", params, (input_of(step),))


def _quantize(step: Step) -> Call:
    """From codes: of 8 bits by a table unless they stay int8, else as the types of input and output say."""
    p, dtype = step.params, input_of(step).dtype
    is_plain = (dtype, p.dtype) == ("int8", "int8")
    if dtype in ("int8", "uint8") and not is_plain:
        return _lookup(step)
    params = {
        "size": size_of(step),
        "input_zero_point": p.input_zero_point,
        "output_zero_point": p.output_zero_point,
        "requantize_output_multiplier": p.requantize_output_multiplier,
    }
    source, kernel = ("quantize.c", "quantize_int8") if is_plain else ("requantize.c", f"quantize_{dtype}_{p.dtype}")
    return Call(source, kernel, "quantize_int8_params", params, (input_of(step),))


def _dequantize(step: Step, source: str, kernel: str) -> Call:
    params = {"size": size_of(step), "scale": step.params.scale, "zero_point": step.params.zero_point}
    return Call(source, kernel, "dequantize_int8_params", params, (input_of(step),))


def _quantize_float32(step: Step) -> Call:
    p = step.params
    params = {"size": size_of(step), "scale": p.scale, "zero_point": p.zero_point}
    kernel = {"int8": "quantize_float32", "int16": "quantize_float32_int16"}[p.dtype]
    return Call("quantize.c", kernel, "quantize_float32_params", params, (input_of(step),))


def _softmax_int16(step: Step) -> Call:
    p = step.params
    tables = {name: getattr(p, name).astype(np.int16) for name in ("exp_lut", "one_over_one_plus_x_lut")}
    params = rows_of(step) | {"input_multiplier": p.input_multiplier} | tables
    return Call("softmax_int16.c", "softmax_int16", "softmax_int16_params", params, (input_of(step),))


def _sum_int16(step: Step) -> Call:
    return replace(_sum_int8(step), source="requantize.c", kernel="sum_int16")


def _pair(step: Step, source: str, kernel: str) -> Call:
    """Of floats or int32, clamped at the end."""
    p, dtype = step.params, input_of(step).dtype
    number = np.float32 if dtype == "float32" else int
    names = ("output_activation_min", "output_activation_max")
    params = {"broadcast": _broadcast(step)} | {name: number(getattr(p, name)) for name in names}
    return Call(source, kernel, f"pair_{dtype}_params", params, given(*step.inputs[:2]))


def _plain_pair(step: Step, source: str, kernel: str) -> Call:
    """Of what needs no params but the shapes."""
    return Call(source, kernel, "pair_params", {"broadcast": _broadcast(step)}, given(*step.inputs))


def _resized(step: Step) -> Fields:
    """Sizes, and where rows and columns lie."""
    p, (_, *input, depth), (_, *output, _) = step.params, input_of(step).shape, step.outputs[0].shape
    offset = np.float32 if input_of(step).dtype == "float32" else np.int32
    axes = {
        f"{name}_{part}": getattr(axis, part).astype(offset if part == "offset" else np.int32)
        for name, axis in (("row", p.height), ("column", p.width))
        for part in ("lower", "upper", "offset")
    }
    names = ("batches", "input_height", "input_width", "depth", "output_height", "output_width")
    return dict(zip(names, (input_of(step).shape[0], *input, depth, *output), strict=True)) | axes


def _resize_bilinear_float32(step: Step) -> Call:
    name = "resize_bilinear_float32"
    return Call("resize_bilinear.c", name, f"{name}_params", _resized(step), (input_of(step),))


def _resize_bilinear(step: Step) -> Call:
    p, input = step.params, input_of(step)
    params = _resized(step) | {"bits": p.one.bit_length() - 1, "ties_away": int(p.rounding == "double")}
    return Call("resize_bilinear.c", "resize_bilinear_int8", "resize_bilinear_params", params, (input,))


def _add_n(step: Step, kernel: str) -> Call:
    p, inputs = step.params, given(*step.inputs)
    names = ("input_zero_point", "output_zero_point", "input_multiplier", "output_multiplier")
    params = {"size": size_of(step), "count": len(inputs)}
    params |= {name: getattr(p, name) for name in names} if inputs[0].dtype == "int8" else {}
    return Call("add_n.c", kernel, f"{kernel}_params", params, (Several(inputs),))


def _broadcast_args(step: Step) -> Call:
    shapes, rank = given(*step.inputs), step.params.rank
    params = {"rank1": shapes[0].shape[0], "rank2": shapes[1].shape[0], "rank": rank}
    return Call("broadcast_args.c", f"broadcast_args_{shapes[0].dtype}", "broadcast_args_params", params, shapes)


def _arg_min_max(step: Step, largest: bool) -> Call:
    input, axis = input_of(step), step.params.axis
    sizes = {"outer": prod(input.shape[:axis]), "count": input.shape[axis], "inner": prod(input.shape[axis + 1 :])}
    kernel = f"arg_min_max_{input.dtype}"
    return Call("arg_min_max.c", kernel, "arg_min_max_params", sizes | {"largest": int(largest)}, (input,))


def _float_function(step: Step, kernel: str) -> Call:
    return replace(_relu_float32(step, kernel), source="unary.c")


def _leaky_relu_float32(step: Step) -> Call:
    params = {"size": size_of(step), "alpha": step.params.alpha}
    return Call("unary.c", "leaky_relu_float32", "leaky_relu_params", params, (input_of(step),))


def _sigmoid_int16(step: Step, kernel: str) -> Call:
    p = step.params
    params = {
        "size": size_of(step),
        "input_multiplier": p.input_multiplier,
        "input_left_shift": p.input_left_shift,
        "table": SIGMOID.astype(np.uint16),
    }
    return Call("sigmoid_int16.c", kernel, "sigmoid_int16_params", params, (input_of(step),))


def _elementwise(step: Step, kernel: str) -> Call:
    return Call("elementwise.c", kernel, "size_params", {"size": size_of(step)}, (input_of(step),))


def _abs_int16(step: Step) -> Call:
    p, unscaled = (
        step.params,
        Multiplier(np.zeros((), np.int64), np.zeros((), np.int64), np.ones((), np.float32), "double"),
    )
    params = {
        "size": size_of(step),
        "rescales": int(p.multiplier is not None),
        "abs_of_lowest": int(p.table[1 << 15]),
        "multiplier": p.multiplier or unscaled,
    }
    return Call("elementwise.c", "abs_int16", "abs_int16_params", params, (input_of(step),))


def _rsqrt_int16(step: Step) -> Call:
    params = {"size": size_of(step), "multiplier": step.params.multiplier}
    return Call("elementwise.c", "rsqrt_int16", "rsqrt_int16_params", params, (input_of(step),))


def _leaky_relu_int16(step: Step) -> Call:
    p = step.params
    names = ("input_zero_point", "output_zero_point", "multiplier_identity", "multiplier_alpha")
    params = {"size": size_of(step)} | {name: getattr(p, name) for name in names}
    params["sign"] = -1 if p.is_alpha_negative else 1
    return Call("elementwise.c", "leaky_relu_int16", "leaky_relu_int16_params", params, (input_of(step),))


CAST_TYPES = ("float32", "int8", "int16", "int32", "uint32", "bool")
"""`enum cast_type`."""


def _cast(step: Step) -> Call:
    types = {"from": CAST_TYPES.index(input_of(step).dtype), "to": CAST_TYPES.index(step.params.dtype)}
    return Call("cast.c", "cast", "cast_params", {"size": size_of(step)} | types, (input_of(step),))


def _line(step: Step) -> Fields:
    """The size of an operator along an axis."""
    p, shape = step.params, input_of(step).shape
    sizes = {"outer": prod(shape[: p.axis]), "count": shape[p.axis], "inner": prod(shape[p.axis + 1 :])}
    return {"size": sizes | {"exclusive": int(p.exclusive), "reverse": int(p.reverse)}}


def _cumsum_int8(step: Step) -> Call:
    params = _line(step) | {
        name: getattr(step.params, name) for name in ("input_offset", "output_offset", "output_multiplier")
    }
    return Call("cumsum.c", "cumsum_int8", "cumsum_int8_params", params, (input_of(step),))


def _cumsum_float32(step: Step) -> Call:
    return Call("cumsum.c", "cumsum_float32", "cumsum_float32_params", _line(step), (input_of(step),))


def _extreme(step: Step, kernel: str) -> Call:
    params = {"axes": _reduced(step, step.params.axis)}
    return Call("reduce_extremes.c", kernel, "axes_params", params, (input_of(step),))


def _l2norm_int8(step: Step) -> Call:
    params = rows_of(step) | {"input_zero_point": step.params.input_zero_point}
    return Call("l2norm.c", "l2norm_int8", "l2norm_int8_params", params, (input_of(step),))


def _by_rows(step: Step, source: str, kernel: str) -> Call:
    """Of what is told the rows alone."""
    return Call(source, kernel, f"{kernel}_params", rows_of(step), (input_of(step),))


def _log_softmax_int8(step: Step) -> Call:
    p = step.params
    tables = {name: getattr(p, name).astype(np.int32) for name in ("scaled", "terms")}
    params = rows_of(step) | {"diff_min": p.diff_min, "reverse_scaling": p.reverse_scaling} | tables
    return Call("log_softmax.c", "log_softmax_int8", "log_softmax_int8_params", params, (input_of(step),))


def lookup_table(step: Step) -> Array:
    """The values (256) that the operator gives for the codes of 8 bits, by their bits, computed by its own kernel.

    Codes on which TFLM's Invoke fails are taken for the nearest above that it takes.
    """
    codes = np.arange(256, dtype=np.uint8).view(input_of(step).dtype)[:, np.newaxis]
    assert step.kernel.evaluate is not None
    try:
        return np.asarray(step.kernel.evaluate(step.params, codes)).reshape(-1)
    except InferenceError as error:
        least = codes[~error.rows].min()
        return np.asarray(step.kernel.evaluate(step.params, np.maximum(codes, least))).reshape(-1)


def _lookup(step: Step) -> Call:
    values = lookup_table(step)
    bits = 8 * values.itemsize
    params = {"size": size_of(step), "table": values.view(f"uint{bits}")}
    return Call("lookup.c", f"lookup_{bits}", f"lookup_{bits}_params", params, (input_of(step),))


MAKERS: dict[str, Maker] = {
    "softmax_int8": _softmax_int8,
    "softmax_float32": _softmax_float32,
    "add_int8": partial(_scaled_pair, source="add.c", kernel="add_int8"),
    "add_float32": _add_float32,
    "relu_int8": _relu_int8,
    "relu_float32": partial(_relu_float32, kernel="relu_float32"),
    "relu6_int8": _relu6_int8,
    "relu6_float32": partial(_relu_float32, kernel="relu6_float32"),
    "sum_int8": _sum_int8,
    "sum_float32": _sum_float32,
    "quantize_int8": _quantize,
    "quantize_float32": _quantize_float32,
    "dequantize_int8": partial(_dequantize, source="dequantize.c", kernel="dequantize_int8"),
    "softmax_int16": _softmax_int16,
    "sum_int16": _sum_int16,
    "requantize": _quantize,
    "dequantize_int16": partial(_dequantize, source="requantize.c", kernel="dequantize_int16"),
    "add_int16": partial(_scaled_pair, source="sub.c", kernel="add_int16"),
    "add_int32": partial(_pair, source="sub.c", kernel="add_int32"),
    "sub_int8": partial(_scaled_pair, source="sub.c", kernel="sub_int8"),
    "sub_int16": partial(_scaled_pair, source="sub.c", kernel="sub_int16"),
    "sub_float32": partial(_pair, source="sub.c", kernel="sub_float32"),
    "sub_int32": partial(_pair, source="sub.c", kernel="sub_int32"),
    "mul_int8": partial(_mul, kernel="mul_int8"),
    "mul_int16": partial(_mul, kernel="mul_int16"),
    "mul_float32": partial(_pair, source="mul.c", kernel="mul_float32"),
    "mul_int32": partial(_pair, source="mul.c", kernel="mul_int32"),
    **{
        f"{op}_{dtype}": partial(_plain_pair, source="maximum_minimum.c", kernel=f"{op}_{dtype}")
        for op in ("maximum", "minimum")
        for dtype in ("int8", "int16", "int32", "int64", "float32")
    },
    "squared_difference_int8": partial(_squared_difference, kernel="squared_difference_int8"),
    "squared_difference_int16": partial(_squared_difference, kernel="squared_difference_int16"),
    **{
        kernel: partial(_plain_pair, source="squared_difference.c", kernel=kernel)
        for kernel in ("squared_difference_float32", "squared_difference_int32")
    },
    **{
        f"{op}_int8": partial(_comparison_int8, kernel=f"{op}_int8")
        for op in ("equal", "not_equal", "greater", "greater_equal", "less", "less_equal")
    },
    **{
        kernel: partial(_plain_pair, source="comparisons.c", kernel=kernel)
        for kernel in (
            *(
                f"{op}_{dtype}"
                for op in ("equal", "not_equal", "greater", "greater_equal", "less", "less_equal")
                for dtype in ("float32", "int32", "int64")
            ),
            "equal_bool",
            "not_equal_bool",
            "logical_and",
            "logical_or",
        )
    },
    "div_int8": _div_int8,
    "div_float32": partial(_pair, source="div.c", kernel="div_float32"),
    "div_int32": partial(_pair, source="div.c", kernel="div_int32"),
    "floor_div_float32": partial(_plain_pair, source="div.c", kernel="floor_div_float32"),
    "floor_mod_float32": partial(_plain_pair, source="div.c", kernel="floor_mod_float32"),
    "prelu_int8": partial(_prelu, kernel="prelu_int8"),
    "prelu_int16": partial(_prelu, kernel="prelu_int16"),
    "prelu_float32": partial(_plain_pair, source="prelu.c", kernel="prelu_float32"),
    **{
        kernel: partial(_extreme, kernel=kernel)
        for kernel in ("reduce_max_int8", "reduce_max_float32", "reduce_min_int8", "reduce_min_float32", "reduce_all")
    },
    "cast": _cast,
    "cumsum_int8": _cumsum_int8,
    "cumsum_float32": _cumsum_float32,
    **{
        kernel: partial(_elementwise, kernel=kernel)
        for kernel in (
            *(
                f"{op}_float32"
                for op in ("abs", "neg", "sqrt", "rsqrt", "square", "exp", "log", "sin", "cos", "elu", "ceil", "floor")
            ),
            "round_float32",
            "logical_not",
        )
    },
    "l2norm_int8": _l2norm_int8,
    "l2norm_float32": partial(_by_rows, source="l2norm.c", kernel="l2norm_float32"),
    "log_softmax_int8": _log_softmax_int8,
    "log_softmax_float32": partial(_by_rows, source="log_softmax.c", kernel="log_softmax_float32"),
    "resize_bilinear_float32": _resize_bilinear_float32,
    "abs_int16": _abs_int16,
    "rsqrt_int16": _rsqrt_int16,
    "leaky_relu_int16": _leaky_relu_int16,
    "resize_bilinear_int8": _resize_bilinear,
    "logistic_float32": partial(_float_function, kernel="logistic_float32"),
    "tanh_float32": partial(_float_function, kernel="tanh_float32"),
    "hard_swish_float32": partial(_float_function, kernel="hard_swish_float32"),
    "leaky_relu_float32": _leaky_relu_float32,
    "logistic_int16": partial(_sigmoid_int16, kernel="logistic_int16"),
    "tanh_int16": partial(_sigmoid_int16, kernel="tanh_int16"),
    "relu_int16": lambda step: replace(_relu_int8(step), source="unary.c", kernel="relu_int16"),
    "relu6_int16": lambda step: replace(_relu6_int8(step), source="unary.c", kernel="relu6_int16"),
    "add_n_int8": partial(_add_n, kernel="add_n_int8"),
    "add_n_float32": partial(_add_n, kernel="add_n_float32"),
    "broadcast_args": _broadcast_args,
    "arg_max": partial(_arg_min_max, largest=True),
    "arg_min": partial(_arg_min_max, largest=False),
    "lookup": _lookup,
}
"""By C kernel: what makes a call of it."""
