"""docs/words.md: every row is complete, stands once, in order, and leads to the cell that defines it."""

import json
import re
from collections.abc import Iterator
from functools import cache

import pandas as pd
import pytest

from tools.form import find_lessons
from tools.form.anywhere import ODD
from tools.form.lesson import NOTEBOOKS, ROOT
from tools.form.terms import EVERYDAY, WORDS, replaced, terms_of

TEXT = WORDS.read_text(encoding="utf-8")
MOST_EVERYDAY, MOST_UNUSED, MOST_OPEN, MOST_STAYING = 28, 10, 0, 17  # may only shrink


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
    for old, new, stays in NAMES:
        assert old, "a row without a name"
        assert new, f"{old}: nothing says what to write"
        assert stays or EVERYDAY not in old, f"{old}: nothing says where it stays"


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
    assert not {term.name.lower() for term in TERMS} & {avoided(row[0]) for row in NAMES}


# ----------------------------------------------------------------------------- names that are not the field's


def avoided(cell: str) -> str:
    """The name itself: without the sign, and without of what it is said."""
    return cell.rstrip(f" {EVERYDAY}").split(" (")[0].lower()


def pattern(name: str) -> re.Pattern[str]:
    """A name in prose or, between underscores, in code; with an ending: mends, mended, refitted."""
    end = "" if " " in name else "(?:s|t?ed|t?ing)?"
    return re.compile(rf"(?<![^\W_]){name.replace(' ', '[ _]')}{end}(?![^\W_])", re.IGNORECASE)


def found(where: str, text: str, rows: list[list[str]] = NAMES) -> list[str]:
    """The old names in a text, but for what the table lets stay."""
    out = []
    for old, new, stays in rows:
        if EVERYDAY not in old:
            left = re.sub("|".join(map(re.escape, re.findall("`([^`]+)`", f"{stays}`\0`"))), "", text)
            out += [f"{where}: {hit[0]!r}, write {new}" for hit in pattern(avoided(old)).finditer(left)]
    return out


def model_names(where: str, names: set[str], rows: list[list[str]] = NAMES) -> list[str]:
    """The old names that name a model in a table of results; `A / B` and `A minus B` name two."""
    staying = {word for _, _, stays in rows for word in re.findall("`([^`]+)`", stays)}
    parts = {part for name in names - staying for part in re.split(r" / | minus | - ", name)} - staying
    old = {avoided(row[0]): row[1] for row in rows}
    return [f"{where}: a model {part!r}, write {old[part.lower()]}" for part in parts if part.lower() in old]


@cache
def pages() -> dict[str, str]:
    """What readers see: the package, the benchmarks, the lessons with their outputs, and the pages."""
    kinds = {"ecomlib": "py js html ini", "benchmarks": "py", "docs": "md html"}
    paths = [
        p for folder, ends in kinds.items() for end in ends.split() for p in (ROOT / folder).rglob(f"*.{end}")
    ]
    paths += [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    texts = {p.relative_to(ROOT).as_posix(): p.read_text(encoding="utf-8") for p in paths if p != WORDS}
    texts["docs/words.md"] = TEXT.split("## Names that are not")[0]
    for path in NOTEBOOKS.rglob("*.ipynb"):
        if ".ipynb_checkpoints" not in path.parts and not path.stem.endswith("_mine"):
            texts[path.relative_to(ROOT).as_posix()] = "\n".join(shown(json.loads(path.read_text("utf-8"))))
    return texts


def shown(notebook: dict) -> Iterator[str]:
    for cell in notebook["cells"]:
        yield "".join(cell["source"])
        yield cell["metadata"].get("alt", "")
        for output in cell.get("outputs", []):
            yield "".join(output.get("text", []) or output.get("data", {}).get("text/plain", []))


def test_no_page_and_no_line_of_code_has_an_old_name():
    assert len(pages()) > 250
    assert [hit for where, text in pages().items() for hit in found(where, text)] == []
    assert sum(EVERYDAY in old for old, *_ in NAMES) <= MOST_STAYING


def test_no_page_and_no_table_has_an_odd_turn():
    others = {"benchmarks": "csv", "docs": "js", "book": "md"}
    paths = [path for folder, end in others.items() for path in (ROOT / folder).rglob(f"*.{end}")]
    texts = [*pages().items(), *((path, path.read_text(encoding="utf-8")) for path in paths)]
    assert [f"{where}: {odd[0]}" for where, text in texts for odd in ODD.finditer(text)] == []
    assert ODD.search("LSTM,seconds an epoch,3")
    assert ODD.search("it costs $2 a day")
    assert not ODD.search("trips a day later")


def test_no_table_of_results_names_a_model_by_an_old_name():
    tables = sorted((ROOT / "benchmarks" / "results").rglob("*.csv"))
    tables = [path for path in tables if path.stem != "lessons"]
    names = {path.stem: set(pd.read_csv(path, usecols=["model"])["model"]) for path in tables}
    assert [hit for where, some in names.items() for hit in model_names(where, some)] == []


@pytest.mark.parametrize(
    "planted",
    [
        "def faded_sum(x):",
        "Ten discoveries.",
        "A silent week",
        "OWN_FREQUENCY = 1",
        "to be mended",
        "refitted",
    ],
)
def test_an_old_name_is_found(planted):
    assert len(found("here", planted)) == 1
    assert found("here", 'git remote get-url origin; fit(task, "refit"); silently') == []


def test_an_old_name_of_a_model_is_found():
    assert len(model_names("here", {"LSTM / trees", "faded", "one rule", "embedding bag"})) == 2
