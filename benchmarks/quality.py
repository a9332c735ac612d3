"""Full comparison for one use case or one lesson: every model, every baseline, several seeds, intervals.

    python course.py bench sales            (or: python benchmarks/quality.py sales)

Each comparison is one module `benchmarks/quality_<name>.py` with a function
`rows(quick: bool, log) -> list of dict`: the rows of its table, in order. This file runs it, shows progress,
and writes `benchmarks/results/<use case>.csv` (columns model, metric, value, low, high, seeds, then those
that say where a row belongs) and `<use case>.json` with the versions and the date.
"""

import argparse
import importlib
import json
import platform
import sys
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from ecomlib.runtime import usable_cores  # noqa: E402  (found by the line above)

LEADING = ["model", "metric", "value", "low", "high", "seeds"]
PACKAGES = ("keras", "numpy", "pandas", "lightgbm", "scikit-learn", "statsmodels")


def use_cases() -> list[str]:
    return sorted(path.stem.removeprefix("quality_") for path in ROOT.glob("benchmarks/quality_*.py"))


def row(model: str, metric: str, spread: tuple, seeds: int, **place) -> dict:
    """One row of a table; spread is value, low, high, and place says where the row belongs."""
    return dict(zip(LEADING, (model, metric, *spread, seeds), strict=True)) | place


class Log:
    """Print one line a step with the minutes since the start."""

    def __init__(self):
        self.start = time.perf_counter()

    def __call__(self, text: str) -> None:
        print(f"{(time.perf_counter() - self.start) / 60:6.1f} min  {text}", flush=True)


def write(use_case: str, rows: list[dict], minutes: float, folder: Path) -> Path:
    """Write the table and, beside it, what it was made with; the old table stays until the new is whole."""
    import pandas as pd

    table = pd.DataFrame(rows)
    table = table[LEADING + [column for column in table.columns if column not in LEADING]]
    for column in ("value", "low", "high"):
        table[column] = table[column].map(lambda x: float(f"{x:.6g}"))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{use_case}.csv"
    half_written = path.with_suffix(".tmp")
    table.to_csv(half_written, index=False, lineterminator="\n")
    half_written.replace(path)
    about = {
        "command": f"python course.py bench {use_case}",
        "date": date.today().isoformat(),
        "minutes": round(minutes, 1),
        "cores": usable_cores(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
    }
    path.with_suffix(".json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    return path


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("use_case", choices=use_cases())
    parser.add_argument(
        "--quick", action="store_true", help="one seed, few epochs, into build/bench: a trial run"
    )
    options = parser.parse_args(arguments)
    log = Log()
    module = importlib.import_module(f"quality_{options.use_case}")
    rows = module.rows(options.quick, log)
    minutes = (time.perf_counter() - log.start) / 60
    folder = ROOT / ("build/bench" if options.quick else "benchmarks/results")
    path = write(options.use_case, rows, minutes, folder)
    log(f"{len(rows)} rows written to {path.relative_to(ROOT).as_posix()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
