"""The web book builds without a warning, shows what it should, and asks nothing of another server."""

import ast
import functools
import html as escaped
import http.server
import json
import re
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from tools.house import LESSONS, SERVING, USE_CASES, modules, room

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "build" / "book"


@pytest.fixture(scope="module")
def book() -> Path:
    """Build the book from the committed outputs; any warning fails here, with Sphinx's own words."""
    found = subprocess.run(
        [sys.executable, str(ROOT / "book" / "build.py"), str(BOOK)], capture_output=True, text=True, cwd=ROOT
    )
    assert found.returncode == 0, found.stdout + found.stderr
    return BOOK


@pytest.fixture(scope="module")
def site(book):
    """Address of a small server on this machine; module scripts do not load from files."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    handler = functools.partial(Quiet, directory=str(book))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def pages() -> list[str]:
    """Return the pages the notebooks should have become."""
    paths = [path for path in (ROOT / "notebooks").rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts]
    return sorted(path.relative_to(ROOT).with_suffix(".html").as_posix() for path in paths)


@pytest.mark.book
def test_each_notebook_is_a_page_the_index_leads_to(book):
    index = (book / "index.html").read_text(encoding="utf-8")
    for page in pages():
        assert (book / page).exists()
        assert f'href="{page}"' in index, f"the index does not lead to {page}"


@pytest.mark.book
def test_committed_outputs_are_shown_and_solutions_folded(book):
    for page in pages():
        html = (book / page).read_text(encoding="utf-8")
        cells = json.loads((ROOT / page).with_suffix(".ipynb").read_text(encoding="utf-8"))["cells"]
        outputs = [output for cell in cells for output in cell.get("outputs", [])]
        pictures = sum("image/png" in output.get("data", {}) for output in outputs)
        assert html.count('<img alt="') + html.count("<img src=") >= pictures > 0 or not pictures
        folded = html.count("<details")
        wanted = sum("".join(cell["source"]).count("<details>") for cell in cells)
        fold = {"solution", "hide-input", "checks"}
        wanted += sum(bool(fold & set(cell["metadata"].get("tags", []))) for cell in cells)
        assert folded >= wanted, f"{page}: {folded} folded parts, {wanted} expected"


@pytest.mark.book
def test_pictures_have_the_alt_text_of_their_cell(book):
    texts = 0
    for page in pages():
        html = (book / page).read_text(encoding="utf-8")
        shown = {escaped.unescape(alt) for alt in re.findall('alt="([^"]*)"', html)}
        cells = json.loads((ROOT / page).with_suffix(".ipynb").read_text(encoding="utf-8"))["cells"]
        for cell in cells:
            if alt := cell["metadata"].get("alt"):
                texts += 1
                assert alt in shown, f"{page}: {alt}"
    assert texts, "no picture with an alt text"


@pytest.mark.book
@pytest.mark.parametrize("name", ["core", *USE_CASES, *SERVING])
def test_every_public_name_of_the_package_is_on_its_page(name, book):
    html = (book / "package" / f"{name}.html").read_text(encoding="utf-8")
    for module, path in modules().items():
        place = room(module) if room(module) in (*USE_CASES, *SERVING) else "core"
        hidden = module == "ecomlib" or room(module) in LESSONS or module.split(".")[-1].startswith("_")
        if place == name and not hidden:
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                public = isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
                assert not public or f'id="{module}.{node.name}"' in html, f"{module}.{node.name}"


@pytest.mark.book
def test_every_page_has_a_description_an_icon_and_words_for_a_screen_reader(book):
    texts = {}
    for path in book.rglob("*.html"):
        html = path.read_text(encoding="utf-8")
        if "bd-article" in html and path.stem not in ("search", "genindex", "py-modindex"):
            texts[path] = re.findall('<meta name="description" content="([^"]{20,})"', html)
            assert len(texts[path]) == 1, path
            assert "favicon.svg" in html, path
            assert "Toggle hidden content" not in html, path
            assert "<summary><span" not in html and not re.search(r"<a [^>]*>\s*<a ", html), path
            assert not re.search(r"<th[^>]*>\s*(<p></p>)?\s*</th>", html), f"{path}: an empty heading"
    lessons = [text[0] for path, text in texts.items() if path.parent.name == "notebooks"]
    assert len(set(lessons)) == len(lessons) > 0


@pytest.mark.book
def test_results_glossary_and_notebooks_are_there(book):
    index = (book / "index.html").read_text(encoding="utf-8")
    for page in ("results.html", "docs/words.html", "docs/questions.html"):
        assert f'href="{page}"' in index
    (packed,) = re.findall(r'href="(_downloads/[^"]*/notebooks\.zip)"', index)
    with zipfile.ZipFile(book / packed) as file:
        assert sorted(file.namelist()) == [page.replace(".html", ".ipynb") for page in pages()]
    glossary = (book / "docs" / "words.html").read_text(encoding="utf-8")
    assert 'id="term-cutoff"' in glossary and 'lang="zh"' in glossary


@pytest.mark.browser
@pytest.mark.book
def test_nothing_scrolls_sideways_on_a_phone_and_figures_stay_readable(site, chromium):
    page, figures = chromium.new_page(viewport={"width": 390, "height": 844}), []
    names = ["index", "results", "docs/words", "docs/questions", "package/core", "data/README"]
    for name in [*(f"{name}.html" for name in names), *pages()[:3]]:
        page.goto(f"{site}/{name}", wait_until="load")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, name
        figures += page.evaluate(
            "[...document.querySelectorAll('.large img[width]')].map(each => "
            "each.clientWidth / each.getAttribute('width'))"
        )
    page.close()
    assert min(figures) > 0.71, "a figure is shrunk below the size at which its words can be read"


@pytest.mark.book
def test_the_workshop_kit_is_in_the_book(book):
    assert 'href="docs/teaching/index.html"' in (book / "index.html").read_text(encoding="utf-8")
    kit = book / "docs" / "teaching"
    for page in [kit / "index.html", *kit.glob("*/*.html")]:
        for target in re.findall(r'<a [^>]*?href="([^"#:?]+)[#?]?[^"]*"', page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
    decks = re.findall(r'href="(slides/[^"]+)"', (kit / "index.html").read_text(encoding="utf-8"))
    assert len(decks) == len({Path(page).name[0] for page in pages()})


@pytest.mark.book
def test_no_page_names_another_server_for_something_it_loads(book):
    loads = re.compile(r"""<(?:script|img|iframe|link)\b[^>]*?\b(?:src|href)=["'](?:https?:)?//[^"']+""")
    for path in book.rglob("*.html"):
        found = [
            text for text in loads.findall(path.read_text(encoding="utf-8")) if 'rel="canonical"' not in text
        ]
        assert not found, f"{path.name}: {found}"


@pytest.mark.browser
@pytest.mark.book
def test_pages_ask_nothing_of_another_server_and_show_formulas(site, chromium):
    outside, broken, formulas = [], [], 0
    context = chromium.new_context()
    page = context.new_page()
    page.on("request", lambda request: outside.append(request.url) if not_ours(request.url, site) else None)
    page.on("response", lambda answer: broken.append(answer.url) if answer.status >= 400 else None)
    page.on("pageerror", lambda error: broken.append(str(error)))
    for name in ["index.html", *[name for name in pages() if "solutions" not in name]]:
        page.goto(f"{site}/{name}", wait_until="load")
        if page.locator(".math").count():
            page.wait_for_selector("mjx-container", state="attached", timeout=20_000)
            formulas += page.locator("mjx-container").count()
            assert page.locator("mjx-merror").count() == 0, f"{name}: a formula that MathJax cannot read"
        answers = page.locator("details:has(> summary:text-is('Answer'))")
        if answers.count():
            assert len(answers.first.inner_text()) < 40, f"{name}: the answer is not folded"
            answers.first.locator("summary").click()
            shown = answers.first.inner_text()  # what is folded has no inner text
            assert len(shown) > 40, f"{name}: the answer does not unfold"
    context.close()
    assert not outside, f"asked of other servers: {sorted(set(outside))}"
    assert not broken, f"not found or broken: {sorted(set(broken))}"
    assert formulas or not pages()


@pytest.mark.browser
def test_a_request_to_another_server_would_be_seen(chromium):
    seen = []
    page = chromium.new_page()
    page.on(
        "request", lambda request: seen.append(request.url) if not_ours(request.url, "http://x") else None
    )
    page.route("**", lambda route: route.abort())
    page.set_content('<script src="https://example.org/mathjax.js"></script>')
    page.close()
    assert seen == ["https://example.org/mathjax.js"]


def not_ours(url: str, site: str) -> bool:
    """Whether a request leaves this machine."""
    return not url.startswith((site, "data:", "blob:"))
