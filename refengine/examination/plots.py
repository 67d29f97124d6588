"""Pictures of a model's health, as PNG. Needs matplotlib, the extra `plots`."""

from __future__ import annotations

from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..files import replacing
from ..numerics.quantize import code_range
from .layer import ROUNDING, Layer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OWN, TOTAL, MUTED = "#2a6fbb", "#d9822b", "#777777"
COLUMNS = 4


def prepare_folder(folder: str | Path) -> type[Figure]:
    """Make the folder for plots and load what draws them: worth doing before hours of measuring.

    Raises `InputError` without matplotlib, and OSError if the folder cannot be made.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError("plots need matplotlib: pip install 'refengine[plots]'") from error
    Path(folder).mkdir(parents=True, exist_ok=True)
    return Figure


def save_plots(layers: tuple[Layer, ...], folder: str | Path) -> list[Path]:
    """Write `activations.png` (each layer's codes against its type's range) and `errors.png` (what each layer's error
    is, and how much of it enters there) into `folder`; their paths.

    Raises what `prepare_folder` raises.
    """
    figure_type = prepare_folder(folder)
    drawn = {"activations.png": _activations(layers, figure_type), "errors.png": _errors(layers, figure_type)}
    paths = []
    for name, figure in drawn.items():
        paths.append(Path(folder) / name)
        with replacing(paths[-1]) as file:
            figure.savefig(file, format="png", dpi=130)
    return paths


def _activations(layers: tuple[Layer, ...], figure_type: type[Figure]) -> Figure:
    """A histogram for each layer over its type's whole range, logarithmic; what is never used is shaded."""
    rows = ceil(len(layers) / COLUMNS)
    figure = figure_type(figsize=(4 * COLUMNS, 2.6 * rows), layout="constrained")
    figure.suptitle("Codes of each layer against the range of its type (logarithmic; grey: never used)")
    for axes, layer in zip(figure.subplots(rows, COLUMNS, squeeze=False).flat, layers, strict=False):
        low, high = code_range(layer.tensor.dtype)
        edges = np.linspace(low - 0.5, high + 0.5, len(layer.histogram) + 1)
        axes.stairs(layer.histogram, edges, fill=True, color=OWN)
        axes.set(yscale="log", ylim=(0.5, None), xlim=(edges[0], edges[-1]), title=str(layer))
        axes.title.set_fontsize(9)
        for start, stop in ((edges[0], layer.codes[0] - 0.5), (layer.codes[1] + 0.5, edges[-1])):
            axes.axvspan(start, stop, color=MUTED, alpha=0.25, linewidth=0)
        axes.axvline(layer.zero_point, color=TOTAL, linewidth=1, linestyle="--")
        lost = f", {layer.lost_to_type:.2%} cut off" if layer.lost_to_type else ""
        axes.set_xlabel(f"scale {layer.scale:.4g}, zero point {layer.zero_point} (dashed){lost}", fontsize=8)
        axes.tick_params(labelsize=7)
        _bare(axes)
    for axes in figure.axes[len(layers) :]:
        axes.remove()
    return figure


def _errors(layers: tuple[Layer, ...], figure_type: type[Figure]) -> Figure:
    """Bars for each layer: its own error beside the total one, in codes, logarithmic, and the line of mere rounding."""
    shown = [layer for layer in layers if layer.own is not None]
    figure = figure_type(figsize=(8, 1.6 + 0.45 * len(shown)), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(shown))
    for offset, colour, label, errors in (
        (-0.2, OWN, "its own (enters here)", [layer.own for layer in shown]),
        (0.2, TOTAL, "in total (passed on as well)", [layer.total for layer in shown]),
    ):
        lengths = [0.0 if each is None else float(each.layer.rmse[0]) for each in errors]
        axes.barh(places + offset, lengths, 0.36, color=colour, label=label)
    axes.axvline(ROUNDING, color=MUTED, linewidth=1, linestyle="--", label="1/√12: rounding alone")
    axes.set_yticks(places, [str(layer) for layer in shown], fontsize=8)
    axes.set(xscale="log", xlim=(0.05, None), xlabel="RMSE in codes (RMSE / scale)", title="Error of each layer")
    axes.invert_yaxis()
    figure.legend(fontsize=8, frameon=False, loc="outside lower center", ncols=3)
    _bare(axes)
    return figure


def _bare(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
