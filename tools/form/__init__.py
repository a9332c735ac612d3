"""The form every notebook keeps, as rules: a rule takes a `Lesson` and returns what it finds wrong.

nbval compares what a notebook prints. It does not see a notebook whose outputs were stripped, a link that
leads nowhere, an exercise without its solution, a line that no projector shows. These rules do.
"""

import json
from collections.abc import Callable

from tools.form.anywhere import LESSON_RULES, SOLUTION_RULES
from tools.form.lesson import README, ROOT, TABLE, Lesson, find_lessons, table_of_lessons
from tools.form.lessons import unbound
from tools.form.terms import defined_first

__all__ = [
    "LESSON_RULES",
    "OFFENDERS",
    "README",
    "SOLUTION_RULES",
    "TABLE",
    "Lesson",
    "allowed",
    "count",
    "find_lessons",
    "lowered",
    "rules_for",
    "table_of_lessons",
    "defined_first",
    "unbound",
]

OFFENDERS = ROOT / "tests" / "offenders.json"  # faults from before a rule: rule -> lesson -> how many
Counts = dict[str, dict[str, int]]


def rules_for(lesson: Lesson) -> list[Callable[[Lesson], list[str]]]:
    """Return the rules a file has to keep."""
    return SOLUTION_RULES if lesson.is_solution else LESSON_RULES


def allowed() -> Counts:
    """Faults that are known: they may be fewer, never more."""
    return json.loads(OFFENDERS.read_text(encoding="utf-8"))


def count(lessons: list[Lesson]) -> Counts:
    """Count what each rule finds in each file; rules and files without a fault are left out."""
    found: Counts = {}
    for lesson in lessons:
        for rule in rules_for(lesson):
            if problems := rule(lesson):
                found.setdefault(rule.__name__, {})[lesson.name] = len(problems)
    return found


def lowered(known: Counts, found: Counts) -> Counts:
    """Return the known faults, each count lowered to what is found; nothing is raised or added."""
    new = {
        name: {lesson: min(n, found.get(name, {}).get(lesson, 0)) for lesson, n in lessons.items()}
        for name, lessons in known.items()
    }
    kept = {name: {lesson: n for lesson, n in lessons.items() if n} for name, lessons in new.items()}
    return {name: lessons for name, lessons in kept.items() if lessons}
