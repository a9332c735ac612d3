"""What several test modules share: the browser, and the option that picks one notebook."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]


def pytest_addoption(parser):
    parser.addoption(
        "--only", default=None, help="notebook whose take-with-you cell runs, e.g. 21_sales_prepare"
    )


def pytest_collection_modifyitems(items):
    """Mark every test that drives the browser, so that none slips into the unit tests."""
    for item in items:
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.browser)


def find_browser() -> str | None:
    """Path of an installed Chromium or Chrome, or None."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    found = next((path for name in names if (path := shutil.which(name))), None)
    return os.environ.get("ECOM_BROWSER") or found


@pytest.fixture(scope="session")
def chromium():
    """A headless browser (playwright's Browser); without one the test is skipped, or fails in the gate."""
    from playwright.sync_api import sync_playwright

    path = find_browser()
    if not path:
        reason = "no Chromium or Chrome found; install one, or name it in ECOM_BROWSER"
        if os.environ.get("ECOM_REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


# Examples are drawn the same way in every run, and a slow machine is no failure.
settings.register_profile("course", deadline=None, derandomize=True, database=None)
settings.load_profile("course")
