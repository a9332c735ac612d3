"""Self-checks of lesson 15, preprocessing."""

from typing import Any

import numpy as np
import pandas as pd

from ecomlib.exercises import checker, close


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
    return "the first cutoff is day 27; after the last one come 7 days, all before day 309 (365 - 56)."


def _scale_on_all(series, test_start):
    return (series - series.mean()) / series.std()


def _only_train(series, test_start):
    train = series[:test_start]
    return (train - train.mean()) / train.std()


def _scale(series, test_start):
    train = series[:test_start]
    return (series - train.mean()) / train.std()


@checker(
    "15.2",
    wrong=[
        lambda: _scale_on_all,
        lambda: _only_train,
        lambda: lambda s, t: s / s[:t].mean(),
        lambda: lambda s, t: (s - s[:30].mean()) / s[:30].std(),
    ],
    right=lambda: _scale,
)
def scale_honestly(answer: Any) -> str | None:
    """Scaled by the mean and standard deviation of the training part."""
    rng = np.random.default_rng(3)
    for n, start in ((40, 30), (90, 50)):
        series = rng.gamma(2.0, 50.0, size=n)
        scaled = np.asarray(answer(series.copy(), start), dtype=float)
        if scaled.shape != series.shape:
            return f"return the whole series, {series.shape}, not {scaled.shape}."
        future = series.copy()
        future[start:] *= 5
        if not close(answer(future, start)[:start], scaled[:start]):
            return "the training part changes when the test part does: the scaler has seen the future."
        if abs(scaled[:start].mean()) > 1e-6 or abs(scaled[:start].std() - 1) > 0.05:
            return (
                "the training part, all of it up to test_start, should have mean 0 and standard deviation 1."
            )
        if not close(np.diff(scaled) * series[:start].std(), np.diff(series), 0.05):
            return "scale the test part with the same mean and standard deviation."
    return None


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
    "15.3",
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
        if not value.sort_index().equals(other.sort_index()):
            return "your feature moves when what happens on or after the day changes: it leaks."
    if value.nunique() < 2:
        return "your feature is the same for every household; choose one that tells them apart."
    return None
