"""What was used last, and no more than so much of it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

V = TypeVar("V")


class Recent(Generic[V]):
    """The last values that were asked for, by their keys, at most `count` of them and of at most `most` bytes together
    as `weigh` has them, but always the last one. Any thread may ask."""

    def __init__(self, count: int, most: int = 0, weigh: Callable[[V], int] = lambda value: 0) -> None:
        self._count, self._most, self._weigh, self._lock = count, most, weigh, Lock()
        self._held: OrderedDict[Hashable, V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def get(self, key: Hashable) -> V | None:
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
            return self._held.get(key)

    def put(self, key: Hashable, value: V) -> V:
        with self._lock:
            self._held[key] = value
            self._held.move_to_end(key)
            while len(self._held) > 1 and self._is_too_much():
                self._held.popitem(last=False)
        return value

    def _is_too_much(self) -> bool:
        return len(self._held) > self._count or sum(map(self._weigh, self._held.values())) > self._most

    def made(self, key: Hashable, make: Callable[[], V]) -> V:
        """The value of a key, made now if it is not held; what `make` raises is not held."""
        found = self.get(key)
        return self.put(key, make()) if found is None else found
