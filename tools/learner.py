"""What a learner needs beside the lessons: a lesson as it came, and which exercises are solved.

    python -m tools.learner reset 13
    python -m tools.learner progress [--certificate [NAME]]

Called by course.py with the course's own Python.
"""

import argparse
import datetime
import html
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat

from tools.install import ROOT, pack_lessons
from tools.notebooks import NOTEBOOKS, find

CHECK = re.compile(r"""\bcheck\(\s*["'](\d\d\.\d)["']""")
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Certificate</title>
<style>
body {{font: 18px/1.6 Georgia, serif; max-width: 40em; margin: 4em auto; border: 3px double; padding: 2em}}
h1, .name {{text-align: center}} .name {{font-size: 1.6em}}
</style>
<h1>LSTM for retail and e-commerce</h1>
<p class="name">{name}</p>
<p>solved {solved} of {total} exercises of this course by {date}. A program checked each answer.</p>
<ul>{lessons}</ul></html>
"""


def pristine(path: Path) -> bytes:
    """Content of a lesson as it came: by git where this is a clone, else from the first start's copy."""
    asked = ["git", "show", f"HEAD:./{path.relative_to(ROOT).as_posix()}"]
    try:
        found = subprocess.run(asked, cwd=ROOT, capture_output=True)
        if found.returncode == 0:
            return found.stdout
    except OSError:  # no git on this machine
        pass
    with zipfile.ZipFile(pack_lessons()) as archive:
        return archive.read(path.name)


def reset(prefixes: list[str]) -> None:
    """Put lessons back as they came; a changed one is kept beside as `NN_..._mine.ipynb`.

    Solutions stay as they are. A further copy is called `NN_..._2_mine.ipynb`, and so on.
    """
    for path in (path for path in find(prefixes) if path.parent == NOTEBOOKS):
        content = pristine(path)
        if content == path.read_bytes().replace(b"\r\n", b"\n"):
            print(f"{path.name} is as it came.")
            continue
        taken = len(list(NOTEBOOKS.glob(f"{path.stem}*_mine.ipynb")))
        mine = path.with_name(f"{path.stem}{f'_{taken + 1}' if taken else ''}_mine.ipynb")
        path.rename(mine)
        path.write_bytes(content)
        print(f"{path.name} is as it came again; yours is {mine.name}. Close its tab in JupyterLab first.")


def solved(path: Path) -> dict[str, bool]:
    """Exercises of a notebook, and whether the saved output of each says that it is correct."""
    answers: dict[str, bool] = {}
    for cell in nbformat.read(path, as_version=4).cells:
        for name in CHECK.findall(cell.source) if cell.cell_type == "code" else ():
            said = "".join(output.get("text", "") for output in cell.outputs)
            fine = said.strip().endswith("correct") and "not yet" not in said
            answers[name] = answers.get(name, False) or fine
    return answers


def progress() -> dict[str, dict[str, bool]]:
    """Solved exercises by lesson, from the learner's notebooks and the copies that `reset` kept."""
    lessons = {}
    for path in (path for path in find() if path.parent == NOTEBOOKS):
        answers = solved(path)
        for mine in NOTEBOOKS.glob(f"{path.stem}*_mine.ipynb"):
            answers = {name: fine or solved(mine).get(name, False) for name, fine in answers.items()}
        lessons[path.stem] = answers
    return lessons


def certificate(name: str, lessons: dict[str, dict[str, bool]]) -> Path:
    """Write a page for a learner and return its path."""
    items = [
        f"<li>{html.escape(lesson)}: {sum(answers.values())} of {len(answers)}</li>"
        for lesson, answers in lessons.items()
        if any(answers.values())
    ]
    path = ROOT / "build" / "certificate.html"
    path.parent.mkdir(exist_ok=True)
    facts = {"name": html.escape(name), "date": datetime.date.today().isoformat(), "lessons": "".join(items)}
    facts["solved"] = str(sum(sum(answers.values()) for answers in lessons.values()))
    facts["total"] = str(sum(len(answers) for answers in lessons.values()))
    path.write_text(PAGE.format(**facts), encoding="utf-8")
    return path


def main(arguments: list[str]) -> int:
    """Run one of the two commands."""
    parser = argparse.ArgumentParser(prog="python course.py")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("reset").add_argument("notebooks", nargs="+", metavar="NN")
    commands.add_parser("progress").add_argument("--certificate", nargs="?", const="", metavar="NAME")
    options = parser.parse_args(arguments)
    try:
        if options.command == "reset":
            reset(options.notebooks)
            return 0
        lessons = progress()
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    for lesson, answers in lessons.items():
        marks = " ".join(f"{name} {'solved' if fine else '-':6s}" for name, fine in answers.items())
        print(f"{lesson:32s} {marks}")
    done, total = sum(sum(a.values()) for a in lessons.values()), sum(map(len, lessons.values()))
    print(f"{done} of {total} exercises solved. What counts is the saved output of each check.")
    if options.certificate is not None:
        page = certificate(options.certificate or "_" * 30, lessons)
        print(f"The certificate is {page.relative_to(ROOT)}: open it in a browser and print it.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
