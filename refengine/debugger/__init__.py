"""A debugger for one inference: gdb's habits over the records of a plan, backwards as cheap as forwards.

`session` is where one stands and what if; `console` is the conversation; `condition` the language of breakpoints.
"""

from .console import Console, split
from .session import START, Breakpoint, Session

__all__ = ["START", "Breakpoint", "Console", "Session", "split"]
