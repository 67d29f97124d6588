#!/usr/bin/env python3
"""Compare refengine's exp, tanh, log … and float-to-int32 with the real C libraries, bit for bit.

    python tools/libm_exhaustive.py host                   # this machine's C library, all 2^32 float32 values
    python tools/libm_exhaustive.py host --functions sin cos
    python tools/libm_exhaustive.py host --glibc FOLDER    # another glibc: its libm.so.6, libc.so.6 and ld-linux
    python tools/libm_exhaustive.py m3 m4f m7sp m7 m55 rv32imc rv32imafc --stride 4099

`host` needs a C compiler; the Cortex-M targets need `gcc-arm-none-eabi`, `libnewlib-arm-none-eabi` and
`qemu-system-arm`, those of RISC-V `gcc-riscv64-unknown-elf`, `picolibc-riscv64-unknown-elf` and `qemu-system-misc`.
`pow` gets an exponent in [-8, 8) for every base, see libm_probe.c. What is not proven for a target is left out. The
SHA-256 is that of the real library's results; tests/numerics/test_float32.py keeps some.
"""

from __future__ import annotations

import argparse
import hashlib
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from refengine.numerics import float32

PROBE = Path(__file__).with_name("libm_probe.c")
FUNCTIONS = {"exp": "expf", "tanh": "tanhf", "expm1": "expm1f", "log": "logf", "sin": "sinf", "cos": "cosf",
             "sqrt": "sqrtf", "pow": "power", "int32": "truncated"}  # fmt: skip  # and their names in the probe
CHUNK = 2**14 * 31  # not a power of two, so that edges fall on both sides of a chunk's end
BLOCK = 16384  # values that the probe reads, and refengine computes, at a time

LINKER_SCRIPT = """SECTIONS {
  . = DEFINED(CODE) ? CODE : 0;
  .vectors : { KEEP(*(.isr_vector)) }
  .text : { *(.text*) *(.rodata*) }
  . = DEFINED(DATA) ? DATA : .;
  .data : { *(.data*) }
  .bss : { *(.bss*) *(COMMON) }
}"""

Results = dict[str, npt.NDArray[np.uint32]]


class Target(NamedTuple):
    """A Cortex-M or RISC-V that QEMU has, how to compile and link for it, and the `libm` that it should be."""

    machine: str
    flags: str
    libm: str


TARGETS = {
    "m3": Target("mps2-an385", "-mcpu=cortex-m3 -mfloat-abi=soft", "newlib"),
    "m4f": Target("mps2-an386", "-mcpu=cortex-m4 -mfloat-abi=hard -mfpu=fpv4-sp-d16", "newlib-fma"),
    "m7sp": Target("mps2-an500", "-mcpu=cortex-m7 -mfloat-abi=hard -mfpu=fpv5-sp-d16", "newlib-fma"),
    "m7": Target("mps2-an500", "-mcpu=cortex-m7 -mfloat-abi=hard -mfpu=fpv5-d16", "newlib-double"),
    "m55": Target(
        "mps3-an547",
        "-mcpu=cortex-m55 -mfloat-abi=hard -DSTACK=0x31400000 -Wl,--defsym=CODE=0x10000000,--defsym=DATA=0x31000000",
        "newlib-double",
    ),
    "rv32imc": Target("virt", "-march=rv32imc -mabi=ilp32", "newlib"),
    "rv32imafc": Target("virt", "-march=rv32imafc -mabi=ilp32f", "newlib"),
}


class Library:
    """A real C library: the probe, compiled for it, between two files; those of `functions` that are proven for it."""

    def __init__(
        self, functions: Sequence[str], compiler: Sequence[str], runner: Sequence[str], libm: str, float_to_int: str
    ) -> None:
        self.functions = [name for name in functions if libm in float32.PROVEN.get(name, {libm})]
        self.libm, self.float_to_int, self.runner = libm, float_to_int, runner
        self._folder = tempfile.TemporaryDirectory()
        self.folder = Path(self._folder.name)
        (self.folder / "probe.ld").write_text(LINKER_SCRIPT)
        which = f"-DFUNCTIONS={','.join(FUNCTIONS[name] for name in self.functions)}"
        command: list[str | Path] = [*compiler, "-O2", "-fno-builtin", which, PROBE, "-lm", "-o", "probe.elf"]
        subprocess.run(command, cwd=self.folder, check=True)

    def __call__(self, x: npt.NDArray[np.float32]) -> Results:
        x.tofile(self.folder / "x")
        subprocess.run([*self.runner, "./probe.elf"], cwd=self.folder, check=True)
        y = np.fromfile(self.folder / "y", np.uint32)
        parts = np.split(y, np.cumsum([len(block) for block in blocks(x) for _ in self.functions])[:-1])
        return {name: np.concatenate(parts[i :: len(self.functions)]) for i, name in enumerate(self.functions)}


def host(functions: Sequence[str], glibc: Path | None) -> Library:
    """The C library that this Python runs on, or the glibc whose shared objects lie in a folder."""
    if glibc is None:
        return Library(functions, ["cc"], [], libm_of(platform.libc_ver()[1]), "x86")
    runner = [str(glibc / "ld-linux-x86-64.so.2"), "--library-path", str(glibc)]
    banner = subprocess.run([runner[0], "--version"], check=True, capture_output=True, text=True).stdout
    return Library(functions, ["cc"], runner, libm_of(banner.partition("version ")[2].split()[0].rstrip(".")), "x86")


def libm_of(version: str) -> str:
    """What `float32` calls a glibc."""
    major, minor = map(int, version.split(".")[:2])
    return "glibc" if (major, minor) <= (2, 40) else "glibc-2.41"


def board(functions: Sequence[str], target: Target) -> Library:
    """newlib on a Cortex-M, or picolibc on a RISC-V, under QEMU, which reads and writes this machine's files by
    semihosting."""
    if target.machine == "virt":
        compiler = ["riscv64-unknown-elf-gcc", *target.flags.split(), "-mcmodel=medany", "--specs=picolibc.specs",
                    "-nostartfiles", "-T", "probe.ld", "-Wl,--defsym=CODE=0x80000000,--no-warnings"]  # fmt: skip
        runner = ["qemu-system-riscv32", "-M", "virt", "-bios", "none", "-nographic", "-semihosting-config",
                  "enable=on,target=native", "-kernel"]  # fmt: skip
        return Library(functions, compiler, runner, target.libm, "riscv")
    compiler = ["arm-none-eabi-gcc", "-mthumb", *target.flags.split(), "-nostartfiles", "--specs=nosys.specs",
                "-Wl,-T,probe.ld,--no-warnings"]  # fmt: skip
    runner = ["qemu-system-arm", "-M", target.machine, "-nographic", "-semihosting-config", "enable=on,target=native",
              "-kernel"]  # fmt: skip
    return Library(functions, compiler, runner, target.libm, "arm")


def blocks(x: npt.NDArray[np.float32]) -> Iterator[npt.NDArray[np.float32]]:
    """Parts of at most `BLOCK` values, which stay in the cache."""
    return (x[i : i + BLOCK] for i in range(0, len(x), BLOCK))


def emulate(function: str, x: npt.NDArray[np.float32], libm: str, float_to_int: str) -> npt.NDArray[np.uint32]:
    """The same by refengine, as bits."""
    match function:
        case "int32":
            return float32.to_int32(x, float_to_int).view(np.uint32)
        case "sqrt":
            return float32.sqrt(x).view(np.uint32)
        case "pow":
            return float32.pow(x, exponents_for(x), libm).view(np.uint32)
    ours: npt.NDArray[np.float32] = getattr(float32, function)(x, libm)
    return ours.view(np.uint32)


def exponents_for(x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The probe's second arguments of powf: 2^24 values in [-8, 8), as good as random."""
    scrambled = (x.view(np.uint32) * np.uint32(0x9E3779B1)).view(np.int32) >> 8
    exponents: npt.NDArray[np.float32] = scrambled.astype(np.float32) * np.float32(2.0**-20)
    return exponents


def canonical(function: str, bits: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """All NaNs alike: their sign and payload are not modelled."""
    return bits if function == "int32" else np.where(np.isnan(bits.view(np.float32)), np.uint32(0x7FC00000), bits)


def compare(name: str, library: Library, stride: int) -> int:
    """Print a line per function; the number of differences."""
    differences = dict.fromkeys(library.functions, 0)
    digests = {function: hashlib.sha256() for function in library.functions}
    for first in range(0, 2**32, CHUNK * stride):
        bits = np.arange(first, min(first + CHUNK * stride, 2**32), stride, dtype=np.uint64).astype(np.uint32)
        x = bits.view(np.float32)
        for function, wanted in library(x).items():
            wanted = canonical(function, wanted)
            ours = [emulate(function, block, library.libm, library.float_to_int) for block in blocks(x)]
            seen = canonical(function, np.concatenate(ours))
            for i in np.flatnonzero(seen != wanted)[: max(0, 3 - differences[function])]:
                print(f"  {name} {function}({x[i]!r} = {bits[i]:08x}): {wanted[i]:08x}, but emulated {seen[i]:08x}")
            differences[function] += np.count_nonzero(seen != wanted)
            digests[function].update(wanted.data)
    for function in library.functions:
        print(
            f"{name:5} {library.libm:14} {function:6} {-(-(2**32) // stride):>13,} values "
            f"{differences[function]:>9,} differ  {digests[function].hexdigest()}",
            flush=True,
        )
    return sum(differences.values())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="+", choices=["host", *TARGETS])
    parser.add_argument("--functions", nargs="+", choices=FUNCTIONS, default=list(FUNCTIONS), help="default: all")
    parser.add_argument("--stride", type=int, default=1, help="try every stride-th bit pattern (default: all)")
    parser.add_argument("--glibc", type=Path, metavar="FOLDER", help="whose shared objects `host` runs on instead")
    arguments = parser.parse_args()
    differences = 0
    for name in arguments.targets:
        functions = arguments.functions
        library = host(functions, arguments.glibc) if name == "host" else board(functions, TARGETS[name])
        differences += compare(name, library, arguments.stride)
    return int(differences > 0)


if __name__ == "__main__":
    sys.exit(main())
