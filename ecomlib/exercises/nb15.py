"""Self-checks of lesson 15, preprocessing."""

import numpy as np
import pandas as pd

from ecomlib.exercises import checker, close


def _origins() -> int:
    """Count origins t with t - 28 >= 0 and t + 7 <= 365 - 56, one by one."""
    return sum(1 for t in range(366) if t - 28 >= 0 and t + 7 <= 365 - 56)


@checker(
    "15.1",
    wrong=[lambda: 365 - 28 - 7 + 1, lambda: _origins() - 1, lambda: 365 - 56 - 28, lambda: "many"],
    right=_origins,
)
def count_windows(answer):
    """Number of origins before the test period."""
    answer = int(answer)
    if answer == _origins():
        return None
    if answer == 365 - 28 - 7 + 1:
        return "that counts the windows of the whole year; the last 56 days are not yours."
    if abs(answer - _origins()) == 1:
        return "off by one: list the first and the last origin that is allowed."
    return "the first origin has 28 days before it, the last one 7 days before day 309 (365 - 56)."


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
    wrong=[lambda: _scale_on_all, lambda: _only_train, lambda: lambda s, t: s / s[:t].mean()],
    right=lambda: _scale,
)
def scale_honestly(answer):
    """Scaled by the mean and standard deviation of the training part."""
    series = np.random.default_rng(3).gamma(2.0, 50.0, size=40)
    scaled = np.asarray(answer(series.copy(), 30), dtype=float)
    if scaled.shape != series.shape:
        return f"return the whole series, {series.shape}, not {scaled.shape}."
    future = series.copy()
    future[30:] *= 5
    if not close(answer(future, 30)[:30], scaled[:30]):
        return "the training part changes when the test part does: the scaler has seen the future."
    if abs(scaled[:30].mean()) > 1e-6 or abs(scaled[:30].std() - 1) > 0.05:
        return "the training part should have mean 0 and standard deviation 1."
    if not close(np.diff(scaled) * series[:30].std(), np.diff(series), 0.05):
        return "scale the test part with the same mean and standard deviation."
    return None


def _days_since_last_trip(orders, day):
    last = orders.loc[orders["timestamp"] < day].groupby("customer_id")["timestamp"].max()
    return (day - last).dt.days


@checker(
    "15.3",
    wrong=[
        lambda: lambda orders, day: orders.groupby("customer_id")["revenue"].sum(),
        lambda: lambda orders, day: orders[orders["timestamp"] <= day].groupby("customer_id").size(),
        lambda: lambda orders, day: pd.Series(1.0, index=orders["customer_id"].unique()[:1].repeat(5)),
    ],
    right=lambda: _days_since_last_trip,
)
def feature(answer):
    """Unmoved by what happens from the day on, and different between households."""
    rng = np.random.default_rng(5)
    n, day = 400, pd.Timestamp("2024-03-01")
    # Whole days: an order may well stand at 00:00 of the day itself, where < and <= differ.
    orders = pd.DataFrame(
        {
            "customer_id": rng.integers(1, 9, n),
            "order_id": np.arange(n),
            "product_id": rng.integers(1, 30, n),
            "timestamp": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 100, n), unit="D"),
            "quantity": rng.integers(1, 4, n),
            "revenue": rng.gamma(2.0, 5.0, n).round(2),
            "discount": 0.0,
        }
    ).sort_values("timestamp", ignore_index=True)
    value = answer(orders.copy(), day)
    if not isinstance(value, pd.Series):
        return f"return a pandas Series indexed by customer_id, not {type(value).__name__}."
    past = orders["timestamp"] < day
    changed = orders.copy()
    changed.loc[~past, ["revenue", "quantity"]] *= 7
    changed.loc[~past, "customer_id"] = 9 - changed.loc[~past, "customer_id"]
    for later in (changed, orders[past].copy()):
        other = answer(later, day)
        if not value.sort_index().equals(other.sort_index()):
            return "your feature moves when what happens on or after the day changes: it leaks."
    if value.nunique() < 3:
        return "your feature is the same for almost every household; choose one that tells them apart."
    return None
