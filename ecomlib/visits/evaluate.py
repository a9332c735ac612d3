"""Score visit probabilities: log-loss, Brier score, accuracy and ranking, over draws of whole customers."""

import numpy as np
import pandas as pd

from ecomlib.bootstrap import Draws
from ecomlib.probability import brier, log_loss, ranking_draws
from ecomlib.results import Forecasts, score_fits, score_table
from ecomlib.results import advice as advice
from ecomlib.shop import BadValue
from ecomlib.visits.task import VisitsTask


def draws(
    task: VisitsTask, forecast: np.ndarray, part: str = "test", n: int = 1000, seed: int = 0
) -> dict[str, np.ndarray]:
    """Score a forecast on the data (entry 0) and on n bootstrap samples of whole customers and weeks.

    `forecast` (n_cutoffs, n_customers, n_classes) holds probabilities at the part's cutoffs. Arrays (1 + n,):
    "log-loss" (nats), "Brier" (0 to 2), "accuracy" (share whose most likely class came true), "AUC inactive"
    (of class 0; nan where no row, or every row, has it). The same seed draws the same customers and weeks:
    the difference of two models is paired.
    """
    customer, week, y = task.rows(part)
    p = np.asarray(task.flat(forecast, part), float)
    if p.shape != (len(y), task.n_classes):
        raise BadValue(f"{part}: a forecast of shape {np.shape(forecast)} lacks {task.n_classes} classes.")
    if not ((p >= 0).all() and np.allclose(p.sum(axis=1), 1, atol=1e-3)):  # also false where one is nan
        raise BadValue("a forecast holds probabilities, 0 to 1, that sum to 1 per row; check the model.")
    drawn = Draws.of(customer, week, n, seed)
    with np.errstate(invalid="ignore"):  # a draw of few customers may lack the class
        auc = ranking_draws(p[:, 0], y == 0, drawn)["AUC"]
    return {
        "log-loss": drawn.means(log_loss(p, y)),
        "Brier": drawn.means(brier(p, y)),
        "accuracy": drawn.means(p.argmax(axis=1) == y),
        "AUC inactive": auc,
    }


def evaluate(
    task: VisitsTask, forecasts: Forecasts, part: str = "test", n: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Score forecasts as `draws` takes them, from simple to complex: model, metric, value, low, high."""
    found = score_fits(lambda each: draws(task, each, part, n, seed), forecasts)
    return score_table(found, "log-loss")
