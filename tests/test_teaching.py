"""The workshop kit: its pages are those of today's lessons, its minutes fit, its figures are right."""

import html
import json
import math
import re
import socket
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from html.parser import HTMLParser

import matplotlib
import numpy as np
import pytest

from ecomlib import gates
from tools import classroom
from tools.form import find_lessons
from tools.form.lesson import ROOT, figures_of
from tools.teaching import blocks, book, figures, hints, kit, measure, notes, server, slides, timetable
from tools.teaching.blocks import TEACHING, Block, Question

PAGES = TEACHING / "pages"
TEXTS = sorted([*TEACHING.rglob("*.md"), *PAGES.glob("*.html"), *PAGES.glob("*.js")])
LESSONS = blocks.lessons()
IDS = [lesson.name for lesson in LESSONS]
AGAIN = "refresh the kit with: python -m tools.teaching"


def text_of(name):
    return (TEACHING / name).read_text(encoding="utf-8")


# ------------------------------------------------------------------------------------------- made pages


WANTED = kit.wanted()


@pytest.mark.parametrize("path", sorted(WANTED), ids=lambda path: path.name)
def test_made_pages_are_those_of_todays_lessons(path):
    assert path.exists(), AGAIN
    assert path.read_text(encoding="utf-8") == WANTED[path], AGAIN


def test_no_page_of_a_lesson_that_is_gone():
    assert not kit.old(), AGAIN


def test_hints_are_those_of_todays_exercises():
    assert not hints.stale(), AGAIN
    assert set(hints.read()) == set(hints.names())
    for name, known in hints.read().items():
        assert len(known["hints"]) >= 1, f"{name} has no hint"


def test_a_changed_exercise_makes_its_hints_stale(monkeypatch):
    known = {name: one["from"] for name, one in hints.read().items()} | {"13.1": "other"}
    monkeypatch.setattr(hints, "fingerprint", known.get)
    assert hints.stale() == ["13.1"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["10.1", "13.1", "15.1", "23.1"])
def test_hints_are_what_a_learner_hears(name):
    assert hints.hints_of(name) == hints.read()[name]["hints"]


@pytest.mark.parametrize("lesson", LESSONS, ids=IDS)
def test_notes_hold_what_a_teacher_needs(lesson):
    page = notes.page(lesson)
    found = blocks.blocks(lesson)
    assert sum(block.read for block in found) == pytest.approx(float(blocks.header(lesson)["read"]))
    asked = [one for block in found for one in block.questions]
    written = len(re.findall(r"^\*\*(Question|Try)\b", lesson.prose, re.MULTILINE))
    assert len(asked) == written >= 1, "a question of the lesson is missing"
    assert all(one.text for one in asked)
    assert len(blocks.quiz(lesson)) == 3
    assert len(blocks.items(blocks.opening(lesson), "You will learn")) >= 3
    assert blocks.shop_question(lesson)
    for name in blocks.exercises(lesson):
        for said in hints.read()[name]["hints"]:
            assert notes.plain(said)[1:] in page, f"{name}: {said}"


def test_a_question_is_read_with_its_answer_and_nothing_else():
    text = (
        "Text.\n\n**Question.** Why\nnot?\n\n"
        "<details><summary>Answer</summary>\n\nBecause $x$.\n\n</details>\n\n"
        "**Try:** set A.\n\nMore text.\n\n### Next"
    )
    assert blocks.questions_of(text, 7) == [
        Question("Why not?", "Because $x$.", 7),
        Question("Try: set A.", "", 7),
    ]


def test_minutes_of_a_block_count_reading_running_and_questions():
    block = Block("One", 3, read=10, slow={4: 30.0, 5: 60.0}, questions=[Question("a", "b", 3)])
    assert block.minutes == 1.5 * 10 + 1.5 + 2


def test_each_question_is_asked_once_while_cells_run():
    block = Block("One", 3, questions=[Question("a", "", 4), Question("b", "", 9)])
    taken = set()
    first = notes.pause(block, 6, taken)
    assert first.cell == 4
    assert notes.pause(block, 6, {4}).cell == 9
    assert notes.pause(block, 6, {4, 9}) is None


def test_measured_cells_are_in_their_lessons():
    for name, cells in blocks.seconds().items():
        lesson = next(one for one in LESSONS if one.name == name)
        assert set(cells) <= {cell.id for cell in lesson.code}, f"measure {name} again"
        assert min(cells.values()) >= measure.LEAST_S


# ------------------------------------------------------------------------------------------- timetables


def stretches(rows):
    """Minutes between breaks."""
    found = [0]
    for row in rows:
        if row.is_break:
            found.append(0)
        else:
            found[-1] += timetable.minutes(row)
    return found


DAYS = [
    pytest.param(end, rows, id=f"{name}, day {n}")
    for name, (end, days) in timetable.PLANS.items()
    for n, rows in enumerate(days, 1)
]


@pytest.mark.parametrize(("end", "rows"), DAYS)
def test_a_day_ends_in_time_and_has_breaks(end, rows):
    hour, minute = map(int, end.split(":"))
    last = timetable.day(rows)[1]
    assert hour * 60 + minute - 60 <= last <= hour * 60 + minute, timetable.clock(last)
    assert max(stretches(rows)) <= timetable.LONGEST
    if last > 13 * 60:
        assert sum(row.text == "Lunch" for row in rows) == 1


@pytest.mark.parametrize(("end", "rows"), DAYS)
def test_a_row_has_the_minutes_of_the_headers(end, rows):
    for row in rows:
        if row.lesson:
            says = blocks.header(timetable.lesson_of(row.lesson))
            chosen = timetable.chosen(row)
            assert chosen
            reading = sum(block.read for block in chosen)
            assert reading <= float(says["read"])
            exercises = float(says["exercises"]) / 3 * len(row.exercises)
            assert timetable.minutes(row) >= reading + exercises
            assert timetable.minutes(row) <= 1.5 * reading + exercises + 2 * 8 + 3 + timetable.STEP


def test_every_plan_reaches_the_evaluation_of_a_use_case():
    for name, (_, days) in timetable.PLANS.items():
        names = {
            timetable.lesson_of(row.lesson).name
            for rows in days
            for row in rows
            if row.lesson and "Evaluation" in [block.title for block in timetable.chosen(row)]
        }
        assert any(one.endswith("_evaluate") for one in names), name


def test_a_longer_lesson_makes_the_day_longer(monkeypatch):
    _, days = timetable.PLANS["A day"]
    before = timetable.day(days[0])[1]
    real = blocks.header

    def longer(lesson):
        return real(lesson) | ({"read": "120"} if lesson.number == "23" else {})

    monkeypatch.setattr(blocks, "header", longer)
    assert timetable.day(days[0])[1] > before + 30


def test_a_block_that_is_gone_is_named():
    with pytest.raises(ValueError, match="lesson 13 has 0 blocks that begin with 'No such'"):
        timetable.chosen(timetable.Row("13", ("No such",)))


# -------------------------------------------------------------------------------- the server, the room


def test_learners_that_fit_into_a_machine():
    assert server.learners(16, 1400) == 9  # 14 GB for kernels of 1.4 GB and servers of 0.1 GB
    assert server.learners(16, 1900) == 7
    assert server.learners(1, 1900) == 0
    assert all(f"| {PART} |" in server.table() for PART in ("Foundations", "Sales forecasting"))


def test_each_learner_has_a_copy_and_settings_of_their_own(tmp_path):
    one, two = (classroom.seat(number, tmp_path) for number in (1, 2))
    lesson = one / "notebooks" / "13_lstm_gates.ipynb"
    lesson.write_text("mine", encoding="utf-8")
    assert classroom.seat(1, tmp_path) == one and lesson.read_text(encoding="utf-8") == "mine"
    assert (two / "notebooks" / "13_lstm_gates.ipynb").read_bytes() != b"mine"
    assert (one / "data" / "sample_shop").is_dir()
    envs = [classroom.environment(folder) for folder in (one, two)]
    assert envs[0]["JUPYTER_RUNTIME_DIR"] != envs[1]["JUPYTER_RUNTIME_DIR"]
    started = classroom.command(one, 9001, "word", "127.0.0.1")
    assert {"--ServerApp.port=9001", "--IdentityProvider.token=word", f"--ServerApp.root_dir={one}"} <= set(
        started
    )
    assert classroom.main(["0"]) == 2


@pytest.mark.slow
def test_a_seat_opens_with_its_word_only_and_all_close(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tools.classroom", "1", "--here", "--port", str(port), "--room"]
    room = subprocess.Popen([*command, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        word = re.search(r"token=(\w+)", room.stdout.readline())[1]
        asked = f"http://127.0.0.1:{port}/api/contents/notebooks"
        for _ in range(240):
            try:
                lessons = json.load(opener.open(f"{asked}?token={word}", timeout=30))["content"]
                break
            except urllib.error.URLError:
                time.sleep(0.5)
        assert "13_lstm_gates.ipynb" in [one["name"] for one in lessons]
        with pytest.raises(urllib.error.HTTPError, match="403"):
            opener.open(asked, timeout=30)
    finally:
        room.terminate()
    assert room.wait(60) == 0
    with pytest.raises(urllib.error.URLError):
        opener.open(asked, timeout=5)


# --------------------------------------------------------------------------------- forms and hand-outs


class Form(HTMLParser):
    """The questions of the test: right letter, and what is said to each choice."""

    def __init__(self):
        super().__init__()
        self.questions = []

    def handle_starttag(self, tag, attrs):
        facts = dict(attrs)
        if tag == "fieldset" and "data-right" in facts:
            self.questions.append({"right": facts["data-right"], "why": {}, "text": ""})
        if tag == "input" and "data-why" in facts:
            self.questions[-1]["why"][facts["value"]] = facts["data-why"]

    def handle_data(self, data):
        if self.questions:
            self.questions[-1]["text"] += data


def questions():
    form = Form()
    form.feed(text_of("pages/test.html"))
    return form.questions


def test_ten_questions_each_with_a_reason_for_every_choice():
    found = questions()
    assert len(found) == 10
    for one in found:
        assert set(one["why"]) == set("abc")
        assert all(len(why.split()) >= 5 for why in one["why"].values()), one["text"]
    assert max(Counter(one["right"] for one in found).values()) <= 4


def test_the_figures_of_the_ten_questions():
    text = [" ".join(one["text"].split()) for one in questions()]
    right = [one["right"] for one in questions()]
    weights = sum(part.size for part in gates.init_weights("lstm", 5, 20, 0))
    assert weights == 2080 and "2,080" in text[2] and right[2] == "c" and "20 units reads 5" in text[2]
    assert 4 * 20 * (20 + 5) == 2000 and weights // 4 == 520
    assert round(0.9**20, 2) == 0.12 and "after 20 weeks" in text[3] and right[3] == "b"
    series = np.arange(365)
    cutoffs = [c for c in series if c - 28 + 1 >= 0 and c + 7 <= 364]
    assert len(cutoffs) == 331 and "365 days. You read 28 days and forecast 7" in text[4] and right[4] == "a"
    assert round(math.log(8), 2) == 2.08 and "8 classes" in text[6] and right[6] == "b"
    assert pytest.approx(0.8) == 0.4 / (0.4 + 0.1) and "0.40 a piece, bread left over 0.10" in text[9]
    assert right[9] == "a"


def test_before_and_after_ask_the_same():
    scales = [
        set(re.findall(r"<legend>(I can [^<]+)</legend>", text_of(f"pages/survey-{when}.html")))
        for when in ("before", "after")
    ]
    assert scales[0] == scales[1] and len(scales[0]) == 6


def test_the_figures_of_the_hand_outs():
    page = text_of("pages/lstm.html")
    assert sum(part.size for part in gates.init_weights("lstm", 8, 50, 0)) == 11_800
    assert "with d = 8 and u = 50 that is 11,800" in page
    halves = [math.log(0.5) / math.log(figures.left(bias, 1)) for bias in figures.BIASES]
    assert "a forget bias of 0, 1, 3 and 5: half is left after 1, 2, 14 and 103 weeks" in page
    assert [round(half) for half in halves] == [1, 2, 14, 103]
    run = figures.weeks()
    assert "the cell state is 0.36, 1.05 and 1.00" in page
    assert np.allclose(run["c"], [0.36, 1.05, 1.00], atol=0.005)
    assert run["c"][1] == pytest.approx(run["f"][1] * run["c"][0] + run["i"][1] * run["g"][1])


def test_the_ratios_that_the_hand_out_quotes():
    page, rows = text_of("pages/comparison.html"), figures.ratios().set_index("model")
    for name, quoted in (("LSTM / mean of 8 weeks", "0.90 times"), ("LSTM / LightGBM", "level: 0.97")):
        row = rows.loc[name]
        assert f"{row['value']:.2f}" in quoted and quoted in page
        assert f"[{row['low']:.2f}, {row['high']:.2f}]" in page
    assert rows.loc["LSTM / mean of 8 weeks", "high"] < 1 < rows.loc["LSTM / LightGBM", "high"]


def test_the_pictures_of_the_hand_outs_are_drawn_by_the_package(tmp_path):
    with matplotlib.rc_context({"font.size": 20, "axes.grid": True}):  # a lesson's style changes nothing
        figures.draw(tmp_path)
    for path in sorted(tmp_path.glob("*.svg")):
        there = PAGES / path.name
        assert there.exists(), AGAIN
        made, known = (one.read_text(encoding="utf-8").count("<use ") for one in (path, there))
        assert made == known, AGAIN
        assert any(f'src="{path.name}"' in page.read_text(encoding="utf-8") for page in PAGES.glob("*.html"))


# ----------------------------------------------------------------------------------------------- slides


@pytest.fixture(scope="module")
def decks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slides")
    return {path.name[0]: path for path in slides.write(folder)}


def test_each_part_has_a_deck_with_every_figure_of_its_lessons(decks):
    assert set(decks) == {lesson.number[0] for lesson in LESSONS}
    for lesson in LESSONS:
        page = decks[lesson.number[0]].read_text(encoding="utf-8")
        assert html.escape(blocks.header(lesson)["title"], quote=False) in html.unescape(page)
        for block, number, cell in blocks.pieces(lesson):
            if cell.cell_type == "code" and figures_of(cell) and block not in slides.SKIP:
                assert f'src="img/{lesson.number}-{number}.png"' in page
        assert page.count('<section id="') == page.count('<aside class="notes">')
    for path in decks.values():
        page = path.read_text(encoding="utf-8")
        for name, alt in re.findall(r'<img src="([^"]+)"[^>]* alt="([^"]*)"', page):
            assert (path.parent / name).exists() and len(alt) >= 60, name


def test_the_size_of_a_picture_and_the_first_sentence_after_it():
    png = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + struct.pack(">II", 720, 324)
    assert slides.size_of(png) == (720, 324)
    text = "The curve falls. It does not turn for the rest of the year, as you can see.\n\nMore."
    assert slides.first_sentences(text, 20).endswith("see.")
    assert slides.first_sentences("| a | b |") == ""
    text = "### One\nText.\n### Two\n"
    places = [slides.heading_before(text, place, "none") for place in (0, 9, len(text))]
    assert places == ["none", "One", "Two"]
    assert (
        slides.by_choice("**1.** Why (today)? (a) f(a); (b) x.")
        == "**1.** Why (today)?\n\n(a) f(a);\n\n(b) x."
    )
    assert slides.rendered("[lesson 12](12_x.ipynb) has $x < 1$") == "<p>lesson 12 has \\(x &lt; 1\\)</p>\n"


# ------------------------------------------------------------------------------------------ all of it


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.relative_to(TEACHING).as_posix())
def test_links_lead_somewhere_and_nothing_comes_from_outside(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"""(src|href)=["'](https?:)?//|url\(|@import|\bfetch\(|XMLHttpRequest""", text)
    for target in re.findall(r"""\]\(([^)\s]+)\)|(?:src|href)="([^"]+)\"""", text):
        file = (target[0] or target[1]).partition("#")[0]
        if file and not re.match(r"https?:|mailto:", file) and path.suffix != ".js":
            assert (path.parent / file).exists(), file


def test_the_book_links_forms_and_decks_as_they_are():
    page = book.adapted(text_of("index.md"))
    assert '<a href="pages/test.html">test</a>' in page
    assert '<a href="slides/1-foundations.html">Foundations</a>' in page
    assert "](pages/" not in page and "CONTRIBUTING.md)" not in page


def test_the_kit_takes_whatever_lessons_there_are():
    assert [lesson.name for lesson in find_lessons() if not lesson.is_solution] == IDS
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tools" / "teaching").glob("*.py"))
    named = set(re.findall(r'Row\(\s*"(\d\d)"', code))
    assert named <= {lesson.number for lesson in LESSONS}
