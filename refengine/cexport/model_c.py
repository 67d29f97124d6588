"""model.c: the data, the tables, and one straight list of calls for each subgraph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..memory import ALIGNMENT
from ..model import Array, Tensor
from ..plan import Plan
from .call import Argument, At, Call, Constant, Several, bytes_of
from .data import Data
from .model_h import about, kind, names_of, prototype
from .running import Part, Row, Running
from .tables import Tables, states_of

_STEP = """\
#define STEP(place, call)     \\
  do {                        \\
    call;                     \\
    if (model_step_hook) {    \\
      model_step_hook(place); \\
    }                         \\
  } while (0)""".splitlines()


_STEP_OR_END = """\

#define STEP_OR_END(place, call) \\
  do {                           \\
    const int ends = call;       \\
    if (model_step_hook) {       \\
      model_step_hook(place);    \\
    }                            \\
    if (ends) {                  \\
      return 1;                  \\
    }                            \\
  } while (0)""".splitlines()


def source_of(plan: Plan, name: str, tables: Tables, run: Running, data: Data) -> str:
    """model.c as text, which calls the model `name`; its constants are put into `data`."""
    calls, inner = _calls(run.parts, data), [graph for graph in run.parts if graph]
    golden = _golden(plan, run, data)
    invoke = _invoke(plan, run, calls[0], data)
    reset = _reset(run, data)
    return "\n".join(
        [
            about(plan, name),
            "#include <math.h>",
            "#include <string.h>",
            "",
            *(['#include "control.h"'] if inner else []),
            '#include "kernels.h"',
            '#include "model.h"',
            "",
            "#define AT(offset) ((void *)(model_arena + (offset)))",
            "",
            *(f"static void subgraph{graph}(void);" for graph in inner),
            *([""] if inner else []),
            *data.lines,
            f"_Alignas({ALIGNMENT}) uint8_t model_arena[MODEL_ARENA_BYTES];",
            "",
            *_STEP,
            *(_STEP_OR_END if run.ends else []),
            "",
            *_tables(plan, tables, run),
            *reset,
            *(line for g in inner for line in (f"static void subgraph{g}(void) {{", *calls[g], "}", "")),
            *invoke,
            *golden,
        ]
    )


def _tables(plan: Plan, tables: Tables, run: Running) -> list[str]:
    states = [f"    {row}," for row in states_of(plan, run, tables)]
    return [
        "const struct step model_steps[MODEL_STEPS + MODEL_INNER_STEPS] = {",
        *(f"    {tables.step(row, row.output)}," for row in run.rows if row.output is not None),
        "};",
        "",
        "const struct tensor model_inputs[MODEL_INPUTS] = {",
        *(f"    {tables.tensor(t)}," for t in plan.inputs),
        "};",
        "",
        "const struct tensor model_outputs[MODEL_OUTPUTS] = {",
        *(f"    {tables.tensor(t)}," for t in plan.outputs),
        "};",
        "",
        *(["const struct tensor model_states[MODEL_STATES] = {", *states, "};", ""] if states else []),
    ]


def _remembers(run: Running, data: Data) -> bool:
    """Whether anything lives on from one inference to the next."""
    return any(place in data.offsets for place in run.begins)


def _reset(run: Running, data: Data) -> list[str]:
    if not _remembers(run, data):
        return ["void model_reset(void) {", "}", ""]
    begun = [
        _begun(data.offsets[place], f"initial{i}", value, data)
        for i, (place, value) in enumerate(run.begins.items())
        if place in data.offsets
    ]
    declared = "static int remembers; /* whether model_reset was called */"
    return [declared, "", "void model_reset(void) {", *begun, "  remembers = 1;", "}", ""]


def _begun(offset: int, name: str, value: Array, data: Data) -> str:
    """A line that sets a variable to what it is before the first inference."""
    if len(set(value.tobytes())) == 1:
        return f"  memset(AT({offset}), {value.tobytes()[0]}, {value.nbytes});"
    return f"  memcpy(AT({offset}), {data.array(name, value)}, {value.nbytes});"


def _invoke(plan: Plan, run: Running, calls: Sequence[str], data: Data) -> list[str]:
    (inputs, outputs), offsets = names_of(plan), data.offsets
    results = [
        f"AT({offsets[At(0, t.index)]})"
        if At(0, t.index) in offsets
        else data.array(f"constant_{label}", run.parts[0].known[t.index])
        for label, t in zip(outputs, plan.outputs, strict=True)
    ]
    return [
        f"{prototype(plan, run.ends)} {{",
        *(["  if (!remembers) {", "    model_reset();", "  }"] if _remembers(run, data) else []),
        *(
            f"  model_copy(AT({offsets[At(0, t.index)]}), {label}, {bytes_of(t)});"
            for label, t in zip(inputs, plan.inputs, strict=True)
        ),
        *calls,
        *(
            f"  model_copy({label}, {result}, {bytes_of(t)});"
            for label, t, result in zip(outputs, plan.outputs, results, strict=True)
        ),
        *(["  return 0;"] if run.ends else []),
        "}",
        "",
    ]


def _golden(plan: Plan, run: Running, data: Data) -> list[str]:
    """The functions that call `model_invoke`, on the golden input and on what lies in the arena."""
    inputs, outputs = names_of(plan)
    given = [data.array(f"golden_{label}", x) for label, x in zip(inputs, run.golden, strict=True)]
    invoked = f"  model_invoke({', '.join([*given, *['0'] * len(outputs)])});"
    return [
        "void model_invoke_golden(void) {",
        "  model_reset();",
        *_unheard(invoked, run.early),
        invoked,
        "}",
        "",
        f"{kind(run.ends)} model_invoke_in_place(void) {{",
        f"  {'return ' if run.ends else ''}model_invoke({', '.join(['0'] * len(inputs + outputs))});",
        "}",
        "",
    ]


def _unheard(line: str, times: int) -> list[str]:
    """The line so often, while no hook hears of it."""
    if not times:
        return []
    hook = "  void (*const hook)(int32_t) = model_step_hook;", "  model_step_hook = 0;"
    return [*hook, *[line] * times, "  model_step_hook = hook;"]


# ---- calls -------------------------------------------------------------------------------------------------


def _calls(parts: Mapping[int, Part], data: Data) -> dict[int, list[str]]:
    """The lines of each subgraph, the data that they need defined."""
    place = 0
    lines: dict[int, list[str]] = {}
    for graph, part in parts.items():
        lines[graph] = []
        for row in part.rows:
            if row.output is None:
                inside = f"subgraph{graph}_" if graph else ""
                lines[graph].append(f"  {_calls_in_c(row, f'{inside}assign{row.step.index}', data)};")
            else:
                step = "STEP_OR_END" if any(call.ends for call in row.calls) else "STEP"
                lines[graph].append(f"  {step}({place}, {_calls_in_c(row, f'step{place}', data) or '(void)0'});")
                place += 1
    return lines


def _calls_in_c(row: Row, name: str, data: Data) -> str:
    """The calls of a row, one behind the other, the data that they need defined."""
    several = len(row.calls) > 1
    named = ((call, f"{name}_{i}" if several else name) for i, call in enumerate(row.calls))
    return "; ".join(f"{call.kernel}({_arguments(row, call, label, data)})" for call, label in named)


def _arguments(row: Row, call: Call, name: str, data: Data) -> str:
    """The arguments of a call, their data defined."""
    places = [_argument(a, row, name, data) for a in call.arguments]
    if call.output is not None:
        assert row.to is not None
        places.append(f"AT({data.offsets[row.to]})")
    return ", ".join([f"&{data.params(name, call)}", *places])


def _argument(argument: Argument, row: Row, name: str, data: Data) -> str:
    match argument:
        case Constant():
            return data.constant(f"{name}_{argument.name}", argument)
        case Several():
            each = ", ".join(_argument(a, row, name, data) for a in argument.arguments)
            return f"(const void *const[]){{{each}}}"
        case Tensor():
            return f"AT({data.offsets[At(row.step.subgraph, argument.index)]})"
    return f"AT({data.offsets[argument]})"
