"""Measure how fast all training windows are built, and how time and memory grow with the data.

    python -m benchmarks.speed.windows

Sets `windows.past_windows` beside the loop that most tutorials show (groupby, then one slice per window) and
checks that both give the same numbers, on the daily sales of all categories; then builds the windows of all
product types, and of 2, 4 and 8 times as many series. Writes `benchmarks/results/windows.csv`.
"""

import time
import tracemalloc

import numpy as np
import pandas as pd

from ecomlib import clean, load_complete_journey
from ecomlib.panels import daily_panel
from ecomlib.runtime import ROOT
from ecomlib.windows import future_windows, past_windows

LOOKBACK, HORIZON = 56, 7


def vectorised(values: np.ndarray, cutoffs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return past_windows(values, cutoffs, LOOKBACK), future_windows(values, cutoffs, HORIZON)


def by_groupby(table: pd.DataFrame, cutoffs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    def windows(group: pd.DataFrame) -> list[tuple[np.ndarray, np.ndarray]]:
        sales = group["sales"]
        return [
            (sales.iloc[t + 1 - LOOKBACK : t + 1].to_numpy(), sales.iloc[t + 1 : t + 1 + HORIZON].to_numpy())
            for t in cutoffs
        ]

    rows = [windows(group) for _, group in table.groupby("series", sort=False)]
    past = np.array([[window for window, _ in series] for series in rows])
    future = np.array([[target for _, target in series] for series in rows])
    return past.swapaxes(0, 1), future.swapaxes(0, 1)


def best_of(n: int, job, *arguments) -> float:
    """Shortest of n runs, in seconds: the one least disturbed."""
    times = []
    for _ in range(n):
        start = time.perf_counter()
        job(*arguments)
        times.append(time.perf_counter() - start)
    return min(times)


def peak_mb(job, *arguments) -> float:
    tracemalloc.start()
    job(*arguments)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def main() -> None:
    shop, _ = clean(load_complete_journey())
    lines = shop.orders.merge(shop.products, on="product_id", how="left")
    panels = {
        level: daily_panel(lines["timestamp"], lines[level].astype(str), lines["revenue"])
        for level in ("category", "product_type")
    }
    values = panels["category"].values
    n_days = values.shape[1]
    cutoffs = np.arange(LOOKBACK - 1, n_days - HORIZON)
    table = pd.DataFrame(
        {"series": np.repeat(panels["category"].names, n_days), "sales": values.ravel()},
    )
    for fast, slow in zip(vectorised(values, cutoffs), by_groupby(table, cutoffs), strict=True):
        assert np.array_equal(fast, slow)
    jobs = [
        ("groupby-apply loop, categories", by_groupby, table, len(values)),
        ("vectorised, categories", vectorised, values, len(values)),
    ]
    for times in (1, 2, 4, 8):
        many = np.tile(panels["product_type"].values, (times, 1))
        jobs.append((f"vectorised, product types x{times}", vectorised, many, len(many)))
    rows = []
    for name, job, data, n_series in jobs:
        seconds, peak = (
            best_of(1 if job is by_groupby else 5, job, data, cutoffs),
            peak_mb(job, data, cutoffs),
        )
        windows = n_series * len(cutoffs)
        rows.append((name, windows, seconds, peak, windows / seconds))
        print(
            f"{name:32s} {windows:9,} windows {seconds:.3f} s {peak:5.0f} MB {windows / seconds:12,.0f} per s"
        )
    result = pd.DataFrame(rows, columns=["method", "windows", "seconds", "peak_mb", "windows_per_s"])
    speed, seconds, peak = (result[c].to_numpy() for c in ("windows_per_s", "seconds", "peak_mb"))
    print(f"vectorised against the loop: {speed[1] / speed[0]:.0f} times as fast")
    print(f"8 times the data: {seconds[5] / seconds[2]:.1f} x the time, {peak[5] / peak[2]:.1f} x the memory")
    path = ROOT / "benchmarks" / "results" / "windows.csv"
    result.round({"seconds": 4, "peak_mb": 1, "windows_per_s": 0}).to_csv(path, index=False)


if __name__ == "__main__":
    main()
