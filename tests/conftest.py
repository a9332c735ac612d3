"""What several test modules share: the browser, the order of the notebooks, the table of minutes."""

import os
import shutil
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings

from tools import notebooks

ROOT = Path(__file__).resolve().parents[1]
SPENT: Counter[str] = Counter()  # seconds by file
FAILED: set[str] = set()


def pytest_xdist_auto_num_workers() -> int:
    """How many tests run side by side: a notebook needs memory, too."""
    return notebooks.jobs_that_fit()


def pytest_configure(config):
    """Side by side each test keeps to one core: threads that wait for each other take far longer."""
    if getattr(config, "workerinput", {}).get("workercount", 1) > 1:
        os.environ.update(notebooks.ONE_THREAD)


def pytest_collection_modifyitems(items):
    """Put the long notebooks first: a worker takes a file at a time, in this order.

    Cells of a lesson from the first that needs packages which are not installed are skipped, by name.
    """
    for file in {item.path for item in items if hasattr(item, "cell")}:
        cells = [item for item in items if item.path == file]
        if stop := notebooks.first_without([item.cell for item in cells]):
            for item in cells[stop[0] :]:
                item.add_marker(pytest.mark.skip(reason=f"{file.name}: {stop[1]}"))
    costs = {run.lesson: run.minutes for run in notebooks.read_table().values()}
    alone = sum(costs.values()) / 8  # minutes of all take-with-you cells, which are one file
    costs["test_take_with_you"] = alone
    minutes = {}
    for item in items:
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.browser)  # so that none slips into the unit tests
        minutes[item] = costs.get(notebooks.name_of(item.path), 0.5)
    items.sort(key=lambda item: (-minutes[item], str(item.path)))


def pytest_runtest_logreport(report):
    """Add up the seconds of each file."""
    file = report.nodeid.split("::")[0]
    SPENT[file] += report.duration
    if report.failed:
        FAILED.add(file)


def pytest_terminal_summary(terminalreporter):
    """Print the minutes of each lesson, and of everything else."""
    lessons = {notebooks.name_of(Path(file)): file for file in SPENT if file.endswith(".ipynb")}
    rows = [(name, SPENT[lessons[name]], lessons[name] in FAILED) for name in sorted(lessons)]
    rest = set(SPENT) - set(lessons.values())
    rows.append(("everything else", sum(SPENT[file] for file in rest), bool(rest & FAILED)))
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


@pytest.fixture
def eager():
    """Networks run without graphs: for a few batches of a tiny task, tracing takes most of the time."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


# Examples are drawn the same way in every run, and a slow machine is no failure.
settings.register_profile("course", deadline=None, derandomize=True, database=None)
settings.load_profile("course")
