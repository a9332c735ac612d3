"""Sales forecasting: the LSTM against every rival of `ecomlib.sales`, what each part brings, and money.

Protocol. Three windows of eight weekly cutoffs: "test", the last 56 days; "autumn", the eight weeks before;
"summer", the eight before those. Every setting (features, network, LightGBM, epochs) was chosen on the 28
days before the test. They are half of "autumn", and "summer" was in the training of that choice: the two
show whether the order holds, they are no second unseen test. Within a window everything is fitted and
calibrated on what came before it; "24 weeks" pools the three.
One LSTM (or MLP) is three small networks trained in one fit, and forecasts their mean; a seed is one such
fit. LSTM, MLP and LightGBM have three seeds in the test, two in the other windows and in "24 weeks".
Each learner is fitted twice per seed: on the training days, to forecast the validation days and calibrate the
band there; then on training and validation days, to forecast the test. "..., not calibrated" has the band as
the model gives it. The arms that leave one part out are one network and one fit each, like "LSTM, one
network", and are not calibrated. "week of" a day: one cutoff alone, where only series and seeds are drawn.
"""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import repeat
from multiprocessing import get_context
from typing import Any
from unittest.mock import patch

import joblib
import numpy as np

import ecomlib
from benchmarks.quality._alone import one_thread
from benchmarks.run import Log, kept, row
from ecomlib import Split, sales
from ecomlib.bootstrap import Draws, interval, mean_of_fits
from ecomlib.panels import Panel
from ecomlib.sales import (
    ETS,
    LightGBM,
    Ridge,
    SalesTask,
    Theta,
    WeekdayMean,
    calibrate_band,
    compare_forecasts,
    conformal_band,
    naive_scale,
    order_cost,
    score_forecast,
)
from ecomlib.sales.evaluate import METRICS, forecast_errors
from ecomlib.shop import Shop
from ecomlib.shop.complete_journey import CLOSED, HOLIDAYS

SEEDS = (0, 1, 2)
PERIODS = {"test": None, "autumn": "2017-11-05", "summer": "2017-09-10"}  # the last day
PLACES = [
    {"dataset": "categories", "period": "test", "horizon": 7},
    {"dataset": "categories", "period": "autumn", "horizon": 7},
    {"dataset": "categories", "period": "summer", "horizon": 7},
    {"dataset": "departments", "period": "test", "horizon": 7},
]
# Categories whose goods do not keep for a week: what is ordered daily.
FRESH = ["BAKED BREAD/BUNS/ROLLS", "BEEF", "BERRIES", "CAKES", "CHICKEN", "DELI MEATS", "PORK", "SALAD MIX"]
FRESH += ["TOMATOES", "TROPICAL FRUIT"]
MISSING, LEFT = 0.45, 0.05  # what a dollar of sales costs that is missing, and one that is left over

# LightGBM forecasts the level or the correction of the eight-week mean, whichever is better on validation.
LEVELS = {"departments": {"correct": True}, "categories": {"correct": False}}
# One part left out of one network; for each, the better of the rates .005 and .01 on validation.
ARMS: dict[str, dict[str, Any]] = {
    "LSTM, one network": {},
    "LSTM, level instead of correction": {"correct": False, "learning_rate": 0.01},
    "LSTM, no encoder": {"encode": False},
}
GROUP = 12  # series of one network, in "LSTM, one per 12 series"
ONE = "LSTM, one network"
BOTH = "mean of LSTM and LightGBM"
# Ratios, paired: both meet the same draws of series and weeks; the seeds of each are drawn apart.
PAIRS = [("LSTM", rival) for rival in ("mean of 8 weeks", "ETS", "Theta", "Ridge", "LightGBM", "MLP")]
PAIRS += [("LSTM, mean of 3", "LightGBM, mean of 3"), ("LSTM", ONE), ("MLP", "LightGBM")]
PAIRS += [(BOTH, rival) for rival in ("LightGBM", "LSTM")]
PAIRS += [("mean of MLP and LightGBM", "LightGBM")]
PAIRS += [("Ridge", "Ridge, one per series")]
PARTS = [*list(ARMS)[1:], "LSTM without promotions", "LSTM without holidays", "LSTM without weekdays"]
ALONE = "LSTM, median only"
PARTS += [f"LSTM, one per {GROUP} series", ALONE]
WEEKLY = [("LSTM", "mean of 8 weeks"), ("LSTM", "LightGBM"), (BOTH, "LightGBM")]
POOLED = [
    "mean of 8 weeks",
    "ETS",
    "Theta",
    "Ridge",
    "LightGBM",
    "MLP",
    "LSTM",
    BOTH,
    "mean of MLP and LightGBM",
]


class InGroups:
    """A model for every few series, instead of one for all of them."""

    def __init__(self, make: Callable[[], Any], seed: int = 0, size: int = 5):
        self.make, self.seed, self.size = make, seed, size

    def fit(self, task: SalesTask, part: str) -> "InGroups":
        """Fit each group's model on its series only."""
        groups = [np.arange(i, i + self.size) for i in range(0, task.n_series, self.size)]
        self.models = [(rows, self.make().fit(some_series(task, rows), part)) for rows in groups]
        return self

    def predict(self, task: SalesTask, cutoffs: np.ndarray) -> np.ndarray:
        """Forecasts of all groups, in the order of the series."""
        parts = [model.predict(some_series(task, rows), cutoffs) for rows, model in self.models]
        return np.concatenate(parts, axis=1)


def median_only(model: Any) -> Any:
    """The network trained for its median alone, by the absolute error; its band is the median, too."""
    fit, predict = model.fit, model.predict

    def absolute_error(target: Any, forecast: Any) -> Any:
        return abs(target - forecast[:, :, 1])

    def fit_median(*about: Any) -> Any:
        with patch("ecomlib.sales.model.pinball_loss", absolute_error):
            fit(*about)
        return model

    model.fit, model.predict = fit_median, lambda *about: predict(*about)[..., [1, 1, 1]]
    return model


def some_series(task: SalesTask, rows: np.ndarray) -> SalesTask:
    """The task of a few of its series."""
    panel = Panel(task.panel.values[rows], [task.panel.names[i] for i in rows], task.panel.days)
    return replace(task, panel=panel, known=task.known[rows])


def rows(quick: bool, log: Log) -> list[dict]:
    """One place after another in each of as many processes as there are cores; at most two fit into 4 GB."""
    ecomlib.load_complete_journey()  # fills the cache, so that no two processes do it at once
    n = min(joblib.cpu_count(), 2)
    log(f"{len(PLACES)} places, {n} at a time")
    with ProcessPoolExecutor(n, mp_context=get_context("spawn")) as pool:
        studies = list(pool.map(_study_alone, PLACES, repeat(quick), repeat(log)))
    return table(studies)


def table(studies: list["Study"]) -> list[dict]:
    """All rows of all places, then of the windows together."""
    return [row for study in studies for row in study.rows()] + pooled(studies)


def _study_alone(place: dict, quick: bool, log: Log) -> "Study":
    """A place in a process of its own, on one core: two small networks side by side beat one on two cores."""
    one_thread()
    shop, _ = ecomlib.clean(ecomlib.load_complete_journey())
    return study(shop, place, quick, log)


def study(shop: Shop, place: dict, quick: bool, log: Log) -> "Study":
    """All models in one place."""
    from ecomlib.sales import MLP, SalesLSTM

    level = {"departments": "department", "categories": "category"}[place["dataset"]]
    split = Split.last(test="56D", valid="28D", end=PERIODS[place["period"]])
    task = sales.task(shop, split, level, horizon=place["horizon"], holidays=HOLIDAYS, closed=CLOSED)
    seeds = SEEDS[: 1 if quick else 3 if place["period"] == "test" else 2]
    options = {"epochs": 1} if quick else {}
    own = Study(task, place, quick, log)
    own.fit("seasonal naive", [WeekdayMean(1)])
    for model in [WeekdayMean(4), WeekdayMean(8), Theta(), Ridge()] + ([] if quick else [ETS()]):
        own.fit(model.name, [model])
    own.fit("LightGBM", [LightGBM(seed, **LEVELS[place["dataset"]]) for seed in seeds])
    own.fit("LSTM", [SalesLSTM(seed, **options) for seed in seeds])
    own.fit("MLP", [MLP(seed, **options) for seed in seeds])
    if place == PLACES[0]:
        lstm = partial(SalesLSTM, 0, members=1, **options)
        for name, arm in ARMS.items():
            own.arm(name, [lstm(**arm)])
        for word in ("promotions", "holidays"):
            own.arm(f"LSTM without {word}", [lstm()], task.without(word))
        fast = partial(lstm, learning_rate=0.01)
        own.arm("LSTM without weekdays", [fast()], task.without("weekdays"))
        own.arm(f"LSTM, one per {GROUP} series", [InGroups(fast, size=GROUP)])
        own.arm(ALONE, [median_only(fast())])
        own.fit("Ridge, one per series", [InGroups(Ridge, size=1)])
    own.means()
    return own


class Study:
    """All forecasts of one task, and the tables made of them."""

    def __init__(self, task: SalesTask, place: dict, quick: bool, log: Log):
        self.task, self.quick, self.log = task, quick, log
        self.place = {name: place[name] for name in ("dataset", "period", "horizon")}
        self.cutoffs, self.valid = task.cutoffs("test"), task.cutoffs("valid")
        self.actual, self.is_open = task.actual(self.cutoffs), task.is_open(self.cutoffs)
        self.known, self.valid_open = task.actual(self.valid), task.is_open(self.valid)
        self.scale = naive_scale(task.panel.values[:, : task.test_start])
        self.fresh = np.isin(task.panel.names, FRESH)
        self.raw: dict[str, tuple[np.ndarray, np.ndarray]] = {}  # of the validation and the test, by fit
        self.forecasts: dict[str, np.ndarray] = {}  # (n_fits, n_cutoffs, n_series, horizon, 3), calibrated

    def fit(self, name: str, models: list) -> None:
        """Fit on train, forecast valid; fit again on both, forecast the test; once for each seed."""

        def made(model) -> tuple[np.ndarray, np.ndarray]:
            valid = model.fit(self.task, "train").predict(self.task, self.valid)
            return valid, model.fit(self.task, "refit").predict(self.task, self.cutoffs)

        jobs = {f"{name} {getattr(model, 'seed', 0)}": partial(made, model) for model in models}
        valid, test = (np.stack(part) for part in zip(*self._kept(jobs).values(), strict=True))
        self.calibrated(name, valid, test)

    def arm(self, name: str, models: list, task: SalesTask | None = None) -> None:
        """A variant: fitted once for each seed, on both parts; its band stays as it is."""
        task = task or self.task

        def made(model) -> np.ndarray:
            return model.fit(task, "refit").predict(task, self.cutoffs)

        jobs = {f"{name} {model.seed}": partial(made, model) for model in models}
        self.forecasts[name] = np.stack(list(self._kept(jobs).values()))
        self._say(name)

    def means(self) -> None:
        """Means of fits and of two kinds of models, each calibrated again."""
        for name in ("LSTM", "LightGBM"):
            if len(self.forecasts[name]) > 1:
                alone = (part.mean(axis=0, keepdims=True) for part in self.raw[name])
                self.calibrated(f"{name}, mean of {len(self.forecasts[name])}", *alone)
        for name in {"LSTM", "MLP"} & set(self.raw):
            n = min(len(self.raw[each][0]) for each in (name, "LightGBM"))
            pair = zip(self.raw[name], self.raw["LightGBM"], strict=True)
            both = ((one[:n] + other[:n]) / 2 for one, other in pair)
            self.calibrated(f"mean of {name} and LightGBM", *both)

    def _kept(self, jobs: dict) -> dict:
        where = "-".join(map(str, self.place.values())) + "-quick" * self.quick
        return kept(f"sales/{where}", jobs, self.log)

    def calibrated(self, name: str, valid: np.ndarray, test: np.ndarray) -> None:
        self.raw[name] = valid, test
        if name == "seasonal naive":  # it has no band
            self.forecasts[name] = test
        else:
            self.forecasts[f"{name}, not calibrated"] = test
            factors = [calibrate_band(self.known, each, self.valid_open) for each in valid]
            self.forecasts[name] = np.stack(list(map(conformal_band, test, factors)))
        self._say(name)

    def _say(self, name: str) -> None:
        scores = score_forecast(self.actual, self.forecasts[name], None, self.is_open, n=2)
        figures = "  ".join(f"{metric} {value[0]:.4f}" for metric, value in scores.items())
        self.log(f"{' '.join(map(str, self.place.values()))}  {name}: {figures}")

    def rows(self) -> list[dict]:
        """Scores and paired ratios; in the main place also without and in the holiday weeks, and money."""
        weeks = {"in": np.ones(len(self.cutoffs), bool)}
        main = self.place["period"] == "test" and self.place["horizon"] == 7
        holiday = self.task.holiday_weeks(self.cutoffs)
        if main and holiday.any():
            weeks |= {"only": holiday, "out": ~holiday}
        out = []
        for holidays, keep in weeks.items():
            place = self.place | {"holidays": holidays, "series": "all"}
            for name in self.forecasts:
                out += self._scores(name, keep, place)
            out += self._ratios(keep, place)
        if self.place["dataset"] == "categories":
            out += self.by_week()
        if main and self.place["dataset"] == "categories":
            out += self.by_series("LSTM") + self.money()
        return out

    def _scores(self, name: str, keep: np.ndarray, place: dict) -> list[dict]:
        actual, is_open, forecast = self.actual[keep], self.is_open[keep], self.forecasts[name][:, keep]
        scores = score_forecast(actual, forecast, self.scale, is_open)
        out = [row(name, metric, values, len(forecast), **place) for metric, values in scores.items()]
        if name == "LSTM" and len(forecast) > 1:
            for seed, alone in enumerate(forecast):
                scores = score_forecast(actual, alone, None, is_open)
                three = ("WAPE", "pinball", "coverage")
                out += [row(f"LSTM seed {seed}", metric, scores[metric], 1, **place) for metric in three]
        return out

    def _ratios(self, keep: np.ndarray, place: dict) -> list[dict]:
        """Paired ratios, also of arms: they have no calibrated band, so neither has their other side."""
        pairs = PAIRS + [(ONE, part) for part in PARTS]
        out = []
        for first, second in pairs:
            one = f"{first}, not calibrated" if second == ONE else first
            if {one, second} <= set(self.forecasts):
                one, two = (self.forecasts[name][:, keep] for name in (one, second))
                for metric in ("WAPE", "pinball")[: 1 if second == ALONE else 2]:  # a median has no band
                    values = compare_forecasts(self.actual[keep], one, two, self.is_open[keep], metric)
                    out.append(row(f"{first} / {second}", metric, values, len(one), **place))
        return out

    def by_week(self) -> list[dict]:
        """Ratios of WAPE in each week alone; series and fits are drawn."""
        out = []
        for i, cutoff in enumerate(self.cutoffs):
            week = f"week of {self.task.days[cutoff + 1]:%Y-%m-%d}"
            place = self.place | {"period": week, "holidays": "in", "series": "all"}
            for pair in [pair for pair in WEEKLY if set(pair) <= set(self.forecasts)]:
                one, two = (self.forecasts[name][:, i : i + 1] for name in pair)
                ratio = compare_forecasts(self.actual[i : i + 1], one, two, self.is_open[i : i + 1])
                out.append(row(" / ".join(pair), "WAPE", ratio, len(one), **place))
        return out

    def by_series(self, name: str) -> list[dict]:
        """Coverage of each series; weeks and fits are drawn."""
        out = []
        for i, series in enumerate(self.task.panel.names):
            one = slice(i, i + 1)
            forecast = self.forecasts[name][:, :, one]
            covered = score_forecast(self.actual[:, one], forecast, None, self.is_open)["coverage"]
            place = self.place | {"holidays": "in", "series": series}
            out.append(row(name, "coverage", covered, len(forecast), **place))
        return out

    def orders(self) -> dict[str, np.ndarray]:
        """Orders of the goods that do not keep, (n_fits, n_cutoffs, n_fresh, horizon).

        The mean itself, the mean with the margin that was cheapest on validation, and each model's 90 %
        quantile, which is the cheapest order at these costs.
        """
        mean = self.forecasts["mean of 8 weeks"][..., 1][:, :, self.fresh]
        past = self.raw["mean of 8 weeks"][0][0][..., 1][:, self.fresh]
        sold = self.known[:, self.fresh]
        margins = np.arange(0, 3.01, 0.05)
        cost = [order_cost(past * (1 + m), sold, MISSING, LEFT, self.valid_open).sum() for m in margins]
        out = {"the mean itself": mean, "the mean + a margin": mean * (1 + margins[np.argmin(cost)])}
        return out | {name: self.forecasts[name][..., 2][:, :, self.fresh] for name in POOLED}

    def money(self) -> list[dict]:
        """Cost of the orders in dollars per week, and what the LSTM's save: series, weeks and fits drawn."""
        sold, place = self.actual[:, self.fresh], self.place | {"holidays": "in", "series": "fresh"}
        week, series = np.divmod(np.arange(sold[..., 0].size), sold.shape[1])
        drawn, cost = Draws.of(series, week), {}
        for stream, (name, fits) in enumerate(self.orders().items()):
            paid = [order_cost(order, sold, MISSING, LEFT, self.is_open).sum(axis=-1) for order in fits]
            made = [{"cost": drawn.sums(each.ravel()) / len(self.cutoffs)} for each in paid]
            cost[name] = mean_of_fits(made, stream)["cost"], len(fits)
        out = [row(name, "order cost", interval(paid), n, **place) for name, (paid, n) in cost.items()]
        own, n = cost["LSTM"]
        for name, (paid, _) in cost.items():
            if name != "LSTM":
                out.append(row(f"{name} - LSTM", "order cost", interval(paid - own), n, **place))
        return out


def pooled(studies: list[Study]) -> list[dict]:
    """The windows together: a series is drawn by its name, in all windows; a week by its date."""
    windows = [s for s in studies if (s.place["dataset"], s.place["horizon"]) == ("categories", 7)]
    series = np.concatenate([np.tile(s.task.panel.names, len(s.cutoffs)) for s in windows])
    week = np.concatenate([np.repeat(s.cutoffs, s.task.n_series) for s in windows])
    drawn = Draws.of(series, week)

    def scores(name: str, fit: int) -> dict[str, np.ndarray]:
        errors = [forecast_errors(s.actual, s.forecasts[name][fit], s.is_open) for s in windows]
        total = {part: drawn.sums(np.concatenate([e[part].ravel() for e in errors])) for part in errors[0]}
        return {metric: total[top] / total[bottom] for metric, (top, bottom) in METRICS.items()}

    place = {"dataset": "categories", "period": f"{len(np.unique(week))} weeks", "horizon": 7}
    place |= {"holidays": "in", "series": "all"}
    out, fits = [], {}
    for name in [name for name in POOLED if all(name in s.forecasts for s in windows)]:
        fits[name] = [scores(name, fit) for fit in range(min(len(s.forecasts[name]) for s in windows))]
        found = mean_of_fits(fits[name])
        out += [row(name, metric, interval(v), len(fits[name]), **place) for metric, v in found.items()]
    for pair in [pair for pair in PAIRS if set(pair) <= set(fits)]:
        one, two = (mean_of_fits(fits[name], stream) for stream, name in enumerate(pair))
        for metric in ("WAPE", "pinball"):
            ratio = interval(one[metric] / two[metric])
            out.append(row(" / ".join(pair), metric, ratio, len(fits[pair[0]]), **place))
    return out
