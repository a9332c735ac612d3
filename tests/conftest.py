"""What several test modules share: the browser, the order of the notebooks, the table of minutes."""

import os
import shutil
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings

from tools import notebooks

ROOT = Path(__file__).resolve().parents[1]
SPENT: Counter[str] = Counter()  # seconds by group
FAILED: set[str] = set()


def pytest_xdist_auto_num_workers() -> int:
    """How many tests run side by side: a notebook needs memory, too."""
    return notebooks.jobs_that_fit()


def pytest_configure(config):
    """Side by side each test keeps to one core: threads that wait for each other take far longer."""
    if getattr(config, "workerinput", {}).get("workercount", 1) > 1:
        os.environ.update(notebooks.ONE_THREAD)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Keep the tests of one file, or of one notebook, in one process; the longest notebooks come first."""
    costs, minutes = notebooks.read_table(), {}
    for item in items:
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.browser)  # so that none slips into the unit tests
        group = item.get_closest_marker("xdist_group")
        if not group:
            path = item.path
            group = notebooks.name_of(path) if path.suffix == ".ipynb" else path.relative_to(ROOT).as_posix()
            item.add_marker(pytest.mark.xdist_group(group))
        name = group if isinstance(group, str) else group.args[0]
        item.user_properties.append(("group", name))
        minutes[item] = costs[name].minutes if name in costs else 0.5
    items.sort(key=lambda item: (-minutes[item], dict(item.user_properties)["group"]))


def pytest_runtest_logreport(report):
    """Add up the seconds of each file."""
    group = dict(report.user_properties).get("group", "")
    SPENT[group] += report.duration
    if report.failed:
        FAILED.add(group)


def pytest_terminal_summary(terminalreporter):
    """Print the minutes of each lesson, and of everything else."""
    lessons = {name for name in SPENT if name[:2].isdigit() or name.startswith("solutions/")}
    rows = [(name, SPENT[name], name in FAILED) for name in sorted(lessons)]
    rest = set(SPENT) - lessons
    rows.append(("everything else", sum(SPENT[name] for name in rest), bool(rest & FAILED)))
    terminalreporter.write_line(f"\n{'what':34s} minutes  result")
    for name, seconds, failed in rows:
        terminalreporter.write_line(f"{name:34s} {seconds / 60:7.2f}  {'FAILED' if failed else 'ok'}")


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
