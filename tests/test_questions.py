"""docs/questions.md: twenty questions, each with a short answer and a cell that shows it."""

import re

import pytest

from tools.form import find_lessons
from tools.form.lesson import NOTEBOOKS, text_of
from tools.form.terms import PLACE, QUESTIONS, replaced

TEXT = QUESTIONS.read_text(encoding="utf-8")
PARTS = re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]
CELLS = {
    lesson.number: {cell.id for cell in lesson.cells} for lesson in find_lessons() if not lesson.is_solution
}
LOOKED_UP = {
    (lesson.number, cell.id): cell.source + "\n" + text_of(cell)
    for lesson in find_lessons()
    if not lesson.is_solution
    for cell in lesson.code
}
# What a cell must hold, in its code or in what it prints, to be an answer: one cell, all words.
SHOWS = {
    1: ["expected ndim=3, found ndim=2", "(1, 50, 32)"],
    2: ["count_params", "11,800"],
    3: ["return_sequences=True", "(3, 6, 4)", "(3, 4)"],
    4: ["return_state=True", "largest |h|"],
    5: ["rows permuted, same forecasts: True", "reset_state()"],
    6: ["Masking(-1) gives the same as the mask: True"],
    7: ["scaler fitted on everything", "honest"],
    8: ["inverse_transform", "with its own mean and scale it is right: True"],
    9: ["the forecast is late by 1 day"],
    10: ["recursive", "direct"],
    11: ['cutoffs("next")', "Jan 2018"],
    12: ["by_length", "weeks that the network reads"],
    13: ["random split: WAPE", "split by time: WAPE"],
    14: ["inf", "scaled"],
    15: ["inputs not scaled: WAPE", "forecasts from"],
    16: ["dropout 0.3", "recurrent dropout 0.3", "early stopping"],
    17: ["identical to the last bit: True", "three seeds"],
    18: ["model.save(", "load_model(", "predicts identically: True"],
    19: ["TimeDistributed(Dense) equals Dense: True", "Bidirectional"],
    20: ["accuracy", "success", "STARTS"],
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


@pytest.mark.parametrize("number", SHOWS)
def test_a_listed_cell_shows_the_answer(number):
    found = [LOOKED_UP.get((at["lesson"], at["cell"]), "") for at in PLACE.finditer(PARTS[number - 1])]
    assert any(all(words in text for words in SHOWS[number]) for text in found)


def test_the_links_lead_to_headings_of_the_cells():
    assert replaced(TEXT, NOTEBOOKS) == TEXT, "python -m tools.form --links"


def test_a_cell_that_is_gone_is_found():
    place = next(PLACE.finditer(TEXT))
    with pytest.raises(ValueError, match="has no cell gone"):
        replaced(place[0].replace(place["cell"], "gone"), NOTEBOOKS)
