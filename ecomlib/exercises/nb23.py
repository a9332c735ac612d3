"""Self-checks of 23_sales_evaluate."""

from functools import cache, partial
from typing import Any

import numpy as np

from ecomlib.exercises import checker, close
from ecomlib.exercises.networks import leak_hint, run_on, untrained_hint

MISSING, LEFT = 0.30, 0.10


@checker(
    "23.1",
    wrong=[lambda: LEFT / (MISSING + LEFT), lambda: MISSING, lambda: 0.9],
    right=lambda: MISSING / (MISSING + LEFT),
)
def best_quantile(answer: Any) -> str | None:
    """Apply the newsvendor rule."""
    if close(answer, MISSING / (MISSING + LEFT)):
        return None
    if close(answer, LEFT / (MISSING + LEFT)):
        return "that is the share of days on which the shelf runs empty; the order is the other one."
    return "divide the cost of a missing dollar by the sum of both costs."


def two_models() -> tuple[np.ndarray, np.ndarray]:
    """Errors (8 weeks, 30 series) of two models; in some weeks, and for some series, the first is better."""
    rng = np.random.default_rng(5)
    b = rng.gamma(4, 25, 30) * rng.gamma(9, 1 / 9, (8, 1)) * rng.gamma(30, 1 / 30, (8, 30))
    return b * np.exp(rng.normal(-0.03, 0.07, (8, 1)) + rng.normal(0, 0.12, 30)), b


def _drawn(a, b, n=1000, weeks=True, series=True, level=0.95, paired=True, cells=False):
    """The interval of the ratio; each argument but n is a way to get it wrong."""
    rng = np.random.default_rng(0)

    def sums(errors, draw):
        return np.einsum("nw,ws,ns->n", draw[0], errors, draw[1])

    def draw():
        counts = [rng.multinomial(size, np.full(size, 1 / size), n) for size in a.shape]
        return [c if wanted else np.ones_like(c) for c, wanted in zip(counts, (weeks, series), strict=True)]

    one = draw()
    ratio = sums(a, one) / sums(b, one if paired else draw())
    if cells:
        counts = rng.multinomial(a.size, np.full(a.size, 1 / a.size), n)
        ratio = counts @ a.ravel() / (counts @ b.ravel())
    return tuple(np.quantile(ratio, [(1 - level) / 2, (1 + level) / 2]))


# Settings of `_drawn`, the right ones first, and what to say to an answer that is nearest to them.
WAYS: list[tuple[dict[str, Any], str]] = [
    ({}, "in each draw: rows and columns with replacement, then a's sum over b's sum of what was drawn."),
    ({"paired": False}, "both models must meet the same draws: draw once, use the draw for both."),
    ({"series": False}, "draw both: the weeks and the series."),
    ({"weeks": False}, "draw both: the weeks and the series."),
    ({"cells": True}, "draw whole weeks and whole series; what a week does to all series is chance, too."),
    ({"level": 0.8}, "95 % of the draws lie between the 2.5 and the 97.5 % quantile."),
]


@cache
def _ends() -> np.ndarray:
    """The interval of many draws in each of the WAYS, (n_ways, 2)."""
    return np.array([_drawn(*two_models(), n=10_000, **other) for other, _ in WAYS])


@checker(
    "23.2",
    wrong=[
        lambda: partial(_drawn, weeks=False),
        lambda: partial(_drawn, series=False),
        lambda: partial(_drawn, paired=False),
        lambda: partial(_drawn, cells=True),
        lambda: partial(_drawn, level=0.8),
        lambda: lambda a, b: _drawn(b, a),
        lambda: lambda a, b: a.sum() / b.sum(),
    ],
    right=lambda: _drawn,
)
def interval_of_ratio(answer: Any) -> str | None:
    """Compare with the interval of many draws of weeks and series, and with those of other draws."""
    a, b = two_models()
    found = np.asarray(answer(a.copy(), b.copy()), dtype=float)
    if found.shape != (2,) or not found[0] < found[1]:
        return "return two numbers, the low and the high end."

    off = np.abs(_ends() - found).max(axis=1)
    right = off.argmin() == 0 and off[0] < 0.1 * np.ptp(_ends()[0])
    return None if right else WAYS[off.argmin()][1]


SERIES, WEEKS, READ, AHEAD = 120, 24, 14, 7  # of the invented shop; the days that the right answer reads
LAST = 7 * (WEEKS - 1) - 1  # the cutoff, a Sunday


def two_kinds_of_weeks() -> np.ndarray:
    """Daily sales (SERIES, 7 * WEEKS): calm weeks and wild ones take turns, half of the series begin calm."""
    rng = np.random.default_rng(0)
    wild = np.repeat((np.arange(WEEKS) + np.arange(SERIES)[:, None]) % 2, 7, axis=1)
    noise = np.where(wild, rng.gamma(1, 1, wild.shape), rng.gamma(60, 1 / 60, wild.shape))
    return rng.gamma(3, 100, (SERIES, 1)) * noise


def _cost(orders, sold):
    return np.maximum(0.45 * (sold - orders), 0.05 * (orders - sold)).sum()


def with_margin(sales: np.ndarray, cutoff: int) -> np.ndarray:
    """Mean of eight weeks and the margin that was cheapest in the eight weeks before: (n, AHEAD)."""

    def mean(end):
        return sales[:, end - 55 : end + 1].reshape(-1, 8, 7).mean(axis=1)

    past = [(mean(end), sales[:, end + 1 : end + 8]) for end in range(cutoff - 56, cutoff, 7)]
    share = np.arange(1, 3, 0.05)
    return share[np.argmin([sum(_cost(f * m, y) for m, y in past) for f in share])] * mean(cutoff)


def _ordered(sales, cutoff, known=0, epochs=20, q=0.9):
    """Train a small network; `known` more days than are allowed make it leak."""
    import keras

    weeks = sales[:, : cutoff + 1 + known].reshape(len(sales), -1, 7)
    scale = weeks.mean(axis=(1, 2), keepdims=True)
    x = np.stack([weeks[:, :-2] / scale, weeks[:, 1:-1] / scale], axis=2).reshape(-1, 2, 7)
    model = keras.Sequential([keras.Input((2, 7)), keras.layers.LSTM(16), keras.layers.Dense(7)])

    def pinball(y, p):
        return keras.ops.maximum(q * (y - p), (q - 1) * (y - p))

    model.compile(keras.optimizers.Adam(0.01), pinball)
    if epochs:
        model.fit(x, (weeks[:, 2:] / scale).reshape(-1, 7), batch_size=64, epochs=epochs, verbose=0)
    last = sales[:, cutoff + 1 - READ : cutoff + 1].reshape(-1, 2, 7)
    return model, np.asarray(model(last / scale)) * scale[:, 0]


@checker(
    "23.3",
    wrong=[
        lambda: lambda sales, cutoff: _ordered(sales, cutoff, known=AHEAD, epochs=1),
        lambda: lambda sales, cutoff: _ordered(sales, cutoff, epochs=0),
        lambda: lambda sales, cutoff: _ordered(sales, cutoff, q=0.5, epochs=10),
        lambda: lambda sales, cutoff: (_ordered(sales, cutoff, epochs=1)[0], with_margin(sales, cutoff)),
        lambda: with_margin,
    ],
    right=lambda: _ordered,
)
def own_network(answer: Any) -> str | None:
    """Train on an invented shop, change its future, and compare the cost with that of a safety margin."""
    sales = two_kinds_of_weeks()
    future = sales.copy()
    future[:, LAST + 1 :] = 1000 * np.random.default_rng(1).random((SERIES, AHEAD))
    shape, made = (SERIES, AHEAD), "orders"
    shaped = f"seven orders per series are asked for, shape {shape}, not {{}}."
    model, given, problem = run_on((sales, future), answer, LAST, shape, shaped, made)
    if problem := problem or leak_hint(given, "days", made) or untrained_hint(model):
        return problem
    sold = sales[:, LAST + 1 :]
    own, base = (_cost(orders, sold) for orders in (given[0], with_margin(sales, LAST)))
    if own < 0.85 * base:
        return None
    short = np.mean(sold > given[0])
    if short > 0.25:
        return (
            f"{short:.0%} of the days run short; the cheapest are 10 %: which quantile does your loss train?"
        )
    return (
        f"the orders cost {own / base:.2f} times those of the mean with a margin. Divide each series by its "
        f"mean, read two weeks, let the loss be that of the cheapest quantile, and train for more epochs."
    )
