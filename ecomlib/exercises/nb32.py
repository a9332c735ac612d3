"""Self-checks of 32_purchase_train."""

from typing import Any

import numpy as np

from ecomlib.exercises import checker, close

UNITS, INPUTS = 16, 26 + 6


@checker(
    "32.1",
    wrong=[lambda: UNITS * (UNITS + INPUTS + 1), lambda: 4 * UNITS * (UNITS + INPUTS)],
    right=lambda: 4 * UNITS * (UNITS + INPUTS + 1),
)
def n_weights(answer: Any) -> str | None:
    """Four gates, each with a bias."""
    if close(answer, 4 * UNITS * (UNITS + INPUTS + 1)):
        return None
    if close(answer, UNITS * (UNITS + INPUTS + 1)):
        return "that is one gate; there are four."
    return "each gate sees all inputs, the previous state and a bias."


def _loss(y, p, weight):
    return (-(y * np.log(p) + (1 - y) * np.log(1 - p)) * weight).sum() / weight.sum()


def _mean(y, p, weight):
    return (-(y * np.log(p) + (1 - y) * np.log(1 - p)) * weight).mean()


def _all(y, p, weight):
    return _mean(y, p, np.ones_like(weight))


@checker("32.2", wrong=[lambda: _mean, lambda: _all], right=lambda: _loss)
def my_loss(answer: Any) -> str | None:
    """Compare on random weeks."""
    rng = np.random.default_rng(0)
    y, weight = (rng.random((2, 5, 9)) < 0.4).astype(float)
    p = rng.uniform(0.05, 0.95, y.shape)
    found = answer(y, p, weight)
    if close(found, _loss(y, p, weight)):
        return None
    if close(found, _mean(y, p, weight)):
        return "divide by the weeks that count, not by all weeks."
    return "multiply each week's log-loss by its weight before you add them up."


def _turn(values):
    n, w, k, c = values.shape
    return values.swapaxes(1, 2).reshape(n * k, w, c)


def _reshape_only(values):
    n, w, k, c = values.shape
    return values.reshape(n * k, w, c)


def _by_category(values):
    n, w, k, c = values.shape
    return values.transpose(2, 0, 1, 3).reshape(n * k, w, c)


@checker("32.3", wrong=[lambda: _reshape_only, lambda: _by_category], right=lambda: _turn)
def turn(answer: Any) -> str | None:
    """Compare on numbered cells."""
    values = np.arange(2 * 3 * 4 * 5.0).reshape(2, 3, 4, 5)
    found = np.asarray(answer(values))
    if close(found, _turn(values)):
        return None
    if close(found, _reshape_only(values)):
        return "the shape is right, but weeks and categories are mixed up: swap the axes before you reshape."
    return "expected (n * k, w, c): all categories of the first household, then those of the second."
