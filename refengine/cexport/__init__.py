"""C export: a plan as plain C11 without interpreter, its arena planned, checking itself by CRCs."""

from .arena import Buffer, plan_arena, tflm_greedy
from .export import Exported, export

__all__ = ["Buffer", "Exported", "export", "plan_arena", "tflm_greedy"]
