"""A real browser moves the explorers' sliders, in JupyterLab and in a page of the web book."""

import functools
import http.server
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import expect
from test_widgets import HOUSEHOLDS, TRACES, WAYS_BACK, cases, compare, compare_ways_back, ways_back

from ecomlib.lessons import gate_explorer
from ecomlib.lessons.gradient_explorer import GradientExplorer

ROOT = Path(__file__).resolve().parents[1]
LESSON = ROOT / "notebooks" / "13_lstm_gates.ipynb"
FIRST = LESSON.with_name("12_recurrence_and_gradients.ipynb")
CELL = f"""import ecomlib
from ecomlib.lessons.gate_explorer import GateExplorer
explorer = GateExplorer(households={HOUSEHOLDS!r})
explorer"""
WEEKS = [f"week {k}" for k in range(1, 51)]
DOLLARS = [12.5 * (k % 7) * (k % 2) for k in range(50)]
BACK = f"""from ecomlib.lessons.gradient_explorer import GradientExplorer
GradientExplorer({WEEKS!r}, {DOLLARS!r}, units=32)"""
ASK = "print('kernel sees', explorer.weights['f'][2], explorer.held)"


def move_sliders(page, explorer):
    """Drive every kind of control and see the values change; `explorer` is the widget's locator."""

    def shown(name):
        return float(explorer.locator(f'[data-for="{name}"]').text_content())

    def last():
        return float(explorer.get_attribute("data-last"))

    explorer.wait_for()
    explorer.scroll_into_view_if_needed()
    assert explorer.locator('[data-name="c"]').is_visible()
    assert not explorer.locator('[data-name="f2"]').is_visible()  # the weights are folded at first
    explorer.locator("summary").click()
    expect(explorer.locator('[data-name="c"]')).to_be_hidden()  # the weights take its place
    before = shown("f"), last()
    slider = explorer.locator('[data-name="f2"]')  # the forget gate's bias, moved by the keyboard
    slider.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    assert shown("f") > before[0] and last() != before[1]
    assert shown("f2") == pytest.approx(1.5)

    explorer.locator("summary").click()
    expect(explorer.locator('[data-name="c"]')).to_be_visible()
    spoken = explorer.locator('[data-name="x"]')
    h = shown("h-new")
    spoken.fill("3")
    assert shown("x") == 3 and shown("h-new") != h
    assert "What if" in explorer.locator('[data-name="note"]').text_content()

    for name, number in (("h", "-1"), ("c", "3")):  # the state before, each part of it
        before = shown("h-new")
        explorer.locator(f'[data-name="{name}"]').fill(number)
        assert shown(name) == float(number) and shown("h-new") != before

    explorer.locator("summary").click()
    explorer.locator('[data-name="f-held"]').select_option("0")
    assert shown("f") == 0
    explorer.locator('[data-name="week"]').fill("4")
    week_four = gate_explorer.to_input(HOUSEHOLDS[0]["spend"])[3]
    if explorer.locator('[data-name="household"] option').count() == 1:  # the test's own household
        weights = {**gate_explorer.PRESETS["Keras' start (forget bias 1)"]["weights"], "f": [0.3, -0.2, 1.5]}
        run = gate_explorer.trace(gate_explorer.to_input(HOUSEHOLDS[0]["spend"]), weights, {"f": 0})
        assert shown("x") == pytest.approx(week_four, abs=0.005)
        assert shown("h-new") == pytest.approx(run["h"][3], abs=6e-5)
        assert shown("c-new") == pytest.approx(run["c"][3], abs=6e-5)

    kept = explorer.locator('[data-name="preset"]').input_value(), shown("f2")
    explorer.locator('[data-name="preset"]').select_option("counts inactive weeks")
    assert (shown("i0"), shown("f2")) == (-6, 4)
    explorer.locator('[data-name="preset"]').select_option(kept[0])
    assert shown("f2") == 1  # the preset's, not the 1.5 of the keyboard
    explorer.locator('[data-name="f2"]').fill(str(kept[1]))
    explorer.locator('[data-name="f-held"]').select_option("0")

    unlabelled = explorer.evaluate(
        """(root) => [...root.querySelectorAll("input, select")]
           .filter((e) => !e.labels.length || !e.labels[0].textContent.trim()).map((e) => e.dataset.name)"""
    )
    assert unlabelled == []


def play_a_while(page, explorer):
    """Play the weeks; a slider stops them."""
    week = explorer.locator('[data-name="week"]')
    button = explorer.get_by_role("button", name="Play the weeks")
    start = int(week.input_value())
    button.click()
    page.wait_for_function("([box, start]) => box.value >= start + 2", arg=[week.element_handle(), start])
    week.fill("1")
    page.wait_for_timeout(700)
    assert button.is_visible() and week.input_value() == "1"
    week.fill(week.get_attribute("max"))
    button.click()  # at the end it begins again
    assert int(week.input_value()) <= 2
    explorer.get_by_role("button", name="Pause").click()


def send_back(page, explorer):
    """Move the gradient explorer's sliders, by keyboard and play button; `explorer` is its locator."""

    def shown(name):
        return float(explorer.locator(f'[data-for="{name}"]').text_content())

    explorer.wait_for()
    explorer.scroll_into_view_if_needed()
    lag = explorer.locator('[data-name="lag"]')
    lag.fill("40")
    start = {name: shown(name) for name in ("rnn", "dh", "dc", "forget")}
    assert start["rnn"] < 0.01 and start["dc"] < 1e-3 and 0.6 < start["forget"] < 0.9
    explorer.locator('[data-name="bias"]').fill("5")
    assert shown("rnn") == start["rnn"] and shown("dc") > 0.1 and shown("forget") > 0.95
    explorer.locator('[data-name="scale"]').fill("5")
    assert shown("rnn") > 1e3
    lag.focus()
    page.keyboard.press("ArrowLeft")
    assert "39 weeks back" in explorer.locator('[data-for="lag"]').text_content()
    assert "39 weeks back" in explorer.locator("svg title").text_content()
    explorer.get_by_role("button", name="Reset").click()
    assert (shown("scale"), shown("bias"), lag.input_value()) == (1, 1, "0")
    explorer.get_by_role("button", name="Send the gradient back").click()
    page.wait_for_function("(box) => box.value >= 2", arg=lag.element_handle())
    explorer.get_by_role("button", name="Pause").click()
    stopped = lag.input_value()
    page.wait_for_timeout(700)
    assert lag.input_value() == stopped
    box = explorer.locator("svg").bounding_box()
    page.mouse.click(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])
    assert 10 < int(lag.input_value()) < 40
    names = explorer.evaluate(
        """(root) => [...root.querySelectorAll("input")].map((e) => e.labels[0].textContent.trim())"""
    )
    assert len(names) == 3 and all(names)


# ------------------------------------------------------------------------------------------- JupyterLab


def free_port() -> int:
    """A port of the loopback interface that nobody uses."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """JupyterLab on the loopback interface, serving one tiny notebook."""
    folder = tmp_path_factory.mktemp("lab")
    cells = [nbformat.v4.new_code_cell(CELL)]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / "tiny.ipynb")
    port, home = free_port(), tmp_path_factory.mktemp("home")
    env = {**os.environ, "PYTHONPATH": str(ROOT), "JUPYTER_CONFIG_DIR": str(home), "IPYTHONDIR": str(home)}
    env |= {"JUPYTERLAB_SETTINGS_DIR": str(home / "s"), "JUPYTERLAB_WORKSPACES_DIR": str(home / "w")}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1"]
    command += [f"--port={port}", "--ServerApp.port_retries=0", "--IdentityProvider.token="]
    command += [
        f"--ServerApp.root_dir={folder}",
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=",
    ]
    command[-1] += "jupyterlab.NeverCheckForUpdate"
    with open(folder / "lab.log", "w") as log:
        server = subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(120):
            try:
                urllib.request.urlopen(f"{url}/api", timeout=2).close()
                break
            except OSError:
                if server.poll() is not None:
                    pytest.fail((folder / "lab.log").read_text()[-2000:])
                time.sleep(0.25)
        yield url
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()


def run_first_cell(page):
    """Run the first cell; again if need be: JupyterLab drops a cell that is run before its kernel answers."""
    untouched = page.locator(".jp-CodeCell").first.locator(".jp-InputPrompt", has_text="[ ]:")
    for _ in range(30):
        page.locator(".jp-CodeCell .cm-content").first.click()
        page.keyboard.press("Shift+Enter")
        page.locator(".jp-CodeCell").nth(1).wait_for()  # JupyterLab adds a cell below and goes there
        page.wait_for_timeout(1000)
        if not untouched.count():
            return
    pytest.fail("JupyterLab did not run the cell in 30 tries")


def test_in_jupyterlab(chromium, lab):
    page = chromium.new_page(viewport={"width": 1366, "height": 768})  # a projector
    page.set_default_timeout(90_000)  # a first kernel on a busy machine compiles what it imports
    try:
        page.goto(f"{lab}/lab/tree/tiny.ipynb")
        page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
        explorer = page.locator(".ge").first
        run_first_cell(page)
        explorer.wait_for()
        seen = page.locator(".jp-WindowedPanel-outer").first.bounding_box()
        assert explorer.bounding_box()["height"] < seen["height"] - 20
        play_a_while(page, explorer)
        move_sliders(page, explorer)
        picture(page, "lab")
        # The sliders' values reach the kernel.
        page.locator(".jp-CodeCell .cm-content").last.click()
        page.keyboard.type(ASK)
        page.keyboard.press("Shift+Enter")
        page.get_by_text("kernel sees 1.5 {'f': 0}").wait_for()
        page.locator(".jp-CodeCell .cm-content").last.click()
        page.keyboard.insert_text(BACK)
        page.keyboard.press("Shift+Enter")
        back = page.locator(".ge").nth(1)
        back.wait_for()
        assert back.bounding_box()["height"] < seen["height"] - 20
        send_back(page, back)
    finally:
        page.close()


# ------------------------------------------------------------------------------------------- the web book


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """A web book of two pages, made as `book/build.py` makes them, on a loopback server."""
    spec = importlib.util.spec_from_file_location("book_build", ROOT / "book" / "build.py")
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    folder = tmp_path_factory.mktemp("book")
    shutil.copytree(ROOT / "book", folder, dirs_exist_ok=True)
    both = (
        (CELL, gate_explorer.GateExplorer(households=HOUSEHOLDS)),
        (BACK, GradientExplorer(WEEKS, DOLLARS, units=32)),
    )
    cells = [nbformat.v4.new_markdown_cell("# Tiny")]
    for count, (code, explorer) in enumerate(both, 1):
        data, metadata = explorer._repr_mimebundle_()
        output = nbformat.v4.new_output("execute_result", data, metadata=metadata, execution_count=count)
        cells.append(nbformat.v4.new_code_cell(code, execution_count=count, outputs=[output]))
    notebook = nbformat.v4.new_notebook(cells=cells)
    source = folder / "source.json"
    nbformat.write(notebook, source)
    (folder / "notebooks").mkdir()
    (folder / "notebooks" / "tiny.ipynb").write_text(build.adapt(source), encoding="utf-8")
    pages = ["notebooks/tiny", f"notebooks/{FIRST.stem}", f"notebooks/{LESSON.stem}"]
    for lesson in (FIRST, LESSON):
        (folder / "notebooks" / lesson.name).write_text(build.adapt(lesson), encoding="utf-8")
    for script in (ROOT / "ecomlib" / "lessons").glob("*.js"):
        shutil.copy(script, folder / "_static")
    toctree = "\n".join(pages)
    (folder / "index.md").write_text(f"# Book\n\n```{{toctree}}\n{toctree}\n```\n", encoding="utf-8")
    html = folder / "html"
    command = [sys.executable, "-m", "sphinx", "-q", "-E", str(folder), str(html)]
    subprocess.run(command, check=True, timeout=120, capture_output=True)
    handler = functools.partial(Quiet, directory=str(html))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/notebooks", html / "notebooks" / "tiny.html"
    server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A file server that logs nothing."""

    def log_message(self, *args):
        pass


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_the_web_book(chromium, book, scheme):
    url, _ = book
    page = chromium.new_page(viewport={"width": 1200, "height": 1300}, color_scheme=scheme)
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    try:
        page.goto(f"{url}/tiny.html")
        move_sliders(page, page.locator(".ge").first)
        send_back(page, page.locator(".ge").nth(1))
        picture(page, f"book-{scheme}")
        assert errors == []
        static = url.replace("/notebooks", "/_static")
        ask = "async ([url, cases]) => { const m = await import(url); return %s; }"
        compare(page.evaluate(ask % TRACES, [f"{static}/gate_explorer.js", json.loads(json.dumps(cases()))]))
        found = page.evaluate(ask % WAYS_BACK, [f"{static}/gradient_explorer.js", ways_back()])
        compare_ways_back(found)
    finally:
        page.close()


def test_in_a_page_opened_from_the_disk(chromium, book):
    page = chromium.new_page()
    try:
        page.goto(book[1].as_uri())
        move_sliders(page, page.locator(".ge").first)
        send_back(page, page.locator(".ge").nth(1))
    finally:
        page.close()


def test_in_the_lesson_of_the_web_book(chromium, book):
    page = chromium.new_page(viewport={"width": 1200, "height": 1300})
    try:
        page.goto(f"{book[0]}/13_lstm_gates.html")
        explorer = page.locator(".ge").first
        move_sliders(page, explorer)
        names = explorer.locator('[data-name="household"] option')
        assert names.count() > 1
        h = explorer.get_attribute("data-last")
        explorer.locator('[data-name="household"]').select_option("1")
        assert explorer.get_attribute("data-last") != h
        picture(page, "lesson")
    finally:
        page.close()


@pytest.mark.parametrize("size", [(1366, 768), (390, 844)])
def test_it_fits_one_screen_and_plays(chromium, book, size):
    page = chromium.new_page(viewport={"width": size[0], "height": size[1]})
    try:
        explorer, header = first_of(page, f"{book[0]}/13_lstm_gates.html")
        for _ in ("folded", "open"):
            assert explorer.bounding_box()["height"] < size[1] - header
            explorer.locator("summary").click()
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        # What is shown first moves: a household that comes, then turns inactive.
        run = explorer.locator("svg polyline").nth(3).get_attribute("points").split()
        heights = [float(point.split(",")[1]) for point in run]
        assert max(heights) - min(heights) > 15
        play_a_while(page, explorer)
        explorer.scroll_into_view_if_needed()
        picture(page, f"lesson-{size[0]}")
    finally:
        page.close()


@pytest.mark.parametrize("size", [(1366, 768), (390, 844)])
def test_the_gradient_explorer_of_lesson_12_fits_one_screen(chromium, book, size):
    page = chromium.new_page(viewport={"width": size[0], "height": size[1]})
    try:
        explorer, header = first_of(page, f"{book[0]}/{FIRST.stem}.html")
        assert explorer.bounding_box()["height"] < size[1] - header
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        send_back(page, explorer)
        explorer.scroll_into_view_if_needed()
        picture(page, f"lesson-12-{size[0]}")
    finally:
        page.close()


def test_two_explorers_on_one_page_live_apart(chromium, book):
    page = chromium.new_page(viewport={"width": 1200, "height": 1300})
    try:
        page.goto(f"{book[0]}/13_lstm_gates.html")
        places = page.locator(".explorer")
        first, second = places.nth(0).locator(".ge"), places.nth(1).locator(".ge")
        second.wait_for()
        assert places.count() == page.locator(".ge").count() == 2
        shops = [one.locator('[data-name="household"]').text_content() for one in (first, second)]
        assert "turns inactive" in shops[0] and "large week" in shops[1]
        before = first.get_attribute("data-last")
        second.locator("summary").click()
        second.locator('[data-name="f2"]').fill("5")
        assert second.locator('[data-for="f2"]').text_content() == "5.0"
        assert first.get_attribute("data-last") == before
        titles = [one.locator("svg title").get_attribute("id") for one in (first, second)]
        assert titles[0] != titles[1]
    finally:
        page.close()


def first_of(page, url):
    """Open a page of the book; its first explorer, and the height of the header above it."""
    page.goto(url)
    explorer = page.locator(".ge").first
    explorer.wait_for()
    return explorer, page.locator(".bd-header-article").bounding_box()["height"]


def picture(page, name):
    """Save a screenshot when ECOM_PICTURES names a folder."""
    if folder := os.environ.get("ECOM_PICTURES"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=name != "lab")
