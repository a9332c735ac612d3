"""Self-checks of 14_training_by_hand."""

from typing import Any

import numpy as np

from ecomlib.exercises import checker, close

MOMENTUM = 0.9


@checker(
    "14.1",
    wrong=[lambda: MOMENTUM, lambda: 1 + MOMENTUM, lambda: 1.0],
    right=lambda: 1 / (1 - MOMENTUM),
)
def momentum_factor(answer: Any) -> str | None:
    """Sum the echo of one slope: 1 + 0.9 + 0.81 + ..."""
    if close(answer, 1 / (1 - MOMENTUM), 0.01):
        return None
    if close(answer, 1 + MOMENTUM):
        return "that is the second step; the velocity goes on growing after it."
    return "each step adds the slope and keeps 0.9 of the velocity: at which velocity do the two balance?"


def _rmsprop(w, g, s, rate=0.01, decay=0.9, epsilon=1e-7):
    s = decay * s + (1 - decay) * g**2
    return w - rate * g / (np.sqrt(s) + epsilon), s


def _without_root(w, g, s, rate=0.01, decay=0.9, epsilon=1e-7):
    s = decay * s + (1 - decay) * g**2
    return w - rate * g / (s + epsilon), s


def _old_memory(w, g, s, rate=0.01, decay=0.9, epsilon=1e-7):
    return w - rate * g / (np.sqrt(s) + epsilon), decay * s + (1 - decay) * g**2


def _without_epsilon(w, g, s, rate=0.01, decay=0.9, epsilon=1e-7):
    s = decay * s + (1 - decay) * g**2
    return w - rate * g / np.sqrt(s), s


def _epsilon_under_the_root(w, g, s, rate=0.01, decay=0.9, epsilon=1e-7):
    s = decay * s + (1 - decay) * g**2
    return w - rate * g / np.sqrt(s + epsilon), s


def _uphill(w, g, s, rate=0.01, decay=0.9, epsilon=1e-7):
    s = decay * s + (1 - decay) * g**2
    return w + rate * g / (np.sqrt(s) + epsilon), s


@checker(
    "14.2",
    wrong=[
        lambda: _without_root,
        lambda: _old_memory,
        lambda: _uphill,
        lambda: _without_epsilon,
        lambda: _epsilon_under_the_root,
    ],
    right=lambda: _rmsprop,
)
def rmsprop(answer: Any) -> str | None:
    """Compare a step on random weights with the formula."""
    rng = np.random.default_rng(5)
    w, g, s = rng.normal(size=(3, 2)), rng.normal(size=(3, 2)), rng.uniform(0.5, 1, (3, 2))
    arguments = 0.1, 0.8, 0.5  # an epsilon large enough to see where it stands
    new = answer(w.copy(), g, s.copy(), *arguments)
    if not isinstance(new, tuple) or len(new) != 2:
        return "return two arrays: the new w and the new s."
    right_w, right_s = _rmsprop(w, g, s, *arguments)
    if not close(new[1], right_s):
        return "the new s is decay * s + (1 - decay) * g**2."
    if close(new[0], _uphill(w, g, s, *arguments)[0]):
        return "this walks uphill: the step is taken against the slope."
    if close(new[0], _without_root(w, g, s, *arguments)[0]):
        return "divide by the square root of s, so that the step does not depend on the slope's unit."
    if close(new[0], _old_memory(w, g, s, *arguments)[0]):
        return "update s first, then divide by the new one."
    if close(new[0], _without_epsilon(w, g, s, *arguments)[0]):
        return "epsilon is missing from the denominator."
    if close(new[0], _epsilon_under_the_root(w, g, s, *arguments)[0]):
        return "add epsilon to the root of s, not to s under the root."
    return None if close(new[0], right_w) else "the new w is w - rate * g / (sqrt(s) + epsilon)."


GOOD = {"window": 4, "network": 0.05, "mean": 0.06, "winner": "network"}


@checker(
    "14.3",
    wrong=[
        lambda: GOOD | {"winner": "mean"},
        lambda: GOOD | {"window": 8},
        lambda: GOOD | {"window": 1},
        lambda: GOOD | {"network": 5.0},
        lambda: {"window": 4},
    ],
    right=lambda: GOOD,
)
def another_window(answer: Any) -> str | None:
    """Judge whether a report holds together."""
    missing = {"window", "network", "mean", "winner"} - set(answer)
    if missing:
        return f"the report lacks {', '.join(sorted(missing))}."
    if answer["window"] == 8 or not 4 <= answer["window"] <= 30:
        return "choose a window other than 8, from 4 to 30 weeks."
    value = {k: float(np.ravel(answer[k])[0]) for k in ("network", "mean")}  # all of wape() may be given
    if not all(0.01 < v < 0.5 for v in value.values()):
        return "WAPE is a share of the sales: these departments lie between 0.01 and 0.5."
    winner = "network" if value["network"] < value["mean"] else "mean"
    return None if answer["winner"] == winner else "the smaller WAPE wins; look at your two figures again."
