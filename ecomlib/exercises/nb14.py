"""Self-checks of 14_training_by_hand."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ecomlib import gates
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
        lambda: lambda *args: _rmsprop(*args)[::-1],
    ],
    right=lambda: _rmsprop,
)
def rmsprop(answer: Any) -> str | None:
    """Compare a step on random weights with the formula."""
    rng = np.random.default_rng(5)
    w, g, s = rng.normal(size=(3, 2)), rng.normal(size=(3, 2)), rng.uniform(0.5, 1, (3, 2))
    arguments = 0.1, 0.8, 0.5  # an epsilon large enough to see where it stands
    new = answer(w.copy(), g, s.copy(), *arguments)
    if not isinstance(new, tuple | list | np.ndarray) or np.shape(new) != (2, 3, 2):
        return "return two arrays of the shape of w: the new w and the new s."
    right_w, right_s = _rmsprop(w, g, s, *arguments)
    if close(new[0], right_s) and close(new[1], right_w):
        return "both are right, but in the other order: first w, then s."
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


WEEKS, LAST, WINDOW = 52, 47, 8  # weeks of the invented sales, the last known one, the window of the example


def paydays(seed: int = 0) -> np.ndarray:
    """Invent weekly sales of 16 departments, small and large: every fourth week is a payday; dollars."""
    rng = np.random.default_rng(seed)
    level, swing = 10 ** rng.uniform(2.3, 4.7, (16, 1)), rng.uniform(0.2, 0.5, (16, 1))
    payday = np.where((np.arange(WEEKS) + rng.integers(4, size=(16, 1))) % 4 == 0, 3 * swing, -swing)
    return level * (1 + payday) * rng.uniform(0.97, 1.03, (16, WEEKS))


def _by_hand(sales, cutoff, known=0, updates=200, scaled=True, back=True):
    """Train an LSTM of 8 units by hand on windows of eight weeks, each divided by its mean."""
    rows = np.lib.stride_tricks.sliding_window_view(sales[:, : cutoff + 1 + known], WINDOW + 1, axis=1)
    last = sales[:, cutoff + 1 - WINDOW : cutoff + 1]
    size = last.mean(axis=1) if scaled else np.ones(len(sales))
    rows = (rows / (rows[..., :WINDOW].mean(axis=-1, keepdims=True) if scaled else 1)).reshape(-1, WINDOW + 1)
    x, y, new = rows[:, :WINDOW, None] - scaled, rows[:, WINDOW:] - scaled, (last / size[:, None])[..., None]
    rng = np.random.default_rng(0)
    cell = gates.init_weights("lstm", 1, 8, 0, dtype="float64")
    weights = [*cell, rng.uniform(-0.5, 0.5, (8, 1)), np.zeros(1)]
    means = [np.zeros_like(w) for w in weights], [np.zeros_like(w) for w in weights]
    for t in range(1, updates + 1):
        h, cache = gates.lstm_forward(x, weights[:3])
        slope = 2 * (h[:, -1] @ weights[3] + weights[4] - y) / len(y)
        back_through = gates.lstm_backward(None, cache, dh_last=slope @ weights[3].T)[1]
        for k, g in enumerate([*back_through, h[:, -1].T @ slope, slope.sum(axis=0)]):
            means[0][k], means[1][k] = 0.9 * means[0][k] + 0.1 * g, 0.999 * means[1][k] + 0.001 * g**2
            step = 0.03 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
            weights[k] -= step * means[0][k] / (np.sqrt(means[1][k]) + 1e-7)
    h = gates.lstm_forward(new - scaled, weights[:3])[0]
    forecast = (h[:, -1] @ weights[3] + weights[4])[:, 0] + scaled
    return forecast * size if back else forecast


@contextmanager
def without_fit() -> Iterator[None]:
    """Let `fit` of a Keras model stop with a sentence: this exercise asks for a loop of one's own."""
    import keras

    def refuse(*_args: Any, **_settings: Any) -> None:
        raise RuntimeError("fit is what you are asked to write; use GradientTape or the gates of this lesson")

    kept = keras.Model.fit
    keras.Model.fit = refuse
    try:
        yield
    finally:
        keras.Model.fit = kept


def _with_fit(sales, cutoff):
    import keras

    model = keras.Sequential([keras.Input((WINDOW, 1)), keras.layers.LSTM(8), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(sales[:, :WINDOW, None], sales[:, WINDOW], verbose=0)
    return _by_hand(sales, cutoff)


@checker(
    "14.3",
    wrong=[
        lambda: lambda sales, cutoff: _by_hand(sales, cutoff, known=1),
        lambda: lambda sales, cutoff: _by_hand(sales, cutoff, updates=0),
        lambda: lambda sales, cutoff: _by_hand(sales, cutoff, scaled=False),
        lambda: lambda sales, cutoff: _by_hand(sales, cutoff, back=False),
        lambda: lambda sales, cutoff: sales[:, cutoff - 3 : cutoff + 1].mean(axis=1),
        lambda: _with_fit,
        lambda: lambda sales, cutoff: sales[:, cutoff + 1 :],
    ],
    right=lambda: _by_hand,
)
def own_loop(answer: Any) -> str | None:
    """Train on invented sales without `fit`, change their future, and compare with the mean of four weeks."""
    import keras

    sales = paydays()
    future = sales.copy()
    future[:, LAST + 1 :] *= np.random.default_rng(1).uniform(0.2, 5, (len(sales), WEEKS - LAST - 1))
    given = []
    with without_fit():
        for shop in (sales, future):
            keras.utils.set_random_seed(0)
            given.append(np.asarray(answer(shop.copy(), LAST), dtype=float))
    if given[0].shape != (len(sales),):
        return f"one forecast per department, shape ({len(sales)},), not {given[0].shape}."
    if not close(given[0], given[1], 1e-3):
        return (
            "the weeks after the cutoff changed, and so did your forecasts: use columns up to cutoff only "
            "(if you draw random numbers with NumPy, fix their seed)."
        )
    truth, four = sales[:, LAST + 1], sales[:, LAST - 3 : LAST + 1].mean(axis=1)
    own, base = (float(np.abs(f - truth).sum() / truth.sum()) for f in (given[0], four))
    if own < 0.6 * base:
        return None
    if given[0].max() < 10 < truth.min():
        return "these are not dollars: multiply each forecast by the size that its window was divided by."
    return (
        f"WAPE {own:.3f}; the mean of four weeks has {base:.3f}, and 0.6 of that is asked for. Divide each "
        "window by its own mean, look at the loss over the updates, then at the rate."
    )
