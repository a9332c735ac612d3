"""The workshop kit in the web book: its pages beside the others, forms and slides as they are."""

import re
import shutil
from pathlib import Path

from tools.teaching import slides
from tools.teaching.blocks import TEACHING

HERE = Path("docs") / "teaching"
NAMES = ("index", "timetables", "before", "learners", "server", "notes/index")
PAGE = re.compile(r"\[([^\]]+)\]\((pages/[^)]+\.html)\)")
OUTSIDE = re.compile(r"\[([^\]]+)\]\((?:\.\./){2}[A-Z]+\.md\)")
DECKS = re.compile(r"<!-- slides -->.*?(?= \|)")


def adapted(text: str) -> str:
    """A page for the book: forms and decks are linked as they are, what is not in the book is named only."""
    listed = ", ".join(
        f'<a href="slides/{slides.name_of(digit)}">{slides.PARTS[digit]}</a>' for digit in slides.digits()
    )
    text = DECKS.sub(lambda found: listed, text)
    text = PAGE.sub(r'<a href="\2">\1</a>', text)
    return OUTSIDE.sub(r"\1", text)


def contents() -> str:
    """The kit in the book's list and table of contents."""
    pages = "\n".join(f"docs/teaching/{name}" for name in NAMES)
    about = "timetables, notes for each lesson, slides, hand-outs, surveys, a classroom server"
    listed = f"- [Teaching this course: {about}](docs/teaching/index.md)"
    return (
        f"## For teachers\n\n{listed}\n\n```{{toctree}}\n:hidden:\n:caption: For teachers\n\n{pages}\n```\n"
    )


def stage(source: Path, extra: Path) -> None:
    """Put the kit into the folders that Sphinx reads.

    Parameters
    ----------
    source : Path
        The pages; it holds the staged notebooks already.
    extra : Path
        What is copied into the book as it is; made anew.
    """
    target = source / HERE
    for path in sorted(TEACHING.rglob("*.md")):
        there = target / path.relative_to(TEACHING)
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_text(adapted(path.read_text(encoding="utf-8")), encoding="utf-8")
    names = [path.stem for path in sorted((target / "notes").glob("[0-9]*.md"))]
    listed = "\n".join(f"{name[:2]} · {name[3:].replace('_', ' ')} <{name}>" for name in names)
    with (target / "notes" / "index.md").open("a", encoding="utf-8") as file:
        file.write(f"\n```{{toctree}}\n:hidden:\n\n{listed}\n```\n")
    shutil.rmtree(extra, ignore_errors=True)
    shutil.copytree(TEACHING / "pages", extra / HERE / "pages")
    slides.write(extra / HERE / "slides")
