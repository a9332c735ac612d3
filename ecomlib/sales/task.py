"""From a shop to the sales task: daily series, what is known ahead of them, and windows by cutoff.

A *cutoff* is the last day that is known. Nothing after it is read but the calendar and the promotions that
were planned for the days to come.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ecomlib.panels import Panel, daily_panel
from ecomlib.sales.known_ahead import (
    HOLIDAY_NAMES,
    LAST_YEAR_NAMES,
    PROMOTION_NAMES,
    WEEKDAYS,
    calendar_features,
    holidays_between,
    last_year_features,
    open_days,
    promotion_features,
)
from ecomlib.shop import BadValue, MissingColumn, Shop, TooShort
from ecomlib.split import Split
from ecomlib.windows import future_windows, past_windows, window_scale

QUANTILES = (0.1, 0.5, 0.9)
PLANNED = [*PROMOTION_NAMES, "promotion", "price"]  # what the shop plans, and changes
N_SERIES = {"department": 12, "category": 60}  # how many series, when it is not said


@dataclass(frozen=True)
class Windows:
    """What a network reads and has to forecast; n = n_cutoffs * n_series, cutoff by cutoff.

    Attributes
    ----------
    past : array (n, lookback)
        Sales of the window, divided by `scale`.
    past_known : array (n, lookback, n_known)
    future_known : array (n, horizon, n_known + n_promotion)
        The same columns, then the promotions once more as their difference from the window's mean.
    series : array of int (n,)
    scale : array (n, 1)
        Mean sales per day of the window, in the shop's currency.
    target : array (n, horizon)
        Sales to forecast, divided by `scale`; NaN after the last day of the data.
    season : int
        Steps of a week: 7, or 1 where a step is a week.
    """

    past: np.ndarray
    past_known: np.ndarray
    future_known: np.ndarray
    series: np.ndarray
    scale: np.ndarray
    target: np.ndarray
    season: int = 7

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
        week = self.past.reshape(n, -1, self.season)[:, -weeks:].mean(axis=1)
        return np.tile(week, (1, -(-horizon // self.season)))[:, :horizon]

    def inputs(self) -> dict[str, np.ndarray]:
        """What the networks and LightGBM read: the same arrays for both.

        Returns
        -------
        dict
            "past" (n, lookback, 1 + n_known): sales and known covariates; "future" (n, horizon, 3 +
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
    known : array float32 (n_series, n_days + horizon, n_known)
        Covariates known before the day: calendar, planned promotions; also of the days after the data.
    known_names : list of str
    valid_start, test_start, test_end : int
        Positions of days.
    lookback, horizon : int
        Days read, days forecast.
    holidays, closed
        As in `task`.
    """

    panel: Panel
    known: np.ndarray
    known_names: list[str]
    valid_start: int
    test_start: int
    test_end: int
    lookback: int = 56
    horizon: int = 7
    holidays: tuple | None = None
    closed: tuple = ()

    @property
    def n_series(self) -> int:
        """Number of series."""
        return len(self.panel.names)

    @property
    def season(self) -> int:
        """Steps of a week: 7, or 1 where a step is a week."""
        return season_of(self.panel)

    @property
    def days(self) -> pd.DatetimeIndex:
        """The days of the panel and `horizon` days more, (n_days + horizon,)."""
        return days_ahead(self.panel, self.horizon)

    def cutoffs(self, part: str = "test", step: int | None = None) -> np.ndarray:
        """Return a part's cutoffs, each with its whole horizon inside the part.

        Parts are "train", "valid", "refit" (both), "test", and "next": the last day of the data, after which
        nothing is known yet. `step` is the days between cutoffs; default 7 in the test, 1 elsewhere.
        """
        bounds = {
            "train": (self.lookback, self.valid_start),
            "valid": (self.valid_start, self.test_start),
            "refit": (self.lookback, self.test_start),
            "test": (self.test_start, self.test_end),
            "next": (len(self.panel.days), len(self.panel.days) + self.horizon),
        }
        if part not in bounds:
            raise BadValue(f"there is no part {part!r}; use {', '.join(bounds)}.")
        first, end = bounds[part]
        step = step or (self.season if part == "test" else 1)
        return np.arange(first - 1, end - self.horizon, step)

    def windows(self, cutoffs: np.ndarray) -> Windows:
        """Cut all series' windows at these cutoffs (targets of the future included: for training)."""
        after = np.full((self.n_series, self.horizon), np.nan, np.float32)
        values = np.concatenate([self.panel.values, after], axis=1)
        past = past_windows(self.panel.values, cutoffs, self.lookback)
        scale = window_scale(past, floor=0.5)
        target = future_windows(values, cutoffs, self.horizon) / scale
        past_known = past_windows(self.known, cutoffs, self.lookback)
        future_known = future_windows(self.known, cutoffs, self.horizon)
        promoted = [i for i, name in enumerate(self.known_names) if name in PLANNED]
        change = future_known[..., promoted] - past_known[..., promoted].mean(axis=2, keepdims=True)
        future_known = np.concatenate([future_known, change], axis=-1)
        return Windows(
            past=(past / scale).reshape(-1, self.lookback),
            past_known=past_known.reshape(-1, *past_known.shape[2:]),
            future_known=future_known.reshape(-1, *future_known.shape[2:]),
            series=np.tile(np.arange(self.n_series, dtype=np.int32), len(cutoffs)),
            scale=scale.reshape(-1, 1),
            target=target.reshape(-1, self.horizon),
            season=self.season,
        )

    def actual(self, cutoffs: np.ndarray) -> np.ndarray:
        """Sales after each cutoff; (n_cutoffs, n_series, horizon), shop's currency."""
        return future_windows(self.panel.values, cutoffs, self.horizon)

    def is_open(self, cutoffs: np.ndarray) -> np.ndarray:
        """Bool (n_cutoffs, 1, horizon): days on which the shop opens. Closed days are not scored."""
        is_open = open_days(self.days, self.closed) | (self.season == 1)  # no week is closed as a whole
        return future_windows(is_open[None], cutoffs, self.horizon)

    def by_cutoff(self, flat: np.ndarray, cutoffs: np.ndarray) -> np.ndarray:
        """Forecasts (n_cutoffs, n_series, horizon, 3) of rows as in `windows`; 0 where the shop is closed."""
        forecast = flat.reshape(len(cutoffs), self.n_series, *flat.shape[1:])
        return np.maximum(forecast, 0) * self.is_open(cutoffs)[..., None]

    def without(self, *words: str) -> "SalesTask":
        """Return the task without the known covariates "promotions", "holidays" or "weekdays"."""
        groups = {"promotions": PLANNED, "holidays": HOLIDAY_NAMES, "weekdays": WEEKDAYS}
        for word in words:
            if word not in groups:
                raise BadValue(f"there are no covariates {word!r} to leave out; use {', '.join(groups)}.")
        drop = {name for word in words for name in groups[word]}
        keep = [i for i, name in enumerate(self.known_names) if name not in drop]
        return replace(self, known=self.known[:, :, keep], known_names=[self.known_names[i] for i in keep])

    def with_last_year(self) -> "SalesTask":
        """Return the task with two more known covariates: see `known_ahead.last_year_features`."""
        more = last_year_features(self.panel.values, self.season, self.horizon)
        known = np.concatenate([self.known, more], axis=-1)
        return replace(self, known=known, known_names=[*self.known_names, *LAST_YEAR_NAMES])

    @property
    def near_holiday(self) -> np.ndarray:
        """Bool (n_days + horizon,): a holiday or one of the three days before it."""
        near = np.zeros(len(self.days), bool)
        for calendar in self.holidays or ():
            last = self.days[-1] + pd.Timedelta(days=3)
            for holiday in holidays_between(calendar, self.days[0], last):
                near[self.days.slice_indexer(holiday - pd.Timedelta(days=3), holiday)] = True
        return near

    def holiday_weeks(self, cutoffs: np.ndarray) -> np.ndarray:
        """Bool (n_cutoffs,): the horizon holds a holiday or one of the three days before it."""
        near = future_windows(self.near_holiday[None], cutoffs, self.horizon)
        return np.any(near, axis=(1, 2))


def season_of(panel: Panel) -> int:
    """Steps of a week: 7, or 1 where the panel's steps are weeks."""
    return 1 if len(panel.days) > 1 and (panel.days[1] - panel.days[0]).days == 7 else 7


def days_ahead(panel: Panel, horizon: int) -> pd.DatetimeIndex:
    """The panel's days, or first days of weeks, and `horizon` more."""
    step = "7D" if season_of(panel) == 1 else "D"
    return pd.date_range(panel.days[0], periods=len(panel.days) + horizon, freq=step)


def task(
    shop: Shop | Panel,
    split: Split,
    level: str = "department",
    n_series: int | None = None,
    lookback: int = 56,
    horizon: int = 7,
    holidays: Any = None,
    closed: Iterable = (),
) -> SalesTask:
    """Turn a shop into a forecasting task: the largest series of a level, day by day.

    Parameters
    ----------
    shop : Shop or Panel
        A panel of `read_sales` is taken as it is; where its steps are weeks, lookback and horizon are.
    level : column of `shop.products`
        Such as "department" or "category".
    n_series : int, optional
        How many; default 12 departments, 60 categories, 20 of another level, all of a panel. The largest by
        revenue *before* the validation period.
    lookback, horizon : int
        Days read (whole weeks) and days forecast.
    holidays : (quiet, open), one calendar, or None
        Two calendars as `calendar_features` takes them. One calendar counts as quiet.
    closed : items, each a weekday ("Sun"), a (month, day), a date or a calendar
        Days on which the shop never opens; they are forecast as 0 and not scored.

    Raises
    ------
    MissingColumn, BadValue, TooShort
        When the products lack the level, a size cannot be, or the history is too short.
    """
    all_series, default = _series(shop, level)
    n_series = default if n_series is None else n_series
    season = season_of(all_series)
    _check_sizes(n_series, lookback, horizon, split, season)
    bounds = split.positions(all_series.days)
    if bounds[0] < lookback + horizon:
        unit = "days" if season == 7 else "weeks"
        raise TooShort(
            f"orders: {len(all_series.days)} {unit} are too few for a lookback of {lookback}, a horizon of "
            f"{horizon}, {split.valid.days} validation and {split.test.days} test days; shorten one of them."
        )
    panel = _largest(all_series, bounds[0], n_series, level)
    two = holidays is None or isinstance(holidays, tuple) and len(holidays) == 2
    pair = holidays if two else (holidays, ())
    days = days_ahead(panel, horizon)
    open_days(days, closed)  # refuses a day that cannot be read
    calendar = calendar_features(days, pair) if season == 7 else _of_weeks(days, pair)
    known = np.broadcast_to(calendar.to_numpy()[None], (len(panel.names), *calendar.shape))
    names = list(calendar.columns)
    if isinstance(shop, Panel):
        planned, more = _planned(shop, panel, len(days), bounds[0])
        known, names = np.concatenate([known, planned], axis=2), names + more
    elif shop.promotions is not None:
        promotions = promotion_features(shop, panel.names, days, level, horizon)
        known, names = np.concatenate([known, promotions], axis=2), names + PROMOTION_NAMES
    known = np.ascontiguousarray(known, dtype=np.float32)
    return SalesTask(panel, known, names, *bounds, lookback, horizon, pair, tuple(closed))


def _series(shop: Shop | Panel, level: str) -> tuple[Panel, int]:
    """Daily revenue of every value of a column of the products, or the panel; how many series by default."""
    if isinstance(shop, Panel):
        return shop, len(shop.names)
    if shop.products is None or level not in shop.products.columns:
        raise MissingColumn(f"products: column {level!r} is missing; sales are summed by it.")
    lines = shop.orders[["product_id", "timestamp", "revenue"]]
    row = pd.Index(shop.products["product_id"]).get_indexer(pd.Index(lines["product_id"]))
    key = pd.Series(shop.products[level].astype(str).to_numpy()[row]).where(row >= 0)
    return daily_panel(lines["timestamp"], key, lines["revenue"]), N_SERIES.get(level, 20)


def _of_weeks(weeks: pd.DatetimeIndex, holidays: tuple | None) -> pd.DataFrame:
    """The calendar of weeks: what it says of one of their days; no weekdays."""
    daily = calendar_features(pd.date_range(weeks[0], periods=7 * len(weeks)), holidays)
    table = daily.groupby(np.arange(len(daily)) // 7).max()
    return table.drop(columns=WEEKDAYS)


def _planned(given: Panel, panel: Panel, n_steps: int, n_train: int) -> tuple[np.ndarray, list[str]]:
    """What a report plans on every step: no promotion and the last price where it says nothing of the future.

    Float32 (n_series, n_steps, n_names), and the names.
    """
    row = [given.names.index(name) for name in panel.names]
    columns = [np.zeros((len(row), n_steps, 0), np.float32)]
    planned: dict[str, np.ndarray] = getattr(given, "planned", {})
    for name, values in planned.items():
        values = values[row, :n_steps]
        after = values[:, -1:] * (name == "price")
        values = np.concatenate([values, np.repeat(after, n_steps - values.shape[1], axis=1)], axis=1)
        if name == "price":  # over what the series cost on average in training
            values = values / np.maximum(values[:, :n_train].mean(axis=1, keepdims=True), 1e-9) - 1
        columns.append(values[:, :, None].astype(np.float32))
    return np.concatenate(columns, axis=2), list(planned)


def _largest(panel: Panel, first_valid: int, n_series: int, level: str) -> Panel:
    """The n_series largest series that have a name, by their sales before the validation period."""
    named = np.array([name != "UNKNOWN" for name in panel.names], dtype=bool)
    if not named.any():
        raise BadValue(f"products: no product that was sold has a {level}; fill the column {level!r}.")
    size = np.where(named, panel.values[:, :first_valid].sum(axis=1), -1)
    order = np.argsort(-size, kind="stable")[: min(n_series, int(named.sum()))]
    return Panel(panel.values[order], [panel.names[i] for i in order], panel.days)


def _check_sizes(n_series: int, lookback: int, horizon: int, split: Split, season: int) -> None:
    """Raise BadValue for a size with which there is nothing to read or to forecast."""
    for name, value in (("n_series", n_series), ("horizon", horizon)):
        if value < 1:
            raise BadValue(f"{name}={value}: there must be at least 1.")
    if lookback < season or lookback % season:
        raise BadValue(
            f"lookback={lookback}: a window is made of whole weeks; use a multiple of 7, such as 56."
        )
    for name, days in (("validation", split.valid.days), ("test", split.test.days)):
        needed = horizon * 7 // season
        if days < needed:
            raise BadValue(
                f"a {name} of {days} days does not hold a horizon of {needed} days; use at least {needed}D."
            )
