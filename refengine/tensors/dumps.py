"""Inferences' tensors in an `.npz`: by their names, with the facts that tell others what they are of."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from ..files import write_npz
from ..kernel import PRESETS
from ..model import Array, Tensor
from ..plan import Plan
from ..state import concatenated
from ..text import SCHEMA, as_json
from .arrays import META


def dump_names(tensors: Sequence[Tensor]) -> list[str]:
    """What a dump calls a graph's tensors: by their own name if no other has it and files can, else by index."""
    count = Counter(t.name for t in tensors)
    return [t.name if t.name.isprintable() and t.name and count[t.name] == 1 else str(t.index) for t in tensors]


def write_dump(path: str | os.PathLike[str], plan: Plan, tensors: Mapping[int, Array]) -> None:
    """Write an `.npz` that `read_dump` and `read_inputs` take: arrays by the index of their tensor in the main graph.

    It says of which model they are, and in which dialect, if that has a name. Raises `OSError`.
    """
    names = dump_names(plan.graph.tensors)
    dialect = PRESETS.name(plan.numerics)
    facts = {"schema": SCHEMA, "sha256": plan.model.sha256} | ({"numerics": dialect} if dialect in PRESETS else {})
    meta = {META: np.array(as_json(facts, indent=None))}
    write_npz(path, meta | {names[index]: array for index, array in tensors.items()})


def stacked(tensor: Tensor, parts: Sequence[Array]) -> Array:
    """The arrays of one inference or batch after the other, as `execute.run` gives a batch's; of one alone, as it is.

    A leading 1 that the tensor declares has become as many as there are, any other has them in front.
    """
    if len(parts) == 1:
        return parts[0]
    leads = tensor.shape[:1] == (1,)
    return concatenated([x if leads or x.ndim > len(tensor.shape) else x[np.newaxis] for x in parts])
