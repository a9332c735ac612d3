"""Slides made from the lessons: their figures, tables of equations, questions, takeaways; a deck a part."""

import base64
import html
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from nbformat import NotebookNode

from tools.form.lesson import Lesson, alt_of, figures_of
from tools.teaching.blocks import (
    Question,
    header,
    items,
    lessons,
    opening,
    pieces,
    questions_of,
    quiz,
    shop_question,
)
from tools.teaching.parts import PARTS

ASSETS = Path(__file__).parent / "deck"
MATHJAX = "../../../_static/mathjax/tex-chtml.js"  # from docs/teaching/slides in the book
TABLE_ROWS = 9
SHARPEST = 1.8  # a picture is enlarged at most by this
SUBHEADING = re.compile(r"^### (.+?)\s*$", re.MULTILINE)
TABLE = re.compile(r"(?:^\|.*\|[ ]*\n){3,}", re.MULTILINE)
SKIP = ("Exercises", "Wrap-up quiz", "Quiz", "Takeaways")

MARKDOWN = MarkdownIt("commonmark").enable("table").use(dollarmath_plugin, double_inline=True)


@dataclass(frozen=True)
class Slide:
    """A slide: its small heading, its body, what the next key shows, what the speaker says."""

    kicker: str
    body: str
    step: str = ""
    notes: str = ""


def math(self: Any, tokens: Any, at: int, options: Any, env: Any) -> str:
    """A formula as MathJax reads it."""
    token = tokens[at]
    begin, end = (r"\(", r"\)") if token.type == "math_inline" else (r"\[", r"\]")
    return begin + html.escape(token.content) + end


for _kind in ("math_inline", "math_inline_double", "math_block"):
    MARKDOWN.add_render_rule(_kind, math)


def rendered(text: str) -> str:
    """Markdown as HTML; a link within the course becomes its text, since a deck stands elsewhere."""
    return MARKDOWN.render(re.sub(r"(?<!!)\[([^\]]+)\]\((?!https?:)[^)]*\)", r"\1", text))


def first_sentences(text: str, least: int = 60) -> str:
    """The first sentences of a text, at least so many characters."""
    text = re.split(r"\n\s*\n", text.strip())[0]
    if text.startswith(("|", "#", "**Question", "**Try", "<", "-", "1.")):
        return ""
    said = ""
    for sentence in re.split(r"(?<=[.?!])\s+(?=[A-Z*`$])", " ".join(text.split())):
        said = f"{said} {sentence}".strip()
        if len(said) >= least:
            break
    return said


def size_of(png: bytes) -> tuple[int, int]:
    """Width and height of a PNG in pixels."""
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def figure(cell: NotebookNode, name: str, folder: Path) -> str:
    """Write the picture of a cell into a folder; return it as HTML."""
    shown = next(o for o in cell.outputs if "image/png" in o.get("data", {}))
    png = base64.b64decode(shown["data"]["image/png"])
    (folder / f"{name}.png").write_bytes(png)
    width, height = size_of(png)
    wide = shown.get("metadata", {}).get("image/png", {}).get("width", width)  # on a page: half its pixels
    width, height = wide, round(height * wide / width)
    most = f"--w:{SHARPEST * width:.0f}px;--r:{width / height:.4f}"
    size = f'style="{most}" width="{width}" height="{height}"'
    return f'<img src="img/{name}.png" {size} alt="{html.escape(alt_of(cell))}">'


def question(kicker: str, one: Question) -> Slide:
    """A question for the room; the next key shows its answer."""
    body = f'<div class="ask">{rendered(one.text)}</div>'
    return Slide(
        kicker, body, rendered(one.answer) if one.answer else "", "Let people write their answer down first."
    )


def opener(lesson: Lesson) -> Slide:
    """The first slide of a lesson."""
    says = header(lesson)
    learns = "\n".join(f"{n}. {text}" for n, text in enumerate(items(opening(lesson), "You will learn"), 1))
    asked = shop_question(lesson)
    body = f"<h1>{html.escape(says['title'])}</h1>"
    body += f'<div class="ask">{rendered(asked[:1].upper() + asked[1:])}</div>' if asked else ""
    notes = (
        f"Read {says['read']} min, run {says['run']} min, exercises {says['exercises']} min. Minutes of each "
    )
    return Slide("", body + rendered(learns), "", notes + "block and what to ask: the notes of this lesson.")


def heading_before(text: str, place: int, otherwise: str) -> str:
    """The last heading of the third level before a place in a text."""
    heads = [found[1] for found in SUBHEADING.finditer(text) if found.start() < place]
    return heads[-1] if heads else otherwise


def by_choice(text: str) -> str:
    """A question with each choice on a line of its own."""
    return re.sub(r"\s+(?=\(?[abc]\)\s)", "\n\n", text)


def of_lesson(lesson: Lesson, folder: Path) -> Iterator[Slide]:
    """The slides of a lesson, in its order."""
    yield opener(lesson)
    all_pieces, below = pieces(lesson), ""
    for at, (block, number, cell) in enumerate(all_pieces):
        if block in SKIP:
            continue
        if cell.cell_type == "code":
            if figures_of(cell):
                after = all_pieces[at + 1][2] if at + 1 < len(all_pieces) else None
                said = (
                    first_sentences(after.source)
                    if after is not None and after.cell_type == "markdown"
                    else ""
                )
                notes = rendered(said) + f'<p class="alt">The picture: {html.escape(alt_of(cell))}</p>'
                yield Slide(below or block, figure(cell, f"{lesson.number}-{number}", folder), "", notes)
            continue
        if cell.source.startswith("## "):
            below = ""
        made = []
        for found in TABLE.finditer(cell.source):
            rows = found[0].strip().splitlines()
            if len(rows) - 2 <= TABLE_ROWS and "$" in found[0]:
                kicker = heading_before(cell.source, found.start(), below or block)
                made.append((found.start(), Slide(kicker, rendered(found[0]), "", "Say each line in words.")))
        for one in questions_of(cell.source, number):
            kicker = heading_before(cell.source, one.start, below or block)
            made.append((one.start, question(kicker, one)))
        yield from (slide for _, slide in sorted(made, key=lambda each: each[0]))
        below = heading_before(cell.source, len(cell.source), below)
    for text, answer in quiz(lesson):
        yield Slide(
            "Quiz",
            f'<div class="ask">{rendered(by_choice(text))}</div>',
            rendered(answer),
            "Show of hands for a, b, c.",
        )
    takeaways = "\n".join(f"{n}. {text}" for n, text in enumerate(items(lesson.prose, "Takeaways"), 1))
    yield Slide(
        "Takeaways", rendered(takeaways), "", "Ask first: which three things would you tell a colleague?"
    )


def section(slide: Slide, number: int, total: int) -> str:
    """A slide as HTML."""
    kicker = f"<h2>{MARKDOWN.renderInline(slide.kicker)}</h2>" if slide.kicker else ""
    step = f'<div class="step">{slide.step}</div>' if slide.step else ""
    notes = (
        slide.notes
        if slide.notes.startswith("<") or not slide.notes
        else f"<p>{html.escape(slide.notes)}</p>"
    )
    return (
        f'<section id="s{number}" aria-label="Slide {number} of {total}">\n<div class="slide">{kicker}\n'
        f'{slide.body}\n{step}</div>\n<aside class="notes">{notes}</aside>\n</section>'
    )


def deck(digit: str, folder: Path) -> str:
    """The page of a part; its pictures go into the folder `img` beside it."""
    mine = [lesson for lesson in lessons() if lesson.number[0] == digit]
    listed = "\n".join(f"- {header(lesson)['title']}" for lesson in mine)
    slides = [
        Slide("", f"<h1>{PARTS[digit]}</h1>" + rendered(listed), "", "Arrow keys; n: notes; f: full screen.")
    ]
    for lesson in mine:
        slides += of_lesson(lesson, folder / "img")
    body = "\n".join(section(slide, n, len(slides)) for n, slide in enumerate(slides, 1))
    page = (ASSETS / "deck.html").read_text(encoding="utf-8")
    facts = {
        "title": PARTS[digit],
        "mathjax": MATHJAX if r"\(" in body or r"\[" in body else "",
        "slides": body,
    }
    page = page.replace("{title}", facts["title"]).replace("{slides}", facts["slides"])
    script = f'<script defer src="{facts["mathjax"]}"></script>' if facts["mathjax"] else ""
    return page.replace("{mathjax}", script)


def name_of(digit: str) -> str:
    """File name of a part's deck."""
    return f"{digit}-{PARTS[digit].lower().replace(' ', '-')}.html"


def digits() -> list[str]:
    """Parts that have a lesson."""
    return sorted({lesson.number[0] for lesson in lessons()} & set(PARTS))


def write(folder: Path) -> list[Path]:
    """Write a deck for each part into a folder; return their paths."""
    (folder / "img").mkdir(parents=True, exist_ok=True)
    for name in ("deck.css", "deck.js"):
        (folder / name).write_bytes((ASSETS / name).read_bytes())
    made = []
    for digit in digits():
        made.append(folder / name_of(digit))
        made[-1].write_text(deck(digit, folder), encoding="utf-8")
    return made
