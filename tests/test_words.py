"""docs/words.md: every row is complete, stands once, in order, and names a lesson that is there."""

import re
from pathlib import Path

from tools.form import find_lessons

TEXT = (Path(__file__).resolve().parents[1] / "docs" / "words.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """Cells of the rows below a heading's table head."""
    part = TEXT.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


TERMS = rows("Terms of the field")
NAMES = rows("Names that are not the field's")
LESSONS = {lesson.number: lesson for lesson in find_lessons() if not lesson.is_solution}


def test_every_row_is_complete():
    for term, chinese, meaning, lesson in TERMS:
        assert term, "a row without a term"
        assert re.search(r"[\u4e00-\u9fff]", chinese) or chinese == term, f"{term}: no Chinese term"
        assert len(meaning.split()) >= 4, f"{term}: {meaning!r} does not say what it is"
        assert meaning.endswith("."), f"{term}: the meaning is not a sentence"
        assert len(meaning.split()) <= 40, f"{term}: at most two short sentences"
        assert lesson in LESSONS, f"{term}: there is no lesson {lesson}"
    assert all(old and new for old, new in NAMES)


def test_each_term_stands_once_and_in_order():
    for table in (TERMS, NAMES):
        names = [row[0].lower() for row in table]
        assert names == sorted(set(names))
    assert len(TERMS) >= 100


def test_no_name_is_both_a_term_and_one_to_avoid():
    assert not {row[0].lower() for row in TERMS} & {row[0].lower() for row in NAMES}


def test_most_terms_stand_in_the_lesson_they_name():
    texts = {
        number: "\n".join(cell.source for cell in lesson.cells).lower() for number, lesson in LESSONS.items()
    }
    flat = {number: re.sub(r"[\s_-]+", " ", text) for number, text in texts.items()}
    absent = [term for term, _, _, lesson in TERMS if term.lower().replace("-", " ") not in flat[lesson]]
    assert len(absent) < len(TERMS) / 4, f"not in their lessons: {', '.join(absent)}"
