#!/usr/bin/env python3
"""Compare refengine's exp, tanh and float-to-int32 with the real C libraries, bit for bit.

    python tools/libm_exhaustive.py host                   # this machine's C library, all 2^32 float32 values
    python tools/libm_exhaustive.py m3 m4f m7sp m7 --stride 4099

`host` needs a C compiler; the Cortex-M targets need `gcc-arm-none-eabi`, `libnewlib-arm-none-eabi` and
`qemu-system-arm`. The SHA-256 is that of the real library's results; tests/numerics/test_float32.py keeps some.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from refengine.numerics import float32

PROBE = Path(__file__).with_name("libm_probe.c")
FUNCTIONS = ("exp", "tanh", "int32")
CHUNK = 2**16 * 31  # not a power of two, so that edges fall on both sides of a chunk's end
BLOCK = 16384  # values that the probe reads at a time

LINKER_SCRIPT = """SECTIONS {
  . = 0;
  .vectors : { KEEP(*(.isr_vector)) }
  .text : { *(.text*) *(.rodata*) }
  .data : { *(.data*) }
  .bss : { *(.bss*) *(COMMON) }
}"""

Results = list[npt.NDArray[np.uint32]]


class Target(NamedTuple):
    """A Cortex-M that QEMU has, how to compile for it, and the `libm` that it should be."""

    machine: str
    flags: str
    libm: str


TARGETS = {
    "m3": Target("mps2-an385", "-mcpu=cortex-m3 -mfloat-abi=soft", "newlib"),
    "m4f": Target("mps2-an386", "-mcpu=cortex-m4 -mfloat-abi=hard -mfpu=fpv4-sp-d16", "newlib-fma"),
    "m7sp": Target("mps2-an500", "-mcpu=cortex-m7 -mfloat-abi=hard -mfpu=fpv5-sp-d16", "newlib-fma"),
    "m7": Target("mps2-an500", "-mcpu=cortex-m7 -mfloat-abi=hard -mfpu=fpv5-d16", "newlib-double"),
}


class Host:
    """The C library that this Python runs on, through a loop compiled on the spot."""

    libm, float_to_int = "glibc", "x86"

    def __init__(self, folder: Path) -> None:
        library = folder / "probe.so"
        subprocess.run(["cc", "-O2", "-fno-builtin", "-shared", "-fPIC", PROBE, "-o", library, "-lm"], check=True)
        self.probe = ctypes.CDLL(str(library))

    def __call__(self, x: npt.NDArray[np.float32]) -> Results:
        results = [np.empty(len(x), np.uint32) for _ in FUNCTIONS]
        for name, y in zip(FUNCTIONS, results, strict=True):
            apply = getattr(self.probe, f"apply_{name}")
            apply(ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(y.ctypes.data), len(x))
        return results


class Board:
    """newlib on a Cortex-M under QEMU, which reads and writes this machine's files by semihosting."""

    float_to_int = "arm"

    def __init__(self, target: Target, folder: Path) -> None:
        self.machine, self.libm, self.folder = target.machine, target.libm, folder
        (folder / "probe.ld").write_text(LINKER_SCRIPT)
        subprocess.run(["arm-none-eabi-gcc", "-mthumb", *target.flags.split(), "-O2", "-fno-builtin", "-nostartfiles",
                        "--specs=nosys.specs", PROBE, "-Wl,-T,probe.ld,--no-warnings", "-lm", "-o", "probe.elf"],
                       cwd=folder, check=True)

    def __call__(self, x: npt.NDArray[np.float32]) -> Results:
        x.tofile(self.folder / "x")
        subprocess.run(["qemu-system-arm", "-M", self.machine, "-nographic", "-semihosting-config",
                        "enable=on,target=native", "-kernel", "probe.elf"], cwd=self.folder, check=True)
        y = np.fromfile(self.folder / "y", np.uint32)
        blocks = np.split(y, np.cumsum([len(part) for part in self._blocks(x) for _ in FUNCTIONS])[:-1])
        return [np.concatenate(blocks[i::len(FUNCTIONS)]) for i in range(len(FUNCTIONS))]

    @staticmethod
    def _blocks(x: npt.NDArray[np.float32]) -> Iterator[npt.NDArray[np.float32]]:
        return (x[i:i + BLOCK] for i in range(0, len(x), BLOCK))


def emulate(function: str, x: npt.NDArray[np.float32], libm: str, float_to_int: str) -> npt.NDArray[np.uint32]:
    """The same by refengine, as bits."""
    if function == "int32":
        return float32.to_int32(x, float_to_int).view(np.uint32)
    return getattr(float32, function)(x, libm).view(np.uint32)


def canonical(function: str, bits: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """All NaNs alike: their sign and payload are not modelled."""
    return bits if function == "int32" else np.where(np.isnan(bits.view(np.float32)), np.uint32(0x7FC00000), bits)


def compare(name: str, library: Host | Board, stride: int) -> int:
    """Print a line per function; the number of differences."""
    differences = dict.fromkeys(FUNCTIONS, 0)
    digests = {function: hashlib.sha256() for function in FUNCTIONS}
    for first in range(0, 2**32, CHUNK * stride):
        bits = np.arange(first, min(first + CHUNK * stride, 2**32), stride, dtype=np.uint64).astype(np.uint32)
        x = bits.view(np.float32)
        for function, wanted in zip(FUNCTIONS, library(x), strict=True):
            wanted = canonical(function, wanted)
            seen = canonical(function, emulate(function, x, library.libm, library.float_to_int))
            for i in np.flatnonzero(seen != wanted)[:max(0, 3 - differences[function])]:
                print(f"  {name} {function}({x[i]!r} = {bits[i]:08x}): {wanted[i]:08x}, but emulated {seen[i]:08x}")
            differences[function] += np.count_nonzero(seen != wanted)
            digests[function].update(wanted)
    for function in FUNCTIONS:
        print(f"{name:5} {library.libm:14} {function:6} {-(-2**32 // stride):>13,} values "
              f"{differences[function]:>9,} differ  {digests[function].hexdigest()}", flush=True)
    return sum(differences.values())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="+", choices=["host", *TARGETS])
    parser.add_argument("--stride", type=int, default=1, help="try every stride-th bit pattern (default: all)")
    arguments = parser.parse_args()
    differences = 0
    for name in arguments.targets:
        with tempfile.TemporaryDirectory() as folder:
            library = Host(Path(folder)) if name == "host" else Board(TARGETS[name], Path(folder))
            differences += compare(name, library, arguments.stride)
    return int(differences > 0)


if __name__ == "__main__":
    sys.exit(main())
