"""A stream of inferences: what lives on from one to the next, held for people."""

from __future__ import annotations

from .errors import InferenceError
from .execute import batch_size, defined, infer
from .kernel import Numerics
from .memory import Memory
from .model import Array
from .plan import Source, plan_of
from .state import State
from .text import counted


class Session:
    """One stream through a plan: `run` goes on where the last one ended.

        session = refengine.Session("wakeword.tflite")
        for frame in frames:
            (score,) = session.run(frame)

    `state` is what lives on, a frozen value that may be kept and put back. A new session is fresh, as a new
    `MicroInterpreter` is.
    """

    def __init__(self, source: Source, *, numerics: Numerics | str | None = None, memory: Memory | None = None) -> None:
        """`numerics` and `memory` are for `make_plan`, where `source` is no plan yet.

        Raises `ModelError` and `UnsupportedError` as `make_plan` does.
        """
        self.plan = plan_of(source, numerics=numerics, memory=memory)
        self.state: State = self.plan.initial

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """The model's outputs, as `run` gives them; a batch is as many streams, the same number each time.

        Raises `InputError`, and `InferenceError` where TFLM's Invoke fails or ends early; what TFLM has kept by then
        lives on, as there.
        """
        try:
            outputs, self.state = infer(self.plan, batch_size(self.plan, inputs), inputs, self.state)
        except InferenceError as error:
            self.state = error.state
            raise
        return defined(self.plan, outputs)

    def reset(self) -> None:
        """As TFLM's `MicroInterpreter::Reset`: variables begin again, but CALL_ONCE does not run once more."""
        self.state = self.plan.reset(self.state)

    def copy(self) -> Session:
        """A session of its own that goes on from here."""
        other = Session(self.plan)
        other.state = self.state
        return other

    def __repr__(self) -> str:
        state = self.state
        kept = len(state.variables), len(state.resources), len(state.memory)
        nouns = ("variable", "resource variable", "operator")
        held = ", ".join(counted(count, noun) for count, noun in zip(kept, nouns, strict=True))
        return f"<Session of {self.plan.graph.name or 'a model'}: {held} with a memory>"
