"""The page in a real browser: every button, and drawing by real pointer events."""

from __future__ import annotations

import json
import re
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from refengine.device.qemu import missing_tools
from refengine.tensors.datasets import bundled_digits
from refengine.tflite_io import dump
from tests.studio.conftest import studio
from tests.tasks.nets import detector, segmenter
from tests.tasks.test_commands import remembering

pytestmark = pytest.mark.slow

SEVEN = ((60, 60), (210, 60), (120, 230))
ONE = ((140, 40), (140, 240))


class Page:
    """The studio in the browser, in a person's words."""

    def __init__(self, driver: Any, url: str) -> None:
        self.driver = driver
        driver.get("about:blank")
        driver.get(url)
        self.until("document.body.dataset.ready === 'yes'")

    def js(self, code: str, *arguments: Any) -> Any:
        return self.driver.execute_script(f"return {code}", *arguments)

    def until(self, condition: str, seconds: float = 20) -> None:
        """Wait for a condition in JavaScript."""
        end = time.monotonic() + seconds
        while not self.js(condition):
            assert time.monotonic() < end, f"{condition}: {self.text('body')[:2000]}"
            time.sleep(0.03)

    def find(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def text(self, selector: str) -> str:
        found: str = self.find(selector).text
        return found

    def click(self, selector: str) -> None:
        from selenium.common.exceptions import StaleElementReferenceException

        for _ in range(5):
            with suppress(StaleElementReferenceException):  # there is a newer one in its place
                element = self.find(selector)
                self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
                element.click()
                return
        raise AssertionError(f"{selector} does not stay where it is")

    def choose(self, selector: str, value: str) -> None:
        from selenium.webdriver.support.ui import Select

        Select(self.find(selector)).select_by_value(value)

    def draw(self, points: tuple[tuple[int, int], ...], selector: str = "#pad") -> None:
        """A stroke by real pointer events; places are those of a drawing area of 280 × 280."""
        from selenium.webdriver.common.action_chains import ActionChains

        canvas = self.find(selector)
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas)
        scale = canvas.size["width"] / 280
        chain = ActionChains(self.driver, duration=20)
        for i, (x, y) in enumerate(points):
            chain.move_to_element_with_offset(canvas, round((x - 140) * scale), round((y - 140) * scale))
            if i == 0:
                chain.click_and_hold()
        chain.release().perform()

    def delay(self, call: str) -> None:
        """Have the answers to a call come late."""
        self.driver.execute_script(
            """const soon = fetch;
            window.fetch = async (...asked) => {
              if (String(asked[0]).includes(arguments[0])) await new Promise((resolve) => setTimeout(resolve, 400));
              return soon(...asked);
            };""",
            call,
        )

    def answered(self, sentence: str) -> None:
        self.until(f"(document.querySelector('#answer .big')?.textContent ?? '').includes({json.dumps(sentence)})")

    @property
    def complaints(self) -> list[str]:
        """What the browser's console has to say, but for refused requests, which the page tells of, and for advice."""
        expected = ("Failed to load resource", "willReadFrequently")
        logged = (each["message"] for each in self.driver.get_log("browser"))
        return [message for message in logged if not any(each in message for each in expected)]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with studio("--keep", str(tmp_path_factory.mktemp("kept") / "drawings")) as (found, _):
        yield found


@pytest.fixture
def page(browser: Any, url: str) -> Iterator[Page]:
    made = Page(browser, url)
    yield made
    assert not made.complaints


def test_a_drawn_seven_is_a_seven_while_it_is_drawn(page: Page) -> None:
    page.draw(SEVEN)
    page.answered("the number 7")
    page.until("document.querySelector('#answer .bars').textContent.includes('799.6')")
    assert page.find("#trouble").is_displayed() is False
    page.until("document.querySelectorAll('.steps canvas').length >= 7")
    page.until("document.querySelectorAll('#others tbody tr').length === 3")
    page.until("[...document.querySelectorAll('#others tbody td:nth-child(3)')].every((td) => td.textContent === '7')")


PIXELS = "[...document.querySelector('#pad').getContext('2d').getImageData(0, 0, 280, 280).data]"


def test_undo_clear_and_run_do_what_they_say(page: Page) -> None:
    page.click("#live")
    page.draw(ONE)
    assert page.text("#answer") == ""
    page.click("#run")
    page.answered("the number 1")
    page.draw(((60, 140), (220, 140)))
    page.until("document.querySelector('#answer').textContent === ''")  # it was of another drawing
    page.click("#undo")
    page.click("#run")
    page.answered("the number 1")
    page.click("#clear")
    page.until("document.querySelector('#answer').textContent === ''")
    assert page.js(f"{PIXELS}.every((x) => x === 255)")
    page.click("#live")


def test_what_is_no_digit_has_no_answer(page: Page) -> None:
    page.draw(ONE)
    page.answered("the number 1")
    page.draw(((30, 40), (30, 240)))
    page.until("document.querySelector('#trouble').textContent.includes('more than one digit')")
    page.until("document.querySelector('#answer').textContent === ''")
    page.click("#undo")
    page.answered("the number 1")
    assert page.find("#trouble").is_displayed() is False


def test_thickness_is_that_of_the_strokes(page: Page) -> None:
    def ink() -> int:
        found: int = page.js(f"{PIXELS}.filter((x) => x < 9).length")
        return found

    page.draw(ONE)
    thin = ink()
    page.click("#clear")
    page.js("(document.querySelector('#thickness').value = 40)")
    page.draw(ONE)
    assert ink() > 1.7 * thin


def test_keys_draw_too(page: Page) -> None:
    from selenium.webdriver.common.keys import Keys

    pad = page.find("#pad")
    page.js("document.querySelector('#pad').focus()")
    pad.send_keys(Keys.ARROW_UP * 14, " ", Keys.ARROW_DOWN * 28, " ")
    page.answered("the number 1")
    pad.send_keys("z")
    page.until("document.querySelector('#answer').textContent === ''")


def test_samples_noise_and_files_are_answered(page: Page, tmp_path: Path) -> None:
    page.click("#sample")
    page.until("document.querySelector('#source').textContent.startsWith('number ')")
    number = int(page.text("#source").split()[1])
    page.answered(f"the number {bundled_digits()[1][number]}")
    page.click("#noise")
    page.until("document.querySelector('#source').textContent.startsWith('Noise')")
    digit = 255 - np.pad(bundled_digits()[0][70], 20)
    Image.fromarray(digit).resize((200, 200)).save(tmp_path / "mine.png")
    page.find("#file").send_keys(str(tmp_path / "mine.png"))
    page.answered(f"the number {bundled_digits()[1][70]}")
    assert page.text("#source").startswith("mine.png")
    np.save(tmp_path / "codes.npy", np.full((4, 28, 28, 1), -128, np.int8))
    page.find("#file").send_keys(str(tmp_path / "codes.npy"))
    page.until("document.querySelector('#frames input')?.max === '3'")
    (tmp_path / "bad.npy").write_bytes(b"no array")
    page.find("#file").send_keys(str(tmp_path / "bad.npy"))
    page.until("document.querySelector('#trouble').textContent.startsWith('bad.npy')")


def picture_of_a_one(path: Path) -> Path:
    pixels = np.full((100, 100), 255, np.uint8)
    pixels[15:85, 45:54] = 0
    Image.fromarray(pixels).save(path)
    return path


def test_a_picture_is_dragged_onto_the_page(page: Page, tmp_path: Path) -> None:
    """As the browser does when files are dragged into its window."""
    files = [str(picture_of_a_one(tmp_path / "one.png"))]
    data = {"items": [], "files": files, "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        event = {"type": kind, "x": 600, "y": 300, "data": data}
        page.driver.execute_cdp_cmd("Input.dispatchDragEvent", event)
        if kind == "dragOver":
            page.until("document.querySelector('#pad').classList.contains('over')")
    page.until("document.querySelector('#source').textContent.startsWith('one.png')")
    page.answered("the number 1")
    assert not page.js("document.querySelector('#pad').classList.contains('over')")


def test_a_picture_is_pasted_by_the_keys_for_it(page: Page, tmp_path: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    permissions = {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    page.driver.execute_cdp_cmd("Browser.grantPermissions", permissions)
    data = b64encode(picture_of_a_one(tmp_path / "one.png").read_bytes()).decode()
    copied = page.driver.execute_async_script(
        """const bytes = Uint8Array.from(atob(arguments[0]), (c) => c.charCodeAt(0));
        const item = new ClipboardItem({ 'image/png': new Blob([bytes], { type: 'image/png' }) });
        navigator.clipboard.write([item]).then(() => arguments[1](''), (error) => arguments[1](String(error)));""",
        data,
    )
    assert copied == ""
    page.find("#pad").send_keys(Keys.CONTROL, "v")
    page.until("document.querySelector('#source').textContent.includes('.png')")
    page.answered("the number 1")


def test_networks_and_dialects_are_chosen_and_compared(page: Page) -> None:
    page.draw(SEVEN)
    page.answered("the number 7")
    page.choose("#network", "dense_int8")
    page.choose("#numerics", "xnnpack")
    page.until("document.querySelector('#answer').textContent.includes('xnnpack (')")
    page.choose("[aria-label='network to add']", "dense128_int8")
    page.choose("[aria-label='dialect to add']", "cortex-m7")
    page.click("#add")
    page.until("document.querySelectorAll('#others tbody tr').length === 4")
    page.click("#others tbody tr:first-child button")
    page.until("document.querySelectorAll('#others tbody tr').length === 3")


def test_a_network_that_is_dropped_is_chosen(page: Page, tmp_path: Path) -> None:
    from refengine.bundled import bundled_models

    path = tmp_path / "mine.tflite"
    path.write_bytes(bundled_models()["dense_int8"].read_bytes())
    page.find("#file").send_keys(str(path))
    page.until("document.querySelector('#network').value === 'mine'")
    page.draw(ONE)
    page.answered("the number 1")


def test_all_controls_have_names_for_those_who_cannot_see_them(page: Page) -> None:
    nameless = """[...document.querySelectorAll('button, input, select, canvas[tabindex], [role=tab]')].filter((each) =>
      !(each.textContent.trim() || each.getAttribute('aria-label') || each.closest('label')?.textContent.trim()
        || each.getAttribute('aria-labelledby'))).map((each) => each.outerHTML)"""
    assert page.js(nameless) == []


def test_nothing_is_wider_than_the_window(page: Page) -> None:
    """From a phone's width to a projector's, in every view."""
    page.draw(SEVEN)
    page.answered("the number 7")
    try:
        for tab in page.driver.find_elements("css selector", "[role=tab]"):
            page.js("arguments[0].click()", tab)
            time.sleep(0.2)
            for width in (360, 800, 1920):
                metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
                page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
                assert page.js("document.documentElement.scrollWidth") <= width, (tab.text, width)
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


# ---- The idea --------------------------------------------------------------------------------------------------------


def test_pupils_follow_a_digit_from_squares_to_votes(page: Page) -> None:
    page.click("#tab-idea")
    page.until("document.querySelector('.station').textContent.includes('Nothing is drawn yet')")
    asked = "[...document.querySelectorAll('.question')].filter((q) => q.offsetParent).map((q) => q.innerText)"
    assert page.js(asked) == []
    page.draw(SEVEN)
    page.answered("the number 7")
    page.until("document.querySelectorAll('.chips .found').length === 1")
    assert page.text(".chips .found") == "7"
    stations = page.js("[...document.querySelectorAll('.station')].map((each) => each.textContent)")
    assert "784 little squares" in stations[0] and "Your drawing was moved" in stations[0]
    assert "32 little patterns" in stations[1]
    assert "It looks like the number 7" in stations[3]
    page.until("[...document.querySelectorAll('.station canvas.maps')].every((each) => each.width > 100)")
    page.click("#idea-heat")
    page.until("document.querySelector('.station canvas.heat')")
    assert "believes less in the 7" in page.text("#view-idea")
    page.choose("#network", "dense_int8")
    page.until("document.querySelector('#view-idea').textContent.includes('looks at all the squares at once')")
    questions = page.js(asked)  # all at once: the page may be drawing itself anew
    assert not any("pictures" in each for each in questions) and len(questions) == 4
    assert "The squares vote" in page.text("#view-idea")
    assert not page.js("document.querySelector('.station canvas.heat')"), "it was another network's"
    page.click("#sample")
    page.until("!document.querySelector('.station').textContent.includes('Your drawing was moved')")
    page.click("#clear")
    page.until("document.querySelector('.station').textContent.includes('Nothing is drawn yet')")


@pytest.mark.parametrize(("width", "height"), [(1366, 640), (1366, 768), (1280, 900)])
def test_tabs_are_one_row_and_the_answer_is_in_sight_on_a_laptop(page: Page, width: int, height: int) -> None:
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        page.click("#sample")
        page.answered("the number")
        page.driver.execute_script("scrollTo(0, 0)")
        assert page.js("document.querySelector('header').offsetHeight") < 60
        assert page.js("document.querySelector('#answer .bars').getBoundingClientRect().bottom") <= height
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_views_with_nothing_drawn_say_what_to_do(page: Page) -> None:
    page.click("#tab-board")
    page.until("document.querySelector('#run-board').disabled")
    assert page.text("#board-waits").startswith("Draw something first")
    page.click("#tab-compare")
    assert "then Colour" in page.text("#compare-summary")
    page.draw(SEVEN)
    page.answered("the number 7")
    page.click("#tab-board")
    assert page.find("#run-board").is_enabled() and not page.text("#board-waits")


# ---- Walk ------------------------------------------------------------------------------------------------------------


def show(page: Page, view: str, ready: str) -> None:
    page.click(f"#tab-{view}")
    page.until(f"document.querySelector({json.dumps(ready)})")


def test_the_winning_class_is_followed_to_a_pixel(page: Page) -> None:
    page.draw(SEVEN)
    page.answered("the number 7")
    show(page, "walk", ".explanation")
    assert "SOFTMAX [0, 7]" in page.text(".trail")
    assert page.text(".own .places").split() == [*"0123456789"], "each class has its number"
    places = "['.graph', '.graph a.here'].map((each) => document.querySelector(each).getBoundingClientRect())"
    assert page.js(f"(([own, box]) => own.top <= box.top && box.bottom <= own.bottom)({places})"), "its box is in sight"
    headings = page.js("[...document.querySelectorAll('.walk :is(h2, h3, h4)')].map((each) => Number(each.tagName[1]))")
    assert headings[0] == 2 and all(b <= a + 1 for a, b in pairwise(headings))
    for step in ("10 ", "9 ", "8 ", "4 ", "3 ", "2 ", "1 ", "0 "):
        page.click(".explanation button")
        page.until(f"document.querySelector('.layer h2').textContent.startsWith('{step}')")
        page.until("document.querySelector('.before canvas') && document.querySelector('.explanation')")
    page.click(".explanation button")
    page.until("document.querySelector('.why .result')?.textContent.startsWith('The pixel [0, ')")
    page.click(".trail button")
    page.until("document.querySelector('.layer h2').textContent === '0 CONV_2D'")


def test_the_keyboard_alone_draws_and_follows_a_number_to_its_pixel(page: Page) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    def press(*keys: str) -> None:
        ActionChains(page.driver, duration=0).send_keys(*keys).perform()

    def tab_to(selector: str) -> None:
        for _ in range(60):
            if page.js("document.activeElement.matches(arguments[0])", selector):
                return
            press(Keys.TAB)
        raise AssertionError(f"{selector} cannot be reached by the tabulator")

    tab_to("#pad")
    press(Keys.ARROW_UP * 14, " ", Keys.ARROW_DOWN * 28, " ")
    page.answered("the number 1")
    page.driver.execute_script("document.activeElement.blur()")
    tab_to("#tab-draw")
    press(Keys.ARROW_RIGHT * 2)
    page.until("document.querySelector('.explanation')")
    tab_to(".explanation button")
    for step in ("10 ", "9 ", "8 ", "4 ", "3 ", "2 ", "1 ", "0 "):
        press(Keys.ENTER)
        page.until(f"document.querySelector('.layer h2').textContent.startsWith('{step}')")
        page.until("document.activeElement.matches('.explanation button')")
    press(Keys.ENTER)
    page.until("document.querySelector('.why .result')?.textContent.startsWith('The pixel [0, ')")
    page.until("document.activeElement.matches('.trail button')")
    press(Keys.ENTER)
    page.until("document.querySelector('.layer h2').textContent === '0 CONV_2D'")


def test_a_click_on_a_number_lights_its_window_and_the_numbers_move_with_the_drawing(page: Page) -> None:
    page.draw(SEVEN)
    page.answered("the number 7")
    show(page, "walk", ".explanation")
    page.click(".graph a[href='#step0']")
    page.until("document.querySelector('.layer h2').textContent === '0 CONV_2D'")
    page.click(".own canvas")
    page.until("document.querySelector('.explanation .result')")
    lit = """(() => { const canvas = document.querySelector('.before canvas');
      const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
      return [...data].some((x, i) => i % 4 === 0 && x > 200 && data[i + 1] > 120 && data[i + 2] < 40); })()"""
    page.until(lit)
    before = page.text(".explanation")
    page.click("#clear")
    page.until("document.querySelector('.layer').textContent.startsWith('Draw something')")
    page.draw(((40, 150), (240, 150)))
    page.until(f"(document.querySelector('.explanation')?.innerText ?? {json.dumps(before)}) !== {json.dumps(before)}")
    from selenium.webdriver.common.keys import Keys

    page.find(".own canvas").send_keys(Keys.PAGE_DOWN)
    page.until("document.querySelector('.trail').textContent.includes('1]')")


def test_what_a_network_remembers_is_called_its_memory(page: Page, tmp_path: Path) -> None:
    (tmp_path / "remembering.tflite").write_bytes(dump(remembering()))
    np.save(tmp_path / "steps.npy", np.random.default_rng(3).normal(size=(4, 1, 2)).astype(np.float32))
    page.find("#file").send_keys(str(tmp_path / "remembering.tflite"))
    page.until("document.querySelector('#network').value.startsWith('remembering')")
    page.find("#file").send_keys(str(tmp_path / "steps.npy"))
    page.until("document.querySelector('#frames input')?.max === '3'")
    show(page, "walk", ".before canvas")
    headings = [each.text for each in page.driver.find_elements("css selector", ".before h3")]
    assert headings == ["Reads from the input", "Reads from its memory"]
    page.click(".before > :last-child canvas")
    page.until("document.querySelector('.layer h2').textContent === 'The memory'")
    assert page.text(".why .result").startswith("Remembered [0, ") and not page.js(
        "document.querySelector('#heat-run')"
    )


def test_a_number_that_is_looked_at_is_set_to_another(page: Page) -> None:
    page.draw(SEVEN)
    page.answered("the number 7")
    show(page, "walk", "#what-if")
    page.click("#what-if")
    page.until("document.querySelector('#at')?.value === '0,7'")
    page.click("#set")
    page.until("!document.querySelector('#answer .big').textContent.includes('number 7')")
    page.click("#answer .unsure button")
    page.answered("the number 7")


def test_things_that_are_found_are_drawn(page: Page, tmp_path: Path) -> None:
    for model, name, sentence in ((detector(), "boxes", "found"), (segmenter(), "parts", "Parts")):
        (tmp_path / f"{name}.tflite").write_bytes(dump(model))
        page.find("#file").send_keys(str(tmp_path / f"{name}.tflite"))
        page.until(f"document.querySelector('#network').value.startsWith('{name}')")
        page.click("#digit")
        page.draw(SEVEN)
        page.answered(sentence)
        page.until("document.querySelector('canvas.found')")
        page.click("#digit")
        page.click("#clear")


@pytest.mark.parametrize("pointer", ["touch", "pen"])
def test_a_finger_and_a_pen_draw_as_a_mouse_does(page: Page, pointer: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.actions.pointer_input import PointerInput

    page.js(
        "document.querySelector('#pad').addEventListener('pointermove', (event) => (window.by = event.pointerType))"
    )
    canvas, device = page.find("#pad"), PointerInput(pointer, pointer)
    page.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas)
    chain = ActionChains(page.driver)
    actions = chain.w3c_actions
    actions.devices = [device]
    device.create_pointer_move(duration=0, x=0, y=-80, origin=canvas)
    device.create_pointer_down(button=0)
    for y in range(-70, 90, 10):
        device.create_pointer_move(duration=10, x=0, y=y, origin=canvas)
    device.create_pointer_up(button=0)
    actions.perform()
    assert page.js("window.by") == pointer
    page.answered("the number 1")


def test_a_finger_that_goes_far_draws_and_does_not_scroll(page: Page) -> None:
    """By what the browser makes of the screen's touches, scrolling among it, where the page is a phone's."""
    metrics = {"width": 360, "height": 600, "deviceScaleFactor": 1, "mobile": True}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        page.driver.execute_script("document.querySelector('#pad').scrollIntoView({block: 'center'})")
        box = page.js(
            "(({ x, y, width }) => [x, y, width / 280])(document.querySelector('#pad').getBoundingClientRect())"
        )
        before = page.js("scrollY")
        for i, y in enumerate(range(40, 250, 15)):
            touch = [{"x": box[0] + 140 * box[2], "y": box[1] + y * box[2]}]
            kind = "touchMove" if i else "touchStart"
            page.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touch})
        page.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        page.answered("the number 1")
        assert page.js("scrollY") == before
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_heat_maps_say_what_they_are_and_go_with_their_drawing(page: Page) -> None:
    page.draw(SEVEN)
    page.answered("the number 7")
    show(page, "walk", ".explanation")
    page.click(".graph a[href='#tensor0']")
    page.until("document.querySelector('#heat-run')")
    page.choose("#heat-class", "7")
    page.click("#heat-run")
    page.until("document.querySelector('canvas.heat')")
    assert page.text("#heat-words").startswith("Contributions: ")
    sums = re.search(r"exactly: (\S+) for .*, and (\S+) from .*, is (\S+) for", page.text("#heat-words"))
    assert sums is not None
    blank, risen, score = map(float, sums.groups())
    assert score == pytest.approx(blank + risen, abs=1e-3) and score > 10
    page.click("#heat canvas")
    assert re.fullmatch(r"\[\d+, \d+\]: -?[\d.e-]+", page.text("#heat .says"))
    page.choose("#heat-way", "occlusion")
    page.click("#heat-run")
    page.until("document.querySelector('#heat').textContent.includes('Occlusion: ')")
    page.draw(ONE)
    page.until("!document.querySelector('canvas.heat')")


def test_every_box_of_every_network_can_be_looked_at(page: Page) -> None:
    page.click("#sample")
    page.until("document.querySelector('#answer .big')")
    show(page, "walk", ".explanation")
    for network, kind in (("stm32f746_float32", "float32"), ("dense_int16x8", "int16")):
        page.choose("#network", network)
        page.until(f"document.querySelector('.graph a').textContent.endsWith(' {kind}')")
        for i in range(page.js("document.querySelectorAll('.graph a').length")):
            link = f"document.querySelectorAll('.graph a')[{i}]"
            page.js(f"{link}.dispatchEvent(new MouseEvent('click', {{bubbles: true}}))")
            page.until(f"{link}.classList.contains('here') && document.querySelector('.own canvas')")
    assert page.find("#trouble").is_displayed() is False


# ---- Play ------------------------------------------------------------------------------------------------------------


def test_two_dialects_stand_side_by_side_where_they_part(page: Page) -> None:
    page.click("#sample")
    page.until("document.querySelector('#answer .big')")
    show(page, "play", "#parted .result")
    page.until("document.querySelectorAll('#parted .two > div').length === 2")
    assert page.js("document.querySelectorAll('#parted .parts').length") == 2
    page.choose("#other", "cortex-m7")
    page.until("document.querySelector('#parted').textContent.includes('is the same in both')")


def test_numbers_are_set_silenced_and_taken_back(page: Page) -> None:
    page.draw(SEVEN)
    page.answered("the number 7")
    show(page, "play", "#set")
    page.find("#at").send_keys("0,3")
    page.js("(document.querySelector('#value').value = 0.99)")
    page.click("#set")
    page.until("document.querySelector('#effect')?.textContent.includes('as you set it: 3') || "
               "document.querySelectorAll('#changes li').length === 1")  # fmt: skip
    page.until("document.querySelector('#effect .two')")
    page.js("(document.querySelector('#channel').value = 7)")
    page.click("#silence")
    page.answered("the number 3")
    page.until("document.querySelectorAll('#changes li').length === 2")
    page.click("#changes button")
    page.until("document.querySelectorAll('#changes li').length === 1")
    page.find("#at").send_keys(",9")
    page.click("#set")
    page.until("document.querySelector('#trouble').textContent.includes('there is no element')")
    page.click("#answer .unsure button")
    page.answered("the number 7")
    assert page.js("document.querySelectorAll('#changes li').length") == 0


def test_a_refusal_stays_though_something_else_ends_well_meanwhile(page: Page) -> None:
    page.draw(SEVEN)
    page.answered("the number 7")
    page.delay("call/parting")
    show(page, "play", "#set")
    page.find("#at").send_keys("0,99")
    page.click("#set")
    page.until("document.querySelector('#trouble').textContent.includes('there is no element')")
    page.until("document.querySelectorAll('#parted .two > div').length === 2")
    assert page.find("#trouble").is_displayed()
    page.find("#at").clear()
    page.click("#set")
    page.until("document.querySelector('#trouble').hidden")
    page.click("#answer .unsure button")
    page.answered("the number 7")


def test_a_file_of_several_inferences_is_gone_through(page: Page, tmp_path: Path) -> None:
    codes = bundled_digits()[0][[3, 40, 70], :, :, np.newaxis].astype(np.int16) - 128
    np.save(tmp_path / "three.npy", codes.astype(np.int8))
    page.find("#file").send_keys(str(tmp_path / "three.npy"))
    page.until("document.querySelector('#frames input')")
    show(page, "play", "canvas.chart")
    page.click("#frame-next")
    page.answered(f"the number {bundled_digits()[1][40]}")
    page.until("document.querySelector('#time').textContent.includes('inference 1 of 3')")
    page.click("#frame-previous")
    page.answered(f"the number {bundled_digits()[1][3]}")


# ---- Compare, PIN lock, Collect, Board -------------------------------------------------------------------------------


def test_the_graph_is_coloured_by_what_is_lost(page: Page) -> None:
    page.choose("#network", "dense_int8")
    page.click("#sample")
    page.until("document.querySelector('#answer .big')")
    show(page, "compare", "#colour")
    page.click("#colour")
    for way in ("total", "findings", "own"):
        page.until("document.querySelector('#compare-summary').textContent.startsWith('100 inferences')")
        page.until("document.querySelector('.compared svg rect:not(.input)')")
        page.js("document.querySelector('#compare-summary').textContent = 'of before'")  # an answer may come at once
        page.choose("#way", way)
    page.until("document.querySelector('#compare-summary').textContent.startsWith('100 inferences')")
    page.click(".compared a[href='#step1']")
    page.until("document.querySelector('#compare-details h2')?.textContent.startsWith('1 ')")
    page.choose("#way", "time")
    page.until("document.querySelector('#compare-summary').textContent.includes('view Board')")


def test_the_lock_closes_and_opens_by_drawn_digits(page: Page) -> None:
    show(page, "pin", "#pin-0")
    assert page.find("#unlock").is_enabled() is False

    def enter(*digits: tuple[tuple[int, int], ...]) -> None:
        for place, digit in enumerate(digits):
            page.draw(digit, f"#pin-{place}")

    enter(SEVEN, ONE, SEVEN)
    page.click("#set-password")
    page.until("document.querySelector('#pin-says').textContent === 'Not sure: digit 4 is empty. Draw it again.'")
    assert page.js("document.querySelector('#pin-3').classList.contains('again')")
    page.draw(ONE, "#pin-3")
    page.click("#set-password")
    page.until("document.querySelector('#lock').textContent === 'Locked'")
    enter(SEVEN, SEVEN, SEVEN, SEVEN)
    page.click("#unlock")
    page.until("document.querySelector('#pin-says').textContent === '7777 is wrong. The lock stays closed.'")
    page.click("#pin-clear")
    enter(SEVEN, ONE, SEVEN, ONE)
    page.click("#unlock")
    page.until("document.querySelector('#lock').textContent === 'Open'")
    assert "Right" in page.text("#pin-says")


def test_drawings_are_kept_shown_and_forgotten(page: Page) -> None:
    page.draw(SEVEN)
    page.answered("the number 7")
    show(page, "collect", "#labels button")
    for label in (7, 1):
        page.click(f"[aria-label='keep as {label}']")
        page.until(f"document.querySelectorAll('.gallery figure').length === {1 if label == 7 else 2}")
    assert "1 of them is read right" in page.text("#collected")
    page.click("#only-misread")
    page.until("document.querySelectorAll('.gallery figure').length === 1")
    assert page.js("document.querySelector('.gallery figure').className") == "wrong"
    page.click(".gallery button")
    page.until("document.querySelectorAll('.gallery figure').length === 0")
    page.click("#only-misread")
    page.until("document.querySelectorAll('.gallery figure').length === 1")
    assert page.js("fetch(document.querySelector('#download').href).then((answer) => answer.ok)")
    page.click(".gallery button")


def test_what_is_kept_is_the_drawing_as_it_is_however_late_its_answer(page: Page) -> None:
    page.draw(ONE)
    page.answered("the number 1")
    show(page, "collect", "#labels button")
    page.delay("call/answer")
    page.draw(((140, 40), (40, 40)))
    page.click("[aria-label='keep as 7']")
    page.until("document.querySelectorAll('.gallery figure').length === 1")
    assert page.text("#answer .big").startswith("It looks like the number 7")
    assert page.text(".gallery figcaption").startswith("7, read right")
    page.click(".gallery button")
    page.until("document.querySelectorAll('.gallery figure').length === 0")


@pytest.mark.skipif(bool(missing_tools("host")), reason="the board `host` needs make and a C compiler")
def test_the_board_answers_the_same_drawing_and_a_broken_one_is_shown(page: Page) -> None:
    page.choose("#network", "dense_int8")
    page.draw(SEVEN)
    page.answered("the number 7")
    show(page, "board", "#port option")
    page.choose("#port", "qemu:host")
    page.click("#run-board")
    page.until("document.querySelector('#board-shown .sure')", 60)
    assert page.text("#board-shown").startswith("It looks like the number 7")
    assert "DIFFERS" not in page.text("#board-steps")
    show(page, "compare", "#colour")
    page.choose("#way", "time")
    page.until("document.querySelector('#compare-summary').textContent.startsWith('Parts of the whole time')")
    show(page, "board", "#port option")
    page.choose("#fault", "output_offset")
    page.click("#run-board")
    page.until("document.querySelector('#board-shown .unsure')", 60)
    page.click("#show-verdict")
    page.until("document.querySelector('#view-compare .culprit')")
    page.draw(ONE)
    page.until("!document.querySelector('#view-compare .culprit')")
    page.click("#tab-board")
    page.until(
        "document.querySelector('#board-shown').textContent.startsWith('This drawing has not been on the board')"
    )


def test_on_a_phone_a_chosen_view_comes_into_sight_and_the_tabs_stay(page: Page) -> None:
    metrics = {"width": 360, "height": 640, "deviceScaleFactor": 1, "mobile": True}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        page.draw(SEVEN)
        page.answered("the number 7")
        for view in ("walk", "board", "collect"):
            page.find(f"#tab-{view}").click()
            tops = "['#tabs', '#view-VIEW'].map((each) => document.querySelector(each).getBoundingClientRect().top)"
            page.until(f"(([tabs, view]) => tabs === 0 && 30 < view && view < 80)({tops.replace('VIEW', view)})")
        page.find("#tab-draw").click()
        assert page.js("scrollY") == 0
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
