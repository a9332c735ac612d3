"""A real browser shows the slides, fills in the forms and adds them up, from files, without a network."""

import csv
import importlib.util
from pathlib import Path

import pytest

from tools.teaching import slides
from tools.teaching.blocks import TEACHING

PAGES = TEACHING / "pages"


@pytest.fixture(scope="module")
def decks(tmp_path_factory):
    """The slides as in the book: the formulas' program beside them."""
    root = tmp_path_factory.mktemp("book")
    made = slides.write(root / "docs" / "teaching" / "slides")
    package = importlib.util.find_spec("sphinx-mathjax-offline").submodule_search_locations[0]
    (root / "_static").mkdir()
    (root / "_static" / "mathjax").symlink_to(Path(package) / "static" / "mathjax")
    return made


@pytest.fixture
def page(chromium):
    """A page of a projector's size; at the end nothing may have come from elsewhere or gone wrong."""
    context = chromium.new_context(viewport={"width": 1366, "height": 768}, accept_downloads=True)
    page, wrong = context.new_page(), []
    page.on("request", lambda one: wrong.append(one.url) if not one.url.startswith(LOCAL) else None)
    page.on("requestfailed", lambda one: wrong.append(one.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    yield page
    context.close()
    assert not wrong


LOCAL = ("file:", "data:", "blob:")
SHOWN = "document.querySelector('section.now').id"
FITS = """() => {
  const box = document.querySelector("section.now .slide");
  return Number(box.style.getPropertyValue("--fit")) > 0.55 && box.scrollHeight <= box.clientHeight + 1
    && box.scrollWidth <= box.clientWidth + 1;
}"""


def test_arrow_keys_go_through_the_slides(page, decks):
    page.goto(decks[1].as_uri())
    assert page.evaluate(SHOWN) == "s1"
    page.keyboard.press("ArrowRight")
    assert page.evaluate(SHOWN) == "s2" and page.url.endswith("#s2")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(SHOWN) == "s1"
    asked = page.locator("section:has(.step)").first.get_attribute("id")
    page.goto(f"{decks[1].as_uri()}#{asked}")
    answer = page.locator("section.now .step")
    assert not answer.is_visible()
    page.keyboard.press("ArrowRight")  # first the answer, then the next slide
    assert answer.is_visible() and page.evaluate(SHOWN) == asked
    page.keyboard.press("ArrowRight")
    assert page.evaluate(SHOWN) != asked
    notes = page.locator("section.now .notes")
    assert not notes.is_visible()
    page.keyboard.press("n")
    assert notes.is_visible()
    page.keyboard.press("End")
    assert page.evaluate(SHOWN) == f"s{page.locator('section').count()}"


@pytest.mark.slow
def test_every_slide_fits_a_projector(page, decks):
    for deck in decks:
        page.goto(deck.as_uri())
        formulas = r"\(" in deck.read_text(encoding="utf-8")
        if formulas:
            page.wait_for_selector("mjx-container", state="attached", timeout=60_000)
            assert page.locator("mjx-merror").count() == 0, deck.name
        for number in range(1, page.locator("section").count() + 1):
            page.evaluate(f"location.hash = '#s{number}'")
            page.wait_for_function(f"{SHOWN} === 's{number}'")
            assert page.evaluate(FITS), f"{deck.name}, slide {number}"
        broken = page.evaluate("[...document.images].filter((i) => i.complete && !i.naturalWidth).length")
        assert broken == 0, deck.name


def test_on_paper_every_slide_is_a_page_with_its_notes(page, decks):
    page.goto(decks[0].as_uri())
    page.emulate_media(media="print")
    assert page.locator("section:visible").count() == page.locator("section").count()
    assert page.locator(".step:visible").count() == page.locator(".step").count()
    assert page.locator(".notes:visible").count() == page.locator(".notes").count()


def filled(page, name, tmp_path, choices, when=None):
    """Fill in a form and return the file that it saves."""
    page.goto((PAGES / name).as_uri())
    page.fill("#word", "blue whale")
    if when:
        page.check(f"input[name=when][value={when}]")
    for question, value in choices.items():
        page.check(f'input[name="{question}"][value="{value}"]')
    if when:
        page.click("[data-do=check]")
    with page.expect_download() as waiting:
        page.click("[data-do=save]")
    path = tmp_path / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return path


RIGHT = dict(zip([f"question {n}" for n in range(1, 11)], "bacbacbaca", strict=True))


def test_before_the_workshop_the_test_tells_no_answer(page, tmp_path):
    some = RIGHT | {"question 3": "a", "question 4": "?"}
    path = filled(page, "test.html", tmp_path, some, "before")
    assert path.name == "test-before-blue-whale.csv"
    assert (
        page.locator(".result").text_content() == "Saved among your downloads. Give the file to your teacher."
    )
    assert page.locator(".says").count() == 0
    rows = dict(csv.reader(path.read_text(encoding="utf-8-sig").splitlines()))
    assert rows["score"] == "8" and rows["question 3"] == "a" and rows["when"] == "before"


def test_after_the_workshop_it_says_why(page, tmp_path):
    filled(page, "test.html", tmp_path, RIGHT | {"question 3": "a"}, "after")
    said = page.locator("fieldset[data-right] .says")
    assert said.count() == 10
    assert said.nth(2).text_content().startswith("Not yet. That is one block of four. c: Four blocks")
    assert said.nth(0).text_content().startswith("Right.")


def test_an_open_question_is_counted(page):
    page.goto((PAGES / "test.html").as_uri())
    page.click("[data-do=check]")
    assert page.locator(".result").text_content() == "Say first when you take the test."
    page.check("input[name=when][value=after]")
    page.click("[data-do=check]")
    assert page.locator(".result").text_content().startswith("10 questions are still open")


def test_the_teacher_adds_up_machines_surveys_and_tests(page, tmp_path):
    scale = "I can say what the gates of an LSTM do"
    files = [filled(page, "survey-before.html", tmp_path, {scale: 1, "Python": "every week"})]
    files.append(tmp_path / "second.csv")
    files[0].replace(files[1])
    files[0] = filled(page, "survey-before.html", tmp_path, {scale: 2})
    files.append(filled(page, "survey-after.html", tmp_path, {scale: 4, "Recommend": 5}))
    files.append(filled(page, "test.html", tmp_path, RIGHT, "after"))
    page.goto((PAGES / "collect.html").as_uri())
    page.set_input_files("#files", files)
    page.locator("#answers table").first.wait_for()
    rows = page.locator("#answers table").first.locator("tr").all_text_contents()
    assert f"{scale}1.5 (2)4.0 (1)" in rows and "score10.0 (1)" in rows
    texts = page.locator("#answers table").nth(1).locator("tr").all_text_contents()
    assert "beforePythonevery week" in texts
    lines = [
        "course 0.1 | ready | Python 3.12.3 on Windows AMD64 | 8 GB; too little for lesson 43 | 99 GB free",
        "course 0.1 | NOT READY | Python 3.11.2 on Linux x86_64 | FAIL memory: 2.0 GB of memory.",
    ]
    page.fill("#lines", "\n".join(lines))
    assert page.locator("#machines p").text_content() == "1 of 2 ready."
    shown = page.locator("#machines tr").all_text_contents()
    assert shown[1] == "readyPython 3.12.3 on Windows AMD64too little for lesson 43"
    assert shown[2].endswith("FAIL memory: 2.0 GB of memory.")


@pytest.mark.parametrize("path", sorted(PAGES.glob("*.html")), ids=lambda path: path.name)
def test_pages_fit_a_phone_and_name_their_fields(page, path):
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(path.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    unlabelled = "[...document.querySelectorAll('input, textarea')].filter((e) => !e.labels.length).length"
    assert page.evaluate(unlabelled) == 0


@pytest.mark.parametrize("name", ["lstm.html", "comparison.html"])
def test_a_hand_out_is_two_sheets_of_paper(page, name):
    page.set_viewport_size({"width": 688, "height": 1017})  # A4 within margins of 14 mm
    page.emulate_media(media="print")
    page.goto((PAGES / name).as_uri())
    sheets = "[...document.querySelectorAll('.sheet')]"
    heights = page.evaluate(f"{sheets}.map((sheet) => sheet.getBoundingClientRect().height)")
    assert len(heights) == 2 and max(heights) <= 1017
