"""How fast all training windows are built, and how time and memory grow with the data.

Sets `windows.past_windows` beside the loop that most tutorials show (groupby, then one slice per window) and
checks that both give the same numbers, on the daily sales of all categories; then builds the windows of all
product types, and of 2, 4 and 8 times as many series.
"""

import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.run import Log, row
from ecomlib import clean, load_complete_journey
from ecomlib.panels import daily_panel
from ecomlib.windows import future_windows, past_windows

LOOKBACK, HORIZON = 56, 7


def vectorised(values: np.ndarray, cutoffs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As the package does it."""
    return past_windows(values, cutoffs, LOOKBACK), future_windows(values, cutoffs, HORIZON)


def by_groupby(table: pd.DataFrame, cutoffs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As most tutorials do it."""

    def windows(group: pd.DataFrame) -> list[tuple[np.ndarray, np.ndarray]]:
        sales = group["sales"]
        return [
            (sales.iloc[t + 1 - LOOKBACK : t + 1].to_numpy(), sales.iloc[t + 1 : t + 1 + HORIZON].to_numpy())
            for t in cutoffs
        ]

    found = [windows(group) for _, group in table.groupby("series", sort=False)]
    past = np.array([[window for window, _ in series] for series in found])
    future = np.array([[target for _, target in series] for series in found])
    return past.swapaxes(0, 1), future.swapaxes(0, 1)


def seconds_of(n: int, job: Callable, *arguments: Any) -> list[float]:
    """Seconds of n runs."""
    times = []
    for _ in range(n):
        start = time.perf_counter()
        job(*arguments)
        times.append(time.perf_counter() - start)
    return times


def peak_gb(job: Callable, *arguments: Any) -> float:
    """Most memory that a run allocates."""
    tracemalloc.start()
    job(*arguments)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e9


def rows(quick: bool, log: Log) -> list[dict]:
    """The fastest, the median and the slowest of five runs. Quick: the categories only."""
    shop, _ = clean(load_complete_journey())
    lines = shop.orders.merge(shop.products, on="product_id", how="left")
    panel = {
        level: daily_panel(lines["timestamp"], lines[level].astype(str), lines["revenue"])
        for level in ("category", "product_type")
    }
    values = panel["category"].values
    n_days = values.shape[1]
    cutoffs = np.arange(LOOKBACK - 1, n_days - HORIZON)
    table = pd.DataFrame(
        {"series": np.repeat(panel["category"].names, n_days), "sales": values.ravel()},
    )
    for fast, slow in zip(vectorised(values, cutoffs), by_groupby(table, cutoffs), strict=True):
        assert np.array_equal(fast, slow)
    jobs: dict[str, tuple[Callable, Any, int]] = {
        "groupby-apply loop, categories": (by_groupby, table, len(values)),
        "vectorised, categories": (vectorised, values, len(values)),
    }
    for times in () if quick else (1, 2, 4, 8):
        many = np.tile(panel["product_type"].values, (times, 1))
        jobs[f"vectorised, product types x{times}"] = (vectorised, many, len(many))
    out = []
    for name, (job, data, n_series) in jobs.items():
        taken = seconds_of(1 if job is by_groupby else 5, job, data, cutoffs)
        spread, peak = (float(np.median(taken)), min(taken), max(taken)), peak_gb(job, data, cutoffs)
        place = {"items": n_series * len(cutoffs)}
        out.append(row(name, "seconds", spread, len(taken), **place))
        out.append(row(name, "peak GB", (peak,) * 3, 1, **place))
        log(f"{name:32s} {place['items']:9,} windows {spread[0]:.3f} s {peak:5.2f} GB")
    return out
