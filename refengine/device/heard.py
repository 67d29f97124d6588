"""What comes over a line when no answer does, and what that tells: silence, an echo, foreign text, pieces of frames."""

from __future__ import annotations

from dataclasses import dataclass

from .protocol import IDENTIFIER

REMEMBERED = 1 << 12
"""Bytes of what came first that are kept, to be looked at and shown."""

SHOWN = 32
"""Bytes of these that a message shows."""


@dataclass
class Heard:
    """Everything since the last answer: whole `frames` that are no messages, `messages` that answer other requests, and
    `answers` to this one that are not what it asked for, or nothing new."""

    count: int = 0
    first: bytes = b""
    echoes: int = 0
    frames: int = 0
    messages: int = 0
    answers: int = 0

    def add(self, data: bytes) -> None:
        self.count += len(data)
        self.first += data[: REMEMBERED - len(self.first)]

    def __str__(self) -> str:
        """What came, and what to look at, most telling first."""
        if not self.count:
            return "not a byte came; is the firmware running, the port its UART 1, each RX at the other's TX?"
        came = f"{self.count:,} bytes came"
        if self.echoes:
            return f"{came}, and they are what was sent: an echo; are RX and TX joined somewhere?"
        if self.answers:
            return f"{came}, {self.answers:,} answers among them, but not what was asked for; build the firmware again"
        if self.messages:
            return f"{came}, in {self.messages} messages that answer something else; does another program use the port?"
        if self.frames:
            return f"{came}, in {self.frames} sound frames of another protocol; build the firmware with this refengine"
        if IDENTIFIER in self.first:
            return f"{came}, and frames are among them, but none is whole ({self._hex}); is the baud rate too high?"
        if self._is_text:
            return f"{came}, and they are text: {self._text}; is this UART 0, the console, instead of UART 1?"
        return f"{came}, neither text nor frames ({self._hex}); is the baud rate right?"

    @property
    def _is_text(self) -> bool:
        return sum(32 <= byte < 127 or byte in b"\t\r\n\x1b" for byte in self.first) > 0.9 * len(self.first)

    @property
    def _text(self) -> str:
        return ascii(self.first[:SHOWN].decode("ascii", "replace")) + self._rest

    @property
    def _hex(self) -> str:
        return self.first[:SHOWN].hex(" ") + self._rest

    @property
    def _rest(self) -> str:
        return " …" if self.count > SHOWN else ""
