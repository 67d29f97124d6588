"""refengine: the golden model for TensorFlow Lite Micro.

    import refengine
    outputs = refengine.run("model.tflite", image)

`load` reads a file, `make_plan` prepares it, `execute` yields what every step did, `run` just returns the outputs.
"""

from .errors import InputError, ModelError, RefengineError, UnsupportedError
from .execute import Record, execute, run
from .kernel import PRESETS, Kernel, Line, Numerics
from .kernels import KERNELS
from .model import Graph, Model, Op, Quantization, Signature, Tensor
from .plan import Plan, Step, make_plan
from .tflite_io import load

__version__ = "0.1.0"

__all__ = [
    "KERNELS",
    "PRESETS",
    "Graph",
    "InputError",
    "Kernel",
    "Line",
    "Model",
    "ModelError",
    "Numerics",
    "Op",
    "Plan",
    "Quantization",
    "Record",
    "RefengineError",
    "Signature",
    "Step",
    "Tensor",
    "UnsupportedError",
    "execute",
    "load",
    "make_plan",
    "run",
]
