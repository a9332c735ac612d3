"""Rules that lessons keep (blocks, header, pauses, quiz, exercises, take-away) and the one of solutions."""

import ast
import builtins
import re
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from statistics import median

from nbformat import NotebookNode

from tools.form.anywhere import TAGS_WITH_REASON, parsed, rule
from tools.form.lesson import (
    MINUTES,
    TITLE,
    Lesson,
    find_lessons,
    links_of,
    reading_minutes,
    tags_of,
    text_of,
)

CELLS, MEDIAN_LINES = (30, 55), 7
PAUSE, MOST_LETTER, MINUTES_OFF = 10, 0.45, 0.2

LAST, WRAP_UP = ("17", "23", "33", "43"), "Wrap-up quiz"  # the last lesson of each part

CHECK = re.compile(r"""\bcheck\(\s*["'](\d\d\.\d)["']""")
ANSWER = re.compile(r"<details>\s*<summary>Answer</summary>(.*?)</details>", re.DOTALL)
PAUSES = re.compile(r"<details>|^\s*\*\*(Try|Question)\b", re.MULTILINE)
NETWORK = re.compile(r"\blayers\.(LSTM|GRU|SimpleRNN|Dense)\(|\w*LSTM\(|\bepochs=|\bcallbacks=")
BUILDS = re.compile(r"\blayers\.(LSTM|GRU|SimpleRNN|Dense)\b|\bgates\.init_weights\(")
TRAINS = re.compile(r"\.fit\(|\bGradientTape\(|_backward\(")
BEATS = re.compile(r"\bbeats?\b|\bcompares you\b|\bbetter than\b|\bsaves against\b")
READS = re.compile(r"\bread_(csv|parquet|excel|json|table)\(")


@rule("lesson")
def header(lesson: Lesson) -> Iterator[str]:
    """Cell 0: title; level and minutes, those to read by the rule; the way on, in one pattern."""
    first = lesson.cells[0]
    title, minutes = TITLE.match(first.source), MINUTES.search(first.source)
    if first.cell_type != "markdown" or not title or title["number"] != lesson.number:
        yield f"cell 0 does not start with '# {lesson.number} · Title'"
    if not minutes:
        yield "cell 0 lacks a line 'Beginner · read X min · run Y min · exercises Z min'"
    elif abs(float(minutes["read"]) / (wanted := reading_minutes(lesson)) - 1) > MINUTES_OFF:
        yield f"cell 0 says {minutes['read']} min to read, by reading_minutes it is {wanted:.0f}"
    names = [path.name for path in sorted(lesson.folder.glob("*.ipynb"))]
    at = names.index(lesson.path.name)
    before, after = names[max(at - 1, 0) : at], names[at + 1 : at + 2]
    ways = [rf"\[← {name[:2]} · [^\]]+\]\({re.escape(name)}\)" for name in before]
    ways += [rf"\[{name[:2]} · [^\]]+ →\]\({re.escape(name)}\)" for name in after]
    ways += [rf"\[Solutions\]\(solutions/{re.escape(lesson.path.name)}\)"]
    if not re.search(rf"^{' · '.join(ways)}$", first.source, re.MULTILINE):
        yield "cell 0 lacks the line '[← NN · Before](…) · [NN · After →](…) · [Solutions](solutions/…)'"


def needed(lesson: Lesson) -> set[str]:
    """Numbers of the lessons that the paragraph 'You need' links to."""
    found = re.search(r"^\**You need\b.*?(?=\n\s*\n|\Z)", lesson.prose, re.MULTILINE | re.DOTALL)
    return set(re.findall(r"\]\((\d\d)_\w+\.ipynb", found[0] if found else ""))


@rule("lesson")
def level(lesson: Lesson) -> Iterator[str]:
    """Beginner: no derivative, no need but Beginner lessons. Advanced: needs the training of a use case."""
    others = {one.number: one for one in find_lessons(lesson.folder) if not one.is_solution}
    needs = [others[number] for number in sorted(needed(lesson)) if number in others]
    levels = [found["level"] for one in needs if (found := MINUTES.search(one.cells[0].source))]
    if any(one.path.stem.endswith("_train") for one in needs):
        wanted = "Advanced"
    elif r"\partial" in lesson.prose or set(levels) - {"Beginner"}:
        wanted = "Intermediate"
    else:
        wanted = "Beginner"
    found = MINUTES.search(lesson.cells[0].source)
    if found and found["level"] != wanted:
        yield f"cell 0 says {found['level']}; by what the lesson needs it is {wanted}"


def asserts(cell: NotebookNode) -> bool:
    """Whether a cell holds an assert that can fail."""
    found = [node for node in ast.walk(parsed(cell)) if isinstance(node, ast.Assert)]
    return any(not isinstance(node.test, ast.Constant) for node in found)


@rule("lesson")
def blocks(lesson: Lesson) -> Iterator[str]:
    """The blocks of a lesson, each once, in their order."""

    def heading(text: str) -> tuple[str, Callable[[NotebookNode], bool]]:
        find = re.compile(rf"^## {text}", re.MULTILINE).search
        return f"## {text}", lambda cell: cell.cell_type == "markdown" and bool(find(cell.source))

    def tag(text: str) -> tuple[str, Callable[[NotebookNode], bool]]:
        return f"code tagged {text}", lambda cell: cell.cell_type == "code" and text in tags_of(cell)

    wanted = [
        heading("You will learn"),
        tag("setup"),
        tag("parameters"),
        heading("The data"),
        heading("Baseline"),
    ]
    if lesson.path.stem.endswith(("_train", "_evaluate")):
        wanted.append(heading("Model"))
    if lesson.path.stem.endswith("_evaluate"):
        wanted.append(heading("Evaluation"))
    wanted += [
        heading("Exercises"),
        heading("Quiz"),
        heading("Takeaways"),
        tag("take-with-you"),
        tag("checks"),
    ]
    places = []
    for what, test in wanted:
        found = [at for at, cell in enumerate(lesson.cells) if test(cell)]
        places += [(at, what) for at in found[:1]]
        if len(found) != 1:
            yield f"{len(found) or 'no'} block(s) {what}, there must be exactly one"
    if places != sorted(places):
        yield "the blocks are not in order: " + ", ".join(what for _, what in sorted(places))
    if "checks" not in tags_of(lesson.cells[-1]):
        yield "the last cell is not the one tagged checks"
    elif not asserts(lesson.cells[-1]):
        yield "the checks cell asserts nothing"
    for cell in lesson.tagged("setup", "parameters", "exercise", "checks"):
        if tags_of(cell) & TAGS_WITH_REASON:
            yield f"{lesson.at(cell)} is not compared, though setup, exercises and checks must be"
    if "Exercises" in lesson.headings(2)[:3]:
        yield "fewer than two sections between '## You will learn' and '## Exercises'"


@rule("lesson")
def size(lesson: Lesson) -> Iterator[str]:
    """30 to 55 cells, a part's wrap-up quiz not counted; those of code that stand open mostly short."""
    extra = [c for c in lesson.cells if "wrap-up" in tags_of(c) or c.source.startswith("## Wrap-up quiz")]
    if not CELLS[0] <= len(lesson.cells) - len(extra) <= CELLS[1]:
        yield f"{len(lesson.cells) - len(extra)} cells, not {CELLS[0]} to {CELLS[1]}"
    folded = lesson.tagged("hide-input", "take-with-you", "checks")
    open_cells = [cell.source.splitlines() for cell in lesson.code if cell not in folded]
    middle = median([sum(bool(line.strip()) for line in lines) for lines in open_cells] or [0])
    if middle > MEDIAN_LINES:
        yield f"the median code cell has {middle:g} lines, more than {MEDIAN_LINES}"


@rule("lesson")
def pauses(lesson: Lesson) -> Iterator[str]:
    """A folded answer, a line **Question** or **Try** at least every ten cells before the exercises."""
    sources = [cell.source for cell in lesson.cells]
    end = next((n for n, text in enumerate(sources) if text.startswith("## Exercises")), len(sources))
    start = next((n for n, cell in enumerate(lesson.cells) if "parameters" in tags_of(cell)), 0)
    stops = [
        n for n in range(start, end) if lesson.cells[n].cell_type == "markdown" and PAUSES.search(sources[n])
    ]
    for before, stop in pairwise([start, *stops, end]):
        if stop - before > PAUSE:
            yield f"cells {before} to {stop}: nothing to answer or to try in {stop - before} cells"


def letters(lesson: Lesson) -> str:
    """The right letters of a lesson's quiz."""
    part = re.search(r"^## Quiz(.*?)(?=^## |\Z)", lesson.prose, re.MULTILINE | re.DOTALL)
    return "".join(re.findall(r"<summary>Answer</summary>\s*[*(]*([a-d])\b", part[1] if part else ""))


@rule("lesson")
def quiz(lesson: Lesson) -> Iterator[str]:
    """Three questions with folded answers that explain."""
    part = re.search(r"^## Quiz(.*?)(?=^## |\Z)", lesson.prose, re.MULTILINE | re.DOTALL)
    answers = ANSWER.findall(part[1] if part else "")
    if len(answers) != 3:
        yield f"the quiz has {len(answers)} folded answers, not 3"
    yield from (f"answer {n} explains nothing" for n, text in enumerate(answers, 1) if len(text.split()) < 12)
    if len(letters(lesson)) != len(answers):
        yield "an answer of the quiz does not begin with its letter: **b.**"


@rule("lesson")
def quiz_letters(lesson: Lesson) -> Iterator[str]:
    """No letter is right in more than 45 % of a part's questions; said of its first lesson with a quiz."""
    part = [one for one in find_lessons(lesson.folder) if one.name[0] == lesson.name[0] and letters(one)]
    right = Counter("".join(map(letters, part)))
    if part and part[0].name == lesson.name:
        letter, most = right.most_common(1)[0]
        for _ in range(most - int(MOST_LETTER * right.total())):
            yield f"{letter} is right in {most} of the part's {right.total()} questions"


@rule("lesson")
def wrap_up(lesson: Lesson) -> Iterator[str]:
    """The last lesson of a part ends with the part's wrap-up quiz: asked, and committed without an answer."""
    asked, marked = (
        [cell for cell in lesson.code if re.search(rf"^{name}\(\"", cell.source, re.MULTILINE)]
        for name in ("ask", "mark")
    )
    wanted = int(lesson.number in LAST)
    if (len(asked), len(marked), lesson.headings(2).count(WRAP_UP)) != (wanted, wanted, wanted):
        yield f"'## {WRAP_UP}' with a cell that asks and one that marks must stand here {wanted} times"
    for cell in marked:
        if len(re.findall(r"^\d\. not yet: a, b or c\?$", text_of(cell), re.MULTILINE)) < 5:
            yield f"{lesson.at(cell)}, the wrap-up quiz, is not run or gives an answer away"


@rule("lesson")
def exercises(lesson: Lesson) -> Iterator[str]:
    """Three exercises that answer "not yet" as committed."""
    cells = lesson.tagged("exercise")
    found = [name for cell in cells for name in CHECK.findall(cell.source)]
    if len(cells) != 3 or found != [f"{lesson.number}.{k}" for k in (1, 2, 3)]:
        yield f"the cells tagged exercise check {found}, not {lesson.number}.1 to {lesson.number}.3"
    if len([name for name in lesson.headings(3) if name.startswith("Exercise ")]) != 3:
        yield "there are not three headings '### Exercise k: ...'"
    for cell in cells:
        if "not yet" not in text_of(cell) or re.search(r"^correct", text_of(cell), re.MULTILINE):
            yield f"{lesson.at(cell)}, an exercise as committed, does not print 'not yet'"
    for cell in lesson.code:
        if cell not in cells and CHECK.search(cell.source):
            yield f"{lesson.at(cell)} calls check() and is not tagged exercise"


def trains_there(solution: Lesson) -> set[str]:
    """Exercises whose solution, from the heading before it on, builds a network and trains it."""
    found: set[str] = set()
    since = ""
    for cell in solution.cells:
        since = "" if cell.cell_type == "markdown" else since + cell.source
        if "solution" in tags_of(cell) and BUILDS.search(since) and TRAINS.search(since):
            found |= set(CHECK.findall(cell.source))
    return found


@rule("lesson")
def network_exercise(lesson: Lesson) -> Iterator[str]:
    """A lesson with a network has an exercise in which one is built, trained, and compared with a rival."""
    kinds = lesson.tagged("exercise", "take-with-you", "checks")
    partner = lesson.folder / "solutions" / lesson.path.name
    if not any(NETWORK.search(cell.source) for cell in lesson.code if cell not in kinds):
        return
    trained = trains_there(Lesson(partner, lesson.folder)) if partner.exists() else set()
    for before, cell in pairwise(lesson.cells):
        if cell in kinds and trained & set(CHECK.findall(cell.source)) and BEATS.search(before.source):
            return
    yield "no exercise builds, trains and compares a network (its text says what to beat)"


@rule("lesson")
def has_solution(lesson: Lesson) -> Iterator[str]:
    """No lesson without its solutions."""
    if not (lesson.folder / "solutions" / lesson.path.name).exists():
        yield f"solutions/{lesson.path.name} is missing"


def unbound(source: str) -> list[str]:
    """Names a piece of code uses and does not define, import or find among the builtins."""
    used: set[str] = set()
    known = set(dir(builtins))
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


def bound(cell: NotebookNode) -> set[str]:
    """Names a cell leaves behind, imports aside: what is bound outside functions and comprehensions."""
    names: set[str] = set()
    todo: list[ast.AST] = [*parsed(cell).body]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif not isinstance(node, ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
            todo += list(ast.iter_child_nodes(node))
    return names - {"_"}


@rule("lesson")
def take_with_you(lesson: Lesson) -> Iterator[str]:
    """The cell to take away stands alone, rebinds no name of the lesson and checks the data it is given."""
    for cell in lesson.tagged("take-with-you"):
        where = f"{lesson.at(cell)} (take-with-you)"
        nodes = list(ast.walk(parsed(cell)))
        others = set().union(*(bound(other) for other in lesson.code if other is not cell))
        if missing := unbound(cell.source) if nodes[1:] else []:
            yield f"{where} uses names from above: {', '.join(missing)}"
        if again := sorted(bound(cell) & others):
            yield f"{where} rebinds names of the lesson: {', '.join(again)}"
        takes = READS.search(cell.source) or any(
            isinstance(n, ast.FunctionDef) and n.args.args for n in nodes
        )
        if takes and not asserts(cell) and not any(isinstance(n, ast.Raise) for n in nodes):
            yield f"{where} takes data and does not check them: one line `if ...: raise ValueError(...)`"


@rule("solution")
def solution_in_step(lesson: Lesson) -> Iterator[str]:
    """A solution solves exactly its lesson's exercises, each "correct", and links back."""
    partner = lesson.folder / lesson.path.name
    if not partner.exists():
        yield f"there is no lesson {lesson.path.name} to this solution"
        return
    wanted = [n for c in Lesson(partner, lesson.folder).tagged("exercise") for n in CHECK.findall(c.source)]
    cells = lesson.tagged("solution")
    found = [name for cell in cells for name in CHECK.findall(cell.source)]
    if found != wanted:
        yield f"the cells tagged solution check {found}, the lesson asks {wanted}"
    for cell in cells:
        correct = re.search(r"^correct", text_of(cell), re.MULTILINE) and "not yet" not in text_of(cell)
        if CHECK.search(cell.source) and not correct:
            yield f"{lesson.at(cell)}, a solution, does not print 'correct'"
    if not any(target == f"../{lesson.path.name}" for cell in lesson.markdown for target in links_of(cell)):
        yield f"no link back to ../{lesson.path.name}"
