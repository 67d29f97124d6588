"""The studio in other browsers than Chromium, where they are installed: every view once, by real events."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.studio.browsers import BROWSERS, Visitor
from tests.studio.conftest import studio
from tests.studio.test_page import ONE, SEVEN

pytestmark = pytest.mark.slow


@pytest.fixture(params=BROWSERS)
def visitor(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Visitor]:
    with BROWSERS[request.param](tmp_path) as browser, studio("--keep", str(tmp_path / "kept")) as (url, _):
        made = Visitor(browser, url)
        yield made
        assert made.js("window.complaints") == []


def test_every_view_works(visitor: Visitor) -> None:
    """One visit: starting a browser takes longer than all of it."""
    visitor.draw(ONE, pointer="touch")  # WebKitWebDriver makes a mouse of it
    visitor.answered("the number 1")
    visitor.click("#clear")
    visitor.draw(SEVEN)
    visitor.answered("the number 7")
    visitor.until("document.querySelectorAll('.steps canvas').length >= 7")
    visitor.until(
        "[...document.querySelectorAll('#others tbody td:nth-child(3)')].every((td) => td.textContent === '7')"
    )
    follow_the_answer_to_a_pixel(visitor)
    visitor.show("idea", ".chips .found")
    set_a_number(visitor)
    visitor.show("compare", "#colour")
    visitor.click("#colour")
    visitor.until("document.querySelector('#compare-summary').textContent.includes('inference')")
    lock_and_unlock(visitor)
    visitor.show("collect", "#labels button")
    visitor.click("[aria-label='keep as 7']")
    visitor.until("document.querySelectorAll('.gallery figure').length === 1")
    visitor.show("board", "#port option")
    for view in visitor.js("[...document.querySelectorAll('[role=tab]')].map((tab) => tab.id)"):
        visitor.click(f"#{view}")
        assert visitor.js("document.documentElement.scrollWidth <= innerWidth"), view
    draw_by_keys(visitor)


def follow_the_answer_to_a_pixel(visitor: Visitor) -> None:
    visitor.show("walk", ".explanation")
    for step in ("10 ", "9 ", "8 ", "4 ", "3 ", "2 ", "1 ", "0 "):
        visitor.click(".explanation button")
        visitor.until(f"document.querySelector('.layer h2').textContent.startsWith('{step}')")
        visitor.until("document.querySelector('.before canvas') && document.querySelector('.explanation')")
    visitor.click(".explanation button")
    visitor.until("document.querySelector('.why .result')?.textContent.startsWith('The pixel [0, ')")
    visitor.click("#heat-run")
    visitor.until("document.querySelector('#heat-words')?.textContent.startsWith('Contributions: ')")


def set_a_number(visitor: Visitor) -> None:
    visitor.show("play", "#parted .result")
    visitor.click("#at")
    visitor.press(*"0,3")
    visitor.js("(document.querySelector('#value').value = 0.99)")
    visitor.click("#set")
    visitor.until("document.querySelectorAll('#changes li').length === 1")
    visitor.click("#answer .unsure button")
    visitor.answered("the number 7")


def lock_and_unlock(visitor: Visitor) -> None:
    visitor.show("pin", "#pin-0")
    for button, says in (("#set-password", "Locked"), ("#unlock", "Open")):
        for place, digit in enumerate((SEVEN, ONE, SEVEN, ONE)):
            visitor.draw(digit, f"#pin-{place}")
        visitor.click(button)
        visitor.until(f"document.querySelector('#lock').textContent === '{says}'")


def draw_by_keys(visitor: Visitor) -> None:
    up, down = "\ue013", "\ue015"
    visitor.click("#tab-draw")
    visitor.click("#clear")
    visitor.js("document.querySelector('#pad').focus()")
    visitor.press(*up * 14, " ", *down * 28, " ")
    visitor.answered("the number 1")
