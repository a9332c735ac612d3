"""Self-checks of lesson 42, recommendation: train."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ecomlib.exercises import checker, close

UNITS, INPUTS = 32, 16 + 9


def _n_weights() -> int:
    return sum(UNITS * (INPUTS + UNITS + 1) for gate in "ifco")


@checker(
    "42.1",
    wrong=[
        lambda: _n_weights() // 4,
        lambda: 4 * UNITS * (INPUTS + UNITS),
        lambda: 4 * UNITS * (16 + UNITS + 1),
    ],
    right=_n_weights,
)
def count_weights(answer: Any) -> str | None:
    """Weights of an LSTM layer."""
    if int(answer) == _n_weights():
        return None
    if int(answer) * 4 == _n_weights():
        return "an LSTM has four sets of weights, one for each gate and one for the candidate."
    return "each unit of each gate reads the basket, the context and the state before, and has one bias."


K, TRIPS, SINCE = 12, 16, 4  # items, trips of a household; trips that are not scored, for want of a past


def _invented(n: int, seed: int) -> np.ndarray:
    """Trips as 0/1, (n, TRIPS, K): a habit that goes on from the trip before the last, and a chance item."""
    rng = np.random.default_rng(seed)
    habit = rng.integers(0, K, (n, TRIPS))
    for t in range(2, TRIPS):
        habit[:, t] = np.where(rng.random(n) < 0.9, (habit[:, t - 2] + 3) % K, habit[:, t])
    return np.maximum(np.eye(K)[habit], np.eye(K)[rng.integers(0, K, (n, TRIPS))]).astype(np.float32)


def _recall(scores: np.ndarray, trips: np.ndarray) -> float:
    """Recall@2 of the scores after each trip for the next one."""
    best = np.argsort(-scores[:, SINCE:-1], axis=2)[:, :, :2]
    right = trips[:, SINCE + 1 :]
    return float((np.take_along_axis(right, best, axis=2).sum(axis=2) / right.sum(axis=2)).mean())


def _chain(trips: np.ndarray, new: np.ndarray) -> np.ndarray:
    counts = np.einsum("nti,ntj->ij", trips[:, :-1], trips[:, 1:]) + 1
    return new @ (counts / counts.sum(axis=1, keepdims=True))


def _training(epochs: int = 40, both_ways: bool = False, recurrent: bool = True, shift: int = 1) -> Callable:
    def train(trips):
        import keras

        x, y = trips[:, : TRIPS - shift], trips[:, shift:]
        layer = keras.layers.LSTM(32, return_sequences=True)
        layer = keras.layers.Bidirectional(layer) if both_ways else layer
        hidden = layer if recurrent else keras.layers.Dense(32, activation="relu")
        net = keras.Sequential([keras.Input((None, trips.shape[2])), hidden, keras.layers.Dense(K)])
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
        net.compile(keras.optimizers.Adam(0.01), loss)
        net.fit(x, y / y.sum(axis=2, keepdims=True), batch_size=32, epochs=epochs, verbose=0)
        return net

    return train


@checker(
    "42.2",
    wrong=[
        lambda: _training(1, both_ways=True),
        lambda: _training(3, recurrent=False),
        lambda: _training(3, shift=0),
        lambda: lambda trips: trips,
    ],
    right=_training,
)
def next_trip(answer: Any) -> str | None:
    """Train on invented households, ask about others; later trips must not move earlier scores."""
    import keras

    trips, new = _invented(256, 0), _invented(128, 1)
    keras.utils.set_random_seed(0)
    net = answer(trips.copy())
    if not isinstance(net, keras.Model):
        return "return the trained network, a keras.Model."
    scores = np.asarray(net(new))
    if scores.shape != new.shape:
        return f"scores of shape {scores.shape}; each of the {new.shape[:2]} trips needs {K} scores."
    changed = new.copy()
    changed[:, 9:] = _invented(128, 2)[:, 9:]
    if np.abs(np.asarray(net(changed))[:, :9] - scores[:, :9]).max() > 1e-4:
        return "other trips after the ninth moved a score before it: the network reads the future."
    ours, simple = _recall(scores, new), _recall(_chain(trips, new), new)
    if ours < simple + 0.2:
        return (
            f"recall@2 {ours:.2f}, the Markov chain has {simple:.2f}. Is the target the trip after, does a "
            "layer remember the trip before the last, are there enough epochs?"
        )
    return None


def _loss(scores, owned, bought):
    new = ~owned
    return float(np.log(np.exp(scores[new]).sum()) - scores[bought & new].mean())


def _slope(scores, owned, bought):
    share, right = np.exp(scores) * ~owned, bought & ~owned
    return share / share.sum() - right / right.sum()


def _no_mask(scores, owned, bought):
    return np.exp(scores) / np.exp(scores).sum() - bought / bought.sum()


def _target_not_masked(scores, owned, bought):
    share = np.exp(scores) * ~owned
    return share / share.sum() - bought / bought.sum()


def _not_shared(scores, owned, bought):
    share = np.exp(scores) * ~owned
    return share / share.sum() - (bought & ~owned)


@checker(
    "42.3",
    wrong=[
        lambda: _no_mask,
        lambda: _target_not_masked,
        lambda: _not_shared,
        lambda: lambda s, o, b: -_slope(s, o, b),
    ],
    right=lambda: _slope,
)
def discovery_slope(answer: Any) -> str | None:
    """Slope of the cross-entropy of a set with owned items masked, against tiny changes of each score."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        scores, owned, bought = rng.normal(size=9), rng.random(9) < 0.4, rng.random(9) < 0.5
        owned[0], bought[0], owned[1:3], bought[1:3] = True, True, False, True
        step = 1e-5 * np.eye(9)
        change = [_loss(scores + s, owned, bought) - _loss(scores - s, owned, bought) for s in step]
        got = np.asarray(answer(scores.copy(), owned.copy(), bought.copy()), float)
        if got.shape != (9,):
            return f"the shape is {got.shape}; each of the 9 items has one slope, (9,)."
        if np.abs(got[owned]).max() > 1e-6:
            return "the loss does not depend on the score of an owned item: its slope is 0."
        if close(got, -np.array(change) / 2e-5, 1e-4):
            return "the sign is turned: a higher score of an item that was bought makes the loss smaller."
        if not close(got, np.array(change) / 2e-5, 1e-4):
            return "the item's share of the softmax over new items, less 1/n if it is one of the n bought."
    return None
