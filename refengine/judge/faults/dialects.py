"""The other dialects that a device may speak, by name."""

from __future__ import annotations

from dataclasses import replace

from ...kernel import PRESETS, Numerics

DIALECTS = {
    ("rounding", "double"): "double rounding",
    ("rounding", "single"): "single rounding",
    ("rounding", "xnnpack"): "XNNPACK's rounding",
    ("scale_math", "double"): "float64 scales (TFLM from commit 7b49bf8 on)",
    ("scale_math", "float32"): "float32 scales (TFLM before commit 7b49bf8)",
    ("scale_math", "tflite"): "float32 scales (TFLite)",
    ("contraction", "none"): "separate float32 multiply and add",
    ("contraction", "fma"): "FMA contraction",
    ("libm", "glibc"): "glibc's expf",
    ("libm", "glibc-2.41"): "glibc 2.41's tanhf",
    ("libm", "newlib"): "newlib's expf without FPU",
    ("libm", "newlib-fma"): "newlib's expf with a single-precision FPU",
    ("libm", "newlib-double"): "newlib's expf with a double-precision FPU",
    ("float_to_int", "x86"): "x86's conversion of floats to integers",
    ("float_to_int", "arm"): "Arm's conversion of floats to integers",
    ("float_to_int", "riscv"): "RISC-V's conversion of floats to integers",
    ("kernels", "tflm"): "TFLM's kernels",
    ("kernels", "cmsis-nn"): "CMSIS-NN's kernels",
    ("kernels", "esp-nn"): "ESP-NN's kernels",
    ("kernels", "litert-ref"): "TFLite's reference kernels",
    ("kernels", "litert"): "LiteRT's kernels",
}
"""Every single choice of `Numerics`, in words."""


def dialects(base: Numerics) -> dict[Numerics, str]:
    """The other dialects with their names: one choice away from `base` first, then real targets."""
    found = {base: ""}
    for (choice, value), name in DIALECTS.items():
        found.setdefault(replace(base, **{choice: value}), name)  # type: ignore[arg-type]
    for preset, numerics in PRESETS.items():
        found.setdefault(numerics, f"the dialect {preset}")
    del found[base]
    return found
