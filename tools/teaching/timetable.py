"""Timetables for half a day, a day and two days; their minutes come from the lessons' headers."""

import math
from dataclasses import dataclass

from tools.form.lesson import Lesson
from tools.teaching.blocks import Block, blocks, exercises, header, lessons

STEP = 5  # a row takes whole steps of five minutes
LONGEST = 90  # minutes without a break

WELCOME, CLOSE = "Welcome, survey, everyone's machine is ready", "Test, survey, where to go on"


@dataclass(frozen=True)
class Row:
    """A row: blocks and exercises of a lesson, or with no lesson anything else of fixed minutes."""

    lesson: str = ""
    blocks: tuple[str, ...] = ()  # beginnings of their titles
    exercises: tuple[int, ...] = ()
    text: str = ""
    fixed: int = 0

    @property
    def is_break(self) -> bool:
        """Whether people leave the room."""
        return self.text in ("Break", "Lunch")


def rest(text: str, minutes: int) -> Row:
    """A row without a lesson."""
    return Row(text=text, fixed=minutes)


BREAK, SHORT, LUNCH = rest("Break", 15), rest("Break", 10), rest("Lunch", 60)
START = ("What this course is", "The data", "Baseline", "Model", "Evaluation")
ONE_WEEK = "The picture first, then one week by hand; everyone moves one slider"
PLANS: dict[str, tuple[str, list[list[Row]]]] = {
    "Half a day": (
        "12:30",
        [
            [
                rest(WELCOME, 10),
                Row("00", START, text="Run the whole of it together: one forecast from end to end"),
                SHORT,
                Row("13", ("The cell", "The gate explorer"), text=ONE_WEEK),
                Row(
                    "22",
                    ("Quantiles", "Baseline", "Model"),
                    text="Start the training, then talk about the loss",
                ),
                SHORT,
                Row("23", ("How to compare", "Baseline", "Model", "Evaluation"), (1,)),
                rest(CLOSE, 10),
            ]
        ],
    ),
    "A day": (
        "16:30",
        [
            [
                rest(WELCOME, 15),
                Row("00", START, (1,), "Run the whole of it together"),
                Row("10", ("One neuron", "From a neuron"), text="One slope, one step"),
                BREAK,
                Row("13", ("The data", "The cell", "The gate explorer"), (1,), ONE_WEEK),
                Row("15", ("Windows", "Evaluation"), (1,), "What a window is, and how a leak shows"),
                LUNCH,
                Row("21", ("From lines", "What is known ahead", "Splits", "Baseline")),
                Row(
                    "22",
                    ("Two LSTMs", "Quantiles", "Baseline", "Model"),
                    (1,),
                    "Start each training, then ask",
                ),
                BREAK,
                Row("23", ("How to compare", "Baseline", "Model", "Evaluation", "From a forecast"), (1,)),
                SHORT,
                rest(CLOSE, 15),
            ]
        ],
    ),
    "Two days": (
        "16:30",
        [
            [
                rest(WELCOME, 15),
                Row("00", START, (1,), "Run the whole of it together"),
                Row("10", ("One neuron", "From a neuron")),
                BREAK,
                Row("11", ("Questions a shop asks", "What a sequence is"), (1,)),
                SHORT,
                Row("12", ("A state", "The simple RNN", "Vanishing")),
                LUNCH,
                Row("13", ("The data", "The cell", "The gate explorer"), (1,), ONE_WEEK),
                Row("15", ("Windows", "Evaluation"), (1,), "What a window is, and how a leak shows"),
                BREAK,
                Row("16", ("The data", "Shapes", "Baseline", "Model"), text="First try, then more targets"),
                Row("17", ("Five sick", "The check list"), text="What is wrong with each curve?"),
                rest("End of the day: one thing learnt, one open question", 10),
            ],
            [
                rest("Yesterday's open questions; the first five questions of the test", 15),
                Row("21", ("From lines", "What is known ahead", "Windows", "Splits", "Baseline"), (1,)),
                BREAK,
                Row(
                    "22",
                    ("Two LSTMs", "Quantiles", "Baseline", "Model", "Calibrate"),
                    (2,),
                    "Start each training, then ask",
                ),
                Row("23", ("How to compare", "Baseline", "Model")),
                LUNCH,
                Row("23", ("Evaluation", "From a forecast"), (1, 2)),
                BREAK,
                Row(
                    "31", ("The concept", "Baseline", "Evaluation"), text="The second use case: who will buy"
                ),
                Row("33", ("A decision",), text="From probabilities to a list of coupons"),
                Row(
                    "61",
                    ("One line", "What is it like", "1.", "2.", "3.", "Three files"),
                    (1,),
                    "Own exports, if any",
                ),
                SHORT,
                rest("Own questions: step, horizon and baseline of each", 20),
                rest(CLOSE, 20),
            ],
        ],
    ),
}


def lesson_of(number: str) -> Lesson:
    """The lesson with a number."""
    return next(lesson for lesson in lessons() if lesson.number == number)


def chosen(row: Row) -> list[Block]:
    """The blocks of a row.

    Raises
    ------
    ValueError
        When the lesson has no such block, or more than one.
    """
    found = []
    for start in row.blocks:
        fits = [block for block in blocks(lesson_of(row.lesson)) if block.title.startswith(start)]
        if len(fits) != 1:
            raise ValueError(f"lesson {row.lesson} has {len(fits)} blocks that begin with {start!r}")
        found += fits
    return found


def exact(row: Row) -> float:
    """Minutes of a row: its blocks in the room and a third of the header's minutes for each exercise."""
    if not row.lesson:
        return row.fixed
    each = float(header(lesson_of(row.lesson))["exercises"]) / 3
    return sum(block.minutes for block in chosen(row)) + each * len(row.exercises)


def minutes(row: Row) -> int:
    """Minutes of a row, rounded up to five."""
    return math.ceil((exact(row) - 0.5) / STEP) * STEP


def clock(minute: int) -> str:
    """Minutes after midnight as a time of day."""
    return f"{minute // 60}:{minute % 60:02d}"


def what(row: Row) -> str:
    """A row's text: the lesson, its blocks and exercises, what to do."""
    if not row.lesson:
        return row.text if not row.is_break else f"*{row.text}*"
    lesson = lesson_of(row.lesson)
    parts = [
        f"[{row.lesson}](notes/{lesson.path.stem}.md): " + ", ".join(f"*{b.title}*" for b in chosen(row))
    ]
    names = exercises(lesson)
    parts += [f"exercise {k} ({names[f'{row.lesson}.{k}']})" for k in row.exercises]
    after = f" {row.text}" + ("" if row.text.endswith("?") else ".") if row.text else ""
    return "; ".join(parts) + "." + after


def day(rows: list[Row], start: int = 9 * 60) -> tuple[list[str], int]:
    """The rows of a day as a table, and the minute at which it ends."""
    lines = ["| time | min | what |", "| --- | ---: | --- |"]
    for row in rows:
        lines.append(f"| {clock(start)} | {minutes(row)} | {what(row)} |")
        start += minutes(row)
    return [*lines, f"| {clock(start)} | | end |"], start


def tables() -> str:
    """All timetables as Markdown."""
    parts = []
    for name, (end, days) in PLANS.items():
        parts.append(f"## {name}")
        for number, rows in enumerate(days, 1):
            if len(days) > 1:
                parts.append(f"### Day {number}")
            parts.append("\n".join(day(rows)[0]))
        parts.append(f"The room is needed until {end}: what is left is for questions.")
    return "\n\n".join(parts)
