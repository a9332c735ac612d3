"""Self-checks of 33_purchase_evaluate."""

from typing import Any

import numpy as np

from ecomlib.exercises import checker, close

SENT, COST, REACHED, MARGIN = 2000, 0.05, 0.40, 0.75


@checker(
    "33.1",
    wrong=[lambda: SENT * REACHED * MARGIN, lambda: SENT * (MARGIN - COST)],
    right=lambda: SENT * (REACHED * MARGIN - COST),
)
def net_margin(answer: Any) -> str | None:
    """Every coupon costs, only some reach a buyer."""
    if close(answer, SENT * (REACHED * MARGIN - COST)):
        return None
    if close(answer, SENT * REACHED * MARGIN):
        return "take off what the coupons cost."
    return "the margin comes from the coupons that reach a buyer; the cost from all that are sent."


def _error(p, y, bins):
    return np.abs(np.bincount(bins, p - y)).sum() / len(p)


def _rows(p, y, bins):
    return np.abs(p - y).mean()


def _unweighted(p, y, bins):
    return np.abs(np.bincount(bins, p - y) / np.bincount(bins)).mean()


@checker("33.2", wrong=[lambda: _rows, lambda: _unweighted], right=lambda: _error)
def calibration_error(answer: Any) -> str | None:
    """Compare on bins of unequal size."""
    rng = np.random.default_rng(0)
    p = rng.random(500)
    y, bins = (rng.random(500) < p**2).astype(float), np.minimum((p * 7).astype(int), 3)
    found = answer(p, y, bins)
    if close(found, _error(p, y, bins)):
        return None
    if close(found, _rows(p, y, bins)):
        return "add up p - y within a bin first, then take the absolute value."
    return "each bin counts by its rows: add up the absolute sums, and divide by n once."


def _assign(households, share, seed):
    return np.random.default_rng(seed).random(len(households)) < share


def _first(households, share, seed):
    return np.arange(len(households)) < share * len(households)


def _unseeded(households, share, seed):
    return np.random.default_rng().random(len(households)) < share


@checker("33.3", wrong=[lambda: _first, lambda: _unseeded], right=lambda: _assign)
def assign(answer: Any) -> str | None:
    """Right share, the same for a seed, and not by position."""
    households = np.arange(10_000)
    one, again, other = (np.asarray(answer(households, 0.3, seed)) for seed in (0, 0, 1))
    if one.shape != households.shape or one.dtype != bool:
        return "return one True or False for each household."
    if not np.array_equal(one, again):
        return "the same seed must give the same households, or nobody can check it."
    if np.array_equal(one, other) or abs(np.corrcoef(one, households)[0, 1]) > 0.1:
        return "choose at random: neither the first nor the best households."
    return None if abs(one.mean() - 0.3) < 0.02 else "withhold it from the share that was asked for."
