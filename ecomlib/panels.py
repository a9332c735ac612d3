"""From event lines to arrays: daily series side by side, one row of weeks per customer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.signal import lfilter

from ecomlib.shop.errors import TooShort
from ecomlib.shop.shop import members

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
Cell = tuple[np.ndarray, ...]  # where each line lies: an array of int (n_lines,) per axis


@dataclass(frozen=True)
class Panel:
    """Daily series side by side.

    `values` (n_series, n_days) are sums per day, 0 where nothing was sold; `days` has no gaps.
    """

    values: np.ndarray
    names: list[str]
    days: pd.DatetimeIndex


def daily_panel(
    timestamp: pd.Series, key: pd.Series, value: pd.Series, names: Sequence[str] | None = None
) -> Panel:
    """Sum event lines to one daily series per key.

    Parameters
    ----------
    timestamp, key, value : Series (n_lines,)
        When, under which series, and how much.
    names : sequence of str, optional
        The series to keep, in this order. Default: all keys, sorted.

    Examples
    --------
    >>> when = pd.Series(pd.to_datetime(["2024-05-01 09:00", "2024-05-03 10:00", "2024-05-03 11:00"]))
    >>> panel = daily_panel(when, pd.Series(["tea", "tea", "tea"]), pd.Series([2.0, 3.0, 4.0]))
    >>> panel.values
    array([[2., 0., 7.]], dtype=float32)
    """
    if len(timestamp) == 0:
        raise TooShort("the panel has no lines; give at least one sale.")
    first = timestamp.min().normalize()
    # The number of the day, counted from the first; integer division is far faster than .dt.date.
    day = ((timestamp.to_numpy() - first.to_datetime64()) // np.timedelta64(1, "D")).astype(np.int64)
    n_days = int(day.max()) + 1
    names = sorted(pd.unique(key.dropna()), key=str) if names is None else list(names)
    row = pd.Index(names).get_indexer(pd.Index(key))
    values = sum_cells((row, day), (len(names), n_days), value.to_numpy(dtype=float))
    days = pd.date_range(first, periods=n_days, freq="D")
    return Panel(values.astype(np.float32), [str(name) for name in names], days)


@dataclass(frozen=True)
class WeeklyPanel:
    """One row of weeks per customer, inactive weeks included.

    `values` (n_customers, n_weeks, 3) are sums per week of "spend" (currency), "baskets" and "lines"; one of
    them is `panel["spend"]`. `weeks` are the Mondays, without gaps. `first` is the week of a customer's first
    order, n_weeks if it lies after the panel: before it nothing is known, which is not the same as silence.
    """

    values: np.ndarray
    channels: list[str]
    customers: np.ndarray
    weeks: pd.DatetimeIndex
    first: np.ndarray

    def __getitem__(self, channel: str) -> np.ndarray:
        """One channel, (n_customers, n_weeks)."""
        return self.values[:, :, self.channels.index(channel)]

    @property
    def known(self) -> np.ndarray:
        """Weeks since the first order, that week included: int (n_customers, n_weeks), 0 before it."""
        return np.clip(np.arange(len(self.weeks)) - self.first[:, None] + 1, 0, None)


def weekly_panel(
    orders: pd.DataFrame, start: str | pd.Timestamp | None = None, end: str | pd.Timestamp | None = None
) -> WeeklyPanel:
    """Sum order lines to one row of weeks (Monday to Sunday) per customer.

    Parameters
    ----------
    orders : DataFrame
        A shop's orders: customer_id, order_id, timestamp, revenue.
    start, end : date, optional
        Any day of the first and of the last week. Default: the first and the last week of which the
        orders cover every weekday that the shop is open.

    Examples
    --------
    >>> orders = pd.DataFrame({"customer_id": [7, 7, 8], "order_id": [1, 2, 3], "revenue": [5.0, 2.0, 9.0],
    ...     "timestamp": pd.to_datetime(["2024-05-06 09:00", "2024-05-08 18:00", "2024-05-19 12:00"])})
    >>> weekly_panel(orders)["spend"]
    array([[7., 0.],
           [0., 9.]], dtype=float32)
    """
    if len(members(orders)) == 0:
        raise TooShort("the panel has no lines; give at least one sale.")
    first, last = whole_weeks(orders["timestamp"].to_numpy().astype("datetime64[D]"))
    orders = members(orders)
    day = orders["timestamp"].to_numpy().astype("datetime64[D]")
    first = first if start is None else monday_of(start)
    last = last if end is None else monday_of(end)
    n_weeks = (last - first).days // 7 + 1
    if n_weeks < 1:
        raise TooShort("the orders cover no whole week from Monday to Sunday; give a longer history.")
    week = (day - first.to_datetime64().astype("datetime64[D]")).astype(np.int64) // 7
    customer, ids = pd.factorize(orders["customer_id"], sort=True)
    shape = (len(ids), n_weeks)
    new_trip = ~orders.duplicated(["customer_id", "order_id"]).to_numpy()
    weights = (orders["revenue"].to_numpy(dtype=float), new_trip.astype(float), None)
    values = [sum_cells((customer, week), shape, weight) for weight in weights]
    first_week = np.full(len(ids), n_weeks)
    np.minimum.at(first_week, customer, np.clip(week, 0, n_weeks))
    weeks = pd.date_range(first, periods=n_weeks, freq="7D")
    sums = np.stack(values, axis=-1).astype(np.float32)
    return WeeklyPanel(sums, ["spend", "baskets", "lines"], np.asarray(ids), weeks, first_week)


def whole_weeks(day: np.ndarray) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Mondays of the first and the last week with an order on every weekday on which the shop is open.

    Open is a weekday with orders in at least half of the weeks: a shop that is closed on Sundays has
    whole weeks that end on Saturday.
    """
    days = pd.DatetimeIndex(np.unique(day))
    n_weeks = (monday_of(days[-1]) - monday_of(days[0])).days // 7 + 1
    is_open = np.bincount(days.day_of_week, minlength=7) >= n_weeks / 2
    opens = np.flatnonzero(is_open) if is_open.any() else np.arange(7)
    week = pd.Timedelta(days=7)
    first = monday_of(days[0]) + week * int(days[0].day_of_week > opens[0])
    last = monday_of(days[-1]) - week * int(days[-1].day_of_week < opens[-1])
    return first, last


def monday_of(day: str | pd.Timestamp | np.datetime64) -> pd.Timestamp:
    """Midnight of the Monday on or before a day."""
    day = pd.Timestamp(day).normalize()
    return day - pd.Timedelta(days=day.day_of_week)


def sum_cells(index: Cell, shape: tuple[int, ...], weights: np.ndarray | None = None) -> np.ndarray:
    """Sum event lines into the cells of a float64 array; a line that lies outside is left out.

    Without `weights` (n_lines,) every line counts 1.

    Examples
    --------
    >>> sum_cells((np.array([0, 1, 1]), np.array([0, 2, 9])), (2, 3), np.array([5.0, 7.0, 1.0]))
    array([[5., 0., 0.],
           [0., 0., 7.]])
    """
    inside = np.logical_and.reduce([(i >= 0) & (i < n) for i, n in zip(index, shape, strict=True)])
    cell = np.ravel_multi_index(tuple(np.asarray(i)[inside] for i in index), shape)
    weights = None if weights is None else np.asarray(weights, float)[inside]
    return np.bincount(cell, weights, int(np.prod(shape))).reshape(shape).astype(float)


def event_days(cell: Cell, weekday: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Days since the last event at each week's Sunday, -1 before the first one, and the days with an event.

    `cell` and `shape` as in `sum_cells`, axis 1 is the week; `weekday` (n_lines,) is 0 on a Monday. Returns
    int32 of that shape, and bool with an axis of the seven days before it.
    """
    on = np.stack([sum_cells(tuple(i[weekday == day] for i in cell), shape) > 0 for day in range(7)])
    sunday = (7 * np.arange(shape[1], dtype=np.int32) + 6).reshape(1, -1, *[1] * (len(shape) - 2))
    last = np.where(on.any(axis=0), sunday - on[::-1].argmax(axis=0).astype(np.int32), -1)
    last = np.maximum.accumulate(last, axis=1)
    return np.where(last >= 0, sunday - last, -1), on


def ewm_sum(values: np.ndarray, half_life: float) -> np.ndarray:
    """Sum over the steps so far in which a step counts half after `half_life` steps; axis 1 is time.

    Examples
    --------
    >>> ewm_sum(np.array([[1.0, 0.0, 1.0]]), half_life=1)
    array([[1.  , 0.5 , 1.25]])
    """
    return lfilter([1.0], [1.0, -(0.5 ** (1 / half_life))], values, axis=1)


def steps_since(happened: np.ndarray) -> np.ndarray:
    """Steps since something last happened, at every step; -1 before the first time; axis 1 is time.

    Examples
    --------
    >>> steps_since(np.array([[False, True, False, False, True]]))
    array([[-1,  0,  1,  2,  0]])
    """
    step = np.arange(happened.shape[1]).reshape(1, -1, *[1] * (happened.ndim - 2))
    last = np.maximum.accumulate(np.where(happened, step, -1), axis=1)
    return np.where(last >= 0, step - last, -1)
