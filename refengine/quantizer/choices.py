"""What the conversion chose for each activation: type, scale and zero point, beside the range they come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..identity import identity
from ..model import Tensor
from ..plan import Plan, Step
from ..reading.counterparts import pair_of, same_tensors
from ..reading.float_reading import affine, is_quantized
from .calibrate import Ranges
from .rules import weighed


@dataclass(frozen=True, eq=False)
class Choice:
    """One activation of the converted model: the operator that computes it (None: it is fed), the float operators that
    this stands for, and the range that was calibrated (None: the float model has no such tensor)."""

    step: Step | None
    tensor: Tensor
    float_steps: tuple[Step, ...]
    calibrated: tuple[float, float] | None

    @property
    def float_ops(self) -> tuple[int, ...]:
        """What `keep` takes."""
        return tuple(step.index for step in self.float_steps)

    @property
    def weight_scales(self) -> tuple[float, ...]:
        """Of all its weights' tensors, one for each output channel or for the whole; none of an operator without."""
        if self.step is None:
            return ()
        places = [each.weights for each in weighed(self.step.op)]
        found = [self.step.inputs[at] for at in places if at is not None and at < len(self.step.inputs)]
        return tuple(
            scale for t in found if t and t.data is not None and t.quantization for scale in t.quantization.scale
        )

    def as_dict(self) -> dict[str, Any]:
        """Everything in plain Python, for JSON; what stayed in float has no scale."""
        scale, zero_point = affine(self.tensor) if is_quantized(self.tensor) else (None, None)
        return {
            "operator": None if self.step is None else identity(self.step.op, self.step.subgraph),
            "float_operators": [identity(step.op, step.subgraph) for step in self.float_steps],
            "tensor": identity(self.tensor),
            "dtype": self.tensor.dtype,
            "range": self.calibrated,
            "scale": scale,
            "zero_point": zero_point,
            "weight_scales": list(self.weight_scales),
        }


def choices(float_plan: Plan, quantized_plan: Plan, ranges: Ranges) -> list[Choice]:
    """What was chosen for every activation that is fed or computed, integers such as shapes left out."""
    same = same_tensors(float_plan, quantized_plan)
    made: list[tuple[Step | None, Tensor]] = [(None, tensor) for tensor in quantized_plan.inputs]
    made += [(step, tensor) for step in quantized_plan.steps for tensor in step.outputs]
    found = []
    for step, tensor in made:
        if is_quantized(tensor) or tensor.dtype == "float32":
            pair = None if step is None else pair_of(float_plan, step, tensor, same)
            float_steps = () if pair is None else pair.float_steps
            found.append(Choice(step, tensor, float_steps, ranges.get(same.get(tensor.index, -1))))
    return found
