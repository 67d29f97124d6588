"""C export: a plan as plain C11 without interpreter, its arena planned, checking itself by CRCs.

`refengine.export(plan, directory)` writes it.
"""

from ..reading.arena import Buffer, plan_arena, tflm_greedy
from .export import Exported, export
from .headers import Pixels, array_header, image_header
from .inputs import input_lines
from .layouts import LAYOUTS
from .placement import offsets_of

__all__ = [
    "LAYOUTS",
    "Buffer",
    "Exported",
    "Pixels",
    "array_header",
    "export",
    "image_header",
    "input_lines",
    "offsets_of",
    "plan_arena",
    "tflm_greedy",
]
