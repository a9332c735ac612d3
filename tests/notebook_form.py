"""The form every notebook keeps, as rules: a rule takes a `Lesson` and returns what it finds wrong.

nbval compares what a notebook prints. It does not see a notebook whose outputs were stripped, a shell
line that failed, a link that leads nowhere or an exercise without its solution. These rules do.
"""

import ast
import base64
import builtins
import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median

import nbformat

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"

TAGS = {"setup", "parameters", "exercise", "solution", "take-with-you", "checks", "hide-input"}
TAGS_WITH_REASON = {"nbval-ignore-output", "nbval-skip"}
CELLS = (30, 45)
CODE_LINES, MEDIAN_LINES, TAKE_LINES = 25, 7, 30
PNG_KB, FILE_KB = 300, 1500

HEADER = re.compile(r"^# (?P<number>\d\d) · \S.*$", re.MULTILINE)
MINUTES = re.compile(
    r"^\W*(?P<level>[A-Z][\w, -]+?)\W* · read (?P<read>[\d.]+) min · run (?P<run>[\d.]+) min"
    r" · exercises (?P<exercises>[\d.]+) min",
    re.MULTILINE,
)
CHECK = re.compile(r"""\bcheck\(\s*["'](\d\d\.\d)["']""")
LINK = re.compile(r"(!?)\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
REFERENCE = re.compile(r"^\s{0,3}\[[^\]]+\]:\s*<?([^\s>]+)", re.MULTILINE)
HTML_LINK = re.compile(r"""<(?:a|img)\b[^>]*?\b(?:href|src)=["']([^"']+)["']""")
FOLDERS = "home|root|Users|tmp|work|usr|opt|var|mnt|etc|content|data|private"
ABSOLUTE = re.compile(rf"(?<![\w./:<])/(?:{FOLDERS})/|\b[A-Za-z]:\\\w|\b[A-Z]:/\w|(?<![\w./])~/\w|file://")


@dataclass(frozen=True)
class Lesson:
    """A notebook or solution file in a folder of notebooks."""

    path: Path
    folder: Path  # the folder `notebooks`, also for a solution

    @cached_property
    def notebook(self) -> nbformat.NotebookNode:
        """The notebook, as version 4."""
        return nbformat.read(self.path, as_version=4)

    @property
    def is_solution(self) -> bool:
        """Whether the file lies in `solutions/`."""
        return self.path.parent.name == "solutions"

    @property
    def number(self) -> str:
        """The two digits the name starts with."""
        return self.path.name[:2]

    @property
    def code(self) -> list:
        """Return the code cells."""
        return [cell for cell in self.notebook.cells if cell.cell_type == "code"]

    @property
    def markdown(self) -> list:
        """Return the markdown cells."""
        return [cell for cell in self.notebook.cells if cell.cell_type == "markdown"]

    def tagged(self, tag: str) -> list:
        """Return the code cells with a tag."""
        return [cell for cell in self.code if tag in cell.metadata.get("tags", [])]

    def headings(self, level: int) -> list[str]:
        """Headings of one level, in order, fenced code left out."""
        text = "\n".join(cell.source for cell in self.markdown)
        text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
        return re.findall(rf"^#{{{level}}} (.+?)\s*$", text, re.MULTILINE)


def find_lessons(folder: Path = NOTEBOOKS) -> list[Lesson]:
    """All notebooks and solutions of a folder."""
    paths = sorted(folder.glob("*.ipynb")) + sorted((folder / "solutions").glob("*.ipynb"))
    return [Lesson(path, folder) for path in paths]


def name_of(lesson: Lesson) -> str:
    """Name for a test report: `21_sales_prepare`, `solutions/21_sales_prepare`."""
    return lesson.path.relative_to(lesson.folder).with_suffix("").as_posix()


def text_of(cell) -> str:
    """Everything a code cell printed or showed as text."""
    parts = []
    for output in cell.outputs:
        parts.append(output.get("text", ""))
        parts += [str(value) for kind, value in output.get("data", {}).items() if kind.startswith("text/")]
    return "\n".join(parts)


def _at(lesson: Lesson, cell) -> str:
    return f"cell {next(n for n, other in enumerate(lesson.notebook.cells) if other is cell)}"


# --------------------------------------------------------------------------------------------------
# Rules for every file
# --------------------------------------------------------------------------------------------------
def valid(lesson: Lesson) -> list[str]:
    """Valid nbformat 4.5, kernel python3, a file of moderate size, a name `NN_slug`."""
    problems = []
    try:
        raw = json.loads(lesson.path.read_text(encoding="utf-8"))
        nbformat.validate(raw)
    except (ValueError, nbformat.ValidationError) as error:
        return [f"not a valid notebook: {str(error).splitlines()[0]}"]
    if (raw["nbformat"], raw["nbformat_minor"]) != (4, 5):
        problems.append("not nbformat 4.5")
    if raw["metadata"].get("kernelspec", {}).get("name") != "python3":
        problems.append("kernelspec is not python3")
    if not re.fullmatch(r"\d\d_[a-z0-9_]+\.ipynb", lesson.path.name):
        problems.append("the file name is not NN_slug.ipynb")
    if lesson.path.stat().st_size > FILE_KB * 1024:
        problems.append(f"larger than {FILE_KB} KB")
    if "widgets" in raw["metadata"]:
        problems.append("holds saved widget state; refresh it with `course.py run`")
    return problems


def executed(lesson: Lesson) -> list[str]:
    """Every code cell was run, once, from top to bottom; nbval compares nothing otherwise."""
    counts = [cell.execution_count for cell in lesson.code]
    if counts != list(range(1, len(counts) + 1)):
        return [f"execution counts are {counts}, not 1 to {len(counts)}; refresh it with `course.py run`"]
    return [f"{_at(lesson, cell)} is empty" for cell in lesson.code if not cell.source.strip()]


def clean_output(lesson: Lesson) -> list[str]:
    """No error, nothing on stderr, no bare object where a figure was meant."""
    problems = []
    for cell in lesson.code:
        for output in cell.outputs:
            if output.output_type == "error":
                problems.append(f"{_at(lesson, cell)} shows an error: {output.ename}")
            if output.get("name") == "stderr":
                first = output.text.strip().splitlines()[:1]
                problems.append(f"{_at(lesson, cell)} writes to stderr: {first}")
            shown = output.get("data", {}).get("text/plain", "")
            if output.output_type == "execute_result" and re.match(
                r"\[?<(Axes|matplotlib|Figure)|Text\(", shown
            ):
                problems.append(f"{_at(lesson, cell)} shows the name of a plot; end it with plt.show()")
            if "application/vnd.jupyter.widget-state+json" in output.get("data", {}):
                problems.append(f"{_at(lesson, cell)} holds widget state")
    return problems


def plain_python(lesson: Lesson) -> list[str]:
    """No shell line, no magic, no help mark: nbval passes them even when they fail."""
    problems = []
    for cell in lesson.code:
        try:
            ast.parse(cell.source)
        except SyntaxError as error:
            problems.append(f"{_at(lesson, cell)} is not plain Python: {(error.text or '').strip()!r}")
        called = re.search(
            r"\b(get_ipython|os\.system|os\.popen|subprocess\.\w+|clear_output|interact)\(", cell.source
        )
        if called:
            problems.append(f"{_at(lesson, cell)} calls {called[1]}")
    return problems


def tags(lesson: Lesson) -> list[str]:
    """Only known tags; one that switches a comparison off carries its reason."""
    problems = []
    for cell in lesson.notebook.cells:
        for tag in cell.metadata.get("tags", []):
            if tag not in TAGS | TAGS_WITH_REASON:
                problems.append(f"{_at(lesson, cell)} has the unknown tag {tag!r}")
            if tag in TAGS_WITH_REASON and len(str(cell.metadata.get("reason", "")).split()) < 3:
                problems.append(f"{_at(lesson, cell)} is tagged {tag!r} without a metadata key `reason`")
        if cell.cell_type == "code" and re.search(r"#\s*nbval", cell.source, re.IGNORECASE):
            problems.append(f"{_at(lesson, cell)} switches nbval by a comment; use a tag with a reason")
    return problems


def cell_length(lesson: Lesson) -> list[str]:
    """No code cell that fills the screen."""
    problems = []
    for cell in lesson.code:
        limit = TAKE_LINES if "take-with-you" in cell.metadata.get("tags", []) else CODE_LINES
        lines = len(cell.source.strip().splitlines())
        if lines > limit:
            problems.append(f"{_at(lesson, cell)} has {lines} lines, more than {limit}")
    return problems


def picture_size(lesson: Lesson) -> list[str]:
    """All pictures together stay small, and none comes from outside."""
    size = 0
    for cell in lesson.code:
        for output in cell.outputs:
            size += len(base64.b64decode(output.get("data", {}).get("image/png", "")))
            if "image/svg+xml" in output.get("data", {}):
                return [f"{_at(lesson, cell)} holds SVG; use PNG"]
    return [f"{size / 1024:.0f} KB of PNG, more than {PNG_KB}"] if size > PNG_KB * 1024 else []


def no_absolute_path(lesson: Lesson) -> list[str]:
    """Nothing of the machine it was made on."""
    problems = []
    for cell in lesson.notebook.cells:
        text = cell.source + ("\n" + text_of(cell) if cell.cell_type == "code" else "")
        found = ABSOLUTE.search(text)
        if found:
            around = text[max(0, found.start() - 20) : found.end() + 20]
            problems.append(f"{_at(lesson, cell)} holds an absolute path: {around!r}")
    return problems


def slugs(lesson: Lesson) -> set[str]:
    """Anchors of a notebook's headings, as GitHub and the web book write them and as JupyterLab does."""
    found = set()
    for level in range(1, 5):
        for heading in lesson.headings(level):
            text = re.sub(r"\[([^\]]*)\]\([^)]*\)|[`*$]", r"\1", heading)
            found.add(re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", text.lower()).strip()))
            found.add(text.replace(" ", "-"))
    return found


def links_of(cell) -> list[str]:
    """Targets of the links and pictures of a markdown cell, code left out."""
    text = re.sub(r"```.*?```|`[^`]*`|\$\$.*?\$\$", "", cell.source, flags=re.DOTALL)
    return [target for _, target in LINK.findall(text)] + HTML_LINK.findall(text) + REFERENCE.findall(text)


def links(lesson: Lesson) -> list[str]:
    """Relative links lead to a file and its heading; pictures come with the course."""
    problems = []
    for cell in lesson.markdown:
        outside = re.findall(r"!\[[^\]]*\]\((https?:[^)]*)\)|<img[^>]+src=[\"'](https?:[^\"']*)", cell.source)
        outside += [
            to for to in REFERENCE.findall(cell.source) if re.search(r"https?:.*\.(png|jpe?g|svg|gif)", to)
        ]
        if outside or re.search(r"<(script|iframe|link)\b", cell.source):
            problems.append(f"{_at(lesson, cell)} loads something from outside")
        for target in links_of(cell):
            if re.match(r"https?://|mailto:|attachment:", target):
                continue
            file, _, anchor = target.partition("#")
            path = (lesson.path.parent / file).resolve() if file else lesson.path
            if not path.is_relative_to(lesson.folder.parent.resolve()):
                problems.append(f"{_at(lesson, cell)} links to {target!r}, which lies outside the course")
            elif not path.exists():
                problems.append(f"{_at(lesson, cell)} links to {target!r}, which does not exist")
            elif anchor and path.suffix == ".ipynb" and anchor not in slugs(Lesson(path, lesson.folder)):
                problems.append(f"{_at(lesson, cell)} links to {target!r}, but there is no such heading")
    return problems


# --------------------------------------------------------------------------------------------------
# Rules for lessons
# --------------------------------------------------------------------------------------------------
def header(lesson: Lesson) -> list[str]:
    """Cell 0: `# NN · Title`, the level with its minutes."""
    first = lesson.notebook.cells[0]
    problems = []
    title = HEADER.search(first.source)
    if first.cell_type != "markdown" or not title or title["number"] != lesson.number:
        problems.append(f"cell 0 does not start with '# {lesson.number} · Title'")
    if not MINUTES.search(first.source):
        problems.append("cell 0 lacks a line 'Level · read X min · run Y min · exercises Z min'")
    return problems


def chain(lesson: Lesson) -> list[str]:
    """Cell 0 links to the lesson before and the lesson after."""
    names = [path.name for path in sorted(lesson.folder.glob("*.ipynb"))]
    at = names.index(lesson.path.name)
    given = links_of(lesson.notebook.cells[0])
    wanted = {
        "previous": names[at - 1] if at else None,
        "next": names[at + 1] if at + 1 < len(names) else None,
    }
    return [
        f"cell 0 has no link to the {which} lesson, {name}"
        for which, name in wanted.items()
        if name and name not in given
    ]


def asserts(source: str) -> bool:
    """Whether a piece of code holds an assert that can fail."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return False
    return any(
        isinstance(node, ast.Assert) and not isinstance(node.test, ast.Constant) for node in ast.walk(tree)
    )


def blocks(lesson: Lesson) -> list[str]:
    """The blocks of a lesson, in their order."""
    cells = lesson.notebook.cells
    problems, places = [], []

    def place(what, test):
        found = [at for at, cell in enumerate(cells) if test(cell)]
        if len(found) != 1:
            problems.append(f"{len(found) or 'no'} block(s) {what}, there must be exactly one")
        else:
            places.append((found[0], what))

    def heading(text):
        return lambda cell: (
            cell.cell_type == "markdown" and re.search(rf"^## {text}", cell.source, re.MULTILINE)
        )

    def tag(text):
        return lambda cell: cell.cell_type == "code" and text in cell.metadata.get("tags", [])

    place("## You will learn", heading("You will learn"))
    place("code tagged setup", tag("setup"))
    place("code tagged parameters", tag("parameters"))
    place("## The data", heading("The data"))
    place("## Baseline", heading("Baseline"))
    if lesson.path.stem.endswith(("_train", "_evaluate")):
        place("## Model", heading("Model"))
    if lesson.path.stem.endswith("_evaluate"):
        place("## Evaluation", heading("Evaluation"))
    place("## Exercises", heading("Exercises"))
    place("## Quiz", heading("Quiz"))
    place("## Takeaways", heading("Takeaways"))
    place("code tagged take-with-you", tag("take-with-you"))
    place("code tagged checks", tag("checks"))
    if places != sorted(places):
        problems.append("the blocks are not in order: " + ", ".join(what for _, what in sorted(places)))
    if "checks" not in cells[-1].metadata.get("tags", []):
        problems.append("the last cell is not the one tagged checks")
    elif not asserts(cells[-1].source):
        problems.append("the checks cell asserts nothing")
    for cell in lesson.code:
        own = set(cell.metadata.get("tags", []))
        if own & {"setup", "parameters", "exercise", "checks"} and own & TAGS_WITH_REASON:
            problems.append(
                f"{_at(lesson, cell)} is not compared, though setup, exercises and checks must be"
            )
    own = lesson.headings(2)
    if "Exercises" in own and own.index("Exercises") < 3:
        problems.append("fewer than two sections between '## You will learn' and '## Exercises'")
    return problems


def first_import(lesson: Lesson) -> list[str]:
    """Ecomlib is the first import: it sets what TensorFlow reads when it starts."""
    for cell in lesson.code:
        try:
            tree = ast.parse(cell.source)
        except SyntaxError:
            return []
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                name = node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
                if (name or "").split(".")[0] in ("keras", "tensorflow"):
                    return [f"{_at(lesson, cell)} imports {name} before ecomlib"]
                if (name or "").split(".")[0] == "ecomlib":
                    return []
    return []


def size(lesson: Lesson) -> list[str]:
    """30 to 45 cells, most of them short."""
    count = len(lesson.notebook.cells)
    problems = []
    if not CELLS[0] <= count <= CELLS[1]:
        problems.append(f"{count} cells, not {CELLS[0]} to {CELLS[1]}")
    middle = median(
        [len([line for line in c.source.splitlines() if line.strip()]) for c in lesson.code] or [0]
    )
    if middle > MEDIAN_LINES:
        problems.append(f"the median code cell has {middle:g} lines, more than {MEDIAN_LINES}")
    return problems


def quiz(lesson: Lesson) -> list[str]:
    """Three questions with folded answers that explain."""
    text = "\n".join(cell.source for cell in lesson.markdown)
    part = re.search(r"^## Quiz(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    answers = re.findall(
        r"<details>\s*<summary>Answer</summary>(.*?)</details>", part[1] if part else "", re.DOTALL
    )
    if len(answers) != 3:
        return [f"the quiz has {len(answers)} folded answers, not 3"]
    return [f"answer {n} explains nothing" for n, answer in enumerate(answers, 1) if len(answer.split()) < 12]


def exercises(lesson: Lesson) -> list[str]:
    """Three exercises that answer "not yet" as committed."""
    problems = []
    cells = lesson.tagged("exercise")
    wanted = [f"{lesson.number}.{k}" for k in range(1, len(cells) + 1)]
    found = [name for cell in cells for name in CHECK.findall(cell.source)]
    if len(cells) != 3 or found != wanted:
        problems.append(
            f"the cells tagged exercise check {found}, not {lesson.number}.1 to {lesson.number}.3"
        )
    if len([name for name in lesson.headings(3) if name.startswith("Exercise ")]) != 3:
        problems.append("there are not three headings '### Exercise k: ...'")
    for cell in cells:
        text = text_of(cell)
        if "not yet" not in text or re.search(r"^correct", text, re.MULTILINE):
            problems.append(f"{_at(lesson, cell)}, an exercise as committed, does not print 'not yet'")
    for cell in lesson.code:
        if cell not in cells and CHECK.search(cell.source):
            problems.append(f"{_at(lesson, cell)} calls check() and is not tagged exercise")
    return problems


def has_solution(lesson: Lesson) -> list[str]:
    """No lesson without its solutions, and the way to them is in its header."""
    name = f"solutions/{lesson.path.name}"
    if not (lesson.folder / name).exists():
        return [f"{name} is missing"]
    return [] if name in links_of(lesson.notebook.cells[0]) else [f"cell 0 does not link to {name}"]


def unbound(source: str) -> list[str]:
    """Names a piece of code uses and does not define, import or find among the builtins."""
    used, known = set(), set(dir(builtins))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else known).add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            known |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            known.add(node.name)
        elif isinstance(node, ast.arg):
            known.add(node.arg)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            known.add(node.name)
    return sorted(used - known)


def take_with_you(lesson: Lesson) -> list[str]:
    """The cell to take away stands alone: its own imports, no name from above."""
    problems = []
    for cell in lesson.tagged("take-with-you"):
        try:
            missing = unbound(cell.source)
        except SyntaxError:
            continue
        if missing:
            problems.append(
                f"{_at(lesson, cell)} (take-with-you) uses names from above: {', '.join(missing)}"
            )
    return problems


# --------------------------------------------------------------------------------------------------
# Rules for solutions
# --------------------------------------------------------------------------------------------------
def solution_in_step(lesson: Lesson) -> list[str]:
    """A solution solves exactly its lesson's exercises, each "correct", and links back."""
    problems = []
    partner = lesson.folder / lesson.path.name
    if not partner.exists():
        return [f"there is no lesson {lesson.path.name} to this solution"]
    wanted = [n for c in Lesson(partner, lesson.folder).tagged("exercise") for n in CHECK.findall(c.source)]
    cells = lesson.tagged("solution")
    found = [name for cell in cells for name in CHECK.findall(cell.source)]
    if found != wanted:
        problems.append(f"the cells tagged solution check {found}, the lesson asks {wanted}")
    for cell in cells:
        text = text_of(cell)
        if CHECK.search(cell.source) and (
            not re.search(r"^correct", text, re.MULTILINE) or "not yet" in text
        ):
            problems.append(f"{_at(lesson, cell)}, a solution, does not print 'correct'")
    if not any(target == f"../{lesson.path.name}" for cell in lesson.markdown for target in links_of(cell)):
        problems.append(f"no link back to ../{lesson.path.name}")
    return problems


ALWAYS = [
    valid,
    executed,
    clean_output,
    plain_python,
    tags,
    cell_length,
    picture_size,
    no_absolute_path,
    links,
    first_import,
]
LESSON_RULES = [
    *ALWAYS,
    header,
    chain,
    blocks,
    size,
    quiz,
    exercises,
    has_solution,
    take_with_you,
]
SOLUTION_RULES = [*ALWAYS, solution_in_step]


def rules_for(lesson: Lesson) -> list:
    """Return the rules a file has to keep."""
    return SOLUTION_RULES if lesson.is_solution else LESSON_RULES


# --------------------------------------------------------------------------------------------------
# The table of lessons in README.md
# --------------------------------------------------------------------------------------------------
README = NOTEBOOKS.parent / "README.md"
BETWEEN = re.compile(r"(<!-- lessons: .*? -->\n)(.*?)(<!-- end of lessons -->)", re.DOTALL)


def table_of_lessons() -> str:
    """Markdown table of all lessons, from their own headers."""
    rows = ["| lesson | level | read | run | exercises |", "| --- | --- | ---: | ---: | ---: |"]
    for lesson in find_lessons():
        first = lesson.notebook.cells[0].source
        title, found = HEADER.search(first), MINUTES.search(first)
        if not lesson.is_solution and title and found:
            link = f"[{title[0].removeprefix('# ')}](notebooks/{lesson.path.name})"
            minutes = " | ".join(f"{found[name]} min" for name in ("read", "run", "exercises"))
            rows.append(f"| {link} | {found['level']} | {minutes} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    text = README.read_text(encoding="utf-8")
    README.write_text(BETWEEN.sub(lambda m: m[1] + table_of_lessons() + m[3], text), encoding="utf-8")
