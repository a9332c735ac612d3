"""Self-checks of 31_purchase_prepare."""

from typing import Any

import numpy as np
import pandas as pd

from ecomlib.exercises import checker, close

HALF_LIFE, BACK = 4, 12
LEAKS = {"coupon of a campaign that starts next week", "redemption in next week", "mean of the whole year"}
FAIR = {"mailer of next week", "category chosen on training weeks"}


@checker(
    "31.1", wrong=[lambda: 1 / (BACK / HALF_LIFE), lambda: 0.5**BACK], right=lambda: 0.5 ** (BACK / HALF_LIFE)
)
def weight(answer: Any) -> str | None:
    """Three half-lives."""
    if close(answer, 0.5 ** (BACK / HALF_LIFE)):
        return None
    return "count the half-lives that fit into twelve weeks; each one halves the weight."


def _array(orders, customers, mondays, categories, count=False):
    week = (orders["timestamp"] - mondays[0]).dt.days // 7
    places = (pd.Index(customers).get_indexer(orders["customer_id"]), week.to_numpy())
    places = (*places, pd.Index(categories).get_indexer(orders["category"]))
    shape = len(customers), len(mondays), len(categories)
    inside = np.logical_and.reduce([(i >= 0) & (i < n) for i, n in zip(places, shape, strict=True)])
    lines = np.zeros(shape)
    np.add.at(lines, tuple(i[inside] for i in places), 1)
    return lines if count else (lines > 0).astype(float)


def _counts(*arguments):
    return _array(*arguments, count=True)


def _sunday_first(orders, customers, mondays, categories):
    """Weeks of the calendar that begin on Sunday, a day early."""
    return _array(
        orders.assign(timestamp=orders["timestamp"] + pd.Timedelta(days=1)), customers, mondays, categories
    )


def _wrapped(orders, customers, mondays, categories):
    """A line outside lands at the other end, since -1 is the last place."""
    week = (orders["timestamp"] - mondays[0]).dt.days // 7
    out = np.zeros((len(customers), len(mondays), len(categories)))
    category = pd.Index(categories).get_indexer(orders["category"])
    inside = week < len(mondays)
    out[pd.Index(customers).get_indexer(orders["customer_id"])[inside], week[inside], category[inside]] = 1
    return out


@checker("31.2", wrong=[lambda: _counts, lambda: _sunday_first, lambda: _wrapped], right=lambda: _array)
def weekly_array(answer: Any) -> str | None:
    """Compare on order lines that repeat, fall on Sundays and lie outside."""
    rng = np.random.default_rng(0)
    customers, mondays = [7, 3, 12], list(pd.date_range("2024-01-01", periods=4, freq="7D"))
    categories = ["TEA", "MILK"]
    hours = np.r_[rng.integers(-200, 900, 40), 167, 168]
    orders = pd.DataFrame(
        {
            "customer_id": np.r_[rng.choice([3, 7, 12, 99], 40), 3, 3],
            "timestamp": mondays[0] + pd.to_timedelta(hours, unit="h"),
            "category": [*rng.choice(["MILK", "TEA", "SOAP"], 40), "TEA", "TEA"],
        }
    )
    arguments = orders, customers, mondays, categories
    found = np.asarray(answer(orders.copy(), *arguments[1:]), float)
    if found.shape != (3, 4, 2):
        return f"the shape is {found.shape}; three customers, four weeks, two categories give (3, 4, 2)."
    if close(found, _array(*arguments)):
        return None
    if found.max() > 1:
        return "several lines in one week still count 1: bought or not."
    week = "a week runs from Monday to Sunday: days since the first Monday, divided by 7, rounded down."
    if close(found, _sunday_first(*arguments)):
        return week
    if found.sum() > _array(*arguments).sum():
        return "too much is 1: leave out other customers, other categories and weeks outside the list."
    return f"something is missing, or in another place: {week}"


@checker("31.3", wrong=[lambda: LEAKS | FAIR, lambda: FAIR], right=lambda: LEAKS)
def leaks(answer: Any) -> str | None:
    """Judge by when a number is known."""
    answer = set(answer)
    if answer - LEAKS - FAIR:
        return "use the names given in the text."
    if answer & FAIR:
        return "something in your set was known at the cutoff; ask when, not about which week."
    return (
        None if answer == LEAKS else "something is missing: what was not yet decided or done at the cutoff?"
    )
