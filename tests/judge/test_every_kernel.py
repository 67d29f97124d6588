"""Every kernel's examples, judged: what is right is, and one wrong bit is found where it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from refengine import KERNELS, InferenceError, execute, make_plan
from refengine.judge import Dump, diff
from refengine.judge.page import as_html
from refengine.judge.text import rows, told
from refengine.strategies import inputs_of, model_of, nodes

KEYS = [
    key
    for key, kernel in KERNELS.items()
    if kernel.facts.resource in ("", "read") and kernel.facts.control != "once" and key[0] != "CIRCULAR_BUFFER"
]
"""Those whose first inference leaves something to judge."""


@pytest.mark.slow
@pytest.mark.parametrize(("op", "dtype"), KEYS, ids=["-".join(pair) for pair in KEYS])
@settings(max_examples=3)
@given(data=st.data())
def test_a_wrong_bit_is_found_where_it_is(op: str, dtype: str, data: st.DataObject) -> None:
    model = model_of(data.draw(nodes(op, dtype)))
    plan, inputs = make_plan(model), data.draw(inputs_of(model))
    try:
        records = [record for record in execute(plan, *inputs) if not record.path]
    except InferenceError:
        assume(False)
    assume(not any(record.undefined for record in records))
    pairs = [(r.step, t, x) for r in records for t, x in zip(r.step.writes, (*r.outputs, *r.updates), strict=True)]
    right = {t.index: x for _, t, x in pairs if t.dtype != "resource"}
    assume(any(x.size and t.index in right for step, t, x in pairs if t in step.outputs))
    assert not diff(plan, Dump("right", right), *inputs).differs
    shown = [(step, t, x) for step, t, x in pairs if x.size and t.index in right]
    shown = [each for each in shown if each[0] is shown[-1][0]]
    for step, tensor, x in shown[:1] + shown[1:][-1:]:  # the last operator's output, and a variable or another output
        wrong = np.array(x, order="C")
        wrong.reshape(-1).view(np.uint8)[0] ^= 1
        report = diff(plan, Dump("wrong", {**right, tensor.index: wrong}), *inputs)
        assume(x.dtype.kind != "f" or not np.isnan(x.reshape(-1)[0]))  # any NaN is any other
        assert [(f.step.index, f.tensor.index) for f in report.culprits] == [(step.index, tensor.index)]
        assert as_html(report) and list(rows(report)) and all(list(told(culprit)) for culprit in report.culprits)
