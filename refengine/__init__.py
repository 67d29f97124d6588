"""refengine: the golden model for TensorFlow Lite Micro.

    import refengine
    outputs = refengine.run("model.tflite", image)

`load` reads a file, `make_plan` prepares it, `execute` yields what every step did, `run` just returns the outputs.
"""

from .accuracy import Accuracy, Prediction, evaluate, predictions
from .errors import InputError, LimitError, ModelError, RefengineError, UnsupportedError
from .execute import Record, execute, run
from .images import prepare_digit
from .inputs import dequantize_output, quantize_input
from .interpreter import Interpreter
from .kernel import PRESETS, Kernel, Line, Numerics
from .kernels import KERNELS
from .model import Graph, Model, Op, Quantization, Signature, Tensor
from .plan import Plan, Step, make_plan
from .quantizer import quantize
from .survey import Layer, Survey, inspect
from .tflite_io import load

__version__ = "0.1.0"

__all__ = [
    "KERNELS",
    "PRESETS",
    "Accuracy",
    "Graph",
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
    "Signature",
    "Step",
    "Survey",
    "Tensor",
    "UnsupportedError",
    "dequantize_output",
    "evaluate",
    "execute",
    "inspect",
    "load",
    "make_plan",
    "predictions",
    "prepare_digit",
    "quantize",
    "quantize_input",
    "run",
]
