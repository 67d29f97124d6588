"""All kernels: one file per TFLM `kernels/*.cc`, registered by existing."""

from __future__ import annotations

import importlib
import pkgutil

from ..kernel import Kernel, Kernels

_files = [
    importlib.import_module(f"{__name__}.{module.name}")
    for module in pkgutil.iter_modules(__path__)
    if not module.name.startswith("_")
]

KERNELS: Kernels = {key: kernel for file in _files for key, kernel in file.KERNELS.items()}

__all__ = ["KERNELS", "Kernel"]
