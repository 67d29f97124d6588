"""The networks that the page may choose: those given, those that come with the package, and those dropped onto it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ..bundled import bundled_models
from ..errors import InputError, located
from ..kernel import PRESETS
from ..memory import MEMORY
from ..plan import Plan, make_plan
from .recent import Recent

PLANS = 32
"""Of networks in dialects, that are held."""

FIRST = "stm32f746_int8"
"""The network that is chosen at first where none is given."""

DROPPED = 16
"""Networks that may be dropped onto the page."""


class Networks(Mapping[str, "Path | bytes"]):
    """Files, or their bytes, by the names that the page shows; the first one is chosen at first."""

    def __init__(self, models: Sequence[str | os.PathLike[str]] = (), memory: int = MEMORY) -> None:
        """`models` are paths or names of bundled networks, the first ones. Raises what `make_plan` raises of them."""
        self.memory = memory
        self._plans: Recent[Plan] = Recent(PLANS)
        self._held: dict[str, Path | bytes] = {}
        self._dropped = 0
        for model in models:
            self._add(model, Path(model))
        bundled = sorted(bundled_models().items(), key=lambda each: each[0] != FIRST)
        self._held.update((name, path) for name, path in bundled if name not in self._held)

    def _add(self, model: str | os.PathLike[str], path: Path) -> None:
        bundled = bundled_models()
        if not path.exists() and os.fspath(model) in bundled:
            path = bundled[os.fspath(model)]
        make_plan(path, memory=self.memory)
        self._held[self._free(path.stem)] = path

    def _free(self, name: str) -> str:
        """A name that none has yet."""
        tries = (name if n == 1 else f"{name} ({n})" for n in range(1, len(self._held) + 2))
        return next(each for each in tries if each not in self._held)

    def __getitem__(self, name: str) -> Path | bytes:
        return self._held[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def drop(self, name: str, data: bytes) -> str:
        """Take a network from the page; the name that it has now. Raises what `make_plan` raises, and `InputError`."""
        if self._dropped >= DROPPED:
            raise InputError(f"{DROPPED} networks have been dropped here already; start the studio with the next one")
        with located(name):
            make_plan(data, memory=self.memory)
        self._dropped += 1
        free = self._free(Path(name).stem or "network")
        self._held[free] = data
        return free

    def plan(self, name: str, numerics: str = "tflm") -> Plan:
        """The network in a dialect; raises `InputError` for a name that there is not, and what `make_plan` raises."""
        if name not in self:
            raise InputError(f"there is no network {name!r} here")
        if numerics not in PRESETS:
            raise InputError(f"there is no dialect {numerics!r}; choose one of {', '.join(PRESETS)}")

        def make() -> Plan:
            with located(name):
                return make_plan(self[name], numerics=PRESETS[numerics], memory=self.memory)

        return self._plans.made((name, numerics), make)
