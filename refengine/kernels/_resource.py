"""What READ_VARIABLE and ASSIGN_VARIABLE share: bytes under another type and shape."""

from __future__ import annotations

from math import prod

import numpy as np

from ..errors import InferenceError
from ..model import Array


def reread(value: Array, dtype: str, shape: tuple[int, ...]) -> Array:
    """The same bytes (B, …) as another type and shape; raises `InferenceError` if they are not as many."""
    flat = np.ascontiguousarray(value).reshape(len(value), -1).view(np.uint8)
    wanted = prod(shape) * np.dtype(dtype).itemsize
    if flat.shape[1] != wanted:
        raise InferenceError(
            f"the resource variable has {flat.shape[1]} bytes, but {wanted} are read or assigned, where TFLM would use "
            "memory that is not the variable's; convert again so that both have one shape and type"
        )
    return flat.view(dtype).reshape(len(value), *shape)
