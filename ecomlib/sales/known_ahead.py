"""What is known of a day before it comes: the calendar, and the promotions that are planned for its week."""

import datetime
from collections.abc import Callable, Iterable
from functools import partial
from numbers import Number
from typing import Any

import numpy as np
import pandas as pd

from ecomlib.panels import monday_of, sum_cells
from ecomlib.shop import BadValue, Shop

WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
HOLIDAY_NAMES = ["three days before", "two days before", "day before"]
HOLIDAY_NAMES += ["quiet holiday", "open holiday", "day after"]
DAY_FORMS = "a weekday such as 'Sun', a (month, day), a date or a calendar"
PROMOTION_NAMES = ["display", "mailer", "expected lift"]
LAST_YEAR_NAMES = ["last year", "last year, all series"]
PRIOR_WEEKS = 4  # for which a product counts as seen in a state with the lift of all products
MOST_LIFT = 1.5  # of the absolute value of last year's logarithms: a factor of 4.5


def holidays_between(calendar: Any, first: pd.Timestamp, last: pd.Timestamp) -> pd.DatetimeIndex:
    """Days of a calendar from `first` to `last`.

    A calendar is one of the `holidays` package, such as `holidays.country_holidays("DE")`, a mapping of date
    to name, or a list of dates.
    """
    if not hasattr(calendar, "expand"):  # a calendar of the package looks its years up when it is asked
        calendar = {_date(day, "a calendar", "dates") for day in calendar}
    days = pd.date_range(first, last)
    return days[[day.date() in calendar for day in days]]


def _date(item: Any, what: str, wanted: str) -> datetime.date:
    """The day, of 2024 for a month and a day. A number is refused: pandas takes it for nanoseconds."""
    try:
        if isinstance(item, Number):
            raise TypeError
        return pd.Timestamp(2024, *item).date() if isinstance(item, tuple) else pd.Timestamp(item).date()
    except (TypeError, ValueError):
        raise BadValue(f"{what} holds {item!r}; give {wanted}.") from None


def open_days(days: pd.DatetimeIndex, closed: Iterable = ()) -> np.ndarray:
    """Bool array (n_days,): False where the shop is known to be closed.

    Each item of `closed` is a weekday ("Sun"), a (month, day) of every year, a date, or a calendar.

    Examples
    --------
    >>> days = pd.date_range("2024-12-21", "2024-12-26")  # a Saturday to a Thursday
    >>> open_days(days, ("Sun", (12, 25), "2024-12-26")).astype(int)
    array([1, 0, 1, 1, 0, 0])
    """
    shut = np.zeros(len(days), bool)
    for item in closed:
        if isinstance(item, str) and item in WEEKDAYS:
            shut |= days.day_of_week == WEEKDAYS.index(item)
        elif hasattr(item, "keys"):
            shut |= days.isin(holidays_between(item, days[0], days[-1]))
        else:
            day = _date(item, "closed", DAY_FORMS)
            same = (days.month == day.month) & (days.day == day.day)
            shut |= same if isinstance(item, tuple) else days == pd.Timestamp(day)
    return ~shut


def calendar_features(days: pd.DatetimeIndex, holidays: tuple | None = None) -> pd.DataFrame:
    """What the calendar says of each day, known years ahead.

    Parameters
    ----------
    days : DatetimeIndex (n_days,)
    holidays : (quiet, open), optional
        Two calendars (see `holidays_between`): holidays on which the shop is quiet or closed, and those on
        which it is open. None: weekdays and the month's start only.

    Returns
    -------
    DataFrame (n_days, 8 or 14) of 0 and 1
        Seven weekdays, "month start" (1 on the first day, falling to 0 by the eleventh: wages and food
        benefits are paid then), and, with holidays, how near a holiday is.

    Examples
    --------
    >>> days = pd.date_range("2017-11-20", "2017-11-24")
    >>> near = ["two days before", "day before", "quiet holiday", "day after"]
    >>> calendar_features(days, (["2017-11-23"], []))[near].to_numpy().astype(int)
    array([[0, 0, 0, 0],
           [1, 0, 0, 0],
           [0, 1, 0, 0],
           [0, 0, 1, 0],
           [0, 0, 0, 1]])
    """
    table = pd.DataFrame({day: np.asarray(days.day_of_week == i) for i, day in enumerate(WEEKDAYS)})
    table["month start"] = np.clip(1 - (np.asarray(days.day) - 1) / 10, 0, 1)
    if holidays is not None:
        week = pd.Timedelta(days=7)
        quiet, busy = (holidays_between(part, days[0] - week, days[-1] + week) for part in holidays)
        both = quiet.append(busy)
        for name, ahead in zip(HOLIDAY_NAMES[:3], (3, 2, 1), strict=True):
            table[name] = (days + pd.Timedelta(days=ahead)).isin(both)
        table["quiet holiday"] = days.isin(quiet)
        table["open holiday"] = days.isin(busy)
        table["day after"] = (days - pd.Timedelta(days=1)).isin(both)
    return table.astype(np.float32)


def promotion_features(
    shop: Shop, names: list[str], days: pd.DatetimeIndex, level: str, horizon: int
) -> np.ndarray:
    """How heavily each series is promoted on each day, from the promotions planned for its week.

    Three numbers per series and week: *display* and *mailer* are the shares of the series' products,
    weighted by their revenue so far, that the stores show on a display or print in the mailer; *expected
    lift* is the logarithm of what the products sold in earlier weeks in the same state (shelf, mailer,
    display, both) over what they sold on average.

    Revenue enters the weights only up to a week that is over at every cutoff that forecasts the week, so no
    sale after a cutoff is used. `names` are values of the products' column `level`; float32 (n_series,
    n_days, 3).
    """
    assert shop.products is not None and shop.promotions is not None
    monday = monday_of(days[0])
    week_of_day = np.asarray((days - monday).days) // 7
    n_weeks = int(week_of_day[-1]) + 1
    group = pd.Index(names).get_indexer(pd.Index(shop.products[level].astype(str)))
    ids = pd.Index(shop.products["product_id"])[group >= 0]
    group = group[group >= 0]

    def by_week(table: pd.DataFrame, date: str, value: str) -> np.ndarray:
        week = np.asarray((table[date] - monday) // pd.Timedelta(days=7), dtype=np.int64)
        row = ids.get_indexer(pd.Index(table["product_id"]))
        return sum_cells((row, week), (len(ids), n_weeks), table[value].to_numpy(dtype=float))

    revenue = by_week(shop.orders, "timestamp", "revenue")
    display, mailer = (by_week(shop.promotions, "week_start", kind) for kind in ("display", "mailer"))
    features = _by_week_features(revenue, display, mailer, group, len(names), (horizon + 5) // 7 + 1)
    return features[:, week_of_day]


def _by_week_features(
    revenue: np.ndarray, display: np.ndarray, mailer: np.ndarray, group: np.ndarray, n_series: int, lag: int
) -> np.ndarray:
    """The three numbers of `promotion_features`, (n_series, n_weeks, 3), from products' weeks."""
    n_products, n_weeks = revenue.shape
    state = (mailer > 0.1) * 1 + (display > 0.1) * 2
    total = partial(np.bincount, group, minlength=n_series)  # of products' values, by series
    features = np.zeros((n_series, n_weeks, 3), np.float32)
    sold = np.zeros((4, n_products))  # revenue so far of each product in each of the four states
    weeks = np.zeros((4, n_products))
    for week in range(lag, n_weeks):
        past = week - lag  # the newest week that is over at every cutoff
        sold[state[:, past], np.arange(n_products)] += revenue[:, past]
        weeks[state[:, past], np.arange(n_products)] += 1
        so_far = sold.sum(axis=0)
        size = np.maximum(total(so_far), 1e-9)
        features[:, week, 0] = total(so_far * display[:, week]) / size
        features[:, week, 1] = total(so_far * mailer[:, week]) / size
        features[:, week, 2] = np.log(_expected(sold, weeks, state[:, week], total))
    return features


def _expected(sold: np.ndarray, weeks: np.ndarray, state: np.ndarray, total: Callable) -> np.ndarray:
    """Revenue the series' products would make in these states, over their average revenue.

    A product that was rarely in a state borrows the lift of all products of the shop in that state.
    """
    average = sold.sum(axis=0) / weeks.sum(axis=0)
    lift = sold.sum(axis=1) / np.maximum((average * weeks).sum(axis=1), 1e-9)
    lift = np.where(lift > 0, lift, 1.0)
    rows = np.arange(len(state))
    rate = (sold[state, rows] + PRIOR_WEEKS * average * lift[state]) / (weeks[state, rows] + PRIOR_WEEKS)
    return np.clip(total(rate) / np.maximum(total(average), 1e-9), 0.2, 5.0)


def last_year_features(values: np.ndarray, season: int, horizon: int) -> np.ndarray:
    """How last year's three weeks around each day compared with the weeks before: a yearly season.

    The logarithm of the mean of these three weeks, of the series and of all series, over the mean of the
    eight weeks that ended a week before the same weekday 52 weeks ago; 0 where last year is not known.

    `values` (n_series, n_steps) are sales, `season` the steps of a week, 7 or 1, `horizon` those that are
    looked ahead; float32 (n_series, n_steps + horizon, 2).
    """
    n = values.shape[1]
    same = np.arange(n + horizon) - 52 * season
    known = same - 9 * season + 1 >= 0
    half = 3 * season // 2

    def lift(sold: np.ndarray) -> np.ndarray:
        total = np.pad(sold.astype(float).cumsum(axis=1), ((0, 0), (1, 0)))

        def mean(first: int, last: int) -> np.ndarray:
            ends = (np.clip(same + each, 0, n) for each in (last + 1, first))
            return np.subtract(*(total[:, end] for end in ends)) / (last - first + 1)

        change = np.log((mean(-half, half) + 1) / (mean(1 - 9 * season, -season) + 1))
        return np.where(known, np.clip(change, -MOST_LIFT, MOST_LIFT), 0)

    own, all_series = lift(values), lift(values.sum(axis=0, keepdims=True))
    return np.stack([own, np.broadcast_to(all_series, own.shape)], axis=-1).astype(np.float32)
