"""A client of the interpreter interface: the same calls whatever the import. Prints one line of JSON per call.

python interpreter_client.py ai_edge_litert.interpreter|refengine.interpreter MODEL
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

module = importlib.import_module(sys.argv[1])
Interpreter, OpResolverType = module.Interpreter, module.OpResolverType
PATH = sys.argv[2]


def plain(answer: Any) -> Any:
    """An answer in JSON: arrays with their types, types by name, everything else as it is."""
    if isinstance(answer, np.ndarray):
        return {"array": answer.dtype.name, "shape": answer.shape, "values": answer.tolist()}
    if isinstance(answer, np.generic):
        return {"scalar": answer.dtype.name, "value": answer.item()}
    if isinstance(answer, dict):
        return {key: plain(value) for key, value in answer.items()}
    if isinstance(answer, (list, tuple)):
        return {type(answer).__name__: [plain(value) for value in answer]}
    if isinstance(answer, type):
        return answer.__name__
    return answer if isinstance(answer, (int, float, str, type(None))) else "an object"


def ask(label: str, call: Callable[[], object]) -> None:
    """Say what a call answers, or by which classes of errors it can be caught."""
    try:
        told = {"answer": plain(call())}
    except Exception as error:
        told = {"error": [kind.__name__ for kind in type(error).__mro__], "message": str(error)}
    print(json.dumps({"call": label} | told))


def new(**arguments: Any) -> Any:
    defaults = {"experimental_op_resolver_type": OpResolverType.BUILTIN_REF, "experimental_preserve_all_tensors": True}
    return Interpreter(PATH, **(defaults | arguments))


# ---- making one
ask("nothing", lambda: Interpreter())
ask("path and content", lambda: Interpreter(model_path=PATH, model_content=Path(PATH).read_bytes()))
ask("missing file", lambda: Interpreter(model_path="missing.tflite"))
ask("folder", lambda: Interpreter(model_path="."))
ask("garbage", lambda: Interpreter(model_content=b"garbage" * 10))
ask("text", lambda: Interpreter(model_content="abc"))
ask("no threads", lambda: new(num_threads=0))
ask("half a thread", lambda: new(num_threads=1.5))
ask("threads as text", lambda: new(num_threads="2"))
ask("unknown argument", lambda: new(speed=3))
ask("unknown resolver", lambda: new(experimental_op_resolver_type="fast"))
ask("bytes", lambda: Interpreter(model_content=Path(PATH).read_bytes()))
ask("a Path and threads", lambda: Interpreter(Path(PATH), None, None, 2))
ask("no delegates", lambda: new(experimental_delegates=[]))

# ---- before allocate_tensors
interpreter = new()
inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
tensors = interpreter.get_tensor_details()  # LiteRT adds scratch ones when it allocates
ask("input details", interpreter.get_input_details)
ask("output details", interpreter.get_output_details)
ask("tensor details", interpreter.get_tensor_details)
ask("tensor details of no subgraph", lambda: interpreter.get_tensor_details(7))
ask("subgraphs", interpreter.num_subgraphs)
ask("operator details", interpreter._get_ops_details)
ask("signatures", interpreter.get_signature_list)
ask("types of a detail", lambda: {key: type(value) for key, value in inputs[0].items()})
ask("types of quantization", lambda: [type(value) for value in inputs[0]["quantization"]])
here, there, shape, dtype = inputs[0]["index"], outputs[0]["index"], inputs[0]["shape"], inputs[0]["dtype"]
zeros = [np.zeros(detail["shape"], detail["dtype"]) for detail in inputs]
ask("set early", lambda: interpreter.set_tensor(here, zeros[0]))
ask("get input early", lambda: interpreter.get_tensor(here))
ask("get output early", lambda: interpreter.get_tensor(there))
ask("view early", lambda: interpreter.tensor(here)())
ask("invoke early", interpreter.invoke)

# ---- allocated
ask("allocate", interpreter.allocate_tensors)
ask("allocate again", interpreter.allocate_tensors)
ask("set float64", lambda: interpreter.set_tensor(here, zeros[0].astype("float64")))
ask("set a list of ints", lambda: interpreter.set_tensor(here, zeros[0].astype(int).tolist()))
ask("set None", lambda: interpreter.set_tensor(here, None))
ask("set less rank", lambda: interpreter.set_tensor(here, zeros[0][0]))
ask("set two", lambda: interpreter.set_tensor(here, np.zeros((2, *shape[1:]), dtype)))
ask("set no tensor", lambda: interpreter.set_tensor(999, zeros[0]))
ask("set tensor -1", lambda: interpreter.set_tensor(-1, zeros[0]))
ask("set by name", lambda: interpreter.set_tensor("input", zeros[0]))
ask("get no tensor", lambda: interpreter.get_tensor(999))
ask("get tensor -1", lambda: interpreter.get_tensor(-1))
ask("get by name", lambda: interpreter.get_tensor("output"))
ask("get of no subgraph", lambda: interpreter.get_tensor(there, 3))
ask("view of no tensor", lambda: interpreter.tensor(999)())
rng = np.random.default_rng(7)


def noise(detail: dict[str, Any], batch: int = 1) -> npt.NDArray[Any]:
    size = (batch, *detail["shape"][1:])
    if detail["dtype"] is np.float32:
        return rng.random(size, np.float32)
    info = np.iinfo(detail["dtype"])
    return rng.integers(info.min, info.max, size, detail["dtype"], endpoint=True)


for detail in inputs:
    ask("set", partial(interpreter.set_tensor, np.int64(detail["index"]), noise(detail)))
ask("invoke", interpreter.invoke)
for detail in tensors:
    ask(f"value of {detail['index']}", partial(interpreter.get_tensor, detail["index"]))
ask("a copy is mine", lambda: interpreter.get_tensor(there).fill(1))
ask("output", lambda: interpreter.get_tensor(there))

# ---- views
view = interpreter.tensor(here)
view()[...] = zeros[0]
ask("what the view wrote", lambda: interpreter.get_tensor(here))
ask("invoke between views", interpreter.invoke)
ask("output by view", interpreter.tensor(there))
held = view()[0]
ask("invoke with a slice held", interpreter.invoke)
ask("allocate with a slice held", interpreter.allocate_tensors)
ask("resize with a slice held", lambda: interpreter.resize_tensor_input(here, shape))
ask("get with a slice held", lambda: interpreter.get_tensor(there))
del held
ask("invoke with none held", interpreter.invoke)

# ---- batches
ask("resize to a number", lambda: interpreter.resize_tensor_input(here, 5))
ask("resize to text", lambda: interpreter.resize_tensor_input(here, "a"))
ask("resize less than nothing", lambda: interpreter.resize_tensor_input(here, [-1, *shape[1:]]))
interpreter = new()
interpreter.allocate_tensors()
for detail in inputs:
    ask("resize", partial(interpreter.resize_tensor_input, detail["index"], (3, *detail["shape"][1:])))
ask("input details after resize", interpreter.get_input_details)
ask("set after resize", lambda: interpreter.set_tensor(here, np.zeros((3, *shape[1:]), dtype)))
ask("invoke after resize", interpreter.invoke)
ask("allocate after resize", interpreter.allocate_tensors)
for detail in inputs:
    ask("set three", partial(interpreter.set_tensor, detail["index"], noise(detail, 3)))
ask("set one", lambda: interpreter.set_tensor(here, zeros[0]))
ask("invoke three", interpreter.invoke)
ask("three outputs", lambda: interpreter.get_tensor(there))
ask("output details of three", interpreter.get_output_details)
for detail in inputs:
    interpreter.resize_tensor_input(detail["index"], detail["shape"])
ask("allocate one again", interpreter.allocate_tensors)
ask("set one again", lambda: interpreter.set_tensor(here, zeros[0]))
ask("reset variables", interpreter.reset_all_variables)

# ---- signatures
ask("runner of no signature", lambda: new().get_signature_runner("missing"))
if len(interpreter.get_signature_list()) > 1:  # each a subgraph of its own, and what lives on is all of theirs
    several = new()
    runners = {key: several.get_signature_runner(key) for key in several.get_signature_list()}
    ask("runner of one of several", several.get_signature_runner)
    for turn in range(3):
        for key, runner in runners.items():
            fed = {name: noise(detail, turn + 1)[:1] for name, detail in runner.get_input_details().items()}
            ask(f"{key} {turn}", partial(runner, **fed))
            ask(f"{key}'s outputs {turn}", runner.get_output_details)
    ask("inner details", lambda: several.get_tensor_details(subgraph_index=1))
    ask("inner tensor", lambda: several.get_tensor(3, 1))
    ask("no such subgraph", lambda: several.get_tensor(0, 7))
    ask("no such subgraph's details", lambda: several.get_tensor_details(7))
elif interpreter.get_signature_list():
    runner = new().get_signature_runner()
    ask("runner's inputs", runner.get_input_details)
    ask("runner's outputs", runner.get_output_details)
    names = runner.get_input_details()
    ask("runner's types", lambda: type(names))
    ask("run", lambda: runner(**{name: noise(detail) for name, detail in names.items()}))
    ask("run four", lambda: runner(**{name: noise(detail, 4) for name, detail in names.items()}))
    ask("run without inputs", runner)
    ask("run with another name", lambda: runner(other=zeros[0]))
    ask("run with lists", lambda: runner(**{name: [1] for name in names}))
    ask("run with float64", lambda: runner(**{name: zeros[0].astype("float64") for name in names}))
    ask("run by position", lambda: runner(zeros[0]))
