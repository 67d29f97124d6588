"""Every command that README and the manual show still prints what they say it prints."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.slow
def test_examples_are_fresh() -> None:
    done = subprocess.run([sys.executable, "tools/readme.py"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
