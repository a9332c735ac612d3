"""Notes for the teacher, one page per lesson, made from the lesson, its exercises and what was measured."""

import math
import re

from tools.form.lesson import Lesson, tags_of
from tools.notebooks import read_table
from tools.teaching import hints
from tools.teaching.blocks import (
    QUESTION_MIN,
    ROOM,
    SLOW_S,
    TEACHING,
    Block,
    Question,
    blocks,
    exercises,
    header,
    items,
    lessons,
    opening,
    quiz,
    shop_question,
)
from tools.teaching.blocks import seconds as measured

NOTES = TEACHING / "notes"
TRAINS = re.compile(r"\.fit\(|\btrain_cell\(|GradientTape")
AT_HOME = ("You will learn", "Exercises", "Quiz", "Wrap-up quiz", "Takeaways")


def quoted(text: str) -> str:
    """A text of the lesson, indented as part of a list item; its links lead from here."""
    text = re.sub(r"\]\((?!https?:|#|\.\.)([^)]+\.ipynb[^)]*)\)", r"](../../../notebooks/\1)", text)
    return text.replace("\n", "\n  ")


def seconds(number: float) -> str:
    """Seconds as a teacher needs them: rounded to 5 from 10 on."""
    return f"{round(number / 5) * 5 if number >= 10 else round(number)} s"


def costs(lesson: Lesson) -> str:
    """What running the lesson costs, as measured; says so where it was not."""
    run = read_table().get(lesson.name)
    if not run:
        return "Not measured yet: `python course.py run NN --measure`."
    memory = math.ceil(run.peak_mb / 100) / 10
    spent = max(1, round(run.cpu_seconds / 5) * 5)
    return f"All cells: {spent} s of processor time, at most {memory:.1f} GB of memory."


def table(found: list[Block]) -> list[str]:
    """The blocks with their minutes."""
    rows = [
        "| block | cells | read | questions | runs | in the room |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for block in found:
        if block.title not in ("You will learn", "Exercises"):
            cells = f"{block.first}-{block.last}" if block.last > block.first else str(block.first)
            runs = seconds(60 * block.run) if block.slow else ""
            asked = len(block.questions) or ""
            title = block.title.replace("|", r"\|")
            rows.append(
                f"| {title} | {cells} | {block.read:.0f} | {asked} | {runs} | {math.ceil(block.minutes)} |"
            )
    return rows


def pause(block: Block, number: int, taken: set[int]) -> Question | None:
    """The question that fits best while a cell runs, each asked once: the last before it, else the next."""
    free = [one for one in block.questions if one.cell not in taken]
    before = [one for one in free if one.cell < number]
    after = [one for one in free if one.cell >= number]
    return before[-1] if before else after[0] if after else None


def waiting(lesson: Lesson, found: list[Block]) -> list[str]:
    """Cells that train or search, their seconds, and what to ask while they do."""
    known = lesson.name in measured()
    lines: list[str] = []
    taken: set[int] = set()
    for block in found:
        trains = {
            n: 0.0 for n in range(block.first, block.last + 1) if TRAINS.search(code_of(lesson, n, block))
        }
        for number, took in (block.slow if known else trains).items():
            if block.title in AT_HOME:
                continue
            if one := pause(block, number, taken):
                taken.add(one.cell)
            say = (
                f"ask the question of cell {one.cell}" if one else "let learners say what they expect to see"
            )
            time = f"about {seconds(took)}" if known else "trains; its seconds are not measured yet"
            lines.append(f"- **Cell {number}**, {block.title}: {time}. Start it, then {say}.")
    return lines or [f"No cell takes {SLOW_S} s or more." if known else "No cell trains a network."]


def code_of(lesson: Lesson, number: int, block: Block) -> str:
    """The code of a cell, empty where it is text, an exercise or only for the lesson's checks."""
    cell = lesson.cells[number]
    leave = cell.cell_type != "code" or tags_of(cell) & {"exercise", "take-with-you", "checks"}
    return "" if leave or block.title in AT_HOME else str(cell.source)


def asked(found: list[Block]) -> list[str]:
    """All questions for the room with their answers."""
    lines = []
    for block in found:
        for one in block.questions:
            lines += [f"- **Cell {one.cell}.** {quoted(one.text)}"]
            if one.answer:
                lines += ["", f"  *Answer:* {quoted(one.answer)}", ""]
    return lines


def wrong(lesson: Lesson) -> list[str]:
    """The exercises with the hints that typical wrong answers get, and the quiz with its explanations."""
    known, lines = hints.read(), []
    share = float(header(lesson)["exercises"]) / 3
    for name, title in exercises(lesson).items():
        lines += [f"### Exercise {name}: {title}, about {round(share)} minutes", ""]
        said = known.get(name, {}).get("hints", [])
        lines += [f"- {text[:1].upper()}{text[1:]}" for text in map(plain, said)] + [""]
    return lines


def plain(text: str) -> str:
    """A hint as it stands on a page: its special signs are no marks there."""
    return re.sub(r"([*_<>\[\]$|])", r"\\\1", text)


def quizzed(lesson: Lesson) -> list[str]:
    """The quiz: each question, and why its choices are right or wrong."""
    lines = []
    for text, answer in quiz(lesson):
        lines += [f"- {quoted(text)}", "", f"  *Answer:* {quoted(answer)}", ""]
    return lines


def page(lesson: Lesson) -> str:
    """The page of a lesson."""
    says, found = header(lesson), blocks(lesson)
    minutes = f"read {says['read']} min, run {says['run']} min, exercises {says['exercises']} min"
    question = shop_question(lesson)
    parts = [
        f"# Notes: {says['title']}",
        f"[The lesson](../../../notebooks/{lesson.path.name}) · "
        f"[solutions](../../../notebooks/solutions/{lesson.path.name}) · {says['level']} · {minutes}",
        costs(lesson),
        f"**The shop's question:** {question}" if question else "",
        "## What learners can do afterwards",
        "\n".join(
            f"{n}. {quoted(text)}" for n, text in enumerate(items(opening(lesson), "You will learn"), 1)
        ),
        "## Minutes of each block",
        f"*In the room*: {ROOM} times the minutes to read (said aloud, run together), the seconds to run, "
        f"and {QUESTION_MIN} minutes for each question. Cells count from 0.",
        "\n".join(table(found)),
        "## Where to pause while it trains",
        "\n".join(waiting(lesson, found)),
        "## What to ask",
        "\n".join(asked(found)).strip(),
        "## What learners get wrong",
        "The answers that a typical mistake gets from the self-check, one line for each mistake.",
        "\n".join(wrong(lesson)).strip(),
        "## Quiz, and why each choice is right or wrong",
        "\n".join(quizzed(lesson)).strip(),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def pages() -> dict[str, str]:
    """All pages by their file names, and the list of them."""
    made = {f"{lesson.path.stem}.md": page(lesson) for lesson in lessons()}
    rows = ["| lesson | read | run | exercises |", "| --- | ---: | ---: | ---: |"]
    for lesson in lessons():
        says = header(lesson)
        minutes = " | ".join(f"{says[name]} min" for name in ("read", "run", "exercises"))
        rows.append(f"| [{says['title']}]({lesson.path.stem}.md) | {minutes} |")
    intro = (
        "One page per lesson: minutes of each block, cells that train and how long, questions with answers, "
        "what learners get wrong. The pages are made from the lessons by `python -m tools.teaching`."
    )
    made["index.md"] = f"# Notes for the teacher\n\n{intro}\n\n" + "\n".join(rows) + "\n"
    return made
