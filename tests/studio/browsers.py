"""Other browsers than Chromium, each driven by what Debian has for it: Firefox by WebDriver BiDi, which it speaks
itself, and WebKitGTK's MiniBrowser by its WebDriver, on a display of Xvfb. Where one is missing, its tests skip."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import pytest

MINIBROWSERS = "/usr/lib/*/webkit2gtk-4*/MiniBrowser"

WATCH = """(window.complaints = [],
  addEventListener('error', ({ message }) => complaints.push(message)),
  addEventListener('unhandledrejection', ({ reason }) => complaints.push(String(reason))),
  document.addEventListener('securitypolicyviolation', ({ blockedURI }) => complaints.push(`forbidden: ${blockedURI}`)),
  console.error = (...told) => complaints.push(told.map(String).join(' ')), true)"""


class Browser(Protocol):
    """What both can: open a page, tell the value of an expression in it, and move real pointers and keys."""

    def open(self, url: str) -> None: ...

    def js(self, expression: str) -> Any: ...

    def act(self, *sources: Mapping[str, Any]) -> None:
        """Input sources with their actions, as WebDriver has them; places are the window's."""


class Firefox:
    """By WebDriver BiDi: commands over a socket that Firefox itself listens at."""

    def __init__(self, address: str) -> None:
        from websocket import create_connection  # which Selenium brings along

        self.socket, self.sent = create_connection(f"{address}/session", timeout=60, suppress_origin=True), 0
        self.ask("session.new", capabilities={})
        self.context = self.ask("browsingContext.getTree")["contexts"][0]["context"]

    def ask(self, method: str, **parameters: Any) -> Any:
        self.sent += 1
        self.socket.send(json.dumps({"id": self.sent, "method": method, "params": parameters}))
        told: dict[str, Any] = {}
        while told.get("id") != self.sent:
            told = json.loads(self.socket.recv())
        assert told["type"] == "success", told
        return told["result"]

    def open(self, url: str) -> None:
        self.ask("browsingContext.navigate", context=self.context, url=url, wait="complete")

    def js(self, expression: str) -> Any:
        parameters = {"expression": f"JSON.stringify({expression})", "target": {"context": self.context}}
        told = self.ask("script.evaluate", awaitPromise=True, **parameters)
        assert told["type"] == "success", told
        return json.loads(told["result"].get("value", "null"))

    def act(self, *sources: Mapping[str, Any]) -> None:
        self.ask("input.performActions", context=self.context, actions=sources)


@contextmanager
def firefox(folder: Path) -> Iterator[Browser]:
    found = shutil.which("firefox") or shutil.which("firefox-esr")
    if not found:
        pytest.skip("Firefox is not installed: sudo apt install firefox-esr")
    words = [found, "--headless", "--no-remote", "--profile", str(folder), "--remote-debugging-port", "0"]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            listens = (re.search(r"BiDi listening on (ws://\S+)", line) for line in process.stderr)
            browser = Firefox(next(match for match in listens if match)[1])
            yield browser
            browser.ask("browser.close")
            browser.socket.close()
        finally:
            process.kill()


class WebKit:
    """By Selenium and WebKitWebDriver."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, url: str) -> None:
        self.driver.get(url)

    def js(self, expression: str) -> Any:
        return self.driver.execute_script(f"return {expression}")

    def act(self, *sources: Mapping[str, Any]) -> None:
        self.driver.execute("actions", {"actions": sources})


@contextmanager
def webkit(folder: Path) -> Iterator[Browser]:
    driver, display = shutil.which("WebKitWebDriver"), shutil.which("Xvfb")
    browsers = [*Path("/").glob(MINIBROWSERS[1:])]
    if not (driver and display and browsers):
        pytest.skip("WebKitGTK's driver is not installed: sudo apt install webkit2gtk-driver xvfb")
    from selenium import webdriver
    from selenium.webdriver.webkitgtk.options import Options
    from selenium.webdriver.webkitgtk.service import Service

    options = Options()
    options.binary_location = str(browsers[-1])
    options.add_argument("--automation")
    words = [str(display), "-displayfd", "1", "-screen", "0", "1280x1000x24", "-nolisten", "tcp"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as screen:
        try:
            assert screen.stdout is not None
            environment = {"DISPLAY": f":{screen.stdout.readline().strip()}", "HOME": str(folder)}
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # Selenium's own way of making it
                service = Service(str(driver), env={**os.environ, **environment})
                made = webdriver.WebKitGTK(options=options, service=service)
            try:
                made.set_window_size(1280, 1000)
                yield WebKit(made)
            finally:
                made.quit()
                made.command_executor.close()  # its socket, which `quit` leaves open
        finally:
            screen.kill()


BROWSERS: Mapping[str, Callable[[Path], Any]] = {"firefox": firefox, "webkit": webkit}


class Visitor:
    """A person before such a browser."""

    def __init__(self, browser: Browser, url: str) -> None:
        self.browser, self.js = browser, browser.js
        browser.open(url)
        self.until("document.body?.dataset.ready === 'yes'")
        self.js(WATCH)

    def until(self, condition: str, seconds: float = 20) -> None:
        end = time.monotonic() + seconds
        while not self.js(f"Boolean({condition})"):
            assert time.monotonic() < end, f"{condition}: {self.js('document.body.innerText')[:2000]}"
            time.sleep(0.03)

    def place(self, selector: str) -> dict[str, float]:
        """Where an element lies in the window, after it was scrolled there."""
        for _ in range(5):  # it may be replaced meanwhile
            with suppress(AssertionError):
                found = self.js(
                    f"(() => {{ const each = document.querySelector({json.dumps(selector)});"
                    " each?.scrollIntoView({ block: 'center' }); return each?.getBoundingClientRect().toJSON(); })()"
                )
                assert found and found["width"]
                return dict(found)
        raise AssertionError(f"{selector} is not to be seen")

    def click(self, selector: str) -> None:
        self.draw(((140, 140),), selector)

    def draw(self, points: tuple[tuple[float, float], ...], selector: str = "#pad", pointer: str = "mouse") -> None:
        """A stroke over an element, which is taken for 280 × 280."""
        box = self.place(selector)
        moves = [
            {
                "type": "pointerMove", "duration": 20 if i else 0, "origin": "viewport",
                "x": round(box["x"] + x / 280 * box["width"]), "y": round(box["y"] + y / 280 * box["height"]),
            }
            for i, (x, y) in enumerate(points)
        ]  # fmt: skip
        ends = [{"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}]
        actions = [moves[0], ends[0], *moves[1:], ends[1]]
        parameters = {"pointerType": pointer}
        self.browser.act({"type": "pointer", "id": pointer, "parameters": parameters, "actions": actions})

    def press(self, *keys: str) -> None:
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self.browser.act({"type": "key", "id": "keys", "actions": actions})

    def choose(self, selector: str, value: str) -> None:
        self.js(
            f"((each) => {{ each.value = {json.dumps(value)}; each.dispatchEvent(new Event('change')); "
            f"return each.value === {json.dumps(value)} || (() => {{ throw Error('no such choice') }})(); }})"
            f"(document.querySelector({json.dumps(selector)}))"
        )

    def answered(self, sentence: str) -> None:
        self.until(f"(document.querySelector('#answer .big')?.textContent ?? '').includes({json.dumps(sentence)})")

    def show(self, view: str, ready: str) -> None:
        self.click(f"#tab-{view}")
        self.until(f"document.querySelector({json.dumps(ready)})")
