"""A small language for conditions over a record, and for indices: Python's syntax, but only what is listed here.

Nothing is ever handed to Python's `eval`: the syntax tree is translated node by node, and any other node is refused.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import InputError
from ..execute import Record
from ..model import Array, Tensor
from ..tensors.stats import Stats, activation_of, real_values, stats

LONGEST = 300
"""Characters in a condition: more is no condition but an accident."""

Value = Any  # a number, a truth value or an array of them
Part = Callable[[Record], Value]
Condition = Callable[[Record], bool]
Index = tuple[int | slice, ...]

FUNCTIONS: dict[str, Callable[[Value], Value]] = {
    "min": np.min,
    "max": np.max,
    "mean": np.mean,
    "sum": np.sum,
    "abs": np.abs,
    "any": np.any,
    "all": np.all,
}
OPERATORS: dict[type[ast.AST], Callable[..., Value]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: np.logical_not,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


class _MissingError(Exception):
    """The record has no such thing."""


def _output(record: Record) -> tuple[Tensor, Array]:
    if not record.outputs:
        raise _MissingError
    return record.step.outputs[0], record.outputs[0]


def _input(record: Record) -> tuple[Tensor, Array]:
    return _operand(record, 0)


def _weights(record: Record) -> tuple[Tensor, Array]:
    tensor, array = _operand(record, 1)
    if tensor.data is None:
        raise _MissingError
    return tensor, array


def _operand(record: Record, number: int) -> tuple[Tensor, Array]:
    tensors, arrays = record.step.inputs[number : number + 1], record.inputs[number : number + 1]
    if not tensors or tensors[0] is None or arrays[0] is None:
        raise _MissingError
    return tensors[0], arrays[0]


def _stats(record: Record) -> Stats:
    return stats(*_output(record), activation_of(record.step.op))


TENSORS = {"out": _output, "input": _input, "weights": _weights}
SHARES: dict[str, Part] = {
    "saturation": lambda record: _stats(record).saturation,
    "zeros": lambda record: _stats(record).zeros,
}
WORDS = [*TENSORS, *SHARES, *FUNCTIONS, "real"]


def condition(text: str) -> Condition:
    """What `text` says about a record: whether it holds. Where a step lacks what it speaks of, it does not hold.

    `out`, `input` and `weights` are codes (int64; float32 as float64), `real(out)` their real values, `saturation` and
    `zeros` shares of the output, see `stats.Stats`. Raises `InputError` for anything outside the language.
    """
    part = _part(_parsed(text), text)

    def holds(record: Record) -> bool:
        try:
            with np.errstate(all="ignore"):
                return bool(part(record))
        except (_MissingError, ArithmeticError, IndexError, InputError):
            return False
        except (TypeError, ValueError):
            raise InputError(f"'{text}' does not say yes or no for a whole array; ask for any(…) or all(…)") from None

    return holds


def index(text: str) -> Index:
    """The subscript that ``TENSOR[text]`` has: integers and slices. Raises `InputError`."""
    parsed = _parsed(f"x[{text}]")
    if not isinstance(parsed, ast.Subscript) or not isinstance(parsed.value, ast.Name):
        raise InputError(f"[{text}] is no index")
    return _index(parsed.slice, f"[{text}]")


def elements(tensor: Tensor, array: Array, at: Index | None) -> Array:
    """A view of the elements `at` of an array (None: all of it); raises `InputError` where there are none such."""
    view = (...,) if at is None else (*at, ...)
    try:
        return array[view]
    except IndexError:
        raise InputError(f"'{tensor.name}' has shape {array.shape}; there is no element {shown_index(at)}") from None
    except ValueError:
        raise InputError(f"{shown_index(at)} is no slice") from None


def shown_index(at: Index | None) -> str:
    """An index as one writes it; nothing for a whole tensor."""
    if at is None:
        return ""
    parts = (str(part) if isinstance(part, int) else _shown_slice(part) for part in at)
    return f"[{', '.join(parts)}]"


def _shown_slice(part: slice) -> str:
    start, stop, step = ("" if bound is None else str(bound) for bound in (part.start, part.stop, part.step))
    return f"{start}:{stop}" + (f":{step}" if step else "")


def _parsed(text: str) -> ast.expr:
    if len(text) > LONGEST:
        raise InputError(f"longer than {LONGEST} characters")
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise InputError(f"'{text}' is not understood") from None


def _part(node: ast.AST, text: str) -> Part:
    """One node as a function of the record."""
    match node:
        case ast.Constant(value=bool() | int() | float() as constant):
            return lambda record: constant
        case ast.Name(id=name) if name in SHARES:
            return SHARES[name]
        case ast.Name(id=name) if name in TENSORS:
            return lambda record: _wide(TENSORS[name](record)[1])
        case ast.Call(func=ast.Name(id="real"), args=[ast.Name(id=name)], keywords=[]) if name in TENSORS:
            return lambda record: _real(*TENSORS[name](record))
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in FUNCTIONS:
            function, value = FUNCTIONS[name], _part(argument, text)
            return lambda record: function(value(record))
        case ast.Subscript(value=value_node, slice=slice_node):
            whole, at = _part(value_node, text), _index(slice_node, text)
            return lambda record: np.asarray(whole(record))[at]
        case ast.UnaryOp(op=op, operand=operand) if type(op) in OPERATORS:
            function, value = OPERATORS[type(op)], _part(operand, text)
            return lambda record: function(value(record))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            return _pair(OPERATORS[type(op)], _part(left, text), _part(right, text))
        case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in OPERATORS for op in ops):
            terms = [_part(term, text) for term in (left, *others)]
            pairs = [_pair(OPERATORS[type(op)], *terms[i : i + 2]) for i, op in enumerate(ops)]
            return lambda record: pairs[0](record) if len(pairs) == 1 else all(bool(pair(record)) for pair in pairs)
        case ast.BoolOp(op=op, values=nodes):
            parts = [_part(each, text) for each in nodes]
            join = all if isinstance(op, ast.And) else any
            return lambda record: join(bool(part(record)) for part in parts)
    known = ", ".join(WORDS)
    raise InputError(f"'{ast.unparse(node)}' is not known in conditions; there are {known}, numbers and comparisons")


def _pair(function: Callable[..., Value], left: Part, right: Part) -> Part:
    return lambda record: function(left(record), right(record))


def _index(node: ast.expr, text: str) -> Index:
    parts = node.elts if isinstance(node, ast.Tuple) else [node]
    return tuple(
        slice(*(None if bound is None else _integer(bound, text) for bound in (part.lower, part.upper, part.step)))
        if isinstance(part, ast.Slice)
        else _integer(part, text)
        for part in parts
    )


def _integer(node: ast.expr, text: str) -> int:
    match node:
        case ast.Constant(value=int() as value) if not isinstance(value, bool):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as value)):
            return -value
    raise InputError(f"{text} has an index that is no integer; write for example [0,3,:,2:5]")


def _wide(array: Array) -> Array:
    """So that |−128| is 128 and sums do not wrap."""
    return array.astype(np.float64 if array.dtype.kind == "f" else np.int64)


def _real(tensor: Tensor, codes: Array) -> Array:
    real = real_values(tensor, codes)
    if real is None:
        raise _MissingError
    return real
