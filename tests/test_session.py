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
