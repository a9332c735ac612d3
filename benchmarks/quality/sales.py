"""Sales forecasting: the LSTM against every rival of `ecomlib.sales`, in two periods and two horizons.

Protocol. Test period: the last 56 days, eight weekly cutoffs. Every choice (features, network, trees,
epochs) was made on the 28 days before it, with a cutoff every day. The calm period is the eight weeks before
the test: all is trained and calibrated on what came before it, with the settings chosen above; those were
chosen on four of its eight weeks, so it checks that the ordering holds, it is not a second unseen test.
One LSTM is three small networks trained in one fit, and forecasts their mean; a seed is one such fit.
Each learner is fitted twice: on the training days, to forecast the validation days and calibrate the band
there; then on training and validation days, to forecast the test. The bands of the means, of ETS and of
Theta are calibrated on the validation days too. "..., not calibrated" has the band as the model gives it.
"""

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import repeat
from multiprocessing import get_context

import joblib
import numpy as np

import ecomlib
from benchmarks.run import Log, kept, row
from ecomlib import Split, sales
from ecomlib.sales import (
    ETS,
    LightGBM,
    SalesTask,
    Theta,
    WeekdayMean,
    calibrate_band,
    compare_forecasts,
    naive_scale,
    score_forecast,
    stretch_band,
)
from ecomlib.shop import Shop
from ecomlib.shop.complete_journey import CLOSED, HOLIDAYS

SEEDS = (0, 1, 2)
PERIODS = {"test": None, "calm": "2017-11-05"}  # the last day
PLACES = [
    {"dataset": dataset, "period": period, "horizon": horizon, "without": without}
    for dataset in ("departments", "categories")
    for period, horizon, without in (
        ("test", 7, ("promotions", "holidays")),
        ("calm", 7, ("promotions",)),
        ("test", 28, ()),
    )
]

# The trees forecast the level or the correction of the eight-week mean, whichever is better on validation.
TREES = {"departments": {"correct": True}, "categories": {"correct": False}}

# Ratios, with an interval over series, seeds and weeks, and one for these weeks (series and seeds).
PAIRS = [("LSTM", other) for other in ("mean of 8 weeks", "ETS", "Theta", "LightGBM")]
# One LSTM is three networks: three fits of the trees are its like.
PAIRS += [(lstm, "LightGBM, mean of 3") for lstm in ("LSTM", "LSTM, mean of 3", "LSTM, one network")]
# A variant without some inputs has no calibrated band, so it is compared with a model that has none either.
PAIRS += [
    (f"{model}, not calibrated", f"{model} without {word}")
    for model in ("LSTM", "LightGBM")
    for word in ("promotions", "holidays")
]


def rows(quick: bool, log: Log) -> list[dict]:
    """One place after another in each of as many processes as there are cores; at most two fit into 4 GB."""
    ecomlib.load_complete_journey()  # fills the cache, so that no two processes do it at once
    n = min(joblib.cpu_count(), 2)
    log(f"{len(PLACES)} places, {n} at a time")
    with ProcessPoolExecutor(n, mp_context=get_context("spawn")) as pool:
        parts = list(pool.map(_study_alone, PLACES[::-1], repeat(quick), repeat(log)))
    return [row for part in parts[::-1] for row in part]


def _study_alone(place: dict, quick: bool, log: Log) -> list[dict]:
    """A place in a process of its own, on one core: two small networks side by side beat one on two cores."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    shop, _ = ecomlib.clean(ecomlib.load_complete_journey())
    return study(shop, place, quick, log)


def study(shop: Shop, place: dict, quick: bool, log: Log) -> list[dict]:
    """All models in one place."""
    from ecomlib.sales import SalesLSTM

    level = {"departments": "department", "categories": "category"}[place["dataset"]]
    split = Split.last(test="56D", valid="28D", end=PERIODS[place["period"]])
    task = sales.task(shop, split, level, horizon=place["horizon"], holidays=HOLIDAYS, closed=CLOSED)
    seeds = SEEDS[:1] if quick else SEEDS
    options = {"epochs": 1} if quick else {}
    trees = [LightGBM(seed, **TREES[place["dataset"]]) for seed in seeds]
    own = Study(task, place, quick, log)
    own.classical(quick)
    few = seeds if place["horizon"] == 7 else seeds[:1]  # four times the rows; seeds hardly differ
    own.learner("LightGBM", trees[: len(few)])
    own.learner("LSTM", [SalesLSTM(seed, **options) for seed in seeds])
    if (place["dataset"], place["period"], place["horizon"]) == ("categories", "test", 7):
        own.learner("LSTM, one network", [SalesLSTM(seed, members=1, **options) for seed in seeds])
    for word in place.get("without", ()):
        own.learner(f"LightGBM without {word}", trees, task.without(word))
        lstm = [SalesLSTM(seed, **options) for seed in seeds]
        own.learner(f"LSTM without {word}", lstm, task.without(word))
    return own.rows()


class Study:
    """All forecasts of one task, and the table made of them."""

    def __init__(self, task: SalesTask, place: dict, quick: bool, log: Log):
        self.task, self.quick, self.log = task, quick, log
        self.place = {name: place[name] for name in ("dataset", "period", "horizon")}
        self.cutoffs = task.cutoffs("test")
        self.actual, self.is_open = task.actual(self.cutoffs), task.is_open(self.cutoffs)
        self.scale = naive_scale(task.panel.values[:, : task.test_start])
        self.forecasts: dict[str, np.ndarray] = {}

    def classical(self, quick: bool) -> None:
        models = [WeekdayMean(1), WeekdayMean(4), WeekdayMean(8), Theta()] + ([] if quick else [ETS()])
        valid = self.task.cutoffs("valid")
        for model in models:
            forecast = model.fit(self.task).predict(self.task, self.cutoffs)
            if model.name != "last week":  # it has no band
                raw, known = model.predict(self.task, valid), self.task.actual(valid)
                self.forecasts[f"{model.name}, not calibrated"] = forecast[None]
                forecast = stretch_band(forecast, calibrate_band(known, raw, self.task.is_open(valid)))
            self.forecasts[model.name] = forecast[None]
            self._say(model.name)

    def learner(self, name: str, models: list, task: SalesTask | None = None) -> None:
        """Fit on train, calibrate on valid, fit again on both, forecast the test; once for each seed.

        A variant without some inputs is fitted once only, on both: its band stays as it is.
        """
        variant = task is not None
        task = task or self.task
        valid = task.cutoffs("valid")
        known, is_open = task.actual(valid), task.is_open(valid)

        def fit(model) -> tuple[np.ndarray, np.ndarray]:
            factors = np.ones(2)
            if not variant:
                factors = calibrate_band(known, model.fit(task, "train").predict(task, valid), is_open)
            forecast = model.fit(task, "refit").predict(task, self.cutoffs)
            return forecast, stretch_band(forecast, factors)

        jobs = {f"{name} {model.seed}": partial(fit, model) for model in models}
        where = "-".join(map(str, self.place.values())) + "-quick" * self.quick
        raw, calibrated = zip(*kept(f"sales/{where}", jobs, self.log).values(), strict=True)
        if not variant:
            self.forecasts[f"{name}, not calibrated"] = np.stack(raw)
        self.forecasts[name] = np.stack(calibrated)
        if len(models) > 1 and not variant and name in ("LSTM", "LightGBM"):
            self.forecasts[f"{name}, mean of {len(models)}"] = np.stack(calibrated).mean(axis=0)[None]
        self._say(name)

    def _say(self, name: str) -> None:
        scores = score_forecast(self.actual, self.forecasts[name], None, self.is_open, n=2)
        figures = "  ".join(f"{metric} {value[0]:.4f}" for metric, value in scores.items())
        self.log(f"{' '.join(map(str, self.place.values()))}  {name}: {figures}")

    def rows(self) -> list[dict]:
        weeks = {"in": np.ones(len(self.cutoffs), bool)}
        if self.place["period"] == "test" and self.place["horizon"] == 7:
            weeks["only"] = self.task.holiday_weeks(self.cutoffs)
            weeks["out"] = ~weeks["only"]
        out = []
        for holidays, keep in weeks.items():
            place = self.place | {"holidays": holidays}
            for name, forecast in self.forecasts.items():
                out += self._scores(name, forecast, keep, place)
            for pair in PAIRS:
                if all(name in self.forecasts for name in pair):
                    out += self._ratios(*pair, keep, place)
        return out

    def _scores(self, name, forecast, keep, place) -> list[dict]:
        actual, is_open = self.actual[keep], self.is_open[keep]
        scores = score_forecast(actual, forecast[:, keep], self.scale, is_open)
        out = [row(name, metric, values, len(forecast), **place) for metric, values in scores.items()]
        if len(forecast) > 1 and name == "LSTM":
            for seed in range(len(forecast)):
                scores = score_forecast(actual, forecast[seed : seed + 1, keep], None, is_open)
                out += [
                    row(f"LSTM seed {seed}", m, scores[m], 1, **place)
                    for m in ("WAPE", "pinball", "coverage")
                ]
        return out

    def _ratios(self, name, other, keep, place) -> list[dict]:
        first, second = (self.forecasts[n][:, keep] for n in (name, other))
        out = []
        for metric in ("WAPE", "pinball"):
            for draw_cutoffs, note in ((True, ""), (False, ", these weeks")):
                values = compare_forecasts(
                    self.actual[keep], first, second, self.is_open[keep], metric, draw_cutoffs
                )
                out.append(row(f"{name} / {other}", metric + note, values, len(first), **place))
        return out
