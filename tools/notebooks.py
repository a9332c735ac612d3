"""Run notebooks again and measure what each of them costs; test them and everything else.

    python -m tools.notebooks run [NN ...] [--jobs N] [--measure] [--dry]
    python -m tools.notebooks test [NN ...] [--jobs N] [--quick]

Called by course.py with the course's own Python.
"""

import argparse
import base64
import csv
import io
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import joblib
import nbclient
import nbformat
import psutil
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
TABLE = ROOT / "benchmarks" / "results" / "lessons.csv"
JOB_GB = 2.5  # memory that one running notebook may need, with some room
CELL_SECONDS = 300  # a cell that takes longer has lost its kernel
OPTIONAL = {"scale": "distributed", "stream": "onnxruntime"}  # a group that a lesson may need -> a package
COLOURS = 128  # of a picture in a notebook
ONE_THREAD = dict.fromkeys(["TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"], "1")


@dataclass
class Run:
    """What one run of a notebook cost: the kernel with its child processes."""

    lesson: str
    minutes: float = 0.0
    cpu_seconds: float = 0.0
    peak_mb: float = 0.0
    problem: str = ""
    skipped: str = ""


def find(prefixes: tuple[str, ...] | list[str] = (), folder: Path = NOTEBOOKS) -> list[Path]:
    """Notebooks and solutions whose name starts with one of the prefixes; all of them if there is none.

    Raises
    ------
    ValueError
        When a prefix fits no notebook.
    """
    paths = [*sorted(folder.glob("*.ipynb")), *sorted(folder.glob("solutions/*.ipynb"))]
    paths = [path for path in paths if not path.stem.endswith("_mine")]  # kept by `course.py reset`
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
        rows = list(csv.reader(file))[1:]
    return {name: Run(name, float(minutes), float(cpu), float(peak)) for name, minutes, cpu, peak in rows}


def write_table(runs: list[Run]) -> None:
    """Put new costs into the committed table; notebooks that are gone leave it."""
    known = read_table() | {run.lesson: run for run in runs}
    with TABLE.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["lesson", "minutes", "cpu_seconds", "peak_mb"])
        for run in (known[name] for name in map(name_of, find()) if name in known):
            figures = [f"{run.minutes:.2f}", f"{run.cpu_seconds:.0f}", f"{run.peak_mb:.0f}"]
            writer.writerow([run.lesson, *figures])


def first_without(cells: Sequence) -> tuple[int, str] | None:
    """Position of the first cell that is tagged `needs-GROUP` while that group is not installed, and why.

    It and all cells after it are left out: nothing else of the lesson would have what it needs.
    """
    for at, cell in enumerate(cells):
        for group, package in OPTIONAL.items():
            if f"needs-{group}" in cell.metadata.get("tags", []) and find_spec(package) is None:
                return at, f"it needs the group {group}: python course.py setup --group {group}"
    return None


def jobs_that_fit() -> int:
    """How many notebooks may run side by side: limited by processors and by free memory."""
    from tools.doctor import memory_gb

    return max(1, min(joblib.cpu_count(), 4, int(memory_gb()[1] / JOB_GB)))


def resident(memories: Sequence) -> int:
    """Bytes that processes hold together, where the system tells it with shared pages counted once.

    Workers that have loaded TensorFlow show its 0.4 GB of library each, and hold it once. Of shared pages
    those of the process with the most count; so what two processes share with nobody is missing.
    """
    shared = [getattr(memory, "shared", 0) for memory in memories]
    return sum(memory.rss for memory in memories) - sum(shared) + max(shared, default=0)


def watch(kernel: psutil.Process, run: Run, stop: threading.Event) -> None:
    """Note memory and processor time of a kernel and its children until it ends."""
    while not stop.wait(0.05):
        try:
            family = [kernel, *kernel.children(recursive=True)]
            times = [process.cpu_times() for process in family]
            memory = resident([process.memory_info() for process in family])
        except psutil.Error:  # a child ended while it was looked at
            continue
        # user and system time; where the system tells it, also that of children which ended
        run.cpu_seconds = max(run.cpu_seconds, sum(sum(spent[:4]) for spent in times))
        run.peak_mb = max(run.peak_mb, memory / 1e6)


def slim(notebook: nbformat.NotebookNode) -> None:
    """Give every picture of a notebook COLOURS colours at most: the same to the eye, in half the bytes."""
    for output in (output for cell in notebook.cells for output in cell.get("outputs", [])):
        if png := output.get("data", {}).get("image/png"):
            image, file = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB"), io.BytesIO()
            image.quantize(COLOURS, dither=Image.Dither.NONE).save(file, "png", optimize=True)
            output["data"]["image/png"] = base64.b64encode(file.getvalue()).decode()


def execute(path: Path, write: bool = True) -> Run:
    """Run one notebook in a fresh kernel; refresh its outputs when all its cells ran."""
    run, stop, start = Run(name_of(path)), threading.Event(), time.time()
    notebook = nbformat.read(path, as_version=4)
    if stop_at := first_without(notebook.cells):
        notebook.cells, write = notebook.cells[: stop_at[0]], False
        run.skipped = f"{run.lesson} is left as it was and skipped from cell {stop_at[0]} on: {stop_at[1]}"
    client = nbclient.NotebookClient(
        notebook,
        timeout=2 * CELL_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        record_timing=False,
        store_widget_state=False,  # the web book would ask an outside server to show it
        coalesce_streams=True,
    )

    def start_watch(notebook: nbformat.NotebookNode) -> None:
        kernel = psutil.Process(client.km.provisioner.pid)  # type: ignore[union-attr]
        threading.Thread(target=watch, args=(kernel, run, stop), daemon=True).start()

    client.on_notebook_start = start_watch
    try:
        client.execute(stderr=subprocess.DEVNULL)  # a kernel prints a harmless warning about TCP
    except nbclient.exceptions.CellExecutionError as error:
        run.problem = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    except (nbclient.exceptions.DeadKernelError, nbclient.exceptions.CellTimeoutError) as error:
        run.problem = f"{error}\nThe kernel died or a cell took too long: often for want of memory."
    stop.set()
    run.minutes = (time.time() - start) / 60
    if write and not run.problem:
        notebook.metadata.get("language_info", {}).pop("version", None)
        notebook.metadata.pop("widgets", None)
        slim(notebook)
        nbformat.validate(notebook)
        part = path.with_suffix(".part")
        part.write_bytes((nbformat.writes(notebook).rstrip("\n") + "\n").encode())
        part.replace(path)
    return run


def run(options: argparse.Namespace, paths: list[Path]) -> int:
    """Run notebooks, print a line for each; 1 when one of them failed."""
    known = read_table()
    paths.sort(key=lambda path: -known[name_of(path)].minutes if name_of(path) in known else 0)
    jobs = 1 if options.measure else min(options.jobs or jobs_that_fit(), len(paths))
    if jobs > 1:  # side by side each keeps to one core: threads that wait for each other take far longer
        os.environ.update(ONE_THREAD)
    runs = []
    print(f"{len(paths)} notebooks, {jobs} at a time\n{'lesson':34s} minutes   cpu s   peak MB", flush=True)
    work = (joblib.delayed(execute)(path, not (options.dry or options.measure)) for path in paths)
    for done in joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")(work):
        runs.append(done)
        print(
            f"{done.lesson:34s} {done.minutes:7.2f} {done.cpu_seconds:7.0f} {done.peak_mb:9.0f}", flush=True
        )
        if done.problem:
            print(f"{done.problem}\n{done.lesson} FAILED and was left as it was.", flush=True)
        elif done.skipped:
            print(done.skipped, flush=True)
        elif options.measure:
            write_table([done])
    return int(any(done.problem for done in runs))


def test(options: argparse.Namespace, paths: list[Path]) -> int:
    """Test everything, or the notebooks named, or all but the notebooks; the exit code is pytest's.

    The notebooks run side by side, each whole one in one process, the longest first (tests/conftest.py).
    """
    jobs = "auto" if options.jobs is None else str(options.jobs)
    pytest = ["-q", "-p", "no:cacheprovider", "-n", jobs, "--dist", "loadfile", "--no-loadscope-reorder"]
    nbval = ["--nbval", "--nbval-current-env", f"--nbval-cell-timeout={CELL_SECONDS}"]
    nbval += ["--nbval-sanitize-with", str(ROOT / "tests" / "sanitize.cfg")]
    files = [str(path.relative_to(ROOT)) for path in paths]
    if options.quick:
        pytest += ["-p", "no:nbval", "--doctest-modules", "-m", "not slow and not browser and not book"]
        pytest += ["tests", "ecomlib"]
    elif options.notebooks:
        lessons = [path.stem for path in paths if path.parent == NOTEBOOKS]
        alone = [f"tests/test_take_with_you.py::test_it_runs_alone[{name}]" for name in lessons]
        pytest += [*nbval, *files, "tests/test_notebooks.py", *alone]
    else:
        pytest += ["--doctest-modules", *nbval, *files, "tests", "ecomlib"]
    return subprocess.call([sys.executable, "-m", "pytest", *pytest], cwd=ROOT)


def main(arguments: list[str]) -> int:
    """Read the command line and run or test."""
    parser = argparse.ArgumentParser(prog="python course.py")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("run", "test"):
        command = commands.add_parser(name)
        command.add_argument("notebooks", nargs="*", metavar="NN", help="first letters: 21, 2, 21_sales")
        command.add_argument("--jobs", type=int, help="how many at once (default: by processors and memory)")
    commands.choices["run"].add_argument("--measure", action="store_true", help=f"only write {TABLE.name}")
    commands.choices["run"].add_argument("--dry", action="store_true", help="leave the notebooks as they are")
    commands.choices["test"].add_argument("--quick", action="store_true", help="all but notebooks and book")
    options = parser.parse_args(arguments)
    try:
        paths = find(options.notebooks)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return run(options, paths) if options.command == "run" else test(options, paths)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
