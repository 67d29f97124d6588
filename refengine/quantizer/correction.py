"""Bias correction: what the rounding of weights and activations shifts on average, the biases take back.

Layer by layer, those before it corrected already, the mean of each channel's sums, before the activation, is measured
in the float and in the quantised network on the same samples, and the difference is added to the bias.

Source: Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction" (ICCV 2019), section 4.2,
in the empirical form of its appendix: the analytic one needs the batch normalisation that a file no longer has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ..model import Array, Model, Tensor
from ..numerics.quantize import code_range
from ..plan import Plan, Source, Step, make_plan, plan_of
from ..reading.counterparts import Values, check_comparable, computed, pair_of, same_tensors
from ..reading.float_reading import affine, as_codes, float_reading, is_quantized, real_values
from .calibrate import tasks_of

Means = npt.NDArray[np.float64]


def correct_biases(float_model: Source, model: Source, batches: Iterable[tuple[Array, ...]]) -> Model:
    """The quantised `model` with biases that make the mean of each layer's sums what it is in `float_model`.

    Each model is a plan, or what one is made of; `batches` are inputs of the float model, as `calibrate` takes them;
    those of all samples are kept while it runs. Layers without a bias of integers, or that share theirs, stay as they
    are. Raises `InputError` for models that do not belong together and for no samples; `UnsupportedError` for one that
    runs subgraphs or remembers something for the next inference.
    """
    float_plan = plan_of(float_model)
    plan = model if isinstance(model, Plan) else make_plan(model, kernels=float_plan.kernels, memory=float_plan.memory)
    model = plan.model
    check_comparable(float_plan)
    tasks = [(samples.count, inputs) for samples in tasks_of(float_plan, batches) for inputs in samples.inferences]
    fed = [{t.index: x.reshape(n, *t.shape) for t, x in zip(float_plan.inputs, xs, strict=True)} for n, xs in tasks]
    meant = _layers(float_plan, plan)
    wanted = _float_means(float_plan, set(meant.values()), fed)
    same, reading = same_tensors(float_plan, plan), float_reading(plan)
    held = [{t.index: as_codes(each[same[t.index]], t) for t in plan.inputs} for each in fed]
    biases: dict[int, Array] = {}
    for step in plan.steps:
        if step.index in meant:
            got = _mean(_open(reading, step.index), reading.constants, [_reals(step, values) for values in held])
            bias = _corrected(step, wanted[meant[step.index]] - got)
            biases[bias.index] = np.asarray(bias.data)
            inputs = tuple(bias if t is step.bias else t for t in step.inputs)
            step = replace(step, node=step.node._replace(inputs=inputs)).prepared(plan.numerics)
        constants = {**plan.constants, **{i: data[np.newaxis] for i, data in biases.items()}}
        made = [computed([step], {**constants, **values}) for values in held]
        gone = {*step.last_use, *plan.constants}
        held = [{i: x for i, x in values.items() if i not in gone} for values in made]
    graph = model.graphs[0]
    tensors = tuple(replace(t, data=biases.get(t.index, t.data)) for t in graph.tensors)
    return replace(model, graphs=(replace(graph, tensors=tensors), *model.graphs[1:]), sha256="")


def _layers(float_plan: Plan, plan: Plan) -> dict[int, int]:
    """The quantised layers whose bias can be corrected: by their index, that of the float model's."""
    same, readers = same_tensors(float_plan, plan), Counter(i for step in plan.steps for i in step.op.inputs)
    found = {}
    for step in plan.steps:
        bias, output = step.bias, step.outputs[0] if len(step.outputs) == 1 else None
        if not step.facts.layout or bias is None or bias.data is None or readers[bias.index] > 1 or output is None:
            continue
        pair = pair_of(float_plan, step, output, same) if bias.dtype in ("int32", "int64") else None
        if pair is not None and len(pair.float_steps) == 1 and is_quantized(output):
            found[step.index] = pair.float_steps[0].index
    return found


def _float_means(plan: Plan, layers: set[int], fed: Iterable[Mapping[int, Array]]) -> dict[int, Means]:
    """The mean of each channel's sums in the layers of the float model, by their index."""
    sums: dict[int, list[Means]] = {index: [] for index in layers}
    for values in fed:
        found = computed(plan.steps, {**plan.constants, **values})
        for index in layers:
            sums[index].append(_by_channel(_open(plan, index), found))
    return {index: np.concatenate(each).mean(axis=0) for index, each in sums.items()}


def _mean(step: Step, constants: Values, parts: Iterable[Values]) -> Means:
    """The mean of each channel's sums in one layer."""
    means: Means = np.concatenate([_by_channel(step, {**constants, **part}) for part in parts]).mean(axis=0)
    return means


def _by_channel(step: Step, values: Values) -> Means:
    """The means over the places of a layer's output: (samples, channels)."""
    (result,) = step.evaluate(*(None if t is None else values[t.index] for t in step.inputs))
    means: Means = result.reshape(len(result), -1, result.shape[-1]).mean(axis=1, dtype=np.float64)
    return means


def _open(plan: Plan, index: int) -> Step:
    """A layer of floats without its activation."""
    step = plan.steps[index]
    options = {**step.node.options, "fused_activation_function": "NONE"}
    return replace(step, node=step.node._replace(options=options)).prepared(plan.numerics)


def _reals(step: Step, values: Values) -> Values:
    """What the codes stand for that a step reads."""
    read = [t for t in step.inputs if t is not None and t.index in values]
    return {t.index: real_values(values[t.index], t) for t in read}


def _corrected(step: Step, shift: Means) -> Tensor:
    """The bias of a quantised layer, moved by `shift` in real units."""
    data, weights, bias = step.data, step.weights, step.bias
    assert data is not None and weights is not None and weights.quantization is not None
    assert bias is not None and bias.data is not None
    scale = affine(data)[0] * np.array(weights.quantization.scale)
    codes = np.rint(bias.data.reshape(-1) + shift / scale)
    low, high = code_range("int32")
    return replace(bias, data=np.clip(codes, low, high).astype(bias.dtype).reshape(bias.shape))
