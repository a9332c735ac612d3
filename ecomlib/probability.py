"""How good is a probability? Log-loss, Brier score, ranking and calibration, over draws of customers."""

import numpy as np
from scipy import sparse

from ecomlib.bootstrap import Draws

EPSILON = 1e-6  # no probability is taken smaller: one certain and wrong answer would cost infinitely much


def log_loss(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Log-loss of every row, nats.

    Parameters
    ----------
    p : array (n_rows,) or (n_rows, n_classes)
        Probability of class 1, or of every class.
    y : array (n_rows,)
        0 or 1, or the number of the class.

    Examples
    --------
    >>> log_loss(np.array([0.5]), np.array([1])).round(3)
    array([0.693])
    >>> log_loss(np.array([[0.5, 0.25, 0.25]]), np.array([2])).round(3)
    array([1.386])
    """
    if np.ndim(p) == 2:
        return -np.log(_shares(p)[np.arange(len(y)), y])
    p = np.clip(np.asarray(p, float), EPSILON, 1 - EPSILON)
    return -(y * np.log(p) + (1 - y) * np.log1p(-p))


def brier(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Squared error of every row's probabilities: 0 to 1, with several classes 0 to 2."""
    if np.ndim(p) == 2:
        p = _shares(p)
        return ((p - np.eye(p.shape[1])[y]) ** 2).sum(axis=1)
    return (np.asarray(p, float) - y) ** 2


def _shares(p: np.ndarray) -> np.ndarray:
    p = np.clip(np.asarray(p, float), EPSILON, 1)
    return p / p.sum(axis=1, keepdims=True)


def ranking_draws(
    score: np.ndarray, label: np.ndarray, draws: Draws, n: int | None = None
) -> dict[str, np.ndarray]:
    """How well scores put the positive rows first, on the data and on the first n samples (default: all).

    Equal to scikit-learn's weighted scores; 1,000 draws of 600,000 rows take 3 s, with scikit-learn 270 s.

    Arrays (1 + n,): "AUC", the chance that a positive row scores higher than a negative one, a tie counts
    half; "average precision"; "lift top 10 %", positives in the best tenth over those in a random tenth.

    Examples
    --------
    >>> once = Draws.of(np.arange(4), n=0)
    >>> ranking_draws(np.array([0.1, 0.4, 0.4, 0.8]), np.array([0, 0, 1, 1]), once)["AUC"]
    array([0.875])
    """
    order = np.argsort(-score)
    label, cell = np.asarray(label, float)[order], draws.cells[order]
    tie = np.cumsum(np.r_[False, np.diff(score[order]) != 0])  # tied rows stand or fall together
    no_hit = (np.bincount(tie, label) == 0)[tie]  # and so may neighbours of which none is positive
    starts = np.flatnonzero(np.r_[True, (np.diff(tie) > 0) & ~(no_hit[1:] & no_hit[:-1])])
    shape, steps = (len(starts), draws.units.shape[1] * draws.weeks.shape[1]), np.r_[starts, len(cell)]
    hits, rows = (sparse.csr_matrix((each, cell, steps), shape) for each in (label, label >= 0))
    hits.eliminate_zeros()
    found = np.array([_ranked(hits @ count, rows @ count) for count in draws.counts(n)])
    return dict(zip(("AUC", "average precision", "lift top 10 %"), found.T, strict=True))


def _ranked(new_hits: np.ndarray, new_rows: np.ndarray) -> tuple[float, float, float]:
    hits, rows = new_hits.cumsum(), new_rows.cumsum()
    auc = ((new_rows - new_hits) * (hits - new_hits / 2)).sum() / (hits[-1] * (rows[-1] - hits[-1]))
    precision = (new_hits * hits / np.maximum(rows, 1e-9)).sum() / hits[-1]
    return auc, precision, 10 * np.interp(rows[-1] / 10, np.r_[0, rows], np.r_[0, hits]) / hits[-1]
