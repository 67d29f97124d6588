"""The headers that an export writes: model.h, what others may call and read, and numerics.h, the arithmetic."""

from __future__ import annotations

import numpy as np

from ..model import Tensor
from ..plan import Plan
from ..text import in_c
from .call import At, bytes_of
from .packing import PATCH
from .running import Running
from .tables import Tables, affine, states_of, string

_STATES = (
    "/* All that lives on from one inference to the next, by the names that refengine's recordings have for it. */",
    "extern const struct tensor model_states[MODEL_STATES];",
)


def names_of(plan: Plan) -> tuple[list[str], list[str]]:
    """What the inputs and outputs are called in C: `input`, or `input0`, `input1`, … where there are several."""

    def numbered(kind: str, count: int) -> list[str]:
        return [kind] if count == 1 else [f"{kind}{i}" for i in range(count)]

    return numbered("input", len(plan.inputs)), numbered("output", len(plan.outputs))


def prototype(plan: Plan, ends: bool) -> str:
    """Of `model_invoke`; `ends`: an inference may end early."""
    inputs, outputs = names_of(plan)
    given = ", ".join([f"const void *{i}" for i in inputs] + [f"void *{o}" for o in outputs])
    return f"{kind(ends)} model_invoke({given})"


def kind(ends: bool) -> str:
    """Of what invokes the model: whether the inference ended early, where that may be."""
    return "int" if ends else "void"


def about(plan: Plan, name: str) -> str:
    """What both files begin with."""
    return (
        f"/* {in_c(name)}: made by `refengine export` from the .tflite with SHA-256\n"
        f" * {plan.model.sha256 or 'unknown'},\n"
        f" * numerics {plan.numerics}. */\n"
    )


def header_of(plan: Plan, name: str, tables: Tables, run: Running, arena_bytes: int) -> str:
    """model.h as text; `name` is what it calls the model."""
    (inputs, outputs), offsets = names_of(plan), tables.offsets
    steps, states = [row.step for row in run.rows if row.output is not None], states_of(plan, run, tables)
    defines = [
        ("NAME", tables.name(name)),
        ("SHA256", string(plan.model.sha256)),
        ("NUMERICS", string(str(plan.numerics))),
        ("ARENA_BYTES", arena_bytes),
        ("STEPS", sum(step.subgraph == 0 for step in steps)),
        ("INNER_STEPS", sum(step.subgraph != 0 for step in steps)),
        ("INPUTS", len(inputs)),
        ("OUTPUTS", len(outputs)),
        ("STATES", len(states)),
    ]
    for label, tensor in zip((*inputs, *outputs), (*plan.inputs, *plan.outputs), strict=True):
        defines.append((f"{label.upper()}_BYTES", bytes_of(tensor)))
        if (at := At(0, tensor.index)) in offsets:
            defines.append((f"{label.upper()}_OFFSET", offsets[at]))
    return "\n".join(
        [
            about(plan, name) + "#ifndef MODEL_H",
            "#define MODEL_H",
            "",
            '#include "step.h"',
            "",
            "#ifdef __cplusplus",
            'extern "C" {',
            "#endif",
            "",
            *(f"#define MODEL_{key} {value}" for key, value in defines),
            "",
            "/* Inputs are copied into the arena, outputs out of it. A NULL, or the tensor's own place in the arena",
            " * (model_arena + MODEL_…_OFFSET), copies nothing.",
            " *",
            *(_told(i, t) for i, t in zip((*inputs, *outputs), (*plan.inputs, *plan.outputs), strict=True)),
            *(
                [" *", " * 0; or 1 if the inference ended early, as TFLM's with kTfLiteAbort: no output then."]
                if run.ends
                else []
            ),
            " */",
            f"{prototype(plan, run.ends)};",
            "",
            "extern uint8_t model_arena[MODEL_ARENA_BYTES];",
            "/* The model's steps, then those of the subgraphs that it runs. */",
            "extern const struct step model_steps[MODEL_STEPS + MODEL_INNER_STEPS];",
            "extern const struct tensor model_inputs[MODEL_INPUTS];",
            "extern const struct tensor model_outputs[MODEL_OUTPUTS];",
            *(_STATES if states else []),
            "",
            "/* Forgets what lives on from one inference to the next; before the first one that is done for you. */",
            "void model_reset(void);",
            "",
            "/* Runs the golden input that the CRCs belong to; int model_selftest(void) in step.h checks them. */",
            "void model_invoke_golden(void);",
            "",
            "/* Runs on what lies in the inputs' places in the arena. */",
            f"{kind(run.ends)} model_invoke_in_place(void);",
            "",
            "#ifdef __cplusplus",
            "}",
            "#endif",
            "",
            "#endif",
            "",
        ]
    )


def _told(label: str, tensor: Tensor) -> str:
    """What a tensor of the interface holds, in a line of model.h."""
    scale, zero_point = affine(tensor)
    codes = f", scale {np.float32(scale):.9g}, zero point {zero_point}" if scale else ""
    return f" * {label}: {tensor.dtype} {'x'.join(map(str, tensor.shape)) or 'of one element'}{codes}"


def numerics_header_of(plan: Plan, run: Running) -> str:
    """numerics.h as text."""
    n = plan.numerics
    patch = max([call.patch for call in run.calls if call.patch <= PATCH], default=0)
    chosen = {
        "SINGLE_ROUNDING": n.rounding == "single",
        "XNNPACK_ROUNDING": n.rounding == "xnnpack",
        "FMA": n.contraction == "fma",
        "SATURATE": ("x86", "arm", "riscv").index(n.float_to_int),
    }
    lines = (
        f"#ifndef REFENGINE_{key}\n#define REFENGINE_{key} {int(value)}\n#endif\n" for key, value in chosen.items()
    )
    return (
        f"/* The arithmetic this model was planned for: {n}.\n * The weights and CRCs belong to it. */\n"
        "#ifndef REFENGINE_NUMERICS_H\n#define REFENGINE_NUMERICS_H\n\n" + "\n".join(lines) + "\n"
        f"/* The most taps of a window that is copied to the stack, five bytes each. */\n"
        f"#define REFENGINE_PATCH {max(4, -(-patch // 4) * 4)}\n\n#endif\n"
    )
