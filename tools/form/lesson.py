"""A notebook as the project's tools see it: its cells, headings and links, its header and its minutes."""

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import nbformat
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
README = ROOT / "README.md"
TABLE = re.compile(r"(<!-- lessons: .*? -->\n)(.*?)(<!-- end of lessons -->)", re.DOTALL)

TITLE = re.compile(r"^# (?P<number>\d\d) · \S.*$", re.MULTILINE)
MINUTES = re.compile(
    r"^(?P<level>Beginner|Intermediate|Advanced) · read (?P<read>[\d.]+) min · run (?P<run>[\d.]+) min"
    r" · exercises (?P<exercises>[\d.]+) min$",
    re.MULTILINE,
)
LINK = re.compile(r"(!?)\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
REFERENCE = re.compile(r"^\s{0,3}\[[^\]]+\]:\s*<?([^\s>]+)", re.MULTILINE)
HTML_LINK = re.compile(r"""<(?:a|img)\b[^>]*?\b(?:href|src)=["']([^"']+)["']""")

WORDS_PER_MINUTE, CODE_LINE_S, FIGURE_S, FORMULA_S = 200, 6, 25, 15


@dataclass(frozen=True)
class Lesson:
    """A notebook or solution file in a folder of notebooks."""

    path: Path
    folder: Path  # the folder `notebooks`, also for a solution

    @cached_property
    def notebook(self) -> NotebookNode:
        """The notebook, as version 4."""
        status = self.path.stat()
        return _read(self.path, status.st_mtime_ns, status.st_size)

    @property
    def cells(self) -> list[NotebookNode]:
        """All cells."""
        return self.notebook.cells

    @property
    def is_solution(self) -> bool:
        """Whether the file lies in `solutions/`."""
        return self.path.parent.name == "solutions"

    @property
    def name(self) -> str:
        """Name for a report: `21_sales_prepare`, `solutions/21_sales_prepare`."""
        return self.path.relative_to(self.folder).with_suffix("").as_posix()

    @property
    def number(self) -> str:
        """The two digits the name starts with."""
        return self.path.name[:2]

    @property
    def code(self) -> list[NotebookNode]:
        """The code cells."""
        return [cell for cell in self.cells if cell.cell_type == "code"]

    @property
    def markdown(self) -> list[NotebookNode]:
        """The markdown cells."""
        return [cell for cell in self.cells if cell.cell_type == "markdown"]

    @property
    def prose(self) -> str:
        """The text of all markdown cells."""
        return "\n".join(cell.source for cell in self.markdown)

    def tagged(self, *tags: str) -> list[NotebookNode]:
        """Code cells with one of these tags."""
        return [cell for cell in self.code if tags_of(cell) & set(tags)]

    def at(self, cell: NotebookNode) -> str:
        """Place of a cell for a report."""
        return f"cell {next(n for n, other in enumerate(self.cells) if other is cell)}"

    def headings(self, level: int) -> list[str]:
        """Headings of one level, in order, fenced code left out."""
        text = re.sub(r"^```.*?^```", "", self.prose, flags=re.MULTILINE | re.DOTALL)
        return re.findall(rf"^#{{{level}}} (.+?)\s*$", text, re.MULTILINE)


@lru_cache(maxsize=200)
def _read(path: Path, changed: int, size: int) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def find_lessons(folder: Path = NOTEBOOKS) -> list[Lesson]:
    """All notebooks of a folder, then all solutions, each in order; a learner's own copies are none."""
    paths = sorted(folder.glob("*.ipynb")) + sorted((folder / "solutions").glob("*.ipynb"))
    return [Lesson(path, folder) for path in paths if not path.stem.endswith("_mine")]


def tags_of(cell: NotebookNode) -> set[str]:
    """Tags of a cell."""
    return set(cell.metadata.get("tags", []))


def text_of(cell: NotebookNode) -> str:
    """Everything a code cell printed or showed as text."""
    parts = []
    for output in cell.outputs:
        parts.append(output.get("text", ""))
        parts += [str(value) for kind, value in output.get("data", {}).items() if kind.startswith("text/")]
    return "\n".join(parts)


def figures_of(cell: NotebookNode) -> int:
    """How many pictures a cell shows."""
    return sum("image/png" in output.get("data", {}) for output in cell.get("outputs", []))


def alt_of(cell: NotebookNode) -> str:
    """The text that stands for a cell's picture where it cannot be seen."""
    return cell.metadata.get("alt") or cell.metadata.get("mystnb", {}).get("image", {}).get("alt") or ""


def links_of(cell: NotebookNode) -> list[str]:
    """Targets of the links and pictures of a markdown cell, code left out."""
    text = re.sub(r"```.*?```|`[^`]*`|\$\$.*?\$\$", "", cell.source, flags=re.DOTALL)
    return [target for _, target in LINK.findall(text)] + HTML_LINK.findall(text) + REFERENCE.findall(text)


def slugs(lesson: Lesson) -> set[str]:
    """Anchors of a notebook's headings, as GitHub and the web book write them and as JupyterLab does."""
    found = set()
    for level in range(1, 5):
        for heading in lesson.headings(level):
            text = re.sub(r"\[([^\]]*)\]\([^)]*\)|[`*$]", r"\1", heading)
            found |= {
                re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", text.lower()).strip()),
                text.replace(" ", "-"),
            }
    return found


def reading_minutes(lesson: Lesson) -> float:
    """Minutes to read a lesson: 200 words per minute, 6 s per code line, 25 s per figure, 15 s per formula.

    Counted are all words outside formulas, displayed formulas, and the lines of code that are not blank; the
    checks cell is left out, nobody reads it.
    """
    return sum(map(reading_seconds, lesson.cells)) / 60


def reading_seconds(cell: NotebookNode) -> float:
    """Seconds to read one cell, see `reading_minutes`."""
    if cell.cell_type == "code":
        if "checks" in tags_of(cell):
            return 0.0
        lines = sum(bool(line.strip()) for line in cell.source.splitlines())
        return CODE_LINE_S * lines + FIGURE_S * figures_of(cell)
    formulas = re.findall(r"\$\$.+?\$\$", cell.source, re.DOTALL)
    prose = re.sub(r"\$\$.+?\$\$|\$[^$\n]+\$|\]\([^)]*\)|<[^>]+>", " ", cell.source, flags=re.DOTALL)
    words = len(re.findall(r"\w[\w'’.,-]*", prose))
    return 60 * words / WORDS_PER_MINUTE + FORMULA_S * len(formulas)


def table_of_lessons() -> str:
    """Markdown table of all lessons, from their own headers."""
    rows = ["| lesson | level | read | run | exercises |", "| --- | --- | ---: | ---: | ---: |"]
    for lesson in find_lessons():
        first = lesson.cells[0].source
        title, found = TITLE.search(first), MINUTES.search(first)
        if not lesson.is_solution and title and found:
            link = f"[{title[0].removeprefix('# ')}](notebooks/{lesson.path.name})"
            minutes = " | ".join(f"{found[name]} min" for name in ("read", "run", "exercises"))
            rows.append(f"| {link} | {found['level']} | {minutes} |")
    return "\n".join(rows) + "\n"
