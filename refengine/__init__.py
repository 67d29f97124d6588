"""refengine: the golden model for TensorFlow Lite Micro.

    import refengine
    outputs = refengine.run("model.tflite", image)

`load` reads a file, `make_plan` prepares it, `execute` yields what every step did, `run` just returns the outputs.
`inspect`, `explain`, `debug`, `health`, `diff`, `check_input`, `evaluate`, `quantize`, `export`, `fuzz` and `reduce`
are what else one may ask for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from .errors import InferenceError, InputError, LimitError, ModelError, RefengineError, UnsupportedError
from .execute import Record, execute, run
from .kernel import PRESETS, Kernel, Line, Numerics
from .kernels import KERNELS
from .model import Graph, Model, Op, Quantization, Signature, Tensor
from .plan import Plan, Step, make_plan

if TYPE_CHECKING:
    from . import fuzzer as fuzzer
    from . import strategies as strategies
    from .accuracy import Accuracy, Prediction, evaluate, predictions
    from .cexport import export
    from .debugger import debug
    from .examination import health
    from .explanation import explain
    from .fuzzer import fuzz
    from .interpreter import Interpreter
    from .judge import check_input, diff
    from .quantizer import quantize
    from .reducer import reduce
    from .session import Session
    from .survey import Layer, Survey, inspect
    from .tensors.digits import prepare_digit
    from .tensors.inputs import dequantize_output, quantize_input
    from .tflite_io import load
else:
    _ROOMS = {
        "accuracy": ("Accuracy", "Prediction", "evaluate", "predictions"),
        "cexport": ("export",),
        "debugger": ("debug",),
        "examination": ("health",),
        "explanation": ("explain",),
        "fuzzer": ("fuzz",),
        "interpreter": ("Interpreter",),
        "judge": ("check_input", "diff"),
        "quantizer": ("quantize",),
        "reducer": ("reduce",),
        "session": ("Session",),
        "survey": ("Layer", "Survey", "inspect"),
        "tensors.digits": ("prepare_digit",),
        "tensors.inputs": ("dequantize_output", "quantize_input"),
        "tflite_io": ("load",),
    }
    _WHOLE_ROOMS = ("fuzzer", "strategies")
    _ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}

    def __getattr__(name: str) -> object:
        """What lies in rooms that are imported only once somebody asks for it."""
        if name in _WHOLE_ROOMS:
            return import_module(f".{name}", __name__)
        if name not in _ROOM_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f".{_ROOM_OF[name]}", __name__), name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *_ROOM_OF})


__version__ = "0.1.0"

__all__ = [
    "KERNELS",
    "PRESETS",
    "Accuracy",
    "Graph",
    "InferenceError",
    "InputError",
    "Interpreter",
    "Kernel",
    "Layer",
    "LimitError",
    "Line",
    "Model",
    "ModelError",
    "Numerics",
    "Op",
    "Plan",
    "Prediction",
    "Quantization",
    "Record",
    "RefengineError",
    "Session",
    "Signature",
    "Step",
    "Survey",
    "Tensor",
    "UnsupportedError",
    "check_input",
    "debug",
    "dequantize_output",
    "diff",
    "evaluate",
    "execute",
    "explain",
    "export",
    "fuzz",
    "health",
    "inspect",
    "load",
    "make_plan",
    "predictions",
    "prepare_digit",
    "quantize",
    "quantize_input",
    "reduce",
    "run",
]
