"""Walking: into subgraphs and over them, and across the border of inferences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from refengine import InputError, execute, make_plan
from refengine import Session as Stream
from refengine.debugger import START, Console, Session
from refengine.explanation import explain
from tests.kernels.test_assign_variable import remembering
from tests.kernels.test_while import cells, counting
from tests.test_new_operator import ALL, X, stateful


@pytest.fixture
def loop() -> Session:
    """A WHILE whose body, two ADDs, runs twice."""
    return Session(make_plan(counting()), cells(2), cells(10))


@pytest.fixture
def stream() -> Session:
    """Three inferences of a model that remembers the last one."""
    plan = make_plan(stateful(), kernels=ALL)
    return Session(plan, X, then=[(-X,), (X + np.int8(10),)])


def asker(session: Session) -> Callable[[str], list[str]]:
    console = Console(session)
    return lambda words: list(console.run(words))


def test_next_steps_over_a_loop(loop: Session) -> None:
    assert asker(loop)("next")[0].startswith("0 WHILE → 2 int32 1×1  0 … 0")
    assert loop.is_over and loop.current.path == ()


def test_step_goes_into_each_round_and_back_again(loop: Session) -> None:
    ask = asker(loop)
    places = [ask("step")[0].partition(" → ")[0] for _ in range(5)]
    assert places == [
        "operator 0, body 0: 2:0 ADD", "operator 0, body 0: 2:1 ADD",
        "operator 0, body 1: 2:0 ADD", "operator 0, body 1: 2:1 ADD", "0 WHILE",
    ]  # fmt: skip
    with pytest.raises(InputError, match="at its end"):
        ask("step")
    assert ask("back")[0].startswith("start")
    for _ in range(3):
        ask("step")
    assert ask("back")[0].startswith("operator 0, body 0: 2:1 ADD")
    assert ask("finish")[0].startswith("0 WHILE")


def test_names_are_those_of_the_subgraph_that_one_stands_in(loop: Session) -> None:
    ask = asker(loop)
    for _ in range(3):
        ask("step")
    assert loop.values(loop.frame.graph.tensors[0]).tolist() == [[1]]  # n in its second round
    assert loop.values(loop.frame.graph.tensors[4]).tolist() == [[0]]
    with pytest.raises(InputError, match="no value in this call yet"):
        loop.values(loop.frame.graph.tensors[5])
    assert [line.split()[:3] for line in ask("list")[1:]] == [["→", "2:0", "ADD"], ["2:1", "ADD", "1"]]
    with pytest.raises(InputError, match="finish leaves the subgraph"):
        ask("set 4 = 1")
    ask("finish")
    assert loop.values(loop.plan.graph.tensors[3]).tolist() == [[16]]


def test_breakpoints_stop_inside_subgraphs(loop: Session) -> None:
    ask = asker(loop)
    ask("break 2:1 if max(out) > 13")
    assert ask("continue")[1].startswith("operator 0, body 1: 2:1 ADD")
    ask("goto start")
    assert ask("next")[1].startswith("operator 0, body 1: 2:1 ADD")
    ask("delete")
    ask("goto start")
    assert ask("until 2:1")[0].startswith("operator 0, body 0: 2:1 ADD")
    with pytest.raises(InputError, match="subgraph 2, which may run often"):
        ask("goto 2:1")


def test_what_is_explained_is_the_record_that_one_stands_at(loop: Session) -> None:
    ask = asker(loop)
    ask("step")
    told = explain(loop.plan, loop.current, (0, 0))
    assert told.value == 1 and any("= 1" in line for line in ask("explain 0"))


def test_set_in_the_main_graph_runs_the_loop_anew(loop: Session) -> None:
    ask = asker(loop)
    ask("next")
    ask("set n[0,0] = 5")
    assert loop.values(loop.plan.graph.tensors[3]).tolist() == [[25]]
    ask("undo")
    assert loop.values(loop.plan.graph.tensors[3]).tolist() == [[16]]


def test_inferences_follow_one_another_and_back(stream: Session) -> None:
    ask, expected = asker(stream), Stream(stream.plan)
    for x in (X, -X, X + np.int8(10)):
        assert stream.position == START
        ask("next")
        outputs = expected.run(x)
        assert [y.tolist() for y in stream.current.outputs] == [y.tolist() for y in outputs]
        if not stream.is_over:
            assert ask("next")[0].startswith(f"inference {stream.inference}, start")
    with pytest.raises(InputError, match="at its end"):
        ask("next")
    ask("back 2")
    assert (stream.inference, stream.position) == (1, 0)
    assert stream.current.outputs[0].tolist() == [[1, 2, 3]]
    ask("back inference")
    assert (stream.inference, stream.position) == (0, START)
    ask("next inference")
    assert stream.inference == 1
    ask("goto inference 2")
    assert "variable" in ask("info state")[0] and "[-1 2 -3]" in ask("info state")[0]
    with pytest.raises(InputError, match="there is no inference 3"):
        ask("next inference")


def test_continue_stops_at_breakpoints_of_later_inferences(stream: Session) -> None:
    ask = asker(stream)
    ask("break 0 if max(out) > 5")
    assert ask("continue")[1].startswith("inference 2, 0 UNIQUE")
    assert ask("reverse")[0].startswith("inference 0, start")


def test_a_variable_is_set_as_its_inference_begins(stream: Session) -> None:
    ask = asker(stream)
    ask("goto inference 1")
    assert ask("set input1[0,0] = 100")[0].endswith("1 → 100")
    assert stream.values(stream.plan.graph.tensors[1]).tolist() == [[100, -2, 3]]
    ask("next")
    assert stream.current.outputs[0].tolist() == [[100, 2, 3]]
    assert "in inference 1" in ask("info changes")[0]
    ask("next inference")
    ask("back inference")
    ask("next")
    assert stream.current.outputs[0].tolist() == [[100, 2, 3]]
    ask("undo")
    assert stream.current.outputs[0].tolist() == [[1, 2, 3]]


def test_an_input_is_set_in_its_inference_only_and_lives_on_in_later_ones(stream: Session) -> None:
    ask = asker(stream)
    ask("set input0[0,1] = 50")
    ask("goto inference 1")
    ask("next")
    assert stream.current.outputs[0].tolist() == [[1, 50, 3]]


def test_all_outputs_can_be_looked_at(stream: Session) -> None:
    ask = asker(stream)
    said = ask("next")
    assert said[0].partition(" → ")[2].startswith("2 int8 1×3")
    assert [line.split()[:2] for line in said[1:3]] == [["and", "3"], ["and", "1"]]
    assert "0 -2  0" in ask("print out1")[1]
    assert any("or what is seen next" in line for line in ask("explain out2[0,1]"))
    with pytest.raises(InputError, match="no output 3"):
        ask("print out3")


def test_known_outputs_do_not_keep_a_variable_from_being_written() -> None:
    """An inference that is resumed leaves what a whole one leaves."""
    plan = make_plan(stateful(), kernels=ALL)
    (record,) = execute(plan, X)
    known = dict(zip((t.index for t in plan.outputs), record.outputs, strict=True))
    (resumed,) = execute(plan, X, known=known)
    assert resumed.state.variables[0, 1].tolist() == record.state.variables[0, 1].tolist()


def test_what_a_resource_variable_held_and_what_is_assigned_can_be_set() -> None:
    """The step that makes the handle has run, and is not computed again."""
    x = np.array([1, 2], np.int32)
    stream = Session(make_plan(remembering("int32")), x, then=[(10 * x,), (100 * x,)])
    ask = asker(stream)
    ask("goto inference 1")
    ask("continue")
    ask("goto inference 1")
    ask("next 2")
    assert ask("set 2[0] = 7")[0].endswith("1 → 7")
    assert stream.current.outputs[0].tolist() == [7, 2]
    assert ask("set x[1] = 50")[0].endswith("20 → 50")
    ask("next inference")
    ask("next 2")
    assert stream.current.outputs[0].tolist() == [10, 50]


def test_a_resource_variable_is_printed_set_and_watched_by_its_shared_name() -> None:
    """What it holds is no tensor's, and the handle's number is nobody's business."""
    x = np.array([1, 2], np.int32)
    stream = Session(make_plan(remembering("int32")), x, then=[(10 * x,), (100 * x,)])
    ask = asker(stream)
    ask("goto inference 1")
    assert ask("print v")[1:] == ["[0]  1 2"]
    assert ask("watch v") == ["breakpoint 1: watch 0 'v', written by operator 2 (ASSIGN_VARIABLE)"]
    assert "  a resource variable, assigned by operator 2 (ASSIGN_VARIABLE)" in ask("info tensor v")
    assert ask("set v[1] = 7")[0].endswith("2 → 7")
    assert ask("continue")[0] == "breakpoint 1: watch 0 'v': 2 of 2 changed"
    assert stream.record(1).outputs[0].tolist() == [1, 7] and ask("print v")[1:] == ["[0]  10 20"]
    ask("undo")
    assert stream.record(1).outputs[0].tolist() == [1, 2]
    with pytest.raises(InputError, match="is a variable's handle, no number; set the variable by its shared name"):
        stream.set(stream.plan.graph.tensors[0], None, 3)
