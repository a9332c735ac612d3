"""What the exercises share in which a learner trains a network and forecasts what comes after a cutoff."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ecomlib.exercises import close
from ecomlib.probability import log_loss

Run = tuple[Any, list[np.ndarray], str | None]


def run_on(
    shops: Sequence[np.ndarray],
    answer: Callable[[np.ndarray, int], Any],
    cutoff: int,
    shape: tuple[int, ...],
    wrong_shape: str,
    made: str = "probabilities",
    kinds: type[tuple] | tuple[type[tuple], type[list]] = tuple,
) -> Run:
    """Run an answer on shops that differ after the cutoff, each time from the same seed.

    `shape` is that of what an answer gives beside its model, `wrong_shape` the hint where it is another; {}
    in it becomes the shape that was given.

    Returns
    -------
    model, given, hint
        The model of the last run, what every run gave, and what is wrong with their form, or None.
    """
    import keras

    model: Any = None
    given: list[np.ndarray] = []
    for shop in shops:
        keras.utils.set_random_seed(0)
        pair = answer(shop.copy(), cutoff)
        if not isinstance(pair, kinds) or len(pair) != 2 or not isinstance(pair[0], keras.Model):
            return model, given, f"return two things: the trained Keras model and its {made}."
        model = pair[0]
        given.append(np.asarray(pair[1], dtype=float))
        if given[-1].shape != shape:
            return model, given, wrong_shape.format(given[-1].shape)
    return model, given, None


def leak_hint(given: list[np.ndarray], steps: str = "weeks", made: str = "answer") -> str | None:
    """Say so where what an answer gave depends on what came after the cutoff."""
    if close(given[0], given[1], 1e-3):
        return None
    return f"the {steps} after the cutoff changed, and so did your {made}: use columns up to cutoff only."


def no_lstm_hint(model: Any, hint: str = "there is no LSTM layer in the model.") -> str | None:
    """Say so where a Keras model has no LSTM layer."""
    import keras

    return None if any(isinstance(layer, keras.layers.LSTM) for layer in model.layers) else hint


def untrained_hint(model: Any) -> str | None:
    """Say so where a Keras model has made no update."""
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None or int(optimizer.iterations) == 0:
        return "the model has not been trained: compile it, then call fit."
    return None


def range_hint(p: np.ndarray) -> str | None:
    """Say so where probabilities leave 0 to 1."""
    if p.min() < 0 or p.max() > 1:
        return "a probability lies between 0 and 1: end the network in a sigmoid."
    return None


def loss_hint(
    p: np.ndarray, y: np.ndarray, rival: np.ndarray, name: str, share: float, advice: str
) -> str | None:
    """Say so where the log-loss of probabilities is not below a share of the rival's; `name` is the rival's.

    `p`, `y` (what came, 0 or 1) and `rival` have one shape.
    """
    own, base = log_loss(p, y).mean(), log_loss(rival, y).mean()
    return None if own < share * base else f"log-loss {own:.3f}; {name} has {base:.3f}. {advice}"
