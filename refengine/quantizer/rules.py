"""What quantisation asks of each operator, as TensorFlow 2.21's converter does it: data only.

The converter has two quantizers: its MLIR one makes int8 models (`QuantizationDriver` and the interfaces of
`tfl_ops.td`), the older one int16×8 models (`operator_property.cc`). Where they differ, a rule names the type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How one operator is quantised; what it does not say: every input and output has parameters of its own.

    - `shares`: its inputs and outputs have the same scale and zero point;
    - `joins`: int16 takes these from its output's range, as int8 does with several inputs, not from its first input;
    - `fixed`: by type, the (scale, zero point) of its output, whatever was calibrated;
    - `axis`: input 1 is weights, symmetric, one scale for each index along this axis, and input 2 is the bias;
    - `versions`: by type, the version of the quantised operator;
    - `int16_options`: options that differ from the float operator's when it computes int16.
    """

    shares: bool = False
    joins: bool = False
    fixed: Mapping[str, tuple[float, int]] = field(default_factory=lambda: NOTHING)
    axis: int | None = None
    versions: Mapping[str, int] = field(default_factory=lambda: _versions(2))
    int16_options: Mapping[str, Any] = field(default_factory=lambda: NOTHING)


def _versions(int8: int, int16: int | None = None) -> Mapping[str, int]:
    return {"int8": int8, "int16": int16 or int8}


_POT_SCALE = {"pot_scale_int16": False}
_BIAS_TYPE = {"quantized_bias_type": "int64"}

RULES: Mapping[str, Rule] = {
    "ADD": Rule(int16_options=_POT_SCALE),
    "AVERAGE_POOL_2D": Rule(shares=True),
    "CONCATENATION": Rule(shares=True, joins=True),
    "CONV_2D": Rule(axis=0, versions=_versions(3), int16_options=_BIAS_TYPE),
    "DEPTHWISE_CONV_2D": Rule(axis=3, versions=_versions(3)),
    "EXPAND_DIMS": Rule(shares=True, versions=_versions(1)),
    "FULLY_CONNECTED": Rule(axis=0, versions=_versions(4), int16_options=_BIAS_TYPE),
    "HARD_SWISH": Rule(versions=_versions(1)),
    "LEAKY_RELU": Rule(versions=_versions(1, 2)),
    "LOGISTIC": Rule(fixed={"int8": (1 / 256, -128), "int16": (1 / 32768, 0)}),
    "MAX_POOL_2D": Rule(shares=True),
    "MEAN": Rule(),
    "MUL": Rule(),
    "PACK": Rule(shares=True, joins=True),
    "PAD": Rule(shares=True),
    "PADV2": Rule(shares=True),
    "REDUCE_MAX": Rule(shares=True),
    "REDUCE_MIN": Rule(shares=True),
    "RELU": Rule(),
    "RELU6": Rule(),
    "RESHAPE": Rule(shares=True, versions=_versions(1)),
    "SHAPE": Rule(versions=_versions(1)),
    "SOFTMAX": Rule(fixed={"int8": (1 / 256, -128), "int16": (1 / 32768, 0)}),
    "SQUEEZE": Rule(shares=True, versions=_versions(1)),
    "STRIDED_SLICE": Rule(shares=True),
    "SUB": Rule(int16_options=_POT_SCALE),
    "SUM": Rule(),  # the older quantizer lets it share its input's scale, and saturate: not here
    "TANH": Rule(fixed={"int8": (1 / 128, 0), "int16": (1 / 32768, 0)}),
    "TRANSPOSE": Rule(shares=True),
}
"""By operator. Whoever is not here stays in float, or is refused."""
