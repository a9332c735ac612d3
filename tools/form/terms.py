"""docs/words.md as a table, and the rule that no lesson uses a term before the cell that defines it.

The last column of a term links to a heading at the cell that defines it; the link's title is the cell's id.
The cell sets the term in bold or italics, begins a table's row with it, or has its name in code. A lesson's
number without a link: the cell is still to be written. A dash: only code, tables and outputs have the term.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from nbformat import NotebookNode

from tools.form.anywhere import rule
from tools.form.lesson import ROOT, Lesson, find_lessons, tags_of

WORDS, QUESTIONS = ROOT / "docs" / "words.md", ROOT / "docs" / "questions.md"

EVERYDAY = "°"  # marks a term that is an everyday word, too: where it is used is not followed
PREVIEW = "00"  # shows a whole forecast before anything is explained, and says so: its code is free
HEAD = "## Terms of the field\n"
PLACE = re.compile(
    r"\[(?P<text>[^\[\]]+)\]\(\.\./notebooks/(?P<lesson>\d\d)_[^)#]+#(?P<anchor>\S+) \"(?P<cell>[\w-]+)\"\)"
)

NOT_PROSE = re.compile(
    r"```.*?```|\$\$.*?\$\$|\$[^$\n]+\$|\]\([^)\n]*\)|<[^>\n]+>|https?://\S+"
    r"|^#[^\n]*$|^[^\n]*(?:\[←|→\])[^\n]*$",
    re.DOTALL | re.MULTILINE,
)
CODE = re.compile(r"`([^`\n]+)`")
STRESSED = re.compile(r"(?<![*\w])(\*{1,2})(?!\s)([^*]{1,70}?)\1(?!\w)")
ROW_HEAD = re.compile(r"^\| ([^|]{1,40}) \|", re.MULTILINE)
SENTENCE = re.compile(r"(?<=[.?!])\s+|\n\s*\n|\n\s*(?=[-|*\d])")
POINTER = re.compile(r"[Ll]essons?\W+((?:\d\d\W*(?:and|to|,|-)?\W*)+)")


@dataclass(frozen=True)
class Term:
    """A row of the table."""

    name: str
    also: tuple[str, ...]  # other forms: "overfits", `Dense`
    lesson: str  # number of the lesson that defines it; "–" where none has to
    cell: str  # id of the cell that defines it; "" where it is still to be written
    everyday: bool
    anchor: str = ""

    @property
    def code(self) -> set[str]:
        """Its names in code."""
        return {form.strip("`") for form in self.also if form.startswith("`")}

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """What finds the term in prose: its forms, singular or plural, with a hyphen or without."""
        forms = [self.name, *(form for form in self.also if not form.startswith("`"))]
        return re.compile(r"(?<![\w-])(?:" + "|".join(map(_form, forms)) + r")(?![\w-]*\w)")


def _form(form: str) -> str:
    words = re.escape(form).replace(r"\-", r"[\s-]?").replace(r"\ ", r"[\s-]+")
    words = words[:-1] + "(?:y|ies)" if words.endswith("y") else words + "(?:s|es)?"
    first = words[0]
    if form != form.lower():  # a name or an abbreviation: as it is written
        return words
    return f"[{first}{first.upper()}]{words[1:]}" if first.isalpha() else words


@lru_cache(maxsize=20)
def _read(path: Path, changed: int) -> tuple[Term, ...]:
    part = path.read_text(encoding="utf-8").split(HEAD)[1].split("\n## ")[0]
    rows = [line for line in part.splitlines() if line.startswith("|")][2:]
    return tuple(term_of(line) for line in rows)


def term_of(line: str) -> Term:
    """Return the term of a row."""
    name, also, _, _, place = (cell.strip() for cell in line.strip("|").split("|"))
    found = PLACE.fullmatch(place)
    return Term(
        name.rstrip(f" {EVERYDAY}"),
        tuple(form.strip() for form in also.split(",") if form.strip()),
        found["lesson"] if found else place,
        found["cell"] if found else "",
        name.endswith(EVERYDAY),
        found["anchor"] if found else "",
    )


def terms_of(folder: Path) -> tuple[Term, ...]:
    """Terms of the course that a folder of notebooks belongs to; none where it has no docs/words.md."""
    path = folder.parent / "docs" / "words.md"
    return _read(path, path.stat().st_mtime_ns) if path.exists() else ()


def prose_of(cell: NotebookNode) -> str:
    """What a markdown cell says: without headings, formulas, links' targets and the way on."""
    return NOT_PROSE.sub(" ", cell.source)


def defines(cell: NotebookNode, term: Term) -> bool:
    """Whether a cell sets the term in bold or italics, heads a row with it, or has its name in code."""
    if cell.cell_type != "markdown":
        return False
    prose = prose_of(cell)
    plain = CODE.sub(r"\1", prose)
    heads = [found[2] for found in STRESSED.finditer(plain)] + ROW_HEAD.findall(plain)
    stressed = any(term.pattern.search(text) for text in heads)
    coded = {name for text in CODE.findall(prose) for name in re.findall(r"\w+", text)}
    return stressed or bool(coded & term.code)


def announces(cell: NotebookNode) -> bool:
    """Whether a cell tells what its lesson will explain."""
    return bool(re.search(r"^# \d\d|^## You will learn", cell.source, re.MULTILINE))


def pointed_at(sentence: str) -> set[str]:
    """Return the lessons that a sentence names: 'lesson 16', 'lessons 21 to 23'."""
    numbers: set[str] = set()
    for found in POINTER.finditer(sentence):
        numbers |= set(re.findall(r"\d\d", found[1]))
        for first, last in re.findall(r"(\d\d)\W*(?:to|-)\W*(\d\d)", found[1]):
            numbers |= {f"{n:02d}" for n in range(int(first), int(last) + 1)}
    return numbers


def used(cell: NotebookNode, terms: tuple[Term, ...]) -> dict[Term, bool]:
    """Terms of a cell, the longest at a place, and whether the sentence of the first use points onwards."""
    if cell.cell_type == "code":
        names = set(re.findall(r"\b[A-Za-z_]\w*", re.sub(r"#.*", "", cell.source)))
        return {term: False for term in terms if names & term.code}
    found: dict[Term, bool] = {}
    text = CODE.sub(" ", prose_of(cell))
    held = [term for term in terms if term.pattern.search(text)]
    for sentence in SENTENCE.split(text) if held else ():
        places = {(m.start(), m.end(), term) for term in held for m in term.pattern.finditer(sentence)}
        there = pointed_at(sentence) if places else set()
        for start, end, term in sorted(places, key=lambda place: place[:2]):
            if not any(s <= start and end <= e and (s, e) != (start, end) for s, e, _ in places):
                found.setdefault(term, term.lesson in there)
    return found


def anchors(lesson: Lesson, cell_id: str) -> list[str]:
    """Return the anchors of the headings at a cell: those it holds, and the last one above its first line."""
    above: list[str] = []
    for cell in lesson.cells:
        text = re.sub(r"^```.*?^```", "", cell.source, flags=re.MULTILINE | re.DOTALL)
        found = re.findall(r"^#{1,4} (.+?)\s*$", text, re.MULTILINE) if cell.cell_type == "markdown" else []
        if cell.id == cell_id:
            own = [_slug(heading) for heading in found]
            return own if text.lstrip().startswith("#") and own else [*map(_slug, above[-1:]), *own]
        above += found
    return []


def _slug(heading: str) -> str:
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)|[`*$]", r"\1", heading)
    return re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", text.lower()).strip())


@rule("lesson")
def defined_first(lesson: Lesson) -> Iterator[str]:
    """Each term of docs/words.md is used from the cell on that defines it, in the order of the lessons."""
    known = terms_of(lesson.folder)
    order = {cell.id: n for n, cell in enumerate(lesson.cells)}
    for term in known:
        if term.lesson == lesson.number and not term.cell:
            yield f"no cell defines {term.name!r}"
        elif term.lesson == lesson.number and term.cell not in order:
            yield f"{term.name!r} is defined in cell {term.cell}, which is not there"
        elif term.lesson == lesson.number and not defines(lesson.cells[order[term.cell]], term):
            yield f"cell {order[term.cell]} defines {term.name!r} and does not set it in bold or italics"
    followed = tuple(term for term in known if not term.everyday)
    told: set[Term] = set()
    for n, cell in enumerate(lesson.cells):
        if cell.cell_type == "code" and (lesson.number == PREVIEW or "setup" in tags_of(cell)):
            continue
        for term, points in used(cell, followed).items():
            here = term.lesson == lesson.number
            early = n < order.get(term.cell, n + 1) if here else term.lesson > lesson.number
            if early and term not in told and not (here and announces(cell)):
                told.add(term)
                if not points:
                    yield f"{lesson.at(cell)} uses {term.name!r}, which lesson {term.lesson} defines"


def placed(folder: Path, number: str, cell_id: str, anchor: str = "", text: str = "") -> str:
    """Return a link to a cell: to a heading that it stands below or holds, its id as the link's title.

    Parameters
    ----------
    folder : Path
        The notebooks.
    number, cell_id : str
        The lesson and the cell.
    anchor : str
        The heading to lead to, if it is one of the cell's; else the first of them.
    text : str
        What is to be read; without it the lesson's number.

    Raises
    ------
    ValueError
        When the lesson has no such cell below a heading.
    """
    for lesson in find_lessons(folder):
        if lesson.number == number and not lesson.is_solution and (there := anchors(lesson, cell_id)):
            heading = anchor if anchor in there else there[0]
            return f'[{text or number}](../notebooks/{lesson.path.name}#{heading} "{cell_id}")'
    raise ValueError(f"lesson {number} has no cell {cell_id} below a heading")


def replaced(text: str, folder: Path) -> str:
    """Return a page with each link of this kind led to a heading of its cell, and to the lesson's file."""

    def link(found: re.Match[str]) -> str:
        return placed(folder, found["lesson"], found["cell"], found["anchor"], found["text"])

    return PLACE.sub(link, text)
