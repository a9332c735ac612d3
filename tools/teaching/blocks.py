"""A lesson as its teacher sees it: blocks with minutes, questions for the room, cells that train."""

import csv
import re
from dataclasses import dataclass, field
from functools import lru_cache

from nbformat import NotebookNode

from tools.form.lesson import (
    MINUTES,
    NOTEBOOKS,
    ROOT,
    TITLE,
    Lesson,
    figures_of,
    find_lessons,
    reading_seconds,
)

TEACHING = ROOT / "docs" / "teaching"
SECONDS = TEACHING / "seconds.csv"
ROOM = 1.5  # a room needs half as long again as one reader: said aloud, run together
QUESTION_MIN = 2  # one question for the room: ask, think, answer
SLOW_S = 4  # a cell that takes at least this long is worth a question

HEADING = re.compile(r"^## (.+?)\s*$", re.MULTILINE)
FOLDED = re.compile(r"<details>\s*<summary>(.*?)</summary>(.*?)</details>", re.DOTALL)
ASKED = re.compile(
    r"^\*\*(?:Question|Try)\b.*?(?=<details>|^\*\*(?:Question|Try)\b|^#|\Z)", re.MULTILINE | re.DOTALL
)
PART_OF_QUIZ = re.compile(r"^\*\*(\d)\.", re.MULTILINE)


@dataclass(frozen=True)
class Question:
    """A question for the room, with its answer and the number of its cell."""

    text: str
    answer: str
    cell: int
    start: int = field(default=0, compare=False)  # its place in the text


@dataclass
class Block:
    """What stands below one heading of the second level."""

    title: str
    first: int  # number of its first and of its last cell
    last: int = 0
    read: float = 0.0  # minutes, by the header's rule
    figures: int = 0
    questions: list[Question] = field(default_factory=list)
    slow: dict[int, float] = field(default_factory=dict)  # cell -> seconds

    @property
    def run(self) -> float:
        """Minutes that its slow cells take."""
        return sum(self.slow.values()) / 60

    @property
    def minutes(self) -> float:
        """Minutes in the room: half as long again as to read, to run, and two for each question."""
        return ROOM * self.read + self.run + QUESTION_MIN * len(self.questions)


def lessons() -> list[Lesson]:
    """All lessons, in order."""
    return [lesson for lesson in find_lessons(NOTEBOOKS) if not lesson.is_solution]


def header(lesson: Lesson) -> dict[str, str]:
    """Title, level, and the minutes to read, to run and to do the exercises, as the first cell says them."""
    first = lesson.cells[0].source
    title, minutes = TITLE.search(first), MINUTES.search(first)
    if not title or not minutes:
        raise ValueError(f"{lesson.name} has no title or no minutes in its first cell")
    return {"title": title[0].removeprefix("# "), **minutes.groupdict()}


@lru_cache
def seconds() -> dict[str, dict[str, float]]:
    """Measured seconds of each cell that takes one: lesson -> id of the cell -> seconds."""
    found: dict[str, dict[str, float]] = {}
    if SECONDS.exists():
        with SECONDS.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                found.setdefault(row["lesson"], {})[row["cell"]] = float(row["seconds"])
    return found


def pieces(lesson: Lesson) -> list[tuple[str, int, NotebookNode]]:
    """The cells with the block each belongs to; a cell of text is cut at its headings."""
    found, block = [], "You will learn"
    for number, cell in enumerate(lesson.cells):
        if cell.cell_type == "code":
            found.append((block, number, cell))
            continue
        parts = re.split(r"(?m)^(?=## )", cell.source)
        for part in parts:
            if heading := HEADING.match(part):
                block = heading[1]
            piece = NotebookNode(cell_type="markdown", source=part, metadata=cell.metadata)
            if part.strip():
                found.append((block, number, piece))
    return found


def questions_of(text: str, cell: int) -> list[Question]:
    """The questions in a piece of text, each with the folded answer that follows it."""
    found = []
    for asked in ASKED.finditer(text):
        after = FOLDED.match(text, asked.end())
        words = re.sub(r"^\*\*(Question|Try)[.:]?\*\*[.:]?\s*", "", asked[0].strip())
        sort = "Try: " if asked[0].startswith("**Try") else ""
        if not after:  # without a fold only the paragraph belongs to it
            words = words.split("\n\n")[0]
        found.append(Question(sort + flat(words), flat(after[2]) if after else "", cell, asked.start()))
    return found


def flat(text: str) -> str:
    """A text on one line, where it is not a table or a list."""
    text = text.strip()
    if re.search(r"^(\||[-*] |\d\. |```|\$\$)", text, re.MULTILINE):
        return text
    return " ".join(text.split())


def blocks(lesson: Lesson) -> list[Block]:
    """The blocks of a lesson; their minutes to read add up to those of the header."""
    found: dict[str, Block] = {}
    measured = seconds().get(lesson.name, {})
    for title, number, cell in pieces(lesson):
        block = found.setdefault(title, Block(title, number))
        block.last = number
        block.read += reading_seconds(cell) / 60
        if cell.cell_type == "code":
            block.figures += figures_of(cell)
            if (took := measured.get(cell.id, 0.0)) >= SLOW_S:
                block.slow[number] = took
        elif title not in ("Quiz", "Wrap-up quiz", "Exercises"):
            block.questions += questions_of(cell.source, number)
    total = sum(block.read for block in found.values())
    for block in found.values():
        block.read *= float(header(lesson)["read"]) / total
    return list(found.values())


def quiz(lesson: Lesson) -> list[tuple[str, str]]:
    """The questions of a lesson's quiz, and what is said to each."""
    part = re.search(r"^## Quiz(.*?)(?=^## |\Z)", lesson.prose, re.MULTILINE | re.DOTALL)
    text = part[1] if part else ""
    starts = [found.start() for found in PART_OF_QUIZ.finditer(text)]
    found = []
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        asked, _, answer = text[start:end].partition("<details>")
        said = FOLDED.match("<details>" + answer)
        found.append((flat(asked), flat(said[2]) if said else ""))
    return found


def opening(lesson: Lesson) -> str:
    """The text of a lesson before its first code."""
    first = next(n for n, cell in enumerate(lesson.cells) if cell.cell_type == "code")
    return "\n\n".join(cell.source for cell in lesson.cells[:first])


def items(text: str, heading: str) -> list[str]:
    """The items of the list that a heading begins with."""
    part = re.search(rf"^## {heading}\s*$(.*?)(?=^[^\s\d-]|\Z)", text, re.MULTILINE | re.DOTALL)
    marked = re.findall(
        r"^(?:\d\.|-) (.*?)(?=^(?:\d\.|-) |\Z)", part[1] if part else "", re.MULTILINE | re.DOTALL
    )
    return [" ".join(item.split("\n\n")[0].split()) for item in marked]


def shop_question(lesson: Lesson) -> str:
    """The shop's question, as the first cells ask it."""
    found = re.search(
        r"^\**The shop's question:?\**:?\s*(.*?)(?=\n\s*\n|\Z)", opening(lesson), re.MULTILINE | re.DOTALL
    )
    return flat(found[1]).strip("*") if found else ""


def exercises(lesson: Lesson) -> dict[str, str]:
    """The exercises by their numbers, with the title each has in the lesson."""
    titles = [name for name in lesson.headings(3) if name.startswith("Exercise ")]
    names = [re.sub(r"^Exercise \d\s*(\(open\))?[:.]?\s*", "", title) for title in titles]
    return {f"{lesson.number}.{k}": name[:1].upper() + name[1:] for k, name in enumerate(names, 1)}
