"""A debugger for one inference: gdb's habits over the records of a plan, backwards as cheap as forwards.

`session` is where one stands and what if; `console` answers commands, which a `conversation` reads from a person (at a
`prompt`), a script or a pipe; `condition` is the language of breakpoints.
"""

from .console import Console, split
from .conversation import debug
from .session import START, Breakpoint, Session, Watch

__all__ = ["START", "Breakpoint", "Console", "Session", "Watch", "debug", "split"]
