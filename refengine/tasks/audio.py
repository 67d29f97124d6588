"""WAV files into what a network is fed: windows of samples, features of them, and as many as an inference takes.

A front end is a network itself, from a window of int16 samples to a row of features; TFLM's signal operators compute it
bit for bit. Two come with the package (`tools/front_ends.py` writes them), both for 16,000 samples a second, with 30 ms
windows and 40 features:

- ``micro_speech``: 20 ms steps. Equal, bit for bit, to the `audio_preprocessor` models (int8 and float32) that the
  micro_speech examples of TFLM, ESP-IDF and OpenMV run.
- ``micro_wake_word``: 10 ms steps. Equal, bit for bit, to the C library `microfrontend` of TensorFlow Lite, by which
  microWakeWord is trained (`pymicro-features`), and to ESPHome's int8 features of it. The library computes its tables
  when it starts, in float32; these are as x86-64 with glibc before 2.41 and Cortex-M3 with newlib have them. Where the
  compiler fuses products and sums (Cortex-M4F, M7) or `log1pf` is another, two of 316 weights are 1 off.

A third, ``none``, feeds the samples as they are. What a network remembers between inferences starts afresh with each
file, and so does what a front end remembers: its estimate of the noise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from ..errors import InputError, located
from ..memory import require_room
from ..model import Array, Quantization, Tensor
from ..plan import Plan, make_plan
from ..session import Session
from ..tensors.batches import shape_of_one
from ..tensors.inputs import quantize_input
from ..tensors.sounds import Sound, read_wav, resampled
from ..tensors.stats import is_quantized
from ..text import counted

FRONT_ENDS = Path(__file__).parent / "front_ends"
BUNDLED = {"micro_speech": 320, "micro_wake_word": 160}
"""The front ends that come with the package, and the samples between two of their windows."""

RATE = 16000
NONE = "none"

FEATURES = 40
SECOND = 49
"""How many rows of features micro_speech has of one second."""

FEW = 10
"""Up to how many rows a network that remembers takes at a time."""

TOGETHER = 1 << 22
"""Samples that are held at once, where files go through a front end together."""

LONG = 4000
"""Values from which on a row is taken for samples: a quarter of a second."""


@dataclass(frozen=True)
class FrontEnd:
    """How samples become rows: of each `window` of them, every `step`, `plan` makes one; without it, each is one.

    `rate` is the samples a second that it is made for, None if that is not known. `fed` says what the network gets of
    it, and `reason` why it was chosen.
    """

    name: str
    window: int = 1
    step: int = 1
    rate: int | None = None
    plan: Plan | None = None
    fed: str = ""
    reason: str = ""

    def __str__(self) -> str:
        if self.plan is None:
            return f"{self.name} ({self.fed})"
        if self.rate is None:
            return f"{self.name} (windows of {self.window} samples, every {self.step}; {self.fed})"
        window, step = (1000 * samples / self.rate for samples in (self.window, self.step))
        return f"{self.name} (windows of {window:g} ms, every {step:g} ms; {self.fed})"


@dataclass(frozen=True)
class Heard:
    """What was made of one file: `rows` by the front end, `inferences` of them; seconds of silence that were added to
    fill the first inference, and of the end that was left out as it fills none. `resampled` are the samples a second
    that the file's were changed to, None if they were not."""

    path: str
    bits: int
    channels: int
    rate: int
    resampled: int | None
    seconds: float
    rows: int
    inferences: int
    added: float
    left_out: float

    def as_dict(self) -> dict[str, Any]:
        """In plain Python, for JSON."""
        return asdict(self)

    @property
    def kind(self) -> str:
        """What was recorded, and what was made of it before anything else."""
        channels = {1: "mono", 2: "stereo, the mean of both"}
        mono = channels.get(self.channels, f"the mean of {self.channels} channels")
        rate = f"{self.rate:,} Hz" + (f" resampled to {self.resampled:,}" if self.resampled else "")
        return f"{self.bits} bits, {mono}, {rate}"

    def __str__(self) -> str:
        ends = f", {self.added:.3g} s of silence added" if self.added else ""
        ends += f", {self.left_out:.3g} s left out at the end" if self.left_out else ""
        return f"{self.kind}, {self.seconds:.4g} s{ends}: {counted(self.inferences, 'inference')}"


def front_end(plan: Plan, name: str | None = None, step: int | None = None) -> FrontEnd:
    """The front end of that `name`: a bundled one, ``none``, or the path of a `.tflite` file; or the one that the
    network's input tells.

    `step` is the samples between two windows, if not as usual (of a file, its window). Raises `InputError` if the
    network has several inputs, its input does not tell, or the file is no front end.
    """
    tensor = _input(plan)
    if name is None:
        name, reason = _guessed(plan, tensor)
    else:
        reason = "given"
    if name == NONE:
        if step is not None:
            raise InputError("without a front end there are no windows, and so no steps between them: leave out --step")
        plain = _takes_samples(tensor)
        return FrontEnd(NONE, fed="int16 samples" if plain else "real values from -1 to 1", reason=reason)
    path = FRONT_ENDS / f"{name}.tflite" if name in BUNDLED else Path(name)
    if not path.is_file():
        raise InputError(f"{name}: no front end; choose {', '.join(BUNDLED)}, {NONE} or a .tflite file")
    made = make_plan(path, numerics=plan.numerics, memory=plan.memory)
    with located(name):
        samples = _samples_of(made)
    if step is not None and step < 1:
        raise InputError(f"the step between two windows is {step} samples; it must be at least 1")
    kind = made.outputs[_fitting(made, tensor)].dtype
    fed = f"{kind} features" + ("" if kind == tensor.dtype else f", quantised to {tensor.dtype}")
    rate = RATE if name in BUNDLED else None
    return FrontEnd(name, samples, step or BUNDLED.get(name, samples), rate, made, fed, reason)


@dataclass(eq=False)
class Ears:
    """WAV files for a network, as commands take them: `hear` is for `read_inputs`, `heard` tells what was made of each.

    `name`, `step` as `front_end` takes them; `hop` is how many rows (or samples) lie between two inferences, by default
    as many as one takes; `rate` resamples what has another.
    """

    plan: Plan
    name: str | None = None
    step: int | None = None
    hop: int | None = None
    rate: int | None = None
    heard: list[Heard] = field(default_factory=list)

    @cached_property
    def front_end(self) -> FrontEnd:
        return front_end(self.plan, self.name, self.step)

    def choose(self) -> None:
        """Choose the front end before anything is heard: workers are given it, and errors come at once."""
        _ = self.front_end

    @property
    def are_used(self) -> bool:
        """Whether there were sounds, and so a front end."""
        return "front_end" in vars(self)

    def hear(self, path: str) -> Array:
        """The inferences of a file: (N, *the input's shape), without its leading 1 if it has one.

        Raises `InputError`, without the file's name, for what cannot be read or does not fit.
        """
        return self._made([self._read(path)])[0]

    def hear_all(self, paths: Sequence[str]) -> list[Array]:
        """The same of several files, as fast as can be: those of one length go through the front end together.

        Raises `InputError`, with the file's name.
        """
        arrays: list[Array] = []
        held: list[_Read] = []
        for path in paths:
            with located(path):
                held.append(self._read(path))
            if sum(len(each.sound.samples) for each in held) > TOGETHER:
                arrays += self._made(held)
                held = []
        return arrays + self._made(held)

    def _made(self, files: list[_Read]) -> list[Array]:
        """What files make of the network's input."""
        cuts = [_cut(self.plan, self.front_end, len(file.sound.samples), self.hop) for file in files]
        fed: list[Array] = [np.empty(0)] * len(files)
        for cut in set(cuts):
            places = [i for i, each in enumerate(cuts) if each == cut]
            samples = np.stack([np.pad(files[i].sound.mono(), (0, cut.added)) for i in places])
            for i, rows in zip(places, _fed(self.plan, self.front_end, samples), strict=True):
                fed[i] = _inferences(_input(self.plan), rows, cut)
        for (path, given, sound), cut, made in zip(files, cuts, fed, strict=True):
            changed = None if sound is given else sound.rate
            facts = given.bits, given.channels, given.rate, changed, given.seconds, cut.rows, len(made)
            self.heard.append(Heard(path, *facts, cut.added / sound.rate, cut.left_out / sound.rate))
        return fed

    def _read(self, path: str) -> _Read:
        """A file's sound, and as the front end takes it."""
        ears, given = self.front_end, read_wav(path, self.plan.memory)
        sound = given if self.rate is None else resampled(given, self.rate, self.plan.memory)
        if ears.rate not in (None, sound.rate):
            raise InputError(
                f"has {sound.rate:,} samples a second, and {ears.name} takes {ears.rate:,}: record it so, or have it "
                f"resampled by --resample {ears.rate}"
            )
        return _Read(path, given, sound)


class _Read(NamedTuple):
    """A file: the sound in it, and the same at the rate that is wanted."""

    path: str
    given: Sound
    sound: Sound


@dataclass(frozen=True)
class _Cut:
    """How a sound is cut: into `rows`, of which an inference takes `count`, the next `hop` rows on; samples that are
    added, and that are left out at the end."""

    rows: int
    count: int
    hop: int
    added: int
    left_out: int


def _cut(plan: Plan, ears: FrontEnd, samples: int, hop: int | None) -> _Cut:
    tensor = _input(plan)
    width = 1 if ears.plan is None else _width(ears.plan)
    count, left = divmod(prod(tensor.shape), width)
    if left or not count:
        raise InputError(
            f"cannot be fed: input '{tensor.name}' has {prod(tensor.shape)} values, which are no whole number of "
            f"{ears.name}'s rows of {width}"
        )
    hop = hop or count
    added = max(0, ears.window + (count - 1) * ears.step - samples)
    rows = 1 + (samples + added - ears.window) // ears.step
    inferences = 1 + (rows - count) // hop
    require_room(8 * (inferences * count + rows) * width, plan.memory, "what a network is fed of it", InputError)
    used = ears.window + ((inferences - 1) * hop + count - 1) * ears.step
    return _Cut(rows, count, hop, added, samples + added - used)


def _inferences(tensor: Tensor, rows: Array, cut: _Cut) -> Array:
    """(rows, width) → (inferences, *the input's shape), without its leading 1."""
    windows = np.moveaxis(sliding_window_view(rows, cut.count, axis=0)[:: cut.hop], 2, 1)
    return windows.reshape(len(windows), *shape_of_one(tensor))


def _fed(plan: Plan, ears: FrontEnd, samples: npt.NDArray[np.int32]) -> Array:
    """(B, n) → (B, rows, width) of the input's type: samples or features, as codes where they are known, else
    quantised."""
    tensor = _input(plan)
    short = (samples >> 16).astype(np.int16)
    if ears.plan is None:
        if _takes_samples(tensor):
            return short[..., np.newaxis]
        return quantize_input(plan, (samples / 2.0**31).astype(np.float32))[..., np.newaxis]
    index = _fitting(ears.plan, tensor)
    rows = np.stack([*_rows(ears, ears.plan, short, index)], axis=1)
    return rows if rows.dtype == tensor.dtype else quantize_input(plan, rows)


def _rows(ears: FrontEnd, made: Plan, samples: npt.NDArray[np.int16], index: int) -> Iterator[Array]:
    """Output `index` of the front end, (B, width), for each window of (B, n) samples, one after the other."""
    shape = made.inputs[0].shape
    together = shape[:1] == (1,)
    sessions = [Session(made) for _ in range(1 if together else len(samples))]
    for window in np.moveaxis(sliding_window_view(samples, ears.window, axis=1)[:, :: ears.step], 1, 0):
        fed = [window.reshape(-1, *shape[1:])] if together else window.reshape(-1, *shape)
        rows = [session.run(x)[index] for session, x in zip(sessions, fed, strict=True)]
        yield np.stack(rows).reshape(len(samples), -1)


def _fitting(made: Plan, tensor: Tensor) -> int:
    """The front end's output for an input: codes of the same type and meaning, or else real values."""
    for i, output in enumerate(made.outputs):
        if output.dtype == tensor.dtype and (tensor.dtype == "float32" or _alike(output, tensor)):
            return i
    for i, output in enumerate(made.outputs):
        if output.dtype == "float32" and is_quantized(tensor):
            return i
    kinds = ", ".join(f"{t.dtype}" for t in made.outputs)
    raise InputError(f"cannot be fed: input '{tensor.name}' is {tensor.dtype}, and the front end gives {kinds}")


def _alike(output: Tensor, tensor: Tensor) -> bool:
    """Whether codes of both stand for the same, within 2 %, as far as that is said."""
    mine, theirs = ((t.quantization if is_quantized(t) else None) for t in (output, tensor))
    if mine is None or theirs is None:
        return True
    return bool(np.isclose(mine.scale[0], theirs.scale[0], rtol=0.02)) and _offset(mine) == _offset(theirs)


def _takes_samples(tensor: Tensor) -> bool:
    """Whether an input takes int16 as it is."""
    return tensor.dtype == "int16" and not is_quantized(tensor)


def _offset(quantization: Quantization) -> int:
    return (*quantization.zero_point, 0)[0]


def _width(made: Plan) -> int:
    return prod(made.outputs[0].shape)


def _samples_of(made: Plan) -> int:
    """How many samples a front end takes; `InputError` if it is none."""
    sizes = {prod(t.shape) for t in made.outputs}
    sound = len(made.inputs) == 1 and made.inputs[0].dtype == "int16" and prod(made.inputs[0].shape) > 0
    if not sound or len(sizes) != 1 or 0 in sizes:
        raise InputError("is no front end: it must take one window of int16 samples, and give one row of features")
    return prod(made.inputs[0].shape)


def _input(plan: Plan) -> Tensor:
    if len(plan.inputs) != 1:
        raise InputError(f"the network has {len(plan.inputs)} inputs; sounds are for networks of one: give .npz")
    return plan.inputs[0]


def _guessed(plan: Plan, tensor: Tensor) -> tuple[str, str]:
    """(front end, why) where the input leaves no doubt."""
    sizes = [size for size in tensor.shape if size != 1]
    match sizes:
        case [size] if size == SECOND * FEATURES:
            return "micro_speech", f"the input's {size} values are one second of it, {SECOND} × {FEATURES}"
        case [rows, width] if (rows, width) == (SECOND, FEATURES):
            return "micro_speech", f"the input's {rows} × {width} values are one second of it"
        case [*few, width] if width == FEATURES and prod(few) <= FEW and plan.initial:
            return "micro_wake_word", f"the input is {prod(few)} × {width} values of a network that remembers"
        case [size] if size >= LONG or _takes_samples(tensor):
            return NONE, f"the input is a row of {size:,} values"
    raise InputError(
        f"which front end input '{tensor.name}' {tensor.shape} takes is not to be seen: say --front-end "
        f"{', '.join(BUNDLED)}, {NONE} or a .tflite file that computes the features"
    )
