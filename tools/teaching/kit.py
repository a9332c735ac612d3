"""The pages of docs/teaching: what is written by hand, and what is put into it."""

import re
from pathlib import Path

from tools.teaching import figures, notes, server, timetable
from tools.teaching.blocks import TEACHING


def ratio_table() -> str:
    """The ratios of the hand-out's picture, as HTML."""
    rows = ["<tr><th>pair</th><th>ratio of WAPE</th><th>95 % interval</th></tr>"]
    rows += [
        f"<tr><td>{row.model}</td><td>{row.value:.3f}</td><td>{row.low:.3f} to {row.high:.3f}</td></tr>"
        for row in figures.ratios().itertuples()
    ]
    return '<table class="small">\n' + "\n".join(rows) + "\n</table>"


MADE = {
    "timetables.md": timetable.tables,
    "server.md": server.table,
    "pages/comparison.html": ratio_table,
}
PLACE = re.compile(r"(<!-- made -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(text: str, made: str) -> str:
    """A page with today's tables in the place of the old ones."""
    return PLACE.sub(lambda found: f"{found[1]}\n{made}\n\n{found[2]}", text)


def wanted() -> dict[Path, str]:
    """Every made page with the text it should have."""
    pages = {notes.NOTES / name: text for name, text in notes.pages().items()}
    for name, make in MADE.items():
        pages[TEACHING / name] = filled((TEACHING / name).read_text(encoding="utf-8"), make())
    return pages


def old() -> list[Path]:
    """Notes of lessons that are gone."""
    return sorted(set(notes.NOTES.glob("*.md")) - set(wanted()))


def write() -> None:
    """Renew the pages."""
    notes.NOTES.mkdir(parents=True, exist_ok=True)
    for path in old():
        path.unlink()
    for path, text in wanted().items():
        path.write_text(text, encoding="utf-8")
    figures.draw(TEACHING / "pages")
