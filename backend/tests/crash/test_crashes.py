"""Crashes in short; `make crash` does the same at length."""

import subprocess
import sys
from pathlib import Path

import pytest

BACKEND = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(400)
def test_nothing_is_lost_whatever_dies() -> None:
    asked = ("--kills", "3", "--workers", "1", "--lines", "renamed", "--minutes", "0.6")
    ran = subprocess.run(
        [sys.executable, "-m", "tests.crash", *asked],
        cwd=BACKEND,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=380,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout
