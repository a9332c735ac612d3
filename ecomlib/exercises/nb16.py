"""Self-checks of lesson 16, the first Keras LSTM."""

from typing import Any

import numpy as np

from ecomlib.exercises import checker, close
from ecomlib.exercises.networks import leak_hint, no_lstm_hint, run_on, untrained_hint
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


def _temper(p, t):
    p = p ** (1 / t)
    return p / p.sum(axis=1, keepdims=True)


@checker(
    "16.2",
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


WINDOW, AHEAD, LAST = 8, 2, 21  # weeks of a window, weeks asked about, the last week that is known


def paired_weeks(seed: int = 0) -> np.ndarray:
    """Invent 150 households of 26 weeks, 0 or 1: two weeks with a trip, two without, a few otherwise."""
    rng = np.random.default_rng(seed)
    phase = rng.integers(4, size=(150, 1))
    trips = (np.arange(26) + phase) % 4 < 2
    return (trips ^ (rng.random(trips.shape) < 0.03)).astype(np.float32)


def _trained(trips, cutoff, known=0, epochs=8, recurrent=True):
    """Train a small network; with `known` more weeks than are allowed it leaks."""
    import keras

    cut = np.lib.stride_tricks.sliding_window_view(trips[:, : cutoff + 1 + known], WINDOW + AHEAD, axis=1)
    cut = cut.reshape(-1, WINDOW + AHEAD)
    first = keras.layers.LSTM(12) if recurrent else keras.layers.Flatten()
    last = keras.layers.Dense(AHEAD + 1, activation="softmax")
    model = keras.Sequential([keras.Input((WINDOW, 1)), first, last])
    model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
    if epochs:
        x, y = cut[:, :WINDOW, None], cut[:, WINDOW:].sum(axis=1).astype(int)
        model.fit(x, y, batch_size=64, epochs=epochs, verbose=0)
    return model, np.asarray(model(trips[:, cutoff + 1 - WINDOW : cutoff + 1, None]))


def _shares(trips, cutoff):
    """Shares of 0, 1 and 2 trips in all pairs of weeks up to the cutoff, the same for everyone."""
    pairs = (trips[:, :cutoff] + trips[:, 1 : cutoff + 1]).astype(int)
    return np.tile(np.bincount(pairs.ravel(), minlength=3) / pairs.size, (len(trips), 1))


@checker(
    "16.3",
    wrong=[
        lambda: lambda trips, cutoff: _trained(trips, cutoff, known=1, epochs=1),
        lambda: lambda trips, cutoff: _trained(trips, cutoff, epochs=0),
        lambda: lambda trips, cutoff: _trained(trips, cutoff, epochs=0, recurrent=False),
        lambda: lambda trips, cutoff: _trained(trips, cutoff, epochs=0)[1],
        lambda: lambda trips, cutoff: (_trained(trips, cutoff, epochs=1)[0], _shares(trips, cutoff)),
    ],
    right=lambda: _trained,
)
def own_network(answer: Any) -> str | None:
    """Train on an invented shop, change its future, and compare with the class shares."""
    trips = paired_weeks()
    future = trips.copy()
    future[:, LAST + 1 :] = 1 - future[:, LAST + 1 :]
    shaped = f"give each household three probabilities that add up to 1, shape ({len(trips)}, 3)."
    model, given, problem = run_on((trips, future), answer, LAST, (len(trips), AHEAD + 1), shaped)
    if problem:
        return problem
    if not all(close(p.sum(axis=1), np.ones(len(trips)), 1e-3) for p in given):
        return shaped
    if problem := no_lstm_hint(model) or untrained_hint(model) or leak_hint(given):
        return problem
    happened = trips[:, LAST + 1 : LAST + 1 + AHEAD].sum(axis=1).astype(int)
    own, base = (
        -np.log(np.maximum(p[np.arange(len(p)), happened], 1e-7)).mean()
        for p in (given[0], _shares(trips, LAST))
    )
    if own < 0.7 * base:
        return None
    return (
        f"log-loss {own:.2f}; the class shares have {base:.2f}. Use every week as a cutoff for training, "
        "more epochs, or a learning rate of about 0.01."
    )
