"""From event lines to arrays: daily panels, time splits, windows, padding and masks, scalers.

Everything here is vectorised, and every window ends the day before its *origin*: the first day that
is forecast. What lies at or after the origin is either a target or a covariate that was known before.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ecomlib.shop import BadValue, TooShort


@dataclass(frozen=True)
class Panel:
    """Daily series side by side.

    Attributes
    ----------
    values : array (n_series, n_days)
        Sums a day; 0 where nothing was sold.
    names : list of str
        One name a series.
    days : DatetimeIndex (n_days,)
        Every calendar day from the first to the last, without gaps.
    """

    values: np.ndarray
    names: list[str]
    days: pd.DatetimeIndex

    def index_of(self, day: str | pd.Timestamp) -> int:
        """Position of a day; the day after the last is allowed, as an end.

        Raises
        ------
        BadValue
            When the day lies outside the panel.
        """
        return _position((pd.Timestamp(day) - self.days[0]).days, len(self.days), day, self.days)


def _position(at: int, n: int, day: str | pd.Timestamp, steps: pd.DatetimeIndex) -> int:
    # A negative position would quietly count from the end.
    if not 0 <= at <= n:
        raise BadValue(
            f"{pd.Timestamp(day).date()} lies outside the panel, whose first step begins on "
            f"{steps[0].date()} and its last on {steps[-1].date()}; choose a date inside."
        )
    return int(at)


def daily_panel(
    timestamp: pd.Series, key: pd.Series, value: pd.Series, names: Sequence[str] | None = None
) -> Panel:
    """Sum event lines to one daily series a key.

    Parameters
    ----------
    timestamp, key, value : Series (n_lines,)
        When, under which series, and how much.
    names : sequence of str, optional
        The series to keep, in this order. Default: all keys, sorted.

    Returns
    -------
    Panel
        values float32 (n_series, n_days).

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
    unit = np.timedelta64(1, "D")
    day = ((timestamp.to_numpy() - first.to_datetime64()) // unit).astype(np.int64)
    n_days = int(day.max()) + 1
    names = sorted(pd.unique(key.dropna()), key=str) if names is None else list(names)
    row = pd.Index(names).get_indexer(pd.Index(key))
    keep = row >= 0
    cell = row[keep] * n_days + day[keep]
    sums = np.bincount(cell, weights=value.to_numpy(dtype=float)[keep], minlength=len(names) * n_days)
    values = sums.reshape(len(names), n_days).astype(np.float32)
    return Panel(values, [str(n) for n in names], pd.date_range(first, periods=n_days, freq="D"))


def split_by_time(when: np.ndarray, valid_start, test_start) -> dict[str, np.ndarray]:
    """Boolean masks of three parts in time order: train < valid_start <= valid < test_start <= test.

    Examples
    --------
    >>> {part: int(mask.sum()) for part, mask in split_by_time(np.arange(10), 6, 8).items()}
    {'train': 6, 'valid': 2, 'test': 2}
    """
    when = np.asarray(when)
    if not valid_start < test_start:
        raise BadValue(f"validation starts at {valid_start}, not before the test at {test_start}.")
    return {
        "train": when < valid_start,
        "valid": (when >= valid_start) & (when < test_start),
        "test": when >= test_start,
    }


def past_windows(values: np.ndarray, origins: np.ndarray, n_steps: int) -> np.ndarray:
    """Cut the n_steps days before each origin, without a loop.

    Parameters
    ----------
    values : array (n_series, n_days) or (n_series, n_days, n_features)
    origins : array of int (n_origins,)
        The first day *not* in the window.
    n_steps : int

    Returns
    -------
    array (n_origins, n_series, n_steps[, n_features])

    Raises
    ------
    TooShort
        When an origin has fewer than n_steps days before it.

    Examples
    --------
    >>> past_windows(np.arange(6.0)[None], np.array([3, 4]), 2)[:, 0]
    array([[1., 2.],
           [2., 3.]])
    """
    return _cut(values, np.asarray(origins) - n_steps, n_steps)


def future_windows(values: np.ndarray, origins: np.ndarray, horizon: int) -> np.ndarray:
    """Cut the `horizon` days from each origin on; shape (n_origins, n_series, horizon[, n_features])."""
    return _cut(values, np.asarray(origins), horizon)


def _cut(values: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    n_days = values.shape[1]
    if len(starts) and (starts.min() < 0 or starts.max() + length > n_days):
        raise TooShort(
            f"windows of {length} days from day {starts.min()} to {starts.max() + length - 1} do not fit "
            f"into {n_days} days; use later origins, shorter windows or a longer history."
        )
    # A view of all windows costs no memory; only the chosen ones are copied.
    view = np.lib.stride_tricks.sliding_window_view(values, length, axis=1)[:, starts]
    if values.ndim == 3:  # (n_series, n_origins, n_features, length) -> features last
        view = np.moveaxis(view, -1, -2)
    return np.ascontiguousarray(np.moveaxis(view, 1, 0))


def window_scale(past: np.ndarray, floor: float = 1e-3) -> np.ndarray:
    """Mean of each window over its last axis, at least `floor`: the size by which a window is divided.

    Dividing by the window's own mean makes a bakery and a spice rack look alike to one network, and
    needs nothing that is not known at the origin.

    Examples
    --------
    >>> window_scale(np.array([[2.0, 4.0], [0.0, 0.0]]))
    array([[3.e+00],
           [1.e-03]])
    """
    return np.maximum(past.mean(axis=-1, keepdims=True), floor)


def pad_right(
    sequences: Sequence[np.ndarray], n_steps: int, fill: float = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Pad sequences of different length at the end; a longer one keeps its *last* n_steps.

    Parameters
    ----------
    sequences : sequence of arrays (length_i[, n_features])
    n_steps : int
    fill : number

    Returns
    -------
    padded : array (n, n_steps[, n_features])
    mask : bool array (n, n_steps)
        True where a step is real.

    Notes
    -----
    Keras' fast LSTM kernels need the padding on the right; the recurrence stops at the mask, so the
    state after the last real step is what is read.

    Examples
    --------
    >>> padded, mask = pad_right([np.array([1, 2]), np.array([3, 4, 5, 6])], 3)
    >>> padded
    array([[1, 2, 0],
           [4, 5, 6]])
    >>> mask.sum(axis=1)
    array([2, 3])
    """
    length = np.array([min(len(s), n_steps) for s in sequences], dtype=int)
    mask = np.arange(n_steps) < length[:, None]
    if len(sequences) == 0:
        return np.full((0, n_steps), fill), mask
    flat = np.concatenate([np.asarray(s)[len(s) - n :] for s, n in zip(sequences, length, strict=True)])
    padded = np.full((len(sequences), n_steps, *flat.shape[1:]), fill, dtype=flat.dtype)
    padded[mask] = flat
    return padded, mask


@dataclass(frozen=True)
class Scaler:
    """Mean and standard deviation of each feature, taken from training rows only.

    Examples
    --------
    >>> scaler = Scaler.fit(np.array([[0.0, 5.0], [2.0, 5.0]]))
    >>> scaler.transform(np.array([[4.0, 5.0]]))
    array([[3., 0.]])
    """

    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def fit(cls, train: np.ndarray, mask: np.ndarray | None = None) -> "Scaler":
        """Fit on training values (..., n_features); `mask` (...) marks the steps that are real."""
        rows = train[mask] if mask is not None else train.reshape(-1, train.shape[-1])
        if len(rows) == 0:
            raise TooShort("the scaler got no training rows; check the split's dates.")
        std = rows.std(axis=0)
        return cls(rows.mean(axis=0), np.where(std > 0, std, 1.0).astype(std.dtype))

    def transform(self, values: np.ndarray) -> np.ndarray:
        """Scale values (..., n_features) to mean 0 and standard deviation 1 of the training rows."""
        return (values - self.mean) / self.std


@dataclass(frozen=True)
class WeeklyPanel:
    """One row of weeks a customer, silent weeks included.

    Attributes
    ----------
    values : array (n_customers, n_weeks, n_channels)
        Sums a week; 0 in a week without a trip.
    channels : list of str
        "spend" (currency), "baskets", "lines", in this order.
    customers : array (n_customers,)
        Their ids, sorted.
    weeks : DatetimeIndex (n_weeks,)
        The Mondays, without gaps.
    first : array of int (n_customers,)
        The week of a customer's first order; n_weeks if it lies after the panel. Before it nothing is
        known of this customer: it is not the same as silence.
    """

    values: np.ndarray
    channels: list[str]
    customers: np.ndarray
    weeks: pd.DatetimeIndex
    first: np.ndarray

    def __getitem__(self, channel: str) -> np.ndarray:
        """One channel, (n_customers, n_weeks)."""
        return self.values[:, :, self.channels.index(channel)]

    def index_of(self, day: str | pd.Timestamp) -> int:
        """Position of the week that holds a day; the week after the last is allowed, as an end.

        Raises
        ------
        BadValue
            When the day lies outside the panel.
        """
        return _position((pd.Timestamp(day) - self.weeks[0]).days // 7, len(self.weeks), day, self.weeks)

    @property
    def known(self) -> np.ndarray:
        """Weeks since the first order, that week included: int (n_customers, n_weeks), 0 before it."""
        return np.clip(np.arange(len(self.weeks)) - self.first[:, None] + 1, 0, None)


def weekly_panel(
    orders: pd.DataFrame, start: str | pd.Timestamp | None = None, end: str | pd.Timestamp | None = None
) -> WeeklyPanel:
    """Sum order lines to one row of weeks (Monday to Sunday) a customer.

    Parameters
    ----------
    orders : DataFrame
        A shop's orders: customer_id, order_id, timestamp, revenue.
    start, end : date, optional
        Any day of the first and of the last week. Default: the first and the last week that the
        orders cover from Monday to Sunday.

    Returns
    -------
    WeeklyPanel
        values float32; every customer of the orders has a row.

    Raises
    ------
    TooShort
        When no whole week is left.

    Examples
    --------
    >>> orders = pd.DataFrame({"customer_id": [7, 7, 8], "order_id": [1, 2, 3], "revenue": [5.0, 2.0, 9.0],
    ...     "timestamp": pd.to_datetime(["2024-05-06 09:00", "2024-05-08 18:00", "2024-05-19 12:00"])})
    >>> panel = weekly_panel(orders)
    >>> panel["spend"]
    array([[7., 0.],
           [0., 9.]], dtype=float32)
    >>> panel.known
    array([[1, 2],
           [0, 1]])
    """
    if len(orders) == 0:
        raise TooShort("the panel has no lines; give at least one sale.")
    day = orders["timestamp"].to_numpy().astype("datetime64[D]")
    first = monday_of(day.min() + np.timedelta64(6, "D") if start is None else start)
    last = monday_of(day.max() - np.timedelta64(6, "D") if end is None else end)
    n_weeks = (last - first).days // 7 + 1
    if n_weeks < 1:
        raise TooShort("the orders cover no whole week from Monday to Sunday; give a longer history.")
    week = (day - first.to_datetime64().astype("datetime64[D]")).astype(np.int64) // 7
    customer, ids = pd.factorize(orders["customer_id"], sort=True)
    inside = (week >= 0) & (week < n_weeks)
    cell = np.where(inside, customer * n_weeks + week, 0)
    a_trip = inside & ~orders.duplicated(["customer_id", "order_id"]).to_numpy()
    weights = (orders["revenue"].to_numpy(dtype=float) * inside, a_trip.astype(float), inside.astype(float))
    values = [np.bincount(cell, w, len(ids) * n_weeks).reshape(len(ids), n_weeks) for w in weights]
    first_week = np.full(len(ids), n_weeks)
    np.minimum.at(first_week, customer, np.clip(week, 0, n_weeks))
    return WeeklyPanel(
        np.stack(values, axis=-1).astype(np.float32),
        ["spend", "baskets", "lines"],
        np.asarray(ids),
        pd.date_range(first, periods=n_weeks, freq="7D"),
        first_week,
    )


def monday_of(day) -> pd.Timestamp:
    """Midnight of the Monday on or before a day."""
    day = pd.Timestamp(day).normalize()
    return day - pd.Timedelta(days=day.day_of_week)
