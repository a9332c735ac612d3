"""Self-checks of lesson 42, recommendation: train."""

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
    return "each unit of each gate reads the bag, the context and the state before, and has one bias."


def _case(seed: int):
    rng = np.random.default_rng(seed)
    multi_hot = (rng.random((5, 8)) < 0.4).astype(float)
    multi_hot[2] = 0
    return multi_hot, rng.normal(size=(8, 3))


def _bag(multi_hot, embedding):
    size = multi_hot.sum(axis=1, keepdims=True)
    return multi_hot @ embedding / np.sqrt(np.maximum(size, 1))


def _mean(multi_hot, embedding):
    return multi_hot @ embedding / np.maximum(multi_hot.sum(axis=1, keepdims=True), 1)


@checker(
    "42.2",
    wrong=[lambda: _mean, lambda: lambda multi_hot, embedding: multi_hot @ embedding],
    right=lambda: _bag,
)
def bag_vectors(answer: Any) -> str | None:
    """Bags of embeddings."""
    for seed in range(3):
        multi_hot, embedding = _case(seed)
        got = np.asarray(answer(multi_hot.copy(), embedding.copy()), float)
        if got.shape != (5, 3):
            return f"the shape is {got.shape}; five trips and vectors of three numbers give (5, 3)."
        if not np.isfinite(got).all():
            return "the empty trip divides by zero."
        if not close(got, _bag(multi_hot, embedding)):
            return "sum the vectors of the trip's items, then divide by the square root of their number."
    return None


def _loss(scores, owned, bought):
    new = ~owned
    return float(np.log(np.exp(scores[new]).sum()) - scores[bought & new].mean())


def _no_mask(scores, owned, bought):
    return float(np.log(np.exp(scores).sum()) - scores[bought].mean())


def _target_not_masked(scores, owned, bought):
    return float(np.log(np.exp(scores[~owned]).sum()) - scores[bought].mean())


@checker("42.3", wrong=[lambda: _no_mask, lambda: _target_not_masked], right=lambda: _loss)
def discovery_loss(answer: Any) -> str | None:
    """Cross-entropy of a set with owned items masked."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        scores, owned, bought = rng.normal(size=9), rng.random(9) < 0.4, rng.random(9) < 0.5
        owned[0], bought[0], owned[1], bought[1] = True, True, False, True
        got = answer(scores.copy(), owned.copy(), bought.copy())
        if close(got, _no_mask(scores, owned, bought)):
            return "owned items must leave the softmax and the target."
        if close(got, _target_not_masked(scores, owned, bought)):
            return "an owned item that was bought again is no discovery: it leaves the target too."
        if not close(got, _loss(scores, owned, bought)):
            return (
                "log of the sum of exp(scores) over new items, minus the mean score of the new items bought."
            )
    return None
