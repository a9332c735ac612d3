"""Run notebooks again, refresh their outputs, and measure what each of them costs.

    python -m tools.notebooks [NN ...] [--jobs N] [--measure] [--dry]

Called by `python course.py run` with the course's own Python.
"""

import argparse
import csv
import os
import re
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import joblib
import nbclient
import nbformat
import psutil

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
TABLE = ROOT / "benchmarks" / "results" / "lessons.csv"
JOB_GB = 2.5  # memory that one running notebook may need, with some room
CELL_SECONDS = 600  # a cell that takes longer has lost its kernel
ONE_THREAD = dict.fromkeys(["TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"], "1")


@dataclass
class Run:
    """What one run of a notebook cost: the kernel with its child processes."""

    lesson: str
    minutes: float = 0.0
    cpu_seconds: float = 0.0
    peak_mb: float = 0.0
    problem: str = ""


def find(prefixes: tuple[str, ...] | list[str] = (), folder: Path = NOTEBOOKS) -> list[Path]:
    """Notebooks and solutions whose name starts with one of the prefixes; all of them if there is none.

    Raises
    ------
    ValueError
        When a prefix fits no notebook.
    """
    paths = [*sorted(folder.glob("*.ipynb")), *sorted(folder.glob("solutions/*.ipynb"))]
    paths = [path for path in paths if "_mine" not in path.stem]  # kept by `course.py reset`
    for prefix in prefixes:
        if not any(path.name.startswith(prefix) for path in paths):
            known = ", ".join(sorted({path.name[:2] for path in paths}))
            raise ValueError(f"There is no notebook '{prefix}'. There are: {known}.")
    return [path for path in paths if not prefixes or path.name.startswith(tuple(prefixes))]


def name_of(path: Path) -> str:
    """Short name of a notebook: `21_sales_prepare`, `solutions/21_sales_prepare`."""
    return ("solutions/" if path.parent.name == "solutions" else "") + path.stem


def read_table() -> dict[str, Run]:
    """Return the committed costs by notebook."""
    if not TABLE.exists():
        return {}
    with TABLE.open(encoding="utf-8", newline="") as file:
        return {
            row["lesson"]: Run(row["lesson"], *(float(row[k]) for k in ("minutes", "cpu_seconds", "peak_mb")))
            for row in csv.DictReader(file)
        }


def write_table(runs: list[Run]) -> None:
    """Put new costs into the committed table; notebooks that are gone leave it."""
    known = read_table() | {run.lesson: run for run in runs if not run.problem}
    with TABLE.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["lesson", "minutes", "cpu_seconds", "peak_mb"])
        for run in (known[name] for name in map(name_of, find()) if name in known):
            writer.writerow([run.lesson, f"{run.minutes:.2f}", f"{run.cpu_seconds:.0f}", f"{run.peak_mb:.0f}"])


def jobs_that_fit() -> int:
    """How many notebooks may run side by side: limited by processors and by free memory."""
    from tools.doctor import memory_gb

    return max(1, min(joblib.cpu_count(), 4, int(memory_gb()[1] / JOB_GB)))


def watch(kernel: psutil.Process, run: Run, stop: threading.Event) -> None:
    """Note memory and processor time of a kernel and its children until it ends."""
    while not stop.wait(0.05):
        try:
            family = [kernel, *kernel.children(recursive=True)]
            times = [process.cpu_times() for process in family]
            memory = sum(process.memory_info().rss for process in family)
        except psutil.Error:  # a child ended while it was looked at
            continue
        # user and system time; where the system tells it, also that of children which ended
        run.cpu_seconds = max(run.cpu_seconds, sum(sum(spent[:4]) for spent in times))
        run.peak_mb = max(run.peak_mb, memory / 1e6)


def execute(path: Path, write: bool = True) -> Run:
    """Run one notebook in a fresh kernel; refresh its outputs when all its cells ran."""
    run, stop, start = Run(name_of(path)), threading.Event(), time.time()
    notebook = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        record_timing=False,
        store_widget_state=False,  # the web book would ask an outside server to show it
        coalesce_streams=True,
    )
    client.on_notebook_start = lambda notebook: threading.Thread(
        target=watch, args=(psutil.Process(client.km.provisioner.pid), run, stop), daemon=True
    ).start()
    try:
        client.execute(stderr=subprocess.DEVNULL)  # a kernel prints a harmless warning about TCP
    except nbclient.exceptions.CellExecutionError as error:
        run.problem = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    except (nbclient.exceptions.DeadKernelError, nbclient.exceptions.CellTimeoutError) as error:
        run.problem = f"{error}\nThe kernel died or a cell took too long. The usual cause is too little memory."
    stop.set()
    run.minutes = (time.time() - start) / 60
    if write and not run.problem:
        notebook.metadata.get("language_info", {}).pop("version", None)
        notebook.metadata.pop("widgets", None)
        nbformat.validate(notebook)
        part = path.with_suffix(".part")
        part.write_bytes((nbformat.writes(notebook).rstrip("\n") + "\n").encode())
        part.replace(path)
    return run


def main(arguments: list[str]) -> int:
    """Run the notebooks that were asked for; print a line for each; 1 when one of them failed."""
    parser = argparse.ArgumentParser(prog="python course.py run", description="Run notebooks again.")
    parser.add_argument("notebooks", nargs="*", metavar="NN", help="first letters of notebooks: 21, 2, 21_sales")
    parser.add_argument("--jobs", type=int, help="how many at once (default: by processors and memory)")
    parser.add_argument("--measure", action="store_true", help=f"one at a time, and write {TABLE.name}")
    parser.add_argument("--dry", action="store_true", help="leave the notebooks as they are")
    options = parser.parse_args(arguments)
    try:
        paths = find(options.notebooks)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    known = read_table()
    paths.sort(key=lambda path: -known[name_of(path)].minutes if name_of(path) in known else 0)
    jobs = 1 if options.measure else min(options.jobs or jobs_that_fit(), len(paths))
    if jobs > 1:  # side by side each keeps to one core: threads that wait for each other take far longer
        os.environ.update(ONE_THREAD)
    runs = []
    print(f"{len(paths)} notebooks, {jobs} at a time\n{'lesson':32s} minutes   cpu s   peak MB", flush=True)
    work = (joblib.delayed(execute)(path, not (options.dry or options.measure)) for path in paths)
    for run in joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")(work):
        runs.append(run)
        result = "  FAILED, left as it was" if run.problem else ""
        print(
            f"{run.lesson:32s} {run.minutes:7.2f} {run.cpu_seconds:7.0f} {run.peak_mb:9.0f}{result}", flush=True
        )
        if run.problem:
            print(run.problem, flush=True)
    if options.measure:
        write_table(runs)
    return int(any(run.problem for run in runs))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
