import numpy as np

import refengine
from refengine.pytest import GoldenFiles, assert_golden

MODEL = "stm32f746_int8"  # a path, bytes, a bundled network, a Model or a Plan
IMAGES = np.random.default_rng(0).integers(-128, 128, (20, 28, 28, 1), np.int8)


def my_runtime(image):  # yours: a simulator, a board, another language
    return refengine.run(MODEL, image, numerics="single")


def test_my_runtime():
    assert_golden(MODEL, my_runtime, IMAGES)


def test_my_board(refengine_golden: GoldenFiles):
    refengine_golden(MODEL, IMAGES[:1]).check(my_runtime)
