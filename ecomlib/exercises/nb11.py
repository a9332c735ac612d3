"""Checkers of lesson 11, the data of a shop."""

import datetime
from typing import Any

import numpy as np
import pandas as pd

from ecomlib.exercises import checker, close


def _orders() -> pd.DataFrame:
    """Build a small invented table: four households, one of them new in spring, two baskets on one day."""
    rows = [
        (1, 1, "2017-01-05 23:30", 10.0),
        (1, 2, "2017-02-03 08:00", 20.0),
        (1, 3, "2017-11-10 09:00", 15.0),
        (2, 4, "2017-02-10 10:00", 30.0),
        (2, 5, "2017-11-11 20:00", 12.0),
        (2, 6, "2017-11-11 21:00", 3.0),
        (2, 7, "2017-11-13 07:00", 6.0),
        (3, 8, "2017-04-01 12:00", 9.0),
        (3, 9, "2017-11-20 12:00", 50.0),
        (4, 10, "2017-01-31 18:00", 5.0),
    ]
    orders = pd.DataFrame(rows, columns=["customer_id", "order_id", "timestamp", "revenue"])
    return orders.assign(timestamp=pd.to_datetime(orders["timestamp"]))


def _november_over_february(orders: pd.DataFrame, first_seen_before: str) -> float:
    first = orders.groupby("customer_id")["timestamp"].transform("min")
    orders = orders[first < pd.Timestamp(first_seen_before)]
    by_month = orders.groupby(orders["timestamp"].dt.month)["revenue"].sum()
    return by_month[11] / by_month[2]


def _all_households(orders, first_seen_before):
    return _november_over_february(orders, "2100-01-01")


def _upside_down(orders, first_seen_before):
    return 1 / _november_over_february(orders, first_seen_before)


def _cuts_the_orders(orders, first_seen_before):
    early = orders[orders["timestamp"] < pd.Timestamp(first_seen_before)]
    by_month = early.groupby(early["timestamp"].dt.month)["revenue"].sum()
    return by_month.get(11, 0.0) / by_month.get(2, np.inf)


@checker(
    "11.1",
    wrong=[lambda: _all_households, lambda: _upside_down, lambda: _cuts_the_orders],
    right=lambda: _november_over_february,
)
def founders(answer: Any) -> str | None:
    """Judge a function of the orders and a date."""
    orders = _orders()
    given = [answer(orders.copy(), date) for date in ("2017-02-01", "2018-01-01")]
    if any(np.ndim(value) for value in given):
        return "return one number: sales of November divided by sales of February."
    wanted = [_november_over_february(orders, date) for date in ("2017-02-01", "2018-01-01")]
    if close(given[0], 1 / wanted[0]) and close(given[1], 1 / wanted[1]):
        return "the ratio is upside down: November goes on top."
    if not close(given[1], wanted[1]):
        return (
            "with a date after the year's end every household counts; compare all of November with February."
        )
    if close(given[0], given[1]):
        return "the date changes nothing: find each household's first order and keep the early households."
    if not close(given[0], wanted[0]):
        return "choose households by their first order, then count all their orders, also the later ones."
    return None


def _days_between_trips(orders: pd.DataFrame) -> pd.Series:
    trips = orders.assign(day=orders["timestamp"].dt.normalize())[["customer_id", "day"]]
    trips = trips.drop_duplicates().sort_values(["customer_id", "day"])
    return trips.groupby("customer_id")["day"].diff().dt.days.dropna()


def _of_baskets(orders):
    ordered = orders.sort_values(["customer_id", "timestamp"])
    return ordered["timestamp"].dt.normalize().groupby(ordered["customer_id"]).diff().dt.days.dropna()


def _time_spans(orders):
    return pd.to_timedelta(_days_between_trips(orders), unit="D")


def _across_households(orders):
    return orders["timestamp"].dt.normalize().drop_duplicates().sort_values().diff().dt.days.dropna()


def _with_the_clock(orders):
    ordered = orders.sort_values(["customer_id", "timestamp"])
    return ordered.groupby("customer_id")["timestamp"].diff().dt.days.dropna()


def _dates(orders):
    ordered = orders.assign(day=orders["timestamp"].dt.date).sort_values(["customer_id", "day"])
    ordered = ordered.drop_duplicates(["customer_id", "day"])
    return ordered.groupby("customer_id")["day"].apply(lambda days: days - days.shift()).dropna()


def _seconds(orders):
    ordered = orders.sort_values(["customer_id", "timestamp"])
    return ordered.groupby("customer_id")["timestamp"].diff().dt.total_seconds().dropna() / 86400


@checker(
    "11.2",
    wrong=[
        lambda: _of_baskets,
        lambda: _across_households,
        lambda: _with_the_clock,
        lambda: _time_spans,
        lambda: _dates,
        lambda: _seconds,
    ],
    right=lambda: _days_between_trips,
)
def gaps(answer: Any) -> str | None:
    """Judge a function of the orders."""
    orders = _orders().sample(frac=1, random_state=1)
    given = np.asarray(answer(orders.copy()))
    spans = given.dtype == object and any(isinstance(one, datetime.timedelta) for one in given)
    if given.dtype.kind == "m" or spans:
        return "these are time spans; give numbers of days: .dt.days"
    given = given.astype(float)
    wanted = _days_between_trips(orders).to_numpy(dtype=float)
    if np.isnan(given).any():
        return "the first trip of a household has no gap before it: drop the missing values."
    if (given <= 0).any():
        return "a gap of 0 or less: two baskets on one day are one trip, and trips go in order of time."
    if (given % 1 != 0).any():
        return "these are parts of days: cut the clock time off each basket first; one day is one trip."
    if len(given) != len(wanted):
        return "there is one gap less than trips for each household; group by household first."
    if not close(np.sort(given), np.sort(wanted)):
        return "count calendar days: cut the clock time off before you subtract."
    return None


_LIFTS = {  # with both display and mailer; of the categories that the lesson offers
    "SOFT DRINKS": 3.961,
    "CHEESE": 3.298,
    "FRZN MEAT/MEAT DINNERS": 2.881,
    "BAG SNACKS": 10.636,
    "BAKED BREAD/BUNS/ROLLS": 5.907,
    "FROZEN PIZZA": 3.173,
    "COLD CEREAL": 4.666,
    "LUNCHMEAT": 4.852,
    "SOUP": 4.927,
    "ICE CREAM/MILK/SHERBTS": 6.018,
    "CANNED JUICES": 2.306,
    "REFRGRATD JUICES/DRNKS": 3.358,
}
_REASON = "the shop promotes it in the weeks in which people buy much of it anyway"


@checker(
    "11.3",
    wrong=[
        lambda: {"category": "FROZEN PIZZA", "lift": 3.2, "other reason": "none"},
        lambda: {"category": "COLD CEREAL", "lift": 4.7, "other reason": "the price fell " * 5},
        lambda: {"category": "BEEF", "lift": -1, "other reason": "it was cheaper in the same weeks " * 2},
        lambda: {"category": "NO SUCH", "lift": 3, "other reason": _REASON},
        lambda: {"category": "FROZEN PIZZA", "lift": 3.17, "other reason": "a b c d e f g h"},
        lambda: {"category": "BEEF", "lift": 5.56, "other reason": _REASON},  # one product
        lambda: {"category": "SOUP", "lift": 0.33, "other reason": _REASON},  # the price cut
    ],
    right=lambda: {"category": "FROZEN PIZZA", "lift": 3.17, "other reason": _REASON},
)
def own_category(answer: Any) -> str | None:
    """Judge a dictionary: another category, its lift, a reason in a sentence."""
    if not isinstance(answer, dict) or {"category", "lift", "other reason"} - set(answer):
        return 'give a dictionary with the keys "category", "lift" and "other reason".'
    category = str(answer["category"])
    if category == "COLD CEREAL":
        return "choose another category than the lesson's."
    if category not in _LIFTS:
        return f"{category!r} is not in the list; copy a name from it, in capitals."
    if not close(answer["lift"], _LIFTS[category], 0.02 * _LIFTS[category]):
        return "that is not its lift; take column lift, row both, of lift_table(category), with two decimals."
    words = str(answer["other reason"]).lower().split()
    if len(words) < 10:
        return "write the other reason as a sentence of ten words or more."
    if len(set(words)) < 6:
        return "the other reason says the same words again and again; write one sentence."
    return None
