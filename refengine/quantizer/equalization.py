"""Cross-layer equalisation: channels that share a scale are given alike ranges, and the network stays what it is.

Where a layer's channel i is read by the next layer alone, its weights and bias may be divided by any factor s > 0 if
the next layer's weights of that channel are multiplied by it: ReLU, pooling and whatever else is homogeneous hands the
factor on. With r₁ and r₂ the largest weights of the channel in the two layers, s = √(r₁ / r₂) makes both √(r₁ · r₂),
by which the precision of both layers together is greatest. Pairs are done in turn until all factors are 1.

Source: Nagel, van Baalen, Blankevoort and Welling, "Data-Free Quantization Through Weight Equalization and Bias
Correction" (ICCV 2019), section 4.1. They put ReLU in the place of ReLU6 first, which changes the network: here
only if that is asked for, else no factor goes through a ReLU6. High biases are not absorbed: which are high is told by
batch normalisation, of which the file knows nothing any more, and padding does not let them pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..identity import identity
from ..model import Model
from ..numerics.quantize import ACTIVATIONS
from ..plan import Plan, Source, Step, make_plan, plan_of
from ..reading.links import Factors, Link, links

ROUNDS = 100
"""Of all pairs in turn, at most."""

ENOUGH = 1e-3
"""A factor that is as near to 1 is 1."""


@dataclass(frozen=True, eq=False)
class Equalized:
    """A float32 model that computes what the one it was made from does, but for rounding, and by which factors the
    channels of each link's first layer were divided. The layers `clamped` let no factor pass; in the layers `opened`
    ReLU stands for another activation, so that large values differ."""

    model: Model
    factors: tuple[tuple[Link, Factors], ...]
    clamped: tuple[Step, ...]
    opened: tuple[Step, ...]

    def as_dict(self) -> dict[str, Any]:
        """Everything in plain Python, for JSON."""
        links = [
            {
                "first": identity(link.first.op, link.first.subgraph),
                "second": identity(link.second.op, link.second.subgraph),
                "factors": factors.tolist(),
            }
            for link, factors in self.factors
        ]
        clamped, opened = ([identity(s.op, s.subgraph) for s in steps] for steps in (self.clamped, self.opened))
        return {"links": links, "clamped": clamped, "opened": opened}


def equalize(source: Source, *, relu: bool = False) -> Equalized:
    """Equalise the weights of all pairs of layers in a float32 model that only each other know; see the module.

    `source` is its plan, or what one is made of.

    A channel whose weights are all zero in either layer stays as it is. `relu` puts ReLU in the place of activations
    that clamp at 0 and above, as ReLU6 does, where that lets factors pass.
    """
    plan = plan_of(source)
    shut = [link.first for link in links(plan) if not link.is_open]
    opened = [step for step in shut if relu and ACTIVATIONS[_activation(step)][0] == 0.0]
    plan = _with_relu(plan, opened)
    found = [link for link in links(plan) if link.is_open]
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
    divided = tuple((link, total[id(link)]) for link in found)
    return Equalized(model, divided, tuple(step for step in shut if step not in opened), tuple(opened))


def _activation(step: Step) -> str:
    name: str = step.op.options["fused_activation_function"]
    return name


def _with_relu(plan: Plan, steps: Sequence[Step]) -> Plan:
    """The plan with ReLU in the place of these steps' fused activations."""
    relu = next(name for name, ends in ACTIVATIONS.items() if ends == (0.0, None))
    ops = list(plan.graph.ops)
    for step in steps:
        options = {**step.op.options, "fused_activation_function": relu}
        ops[step.index] = replace(step.op, options=options)
    model = replace(plan.model, graphs=(replace(plan.graph, ops=tuple(ops)), *plan.model.graphs[1:]), sha256="")
    return make_plan(model, kernels=plan.kernels, memory=plan.memory) if steps else plan


def _factors(one: Factors, two: Factors) -> Factors:
    alive = (one > 0) & (two > 0)
    return np.sqrt(np.where(alive, one, 1.0) / np.where(alive, two, 1.0))
