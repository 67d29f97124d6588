"""Cross-layer equalisation: channels that share a scale are given alike ranges, and the network stays what it is.

Where a layer's channel i is read by the next layer alone, its weights and bias may be divided by any factor s > 0 if
the next layer's weights of that channel are multiplied by it: ReLU, pooling and whatever else is homogeneous hands the
factor on. With r₁ and r₂ the largest weights of the channel in the two layers, s = √(r₁ / r₂) makes both √(r₁ · r₂),
by which the precision of both layers together is greatest. Pairs are done in turn until all factors are 1.

Source: Nagel, van Baalen, Blankevoort and Welling, "Data-Free Quantization Through Weight Equalization and Bias
Correction" (ICCV 2019), section 4.1. They put ReLU in the place of ReLU6 first, which changes the network: here no
factor goes through a ReLU6. Nor are high biases absorbed: what they are is told by batch normalisation, of which the
file knows nothing any more, and padding does not let them pass.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..identity import identity
from ..model import Model
from ..plan import Plan
from ..reading.links import Factors, Link, links

ROUNDS = 100
"""Of all pairs in turn, at most."""

ENOUGH = 1e-3
"""A factor that is as near to 1 is 1."""


@dataclass(frozen=True, eq=False)
class Equalized:
    """A float32 model that computes what the one it was made from does, but for rounding, and by which factors the
    channels of each link's first layer were divided."""

    model: Model
    factors: tuple[tuple[Link, Factors], ...]

    def as_dict(self) -> list[dict[str, Any]]:
        """Everything in plain Python, for JSON."""
        return [
            {
                "first": identity(link.first.op, link.first.subgraph),
                "second": identity(link.second.op, link.second.subgraph),
                "factors": factors.tolist(),
            }
            for link, factors in self.factors
        ]


def equalize(plan: Plan) -> Equalized:
    """Equalise the weights of all pairs of layers in a float32 `plan` that only each other know; see the module.

    A channel whose weights are all zero in either layer stays as it is.
    """
    found = list(links(plan))
    read = [t for link in found for step in (link.first, link.second) for t in (step.weights, step.bias) if t]
    weights = {t.index: np.asarray(t.data, np.float32) for t in read if t.data is not None}
    total = {id(link): np.ones(link.first.outputs[0].shape[-1]) for link in found}
    for _ in range(ROUNDS):
        largest = 1.0
        for link in found:
            factors = _factors(*link.ranges(weights))
            link.apply(weights, factors)
            total[id(link)] *= factors
            largest = max(largest, float(factors.max()), float(1 / factors.min()))
        if largest <= 1 + ENOUGH:
            break
    graph = plan.graph
    tensors = tuple(replace(t, data=weights[t.index]) if t.index in weights else t for t in graph.tensors)
    model = replace(plan.model, graphs=(replace(graph, tensors=tensors), *plan.model.graphs[1:]), sha256="")
    return Equalized(model, tuple((link, total[id(link)]) for link in found))


def _factors(one: Factors, two: Factors) -> Factors:
    alive = (one > 0) & (two > 0)
    return np.sqrt(np.where(alive, one, 1.0) / np.where(alive, two, 1.0))
