"""What the rules find, and the files they keep in step.

python -m tools.form               rewrite the table of lessons in README.md, and its first page (tools.front)
python -m tools.form 21            show what the rules find in lesson 21 and its solution
python -m tools.form --links       lead docs/words.md and docs/questions.md to the headings above their cells
python -m tools.form --tighten     lower the counts of tests/offenders.json to what is found, never raise one
"""

import json
import sys

from tools import front
from tools.form import (
    OFFENDERS,
    README,
    TABLE,
    allowed,
    count,
    find_lessons,
    lowered,
    rules_for,
    table_of_lessons,
)
from tools.form.lesson import NOTEBOOKS
from tools.form.terms import QUESTIONS, WORDS, replaced


def main(arguments: list[str]) -> int:
    """Do what the arguments say; 2 for arguments that say nothing known."""
    if arguments == ["--tighten"]:
        counts = lowered(allowed(), count(find_lessons()))
        OFFENDERS.write_text(json.dumps(counts, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    elif len(arguments) == 1 and arguments[0].isdigit():
        for lesson in find_lessons():
            for rule in rules_for(lesson) if lesson.number == arguments[0] else []:
                for problem in rule(lesson):
                    print(f"{lesson.name}  {rule.__name__}: {problem}")
    elif arguments == ["--links"]:
        for page in (WORDS, QUESTIONS):
            page.write_text(replaced(page.read_text(encoding="utf-8"), NOTEBOOKS), encoding="utf-8")
    elif not arguments:
        text = README.read_text(encoding="utf-8")
        README.write_text(TABLE.sub(lambda m: m[1] + table_of_lessons() + m[3], text), encoding="utf-8")
        front.main()
    else:
        print(__doc__)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
