"""Operators that run subgraphs: which functions they call, and what is copied to and fro."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..model import Array, Tensor
from ..plan import Plan, Step
from .call import At, Call, Constant, Fields, Function, Kept, Rows, bytes_of

Known = Mapping[int, Mapping[int, Array]]
"""The values known when exporting, by subgraph and tensor."""


def control_call(step: Step, plans: Mapping[int, Plan], known: Known) -> Call:
    """The call that runs the subgraphs of a step."""
    graph = step.subgraph
    if step.facts.control == "once":
        run = {"run": Function(f"subgraph{step.calls[0]}")}
        return Call("call_once.c", "run_once", "once_params", run, (Kept(graph, step.index, 0),), output=None)
    inputs = [_value(graph, t, known) for t in step.inputs if t is not None]
    outputs = [At(graph, t.index) for t in step.outputs]
    first, second = (plans[callee] for callee in step.calls)
    if step.facts.control == "branch":
        params: Fields = {
            "then_branch": _called(first, inputs[1:], outputs, known),
            "else_branch": _called(second, inputs[1:], outputs, known),
        }
        return Call("if.c", "run_if", "if_params", params, (_argument(step.inputs[0], inputs[0]),), output=None)
    going = first.outputs[0]
    params = _listed("carried", _handed(inputs, outputs, step.outputs)) | {
        "cond": _called(first, outputs, [], known),
        "body": _called(second, outputs, outputs, known),
        "going": _value(first.graph.index, going, known),
    }
    return Call("while.c", "run_while", "while_params", params, (), output=None)


def _argument(tensor: Tensor | None, value: At | Array) -> Tensor | Constant:
    assert tensor is not None
    return tensor if isinstance(value, At) else Constant("condition", value)


def _value(graph: int, tensor: Tensor, known: Known) -> At | Array:
    """Where a tensor is, or what."""
    constant = known[graph].get(tensor.index)
    return At(graph, tensor.index) if constant is None else constant[0, ...]


def _called(plan: Plan, inputs: Sequence[At | Array], outputs: Sequence[At], known: Known) -> Fields:
    """The fields of `struct subgraph`."""
    graph = plan.graph.index
    given = _handed(inputs, [At(graph, t.index) for t in plan.inputs], plan.inputs)
    results = [_value(graph, t, known) for t in plan.outputs] if outputs else []
    taken = _handed(results, outputs, plan.outputs if outputs else [])
    return {"run": Function(f"subgraph{graph}"), **_listed("inputs", given), **_listed("outputs", taken)}


def _handed(sources: Sequence[At | Array], places: Sequence[At], sizes: Sequence[Tensor]) -> list[Fields]:
    """The fields of `struct handed`, one after the other."""
    return [
        {"from": source, "to": place, "bytes": bytes_of(tensor)}
        for source, place, tensor in zip(sources, places, sizes, strict=True)
    ]


def _listed(name: str, handed: Sequence[Fields]) -> Fields:
    return {f"{name}_count": len(handed), name: Rows("handed", tuple(handed))}
