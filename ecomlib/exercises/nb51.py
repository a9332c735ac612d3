"""Self-checks of lesson 51: RNN, LSTM, GRU and their rivals."""

from typing import Any

import numpy as np

from ecomlib.exercises import checker, close
from ecomlib.exercises.networks import leak_hint, run_on, untrained_hint
from ecomlib.gates import count_parameters

UNITS, INPUTS = 64, 8  # of the LSTM in exercise 1


def _as_many(kind: str) -> int:
    """Units of a cell whose number of weights is nearest to the LSTM's."""
    wanted = count_parameters("lstm", INPUTS, UNITS)
    return min(range(1, 400), key=lambda units: abs(count_parameters(kind, INPUTS, units) - wanted))


@checker(
    "51.1",
    wrong=[
        lambda: (UNITS, UNITS),
        lambda: (75, _as_many("rnn")),  # one bias vector
        lambda: (_as_many("gru"), 4 * UNITS),
        lambda: (round(4 * UNITS / 3), _as_many("rnn")),
    ],
    right=lambda: (_as_many("gru"), _as_many("rnn")),
)
def equal_weights(answer: Any) -> str | None:
    """Compare with a search over all numbers of units."""
    if ... in tuple(answer):
        return "replace both dots with your answers."
    gru, rnn = (int(units) for units in answer)
    if gru == 75:
        return "GRU: one bias vector counted. Keras' default has two: 3 (u (u + d) + 2 u)."
    if gru == round(4 * UNITS / 3) or rnn == 4 * UNITS:
        return (
            "the recurrent kernel grows with the square of the units, so a plain ratio of gates is too much."
        )
    for name, units, kind in (("GRU", gru, "gru"), ("SimpleRNN", rnn, "rnn")):
        if units != _as_many(kind):
            has, wanted = count_parameters(kind, INPUTS, units), count_parameters("lstm", INPUTS, UNITS)
            return f"a {name} of {units} units has {has:,} weights, the LSTM {wanted:,}; try another number."
    return None


def _attend(query, key, value, mask=-np.inf, after=False, k=1, axis=1, scale=True):
    """Attention of one sequence; the arguments make typical mistakes."""
    score = query @ key.T / (np.sqrt(query.shape[1]) if scale else 1)
    later = np.triu(np.ones_like(score), k) > 0
    if mask is not None and not after:
        score = np.where(later, mask, score)
    share = np.exp(score - score.max())
    share = share / np.maximum(share.sum(axis=axis, keepdims=True), 1e-12)
    return np.where(later, 0, share) @ value if after else share @ value


@checker(
    "51.2",
    wrong=[
        lambda: lambda q, k, v: _attend(q, k, v, mask=None),
        lambda: lambda q, k, v: _attend(q, k, v, after=True),
        lambda: lambda q, k, v: _attend(q, k, v, k=0),
        lambda: lambda q, k, v: _attend(q, k, v, axis=0),
        lambda: lambda q, k, v: _attend(q, k, v, scale=False),
        lambda: lambda q, k, v: _attend(q, k, v, mask=0.0),
    ],
    right=lambda: _attend,
)
def causal_attention(answer: Any) -> str | None:
    """Change the later steps, look at the first step, compare with the whole."""
    rng = np.random.default_rng(51)
    query, key, value = rng.normal(size=(6, 4)), rng.normal(size=(6, 4)), rng.normal(size=(6, 3))
    given = np.asarray(answer(query.copy(), key.copy(), value.copy()), dtype=float)
    if given.shape != value.shape:
        return f"return one row of values for every step, {value.shape}, not {given.shape}."
    late_key, late_value = key.copy(), value.copy()
    late_key[4:], late_value[4:] = 3.0, -5.0
    again = np.asarray(answer(query.copy(), late_key, late_value), dtype=float)
    if not close(given[:4], again[:4]):
        return "steps 4 and 5 changed, and so did rows before them: set later scores to minus infinity first."
    if not close(given[0], value[0]):
        return "the first step can see itself only: its row is value[0]. Is the step itself masked?"
    if close(given, _attend(query, key, value, scale=False)):
        return "divide the scores by the square root of the size."
    if not close(given, _attend(query, key, value)):
        return "every row of weights has to sum to 1: the softmax goes over the columns, the steps looked at."
    return None


LAST = 23  # the last week that is known


def every_third_week(seed: int = 0) -> np.ndarray:
    """Invent 120 households of 28 weeks, 0 or 1: a trip in every third week, four in a hundred otherwise."""
    rng = np.random.default_rng(seed)
    trips = (np.arange(28) + rng.integers(3, size=(120, 1))) % 3 == 0
    return (trips ^ (rng.random(trips.shape) < 0.04)).astype(np.float32)


def _trained(trips, cutoff, known=0, epochs=12, layer="GRU"):
    """Train a small network; with `known` more weeks than are allowed it leaks."""
    import keras

    first = getattr(keras.layers, layer)(12, return_sequences=True)
    model = keras.Sequential([keras.Input((None, 1)), first, keras.layers.Dense(1, activation="sigmoid")])
    model.compile(keras.optimizers.Adam(0.03), "binary_crossentropy")
    weeks = trips[:, : cutoff + 1 + known, None]
    if epochs:
        model.fit(weeks[:, :-1], weeks[:, 1:], batch_size=30, epochs=epochs, verbose=0)
    return model, np.asarray(model(trips[:, : cutoff + 1, None]))[:, -1, 0]


def _has_lstm(model: Any) -> bool:
    import keras

    layers = getattr(model, "layers", [])
    inner = [getattr(layer, "layer", None) or getattr(layer, "forward_layer", None) for layer in layers]
    found = [layer for layer in (*layers, *inner) if layer is not None]
    return any(isinstance(layer, keras.layers.LSTM) or _has_lstm(layer) for layer in found)


@checker(
    "51.3",
    wrong=[
        lambda: lambda trips, cutoff: _trained(trips, cutoff, layer="LSTM"),
        lambda: lambda trips, cutoff: _trained(trips, cutoff, known=3),
        lambda: lambda trips, cutoff: _trained(trips, cutoff, epochs=0),
        lambda: lambda trips, cutoff: _trained(trips, cutoff)[1],
        lambda: (
            lambda trips, cutoff: (
                _trained(trips, cutoff, epochs=1)[0],
                trips[:, : cutoff + 1].mean(axis=1),
            )
        ),
    ],
    right=lambda: _trained,
)
def own_network(answer: Any) -> str | None:
    """Train on an invented shop, change its future, and compare with the households' own shares."""
    trips = every_third_week()
    future = trips.copy()
    future[:, LAST + 1 :] = 1 - future[:, LAST + 1 :]
    shaped = f"give each household one probability, shape ({len(trips)},), not {{}}."
    model, given, problem = run_on((trips, future), answer, LAST, (len(trips),), shaped)
    if problem:
        return problem
    if any((p < 0).any() or (p > 1).any() for p in given):
        return "a probability lies between 0 and 1; does the network end in a sigmoid?"
    if _has_lstm(model):
        return "there is an LSTM in the model; this exercise asks for another kind of network."
    if problem := untrained_hint(model) or leak_hint(given):
        return problem
    happened = trips[:, LAST + 1]
    own, base = (
        -np.log(np.clip(np.where(happened > 0, p, 1 - p), 1e-7, 1)).mean()
        for p in (given[0], trips[:, : LAST + 1].mean(axis=1))
    )
    if own < 0.6 * base:
        return None
    return (
        f"log-loss {own:.2f}; the households' own shares have {base:.2f}. Train on a forecast after every "
        "week, with more epochs or a learning rate of about 0.02."
    )
