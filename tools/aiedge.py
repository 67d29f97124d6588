"""Quantise the zoo with ai-edge-quantizer, given the ranges that TensorFlow's converter saw, for `tools/parity.py`.

    pip install ai-edge-quantizer
    python tools/aiedge.py tests/data/quantizer/zoo.tar.xz FOLDER
    python tools/parity.py FOLDER

For each `NAME_float32.tflite`, whose tensors hold their ranges, it writes `NAME_int8.tflite` (recipe static_wi8_ai8)
and `NAME_int16x8.tflite` (static_wi8_ai16) into the folder, beside the float model, and tells what it refuses. Ranges
are widened to contain 0 first, as every quantiser does. The package is no dependency: it is for who keeps the table in
the manual's page on quantisation.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tarfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from refengine import load
from refengine.model import Signature
from refengine.tflite_io import dump

RECIPES = {"int8": "static_wi8_ai8", "int16x8": "static_wi8_ai16"}


def ranges(data: bytes) -> dict[str, dict[str, Any]]:
    """What the converter saw of each tensor, by its name."""
    found = {}
    for tensor in load(data).graphs[0].tensors:
        if tensor.quantization is not None and tensor.quantization.min:
            low, high = tensor.quantization.min[0], tensor.quantization.max[0]
            found[tensor.name] = {"min": np.array(low, np.float32), "max": np.array(high, np.float32)}
    return found


def signed(data: bytes) -> bytes:
    """The model with a signature, without which ai-edge-quantizer takes none."""
    model = load(data)
    if model.signatures:
        return data
    graph = model.graphs[0]
    places = [{graph.tensors[i].name: i for i in indices} for indices in (graph.inputs, graph.outputs)]
    return dump(replace(model, signatures=(Signature("serving_default", 0, *places),)))


def quantized(path: Path, recipe: str) -> bytes:
    """The model as ai-edge-quantizer makes it of the file."""
    from ai_edge_quantizer import quantizer
    from ai_edge_quantizer import recipe as recipes

    made = quantizer.Quantizer(str(path))
    made.load_quantization_recipe(getattr(recipes, recipe)())
    with contextlib.redirect_stdout(io.StringIO()):
        return bytes(made.quantize(ranges(path.read_bytes())).quantized_model)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("zoo", type=Path, help="the .tar.xz of float models with ranges")
    parser.add_argument("folder", type=Path, help="where to write")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    done: Counter[str] = Counter()
    with tarfile.open(args.zoo) as archive:
        for name in sorted(archive.getnames()):
            if not name.endswith("_float32.tflite") or name.endswith("_int8_float32.tflite"):
                continue
            file = archive.extractfile(name)
            assert file is not None
            path = args.folder / Path(name).name
            path.write_bytes(signed(file.read()))
            for kind, recipe in RECIPES.items():
                try:
                    data = quantized(path, recipe)
                except Exception as error:  # whatever another's program raises
                    done[f"{kind} refused"] += 1
                    print(f"{path.stem}, {kind}: {type(error).__name__}: {str(error).splitlines()[0][:200]}")
                    continue
                done[kind] += 1
                path.with_name(path.name.replace("_float32", f"_{kind}")).write_bytes(data)
    print(", ".join(f"{count} {what}" for what, count in sorted(done.items())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
