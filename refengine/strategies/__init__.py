"""Hypothesis strategies: cases that try a runtime, a kernel or a converter where they break. Needs only `hypothesis`.

A runtime for quantised networks is right if it gives the bits that TFLM gives. So draw models, and compare::

    import numpy as np
    import refengine
    from hypothesis import given
    from refengine import strategies

    @given(strategies.models(ops=["CONV_2D", "ADD"], dtypes=["int8"]))
    def test_my_runtime(case):
        expected = refengine.run(case.model, *case.inputs)
        for got, right in zip(my_runtime(case.model, case.inputs), expected, strict=True):
            np.testing.assert_array_equal(got, right)

`case.model` are the bytes of a `.tflite` file that TFLM runs, `case.inputs` an array for each input of the model. A
case that fails shrinks, most often to one operator on single elements, and prints itself: graph, quantisation,
constants, inputs. `case.save("found.tflite")` writes it for `refengine run`, `explain`, `debug` or `diff`.

What one draws from, the larger first; all are ordinary strategies, to be filtered, mapped and combined:

- `models(ops, dtypes, max_ops)`: whole models with inputs (`Case`): chains, branches, joins, residual links, several
  inputs and outputs, mixed types; from one operator (``max_ops=1``) to a small network.
- `nodes(op, dtype)`: one operator as its kernel's `example` invents it, with options, shapes and constants;
  `model_of(node)` is its model, and `inputs_of(model)` draws arrays for any model, one inference or a batch.
- `arrays(shape, dtype)`: tensors with their values at the ends, on ties, constant, sparse, or plain noise.
- `quantizations(dtype)`: scales and zero points, per tensor or per channel; `scales()` and `zero_points(dtype)` alone.
- `multipliers()`: a requantisation's (multiplier, shift).

Edges come first. Depths and channels lie at and beside multiples of 4, 8 and 16, where SIMD loops leave remainders;
windows pass the border, more on one side than on the other; filters are 1×1 with a stride, or dilated; zero points are
±128; effective scales are exact powers of two, so that results lie between two codes, or shift left, or by 30 bits and
more to the right; biases leave accumulators no room. Yet most results lie inside the output's range, where a wrong
rounding shows. Shapes stay small: a case takes milliseconds.

A kernel of your own joins in through its `example`, which draws from a `Toolbox`, see `refengine.kernel`:
`nodes(op, dtype, kernel)`, `models(kernels=…)`. Who rolls dice without Hypothesis has `array_of` for values of one of
the `INT_KINDS` or `FLOAT_KINDS`, some of them `FLOAT_EDGES`.
"""

from importlib.util import find_spec

if find_spec("hypothesis") is None:
    raise ModuleNotFoundError("refengine.strategies draws with Hypothesis: pip install hypothesis", name="hypothesis")

from .graphs import Case, models
from .operators import inputs_of, model_of, nodes
from .toolbox import (
    FLOAT_EDGES,
    FLOAT_KINDS,
    INT_KINDS,
    Toolbox,
    array_of,
    arrays,
    multipliers,
    quantizations,
    scales,
    zero_points,
)

__all__ = [
    "FLOAT_EDGES",
    "FLOAT_KINDS",
    "INT_KINDS",
    "Case",
    "Toolbox",
    "array_of",
    "arrays",
    "inputs_of",
    "model_of",
    "models",
    "multipliers",
    "nodes",
    "quantizations",
    "scales",
    "zero_points",
]
