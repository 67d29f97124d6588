"""How JSON says which operator or tensor is meant: in every document of every command as `identity` does."""

from __future__ import annotations

from typing import Any

from .model import Op, Tensor


def identity(of: Op | Tensor, subgraph: int = 0) -> dict[str, Any]:
    """``{"subgraph": 0, "index": 9, "name": "CONV_2D"}``; a custom operator's name is its custom code."""
    return identified(of.index, of.kind if isinstance(of, Op) else of.name, subgraph)


def identified(index: int, name: str, subgraph: int = 0) -> dict[str, Any]:
    """The same of what others tell of, such as a device."""
    return {"subgraph": subgraph, "index": index, "name": name}
