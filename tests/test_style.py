"""Lint, format and types of all code, notebooks included."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    "command",
    [
        pytest.param("ruff check .", id="lint"),
        pytest.param("ruff format --check .", id="format"),
        pytest.param("mypy --cache-dir build/mypy", id="types", marks=pytest.mark.slow),
    ],
)
def test_it_holds(command):
    found = subprocess.run(
        [sys.executable, "-m", *command.split()], cwd=ROOT, capture_output=True, text=True, encoding="utf-8"
    )
    assert found.returncode == 0, found.stdout[-3000:] + found.stderr[-1000:]
