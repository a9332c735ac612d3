"""Measure how long each cell of a lesson takes: processor seconds of its kernel and its children."""

import csv

import nbclient
import nbformat
import psutil

from tools.form.lesson import Lesson
from tools.teaching.blocks import SECONDS, lessons, seconds

LEAST_S = 1.0  # shorter ones are not written down


def spent(kernel: psutil.Process) -> float:
    """Processor seconds of a kernel, its children and those of them that ended."""
    total = 0.0
    for process in [kernel, *kernel.children(recursive=True)]:
        total += sum(process.cpu_times()[:4])
    return total


def measured(lesson: Lesson) -> dict[str, float]:
    """Run a lesson in a fresh kernel; return the seconds of each cell by its id."""
    notebook = nbformat.read(lesson.path, as_version=4)
    place = {"metadata": {"path": str(lesson.path.parent)}}
    client = nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3", resources=place)
    found: dict[str, float] = {}
    with client.setup_kernel():
        kernel = psutil.Process(client.km.provisioner.pid)  # type: ignore[union-attr]
        before = 0.0
        for number, cell in enumerate(notebook.cells):
            client.execute_cell(cell, number)
            now = spent(kernel)
            if cell.cell_type == "code" and now - before >= LEAST_S:
                found[cell.id] = round(now - before, 1)
            before = now
    return found


def write(new: dict[str, dict[str, float]]) -> None:
    """Put new seconds into the table; cells and lessons that are gone leave it."""
    known = seconds() | new
    with SECONDS.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["lesson", "cell", "seconds"])
        for lesson in lessons():
            there = {cell.id for cell in lesson.code}
            rows = known.get(lesson.name, {}).items()
            writer.writerows([lesson.name, cell, f"{took:.1f}"] for cell, took in rows if cell in there)
    seconds.cache_clear()
