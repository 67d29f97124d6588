"""The studio's address: a port on this machine, or for the local network, until Ctrl-C."""

from __future__ import annotations

import os
import secrets
import socket
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import closing, suppress
from ipaddress import ip_address
from typing import Any

from threadpoolctl import threadpool_limits

from ..errors import InputError
from .studio import Studio

LOOPBACK = "127.0.0.1"
HOSTS = ("127.0.0.1", "localhost", "::1")
EVERY = ("0.0.0.0", "::")
"""Addresses that stand for all that this machine has."""

PATIENCE = 30
"""Seconds that requests which are under way have to end, after Ctrl-C; another one ends them at once."""


class Address:
    """A port that is the studio's from now on: `url` is what the browser opens. Raises OSError if it is taken."""

    def __init__(self, host: str = LOOPBACK, port: int = 0, token: str | None = None) -> None:
        """`host` is an IP address or a name of this machine; port 0 is any that is free."""
        self.host = host
        self.token = token or secrets.token_urlsafe(18)
        self.socket = _bound(host, port)
        self.port: int = self.socket.getsockname()[1]

    @property
    def is_local(self) -> bool:
        """Whether nobody outside this machine can reach it."""
        return ip_address(self.socket.getsockname()[0]).is_loopback

    @property
    def names(self) -> tuple[str, ...]:
        """The hosts that requests may name."""
        return tuple(dict.fromkeys((*HOSTS, self.shown, *([] if self.host in EVERY else [self.host.lower()]))))

    @property
    def shown(self) -> str:
        """The host that the address is printed with."""
        return _towards_network() if self.host in EVERY else self.host.lower()

    @property
    def url(self) -> str:
        host = f"[{self.shown}]" if ":" in self.shown else self.shown
        return f"http://{host}:{self.port}/{self.token}/"


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, _, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise InputError(f"--host {host}: is no address of this machine; 0.0.0.0 stands for all that it has") from error
    bound = socket.socket(family, socket.SOCK_STREAM, protocol)  # asyncio sends at once where it knows that it is TCP
    try:
        if os.name == "posix":
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(place)
        bound.listen(64)
    except OSError as error:
        bound.close()
        raise InputError(
            f"{host}:{port} cannot be served ({error.strerror or error}); choose another with --port, or leave it out"
        ) from error
    return bound


def _towards_network() -> str:
    """This machine's address as others in the local network see it: no packet is sent to find it."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe, suppress(OSError):
        probe.connect(("192.0.2.1", 9))
        found: str = probe.getsockname()[0]
        return found
    return LOOPBACK


def qr_code(url: str) -> Iterator[str]:
    """Lines of text that a tablet's camera reads: black on white, whatever the terminal's colours."""
    import segno

    rows = [[bool(dark) for dark in row] for row in segno.make(url, error="l", micro=False).matrix]
    width = len(rows[0]) + 4
    quiet = [[False] * width] * 2
    below = [[False] * width] * (2 + len(rows) % 2)
    modules = [*quiet, *([False, False, *row, False, False] for row in rows), *below]
    for top, bottom in zip(modules[::2], modules[1::2], strict=True):
        yield "".join(" ▀▄█"[(not t) + 2 * (not b)] for t, b in zip(top, bottom, strict=True))


def server(studio: Studio, address: Address) -> Any:
    """uvicorn's server of the studio, for `run(sockets=[address.socket])`."""
    import uvicorn

    from .application import application

    return uvicorn.Server(
        uvicorn.Config(
            application(studio, address.token, address.names),
            http="h11",
            log_level="warning",
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            timeout_graceful_shutdown=PATIENCE,
            h11_max_incomplete_event_size=1 << 16,
        )
    )


def serve(studio: Studio, address: Address) -> None:
    """Answer until a signal comes; `KeyboardInterrupt` is raised then, once everything is put away.

    BLAS has one thread meanwhile: on a machine that does anything else, several wait for each other, and an answer took
    four times as long.
    """
    with closing(address.socket), closing(studio.boards), threadpool_limits(limits=1, user_api="blas"):
        server(studio, address).run(sockets=[address.socket])


def open_browser(url: str) -> bool:
    """Show the page, where there is a desktop to show it on; whether that was tried with success."""
    has_desktop = sys.platform in ("win32", "darwin") or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))
    return bool(has_desktop) and webbrowser.open(url)
