"""Pages of the web book that come from the course itself: first page, results, glossary, downloads."""

import json
import re
import shutil
import zipfile
from collections import Counter
from pathlib import Path

from tools import comparisons as found
from tools.front import heads, hours, tally
from tools.teaching.parts import PARTS

ROOT = found.ROOT
RULE = (
    "Each row is one paired comparison on the same units and weeks. **Better** and **worse** mean that the "
    "95 % interval, with units, weeks and seeds all drawn, excludes the tie; everything else is **level**. A "
    "ratio has its tie at 1, a difference (with a sign) at 0. WAPE, log-loss and MAE are errors: smaller is "
    "better; recall@10 is a hit rate: larger is better."
)
ALT = "The questions of the first page, one row each, as in the tables below."


def write(source: Path) -> None:
    """Write the pages into the folder of the staged book."""
    docs = source / "docs"
    docs.mkdir(exist_ok=True)
    (source / "results.md").write_text(results(source / "results"), encoding="utf-8")
    (docs / "words.md").write_text(
        glossary((ROOT / "docs" / "words.md").read_text("utf-8")), encoding="utf-8"
    )
    zipped(source / "downloads")
    index = source / "index.md"
    text = (
        index.read_text(encoding="utf-8").replace("<!-- readme -->", front()).replace("<!-- map -->", cards())
    )
    index.write_text(text, encoding="utf-8")


def front() -> str:
    """The top of README.md, up to its section Start, for the book's first page."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").split("\n## Start\n")[0]
    text = re.sub(r"<!-- map: .*?<!-- end of map -->\n", "", text, flags=re.DOTALL)
    text = re.sub(r"<!-- .*? -->\n", "", text).replace("book/_static/", "_static/")
    text = text.replace("in [benchmarks/results](benchmarks/results)", "on the page of [results](results.md)")
    return text.replace("\n| you want to", "\n### Which lesson for me?\n\n| you want to")


def cards() -> str:
    """The map: a card for each part with its lessons and their minutes."""
    blocks, lessons = [], heads()
    for digit, part in PARTS.items():
        lines = [
            f"- [{title}](notebooks/{file}) {sum(times.values()):.0f}&nbsp;min"
            for number, (file, title, times) in lessons.items()
            if number[0] == digit
        ]
        if lines:
            blocks.append("\n".join([":::{container} part", f"**{part}**", "", *lines, ":::"]))
    return "\n\n".join(["::::{container} course-map", *blocks, "::::", hours()])


def results(folder: Path) -> str:
    """The page of results, every comparison with an LSTM; the tables go to `folder`, to download."""
    counts = Counter(each.verdict for table in found.TABLES for each in found.comparisons(table))
    said = ", ".join(f"{counts[word]} {word}" for word in (found.BEST, found.LEVEL, found.WORST))
    whole = sum(counts.values())
    blocks = ["# Results: where an LSTM is better, level and worse", tally(), RULE]
    blocks += [f"All {whole} comparisons of the tables up to *Further lessons*: {said}."]
    blocks += [
        "![The questions of the first page, one row each, as in the tables below.](_static/results.png)"
    ]
    for shop in (found.FIRST, found.SECOND, found.MUSIC):
        blocks.append(f"## {shop}")
        for table in found.TABLES:
            if table.shop == shop:
                blocks += [f"### {table.title}", _lesson(table.lesson), _table(table)]
    if more := found.others():
        blocks.append("## Further lessons")
        for table in more:
            blocks += [
                f"### {_about(table.name)[1]}: {table.title}",
                _lesson(_about(table.name)[0]),
                _table(table),
            ]
    return "\n\n".join(block for block in [*blocks, _files(folder)] if block) + "\n"


def _table(table: found.Table) -> str:
    rows = [f"| network | compared with | {table.metric} | the network is |", "| --- | --- | ---: | --- |"]
    for one in found.comparisons(table):
        rows.append(f"| {one.ours} | {one.rival} | {one.text} | **{one.verdict}** |")
    return "\n".join(rows)


def _lesson(number: str) -> str:
    return f"Lesson [{heads()[number][1]}](notebooks/{heads()[number][0]})." if number in heads() else ""


def _about(name: str) -> tuple[str, str]:
    """Number of the lesson that a benchmark belongs to ("" where it says none), and its first words."""
    path = ROOT / "benchmarks" / "quality" / f"{name}.py"
    text = path.read_text(encoding="utf-8").split('"""')[1] if path.exists() else name
    number = re.search(r"[Ll]esson (\d\d)", text)
    own = [n for n, (file, *_) in heads().items() if file.removesuffix(".ipynb").endswith(name)]
    return (number[1] if number else own[0] if own else ""), name.replace("_", " ").capitalize()


def _files(folder: Path) -> str:
    """The tables themselves, with the day, the minutes and the command of their run."""
    folder.mkdir(exist_ok=True)
    rows = [
        "## The tables",
        "",
        "| table | rows | made on | by | minutes |",
        "| --- | ---: | --- | --- | ---: |",
    ]
    for path in sorted(found.RESULTS.glob("*.csv")):
        shutil.copy(path, folder)
        beside = path.with_suffix(".json")
        made = json.loads(beside.read_text(encoding="utf-8")) if beside.exists() else {}
        command = f"`{made['command']}`" if "command" in made else ""
        lines = len(path.read_text(encoding="utf-8").splitlines()) - 1
        link = f"[{path.name}](results/{path.name})"
        rows.append(f"| {link} | {lines} | {made.get('date', '')} | {command} | {made.get('minutes', '')} |")
    return "\n".join(rows)


def glossary(words: str) -> str:
    """docs/words.md as a glossary: each term with its Chinese name, its meaning, and its cell."""
    before, rest = words.split("## Terms of the field\n")
    table, after = rest.split("\n## ", 1)
    entries = []
    for line in [line for line in table.splitlines() if line.startswith("|")][2:]:
        name, also, chinese, meaning, place = [cell.strip() for cell in line.strip("|").split("|")]
        name = name.rstrip(" °")
        first = "" if chinese == name else f'<span lang="zh">{chinese}</span> · '
        more = f" Also: {also}." if also else ""
        where = "" if place == "–" else " Lesson " + re.sub(r' "[\w-]+"\)', ")", place) + "."
        entries.append(f"{name}\n  {first}{meaning}{more}{where}\n")
    head = (
        "# Glossary: the terms in English and Chinese\n\n"
        "One word for one thing, in the lessons, the package and the outputs. Each term has its "
        '<span lang="zh">中文</span> name, what it means, and the lesson that explains it first.\n'
    )
    return f"{head}\n```{{glossary}}\n" + "\n".join(entries) + f"```\n\n## {after}"


# What the theme writes and a screen reader stumbles over: (pattern, what stands instead).
SPOKEN = [
    (r'<summary aria-label="Toggle hidden content">', "<summary>"),  # it has a text of its own
    (r'<summary>(<span class="toctree-toggle")', r'<summary aria-label="Pages below">\1'),  # an arrow only
    (r'(<button class="[^"]*search-button-field[^"]*" title="Search") aria-label="Search"', r"\1"),
    (r'(<a class="navbar-brand logo".*?</a>)', r'<nav aria-label="Home">\1</nav>'),
    (
        r"<th( class=\"head[^\"]*\")?>\s*(<p></p>)?\s*</th>",
        "<td></td>",
    ),  # an empty corner
    (
        r'(<a class="reference internal image-reference"[^>]*>)?(<img alt="[^"]*" src="([^"]*\.png)"[^>]*>)'
        r"(?(1)\s*</a>)",
        r'<a class="large" href="\3">\2</a>',  # Sphinx links some pictures already: one link, not two
    ),
    (r'(<img alt="[^>]*width="(\d+)")', r'\1 style="--width: \2px"'),  # course.css: a share of it on phones
]


def spoken(book: Path) -> None:
    """Correct the pages of a built book for screen readers; a picture leads to itself, large, for phones.

    Forms and slides, which are not the theme's, stay as they are.
    """
    for page in book.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        for pattern, instead in (
            SPOKEN if "bd-article" in text else []
        ):  # forms and slides are not the theme's
            text = re.sub(pattern, instead, text, flags=re.DOTALL)
        page.write_text(text, encoding="utf-8")


def zipped(folder: Path) -> None:
    """Write the notebooks and their solutions as one file, the same bytes for the same notebooks."""
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / "notebooks.zip", "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted((ROOT / "notebooks").rglob("*.ipynb")):
            if ".ipynb_checkpoints" not in path.parts and not path.stem.endswith("_mine"):
                entry = zipfile.ZipInfo(path.relative_to(ROOT).as_posix())  # dated 1980
                entry.compress_type = zipfile.ZIP_DEFLATED
                file.writestr(entry, path.read_bytes())
