"""Other people's kernels against the golden model: cases weighted to the known traps, compared bit for bit.

    from refengine.fuzzer import Library, fuzz, told
    for result in fuzz(Library("./libmykernels.so"), ["CONV_2D"], ["int8"]):
        print(*told(result), sep="\\n")

`case` is one operator with its inputs, `numbers` what a C kernel is called with, `doors` and `server` the ways to a
kernel (`Library`, `Emulator`, `Port`, `Command`, any Python callable), `search` looks for failures and shrinks them,
`reasons` looks for the dialect or known fault that explains them, `aside` sets aside what is known, `files` saves,
`text` tells. The C interface is `refengine_fuzz.h`.
"""

from .case import Case, Door, KernelError, Outcome, check
from .doors import Command, Library, callable_of
from .files import replayed, save
from .reasons import Reason, reason
from .search import Finding, Result, fuzz, replay
from .server import Emulator, Port
from .text import told

__all__ = [
    "Case",
    "Command",
    "Door",
    "Emulator",
    "Finding",
    "KernelError",
    "Library",
    "Outcome",
    "Port",
    "Reason",
    "Result",
    "callable_of",
    "check",
    "fuzz",
    "reason",
    "replay",
    "replayed",
    "save",
    "told",
]
