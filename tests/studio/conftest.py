"""A studio that is served, and a browser that looks at it: Debian's Chromium and its driver, where they are."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlencode

import pytest

from refengine.studio.serving import Address, server
from refengine.studio.studio import Studio

ROOT = Path(__file__).parents[2]
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-component-update",
    "--disable-background-networking", "--disable-sync", "--window-size=1280,1000",
)  # fmt: skip


@dataclass
class Response:
    """What came back; names of headers are lower-case."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode()

    def json(self) -> Any:
        return json.loads(self.content)


class Client:
    """Asks a studio over a new socket each time; an address that begins with ``/`` goes without the token."""

    def __init__(self, address: Address) -> None:
        self.address = address

    def get(
        self, path: str, params: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        return self._asked("GET", path, params, None, headers)

    def post(
        self, path: str, params: Mapping[str, Any] | None = None, content: bytes | Iterable[bytes] = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Response:  # fmt: skip
        return self._asked("POST", path, params, content, headers)

    def _asked(self, method: str, path: str, params: Any, content: Any, headers: Any) -> Response:
        target = path if path.startswith("/") else f"/{self.address.token}/{path}"
        target += f"?{urlencode(params)}" if params else ""
        with closing(HTTPConnection("127.0.0.1", self.address.port, timeout=30)) as connection:
            connection.request(method, target, content, {"host": f"127.0.0.1:{self.address.port}", **(headers or {})})
            answer = connection.getresponse()
            return Response(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())


@contextmanager
def served(state: Studio) -> Iterator[Client]:
    """A client of a studio that a thread serves."""
    address = Address()
    made = server(state, address)
    thread = Thread(target=made.run, kwargs={"sockets": [address.socket]})
    thread.start()
    try:
        yield Client(address)
    finally:
        made.should_exit = True
        thread.join()
        address.socket.close()


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """Of a studio with the bundled networks."""
    with served(Studio()) as client:
        yield client


@contextmanager
def studio(*arguments: str, folder: Path = ROOT) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The address of a studio in a process of its own, and the process; ended by Ctrl-C if it still runs."""
    command = [sys.executable, "-m", "refengine", "studio", "--no-browser", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder)
    try:
        assert process.stdout is not None
        found = None
        while found is None and (line := process.stdout.readline()):
            found = re.search(r"http://\S+", line)
        assert found is not None, process.communicate()
        yield found[0], process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium without a window, by Selenium; skips where it is not installed."""
    found = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in found:
        pytest.skip("the browser's tests need chromium and chromedriver: sudo apt install chromium chromium-driver")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(found[0])
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(str(found[1])))
    driver.set_script_timeout(30)
    try:
        yield driver
    finally:
        driver.quit()
