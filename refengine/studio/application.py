"""The studio as a web application: who may ask, how much, and what a wrong request is told.

Every address begins with the token, so that only who was given it finds anything; a request must name this machine as
its host, and may come from no page but the studio's own. The page's files and the calls are all that there is.
"""

from __future__ import annotations

import hmac
import logging
from asyncio import CancelledError
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from ..errors import RefengineError
from ..text import as_json, printable
from .asked import Asked, Bytes
from .calls import CALLS
from .studio import Studio

PAGE = Path(__file__).parent / "page"
UPLOAD = 64 << 20
"""Bytes that a request may bring along."""

NOTHING = "there is nothing here; open the address that the studio has printed, with all that it ends in"
METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]
"""All that get an answer of ours, be it a refusal."""

KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class _RefusalError(Exception):
    """A request that is not answered: its status, and why in one sentence."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


Handler = Callable[[Request], Awaitable[Response]]


def application(studio: Studio, token: str, hosts: Collection[str]) -> Starlette:
    """The page and its calls below ``/TOKEN/``, for requests to one of `hosts` (``127.0.0.1``, without port)."""

    async def page(request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            raise _RefusalError(405, "the studio's page is only read; its calls lie in call/")
        name = request.path_params.get("file", "index.html")
        file = PAGE / name
        if "/" in name or "\\" in name or file.suffix not in KINDS or not file.is_file():
            raise _RefusalError(404, f"the studio has no file {name[:60]!r}")
        return Response(file.read_bytes(), media_type=KINDS[file.suffix])

    async def call(request: Request) -> Response:
        name = request.path_params["name"]
        if request.method not in ("GET", "POST"):
            raise _RefusalError(405, f"the studio's calls are made by GET or POST, not by {request.method[:20]}")
        if name not in CALLS:
            raise _RefusalError(404, f"the studio has no call {name[:60]!r}")
        asked = Asked(dict(request.query_params), await _body(request))
        return _response(await run_in_threadpool(CALLS[name], studio, asked))

    def guarded(handler: Handler) -> Handler:
        async def answered(request: Request) -> Response:
            try:
                _check(request, token, hosts)
                response = await handler(request)
            except (_RefusalError, RefengineError) as refusal:
                response = _told(getattr(refusal, "status", 400), str(refusal))
            except OSError as error:
                response = _told(400, f"{error.filename or 'the studio'}: {error.strerror or error}")
            except MemoryError:
                response = _told(400, "out of memory: this is too large for the machine that the studio runs on")
            except CancelledError:
                response = _told(503, "the studio has been ended")
            except ClientDisconnect:  # nobody is there to be told
                response = Response(status_code=400)
            except Exception:
                logging.getLogger("refengine.studio").exception("a request failed")
                response = _told(500, "the studio itself has failed at this; its terminal says where")
            response.headers.update(HEADERS)
            return response

        return answered

    routes = [
        Route(path, guarded(handler), methods=METHODS)
        for path, handler in (
            ("/{token}/call/{name}", call),
            ("/{token}/{file}", page),
            ("/{token}/", page),
            ("/{path:path}", _nothing),
        )
    ]
    return Starlette(routes=routes)


async def _nothing(request: Request) -> Response:
    raise _RefusalError(404, NOTHING)


def _check(request: Request, token: str, hosts: Collection[str]) -> None:
    """Refuse who does not know the token, whoever was led here under another name, and other pages' requests."""
    host = request.headers.get("host", "")
    if _name(f"//{host}") not in hosts:
        raise _RefusalError(403, "the studio answers under its own address only: open the one that it has printed")
    origin = request.headers.get("origin")
    if origin is not None and origin != f"{request.url.scheme}://{host}":
        raise _RefusalError(403, "the studio answers no other page's requests")
    is_followed = request.headers.get("sec-fetch-mode") == "navigate"  # a link that somebody was sent
    if not is_followed and request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        raise _RefusalError(403, "the studio answers no other page's requests")
    if not hmac.compare_digest(str(request.path_params.get("token", "")).encode(), token.encode()):
        raise _RefusalError(404, NOTHING)


def _name(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None


async def _body(request: Request) -> bytes:
    """What the request brings along, read no further than is allowed."""
    announced = request.headers.get("content-length", "0")
    if not announced.isdecimal() or len(announced) > 12 or int(announced) > UPLOAD:
        raise _RefusalError(413, f"that is too large: the studio takes files up to {UPLOAD >> 20} MiB")
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > UPLOAD:
            raise _RefusalError(413, f"that is too large: the studio takes files up to {UPLOAD >> 20} MiB")
        parts.append(part)
    return b"".join(parts)


def _response(result: dict[str, Any] | Bytes) -> Response:
    if not isinstance(result, Bytes):
        return Response(as_json(result, indent=None), media_type="application/json")
    named = {"Content-Disposition": f'attachment; filename="{result.name}"'} if result.name else {}
    return Response(result.data, media_type=result.kind, headers=named)


def _told(status: int, why: str) -> Response:
    return Response(as_json({"error": printable(why)}, indent=None), status, media_type="application/json")
