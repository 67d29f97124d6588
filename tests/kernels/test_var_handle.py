"""VAR_HANDLE's own facts: ids count variables, not operators, and names tell them apart."""

from __future__ import annotations

import pytest

from refengine import Model, UnsupportedError, make_plan, run
from refengine.model import Graph, Op, Tensor


def handles(*names: tuple[str, str], dtype: str = "int32", shape: tuple[int, ...] = ()) -> Model:
    tensors = tuple(Tensor(i, f"h{i}", shape, dtype) for i in range(len(names)))
    ops = tuple(
        Op(i, "VAR_HANDLE", (), (i,), {"container": container, "shared_name": name})
        for i, (container, name) in enumerate(names)
    )
    return Model((Graph(0, "main", tensors, (), tuple(range(len(names))), ops),))


def test_ids_are_the_order_of_first_appearance() -> None:
    outputs = run(handles(("", "b"), ("", "a"), ("", "b"), ("c", "x"), ("d", "x")))
    assert [y.item() for y in outputs] == [0, 1, 0, 2, 3]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (handles(("", "")), "no shared name, on which TFLM crashes"),
        (handles(("", "a"), ("c", "a")), "a container in one place and none in another, which TFLM mixes up"),
        (handles(("", "a"), shape=(2,)), r"int32 \(2,\); TFLM writes one int32 there"),
        (handles(("", "a"), dtype="float32"), "TFLM writes one int32 there"),
    ],
)
def test_refusals(model: Model, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        make_plan(model)
