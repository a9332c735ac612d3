"""Self-checks of lesson 16, the first Keras LSTM."""

from typing import Any

import numpy as np

from ecomlib.exercises import checker, close
from ecomlib.gates import count_parameters

CHANNELS, CLASSES = 13, 5  # as in the notebook


def _weights(units: int) -> int:
    first = count_parameters("lstm", CHANNELS, units)
    second = count_parameters("lstm", units, units)
    return first + second + units * CLASSES + CLASSES


@checker(
    "16.1",
    wrong=[
        lambda: 2 * _weights(50),
        lambda: _weights(50),
        lambda: 2 * count_parameters("lstm", CHANNELS, 100) + 505,
    ],
    right=lambda: _weights(100),
)
def weights_of_100_units(answer: Any) -> str | None:
    """Count the weights of two LSTM layers and a softmax."""
    if close(answer, _weights(100)):
        return None
    if close(answer, 2 * _weights(50)):
        return "twice the units is more than twice the weights: the recurrent kernels have units x 4 units."
    if close(answer, 2 * count_parameters("lstm", CHANNELS, 100) + 505):
        return "the second layer reads the first one's 100 states, not the 13 channels."
    return "add 4 (u (u + d) + u) for both LSTM layers (what is d in each?) and the softmax with its bias."


def _expected(p):
    return (p * np.arange(p.shape[1])).sum(axis=1)


@checker(
    "16.2",
    wrong=[
        lambda: lambda p: p.argmax(axis=1).astype(float),
        lambda: lambda p: (p * np.arange(1, p.shape[1] + 1)).sum(axis=1),
        lambda: lambda p: float(_expected(p).sum()),
    ],
    right=lambda: _expected,
)
def expected_weeks(answer: Any) -> str | None:
    """Compare with the mean of the distribution."""
    p = np.random.default_rng(3).dirichlet(np.ones(CLASSES), 20)
    given = np.asarray(answer(p), dtype=float)
    if given.shape != (20,):
        return f"one number per row is asked for, shape (20,), not {given.shape}."
    if close(given, p.argmax(axis=1)):
        return "that is the most likely number; the expected one weighs every number by its probability."
    if close(given, _expected(p) + 1):
        return "the classes start at 0 weeks, not at 1."
    return None if close(given, _expected(p)) else "sum k times the probability of k, for k = 0 to 4."


def _temper(p, t):
    p = p ** (1 / t)
    return p / p.sum(axis=1, keepdims=True)


@checker(
    "16.3",
    wrong=[
        lambda: lambda p, t: p ** (1 / t),
        lambda: lambda p, t: _temper(p, 1 / t),
        lambda: lambda p, t: p ** (1 / t) / (p ** (1 / t)).sum(),
        lambda: lambda p, t: _temper(p, 2.0),
        lambda: lambda p, t: _temper(p, 4 / t),
    ],
    right=lambda: _temper,
)
def temper(answer: Any) -> str | None:
    """Check the sums and both directions of the temperature."""
    p = np.random.default_rng(4).dirichlet(np.ones(CLASSES), 20)
    for t in (2.0, 0.5, 3.0):
        given = np.asarray(answer(p.copy(), t), dtype=float)
        if given.shape != p.shape or not close(given.sum(axis=1), np.ones(len(p))):
            return "every row has to sum to 1 again: divide each row by its own sum."
        if close(given, _temper(p, 1 / t)):
            return "t above 1 has to make the forecasts less sure: the power is 1/t."
        if not close(given, _temper(p, t)):
            return f"for t = {t:g}: raise every probability to the power 1/t, then divide."
    return None
