"""A plan as a folder of plain C11 that builds with `cc -std=c11 DIR/*.c -lm` and checks itself.

What is written here is data: arrays, struct initialisers, sizes, and one straight list of calls for each subgraph. The
code that they call is `firmware/kernels`, copied along.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..execute import batch_size
from ..files import write_all, written_or_told
from ..identity import identity
from ..kernel import Numerics
from ..model import Array
from ..plan import Source, Step, plan_of
from ..text import in_c, kind_of
from .data import Data
from .layouts import LAYOUTS, MODEL, Layout, check_prefix, laid_out, prefixed
from .model_c import source_of
from .model_h import header_of, numerics_header_of
from .placement import placement
from .running import Running, running
from .tables import Tables

HERE = Path(__file__).parent
KERNELS = next(path for path in (HERE / "kernels", HERE.parents[1] / "firmware" / "kernels") if path.is_dir())
"""The hand-written C: beside this file in an installed package, else the repository's own."""

NAMELESS = "A model"
"""What files call a model whose name is to be left out."""

HEADERS = ("kernels.h", "fixedpoint.h", "layers.h", "dot.h", "packed.h", "mve.h", "walk.h", "step.h")
COMMON = (*HEADERS, "selftest.c")


@dataclass(frozen=True)
class Exported:
    """What was written: `files` in `directory`, the arena's bytes, what TFLM's planner would need, and the constants'.

    `least_bytes` is a bound that no arena of these tensors can beat; `folded` are the operators left out because they
    depend on constants only.
    """

    directory: Path
    files: tuple[str, ...]
    arena_bytes: int
    tflm_arena_bytes: int
    least_bytes: int
    constant_bytes: int
    steps: int
    folded: tuple[Step, ...]

    def as_dict(self) -> dict[str, Any]:
        folded = [identity(step.op, step.subgraph) for step in self.folded]
        return {**vars(self), "directory": str(self.directory), "folded": folded}


def export(
    source: Source,
    directory: str | Path,
    *inputs: Array,
    numerics: Numerics | str | None = None,
    name: str = "model",
    prefix: str = MODEL,
    layout: Layout = "plain",
    names: bool = True,
) -> Exported:
    """Write a model to `directory` as C; `inputs` are the golden input of the self-test (noise by default), and
    `numerics` is for `make_plan`, where `source` is no plan yet.

    `name` is what the files call the model, `prefix` what its functions and files begin with, and `layout` for which
    tool they are laid out; without `names`, those of the model, its tensors and operators are left out. Raises
    `UnsupportedError` for what has no C kernel, `InputError` for inputs that do not fit, a prefix that begins no name
    in C or is another file's, or a directory that is none or cannot be written to.
    """
    for what, given in (("name", name), ("prefix", prefix)):
        if not isinstance(given, str):
            raise InputError(f"the {what} is {kind_of(given)}; give text, such as {MODEL!r}")
    check_prefix(prefix)
    if layout not in LAYOUTS:
        raise InputError(f"there is no layout {layout!r}; choose one of {', '.join(LAYOUTS)}")
    if not isinstance(directory, str | os.PathLike):
        raise InputError(f"the folder to export to is a path, not {kind_of(directory)}")
    plan, name = plan_of(source, numerics=numerics), name if names else NAMELESS
    if inputs:
        batch_size(plan, inputs)
    run = running(plan, *inputs)
    offsets, sizes = placement(plan, run)
    data, tables = Data(offsets), Tables(offsets, names)
    written = {
        "model.h": header_of(plan, name, tables, run, sizes["arena_bytes"]),
        "model.c": source_of(plan, name, tables, run, data),
        "numerics.h": numerics_header_of(plan, run),
    }
    written |= _kernels(run, written)
    directory = Path(directory)
    if directory.exists() and not directory.is_dir():
        raise InputError(f"{directory}: is a file; give a folder to export to")
    written = laid_out(prefixed(written, prefix), layout, prefix, in_c(name))
    with written_or_told():
        for folder in {(directory / file).parent for file in written}:
            folder.mkdir(parents=True, exist_ok=True)
        write_all({directory / file: text for file, text in written.items()})
    steps = sum(row.output is not None for row in run.rows)
    return Exported(
        directory, tuple(sorted(written)), constant_bytes=data.bytes, steps=steps, folded=run.folded, **sizes
    )


def _kernels(run: Running, written: Mapping[str, str]) -> dict[str, str]:
    """The hand-written files that the model needs beside those that are `written`, and what they include."""
    texts = dict(written)
    missing = {*COMMON, *(file for call in run.calls for file in (call.source, *call.uses))}
    while missing:
        texts |= {file: (KERNELS / file).read_text(encoding="utf-8") for file in sorted(missing)}
        included = {file for text in texts.values() for file in re.findall(r'#include "(\w+\.h)"', text)}
        missing = included - texts.keys()
    return {file: text for file, text in texts.items() if file not in written}
