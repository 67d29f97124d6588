"""The facts of every operator are true of its kernels, tried on what their own `example` invents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod

import numpy as np
import pytest
from dice import Dice, invented
from hypothesis import assume
from hypothesis import strategies as st
from oracle import host_plan

from refengine import KERNELS, InferenceError, Plan, RefengineError, execute, strategies
from refengine.cexport.calls import CALLS
from refengine.kernel import Facts
from refengine.kernels import FACTS
from refengine.model import Array, Quantization
from refengine.plan import Step
from tests.laws import holds

KEYS = sorted(key for key, kernel in KERNELS.items() if not kernel.facts.control and not kernel.facts.resource)
Case = tuple[Plan, tuple[Array, ...]]


def those(holds: Callable[[Facts], object], types: str = "") -> pytest.MarkDecorator:
    """Every type (that begins so) of the operators of which this holds."""
    keys = [key for key in KEYS if holds(KERNELS[key].facts) and key[1].startswith(types)]
    assert keys
    return pytest.mark.parametrize(("op", "dtype"), keys, ids=[f"{op}-{dtype}" for op, dtype in keys])


def cases(op: str, dtype: str) -> st.SearchStrategy[Case]:
    """A plan of one operator, and inputs for it."""
    found = strategies.nodes(op, dtype).map(strategies.model_of)
    return found.flatmap(lambda model: st.tuples(st.just(host_plan(model)), strategies.inputs_of(model)))


def arrays(case: Case) -> list[Array | None]:
    """What the step is called with; those before it, which its example may need, have run."""
    *_, record = execute(case[0], *case[1])
    return [None if x is None else x[np.newaxis] for x in record.inputs]


def step_of(case: Case) -> Step:
    return case[0].steps[-1]


def elements(array: Array) -> set[bytes]:
    """The bits of an array's elements."""
    raw = np.ascontiguousarray(array).reshape(-1)
    return {x.tobytes() for x in raw}


def check(op: str, dtype: str, law: Callable[[Case], None], examples: int = 8) -> None:
    """The law on some examples, but those whose data TFLM refuses at run time (an index out of range)."""

    def tried(case: Case) -> None:
        try:
            law(case)
        except InferenceError:
            assume(False)

    holds(tried, examples, cases(op, dtype))


@pytest.mark.parametrize("op", sorted(FACTS))
def test_an_operator_has_the_same_facts_at_every_type(op: str) -> None:
    assert all(kernel.facts == FACTS[op] for (name, _), kernel in KERNELS.items() if name == op)


@those(lambda facts: facts.data is not None)
def test_the_output_has_one_of_the_types_that_the_facts_tell(op: str, dtype: str) -> None:
    def law(case: Case) -> None:
        step = step_of(case)
        assert all(t.dtype in step.facts.computes.get(dtype, (dtype,)) for t in step.outputs)
        assert step.data is not None and step.data.dtype == dtype

    check(op, dtype, law)


@those(lambda facts: facts.layout)
def test_the_layout_is_that_of_the_weights(op: str, dtype: str) -> None:
    def law(case: Case) -> None:
        step = step_of(case)
        assert step.weights is not None
        sizes = dict(zip(step.facts.layout, step.weights.shape, strict=True))
        assert sizes["O"] == step.outputs[0].shape[-1] and sizes.get("1", 1) == 1
        assert step.bias is None or step.bias.shape == (sizes["O"],)

    check(op, dtype, law)


@those(lambda facts: facts.shapes_only)
def test_of_shapes_only_no_element_matters(op: str, dtype: str) -> None:
    def law(case: Case) -> None:
        one = step_of(case).evaluate(*arrays(case))
        other = step_of(case).evaluate(*(x if x is None else np.zeros_like(x) for x in arrays(case)))
        assert all(a.tobytes() == b.tobytes() for a, b in zip(one, other, strict=True))

    check(op, dtype, law)


@those(lambda facts: facts.probabilities)
def test_probabilities_are_from_0_to_1_in_the_scale_that_tflm_computes_in(op: str, dtype: str) -> None:
    def law(case: Case) -> None:
        step = step_of(case)
        (codes,) = step.evaluate(*arrays(case))
        assume(codes.dtype.name == dtype)  # of int16 from int8, no fact tells the scale
        scale, zero_point = step.facts.fixed_output.get(dtype, (1.0, 0))  # whatever the file declares
        real = (codes.astype(np.float64) - zero_point) * scale
        assert ((real >= 0) & (real <= 1) | np.isnan(real)).all()

    check(op, dtype, law)


def test_who_computes_256ths_from_0_on_computes_probabilities() -> None:
    for op, facts in FACTS.items():
        assert facts.probabilities == (facts.fixed_output.get("int8") == (1 / 256, -128)), op


@those(lambda facts: facts.copies)
def test_copies_are_the_inputs_elements(op: str, dtype: str) -> None:
    def law(case: Case) -> None:
        step, given_ = step_of(case), arrays(case)
        assert step.data is not None
        points = step.data.quantization.zero_point if step.data.quantization else ()
        padding = np.array([*points, 0]).astype(step.outputs[0].dtype)
        known = set().union(elements(padding), *(elements(x) for x in given_ if x is not None))
        assert set().union(*map(elements, step.evaluate(*given_))) <= known

    check(op, dtype, law)


CHOOSING = {"BROADCAST_ARGS", "LOGICAL_AND", "LOGICAL_OR", "MAXIMUM", "MINIMUM", "REDUCE_ALL", "REDUCE_MIN"}
"""What has elements of its inputs only, but which of them depends on their values."""


def test_what_is_no_copy_computes_something() -> None:
    """Of each operator some example has an element that no input has."""
    dice, unseen = Dice(7), {op for op, dtype in KEYS if not KERNELS[op, dtype].facts.copies} - CHOOSING
    for op, dtype in KEYS * 30:
        if op in unseen:
            model = strategies.model_of(KERNELS[op, dtype].example(lambda value: value, dice))
            try:
                *_, record = execute(host_plan(model), *invented(model, dice))
            except RefengineError:
                continue
            known = set().union(*(elements(x) for x in record.inputs if x is not None))
            if not set().union(*(elements(np.asarray(x)) for x in record.outputs)) <= known:
                unseen.remove(op)
    assert not unseen


ANY_SCALE = {"MAXIMUM", "MINIMUM", "SELECT_V2"}
"""Those whose examples also declare scales that differ: they compute on codes, whatever these stand for."""


def test_who_shares_a_scale_has_the_inputs_in_every_example() -> None:
    """And nobody else has, but for the buffer, which hands on what it gets."""
    dice, sharing, differing = Dice(3), set(), {"CIRCULAR_BUFFER"}
    for op, dtype in [key for key in KEYS if key[1] in ("int8", "int16")] * 20:
        node = KERNELS[op, dtype].example(lambda value: value, dice)
        given_ = [t.quantization for t in node.inputs if t is not None and t.dtype == dtype and t.quantization]
        if given_ and node.outputs[0].dtype == dtype and node.outputs[0].quantization:
            sharing.add(op)
            differing |= {op} if node.outputs[0].quantization != given_[0] else set()
    assert sharing - differing == {op for op in sharing if FACTS[op].shares_scale} - ANY_SCALE


@those(lambda facts: facts.homogeneous, "float32")
def test_homogeneous_twice_the_data_gives_twice_the_output(op: str, dtype: str) -> None:
    def law(case: Case) -> None:
        step, given_ = step_of(case), arrays(case)
        assume(step.op.options.get("fused_activation_function", "NONE") in ("NONE", "RELU"))
        data = given_[0]
        assert step.facts.data == 0 and data is not None
        ends = np.isfinite(data) & ((np.abs(data) < 2.0**60) & (np.abs(data) > 2.0**-60) | (data == 0))
        assume(ends.all())
        (one,), (other,) = step.evaluate(*given_), step.evaluate(data * np.float32(2), *given_[1:])
        np.testing.assert_array_equal(one * np.float32(2), other)

    check(op, dtype, law)


@those(lambda facts: facts.elementwise)
def test_elementwise_an_element_matters_at_its_own_place_only(op: str, dtype: str) -> None:
    def law(case: Case) -> None:
        step, given_ = step_of(case), arrays(case)
        x, shape = given_[0], (1, *step.outputs[0].shape)
        assume(x is not None and x.shape == shape and step.inputs[0] not in step.inputs[1:] and prod(shape) > 1)
        assert x is not None
        changed = x.copy()
        changed.reshape(-1)[-1] = x.reshape(-1)[0]
        (one, *_), (other, *_) = step.evaluate(*given_), step.evaluate(changed, *given_[1:])
        assert one.reshape(-1)[:-1].tobytes() == other.reshape(-1)[:-1].tobytes()

    check(op, dtype, law)


UNSAID = {"DYNAMIC_UPDATE_SLICE", "SignalFftAutoScale", "SignalFilterBankLog", "SignalFilterBankSquareRoot",
          "SignalPCAN", "SignalWindow", "ZEROS_LIKE"}  # fmt: skip
"""Where an element of the first input matters at its own place only, too, but nobody is served by knowing it."""


def test_what_is_not_elementwise_has_another_shape_or_an_element_that_matters_elsewhere() -> None:
    dice, unseen = Dice(11), {op for op, dtype in KEYS if not KERNELS[op, dtype].facts.elementwise} - UNSAID
    for op, dtype in KEYS * 30:
        if op in unseen:
            model = strategies.model_of(KERNELS[op, dtype].example(lambda value: value, dice))
            case = host_plan(model), invented(model, dice)
            try:
                step, given_ = step_of(case), arrays(case)
                x = given_[0]
                if step.remembers or x is None or x.shape != (1, *step.outputs[0].shape):
                    unseen.remove(op)
                    continue
                changed = x.copy()
                changed.reshape(-1)[-1:] = x.reshape(-1)[:1]
                (one, *_), (other, *_) = step.evaluate(*given_), step.evaluate(changed, *given_[1:])
            except RefengineError:
                continue
            if one.reshape(-1)[:-1].tobytes() != other.reshape(-1)[:-1].tobytes():
                unseen.remove(op)
    assert not unseen


@those(lambda facts: facts.monotone == "rising", "int")
def test_rising_outputs_never_descend_where_inputs_ascend(op: str, dtype: str) -> None:
    def law(case: Case) -> None:
        step, lows = step_of(case), arrays(case)
        tensors = zip(step.inputs, lows, strict=True)
        rising = [x is not None and t is not None and t.data is None for t, x in tensors]
        highs = [
            np.maximum(x, np.roll(x, 1)) if up and x is not None else x for up, x in zip(rising, lows, strict=True)
        ]
        (low, *_), (high, *_) = step.evaluate(*lows), step.evaluate(*highs)
        assert (high >= low).all()

    check(op, dtype, law)


@those(lambda facts: facts.pads)
def test_padding_only_adds(op: str, dtype: str) -> None:
    def law(case: Case) -> None:
        step = step_of(case)
        assert step.data is not None
        assert all(a <= b for a, b in zip(step.data.shape, step.outputs[0].shape, strict=True))
        (x, *_), (y, *_) = arrays(case), step.evaluate(*arrays(case))
        assert x is not None and elements(x) <= elements(y)

    check(op, dtype, law)


@those(lambda facts: facts.arithmetic, "float32")
def test_arithmetic_is_that_of_the_sign(op: str, dtype: str) -> None:
    """Of small whole floats, which no rounding touches, before the clamp."""
    sign = FACTS[op].arithmetic
    by_hand: dict[str, Callable[[Array, Array], Array]] = {
        "+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide,
    }  # fmt: skip

    def law(case: Case) -> None:
        step, (a, b) = step_of(case), arrays(case)
        assert a is not None and b is not None
        a, b = (np.asarray(1 + np.arange(x.size) % 7, np.float32).reshape(x.shape) for x in (a, b))
        node = step.node._replace(options={**step.node.options, "fused_activation_function": "NONE"})
        plain = replace(step, node=node).prepared(case[0].numerics)
        assert (plain.evaluate(a, b)[0] == by_hand[sign](a, b)).all()

    check(op, dtype, law)


@those(lambda facts: facts.detects)
def test_what_detects_gives_boxes_classes_scores_and_their_number(op: str, dtype: str) -> None:
    def law(case: Case) -> None:
        boxes, *others, count = (prod(t.shape) for t in step_of(case).outputs)
        assert len(others) == 2 and {boxes} == {4 * n for n in others} and count == 1

    check(op, dtype, law)


def test_every_c_kernel_is_of_a_type_that_there_is() -> None:
    assert CALLS and CALLS.keys() <= KERNELS.keys()


@those(lambda facts: facts.fixed_output, "int")
def test_a_fixed_output_is_what_tflm_computes_in_whatever_is_declared(op: str, dtype: str) -> None:
    def law(case: Case) -> None:
        plan, inputs = case
        (output,) = step_of(case).outputs
        if output.dtype != dtype or dtype not in KERNELS[op, dtype].facts.fixed_output:
            return
        scale, zero_point = KERNELS[op, dtype].facts.fixed_output[output.dtype]
        graph = plan.model.graphs[0]
        declared = replace(output, quantization=Quantization((scale,), (zero_point,)))
        tensors = tuple(declared if t.index == output.index else t for t in graph.tensors)
        fixed = host_plan(replace(plan.model, graphs=(replace(graph, tensors=tensors), *plan.model.graphs[1:])))
        *_, mine = execute(plan, *inputs)
        *_, theirs = execute(fixed, *inputs)
        np.testing.assert_array_equal(mine.outputs[0], theirs.outputs[0])

    check(op, dtype, law)
