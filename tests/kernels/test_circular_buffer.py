"""CIRCULAR_BUFFER's own facts: the frame is taken, the inference ends early, and what a reset leaves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refengine import InferenceError, Session, UnsupportedError, execute, make_plan
from refengine.execute import infer
from refengine.kernel import Node
from refengine.kernels._flexbuffer import pack
from refengine.model import Model, Tensor
from refengine.strategies import model_of
from tests.models import custom, fed, q


def variable(*shape: int) -> Tensor:
    return Tensor(-1, "buffer", shape, "int8", q(0.5, 7), is_variable=True)


def buffer(slots: int = 3, cycles: int | None = 2, output: Tensor | None = None) -> Model:
    options = b"" if cycles is None else pack(cycles_max=cycles)
    output = output or variable(1, slots, 1, 2)
    return custom("CIRCULAR_BUFFER", options, [fed((1, 1, *output.shape[2:]), "int8", q(0.5, 7))], output)


def frame(k: int) -> np.ndarray[Any, Any]:
    return np.full((1, 1, 1, 2), k, np.int8)


def statuses(session: Session, *frames: int) -> list[Any]:
    """The newest column of what came out, or the status of what ended early."""
    found: list[Any] = []
    for k in frames:
        try:
            found.append(session.run(frame(k))[0][0, :, 0, 0].tolist())
        except InferenceError as error:
            found.append(error.status)
    return found


def test_the_rest_runs_every_few_frames_and_no_frame_is_lost() -> None:
    """At first, and after a reset, the buffer holds the zero point."""
    session = Session(buffer())
    assert statuses(session, 1, 2, 3, 4, 5) == [15, [7, 1, 2], 15, [2, 3, 4], 15]
    session.reset()
    assert statuses(session, 6, 8) == [15, [7, 6, 8]]


def test_later_operators_do_not_run_and_have_no_record() -> None:
    buffered = variable(1, 2, 1, 2)
    first = Node(
        "CIRCULAR_BUFFER", {}, (fed((1, 1, 1, 2), "int8"),), (buffered,), custom_options=pack(cycles_max=2)
    )
    then = Node("RESHAPE", {"new_shape": (4,)}, (buffered,), (fed((4,), "int8"),))
    plan = make_plan(model_of(first, then))
    with pytest.raises(InferenceError, match=r"operator 0 \(CIRCULAR_BUFFER\): the rest runs only every 2") as caught:
        list(execute(plan, frame(1)))
    records = list(execute(plan, frame(2), state=caught.value.state))
    assert [r.step.name for r in records] == ["CIRCULAR_BUFFER", "RESHAPE"]
    assert records[-1].outputs[0].tolist() == [1, 1, 2, 2]


def test_streams_of_a_batch_may_be_out_of_step() -> None:
    """One stream is a frame ahead of the other: one ends early where the other goes on."""
    plan = make_plan(buffer())
    with pytest.raises(InferenceError) as caught:
        infer(plan, 1, [frame(1)])
    state = type(plan.initial).joined([(np.array([0]), caught.value.state), (np.array([1]), plan.initial)])
    with pytest.raises(InferenceError) as caught:
        infer(plan, 2, [np.concatenate([frame(2), frame(2)])], state)
    assert caught.value.rows.tolist() == [False, True]
    assert caught.value.outputs[0][0, :, 0, 0].tolist() == [7, 1, 2]
    assert np.ma.getmaskarray(caught.value.outputs[0][1]).all()


@pytest.mark.parametrize(("slots", "period"), [(5, 1), (13, 1), (25, 1), (4, 2)])
@pytest.mark.parametrize("cycles", [None, 0, -1])
def test_without_a_period_tflm_guesses_it(slots: int, period: int, cycles: int | None) -> None:
    assert make_plan(buffer(slots, cycles)).steps[0].params.cycles_max == period


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (buffer(output=fed((1, 3, 1, 2), "int8")), r"output 'output0' is no variable tensor, so TFLM lets other"),
        (buffer(cycles=0, output=variable(1, 3, 2, 96)), r"such operators the program has prepared before"),
        (buffer(output=variable(2, 3, 1, 2)), r"is no frame \(1, 1, …\) of output 'output0' \(2, 3, 1, 2\)"),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)
