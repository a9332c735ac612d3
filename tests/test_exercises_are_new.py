"""No exercise asks for a cell that the learner has already read: solutions against the lessons up to them."""

import difflib
import io
import re
import tokenize
from collections import Counter

import pytest

from tools.form import find_lessons
from tools.form.lesson import tags_of
from tools.form.lessons import CHECK

SHORTEST, MOST = 15, 0.7  # tokens of a solution that are compared; share of them that a cell may hold
SKIPPED = {"setup", "parameters", "exercise", "checks", "hide-input"}
EMPTY = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}


def tokens(source: str) -> list[str]:
    """Return the tokens of a piece of code, comments and docstrings left out."""
    found = tokenize.generate_tokens(io.StringIO(source).readline)
    return [t.string for t in found if t.type not in EMPTY and not t.string.startswith('"""')]


def held(answer: list[str], cell: list[str]) -> float:
    """Share of an answer that stands in a cell, in pieces of four tokens or more."""
    match = difflib.SequenceMatcher(None, answer, cell, autojunk=False)
    return sum(block.size for block in match.get_matching_blocks() if block.size >= 4) / len(answer)


def shared(answer: list[str], counted: Counter[str]) -> float:
    """Share of an answer's tokens that a cell has, wherever they stand: it holds no more than that."""
    return (Counter(answer) & counted).total() / len(answer)


VISIBLE = [
    (lesson.number, n, tokens(cell.source), Counter(tokens(cell.source)))
    for lesson in find_lessons()
    if not lesson.is_solution
    for n, cell in enumerate(lesson.cells)
    if cell.cell_type == "code" and not tags_of(cell) & SKIPPED
]
SOLVED = {
    name: tokens(re.split(r"\bcheck\(", cell.source)[0])
    for lesson in find_lessons()
    if lesson.is_solution
    for cell in lesson.tagged("solution")
    for name in CHECK.findall(cell.source)
}


@pytest.mark.parametrize("name", [name for name, answer in SOLVED.items() if len(answer) >= SHORTEST])
def test_no_exercise_copies_a_cell_that_was_read_before(name):
    for number, n, cell, counted in VISIBLE:
        if number <= name[:2] and shared(SOLVED[name], counted) > MOST:
            share = held(SOLVED[name], cell)
            assert share <= MOST, f"{share:.0%} of {name} stands in lesson {number}, cell {n}"


def test_a_copy_is_found():
    cell = tokens("def wape(made, sold):\n    return abs(made - sold).sum() / sold.sum()")
    assert held(cell, ["x", "=", "1", *cell]) == 1
    other = tokens("def mase(made, sold, naive):\n    return (abs(made - sold).mean(axis=1) / naive).mean()")
    assert held(other, cell) < MOST
