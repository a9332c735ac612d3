"""Run one benchmark: `python course.py bench NAME` (or `python -m benchmarks.run NAME`).

`benchmarks/quality/<name>.py` compares models (name: sales, visits, ...), `benchmarks/speed/<name>.py`
measures time and memory (name: speed/gates, ...). Each has a function `rows(quick, log) -> list of dict`:
the rows of its table, in order. This file runs it, shows progress, keeps finished fits, and writes
`benchmarks/results/<name>.csv` (columns model, metric, value, low, high, seeds, then those that say where a
row belongs) and, beside it, `<name>.json` with the versions and the date. speed/gates and speed/windows keep
nothing: each takes less than a minute.
"""

import ecomlib  # noqa: F401, I001  (before NumPy: small matrices on one thread, else 10 to 100 times slower)

import argparse
import hashlib
import importlib
import json
import platform
import sys
import time
from collections.abc import Callable, Iterable
from datetime import date
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import joblib
import pandas as pd

from ecomlib.runtime import ROOT

LEADING = ["model", "metric", "value", "low", "high", "seeds"]
PACKAGES = ("keras", "numpy", "pandas", "lightgbm", "scikit-learn", "statsmodels")
KEPT = ROOT / "build" / "bench" / "kept"


def names() -> list[str]:
    """Every benchmark's name, quality first."""
    found = {kind: sorted((ROOT / "benchmarks" / kind).glob("[a-z]*.py")) for kind in ("quality", "speed")}
    return [p.stem for p in found["quality"]] + [f"speed/{p.stem}" for p in found["speed"]]


def row(model: str, metric: str, spread: tuple, seeds: int, **place: object) -> dict:
    """One row of a table; spread is value, low, high, and place says where the row belongs."""
    return dict(zip(LEADING, (model, metric, *spread, seeds), strict=True)) | place


class Log:
    """Print one line per step with the minutes since the start."""

    def __init__(self):
        self.start = time.perf_counter()

    @property
    def minutes(self) -> float:
        """Minutes since the start."""
        return (time.perf_counter() - self.start) / 60

    def __call__(self, text: str) -> None:
        print(f"{self.minutes:6.1f} min  {text}", flush=True)


@cache
def code_sign() -> str:
    """Eight letters that change with any line of the package or of a benchmark."""
    return sign_of([*(ROOT / "ecomlib").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")])


def sign_of(paths: Iterable[Path]) -> str:
    """Eight letters that change with any byte of some files."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(paths))).hexdigest()[:8]


def kept(name: str, jobs: dict[str, Callable[[], Any]], log: Log) -> dict[str, Any]:
    """Do every job whose result is not kept yet; a run that was cut off goes on where it stopped.

    Parameters
    ----------
    name : str
        The benchmark.
    jobs : dict
        A job's name -> a function without arguments; its result is written to `build/bench/kept`. What
        was made with other code is not used: `joblib.Memory` would look at the job's own lines only, not at
        the package that they call.

    Returns
    -------
    dict
        A job's name -> its result.
    """
    files = {job: KEPT / name / f"{job.replace('/', ' per ')} {code_sign()}.joblib" for job in jobs}
    left = [job for job, file in files.items() if not file.exists()]
    log(
        f"{name}: {len(jobs) - len(left)} of {len(jobs)} fits are kept"
        + f"; left: {', '.join(left)}" * bool(left)
    )
    for job in left:
        result = jobs[job]()
        files[job].parent.mkdir(parents=True, exist_ok=True)
        half_written = files[job].with_suffix(".tmp")
        joblib.dump(result, half_written)
        half_written.replace(files[job])
        log(f"{job} done")
    return {job: joblib.load(file) for job, file in files.items()}


def write(name: str, rows: list[dict], minutes: float, folder: Path, packages: Iterable[str] = ()) -> Path:
    """Write the table and, beside it, what it was made with; the old table stays until the new is whole.

    `packages`: those whose versions are told, too.
    """
    table = pd.DataFrame(rows)
    table = table[LEADING + [column for column in table.columns if column not in LEADING]]
    for column in ("value", "low", "high"):
        table[column] = table[column].map(lambda x: float(f"{x:.6g}"))
    about = {
        "command": f"python course.py bench {name}",
        "date": date.today().isoformat(),
        "minutes": round(minutes, 1),
        "cores": joblib.cpu_count(),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in (*PACKAGES, *packages)},
    }
    path = folder / f"{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    half_written = path.with_suffix(".tmp")
    table.to_csv(half_written, index=False, lineterminator="\n")
    half_written.replace(path)
    path.with_suffix(".json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    return path


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark that the arguments name."""
    parser = argparse.ArgumentParser(prog="course.py bench", description="Run one benchmark.")
    parser.add_argument("name", choices=names())
    parser.add_argument(
        "--quick", action="store_true", help="one seed, few epochs, into build/bench: a trial run"
    )
    options = parser.parse_args(arguments)
    kind, _, short = options.name.rpartition("/")
    module = importlib.import_module(f"benchmarks.{kind or 'quality'}.{short}")
    log = Log()
    rows = module.rows(options.quick, log)
    folder = ROOT / ("build/bench" if options.quick else "benchmarks/results")
    path = write(options.name, rows, log.minutes, folder, getattr(module, "PACKAGES", ()))
    log(f"{len(rows)} rows written to {path.relative_to(ROOT).as_posix()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
