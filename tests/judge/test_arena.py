"""Memory images: what is read was there, what was overlaid is named, and a layout that is not proven is refused."""

from __future__ import annotations

import re
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from refengine import InputError, Plan, diff, make_plan
from refengine.allocation import placed
from refengine.bundled import bundled_models
from refengine.cexport import export
from refengine.commands import main
from refengine.execute import execute
from refengine.judge.arena import _tells, read_arena
from refengine.judge.revealing import inputs_of
from refengine.model import Array
from tests.kernels.test_if import adding, branching

PLAN = make_plan(bundled_models()["stm32f746_int8"])


def noise(seed: int) -> Array:
    ((x,),) = inputs_of(PLAN, 1, seed)
    return x


def values_of(plan: Plan, *inputs: Array) -> dict[int, Array]:
    values = {t.index: x for t, x in zip(plan.inputs, inputs, strict=True)}
    return values | {t.index: x for r in execute(plan, *inputs) for t, x in zip(r.step.outputs, r.outputs, strict=True)}


def image_of(plan: Plan, values: dict[int, Array], after: int, shift: int = 0, before: bytes | None = None) -> bytes:
    """TFLM's arena when so many operators have run: every tensor written at its time, noise where operators scratch.

    With `shift`, all that lies behind the first buffer lies so many bytes further. `before` is what was there, noise by
    default.
    """
    blocks = placed(plan)
    image = np.random.default_rng(0).bytes(shift + max(p.offset + p.buffer.size for p in blocks))
    memory, noises = bytearray(before or image), np.random.default_rng(1)
    for block in sorted(blocks, key=lambda p: (p.buffer.first, p.tensor is not None)):
        if block.buffer.first <= after:
            data = values[block.tensor[1]].tobytes() if block.tensor else noises.bytes(block.buffer.bytes)
            at = block.offset + (shift if block.offset else 0)
            memory[at : at + len(data)] = data
    return bytes(memory)


@pytest.mark.parametrize("name", ["stm32f746_int8", "dense_int8", "stm32f746_float32", "dense_int16x8"])
def test_what_is_there_is_read_and_what_is_overlaid_is_named(name: str, tmp_path: Path) -> None:
    plan = make_plan(bundled_models()[name])
    (inputs,) = inputs_of(plan, 1, 3)
    values, path = values_of(plan, *inputs), tmp_path / "arena.bin"
    for time, step in enumerate(plan.steps, 1):
        image = image_of(plan, values, time)
        path.write_bytes(image)
        dump = read_arena(plan, path, *inputs, after=step.index, layout="tflm")
        assert all(dump.tensors[i].tobytes() == values[i].tobytes() for i in dump.tensors)
        there = {p.tensor[1]: image[p.offset : p.offset + p.buffer.bytes] for p in placed(plan) if p.tensor}
        computed = {p.tensor[1] for p in placed(plan) if p.tensor and p.buffer.first <= time}
        whole = {i for i in computed if there[i] == values[i].tobytes()}
        assert dump.tensors.keys() == whole, "nothing that is whole is left out"
        told = " ".join(dump.notes)
        assert all(f"tensor {i} " in told for i in computed - whole)
        assert not diff(plan, dump, *inputs).differs


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_an_image_of_the_c_export_is_read_by_its_own_offsets(tmp_path: Path) -> None:
    x = noise(5)
    export(PLAN, tmp_path / "model")
    (tmp_path / "x.bin").write_bytes(x.tobytes())
    (tmp_path / "main.c").write_text(
        """#include <stdio.h>
#include <stdlib.h>
#include "model.h"
static int32_t stop;
static void stopped(int32_t k) {
  if (model_steps[k].index == stop) { fwrite(model_arena, 1, MODEL_ARENA_BYTES, stdout); exit(0); }
}
int main(int count, char **given) {
  static int8_t in[MODEL_INPUT_BYTES], out[MODEL_OUTPUT_BYTES];
  FILE *file = fopen(given[1], "rb");
  if (fread(in, 1, sizeof in, file) != sizeof in) return 1;
  stop = atoi(given[2]);
  model_step_hook = stopped;
  model_invoke(in, out);
  return count;
}"""
    )
    sources = [str(path) for path in (tmp_path / "main.c", *(tmp_path / "model").glob("*.c"))]
    subprocess.run(["cc", "-O1", f"-I{tmp_path}/model", *sources, "-lm", "-o", tmp_path / "run"], check=True)
    values, seen = values_of(PLAN, x), set[int]()
    for after in (0, 1, 2, 4, 8, 10, 11):
        image = subprocess.check_output([tmp_path / "run", tmp_path / "x.bin", str(after)])
        (tmp_path / "arena.bin").write_bytes(image)
        dump = read_arena(PLAN, tmp_path / "arena.bin", x, after=after)
        assert all(t.tobytes() == values[i].tobytes() for i, t in dump.tensors.items())
        assert {t.index for s in PLAN.steps if s.index == after for t in s.outputs} <= dump.tensors.keys()
        seen |= dump.tensors.keys()
        by_name = read_arena(PLAN, tmp_path / "arena.bin", x, after=after, layout="export")
        assert by_name.tensors.keys() == dump.tensors.keys() and "C export lays it out" in by_name.notes[0]
    assert len(seen) >= 8


def test_a_wrong_tensor_in_an_image_is_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = noise(7)
    values = values_of(PLAN, x)
    output = PLAN.steps[0].outputs[0].index
    wrong = values | {output: np.roll(values[output], 1, axis=2)}
    (tmp_path / "arena.bin").write_bytes(image_of(PLAN, wrong, 1))
    np.save(tmp_path / "x.npy", x)
    command = ["diff", "stm32f746_int8", "--arena", str(tmp_path / "arena.bin"), "--after", "0"]
    assert main([*command, "--input", str(tmp_path / "x.npy")]) == 1
    told = capsys.readouterr().out
    assert "the arena is read as TFLM's planner lays it out" in told
    assert "certain: every difference vanishes if the output lies one column too late" in told
    assert main(["diff", "stm32f746_int8", str(tmp_path / "x.npy"), "--after", "0"]) == 2
    assert "are for --arena FILE" in capsys.readouterr().err


def test_another_kernels_scratch_buffers_make_no_culprit(tmp_path: Path) -> None:
    """The input is at its place, the rest lies elsewhere: it is found there, or not judged."""
    x = noise(8)
    values, read = values_of(PLAN, x), 0
    for time, step in enumerate(PLAN.steps[:5], 1):
        (tmp_path / "arena.bin").write_bytes(image_of(PLAN, values, time, shift=4096))
        with suppress(InputError):  # nothing at all is at its place any more
            dump = read_arena(PLAN, tmp_path / "arena.bin", x, after=step.index, layout="tflm")
            assert all(t.tobytes() == values[i].tobytes() for i, t in dump.tensors.items())
            read += 1
    assert read >= 2


def test_an_image_taken_later_than_said_blames_nobody(tmp_path: Path) -> None:
    """What later operators wrote over is theirs, and they are named; a sound device has no culprit."""
    x, path, refused = noise(10), tmp_path / "arena.bin", list[str]()
    values = values_of(PLAN, x)
    for time in range(3, len(PLAN.steps) + 1, 3):
        path.write_bytes(image_of(PLAN, values, time))
        for said in range(time - 1):
            try:
                dump = read_arena(PLAN, path, x, after=said, layout="tflm")
            except InputError as error:
                refused.append(str(error))
            else:
                assert not diff(PLAN, dump, x).culprits
    pattern = r"after operator (\d+), and what later operators compute is there, too: tensor .* say --after (\d+)$"
    found = [re.search(pattern, each) for each in refused]
    assert len(found) > 10 and all(each and int(each[1]) < int(each[2]) for each in found)


def test_an_image_taken_earlier_than_said_may_be_that_of_operators_that_never_ran(tmp_path: Path) -> None:
    x, path = noise(11), tmp_path / "arena.bin"
    path.write_bytes(image_of(PLAN, values_of(PLAN, x), 2))
    dump = read_arena(PLAN, path, x, after=3, layout="tflm")
    assert "what should be overlaid by then is whole: tensor 14 " in dump.notes[-1]
    assert dump.notes[-1].endswith("has not run, or the image was taken before, which --after 1 says")


@pytest.mark.parametrize("again", [False, True], ids=["first", "again"])
def test_a_faulty_device_is_judged_though_its_inference_before_was_of_the_same_input(
    again: bool, tmp_path: Path
) -> None:
    x, path = noise(12), tmp_path / "arena.bin"
    values, output = values_of(PLAN, x), PLAN.steps[2].outputs[0].index
    wrong = values | {output: np.roll(values[output], 1, axis=2)}
    for record in execute(PLAN, x, known={output: wrong[output]}) if again else ():
        wrong |= {t.index: y for t, y in zip(record.step.outputs, record.outputs, strict=True)}
    before = image_of(PLAN, wrong, len(PLAN.steps)) if again else None
    path.write_bytes(image_of(PLAN, wrong, 3, before=before))
    (culprit,) = diff(PLAN, read_arena(PLAN, path, x, after=2, layout="tflm"), x).culprits
    assert culprit.step.index == 2 and culprit.certainty == "certain"


@pytest.mark.parametrize(("codes", "tells"), [([5] * 6 + [6], False), ([5] * 8, False), ([5] * 7 + [6], True)])
def test_eight_bytes_of_two_kinds_are_nowhere_by_chance(codes: list[int], tells: bool) -> None:
    assert _tells(np.array(codes, np.int8)) == tells


def test_what_proves_nothing_is_refused(tmp_path: Path) -> None:
    x, path = noise(9), tmp_path / "arena.bin"
    image = image_of(PLAN, values_of(PLAN, x), 1)
    path.write_bytes(np.random.default_rng(2).bytes(len(image)))
    with pytest.raises(InputError, match=r"refengine computes there; stop after an earlier operator"):
        read_arena(PLAN, path, x, after=0)
    assert "nothing in it shows that this is right" in read_arena(PLAN, path, x, after=0, layout="tflm").notes[0]
    path.write_bytes(bytes(40) + image)
    with pytest.raises(InputError, match=r"input '.*' lies at byte \d+: say where the arena begins by --at"):
        read_arena(PLAN, path, x, after=0)
    assert read_arena(PLAN, path, x, after=0, at=40).tensors
    with pytest.raises(InputError, match=r"its own place: say --after which earlier operator"):
        read_arena(PLAN, path, x, after=3, at=40)
    with pytest.raises(InputError, match="no arena begins at byte 99999999 of it"):
        read_arena(PLAN, path, x, after=0, at=99999999)
    with pytest.raises(InputError, match=r"there is no operator 12; they are 0 to 11"):
        read_arena(PLAN, path, x, after=12)
    with pytest.raises(InputError, match=r"operator 0 \(IF\) runs other subgraphs, and an image is read"):
        read_arena(make_plan(branching(adding(1, [[1, 1]]), adding(2, [[10, 20]]))), path)
