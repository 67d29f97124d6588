"""refengine/cexport/inputs.py: the lines of C compile, and give what `quantize_input` gives, bit for bit."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from refengine import Plan, quantize_input
from refengine.cexport import input_lines
from refengine.model import Array
from refengine.tensors.inputs import pixels_to_input
from tests.judge.test_preparation import plan_of
from tests.models import q

FLAGS = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wno-unused-function"]

MAIN = """
#include <stdio.h>
int main(void) {
  for (int pixel = 0; pixel < 256; ++pixel) {
    const TYPE code = input_from_pixel((uint8_t)pixel);
    fwrite(&code, sizeof code, 1, stdout);
  }
  float real;
  while (REALS && fread(&real, sizeof real, 1, stdin) == 1) {
    const TYPE code = FROM_REAL(real);
    fwrite(&code, sizeof code, 1, stdout);
  }
  return 0;
}
"""

PLANS = {
    "the usual one": plan_of((1, 4, 4, 1), "int8", q(1 / 255, -128)),
    "-1 to 1": plan_of((1, 4, 4, 1), "int8", q(2 / 255, -1)),
    "0 to 255": plan_of((1, 4, 4, 3), "int8", q(1.0, -128)),
    "calibrated": plan_of((1, 4, 4, 3), "int8", q(0.018658448, -14)),
    "uint8": plan_of((1, 4, 4, 3), "uint8", q(1 / 255, 0)),
    "int16": plan_of((1, 4, 4, 1), "int16", q(1 / 32768)),
    "float32": plan_of((1, 4, 4, 1), "float32"),
}
RANGES = {"-1 to 1": (-1.0, 1.0), "calibrated": (-2.1179, 2.2489), "float32": (-2.1179, 2.64)}


def ran(folder: Path, plan: Plan, ends: tuple[float, float] | None, reals: Array, compiler: list[str]) -> Array:
    """All 256 pixels, then `reals`, through the lines."""
    tensor, is_float = plan.inputs[0], plan.inputs[0].dtype == "float32"
    defines = [f"-DTYPE={'float' if is_float else tensor.dtype + '_t'}", f"-DREALS={int(not is_float)}"]
    defines += [f"-DFROM_REAL={'' if is_float else 'input_from_real'}"]
    (folder / "main.c").write_text(f"{input_lines(plan, 0, ends)}{MAIN}")
    subprocess.run([*compiler, *FLAGS, *defines, "main.c", "-o", "a.out", "-lm"], cwd=folder, check=True)
    done = subprocess.run([folder / "a.out"], input=reals.astype(np.float32).tobytes(), stdout=-1, check=True)
    return np.frombuffer(done.stdout, tensor.dtype)


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
@pytest.mark.parametrize("name", PLANS)
def test_every_pixel_and_real_value_becomes_what_we_make_of_it(name: str, tmp_path: Path) -> None:
    """Also where the compiler may contract products and sums, as it does for Cortex-M by default."""
    plan, ends = PLANS[name], RANGES.get(name)
    rng, scale = np.random.default_rng(0), getattr(plan.inputs[0].quantization, "scale", [1.0])[0]
    ties = (np.arange(-300, 300) + 0.5) * scale
    wide = rng.normal(0, 100 * scale, 3000)
    reals = np.concatenate([ties, np.nextafter(np.float32(ties), 0), wide, [1e30, -1e30, np.inf, -np.inf, -0.0]])
    side = plan.inputs[0].shape[3]
    pixels = np.zeros((256, 4, 4, side), np.uint8) + np.arange(256, dtype=np.uint8)[:, None, None, None]
    expected = [pixels_to_input(plan, pixels, 0, ends)[:, 0, 0, 0]]
    if plan.inputs[0].dtype != "float32":
        expected.append(quantize_input(plan, reals.astype(np.float32)))
    contracting = ["cc", "-ffp-contract=fast"] + (["-mfma"] if has_fma() else [])
    found = ran(tmp_path, plan, ends, reals, contracting)
    assert found.tobytes() == np.concatenate(expected).tobytes()


def has_fma() -> bool:
    """Whether this machine runs programs built with FMA."""
    cpus = Path("/proc/cpuinfo")
    return cpus.exists() and " fma " in cpus.read_text(encoding="utf-8")


def test_one_subtraction_where_that_is_all() -> None:
    assert "return (int8_t)(pixel - 128);" in str(input_lines(PLANS["the usual one"]))
    assert "pixel / 255.0f" in str(input_lines(PLANS["calibrated"], 0, RANGES["calibrated"]))


def test_an_input_that_takes_no_pictures_has_no_pixels() -> None:
    lines = str(input_lines(plan_of((1, 40), "int16", q(1 / 32768))))
    assert "input_from_real" in lines and "pixel" not in lines


def test_a_name_cannot_leave_its_comment() -> None:
    plan = PLANS["the usual one"]
    tensors = tuple(replace(tensor, name="*/ int evil; /*\n") for tensor in plan.graph.tensors)
    lines = input_lines(replace(plan, graph=replace(plan.graph, tensors=tensors)))
    assert str(lines).count("*/") == 2 and "evil" in str(lines)


def test_integers_that_stand_for_themselves_have_no_lines() -> None:
    assert input_lines(plan_of((1, 4), "int32")) is None
