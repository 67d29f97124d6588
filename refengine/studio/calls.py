"""What the page may ask, by name: of the `Studio` and what was `Asked`, plain Python or bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..kernel import PRESETS
from .answers import answer
from .asked import Asked, Bytes
from .board import board, ports
from .comparison import lost, verdict
from .elements import element, tensor
from .graph import graph
from .heat import heat
from .kept import download, forget, keep, kept
from .parting import parting
from .studio import Studio
from .timeline import timeline

Call = Callable[[Studio, Asked], "dict[str, Any] | Bytes"]


def choices(studio: Studio, asked: Asked) -> dict[str, Any]:
    """What there is to choose from."""
    return {"networks": [*studio.networks], "dialects": [*PRESETS]}


def drop(studio: Studio, asked: Asked) -> dict[str, Any]:
    """Take a network that was dropped onto the page."""
    return {"network": studio.networks.drop(asked.text("name", "network.tflite"), asked.body), **choices(studio, asked)}


CALLS: Mapping[str, Call] = {
    "choices": choices,
    "drop": drop,
    "answer": answer,
    "graph": graph,
    "tensor": tensor,
    "element": element,
    "heat": heat,
    "parting": parting,
    "timeline": timeline,
    "lost": lost,
    "verdict": verdict,
    "keep": keep,
    "forget": forget,
    "kept": kept,
    "download": download,
    "ports": ports,
    "board": board,
}
