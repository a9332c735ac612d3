"""docs/words.md: every row is complete, stands once, in order, and leads to the cell that defines it."""

import re

from tools.form import find_lessons
from tools.form.lesson import NOTEBOOKS
from tools.form.terms import EVERYDAY, WORDS, replaced, terms_of

TEXT = WORDS.read_text(encoding="utf-8")
MOST_EVERYDAY, MOST_UNUSED, MOST_OPEN = 28, 10, 0  # may only shrink


def rows(heading: str) -> list[list[str]]:
    """Cells of the rows below a heading's table head."""
    part = TEXT.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


ROWS = rows("Terms of the field")
NAMES = rows("Names that are not the field's")
TERMS = terms_of(NOTEBOOKS)
LESSONS = {lesson.number: lesson for lesson in find_lessons() if not lesson.is_solution}


def test_every_row_is_complete():
    assert len(ROWS) == len(TERMS) >= 170
    for name, _, chinese, meaning, place in ROWS:
        term = name.rstrip(f" {EVERYDAY}")
        assert term, "a row without a term"
        assert re.search(r"[\u4e00-\u9fff]", chinese) or chinese == term, f"{term}: no Chinese term"
        assert len(meaning.split()) >= 4, f"{term}: {meaning!r} does not say what it is"
        assert meaning.endswith("."), f"{term}: the meaning is not a sentence"
        assert len(meaning.split()) <= 40, f"{term}: at most two short sentences"
        assert place, f"{term}: nothing says where it is defined"
    assert all(old and new for old, new in NAMES)


def test_each_term_stands_once_and_in_order():
    for names in ([term.name.lower() for term in TERMS], [row[0].lower() for row in NAMES]):
        assert names == sorted(set(names))


def test_no_form_belongs_to_two_terms():
    owners: dict[str, set[str]] = {}
    for term in TERMS:
        for form in (term.name, *term.also):
            owners.setdefault(form.lower(), set()).add(term.name)
    assert not {form: names for form, names in owners.items() if len(names) > 1}


def test_each_term_leads_to_a_lesson_or_is_in_no_text():
    for term in TERMS:
        assert term.lesson in {*LESSONS, "–"}, f"{term.name}: there is no lesson {term.lesson}"
        assert term.cell or term.lesson == "–" or len(term.lesson) == 2
    open_ones = [term.name for term in TERMS if not term.cell and term.lesson != "–"]
    assert len(open_ones) <= MOST_OPEN, f"no cell defines {', '.join(open_ones)}"
    assert sum(term.lesson == "–" for term in TERMS) <= MOST_UNUSED
    assert sum(term.everyday for term in TERMS) <= MOST_EVERYDAY


def test_the_links_lead_to_the_heading_above_the_cell():
    assert replaced(TEXT, NOTEBOOKS) == TEXT, "python -m tools.form --links"


def test_no_name_is_both_a_term_and_one_to_avoid():
    assert not {term.name.lower() for term in TERMS} & {row[0].lower() for row in NAMES}
