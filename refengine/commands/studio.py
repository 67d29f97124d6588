"""Draw in the browser, watch the answer come about, and ask every number why.

The page is served from this machine only, at an address that nobody can guess, until Ctrl-C; nothing of it is fetched
from anywhere. --host opens it to the local network, for tablets and a class. Needs the extra `studio`.

  refengine studio
  refengine studio model.tflite --labels names.txt
  refengine studio --host 0.0.0.0 --port 8000
"""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec

from ..errors import InputError
from ._front import add_memory, add_task, read_names, say

NEEDED = ("starlette", "uvicorn", "segno")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "models",
        metavar="MODEL",
        nargs="*",
        help=".tflite files or names of bundled networks; all bundled ones may be chosen on the page, too",
    )
    parser.add_argument("--port", metavar="N", type=_port, default=0, help="of the address (default: any that is free)")
    parser.add_argument(
        "--host",
        metavar="ADDRESS",
        default="127.0.0.1",
        help="of this machine; 0.0.0.0 lets the local network in (default: %(default)s, this machine only)",
    )
    parser.add_argument("--no-browser", action="store_true", help="print the address only, and open no browser")
    parser.add_argument(
        "--keep",
        metavar="FOLDER",
        default="studio-drawings",
        help="where drawings are kept, once one is (default: %(default)s)",
    )
    parser.add_argument(
        "--serial", metavar="PORT", nargs="+", default=[], help="boards' ports or pyserial URLs, beside those listed"
    )
    add_task(parser)
    add_memory(parser)


def command(args: argparse.Namespace) -> int:
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise InputError(f"the studio needs {' and '.join(missing)}: pip install 'refengine[studio]'")
    from ..studio.serving import Address, open_browser, qr_code, serve
    from ..studio.studio import Studio

    names = dict(enumerate(read_names(args.labels)))
    studio = Studio(args.models, memory=args.memory, task=args.task, names=names, keep=args.keep, serial=args.serial)
    address = Address(args.host, args.port)
    if not address.is_local:
        say(
            f"WARNING: whoever is in the same network and has this address can use the studio: it is open to "
            f"{address.shown}, port {address.port}, without encryption. End it with Ctrl-C when you are done.",
            *qr_code(address.url),
        )
    say(f"the studio: {address.url}", "Ctrl-C ends it")
    sys.stdout.flush()
    if not args.no_browser:
        open_browser(address.url)
    try:
        serve(studio, address)
    except KeyboardInterrupt as signal:
        if type(signal) is not KeyboardInterrupt:  # somebody else wants it gone
            raise
    return 0


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) < 1 << 16):
        raise argparse.ArgumentTypeError(f"{text!r} is no port: a number from 0 to 65535")
    return int(text)
