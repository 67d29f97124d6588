"""Hold refengine's quantiser against ai-edge-quantizer, the one of litert-torch, rule by rule.

    python tools/edge_parity.py tests/data/quantizer/zoo.tar.xz
    python tools/edge_parity.py tests/data/quantizer/zoo.tar.xz --activations int16 --names

Needs `pip install ai-edge-quantizer==0.10.0`, which the tests do without. Every float network of the zoo (see
tools/zoo.py) is calibrated by ai-edge-quantizer on four random samples and quantised by its static recipe; refengine
converts it with the ranges that the other saw. `parity.compare` tells what differs; versions of operators do not count,
for ai-edge-quantizer writes 1 for all, and TFLM does not look at them.

Exit status: 0 it was compared, 2 it could not be.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import parity

from refengine import InputError, Model, Plan, RefengineError, Signature, load, make_plan
from refengine.quantizer import convert
from refengine.tensors.inputs import noise
from refengine.tflite_io import dump

SAMPLES = 4

VERDICTS = {
    "equal": "every parameter and constant equal",
    "options": "only options of operators differ",
    "parameters": "scales, zero points or constants differ",
    "operators": "other operators, or some left in float",
    "ours refuses": "refengine refuses it",
    "theirs refuses": "ai-edge-quantizer refuses it",
}
"""What comes of a network, and how the table calls it."""


def signed(model: Model) -> Model:
    """The model with the signature that ai-edge-quantizer asks for."""
    (graph, *_) = model.graphs
    ends = ({f"{kind}{k}": i for k, i in enumerate(of)} for kind, of in (("x", graph.inputs), ("y", graph.outputs)))
    return replace(model, signatures=(Signature("serving_default", 0, *ends),))


def quantized(plan: Plan, activations: str) -> tuple[Model, Mapping[int, tuple[float, float]]]:
    """What ai-edge-quantizer makes of a float model with a signature, and the ranges that it saw, by tensor."""
    from ai_edge_quantizer import quantizer, recipe

    rng, (signature,) = np.random.default_rng(0), plan.model.signatures
    places = {index: place for place, index in enumerate(plan.graph.inputs)}
    samples = [
        {name: noise(plan, places[index], rng, (-1.0, 1.0)) for name, index in signature.inputs.items()}
        for _ in range(SAMPLES)
    ]
    static: Any = recipe.static_wi8_ai8() if activations == "int8" else recipe.static_wi8_ai16()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = Path(folder) / "float.tflite"
        file.write_bytes(dump(plan.model))
        with contextlib.redirect_stderr(io.StringIO()):
            made = quantizer.Quantizer(str(file), static)
            seen = made.calibrate({signature.key: samples})
            theirs = load(bytes(made.quantize(seen).quantized_model))
    named = {t.name: t.index for t in plan.graph.tensors if t.data is None}
    found = {
        named[name]: (float(np.min(values["min"])), float(np.max(values["max"])))
        for name, values in seen.items()
        if name in named and "min" in values
    }
    return theirs, found


def verdict(model: Model, activations: str) -> tuple[str, str]:
    """One of `VERDICTS`, and what differs."""
    plan = make_plan(dump(signed(model)))
    try:
        theirs, ranges = quantized(plan, activations)
    except ImportError:
        raise InputError("ai-edge-quantizer is not installed: pip install ai-edge-quantizer==0.10.0") from None
    except Exception as error:  # of whatever kind it raises
        return "theirs refuses", f"{type(error).__name__}: {error}"
    try:
        ours = load(dump(convert(plan, ranges, activations=activations)))
    except RefengineError as error:
        return "ours refuses", str(error)
    return judged(parity.compare(ours, theirs))


def judged(comparison: parity.Comparison) -> tuple[str, str]:
    """How two models compare, versions of operators aside."""
    what = sorted({each.what for each in comparison.differences} - {"version"})
    if {"operator", "wiring"} & {*what}:
        return "operators", ", ".join(what)
    if not what:
        return "equal", ""
    return ("options" if what == ["option"] else "parameters"), ", ".join(what)


def verdicts(zoo: dict[str, bytes], activations: str) -> Iterator[tuple[str, str, str]]:
    """(network, verdict, what differs) of each."""
    for name in parity.members(zoo):
        yield name, *verdict(load(zoo[f"{name}_float32.tflite"]), activations)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("zoo", type=Path, help="what tools/zoo.py made: a folder or .tar.xz")
    parser.add_argument("--activations", choices=("int8", "int16"), default="int8")
    parser.add_argument("--names", action="store_true", help="list the networks, and what differs")
    arguments = parser.parse_args()
    found = defaultdict[str, list[tuple[str, str]]](list)
    try:
        for name, kind, what in verdicts(parity.read_zoo(arguments.zoo), arguments.activations):
            found[kind].append((name, what))
    except RefengineError as error:
        print(f"edge_parity.py: {error}", file=sys.stderr)
        return 2
    for kind, words in VERDICTS.items():
        print(f"{len(found[kind]):4}  {words}")
        for name, what in found[kind] if arguments.names else ():
            print(f"        {name}" + (f": {what}" if what else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main())
