"""Self-checks of lesson 41, recommendation: prepare."""

from typing import Any

import numpy as np
import pandas as pd

from ecomlib.exercises import checker
from ecomlib.recommend.task import TRAIN, build_task


def _count_targets() -> int:
    lines = pd.DataFrame({"who": 1, "day": range(6), "item": ["tea", "cup", "rare", "tea", "cup", "tea"]})
    return len(build_task(lines.assign(part=TRAIN), min_count=2).targets("train"))


@checker("41.1", wrong=[lambda: 6, lambda: 5, lambda: 3, lambda: "all"], right=_count_targets)
def count_targets(answer: Any) -> str | None:
    """Number of targets among six trips."""
    if int(answer) == _count_targets():
        return None
    if int(answer) == _count_targets() + 2:
        return "the first trip has nothing before it."
    return (
        "the first trip has no history, the third no known item; the third still is history for the others."
    )


def _orders(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    minute = rng.integers(0, 5 * 1440, 30)
    stamp = pd.Timestamp("2024-05-01") + pd.to_timedelta(minute, unit="min")
    return pd.DataFrame({"timestamp": stamp, "product_id": rng.integers(0, 9, 30)})


def _trips(orders):
    day = orders["timestamp"].dt.normalize()
    return [set(part) for _, part in orders["product_id"].groupby(day, sort=True)]


def _by_moment(orders):
    return [set(part) for _, part in orders["product_id"].groupby(orders["timestamp"])]


def _unsorted(orders):
    day = orders["timestamp"].dt.normalize()
    return [set(part) for _, part in orders["product_id"].groupby(day, sort=False)]


@checker(
    "41.2", wrong=[lambda: _by_moment, lambda: _unsorted, lambda: lambda orders: []], right=lambda: _trips
)
def trips(answer: Any) -> str | None:
    """Order lines to a list of sets."""
    for seed in range(3):
        orders = _orders(seed)
        got, right = answer(orders.copy()), _trips(orders)
        if len(got) != len(right):
            return f"{len(got)} trips for lines of {len(right)} days: a trip is everything of one local day."
        if not all(isinstance(trip, set) for trip in got):
            return "each trip is a set."
        if got != right:
            return "the sets are not those of the days in time order; the lines may come unsorted."
    return None


def _share_new(trips):
    seen, shares = set(trips[0]), []
    for trip in trips[1:]:
        shares.append(len(trip - seen) / len(trip))
        seen |= trip
    return shares


def _only_last(trips):
    return [len(now - before) / len(now) for before, now in zip(trips, trips[1:], strict=False)]


def _with_first(trips):
    return [1.0, *_share_new(trips)]


@checker(
    "41.3",
    wrong=[lambda: _only_last, lambda: _with_first, lambda: lambda trips: [0.0] * (len(trips) - 1)],
    right=lambda: _share_new,
)
def share_new(answer: Any) -> str | None:
    """Share of new items on each trip after the first."""
    for seed in range(3):
        days = _trips(_orders(seed))
        got = list(answer([set(trip) for trip in days]))
        if len(got) != len(days) - 1:
            return f"{len(days)} trips give {len(days) - 1} shares, not {len(got)}: the first has no history."
        if not np.allclose(got, _share_new(days)):
            return "compare each trip with all earlier trips, not only with the last one."
    return None
