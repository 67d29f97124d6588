"""States and the arrays of batches: split by rows, put together again."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine import InputError
from refengine.model import Array, Tensor
from refengine.state import Rows, State, concatenated, frozen, is_masked, joined, taken, unknown


@st.composite
def partitions(draw: st.DrawFn) -> list[Rows]:
    """The rows of a batch, dealt out to as many parts as there are."""
    part_of: npt.NDArray[np.int_] = np.array(draw(st.lists(st.integers(0, 3), min_size=2, max_size=9)))
    return [np.flatnonzero(part_of == part) for part in np.unique(part_of)]


def batch(n: int) -> Array:
    return np.arange(n * 3, dtype=np.int16).reshape(n, 3)


@given(partitions())
def test_what_is_taken_apart_is_joined_to_what_it_was(rows: list[Rows]) -> None:
    x = batch(sum(map(len, rows)))
    masked = np.ma.array(x, mask=x % 2 == 0)
    assert np.array_equal(joined(rows, [taken(x, part) for part in rows]), x)
    together = joined(rows, [taken(masked, part) for part in rows])
    assert is_masked(together) and np.array_equal(np.ma.getmaskarray(together), masked.mask)
    assert np.array_equal(np.ma.getdata(together), x)


@given(partitions())
def test_what_all_inferences_share_stays_one_until_a_part_changes_it(rows: list[Rows]) -> None:
    n, shared = sum(map(len, rows)), batch(1)
    assert all(taken(shared, part) is shared for part in rows)
    assert joined(rows, [shared for _ in rows]) is shared
    changed = [shared + 1, *(shared for _ in rows[1:])]
    expected = np.repeat(shared, n, axis=0)
    expected[rows[0]] += 1
    assert np.array_equal(joined(rows, changed), expected if len(rows) > 1 else shared + 1)


@given(partitions())
def test_a_state_is_joined_from_those_of_its_streams(rows: list[Rows]) -> None:
    x = batch(sum(map(len, rows)))
    state = State({(0, 1): x}, {("", "cache"): x + 1}, {(0, 2): (x + 2, x + 3)})
    again = State.joined([(part, state.of(part)) for part in rows])
    assert np.array_equal(again.variables[0, 1], x) and np.array_equal(again.resources["", "cache"], x + 1)
    assert [*map(np.ndarray.tolist, again.memory[0, 2])] == [(x + 2).tolist(), (x + 3).tolist()]


def test_a_new_value_leaves_the_old_state_as_it_was() -> None:
    first = State({(0, 1): batch(1)})
    second = first.with_variable(0, 1, batch(2)).with_resource(("", "r"), batch(1)).with_memory(0, 3, (batch(1),))
    assert len(first.variables[0, 1]) == 1 and not first.resources and not first.memory
    assert len(second.variables[0, 1]) == 2 and second.resources and second.memory
    assert second and not State()


def test_all_that_lives_on_has_a_name_by_which_it_is_put_back() -> None:
    state = State({(0, 3): batch(1), (2, 3): batch(1)}, {("", "r"): batch(1)}, {(0, 2): (batch(1),), (1, 0): ()})
    assert [*state.named()] == ["t3", "subgraph 2 t3", "resource 0", "operator 2 keeps 0"]
    again = state.holding({"subgraph 2 t3": batch(1)[0] + 1, "operator 2 keeps 0": batch(1)[0] + 2})
    apart = {name: (x - state.named()[name]).max() for name, x in again.named().items()}
    assert apart == {"t3": 0, "subgraph 2 t3": 1, "resource 0": 0, "operator 2 keeps 0": 2}
    assert again.variables[0, 3] is state.variables[0, 3] and again.memory[1, 0] == ()


def test_a_state_of_another_model_or_of_other_streams_is_refused() -> None:
    state = State({(0, 1): batch(2)})
    state.require_like(State({(0, 1): batch(1)}), 2)
    with pytest.raises(InputError, match="the state is of another model: begin with"):
        state.require_like(State({(0, 2): batch(1)}), 2)
    with pytest.raises(InputError, match="the state is of another model: begin with"):
        state.require_like(State({(0, 1): batch(1)[:, :2]}), 2)
    with pytest.raises(InputError, match="the state is that of 2 streams, and the input is of 3"):
        state.require_like(State({(0, 1): batch(1)}), 3)


@pytest.mark.parametrize(
    ("tensor", "dtype", "shape"),
    [
        (Tensor(0, "x", (1, 2), "int8"), "int8", (1, 1, 2)),
        (Tensor(0, "handle", (1,), "resource"), "int32", (1, 1)),
        (Tensor(0, "text", (2,), "string"), "uint8", (1, 2)),
        (Tensor(0, "open", (-1, 2), "float32"), "float32", (1, 1, 2)),
    ],
)
def test_of_an_unknown_tensor_nothing_is_defined(tensor: Tensor, dtype: str, shape: tuple[int, ...]) -> None:
    x = unknown(tensor)
    assert is_masked(x) and x.mask.all() and (x.dtype, x.shape) == (dtype, shape)


def test_arrays_that_are_handed_on_are_read_only_and_masked_only_where_one_was() -> None:
    x = batch(2)
    assert not frozen(x).flags.writeable and x.flags.writeable
    assert not is_masked(concatenated([x, x])) and not is_masked(None)
    both = concatenated([x, np.ma.array(x, mask=True)])
    assert is_masked(both) and np.ma.getmaskarray(both).sum() == x.size
