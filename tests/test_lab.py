"""`python course.py` opens lesson 00 without a question; `--teach` fits a projector."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

import course

ROOT = Path(__file__).resolve().parents[1]
LARGE = "getComputedStyle(document.documentElement).getPropertyValue('--jp-code-font-size')"


@pytest.mark.parametrize("teach", [False, True])
def test_the_printed_address_opens_the_first_lesson(chromium, tmp_path, monkeypatch, teach):
    lab = ["--no-browser", "--port", "9417", *(["--teach"] if teach else [])]
    log = tmp_path / "lab.log"
    env = {**os.environ, "HOME": str(tmp_path)}
    program = (
        "import course, os, sys; env = course.child_env() | {'JUPYTER_CONFIG_DIR': sys.argv[1]}\n"
        "course.call, course.child_env = lambda *parts: 0, lambda: env  # no layout of an earlier start\n"
        "course.open_lab(sys.executable, sys.argv[2:])"
    )
    lab.insert(0, str(tmp_path / "jupyter"))
    with log.open("wb") as out:
        server = subprocess.Popen(
            [sys.executable, "-c", program, *lab], cwd=ROOT, env=env, stdout=out, stderr=out
        )
    try:
        for _ in range(600):
            found = re.search(r"http://127\.0\.0\.1\S+token=\w+", log.read_text(errors="replace"))
            if found or server.poll() is not None:
                break
            time.sleep(0.1)
        assert found, log.read_text(errors="replace")
        page = chromium.new_page(viewport={"width": 1366, "height": 768})
        page.goto(found[0])
        page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
        page.wait_for_timeout(3000)
        assert course.FIRST in found[0]
        assert page.get_by_role("heading", name="Start here").first.is_visible()
        assert page.get_by_text("Would you like to get notified").count() == 0
        assert page.locator(".jp-DirListing:visible").count() == 0 or not teach
        size = int(page.evaluate(LARGE).strip().removesuffix("px"))
        assert size >= 16 if teach else size <= 14
        page.close()
    finally:
        server.terminate()
        server.wait()
    assert {path.name for path in tmp_path.iterdir()} <= {"lab.log", "jupyter"}, (
        "nothing is written into HOME"
    )
