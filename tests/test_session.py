"""A session: state lives on, fails as TFLM does, and is a value of its own."""

from __future__ import annotations

import numpy as np
import pytest

from refengine import InferenceError, InputError, Session, make_plan, run
from tests.kernels.test_assign_variable import remembering
from tests.kernels.test_call_once import accumulator, codes


def test_a_session_takes_what_run_takes() -> None:
    model = accumulator()
    for source in (model, make_plan(model)):
        assert Session(source).run(codes(1, 2))[0].tolist() == run(source, codes(1, 2))[0].tolist()


def test_inputs_that_do_not_fit_leave_the_state_alone() -> None:
    session = Session(accumulator())
    session.run(codes(7, 7))
    with pytest.raises(InputError, match="got 0 arrays"):
        session.run()
    assert session.run(codes(8, 8))[0].tolist() == [[7, 7]]


def test_what_was_kept_before_a_failure_lives_on() -> None:
    """CALL_ONCE and the handle ran; the read fails each time."""
    session = Session(remembering("float32", read=("float32", (3,))))
    before = session.state
    for _ in range(2):
        with pytest.raises(InferenceError):
            session.run(np.zeros(2, np.float32))
    assert session.state.resources.keys() == before.resources.keys()


def test_a_batch_is_as_many_streams() -> None:
    session = Session(accumulator())
    session.run(codes(1, 2, 3, 4))
    assert session.run(codes(0, 0, 0, 0))[0].tolist() == [[1, 2], [3, 4]]
    session.reset()
    assert session.run(codes(0, 0, 0, 0))[0].tolist() == [[3, 3], [3, 3]]


def test_a_state_is_that_of_this_model_and_of_as_many_streams() -> None:
    session = Session(accumulator())
    session.run(codes(1, 2, 3, 4))
    with pytest.raises(InputError, match="the state is that of 2 streams, and the input is of 1"):
        session.run(codes(1, 2).reshape(session.plan.inputs[0].shape))
    with pytest.raises(InputError, match="the state is that of 2 streams, and the input is of 3"):
        session.run(codes(1, 2, 3, 4, 5, 6))
    assert session.run(codes(0, 0, 0, 0))[0].tolist() == [[1, 2], [3, 4]]
    session.state = Session(remembering("float32")).state
    with pytest.raises(InputError, match="the state is of another model"):
        session.run(codes(1, 2))
    session.state = 5  # type: ignore[assignment]
    with pytest.raises(InputError, match="the state is an int"):
        session.run(codes(1, 2))
