"""Sales forecasting: a `Shop` becomes daily series, what is known ahead of them, and windows by origin.

An *origin* is the first day to be forecast: everything before it is known, nothing at or after it but
the calendar and the promotions that were planned for it. The calendar is the running shop's (United States,
closed on Christmas Day); `sales_task` takes another shop's as `holidays` and `closed`.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from pandas.tseries.holiday import (
    AbstractHolidayCalendar,
    Easter,
    Holiday,
    USLaborDay,
    USMemorialDay,
    USThanksgivingDay,
)

from ecomlib.sequences import Panel, daily_panel, future_windows, monday_of, past_windows, window_scale
from ecomlib.shop import BadValue, MissingColumn, Shop, TooShort

QUANTILES = (0.1, 0.5, 0.9)


class Feasts(AbstractHolidayCalendar):
    """Days on which a household eats at home and the shop is quiet or closed; the days before are busy."""

    rules = [
        Holiday("Easter Sunday", month=1, day=1, offset=[Easter()]),
        USThanksgivingDay,
        Holiday("Christmas Day", month=12, day=25),
    ]


class CivicHolidays(AbstractHolidayCalendar):
    """Free days on which the shop is open: barbecues and the days before them."""

    rules = [
        Holiday("New Year's Day", month=1, day=1),
        USMemorialDay,
        Holiday("Independence Day", month=7, day=4),
        USLaborDay,
    ]


HOLIDAYS = (Feasts(), CivicHolidays())  # of the running shop
CLOSED_DAYS = ((12, 25),)  # (month, day) on which the running shop does not open
WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
HOLIDAY_NAMES = [
    "three days before",
    "two days before",
    "day before",
    "feast",
    "civic holiday",
    "day after",
]
PROMOTION_NAMES = ["display", "mailer", "expected lift"]


def open_days(days: pd.DatetimeIndex, closed: tuple = CLOSED_DAYS) -> np.ndarray:
    """Bool array (n_days,): False where the shop is known to be closed, on the (month, day) of `closed`."""
    shut = np.zeros(len(days), bool)
    for month, day in closed:
        shut |= np.asarray((days.month == month) & (days.day == day))
    return ~shut


def calendar_features(days: pd.DatetimeIndex, holidays: tuple | None = HOLIDAYS) -> pd.DataFrame:
    """What the calendar says of each day, known years ahead.

    Parameters
    ----------
    days : DatetimeIndex (n_days,)
    holidays : (feasts, civic), optional
        Two of pandas' holiday calendars, such as `Feasts()` and `CivicHolidays()`; None: weekdays and
        the month's start only.

    Returns
    -------
    DataFrame (n_days, 8 or 14) of 0 and 1
        Seven weekdays, "month start" (1 on the first day, falling to 0 by the eleventh: wages and food
        benefits are paid then), and, with holidays, how near a holiday is.

    Examples
    --------
    >>> days = pd.date_range("2017-11-20", "2017-11-24")
    >>> near = ["two days before", "day before", "feast", "day after"]
    >>> calendar_features(days)[near].to_numpy().astype(int)
    array([[0, 0, 0, 0],
           [1, 0, 0, 0],
           [0, 1, 0, 0],
           [0, 0, 1, 0],
           [0, 0, 0, 1]])
    """
    table = pd.DataFrame({day: np.asarray(days.day_of_week == i) for i, day in enumerate(WEEKDAYS)})
    table["month start"] = np.clip(1 - (np.asarray(days.day) - 1) / 10, 0, 1)
    if holidays is not None:
        near = pd.Timedelta(days=7)
        feasts, civic = (calendar.holidays(days[0] - near, days[-1] + near) for calendar in holidays)
        both = feasts.append(civic)
        for name, ahead in zip(HOLIDAY_NAMES[:3], (3, 2, 1), strict=True):
            table[name] = (days + pd.Timedelta(days=ahead)).isin(both)
        table["feast"] = days.isin(feasts)
        table["civic holiday"] = days.isin(civic)
        table["day after"] = (days - pd.Timedelta(days=1)).isin(both)
    return table.astype(np.float32)


def promotion_features(shop: Shop, panel: Panel, level: str, horizon: int) -> np.ndarray:
    """How heavily each series is promoted on each day, from the promotions planned for its week.

    Three numbers a series and week:
    *display* and *mailer* are the shares of the series' products, weighted by their revenue so far,
    that the stores show on a display or print in the mailer; *expected lift* is the logarithm of what
    the products sold in earlier weeks in the same state (shelf, mailer, display, both) over what
    they sold on average.

    Parameters
    ----------
    shop : Shop
        With products and promotions.
    panel : Panel
        The series; their names are values of the products' column `level`.
    horizon : int
        Days. Revenue enters the weights only up to a week that is over at every origin that
        forecasts the week, so no sale at or after an origin is used.

    Returns
    -------
    array float32 (n_series, n_days, 3)
    """
    monday = monday_of(panel.days[0])
    week_of_day = np.asarray((panel.days - monday).days) // 7
    n_weeks = int(week_of_day[-1]) + 1
    lag = (horizon + 5) // 7 + 1
    group = pd.Index(panel.names).get_indexer(pd.Index(shop.products[level].astype(str)))
    ids = pd.Index(shop.products["product_id"])[group >= 0]
    group = group[group >= 0]

    def by_week(product_id, date, value) -> np.ndarray:
        row = ids.get_indexer(pd.Index(product_id))
        week = np.asarray((date - monday) // pd.Timedelta(days=7), dtype=np.int64)
        keep = (row >= 0) & (week >= 0) & (week < n_weeks)
        cell = row[keep] * n_weeks + week[keep]
        flat = np.bincount(cell, np.asarray(value, dtype=float)[keep], minlength=len(ids) * n_weeks)
        return flat.reshape(len(ids), n_weeks)

    orders, plan = shop.orders, shop.promotions
    revenue = by_week(orders["product_id"], orders["timestamp"], orders["revenue"])
    display = by_week(plan["product_id"], plan["week_start"], plan["display"])
    mailer = by_week(plan["product_id"], plan["week_start"], plan["mailer"])
    state = (mailer > 0.1) * 1 + (display > 0.1) * 2

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(group, values, minlength=len(panel.names))

    features = np.zeros((len(panel.names), n_weeks, 3), np.float32)
    sold = np.zeros((4, len(ids)))  # revenue so far of each product in each of the four states
    weeks = np.zeros((4, len(ids)))
    for week in range(lag, n_weeks):
        past = week - lag  # the newest week that is over at every origin
        sold[state[:, past], np.arange(len(ids))] += revenue[:, past]
        weeks[state[:, past], np.arange(len(ids))] += 1
        so_far = sold.sum(axis=0)
        size = np.maximum(total(so_far), 1e-9)
        features[:, week, 0] = total(so_far * display[:, week]) / size
        features[:, week, 1] = total(so_far * mailer[:, week]) / size
        features[:, week, 2] = np.log(_expected(sold, weeks, state[:, week], total))
    return features[:, week_of_day]


def _expected(sold: np.ndarray, weeks: np.ndarray, state: np.ndarray, total, prior_weeks: float = 4.0):
    """Revenue the series' products would make in these states, over their average revenue.

    A product that was rarely in a state borrows the lift of all products of the shop in that state
    (as if it had been seen `prior_weeks` weeks with it).
    """
    average = sold.sum(axis=0) / weeks.sum(axis=0)
    lift = sold.sum(axis=1) / np.maximum((average * weeks).sum(axis=1), 1e-9)
    lift = np.where(lift > 0, lift, 1.0)
    rows = np.arange(len(state))
    rate = (sold[state, rows] + prior_weeks * average * lift[state]) / (weeks[state, rows] + prior_weeks)
    return np.clip(total(rate) / np.maximum(total(average), 1e-9), 0.2, 5.0)


@dataclass(frozen=True)
class Windows:
    """What a network reads and has to forecast; n = n_origins * n_series, origin by origin.

    Attributes
    ----------
    past : array (n, window)
        Sales of the window, divided by `scale`.
    past_known : array (n, window, n_known)
    future_known : array (n, horizon, n_known + n_promotion)
        The same columns, then the promotions once more as their difference from the window's mean.
    series : array of int (n,)
    scale : array (n, 1)
        Mean sales a day of the window, in the shop's currency.
    target : array (n, horizon)
        Sales to forecast, divided by `scale`.
    """

    past: np.ndarray
    past_known: np.ndarray
    future_known: np.ndarray
    series: np.ndarray
    scale: np.ndarray
    target: np.ndarray

    def __len__(self) -> int:
        return len(self.past)

    def weekday_mean(self, weeks: int = 8) -> np.ndarray:
        """Mean of the last `weeks` same weekdays for each day to forecast; (n, horizon), scaled.

        A window that holds fewer weeks gives the mean of all it holds.

        Examples
        --------
        >>> past = np.arange(14.0)[None]
        >>> w = Windows(past, None, None, None, None, target=np.zeros((1, 7)))
        >>> w.weekday_mean(2)
        array([[3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5]])
        """
        n, horizon = self.target.shape
        week = self.past.reshape(n, -1, 7)[:, -weeks:].mean(axis=1)
        return np.tile(week, (1, -(-horizon // 7)))[:, :horizon]

    def inputs(self) -> dict[str, np.ndarray]:
        """What the networks and the trees read: the same arrays for both.

        Returns
        -------
        dict
            "past" (n, window, 1 + n_known): sales and known covariates; "future" (n, horizon, 3 +
            n_known + n_promotion): weekday means of 8, 4 and 1 weeks, then the known covariates;
            "series" (n,).
        """
        means = np.stack([self.weekday_mean(k) for k in (8, 4, 1)], axis=-1)
        return {
            "past": np.concatenate([self.past[..., None], self.past_known], axis=-1),
            "future": np.concatenate([means, self.future_known], axis=-1),
            "series": self.series,
        }


@dataclass(frozen=True)
class SalesTask:
    """Daily series, what is known ahead, and the days that part train, valid and test.

    Attributes
    ----------
    panel : Panel
        Daily revenue (n_series, n_days), shop's currency.
    known : array float32 (n_series, n_days, n_known)
        Covariates known before the day: calendar, planned promotions.
    known_names : list of str
    valid_start, test_start, test_end : int
        Positions of days.
    window, horizon : int
        Days read, days forecast.
    holidays, closed
        As in `sales_task`.
    """

    panel: Panel
    known: np.ndarray
    known_names: list[str]
    valid_start: int
    test_start: int
    test_end: int
    window: int = 56
    horizon: int = 7
    holidays: tuple = HOLIDAYS
    closed: tuple = CLOSED_DAYS

    @property
    def n_series(self) -> int:
        """Number of series."""
        return len(self.panel.names)

    def origins(self, part: str = "test", step: int | None = None) -> np.ndarray:
        """Return a part's origins, each with its whole horizon inside the part.

        Parameters
        ----------
        part : "train", "valid" or "test"
        step : int, optional
            Days between origins. Default: 7 in the test, 1 elsewhere.
        """
        bounds = {
            "train": (self.window, self.valid_start),
            "valid": (self.valid_start, self.test_start),
            "refit": (self.window, self.test_start),
            "test": (self.test_start, self.test_end),
        }
        if part not in bounds:
            raise BadValue(f"there is no part {part!r}; use train, valid, refit (train and valid) or test.")
        start, end = bounds[part]
        step = step or (7 if part == "test" else 1)
        return np.arange(start, end - self.horizon + 1, step)

    def windows(self, origins: np.ndarray) -> Windows:
        """Cut all series' windows at these origins (targets of the future included: for training)."""
        values = self.panel.values
        past = past_windows(values, origins, self.window)
        scale = window_scale(past, floor=0.5)
        target = future_windows(values, origins, self.horizon) / scale
        n_origins = len(origins)
        past_known = past_windows(self.known, origins, self.window)
        future_known = future_windows(self.known, origins, self.horizon)
        promoted = [i for i, name in enumerate(self.known_names) if name in PROMOTION_NAMES]
        change = future_known[..., promoted] - past_known[..., promoted].mean(axis=2, keepdims=True)
        future_known = np.concatenate([future_known, change], axis=-1)
        return Windows(
            past=(past / scale).reshape(-1, self.window),
            past_known=past_known.reshape(-1, *past_known.shape[2:]),
            future_known=future_known.reshape(-1, *future_known.shape[2:]),
            series=np.tile(np.arange(self.n_series, dtype=np.int32), n_origins),
            scale=scale.reshape(-1, 1),
            target=target.reshape(-1, self.horizon),
        )

    def actual(self, origins: np.ndarray) -> np.ndarray:
        """Sales from each origin on; (n_origins, n_series, horizon), shop's currency."""
        return future_windows(self.panel.values, origins, self.horizon)

    def is_open(self, origins: np.ndarray) -> np.ndarray:
        """Bool (n_origins, 1, horizon): days on which the shop opens. Closed days are not scored."""
        return future_windows(open_days(self.panel.days, self.closed)[None], origins, self.horizon)

    def without(self, *words: str) -> "SalesTask":
        """Return the task without the known covariates "promotions" or "holidays"."""
        groups = {"promotions": PROMOTION_NAMES, "holidays": HOLIDAY_NAMES}
        for word in words:
            if word not in groups:
                raise BadValue(f"there are no covariates {word!r} to leave out; use promotions or holidays.")
        drop = {name for word in words for name in groups[word]}
        keep = [i for i, name in enumerate(self.known_names) if name not in drop]
        return replace(self, known=self.known[:, :, keep], known_names=[self.known_names[i] for i in keep])

    @property
    def near_holiday(self) -> np.ndarray:
        """Bool (n_days,): a holiday or one of the three days before it."""
        days = self.panel.days
        near = set()
        for calendar in self.holidays:
            for holiday in calendar.holidays(days[0], days[-1] + pd.Timedelta(days=4)):
                near |= set(pd.date_range(holiday - pd.Timedelta(days=3), holiday))
        return np.array([day in near for day in days])

    def holiday_weeks(self, origins: np.ndarray) -> np.ndarray:
        """Bool (n_origins,): the horizon holds a holiday or one of the three days before it."""
        return future_windows(self.near_holiday[None], origins, self.horizon)[:, 0].any(axis=1)


def sales_task(
    shop: Shop,
    level: str = "department",
    n_series: int | None = None,
    window: int = 56,
    horizon: int = 7,
    test_start: str | pd.Timestamp | None = None,
    test_days: int = 56,
    valid_days: int = 28,
    holidays: tuple = HOLIDAYS,
    closed: tuple = CLOSED_DAYS,
) -> SalesTask:
    """Turn a shop into a forecasting task: the largest series of a level, day by day.

    Parameters
    ----------
    shop : Shop
        Cleaned.
    level : column of `shop.products`
        "department" or "category".
    n_series : int, optional
        How many; default 12 departments or 60 categories. The largest by revenue *before* the
        validation period.
    window, horizon : int
        Days read (whole weeks) and days forecast.
    test_start : date, optional
        First day of the test period; default: such that it ends with the data.
    test_days, valid_days : int
    holidays : (feasts, civic)
        Two of pandas' holiday calendars (`pandas.tseries.holiday`): feasts, on which the shop is quiet or
        closed, and holidays on which it is open. Default: the running shop's, `Feasts` and `CivicHolidays`.
    closed : tuple of (month, day)
        Days on which the shop never opens; they are forecast as 0 and not scored. Default: 25 December.

    Returns
    -------
    SalesTask

    Raises
    ------
    MissingColumn
        When the shop has no products table or the table lacks the level.
    BadValue
        When a size or the start of the test cannot be; the message says which.
    TooShort
        When the history cannot hold one window and one horizon before the validation period.
    """
    if shop.products is None or level not in shop.products.columns:
        raise MissingColumn(f"products: column {level!r} is missing; sales are summed by it.")
    if n_series is None:
        n_series = {"department": 12, "category": 60}.get(level, 20)
    _check_sizes(n_series, window, horizon, test_days, valid_days)
    lines = shop.orders[["product_id", "timestamp", "revenue"]]
    row = pd.Index(shop.products["product_id"]).get_indexer(pd.Index(lines["product_id"]))
    key = pd.Series(shop.products[level].astype(str).to_numpy()[row]).where(row >= 0)
    all_series = daily_panel(lines["timestamp"], key, lines["revenue"])
    n_days = len(all_series.days)
    first = all_series.days[0]
    first_test = n_days - test_days if test_start is None else (pd.Timestamp(test_start) - first).days
    if not 0 < first_test <= n_days - test_days and test_start is not None:
        first, last = (f"{day:%Y-%m-%d}" for day in all_series.days[[0, -1]])
        raise BadValue(
            f"test_start {test_start}: {test_days} test days from there do not lie within the orders, "
            f"{first} to {last}; use another day or fewer test_days."
        )
    first_valid = first_test - valid_days
    if first_valid < window + horizon:
        raise TooShort(
            f"orders: {n_days} days are too few for a window of {window}, a horizon of {horizon}, "
            f"{valid_days} validation and {test_days} test days; shorten one of them."
        )
    size = all_series.values[:, :first_valid].sum(axis=1)
    named = np.array([name != "UNKNOWN" for name in all_series.names], dtype=bool)
    if not named.any():
        raise BadValue(f"products: no product that was sold has a {level}; fill the column {level!r}.")
    order = np.argsort(-np.where(named, size, -1), kind="stable")[: min(n_series, int(named.sum()))]
    panel = Panel(all_series.values[order], [all_series.names[i] for i in order], all_series.days)
    calendar = calendar_features(panel.days, holidays)
    known = np.broadcast_to(calendar.to_numpy()[None], (len(order), *calendar.shape))
    names = list(calendar.columns)
    if shop.promotions is not None:
        known = np.concatenate([known, promotion_features(shop, panel, level, horizon)], axis=2)
        names += PROMOTION_NAMES
    return SalesTask(
        panel,
        np.ascontiguousarray(known, dtype=np.float32),
        names,
        first_valid,
        first_test,
        first_test + test_days,
        window,
        horizon,
        holidays,
        closed,
    )


def _check_sizes(n_series: int, window: int, horizon: int, test_days: int, valid_days: int) -> None:
    """Raise BadValue, with the mend, for a size with which there is nothing to read or to forecast."""
    for name, value in (("n_series", n_series), ("horizon", horizon)):
        if value < 1:
            raise BadValue(f"{name}={value}: there must be at least 1.")
    if window < 7 or window % 7:
        raise BadValue(f"window={window}: a window is made of whole weeks; use a multiple of 7, such as 56.")
    for name, value in (("valid_days", valid_days), ("test_days", test_days)):
        if value < horizon:
            raise BadValue(
                f"{name}={value}: a horizon of {horizon} days does not fit; use at least {horizon}."
            )


def close_days(forecast: np.ndarray, task: SalesTask, origins: np.ndarray) -> np.ndarray:
    """Set a forecast (n_origins, n_series, horizon[, n_quantiles]) to 0 on days the shop is closed."""
    is_open = task.is_open(origins)
    return forecast * (is_open[..., None] if forecast.ndim == 4 else is_open)


def by_origin(flat: np.ndarray, task: SalesTask) -> np.ndarray:
    """Reshape (n_origins * n_series, ...) to (n_origins, n_series, ...)."""
    return flat.reshape(-1, task.n_series, *flat.shape[1:])
