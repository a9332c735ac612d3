"""The first question: what every series will sell on each of the next days, or weeks of a slow shop."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from holidays import country_holidays, list_supported_countries

from ecomlib import sales
from ecomlib.own.profile import closed_weekdays, last_whole_day
from ecomlib.own.questions import Models, Question, with_products
from ecomlib.panels import Panel, daily_panel
from ecomlib.sales.known_ahead import open_days
from ecomlib.shop import BadValue, Shop, TooShort
from ecomlib.split import DAY

SLOW = 0.5  # of the open days without a sale: such series are forecast by the week
FULL = 0.1  # of the open days without a sale: categories that sell so often are forecast one by one
MANY = 20  # so many of them: a network learns from all
N_SERIES = {"category": 60, "product_id": 30}  # how many, when it is not said; of another level 12
SELLS = 0.5  # of its weekday's median: on a holiday with more the shop is open
TWO_YEARS = 104  # weeks: in a longer history last year's sales are read, too


class Sales(Question):
    """What every series will sell on each of the next days, or weeks where most days have no sale."""

    title, headline = "sales", "WAPE"
    draws = staticmethod(sales.draws)

    def task(self, shop: Shop) -> sales.SalesTask:
        """Daily series of a level of the products, or weekly ones, up to the last whole day."""
        plan, when = self.plan, shop.orders["timestamp"]
        last = last_whole_day(when)
        shop = with_products(shop).with_tables(orders=shop.orders[when < last + DAY])
        assert shop.products is not None
        if "closed" not in plan:
            self._settle(shop, last)
        series = shop.products[plan["level"]].astype(str)
        if "names" in plan:  # what is new in a later export is none of the model's series
            series = series.where(series.isin(plan["names"]), "UNKNOWN")
        shop = shop.with_tables(products=shop.products.assign(series=series))
        daily = _daily(shop, "series")
        sizes: dict[str, Any] = {"n_series": plan["n_series"], "horizon": plan["horizon"]}
        sizes["holidays"] = self._holidays(daily.days)
        if plan["weekly"]:
            weeks = _weeks(daily)
            split = self.split(weeks.days[0], weeks.days[-1] + 6 * DAY)
            task = sales.task(weeks, split, lookback=8, **sizes)
        else:
            split = self.split(daily.days[0], last)
            n_early = (split.dates(last).valid - daily.days[0]).days
            sizes["lookback"] = plan.setdefault("lookback", 56 if n_early >= 77 else 28)
            task = sales.task(shop, split, "series", closed=tuple(plan["closed"]), **sizes)
        if plan.setdefault("last_year", len(task.panel.days) >= TWO_YEARS * task.season):
            task = task.with_last_year()
        self.check_names(task.panel.names)
        if other := sorted(set(plan.setdefault("columns", task.known_names)) ^ set(task.known_names)):
            raise BadValue(
                f"sales: {other[0]!r} is known to the model or to this export only; give the same tables."
            )
        return task

    def _settle(self, shop: Shop, last: pd.Timestamp) -> None:
        """Decide what the series are, from the days before validation; a later export changes none of it."""
        plan, when = self.plan, shop.orders["timestamp"]
        early = when < self.parts(when.min().normalize(), last).dates(last).valid
        shop = shop.with_tables(orders=shop.orders[early]) if early.any() else shop
        plan["closed"] = [*closed_weekdays(when), *plan["closed_too"]]
        plan["level"] = plan["level"] or self._level(shop)
        plan["n_series"] = plan["n_series"] or N_SERIES.get(plan["level"], 12)
        daily = _daily(shop, plan["level"])
        plan["weekly"] = self._empty(daily, plan["n_series"]) > SLOW
        plan["horizon"] = plan["horizon"] or (4 if plan["weekly"] else 7)
        plan["sold_on"] = self._sold_on(daily)

    def _level(self, shop: Shop) -> str:
        """Categories where many sell on nearly every day, else departments, categories, or products."""
        assert shop.products is not None
        for level, least in (("category", MANY), ("department", 2), ("category", 2)):
            names = set(shop.products[level].astype(str)) - {"UNKNOWN"} if level in shop.products else set()
            if len(names) >= least and (least < MANY or self._empty(_daily(shop, level), MANY) < FULL):
                return level
        return "product_id"

    def _empty(self, daily: Panel, n_series: int) -> float:
        """Share of the open days without a sale, in the largest series."""
        named = [i for i, name in enumerate(daily.names) if name != "UNKNOWN"]
        values = daily.values[named][:, open_days(daily.days, self.plan["closed"])]
        return float((values[np.argsort(-values.sum(axis=1))[:n_series]] == 0).mean())

    def _calendar(self, days: pd.DatetimeIndex) -> dict[pd.Timestamp, str]:
        """The country's holidays from a week before these days to half a year after them."""
        country = self.plan["country"]
        if country is None:
            return {}
        if country not in list_supported_countries():
            raise BadValue(f"country={country!r} is not known; say it with two letters, as in 'DE'.")
        calendar = country_holidays(country)
        days = pd.date_range(days[0] - 7 * DAY, days[-1] + 180 * DAY)
        return {day: calendar.get(day) for day in days if day in calendar}

    def _sold_on(self, daily: Panel) -> list[str]:
        """Names of the holidays on which the shop sells as on other days."""
        sold = pd.Series(daily.values.sum(axis=0), daily.days)
        usual = sold.groupby(sold.index.day_of_week).transform("median")
        holidays = {day: name for day, name in self._calendar(daily.days).items() if day in sold.index}
        quiet = {name for day, name in holidays.items() if sold[day] < SELLS * usual[day]}
        return sorted(set(holidays.values()) - quiet)

    def _holidays(self, days: pd.DatetimeIndex) -> tuple[list, list] | None:
        """Quiet and open holidays, as `sales.task` takes them; None where no country is named."""
        calendar, sold = self._calendar(days), self.plan["sold_on"]
        quiet, busy = ([d for d, n in calendar.items() if (n in sold) == flag] for flag in (False, True))
        return (quiet, busy) if calendar else None

    def known(self, task: sales.SalesTask, until: str = "end") -> sales.SalesTask:
        """The task whose training part ends where the plan says: "test_from", or all of the first export."""
        at = int(task.panel.days.searchsorted(pd.Timestamp(self.plan[until])))
        return replace(task, valid_start=at, test_start=at, test_end=at)

    def models(self, task: sales.SalesTask) -> tuple[Models, Models, Callable[[int], Any]]:
        """Means of weeks; LightGBM and ETS; the mean of three LSTMs."""
        means = (8, 4) if task.lookback >= 8 * task.season else (4, 2)
        simple = {f"mean of {weeks} weeks": sales.WeekdayMean(weeks) for weeks in means}
        rivals = {"LightGBM": sales.LightGBM(), "LightGBM (correction)": sales.LightGBM(correct=True)}
        rivals, epochs = rivals | {"ETS": sales.ETS()}, self.plan["epochs"] or 10
        return simple, rivals, lambda seed: sales.SalesLSTM(seed, epochs=epochs)

    def prepare(self, task: sales.SalesTask, model: Any, rule: Any) -> list[str]:
        """Keep the band's factors of validation, for thirds of the series by size; say what they do."""
        plan, valid = self.plan, task.cutoffs("valid")
        thirds = np.arange(task.n_series) * 3 // task.n_series  # series stand by size
        forecast, scored = (self.forecast(task, model, part) for part in ("valid", "test"))
        step = "weeks" if plan["weekly"] else "days"
        notes = [f"{task.n_series} series, each a {plan['level']}, by the {step[:-1]}"]
        notes += ["most days have no sale: the forecast is of weekly sums"] * plan["weekly"]
        notes += ["last year's sales are read, too"] * plan["last_year"]
        bias = sales.draws(task, scored, n=1)["bias"][0]
        notes += ["no holidays are known: say country='DE', for example"] * (plan["country"] is None)
        notes += [f"holidays on which the shop sells: {', '.join(plan['sold_on'])}"] * bool(plan["sold_on"])
        notes += [f"the forecast's sum was {bias:+.1%} off in the test"]
        notes += ["days without stock are not seen: what could not be bought counts as not wanted"]
        plan["band"] = None
        try:
            factors = sales.calibrate_band(task.actual(valid), forecast, task.is_open(valid), thirds)
        except BadValue as error:
            return [*notes, f"no band: {error}"]
        plan["band"] = factors.tolist()
        band = sales.conformal_band(scored, factors)
        held = sales.draws(task, band, n=1)["coverage"][0]
        return [*notes, f"the band of 80 % held {held:.0%} of the test's {step}"]

    def table(self, shop: Shop, task: sales.SalesTask, model: Any) -> pd.DataFrame:
        """Columns series, day (or a week's first), low, middle, high; a refused band is empty."""
        forecast = np.sort(model.predict(task, task.cutoffs("next"))[0], axis=-1)
        if self.plan["band"] is None:
            forecast[..., [0, 2]] = np.nan
        else:
            forecast = sales.conformal_band(forecast, np.array(self.plan["band"]))
        days = np.tile(task.days[-task.horizon :], task.n_series)
        table = pd.DataFrame({"series": np.repeat(task.panel.names, task.horizon), "day": days})
        table[["low", "middle", "high"]] = forecast.reshape(-1, 3)
        return table


def _daily(shop: Shop, level: str) -> Panel:
    """Revenue of every day and value of a column of the products."""
    assert shop.products is not None
    name = shop.products.set_index("product_id", drop=False)[level].astype(str)
    key = pd.Series(name.reindex(shop.orders["product_id"]).to_numpy())
    return daily_panel(shop.orders["timestamp"], key, shop.orders["revenue"])


def _weeks(panel: Panel) -> Panel:
    """Sums of whole weeks from Monday to Sunday."""
    first = -panel.days[0].day_of_week % 7
    n_weeks = (len(panel.days) - first) // 7
    if n_weeks < 1:
        raise TooShort(f"sales: {len(panel.days)} days hold no whole week; give a longer history.")
    inside = slice(first, first + 7 * n_weeks)
    sums = panel.values[:, inside].reshape(len(panel.names), n_weeks, 7).sum(axis=2)
    return Panel(sums, panel.names, panel.days[inside][::7])
