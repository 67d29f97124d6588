"""All kernels: one file per TFLM `kernels/*.cc`, registered by existing, read once somebody asks for its operators."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module

from ..errors import InputError
from ..kernel import Facts, Kernel, Kernels
from ..text import kind_of, shown
from ._runtimes import guarded

OTHERS = {
    "activations": ("RELU", "RELU6"),
    "arg_min_max": ("ARG_MAX", "ARG_MIN"),
    "comparisons": ("EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL"),
    "conv": ("CONV_2D",),
    "decode": ("TFLM_DECODE",),
    "delay": ("SignalDelay",),
    "depthwise_conv": ("DEPTHWISE_CONV_2D",),
    "detection_postprocess": ("TFLite_Detection_PostProcess",),
    "elementwise": ("ABS", "RSQRT", "SQRT", "LOG", "SIN", "COS", "SQUARE", "LOGICAL_NOT"),
    "energy": ("SignalEnergy",),
    "fft_auto_scale_kernel": ("SignalFftAutoScale",),
    "filter_bank": ("SignalFilterBank",),
    "filter_bank_log": ("SignalFilterBankLog",),
    "filter_bank_spectral_subtraction": ("SignalFilterBankSpectralSubtraction",),
    "filter_bank_square_root": ("SignalFilterBankSquareRoot",),
    "framer": ("SignalFramer",),
    "irfft": ("SignalIrfft",),
    "l2norm": ("L2_NORMALIZATION",),
    "logical": ("LOGICAL_AND", "LOGICAL_OR"),
    "maximum_minimum": ("MAXIMUM", "MINIMUM"),
    "overlap_add": ("SignalOverlapAdd",),
    "pad": ("PAD", "PADV2"),
    "pcan": ("SignalPCAN",),
    "pooling": ("MAX_POOL_2D", "AVERAGE_POOL_2D"),
    "reduce": ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_ALL"),
    "reverse": ("REVERSE_V2",),
    "rfft": ("SignalRfft",),
    "select": ("SELECT_V2",),
    "stacker": ("SignalStacker",),
    "window": ("SignalWindow",),
}
"""The operators of those files that do not bear the name of their only one."""

_FILES = sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))
_FILE_OF = {op: file for file in _FILES for op in OTHERS.get(file, (file.upper(),))}


@cache
def _kernels_of(file: str) -> Kernels:
    """Those of one file."""
    found: Kernels = import_module(f"{__name__}.{file}").KERNELS
    return {(op, t): guarded(op, t, kernel) for (op, t), kernel in found.items()}


@cache
def _facts_of(op: str) -> Facts:
    return next(kernel.facts for (name, _), kernel in _kernels_of(_FILE_OF[op]).items() if name == op)


class _Kernels(Mapping[tuple[str, str], Kernel]):
    """All kernels by operator and dtype. Reading all files takes more than twice the time of importing NumPy."""

    def __getitem__(self, key: tuple[str, str]) -> Kernel:
        return _kernels_of(_FILE_OF[key[0]])[key]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return (key for file in _FILES for key in _kernels_of(file))

    def __len__(self) -> int:
        return sum(len(_kernels_of(file)) for file in _FILES)

    def __repr__(self) -> str:
        return f"<KERNELS of {len(_FILE_OF)} operators>"


class _Facts(Mapping[str, Facts]):
    """The facts of every operator, by its name."""

    def __getitem__(self, op: str) -> Facts:
        return _facts_of(op)

    def __iter__(self) -> Iterator[str]:
        return iter(_FILE_OF)

    def __len__(self) -> int:
        return len(_FILE_OF)


KERNELS: Kernels = _Kernels()
FACTS: Mapping[str, Facts] = _Facts()

__all__ = ["FACTS", "KERNELS", "Kernel", "is_bundled", "require_kernels"]


def is_bundled(kernel: Kernel, op: str) -> bool:
    """Whether a kernel is one of the package's own for that operator; no other operator's file is loaded."""
    return op in _FILE_OF and any(kernel is own for own in _kernels_of(_FILE_OF[op]).values())


def require_kernels(kernels: object) -> None:
    """Raise `InputError` for anything else than a table of kernels, such as ``{**KERNELS, ("MyOp", "int8"): mine}``."""
    if kernels is KERNELS:  # which would load all its files
        return
    if not isinstance(kernels, Mapping):
        raise InputError(f'kernels are a mapping such as {{**KERNELS, ("MyOp", "int8"): mine}}, not {shown(kernels)}')
    for key, kernel in kernels.items():
        if not (isinstance(key, tuple) and [type(part) for part in key] == [str, str]):
            raise InputError(f"kernels are known by operator and type, such as ('MyOp', 'int8'), not by {key!r}")
        if not isinstance(kernel, Kernel):
            raise InputError(
                f"the kernel for {key} is {kind_of(kernel)}; give a refengine.Kernel of prepare, evaluate, explain and "
                "example"
            )
