"""The contract of an operator: four functions and a few facts, two small records, and the dialect they all honour.

An operator is one file in `kernels/`, named after TFLM's `kernels/<name>.cc`, with four functions a type:

- ``prepare(node, numerics) -> Params`` complains (`UnsupportedError`) or computes every constant. The `Node`'s tensors
  with `data` are constants; None is an optional input left out.
- ``evaluate(params, *arrays) -> array`` computes the output and trusts everything. Every array has **one axis more than
  its tensor, in front: the batch**. A constant's batch axis has length 1, everything computed or fed has B (or 1 where
  nothing fed took part), so elementwise kernels broadcast and others fold the batch into their leading axis.
  The result has batch axis B too, the output tensor's shape behind it, and its dtype. Inputs are never written to.
- ``explain(params, at, *arrays) -> Iterator[Line]`` tells how the one element `at` came about, in plain Python integers
  (or float32 scalars) and TFLM's loop order, phrased independently of `evaluate`. Here arrays have just their tensor's
  shape: one inference. The last line's `value` *is* the element, bit for bit.
- ``example(draw, make) -> Node`` invents a random valid node with the edges weighted; `make` is its `Toolbox`. Fed
  tensors come from `make.input`, and the rest follows from the shape and quantisation they have: so graphs can grow.

An operator that has more to say returns a tuple from `evaluate`, in this order:

- its outputs;
- the new values of the variable tensors that its facts say it `updates`;
- the new values of what it keeps for itself from one inference to the next. Its params say in a property `memory` how
  that begins, a tuple of arrays with a batch axis of length 1; they come to `evaluate` and `explain` behind the inputs.

Elements that TFLM leaves unwritten are masked (`numpy.ma`). Where TFLM's Invoke fails on the data at hand, `evaluate`
raises `InferenceError` with the rows of the batch that fail.

`KERNELS` of the file maps (operator name, dtype of the input that holds its data) to a `Kernel`; the table of all
kernels is their union (`refengine.kernels.KERNELS`). A custom operator's name is its custom code, and the dtype is ""
for an operator that no input's type chooses. Params are a frozen dataclass with the fields of TFLM's struct of the same
job; those of operators that multiply and accumulate have a property `macs`, per inference.

Legend of short names: b batch, y x output position, fy fx filter tap, ic oc input and output channel, k index of a
sum, p params, acc accumulator, lo hi bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, NamedTuple, Protocol, get_args, get_type_hints

import numpy as np

from .errors import InputError, instead
from .model import Array, Graph, Quantization, Tensor
from .numerics.fixedpoint import Ints as Ints
from .text import counted, kind_of, shown

Options = Mapping[str, Any]
Tensors = Sequence[Tensor | None]
Draw = Callable[[Any], Any]


class Line(NamedTuple):
    """One line of an explanation: a stage's `name`, a sentence about it, and the number it arrived at.

    Equal `name`s in a row are one stage's terms (the taps of a sum); a front end may fold them.
    """

    name: str
    text: str
    value: int | float | np.generic


@dataclass(frozen=True, slots=True)
class At:
    """An element of what an operator writes: of which output (updated variables count on behind them), and where."""

    output: int
    index: tuple[int, ...]


class Node(NamedTuple):
    """An operator as `prepare` sees it and `example` invents it.

    `name` is the custom code of a custom operator. Tensors with `data` are constants, those without are fed or
    computed; None is an input left out. `subgraphs` are those that the options in `Facts.calls` name, in that order,
    and `resources` the (container, shared name) of every resource variable of the model, whose places are their ids.
    An example that makes no sense alone has the nodes that come `before` it.
    """

    name: str
    options: Options
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    intermediates: tuple[Tensor, ...] = ()
    custom_options: bytes = b""
    subgraphs: tuple[Graph, ...] = ()
    resources: tuple[tuple[str, str], ...] = ()
    before: tuple[Node, ...] = ()

    @property
    def arity(self) -> str:
        """How many inputs and outputs it has, in words."""
        return f"{counted(len(self.inputs), 'input')} and {counted(len(self.outputs), 'output')}"


class Weighed(NamedTuple):
    """Constants that are quantised together; numbers count inputs.

    The `weights` get scales around zero and codes up to the `largest`, in int8 if they fit it, else in int16. The scale
    of the `bias`, if there is one, is theirs times that of the `data` that they are multiplied with.
    """

    weights: int
    bias: int | None
    data: int
    largest: int = 127


@dataclass(frozen=True, slots=True)
class Quantizing:
    """What TensorFlow 2.21's converter changes of a float32 operator when it quantises it.

    - `versions`: by type of the activations, the version of the quantised operator. Where int8 is missing, the
      converter leaves the operator in float; where int16 is, it refuses the network;
    - `int16_options`: options that differ from the float operator's when it computes int16;
    - `weighed`: its weights and biases, where they are others than `Facts.weights` and `Facts.bias`;
    - `states`: by input, how a variable is held: as the ``output`` is, or in int16 with a range ``around`` zero, or
      with the next ``power`` of two as its end;
    - `intermediates`: the names of intermediate tensors, which no kernel reads; the last is held as the output;
    - `time`: by its options, the axis of the data along which the operator goes step by step, its states with it.
    """

    versions: Mapping[str, int] = field(default_factory=lambda: {"int8": 2, "int16": 2})
    int16_options: Mapping[str, Any] = field(default_factory=dict)
    weighed: tuple[Weighed, ...] = ()
    states: Mapping[int, Literal["output", "around", "power"]] = field(default_factory=dict)
    intermediates: tuple[str, ...] = ()
    time: Callable[[Options], int] | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What any room may need to know about an operator, the same for all its types. Numbers count inputs.

    - `data`: the input whose type chooses the kernel; None if no input does.
    - `weights`, `bias`: the inputs that hold a layer's. `layout` names the weights' axes, a letter each: O output
      channels, I input channels, H and W the filter's, 1 an axis of length 1.
    - `updates`: variable tensors among the inputs whose new values `evaluate` returns.
    - `elementwise`: an output element depends on the inputs' elements at its own place only.
    - `arithmetic`: the operator is this sign between its two inputs, then clamped.
    - `joins`: its inputs are all of one kind, and become one output: here branches meet.
    - `copies`: output elements are input elements, moved or repeated, every bit of them, or padding.
    - `homogeneous`: of floats, twice the data gives twice the output, and so does any factor above zero, as far as
      rounding goes; but for a fused activation, and for a padding value that is given.
    - `pads`: the output is the input with padding around it.
    - `shapes_only`: the output depends on the inputs' shapes alone.
    - `monotone`: ``rising`` if no output of codes descends where its inputs ascend; ``each`` if it ascends or descends
      in each input while the others rest, as long as no register wraps.
    - `inexact`: why float32 results of another sound kernel may be off by a few roundings, where there are no weights:
      another order of its ``sums``, or another ``libm``.
    - `recodes`: the output stands for the input's real values, in another type or with another quantisation.
    - `shares_scale`: the outputs have the quantisation of the first input of reals.
    - `fixed_output`: by dtype of data and output, the (scale, zero point) that TFLM computes in, whatever is asked for.
    - `computes`: by dtype of the data, the types that the output may have, where it is not the data's own.
    - `unpacks`: the outputs are constants, and all inputs too; layers may take them for weights and biases.
    - `quantized`: how TensorFlow's converter quantises the operator; None if nobody knows.
    - `c_kernels`: by dtype of the data, the function in ``firmware/kernels`` that does the same.
    - `control`: the operator runs other subgraphs, which `execute` does for it: a ``branch``, a ``loop``, or ``once``.
      Its kernel has no `evaluate`, and its `explain` gets the outputs behind the inputs. `calls` are the options that
      name the subgraphs.
    - `ends`: it may end the inference early, after which no later operator runs.
    - `detects`: the four outputs are things in a picture: boxes (top, left, bottom, right in parts of it), classes,
      scores, and how many there are.
    - `probabilities`: the outputs stand for probabilities, each from 0 to 1 (in `fixed_output`).
    - `resource`: the operator makes a ``handle`` of a resource variable, or ``read``s or ``assign``s the one whose
      handle is its first input; the variable's value takes the place of a `memory` then.
    """

    data: int | None = 0
    weights: int | None = None
    bias: int | None = None
    layout: str = ""
    updates: tuple[int, ...] = ()
    elementwise: bool = False
    arithmetic: Literal["", "+", "-", "*", "/"] = ""
    joins: bool = False
    copies: bool = False
    homogeneous: bool = False
    pads: bool = False
    shapes_only: bool = False
    monotone: Literal["", "rising", "each"] = ""
    inexact: Literal["", "sums", "libm"] = ""
    recodes: bool = False
    shares_scale: bool = False
    fixed_output: Mapping[str, tuple[float, int]] = field(default_factory=dict)
    computes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unpacks: bool = False
    quantized: Quantizing | None = None
    c_kernels: Mapping[str, str] = field(default_factory=dict)
    control: Literal["", "branch", "loop", "once"] = ""
    calls: tuple[str, ...] = ()
    ends: bool = False
    detects: bool = False
    probabilities: bool = False
    resource: Literal["", "handle", "read", "assign"] = ""


class Toolbox(Protocol):
    """What `example` draws from. Every method but `tensor` and `constant` returns something to `draw`."""

    def integers(self, low: int, high: int) -> Any:
        """An int in [low, high]."""

    def sampled_from(self, choices: Sequence[Any]) -> Any:
        """One of `choices`, the earlier ones simpler."""

    def booleans(self) -> Any:
        """True or False."""

    def shape(self, rank: int | tuple[int, int], largest: int = 6) -> Any:
        """A tuple of `rank` dimensions, or of as many as lie between two, each from 1 to `largest`."""

    def channels(self) -> Any:
        """A number of channels: few, or at and beside multiples of 4, 8 and 16, where SIMD loops have remainders."""

    def image(self) -> Any:
        """An NHWC shape, small where it has many channels."""

    def scale(self, low: float = 2.0**-10, high: float = 2.0**2) -> Any:
        """A float32 scale (as Python float), powers of two and awkward values alike."""

    def scales(self, count: int, low: float = 2.0**-10, high: float = 2.0**2) -> Any:
        """A tuple of `count` scales around one another, or all equal."""

    def zero_point(self, dtype: str) -> Any:
        """A code of `dtype`, its ends and 0 weighted."""

    def quantization(
        self, dtype: str, low: float | None = None, high: float | None = None, asymmetric: bool = False
    ) -> Any:
        """A per-tensor `Quantization` for activations of int8, int16 or uint8, None for other types.

        `low` and `high` bound the scale; zero points are any, those of int16 are 0 unless `asymmetric`.
        """

    def array(self, shape: Sequence[int], dtype: str, low: int | None = None, high: int | None = None) -> Any:
        """An array of `dtype`: noise, extremes, constants or sparse; floats include −0, tiny and huge values."""

    def input(
        self, shape: Any, dtype: str, quantization: Any = None, fits: Callable[[Tensor], bool] | None = None
    ) -> Any:
        """A tensor that is fed, of a shape and quantisation that may be things to `draw`.

        Where a graph grows from examples it may be a tensor that the graph has already: any of this `dtype` that
        `fits`, with a shape and quantisation of its own. So an example takes those from what it gets.
        """

    def tensor(self, shape: Sequence[int], dtype: str, quantization: Quantization | None = None) -> Tensor:
        """A tensor computed at run time: an output, or an input that only this operator reads."""

    def variable(self, shape: Sequence[int], dtype: str, quantization: Quantization | None = None) -> Tensor:
        """A tensor that lives from one inference to the next."""

    def constant(self, data: Array, quantization: Quantization | None = None, dtype: str | None = None) -> Tensor:
        """A constant tensor (`dtype` where it is not the array's, as for int4)."""


Prepare = Callable[[Node, "Numerics"], Any]
Evaluate = Callable[..., Array | tuple[Array, ...]]
Explain = Callable[..., Iterator[Line]]
Example = Callable[[Draw, Toolbox], Node]


@dataclass(frozen=True, slots=True)
class Kernel:
    """The four functions of one operator at one type, and the facts of the operator."""

    prepare: Prepare
    evaluate: Evaluate | None
    explain: Explain
    example: Example
    facts: Facts = Facts()

    def __repr__(self) -> str:
        functions = (getattr(each, "func", each) for each in (self.prepare, self.evaluate) if each)  # of a partial one
        return f"<Kernel of {' and '.join(f'{each.__module__}.{each.__qualname__}' for each in functions)}>"


Kernels = Mapping[tuple[str, str], Kernel]


@dataclass(frozen=True, slots=True)
class Numerics:
    """The dialect: which of the arithmetics called "TFLite" a plan computes. The default is TFLM as its wheel runs.

    - `rounding`: how an int32 accumulator meets its fixed-point multiplier. ``double``: TFLM's default; ``single``:
      builds with `TFLITE_SINGLE_ROUNDING`; ``xnnpack``: float32 product, ties to even.
    - `scale_math`: effective scales as ``double`` products (TFLM from commit 7b49bf8 of 2026-10-13 on) or, in the
      kernels that had them, ``float32`` products (before). CAST of floats out of range and the cell of a float LSTM,
      which changed in the same weeks, go with it (`manual/tflm-history.md`). With ``tflite`` they are those of TFLite's
      own kernels, which are others.
    - `contraction`: whether the target's compiler fuses float32 multiply and add: ``none`` or ``fma``.
    - `libm`: whose `expf`, `tanhf` and so on: ``glibc`` (2.28 to 2.40 on x86-64), ``glibc-2.41``, or a newlib variant,
      see `numerics.float32`.
    - `float_to_int`: what an out-of-range float becomes as int32: ``x86`` (INT_MIN), ``arm`` (saturated, NaN is 0) or
      ``riscv`` (saturated, NaN is INT_MAX).
    - `kernels`: whose kernels compute what each library has its own way of: TFLM's reference kernels (``tflm``),
      ``cmsis-nn``, ``esp-nn``, or LiteRT's on x86-64, which are ``litert-ref``, those of its BUILTIN_REF resolver, and
      ``litert``, its usual ones, XNNPACK's where `rounding` is ``xnnpack``. Where a library's results are not known,
      its dialect refuses the operator.
    """

    rounding: Literal["double", "single", "xnnpack"] = "double"
    scale_math: Literal["double", "float32", "tflite"] = "double"
    contraction: Literal["none", "fma"] = "none"
    libm: Literal["glibc", "glibc-2.41", "newlib", "newlib-fma", "newlib-double"] = "glibc"
    float_to_int: Literal["x86", "arm", "riscv"] = "x86"
    kernels: Literal["tflm", "cmsis-nn", "esp-nn", "litert-ref", "litert"] = "tflm"

    def __post_init__(self) -> None:
        """Raises `InputError` for what no kernel would know: it would compute something else."""
        for choice, known in CHOICES.items():
            if (value := getattr(self, choice)) not in known:
                meant = instead(value, known) if isinstance(value, str) else ""
                raise InputError(f"{choice} is {shown(value)}{meant}; choose one of {', '.join(known)}")

    def __str__(self) -> str:
        choices = (f.name for f in fields(self) if f.name != "kernels")  # which the name tells
        return f"{PRESETS.name(self)} ({', '.join(f'{choice}={getattr(self, choice)}' for choice in choices)})"


CHOICES: Mapping[str, tuple[str, ...]] = {name: get_args(of) for name, of in get_type_hints(Numerics).items()}
"""What each field of `Numerics` may be."""


class Presets(Mapping[str, Numerics]):
    """Dialects by name. Beside the names that it lists, ``kernels/target`` is one: ``single/cortex-m4f``."""

    def __init__(self, kernels: Mapping[str, Numerics], targets: Mapping[str, Numerics]) -> None:
        self._kernels, self._targets = kernels, targets

    def __getitem__(self, name: str) -> Numerics:
        kernels, slash, target = name.partition("/")
        if not slash:
            return self._targets[name] if name in self._targets else self._kernels[name]
        chosen, compiled = self._kernels[kernels], self._targets[target]
        return replace(chosen, **{choice: getattr(compiled, choice) for choice in OF_TARGETS})

    def __iter__(self) -> Iterator[str]:
        return iter((*self._kernels, *self._targets))

    def __len__(self) -> int:
        return len(self._kernels) + len(self._targets)

    def __repr__(self) -> str:
        return f"<Presets {', '.join(self._kernels)}; {', '.join(self._targets)}>"

    def name(self, numerics: Numerics) -> str:
        """The shortest name of a dialect, ``custom`` for one without; of others than TFLM's kernels with theirs."""
        pairs = (f"{kernels}/{target}" for kernels in self._kernels for target in self._targets)
        custom = "custom" if numerics.kernels == "tflm" else f"custom {numerics.kernels}"
        return next((name for name in (*self, *pairs) if self[name] == numerics), custom)


OF_TARGETS = ("contraction", "libm", "float_to_int")
"""What the processor, its compiler and C library choose; the rest is the kernels'."""

PRESETS = Presets(
    {
        "tflm": Numerics(),
        "tflm-2026-08": Numerics(scale_math="float32"),
        "single": Numerics(rounding="single"),
        "xnnpack": Numerics(rounding="xnnpack"),
        "cmsis-nn": Numerics(kernels="cmsis-nn"),
        "esp-nn": Numerics(kernels="esp-nn"),
        "litert-ref": Numerics(kernels="litert-ref", scale_math="tflite"),
        "litert": Numerics(kernels="litert", rounding="xnnpack", scale_math="tflite"),
    },
    {
        "cortex-m3": Numerics(libm="newlib", float_to_int="arm"),
        "cortex-m4f": Numerics(contraction="fma", libm="newlib-fma", float_to_int="arm"),
        "cortex-m7": Numerics(contraction="fma", libm="newlib-double", float_to_int="arm"),
        "rv32imc": Numerics(libm="newlib", float_to_int="riscv"),
        "rv32imafc": Numerics(contraction="fma", libm="newlib", float_to_int="riscv"),
    },
)
"""Dialects of real libraries and targets by name. Kernels alone run on x86-64, and a target alone runs TFLM's; Cortex-M
ones are as arm-none-eabi-gcc builds with hardware floats, if any, with newlib, RISC-V ones with picolibc."""


def dialect(choice: Numerics | str | None) -> Numerics:
    """A dialect itself, or by its name in `PRESETS`; None is TFLM's own. Raises `InputError` for other names."""
    if isinstance(choice, str) and choice not in PRESETS:
        near = instead(choice, PRESETS)
        raise InputError(f"there is no dialect {choice!r}{near}; choose one of {', '.join(PRESETS)}, or KERNELS/TARGET")
    if not isinstance(choice, str | Numerics | None):
        raise InputError(f"a dialect is Numerics or the name of a preset, not {kind_of(choice)}")
    return PRESETS[choice] if isinstance(choice, str) else choice or Numerics()
