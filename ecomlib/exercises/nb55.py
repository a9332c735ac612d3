"""Self-checks of lesson 55, real time."""

from typing import Any

import numpy as np

from ecomlib.exercises import checker, close
from ecomlib.exercises.networks import (
    leak_hint,
    loss_hint,
    no_lstm_hint,
    range_hint,
    run_on,
    untrained_hint,
)
from ecomlib.gates import init_weights, lstm_forward, sigmoid


def _step(x, h, c, weights, order="ifgo", old=False, bias=True):
    """One step; `order`, `old` and `bias` make the mistakes of a learner."""
    kernel, recurrent, shift = weights
    z = x @ kernel + h @ recurrent + shift * bias
    part = dict(zip(order, np.split(z, 4, axis=1), strict=True))
    new = sigmoid(part["f"]) * c + sigmoid(part["i"]) * np.tanh(part["g"])
    return sigmoid(part["o"]) * np.tanh(c if old else new), new


@checker(
    "55.1",
    wrong=[
        lambda: lambda x, h, c, weights: _step(x, h, c, weights, order="figo"),
        lambda: lambda x, h, c, weights: _step(x, h, c, weights, old=True),
        lambda: lambda x, h, c, weights: _step(x, h, c, weights, bias=False),
        lambda: lambda x, h, c, weights: _step(x, h, c, weights)[0],
        lambda: lambda x, h, c, weights: _step(x, np.zeros_like(h), np.zeros_like(c), weights),
    ],
    right=lambda: _step,
)
def one_step(answer: Any) -> str | None:
    """Carry a state over six trips and compare with the whole history at once."""
    rng = np.random.default_rng(0)
    weights = [w.astype(float) for w in init_weights("lstm", 3, 4, seed=1)]
    weights[2] = rng.normal(size=16)
    x = rng.normal(size=(2, 6, 3))
    wanted, cache = lstm_forward(x, weights)
    h, c = np.zeros((2, 4)), np.zeros((2, 4))
    for t in range(6):
        given = answer(x[:, t], h, c, weights)
        if not isinstance(given, tuple) or len(given) != 2:
            return "return two arrays: the new h and the new c."
        h, c = (np.asarray(value, dtype=float) for value in given)
        if h.shape != (2, 4) or c.shape != (2, 4):
            return f"h and c keep their shape (2, 4); you gave {h.shape} and {c.shape}."
        if not close(c, cache["c"][t + 1]):
            if t:
                return (
                    "right from an empty state, wrong from a full one: h goes in by U, c by the forget gate."
                )
            return (
                "the new c is f * c + i * g; the blocks stand in the order i, f, g, o, and the bias counts."
            )
        if not close(h, wanted[:, t]):
            return "the new h is o * tanh(c), with the *new* c."
    return None


TRIPS = [
    (300, 4, "c"),
    (100, 1, "a"),
    (300, 3, "b"),
    (100, 1, "a"),
    (300, 4, "c"),
    (200, 9, "x"),
    (400, 2, "d"),
]


def _in_order(trips):
    return sorted(set(trips))


@checker(
    "55.2",
    wrong=[
        lambda: lambda trips: sorted(trips),
        lambda: lambda trips: sorted(set(trips), key=lambda trip: trip[1]),
        lambda: lambda trips: sorted({trip[0]: trip for trip in trips}.values()),
        lambda: lambda trips: sorted(dict.fromkeys(trips), key=lambda trip: trip[0]),
        lambda: lambda trips: list(dict.fromkeys(trips)),
    ],
    right=lambda: _in_order,
)
def each_trip_once_and_in_order(answer: Any) -> str | None:
    """Try duplicates, late trips and a tie in time, in two orders of arrival."""
    for arrivals in (TRIPS, TRIPS[::-1]):
        given = [tuple(trip) for trip in answer(list(arrivals))]
        wanted = _in_order(arrivals)
        if len(given) > len(wanted):
            return "a trip that the till sent twice counts twice: its order number is the same."
        if len(given) < len(wanted):
            return "a trip is lost: two trips of one second are two trips. Compare order numbers, not times."
        if [trip[0] for trip in given] != [trip[0] for trip in wanted]:
            return "the trips are not in the order of time."
        if given != wanted:
            return "two trips have the same time: the order number decides, not the arrival."
    return None


LAST = 27  # the last trip that is known


def gaps_of_households(seed: int = 0) -> np.ndarray:
    """Invent 200 households: the days before each of 34 trips, two short gaps and a long one by turns."""
    rng = np.random.default_rng(seed)
    long = (np.arange(34) + rng.integers(3, size=(200, 1))) % 3 == 0
    long = long ^ (rng.random(long.shape) < 0.02)
    return np.where(long, rng.uniform(8, 15, long.shape), rng.uniform(1, 7, long.shape))


def _trained(gaps, cutoff, known=0, epochs=12):
    """Train a small network; `known` trips leak."""
    import keras

    x = np.log1p(gaps[..., None]).astype(np.float32)
    y = (gaps[:, 1:] <= 7).astype(np.float32)
    last = cutoff + known
    layers = [keras.Input((None, 1)), keras.layers.LSTM(16, return_sequences=True)]
    model = keras.Sequential([*layers, keras.layers.Dense(1, activation="sigmoid")])
    model.compile(keras.optimizers.Adam(0.02), "binary_crossentropy")
    if epochs:
        model.fit(x[:, :last], y[:, :last, None], batch_size=20, epochs=epochs, verbose=0)
    return model, model.predict(x[:, : last + 1], verbose=0)[:, -1, 0]


@checker(
    "55.3",
    wrong=[
        lambda: lambda gaps, cutoff: _trained(gaps, cutoff, known=1, epochs=1),
        lambda: lambda gaps, cutoff: _trained(gaps, cutoff, epochs=0),
        lambda: lambda gaps, cutoff: _trained(gaps, cutoff, epochs=1),
        lambda: lambda gaps, cutoff: (_trained(gaps, cutoff, epochs=1)[0], np.full(len(gaps), 2.0)),
    ],
    right=lambda: _trained,
)
def network_of_trips(answer: Any) -> str | None:
    """Train on invented households, change their future, compare with each one's own share of returns."""
    gaps = gaps_of_households()
    future = gaps.copy()
    future[:, LAST + 1 :] = 16 - future[:, LAST + 1 :]
    shaped = f"give one probability for each household, shape ({len(gaps)},), not {{}}."
    model, given, problem = run_on((gaps, future), answer, LAST, (len(gaps),), shaped)
    if problem:
        return problem
    if (
        problem := range_hint(given[0])
        or no_lstm_hint(model)
        or untrained_hint(model)
        or leak_hint(given, "trips")
    ):
        return problem
    back = (gaps[:, LAST + 1] <= 7).astype(float)
    share = (gaps[:, 1 : LAST + 1] <= 7).mean(axis=1)
    advice = (
        "Learn from the answer after every known trip, take more epochs, or a learning rate of about 0.02."
    )
    return loss_hint(given[0], back, share, "the own share of each household", 0.6, advice)
