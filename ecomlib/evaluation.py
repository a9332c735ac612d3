"""Metrics, their intervals, and the one results table in which every use case ends."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from ecomlib.runtime import ROOT

COLUMNS = ["model", "metric", "value", "low", "high"]


def bootstrap_weights(n_units: int, n: int = 1000, seed: int = 0) -> np.ndarray:
    """How often each unit is drawn in each of n bootstrap samples; shape (n, n_units).

    Draw whole customers or whole series, never single rows: rows of one customer are alike.
    """
    rng = np.random.default_rng(seed)
    return rng.multinomial(n_units, np.full(n_units, 1 / n_units), size=n).astype(np.float32)


def bootstrap_ratio(
    numerator: np.ndarray,
    denominator: np.ndarray,
    n: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float, float]:
    """Estimate sum(numerator) / sum(denominator) with a percentile bootstrap interval over units.

    WAPE, mean log-loss, coverage and recall are all such ratios. For a paired difference of two
    models give the difference of their numerators.

    Parameters
    ----------
    numerator, denominator : array (n_units,)
        One sum a unit (customer or series).

    Returns
    -------
    value, low, high : float

    Notes
    -----
    Efron & Tibshirani (1993), An Introduction to the Bootstrap, chapter 13.

    Examples
    --------
    >>> value, low, high = bootstrap_ratio(np.array([1.0, 2, 3]), np.array([2.0, 4, 6]))
    >>> value, low, high
    (0.5, 0.5, 0.5)
    """
    numerator = np.asarray(numerator, dtype=float)
    denominator = np.asarray(denominator, dtype=float)
    weights = bootstrap_weights(len(numerator), n, seed)
    draws = (weights @ numerator) / (weights @ denominator)
    tail = (1 - level) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return float(numerator.sum() / denominator.sum()), float(low), float(high)


def results_table(rows: Iterable[tuple[str, str, float, float, float]]) -> pd.DataFrame:
    """Build the results table: columns model, metric, value, low, high."""
    return pd.DataFrame(list(rows), columns=COLUMNS)


def write_results(table: pd.DataFrame, use_case: str) -> Path:
    """Write a notebook's results table to `build/results/<use case>.csv` and return the path."""
    path = ROOT / "build" / "results" / f"{use_case}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    table[COLUMNS].to_csv(path, index=False)
    return path


def read_benchmark(use_case: str) -> pd.DataFrame:
    """Read the committed full comparison, `benchmarks/results/<use case>.csv`.

    Returns
    -------
    DataFrame
        Columns model, metric, value, low, high, seeds, and those that tell where the row belongs.

    Raises
    ------
    FileNotFoundError
        With the command that makes the file.
    """
    path = ROOT / "benchmarks" / "results" / f"{use_case}.csv"
    if not path.exists():
        raise FileNotFoundError(f"{path.name} is missing; make it with: python course.py bench {use_case}")
    return pd.read_csv(path)
