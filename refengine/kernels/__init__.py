"""All kernels: one file per TFLM `kernels/*.cc`, registered by existing."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping

from ..kernel import Facts, Kernel, Kernels
from ._runtimes import guarded

_files = [
    importlib.import_module(f"{__name__}.{module.name}")
    for module in pkgutil.iter_modules(__path__)
    if not module.name.startswith("_")
]


class _All(dict[tuple[str, str], Kernel]):
    """Shows itself in a line: it is the default of many a parameter."""

    def __repr__(self) -> str:
        return f"<KERNELS: {len(self)} pairs of operator and type>"


KERNELS: Kernels = _All(
    {(op, t): guarded(op, t, kernel) for file in _files for (op, t), kernel in file.KERNELS.items()}
)

FACTS: Mapping[str, Facts] = {op: kernel.facts for (op, _), kernel in KERNELS.items()}
"""The facts of every operator, by its name."""

__all__ = ["FACTS", "KERNELS", "Kernel"]
