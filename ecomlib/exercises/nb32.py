"""Self-checks of 32_purchase_train."""

from typing import Any

import numpy as np

from ecomlib.exercises import checker, close
from ecomlib.exercises.networks import leak_hint, loss_hint, range_hint, run_on, untrained_hint

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


def _best(p, k, top):
    last = np.asarray(p)[:, -1].reshape(-1, k)
    return np.argsort(-last, axis=1)[:, :top]


def _by_columns(p, k, top):
    last = np.asarray(p)[:, -1].reshape(k, -1).T
    return np.argsort(-last, axis=1)[:, :top]


def _worst(p, k, top):
    return np.argsort(np.asarray(p)[:, -1].reshape(-1, k), axis=1)[:, :top]


def _first_week(p, k, top):
    return _best(np.asarray(p)[:, :1], k, top)


@checker("32.2", wrong=[lambda: _by_columns, lambda: _worst, lambda: _first_week], right=lambda: _best)
def best_categories(answer: Any) -> str | None:
    """Compare on random probabilities."""
    p = np.random.default_rng(0).random((4 * 6, 5))
    found, wanted = np.asarray(answer(p.copy(), 6, 3)), _best(p, 6, 3)
    if found.shape != wanted.shape:
        return f"the shape is {found.shape}; three categories for each of four households give (4, 3)."
    if np.array_equal(found, wanted):
        return None
    if np.array_equal(found, _first_week(p, 6, 3)):
        return "these are the answers after the first week; the last one has seen everything."
    if np.array_equal(found, _worst(p, 6, 3)):
        return "np.argsort puts the smallest first."
    if np.array_equal(found, _by_columns(p, 6, 3)):
        return "the rows of a household stand together: reshape to (n, k), not to (k, n)."
    return "take the last week, reshape to (n, k), sort each row, and keep the first `top` numbers."


KNOWN = 25  # the last week that is known; a household's weeks in the window of the right answer


def habits(seed: int = 0) -> np.ndarray:
    """Invent 300 households of 30 weeks that buy every second, third or fourth week, nearly: 0 and 1."""
    rng = np.random.default_rng(seed)
    every = rng.integers(2, 5, (300, 1))
    buys = (np.arange(30) + rng.integers(12, size=(300, 1))) % every == 0
    return (buys ^ (rng.random(buys.shape) < 0.04)).astype("float32")


def frequency(bought: np.ndarray, cutoff: int) -> np.ndarray:
    """Smoothed frequency with a half-life of 12 weeks, the base rate counting three: (n,)."""
    past = bought[:, : cutoff + 1]
    weights = 0.5 ** (np.arange(cutoff + 1)[::-1] / 12)
    return (past @ weights + 3 * past.mean()) / (weights.sum() + 3)


def trained(bought: np.ndarray, cutoff: int, known: int = 0, epochs: int = 20) -> tuple[Any, np.ndarray]:
    """Train a small LSTM on the weeks up to the cutoff; `known` more weeks make it leak."""
    import keras

    past = bought[:, : cutoff + 1 + known, None]
    steps = keras.layers.LSTM(12, return_sequences=True, unroll=True)
    x = keras.Input((cutoff + known, 1))
    model = keras.Model(x, keras.layers.Dense(1, "sigmoid")(steps(x)))
    model.compile(keras.optimizers.Adam(0.02), "binary_crossentropy")
    if epochs:
        model.fit(past[:, :-1], past[:, 1:], batch_size=50, epochs=epochs, verbose=0)
    return model, model.predict(past[:, 1:], verbose=0)[:, -1, 0]  # as many weeks as in training


def network_hint(answer: Any) -> str | None:
    """Run an answer on two shops that differ after the cutoff; say what is wrong with it, or None."""
    bought = habits()
    other = bought.copy()
    other[:, KNOWN + 1 :] = 1 - other[:, KNOWN + 1 :]
    shaped = f"one probability per household, shape ({len(bought)},), not {{}}."
    model, given, problem = run_on((bought, other), answer, KNOWN, (len(bought),), shaped)
    if (
        problem := problem
        or leak_hint(given, made="answers")
        or untrained_hint(model)
        or range_hint(given[0])
    ):
        return problem
    y = bought[:, KNOWN + 1]
    advice = (
        "Shift by one week (x up to t, y at t + 1), answer after every week, and train until the loss stops "
        "falling."
    )
    return loss_hint(given[0], y, frequency(bought, KNOWN), "the smoothed frequency", 0.8, advice)


@checker(
    "32.3",
    wrong=[
        lambda: lambda bought, cutoff: trained(bought, cutoff, known=1, epochs=2),
        lambda: lambda bought, cutoff: trained(bought, cutoff, epochs=0),
        lambda: lambda bought, cutoff: (trained(bought, cutoff, epochs=1)[0], frequency(bought, cutoff)),
        lambda: frequency,
    ],
    right=lambda: trained,
)
def own_network(answer: Any) -> str | None:
    """Train on an invented shop, change its future, and compare with the smoothed frequency."""
    return network_hint(answer)
