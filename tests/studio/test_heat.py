"""refengine/studio/heat.py: the numbers of heat maps, computed again by inferences one by one."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from refengine import execute
from refengine.errors import InputError
from refengine.plan import Plan
from refengine.studio.asked import Asked
from refengine.studio.heat import ASKED, MOST, heat
from refengine.studio.studio import Studio
from refengine.tensors.datasets import bundled_digits
from refengine.tflite_io import dump
from tests.models import const, fed, one_op

NETWORK = "dense_int8"
PAPER = -128


def told(way: str, label: int, network: str = NETWORK, **drawing: str) -> dict[str, Any]:
    asked = {"network": network, "way": way, "label": str(label), **(drawing or {"sample": "13"})}
    return heat(Studio(), Asked(asked))


def picture() -> np.ndarray:
    return np.asarray(bundled_digits()[0][13].astype(np.int16) - 128, np.int8)


def logit(plan: Plan, codes: np.ndarray, label: int) -> int:
    """The code of a class before the softmax, by an inference of its own."""
    *_, last, _ = execute(plan, codes.reshape(plan.inputs[0].shape))
    code: int = last.outputs[0][0, label].item()
    return code


def scale(plan: Plan) -> float:
    quantization = plan.steps[-2].outputs[0].quantization
    assert quantization is not None
    return quantization.scale[0]


def test_contributions_are_what_each_pixel_brings_on_average_over_the_orders() -> None:
    label = 1
    found = told("contributions", label)
    plan, codes = Studio().networks.plan(NETWORK), picture()
    ink = np.argwhere(codes != PAPER)
    orders = 2 * (ASKED // 2 // len(ink))
    random = np.random.default_rng(0)
    brought = np.zeros((28, 28), np.int64)
    for _ in range(orders // 2):
        order = random.permutation(ink)
        for places in (order, order[::-1]):
            paper = np.full((28, 28), PAPER, np.int8)
            before = logit(plan, paper, label)
            for y, x in places:
                paper[y, x] = codes[y, x]
                after = logit(plan, paper, label)
                brought[y, x] += after - before
                before = after
    assert found["orders"] == orders > 2 and (brought > 0).any() and (brought < 0).any()
    np.testing.assert_allclose(found["rows"], brought * scale(plan) / orders, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("network", ["dense_int8", "dense_int16x8", "stm32f746_int8"])
def test_contributions_add_up_to_the_answer_without_what_blank_paper_gets(network: str) -> None:
    plan = Studio().networks.plan(network)
    for drawing in ({"sample": "70"}, {"noise": "3"}):
        found = told("contributions", 3, network, **drawing)
        total = np.sum(found["rows"])
        assert total == pytest.approx(found["score"] - found["blank"], abs=1e-9) and total != 0
        steps = np.array(found["rows"]) * found["orders"] / scale(plan)
        np.testing.assert_allclose(steps, np.round(steps), atol=1e-6, err_msg="they are whole codes, in all orders")


def test_blank_paper_contributes_nothing() -> None:
    paper = io.BytesIO()
    np.save(paper, np.full((1, 28, 28, 1), PAPER, np.int8))
    found = heat(Studio(), Asked({"network": NETWORK, "label": "0", "name": "paper.npy"}, paper.getvalue()))
    assert found["orders"] == MOST and not np.any(found["rows"]) and found["score"] == found["blank"]


def test_the_same_drawing_has_the_same_contributions() -> None:
    assert told("contributions", 2) == told("contributions", 2)


def test_the_places_of_a_large_picture_are_squares_and_a_linear_network_tells_what_each_must_be() -> None:
    random = np.random.default_rng(5)
    weights = random.normal(size=(4, 29 * 58 * 3)).astype(np.float32)
    x, y = fed((1, 29, 58, 3), "float32"), fed((1, 4), "float32", name="y")
    options = {"fused_activation_function": "NONE", "keep_num_dims": False, "asymmetric_quantize_inputs": False}
    options["weights_format"] = "DEFAULT"
    model = one_op("FULLY_CONNECTED", options, [x, const(weights, "float32"), None], y)
    studio = Studio()
    studio.networks.drop("linear.tflite", dump(model))
    asked = Asked({"network": "linear", "noise": "1", "label": "2", "way": "contributions"})
    found = heat(studio, asked)
    with studio.session(asked) as session:
        picture = session.inputs[0][0].astype(np.float64)
    products = ((picture - np.median(picture, axis=(0, 1))) * weights[2].reshape(picture.shape)).sum(axis=2)
    squares = np.pad(products, ((0, 1), (0, 2))).reshape(10, 3, 20, 3).sum(axis=(1, 3))
    assert (found["stride"], found["orders"]) == (3, 2 * (ASKED // 2 // 200))
    np.testing.assert_allclose(found["rows"], squares, atol=1e-3)


def test_occlusion_is_the_difference_of_two_answers() -> None:
    """One place of the map: a patch of 3 × 3 around it covered, and the logit read."""
    plan, codes = Studio().networks.plan(NETWORK), picture()
    found = told("occlusion", 1)
    rows = np.array(found["rows"])
    y, x = np.unravel_index(np.abs(rows).argmax(), rows.shape)
    covered = codes.copy()
    covered[y - 1 : y + 2, x - 1 : x + 2] = PAPER
    fallen = logit(plan, codes, 1) - logit(plan, covered, 1)
    assert rows.shape == (28, 28) and fallen != 0
    assert rows[y, x] == pytest.approx(fallen * scale(plan), rel=1e-5)
    assert rows[0, 0] == 0, "paper over paper changes nothing"


def test_a_way_that_there_is_not_is_refused() -> None:
    with pytest.raises(InputError, match="no heat by 'magic'; choose contributions or occlusion"):
        told("magic", 1)
