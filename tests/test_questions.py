"""docs/questions.md: twenty questions, each with a short answer and a cell that shows it."""

import re

import pytest

from tools.form import find_lessons
from tools.form.lesson import NOTEBOOKS
from tools.form.terms import PLACE, QUESTIONS, replaced

TEXT = QUESTIONS.read_text(encoding="utf-8")
PARTS = re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]
CELLS = {
    lesson.number: {cell.id for cell in lesson.cells} for lesson in find_lessons() if not lesson.is_solution
}
MOST_OPEN = 0  # questions whose cell is still being written; may only shrink


def test_there_are_twenty_in_order():
    assert [part.split(".")[0] for part in PARTS] == [str(n) for n in range(1, 21)]
    open_ones = [
        part.split("\n")[0] for part in PARTS if re.search(r"^Being written: lesson \d\d\.$", part, re.M)
    ]
    assert len(open_ones) <= MOST_OPEN, open_ones


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.split("\n")[0])
def test_a_question_has_a_short_answer_and_a_cell(part):
    question, answer, shown = [text.strip() for text in part.strip().split("\n\n")]
    assert question.endswith("?") or question.endswith("What now?")
    plain = re.sub(r"`[^`]*`", "code", answer)
    assert 2 <= len(re.findall(r"[.?!](?=\s|$)", plain)) <= 3, "two sentences, three at most"
    assert len(plain.split()) <= 70
    places = list(PLACE.finditer(shown))
    assert places or shown.startswith("Being written: lesson ")
    for place in places:
        assert place["cell"] in CELLS[place["lesson"]], (
            f"lesson {place['lesson']} has no cell {place['cell']}"
        )


def test_the_links_lead_to_headings_of_the_cells():
    assert replaced(TEXT, NOTEBOOKS) == TEXT, "python -m tools.form --links"


def test_a_cell_that_is_gone_is_found():
    place = next(PLACE.finditer(TEXT))
    with pytest.raises(ValueError, match="has no cell gone"):
        replaced(place[0].replace(place["cell"], "gone"), NOTEBOOKS)
