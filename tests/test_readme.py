"""Every command that README and the manual show still prints what they say it prints."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import readme

ROOT = Path(__file__).resolve().parent.parent
PAGES = {page.stem: page.read_text(encoding="utf-8") for page in readme.PAGES}


@pytest.mark.slow
def test_examples_are_fresh() -> None:
    done = subprocess.run([sys.executable, "tools/readme.py"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_readme_is_one_page() -> None:
    lines = PAGES["README"].splitlines()
    assert len(lines) <= 160
    assert max(map(len, lines)) <= 120


def test_the_readme_links_to_nothing_that_a_package_index_lacks() -> None:
    """It stands there without the repository, which has no public address."""
    links = re.findall(r"\]\(([^)\s]+)|(?:src|href)=\"([^\"]+)", PAGES["README"])
    assert [link for pair in links for link in pair if link and not link.startswith(("https://", "#"))] == []


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_a_title_and_names_pages_that_exist(page: str) -> None:
    text = PAGES[page]
    assert text.startswith("# ")
    assert {*re.findall(r"refengine manual ([a-z-]+)", text)} <= {*PAGES}
    anchors = {
        re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.*)$", text, re.M)
    }
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        beside = (ROOT / "refengine" / "manual" / link).is_file()  # a picture
        assert link.startswith("https://") or link.removeprefix("#") in anchors or beside, link


def test_every_page_is_named_by_the_readme() -> None:
    assert [page for page in PAGES if page != "README" and f"`{page}`" not in PAGES["README"]
            and f"manual {page}`" not in PAGES["README"]] == []  # fmt: skip


@pytest.mark.parametrize(("page", "file"), [("pytest", "my_board.py"), ("property-tests", "my_runtime.py")])
def test_a_file_that_a_page_shows_is_what_it_shows(page: str, file: str) -> None:
    code = (ROOT / "tests" / "data" / file).read_text(encoding="utf-8")
    assert f"```python\n{code}```" in PAGES[page] and f"tests/data/{file}" in PAGES[page]
