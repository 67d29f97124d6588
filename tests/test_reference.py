"""The API reference is made of every docstring, and its links lead somewhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import reference

import refengine

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.slow
def test_the_reference_is_whole(tmp_path: Path) -> None:
    pytest.importorskip("pdoc", reason="pdoc is not installed")
    done = subprocess.run(
        [sys.executable, "tools/reference.py", str(tmp_path)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    page = (tmp_path / "refengine.html").read_text(encoding="utf-8")
    assert [name for name in refengine.__all__ if f'id="{name}"' not in page] == []
    assert str(ROOT) not in page, "no path of the machine that made it"


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<a href="b.html#x">1</a><a href="b.html#y">2</a><a href="https://c.d/">3</a>')
    (tmp_path / "b.html").write_text('<p id="x"><a href="#x">4</a><a href="c.html">5</a><script>href="${url}"</script>')
    assert list(reference.broken(sorted(tmp_path.glob("*.html")))) == ["a.html: b.html#y", "b.html: c.html"]
