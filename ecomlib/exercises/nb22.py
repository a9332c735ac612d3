"""Self-checks of 22_sales_train."""

from typing import Any

import numpy as np

from ecomlib.exercises import checker, close
from ecomlib.exercises.networks import leak_hint, run_on, untrained_hint

UNITS, N_IN = 48, 7 * (1 + 17) + 8


def _weights(units: int, n_in: int) -> int:
    return 4 * units * (units + n_in + 1)


@checker(
    "22.1",
    wrong=[lambda: _weights(UNITS, 18 + 8), lambda: _weights(UNITS, N_IN) // 4, lambda: _weights(32, N_IN)],
    right=lambda: _weights(UNITS, N_IN),
)
def encoder_weights(answer: Any) -> str | None:
    """Count the weights of the encoder's LSTM."""
    if close(answer, _weights(UNITS, N_IN)):
        return None
    if close(answer, _weights(UNITS, N_IN) / 4):
        return "that is one gate; an LSTM has four sets of weights: input, forget, candidate and output."
    if close(answer, _weights(UNITS, 18 + 8)):
        return "a folded step holds seven days: n is 7 times 18, plus the embedding."
    return "n = 7 * (1 + 17) + 8 inputs per step and u = 48 units in 4 u (u + n + 1)."


DAYS, LAST, READ, AHEAD = 168, 153, 28, 7  # of the invented shop; the cutoff; what the network reads


def fortnightly_sales() -> np.ndarray:
    """Daily sales (12, DAYS): a rhythm of the week, and every other week is a good one."""
    rng = np.random.default_rng(0)
    week = np.arange(DAYS) // 7
    rhythm = np.tile([0.8, 0.8, 0.9, 0.9, 1.1, 1.4, 1.1], DAYS // 7)
    good = 1 + 0.4 * (-1.0) ** (week + np.arange(12)[:, None])  # half of the series start with a bad week
    return rng.gamma(3, 100, (12, 1)) * rhythm * good * rng.gamma(100, 0.01, (12, DAYS))


def _trained(sales, cutoff, known=0, epochs=8):
    """Train a small network; `known` more days than are allowed make it leak."""
    import keras

    rows = np.lib.stride_tricks.sliding_window_view(sales[:, : cutoff + 1 + known], READ + AHEAD, axis=1)
    rows = rows.reshape(-1, READ + AHEAD)
    rows = rows / rows[:, :READ].mean(axis=1, keepdims=True)
    layers = [keras.layers.Reshape((READ // 7, 7)), keras.layers.LSTM(16), keras.layers.Dense(AHEAD)]
    model = keras.Sequential([keras.Input((READ,)), *layers])
    model.compile(keras.optimizers.Adam(0.01), "mae")
    if epochs:
        model.fit(rows[:, :READ], rows[:, READ:], batch_size=64, epochs=epochs, verbose=0)
    last = sales[:, cutoff + 1 - READ : cutoff + 1]
    scale = last.mean(axis=1, keepdims=True)
    return model, np.asarray(model(last / scale)) * scale


def _the_mean(sales, cutoff):
    return sales[:, cutoff - 55 : cutoff + 1].reshape(-1, 8, 7).mean(axis=1)


@checker(
    "22.2",
    wrong=[
        lambda: lambda sales, cutoff: _trained(sales, cutoff, known=AHEAD, epochs=1),
        lambda: lambda sales, cutoff: _trained(sales, cutoff, epochs=0),
        lambda: lambda sales, cutoff: (_trained(sales, cutoff, epochs=1)[0], _the_mean(sales, cutoff)),
        lambda: lambda sales, cutoff: _trained(sales, cutoff, epochs=0)[1],
    ],
    right=lambda: _trained,
)
def own_network(answer: Any) -> str | None:
    """Train on an invented shop, change its future, and compare with the mean of eight weeks."""
    sales = fortnightly_sales()
    future = sales.copy()
    future[:, LAST + 1 :] = 1000 * np.random.default_rng(1).random((len(sales), DAYS - LAST - 1))
    shape, made = (len(sales), AHEAD), "forecasts"
    shaped = f"seven days per series are asked for, shape {shape}, not {{}}."
    model, given, problem = run_on((sales, future), answer, LAST, shape, shaped, made)
    if problem := problem or leak_hint(given, "days", made) or untrained_hint(model):
        return problem
    truth = sales[:, LAST + 1 : LAST + 1 + AHEAD]
    own, base = (np.abs(f - truth).sum() / truth.sum() for f in (given[0], _the_mean(sales, LAST)))
    if own < 0.6 * base:
        return None
    return (
        f"WAPE {own:.3f}; the mean of eight weeks has {base:.3f}. Read four weeks or more, divide each "
        f"window by its mean, train for more epochs, and multiply the forecasts by the mean again."
    )


def _verdict(before, after):
    before, after = np.asarray(before), np.asarray(after)
    gap = after.mean() - before.mean()
    error = np.sqrt(before.var(ddof=1) / len(before) + after.var(ddof=1) / len(after))
    if abs(gap) < 2.5 * error:
        return "cannot say"
    return "better" if gap < 0 else "worse"


@checker(
    "22.3",
    wrong=[
        lambda: lambda before, after: "better" if np.mean(after) < np.mean(before) else "worse",
        lambda: lambda before, after: "cannot say",
        lambda: lambda before, after: "better" if min(after) < min(before) else "cannot say",
    ],
    right=lambda: _verdict,
)
def verdict(answer: Any) -> str | None:
    """Hand over pairs that clearly differ, and pairs that differ by chance."""
    chance = [([0.180, 0.186, 0.183], [0.184, 0.179, 0.182]), ([0.20, 0.18, 0.19], [0.185, 0.192, 0.179])]
    for before, after in chance:
        for pair in ((before, after), (after, before)):
            if answer(*pair) != "cannot say":
                return "seeds that overlap widely differ by chance; compare the gap with their spread."
    if answer([0.180, 0.186, 0.183], [0.160, 0.163, 0.158]) != "better":
        return "here every seed after the change is far below every seed before: a lower WAPE is better."
    if answer([0.160, 0.163, 0.158], [0.180, 0.186, 0.183]) != "worse":
        return "here every seed after the change is far above every seed before."
    return None
