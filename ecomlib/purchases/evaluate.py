"""Score purchase probabilities: log-loss, ranking and calibration, over draws of whole customers."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ecomlib.bootstrap import draw_units, unit_means
from ecomlib.probability import brier, log_loss, ranking_draws
from ecomlib.purchases.task import PurchaseTask
from ecomlib.results import advise, score_table
from ecomlib.shop import BadValue


def draws(
    task: PurchaseTask,
    forecast: np.ndarray,
    part: str = "test",
    n: int = 1000,
    seed: int = 0,
    n_ranked: int = 200,
    where: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Score a forecast on the data (entry 0) and on n bootstrap samples of whole customers.

    Parameters
    ----------
    forecast : array (n_cutoffs, n_customers, k)
        Probabilities at the part's cutoffs.
    n_ranked : int
        At most as many samples for the three scores of ranking, of which each takes 0.1 s at 600,000 rows.
    where : bool array (n_rows,), optional
        Rows to score, in the order of `task.rows(part)`. Default: all.

    Returns
    -------
    dict of arrays (1 + n,) or (1 + min(n, n_ranked),)
        "log-loss", "Brier", "AUC", "average precision", "lift top 10 %", "calibration error". The same seed
        draws the same customers, so the difference of two models is paired.
    """
    customer, _, _, y = task.rows(part)
    p = np.asarray(task.flat(forecast, part), float)
    if not ((p >= 0) & (p <= 1)).all():  # also false for a value that is no number
        raise BadValue("a forecast holds probabilities between 0 and 1, every one a number; check the model.")
    if where is not None:
        customer, y, p = customer[where], y[where], p[where]
    if not 0 < y.mean() < 1:
        raise BadValue(f"{part}: a ranking needs rows with and rows without a purchase; score more weeks.")
    unit = np.unique(customer, return_inverse=True)[1]
    drawn = draw_units(unit.max() + 1, n, seed)
    return {
        "log-loss": unit_means(log_loss(p, y), unit, drawn),
        "Brier": unit_means(brier(p, y), unit, drawn),
        **ranking_draws(p, y, unit, drawn[: 1 + n_ranked]),
        "calibration error": calibration_error_draws(p, y, unit, drawn),
    }


def evaluate(
    task: PurchaseTask, forecasts: Mapping[str, np.ndarray], part: str = "test", n: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Score forecasts as `draws` takes them, from simple to complex: model, metric, value, low, high."""
    scores = {model: draws(task, forecast, part, n, seed) for model, forecast in forecasts.items()}
    return score_table(scores, "log-loss")


def advice(table: pd.DataFrame) -> str:
    """Say in one sentence which model of a table of `evaluate` to use."""
    return advise(table, "log-loss")


def calibration_bins(p: np.ndarray, n_bins: int = 20) -> np.ndarray:
    """Bin of every row: n_bins bins with equally many rows, by probability."""
    return np.digitize(p, np.unique(np.quantile(p, np.linspace(0, 1, n_bins + 1)[1:-1])))


def calibration_error_draws(p: np.ndarray, y: np.ndarray, unit: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Mean distance between forecast and frequency over the bins of `calibration_bins`; (1 + n,)."""
    bins = calibration_bins(p)
    gap = np.zeros((draws.shape[1], bins.max() + 1))
    np.add.at(gap, (unit, bins), p - y)
    return np.abs(draws @ gap).sum(axis=1) / (draws @ np.bincount(unit, minlength=draws.shape[1]))
