"""The calls of the view Walk: the graph, the numbers, where they come from, and what spoke for a class."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import refengine
from refengine import execute, make_plan
from refengine.bundled import bundled_models
from refengine.explanation import explain
from refengine.kernel import Line
from refengine.studio.words import OF_FLOATS, ROUNDED, STAGES, of_lines, of_step
from refengine.tensors.datasets import bundled_digits
from refengine.tensors.inputs import pixels_to_input
from tests.studio.conftest import Client

NETWORK = "stm32f746_int8"
ASKED = {"network": NETWORK, "sample": 13}


def sample(name: str = NETWORK, numerics: str = "tflm") -> tuple[refengine.Plan, Any]:
    plan = make_plan(name, numerics=numerics)
    return plan, pixels_to_input(plan, bundled_digits()[0][13:14])


def test_the_graph_has_a_box_for_every_operator_and_input(client: Client) -> None:
    plan, _ = sample()
    told = client.get("call/graph", {"network": NETWORK}).json()
    links = [link.attrib["href"] for link in ElementTree.fromstring(told["svg"]).iter("{http://www.w3.org/2000/svg}a")]
    assert links == ["#tensor0", *(f"#step{step.index}" for step in plan.steps)]
    assert [step["name"] for step in told["steps"]] == [step.name for step in plan.steps]
    for step in told["steps"]:
        assert {str(t) for t in (*step["inputs"], *step["writes"]) if t is not None} <= told["tensors"].keys()


@pytest.mark.parametrize("name", bundled_models())
def test_every_tensor_is_what_the_engine_computes(client: Client, name: str) -> None:
    plan, x = sample(name)
    for record in execute(plan, x):
        for tensor, expected in zip(record.step.outputs, record.outputs, strict=True):
            asked = {"network": name, "sample": 13, "tensor": tensor.index}
            assert client.get("call/tensor", asked).content == np.ascontiguousarray(expected).tobytes()
    constant = next(t for step in plan.steps for t in step.inputs if t is not None and t.data is not None)
    assert constant.data is not None
    asked = {"network": name, "sample": 13, "tensor": constant.index}
    assert client.get("call/tensor", asked).content == constant.data.tobytes()


@pytest.mark.parametrize("numerics", ["tflm", "xnnpack"])
def test_an_element_is_explained_as_explain_does_and_says_what_it_reads(client: Client, numerics: str) -> None:
    plan, x = sample(numerics=numerics)
    record = [*execute(plan, x)][4]
    told = client.get("call/element", {**ASKED, "numerics": numerics, "step": 4, "at": "0,1,2,7"}).json()
    expected = explain(plan, record, (0, 1, 2, 7))
    assert [(line["name"], line["text"]) for line in told["lines"]] == [
        (line.name, line.text) for line in expected.lines
    ]
    assert told["value"] == expected.value == record.outputs[0][0, 1, 2, 7]
    taps = [line["reads"] for line in told["lines"] if line["name"] == "tap"]
    assert len(taps) == 576 and all(len(reads) == 2 for reads in taps)
    image, weights = record.inputs[:2]
    assert image is not None and weights is not None
    products = sum((int(image.flat[i[1]]) + 128) * int(weights.flat[w[1]]) for i, w in taps)
    assert products == next(line["value"] for line in told["lines"] if line["name"] == "accumulator")


@pytest.mark.parametrize(
    ("call", "more", "why"),
    [
        ("element", {"step": 99, "at": "0"}, "there is no operator 99; the last is 11"),
        ("element", {"step": 0, "at": "0,0"}, "there is no element [0, 0]"),
        ("element", {"step": 0, "at": "0,0,0,x"}, "which is no number"),
        ("element", {"step": 0, "at": "0,0,0,0", "output": 4}, "there is no output 4"),
        ("element", {"step": 0}, "says nothing of 'at'"),
        ("tensor", {"tensor": 999}, "there is no tensor 999"),
        ("heat", {"label": 10}, "there is no class 10; the last is 9"),
        ("heat", {}, "says nothing of 'label'"),
    ],
)
def test_what_there_is_not_is_said(client: Client, call: str, more: dict[str, Any], why: str) -> None:
    response = client.get(f"call/{call}", {**ASKED, **more})
    assert response.status == 400 and why in response.json()["error"]


def test_the_stages_of_the_bundled_networks_are_told_in_words() -> None:
    for name in bundled_models():
        plan, x = sample(name)
        for record in execute(plan, x):
            at = tuple(0 for _ in record.outputs[0].shape)
            lines = explain(plan, record, at).lines
            for line, words in zip(lines, of_lines(record.step, lines), strict=True):
                assert words, f"{record.step}: {line.name}"
            assert of_step(record.step).endswith(".")
    assert [*of_lines(record.step, [Line("never heard of", "", 0)])] == [""]
    assert all(words.endswith(".") for told in (STAGES, OF_FLOATS, ROUNDED) for words in told.values())


@pytest.mark.parametrize(
    ("numerics", "step", "begins"),
    [
        ("tflm", 0, "Second rounding: "),
        ("single", 0, "The only rounding: product and shift in one"),
        ("xnnpack", 0, "The only rounding: the product becomes a whole number"),
        ("tflm", 11, "The same in steps of another size"),
    ],
)
def test_a_result_is_told_as_its_dialect_and_its_operator_round(numerics: str, step: int, begins: str) -> None:
    plan, x = sample(numerics=numerics)
    record = [*execute(plan, x)][step]
    lines = explain(plan, record, tuple(0 for _ in record.outputs[0].shape)).lines
    told = [words for line, words in zip(lines, of_lines(record.step, lines), strict=True) if line.name == "scaled"]
    assert len(told) == 1 and told[0].startswith(begins)


def test_taps_of_floats_and_of_pools_are_no_products_of_codes() -> None:
    for name, step, begins in (("stm32f746_float32", 0, "One product, of"), (NETWORK, 1, "One of the numbers")):
        plan, x = sample(name)
        record = [*execute(plan, x)][step]
        lines = explain(plan, record, (0, 0, 0, 0)).lines
        assert next(of_lines(record.step, lines)).startswith(begins)
