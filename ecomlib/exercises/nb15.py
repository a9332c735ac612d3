"""Self-checks of lesson 15, preprocessing."""

from typing import Any

import numpy as np
import pandas as pd

from ecomlib.exercises import checker, close
from ecomlib.exercises.networks import run_on, untrained_hint


def _cutoffs() -> int:
    """Count the cutoffs t, 28 days up to t and 7 after it before day 365 - 56, one by one."""
    return sum(1 for t in range(365) if t - 27 >= 0 and t + 7 < 365 - 56)


@checker(
    "15.1",
    wrong=[
        lambda: 365 - 28 - 7 + 1,
        lambda: _cutoffs() - 1,
        lambda: 365 - 56 - 28,
        lambda: "many",
        lambda: _cutoffs() + 0.9,
    ],
    right=_cutoffs,
)
def count_windows(answer: Any) -> str | None:
    """Number of cutoffs before the test period."""
    if float(answer) != int(answer):
        return "a number of cutoffs is a whole number."
    answer = int(answer)
    if answer == _cutoffs():
        return None
    if answer == 365 - 28 - 7 + 1:
        return "that counts the windows of the whole year; the last 56 days are not yours."
    if abs(answer - _cutoffs()) == 1:
        return "off by one: list the first and the last cutoff that is allowed."
    return "count days from 0. What is the first cutoff with 28 days up to it, the last with 7 days after it?"


def _days_since_last_trip(orders, day):
    last = orders.loc[orders["timestamp"] < day].groupby("customer_id")["timestamp"].max()
    return (day - last).dt.days


def _orders(day: pd.Timestamp) -> pd.DataFrame:
    """Draw orders of 30 households, some of which come often, from two months before the day to one after."""
    rng = np.random.default_rng(5)
    n = 500
    often = 1 / np.arange(1, 31)
    hour = rng.integers(-60 * 24, 40 * 24, n)
    hour[:20] = 0  # at 00:00 of the day itself < and <= differ
    orders = pd.DataFrame(
        {
            "customer_id": rng.choice(np.arange(101, 131), n, p=often / often.sum()),
            "order_id": np.arange(5001, 5001 + n),
            "timestamp": day + pd.to_timedelta(hour, unit="h"),
            "store_id": rng.integers(301, 305, n),
        }
    )
    lines = orders.loc[orders.index.repeat(rng.integers(1, 5, n))].sort_values("timestamp", ignore_index=True)
    n = len(lines)
    return lines.assign(
        product_id=rng.integers(1001, 1031, n),
        quantity=rng.integers(1, 4, n),
        revenue=rng.gamma(2.0, 5.0, n).round(2),
        discount=np.where(rng.random(n) < 0.4, rng.gamma(2.0, 1.0, n).round(2), 0.0),
        manufacturer_coupon=np.where(rng.random(n) < 0.1, 0.5, 0.0),
    )


def _before(orders, day):
    return orders[orders["timestamp"] < day]


@checker(
    "15.2",
    wrong=[
        lambda: lambda orders, day: orders.groupby("customer_id")["revenue"].sum(),
        lambda: lambda orders, day: orders[orders["timestamp"] <= day].groupby("customer_id").size(),
        lambda: lambda orders, day: pd.Series(1.0, index=orders["customer_id"].unique()[:1].repeat(5)),
        lambda: lambda orders, day: _before(orders, day).groupby("product_id")["revenue"].sum(),
        lambda: lambda orders, day: _before(orders, day).groupby("order_id")["revenue"].sum(),
        lambda: lambda orders, day: _days_since_last_trip(orders, day).reset_index(drop=True),
        lambda: lambda orders, day: _before(orders, day).set_index("customer_id")["revenue"],
        lambda: lambda orders, day: _days_since_last_trip(orders, day) * 0,
    ],
    right=lambda: _days_since_last_trip,
)
def feature(answer: Any) -> str | None:
    """Unmoved by what happens from the day on, and different between households."""
    day = pd.Timestamp("2024-03-01")
    orders = _orders(day)
    value = answer(orders.copy(), day)
    if not isinstance(value, pd.Series):
        return f"return a pandas Series indexed by customer_id, not {type(value).__name__}."
    if not value.index.is_unique or not value.index.isin(orders["customer_id"]).all():
        return "one row per household: index the Series by customer_id."
    past = orders["timestamp"] < day
    changed = orders.copy()
    for column in ("revenue", "quantity", "discount", "manufacturer_coupon"):
        changed.loc[~past, column] *= 7
    changed.loc[~past, "customer_id"] = 231 - changed.loc[~past, "customer_id"]
    for later in (changed, orders[past].copy()):
        other = answer(later, day)
        if not value.index.sort_values().equals(other.index.sort_values()):
            return "which households you describe depends on the orders from the day on: it leaks."
        if not value.sort_index().equals(other.sort_index()):
            return "your feature moves when what happens on or after the day changes: it leaks."
    if value.nunique() < 2:
        return "your feature is the same for every household; choose one that tells them apart."
    return None


TEST = 150  # first day of the test


def drifting_days(seed: int = 0) -> np.ndarray:
    """Invent 200 days of sales, in dollars: weekends are higher, and the level wanders."""
    rng = np.random.default_rng(seed)
    level = 1000 * np.exp(0.12 * rng.normal(size=200)).cumprod() ** 0.5
    weekend = np.where(np.arange(200) % 7 >= 5, 1.5, 1.0)
    return level * weekend * np.exp(0.03 * rng.normal(size=200))


def _forecaster(series, test_start, scale_to=None, reach=0, train_to=None, epochs=60):
    """Forecast each day from test_start on; `scale_to`, `reach` and `train_to` make it leak."""
    import keras

    log = np.log(series)
    seen = log[: scale_to or test_start]
    z = (log - seen.mean()) / seen.std()
    days = np.arange(7, len(z))
    x = np.stack([z[day - 7 + reach : day + reach] for day in days])[..., None]
    train, test = days < (train_to or test_start), days >= test_start
    network = keras.Sequential([keras.Input((7, 1)), keras.layers.LSTM(16), keras.layers.Dense(1)])
    network.compile(keras.optimizers.Adam(0.02), "mae")
    if epochs:
        network.fit(x[train], z[7:][train], epochs=epochs, batch_size=32, verbose=0)
    made = np.asarray(network(x[test]))[:, 0]
    return network, np.exp(made * seen.std() + seen.mean())


def _weekday_mean(series, test_start):
    days = np.arange(test_start, len(series))
    return np.mean([series[days - 7 * k] for k in range(1, 9)], axis=0)


@checker(
    "15.3",
    wrong=[
        lambda: lambda series, start: _forecaster(series, start, scale_to=len(series), epochs=2),
        lambda: lambda series, start: _forecaster(series, start, reach=1, epochs=2),
        lambda: lambda series, start: _forecaster(series, start, train_to=len(series), epochs=2),
        lambda: lambda series, start: _forecaster(series, start, epochs=0),
        lambda: lambda series, start: _forecaster(series, start, epochs=0)[1],
        lambda: lambda series, start: (_forecaster(series, start, epochs=2)[0], _weekday_mean(series, start)),
    ],
    right=lambda: _forecaster,
)
def honest_forecaster(answer: Any) -> str | None:
    """Train on invented sales, change them from a day of the test on, and compare with the weekday mean."""
    series, middle = drifting_days(), TEST + 20
    changed = series.copy()
    changed[middle:] *= 3
    shaped = f"one forecast per test day, shape ({len(series) - TEST},), not {{}}."
    shape = (len(series) - TEST,)
    model, given, problem = run_on((series, changed), answer, TEST, shape, shaped, "forecasts")
    if problem := problem or untrained_hint(model):
        return problem
    upto = middle - TEST + 1  # the forecast for the first changed day was made before it
    if not close(given[0][:upto], given[1][:upto], 1e-3):
        return (
            f"sales from day {middle} on changed, and so did forecasts of earlier days. What has seen them: "
            "the scaler, the training rows, or a window that ends too late?"
        )
    forecasts, truth = (given[0], _weekday_mean(series, TEST)), series[TEST:]
    wapes = [np.abs(made - truth).sum() / truth.sum() for made in forecasts]
    if wapes[0] < 0.9 * wapes[1]:
        return None
    return (
        f"WAPE {wapes[0]:.3f}; the mean of eight same weekdays has {wapes[1]:.3f}. Scale inputs and target, "
        "look back seven days or more, train for 50 epochs or more."
    )
