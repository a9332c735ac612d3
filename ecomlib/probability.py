"""How good is a probability? Log-loss, Brier score, ranking and calibration, over draws of customers."""

import numpy as np

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

    Equal to scikit-learn's `roc_auc_score` and `average_precision_score` with sample weights (a test
    compares them), in a fifth of the time at 300,000 rows: the rows are sorted once for all draws.

    Arrays (1 + n,): "AUC", the chance that a positive row scores higher than a negative one, a tie counts
    half; "average precision"; "lift top 10 %", positives in the best tenth over those in a random tenth.

    Examples
    --------
    >>> once = Draws.of(np.arange(4), n=0)
    >>> ranking_draws(np.array([0.1, 0.4, 0.4, 0.8]), np.array([0, 0, 1, 1]), once)["AUC"]
    array([0.875])
    """
    order = np.argsort(-score)
    label = np.asarray(label, float)[order]
    ends = np.flatnonzero(np.r_[np.diff(score[order]) != 0, True])  # tied rows stand or fall together
    found = np.array([_ranked(label, weight[order], ends) for weight in draws.weights(n)])
    return dict(zip(("AUC", "average precision", "lift top 10 %"), found.T, strict=True))


def _ranked(label: np.ndarray, weight: np.ndarray, ends: np.ndarray) -> tuple[float, float, float]:
    hits, rows = (label * weight).cumsum()[ends], weight.cumsum()[ends]
    new_hits = np.diff(hits, prepend=0)
    new_misses = np.diff(rows - hits, prepend=0)
    positives, negatives = hits[-1], rows[-1] - hits[-1]
    auc = (new_misses * (hits - new_hits / 2)).sum() / (positives * negatives)
    precision = (new_hits * hits / np.maximum(rows, 1e-9)).sum() / positives
    tenth = np.interp(rows[-1] / 10, rows, hits)
    return auc, precision, 10 * tenth / positives
