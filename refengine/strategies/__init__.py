"""Hypothesis strategies: invented operators and models, edges first. Needs the package `hypothesis`.

`nodes(op, dtype)` draws what a kernel's `example` invents, `inputs_of(model)` arrays to feed it.
"""

from .graphs import Case, models
from .operators import inputs_of, model_of, nodes
from .toolbox import (
    FLOAT_EDGES,
    FLOAT_KINDS,
    INT_KINDS,
    Toolbox,
    array_of,
    arrays,
    multipliers,
    quantizations,
    scales,
    zero_points,
)

__all__ = [
    "FLOAT_EDGES",
    "FLOAT_KINDS",
    "INT_KINDS",
    "Case",
    "Toolbox",
    "array_of",
    "arrays",
    "inputs_of",
    "model_of",
    "models",
    "multipliers",
    "nodes",
    "quantizations",
    "scales",
    "zero_points",
]
