"""Rules that lessons and solutions keep: whole, run, clean, readable, in plain words."""

import ast
import base64
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache, wraps

import nbformat
from nbformat import NotebookNode

from ecomlib.runtime import GATE_COLORS, MODEL_COLORS
from tools.form.lesson import (
    REFERENCE,
    Lesson,
    alt_of,
    figures_of,
    find_lessons,
    links_of,
    slugs,
    tags_of,
    text_of,
)
from tools.notebooks import OPTIONAL

TAGS = {"setup", "parameters", "exercise", "solution", "take-with-you", "checks", "hide-input", "wrap-up"}
NEEDS = {f"needs-{group}" for group in OPTIONAL}  # where a group of packages is needed first
TAGS_WITH_REASON = {"nbval-ignore-output", "nbval-skip"}
CODE_LINES, WIDTH, ALT = 20, 79, 60
PNG_KB, FILE_KB = 700, 1500
COLUMN, TICKS, LEAST_POINTS = 757, 11, 8  # pixels of the book's column; points of the ticks; points to read

FOLDERS = "home|root|Users|tmp|work|usr|opt|var|mnt|etc|content|data|private"
ABSOLUTE = re.compile(rf"(?<![\w./:<])/(?:{FOLDERS})/|\b[A-Za-z]:\\\w|\b[A-Z]:/\w|(?<![\w./])~/\w|file://")
ODD = re.compile(
    r"\bmend(s|ed)?\b|\bspelt so\b|\bby lot\b|\bred-handed\b|\brestless|\bfeasts?\b|\bcrippled\b|\bone sees\b"
    r"|\bby the weights\b|\bcalls? \w+ so\b|\bto be found out\b|\bwants? (honest|shorter)|\bthe more the\b"
    r"|\bspeaks? of eight\b|\bsources of luck\b|\blike is against like\b|\banecdote\b|\busual fraud\b"
    r"|\btiniest\b|(?<=[.:!?] )(New|Kept|Asked|Wanted|Left) (is|are)\b"
    r"|\b(numbers?|bytes|updates) an? (code|customer|trip|number|file|part|worker|epoch|machine)\b"
    r"|\b(one|dollars|numbers) ((?!after|of)\w+ )?an? "
    r"(day|week|window|household|product|quantile|step|category)\b"
    r"|(\b(page|rows?|seconds|ms|types|trips|hits|weights|windows|lines|sales|cost|loss|address)|[$}\d]) an? "
    r"(epoch|update|trip|household|gate|batch|order|item|seed|lesson|worker|day|week)\b"
    r"(?! (later|apart|earlier))",
    re.IGNORECASE,
)
DRAWS = re.compile(r"\b(axes|axs?|fig|figure|plt|sns)\b[\[.]|\bax=|\bsubplots\(")
COLOUR = re.compile(
    r"""["'](C\d|#[0-9a-fA-F]{3,8}|(tab|xkcd):\w+|red|green|blue|orange|purple|brown|crimson|navy|teal)["']"""
    r"|color_palette\("
)
THINGS = "|".join(re.escape(name) for name in MODEL_COLORS if name != "baseline")
GATES = "|".join(GATE_COLORS)
NAMED = rf"""f?["'][^"'\n]*(\b({THINGS})\b|\b({GATES}) (gate|state)\b)[^"'\n]*["']"""

Rule = Callable[[Lesson], list[str]]
LESSON_RULES: list[Rule] = []
SOLUTION_RULES: list[Rule] = []


def rule(*kept_by: str) -> Callable[[Callable[[Lesson], Iterator[str]]], Rule]:
    """Register a rule that lessons, solutions or both keep."""

    def register(find: Callable[[Lesson], Iterator[str]]) -> Rule:
        @wraps(find)
        def found(lesson: Lesson) -> list[str]:
            return list(find(lesson))

        for kind, rules in (("lesson", LESSON_RULES), ("solution", SOLUTION_RULES)):
            if kind in kept_by:
                rules.append(found)
        return found

    return register


def parsed(cell: NotebookNode) -> ast.Module:
    """Syntax tree of a cell; empty where `plain_python` complains."""
    return _tree(cell.source)


@lru_cache(maxsize=5000)
def _tree(source: str) -> ast.Module:
    try:
        return ast.parse(source)
    except SyntaxError:
        return ast.Module([], [])


def statements(cell: NotebookNode) -> tuple[tuple[ast.stmt, str], ...]:
    """Every statement of a cell that holds no other one, with its text."""
    return _statements(cell.source)


@lru_cache(maxsize=5000)
def _statements(source: str) -> tuple[tuple[ast.stmt, str], ...]:
    inner = (n for n in ast.walk(_tree(source)) if isinstance(n, ast.stmt) and not hasattr(n, "body"))
    return tuple((node, ast.get_source_segment(source, node) or "") for node in inner)


@rule("lesson", "solution")
def valid(lesson: Lesson) -> Iterator[str]:
    """Valid nbformat 4.5, kernel python3, a file of moderate size, a name `NN_slug`."""
    try:
        raw = json.loads(lesson.path.read_text(encoding="utf-8"))
        nbformat.validate(raw)
    except (ValueError, nbformat.ValidationError) as error:
        yield f"not a valid notebook: {str(error).splitlines()[0]}"
        return
    if (raw["nbformat"], raw["nbformat_minor"]) != (4, 5):
        yield "not nbformat 4.5"
    if raw["metadata"].get("kernelspec", {}).get("name") != "python3":
        yield "kernelspec is not python3"
    if not re.fullmatch(r"\d\d_[a-z0-9_]+\.ipynb", lesson.path.name):
        yield "the file name is not NN_slug.ipynb"
    if lesson.path.stat().st_size > FILE_KB * 1024:
        yield f"larger than {FILE_KB} KB"
    if "widgets" in raw["metadata"]:
        yield "holds saved widget state; refresh it with `course.py run`"


@rule("lesson", "solution")
def executed(lesson: Lesson) -> Iterator[str]:
    """Every code cell was run, once, from top to bottom; nbval compares nothing otherwise."""
    counts = [cell.execution_count for cell in lesson.code]
    if counts != list(range(1, len(counts) + 1)):
        yield f"execution counts are {counts}, not 1 to {len(counts)}; refresh it with `course.py run`"
    yield from (f"{lesson.at(cell)} is empty" for cell in lesson.code if not cell.source.strip())


@rule("lesson", "solution")
def clean_output(lesson: Lesson) -> Iterator[str]:
    """No error, nothing on stderr, no bare object where a figure was meant."""
    for cell in lesson.code:
        for output in cell.outputs:
            data = output.get("data", {})
            if output.output_type == "error":
                yield f"{lesson.at(cell)} shows an error: {output.ename}"
            if output.get("name") == "stderr":
                yield f"{lesson.at(cell)} writes to stderr: {output.text.strip().splitlines()[:1]}"
            shown = re.match(r"\[?<(Axes|matplotlib|Figure)|Text\(", data.get("text/plain", ""))
            if output.output_type == "execute_result" and shown:
                yield f"{lesson.at(cell)} shows the name of a plot; end it with plt.show()"
            if "application/vnd.jupyter.widget-state+json" in data:
                yield f"{lesson.at(cell)} holds widget state"


@rule("lesson", "solution")
def plain_python(lesson: Lesson) -> Iterator[str]:
    """No shell line, no magic, no help mark: nbval passes them even when they fail."""
    banned = r"\b(get_ipython|os\.system|os\.popen|subprocess\.\w+|clear_output|interact)\("
    for cell in lesson.code:
        if cell.source.strip() and not parsed(cell).body and not cell.source.lstrip().startswith("#"):
            yield f"{lesson.at(cell)} is not plain Python"
        if called := re.search(banned, cell.source):
            yield f"{lesson.at(cell)} calls {called[1]}"


@rule("lesson", "solution")
def tags(lesson: Lesson) -> Iterator[str]:
    """Only known tags; one that switches a comparison off carries its reason."""
    for cell in lesson.cells:
        for tag in tags_of(cell):
            if tag not in TAGS | TAGS_WITH_REASON | NEEDS:
                yield f"{lesson.at(cell)} has the unknown tag {tag!r}"
            if tag in TAGS_WITH_REASON and len(str(cell.metadata.get("reason", "")).split()) < 3:
                yield f"{lesson.at(cell)} is tagged {tag!r} without a metadata key `reason`"
        if cell.cell_type == "code" and re.search(r"#\s*nbval", cell.source, re.IGNORECASE):
            yield f"{lesson.at(cell)} switches nbval by a comment; use a tag with a reason"


@rule("lesson", "solution")
def height(lesson: Lesson) -> Iterator[str]:
    """No code cell that fills the screen."""
    for cell in lesson.code:
        if (lines := len(cell.source.splitlines())) > CODE_LINES:
            yield f"{lesson.at(cell)} has {lines} lines, more than {CODE_LINES}"


@rule("lesson", "solution")
def width(lesson: Lesson) -> Iterator[str]:
    """No line of code that the web book cuts."""
    for cell in lesson.code:
        for line in cell.source.splitlines():
            if len(line) > WIDTH:
                yield f"{lesson.at(cell)} has a line of {len(line)} characters: {line.strip()[:30]!r}"


@rule("lesson", "solution")
def picture_size(lesson: Lesson) -> Iterator[str]:
    """All pictures together stay small, and none comes from outside."""
    size = 0
    for cell in lesson.code:
        for output in cell.outputs:
            size += len(base64.b64decode(output.get("data", {}).get("image/png", "")))
            if "image/svg+xml" in output.get("data", {}):
                yield f"{lesson.at(cell)} holds SVG; use PNG"
    if size > PNG_KB * 1024:
        yield f"{size / 1024:.0f} KB of PNG, more than {PNG_KB}"


@rule("lesson", "solution")
def picture_text(lesson: Lesson) -> Iterator[str]:
    """Text of a picture, ticks and sizes that the cell names, has 8 points or more in the book."""
    for cell in lesson.code:
        for output in cell.outputs:
            if png := output.get("data", {}).get("image/png"):
                wide = int.from_bytes(base64.b64decode(png)[16:20], "big")  # of pixels: two for one on a page
                wide = output.get("metadata", {}).get("image/png", {}).get("width", wide)
                named = re.findall(r"""(?:font|label)size["']?[=:]\s*(\d+)""", cell.source)
                points = min([TICKS, *map(int, named)]) * min(1, COLUMN / max(wide, 1))
                if points < LEAST_POINTS:
                    yield f"{lesson.at(cell)} has text of {points:.1f} points at the book's width"


@rule("lesson", "solution")
def no_absolute_path(lesson: Lesson) -> Iterator[str]:
    """Nothing of the machine it was made on."""
    for cell in lesson.cells:
        text = cell.source + ("\n" + text_of(cell) if cell.cell_type == "code" else "")
        if found := ABSOLUTE.search(text):
            around = text[max(0, found.start() - 20) : found.end() + 20]
            yield f"{lesson.at(cell)} holds an absolute path: {around!r}"


@rule("lesson", "solution")
def links(lesson: Lesson) -> Iterator[str]:
    """Relative links lead to a file and its heading; pictures come with the course."""
    for cell in lesson.markdown:
        outside = re.search(
            r"!\[[^\]]*\]\(https?:|<img[^>]+src=[\"']https?:|<(script|iframe|link)\b", cell.source
        )
        if outside or re.search(r"https?:\S*\.(png|jpe?g|svg|gif)", " ".join(REFERENCE.findall(cell.source))):
            yield f"{lesson.at(cell)} loads something from outside"
        for target in links_of(cell):
            if re.match(r"https?://|mailto:|attachment:", target):
                continue
            file, _, anchor = target.partition("#")
            path = (lesson.path.parent / file).resolve() if file else lesson.path
            if not path.is_relative_to(lesson.folder.parent.resolve()):
                yield f"{lesson.at(cell)} links to {target!r}, which lies outside the course"
            elif not path.exists():
                yield f"{lesson.at(cell)} links to {target!r}, which does not exist"
            elif anchor and path.suffix == ".ipynb" and anchor not in slugs(Lesson(path, lesson.folder)):
                yield f"{lesson.at(cell)} links to {target!r}, but there is no such heading"


@rule("lesson", "solution")
def first_import(lesson: Lesson) -> Iterator[str]:
    """Ecomlib is the first import: it sets what TensorFlow reads when it starts."""
    for cell in lesson.code:
        for node in ast.walk(parsed(cell)):
            if isinstance(node, ast.Import | ast.ImportFrom):
                name = (node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name
                if name.split(".")[0] == "ecomlib":
                    return
                if name.split(".")[0] in ("keras", "tensorflow"):
                    yield f"{lesson.at(cell)} imports {name} before ecomlib"
                    return


@rule("lesson", "solution")
def words(lesson: Lesson) -> Iterator[str]:
    """Plain words; the last known step is the cutoff; only a benchmark writes results."""
    for cell in lesson.cells:
        for odd in ODD.finditer(cell.source):
            yield f"{lesson.at(cell)} says {odd[0]!r}"
        for old in re.findall(r"\borigins?\b|\bwrite_results\b", cell.source, re.IGNORECASE):
            yield f"{lesson.at(cell)} says {old!r}"


@rule("lesson", "solution")
def alt(lesson: Lesson) -> Iterator[str]:
    """Each figure has a text of its own, of a sentence at least, in its cell's metadata `alt`."""
    others = find_lessons(lesson.folder)
    texts = Counter(alt_of(cell) for other in others for cell in other.code if figures_of(cell))
    for cell in lesson.code:
        if figures_of(cell) > 1:
            yield f"{lesson.at(cell)} shows {figures_of(cell)} figures; give each its cell"
        if figures_of(cell) and (len(alt_of(cell)) < ALT or texts[alt_of(cell)] > 1):
            yield f"{lesson.at(cell)} has no alt text of its own of {ALT} characters"


@rule("lesson", "solution")
def colours(lesson: Lesson) -> Iterator[str]:
    """A model and a gate have one colour in all lessons: MODEL_COLORS["LSTM"], GATE_COLORS["forget"]."""
    for cell in lesson.code:
        for _, text in statements(cell):
            by_turn = re.search(rf"\blabel={NAMED}", text) and not re.search(r"\b(color|c)=", text)
            if by_turn or (re.search(NAMED, text) and COLOUR.search(text)):
                yield f"{lesson.at(cell)} gives a model or gate its own colour: {text.splitlines()[0][:40]!r}"


@rule("lesson", "solution")
def hide_input(lesson: Lesson) -> Iterator[str]:
    """A cell that mostly draws, or prints sentences, is folded by the tag `hide-input`."""
    for cell in lesson.code:
        if tags_of(cell) & TAGS:
            continue
        folds = total = 0
        for node, text in statements(cell):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            total += lines
            sentence = (
                text.startswith("print(")
                and len(re.findall(r"[A-Za-z]{2,}", re.sub(r"\{.*?\}", "", text))) > 8
            )
            folds += lines * bool(sentence or (figures_of(cell) and DRAWS.search(text)))
        if folds > total / 2:
            yield f"{lesson.at(cell)} mostly draws or prints sentences; tag it hide-input"
