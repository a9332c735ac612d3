"""Self-checks of 61_your_own_shop."""

from typing import Any

import numpy as np

from ecomlib.exercises import checker
from ecomlib.exercises.networks import leak_hint, run_on, untrained_hint
from ecomlib.runtime import ROOT
from ecomlib.shop import Shop

LIST = ROOT / "data" / "exports" / "umsatzliste.csv"


def _read(*names: str, **options: Any) -> Shop:
    """The list, with some of its columns named."""
    from ecomlib import open_shop

    ours = {"order_id": "Belegnr", "customer_id": "Kundennr"}
    return open_shop(LIST, columns={name: ours[name] for name in names}, **options)


@checker(
    "61.1",
    wrong=[
        lambda: _read("customer_id", currency="EUR"),
        lambda: _read("order_id"),
        lambda: _read("order_id", currency="EUR", guests="drop"),
        lambda: _read("order_id", currency="EUR").report,
    ],
    right=lambda: _read("order_id", currency="EUR"),
)
def named_columns(answer: Any) -> str | None:
    """Compare with the list as its columns say it."""
    if not isinstance(answer, Shop):
        return "give the shop that open_shop returns."
    wanted = _read("order_id", currency="EUR").orders
    if len(answer.orders) != len(wanted):
        return "lines are missing: sales without a customer count, too; leave the switches as they are."
    if set(answer.orders["order_id"]) != set(wanted["order_id"]):
        return "which column numbers the receipts? Name it: columns={'order_id': ...}."
    if answer.currency != "€":
        return "the amounts are in euros: currency='EUR'."
    return None


def _verdict(ratios, smaller_is_better=True, tail=0.025):
    low, high = np.quantile(ratios, [tail, 1 - tail])
    if low <= 1 <= high:
        return "level"
    return "better" if (high < 1) == smaller_is_better else "worse"


@checker(
    "61.2",
    wrong=[
        lambda: lambda ratios, smaller_is_better=True: "better" if np.mean(ratios) < 1 else "worse",
        lambda: lambda ratios, smaller_is_better=True: _verdict(ratios),
        lambda: lambda ratios, smaller_is_better=True: _verdict(ratios, smaller_is_better, 0.16),
        lambda: lambda ratios, smaller_is_better=True: "level",
    ],
    right=lambda: _verdict,
)
def one_word(answer: Any) -> str | None:
    """Draws on both sides of 1, for an error and for a recall."""
    rng = np.random.default_rng(0)
    for centre, spread, word in ((0.9, 0.02, "better"), (1.1, 0.02, "worse"), (0.97, 0.02, "level")):
        ratios = rng.normal(centre, spread, 1000)
        if answer(ratios.copy()) != word:
            return (
                f"an error's ratio of {centre} with a spread of {spread} is {word!r}: take the middle 95 %."
            )
    if answer(rng.normal(1.1, 0.02, 1000), smaller_is_better=False) != "better":
        return "for a recall more is better: above 1 the network is ahead."
    if answer(rng.normal(0.9, 0.02, 1000), smaller_is_better=False) != "worse":
        return "for a recall less is worse: below 1 the network is behind."
    return None


DAYS, CUTOFF, READ, AHEAD = 280, 251, 28, 7  # of the invented list; the last day known; the windows


def paydays() -> np.ndarray:
    """Daily sales (DAYS,): a rhythm of the week, and every fourth week, after payday, twice as much."""
    rng = np.random.default_rng(0)
    rhythm = np.tile([0.8, 0.8, 0.9, 1.0, 1.2, 1.3, 1.0], DAYS // 7)
    rich = np.where(np.arange(DAYS) // 7 % 4 == 3, 2.0, 1.0)
    return 900 * rhythm * rich * rng.gamma(100, 0.01, DAYS)


def _trained(sales, cutoff, known=0, epochs=25):
    """Train a small LSTM; `known` more days than are allowed make it leak."""
    import keras

    rows = np.lib.stride_tricks.sliding_window_view(sales[: cutoff + 1 + known], READ + AHEAD)
    scale = rows[:, :READ].mean(axis=1, keepdims=True)
    x, y = np.split(rows / scale, [READ], axis=1)
    layers = [keras.layers.Reshape((READ // 7, 7)), keras.layers.LSTM(24), keras.layers.Dense(AHEAD)]
    model = keras.Sequential([keras.Input((READ,)), *layers])
    model.compile(keras.optimizers.Adam(0.02), "mae")
    if epochs:
        model.fit(x, y, batch_size=32, epochs=epochs, verbose=0)
    last = sales[cutoff + 1 - READ : cutoff + 1]
    return model, np.asarray(model(last[None] / last.mean()))[0] * last.mean()


def _weekday_mean(sales, cutoff):
    return sales[cutoff - 55 : cutoff + 1].reshape(8, 7).mean(axis=0)


@checker(
    "61.3",
    wrong=[
        lambda: lambda sales, cutoff: _trained(sales, cutoff, known=AHEAD, epochs=1),
        lambda: lambda sales, cutoff: _trained(sales, cutoff, epochs=0),
        lambda: lambda sales, cutoff: (_trained(sales, cutoff, epochs=1)[0], _weekday_mean(sales, cutoff)),
        lambda: lambda sales, cutoff: _trained(sales, cutoff, epochs=1)[1],
    ],
    right=lambda: _trained,
)
def own_network(answer: Any) -> str | None:
    """Train on an invented list of days, change its future, and compare with the mean of eight weeks."""
    sales = paydays()
    future = sales.copy()
    future[CUTOFF + 1 :] = 3000 * np.random.default_rng(1).random(DAYS - CUTOFF - 1)
    shaped = f"the next seven days are asked for, shape ({AHEAD},), not {{}}."
    model, given, problem = run_on((sales, future), answer, CUTOFF, (AHEAD,), shaped, "forecast")
    if problem := problem or leak_hint(given, "days", "forecast") or untrained_hint(model):
        return problem
    truth = sales[CUTOFF + 1 : CUTOFF + 1 + AHEAD]
    own, base = (np.abs(f - truth).sum() / truth.sum() for f in (given[0], _weekday_mean(sales, CUTOFF)))
    if own < 0.6 * base:
        return None
    return (
        f"WAPE {own:.3f}; the mean of eight weeks has {base:.3f}. Read four weeks, divide each window by "
        f"its mean, train for more epochs, and multiply the forecast by the mean again."
    )
