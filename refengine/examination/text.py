"""Health in words: the cells of its table, and the findings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..accuracy import reconstructs
from ..text import counted
from . import floats
from .layer import Layer

if TYPE_CHECKING:
    from . import Health  # which shows itself by what is told here
    from .findings import Finding

NO_CLASSES = " There are no classes, since as many values come out as go in, and no softmax makes them."

HEADINGS = (
    "#", "layer", "codes", "clamped\nbelow", "\nabove", "cut off\nby type", "sum bits\n(bound)", "silent",
    "own\nRMSE", "total\nRMSE", "SQNR\ndB", "cosine", "max\nerror", "error",
)  # fmt: skip


def table(measured: Health) -> tuple[tuple[str, ...], Iterator[tuple[str, ...]]]:
    """The headings, and a row of cells for each layer."""
    return (floats.HEADINGS, floats.float_rows(measured.floats)) if measured.floats else (HEADINGS, rows(measured))


def rows(measured: Health) -> Iterator[tuple[str, ...]]:
    """A row of cells for each layer, under `HEADINGS`."""
    return (tuple(_cells(layer.as_dict(), layer)) for layer in measured.layers)


def _cells(told: dict[str, Any], layer: Layer) -> Iterator[str]:
    clamped, acc, own, total = told["clamped"], told["accumulator"], told["own_error"], told["total_error"]
    made = None if layer.lives_on else layer.step
    activation = "NONE" if made is None else made.op.options.get("fused_activation_function", "NONE")
    yield "" if layer.step is None else layer.step.number
    name = "input" if layer.step is None else told["operator"]["name"] + (" (state)" if layer.lives_on else "")
    yield name + (f" + {activation}" if activation != "NONE" else "")
    yield f"{told['codes'][0]} … {told['codes'][1]}"
    yield f"{layer.below:.1%}" if clamped else ""
    yield f"{layer.above:.1%}" if clamped else ""
    yield f"{layer.lost_to_type:.2%}" if clamped else ""
    yield f"{acc['measured_bits']} ({acc['bound_bits']}) of {acc['width']}" if acc else ""
    yield (
        f"{len(layer.unchanging)} of {len(told['channels']['low'])}" if layer.step and not layer.is_inherited else ""
    )
    yield _figure(own, "rmse_per_scale", ".2f")
    yield _figure(total, "rmse_per_scale", ".2f")
    yield _figure(total, "sqnr_db", ".1f")
    yield _figure(total, "cosine", ".5f")
    yield _figure(total, "max_per_scale", ".1f")
    yield "" if layer.role == "none" else layer.role


def _figure(errors: dict[str, float | None] | None, name: str, form: str) -> str:
    """Nothing where there is nothing to compare with, or the figure is not finite."""
    value = errors and errors[name]
    return "" if value is None else format(value, form)


def decided(measured: Health) -> Iterator[str]:
    """What branches and loops decided, a line each."""
    yield from map(str, measured.decisions)


def _more(finding: Finding) -> str:
    """That all errors together do less to the outputs than one, where that is told."""
    one, every = finding.effect, finding.everything
    more = one is not None and every is not None and (one.changed or 0) > (every.changed or 0)
    return ", more than by all together, where errors make up for each other" if more else ""


def told(measured: Health) -> Iterator[str]:
    """The findings, the worst first, line by line."""
    findings = measured.findings
    plural = "s, the worst first" if len(findings) > 1 else ""
    yield f"{len(findings)} finding{plural}:" if findings else "Nothing suspicious."
    if findings and (everything := findings[0].everything):
        classes = "" if everything.changed is not None or not reconstructs(measured.plan) else NO_CLASSES
        on = counted(everything.inferences, "inference")
        yield f"(By all errors together, {everything}; measured on {on}.{classes})"
    for number, finding in enumerate(findings, 1):
        lost = f", about {finding.bits_lost:.1f} bits lost" if finding.bits_lost else ""
        effect = f" By this alone, {finding.effect}{_more(finding)}." if finding.effect and finding.effect.rmse else ""
        yield f"{number}. {finding.layer}: {finding.kind}{lost}. {finding.text}{effect}"
