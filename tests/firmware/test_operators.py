"""Every operator's C on emulated boards: drawn ones beside each other in one model, which checks itself.

Where CIRCULAR_BUFFER stands at its end, the first inferences end early, so that whatever remembers is checked as it is
after several of them.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from refengine import PRESETS, Numerics, make_plan
from refengine.cexport import export
from refengine.cexport.calls import CALLS, calls_of
from refengine.device.qemu import FIRMWARE, board_settings
from refengine.errors import RefengineError
from refengine.execute import execute
from refengine.kernel import Node
from refengine.kernels import FACTS, _flexbuffer
from refengine.kernels._linear import Computed
from refengine.model import Array, Model
from refengine.plan import Step
from refengine.strategies import inputs_of, model_of, nodes
from tests.firmware.test_boards import EMULATED, needs
from tests.models import fed, q
from tests.test_subgraphs import inputs as program_inputs
from tests.test_subgraphs import program

pytestmark = pytest.mark.slow

Case = tuple[Node, tuple[Array, ...]]


REFUSED = {
    (op, "float32")
    for op in ("COS", "RESIZE_BILINEAR", "SIN", "SignalIrfft", "SignalRfft", "TFLite_Detection_PostProcess")
}
"""What the arithmetic of one board or another refuses, as the manual's page says."""


def case_of(op: str, dtype: str, numerics: Numerics, wanted: Callable[[Step], bool] = lambda step: True) -> list[Case]:
    """An operator that exports in this arithmetic, with inputs on which it runs, if one is found."""
    found: list[Case] = []

    @seeded(0)
    @settings(max_examples=8, phases=[Phase.generate], database=None, suppress_health_check=[*HealthCheck])
    @given(nodes(op, dtype).flatmap(lambda node: st.tuples(st.just(node), inputs_of(model_of(node)))))
    def draw(case: Case) -> None:
        with suppress(RefengineError):
            plan = make_plan(model_of(case[0]), numerics=numerics)
            execute(plan, *case[1])
            if wanted(plan.steps[-1]) and calls_of(plan.steps[-1], plan.constants):
                found.append(case)

    draw()
    return found[-1:]  # the first ones are the simplest


def buffer() -> Case:
    """The last three frames, from the third on."""
    frame, kept = fed((1, 1, 1, 2), "int8", q(0.5, 7)), fed((1, 3, 1, 2), "int8", q(0.5, 7))
    options = _flexbuffer.pack(cycles_max=3)
    node = Node("CIRCULAR_BUFFER", {}, (frame,), (replace(kept, is_variable=True),), custom_options=options)
    return node, (np.array([[[[5, -6]]]], np.int8),)


def beside(drawn: list[Case]) -> tuple[Model, list[Array]]:
    """One model of all of them, and its inputs."""
    model = model_of(*(node for node, _ in drawn), outputs=[t for node, _ in drawn for t in node.outputs])
    return model, [x for _, inputs in drawn for x in inputs]


def checked(board: str, numerics: Numerics, model: Model, inputs: Sequence[Array], folder: Path) -> str:
    """What the board says of its own inference."""
    export(make_plan(model, numerics=numerics), folder / "model", *inputs)
    command = ["make", "-s", "-j2", "-C", str(FIRMWARE), "check", f"BOARD={board}"]
    done = subprocess.run(
        [*command, f"MODEL={folder / 'model'}", f"BUILD={folder / 'build'}"], capture_output=True, text=True
    )
    assert done.returncode == 0 and "passed" in done.stdout, done.stdout + done.stderr
    return done.stdout


def numerics_of(board: str) -> Numerics:
    return PRESETS[board_settings(board)["NUMERICS"]]


@pytest.mark.parametrize("board", ["mps2-an500", "riscv-virt-imc"])
def test_sounds_computed_weights_and_what_ends_early(board: str, tmp_path: Path) -> None:
    needs(board)
    numerics = numerics_of(board)
    sounds = [case for key in CALLS if key[0].startswith("Signal") for case in case_of(*key, numerics)]
    layers = [key for key in CALLS if FACTS[key[0]].weights is not None]
    computed = [case for key in layers for case in case_of(*key, numerics, is_computed)]
    drawn = [*sounds, *computed, buffer()]
    assert len(sounds) > 15 and len(computed) > 5
    assert checked(board, numerics, *beside(drawn), tmp_path).count("right") >= len(drawn)


def averaged(height: int, channels: int) -> Case:
    """The mean of all of an image 17 wide, of one code but for the last rows: sums as large as they can be."""
    x, y = fed((1, height, 17, channels), "int8", q(0.5)), fed((1, 1, 1, channels), "int8", q(0.5))
    window = {"padding": "VALID", "stride_h": 1, "stride_w": 1, "filter_height": height, "filter_width": 17}
    codes = np.full(x.shape, -128, np.int8)
    codes[:, -2:] = np.random.default_rng(height).integers(-128, -120, codes[:, -2:].shape)
    codes[..., 1::2] = ~codes[..., 1::2]
    return Node("AVERAGE_POOL_2D", window | {"fused_activation_function": "NONE"}, (x,), (y,)), (codes,)


def test_averages_of_as_many_as_a_helium_lane_has_room_for_and_of_more(tmp_path: Path) -> None:
    """255 positions fit an int16, 272 do not; 1 to 17 channels are some lanes of eight, all, and one more."""
    needs("mps3-an547")
    drawn = [averaged(height, channels) for height in (15, 16) for channels in (1, 3, 8, 17)]
    assert checked("mps3-an547", numerics_of("mps3-an547"), *beside(drawn), tmp_path).count("right") == len(drawn)


def is_computed(step: Step) -> bool:
    return isinstance(step.params, Computed)


@pytest.mark.long
@pytest.mark.parametrize("half", [0, 1])
@pytest.mark.parametrize("board", EMULATED)
def test_every_operator(board: str, half: int, tmp_path: Path) -> None:
    needs(board)
    numerics, keys = numerics_of(board), sorted(CALLS)[half::2]
    found = {key: case_of(*key, numerics) for key in keys}
    assert {key for key, case in found.items() if not case} <= REFUSED
    drawn = [case for cases in found.values() for case in cases]
    assert checked(board, numerics, *beside(drawn), tmp_path).count("right") > 0.95 * len(drawn)


@pytest.mark.long
@pytest.mark.parametrize("seed", [7, 30])
@pytest.mark.parametrize("board", EMULATED)
def test_subgraphs_branches_and_loops(board: str, seed: int, tmp_path: Path) -> None:
    needs(board)
    assert "right" in checked(board, numerics_of(board), program(seed), program_inputs(seed, 1)[0], tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("board", EMULATED)
def test_detections_in_the_arithmetic_of_a_pc(board: str, tmp_path: Path) -> None:
    """With the board's own `exp` of doubles, whose narrowed results are the same here."""
    needs(board)
    drawn = case_of("TFLite_Detection_PostProcess", "float32", Numerics(), lambda step: step.params.use_regular_nms)
    assert "right" in checked(board, Numerics(), *beside(drawn), tmp_path)
