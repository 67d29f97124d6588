"""Hypothesis strategies: invented operators and models, edges first. Needs the package `hypothesis`.

`nodes(op, dtype)` draws what a kernel's `example` invents, `inputs_of(model)` arrays to feed it.
"""

from .graphs import inputs_of, model_of, nodes
from .toolbox import FLOAT_EDGES, FLOAT_KINDS, INT_KINDS, Toolbox, array_of

__all__ = ["FLOAT_EDGES", "FLOAT_KINDS", "INT_KINDS", "Toolbox", "array_of", "inputs_of", "model_of", "nodes"]
