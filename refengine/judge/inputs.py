"""Wrong inputs that nobody saw: what the device may have been fed, tried through the network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..model import Array
from ..numerics.quantize import code_range
from ..tensors.difference import unlike
from . import evidence
from .feeding import fed
from .preparation import Preparation, preparations
from .sample import Sample
from .verdict import Hypothesis, Replay, Trial
from .ways import fillings, parts

MOST = 800
"""So many inputs are tried; single departures from the right way come before pairs, and what is
known wholly before what is not."""

ROWS = 32
"""Parts of a vector, as a picture has rows."""

CLOSER = 2.0
"""So many times as far as a sound output may that of an input known in part only be from what is seen."""

STEPS = 4.0
"""How wide, in codes or units in the last place, an input known in part only may leave an output and still be told."""

WORK = 4 << 30
"""So many multiply-accumulates (or elements copied, if those are more) it may take to try each element by itself."""

AT_ONCE = 256
"""So many inputs are made at a time: all of them take the square of the input's size."""

DRAWS = 3
"""How often an input that is not wholly known is drawn, to see how far that takes the outputs apart."""


def try_inputs(trial: Trial, tensor: int, suspects: Sequence[Preparation]) -> None:
    """The steps on other inputs than the one given, which is not in the dump.

    Several causes may make the same input; each is told, unless fewer departures do.
    """
    alike: dict[bytes, set[tuple[int, str]]] = {trial.replay.values[tensor].tobytes(): {(0, "")}}
    made = {True: list[tuple[Preparation, Hypothesis]](), False: list[tuple[Preparation, Hypothesis]]()}
    for preparation in suspects:
        held, ways = preparation.fed(), len(preparation.ways)
        if not preparation.known and held.tobytes() in alike:  # as truncation may leave every code as it is
            held = _drawn(preparation, np.random.default_rng(0))
        same = alike.setdefault(held.tobytes(), set())
        if all(ways == fewest and preparation.id != id for fewest, id in same):
            same.add((ways, preparation.id))
            paid = evidence.MARGIN * (ways > 1)  # people rarely err twice
            made[preparation.known].append((preparation, Hypothesis("input", preparation.how, held, paid)))
    trial.judge_all(trial.replay, tensor, [hypothesis for _, hypothesis in made[True]], None)
    near = [_nearly(trial.replay, tensor, *each) for each in _close(trial, tensor, made[False])]
    telling = [h for h in near if h.near <= STEPS or trial.beyond(h.near) >= evidence.LIKELY]
    trial.judge_all(trial.replay, tensor, telling, None)


def try_far(trial: Trial, tensor: int, suspects: Sequence[Preparation]) -> None:
    """Single departures known in part only, however far the likeliest input that they make takes the output.

    Where a device's input differs little from the sound one, that is often farther from it than the sound one is. They
    are for where nothing else explains what was seen.
    """
    right, rng, vague = trial.replay.values[tensor], np.random.default_rng(0), list[Hypothesis]()
    for preparation in suspects:
        if len(preparation.ways) == 1 and not preparation.known:
            held = preparation.fed()
            held = held if unlike(right, held).any() else _drawn(preparation, rng)
            vague.append(_nearly(trial.replay, tensor, preparation, Hypothesis("input", preparation.how, held)))
    trial.judge_all(trial.replay, tensor, [hypothesis for hypothesis in vague if hypothesis.near <= STEPS], None)


def try_shown(trial: Trial, tensor: int, sample: Sample, previous: Sequence[Sample]) -> None:
    """The input as a copy of it in the dump shows it, by preparations that are known in part only."""
    held = trial.replay.shown(tensor, trial.seen)
    if held is not None:
        found = [each for each in fed(sample, held, previous).explanations if each.complete]
        vague = [each for each in found if not each.preparation.known]
        made = [Hypothesis("input", each.preparation.how, held, most=each.bits) for each in vague]
        trial.judge_all(trial.replay, tensor, made, None)


def try_element(trial: Trial, tensor: int, sample: Sample) -> None:
    """One element of the input at an end of its range, as a dead or a hot pixel has it.

    Only what leads to just what was seen counts, as one hypothesis, which pays for its choice among all elements.
    """
    right, steps = np.asarray(trial.replay.values[tensor]), trial.replay.steps
    work = max(right.size * len(steps), sum(getattr(step.params, "macs", 0) for step in steps))
    if right.dtype.kind not in "iuf" or 2 * right.size * work > WORK:
        return
    ends = (sample.black, sample.white) if sample.is_float else code_range(sample.tensor.dtype)
    places = [(place, end) for end in ends for place in np.flatnonzero(right != end).tolist()]
    fitting: list[tuple[int, float]] = []
    for start in range(0, len(places), AT_ONCE):
        some = places[start : start + AT_ONCE]
        made = [Hypothesis("input", "", _with(right, *each)) for each in some]
        found = zip(some, trial.ends(trial.replay, tensor, made), strict=True)
        fitting += [each for each, end in found if end is not None and not unlike(end, trial.seen).any()]
    if fitting:
        held, place = _with(right, *fitting[0]), [*map(int, np.unravel_index(fitting[0][0], right.shape))]
        others = f" (or one of {len(fitting) - 1} that fit as well)" if len(fitting) > 1 else ""
        how = f"if the input is right but for one element, {place}{others}, that holds {held[tuple(place)]}"
        paid = float(np.log2(len(places) / len(fitting)))
        trial.judge_all(trial.replay, tensor, [Hypothesis("input", how, held, paid)], None)


def _with(right: Array, place: int, value: float) -> Array:
    """The array with another value in one flat place."""
    made: Array = right.copy()
    made.flat[place] = value
    return made


def _close(
    trial: Trial, tensor: int, vague: Sequence[tuple[Preparation, Hypothesis]]
) -> Iterator[tuple[Preparation, Hypothesis]]:
    """Those of the inputs known in part only whose outputs come closer to what was seen than a sound one does."""
    most = CLOSER * evidence.steps(trial.sound, trial.seen).mean()
    ends = trial.ends(trial.replay, tensor, [hypothesis for _, hypothesis in vague])
    for each, end in zip(vague, ends, strict=True):
        if end is not None and evidence.steps(end, trial.seen).mean() < most:
            yield each


def _nearly(replay: Replay, tensor: int, preparation: Preparation, hypothesis: Hypothesis) -> Hypothesis:
    """With how near it comes, by what inputs lead to that are as good."""
    rng = np.random.default_rng(0)
    middle, *others = replay.ends(tensor, [hypothesis.holds, *(_drawn(preparation, rng) for _ in range(DRAWS))])
    if middle is None or any(other is None for other in others):
        return hypothesis
    apart = max(float(evidence.steps(middle, other).max(initial=0)) for other in others if other is not None)
    return hypothesis._replace(near=2 * apart)


def _drawn(preparation: Preparation, rng: np.random.Generator) -> Array:
    """One of the inputs that a preparation may make."""
    sample = preparation.sample
    low, high, free = preparation.predicted()
    with np.errstate(all="ignore"):
        values = low + rng.random(low.shape) * (high - low)
        values = values if sample.is_float else np.rint(values)
        return sample.as_input(np.where(free, preparation.fed().ravel(), values))


def suspected(sample: Sample, previous: Sequence[Sample]) -> list[Preparation]:
    """What a device may have been fed instead, the likelier first."""
    made = list(preparations(sample, previous))
    single = [p for p in made if len(p.ways) == 1]
    pairs = sorted((p for p in made if len(p.ways) > 1), key=lambda p: not p.known)
    return [*single, *_halves(sample, previous), *pairs][:MOST]


def _halves(sample: Sample, previous: Sequence[Sample]) -> Iterator[Preparation]:
    """Inputs of which a part was written, by rows."""
    row = sample.size // sample.shape[0] if sample.shape[0] > 1 else max(1, sample.size // ROWS)
    for start in range(row, sample.size, row):
        for name, values in fillings(sample, previous):
            for way in parts(sample, start, name, values):
                yield Preparation((way,), sample)
