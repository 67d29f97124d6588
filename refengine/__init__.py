"""refengine: the golden model for TensorFlow Lite Micro.

    import refengine
    outputs = refengine.run("model.tflite", image)

`load` reads a file, `make_plan` prepares it, `execute` yields what every step did, `run` just returns the outputs.
`inspect`, `explain`, `debug`, `health`, `diff`, `check_input`, `evaluate`, `quantize`, `export` and `fuzz` are what
else one may ask for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from .accuracy import Accuracy, Prediction, evaluate, predictions
from .errors import InferenceError, InputError, LimitError, ModelError, RefengineError, UnsupportedError
from .execute import Record, execute, run
from .interpreter import Interpreter
from .kernel import PRESETS, Kernel, Line, Numerics
from .kernels import KERNELS
from .model import Graph, Model, Op, Quantization, Signature, Tensor
from .plan import Plan, Step, make_plan
from .quantizer import quantize
from .session import Session
from .survey import Layer, Survey, inspect
from .tensors.digits import prepare_digit
from .tensors.inputs import dequantize_output, quantize_input
from .tflite_io import load

if TYPE_CHECKING:
    from .cexport import export
    from .debugger import debug
    from .examination import health
    from .explanation import explain
    from .fuzzer import fuzz
    from .judge import check_input, diff
else:
    _CALLS = {"check_input": "judge", "diff": "judge", "explain": "explanation", "export": "cexport", "fuzz": "fuzzer"}
    _CALLS |= {"debug": "debugger", "health": "examination"}

    def __getattr__(name: str) -> object:
        """The calls whose rooms are imported only once somebody asks for them."""
        if name not in _CALLS:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f".{_CALLS[name]}", __name__), name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *_CALLS})


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
    "run",
]
